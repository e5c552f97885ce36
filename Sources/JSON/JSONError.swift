/// A place in a file: where a person should look.
package struct JSONPlace: Hashable, Sendable {
  package var file: String
  package var line: Int
  package var column: Int
  /// Keys from the root, such as `units[2].callWaiting`; empty for the root itself.
  package var path: String

  package init(file: String, position: JSONPosition, path: String) {
    self.file = file
    line = position.line
    column = position.column
    self.path = path
  }
}

extension JSONPlace: CustomStringConvertible {
  /// `vestibule.json5:3:14: units[2].callWaiting`
  package var description: String {
    "\(file):\(line):\(column)" + (path.isEmpty ? "" : ": \(path)")
  }
}

/// What is wrong at one place of a file. It never carries the value that stood there.
package struct JSONError: Error, Hashable, Sendable {
  package var place: JSONPlace
  /// What should have been there, to be read after "expected".
  package var expected: String
  /// What was there instead, where saying its kind helps.
  package var found: String?
  /// What to do about it, such as `did you mean "ring"?`.
  package var hint: String?

  package init(_ place: JSONPlace, expected: String, found: String? = nil, hint: String? = nil) {
    self.place = place
    self.expected = expected
    self.found = found
    self.hint = hint
  }
}

extension JSONError: CustomStringConvertible {
  package var description: String {
    "\(place): expected \(expected)" + (found.map { ", found \($0)" } ?? "") + (hint.map { "; \($0)" } ?? "")
  }
}

/// What is allowed but probably not meant.
package struct JSONWarning: Hashable, Sendable {
  package var place: JSONPlace
  package var text: String

  package init(_ place: JSONPlace, _ text: String) {
    self.place = place
    self.text = text
  }
}

extension JSONWarning: CustomStringConvertible {
  package var description: String { "\(place): warning: \(text)" }
}

/// Collects everything wrong with one file, so that its author mends it in one go.
package final class JSONReport {
  package let file: String
  package private(set) var errors: [JSONError] = []
  package private(set) var warnings: [JSONWarning] = []
  /// Past this many errors the rest are only counted.
  package static let mostErrors = 100
  /// Errors that were counted and not kept.
  package private(set) var further = 0

  package init(file: String) { self.file = file }

  package func add(_ error: JSONError) {
    if errors.count < JSONReport.mostErrors { errors.append(error) } else { further += 1 }
  }
  package func add(_ warning: JSONWarning) {
    if warnings.count < JSONReport.mostErrors { warnings.append(warning) }
  }

  /// Errors in the order of the file.
  package var sortedErrors: [JSONError] {
    errors.enumerated().sorted {
      ($0.element.place.line, $0.element.place.column, $0.offset)
        < ($1.element.place.line, $1.element.place.column, $1.offset)
    }.map(\.element)
  }
}
