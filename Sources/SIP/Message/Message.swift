internal import Wire

/// How the bytes of a message were set apart from their neighbours.
package enum Framing: Sendable {
  /// One datagram or WebSocket message: what follows the body is noise.
  case datagram
  /// Cut out of a stream by `Content-Length`, which therefore must be there.
  case stream
}

/// `CSeq`: a request's number within its dialog, and its method.
package struct CSeq: Hashable, Sendable {
  package var number: UInt32
  package var method: Method

  package init(_ number: UInt32, _ method: Method) {
    self.number = number
    self.method = method
  }
}

/// One SIP message as it came: its bytes and an index over them. Typed values are made when asked for.
///
/// A `Message` never changes, copies at the cost of a reference, and has passed `MessageParts`' checks: Via, From,
/// To, Call-ID and CSeq are there and well formed, so their accessors cannot fail.
package struct Message: Sendable {
  private final class Storage: Sendable {
    let bytes: [UInt8]
    let parts: MessageParts

    init(_ bytes: [UInt8], _ parts: MessageParts) {
      self.bytes = bytes
      self.parts = parts
    }
  }

  private let storage: Storage

  /// Parses one whole message. The error says what to answer, if anything: see `Refusal`.
  package init(parsing bytes: Span<UInt8>, framing: Framing) throws(SIPParseError) {
    let parts = try MessageParts(bytes, framing)
    storage = Storage([UInt8](bytes.extracting(0..<parts.end)), parts)
  }

  package init(parsing bytes: [UInt8], framing: Framing = .datagram) throws(SIPParseError) {
    try self.init(parsing: bytes.span, framing: framing)
  }

  /// The message as it came, without what followed its body.
  package var bytes: [UInt8] { storage.bytes }
  var parts: MessageParts { storage.parts }

  // MARK: Start line

  package var isRequest: Bool { storage.parts.isRequest }
  /// Of a response: the method of the request it answers.
  package var method: Method { storage.parts.method }
  /// Nil for responses.
  package var requestURI: URI? {
    guard let uri = storage.parts.uri else { return nil }
    let bytes = storage.bytes
    return URI(bytes.span, uri)
  }
  /// 100 to 699; 0 for requests.
  package var status: Int { storage.parts.status }
  /// May be empty.
  package var reason: String { text(storage.parts.reason) }

  // MARK: The fields every message has

  package var callID: String { fieldText(storage.parts.callID) }
  package var cseq: CSeq { CSeq(storage.parts.cseq, storage.parts.method) }
  package var from: NameAddress { address(storage.parts.from) }
  package var to: NameAddress { address(storage.parts.to) }
  /// Nil when absent, as in RFC 2543 requests.
  package var fromTag: String? { storage.parts.fromTag.map(text) }
  package var toTag: String? { storage.parts.toTag.map(text) }
  /// The user that From or To names, unescaped; without making the rest of the address.
  package var fromUser: String? { storage.parts.fromUser.map { Text.unescaped(text($0)) } }
  package var toUser: String? { storage.parts.toUser.map { Text.unescaped(text($0)) } }
  /// The branch of the topmost Via.
  package var branch: String? { storage.parts.topVia.branch.map(text) }
  package var topVia: Via {
    let bytes = storage.bytes
    return Via(bytes.span, storage.parts.topVia)
  }

  /// Every Via from the top; the list ends before a malformed one.
  package var vias: [Via] {
    let bytes = storage.bytes
    let span = bytes.span
    var result: [Via] = []
    for range in ranges(.via) {
      guard let parts = Grammar.via(span, range.lowerBound, range.upperBound) else { return result }
      result.append(Via(span, parts))
    }
    return result
  }

  // MARK: Others by type

  /// Nil when absent (RFC 2543) or malformed.
  package var maxForwards: Int? { storage.parts.maxForwards }
  /// The values of Contact; empty for `*`.
  package var contacts: [NameAddress] { addresses(.contact) }
  /// `Contact: *`.
  package var isContactWildcard: Bool {
    let all = ranges(.contact)
    return all.count == 1 && all[0].count == 1 && storage.bytes[all[0].lowerBound] == UInt8(ascii: "*")
  }
  package var routes: [NameAddress] { addresses(.route) }
  package var recordRoutes: [NameAddress] { addresses(.recordRoute) }
  package var path: [NameAddress] { addresses(.path) }
  /// Seconds; nil when absent or no number. Values beyond 2^32 - 1 count as that.
  package var expires: UInt32? {
    guard let range = firstRange(.expires) else { return nil }
    let bytes = storage.bytes
    return Grammar.seconds(bytes.span, range)
  }
  /// `type/subtype` in lower case, without parameters.
  package var contentType: String? {
    guard let value = value(.contentType) else { return nil }
    let bare = value.prefix { $0 != ";" && $0 != " " && $0 != "\t" }
    return bare.lowercased()
  }
  package var body: [UInt8] { Array(storage.bytes[storage.parts.index.bodyStart...]) }
  package var hasBody: Bool { storage.parts.index.bodyStart < storage.bytes.count }

  /// An option tag stands in Supported.
  package func supports(_ option: String) -> Bool { lists(.supported, option) }
  /// An option tag stands in Require.
  package func requires(_ option: String) -> Bool { lists(.require, option) }
  private func lists(_ name: HeaderName, _ option: String) -> Bool {
    values(name).contains { ASCII.equalIgnoringCase($0, option) }
  }

  // MARK: Any field

  package func has(_ name: HeaderName) -> Bool { firstRange(name) != nil }

  /// The first field of this name, whole and on one line; nil when there is none.
  package func value(_ name: HeaderName) -> String? {
    guard let place = storage.parts.index.fields.firstIndex(where: { $0.tag == name.rawValue }) else {
      return nil
    }
    return fieldText(place)
  }

  /// Whether the first field of this name begins with `prefix` (ASCII), letter case set aside.
  package func hasValue(_ name: HeaderName, beginning prefix: String) -> Bool {
    guard let range = firstRange(name), range.count >= prefix.utf8.count else { return false }
    var place = range.lowerBound
    for letter in prefix.utf8 {
      if ASCII.lowered(storage.bytes[place]) != ASCII.lowered(letter) { return false }
      place += 1
    }
    return true
  }

  /// The same for any name.
  package func value(named name: String) -> String? {
    if let known = HeaderName(name) { return value(known) }
    let bytes = storage.bytes
    return storage.parts.index.firstField(named: name, in: bytes.span).map(fieldText)
  }

  /// Every value of this name in order, each on one line; lists are parted at their commas.
  package func values(_ name: HeaderName) -> [String] {
    let bytes = storage.bytes
    let span = bytes.span
    var result: [String] = []
    for range in ranges(name) { result.append(Text.unfolded(span, range)) }
    return result
  }

  /// The same for any name. Fields whose name no one here knows are not parted.
  package func values(named name: String) -> [String] {
    if let known = HeaderName(name) { return values(known) }
    let bytes = storage.bytes
    var result: [String] = []
    var start = 0
    while let place = storage.parts.index.firstField(named: name, in: bytes.span, after: start) {
      result.append(fieldText(place))
      start = place + 1
    }
    return result
  }

  /// Every field in order: the name as written and the value on one line.
  package var headers: [(name: String, value: String)] {
    storage.parts.index.fields.indices.map {
      (text(storage.parts.index.fields[$0].name), fieldText($0))
    }
  }

  // MARK: Ranges

  func firstRange(_ name: HeaderName) -> Range<Int>? {
    storage.parts.index.fields.first { $0.tag == name.rawValue }?.value
  }

  func ranges(_ name: HeaderName) -> [Range<Int>] {
    let bytes = storage.bytes
    let span = bytes.span
    var result: [Range<Int>] = []
    for field in storage.parts.index.fields where field.tag == name.rawValue {
      if name.isList {
        result.append(contentsOf: Grammar.list(span, field.value))
      } else {
        result.append(field.value)
      }
    }
    return result
  }

  private func addresses(_ name: HeaderName) -> [NameAddress] {
    let bytes = storage.bytes
    let span = bytes.span
    var result: [NameAddress] = []
    for range in ranges(name) {
      guard let parts = Grammar.address(span, range.lowerBound, range.upperBound) else { continue }
      result.append(NameAddress(span, parts))
    }
    return result
  }

  private func address(_ place: Int) -> NameAddress {
    let range = storage.parts.index.fields[place].value
    let bytes = storage.bytes
    let span = bytes.span
    guard let parts = Grammar.address(span, range.lowerBound, range.upperBound) else {
      preconditionFailure("From and To were parsed when the message was taken")
    }
    return NameAddress(span, parts)
  }

  private func fieldText(_ place: Int) -> String {
    let field = storage.parts.index.fields[place]
    guard field.isFolded else { return text(field.value) }
    let bytes = storage.bytes
    return Text.unfolded(bytes.span, field.value)
  }

  private func text(_ range: Range<Int>) -> String {
    String(decoding: storage.bytes[range], as: UTF8.self)
  }
}
