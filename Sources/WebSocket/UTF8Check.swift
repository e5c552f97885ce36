internal import Wire

/// Whether bytes that come in pieces are UTF-8 (RFC 3629): no overlong form, no surrogate, nothing above U+10FFFF.
/// A wrong byte is seen when it comes, not at the end of the message.
struct UTF8Check: Sendable {
  /// Bytes that the character begun still lacks, and between what the next of them must lie.
  private var missing: UInt8 = 0
  private var lowest: UInt8 = 0x80
  private var highest: UInt8 = 0xBF

  /// Whether no character is half read.
  var isWhole: Bool { missing == 0 }

  /// False at the first byte that no UTF-8 text can have there.
  mutating func accept(_ bytes: Span<UInt8>) -> Bool {
    var position = 0
    while position < bytes.count {
      if missing == 0 {
        // Sixteen at a time while all of them are ASCII, as SIP almost always is.
        while position &+ 16 <= bytes.count {
          let part = bytes.extracting(position..<position &+ 16)
          var together: UInt8 = 0
          for index in 0..<16 { together |= part[index] }
          if together >= 0x80 { break }
          position &+= 16
        }
        guard position < bytes.count else { return true }
      }
      let byte = bytes[position]
      position += 1
      if missing > 0 {
        guard byte >= lowest, byte <= highest else { return false }
        missing -= 1
        lowest = 0x80
        highest = 0xBF
        continue
      }
      switch byte {
      case 0..<0x80: continue
      case 0xC2...0xDF: missing = 1
      case 0xE0...0xEF:
        missing = 2
        if byte == 0xE0 { lowest = 0xA0 }
        if byte == 0xED { highest = 0x9F }
      case 0xF0...0xF4:
        missing = 3
        if byte == 0xF0 { lowest = 0x90 }
        if byte == 0xF4 { highest = 0x8F }
      default: return false
      }
    }
    return true
  }

  /// Whether all of `bytes` is one UTF-8 text.
  static func holds(for bytes: Span<UInt8>) -> Bool {
    var check = UTF8Check()
    return check.accept(bytes) && check.isWhole
  }
}
