/// Bytes as text of 64 digits (RFC 4648).
package enum Base64 {
  package enum Alphabet: Sendable {
    /// Section 4: padded.
    case standard
    /// Section 5, for URLs and the names of files: without padding.
    case url
  }

  package static func encode(_ bytes: [UInt8], _ alphabet: Alphabet = .standard) -> String {
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let count = min(3, bytes.count - start)
      var word: UInt32 = 0
      for index in 0..<3 { word = word << 8 | (index < count ? UInt32(bytes[start + index]) : 0) }
      for index in 0...count {
        text.append(digit(UInt8(truncatingIfNeeded: word >> UInt32(18 - 6 * index)) & 63, alphabet))
      }
      if alphabet == .standard { for _ in count..<3 { text.append(UInt8(ascii: "=")) } }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Nil for anything that is no base64. Either alphabet will do, and padding may be missing: both are met with
  /// (cameras leave the padding out).
  package static func decode(_ text: some StringProtocol) -> [UInt8]? {
    var bytes: [UInt8] = []
    var word: UInt32 = 0
    var bits: UInt32 = 0
    for byte in text.utf8 {
      if byte == UInt8(ascii: "=") { break }
      guard let value = value(byte, .standard) ?? value(byte, .url) else { return nil }
      word = word << 6 | UInt32(value)
      bits += 6
      if bits >= 8 {
        bits -= 8
        bytes.append(UInt8(truncatingIfNeeded: word >> bits))
      }
    }
    return bytes
  }

  /// What a digit of the alphabet stands for; nil for any other byte, the sign of padding among them.
  package static func value(_ byte: UInt8, _ alphabet: Alphabet) -> UInt8? {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - 65
    case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - 71
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte + 4
    case digit(62, alphabet): 62
    case digit(63, alphabet): 63
    default: nil
    }
  }

  private static func digit(_ value: UInt8, _ alphabet: Alphabet) -> UInt8 {
    switch value {
    case ..<26: value + 65
    case ..<52: value + 71
    case ..<62: value - 4
    case 62: alphabet == .standard ? UInt8(ascii: "+") : UInt8(ascii: "-")
    default: alphabet == .standard ? UInt8(ascii: "/") : UInt8(ascii: "_")
    }
  }
}
