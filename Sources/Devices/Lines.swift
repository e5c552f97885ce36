/// One wire of a GPIO chip that moves something when it is active.
package struct LineAddress: Hashable, Sendable {
  /// The chip's name (`gpiochip0`), its label (`pinctrl-bcm2711`) or its path (`/dev/gpiochip0`).
  package var chip: String
  /// The line's number on that chip.
  package var line: Int
  /// Active means a low voltage.
  package var activeLow: Bool

  package init(chip: String, line: Int, activeLow: Bool = false) {
    self.chip = chip
    self.line = line
    self.activeLow = activeLow
  }
}

extension LineAddress: CustomStringConvertible {
  package var description: String { "\(chip) line \(line)" }
}

/// A line held as an output. It is inactive when it is got, belongs to nobody else while it is held, and is
/// released, inactive, when the last reference goes.
package protocol OutputLine: AnyObject {
  /// What the line was last set to.
  var isActive: Bool { get }
  /// Sets the line. When it throws, the line may be in either state: release it and open it anew.
  func set(active: Bool) throws(LineFailure)
}

/// Whatever has lines: the kernel's chips, or a simulated one.
package protocol LineSource: AnyObject {
  /// Takes a line as an output and drives it inactive in the same step. `consumer` is shown to whoever asks the
  /// kernel who has it.
  func openOutput(_ address: LineAddress, consumer: String) throws(LineFailure) -> any OutputLine
}

/// Why a line cannot be had or set. Its description names the chip, the line and what was expected.
package enum LineFailure: Error, Hashable, Sendable {
  /// `present` lists the chips of this machine as `gpiochip0 (label, 54 lines)`.
  case noSuchChip(String, present: [String])
  /// Several chips carry that label.
  case ambiguousChip(String, candidates: [String])
  case noSuchLine(LineAddress, lines: Int)
  case inUse(LineAddress, by: String)
  case notPermitted(String)
  /// The kernel has no version 2 of the interface (before Linux 5.10).
  case tooOld(String)
  case kernel(LineAddress, String)
}

extension LineFailure: CustomStringConvertible {
  package var description: String {
    switch self {
    case .noSuchChip(let chip, let present):
      let known = present.isEmpty ? "this machine has none" : "present: " + present.joined(separator: ", ")
      return "no GPIO chip has the name, label or path '\(chip)'; \(known)"
    case .ambiguousChip(let chip, let candidates):
      return "several GPIO chips are labelled '\(chip)'; write one of \(candidates.joined(separator: ", "))"
    case .noSuchLine(let address, let lines):
      return "GPIO chip '\(address.chip)' has no line \(address.line); expected 0 to \(lines - 1)"
    case .inUse(let address, let consumer):
      return "GPIO \(address) is taken by '\(consumer)'"
    case .notPermitted(let path):
      return "no permission for \(path); the daemon's user must be in the group that owns it (gpio)"
    case .tooOld(let path):
      return
        "the kernel does not know version 2 of the GPIO interface at \(path); Linux 5.10 or later is needed"
    case .kernel(let address, let words):
      return "GPIO \(address): \(words)"
    }
  }
}
