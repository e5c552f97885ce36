import Testing
import Wire

@testable import SIP

/// Two agents mouth to mouth over a link that loses, doubles and delays, on made-up time, doing random things.
struct Link {
  struct Flight {
    var at: Instant
    var order: Int
    var to: Int
    var bytes: [UInt8]
  }

  static let addresses = [
    Endpoint(IPAddress(v4: 0x0A00_0001), port: 5060), Endpoint(IPAddress(v4: 0x0A00_0002), port: 5060),
  ]

  let agents: [Agent]
  let gates: [TestGate]
  let isStream: Bool
  /// Of a hundred messages.
  var lost: UInt64
  var doubled: UInt64
  var slowest: UInt64
  var dice: Random
  var now = Instant(nanoseconds: 5_000_000_000)
  var flights: [Flight] = []
  var order = 0
  var live: [[SessionID]] = [[], []]
  var born: [[SessionID]] = [[], []]
  var endings: [[SessionID: Int]] = [[:], [:]]
  var ringing: [[SessionID]] = [[], []]
  var open: [[TransactionID]] = [[], []]
  var offers: [[SessionID]] = [[], []]
  var owed: [[SessionID]] = [[], []]
  var trace: UInt64 = 0xCBF2_9CE4_8422_2325
  var answers = 0
  var wrong: [String] = []

  init(seed: UInt64, isStream: Bool) {
    self.isStream = isStream
    dice = Random(seed: seed)
    lost = isStream ? 0 : dice.below(40)
    doubled = isStream ? 0 : dice.below(30)
    slowest = isStream ? 1 : 1 + dice.below(900)
    gates = [TestGate(), TestGate()]
    for gate in gates { gate.hosts = ["10.0.0.1", "10.0.0.2", "b.example"] }
    var made: [Agent] = []
    for side in 0..<2 {
      var configuration = AgentConfiguration(
        domain: "b.example",
        locals: [
          LocalEndpoint(.udp, Link.addresses[side], socket: Desk.udpSocket),
          LocalEndpoint(.tcp, Link.addresses[side]),
        ])
      configuration.ringLimit = .minutes(1)
      made.append(Agent(configuration: configuration, gate: gates[side], now: now))
    }
    agents = made
  }

  func flow(from side: Int) -> Flow {
    Flow(
      isStream ? .tcp : .udp, local: Link.addresses[side], remote: Link.addresses[1 - side],
      socket: isStream ? Desk.streamSocket : Desk.udpSocket)
  }

  mutating func act(_ side: Int, _ body: (Agent, inout Turn) -> Void) {
    var turn = Turn(now: now, random: dice.fork())
    body(agents[side], &turn)
    for entry in turn.out.entries {
      let bytes = Array(turn.out.bytes[entry.range])
      for byte in bytes { trace = (trace ^ UInt64(byte)) &* 0x100_0000_01B3 }
      let copies = dice.below(100) < lost ? 0 : dice.below(100) < doubled ? 2 : 1
      for _ in 0..<copies {
        order += 1
        let delay = isStream ? Interval.milliseconds(1) : .milliseconds(Int64(1 + dice.below(slowest)))
        flights.append(Flight(at: now + delay, order: order, to: 1 - side, bytes: bytes))
      }
    }
    while let event = agents[side].next() { note(side, event) }
  }

  mutating func note(_ side: Int, _ event: AgentEvent) {
    if let id = event.session, endings[side][id] != nil { wrong.append("after its end: \(event.word)") }
    switch event {
    case .request(let id, _, _, _), .informed(_, let id, _), .transferRequested(_, let id, _, _):
      open[side].append(id)
    case .invited(let id, _, _, _):
      born[side].append(id)
      live[side].append(id)
      ringing[side].append(id)
    case .answered(let id, let body, let message):
      answers += 1
      if body != nil, !message.from.uri.description.isEmpty { owed[side].append(id) }
    case .offered(let id, _): offers[side].append(id)
    case .refused(let id, _, _), .cancelled(let id, _), .ended(let id, _):
      endings[side][id, default: 0] += 1
      live[side].removeAll { $0 == id }
      ringing[side].removeAll { $0 == id }
      offers[side].removeAll { $0 == id }
    case .progressed, .confirmed, .offerAccepted, .offerRefused, .response, .unanswered, .resolve, .mistake:
      break
    }
  }

  /// Lets time go to `end`, delivering and waking in order.
  mutating func run(to end: Instant) {
    while true {
      let flight = flights.indices.min {
        (flights[$0].at, flights[$0].order) < (flights[$1].at, flights[$1].order)
      }
      let wake = (0..<2).compactMap { side in agents[side].nextDeadline.map { ($0, side) } }.min {
        $0.0 < $1.0
      }
      if let flight, flights[flight].at <= end, wake == nil || flights[flight].at <= wake!.0 {
        let taken = flights.remove(at: flight)
        now = max(now, taken.at)
        let flow = flow(from: taken.to)
        act(taken.to) { $0.receive(taken.bytes.span, on: flow, &$1) }
      } else if let wake, wake.0 <= end {
        now = max(now, wake.0)
        act(wake.1) { $0.advance(&$1) }
      } else {
        break
      }
    }
    now = end
  }

  mutating func pick<Element>(_ list: [Element]) -> Element? {
    list.isEmpty ? nil : list[Int(dice.below(UInt64(list.count)))]
  }

  mutating func doSomething() {
    let side = Int(dice.below(2))
    let body = Body.sdp(Array("v=0 \(dice.below(1000))\r\n".utf8))
    switch dice.below(14) {
    case 0, 1, 2:
      let isLate = dice.below(5) == 0
      let expires: Int? = dice.below(2) == 0 ? nil : 90 + Int(dice.below(60))
      let flow = flow(from: side)
      var id = SessionID(.none)
      act(side) { agent, turn in
        id = agent.invite(
          OutgoingInvitation(
            from: NameAddress(URI(user: "a", host: "b.example")),
            to: NameAddress(URI(user: "b", host: "b.example")),
            destination: Destination(uri: URI(user: "b", at: Link.addresses[1 - side]), flow: flow),
            body: isLate ? nil : body, sessionExpires: expires), &turn)
      }
      born[side].append(id)
      if endings[side][id] == nil { live[side].append(id) }
    case 3:
      if let id = pick(ringing[side]) { act(side) { $0.ring(id, &$1) } }
    case 4, 5, 6:
      guard let id = pick(ringing[side]) else { return }
      ringing[side].removeAll { $0 == id }
      act(side) { $0.answer(id, body: body, &$1) }
    case 7:
      guard let id = pick(ringing[side]) else { return }
      ringing[side].removeAll { $0 == id }
      act(side) { $0.refuse(id, status: 486, &$1) }
    case 8:
      if let id = pick(live[side]) { act(side) { $0.cancel(id, reason: .completedElsewhere, &$1) } }
    case 9:
      if let id = pick(live[side]) { act(side) { $0.hangUp(id, &$1) } }
    case 10, 11:
      if let id = pick(live[side]) { act(side) { $0.offer(id, body: body, &$1) } }
    case 12:
      if let id = pick(live[side]) { act(side) { _ = $0.info(id, body: body, &$1) } }
    default:
      if let id = pick(open[side]) {
        open[side].removeAll { $0 == id }
        act(side) { $0.reply(id, status: 200, &$1) }
      }
      if let id = pick(offers[side]) {
        offers[side].removeAll { $0 == id }
        let isRefused = dice.below(3) == 0
        act(side) { isRefused ? $0.refuseOffer(id, &$1) : $0.acceptOffer(id, body: body, &$1) }
      }
      if let id = owed[side].popLast() { act(side) { $0.acknowledge(id, body: body, &$1) } }
    }
  }

  /// A busy minute or two, then everybody hangs up and it becomes quiet.
  mutating func live(steps: Int) {
    for _ in 0..<steps {
      doSomething()
      if isStream, dice.below(30) == 0 {
        // The connection breaks, with what was on its way.
        flights.removeAll()
        for side in 0..<2 { act(side) { $0.connectionLost(Desk.streamSocket, &$1) } }
      }
      run(to: now + .milliseconds(Int64(dice.below(dice.below(10) == 0 ? 40_000 : 1_500))))
    }
    for side in 0..<2 {
      for id in live[side] { act(side) { $0.hangUp(id, &$1) } }
      for id in open[side] { act(side) { $0.reply(id, status: 200, &$1) } }
    }
    run(to: now + .minutes(6))
  }
}

@Suite struct AgentLinkTests {
  static func check(_ link: Link, _ seed: UInt64) {
    #expect(link.wrong.isEmpty, "seed \(seed): \(link.wrong)")
    for side in 0..<2 {
      #expect(
        link.agents[side].census == AgentCensus(), "seed \(seed) side \(side): \(link.agents[side].census)")
      for id in link.born[side] where id.handle != .none {
        #expect(
          link.endings[side][id] == 1,
          "seed \(seed) side \(side): \(id) ended \(link.endings[side][id] ?? 0) times")
      }
      #expect(link.agents[side].merges.isEmpty, "seed \(seed)")
      #expect(link.agents[side].serverPlaces.isEmpty, "seed \(seed)")
    }
  }

  @Test func overABadLinkEverySessionEndsOnceAndNothingIsLeft() {
    var answers = 0
    for seed in UInt64(0)..<150 {
      var link = Link(seed: seed, isStream: false)
      link.live(steps: 60)
      Self.check(link, seed)
      answers += link.answers
    }
    // Enough came through for the rest to mean something.
    #expect(answers > 500)
  }

  @Test func overAStreamEverySessionEndsOnceAndNothingIsLeft() {
    for seed in UInt64(1000)..<1100 {
      var link = Link(seed: seed, isStream: true)
      link.live(steps: 60)
      Self.check(link, seed)
    }
  }

  @Test func twoRunsOfOneSeedSendTheSameBytes() {
    for seed in UInt64(40)..<45 {
      var first = Link(seed: seed, isStream: false)
      var second = Link(seed: seed, isStream: false)
      first.live(steps: 60)
      second.live(steps: 60)
      #expect(first.trace == second.trace)
    }
  }
}
