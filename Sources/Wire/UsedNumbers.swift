/// Which of the newest numbers of a rising series were used, so that none is used twice: 40 bytes, and a few
/// nanoseconds for each.
package struct UsedNumbers: Sendable {
  /// How far below the newest number one may lie and still be known: what lies further counts as used.
  package static let reach: UInt64 = 192

  /// The highest number used, or the one that the series began at.
  package private(set) var newest: UInt64
  /// A ring of bits, one for each number; the word that the newest lies in and the three before it.
  private var words: InlineArray<4, UInt64> = [0, 0, 0, 0]

  /// Nothing is used yet; numbers from a little below `newest` on can be.
  package init(newest: UInt64) { self.newest = newest }

  /// Takes a number; false when it was used before, or lies so far back that nobody knows.
  package mutating func use(_ number: UInt64) -> Bool {
    if number > newest {
      var passed = min(number >> 6 - newest >> 6, 4)
      while passed > 0 {
        words[UsedNumbers.word(of: number &- (passed - 1) << 6)] = 0
        passed -= 1
      }
      newest = number
    } else if newest - number >= UsedNumbers.reach {
      return false
    }
    let word = UsedNumbers.word(of: number)
    let bit = UInt64(1) << (number & 63)
    guard words[word] & bit == 0 else { return false }
    words[word] |= bit
    return true
  }

  private static func word(of number: UInt64) -> Int { Int(truncatingIfNeeded: number >> 6) & 3 }
}
