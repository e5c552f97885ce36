/// Reads a tree into typed values, collecting every fault of the file in one `JSONReport` instead of stopping at
/// the first.
///
/// A getter that finds something wrong reports it and gives back the default (or nil), so the reading goes on. The
/// caller asks the report at the end and throws everything away if it has errors.
///
/// ```swift
/// let report = JSONReport(file: path)
/// let media = ValueReader(root, report: report).object { root in
///   root.section("media") { media in
///     Media(ports: media.string("ports", default: "40000-40999"),
///           webrtcPort: media.integer("webrtcPort", default: 8189, in: 1...65535))
///   }
/// }
/// ```
package struct ValueReader {
  package let node: JSONNode
  /// Keys from the root, such as `units[2].rules[0]`.
  package let path: String
  package let report: JSONReport

  package init(_ node: JSONNode, path: String = "", report: JSONReport) {
    self.node = node
    self.path = path
    self.report = report
  }

  package var place: JSONPlace { JSONPlace(file: report.file, position: node.position, path: path) }

  /// Reports that this value should have been something else.
  package func wrong(expected: String, found: String? = nil, hint: String? = nil) {
    report.add(JSONError(place, expected: expected, found: found, hint: hint))
  }
  /// Reports something allowed that is probably not meant.
  package func warn(_ text: String) { report.add(JSONWarning(place, text)) }

  private func wrongKind(_ expected: String) { wrong(expected: expected, found: node.kind) }

  /// Text of at most `limit` bytes, without control characters.
  package func string(limit: Int = 1024, allowEmpty: Bool = true) -> String? {
    guard let text = node.string else {
      wrongKind("text")
      return nil
    }
    if text.utf8.count > limit {
      wrong(expected: "text of at most \(limit) bytes", found: "\(text.utf8.count)")
      return nil
    }
    if text.utf8.contains(where: { $0 < 32 || $0 == 127 }) {
      wrong(expected: "text without control characters")
      return nil
    }
    if text.isEmpty, !allowEmpty {
      wrong(expected: "text", found: "empty text")
      return nil
    }
    return text
  }

  package func bool() -> Bool? {
    if let value = node.bool { return value }
    wrongKind("true or false")
    return nil
  }

  package func integer(in range: ClosedRange<Int> = Int.min...Int.max) -> Int? {
    let expected =
      range == Int.min...Int.max
      ? "a whole number" : "a whole number from \(range.lowerBound) to \(range.upperBound)"
    guard let value = node.integer else {
      wrong(expected: expected, found: node.number == nil ? node.kind : "another number")
      return nil
    }
    guard range.contains(value) else {
      wrong(expected: expected, found: "\(value)")
      return nil
    }
    return value
  }

  package func number(
    in range: ClosedRange<Double> = -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude
  )
    -> Double?
  {
    guard let value = node.number else {
      wrongKind("a number")
      return nil
    }
    guard range.contains(value) else {
      wrong(expected: "a number from \(range.lowerBound) to \(range.upperBound)")
      return nil
    }
    return value
  }

  /// One of the raw values of `Choice`.
  package func choice<Choice: RawRepresentable & CaseIterable>(_: Choice.Type = Choice.self) -> Choice?
  where Choice.RawValue == String {
    let known = Choice.allCases.map(\.rawValue)
    if let text = node.string, let value = Choice(rawValue: text) { return value }
    let expected = (known.count == 1 ? "" : "one of ") + known.map { "\"\($0)\"" }.joined(separator: ", ")
    wrong(
      expected: expected, found: node.string == nil ? node.kind : nil,
      hint: didYouMean(node.string.flatMap { nearest(to: $0, among: known) }))
    return nil
  }

  /// The items of a list.
  package func list(limit: Int = 10_000) -> [ValueReader]? {
    guard let items = node.array else {
      wrongKind("a list")
      return nil
    }
    if items.count > limit {
      wrong(expected: "a list of at most \(limit)", found: "\(items.count)")
      return nil
    }
    return items.enumerated().map { ValueReader($1, path: "\(path)[\($0)]", report: report) }
  }

  /// Reads an object with `body`, then reports the keys that `body` did not ask for.
  package func object<Result>(_ body: (inout ObjectReader) -> Result) -> Result? {
    guard case .object = node.content else {
      wrongKind("an object")
      return nil
    }
    var reader = ObjectReader(self)
    let result = body(&reader)
    reader.finish()
    return result
  }
}

/// `did you mean "ring"?`, or nil for nil.
package func didYouMean(_ word: String?) -> String? { word.map { "did you mean \"\($0)\"?" } }

/// The members of one object. Every key asked for becomes a known key; `finish` reports all others.
package struct ObjectReader {
  package let value: ValueReader
  private let members: [JSONMember]
  private var known: [String] = []

  /// Reports nothing when `value` is no object: it is then read as an empty one.
  package init(_ value: ValueReader) {
    self.value = value
    if case .object(let members) = value.node.content { self.members = members } else { members = [] }
  }

  package var report: JSONReport { value.report }
  package var place: JSONPlace { value.place }

  package func path(of key: String) -> String { value.path.isEmpty ? key : "\(value.path).\(key)" }

  /// The value under `key`, whatever its kind; nil when absent.
  package mutating func member(_ key: String) -> ValueReader? {
    if !known.contains(key) { known.append(key) }
    guard let member = members.last(where: { $0.key == key }) else { return nil }
    return ValueReader(member.value, path: path(of: key), report: report)
  }

  /// The same, nil also for null.
  package mutating func presentMember(_ key: String) -> ValueReader? {
    guard let member = member(key), !member.node.isNull else { return nil }
    return member
  }

  /// The same; its absence is an error.
  package mutating func requiredMember(_ key: String, _ expected: String) -> ValueReader? {
    if let member = member(key) { return member }
    value.wrong(
      expected: "\"\(key)\": \(expected)", found: "no such key",
      hint: didYouMean(nearestStray(to: key), instead: key))
    return nil
  }

  private func nearestStray(to key: String) -> String? {
    nearest(to: key, among: members.map(\.key).filter { !known.contains($0) })
  }
  private func didYouMean(_ stray: String?, instead key: String) -> String? {
    stray.map { "is \"\($0)\" meant to be \"\(key)\"?" }
  }

  // MARK: Text

  /// Text that must be there; "" after reporting that it is not.
  package mutating func string(_ key: String, limit: Int = 1024) -> String {
    requiredMember(key, "text")?.string(limit: limit, allowEmpty: false) ?? ""
  }
  package mutating func string(_ key: String, default fallback: String, limit: Int = 1024) -> String {
    member(key)?.string(limit: limit) ?? fallback
  }
  /// Text, or nil when absent or null.
  package mutating func optionalString(_ key: String, limit: Int = 1024) -> String? {
    presentMember(key)?.string(limit: limit)
  }
  /// A list of texts, empty when absent.
  package mutating func strings(_ key: String, default fallback: [String] = [], limit: Int = 1024) -> [String]
  {
    guard let member = member(key) else { return fallback }
    return member.list(limit: limit)?.compactMap { $0.string(allowEmpty: false) } ?? fallback
  }

  // MARK: Numbers and choices

  /// A whole number that must be there; the range's lower bound after reporting that it is not.
  package mutating func integer(_ key: String, in range: ClosedRange<Int>) -> Int {
    requiredMember(key, "a whole number from \(range.lowerBound) to \(range.upperBound)")?.integer(in: range)
      ?? range.lowerBound
  }
  package mutating func integer(
    _ key: String, default fallback: Int, in range: ClosedRange<Int> = Int.min...Int.max
  ) -> Int {
    member(key)?.integer(in: range) ?? fallback
  }
  package mutating func optionalInteger(_ key: String, in range: ClosedRange<Int> = Int.min...Int.max) -> Int?
  {
    presentMember(key)?.integer(in: range)
  }
  package mutating func number(
    _ key: String, default fallback: Double,
    in range: ClosedRange<Double> = -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude
  ) -> Double {
    member(key)?.number(in: range) ?? fallback
  }
  package mutating func bool(_ key: String, default fallback: Bool) -> Bool {
    member(key)?.bool() ?? fallback
  }

  /// One of the raw values of `Choice`, which must be there; nil after reporting that it is not.
  package mutating func choice<Choice: RawRepresentable & CaseIterable>(
    _ key: String, _: Choice.Type = Choice.self
  ) -> Choice? where Choice.RawValue == String {
    let words = Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
    return requiredMember(key, "one of \(words)")?.choice(Choice.self)
  }
  package mutating func choice<Choice: RawRepresentable & CaseIterable>(
    _ key: String, default fallback: Choice
  ) -> Choice where Choice.RawValue == String {
    member(key)?.choice(Choice.self) ?? fallback
  }

  // MARK: Lists and objects

  /// The items of a list; empty when absent.
  package mutating func list(_ key: String, limit: Int = 10_000) -> [ValueReader] {
    member(key)?.list(limit: limit) ?? []
  }
  /// Reads an object with `body`; nil when absent, null or no object.
  package mutating func object<Result>(_ key: String, _ body: (inout ObjectReader) -> Result) -> Result? {
    presentMember(key)?.object(body)
  }
  /// Reads an object with `body`; an absent one is read as if it were there and empty.
  package mutating func section<Result>(_ key: String, _ body: (inout ObjectReader) -> Result) -> Result {
    let found = member(key)
    if let found, let result = found.object(body) { return result }
    let empty = JSONNode(.object([]), at: (found ?? value).node.position)
    var reader = ObjectReader(ValueReader(empty, path: path(of: key), report: report))
    return body(&reader)
  }

  /// Accepts `keys` without reading them.
  package mutating func ignore(_ keys: String...) { known += keys }

  /// Reports unknown keys, each with the nearest known one, and keys written twice. Called once, after everything
  /// known was asked for; `ValueReader.object` and the getters here do so themselves.
  package func finish() {
    var seen: [String: JSONPosition] = [:]
    for member in members {
      let place = JSONPlace(file: report.file, position: member.keyPosition, path: path(of: member.key))
      if let first = seen[member.key] {
        report.add(
          JSONError(
            place, expected: "each key once", found: "it again",
            hint: "first written at line \(first.line), column \(first.column)"))
        continue
      }
      seen[member.key] = member.keyPosition
      guard !known.contains(member.key) else { continue }
      let close = nearest(to: member.key, among: known)
      report.add(
        JSONError(
          place, expected: "a known key",
          hint: JSON.didYouMean(close)
            ?? (known.isEmpty ? "no key is known here" : "known here: \(known.joined(separator: ", "))")))
    }
  }
}
