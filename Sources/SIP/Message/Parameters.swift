internal import Wire

/// `;name=value` parameters in the order they were written. Names compare without case; values are kept as
/// written, so that what a device sent goes back to it letter for letter.
package struct Parameters: Hashable, Sendable {
  package struct Parameter: Hashable, Sendable {
    package var name: String
    /// As written, quotes included; nil for a name alone.
    package var value: String?

    package init(name: String, value: String?) {
      self.name = name
      self.value = value
    }
  }

  package var list: [Parameter]

  package init(_ list: [Parameter] = []) { self.list = list }

  package var isEmpty: Bool { list.isEmpty }

  package func contains(_ name: String) -> Bool {
    list.contains { ASCII.equalIgnoringCase($0.name, name) }
  }

  /// The value without quotes; "" for a name alone; nil when there is none of this name. Setting writes the value
  /// in quotes when it is no token, "" writes the name alone, nil removes it.
  package subscript(name: String) -> String? {
    get {
      guard let found = list.first(where: { ASCII.equalIgnoringCase($0.name, name) }) else { return nil }
      return found.value.map(Text.unquoted) ?? ""
    }
    set {
      let place = list.firstIndex { ASCII.equalIgnoringCase($0.name, name) }
      guard let newValue else {
        list.removeAll { ASCII.equalIgnoringCase($0.name, name) }
        return
      }
      let value: String? =
        newValue.isEmpty ? nil : Text.isPlainValue(newValue) ? newValue : Text.quoted(newValue)
      if let place { list[place].value = value } else { list.append(Parameter(name: name, value: value)) }
    }
  }

  /// The parameters of a header value: what lies from the first `;` on. Malformed ones end the list.
  init(_ bytes: Span<UInt8>, _ range: Range<Int>) {
    list = []
    var position = range.lowerBound
    while position < range.upperBound, bytes[position] == UInt8(ascii: ";"),
      let part = Grammar.parameter(bytes, position, range.upperBound)
    {
      list.append(
        Parameter(name: Text.string(bytes, part.name), value: part.value.map { Text.string(bytes, $0) }))
      position = part.next
    }
  }

  /// The parameters of a URI, parted by `;` and nothing else.
  init(uri bytes: Span<UInt8>, _ range: Range<Int>) {
    list = []
    var position = range.lowerBound
    while position < range.upperBound {
      let start = position + 1
      var equals = -1
      position = start
      while position < range.upperBound, bytes[position] != UInt8(ascii: ";") {
        if equals < 0, bytes[position] == UInt8(ascii: "=") { equals = position }
        position += 1
      }
      if equals < 0 {
        list.append(Parameter(name: Text.string(bytes, start..<position), value: nil))
      } else {
        list.append(
          Parameter(
            name: Text.string(bytes, start..<equals), value: Text.string(bytes, equals + 1..<position)))
      }
    }
  }

  package func append(to bytes: inout [UInt8]) {
    for parameter in list {
      bytes.append(UInt8(ascii: ";"))
      Text.append(parameter.name, to: &bytes)
      if let value = parameter.value {
        bytes.append(UInt8(ascii: "="))
        Text.append(value, to: &bytes)
      }
    }
  }
}

/// Text of SIP between bytes and `String`.
enum Text {
  static func string(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String {
    let part = bytes.extracting(range)
    if let text = try? UTF8Span(validating: part) { return String(copying: text) }
    // Not UTF-8: repaired, letter by letter.
    return String(decoding: [UInt8](part), as: UTF8.self)
  }

  /// A folded value on one line: each fold with its blanks becomes one space (RFC 3261, 7.3.1).
  static func unfolded(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String {
    var text: [UInt8] = []
    appendUnfolded(bytes, range, to: &text)
    return String(decoding: text, as: UTF8.self)
  }

  static func appendUnfolded(_ bytes: Span<UInt8>, _ range: Range<Int>, to text: inout [UInt8]) {
    guard hasLineEnd(bytes.extracting(range)) else {
      text.append(range, of: bytes)
      return
    }
    var position = range.lowerBound
    while position < range.upperBound {
      let byte = bytes[position]
      if byte == 13 || byte == 10 {
        while let last = text.last, ASCII.isBlank(last) { text.removeLast() }
        position = Grammar.skipBlanks(bytes, position, range.upperBound)
        text.append(32)
      } else {
        text.append(byte)
        position += 1
      }
    }
  }

  /// Appends text that may come from a peer: a line end in it becomes a space, so that no value can begin a
  /// header field of its own.
  @inline(__always) static func append(_ text: String, to bytes: inout [UInt8]) {
    let start = bytes.count
    bytes.append(contentsOf: text.utf8)
    guard hasLineEnd(bytes.span.extracting(start..<bytes.count)) else { return }
    for position in start..<bytes.count where bytes[position] == 13 || bytes[position] == 10 {
      bytes[position] = 32
    }
  }

  /// Looked for without a branch per byte.
  @inline(__always) private static func hasLineEnd(_ bytes: Span<UInt8>) -> Bool {
    var found: UInt8 = 0
    for index in bytes.indices { found |= (bytes[index] == 13 ? 1 : 0) | (bytes[index] == 10 ? 1 : 0) }
    return found != 0
  }

  /// The content of a quoted string; anything else as it is.
  static func unquoted(_ text: String) -> String {
    let bytes = Array(text.utf8)
    guard bytes.count >= 2, bytes.first == UInt8(ascii: "\""), bytes.last == UInt8(ascii: "\"") else {
      return text
    }
    var result: [UInt8] = []
    var position = 1
    while position < bytes.count - 1 {
      if bytes[position] == UInt8(ascii: "\\"), position + 1 < bytes.count - 1 { position += 1 }
      result.append(bytes[position])
      position += 1
    }
    return String(decoding: result, as: UTF8.self)
  }

  /// The text as a quoted string, blanks for what could end the line.
  static func quoted(_ text: String) -> String {
    ASCII.quoted(text.utf8.lazy.map { $0 < 32 && $0 != 9 ? 32 : $0 })
  }

  /// May stand as a parameter's value without quotes: a token, or a host with its brackets and colons.
  static func isPlainValue(_ text: String) -> Bool {
    text.utf8.allSatisfy {
      ASCII.isToken($0) || $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "]") || $0 == UInt8(ascii: ":")
    }
  }

  /// `%41` becomes `A`, once; a `%` that begins no escape stays.
  static func unescaped(_ text: String) -> String {
    guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
    let bytes = Array(text.utf8)
    var result: [UInt8] = []
    var position = 0
    while position < bytes.count {
      if bytes[position] == UInt8(ascii: "%"), position + 2 < bytes.count,
        let high = ASCII.hexValue(bytes[position + 1]), let low = ASCII.hexValue(bytes[position + 2])
      {
        result.append(high << 4 | low)
        position += 3
      } else {
        result.append(bytes[position])
        position += 1
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  /// Escapes what may not stand in the user part of a SIP URI (RFC 3261, 25.1).
  static func escapedUser(_ text: String) -> String {
    var result: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "!"), UInt8(ascii: "~"),
        UInt8(ascii: "*"), UInt8(ascii: "'"), UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "&"),
        UInt8(ascii: "="), UInt8(ascii: "+"), UInt8(ascii: "$"), UInt8(ascii: ","), UInt8(ascii: ";"),
        UInt8(ascii: "?"), UInt8(ascii: "/"):
        result.append(byte)
      case _ where ASCII.isAlpha(byte) || ASCII.isDigit(byte): result.append(byte)
      default:
        result.append(UInt8(ascii: "%"))
        result.append(ASCII.hexDigit(byte >> 4))
        result.append(ASCII.hexDigit(byte & 15))
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
