import SimulatedBuilding
import Testing

/// The quick part of the simulated building: short days, in debug. `Simulate` runs the long ones.
@Suite struct SimulatedBuildingTests {
  /// How long faults last in a short day.
  private static let minutes: Int64 = 1

  @Test(arguments: UInt64(1)...100)
  func aShortDayInTheBuildingBreaksNoRule(seed: UInt64) { live(seed) }

  private func live(_ seed: UInt64) {
    let outcome = BuildingDay.run(seed: seed, minutes: SimulatedBuildingTests.minutes)
    #expect(
      outcome.breaches.isEmpty,
      "again: Simulate \(seed) 1 --minutes \(SimulatedBuildingTests.minutes) --lines")
  }

  @Test func twoRunsOfOneSeedAreTheSameRun() {
    let first = BuildingDay.run(seed: 7, minutes: SimulatedBuildingTests.minutes)
    let second = BuildingDay.run(seed: 7, minutes: SimulatedBuildingTests.minutes)
    #expect(first.trace == second.trace)
    #expect(first.turns == second.turns)
    #expect(BuildingDay.run(seed: 8, minutes: SimulatedBuildingTests.minutes).trace != first.trace)
  }
}
