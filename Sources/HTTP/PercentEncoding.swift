internal import Wire

/// Escapes in paths and queries (RFC 3986 section 2.1).
package enum PercentEncoding {
  /// Everything but unreserved characters escaped: fit for a path segment or a part of a query.
  package static func encode(_ text: String) -> String {
    var out: [UInt8] = []
    for byte in text.utf8 {
      if ASCII.isAlpha(byte) || ASCII.isDigit(byte) || "-._~".utf8.contains(byte) {
        out.append(byte)
      } else {
        out.append(UInt8(ascii: "%"))
        out.append(contentsOf: ASCII.hex([byte]).uppercased().utf8)
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// Nil for a broken escape, for what is not UTF-8, and for control characters.
  package static func decode(_ text: some StringProtocol, plusIsBlank: Bool = false) -> String? {
    var out: [UInt8] = []
    var bytes = text.utf8.makeIterator()
    while let byte = bytes.next() {
      if byte == UInt8(ascii: "%") {
        guard let high = bytes.next().flatMap(ASCII.hexValue), let low = bytes.next().flatMap(ASCII.hexValue)
        else { return nil }
        out.append(high << 4 | low)
      } else {
        out.append(plusIsBlank && byte == UInt8(ascii: "+") ? 32 : byte)
      }
    }
    guard out.allSatisfy({ $0 >= 32 && $0 != 127 }) else { return nil }
    return String(validating: out, as: UTF8.self)
  }

  /// The pairs of a query, in order. Nil when one of them cannot be decoded.
  package static func query(_ text: String) -> [(name: String, value: String)]? {
    var pairs: [(name: String, value: String)] = []
    for part in text.split(separator: "&") {
      let equals = part.firstIndex(of: "=") ?? part.endIndex
      let value = equals == part.endIndex ? "" : part[part.index(after: equals)...]
      guard let name = decode(part[..<equals], plusIsBlank: true),
        let value = decode(value, plusIsBlank: true)
      else { return nil }
      pairs.append((name, value))
    }
    return pairs
  }
}
