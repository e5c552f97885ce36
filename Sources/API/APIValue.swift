package import JSON
package import Wire

/// A request or a reply of `/api/v1`. Daemon and command line share these, so a key is spelled in one place.
///
/// Times are RFC 3339 in UTC, lengths of time whole milliseconds. Keys are fixed once released; more may be added,
/// so who reads a reply overlooks what it does not know, and who reads a request refuses it.
package protocol APIValue: Equatable, Sendable {
  /// Reads the members of an object. What is missing or wrong goes to the reader's report.
  init(_ reader: inout ObjectReader)
  var json: JSONValue { get }
  /// A value with every member present: tests read and write it, and the API's description is drawn from it.
  static var example: Self { get }
}

/// Why a body could not be read: one line for each fault.
package struct APIFault: Error, Equatable, Sendable {
  package var errors: [JSONError]

  package init(errors: [JSONError]) { self.errors = errors }
}

extension APIValue {
  /// Reads a request: unknown keys are faults.
  package init(request body: [UInt8]) throws(APIFault) {
    // A request without a body is one without members.
    let text = body.isEmpty ? Array("{}".utf8) : body
    self = try Self.read(text, limits: .message, isStrict: true)
  }

  /// Reads a reply: unknown keys are overlooked.
  package init(reply body: [UInt8]) throws(APIFault) {
    self = try Self.read(body, limits: .file, isStrict: false)
  }

  /// Reads a reply that is a list of these.
  package static func list(reply body: [UInt8]) throws(APIFault) -> [Self] {
    let report = JSONReport(file: "reply")
    let node: JSONNode
    do throws(JSONError) {
      node = try JSONNode(parsing: body, limits: .file, file: report.file)
    } catch {
      throw APIFault(errors: [error])
    }
    let items = ValueReader(node, report: report).list(limit: 1_000_000) ?? []
    let values = items.map { Self($0) }
    guard report.errors.isEmpty else { throw APIFault(errors: report.sortedErrors) }
    return values
  }

  private static func read(_ text: [UInt8], limits: JSONLimits, isStrict: Bool) throws(APIFault) -> Self {
    let report = JSONReport(file: isStrict ? "request" : "reply")
    let node: JSONNode
    do throws(JSONError) {
      node = try JSONNode(parsing: text, limits: limits, file: report.file)
    } catch {
      throw APIFault(errors: [error])
    }
    let value = ValueReader(node, report: report)
    if case .object = node.content {} else { value.wrong(expected: "an object", found: node.kind) }
    var reader = ObjectReader(value)
    let result = Self(&reader)
    if isStrict { reader.finish() }
    guard report.errors.isEmpty else { throw APIFault(errors: report.sortedErrors) }
    return result
  }

  /// Reads a member of a list or an object, overlooking unknown keys.
  init(_ value: ValueReader) {
    if case .object = value.node.content {
    } else {
      value.wrong(expected: "an object", found: value.node.kind)
    }
    var reader = ObjectReader(value)
    self.init(&reader)
  }
}

extension Sequence where Element: APIValue {
  /// One JSON array.
  package var json: JSONValue { .array(map(\.json)) }
}

/// The longest text of a reply: explanations, not names.
let longText = 16 << 10

extension ObjectReader {
  mutating func values<Value: APIValue>(_ key: String, _: Value.Type = Value.self) -> [Value] {
    list(key, limit: 1_000_000).map { Value($0) }
  }

  mutating func value<Value: APIValue>(_ key: String, _: Value.Type = Value.self) -> Value? {
    presentMember(key).map { Value($0) }
  }

  /// Text that may be absent or null, and may be long.
  mutating func text(_ key: String) -> String? { optionalString(key, limit: longText) }

  mutating func time(_ key: String) -> WallTime? {
    guard let member = presentMember(key), let text = member.string() else { return nil }
    guard let time = WallTime(text) else {
      member.wrong(expected: "a time such as 2026-11-20T21:28:39.000Z")
      return nil
    }
    return time
  }

  /// A time that must be there; 1970 after reporting that it is not.
  mutating func requiredTime(_ key: String) -> WallTime {
    _ = requiredMember(key, "a time")
    return time(key) ?? WallTime(seconds: 0)
  }
}

extension JSONValue {
  /// RFC 3339, or null.
  package static func time(_ time: WallTime?) -> JSONValue { .string(orNull: time?.description) }
}
