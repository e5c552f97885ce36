// The test picture: something that moves, a clock and a number for people, and both once more as black and white
// blocks for programs.
//
// The blocks survive whatever a lossy coder, a scaler and a canvas do to them, and say themselves whether they were
// read rightly. The rule is written for other languages in the README beside this room's tests.

/// Draws the test picture, and reads it.
package enum Pattern {
  /// Smaller pictures have blocks that a coder smears.
  package static let least = (width: 160, height: 96)
  static let columns = 16
  static let rows = 4

  /// What the blocks say.
  package struct Reading: Hashable, Sendable {
    /// Counts pictures; 28 bits.
    package var number: Int
    /// Milliseconds since midnight in UTC, when it was drawn.
    package var milliseconds: Int

    package init(number: Int, milliseconds: Int) {
      self.number = number
      self.milliseconds = milliseconds
    }
  }

  // MARK: The blocks

  /// 28 bits of number, 28 bits of time, a CRC-8 of these seven bytes (polynomial 0x07, beginning with 0xFF).
  static func bits(_ reading: Reading) -> UInt64 {
    let content = UInt64(reading.number & 0xFFF_FFFF) << 28 | UInt64(reading.milliseconds & 0xFFF_FFFF)
    return content << 8 | UInt64(check(content))
  }

  static func check(_ content: UInt64) -> UInt8 {
    var sum: UInt8 = 0xFF
    for place in stride(from: 48, through: 0, by: -8) {
      sum ^= UInt8(truncatingIfNeeded: content >> UInt64(place))
      for _ in 0..<8 { sum = sum & 0x80 != 0 ? sum << 1 ^ 0x07 : sum << 1 }
    }
    return sum
  }

  private static func block(_ place: Int, _ width: Int, _ height: Int) -> Picture.Area {
    let (row, column) = (place / columns, place % columns)
    let (left, top) = (width * column / columns, height * row / (4 * rows))
    return Picture.Area(
      x: left, y: top, width: width * (column + 1) / columns - left,
      height: height * (row + 1) / (4 * rows) - top)
  }

  /// Nil when it is no test picture, or one that was damaged.
  package static func read(_ picture: borrowing Picture) -> Reading? {
    guard picture.width >= least.width, picture.height >= least.height else { return nil }
    var bits: UInt64 = 0
    for place in 0..<(columns * rows) {
      let area = block(place, picture.width, picture.height)
      var sum = 0
      var count = 0
      // Only the middle of a block: its edges are anybody's.
      for y in (area.y + area.height / 4)..<(area.y + area.height - area.height / 4) {
        for x in (area.x + area.width / 4)..<(area.x + area.width - area.width / 4) {
          sum += Int(picture.luma(x: x, y: y))
          count += 1
        }
      }
      let mean = sum / max(count, 1)
      guard mean < 96 || mean > 156 else { return nil }
      bits = bits << 1 | (mean > 156 ? 1 : 0)
    }
    guard check(bits >> 8) == UInt8(truncatingIfNeeded: bits) else { return nil }
    return Reading(number: Int(bits >> 36), milliseconds: Int(bits >> 8 & 0xFFF_FFFF))
  }

  // MARK: Drawing

  /// The colours of a test card (ITU-R BT.471, 75 %) in luma, U and V.
  private static let bars: [(UInt8, UInt8, UInt8)] = [
    (180, 128, 128), (162, 44, 142), (131, 156, 44), (112, 72, 58), (84, 184, 198), (65, 100, 212),
    (35, 212, 114), (16, 128, 128),
  ]

  /// Paints all of `picture`. Of number and time, 28 bits count.
  package static func draw(_ wanted: Reading, on picture: inout Picture) {
    let reading = Reading(number: wanted.number & 0xFFF_FFFF, milliseconds: wanted.milliseconds & 0xFFF_FFFF)
    let (width, height) = (picture.width, picture.height)
    let bits = bits(reading)
    for place in 0..<(columns * rows) {
      picture.fill(
        block(place, width, height), luma: bits >> UInt64(columns * rows - 1 - place) & 1 == 1 ? 235 : 16)
    }
    // The clock and the number lie between a quarter and a half, the bars below.
    let (quarter, half) = (height / 4, height / 2)
    picture.fill(Picture.Area(x: 0, y: quarter, width: width, height: half - quarter), luma: 48)
    for (place, (luma, u, v)) in bars.enumerated() {
      let left = width * place / bars.count
      picture.fill(
        Picture.Area(x: left, y: half, width: width * (place + 1) / bars.count - left, height: height - half),
        luma: luma, u: u, v: v)
    }
    let seconds = reading.milliseconds / 1000
    let pixel = max(1, width / 96)
    let upper = quarter + (half - quarter) / 2 - 8 * pixel
    write(
      "\(two(seconds / 3600)):\(two(seconds / 60 % 60)):\(two(seconds % 60)).\(reading.milliseconds / 100 % 10)",
      x: 4 * pixel, y: upper, pixel: pixel, on: &picture)
    write("\(reading.number)", x: 4 * pixel, y: upper + 9 * pixel, pixel: pixel, on: &picture)
    // It crosses the picture once in 64 pictures.
    let step = reading.number % 64
    picture.fill(
      Picture.Area(x: width * step / 64, y: half, width: max(2, width / 64), height: height - half), luma: 235
    )
    let size = height / 8
    let way = reading.number % 96
    picture.fill(
      Picture.Area(
        x: width - size - (width - size) * (way < 48 ? way : 96 - way) / 48, y: half + height / 5,
        width: size, height: size), luma: 81, u: 90, v: 240)
  }

  private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

  /// Five columns and seven lines for each of `0123456789:.`, the uppermost line first, the leftmost bit highest.
  private static let glyphs: [[UInt8]] = [
    [14, 17, 19, 21, 25, 17, 14], [4, 12, 4, 4, 4, 4, 14], [14, 17, 1, 2, 4, 8, 31],
    [31, 2, 4, 2, 1, 17, 14], [2, 6, 10, 18, 31, 2, 2], [31, 16, 30, 1, 1, 17, 14],
    [6, 8, 16, 30, 17, 17, 14], [31, 1, 2, 4, 8, 8, 8], [14, 17, 17, 14, 17, 17, 14],
    [14, 17, 17, 15, 1, 2, 12], [0, 4, 4, 0, 4, 4, 0], [0, 0, 0, 0, 0, 12, 12],
  ]

  private static func write(_ text: String, x: Int, y: Int, pixel: Int, on picture: inout Picture) {
    var left = x
    for character in text.utf8 {
      let glyph = glyphs[character == 0x3A ? 10 : character == 0x2E ? 11 : Int(character) - 0x30]
      for (line, bits) in glyph.enumerated() {
        for column in 0..<5 where bits >> UInt8(4 - column) & 1 == 1 {
          picture.fill(
            Picture.Area(x: left + column * pixel, y: y + line * pixel, width: pixel, height: pixel),
            luma: 220)
        }
      }
      left += 6 * pixel
    }
  }
}
