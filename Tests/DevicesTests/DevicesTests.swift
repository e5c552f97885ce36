import Devices
import Simulation
import Testing

@Suite struct GPIOTests {
  /// Runs on every machine: with chips or without, a chip that is not there is named, and what is there listed.
  @Test func aChipThatIsNotThereIsNamedAndTheOthersListed() {
    let chips = GPIOChips()
    let address = LineAddress(chip: "no-such-chip", line: 17)
    do throws(LineFailure) {
      _ = try chips.openOutput(address, consumer: "test")
      Issue.record("a chip that is not there was opened")
    } catch {
      #expect(error == .noSuchChip("no-such-chip", present: chips.present()))
      #expect("\(error)".contains("'no-such-chip'"))
    }
  }

  @Test func aFileThatIsNoChipIsRefused() {
    #expect(throws: LineFailure.noSuchChip("/dev/null", present: GPIOChips().present())) {
      _ = try GPIOChips().openOutput(LineAddress(chip: "/dev/null", line: 0), consumer: "test")
    }
  }

  @Test func failuresSayChipLineAndWhatWasExpected() {
    let address = LineAddress(chip: "gpiochip0", line: 60)
    #expect(
      "\(LineFailure.noSuchLine(address, lines: 54))"
        == "GPIO chip 'gpiochip0' has no line 60; expected 0 to 53")
    #expect("\(LineFailure.inUse(address, by: "led0"))" == "GPIO gpiochip0 line 60 is taken by 'led0'")
    #expect("\(LineFailure.noSuchChip("x", present: []))".hasSuffix("this machine has none"))
    #expect(
      "\(LineFailure.ambiguousChip("sim", candidates: ["gpiochip1", "gpiochip2"]))".contains(
        "gpiochip1, gpiochip2"))
  }
}

@Suite struct SimulatedChipTests {
  @Test func aLineIsInactiveWhenGotAndAfterItsRelease() throws {
    let chip = SimulatedChip()
    var line: (any OutputLine)? = try chip.openOutput(
      LineAddress(chip: "gpiochip0", line: 17), consumer: "test")
    #expect(line?.isActive == false)
    try line?.set(active: true)
    #expect(chip.isActive(17))
    #expect(throws: LineFailure.self) {
      _ = try chip.openOutput(LineAddress(chip: "/dev/gpiochip0", line: 17), consumer: "other")
    }
    line = nil
    #expect(!chip.isActive(17))
    #expect(chip.history == [.requested(line: 17), .set(line: 17, active: true), .released(line: 17)])
  }

  @Test func aKilledHolderLeavesTheLevelUntilTheNextRequest() throws {
    let chip = SimulatedChip()
    let line = try chip.openOutput(LineAddress(chip: "gpiochip0", line: 3), consumer: "test")
    try line.set(active: true)
    chip.loseHolder()
    #expect(chip.isActive(3))
    _ = try chip.openOutput(LineAddress(chip: "gpiochip0", line: 3), consumer: "test")
    #expect(!chip.isActive(3))
    _ = line
  }
}
