import API
import HTTP
import JSON
import Reactor
import Wire

/// The daemon's control socket, one request at a time.
final class ControlClient: Resident {
  private enum Link {
    case closed
    case connecting(SocketID)
    case open(SocketID)
  }

  let reactor: Reactor
  private let path: String
  private var link = Link.closed
  private var machine = HTTPClientConnection()
  /// Body bytes go here as they come, when somebody wants them so.
  private var whenData: (([UInt8]) -> Void)?
  private var answer: (status: Int, body: [UInt8])?
  private var isDone = false
  private var failure: CommandFailure?

  init(reactor: Reactor, path: String) {
    self.reactor = reactor
    self.path = path
  }

  /// Carries an operation out and gives its reply's body. A problem is thrown as the failure it is.
  func perform(
    _ operation: APIOperation, _ parameters: [String] = [], query: [(String, String)] = [],
    fields: HTTPFields = HTTPFields(), body: [UInt8] = []
  ) throws(CommandFailure) -> [UInt8] {
    let target = operation.target(parameters, query: query)
    var limits = HTTPClientLimits()
    limits.body = 256 << 20
    // A door's actuator may take its time.
    limits.headTime = .minutes(2)
    let (status, reply) = try exchange(operation.method, target, fields, body, limits)
    guard (200..<300).contains(status) else { throw ControlClient.failure(status, reply) }
    return reply
  }

  /// Follows the event stream for ever; returns only by throwing.
  func follow(after id: String?, _ take: @escaping (ServerSentEvent) -> Void) throws(CommandFailure) {
    var decoder = ServerSentEventDecoder()
    var limits = HTTPClientLimits()
    limits.body = Int.max
    limits.bodyStall = .minutes(1)
    whenData = { data in for event in decoder.decode(data) { take(event) } }
    defer { whenData = nil }
    let (status, body) = try exchange(
      .get, APIOperation.events.target(query: id.map { [("after", $0)] } ?? []),
      ["Accept": "text/event-stream"], [], limits)
    guard status == 200 else { throw ControlClient.failure(status, body) }
    throw .unreachable("the gateway ended the stream")
  }

  /// Lets time pass.
  func pause(_ interval: Interval) {
    reactor.settle(in: self)
    let end = reactor.now + interval
    repeat { reactor.turn(waitingAtMost: end - reactor.now) } while reactor.now < end
  }

  private func exchange(
    _ method: HTTPMethod, _ target: String, _ fields: HTTPFields, _ body: [UInt8],
    _ limits: HTTPClientLimits
  ) throws(CommandFailure) -> (status: Int, body: [UInt8]) {
    let socket: SocketID
    do throws(NetworkFailure) {
      socket = try reactor.connect(path: path)
    } catch {
      throw ControlClient.unreachable(path, error)
    }
    var head = HTTPRequest(method, target, fields: ["Host": "vestibule", "Connection": "close"])
    for field in fields.lines { head.fields.append(field.name, field.value) }
    if !body.isEmpty, !head.fields.contains("Content-Type") {
      head.fields.append("Content-Type", "application/json")
    }
    machine = HTTPClientConnection(limits: limits)
    machine.send(head, body: body, now: reactor.now)
    link = .connecting(socket)
    answer = nil
    failure = nil
    isDone = false
    reactor.settle(in: self)
    while !isDone, failure == nil { reactor.turn() }
    switch link {
    case .connecting(let socket), .open(let socket): reactor.close(socket, flushing: false)
    case .closed: break
    }
    link = .closed
    if let failure { throw failure }
    guard let answer else { throw .unreachable("the gateway did not answer; see `journalctl -u vestibule`") }
    return answer
  }

  // MARK: Failures

  static func unreachable(_ path: String, _ failure: NetworkFailure) -> CommandFailure {
    if failure == .notPermitted {
      return .notAllowed("\(path) may not be opened; run as root, or join the group vestibule")
    }
    return .unreachable(
      "no gateway answers at \(path); start vestibuled, or name its socket with --socket or VESTIBULE_SOCKET")
  }

  /// A problem in one line each, with what to do next.
  static func failure(_ status: Int, _ body: [UInt8]) -> CommandFailure {
    guard let problem = try? Problem(reply: body) else {
      return .failed(["the gateway answered \(status) \(HTTPResponse.reason(status))"])
    }
    var line = problem.title
    if let detail = problem.detail { line += ": \(detail)" }
    if let next = problem.next { line += "; \(next)" }
    if status == 401 || status == 403 { return .notAllowed(line) }
    return .failed(problem.errors.map(\.text) + [line])
  }

  // MARK: Resident

  var nextDeadline: Instant? { machine.nextDeadline }

  func advance() {
    machine.advance(now: reactor.now)
    hear()
  }

  func connected(_ stream: SocketID) {
    guard case .connecting(stream) = link else { return }
    link = .open(stream)
    push()
  }

  func drained(_ stream: SocketID) { push() }

  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {
    guard case .open(stream) = link else { return }
    machine.receive(bytes, now: reactor.now)
    hear()
  }

  func closed(_ stream: SocketID, _ failure: NetworkFailure) {
    switch link {
    case .connecting(stream):
      self.failure = ControlClient.unreachable(path, failure)
      link = .closed
    case .open(stream):
      link = .closed
      machine.receivedEnd()
      hear()
      // It ended without a word before any answer.
      isDone = true
    case .connecting, .open, .closed: break
    }
  }

  func received(
    _ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint
  ) {}
  func accepted(_ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?) {}
  func signalled(_ signal: Signal) { failure = .failed(["interrupted"]) }
  func settle() {}

  private var unsent: [UInt8] = []

  private func push() {
    guard case .open(let socket) = link else { return }
    unsent += machine.takeOutput()
    while !unsent.isEmpty {
      let slice = Array(unsent.prefix(64 << 10))
      guard reactor.write(slice.span, on: socket) else { return }
      unsent.removeFirst(slice.count)
    }
  }

  private func hear() {
    while let event = machine.next() {
      switch event {
      case .response(let head): answer = (head.status, [])
      case .body(let data):
        if let whenData, answer?.status == 200 { whenData(data) } else { answer?.body += data }
      case .end: isDone = true
      case .failed(let fault): failure = .unreachable("the gateway did not answer well: \(fault)")
      }
    }
  }
}
