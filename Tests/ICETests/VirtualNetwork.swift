import ICE
import Testing
import Wire

/// How a translator maps and filters (RFC 4787).
enum TranslatorKind: CaseIterable, Sendable {
  case fullCone, addressRestricted, portRestricted, symmetric

  var mapsByPeer: Bool { self == .symmetric }
}

/// A network address translator of a home.
final class Translator {
  let kind: TranslatorKind
  let outside: IPAddress
  private var nextPort: UInt16 = 20_000
  private var mappings: [(inside: Endpoint, peer: Endpoint?, port: UInt16, sentTo: [Endpoint])] = []

  init(_ kind: TranslatorKind, outside: IPAddress) {
    self.kind = kind
    self.outside = outside
  }

  func leave(from inside: Endpoint, to peer: Endpoint) -> Endpoint {
    let key = kind.mapsByPeer ? peer : nil
    if let known = mappings.firstIndex(where: { $0.inside == inside && $0.peer == key }) {
      if !mappings[known].sentTo.contains(peer) { mappings[known].sentTo.append(peer) }
      return Endpoint(outside, port: mappings[known].port)
    }
    nextPort += 7
    mappings.append((inside, key, nextPort, [peer]))
    return Endpoint(outside, port: nextPort)
  }

  func enter(port: UInt16, from peer: Endpoint) -> Endpoint? {
    guard let mapping = mappings.first(where: { $0.port == port }) else { return nil }
    let isLetIn =
      switch kind {
      case .fullCone: true
      case .addressRestricted: mapping.sentTo.contains { $0.address == peer.address }
      case .portRestricted, .symmetric: mapping.sentTo.contains(peer)
      }
    return isLetIn ? mapping.inside : nil
  }

  /// The home's line was renewed: every mapping is gone.
  func forget() { mappings.removeAll() }
}

/// Something that takes datagrams at addresses.
protocol Station: AnyObject {
  func owns(_ address: IPAddress) -> Bool
  func receive(_ datagram: [UInt8], from: Endpoint, to: Endpoint, _ network: VirtualNetwork)
}

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
    network.players.append(self)
  }

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

/// A small internet on made-up time: homes behind translators, servers, loss, delay and reordering, all from a seed.
final class VirtualNetwork {
  private(set) var now = at(0)
  var random: Random
  /// Of 1000.
  var loss: UInt64 = 0
  var delay = Interval.milliseconds(10)
  var jitter = Interval.zero
  /// How long a word between the players takes, by another way.
  var signalling = Interval.milliseconds(30)
  var stations: [any Station] = []
  var players: [Player] = []
  var translators: [Translator] = []
  /// Looks at every datagram that leaves; false drops it.
  var censor: ((_ datagram: [UInt8], _ from: Endpoint, _ to: Endpoint) -> Bool)?
  private(set) var sent = 0
  private var queue: [(time: Instant, order: Int, work: () -> Void)] = []
  private var order = 0

  init(seed: UInt64) { random = Random(seed: seed) }

  func translator(_ kind: TranslatorKind, _ outside: String) -> Translator {
    let one = Translator(kind, outside: endpoint(outside + ":1").address)
    translators.append(one)
    return one
  }

  func later(_ interval: Interval, _ work: @escaping () -> Void) {
    order += 1
    let item = (time: now + interval, order: order, work: work)
    let place = queue.firstIndex { ($0.time, $0.order) > (item.time, item.order) } ?? queue.count
    queue.insert(item, at: place)
  }

  func send(_ datagram: [UInt8], from: Endpoint, to: Endpoint, through home: Translator?) {
    sent += 1
    guard censor?(datagram, from, to) ?? true, random.below(1000) >= loss else { return }
    let wait = delay + .nanoseconds(Int64(random.below(UInt64(jitter.nanoseconds) + 1)))
    // Neighbours in one home reach one another directly.
    if let neighbour = stations.first(where: { $0.owns(to.address) }),
      (neighbour as? Player)?.translator === home || (neighbour as? Player)?.translator == nil
    {
      let isNeighbour = home != nil && (neighbour as? Player)?.translator === home
      let source = isNeighbour ? from : home?.leave(from: from, to: to) ?? from
      later(wait) { neighbour.receive(datagram, from: source, to: to, self) }
      return
    }
    let source = home?.leave(from: from, to: to) ?? from
    guard let other = translators.first(where: { $0.outside == to.address }) else { return }
    later(wait) {
      guard let inside = other.enter(port: to.port, from: source),
        let owner = self.players.first(where: { $0.owns(inside.address) && $0.translator === other })
      else { return }
      owner.receive(datagram, from: source, to: inside, self)
    }
  }

  /// Lets `milliseconds` pass, or stops when `done` holds.
  func run(_ milliseconds: Int64, until done: () -> Bool = { false }) {
    let end = now + .milliseconds(milliseconds)
    var steps = 0
    while !done() {
      let due = players.compactMap { $0.isDead ? nil : $0.agent.nextDeadline }.min()
      let next = min(queue.first?.time ?? end, max(due ?? end, now))
      guard next < end else { break }
      steps += next > now ? 0 : 1
      precondition(steps < 100_000, "time stands still")
      if next > now { steps = 0 }
      now = next
      if let first = queue.first, first.time <= now {
        queue.removeFirst()
        first.work()
      } else {
        for player in players where !player.isDead {
          if let deadline = player.agent.nextDeadline, deadline <= now { player.step { $0.advance(&$1) } }
        }
      }
    }
    if !done() { now = end }
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
