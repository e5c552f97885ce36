// Group 7 of the list: closing.

private let hello = "Hello World!"

extension AutobahnCase {
  static let closing: [AutobahnCase] =
    [
      AutobahnCase("7.1.1", echo: .text(hello)),
      AutobahnCase("7.1.2", [.close(1000), .close(1000)], close: .answered([1000])),
      AutobahnCase("7.1.3", [.close(1000), .ping()], close: .answered([1000])),
      AutobahnCase("7.1.4", [.close(1000), .text(hello)], close: .answered([1000])),
      AutobahnCase(
        "7.1.5", [.text("fragment1", final: false), .close(1000), .more("fragment2")],
        close: .answered([1000])),
      AutobahnCase(
        "7.1.6", [.text(repeated("BAsd7&jh23", 256 << 10)), .text(hello), .close(1000), .ping()],
        replies: [.text(repeated("BAsd7&jh23", 256 << 10)), .text(hello)], close: .answered([1000])),
      AutobahnCase("7.3.1", [.close(nil)], close: .answered([nil])),
      AutobahnCase("7.3.2", [.close(nil, [0x61])], close: .failed([1002])),
      AutobahnCase("7.3.3", [.close(1000)], close: .answered([1000])),
      AutobahnCase("7.3.4", [.close(1000, Array(hello.utf8))], close: .answered([1000])),
      AutobahnCase(
        "7.3.5", [.close(1000, [UInt8](repeating: 0x2A, count: 123))], close: .answered([1000])),
      AutobahnCase(
        "7.3.6", [.close(1000, [UInt8](repeating: 0x2A, count: 124))], close: .failed([1002])),
      AutobahnCase(
        "7.5.1",
        [
          .close(
            1000,
            [
              0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xCF, 0x83, 0xCE, 0xBC, 0xCE, 0xB5, 0xED, 0xA0, 0x80, 0x65,
              0x64, 0x69, 0x74, 0x65, 0x64,
            ])
        ], close: .failed([1007])),
    ]
    + zip(1..., [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]).map {
      AutobahnCase("7.7.\($0)", [.close($1)], close: .answered([$1]))
    }
    + zip(1..., [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999]).map {
      AutobahnCase("7.9.\($0)", [.close($1)], close: .failed([1002]))
    }
    // Undefined by the RFC; we refuse what no registry can hold.
    + zip(1..., [5000, 65_535]).map {
      AutobahnCase("7.13.\($0)", [.close($1)], close: .failed([1002]))
    }

  /// `count` bytes of the pattern over and over.
  static func repeated(_ pattern: some Collection<UInt8>, _ count: Int) -> [UInt8] {
    let whole = Array(pattern)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + whole.count)
    while bytes.count < count { bytes += whole }
    bytes.removeLast(bytes.count - count)
    return bytes
  }
  static func repeated(_ pattern: String, _ count: Int) -> [UInt8] { repeated(pattern.utf8, count) }
}
