/// What the parameter sets of an H.264 stream say about it (ITU-T H.264 section 7.3.2.1).
package struct H264Parameters: Hashable, Sendable {
  package let sps: [UInt8]
  package let pps: [UInt8]
  package let profile: UInt8
  package let constraints: UInt8
  package let level: UInt8
  /// As shown, cropped.
  package let width: Int
  package let height: Int
  /// Pictures may be shown in another order than they come (B-frames), as far as the sets say: browsers show such streams
  /// wrongly.
  package let reorders: Bool

  /// Larger than any sensor of a door.
  private static let largest = 8192

  /// Nil for a set that cannot be read, or names a size that no picture has.
  package init?(sps: [UInt8], pps: [UInt8]) {
    guard sps.count >= 4, sps[0] & 0x1F == 7 else { return nil }
    self.sps = sps
    self.pps = pps
    profile = sps[1]
    constraints = sps[2]
    level = sps[3]
    var reader = BitReader(H264Parameters.withoutEmulation(sps[4...]))
    guard reader.golomb() != nil else { return nil }
    var chroma = 1
    var separate = false
    if [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].contains(profile) {
      guard let format = reader.golomb(), format <= 3 else { return nil }
      chroma = format
      if format == 3 { separate = reader.bits(1) == 1 }
      guard reader.golomb() != nil, reader.golomb() != nil, reader.bits(1) != nil,
        let isScaled = reader.bits(1)
      else { return nil }
      if isScaled == 1 {
        for list in 0..<(format == 3 ? 12 : 8) where reader.bits(1) == 1 {
          var last = 8
          var following = 8
          for _ in 0..<(list < 6 ? 16 : 64) {
            if following != 0 {
              guard let delta = reader.signedGolomb() else { return nil }
              following = (last + delta + 512) % 256
            }
            last = following == 0 ? last : following
          }
        }
      }
    }
    guard reader.golomb() != nil, let order = reader.golomb(), order <= 2 else { return nil }
    if order == 0 {
      guard reader.golomb() != nil else { return nil }
    } else if order == 1 {
      guard reader.bits(1) != nil, reader.signedGolomb() != nil, reader.signedGolomb() != nil,
        let cycle = reader.golomb(), cycle <= 255
      else { return nil }
      for _ in 0..<cycle { guard reader.signedGolomb() != nil else { return nil } }
    }
    let isInOrder = order == 2 || profile == 66
    guard reader.golomb() != nil, reader.bits(1) != nil, let columns = reader.golomb(),
      let rows = reader.golomb(),
      columns < 1024, rows < 1024, let frames = reader.bits(1)
    else { return nil }
    if frames == 0 { guard reader.bits(1) != nil else { return nil } }
    guard reader.bits(1) != nil, let isCropped = reader.bits(1) else { return nil }
    var width = (columns + 1) * 16
    var height = (rows + 1) * 16 * (2 - frames)
    if isCropped == 1 {
      guard let left = reader.golomb(), let right = reader.golomb(), let top = reader.golomb(),
        let bottom = reader.golomb(), max(left, right, top, bottom) < H264Parameters.largest
      else { return nil }
      let plain = chroma == 0 || separate
      width -= (left + right) * (plain || chroma == 3 ? 1 : 2)
      height -= (top + bottom) * (plain || chroma != 1 ? 1 : 2) * (2 - frames)
    }
    guard (16...H264Parameters.largest).contains(width), (16...H264Parameters.largest).contains(height) else {
      return nil
    }
    self.width = width
    self.height = height
    reorders = isInOrder ? false : reader.reorderedFrames().map { $0 > 0 } ?? false
  }

  private static func withoutEmulation(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    var zeros = 0
    for byte in bytes {
      if byte == 3, zeros >= 2 {
        zeros = 0
        continue
      }
      zeros = byte == 0 ? zeros + 1 : 0
      result.append(byte)
    }
    return result
  }

  private struct BitReader {
    let bytes: [UInt8]
    var place = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func bits(_ count: Int) -> Int? {
      guard place + count <= bytes.count * 8 else { return nil }
      var value = 0
      for _ in 0..<count {
        value = value << 1 | Int(bytes[place / 8] >> UInt8(7 - place % 8) & 1)
        place += 1
      }
      return value
    }

    mutating func golomb() -> Int? {
      var zeros = 0
      while true {
        guard let bit = bits(1) else { return nil }
        if bit == 1 { break }
        zeros += 1
        guard zeros < 32 else { return nil }
      }
      return bits(zeros).map { (1 << zeros | $0) - 1 }
    }

    mutating func signedGolomb() -> Int? {
      golomb().map { $0 % 2 == 1 ? ($0 + 1) / 2 : -($0 / 2) }
    }

    /// Reads the usability information (section E.1.1) as far as `max_num_reorder_frames`; nil where it is not said.
    mutating func reorderedFrames() -> Int? {
      func skip(_ count: Int) -> Bool { bits(count) != nil }
      guard bits(1) == 1, let hasAspect = bits(1) else { return nil }
      if hasAspect == 1 {
        guard let aspect = bits(8) else { return nil }
        if aspect == 255 { guard skip(16), skip(16) else { return nil } }
      }
      guard let hasOverscan = bits(1), hasOverscan == 0 || skip(1), let hasSignal = bits(1) else {
        return nil
      }
      if hasSignal == 1 {
        guard skip(4), let hasColour = bits(1), hasColour == 0 || skip(24) else { return nil }
      }
      guard let hasPlace = bits(1) else { return nil }
      if hasPlace == 1 { guard golomb() != nil, golomb() != nil else { return nil } }
      guard let hasTiming = bits(1) else { return nil }
      if hasTiming == 1 { guard skip(32), skip(32), skip(1) else { return nil } }
      var hasBuffers = false
      for _ in 0..<2 {
        guard let has = bits(1) else { return nil }
        guard has == 1 else { continue }
        hasBuffers = true
        guard let count = golomb(), count < 32, skip(8) else { return nil }
        for _ in 0...count { guard golomb() != nil, golomb() != nil, skip(1) else { return nil } }
        guard skip(20) else { return nil }
      }
      if hasBuffers { guard skip(1) else { return nil } }
      guard skip(1), bits(1) == 1, skip(1) else { return nil }
      for _ in 0..<4 { guard golomb() != nil else { return nil } }
      return golomb()
    }
  }
}
