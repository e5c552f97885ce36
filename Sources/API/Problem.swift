package import JSON

/// An error as `/api/v1` answers it: `application/problem+json` (RFC 9457), with what to do next.
package struct Problem: APIValue, Error {
  /// One fault of a file, and where it is.
  package struct Fault: APIValue {
    package var file: String
    package var line: Int
    package var column: Int
    /// Keys from the root, such as `units[2].callWaiting`.
    package var key: String
    package var expected: String
    /// The whole fault as one line.
    package var text: String

    package init(_ error: JSONError) {
      file = error.place.file
      line = error.place.line
      column = error.place.column
      key = error.place.path
      expected = error.expected
      text = error.description
    }
    package init(_ reader: inout ObjectReader) {
      file = reader.string("file", default: "")
      line = reader.integer("line", default: 0)
      column = reader.integer("column", default: 0)
      key = reader.string("key", default: "", limit: longText)
      expected = reader.string("expected", default: "", limit: longText)
      text = reader.string("text", limit: longText)
    }
    package var json: JSONValue {
      [
        "file": .string(file), "line": .integer(line), "column": .integer(column), "key": .string(key),
        "expected": .string(expected), "text": .string(text),
      ]
    }
    package static var example: Fault {
      Fault(
        JSONError(
          JSONPlace(
            file: "building.json5", position: JSONPosition(line: 3, column: 14), path: "units[2].name"),
          expected: "text", found: "a number"))
    }
  }

  /// The HTTP status.
  package var status: Int
  /// What went wrong, in a few words.
  package var title: String
  package var detail: String?
  /// What to do about it.
  package var next: String?
  package var errors: [Fault]

  package init(
    _ status: Int, _ title: String, detail: String? = nil, next: String? = nil, errors: [Fault] = []
  ) {
    self.status = status
    self.title = title
    self.detail = detail
    self.next = next
    self.errors = errors
  }
  package init(_ reader: inout ObjectReader) {
    reader.ignore("type")
    status = reader.integer("status", default: 500)
    title = reader.string("title", limit: longText)
    detail = reader.text("detail")
    next = reader.text("next")
    errors = reader.values("errors")
  }
  package var json: JSONValue {
    var fields = [
      JSONField("type", "about:blank"), JSONField("title", .string(title)),
      JSONField("status", .integer(status)),
    ]
    if let detail { fields.append(JSONField("detail", .string(detail))) }
    if let next { fields.append(JSONField("next", .string(next))) }
    if !errors.isEmpty { fields.append(JSONField("errors", errors.json)) }
    return .object(fields)
  }
  package static var example: Problem {
    Problem(
      422, "the file has errors", detail: "nothing was changed", next: "mend the file",
      errors: [.example])
  }
}

extension Problem {
  /// 404: nothing has that name.
  package static func unknown(_ kind: String, _ name: String, list verb: String) -> Problem {
    Problem(404, "no \(kind) \"\(name)\"", next: "see `vestibule \(verb)`")
  }
  /// 422: a body with faults. Nothing was changed.
  package static func faulty(_ errors: [JSONError]) -> Problem {
    Problem(
      422,
      errors.count == 1 ? "one error, nothing was changed" : "\(errors.count) errors, nothing was changed",
      next: "mend what is named and try again", errors: errors.map { Fault($0) })
  }
  /// 503: something that is needed is not there right now.
  package static func unavailable(_ what: String, next: String? = nil) -> Problem {
    Problem(503, what, next: next)
  }
}
