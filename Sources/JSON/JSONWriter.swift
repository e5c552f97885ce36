import Wire

/// How a value is laid out.
package enum JSONStyle: Sendable {
  /// One line, no spaces.
  case compact
  /// Two spaces a level, one member a line.
  case pretty
}

extension JSONValue {
  /// The value as UTF-8. A number that JSON cannot write (NaN, infinity) becomes null.
  package func bytes(_ style: JSONStyle = .compact) -> [UInt8] {
    var out: [UInt8] = []
    write(into: &out, style)
    return out
  }

  package func text(_ style: JSONStyle = .compact) -> String { String(decoding: bytes(style), as: UTF8.self) }

  /// Appends the value to `out`.
  package func write(into out: inout [UInt8], _ style: JSONStyle = .compact) {
    write(into: &out, style == .pretty ? 0 : nil)
  }

  private func write(into out: inout [UInt8], _ level: Int?) {
    switch self {
    case .null: out.append(contentsOf: "null".utf8)
    case .bool(let value): out.append(contentsOf: (value ? "true" : "false").utf8)
    case .integer(let value): out.append(contentsOf: String(value).utf8)
    case .number(let value): out.append(contentsOf: (value.isFinite ? value.description : "null").utf8)
    case .string(let text): JSONValue.write(text, into: &out)
    case .array(let items):
      JSONValue.write(items, "[", "]", into: &out, level) { item, out, level in
        item.write(into: &out, level)
      }
    case .object(let fields):
      JSONValue.write(fields, "{", "}", into: &out, level) { field, out, level in
        JSONValue.write(field.key, into: &out)
        out.append(UInt8(ascii: ":"))
        if level != nil { out.append(UInt8(ascii: " ")) }
        field.value.write(into: &out, level)
      }
    }
  }

  private static func write<Item>(
    _ items: [Item], _ open: Unicode.Scalar, _ close: Unicode.Scalar, into out: inout [UInt8],
    _ level: Int?, _ each: (Item, inout [UInt8], Int?) -> Void
  ) {
    func newLine(_ level: Int?) {
      guard let level else { return }
      out.append(UInt8(ascii: "\n"))
      out.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * level))
    }
    out.append(UInt8(ascii: open))
    let inner = level.map { $0 + 1 }
    for (index, item) in items.enumerated() {
      if index > 0 { out.append(UInt8(ascii: ",")) }
      newLine(inner)
      each(item, &out, inner)
    }
    if !items.isEmpty { newLine(level) }
    out.append(UInt8(ascii: close))
  }

  /// The escapes of RFC 8785, which are the shortest RFC 8259 allows.
  static func write(_ text: String, into out: inout [UInt8]) {
    out.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        out.append(UInt8(ascii: "\\"))
        out.append(byte)
      case 8: out.append(contentsOf: "\\b".utf8)
      case 9: out.append(contentsOf: "\\t".utf8)
      case 10: out.append(contentsOf: "\\n".utf8)
      case 12: out.append(contentsOf: "\\f".utf8)
      case 13: out.append(contentsOf: "\\r".utf8)
      case 0..<32:
        out.append(contentsOf: "\\u00".utf8)
        out.append(ASCII.hexDigit(byte >> 4))
        out.append(ASCII.hexDigit(byte & 15))
      default: out.append(byte)
      }
    }
    out.append(UInt8(ascii: "\""))
  }
}

// MARK: Canonical form

extension JSONValue {
  /// The bytes to sign (RFC 8785): no spaces, keys in the order of their UTF-16 units, numbers as ECMAScript
  /// writes them. Nil for what has no canonical form: a key twice in one object, a number that is not finite, a
  /// whole number beyond ±(2^53 − 1), which other readers would round.
  package func canonical() -> [UInt8]? {
    var out: [UInt8] = []
    return writeCanonical(into: &out) ? out : nil
  }

  private func writeCanonical(into out: inout [UInt8]) -> Bool {
    switch self {
    case .null, .bool, .string:
      write(into: &out)
      return true
    case .integer(let value):
      guard value.magnitude < 1 << 53 else { return false }
      write(into: &out)
      return true
    case .number(let value):
      guard value.isFinite else { return false }
      out.append(contentsOf: JSONValue.ecmaScript(value).utf8)
      return true
    case .array(let items):
      out.append(UInt8(ascii: "["))
      for (index, item) in items.enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        guard item.writeCanonical(into: &out) else { return false }
      }
      out.append(UInt8(ascii: "]"))
      return true
    case .object(let fields):
      let sorted = fields.sorted { $0.key.utf16.lexicographicallyPrecedes($1.key.utf16) }
      out.append(UInt8(ascii: "{"))
      for (index, field) in sorted.enumerated() {
        if index > 0 {
          guard !sorted[index - 1].key.utf16.elementsEqual(field.key.utf16) else { return false }
          out.append(UInt8(ascii: ","))
        }
        JSONValue.write(field.key, into: &out)
        out.append(UInt8(ascii: ":"))
        guard field.value.writeCanonical(into: &out) else { return false }
      }
      out.append(UInt8(ascii: "}"))
      return true
    }
  }

  /// ECMA-262 Number::toString. Swift's description has the same shortest digits, laid out differently.
  static func ecmaScript(_ value: Double) -> String {
    if value == 0 { return "0" }
    if value < 0 { return "-" + ecmaScript(-value) }
    var digits: [UInt8] = []
    var pointAfter: Int?
    var exponent = 0
    let text = Array(value.description.utf8)
    var index = 0
    while index < text.count {
      if text[index] == UInt8(ascii: ".") {
        pointAfter = digits.count
      } else if text[index] == UInt8(ascii: "e") {
        exponent = Int(String(decoding: text[(index + 1)...], as: UTF8.self)) ?? 0
        break
      } else {
        digits.append(text[index])
      }
      index += 1
    }
    // The value is 0.digits times ten to the n.
    var n = (pointAfter ?? digits.count) + exponent
    while digits.count > 1, digits.last == 48 { digits.removeLast() }
    while digits.count > 1, digits.first == 48 {
      digits.removeFirst()
      n -= 1
    }
    func string(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }
    let k = digits.count
    if k <= n, n <= 21 { return string(digits) + String(repeating: "0", count: n - k) }
    if n > 0, n <= 21 { return string(digits[..<n]) + "." + string(digits[n...]) }
    if n > -6, n <= 0 { return "0." + String(repeating: "0", count: -n) + string(digits) }
    let power = "e" + (n > 0 ? "+" : "-") + String(abs(n - 1))
    return string(digits[..<1]) + (k == 1 ? "" : "." + string(digits[1...])) + power
  }
}
