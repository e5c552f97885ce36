import ICE
import SimulatedHomes
import Testing
import Wire

/// An agent in its home.
final class Player: Station {
  let name: String
  var agent: ICEAgent
  let addresses: [IPAddress]
  let translator: Translator?
  unowned let network: VirtualNetwork
  var events: [(Instant, ICEEvent)] = []
  var payloads: [[UInt8]] = []
  var ignored = 0
  /// Whom candidates are told.
  weak var other: Player?
  var isDead = false
  var deadline: Instant? { isDead ? nil : agent.nextDeadline }

  init(
    _ name: String, _ network: VirtualNetwork, at addresses: [String], behind translator: Translator? = nil,
    _ mode: ICEMode, _ role: ICERole, servers: [ICEServer] = [],
    tune: (inout ICEConfiguration) -> Void = { _ in }
  ) {
    self.name = name
    self.network = network
    self.translator = translator
    self.addresses = addresses.map { endpoint($0).address }
    var bases: [ICEBase] = []
    for (index, text) in addresses.enumerated() {
      let socket = SocketID(Handle(index: UInt32(index), generation: 1))
      bases.append(ICEBase(.udp, local: endpoint(text), socket: socket, asksServers: true))
    }
    var configuration = ICEConfiguration(mode, role: role, bases: bases, servers: servers, tag: 7)
    tune(&configuration)
    var turn = Turn(now: network.now, random: network.random.fork())
    agent = ICEAgent(configuration, &turn)
    network.stations.append(self)
  }

  func advance() { step { $0.advance(&$1) } }
  func owns(_ address: IPAddress) -> Bool { addresses.contains(address) }

  /// Runs a step of the agent and carries out what it asks for.
  func step(_ body: (inout ICEAgent, inout Turn) -> Void) {
    var turn = Turn(now: network.now, random: network.random.fork())
    body(&agent, &turn)
    for message in turn.out.taken() where !isDead {
      network.send(message.bytes, from: message.flow.local, to: message.flow.remote, through: translator)
    }
    while let event = agent.next() {
      events.append((network.now, event))
      guard let other else { continue }
      switch event {
      case .candidate(let candidate):
        let line = candidate.line
        network.later(network.signalling) {
          other.step { agent, turn in
            guard let told = try? Candidate(line: line) else { return }
            agent.addRemote(told, &turn)
          }
        }
      case .gatheringDone:
        network.later(network.signalling) { other.step { $0.endOfCandidates(&$1) } }
      default: break
      }
    }
  }

  func receive(_ datagram: [UInt8], from: Endpoint, to: Endpoint, _ network: VirtualNetwork) {
    guard !isDead, let place = addresses.firstIndex(of: to.address) else { return }
    let flow = Flow(
      .udp, local: to, remote: from, socket: SocketID(Handle(index: UInt32(place), generation: 1)))
    step { agent, turn in
      switch agent.receive(datagram, on: flow, &turn) {
      case .payload(let range, _): payloads.append(Array(datagram[range]))
      case .ignored: ignored += 1
      case .consumed: break
      }
    }
  }

  func say(_ payload: [UInt8]) { step { $0.send(payload.span, &$1) } }

  func told(_ event: ICEEvent) -> Bool { events.contains { $0.1 == event } }
  func count(_ event: ICEEvent) -> Int { events.count { $0.1 == event } }
}

/// Words by another way.
extension VirtualNetwork {
  func translator(_ kind: TranslatorKind, _ outside: String) -> Translator {
    translator(kind, endpoint(outside + ":1").address)
  }

  /// Tells both what the other said in offer and answer, and starts gathering; candidates trickle.
  func introduce(_ a: Player, _ b: Player) {
    a.other = b
    b.other = a
    let offer = a.agent.localDescription
    a.step { $0.gather(&$1) }
    later(signalling) {
      let answer = b.agent.localDescription
      b.step { agent, turn in
        agent.setRemote(offer, &turn)
        agent.gather(&turn)
      }
      self.later(self.signalling) { a.step { $0.setRemote(answer, &$1) } }
    }
  }
}

extension RelayServer {
  convenience init(_ network: VirtualNetwork, _ address: String) {
    self.init(network, IPAddress(address)!)
  }
}

/// What both ends must be able to do at the end of a test.
func expectTalk(_ a: Player, _ b: Player, _ network: VirtualNetwork, _ note: String = "") {
  network.loss = 0
  let (hello, world): ([UInt8], [UInt8]) = ([22, 1, 2, 3], [128, 0, 9, 8, 7])
  (a.payloads, b.payloads) = ([], [])
  a.say(hello)
  b.say(world)
  network.run(500)
  #expect(b.payloads == [hello], "\(a.name) to \(b.name) \(note)")
  #expect(a.payloads == [world], "\(b.name) to \(a.name) \(note)")
}
