import Wire

/// Reads one JSON or JSON5 text into a tree.
///
/// It is responsible for grammar, encoding, limits and places. What keys mean, which are known and what their
/// values may be is `ObjectReader`'s. The first fault of grammar ends the reading, because nothing after it can be
/// trusted to mean what it seems to.
struct JSONParser {
  private let text: [UInt8]
  private let dialect: JSONDialect
  private let limits: JSONLimits
  private let file: String
  private var at = 0
  private var line = 1
  private var lineStart = 0
  /// Bytes since `lineStart` that continue a scalar, so that columns count scalars.
  private var continuations = 0
  private var depth = 0
  private var values = 0

  init(_ text: [UInt8], dialect: JSONDialect, limits: JSONLimits, file: String) throws(JSONError) {
    self.text = text
    self.dialect = dialect
    self.limits = limits
    self.file = file
    if text.count > limits.bytes { throw fault("at most \(limits.bytes) bytes", found: "\(text.count)") }
  }

  mutating func document() throws(JSONError) -> JSONNode {
    try checkEncoding()
    try skipBlanks()
    let node = try value()
    try skipBlanks()
    if at < text.count { throw fault("the end of the text") }
    return node
  }

  // MARK: Places

  private var position: JSONPosition {
    JSONPosition(line: line, column: at - lineStart - continuations + 1)
  }

  /// A fault at `start`, or here.
  private func fault(
    _ expected: String, found: String? = nil, hint: String? = nil, at start: JSONPosition? = nil
  ) -> JSONError {
    let found = found ?? (at < text.count ? described(at) : "the end of the text")
    let place = JSONPlace(file: file, position: start ?? position, path: "")
    return JSONError(place, expected: expected, found: found, hint: hint)
  }

  private func described(_ index: Int) -> String {
    let (scalar, _) = scalar(at: index)
    switch scalar.value {
    case 10, 13: return "the end of the line"
    case 0..<32, 127: return "a control character"
    default: return "\"\(scalar)\""
    }
  }

  private func peek(_ ahead: Int = 0) -> UInt8? { at + ahead < text.count ? text[at + ahead] : nil }

  /// Steps over one byte that is not a line end.
  private mutating func step() {
    if text[at] & 0xC0 == 0x80 { continuations += 1 }
    at += 1
  }
  private mutating func step(_ count: Int) { for _ in 0..<count { step() } }

  private mutating func newLine(_ length: Int) {
    at += length
    line += 1
    lineStart = at
    continuations = 0
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard peek() == byte else { return false }
    step()
    return true
  }

  // MARK: Encoding

  private mutating func checkEncoding() throws(JSONError) {
    // The decoder names no place, so that is looked for only when something is wrong.
    if String(validating: text, as: UTF8.self) != nil { return }
    while at < text.count {
      let length = JSONParser.scalarLength(text[at])
      let end = min(at + max(length, 1), text.count)
      if length == 0 || String(validating: text[at..<end], as: UTF8.self) == nil { break }
      if text[at] == 10 { newLine(1) } else { step(length) }
    }
    throw fault("UTF-8", found: "a byte that is not")
  }

  private static func scalarLength(_ byte: UInt8) -> Int {
    switch byte {
    case 0..<0x80: 1
    case 0xC2..<0xE0: 2
    case 0xE0..<0xF0: 3
    case 0xF0..<0xF5: 4
    default: 0
    }
  }

  /// The scalar that begins at `index` of checked text, and its length in bytes.
  private func scalar(at index: Int) -> (Unicode.Scalar, Int) {
    let length = JSONParser.scalarLength(text[index])
    guard length > 1, index + length <= text.count else { return (Unicode.Scalar(text[index]), 1) }
    var value = UInt32(text[index]) & (0x7F >> UInt32(length))
    for offset in 1..<length { value = value << 6 | UInt32(text[index + offset] & 0x3F) }
    return (Unicode.Scalar(value) ?? "\u{FFFD}", length)
  }

  // MARK: White space and comments

  private mutating func skipBlanks() throws(JSONError) {
    while let byte = peek() {
      switch byte {
      case 32, 9: step()
      case 10: newLine(1)
      case 13: newLine(peek(1) == 10 ? 2 : 1)
      case 11 where dialect == .json5, 12 where dialect == .json5: step()
      case UInt8(ascii: "/") where dialect == .json5: try skipComment()
      case 0x80... where dialect == .json5:
        let (scalar, length) = scalar(at: at)
        if scalar == "\u{2028}" || scalar == "\u{2029}" {
          newLine(length)
        } else if scalar == "\u{FEFF}" || scalar.properties.generalCategory == .spaceSeparator {
          step(length)
        } else {
          return
        }
      default: return
      }
    }
  }

  private mutating func skipComment() throws(JSONError) {
    let start = position
    if peek(1) == UInt8(ascii: "/") {
      while at < text.count, lineEnd(at: at) == 0 { step() }
    } else if peek(1) == UInt8(ascii: "*") {
      step(2)
      while !(peek() == UInt8(ascii: "*") && peek(1) == UInt8(ascii: "/")) {
        guard at < text.count else { throw fault("*/ to end the comment", at: start) }
        let length = lineEnd(at: at)
        if length > 0 { newLine(length) } else { step() }
      }
      step(2)
    } else {
      throw fault("a value or a comment")
    }
  }

  /// Bytes of the line end at `index`, 0 if there is none.
  private func lineEnd(at index: Int) -> Int {
    switch text[index] {
    case 10: return 1
    case 13: return index + 1 < text.count && text[index + 1] == 10 ? 2 : 1
    case 0xE2 where dialect == .json5 && index + 2 < text.count && text[index + 1] == 0x80:
      return text[index + 2] == 0xA8 || text[index + 2] == 0xA9 ? 3 : 0
    default: return 0
    }
  }

  // MARK: Values

  private mutating func value() throws(JSONError) -> JSONNode {
    let start = position
    values += 1
    if values > limits.values { throw fault("at most \(limits.values) values", found: "more") }
    guard let byte = peek() else { throw fault("a value") }
    switch byte {
    case UInt8(ascii: "{"): return JSONNode(.object(try object()), at: start)
    case UInt8(ascii: "["): return JSONNode(.array(try array()), at: start)
    case UInt8(ascii: "\""): return JSONNode(.string(try string()), at: start)
    case UInt8(ascii: "'") where dialect == .json5: return JSONNode(.string(try string()), at: start)
    case UInt8(ascii: "-"), 48...57: return JSONNode(try number(), at: start)
    case UInt8(ascii: "+"), UInt8(ascii: "."):
      if dialect == .json5 { return JSONNode(try number(), at: start) }
      throw fault("a value")
    default: break
    }
    if word("true") { return JSONNode(.bool(true), at: start) }
    if word("false") { return JSONNode(.bool(false), at: start) }
    if word("null") { return JSONNode(.null, at: start) }
    if dialect == .json5, byte == UInt8(ascii: "I") || byte == UInt8(ascii: "N") {
      return JSONNode(try number(), at: start)
    }
    let (scalar, _) = scalar(at: at)
    let isWord = scalar.properties.isAlphabetic || scalar == "_" || scalar == "$"
    throw fault("a value", hint: isWord ? "text is written in quotes" : nil)
  }

  private mutating func word(_ word: StaticString) -> Bool {
    let bytes = Array("\(word)".utf8)
    guard at + bytes.count <= text.count, text[at..<at + bytes.count].elementsEqual(bytes) else {
      return false
    }
    if let next = peek(bytes.count), ASCII.isAlpha(next) || ASCII.isDigit(next) || next == UInt8(ascii: "_") {
      return false
    }
    step(bytes.count)
    return true
  }

  private mutating func descend() throws(JSONError) {
    depth += 1
    if depth > limits.depth { throw fault("at most \(limits.depth) levels", found: "one more") }
    step()
  }

  private mutating func array() throws(JSONError) -> [JSONNode] {
    try descend()
    defer { depth -= 1 }
    var items: [JSONNode] = []
    try skipBlanks()
    if take(UInt8(ascii: "]")) { return items }
    while true {
      items.append(try value())
      try skipBlanks()
      if take(UInt8(ascii: "]")) { return items }
      guard take(UInt8(ascii: ",")) else { throw fault("\",\" or \"]\"") }
      try skipBlanks()
      if dialect == .json5, take(UInt8(ascii: "]")) { return items }
    }
  }

  private mutating func object() throws(JSONError) -> [JSONMember] {
    try descend()
    defer { depth -= 1 }
    var members: [JSONMember] = []
    try skipBlanks()
    if take(UInt8(ascii: "}")) { return members }
    while true {
      let start = position
      let key = try key()
      try skipBlanks()
      guard take(UInt8(ascii: ":")) else { throw fault("\":\" after the key") }
      try skipBlanks()
      members.append(JSONMember(key: key, keyPosition: start, value: try value()))
      try skipBlanks()
      if take(UInt8(ascii: "}")) { return members }
      guard take(UInt8(ascii: ",")) else { throw fault("\",\" or \"}\"") }
      try skipBlanks()
      if dialect == .json5, take(UInt8(ascii: "}")) { return members }
    }
  }

  private mutating func key() throws(JSONError) -> String {
    if peek() == UInt8(ascii: "\"") { return try string() }
    guard dialect == .json5 else { throw fault("a key in double quotes") }
    if peek() == UInt8(ascii: "'") { return try string() }
    var name = String.UnicodeScalarView()
    while at < text.count {
      if peek() == UInt8(ascii: "\\") {
        guard peek(1) == UInt8(ascii: "u") else { throw fault("\\u in a bare key") }
        step(2)
        let scalar = try unicodeEscape()
        guard JSONParser.isName(scalar, first: name.isEmpty) else {
          throw fault("a letter, $, _ or a digit in a bare key")
        }
        name.append(scalar)
        continue
      }
      let (scalar, length) = scalar(at: at)
      guard JSONParser.isName(scalar, first: name.isEmpty) else { break }
      name.append(scalar)
      step(length)
    }
    if name.isEmpty { throw fault("a key") }
    return String(name)
  }

  /// ECMAScript 5.1 IdentifierStart and IdentifierPart.
  private static func isName(_ scalar: Unicode.Scalar, first: Bool) -> Bool {
    if scalar == "$" || scalar == "_" { return true }
    if scalar.isASCII {
      let byte = UInt8(truncatingIfNeeded: scalar.value)
      return ASCII.isAlpha(byte) || (!first && ASCII.isDigit(byte))
    }
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .letterNumber:
      return true
    case .nonspacingMark, .spacingMark, .decimalNumber, .connectorPunctuation: return !first
    default: return !first && (scalar == "\u{200C}" || scalar == "\u{200D}")
    }
  }

  // MARK: Text

  private mutating func string() throws(JSONError) -> String {
    let start = position
    let quote = text[at]
    step()
    var out: [UInt8] = []
    while true {
      guard let byte = peek() else { throw fault("the closing quote of this text", at: start) }
      if byte == quote {
        step()
        return String(decoding: out, as: UTF8.self)
      }
      switch byte {
      case UInt8(ascii: "\\"): try escape(into: &out)
      case 10, 13: throw fault("the closing quote of this text", at: start)
      case 0..<32 where dialect == .json: throw fault("control characters written as \\u escapes")
      case 0xE2 where lineEnd(at: at) == 3:
        out.append(contentsOf: text[at..<at + 3])
        newLine(3)
      default:
        out.append(byte)
        step()
      }
    }
  }

  private mutating func escape(into out: inout [UInt8]) throws(JSONError) {
    step()
    guard let byte = peek() else { throw fault("a character after \\") }
    let plain: UInt8? =
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): byte
      case UInt8(ascii: "b"): 8
      case UInt8(ascii: "f"): 12
      case UInt8(ascii: "n"): 10
      case UInt8(ascii: "r"): 13
      case UInt8(ascii: "t"): 9
      default: nil
      }
    if let plain {
      out.append(plain)
      step()
      return
    }
    if byte == UInt8(ascii: "u") {
      step()
      out.append(contentsOf: Array(String(try unicodeEscape()).utf8))
      return
    }
    guard dialect == .json5 else { throw fault("one of \" \\ / b f n r t u after \\") }
    let ended = lineEnd(at: at)
    if ended > 0 {
      newLine(ended)
      return
    }
    switch byte {
    case UInt8(ascii: "v"):
      out.append(11)
      step()
    case UInt8(ascii: "0"):
      if let next = peek(1), ASCII.isDigit(next) { throw fault("no digit after \\0") }
      out.append(0)
      step()
    case 49...57: throw fault("no digit after \\")
    case UInt8(ascii: "x"):
      step()
      let value = try hexDigits(2)
      out.append(contentsOf: Array(String(Unicode.Scalar(UInt8(value))).utf8))
    default:
      let (_, length) = scalar(at: at)
      out.append(contentsOf: text[at..<at + length])
      step(length)
    }
  }

  /// The scalar after `\u`, whose digits come next; a pair of surrogates is one scalar.
  private mutating func unicodeEscape() throws(JSONError) -> Unicode.Scalar {
    let start = position
    let first = try hexDigits(4)
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard first < 0xDC00, peek() == UInt8(ascii: "\\"), peek(1) == UInt8(ascii: "u") else {
      throw fault("a whole surrogate pair", found: "half of one", at: start)
    }
    step(2)
    let second = try hexDigits(4)
    guard (0xDC00...0xDFFF).contains(second),
      let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
    else { throw fault("a whole surrogate pair", found: "half of one", at: start) }
    return scalar
  }

  private mutating func hexDigits(_ count: Int) throws(JSONError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<count {
      guard let byte = peek(), let digit = ASCII.hexValue(byte) else {
        throw fault("\(count) hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      step()
    }
    return value
  }

  // MARK: Numbers

  private mutating func number() throws(JSONError) -> JSONNode.Content {
    var isNegative = false
    if take(UInt8(ascii: "-")) {
      isNegative = true
    } else if dialect == .json5 {
      _ = take(UInt8(ascii: "+"))
    }
    if dialect == .json5 {
      if word("Infinity") { return .number(isNegative ? -.infinity : .infinity) }
      if word("NaN") { return .number(.nan) }
      if peek() == 48, peek(1) == UInt8(ascii: "x") || peek(1) == UInt8(ascii: "X") {
        return try hexadecimal(isNegative: isNegative)
      }
    }
    let start = at
    let whole = digits()
    if whole > 1, text[start] == 48 { throw fault("a number without leading zeros", found: "one with") }
    var isWhole = true
    var fraction = 0
    if peek() == UInt8(ascii: ".") {
      isWhole = false
      step()
      fraction = digits()
    }
    let isComplete = dialect == .json5 ? whole + fraction > 0 : whole > 0 && (isWhole || fraction > 0)
    guard isComplete else { throw fault("a digit") }
    if peek() == UInt8(ascii: "e") || peek() == UInt8(ascii: "E") {
      isWhole = false
      step()
      if peek() == UInt8(ascii: "+") || peek() == UInt8(ascii: "-") { step() }
      guard digits() > 0 else { throw fault("a digit in the exponent") }
    }
    if let next = peek(), ASCII.isAlpha(next) || next == UInt8(ascii: "_") || next == UInt8(ascii: "$") {
      throw fault("the end of the number")
    }
    guard at - start <= 400 else { throw fault("a number of at most 400 digits", found: "a longer one") }
    var written = String(decoding: text[start..<at], as: UTF8.self)
    if isNegative { written = "-" + written }
    // Minus zero has no whole form.
    if isWhole, let value = Int(written), value != 0 || !isNegative { return .integer(value) }
    if whole == 0 { written = isNegative ? "-0" + written.dropFirst() : "0" + written }
    if let point = written.firstIndex(of: "."), fraction == 0 {
      written.insert("0", at: written.index(after: point))
    }
    guard let value = Double(written) else { throw fault("a number") }
    return .number(value)
  }

  private mutating func digits() -> Int {
    let start = at
    while let byte = peek(), ASCII.isDigit(byte) { step() }
    return at - start
  }

  private mutating func hexadecimal(isNegative: Bool) throws(JSONError) -> JSONNode.Content {
    step(2)
    var value: UInt64 = 0
    var count = 0
    while let byte = peek(), let digit = ASCII.hexValue(byte) {
      guard value >> 60 == 0 else { throw fault("a hexadecimal number of at most 64 bits", found: "more") }
      value = value << 4 | UInt64(digit)
      count += 1
      step()
    }
    guard count > 0 else { throw fault("a hexadecimal digit") }
    if let next = peek(), ASCII.isAlpha(next) { throw fault("a hexadecimal digit") }
    if let whole = Int(exactly: value), whole != 0 || !isNegative {
      return .integer(isNegative ? -whole : whole)
    }
    return .number(isNegative ? -Double(value) : Double(value))
  }
}
