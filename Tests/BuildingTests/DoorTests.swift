import Devices
import Directory
import Doors
import Simulation
import Testing
import Wire

@Suite struct DoorTests {
  @Test func aKeyInAnAnsweredCallPulsesTheLineOnceAndBringsItBack() {
    let bench = DoorBench()
    #expect(
      bench.chip.history == [.requested(line: 17), .requested(line: 18)], "inactive before anything is served"
    )
    bench.calls[CallID(1)] = AnsweredCall(station: "intercom-main", account: "panel401", unit: "401")
    #expect(bench.press("#", "panel401", 1) == .opened)
    #expect(bench.chip.isActive(17))
    bench.pass(.milliseconds(2699))
    #expect(bench.chip.isActive(17))
    bench.pass(.milliseconds(1))
    #expect(!bench.chip.isActive(17))
    #expect(bench.pulses(17) == 1)
    #expect(bench.keeper.nextDeadline == nil)
    #expect(bench.rows.map(\.kind) == [.intent, .result])
    #expect(bench.rows.map(\.opener) == ["account:panel401", "account:panel401"])
    #expect(bench.rows.map(\.proof) == ["call:1", "call:1"])
    #expect(bench.rows[1].result == "opened")
    #expect(bench.rows.map(\.number) == Array(1...UInt64(bench.rows.count)))
  }

  @Test func keysOutsideAnAnsweredCallOfThatUnitAndStationOpenNothing() {
    let bench = DoorBench()
    // No call; a call that another answered; a station without a door; somebody of another unit.
    #expect(bench.press("#", "panel401", 1) == nil)
    bench.calls[CallID(1)] = AnsweredCall(station: "intercom-main", account: "panel402", unit: "402")
    #expect(bench.press("#", "panel401", 1) == .refused(.noCall))
    #expect(bench.press("#", "panel402", 1) == .refused(.notYourDoor))
    bench.calls[CallID(2)] = AnsweredCall(station: "intercom-none", account: "panel401", unit: "401")
    #expect(bench.press("#", "panel401", 2) == nil)
    // An account of 402 that answered a call to 401.
    bench.calls[CallID(3)] = AnsweredCall(station: "intercom-main", account: "panel402", unit: "401")
    #expect(bench.press("#", "panel402", 3) == .refused(.notYourDoor))
    // The call's station must be the door's own.
    bench.calls[CallID(4)] = AnsweredCall(station: "intercom-garage", account: "panel401", unit: "401")
    #expect(
      bench.open(bench.command("entrance", .account("panel401"), .call(CallID(4)))) == .refused(.noCall))
    #expect(bench.pulses(17) == 0)
    #expect(bench.rows.allSatisfy { $0.kind == .refusal })
    #expect(bench.rows.count == 4)
  }

  @Test func theCallMustBeToThePressersOwnUnitEvenWhereTheDoorIsTheirs() {
    let house = DoorBench.house()
    var units = house.units
    units[1].doors.append(DoorGrant("entrance"))
    let bench = DoorBench(
      Building(units: units, accounts: house.accounts, stations: house.stations, doors: house.doors))
    // Forwarded: 401 was called, somebody of 402 answered.
    bench.calls[CallID(1)] = AnsweredCall(station: "intercom-main", account: "panel402", unit: "401")
    #expect(bench.press("#", "panel402", 1) == .refused(.notYourDoor))
    bench.calls[CallID(2)] = AnsweredCall(station: "intercom-main", account: "panel402", unit: "402")
    #expect(bench.press("#", "panel402", 2) == .opened)
  }

  @Test func aGuardOpensByHisOwnLeaveInACallHeAnswered() {
    let bench = DoorBench()
    bench.calls[CallID(1)] = AnsweredCall(station: "intercom-main", account: "guard1", unit: "401")
    #expect(bench.press("#", "guard1", 1) == .opened)
    bench.calls[CallID(2)] = AnsweredCall(station: "intercom-garage", account: "guard1", unit: "401")
    #expect(bench.press("12#", "guard1", 2) == .refused(.notYourDoor))
  }

  @Test func aLongerCodeNeedsItsKeysInOrderWithinTwoSeconds() {
    let bench = DoorBench()
    // 22:10, within the garage's hours.
    bench.pass(.seconds(2400))
    bench.calls[CallID(1)] = AnsweredCall(station: "intercom-garage", account: "panel401", unit: "401")
    #expect(bench.press("12", "panel401", 1) == nil)
    bench.pass(.milliseconds(1701))
    #expect(bench.press("#", "panel401", 1) == nil, "more than two seconds after the 2")
    #expect(bench.press("1#2", "panel401", 1) == nil)
    #expect(
      bench.press("912#", "panel401", 1, gap: .seconds(2)) == .opened, "what came before does not matter")
    bench.pass(.seconds(10))
    #expect(bench.press("12", "panel401", 1) == nil)
    bench.keeper.ended(CallID(1))
    #expect(bench.press("#", "panel401", 1) == nil, "keys end with their call")
    #expect(bench.pulses(18) == 1)
  }

  @Test func theHourDecidesAndTheOperatorIsNotAskedForIt() {
    let bench = DoorBench()  // 21:28, the garage opens at 22:00
    #expect(bench.open(bench.command("garage")) == .refused(.notAtThisHour))
    let peer = LocalPeer(processID: 1, userID: 0, user: "root", isPermitted: true)
    #expect(bench.open(bench.command("garage", .localOperator("root"), .peer(peer))) == .opened)
    bench.pass(.seconds(2400))
    #expect(bench.open(bench.command("garage")) == .opened)
  }

  @Test func whoIsNotProvedIsRefused() {
    let bench = DoorBench()
    let stranger = LocalPeer(processID: 1, userID: 1000, user: "mallory", isPermitted: false)
    let root = LocalPeer(processID: 1, userID: 0, user: "root", isPermitted: true)
    let wishes: [(Opener, Proof, Refusal)] = [
      (.account("panel401"), .credential(8), .notPermitted),
      (.account("panel401"), .credential(99), .notPermitted),
      (.account("panel402"), .credential(8), .notYourDoor),
      (.account("nobody"), .credential(7), .notPermitted),
      (.account("panel401"), .peer(root), .notPermitted),
      (.localOperator("mallory"), .peer(stranger), .notPermitted),
      (.localOperator("root"), .peer(stranger), .notPermitted),
      (.localOperator("mallory"), .peer(root), .notPermitted),
      (.localOperator("root"), .credential(7), .notPermitted),
      (.account("panel401"), .call(CallID(5)), .noCall),
    ]
    for (opener, proof, refusal) in wishes {
      #expect(
        bench.open(bench.command("entrance", opener, proof)) == .refused(refusal), "\(opener) by \(proof)")
    }
    #expect(bench.open(bench.command("no-such-door")) == .refused(.unknownDoor))
    #expect(bench.pulses(17) == 0)
    #expect(bench.rows.count == wishes.count + 1)
    #expect(bench.rows.allSatisfy { $0.kind == .refusal && $0.result == "refused" && !$0.reason.isEmpty })
    #expect(bench.rows.map(\.number) == Array(1...UInt64(bench.rows.count)))
  }

  @Test func aSecondCommandWithinThreeSecondsIsRefused() {
    let bench = DoorBench()
    #expect(bench.open(bench.command("cellar", .account("panel402"), .credential(8))) == .opened)
    bench.pass(.milliseconds(2999))
    #expect(bench.open(bench.command("cellar", .account("panel402"), .credential(8))) == .refused(.cooldown))
    bench.pass(.milliseconds(1))
    #expect(bench.open(bench.command("cellar", .account("panel402"), .credential(8))) == .opened)
    // Another door has its own pause.
    #expect(bench.open(bench.command("entrance")) == .opened)
  }

  @Test(arguments: [(1, 100), (100, 100), (3000, 3000), (10_000, 10_000), (60_000, 10_000)])
  func aPulseIsHeldBetweenItsLimits(wanted: Int64, held: Int64) {
    var doors = DoorBench.house().doors
    doors[0].pulse = .milliseconds(wanted)
    let house = DoorBench.house()
    let bench = DoorBench(
      Building(units: house.units, accounts: house.accounts, stations: house.stations, doors: doors))
    #expect(bench.open(bench.command()) == .opened)
    bench.pass(.milliseconds(held) - .nanoseconds(1))
    #expect(bench.chip.isActive(17))
    // However long it is, a second one waits for its end.
    #expect(bench.open(bench.command()) == .refused(.cooldown))
    bench.pass(.nanoseconds(1))
    #expect(!bench.chip.isActive(17))
  }

  @Test func aCommandIsGoodOnceAndNotForLong() {
    let bench = DoorBench()
    let command = bench.command(id: "key-1")
    #expect(bench.open(command) == .opened)
    bench.pass(.seconds(4))
    #expect(bench.open(command) == .refused(.replayed))
    #expect(bench.keeper.result(of: command.id) == .opened)
    var late = bench.command(id: "key-2")
    bench.pass(.milliseconds(5001))
    #expect(bench.open(late) == .refused(.expired))
    late.expires = bench.wall + .seconds(60)
    #expect(bench.open(late) == .refused(.malformed), "lives too long")
    var early = bench.command()
    early.issued = bench.wall + .milliseconds(1001)
    early.expires = early.issued + .seconds(1)
    #expect(bench.open(early) == .refused(.malformed), "from the future")
    var backwards = bench.command()
    backwards.expires = backwards.issued + .nanoseconds(-1)
    #expect(bench.open(backwards) == .refused(.malformed))
    #expect(bench.pulses(17) == 1)
  }

  @Test func nothingMovesBeforeItsIntentIsSyncedUnlessTheStoreIsSilent() {
    let bench = DoorBench()
    bench.syncsAtOnce = false
    #expect(bench.open(bench.command()) == nil)
    #expect(bench.rows.map(\.kind) == [.intent])
    #expect(bench.pulses(17) == 0)
    #expect(bench.open(bench.command()) == .refused(.cooldown), "one at a time")
    bench.sync()
    #expect(bench.finished.last?.result == .opened)
    #expect(bench.pulses(17) == 1)
    bench.pass(.seconds(10))
    // A store that says nothing does not keep a door shut.
    _ = bench.open(bench.command())
    bench.pass(.milliseconds(499))
    #expect(bench.pulses(17) == 1)
    bench.pass(.milliseconds(1))
    #expect(bench.pulses(17) == 2)
  }

  @Test func aRestartRefusesReplaysKeepsThePauseAndClosesWhatWasOpen() {
    let bench = DoorBench()
    let command = bench.command(id: "once")
    #expect(bench.open(command) == .opened)
    #expect(bench.chip.isActive(17))
    // kill −9: nobody holds the line, and its level stays.
    bench.chip.loseHolder()
    bench.pass(.milliseconds(400))
    let rows = bench.rows
    let again = DoorBench(
      chip: bench.chip, memory: DoorMemory(recent: rows), now: Instant(nanoseconds: 5), wall: bench.wall)
    #expect(!again.chip.isActive(17), "brought back before anything is served")
    #expect(again.open(command) == .refused(.replayed))
    #expect(again.open(again.command()) == .refused(.cooldown))
    #expect(again.keeper.status(of: "entrance")?.lastResult == "refused")
    again.pass(.milliseconds(2999))
    #expect(again.open(again.command()) == .refused(.cooldown))
    again.pass(.milliseconds(1))
    #expect(again.open(again.command()) == .opened)
    #expect((rows + again.rows).map(\.number) == Array(1...UInt64(rows.count + again.rows.count)))
  }

  @Test func anIntentWithoutAResultEndsAsUnknownAtTheNextStart() {
    let bench = DoorBench()
    bench.syncsAtOnce = false
    let command = bench.command(id: "half")
    _ = bench.open(command)
    let again = DoorBench(
      memory: DoorMemory(recent: bench.rows), now: Instant(nanoseconds: 5), wall: bench.wall)
    #expect(again.rows.map(\.kind) == [.result])
    #expect(again.rows[0].result == "unknown")
    #expect(again.rows[0].reason == "interrupted")
    #expect(again.rows[0].command == "half")
    #expect(again.finished.isEmpty)
    #expect(again.open(command) == .refused(.replayed))
    #expect(again.rows[0].number == (bench.rows.last?.number ?? 0) + 1)
  }

  @Test func aLostAuditKeepsThePauseAndTakesNothingFromBeforeTheStart() {
    let bench = DoorBench()
    let command = bench.command()
    bench.pass(.milliseconds(100))
    let again = DoorBench(memory: DoorMemory(isLost: true), now: Instant(nanoseconds: 5), wall: bench.wall)
    #expect(again.open(command) == .refused(.replayed))
    #expect(again.open(again.command()) == .refused(.cooldown))
    again.pass(.seconds(3))
    #expect(again.open(again.command()) == .opened)
  }

  @Test func aLineThatWillNotComeBackIsTriedUntilItDoes() {
    let bench = DoorBench()
    #expect(bench.open(bench.command()) == .opened)
    bench.chip.failures[17] = 1
    bench.chip.taken = [17]
    bench.pass(.seconds(3))
    // The failed line was released, which here brings it back; still it is asked for, to be sure.
    #expect(bench.events.contains { if case .fault("entrance", _) = $0 { true } else { false } })
    #expect(bench.open(bench.command()) == .refused(.cooldown))
    bench.pass(.seconds(1))
    bench.chip.taken = []
    bench.pass(.milliseconds(100))
    #expect(bench.events.last == .mended("entrance"))
    #expect(!bench.chip.isActive(17))
    #expect(bench.keeper.nextDeadline == nil)
    #expect(bench.open(bench.command()) == .opened)
  }

  @Test func aLineThatCannotBeSetIsRefusedAndLeftInactive() {
    let bench = DoorBench()
    bench.chip.failures[17] = 1
    guard case .refused(.device(let words)) = bench.open(bench.command()) else {
      Issue.record("a line that could not be set was called open")
      return
    }
    #expect(words.contains("simulated failure"))
    #expect(!bench.chip.isActive(17))
    bench.pass(.seconds(3))
    #expect(bench.open(bench.command()) == .opened)
  }

  @Test func aMissingChipIsSaidOnceAndOtherDoorsOpen() {
    let bench = DoorBench(chip: SimulatedChip(name: "gpiochip4"))
    #expect(bench.events.count == 2)
    guard case .refused(.device(let words)) = bench.open(bench.command()) else {
      Issue.record("no chip, and yet open")
      return
    }
    #expect(words.contains("gpiochip4"), "what is there is listed")
    bench.pass(.seconds(30))
    #expect(bench.events.filter { if case .fault = $0 { true } else { false } }.count == 2)
    guard case .fault = bench.keeper.status(of: "entrance")?.state else {
      Issue.record("the fault is not shown")
      return
    }
    #expect(bench.open(bench.command("cellar", .account("panel402"), .credential(8))) == .opened)
  }

  @Test func stoppingBringsEveryLineBackAndOpensNothingMore() {
    let bench = DoorBench()
    bench.open(bench.command())
    #expect(bench.chip.isActive(17))
    bench.syncsAtOnce = false
    bench.open(bench.command("cellar", .account("panel402"), .credential(8)))
    bench.keeper.stop(at: bench.moment)
    bench.drain()
    #expect(bench.finished.last?.result == .refused(.stopping))
    #expect(!bench.chip.anyActive)
    bench.sync()
    #expect(bench.open(bench.command()) == .refused(.stopping))
    bench.pass(.seconds(20))
    #expect(bench.pulses(17) == 1)
  }

  @Test func aReloadKeepsAPulseAndBringsARemovedDoorsLineBack() {
    let bench = DoorBench()
    let house = bench.building
    bench.open(bench.command())
    bench.keeper.reload(at: bench.moment)
    #expect(bench.chip.isActive(17))
    #expect(bench.chip.history.filter { $0 == .requested(line: 17) }.count == 1)
    bench.building = Building(
      units: house.units, accounts: house.accounts, stations: house.stations,
      doors: Array(house.doors.dropFirst()))
    bench.keeper.reload(at: bench.moment)
    bench.drain()
    #expect(!bench.chip.anyActive)
    #expect(bench.keeper.status(of: "entrance") == nil)
    #expect(bench.open(bench.command()) == .refused(.unknownDoor))
    #expect(bench.keeper.nextDeadline == nil)
    // The same line under another door's name.
    bench.building = Building(
      units: [Unit(number: "401", accounts: house.units[0].accounts, doors: [DoorGrant("new")])],
      doors: [Door(id: "new", actuator: .gpio(chip: "gpiochip0", line: 17, activeLow: false))])
    bench.keeper.reload(at: bench.moment)
    bench.drain()
    #expect(bench.open(bench.command("new")) == .opened)
  }

  @Test func whatIsLeftAfterAKillIsMadeSafeWithoutADaemon() {
    let bench = DoorBench()
    bench.open(bench.command())
    bench.chip.loseHolder()
    #expect(bench.chip.isActive(17))
    #expect(Doorkeeper.makeSafe(bench.building.doors, bench.chip).isEmpty)
    #expect(!bench.chip.anyActive)
    bench.chip.taken = [18]
    #expect(Doorkeeper.makeSafe(bench.building.doors, bench.chip).map(\.door) == ["garage"])
  }

  @Test func keysToAStationAreUnknownAndSentOnce() {
    let bench = DoorBench(DoorBench.house(.dtmf(code: "9#", mode: .info)))
    bench.calls[CallID(3)] = AnsweredCall(station: "intercom-main", account: "panel401", unit: "401")
    let result = bench.press("#", "panel401", 3)
    #expect(result?.name == "unknown")
    #expect(bench.keysSent.map(\.keys) == ["9#"])
    #expect(bench.keysSent.map(\.mode) == [.info])
    #expect(bench.keysSent.map(\.stations) == [["intercom-main"]])
    #expect(bench.keysSent.map(\.call) == [CallID(3)])
    #expect(bench.press("#", "panel401", 3) == .refused(.cooldown))
    bench.pass(.seconds(10))
    bench.takesKeys = false
    guard case .refused(.unreachable) = bench.open(bench.command()) else {
      Issue.record("no call, and yet not refused")
      return
    }
    // Nothing was sent, so nobody need wait.
    bench.takesKeys = true
    #expect(bench.open(bench.command())?.name == "unknown")
  }
}
