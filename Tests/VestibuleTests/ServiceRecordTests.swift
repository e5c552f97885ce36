import Glibc
import Reactor
import SIP
import Testing
import Wire

/// Calls `sip:panel@domain` and nothing more: who that is must be found out.
private final class Inquirer: Resident, Gatekeeper {
  let world: any World
  let signalling: SocketID
  private(set) var answered = false
  private(set) var refused: Int?
  private(set) var queries: [NameQuery] = []
  private var agent: Agent?
  private var random: Random
  private let patience: Instant

  var isOver: Bool { answered || refused != nil || patience <= world.now }

  init(world: any World) throws {
    self.world = world
    random = world.makeRandom()
    patience = world.now + .seconds(20)
    signalling = try world.openDatagram(Endpoint(.loopbackV4, port: 0), DatagramOptions())
    let local = try #require(world.local(of: signalling))
    agent = Agent(
      configuration: AgentConfiguration(
        domain: "gate.test", locals: [LocalEndpoint(.udp, local, socket: signalling)]),
      gate: self, now: world.now)
  }

  func call(_ domain: String) throws {
    let target = try #require(URI("sip:panel@\(domain)"))
    let offer =
      "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"
    act { agent, turn in
      _ = agent.invite(
        OutgoingInvitation(
          from: NameAddress(display: "Entrance", URI(user: "gate", host: "gate.test")),
          to: NameAddress(target), destination: Destination(uri: target), body: .sdp(Array(offer.utf8))),
        &turn)
    }
  }

  private func act(_ step: (Agent, inout Turn) -> Void) {
    guard let agent else { return }
    var turn = Turn(now: world.now, random: random)
    step(agent, &turn)
    random = turn.random
    let bytes = turn.out.bytes
    for entry in turn.out.entries {
      let message = Array(bytes[entry.range])
      world.send(message.span, on: signalling, to: entry.flow.remote, from: nil)
    }
    while let event = agent.next() {
      switch event {
      case .resolve(let ticket, let query):
        queries.append(query)
        world.resolve(query) { [weak self] names in
          self?.act { agent, turn in agent.resolved(ticket, names, &turn) }
        }
      case .answered(let session, _, _):
        answered = true
        act { agent, turn in agent.hangUp(session, &turn) }
      case .refused(_, let status, _): refused = status
      default: break
      }
    }
  }

  func serves(_ uri: URI, on flow: Flow) -> Bool { true }
  func decide(_ request: Message, on flow: Flow, _ turn: inout Turn) -> GateDecision {
    .refuse(status: 403, headers: [])
  }

  func received(_ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint) {
    let flow = Flow(.udp, local: local, remote: remote, socket: socket)
    act { agent, turn in agent.receive(datagram, on: flow, &turn) }
  }
  func advance() { act { agent, turn in agent.advance(&turn) } }
  var nextDeadline: Instant? { .earlier(agent?.nextDeadline, patience) }
  func signalled(_ signal: Signal) {}
  func accepted(_ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?) {}
  func connected(_ stream: SocketID) {}
  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {}
  func drained(_ stream: SocketID) {}
  func closed(_ stream: SocketID, _ failure: NetworkFailure) {}
  func settle() {}
}

/// With a name server and a telephone of their own: `board/peers/names.py` runs this where it has made both.
struct ServiceRecordTests {
  static let domain: String? = unsafe getenv("VESTIBULE_SRV_DOMAIN").map { unsafe String(cString: $0) }

  /// The real resolver, the real socket: made-up answers are tested with the agent.
  @Test(.enabled(if: domain != nil)) func aCallFindsItsDomainByTheServiceRecord() throws {
    let domain = try #require(Self.domain)
    let reactor = Reactor()
    let inquirer = try Inquirer(world: reactor)
    reactor.settle(in: inquirer)
    try inquirer.call(domain)
    while !inquirer.isOver { reactor.turn() }
    // What the end of the call says leaves with a turn of its own.
    reactor.turn(waitingAtMost: .zero)
    #expect(inquirer.answered)
    #expect(inquirer.refused == nil)
    #expect(inquirer.queries.first == .service(name: "_sip._udp.\(domain)"))
    reactor.retire()
  }
}
