package import Wire

// One connection of a client, without the connection. It sends one request at a time and reads its response; it is
// responsible for framing, for limits on what a server may send, and for saying whether the connection can carry
// another request. Redirects, credentials and retries are the caller's.

/// What a server may cost a client.
package struct HTTPClientLimits: Sendable {
  package var head = HeadLimits(bytes: 16 << 10, fields: 100)
  /// Bytes of a response's body.
  package var body = 16 << 20
  /// From the request to a whole head.
  package var headTime: Interval? = .seconds(10)
  /// Between two bytes of a body; nil for streams that may be silent.
  package var bodyStall: Interval? = .seconds(10)
  /// Heads of kind 1xx before the one that counts.
  package var interim = 8

  package init() {}
}

package enum HTTPClientEvent: Equatable, Sendable {
  /// The head of the response. `body` and `end` follow.
  case response(HTTPResponse)
  case body([UInt8])
  /// The response is whole. When `reusable`, another request may be sent.
  case end(reusable: Bool)
  /// No whole response will come: close the connection.
  case failed(HTTPFault)
}

package struct HTTPClientConnection: Sendable {
  private enum Phase: Sendable {
    /// Ready for a request: becomes `head`.
    case idle
    /// The response's head is awaited: becomes `body`, `idle` or `finished`.
    case head(HTTPMethod, interim: Int)
    /// A part of its body: becomes `idle` or `finished`.
    case body(BodyReader)
    /// Nothing more can be sent or read.
    case finished
  }

  private let limits: HTTPClientLimits
  private var phase = Phase.idle
  private var scanner = HeadScanner()
  private var reader = HeadReader()
  private var input: [UInt8] = []
  private var output: [UInt8] = []
  private var events: [HTTPClientEvent] = []
  private var eventsTaken = 0
  private var keepsAlive = true
  private var deadline: Instant?

  package init(limits: HTTPClientLimits = HTTPClientLimits()) { self.limits = limits }

  /// Whether a request may be sent.
  package var isIdle: Bool { if case .idle = phase { true } else { false } }
  /// True when the connection should be closed.
  package var isFinished: Bool { if case .finished = phase { true } else { false } }
  package var nextDeadline: Instant? { deadline }

  /// Sends a request, which must carry its own `Host`. `Content-Length` is set here. False when not idle.
  @discardableResult
  package mutating func send(_ request: HTTPRequest, body: [UInt8] = [], now: Instant) -> Bool {
    guard isIdle else { return false }
    var head = request
    head.fields.remove("Transfer-Encoding")
    head.fields.remove("Content-Length")
    switch request.method {
    case .post, .put, .patch: head.fields.append("Content-Length", "\(body.count)")
    case .get, .head, .delete, .options, .other:
      if !body.isEmpty { head.fields.append("Content-Length", "\(body.count)") }
    }
    HeadWriter.append(head, to: &output)
    output.append(contentsOf: body)
    keepsAlive = !request.fields.list("Connection", has: "close")
    scanner = HeadScanner()
    phase = .head(request.method, interim: 0)
    deadline = limits.headTime.map { now + $0 }
    return true
  }

  package mutating func receive(_ bytes: Span<UInt8>, now: Instant) {
    switch phase {
    case .finished: return
    case .idle:
      // A server that speaks unasked (often a 408) is about to close.
      if !bytes.isEmpty { fail(.unexpected) }
      return
    case .head, .body: break
    }
    for index in bytes.indices { input.append(bytes[index]) }
    do throws(HTTPFault) {
      while case .head(let method, let interim) = phase {
        guard try readHead(method, interim, now) else { return }
      }
      if case .body(let body) = phase { try readBody(body, now) }
    } catch {
      fail(error)
    }
  }

  /// The connection ended.
  package mutating func receivedEnd() {
    switch phase {
    case .finished: return
    case .idle: finish()
    case .head: fail(.truncated)
    case .body(let body):
      guard body.endsWithConnection else {
        fail(.truncated)
        return
      }
      events.append(.end(reusable: false))
      finish()
    }
  }

  package mutating func advance(now: Instant) {
    guard let deadline, deadline <= now else { return }
    fail(.timedOut)
  }

  package mutating func next() -> HTTPClientEvent? {
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

  // MARK: Reading

  /// False when the head is not whole yet.
  private mutating func readHead(
    _ method: HTTPMethod, _ interim: Int, _ now: Instant
  ) throws(HTTPFault) -> Bool {
    guard let end = try scanner.end(in: input, limit: limits.head.bytes) else { return false }
    let head = Array(input[scanner.start..<end])
    input.removeFirst(end)
    scanner = HeadScanner()
    let response = try reader.response(head, limits: limits.head)
    if response.status < 200 {
      guard response.status != 101, interim < limits.interim else { throw .unexpected }
      phase = .head(method, interim: interim + 1)
      return true
    }
    if response.fields.list("Connection", has: "close")
      || response.version == .http10 && !response.fields.list("Connection", has: "keep-alive")
    {
      keepsAlive = false
    }
    let body = try BodyReader(try BodyFraming(of: response, to: method), limit: limits.body)
    events.append(.response(response))
    if let body {
      if body.endsWithConnection { keepsAlive = false }
      deadline = limits.bodyStall.map { now + $0 }
      phase = .body(body)
    } else {
      complete()
    }
    return true
  }

  private mutating func readBody(_ body: BodyReader, _ now: Instant) throws(HTTPFault) {
    guard !input.isEmpty else { return }
    var body = body
    var data: [UInt8] = []
    var position = 0
    let hasEnded = try body.read(input.span, &position, into: &data)
    input.removeFirst(position)
    if !data.isEmpty { events.append(.body(data)) }
    if hasEnded {
      complete()
    } else {
      deadline = limits.bodyStall.map { now + $0 }
      phase = .body(body)
    }
  }

  // MARK: Ending

  private mutating func complete() {
    // Bytes beyond the response belong to no request of ours.
    if !input.isEmpty { keepsAlive = false }
    events.append(.end(reusable: keepsAlive))
    deadline = nil
    if keepsAlive { phase = .idle } else { finish() }
  }

  private mutating func fail(_ fault: HTTPFault) {
    events.append(.failed(fault))
    finish()
  }

  private mutating func finish() {
    input = []
    phase = .finished
    deadline = nil
  }
}
