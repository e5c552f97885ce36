import Glibc
import Reactor
import Testing
import Wire

@Suite struct LoopTests {
  @Test func aDeadlineIsNeverMetEarlyAndSoonAfterItsTime() {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let wanted = probe.reactor.now + .milliseconds(20)
    probe.deadline = wanted
    #expect(probe.runs { probe.advances > 0 })
    #expect(probe.reactor.now >= wanted)
    // Two turns: one that waits, one at most that comes back empty; a spinning loop takes thousands.
    #expect(probe.reactor.turns < 10)
  }

  @Test func everyTurnEndsWithSettle() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    probe.turns(5)
    #expect(probe.settles == 5)
  }

  /// The cost of a turn does not grow with what is armed. Bounded by ratio and count, not by a clock alone.
  @Test func aHundredThousandDeadlinesCostATurnNothing() {
    let probe = Probe()
    defer { probe.reactor.retire() }
    func cost() -> Int64 {
      let start = clock()
      probe.turns(2000)
      return Int64(clock() - start)
    }
    probe.wheel = Wheel(now: probe.reactor.now)
    _ = cost()
    let bare = max(cost(), 1)
    var random = Random(seed: 3)
    var handles: [Handle] = []
    for token in 1...100_000 as ClosedRange<UInt64> {
      handles.append(
        probe.wheel!.arm(
          probe.reactor.now + .seconds(100) + .microseconds(Int64(random.below(1 << 30))), token: token))
    }
    let loaded = cost()
    #expect(loaded < bare * 4 + 20_000, "2,000 turns took \(bare) µs bare and \(loaded) µs loaded")
    #expect(probe.fired.isEmpty)
    for handle in handles { probe.wheel!.cancel(handle) }
    #expect(probe.wheel!.count == 0)
  }

  @Test func theClockStandsStillDuringATurn() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let one = try probe.reactor.openDatagram(anyV4, DatagramOptions())
    let there = try #require(probe.reactor.local(of: one))
    var times: [Instant] = []
    probe.onDatagram = { probe, _, _, _, _ in times.append(probe.reactor.now) }
    for _ in 0..<20 { probe.reactor.send([0], on: one, to: there) }
    probe.turns(1)
    #expect(probe.runs { times.count == 20 })
    #expect(Set(times.map(\.nanoseconds)).count == 1)
  }

  @Test func signalsBecomeDrainAndReload() async {
    await #expect(processExitsWith: .success) {
      var options = Reactor.Options()
      options.takesSignals = true
      let probe = Probe(options)
      for number in [SIGHUP, SIGTERM, SIGINT] { pthread_kill(pthread_self(), number) }
      pthread_kill(pthread_self(), SIGPIPE)
      precondition(probe.runs { probe.signals.count == 3 })
      precondition(Set(probe.signals) == [.reload, .drain])
      precondition(probe.signals.filter { $0 == .drain }.count == 2)
      probe.reactor.retire()
      exit(0)
    }
  }

  @Test func runMakesTheResidentServesItAndLetsItGo() throws {
    weak var held: Probe2?
    final class Probe2: Resident {
      let reactor: Reactor
      init(_ reactor: Reactor) { self.reactor = reactor }
      func received(_: Span<UInt8>, on _: SocketID, from _: Endpoint, to _: Endpoint) {}
      func accepted(_: SocketID, on _: SocketID, from _: Endpoint, peer _: LocalPeer?) {}
      func connected(_: SocketID) {}
      func received(_: Span<UInt8>, onStream _: SocketID) {}
      func drained(_: SocketID) {}
      func closed(_: SocketID, _: NetworkFailure) {}
      func signalled(_: Signal) {}
      func advance() { reactor.stop() }
      func settle() {}
      var nextDeadline: Instant? { reactor.now }
    }
    Reactor.run { reactor in
      let resident = Probe2(reactor)
      held = resident
      return resident
    }
    #expect(held == nil)
    struct Unwilling: Error {}
    #expect(throws: Unwilling.self) { try Reactor.run { _ in throw Unwilling() } }
  }

  @Test func whatIsSentWhileTheResidentIsMadeLeavesAtOnce() throws {
    final class Greeter: Resident {
      let reactor: Reactor
      var greeting: [UInt8] = []
      init(_ reactor: Reactor) throws(NetworkFailure) {
        self.reactor = reactor
        let socket = try reactor.openDatagram(anyV4, DatagramOptions())
        reactor.send([7], on: socket, to: reactor.local(of: socket)!)
        deadline = reactor.now + .seconds(5)
      }
      let deadline: Instant
      func received(_ datagram: Span<UInt8>, on _: SocketID, from _: Endpoint, to _: Endpoint) {
        greeting.append(datagram[0])
        reactor.stop()
      }
      func accepted(_: SocketID, on _: SocketID, from _: Endpoint, peer _: LocalPeer?) {}
      func connected(_: SocketID) {}
      func received(_: Span<UInt8>, onStream _: SocketID) {}
      func drained(_: SocketID) {}
      func closed(_: SocketID, _: NetworkFailure) {}
      func signalled(_: Signal) {}
      func advance() { reactor.stop() }
      func settle() {}
      var nextDeadline: Instant? { deadline }
    }
    var greeter: Greeter?
    try Reactor.run { (reactor) throws(NetworkFailure) in
      let made = try Greeter(reactor)
      greeter = made
      return made
    }
    #expect(greeter?.greeting == [7])
    #expect(try #require(greeter).reactor.now < #require(greeter).deadline)
  }

  @Test func localTimeFollowsTheHostsDatabase() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    func local(_ text: String, _ zone: String) throws -> LocalTime? {
      probe.reactor.localTime(at: try #require(WallTime(text)), in: zone)
    }
    #expect(
      try local("2026-03-29T00:59:59Z", "Europe/Paris")
        == LocalTime(date: CivilDate(year: 2026, month: 3, day: 29), minute: 119))
    #expect(try local("2026-03-29T01:00:00Z", "Europe/Paris")?.minute == 180)
    #expect(try local("2026-10-25T00:59:59Z", "Europe/Paris")?.minute == 179)
    #expect(try local("2026-10-25T01:00:00Z", "Europe/Paris")?.minute == 120)
    #expect(try local("2026-06-30T23:00:00Z", "Europe/Paris")?.date.day == 1)
    #expect(try local("2090-07-01T12:00:00Z", "Europe/Paris")?.minute == 840)
    #expect(try local("2026-06-30T23:00:00Z", "UTC")?.minute == 1380)
    for name in [
      "", "/etc/passwd", "../../etc/passwd", "Europe/../Europe/Paris", "Europe/Nowhere", "Europe", "a\0b",
    ] {
      #expect(try local("2026-01-01T00:00:00Z", name) == nil, "\(name)")
    }
  }

  @Test func twoStreamsOfRandomnessAreNeverTheSame() {
    let probe = Probe()
    defer { probe.reactor.retire() }
    var one = probe.reactor.makeRandom()
    var other = probe.reactor.makeRandom()
    #expect(one.bytes(32) != other.bytes(32))
  }
}

@Suite struct LaneTests {
  /// More jobs than fit between the threads, on every lane at once.
  @Test func everyLaneKeepsItsOrderHoweverMuchIsAsked() {
    let probe = Probe()
    defer { probe.reactor.retire() }
    var results: [Lane: [Int]] = [:]
    var onThread = 0
    let home = pthread_self()
    for number in 0..<2000 {
      for lane in Lane.allCases {
        probe.reactor.perform(
          on: lane, { (number, pthread_self()) },
          then: { result in
            results[lane, default: []].append(result.0)
            if pthread_self() == home, result.1 != home { onThread += 1 }
          })
      }
    }
    #expect(probe.runs { results.values.map(\.count).reduce(0, +) == 6000 })
    for lane in Lane.allCases { #expect(results[lane] == Array(0..<2000)) }
    #expect(onThread == 6000)
  }

  @Test func resultsKeepTheirTypeNilIncluded() {
    let probe = Probe()
    defer { probe.reactor.retire() }
    var seen: [String] = []
    probe.reactor.perform(on: .general, { Int?.none }, then: { seen.append("\($0 as Int?)") })
    probe.reactor.perform(
      on: .general, { Int??.some(nil) }, then: { seen.append($0 == .some(nil) ? "inner" : "outer") })
    probe.reactor.perform(on: .general, {}, then: { seen.append("void") })
    probe.reactor.perform(on: .general, { ["a": [1]] }, then: { seen.append("\($0)") })
    #expect(probe.runs { seen.count == 4 })
    #expect(seen == ["nil", "inner", "void", "[\"a\": [1]]"])
  }

  @Test func aResultMayAskForMoreWork() {
    let probe = Probe()
    defer { probe.reactor.retire() }
    var sum = 0
    func step(_ left: Int) {
      guard left > 0 else { return }
      probe.reactor.perform(
        on: .store, { left },
        then: {
          sum += $0; step(left - 1)
        })
    }
    step(50)
    #expect(probe.runs { sum == 1275 })
  }

  @Test func workThatWasAskedForIsDoneBeforeTheEnd() {
    final class Count: @unchecked Sendable {  // written by the lane, read after it was joined
      var value = 0
    }
    let count = Count()
    let probe = Probe()
    for _ in 0..<1000 { probe.reactor.perform(on: .store, { count.value += 1 }, then: { _ in }) }
    probe.reactor.retire()
    #expect(count.value == 1000)
  }

  @Test func aMailboxTakesNoMoreThanItsCapacity() {
    let box = Mailbox<Int>(capacity: 2, isWaitedFor: false)
    #expect(box.reserve())
    #expect(box.reserve())
    #expect(!box.reserve())
    box.post(1)
    box.post(2)
    var taken: [Int] = []
    box.take(into: &taken)
    #expect(taken == [1, 2])
    #expect(box.reserve())
    box.take(into: &taken)
    #expect(taken == [1, 2])
    #expect(box.reserve())
    #expect(!box.reserve())
  }

  @Test func literalsAndLocalhostAreResolved() {
    let probe = Probe()
    defer { probe.reactor.retire() }
    var answers: [[ResolvedName]] = []
    probe.reactor.resolve(.addresses(host: "2001:db8::7"), then: { answers.append($0) })
    probe.reactor.resolve(.addresses(host: "localhost"), then: { answers.append($0) })
    probe.reactor.resolve(.addresses(host: "a\0b"), then: { answers.append($0) })
    #expect(answers.isEmpty, "an answer never comes inside the question")
    #expect(probe.runs { answers.count == 3 })
    #expect(answers[0] == [.address(IPAddress("2001:db8::7")!)])
    #expect(answers[1].contains(.address(.loopbackV4)) || answers[1].contains(.address(.loopbackV6)))
    #expect(answers[2].isEmpty)
  }
}

@Suite struct ServiceAnswerTests {
  /// Header, question `_sip._udp.a.`, two SRV answers (priority 20 before 10) and one with target `.`.
  private var message: [UInt8] {
    let name: [UInt8] = [4, 95, 115, 105, 112, 4, 95, 117, 100, 112, 1, 97, 0]
    func record(_ priority: UInt8, _ weight: UInt8, _ port: UInt16, _ target: [UInt8]) -> [UInt8] {
      [0xC0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, UInt8(6 + target.count), 0, priority, 0, weight]
        + [UInt8(port >> 8), UInt8(port & 255)] + target
    }
    return [0, 1, 0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 0] + name + [0, 33, 0, 1]
      + record(20, 1, 5060, [1, 98, 0xC0, 22]) + record(10, 5, 5070, [1, 99, 0xC0, 22])
      + record(1, 0, 0, [0])
  }

  @Test func recordsAreReadByPriorityWithCompressedNames() {
    #expect(
      Names.services(in: message) == [
        .service(host: "c.a", port: 5070, priority: 10, weight: 5),
        .service(host: "b.a", port: 5060, priority: 20, weight: 1),
      ])
  }

  @Test func aCutOrTornAnswerNeverTraps() {
    for length in 0..<message.count { _ = Names.services(in: Array(message.prefix(length))) }
    var random = Random(seed: 1035)
    for _ in 0..<20_000 {
      var torn = message
      for _ in 0...random.below(3) {
        torn[Int(random.below(UInt64(torn.count)))] = UInt8(truncatingIfNeeded: random.next())
      }
      _ = Names.services(in: torn)
    }
    // A name that points at itself.
    var loop = message
    loop[12] = 0xC0
    loop[13] = 12
    #expect(Names.services(in: loop).isEmpty)
  }
}
