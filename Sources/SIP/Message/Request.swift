internal import Wire

/// Header fields to send, in order.
package struct Headers: Sendable, Hashable {
  package struct Field: Sendable, Hashable {
    package var name: String
    package var value: String

    package init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }

  package private(set) var fields: [Field] = []

  package init() {}

  package mutating func add(_ name: HeaderName, _ value: String) {
    fields.append(Field(name: name.text, value: value))
  }
  package mutating func add(_ name: HeaderName, _ value: some CustomStringConvertible) {
    add(name, value.description)
  }
  package mutating func add(named name: String, _ value: String) {
    fields.append(Field(name: name, value: value))
  }
  package mutating func add(contentsOf pairs: [(String, String)]) {
    for (name, value) in pairs { add(named: name, value) }
  }

  /// Puts the field before all others, as a new topmost Via must be.
  package mutating func insertFirst(_ name: HeaderName, _ value: String) {
    fields.insert(Field(name: name.text, value: value), at: 0)
  }

  /// Replaces the first of this name where it stands and removes the others; adds it when there is none.
  package mutating func set(_ name: HeaderName, _ value: String) {
    guard let place = fields.firstIndex(where: { Headers.matches($0.name, name) }) else {
      add(name, value)
      return
    }
    fields[place].value = value
    var next = place + 1
    while next < fields.count {
      if Headers.matches(fields[next].name, name) { fields.remove(at: next) } else { next += 1 }
    }
  }

  package mutating func remove(_ name: HeaderName) {
    fields.removeAll { Headers.matches($0.name, name) }
  }

  /// The value of the first of this name.
  package subscript(name: HeaderName) -> String? {
    fields.first { Headers.matches($0.name, name) }?.value
  }

  private static func matches(_ text: String, _ name: HeaderName) -> Bool {
    ASCII.equalIgnoringCase(text, name.text)
      || (text.utf8.count == 1 && text.lowercased() == name.compact.map(String.init))
  }
}

/// A request to send. Whoever sends it puts in Via, From, To, Call-ID, CSeq and Max-Forwards; Content-Type and
/// Content-Length are written here.
package struct Request: Sendable, Hashable {
  package var method: Method
  package var uri: URI
  package var headers: Headers
  package var body: [UInt8]
  package var contentType: String?

  package init(
    _ method: Method, _ uri: URI, headers: Headers = Headers(), body: [UInt8] = [],
    contentType: String? = nil
  ) {
    self.method = method
    self.uri = uri
    self.headers = headers
    self.body = body
    self.contentType = contentType
  }

  package func encoded() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(512 + body.count)
    Text.append(method.text, to: &bytes)
    bytes.append(UInt8(ascii: " "))
    uri.append(to: &bytes)
    bytes.append(ascii: " SIP/2.0\r\n")
    for field in headers.fields {
      Text.append(field.name, to: &bytes)
      bytes.append(ascii: ": ")
      Text.append(field.value, to: &bytes)
      bytes.append(ascii: "\r\n")
    }
    if let contentType {
      bytes.append(ascii: "Content-Type: ")
      Text.append(contentType, to: &bytes)
      bytes.append(ascii: "\r\n")
    }
    bytes.append(ascii: "Content-Length: ")
    bytes.append(decimal: body.count)
    bytes.append(ascii: "\r\n\r\n")
    bytes.append(contentsOf: body)
    return bytes
  }
}
