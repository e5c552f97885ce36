internal import Wire

/// How the pictures of a stream are coded.
package enum PictureCoding: Hashable, Sendable {
  /// With what its parameter sets say, once they are known.
  case h264(H264Parameters?)
  case vp8

  /// As `rtpmap` writes it.
  package var name: String {
    switch self {
    case .h264: "H264"
    case .vp8: "VP8"
    }
  }
}

extension H264Parameters {
  /// As `fmtp` writes it (RFC 6184 section 8.1): profile, constraints and level in six digits.
  package var profileLevelID: String {
    var text: [UInt8] = []
    text.append(hex: [profile, constraints, level])
    return String(decoding: text, as: UTF8.self)
  }
}

extension AccessUnit {
  /// Whether a slice of it is predicted from pictures that come before and behind it (B): such pictures are not shown
  /// in the order in which they come. Of H.264 only.
  package var hasBidirectionalSlices: Bool {
    for range in units where range.count >= 2 {
      let type = bytes[range.lowerBound] & 0x1F
      guard type == 1 || type == 5 else { continue }
      return AccessUnit.sliceType(bytes, range) % 5 == 1
    }
    return false
  }

  /// The second number of a slice header (ITU-T H.264 section 7.3.3); 2 where it cannot be read.
  private static func sliceType(_ bytes: [UInt8], _ range: Range<Int>) -> Int {
    var place = (range.lowerBound + 1) * 8
    let end = min(range.upperBound, range.lowerBound + 12) * 8
    func bit() -> Int? {
      guard place < end else { return nil }
      defer { place += 1 }
      return Int(bytes[place / 8] >> UInt8(7 - place % 8) & 1)
    }
    func golomb() -> Int? {
      var zeros = 0
      while true {
        guard let next = bit() else { return nil }
        if next == 1 { break }
        zeros += 1
      }
      var value = 1
      for _ in 0..<zeros {
        guard let next = bit() else { return nil }
        value = value << 1 | next
      }
      return value - 1
    }
    guard golomb() != nil, let type = golomb() else { return 2 }
    return type
  }
}
