internal import Crypto
internal import Wire

/// One `Authorization: Digest …`, as ranges of the message: what a client claims, before anything is checked.
struct DigestAnswer {
  var username: Range<Int>?
  var realm: Range<Int>?
  var nonce: Range<Int>?
  var uri: Range<Int>?
  var response: Range<Int>?
  var cnonce: Range<Int>?
  var count: Range<Int>?
  var qop: Range<Int>?
  /// Nil for an algorithm that we do not speak, MD5 when none is named.
  var algorithm: DigestAlgorithm? = .md5

  /// Reads the field value at `range`; nil for another scheme or a malformed value. Values hold no escapes:
  /// nobody sends any, and undoing them differently on two sides would be a way round the hash.
  init?(_ bytes: Span<UInt8>, _ range: Range<Int>) {
    let end = range.upperBound
    var position = Grammar.skipToken(bytes, range.lowerBound, end)
    guard Grammar.equals(bytes, range.lowerBound..<position, .digest), position < end,
      ASCII.isLinearBlank(bytes[position])
    else { return nil }
    while true {
      position = Grammar.skipBlanks(bytes, position, end)
      guard position < end else { return }
      if bytes[position] == UInt8(ascii: ",") {
        position += 1
        continue
      }
      let name = position..<Grammar.skipToken(bytes, position, end)
      guard !name.isEmpty else { return nil }
      position = Grammar.skipBlanks(bytes, name.upperBound, end)
      guard position < end, bytes[position] == UInt8(ascii: "=") else { return nil }
      position = Grammar.skipBlanks(bytes, position + 1, end)
      let value: Range<Int>
      if position < end, bytes[position] == UInt8(ascii: "\"") {
        guard let close = Grammar.skipQuoted(bytes, position, end), close <= end else { return nil }
        value = position + 1..<close - 1
        position = close
      } else {
        let start = position
        while position < end, bytes[position] != UInt8(ascii: ","), !ASCII.isLinearBlank(bytes[position]) {
          position += 1
        }
        value = start..<position
      }
      take(bytes, name, value)
      position = Grammar.skipBlanks(bytes, position, end)
      guard position == end || bytes[position] == UInt8(ascii: ",") else { return nil }
    }
  }

  private mutating func take(_ bytes: Span<UInt8>, _ name: Range<Int>, _ value: Range<Int>) {
    // Length and first letter tell the names apart; the rest is confirmed.
    switch (name.count, bytes[name.lowerBound] | 0x20) {
    case (8, UInt8(ascii: "u")) where Grammar.equals(bytes, name, .username): username = value
    case (8, UInt8(ascii: "r")) where Grammar.equals(bytes, name, .response): response = value
    case (5, UInt8(ascii: "r")) where Grammar.equals(bytes, name, .realm): realm = value
    case (5, UInt8(ascii: "n")) where Grammar.equals(bytes, name, .nonce): nonce = value
    case (3, UInt8(ascii: "u")) where Grammar.equals(bytes, name, .uri): uri = value
    case (6, UInt8(ascii: "c")) where Grammar.equals(bytes, name, .cnonce): cnonce = value
    case (2, UInt8(ascii: "n")) where Grammar.equals(bytes, name, .nc): count = value
    case (3, UInt8(ascii: "q")) where Grammar.equals(bytes, name, .qop): qop = value
    case (9, UInt8(ascii: "a")):
      if Grammar.equals(bytes, value, .md5) {
        algorithm = .md5
      } else if Grammar.equals(bytes, value, .sha256) {
        algorithm = .sha256
      } else {
        algorithm = nil
      }
    default: break
    }
  }
}

extension Grammar.StaticWord {
  static var digest: Self { Self(letters: 0x7473_6567_6964, count: 6) }
  static var username: Self { Self(letters: 0x656D_616E_7265_7375, count: 8) }
  static var response: Self { Self(letters: 0x6573_6E6F_7073_6572, count: 8) }
  static var realm: Self { Self(letters: 0x6D_6C61_6572, count: 5) }
  static var nonce: Self { Self(letters: 0x65_636E_6F6E, count: 5) }
  static var uri: Self { Self(letters: 0x69_7275, count: 3) }
  static var cnonce: Self { Self(letters: 0x6563_6E6F_6E63, count: 6) }
  static var nc: Self { Self(letters: 0x636E, count: 2) }
  static var qop: Self { Self(letters: 0x70_6F71, count: 3) }
  static var md5: Self { Self(letters: 0x35_646D, count: 3) }
  static var sha256: Self { Self(letters: 0x36_3532_2D61_6873, count: 7) }
  static var auth: Self { Self(letters: 0x6874_7561, count: 4) }
  static var authInt: Self { Self(letters: 0x746E_692D_6874_7561, count: 8) }
}
