import Testing
import Wire

@testable import SIP

/// A gate whose answer the test sets.
final class TestGate: Gatekeeper {
  var decision = GateDecision.admit(.account("alice", credential: 1))
  var isDeaf = false
  var hosts: Set<String> = ["vestibule.local", "192.0.2.1"]

  func hears(_ request: Message, on flow: Flow, _ turn: inout Turn) -> Bool { !isDeaf }
  func serves(_ uri: URI, on flow: Flow) -> Bool { hosts.contains(uri.host) }
  func decide(_ request: Message, on flow: Flow, _ turn: inout Turn) -> GateDecision { decision }
}

/// One agent, made-up time, and everything it sends and says, as a script sees it.
final class Desk {
  struct Sent {
    var message: Message
    var flow: Flow
    var token: UInt64
    var bytes: [UInt8]
    var text: String { String(decoding: bytes, as: UTF8.self) }
    /// `200 INVITE` for a response, `BYE` for a request.
    var line: String { message.isRequest ? message.method.text : "\(message.status) \(message.method.text)" }
  }

  static let here = Endpoint(IPAddress(v4: 0xC000_0201), port: 5060)  // 192.0.2.1
  static let peer = Endpoint(IPAddress(v4: 0xC000_0264), port: 5060)  // 192.0.2.100
  static let stranger = Endpoint(IPAddress(v4: 0xC633_6407), port: 5060)  // 198.51.100.7
  static let udpSocket = SocketID(Handle(index: 1, generation: 1))
  static let streamSocket = SocketID(Handle(index: 9, generation: 1))

  let gate = TestGate()
  let agent: Agent
  private(set) var now = Instant(nanoseconds: 1_000_000_000)
  private var random: Random
  var events: [AgentEvent] = []
  /// The script sends what cannot be read, and gets answers to it.
  var takesDamaged = false

  init(seed: UInt64 = 1, _ change: (inout AgentConfiguration) -> Void = { _ in }) {
    var configuration = AgentConfiguration(
      domain: "vestibule.local",
      locals: [
        LocalEndpoint(.udp, Desk.here, socket: Desk.udpSocket), LocalEndpoint(.tcp, Desk.here),
        LocalEndpoint(.tls, Endpoint(Desk.here.address, port: 5061)),
      ])
    change(&configuration)
    random = Random(seed: seed)
    agent = Agent(configuration: configuration, gate: gate, now: now)
  }

  static func flow(
    _ transport: TransportKind = .udp, from remote: Endpoint = peer, socket: SocketID? = nil
  ) -> Flow {
    Flow(
      transport, local: here, remote: remote, socket: socket ?? (transport == .udp ? udpSocket : streamSocket)
    )
  }

  /// One turn; what was sent in it.
  @discardableResult
  func turn(_ body: (Agent, inout Turn) -> Void) -> [Sent] {
    var turn = Turn(now: now, random: random)
    body(agent, &turn)
    random = turn.random
    while let event = agent.next() { events.append(event) }
    return turn.out.entries.compactMap { entry in
      let bytes = Array(turn.out.bytes[entry.range])
      // Everything we send must be something we would take.
      do {
        let message = try Message(parsing: bytes, framing: .stream)
        return Sent(message: message, flow: entry.flow, token: entry.token, bytes: bytes)
      } catch {
        // The answer to a request without the fields that every answer copies.
        if takesDamaged, bytes.starts(with: Array("SIP/2.0 ".utf8)) { return nil }
        fatalError("sent what cannot be read: \(error)\n\(String(decoding: bytes, as: UTF8.self))")
      }
    }
  }

  /// A message from a peer, its lines written with line feeds.
  @discardableResult
  func receive(_ text: String, on flow: Flow = Desk.flow()) -> [Sent] {
    receive(Desk.bytes(text), on: flow)
  }
  @discardableResult
  func receive(_ bytes: [UInt8], on flow: Flow = Desk.flow()) -> [Sent] {
    turn { agent, turn in agent.receive(bytes.span, on: flow, &turn) }
  }

  /// Lets time pass, stopping wherever the agent wants to.
  @discardableResult
  func wait(_ interval: Interval) -> [Sent] {
    let end = now + interval
    var sent: [Sent] = []
    while let deadline = agent.nextDeadline, deadline <= end {
      now = max(now, deadline)
      sent += turn { $0.advance(&$1) }
    }
    now = end
    sent += turn { $0.advance(&$1) }
    return sent
  }

  /// Takes the events so far.
  func take() -> [AgentEvent] {
    defer { events = [] }
    return events
  }

  /// Bytes with CRLF line ends and a Content-Length that fits.
  static func bytes(_ text: String) -> [UInt8] {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    let blank = lines.firstIndex(of: "") ?? lines.count
    let body = lines.dropFirst(blank + 1).map { $0 + "\r\n" }.joined()
    var head = lines[..<blank].map { $0 + "\r\n" }.joined()
    head += "Content-Length: \(body.utf8.count)\r\n\r\n"
    return Array((head + body).utf8)
  }
}

extension [Desk.Sent] {
  var lines: [String] { map(\.line) }
}

extension AgentEvent {
  /// A word for the script.
  var word: String {
    switch self {
    case .request(_, let message, _, _): "request \(message.method.text)"
    case .response(_, let message): "response \(message.status)"
    case .unanswered(_, let why): "unanswered \(why)"
    case .invited: "invited"
    case .progressed(_, let status, _, _): "progressed \(status)"
    case .answered: "answered"
    case .refused(_, let status, _): "refused \(status)"
    case .cancelled(_, let reason): "cancelled \(reason?.cause ?? 0)"
    case .confirmed: "confirmed"
    case .offered(_, let body): body == nil ? "asked for an offer" : "offered"
    case .offerAccepted: "offer accepted"
    case .offerRefused(_, let status): "offer refused \(status)"
    case .informed: "informed"
    case .transferRequested: "transfer requested"
    case .ended(_, let ending): "ended \(ending)"
    case .resolve: "resolve"
    case .mistake: "mistake"
    }
  }
  var session: SessionID? {
    switch self {
    case .invited(let id, _, _, _), .progressed(let id, _, _, _), .answered(let id, _, _),
      .refused(let id, _, _),
      .cancelled(let id, _), .confirmed(let id, _), .offered(let id, _), .offerAccepted(let id, _),
      .offerRefused(let id, _), .informed(let id, _, _), .transferRequested(let id, _, _, _),
      .ended(let id, _):
      id
    case .request, .response, .unanswered, .resolve, .mistake: nil
    }
  }
}

extension [AgentEvent] {
  var words: [String] { map(\.word) }
}
