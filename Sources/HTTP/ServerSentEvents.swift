/// One message of an event stream (WHATWG HTML, "Server-sent events").
package struct ServerSentEvent: Hashable, Sendable {
  /// The kind of event; nil for the unnamed kind.
  package var event: String?
  /// Where a reader that lost its connection goes on.
  package var id: String?
  package var data: String

  package init(event: String? = nil, id: String? = nil, data: String) {
    self.event = event
    self.id = id
    self.data = data
  }

  /// The message with the empty line that ends it. Line ends inside name and id are left out, those inside data
  /// make lines.
  package var bytes: [UInt8] {
    var out: [UInt8] = []
    func line(_ name: String, _ value: some Sequence<UInt8>) {
      out.append(contentsOf: name.utf8)
      out.append(contentsOf: ": ".utf8)
      out.append(contentsOf: value)
      out.append(10)
    }
    func flat(_ text: String) -> [UInt8] { text.utf8.filter { $0 != 10 && $0 != 13 && $0 != 0 } }
    if let event { line("event", flat(event)) }
    if let id { line("id", flat(id)) }
    for part in data.utf8.split(separator: 10, omittingEmptySubsequences: false) {
      line("data", part.filter { $0 != 13 })
    }
    out.append(10)
    return out
  }

  /// A comment: keeps a silent stream alive and means nothing.
  package static let keepAlive: [UInt8] = Array(": \n\n".utf8)
}

/// Takes an event stream apart. A line or a message beyond the limits is dropped.
package struct ServerSentEventDecoder: Sendable {
  /// Bytes of one line, and of one message's data.
  package static let longest = 1 << 20
  private var line: [UInt8] = []
  private var lineIsTooLong = false
  private var skipsLineFeed = false
  private var event: String?
  private var id: String?
  private var data: [UInt8] = []
  private var hasData = false

  package init() {}

  /// The messages that `bytes` completed, in order.
  package mutating func decode(_ bytes: [UInt8]) -> [ServerSentEvent] {
    var found: [ServerSentEvent] = []
    for byte in bytes {
      if skipsLineFeed {
        skipsLineFeed = false
        if byte == 10 { continue }
      }
      if byte == 10 || byte == 13 {
        skipsLineFeed = byte == 13
        if let message = endLine() { found.append(message) }
      } else if line.count < ServerSentEventDecoder.longest {
        line.append(byte)
      } else {
        lineIsTooLong = true
      }
    }
    return found
  }

  private mutating func endLine() -> ServerSentEvent? {
    defer {
      line.removeAll(keepingCapacity: true)
      lineIsTooLong = false
    }
    if line.isEmpty {
      defer {
        event = nil
        data = []
        hasData = false
      }
      guard hasData else { return nil }
      return ServerSentEvent(event: event, id: id, data: String(decoding: data, as: UTF8.self))
    }
    guard !lineIsTooLong, line[0] != UInt8(ascii: ":") else { return nil }
    let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
    var value = line[min(colon + 1, line.endIndex)...]
    if value.first == 32 { value = value.dropFirst() }
    switch String(decoding: line[..<colon], as: UTF8.self) {
    case "event": event = String(decoding: value, as: UTF8.self)
    case "id": id = String(decoding: value, as: UTF8.self)
    case "data":
      guard data.count + value.count < ServerSentEventDecoder.longest else { return nil }
      if hasData { data.append(10) }
      hasData = true
      data.append(contentsOf: value)
    default: break
    }
    return nil
  }
}
