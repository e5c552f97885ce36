// Group 6 of the list: text that is UTF-8 and text that is not, the latter found out at its first wrong byte.

private let kosme: [UInt8] = [0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xCF, 0x83, 0xCE, 0xBC, 0xCE, 0xB5]
private let edited: [UInt8] = Array("edited".utf8)
private let surrogate = kosme + [0xED, 0xA0, 0x80] + edited
/// Wrong at its thirteenth byte: 90 after F4 would be above U+10FFFF.
private let beyond = kosme + [0xF4, 0x90, 0x80, 0x80] + edited
private let umlauts = "Hello-µ@ßöäüàá-UTF-8!!"
private let notText = AutobahnCase.Close.failed([1007])

extension AutobahnCase {
  static let texts: [AutobahnCase] = fixedTexts + sequences

  private static let fixedTexts: [AutobahnCase] = [
    AutobahnCase("6.1.1", echo: .text([])),
    AutobahnCase(
      "6.1.2", [.text([], final: false), .more([], final: false), .more([])], replies: [.text([])]),
    AutobahnCase(
      "6.1.3", [.text([], final: false), .more("middle frame payload", final: false), .more([])],
      replies: [.text("middle frame payload")]),
    AutobahnCase("6.2.1", echo: .text(umlauts)),
    AutobahnCase(
      "6.2.2", [.text("Hello-µ@ßöä", final: false), .more("üàá-UTF-8!!")], replies: [.text(umlauts)]),
    AutobahnCase("6.2.3", fragments(of: Array(umlauts.utf8), each: 1), replies: [.text(umlauts)]),
    AutobahnCase("6.2.4", fragments(of: kosme, each: 1), replies: [.text(kosme)]),
    AutobahnCase("6.3.1", [.text(surrogate)], close: notText),
    AutobahnCase("6.3.2", fragments(of: surrogate, each: 1), close: notText),
    AutobahnCase(
      "6.4.1",
      steps: [
        .send(.text(kosme, final: false)), .stillOpen,
        .send(.more([0xF4, 0x90, 0x80, 0x80], final: false)), .failedByNow, .send(.more(edited)),
      ], close: notText),
    AutobahnCase(
      "6.4.2",
      steps: [
        .send(.text(Array(beyond[..<12]), final: false)), .stillOpen,
        .send(.more([beyond[12]], final: false)), .failedByNow, .send(.more(Array(beyond[13...]))),
      ], close: notText),
    AutobahnCase(
      "6.4.3",
      steps: [
        .part(.text(beyond), 0..<11), .stillOpen, .part(.text(beyond), 11..<15), .failedByNow,
        .part(.text(beyond), 15..<21),
      ], close: notText),
    AutobahnCase(
      "6.4.4",
      steps: [
        .part(.text(beyond), 0..<12), .stillOpen, .part(.text(beyond), 12..<13), .failedByNow,
        .part(.text(beyond), 13..<21),
      ], close: notText),
  ]

  /// 6.5 to 6.23: each a text that is UTF-8 and comes back, or is not and ends the connection.
  private static var sequences: [AutobahnCase] {
    let groups: [(isText: [Bool], texts: [[UInt8]])] = [
      // 6.5 some texts
      all(
        true,
        Array("hello$world".utf8), Array("hello¢world".utf8), Array("hello€world".utf8),
        Array("hello".utf8) + [0xF0, 0xA4, 0xAD, 0xA2] + Array("world".utf8), kosme),
      // 6.6 every prefix of one
      (
        [false, true, false, false, true, false, true, false, true, false, true],
        (1...11).map { Array(kosme[..<$0]) }
      ),
      // 6.7 the first character of each length
      all(true, [0x00], [0xC2, 0x80], [0xE0, 0xA0, 0x80], [0xF0, 0x90, 0x80, 0x80]),
      // 6.8 of lengths that there are not
      all(false, [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFC, 0x84, 0x80, 0x80, 0x80, 0x80]),
      // 6.9 the last character of each length
      all(true, [0x7F], [0xDF, 0xBF], [0xEF, 0xBF, 0xBF], [0xF4, 0x8F, 0xBF, 0xBF]),
      // 6.10 of lengths that there are not
      all(
        false, [0xF7, 0xBF, 0xBF, 0xBF], [0xFB, 0xBF, 0xBF, 0xBF, 0xBF],
        [0xFD, 0xBF, 0xBF, 0xBF, 0xBF, 0xBF]),
      // 6.11 other borders
      (
        [true, true, true, true, false],
        [
          [0xED, 0x9F, 0xBF], [0xEE, 0x80, 0x80], [0xEF, 0xBF, 0xBD], [0xF4, 0x8F, 0xBF, 0xBF],
          [0xF4, 0x90, 0x80, 0x80],
        ]
      ),
      // 6.12 continuations of nothing
      all(
        false, [0x80], [0xBF], [0x80, 0xBF], [0x80, 0xBF, 0x80], [0x80, 0xBF, 0x80, 0xBF],
        [0x80, 0xBF, 0x80, 0xBF, 0x80], [0x80, 0xBF, 0x80, 0xBF, 0x80, 0xBF], Array(0x80...0xBE)),
      // 6.13 beginnings without continuation
      (
        [false, false, false, false, false],
        [0xC0..<0xDF, 0xE0..<0xEF, 0xF0..<0xF7, 0xF8..<0xFB, 0xFC..<0xFD].map { (range: Range<UInt8>) in
          range.flatMap { [$0, 0x20] }
        }
      ),
      // 6.14 the last byte missing
      (Array(repeating: false, count: 10), unfinished),
      // 6.15 all of those in a row
      all(false, unfinished.flatMap { $0 }),
      // 6.16 bytes that never occur
      all(false, [0xFE], [0xFF], [0xFE, 0xFE, 0xFF, 0xFF]),
      // 6.17 a slash written too long
      all(
        false, [0xC0, 0xAF], [0xE0, 0x80, 0xAF], [0xF0, 0x80, 0x80, 0xAF], [0xF8, 0x80, 0x80, 0x80, 0xAF],
        [0xFC, 0x80, 0x80, 0x80, 0x80, 0xAF]),
      // 6.18 the greatest of what is written too long
      all(
        false, [0xC1, 0xBF], [0xE0, 0x9F, 0xBF], [0xF0, 0x8F, 0xBF, 0xBF], [0xF8, 0x87, 0xBF, 0xBF, 0xBF],
        [0xFC, 0x83, 0xBF, 0xBF, 0xBF, 0xBF]),
      // 6.19 NUL written too long
      all(
        false, [0xC0, 0x80], [0xE0, 0x80, 0x80], [0xF0, 0x80, 0x80, 0x80], [0xF8, 0x80, 0x80, 0x80, 0x80],
        [0xFC, 0x80, 0x80, 0x80, 0x80, 0x80]),
      // 6.20 single surrogates
      all(
        false, [0xED, 0xA0, 0x80], [0xED, 0xAD, 0xBF], [0xED, 0xAE, 0x80], [0xED, 0xAF, 0xBF],
        [0xED, 0xB0, 0x80], [0xED, 0xBE, 0x80], [0xED, 0xBF, 0xBF]),
      // 6.21 surrogates in pairs
      all(
        false, [0xED, 0xA0, 0x80, 0xED, 0xB0, 0x80], [0xED, 0xA0, 0x80, 0xED, 0xBF, 0xBF],
        [0xED, 0xAD, 0xBF, 0xED, 0xB0, 0x80], [0xED, 0xAD, 0xBF, 0xED, 0xBF, 0xBF],
        [0xED, 0xAE, 0x80, 0xED, 0xB0, 0x80], [0xED, 0xAE, 0x80, 0xED, 0xBF, 0xBF],
        [0xED, 0xAF, 0xBF, 0xED, 0xB0, 0x80], [0xED, 0xAF, 0xBF, 0xED, 0xBF, 0xBF]),
      // 6.22 code points that are no characters, and are UTF-8 nevertheless
      (Array(repeating: true, count: 34), nonCharacters),
      // 6.23 specials
      (
        Array(repeating: true, count: 7),
        (0xB9...0xBF).map { [0xEF, 0xBF, $0] }
      ),
    ]
    var cases: [AutobahnCase] = []
    for (group, entry) in groups.enumerated() {
      for (place, text) in entry.texts.enumerated() {
        let number = "6.\(group + 5).\(place + 1)"
        if entry.isText[place] {
          cases.append(AutobahnCase(number, echo: .text(text)))
        } else {
          cases.append(AutobahnCase(number, [.text(text)], close: notText))
        }
      }
    }
    return cases
  }

  private static func all(_ isText: Bool, _ texts: [UInt8]...) -> (isText: [Bool], texts: [[UInt8]]) {
    (texts.map { _ in isText }, texts)
  }

  private static let unfinished: [[UInt8]] = [
    [0xC0], [0xE0, 0x80], [0xF0, 0x80, 0x80], [0xF8, 0x80, 0x80, 0x80], [0xFC, 0x80, 0x80, 0x80, 0x80],
    [0xDF], [0xEF, 0xBF], [0xF7, 0xBF, 0xBF], [0xFB, 0xBF, 0xBF, 0xBF], [0xFD, 0xBF, 0xBF, 0xBF, 0xBF],
  ]

  /// U+FFFE and U+FFFF, and the last two of each plane that this pattern of bytes can write.
  private static var nonCharacters: [[UInt8]] {
    var texts: [[UInt8]] = [[0xEF, 0xBF, 0xBE], [0xEF, 0xBF, 0xBF]]
    for first: UInt8 in 0xF0...0xF4 {
      for second: UInt8 in [0x8F, 0x9F, 0xAF, 0xBF] {
        // 8F after F0 is written too long, and only 8F may follow F4.
        guard first == 0xF4 ? second == 0x8F : !(first == 0xF0 && second == 0x8F) else { continue }
        for last: UInt8 in [0xBE, 0xBF] { texts.append([first, second, 0xBF, last]) }
      }
    }
    return texts
  }
}
