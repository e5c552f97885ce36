package import Wire

// One connection of a server, without the connection: bytes and the time go in; requests, and bytes to send, come
// out.
//
// It is responsible for framing (heads, bodies of known length and in chunks, both ways), for keeping requests and
// responses in step, for what a stranger may cost (limits and deadlines below), and for refusing what two servers
// could read differently. It assumes one exchange at a time: a request that was sent ahead (pipelining) waits,
// unread and bounded, until the response before it has ended. Routes, bodies as values, TLS, and how slowly the
// peer takes our bytes are somebody else's.

/// What a stranger may cost a server.
package struct HTTPServerLimits: Sendable {
  /// Bytes and fields of a head.
  package var head = HeadLimits(bytes: 16 << 10, fields: 100)
  /// Bytes of a request's body. Routes ask for less.
  package var body = 16 << 20
  /// Bytes that may wait unread while an exchange is under way; past it the connection ends with that exchange.
  package var pipelined = 64 << 10
  /// Requests on one connection.
  package var requests = 1000
  /// From the opening to a whole first head, and from a later head's first byte to its last.
  package var headTime = Interval.seconds(10)
  /// Between two exchanges.
  package var idleTime = Interval.seconds(60)
  /// Between two bytes of a body.
  package var bodyStall = Interval.seconds(15)
  /// For a whole body.
  package var bodyTime = Interval.minutes(2)
  /// How long what still comes is thrown away after a response that did not wait for its request. Closing at once
  /// would make the peer's kernel drop our answer.
  package var lingerTime = Interval.seconds(1)

  package init() {}
}

package enum HTTPServerEvent: Equatable, Sendable {
  /// A request's head. `body` and `end` follow, unless it is answered before.
  case request(HTTPRequest)
  case body([UInt8])
  /// The request is whole.
  case end
  /// The peer broke a rule; it has been answered and the connection will finish.
  case faulted(HTTPFault)
}

/// How long a response's body will be.
package enum HTTPBodyLength: Equatable, Sendable {
  case known(Int)
  /// Until `endResponse`.
  case streamed
}

package struct HTTPServerConnection: Sendable {
  /// Where the request is.
  private enum Phase: Sendable {
    /// No byte of it, or a part of its head: becomes `body` or `complete`.
    case head
    /// A part of its body: becomes `complete`, or `lingering` when it was answered early.
    case body(BodyReader)
    /// It was read; what follows waits for the response to end: becomes `head`, `lingering` or `finished`.
    case complete
    /// All was said; input is thrown away until the deadline: becomes `finished`.
    case lingering
    /// To be closed when the output has been sent.
    case finished
    /// Another protocol speaks on the connection now; the machine is done.
    case upgraded
  }
  /// Where the response is.
  private enum Answer: Sendable, Equatable {
    /// Nothing to answer, or not yet.
    case none
    case length(Int)
    case chunked
    /// Its end is the connection's.
    case untilClose
    /// The head has said all (HEAD, 204, 304): body bytes are dropped.
    case bodiless
  }

  private let limits: HTTPServerLimits
  private var phase = Phase.head
  private var answer = Answer.none
  private var scanner = HeadScanner()
  private var reader = HeadReader()
  private var input: [UInt8] = []
  private var output: [UInt8] = []
  private var events: [HTTPServerEvent] = []
  private var eventsTaken = 0
  private var request: HTTPRequest?
  private var keepsAlive = true
  private var served = 0
  private var deadline: Instant?
  private var bodyDeadline: Instant?
  /// Whether the peer waits for `100 Continue`.
  package private(set) var awaitsContinue = false

  package init(limits: HTTPServerLimits = HTTPServerLimits(), now: Instant) {
    self.limits = limits
    deadline = now + limits.headTime
  }

  // MARK: In

  /// Takes what arrived.
  package mutating func receive(_ bytes: Span<UInt8>, now: Instant) {
    switch phase {
    case .finished, .lingering, .upgraded: return
    case .complete:
      // Sent ahead. What does not fit is dropped, and with it the connection's future.
      guard input.count + bytes.count <= limits.pipelined else {
        keepsAlive = false
        return
      }
    case .head, .body: break
    }
    input.reserveCapacity(input.count + bytes.count)
    for index in bytes.indices { input.append(bytes[index]) }
    read(now)
  }

  /// Acts on deadlines that have come.
  package mutating func advance(now: Instant) {
    guard let deadline, deadline <= now else { return }
    switch phase {
    case .head:
      // Silence between requests is no fault: nobody waits for an answer.
      if input.isEmpty { finish() } else { fail(.timedOut, now) }
    case .body: if answer == .none { fail(.timedOut, now) } else { finish() }
    case .lingering: finish()
    case .complete, .finished, .upgraded: self.deadline = nil
    }
  }

  package var nextDeadline: Instant? { deadline }

  // MARK: Out

  package mutating func next() -> HTTPServerEvent? {
    guard eventsTaken < events.count else {
      events.removeAll(keepingCapacity: true)
      eventsTaken = 0
      return nil
    }
    defer { eventsTaken += 1 }
    return events[eventsTaken]
  }

  /// The bytes to send, each given once.
  package mutating func takeOutput() -> [UInt8] {
    defer { output = [] }
    return output
  }
  package var hasOutput: Bool { !output.isEmpty }

  /// True when the connection should be closed once its output is sent.
  package var isFinished: Bool { if case .finished = phase { true } else { false } }

  /// Whether a request waits for its response, or for the rest of it.
  package var isAnswering: Bool { request != nil }

  // MARK: Answering

  /// Invites the body that the peer holds back; nothing if it does not.
  package mutating func proceed() {
    guard awaitsContinue else { return }
    awaitsContinue = false
    output.append(contentsOf: "HTTP/1.1 100 Continue\r\n\r\n".utf8)
  }

  /// Answers the request under way as a whole. `Content-Length`, `Date` and `Connection` are set here.
  package mutating func respond(
    _ response: HTTPResponse, body: [UInt8] = [], date: WallTime, now: Instant
  ) {
    beginResponse(response, length: .known(body.count), date: date)
    write(body)
    endResponse(now: now)
  }

  /// Sends the head of a response; `write` and `endResponse` follow.
  package mutating func beginResponse(_ response: HTTPResponse, length: HTTPBodyLength, date: WallTime) {
    guard let request, answer == .none else { return }
    if case .body = phase { keepsAlive = false }
    awaitsContinue = false
    var head = response
    head.fields.remove("Content-Length")
    head.fields.remove("Transfer-Encoding")
    if !head.fields.contains("Date") { head.fields.set("Date", HTTPDate.text(date)) }
    let isBodiless = request.method == .head || [204, 304].contains(head.status) || head.status < 200
    switch length {
    case .known(let count):
      if head.status != 204, head.status >= 200 { head.fields.append("Content-Length", "\(count)") }
      answer = isBodiless ? .bodiless : .length(count)
    case .streamed where isBodiless: answer = .bodiless
    case .streamed where request.version == .http10:
      keepsAlive = false
      answer = .untilClose
    case .streamed:
      head.fields.append("Transfer-Encoding", "chunked")
      answer = .chunked
    }
    if head.fields.list("Connection", has: "close") { keepsAlive = false }
    // A refusal may say what to upgrade to (RFC 9110 section 7.8).
    let offersUpgrade = head.fields.list("Connection", has: "Upgrade")
    head.fields.remove("Connection")
    if offersUpgrade {
      head.fields.append("Connection", keepsAlive ? "Upgrade" : "Upgrade, close")
    } else if !keepsAlive {
      head.fields.append("Connection", "close")
    } else if request.version == .http10 {
      head.fields.append("Connection", "keep-alive")
    }
    HeadWriter.append(head, to: &output)
  }

  /// Answers the request under way with 101 and gives the connection up: `fields` say to what, and what is returned
  /// was sent ahead in the new protocol. Nil, and nothing happens, when the request is not whole or has its answer.
  package mutating func upgrade(_ fields: [(String, String)], date: WallTime) -> [UInt8]? {
    guard case .complete = phase, request != nil, answer == .none else { return nil }
    var head = HTTPResponse(101)
    for (name, value) in fields { head.fields.append(name, value) }
    head.fields.append("Date", HTTPDate.text(date))
    HeadWriter.append(head, to: &output)
    request = nil
    events = []
    eventsTaken = 0
    deadline = nil
    phase = .upgraded
    defer { input = [] }
    return input
  }

  /// Sends a part of the body begun. More than the length that was announced is dropped.
  package mutating func write(_ body: [UInt8]) {
    switch answer {
    case .none, .bodiless: break
    case .length(let left):
      let count = min(left, body.count)
      output.append(contentsOf: body[..<count])
      answer = .length(left - count)
    case .chunked: ChunkEncoder.append(body, to: &output)
    case .untilClose: output.append(contentsOf: body)
    }
  }

  /// Ends the response begun, and turns to the next request.
  package mutating func endResponse(now: Instant) {
    guard request != nil, answer != .none else { return }
    switch answer {
    case .chunked: ChunkEncoder.appendEnd(to: &output)
    case .length(let left) where left > 0:
      // The length we promised is not kept: only the connection's end can say so.
      keepsAlive = false
    case .none, .length, .untilClose, .bodiless: break
    }
    request = nil
    answer = .none
    // What is left of this exchange's events has nobody to read it.
    events.removeAll(keepingCapacity: true)
    eventsTaken = 0
    if case .complete = phase, keepsAlive {
      phase = .head
      scanner = HeadScanner()
      deadline = now + (input.isEmpty ? limits.idleTime : limits.headTime)
      read(now)
    } else if case .complete = phase, input.isEmpty {
      finish()
    } else {
      linger(now)
    }
  }

  // MARK: Reading

  private mutating func read(_ now: Instant) {
    do throws(HTTPFault) {
      if case .head = phase { try readHead(now) }
      if case .body(let body) = phase { try readBody(body, now) }
    } catch {
      fail(error, now)
    }
  }

  private mutating func readHead(_ now: Instant) throws(HTTPFault) {
    let hadBegun = scanner.hasBegun
    guard let end = try scanner.end(in: input, limit: limits.head.bytes) else {
      if !hadBegun, scanner.hasBegun, served > 0 { deadline = now + limits.headTime }
      return
    }
    let head = Array(input[scanner.start..<end])
    input.removeFirst(end)
    let request = try reader.request(head, limits: limits.head)
    let body = try BodyReader(try BodyFraming(of: request), limit: limits.body)
    served += 1
    keepsAlive =
      served < limits.requests && !request.fields.list("Connection", has: "close")
      && (request.version == .http11 || request.fields.list("Connection", has: "keep-alive"))
    self.request = request
    events.append(.request(request))
    if let body {
      awaitsContinue = request.fields.contains("Expect") && input.isEmpty
      bodyDeadline = now + limits.bodyTime
      deadline = now + limits.bodyStall
      phase = .body(body)
    } else {
      complete()
    }
  }

  private mutating func readBody(_ body: BodyReader, _ now: Instant) throws(HTTPFault) {
    guard !input.isEmpty else { return }
    awaitsContinue = false
    var body = body
    var data: [UInt8] = []
    var position = 0
    let hasEnded = try body.read(input.span, &position, into: &data)
    input.removeFirst(position)
    if !data.isEmpty { events.append(.body(data)) }
    if hasEnded {
      complete()
    } else {
      deadline = min(now + limits.bodyStall, bodyDeadline ?? now)
      phase = .body(body)
    }
  }

  private mutating func complete() {
    events.append(.end)
    phase = .complete
    deadline = nil
    if input.count > limits.pipelined {
      input = []
      keepsAlive = false
    }
  }

  // MARK: Ending

  /// Answers what is wrong, as far as that still can be said, and ends.
  private mutating func fail(_ fault: HTTPFault, _ now: Instant) {
    if answer == .none {
      // Without Date: no wall time is at hand here, and a clockless server may leave it out (RFC 9110 6.6.1).
      let text = Array("\(HTTPResponse.reason(fault.status)): \(fault)\n".utf8)
      HeadWriter.append(
        HTTPResponse(
          fault.status,
          fields: [
            "Content-Type": "text/plain; charset=utf-8", "Content-Length": "\(text.count)",
            "Connection": "close",
          ]),
        to: &output)
      output.append(contentsOf: text)
    }
    request = nil
    answer = .none
    awaitsContinue = false
    events.append(.faulted(fault))
    linger(now)
  }

  private mutating func linger(_ now: Instant) {
    input = []
    phase = .lingering
    deadline = now + limits.lingerTime
  }

  private mutating func finish() {
    input = []
    request = nil
    answer = .none
    phase = .finished
    deadline = nil
  }
}
