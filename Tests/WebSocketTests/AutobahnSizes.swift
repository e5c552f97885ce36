// Group 9 of the list: sizes, up to 16 MiB.
//
// An unoptimised build is some fifty times slower a byte, so there the messages are a sixteenth as long, and the
// fragments and pieces with them where that leaves any; the numbers of messages and of fragments stay. The largest
// message is echoed whole all the same.

#if DEBUG
  private let thinning = 16
#else
  private let thinning = 1
#endif

private let textPattern: [UInt8] = Array("BAsd7&jh23".utf8)
private let binaryPattern: [UInt8] = [0x00, 0xFE, 0x23, 0xFA, 0xF0]
private let kilo = 1 << 10
private let mega = 1 << 20

extension AutobahnCase {
  /// 9.1.6 and 9.2.6 as the list has them, whatever the build.
  static var largest: [AutobahnCase] {
    [
      AutobahnCase("9.1.6", echo: .text(repeated(textPattern, 16 * mega))),
      AutobahnCase("9.2.6", echo: .binary(repeated(binaryPattern, 16 * mega))),
    ]
  }

  static var sizes: [AutobahnCase] {
    var cases: [AutobahnCase] = []
    // 9.1 text and 9.2 binary messages of one frame.
    for (place, size) in [64 * kilo, 256 * kilo, mega, 4 * mega, 8 * mega, 16 * mega].enumerated() {
      cases.append(
        AutobahnCase("9.1.\(place + 1)", echo: .text(repeated(textPattern, size / thinning))))
      cases.append(
        AutobahnCase("9.2.\(place + 1)", echo: .binary(repeated(binaryPattern, size / thinning))))
    }
    // 9.3 text and 9.4 binary messages of 4 MiB in fragments.
    let sizes = [
      64, 256, kilo, 4 * kilo, 16 * kilo, 64 * kilo, 256 * kilo, mega, 4 * mega,
    ]
    for (place, size) in sizes.enumerated() {
      let text = repeated("*", 4 * mega / thinning)
      cases.append(
        AutobahnCase(
          "9.3.\(place + 1)", fragments(of: text, each: size / thinning), replies: [.text(text)]))
      cases.append(
        AutobahnCase(
          "9.4.\(place + 1)", fragments(of: text, each: size / thinning, opcode: 2),
          replies: [.binary(text)]))
    }
    // 9.5 text and 9.6 binary messages of 1 MiB in small pieces.
    for (place, size) in [64, 128, 256, 512, 1024, 2048].enumerated() {
      cases.append(
        AutobahnCase(
          "9.5.\(place + 1)", echo: .text(repeated(textPattern, mega / thinning)), chop: size / thinning))
      cases.append(
        AutobahnCase(
          "9.6.\(place + 1)", echo: .binary(repeated(binaryPattern, mega / thinning)),
          chop: size / thinning))
    }
    // 9.7 a thousand text, 9.8 a thousand binary messages.
    for (place, size) in [0, 16, 64, 256, 1024, 4096].enumerated() {
      let text = repeated("*", size / thinning)
      let bytes = repeated([0xFE], size / thinning)
      cases.append(
        AutobahnCase(
          "9.7.\(place + 1)", Array(repeating: .text(text), count: 1000),
          replies: Array(repeating: .text(text), count: 1000)))
      cases.append(
        AutobahnCase(
          "9.8.\(place + 1)", Array(repeating: .binary(bytes), count: 1000),
          replies: Array(repeating: .binary(bytes), count: 1000)))
    }
    return cases
  }
}
