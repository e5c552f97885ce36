internal import CLinux

/// The kernel's GPIO chips through their character devices (ABI v2).
///
/// It finds a chip by name, label or path, takes lines one request each, and holds them. Deciding when a line is
/// active, and for how long, is somebody else's. The calls are short and may be made on a loop's thread.
package final class GPIOChips: LineSource {
  package init() {}

  package func openOutput(_ address: LineAddress, consumer: String) throws(LineFailure) -> any OutputLine {
    let chip = try open(address.chip)
    guard address.line >= 0, address.line < chip.lines else {
      throw .noSuchLine(address, lines: chip.lines)
    }
    let offset = UInt32(address.line)
    let number = unsafe clinux_gpio_request_output(
      chip.descriptor.number, offset, address.activeLow ? 1 : 0, consumer)
    guard number >= 0 else {
      switch -number {
      case 16: throw .inUse(address, by: holder(of: offset, chip.descriptor))  // EBUSY
      case 1, 13: throw .notPermitted(chip.path)  // EPERM, EACCES
      case 22, 25: throw .tooOld(chip.path)  // EINVAL, ENOTTY
      case let code: throw .kernel(address, words(code))
      }
    }
    return Line(address: address, descriptor: Descriptor(number: number))
  }

  /// The chips of this machine, as messages name them.
  package func present() -> [String] {
    chips().map { "\($0.name) (\($0.label), \($0.lines) lines)" }
  }

  // MARK: Finding a chip

  private struct Descriptor: ~Copyable {
    let number: Int32
    deinit { clinux_close(number) }
  }

  private struct OpenChip: ~Copyable {
    let descriptor: Descriptor
    let path: String
    let lines: Int
  }

  private struct Chip {
    var path: String
    var name: String
    var label: String
    var lines: Int
  }

  private func open(_ wanted: String) throws(LineFailure) -> OpenChip {
    let path: String
    if wanted.hasPrefix("/") {
      path = wanted
    } else {
      let known = chips()
      if let named = known.first(where: { $0.name == wanted }) {
        path = named.path
      } else {
        let labelled = known.filter { $0.label == wanted }
        guard labelled.count <= 1 else {
          throw .ambiguousChip(wanted, candidates: labelled.map(\.name))
        }
        // A chip that may not be opened is not among the known ones; its name still leads to it.
        path = labelled.first?.path ?? "/dev/\(wanted)"
      }
    }
    let number = unsafe clinux_gpio_open(path)
    guard number >= 0 else {
      if number == -1 || number == -13 { throw .notPermitted(path) }
      throw .noSuchChip(wanted, present: present())
    }
    let chip = Descriptor(number: number)
    var info = clinux_gpio_chip()
    guard unsafe clinux_gpio_chip_info(number, &info) == 0 else {
      throw .noSuchChip(wanted, present: present())
    }
    return OpenChip(descriptor: chip, path: path, lines: Int(info.lines))
  }

  private func chips() -> [Chip] {
    var result: [Chip] = []
    var index: Int32 = 0
    var path = [CChar](repeating: 0, count: 64)
    while unsafe clinux_gpio_chip_path(index, &path, path.count) == 0 {
      index += 1
      let number = unsafe clinux_gpio_open(path)
      guard number >= 0 else { continue }
      let chip = Descriptor(number: number)
      var info = clinux_gpio_chip()
      guard unsafe clinux_gpio_chip_info(chip.number, &info) == 0 else { continue }
      result.append(
        Chip(
          path: text(path), name: text(of: info.name), label: text(of: info.label),
          lines: Int(info.lines)))
    }
    return result
  }

  private func holder(of offset: UInt32, _ chip: borrowing Descriptor) -> String {
    var info = clinux_gpio_line()
    guard unsafe clinux_gpio_line_info(chip.number, offset, &info) == 0 else { return "somebody" }
    let consumer = text(of: info.consumer)
    return consumer.isEmpty ? "the kernel" : consumer
  }

  private func words(_ code: Int32) -> String {
    var words = [CChar](repeating: 0, count: 128)
    unsafe clinux_error_text(code, &words, words.count)
    return text(words)
  }

  private func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The text in a C array, which Swift sees as a tuple of characters.
  private func text<Tuple>(of tuple: Tuple) -> String {
    unsafe withUnsafeBytes(of: tuple) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }

  // MARK: A line

  private final class Line: OutputLine {
    private let address: LineAddress
    private let descriptor: Descriptor
    private(set) var isActive = false

    init(address: LineAddress, descriptor: consuming Descriptor) {
      self.address = address
      self.descriptor = descriptor
    }

    func set(active: Bool) throws(LineFailure) {
      let outcome = clinux_gpio_set(descriptor.number, active ? 1 : 0)
      guard outcome >= 0 else {
        var words = [CChar](repeating: 0, count: 128)
        unsafe clinux_error_text(-outcome, &words, words.count)
        let bytes = words.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        throw .kernel(address, String(decoding: bytes, as: UTF8.self))
      }
      isActive = active
    }

    // Some kernels keep an output's level after its release: it is left inactive.
    deinit { clinux_gpio_set(descriptor.number, 0) }
  }
}
