/// Which grammar a text is held to.
package enum JSONDialect: Sendable {
  /// RFC 8259, nothing more: what machines send.
  case json
  /// JSON5 1.0.0 (comments, trailing commas, bare keys, single quotes, hexadecimal, `Infinity`): what people write.
  case json5
}

/// What a text may cost its reader. Past a limit the text is refused where the limit was met.
package struct JSONLimits: Sendable {
  /// Length of the text.
  package var bytes: Int
  /// Objects and lists inside one another; the parser descends one call per level.
  package var depth: Int
  /// Values of every kind, since `[[],[],…` costs far more memory than text.
  package var values: Int

  package init(bytes: Int, depth: Int, values: Int) {
    self.bytes = bytes
    self.depth = depth
    self.values = values
  }

  /// A directory of some thousand units.
  package static let file = JSONLimits(bytes: 4 << 20, depth: 32, values: 400_000)
  /// The body of a request from the network.
  package static let message = JSONLimits(bytes: 64 << 10, depth: 16, values: 4_000)
}

/// Where a value begins: line and column from 1, columns counted in Unicode scalars.
package struct JSONPosition: Hashable, Sendable {
  package var line: Int
  package var column: Int

  package init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }
}

/// A value with the place it was read from. Members keep their order, and a key written twice is there twice:
/// `ObjectReader` reports it.
package struct JSONNode: Sendable {
  package enum Content: Sendable {
    case null
    case bool(Bool)
    /// A number written without fraction or exponent that fits 64 bits.
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONNode])
    case object([JSONMember])
  }

  package var content: Content
  package var position: JSONPosition

  package init(_ content: Content, at position: JSONPosition) {
    self.content = content
    self.position = position
  }

  /// Reads one value that fills `text` but for white space. `file` names the text in errors.
  package init(
    parsing text: [UInt8], dialect: JSONDialect = .json, limits: JSONLimits = .file, file: String = "-"
  ) throws(JSONError) {
    var parser = try JSONParser(text, dialect: dialect, limits: limits, file: file)
    self = try parser.document()
  }
}

/// A key and its value.
package struct JSONMember: Sendable {
  package var key: String
  package var keyPosition: JSONPosition
  package var value: JSONNode

  package init(key: String, keyPosition: JSONPosition, value: JSONNode) {
    self.key = key
    self.keyPosition = keyPosition
    self.value = value
  }
}

extension JSONNode {
  /// The member named `key`, the last one if it was written twice; nil for anything but an object.
  package subscript(key: String) -> JSONNode? {
    guard case .object(let members) = content else { return nil }
    return members.last { $0.key == key }?.value
  }
  package var string: String? { if case .string(let text) = content { text } else { nil } }
  package var bool: Bool? { if case .bool(let value) = content { value } else { nil } }
  /// The whole number, also when it was written `3.0` or `3e2`.
  package var integer: Int? {
    switch content {
    case .integer(let value): value
    // Int(exactly:) would need the C library's rounding, which nothing else here links.
    case .number(let value):
      value.magnitude < 0x1p63 && Double(Int(value)) == value ? Int(value) : nil
    default: nil
    }
  }
  package var number: Double? {
    switch content {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }
  package var array: [JSONNode]? { if case .array(let items) = content { items } else { nil } }
  package var isNull: Bool { if case .null = content { true } else { false } }

  /// What kind of value this is, in the words of error messages. Never the value itself: it may be a secret.
  package var kind: String {
    switch content {
    case .null: "null"
    case .bool: "true or false"
    case .integer, .number: "a number"
    case .string: "text"
    case .array: "a list"
    case .object: "an object"
    }
  }

  /// The same without places.
  package var value: JSONValue {
    switch content {
    case .null: .null
    case .bool(let value): .bool(value)
    case .integer(let value): .integer(value)
    case .number(let value): .number(value)
    case .string(let text): .string(text)
    case .array(let items): .array(items.map(\.value))
    case .object(let members): .object(members.map { JSONField($0.key, $0.value.value) })
    }
  }
}
