import ICE
import Testing
import Wire

/// What a browser would send to a lite agent.
struct Browser {
  var fragment = Array("brow".utf8)
  var password: [UInt8]
  var to: [UInt8]
  var number: UInt64 = 0

  init(of agent: ICEAgent) {
    password = agent.localDescription.credentials.password
    to = agent.localDescription.credentials.fragment
  }

  mutating func check(
    nominating: Bool = false, controlling: Bool = true, priority: UInt32? = 1_862_270_975,
    change: (inout STUNWriter) -> Void = { _ in }
  ) -> [UInt8] {
    number += 1
    var writer = STUNWriter()
    writer.begin(.request, STUNMethod.binding, STUNTransactionID(high: 0xB0B, low: number))
    writer.addUsername(to, fragment)
    writer.add(0xC057, word: 999)
    if nominating { writer.addFlag(STUNAttribute.useCandidate) }
    writer.add(controlling ? STUNAttribute.iceControlling : STUNAttribute.iceControlled, double: 77)
    if let priority { writer.add(STUNAttribute.priority, word: priority) }
    change(&writer)
    writer.seal(key: password)
    return writer.bytes
  }
}

struct LiteTests {
  let flow = udp("192.0.2.1:8189", "198.51.100.7:5000")

  static func agent(facingLite: LitePeerPolicy = .fails) -> ICEAgent {
    var turn = turn(at: 0)
    let base = ICEBase(
      .udp, local: endpoint("192.0.2.1:8189"), socket: SocketID(Handle(index: 0, generation: 1)))
    var configuration = ICEConfiguration(.lite, bases: [base])
    configuration.facingLite = facingLite
    return ICEAgent(configuration, &turn)
  }

  /// The one answer in the outbox, its integrity checked.
  func answer(_ turn: inout Turn, key: [UInt8]) throws -> (message: STUNMessage, bytes: [UInt8], flow: Flow) {
    let sent = turn.out.taken()
    #expect(sent.count == 1)
    let one = try #require(sent.first)
    let message = try STUNMessage(parsing: one.bytes)
    #expect(message.hasIntegrity(key: key, in: one.bytes.span) && message.hasFingerprint(in: one.bytes.span))
    return (message, one.bytes, one.flow)
  }

  @Test func besideAnotherLiteOneItFailsAndWaitsForNothing() {
    var agent = Self.agent()
    var turn = turn(at: 1)
    agent.setRemote(ICEDescription(credentials: StreamTests.theirs, candidates: [], isLite: true), &turn)
    #expect(agent.news() == [.failed])
    #expect(agent.nextDeadline == nil)
  }

  @Test func besideAnotherLiteOneItChecksWhereItMay() throws {
    var agent = Self.agent(facingLite: .checks)
    var turn = turn(at: 1)
    #expect(agent.localDescription.isLite && agent.role == .controlled)
    let theirs = try Candidate(line: "candidate:1 1 udp 2130706431 198.51.100.7 5000 typ host")
    agent.setRemote(
      ICEDescription(credentials: StreamTests.theirs, candidates: [theirs], isLite: true, isComplete: true),
      &turn)
    #expect(agent.news().isEmpty && agent.role == .controlling)
    let sent = turn.out.taken()
    let check = try #require(sent.first)
    #expect(sent.count == 1 && check.flow == flow)
    #expect(try STUNMessage(parsing: check.bytes).kind == .request)
  }

  @Test func ofItselfItSaysNothingHoweverLongItWaits() throws {
    for facingLite in [LitePeerPolicy.fails, .checks] {
      var agent = Self.agent(facingLite: facingLite)
      var browser = Browser(of: agent)
      var start = turn(at: 0)
      agent.gather(&start)
      let candidates = try ["192.0.2.9", "198.51.100.7"].map {
        try Candidate(line: "candidate:1 1 udp 2130706431 \($0) 5000 typ host")
      }
      agent.setRemote(ICEDescription(credentials: StreamTests.theirs, candidates: candidates), &start)
      for candidate in candidates { agent.addRemote(candidate, &start) }
      agent.endOfCandidates(&start)
      #expect(start.out.entries.isEmpty)
      for second in Int64(1)...60 {
        var turn = turn(at: second * 1000)
        agent.advance(&turn)
        #expect(turn.out.entries.isEmpty)
        guard second < 25 else { continue }
        _ = agent.receive(browser.check(nominating: second == 1), on: flow, &turn)
        #expect(turn.out.taken().count == 1, "the answer alone")
      }
    }
  }

  @Test func itSaysWhatItIs() {
    let said = Self.agent().localDescription
    #expect(said.isLite && said.isComplete)
    #expect(said.candidates.map(\.line) == ["candidate:1 1 udp 2130706431 192.0.2.1 8189 typ host"])
  }

  @Test func aCheckIsAnsweredAtOnceWithTheAddressItCameFrom() throws {
    var agent = Self.agent()
    var browser = Browser(of: agent)
    var turn = turn(at: 0)
    #expect(agent.receive(browser.check(), on: flow, &turn) == .consumed)
    let (message, bytes, back) = try answer(&turn, key: browser.password)
    #expect(message.kind == .success && message.transaction.low == 1 && back == flow)
    #expect(message.mapped(in: bytes) == flow.remote)
    #expect(agent.news() == [.validated(flow), .selected(ICEPath(flow)), .connected])
    #expect(agent.isValidated(flow) && agent.selected == ICEPath(flow))
    #expect(agent.receive([22, 254, 253, 0], on: flow, &turn) == .payload(0..<4, ICEPath(flow)))
  }

  @Test func strangersHearNothing() {
    var agent = Self.agent()
    var turn = turn(at: 0)
    var wrongPassword = Browser(of: agent)
    wrongPassword.password[3] ^= 1
    var wrongFragment = Browser(of: agent)
    wrongFragment.to[0] ^= 1
    var browser = Browser(of: agent)
    var plain = STUNWriter()
    plain.begin(.request, STUNMethod.binding, STUNTransactionID(high: 1, low: 1))
    plain.addFingerprint()
    for datagram in [
      wrongPassword.check(), wrongFragment.check(), plain.bytes, Array(browser.check().dropLast(8)), [], [0],
      [0, 1],
      STUNTests.request, STUNTests.answerV4, bytes("4000000400000000"),
    ] {
      #expect(agent.receive(datagram, on: flow, &turn) == .ignored)
    }
    #expect(agent.receive([22, 254, 253, 0], on: flow, &turn) == .ignored)
    #expect(agent.receive([128, 0, 0, 0], on: flow, &turn) == .ignored)
    #expect(turn.out.isEmpty && agent.news().isEmpty && agent.selected == nil)
    #expect(agent.counters.foreign == 2 && agent.counters.answered == 0 && agent.nextDeadline == nil)
  }

  @Test func onlyTheValidatedAddressMaySpeak() {
    var agent = Self.agent()
    var browser = Browser(of: agent)
    var turn = turn(at: 0)
    _ = agent.receive(browser.check(nominating: true), on: flow, &turn)
    for other in [
      udp("192.0.2.1:8189", "198.51.100.7:5001"), udp("192.0.2.1:8189", "198.51.100.8:5000"),
      udp("192.0.2.2:8189", "198.51.100.7:5000"),
    ] {
      #expect(agent.receive([22, 254, 253, 0], on: other, &turn) == .ignored)
    }
  }

  @Test func aPeerThatIsControlledMustChange() throws {
    var agent = Self.agent()
    var browser = Browser(of: agent)
    var turn = turn(at: 0)
    _ = agent.receive(browser.check(controlling: false), on: flow, &turn)
    let (message, bytes, _) = try answer(&turn, key: browser.password)
    #expect(message.kind == .failure && message.errorCode(in: bytes) == 487)
    #expect(agent.news().isEmpty && agent.role == .controlled)
  }

  @Test func whatItDoesNotUnderstandIsNamed() throws {
    var agent = Self.agent()
    var browser = Browser(of: agent)
    var turn = turn(at: 0)
    _ = agent.receive(browser.check { $0.add(0x7ABC, word: 1) }, on: flow, &turn)
    var (message, bytes, _) = try answer(&turn, key: browser.password)
    #expect(message.errorCode(in: bytes) == 420)
    #expect(bytes.indices.contains { bytes[$0...].starts(with: [0, 0x0A, 0, 2, 0x7A, 0xBC]) })
    _ = agent.receive(browser.check(priority: nil), on: flow, &turn)
    (message, bytes, _) = try answer(&turn, key: browser.password)
    #expect(message.errorCode(in: bytes) == 400)
    #expect(agent.selected == nil)
  }

  @Test func theNominatedPathIsUsed() {
    var agent = Self.agent()
    var browser = Browser(of: agent)
    var turn = turn(at: 0)
    let other = udp("192.0.2.1:8189", "203.0.113.9:6000")
    _ = agent.receive(browser.check(), on: flow, &turn)
    _ = agent.receive(browser.check(), on: other, &turn)
    #expect(agent.selected == ICEPath(flow))
    _ = agent.receive(browser.check(nominating: true), on: other, &turn)
    #expect(agent.selected == ICEPath(other))
    #expect(
      agent.news() == [
        .validated(flow), .selected(ICEPath(flow)), .connected, .validated(other), .selected(ICEPath(other)),
      ])
  }

  @Test func ofManyNominationsTheBestHoldsAndTheLatestWinsLater() {
    var agent = Self.agent()
    var browser = Browser(of: agent)
    let (good, bad) = (udp("192.0.2.1:8189", "198.51.100.1:1"), udp("192.0.2.1:8189", "198.51.100.1:2"))
    var start = turn(at: 0)
    _ = agent.receive(browser.check(nominating: true, priority: 100), on: good, &start)
    _ = agent.receive(browser.check(nominating: true, priority: 50), on: bad, &start)
    #expect(agent.selected == ICEPath(good))
    // The peer moved to another network and now nominates that one alone.
    var later = turn(at: 1500)
    _ = agent.receive(browser.check(nominating: true, priority: 50), on: bad, &later)
    #expect(agent.selected == ICEPath(bad))
    _ = agent.receive(browser.check(nominating: true, priority: 100), on: good, &later)
    #expect(agent.selected == ICEPath(good))
  }

  @Test func silenceIsToldThenEndsIt() {
    var agent = Self.agent()
    var browser = Browser(of: agent)
    var start = turn(at: 0)
    _ = agent.receive(browser.check(nominating: true), on: flow, &start)
    _ = agent.news()
    #expect(agent.nextDeadline == at(10_000))
    var beat = turn(at: 8000)
    _ = agent.receive(browser.check(nominating: true), on: flow, &beat)
    var due = turn(at: 10_000)
    agent.advance(&due)
    #expect(agent.news().isEmpty && agent.nextDeadline == at(18_000))
    var silent = turn(at: 18_000)
    agent.advance(&silent)
    #expect(agent.news() == [.disconnected] && agent.nextDeadline == at(38_000))
    var back = turn(at: 20_000)
    _ = agent.receive(browser.check(nominating: true), on: flow, &back)
    #expect(agent.news() == [.connected])
    var gone = turn(at: 50_000)
    agent.advance(&gone)
    #expect(agent.news() == [.consentLost])
    #expect(agent.selected == nil && agent.nextDeadline == nil && !agent.isValidated(flow))
    _ = agent.receive(browser.check(nominating: true), on: flow, &gone)
    #expect(agent.news().isEmpty && agent.selected == nil)
  }

  @Test func aPeerOfManyAddressesKeepsSoMany() {
    var agent = Self.agent()
    var browser = Browser(of: agent)
    for port in 1...100 {
      var turn = turn(at: Int64(port))
      _ = agent.receive(
        browser.check(nominating: port == 1), on: udp("192.0.2.1:8189", "198.51.100.1:\(port)"), &turn)
    }
    let valid = (1...100).filter { agent.isValidated(udp("192.0.2.1:8189", "198.51.100.1:\($0)")) }
    #expect(valid == [1] + Array(86...100))
  }

  @Test func aFullOutboxIsCounted() {
    var agent = Self.agent()
    var browser = Browser(of: agent)
    var turn = Turn(now: at(0), random: Random(seed: 1), out: Outbox(limit: 10))
    _ = agent.receive(browser.check(), on: flow, &turn)
    #expect(agent.counters.unsent == 1)
  }
}

struct DemultiplexerTests {
  let one = Handle(index: 1, generation: 1)
  let two = Handle(index: 2, generation: 1)
  let flow = udp("192.0.2.1:8189", "198.51.100.7:5000")

  @Test func checksGoByTheirFragmentAndTheRestByAddress() {
    let agents = [
      LiteTests.agent(),
      {
        var t = turn(at: 0, seed: 2); return ICEAgent(ICEConfiguration(.lite, bases: []), &t)
      }(),
    ]
    var demultiplexer = ICEDemultiplexer()
    demultiplexer.add(one, agents[0].credentials, tag: 1)
    demultiplexer.add(two, agents[1].credentials, tag: 2)
    var first = Browser(of: agents[0])
    var second = Browser(of: agents[1])
    #expect(demultiplexer.route(first.check(), on: flow) == one)
    #expect(demultiplexer.route(second.check(), on: flow) == two)
    let hello: [UInt8] = [22, 254, 253, 0]
    #expect(demultiplexer.route(hello, on: flow) == nil)
    demultiplexer.learn(flow, of: one)
    #expect(demultiplexer.route(hello, on: flow) == one)
    #expect(demultiplexer.route(hello, on: udp("192.0.2.1:8189", "198.51.100.7:5001")) == nil)
    // A page was loaded again and its new session has proved that the address is its own.
    demultiplexer.learn(flow, of: two)
    #expect(demultiplexer.route(hello, on: flow) == two)
    demultiplexer.remove(one, tag: 1)
    #expect(demultiplexer.route(hello, on: flow) == two)
    #expect(demultiplexer.route(first.check(), on: flow) == nil)
    demultiplexer.remove(two, tag: 2)
    #expect(demultiplexer.route(hello, on: flow) == nil)
    #expect(demultiplexer.count == 0 && demultiplexer.sourceCount == 0)
  }

  @Test func answersGoByTheirTag() {
    var demultiplexer = ICEDemultiplexer()
    let agent = LiteTests.agent()
    demultiplexer.add(one, agent.credentials, tag: 0xB7E7_A701)
    #expect(demultiplexer.route(STUNTests.answerV4, on: flow) == one)
    #expect(demultiplexer.route(STUNTests.request, on: flow) == nil)
  }

  @Test func aSessionHasSoManyAddressesAndFragments() {
    var demultiplexer = ICEDemultiplexer()
    let agent = LiteTests.agent()
    demultiplexer.add(one, agent.credentials, tag: 1)
    for port in 1...100 { demultiplexer.learn(udp("192.0.2.1:8189", "198.51.100.1:\(port)"), of: one) }
    #expect(demultiplexer.sourceCount == ICEDemultiplexer.addressLimit)
    var random = Random(seed: 3)
    for _ in 0..<10 { demultiplexer.addFragment(ICECredentials(&random), of: one) }
    var browser = Browser(of: agent)
    #expect(demultiplexer.route(browser.check(), on: flow) == nil)
    demultiplexer.remove(one, tag: 1)
    demultiplexer.learn(flow, of: one)
    #expect(demultiplexer.sourceCount == 0)
  }

  @Test func malformedUsernamesLeadNowhere() {
    var demultiplexer = ICEDemultiplexer()
    let agent = LiteTests.agent()
    demultiplexer.add(one, agent.credentials, tag: 1)
    var browser = Browser(of: agent)
    let good = browser.check()
    for end in good.indices { _ = demultiplexer.route(Array(good[..<end]), on: flow) }
    for size: UInt8 in [0, 8, 9, 200, 255] {
      var bad = good
      bad[23] = size
      _ = demultiplexer.route(bad, on: flow)
    }
    var noColon = good
    noColon[32] = 59
    #expect(demultiplexer.route(noColon, on: flow) == nil)
  }
}
