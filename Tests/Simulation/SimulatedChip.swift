package import Devices

/// A GPIO chip that is not there: lines whose level can be read from outside, whose holder can be killed in
/// mid-pulse, and which can be made to fail.
package final class SimulatedChip: LineSource {
  /// What happened to a line.
  package enum Happening: Hashable, Sendable {
    case requested(line: Int)
    case set(line: Int, active: Bool)
    case released(line: Int)
  }

  package let name: String
  package let lineCount: Int
  /// Everything that happened, in order.
  package private(set) var history: [Happening] = []
  /// Lines that another program has.
  package var taken: Set<Int> = []
  /// Lines whose next settings fail: how many times yet.
  package var failures: [Int: Int] = [:]
  /// The wire's own level, kept after release as a Raspberry Pi's kernel keeps it.
  private var levels: [Int: Bool] = [:]
  /// Who holds a line: the number of the request.
  private var held: [Int: Int] = [:]
  private var requests = 0

  package init(name: String = "gpiochip0", lineCount: Int = 54) {
    self.name = name
    self.lineCount = lineCount
  }

  /// Whether the door that hangs on this line is open now.
  package func isActive(_ line: Int) -> Bool { levels[line] ?? false }
  package var anyActive: Bool { levels.values.contains(true) }

  package func openOutput(_ address: LineAddress, consumer: String) throws(LineFailure) -> any OutputLine {
    guard address.chip == name || address.chip == "/dev/\(name)" else {
      throw .noSuchChip(address.chip, present: ["\(name) (simulated, \(lineCount) lines)"])
    }
    guard address.line >= 0, address.line < lineCount else { throw .noSuchLine(address, lines: lineCount) }
    guard !taken.contains(address.line) else { throw .inUse(address, by: "another") }
    guard held[address.line] == nil else { throw .inUse(address, by: consumer) }
    requests += 1
    held[address.line] = requests
    history.append(.requested(line: address.line))
    levels[address.line] = false
    return Line(self, address, request: requests)
  }

  /// What a power cut of the daemon (kill −9) leaves: lines that nobody holds, levels as they were.
  package func loseHolder() { held.removeAll() }

  /// The power is gone: every relay falls back.
  package func dropAll() { levels.removeAll() }

  private func set(_ address: LineAddress, _ active: Bool, _ request: Int) throws(LineFailure) {
    guard held[address.line] == request else { throw .kernel(address, "not held") }
    if let left = failures[address.line], left > 0 {
      failures[address.line] = left - 1
      throw .kernel(address, "simulated failure")
    }
    history.append(.set(line: address.line, active: active))
    levels[address.line] = active
  }

  private func release(_ line: Int, _ request: Int) {
    guard held[line] == request else { return }
    held[line] = nil
    history.append(.released(line: line))
    levels[line] = false
  }

  private final class Line: OutputLine {
    private let chip: SimulatedChip
    private let address: LineAddress
    private let request: Int
    private(set) var isActive = false

    init(_ chip: SimulatedChip, _ address: LineAddress, request: Int) {
      self.request = request
      self.chip = chip
      self.address = address
    }

    func set(active: Bool) throws(LineFailure) {
      try chip.set(address, active, request)
      isActive = active
    }

    deinit { chip.release(address.line, request) }
  }
}
