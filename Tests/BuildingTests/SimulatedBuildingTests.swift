import SimulatedBuilding
import Testing

/// The quick part of the simulated building: short days, in debug. `Simulate` runs the long ones.
@Suite struct SimulatedBuildingTests {
  /// How long faults last in a short day.
  private static let minutes: Int64 = 1

  @Test(arguments: UInt64(1)...20)
  func aShortDayInTheBuildingBreaksNoRule(seed: UInt64) { live(seed) }

  /// Left out where every access to memory is watched, which takes five times as long.
  @Test(arguments: UInt64(21)...100)
  func moreShortDaysBreakNoRule(seed: UInt64) { live(seed) }

  private func live(_ seed: UInt64) {
    let outcome = BuildingDay.run(seed: seed, minutes: SimulatedBuildingTests.minutes)
    #expect(
      outcome.breaches.isEmpty,
      "again: Simulate \(seed) 1 --minutes \(SimulatedBuildingTests.minutes) --lines")
  }

  /// What they showed stands in Tests/Simulation/Building/README.md.
  @Test(arguments: [18, 62, 499, 536, 752, 770, 1331, 1376] as [UInt64])
  func aDayThatOnceBrokeARuleBreaksNoneNow(seed: UInt64) {
    #expect(BuildingDay.run(seed: seed).breaches.isEmpty, "again: Simulate \(seed) 1 --lines")
  }

  @Test func twoRunsOfOneSeedAreTheSameRun() {
    let first = BuildingDay.run(seed: 7, minutes: SimulatedBuildingTests.minutes)
    let second = BuildingDay.run(seed: 7, minutes: SimulatedBuildingTests.minutes)
    #expect(first.trace == second.trace)
    #expect(first.turns == second.turns)
    #expect(BuildingDay.run(seed: 8, minutes: SimulatedBuildingTests.minutes).trace != first.trace)
  }

  /// Rules that nothing ever puts to the test hold for nothing.
  @Test func thePeopleOfTheBuildingDoEverythingThatIsChecked() {
    var story: [String: Int] = [:]
    for seed: UInt64 in 101...115 {
      let outcome = BuildingDay.run(seed: seed, minutes: 3)
      #expect(outcome.breaches.isEmpty, "again: Simulate \(seed) 1 --minutes 3 --lines")
      for (name, count) in outcome.story { story[name, default: 0] += count }
    }
    for deed in [
      "applied", "cancelled", "clock jumped", "code pressed", "cut in a write", "device died",
      "dialled quiet", "disk full", "disturbed browsers", "dnd", "events read", "flooded", "forged",
      "guessed", "heard", "heard in a browser",
      "heard on a page", "held", "killed", "killed in a pulse", "log ban.set", "looks",
      "looked in vain", "seen on a page", "camera hurt", "opened by key",
      "opened by operator", "moved",
      "page answered", "page declined", "page enrolled", "page opens: opened", "page opens: refused",
      "page rang",
      "paged", "power lost", "pulse", "put through 202", "refused 486", "restarted ICE", "revoked in a call",
      "sound lost", "sprayed",
    ] {
      #expect(story[deed, default: 0] > 0, "nobody ever did this: \(deed)")
    }
  }
}
