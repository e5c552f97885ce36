internal import Wire

/// One header field line: the name as it was written, the value without surrounding blanks.
package struct HTTPField: Hashable, Sendable {
  package var name: String
  package var value: String

  package init(_ name: String, _ value: String) {
    self.name = name
    self.value = value
  }
}

/// Header fields in the order of the message. Names compare without case (RFC 9110 section 5.1).
package struct HTTPFields: Hashable, Sendable {
  package private(set) var lines: [HTTPField] = []

  package init(_ lines: [HTTPField] = []) { self.lines = lines }

  package mutating func append(_ name: String, _ value: String) { lines.append(HTTPField(name, value)) }

  /// Replaces every line of that name by one.
  package mutating func set(_ name: String, _ value: String) {
    remove(name)
    append(name, value)
  }

  package mutating func remove(_ name: String) {
    lines.removeAll { ASCII.equalIgnoringCase($0.name, name) }
  }

  /// The value of the first line of that name.
  package subscript(name: String) -> String? {
    lines.first { ASCII.equalIgnoringCase($0.name, name) }?.value
  }

  package func contains(_ name: String) -> Bool { self[name] != nil }

  /// The values of all lines of that name, in order.
  package func values(_ name: String) -> [String] {
    lines.filter { ASCII.equalIgnoringCase($0.name, name) }.map(\.value)
  }

  /// The elements of a comma-separated field over all its lines, trimmed, empty ones left out. Not for fields whose
  /// elements may hold quoted commas.
  package func elements(_ name: String) -> [String] {
    values(name).flatMap { $0.split(separator: ",") }.map { trimmed($0) }.filter { !$0.isEmpty }
  }

  /// Whether a comma-separated field names `element`, without case: `Connection: Keep-Alive, Upgrade`.
  package func list(_ name: String, has element: String) -> Bool {
    elements(name).contains { ASCII.equalIgnoringCase($0, element) }
  }
}

extension HTTPFields: ExpressibleByDictionaryLiteral {
  package init(dictionaryLiteral elements: (String, String)...) {
    lines = elements.map { HTTPField($0, $1) }
  }
}

/// `text` without blanks at both ends.
func trimmed(_ text: some StringProtocol) -> String {
  let bytes = Array(text.utf8)
  guard let first = bytes.firstIndex(where: { !ASCII.isBlank($0) }),
    let last = bytes.lastIndex(where: { !ASCII.isBlank($0) })
  else { return "" }
  return String(decoding: bytes[first...last], as: UTF8.self)
}
