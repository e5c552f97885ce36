/// How many pictures a second suit a rate: fewer good ones look better than many that are nothing but blocks.
///
/// It goes down as soon as a rate leaves each pixel too little, and up again only well above that, so that a rate that
/// wavers does not make the pace waver.
package struct PicturePace: Hashable, Sendable {
  /// Below so many thousandths of a bit for each pixel there are fewer pictures.
  package static let leastBits = 30
  /// All, every second, every third.
  package static let divisors = [1, 2, 3]

  private var step = 0

  package init() {}

  /// Pictures a second, of pictures of that size of which `most` are taken.
  package mutating func suited(bitsPerSecond: Int, width: Int, height: Int, most: Int) -> Int {
    let pixels = max(1, width * height * most)
    // Thousandths of a bit for each pixel, at a step.
    func bits(_ step: Int) -> Int {
      let (thousand, isTooMuch) = bitsPerSecond.multipliedReportingOverflow(
        by: 1000 * PicturePace.divisors[step])
      return isTooMuch ? Int.max : thousand / pixels
    }
    while step < PicturePace.divisors.count - 1, bits(step) < PicturePace.leastBits { step += 1 }
    while step > 0, bits(step - 1) >= PicturePace.leastBits * 5 / 4 { step -= 1 }
    return max(1, most / PicturePace.divisors[step])
  }
}
