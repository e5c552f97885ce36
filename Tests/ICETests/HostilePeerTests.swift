import ICE
import SimulatedHomes
import Testing
import Wire

/// Peers that want to make us work, or lie.
struct HostilePeerTests {
  static func agent(remote: ICEDescription? = nil) -> ICEAgent {
    var start = turn(at: 0)
    let base = ICEBase(
      .udp, local: endpoint("192.0.2.1:8189"), socket: SocketID(Handle(index: 0, generation: 1)))
    var agent = ICEAgent(ICEConfiguration(.full, role: .controlling, bases: [base]), &start)
    agent.setRemote(remote ?? ICEDescription(credentials: StreamTests.theirs), &start)
    return agent
  }

  @Test func tenThousandCandidatesCostNothing() {
    var agent = Self.agent()
    var turn = turn(at: 0)
    for number in 0..<10_000 {
      agent.addRemote(
        Candidate(
          foundation: "1", priority: UInt32(number),
          endpoint: Endpoint(IPAddress(v4: 0xC633_6401), port: UInt16(number + 1)),
          kind: .host), &turn)
    }
    #expect(agent.counters.skipped == 10_000 - agent.configuration.remoteLimit)
    // Whoever is made to send checks at others gets a slow gun with few bullets.
    var sent = turn.out.taken().count
    while let deadline = agent.nextDeadline {
      var turn = Turn(now: deadline, random: Random(seed: 1))
      agent.advance(&turn)
      sent += turn.out.taken().count
    }
    #expect(sent <= agent.configuration.remoteLimit * agent.configuration.transmissions)
    #expect(agent.news().contains(.failed))
  }

  @Test func candidatesOfNoUseAreSkipped() {
    var agent = Self.agent()
    var turn = turn(at: 0)
    let bad = [
      "0.0.0.0:5", "192.0.2.9:0", "224.0.0.1:5", "255.255.255.255:5", "[::]:5", "[ff02::1]:5",
    ]
    for text in bad {
      agent.addRemote(Candidate(foundation: "1", priority: 5, endpoint: endpoint(text), kind: .host), &turn)
    }
    agent.addRemote(
      Candidate(foundation: "1", component: 2, priority: 5, endpoint: endpoint("192.0.2.9:5"), kind: .host),
      &turn)
    for transport in [CandidateTransport.tcpActive, .tcpPassive, .tcpSimultaneous] {
      agent.addRemote(
        Candidate(
          foundation: "1", transport: transport, priority: 5, endpoint: endpoint("192.0.2.9:9"), kind: .host),
        &turn)
    }
    #expect(agent.counters.skipped == bad.count + 4)
    // These are kept, and have nobody to speak to: loopback, another family, another scope.
    for text in ["127.0.0.1:5", "[2001:db8::5]:5", "[fe80::1]:5"] {
      agent.addRemote(Candidate(foundation: "1", priority: 5, endpoint: endpoint(text), kind: .host), &turn)
    }
    #expect(turn.out.isEmpty == true)
  }

  @Test func aPeerWithManyPortsIsHeardAndBounded() {
    var agent = Self.agent()
    var browser = Browser(of: agent)
    var answers = 0
    for port in 1...2000 {
      var turn = turn(at: Int64(port))
      _ = agent.receive(
        browser.check(controlling: false), on: udp("192.0.2.1:8189", "198.51.100.1:\(port)"), &turn)
      answers += turn.out.taken().count { $0.bytes[0] == 1 }
    }
    #expect(answers == 2000)
    var later = turn(at: 5000)
    agent.advance(&later)
    // Each check of ours waits for its turn.
    #expect(later.out.taken().count <= agent.configuration.pairLimit)
  }

  @Test func answersThatProveNothingChangeNothing() throws {
    let candidate = Candidate(
      foundation: "1", priority: 5, endpoint: endpoint("198.51.100.7:5000"), kind: .host)
    var agent = Self.agent(remote: ICEDescription(credentials: StreamTests.theirs, candidates: [candidate]))
    var turn = turn(at: 1)
    agent.addRemote(
      Candidate(foundation: "2", priority: 4, endpoint: endpoint("198.51.100.8:5000"), kind: .host), &turn)
    var later = laterTurn(at: 60)
    agent.advance(&later)
    let check = try #require((turn.out.taken() + later.out.taken()).first)
    let message = try STUNMessage(parsing: check.bytes)
    func reply(_ key: [UInt8], _ transaction: STUNTransactionID, kind: STUNClass = .success) -> [UInt8] {
      var writer = STUNWriter()
      writer.begin(kind, STUNMethod.binding, transaction)
      if kind == .failure { writer.addError(487, "Role Conflict") }
      writer.add(STUNAttribute.xorMappedAddress, xor: endpoint("192.0.2.1:8189"))
      writer.seal(key: key)
      return writer.bytes
    }
    let right = StreamTests.theirs.password
    var other = message.transaction
    other.low ^= 1
    var unsigned = STUNWriter()
    unsigned.begin(.success, STUNMethod.binding, message.transaction)
    unsigned.add(STUNAttribute.xorMappedAddress, xor: endpoint("192.0.2.1:8189"))
    unsigned.addFingerprint()
    for lie in [
      reply(right + [1], message.transaction), reply(right, other), unsigned.bytes,
      reply(right + [1], message.transaction, kind: .failure),
      reply(agent.credentials.password, message.transaction),
    ] {
      #expect(agent.receive(lie, on: check.flow, &later) == .ignored)
    }
    #expect(agent.news().isEmpty && agent.role == .controlling)
    _ = agent.receive(reply(right, message.transaction), on: check.flow, &later)
    #expect(agent.news().contains(.connected))
    // Once more: nobody waits for it now.
    #expect(agent.receive(reply(right, message.transaction), on: check.flow, &later) == .ignored)
  }

  private func laterTurn(at milliseconds: Int64) -> Turn { turn(at: milliseconds, seed: 2) }

  @Test func aDeadPairHoldsUpNoOtherOfItsFoundation() {
    let candidates = (1...2).map {
      Candidate(foundation: "1", priority: 9 - $0, endpoint: endpoint("198.51.100.\($0):5000"), kind: .host)
    }
    var agent = Self.agent(remote: ICEDescription(credentials: StreamTests.theirs, candidates: candidates))
    var reached: [Endpoint] = []
    for milliseconds in stride(from: 1, to: 1000, by: 10) as StrideTo<Int64> {
      var turn = turn(at: milliseconds)
      agent.advance(&turn)
      reached += turn.out.taken().map(\.flow.remote)
    }
    #expect(reached.contains(candidates[0].endpoint) && reached.contains(candidates[1].endpoint))
  }

  @Test func anAnswerFromElsewhereFailsThePair() throws {
    let candidate = Candidate(
      foundation: "1", priority: 5, endpoint: endpoint("198.51.100.7:5000"), kind: .host)
    var agent = Self.agent()
    var turn = turn(at: 1)
    agent.addRemote(candidate, &turn)
    let check = try #require(turn.out.taken().first)
    let answer = try StreamTests.answer(check.bytes, from: check.flow.local)
    _ = agent.receive(answer, on: udp("192.0.2.1:8189", "198.51.100.66:6"), &turn)
    #expect(agent.news().isEmpty && agent.selected == nil)
  }

  @Test func anAggressivePeerIsTolerated() {
    // Every check nominates; the best pair wins, as RFC 5245 had it.
    let network = VirtualNetwork(seed: 3)
    let b = Player("B", network, at: ["192.0.2.1:1", "192.0.2.2:1"], .full, .controlled)
    var browser = Browser(of: b.agent)
    let paths = [
      udp("192.0.2.2:1", "198.51.100.1:9", socket: 1), udp("192.0.2.1:1", "198.51.100.1:9", socket: 0),
    ]
    b.step { $0.setRemote(ICEDescription(credentials: StreamTests.theirs, isComplete: true), &$1) }
    for flow in paths {
      let check = browser.check(nominating: true, priority: 1_845_501_695)
      network.run(100)
      var turn = Turn(now: network.now, random: Random(seed: 1))
      _ = b.agent.receive(check, on: flow, &turn)
      for sent in turn.out.taken() {
        guard let message = try? STUNMessage(parsing: sent.bytes), message.kind == .request,
          let answer = try? StreamTests.answer(sent.bytes, from: sent.flow.local)
        else { continue }
        _ = b.agent.receive(answer, on: sent.flow, &turn)
      }
    }
    #expect(b.agent.selected == ICEPath(paths[1]))
    #expect(b.agent.news().count { if case .selected = $0 { true } else { false } } == 2)
  }
}
