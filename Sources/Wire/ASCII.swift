/// Questions about single bytes of text protocols, answered without `Character` or `String`.
///
/// The type is public, and its members are `package`: Swift 6.3.1 inlines `@inlinable package` functions into
/// other modules only when their type is public. These are asked once per byte.
public enum ASCII {
  @inlinable @inline(__always) package static func isDigit(_ byte: UInt8) -> Bool { byte &- 48 < 10 }
  @inlinable @inline(__always) package static func isAlpha(_ byte: UInt8) -> Bool { (byte | 0x20) &- 97 < 26 }
  /// Space or horizontal tab.
  @inlinable @inline(__always) package static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 }
  /// Space, tab, CR or LF: what may stand between the parts of a folded value.
  @inlinable @inline(__always) package static func isLinearBlank(_ byte: UInt8) -> Bool {
    byte == 32 || byte == 9 || byte == 13 || byte == 10
  }
  /// A byte of a SIP token (RFC 3261, 25.1): letters, digits and `-.!%*_+`'~`. HTTP's few others (`#$&^|`) are
  /// in no header name that anyone uses.
  @inlinable @inline(__always) package static func isToken(_ byte: UInt8) -> Bool {
    // One bit per byte value: 0 to 63 in the first word, 64 to 127 in the second.
    let word: UInt64 = byte < 64 ? 0x03FF_6CA2_0000_0000 : 0x47FF_FFFF_87FF_FFFE
    return byte < 128 && word >> UInt64(byte & 63) & 1 == 1
  }
  /// `a` to `z` for `A` to `Z`, every other byte as it is.
  @inlinable @inline(__always) package static func lowered(_ byte: UInt8) -> UInt8 {
    byte &- 65 < 26 ? byte | 0x20 : byte
  }
  @inlinable @inline(__always) package static func hexValue(_ byte: UInt8) -> UInt8? {
    if byte &- 48 < 10 { return byte - 48 }
    let letter = byte | 0x20
    return letter &- 97 < 6 ? letter - 87 : nil
  }
  package static let hexDigits: StaticString = "0123456789abcdef"

  /// Lower-case hexadecimal of `bytes`.
  package static func hex(_ bytes: some Sequence<UInt8>) -> String {
    var text: [UInt8] = []
    for byte in bytes {
      text.append(hexDigit(byte >> 4))
      text.append(hexDigit(byte & 15))
    }
    return String(decoding: text, as: UTF8.self)
  }
  @inlinable @inline(__always) package static func hexDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? 48 + value : 87 + value
  }

  /// The bytes that hexadecimal digits of either case write; nil for an odd number of them, and for anything else.
  package static func bytes(hex digits: some Sequence<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    var high: UInt8?
    for digit in digits {
      guard let value = hexValue(digit) else { return nil }
      if let first = high { bytes.append(first << 4 | value) }
      high = high == nil ? value : nil
    }
    return high == nil ? bytes : nil
  }

  /// Between quotes, a backslash before every quote and backslash within (RFC 9110 section 5.6.4, RFC 3261 section
  /// 25.1). Control characters stay: whoever may have some takes them out before.
  @inlinable package static func quoted(_ text: some Sequence<UInt8>) -> String {
    var result: [UInt8] = [UInt8(ascii: "\"")]
    for byte in text {
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { result.append(UInt8(ascii: "\\")) }
      result.append(byte)
    }
    result.append(UInt8(ascii: "\""))
    return String(decoding: result, as: UTF8.self)
  }
  @inlinable package static func quoted(_ text: String) -> String { quoted(text.utf8) }

  /// Equal when ASCII letters are compared without case.
  @inlinable package static func equalIgnoringCase(
    _ left: some Sequence<UInt8>, _ right: some Sequence<UInt8>
  ) -> Bool {
    var first = left.makeIterator()
    var second = right.makeIterator()
    while true {
      switch (first.next(), second.next()) {
      case (nil, nil): return true
      case (let a?, let b?) where lowered(a) == lowered(b): continue
      default: return false
      }
    }
  }
  @inlinable package static func equalIgnoringCase(_ left: String, _ right: String) -> Bool {
    equalIgnoringCase(left.utf8, right.utf8)
  }
}
