import ICE
import Testing
import Wire

/// Our addresses as servers see them, learnt before anybody calls.
struct MappingTests {
  static let base = ICEBase(
    .udp, local: endpoint("192.0.2.1:8189"), socket: SocketID(Handle(index: 4, generation: 1)))
  static let server = endpoint("203.0.113.1:3478")
  static let mapped = endpoint("198.51.100.9:40000")

  static func flow(_ server: Endpoint = server, socket: SocketID = base.socket) -> Flow {
    Flow(.udp, local: base.local, remote: server, socket: socket)
  }

  static func answer(_ question: [UInt8], _ mapped: Endpoint = mapped) throws -> [UInt8] {
    var writer = STUNWriter()
    writer.begin(.success, STUNMethod.binding, try STUNMessage(parsing: question).transaction)
    writer.add(STUNAttribute.xorMappedAddress, xor: mapped)
    writer.finish()
    return writer.bytes
  }

  @Test func aServerTellsOnceAndIsAskedAgainInTime() throws {
    var mappings = ICEMappings(tag: 77)
    var first = turn(at: 0)
    mappings.ask([Self.server], from: [Self.base], &first)
    let asked = first.out.taken()
    #expect(asked.map(\.flow) == [Self.flow()] && mappings.known.isEmpty)
    let question = try STUNMessage(parsing: asked[0].bytes)
    #expect(question.transaction.high == 77 && question.hasFingerprint(in: asked[0].bytes))
    var second = turn(at: 30)
    let right = try Self.answer(asked[0].bytes)
    // From elsewhere, to another socket, or to another question: not believed.
    #expect(!mappings.receive(right.span, on: Self.flow(endpoint("203.0.113.2:3478")), &second))
    #expect(!mappings.receive(right.span, on: Self.flow(socket: .none), &second))
    var other = right
    other[19] ^= 1
    #expect(!mappings.receive(other.span, on: Self.flow(), &second) && mappings.known.isEmpty)
    #expect(mappings.receive(right.span, on: Self.flow(), &second))
    #expect(
      mappings.known == [ICEMapping(endpoint: Self.mapped, base: Self.base.local, server: Self.server)])
    #expect(!mappings.receive(right.span, on: Self.flow(), &second), "once")
    #expect(mappings.nextDeadline == at(20_030))
    var third = turn(at: 20_030)
    mappings.advance(&third)
    let again = third.out.taken()
    #expect(again.count == 1 && mappings.known.count == 1)
    // The translator was renewed.
    let moved = endpoint("198.51.100.9:41000")
    let news = try Self.answer(again[0].bytes, moved)
    #expect(mappings.receive(news.span, on: Self.flow(), &third))
    #expect(mappings.known.map(\.endpoint) == [moved])
  }

  @Test func aDeadServerIsForgottenAndTriedAgainLater() throws {
    var mappings = ICEMappings(tag: 77)
    var start = turn(at: 0)
    mappings.ask([Self.server], from: [Self.base], &start)
    let asked = start.out.taken()
    let right = try Self.answer(asked[0].bytes)
    #expect(mappings.receive(right.span, on: Self.flow(), &start))
    var sent: [Int64] = []
    while let due = mappings.nextDeadline, due < at(150_000) {
      var turn = Turn(now: due, random: Random(seed: 2))
      mappings.advance(&turn)
      for _ in turn.out.taken() { sent.append((due - at(0)).milliseconds) }
      if due >= at(36_000) { #expect(mappings.known.isEmpty && mappings.isAnySilent) }
    }
    let bursts: [Int64] = [20_000, 20_500, 21_500, 23_500, 27_500]
    #expect(sent == bursts + bursts.map { $0 + 75_500 })
  }

  /// A machine has addresses that lead nowhere: of bridges, and its own loopback.
  @Test func aBaseThatLeadsNowhereDoesNotMakeItsServerDead() throws {
    let (bridge, loopback) = (endpoint("172.17.0.1:8189"), endpoint("127.0.0.1:8189"))
    var mappings = ICEMappings(tag: 1)
    var start = turn(at: 0)
    mappings.ask(
      [Self.server],
      from: [bridge, loopback].map { ICEBase(.udp, local: $0, socket: Self.base.socket) } + [Self.base],
      &start)
    let asked = start.out.taken()
    #expect(asked.map(\.flow.local) == [bridge, Self.base.local])
    // One socket, one server: the question tells which base is answered.
    let right = try Self.answer(asked[1].bytes)
    #expect(mappings.receive(right.span, on: Self.flow(), &start))
    #expect(mappings.known.map(\.base) == [Self.base.local])
    for _ in 0..<5 {
      guard let due = mappings.nextDeadline, due < at(19_000) else { break }
      var turn = Turn(now: due, random: Random(seed: 2))
      mappings.advance(&turn)
    }
    #expect(!mappings.isAnySilent && mappings.known.count == 1)
  }

  @Test func serversOfTheOtherFamilyAndAddressesKnownTwiceAreLeftOut() throws {
    var mappings = ICEMappings(tag: 1)
    var turn = turn(at: 0)
    mappings.ask(
      [Self.server, endpoint("203.0.113.2:3478"), endpoint("[2001:db8::1]:3478"), Self.server],
      from: [Self.base], &turn)
    let asked = turn.out.taken()
    #expect(asked.map(\.flow.remote) == [Self.server, endpoint("203.0.113.2:3478")])
    for one in asked {
      let right = try Self.answer(one.bytes)
      #expect(mappings.receive(right.span, on: Self.flow(one.flow.remote), &turn))
    }
    #expect(mappings.known.count == 1)
    // Names that came to another address: what stays is kept, the rest forgotten.
    mappings.ask([endpoint("203.0.113.2:3478")], from: [Self.base], &turn)
    #expect(mappings.known.map(\.server) == [endpoint("203.0.113.2:3478")])
    let after = turn.out.taken()
    #expect(after.isEmpty)
  }

  @Test func aSessionBeginsWithWhatIsKnownAndKeepsItOverARestart() {
    var configuration = ICEConfiguration(.full, bases: [Self.base])
    configuration.mappings = [
      ICEMapping(endpoint: Self.mapped, base: Self.base.local, server: Self.server),
      // No translator stands before this one.
      ICEMapping(endpoint: Self.base.local, base: Self.base.local, server: Self.server),
    ]
    var turn = turn(at: 0)
    var agent = ICEAgent(configuration, &turn)
    let lines = [
      "candidate:1 1 udp 2130706431 192.0.2.1 8189 typ host",
      "candidate:2 1 udp 1694498815 198.51.100.9 40000 typ srflx raddr 0.0.0.0 rport 0",
    ]
    #expect(agent.localDescription.candidates.map(\.line) == lines)
    agent.gather(&turn)
    #expect(agent.news() == [.gatheringDone] && agent.localDescription.isComplete)
    agent.restart(&turn)
    #expect(agent.localDescription.candidates.map(\.line) == lines && agent.news().isEmpty)
    #expect(turn.out.isEmpty == true)
    configuration = ICEConfiguration(.lite, bases: [Self.base])
    configuration.mappings = [
      ICEMapping(endpoint: Self.mapped, base: Self.base.local, server: Self.server)
    ]
    #expect(ICEAgent(configuration, &turn).localDescription.candidates.map(\.kind) == [.host])
  }
}
