package import HTTP
internal import WebSocket
package import Wire

// Carries requests from connections to routes and answers back.
//
// It owns one HTTP machine per connection (or, after an upgrade, one WebSocket machine: WebServer+Channels.swift), gathers bodies up to what their route allows, hands each whole request to
// its handler, and writes answers no faster than the connection takes them. Sockets, TLS, connection caps and
// admission belong to the carrier beneath; what a request means belongs to the handler above. It assumes that the
// carrier tells of every connection it opened exactly once that it closed, except those closed from here.

/// Names a connection of a carrier.
package struct WebConnectionID: Hashable, Sendable {
  package let raw: UInt64
  package init(_ raw: UInt64) { self.raw = raw }
}

/// What `WebServer` needs from whoever has the connections.
package protocol WebCarrier: AnyObject {
  var now: Instant { get }
  var wall: WallTime { get }
  /// Queues bytes. False when the queue is full: nothing was taken, and `drained` follows.
  func write(_ bytes: [UInt8], on connection: WebConnectionID) -> Bool
  /// Ends a connection after what is queued was sent. `closed` does not follow.
  func close(_ connection: WebConnectionID)
  /// Stops or resumes reading: how a peer that does not take its answers is kept from asking.
  func setReading(_ reading: Bool, on connection: WebConnectionID)
  /// From now on the peer only listens: its silence is no reason to end the connection.
  func expectSilence(on connection: WebConnectionID)
}

package struct WebLimits: Sendable {
  package var http = HTTPServerLimits()
  /// Bytes handed to the carrier at once.
  package var slice = 32 << 10
  /// How long a peer may take none of what waits for it.
  package var writeStall = Interval.seconds(30)
  /// Bytes that may wait for a listener of events before it is cut off.
  package var eventBacklog = 256 << 10
  /// After so much silence a listener of events is sent a comment, so that it and everything between knows that
  /// the connection lives.
  package var eventSilence = Interval.seconds(15)

  package init() {}
}

/// What was served, for the metrics.
package struct WebCounters: Equatable, Sendable {
  package var requests = 0
  /// Requests answered 4xx, and 5xx.
  package var refused = 0
  package var failed = 0
  /// Connections that broke the rules of HTTP.
  package var faults = 0
  /// Listeners of events that were cut off.
  package var cutOff = 0
  /// WebSockets opened, and those that broke its rules.
  package var channels = 0
  package var channelFaults = 0
}

package final class WebServer {
  final class Connection {
    let id: WebConnectionID
    let peer: WebPeer
    var machine: HTTPServerConnection
    /// Set after an upgrade; the HTTP machine is idle then.
    var channel: ChannelState?
    /// Grows by one with each request: a late answer to an earlier one finds another number.
    var exchange = 0
    var isAnswered = true
    var head: HTTPRequest?
    var route: Route?
    var parameters: [(name: String, value: String)] = []
    var identity = WebIdentity.anybody
    var body: [UInt8] = []
    var stream: EventStream?
    /// What the carrier has not taken, from `sent` on.
    var waiting: [UInt8] = []
    var sent = 0
    /// When something was last taken or, on a stream, sent.
    var moved: Instant
    var isPumping = false
    var timer: Handle?
    var timerAt: Instant?

    init(_ id: WebConnectionID, peer: WebPeer, machine: HTTPServerConnection, now: Instant) {
      self.id = id
      self.peer = peer
      self.machine = machine
      moved = now
    }
  }

  unowned let carrier: any WebCarrier
  private var router: Router
  /// Whose pages may speak to us.
  package var origins: OriginPolicy {
    get { router.origins }
    set { router.origins = newValue }
  }
  private let limits: WebLimits
  var connections: [WebConnectionID: Connection] = [:]
  private var wheel: Wheel
  package internal(set) var counters = WebCounters()

  package init(carrier: any WebCarrier, router: Router, limits: WebLimits = WebLimits()) {
    self.carrier = carrier
    self.router = router
    self.limits = limits
    wheel = Wheel(now: carrier.now)
  }

  package var connectionCount: Int { connections.count }

  // MARK: From the carrier

  package func opened(_ id: WebConnectionID, peer: WebPeer) {
    let now = carrier.now
    let connection = Connection(
      id, peer: peer, machine: HTTPServerConnection(limits: limits.http, now: now), now: now)
    connections[id] = connection
    arm(connection)
  }

  package func received(_ bytes: Span<UInt8>, on id: WebConnectionID) {
    guard let connection = connections[id] else { return }
    if connection.channel != nil {
      connection.channel?.machine.receive(bytes, now: carrier.now)
      return pump(connection)
    }
    connection.machine.receive(bytes, now: carrier.now)
    pump(connection)
  }

  /// The carrier can take more.
  package func drained(_ id: WebConnectionID) {
    guard let connection = connections[id] else { return }
    pump(connection)
  }

  /// The peer, or the carrier, ended the connection.
  package func closed(_ id: WebConnectionID) {
    guard let connection = connections.removeValue(forKey: id) else { return }
    lost(connection)
    forget(connection)
  }

  package func advance() {
    let now = carrier.now
    while let token = wheel.expired(by: now) {
      guard let connection = connections[WebConnectionID(token)] else { continue }
      connection.timer = nil
      connection.timerAt = nil
      if connection.channel != nil {
        connection.channel?.machine.advance(now: now)
      } else {
        connection.machine.advance(now: now)
      }
      if connection.sent < connection.waiting.count, connection.moved + limits.writeStall <= now {
        end(connection)
        continue
      }
      if connection.stream != nil, connection.sent == connection.waiting.count,
        connection.moved + limits.eventSilence <= now
      {
        connection.machine.write(ServerSentEvent.keepAlive)
        connection.moved = now
      }
      pump(connection)
    }
  }

  package var nextDeadline: Instant? { wheel.nextDeadline }

  /// Ends every stream, every channel and every connection that is between requests; running answers are finished.
  package func drain() {
    for id in connections.keys.sorted(by: { $0.raw < $1.raw }) {
      guard let connection = connections[id] else { continue }
      if connection.channel != nil {
        close(channel: id, .goingAway, "the gateway stops")
      } else if connection.stream != nil {
        closeStream(on: id)
      } else if !connection.machine.isAnswering, connection.sent == connection.waiting.count {
        end(connection)
      }
    }
  }

  // MARK: From responders and streams

  func reply(_ reply: WebReply, on id: WebConnectionID, exchange: Int) {
    guard let connection = connections[id], connection.exchange == exchange, !connection.isAnswered else {
      return
    }
    answer(connection, reply)
    pump(connection)
  }

  func openEvents(on id: WebConnectionID, exchange: Int) -> EventStream? {
    guard let connection = connections[id], connection.exchange == exchange, !connection.isAnswered else {
      return nil
    }
    guard connection.head?.method != .head else {
      answer(connection, WebReply(200, fields: ["Content-Type": "text/event-stream"]))
      pump(connection)
      return nil
    }
    connection.isAnswered = true
    let stream = EventStream(server: self, connection: id)
    connection.stream = stream
    connection.moved = carrier.now
    carrier.expectSilence(on: id)
    var fields: HTTPFields = ["Content-Type": "text/event-stream", "Cache-Control": "no-store"]
    for (name, value) in connection.head.map(router.crossOriginFields) ?? [] { fields.append(name, value) }
    connection.machine.beginResponse(HTTPResponse(200, fields: fields), length: .streamed, date: carrier.wall)
    pump(connection)
    return stream
  }

  func stream(_ bytes: [UInt8], on id: WebConnectionID) {
    guard let connection = connections[id], connection.stream != nil else { return }
    guard connection.waiting.count - connection.sent + bytes.count <= limits.eventBacklog else {
      counters.cutOff += 1
      end(connection)
      return
    }
    // A stream that stands still is not moved by what is added to it.
    if connection.sent == connection.waiting.count { connection.moved = carrier.now }
    connection.machine.write(bytes)
    pump(connection)
  }

  func closeStream(on id: WebConnectionID) {
    guard let connection = connections[id], let stream = connection.stream else { return }
    connection.stream = nil
    connection.machine.endResponse(now: carrier.now)
    pump(connection)
    stream.ended()
  }

  // MARK: Exchanges

  /// Takes events to handlers and output to the carrier until nothing moves.
  func pump(_ connection: Connection) {
    guard !connection.isPumping else { return }
    connection.isPumping = true
    while connection.channel == nil, let event = connection.machine.next() { take(event, connection) }
    while connections[connection.id] === connection, let event = connection.channel?.machine.next() {
      take(event, connection)
    }
    if connections[connection.id] === connection { flush(connection) }
    connection.isPumping = false
    guard connections[connection.id] === connection else { return }
    let isFinished = connection.channel?.machine.isFinished ?? connection.machine.isFinished
    if isFinished, connection.sent == connection.waiting.count {
      end(connection)
    } else {
      arm(connection)
    }
  }

  private func take(_ event: HTTPServerEvent, _ connection: Connection) {
    switch event {
    case .request(let head):
      counters.requests += 1
      connection.exchange += 1
      connection.isAnswered = false
      connection.head = head
      connection.body = []
      switch router.find(head, from: connection.peer) {
      case .refusal(let reply): answer(connection, reply)
      case .route(let route, let parameters, let identity):
        connection.route = route
        connection.identity = identity
        connection.parameters = parameters
        if let text = head.fields["Content-Length"], let length = Int(text), length > route.bodyLimit {
          answer(connection, WebServer.tooLong(route))
        } else {
          connection.machine.proceed()
        }
      }
    case .body(let data):
      guard !connection.isAnswered, let route = connection.route else { return }
      guard connection.body.count + data.count <= route.bodyLimit else {
        answer(connection, WebServer.tooLong(route))
        return
      }
      connection.body += data
    case .end:
      guard !connection.isAnswered, let route = connection.route, let head = connection.head else { return }
      guard let query = PercentEncoding.query(head.query ?? "") else {
        answer(connection, .problem(400, "the query is malformed"))
        return
      }
      let request = WebRequest(
        head: head, peer: connection.peer, identity: connection.identity, parameters: connection.parameters,
        query: query, body: connection.body)
      connection.body = []
      switch route.service {
      case .exchange(let handler):
        handler(request, Responder(server: self, connection: connection.id, exchange: connection.exchange))
      case .channel(let protocols, let limits, let handler):
        open(connection, request, protocols, limits, handler)
      }
    case .faulted:
      counters.faults += 1
      connection.isAnswered = true
      if let stream = connection.stream {
        connection.stream = nil
        stream.ended()
      }
    }
  }

  private static func tooLong(_ route: Route) -> WebReply {
    .problem(413, "the body is longer than \(route.bodyLimit) bytes")
  }

  func answer(_ connection: Connection, _ reply: WebReply) {
    connection.isAnswered = true
    connection.route = nil
    connection.body = []
    if reply.status >= 500 { counters.failed += 1 } else if reply.status >= 400 { counters.refused += 1 }
    var fields = reply.fields
    if !fields.contains("Cache-Control") { fields.append("Cache-Control", "no-store") }
    fields.append("X-Content-Type-Options", "nosniff")
    for (name, value) in connection.head.map(router.crossOriginFields) ?? [] { fields.append(name, value) }
    connection.machine.respond(
      HTTPResponse(reply.status, fields: fields), body: reply.body, date: carrier.wall, now: carrier.now)
  }

  // MARK: Output

  private func flush(_ connection: Connection) {
    let now = carrier.now
    var fresh = connection.machine.takeOutput()
    if connection.channel != nil, let more = connection.channel?.machine.takeOutput() {
      if fresh.isEmpty { fresh = more } else { fresh += more }
    }
    if !fresh.isEmpty {
      if connection.sent == connection.waiting.count {
        connection.waiting = fresh
        connection.sent = 0
        if connection.stream == nil { connection.moved = now }
      } else {
        connection.waiting += fresh
      }
    }
    while connection.sent < connection.waiting.count {
      let end = min(connection.sent + limits.slice, connection.waiting.count)
      guard carrier.write(Array(connection.waiting[connection.sent..<end]), on: connection.id) else { break }
      connection.sent = end
      connection.moved = now
    }
    if connection.sent == connection.waiting.count {
      connection.waiting = []
      connection.sent = 0
    } else if connection.sent >= 1 << 18 {
      connection.waiting.removeFirst(connection.sent)
      connection.sent = 0
    }
    let isBehind = !connection.waiting.isEmpty
    if connection.channel != nil, connection.channel?.isHeldBack != isBehind {
      connection.channel?.isHeldBack = isBehind
      carrier.setReading(!isBehind, on: connection.id)
    }
  }

  /// Keeps one timer per connection, never later than its earliest deadline.
  private func arm(_ connection: Connection) {
    var deadline =
      connection.channel == nil ? connection.machine.nextDeadline : connection.channel?.machine.nextDeadline
    func consider(_ instant: Instant) { deadline = .earlier(deadline, instant) }
    if connection.sent < connection.waiting.count {
      consider(connection.moved + limits.writeStall)
    } else if connection.stream != nil {
      consider(connection.moved + limits.eventSilence)
    }
    guard let deadline else { return }
    if let at = connection.timerAt {
      // An early timer finds nothing due and is set again.
      if at <= deadline { return }
      if let timer = connection.timer { wheel.cancel(timer) }
    }
    connection.timer = wheel.arm(deadline, token: connection.id.raw)
    connection.timerAt = deadline
  }

  private func end(_ connection: Connection) {
    guard connections.removeValue(forKey: connection.id) != nil else { return }
    carrier.close(connection.id)
    lost(connection)
    forget(connection)
  }

  private func forget(_ connection: Connection) {
    if let timer = connection.timer { wheel.cancel(timer) }
    connection.timer = nil
    if let stream = connection.stream {
      connection.stream = nil
      stream.ended()
    }
  }
}
