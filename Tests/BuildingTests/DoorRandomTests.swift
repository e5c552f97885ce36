import Devices
import Directory
import Doors
import Simulation
import Testing
import Wire

@Suite struct DoorRandomTests {
  /// Everything that can happen to a door, in random order, with restarts, kills, failing lines, a slow store and
  /// clocks that jump. After every step: no pulse without authority, never two within three seconds, no line
  /// active for longer than its pulse, every command ended once.
  @Test(arguments: 1...60)
  func noOrderOfEventsOpensADoorThatShouldStayShut(seed: Int) throws {
    var random = Random(seed: UInt64(seed) &* 7919)
    let chip = SimulatedChip()
    var bench = DoorBench(chip: chip, seed: UInt64(seed))
    var audit: [AuditRow] = bench.rows
    var commands = 0
    var ended = 0
    var replayable: [OpenCommand] = []
    var pulseStarts: [Int: Instant] = [:]
    var lastPulse: [Int: Instant] = [:]
    var seenHistory = chip.history.count
    // The bench's clock goes on over restarts.
    func check(_ step: Int) {
      for happening in chip.history[seenHistory...] {
        switch happening {
        case .set(let line, active: true):
          let door = line == 17 ? "entrance" : "garage"
          // The row of the command that did this was written before, and by somebody who may.
          let intent = (audit + bench.rows).last { $0.kind == .intent && $0.door == door }
          #expect(intent != nil, "step \(step): a pulse nobody asked for")
          #expect(
            ["account:panel401", "account:guard1", "local:root"].contains(intent?.opener ?? ""),
            "step \(step)")
          if let last = lastPulse[line] {
            #expect(
              bench.now - last >= .seconds(3),
              "step \(step): two pulses within \((bench.now - last).milliseconds) ms")
          }
          lastPulse[line] = bench.now
          pulseStarts[line] = bench.now
        case .set(let line, active: false), .requested(let line), .released(let line): pulseStarts[line] = nil
        }
      }
      seenHistory = chip.history.count
      for (line, start) in pulseStarts.sorted(by: { $0.key < $1.key }) where chip.isActive(line) {
        let longest: Interval = line == 17 ? .milliseconds(3000) : .milliseconds(500)
        #expect(bench.now - start <= longest, "step \(step): line \(line) is held too long")
      }
    }
    func restart(killed: Bool) {
      if killed { chip.loseHolder() } else { bench.keeper.stop(at: bench.moment) }
      bench.drain()
      ended += bench.finished.count
      audit += bench.rows
      let old = bench
      bench = DoorBench(
        chip: chip, memory: DoorMemory(recent: audit), now: old.now, wall: old.wall, seed: random.next())
      // What was under way ends as a row of the next start, for nobody in particular.
      commands = ended
      #expect(!chip.anyActive)
    }
    for step in 0..<400 {
      switch random.below(14) {
      case 0..<3:
        let openers: [(Opener, Proof)] = [
          (.account("panel401"), .credential(7)), (.account("panel402"), .credential(8)),
          (.account("panel401"), .credential(8)), (.account("guard1"), .credential(9)),
          (
            .localOperator("root"), .peer(LocalPeer(processID: 1, userID: 0, user: "root", isPermitted: true))
          ),
        ]
        let (opener, proof) = openers[Int(random.below(5))]
        let command = bench.command(random.below(2) == 0 ? "entrance" : "garage", opener, proof)
        replayable.append(command)
        commands += 1
        bench.open(command)
      case 3 where !replayable.isEmpty:
        commands += 1
        let old = replayable[Int(random.below(UInt64(replayable.count)))]
        bench.open(old)
        let intents = (audit + bench.rows).filter { $0.kind == .intent && $0.command == old.id.text }
        #expect(intents.count <= 1, "step \(step): a replay was taken")
      case 4:
        let call = random.below(4)
        let station: StationName = random.below(2) == 0 ? "intercom-main" : "intercom-garage"
        let account: AccountName = ["panel401", "panel402", "guard1"][Int(random.below(3))]
        bench.calls[CallID(call)] = AnsweredCall(
          station: station, account: account, unit: random.below(3) == 0 ? nil : "401")
      case 5:
        let call = CallID(random.below(4))
        bench.calls[call] = nil
        bench.keeper.ended(call)
      case 6, 7:
        let account: AccountName = ["panel401", "panel402", "guard1"][Int(random.below(3))]
        let rows = bench.rows.count
        bench.press(
          ["#", "1", "2", "12#"][Int(random.below(4))], account, random.below(4), gap: .milliseconds(1))
        commands += bench.rows[rows...].filter { $0.kind != .result }.count
      case 8: bench.syncsAtOnce.toggle()
      case 9: bench.sync()
      case 10:
        if random.below(3) == 0 { chip.failures[17 + Int(random.below(2))] = Int(random.below(3)) }
        chip.taken = random.below(4) == 0 ? [17] : []
      case 11:
        // The wall clock jumps; deadlines do not.
        let jumps: [Int64] = [-3600, -5, 5, 3600, 86_400]
        bench.wall = bench.wall + .seconds(jumps[Int(random.below(5))])
      case 12:
        if random.below(8) == 0, chip.taken.isEmpty {
          restart(killed: random.below(2) == 0)
        } else {
          bench.keeper.reload(at: bench.moment)
          bench.drain()
        }
      default: break
      }
      check(step)
      let wait = Interval.milliseconds(Int64(random.below(random.below(3) == 0 ? 4000 : 200)))
      // In small steps, so that what happens between two events is seen when it happens.
      let end = bench.now + wait
      while bench.now < end {
        let next = min(bench.keeper.nextDeadline ?? end, end)
        bench.pass(max(next - bench.now, .zero))
        check(step)
        if next == end { break }
      }
    }
    // Quiet: everything ends, and every line is back.
    chip.taken = []
    chip.failures = [:]
    bench.syncsAtOnce = true
    bench.sync()
    bench.pass(.seconds(30))
    check(400)
    #expect(!chip.anyActive)
    #expect(bench.keeper.nextDeadline == nil)
    ended += bench.finished.count
    #expect(ended == commands, "every command ends exactly once")
    let numbers = (audit + bench.rows).map(\.number)
    #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 })
  }

  @Test func equalSeedsWriteEqualAudits() {
    func run() -> [AuditRow] {
      let bench = DoorBench(seed: 5)
      bench.calls[CallID(1)] = AnsweredCall(station: "intercom-main", account: "panel401", unit: "401")
      for _ in 0..<10 {
        bench.press("#", "panel401", 1)
        bench.pass(.seconds(3))
      }
      return bench.rows
    }
    let first = run()
    #expect(first.count == 20)
    #expect(first == run())
  }
}
