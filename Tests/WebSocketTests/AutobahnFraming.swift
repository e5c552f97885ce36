// Groups 1 to 5 of the list: framing, pings and pongs, reserved bits, opcodes, fragmentation; and 10, fragments that
// the sender makes by itself.

private func stars(_ count: Int) -> [UInt8] { [UInt8](repeating: 0x2A, count: count) }
private func odd(_ count: Int) -> [UInt8] { [UInt8](repeating: 0xFE, count: count) }
private let hello = "Hello, world!"
private let binary: [UInt8] = [0x00, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0x00, 0xFF]
private let broken = AutobahnCase.Close.failed([1002])

extension AutobahnCase {
  static let framing: [AutobahnCase] = [
    // 1.1 text, 1.2 binary
    AutobahnCase("1.1.1", echo: .text([])),
    AutobahnCase("1.1.2", echo: .text(stars(125))),
    AutobahnCase("1.1.3", echo: .text(stars(126))),
    AutobahnCase("1.1.4", echo: .text(stars(127))),
    AutobahnCase("1.1.5", echo: .text(stars(128))),
    AutobahnCase("1.1.6", echo: .text(stars(65_535))),
    AutobahnCase("1.1.7", echo: .text(stars(65_536))),
    AutobahnCase("1.1.8", echo: .text(stars(65_536)), chop: 997),
    AutobahnCase("1.2.1", echo: .binary([])),
    AutobahnCase("1.2.2", echo: .binary(odd(125))),
    AutobahnCase("1.2.3", echo: .binary(odd(126))),
    AutobahnCase("1.2.4", echo: .binary(odd(127))),
    AutobahnCase("1.2.5", echo: .binary(odd(128))),
    AutobahnCase("1.2.6", echo: .binary(odd(65_535))),
    AutobahnCase("1.2.7", echo: .binary(odd(65_536))),
    AutobahnCase("1.2.8", echo: .binary(odd(65_536)), chop: 997),

    // 2 pings and pongs
    AutobahnCase("2.1", [.ping()], replies: [.pong()]),
    AutobahnCase("2.2", [.ping(hello)], replies: [.pong(hello)]),
    AutobahnCase("2.3", [.ping(binary)], replies: [Frame(opcode: 10, payload: binary)]),
    AutobahnCase("2.4", [.ping(odd(125))], replies: [Frame(opcode: 10, payload: odd(125))]),
    AutobahnCase("2.5", [.ping(odd(126))], close: broken),
    AutobahnCase("2.6", [.ping(odd(125))], replies: [Frame(opcode: 10, payload: odd(125))], chop: 1),
    AutobahnCase("2.7", [.pong(), .close(1000)], close: .answered([1000])),
    AutobahnCase("2.8", [.pong("unsolicited pong payload"), .close(1000)], close: .answered([1000])),
    AutobahnCase(
      "2.9", [.pong("unsolicited pong payload"), .ping("ping payload")], replies: [.pong("ping payload")]),
    AutobahnCase(
      "2.10", (0..<10).map { .ping("payload-\($0)") }, replies: (0..<10).map { .pong("payload-\($0)") }),
    AutobahnCase(
      "2.11", (0..<10).map { .ping("payload-\($0)") }, replies: (0..<10).map { .pong("payload-\($0)") },
      chop: 1),

    // 3 reserved bits
    AutobahnCase("3.1", [.text(hello, reserved: 1)], close: broken),
    AutobahnCase(
      "3.2", [.text(hello), .text(hello, reserved: 2), .ping()], replies: [.text(hello)], close: broken),
    AutobahnCase(
      "3.3", [.text(hello), .text(hello, reserved: 3), .ping()], replies: [.text(hello)], close: broken),
    AutobahnCase(
      "3.4", [.text(hello), .text(hello, reserved: 4), .ping()], replies: [.text(hello)], close: broken,
      chop: 1),
    AutobahnCase("3.5", [.binary(binary, reserved: 5)], close: broken),
    AutobahnCase("3.6", [.binary(Array(hello.utf8), reserved: 6)], close: broken),
    AutobahnCase("3.7", [Frame(opcode: 8, reserved: 7)], close: broken),

    // 4.1 reserved opcodes of data, 4.2 of control
    AutobahnCase("4.1.1", [Frame(opcode: 3)], close: broken),
    AutobahnCase("4.1.2", [Frame(opcode: 4, payload: Array("reserved opcode payload".utf8))], close: broken),
    AutobahnCase("4.1.3", [.text(hello), Frame(opcode: 5), .ping()], replies: [.text(hello)], close: broken),
    AutobahnCase(
      "4.1.4", [.text(hello), Frame(opcode: 6, payload: Array(hello.utf8)), .ping()],
      replies: [.text(hello)], close: broken),
    AutobahnCase(
      "4.1.5", [.text(hello), Frame(opcode: 7, payload: Array(hello.utf8)), .ping()],
      replies: [.text(hello)], close: broken, chop: 1),
    AutobahnCase("4.2.1", [Frame(opcode: 11)], close: broken),
    AutobahnCase("4.2.2", [Frame(opcode: 12, payload: Array("reserved opcode payload".utf8))], close: broken),
    AutobahnCase(
      "4.2.3", [.text(hello), Frame(opcode: 13), .ping()], replies: [.text(hello)], close: broken),
    AutobahnCase(
      "4.2.4", [.text(hello), Frame(opcode: 14, payload: Array(hello.utf8)), .ping()],
      replies: [.text(hello)], close: broken),
    AutobahnCase(
      "4.2.5", [.text(hello), Frame(opcode: 15, payload: Array(hello.utf8)), .ping()],
      replies: [.text(hello)], close: broken, chop: 1),

    // 5 fragmentation
    AutobahnCase("5.1", [.ping("fragment1", final: false), .more("fragment2")], close: broken),
    AutobahnCase("5.2", [.pong("fragment1", final: false), .more("fragment2")], close: broken),
    AutobahnCase("5.3", pair, replies: [.text("fragment1fragment2")]),
    AutobahnCase("5.4", pair, replies: [.text("fragment1fragment2")], chop: 64),
    AutobahnCase("5.5", pair, replies: [.text("fragment1fragment2")], chop: 1),
    AutobahnCase("5.6", pinged, replies: [.pong("ping payload"), .text("fragment1fragment2")]),
    AutobahnCase("5.7", pinged, replies: [.pong("ping payload"), .text("fragment1fragment2")], chop: 64),
    AutobahnCase("5.8", pinged, replies: [.pong("ping payload"), .text("fragment1fragment2")], chop: 1),
    AutobahnCase("5.9", [.more("non-continuation payload"), .text(hello)], close: broken),
    AutobahnCase("5.10", [.more("non-continuation payload"), .text(hello)], close: broken, chop: 64),
    AutobahnCase("5.11", [.more("non-continuation payload"), .text(hello)], close: broken, chop: 1),
    AutobahnCase("5.12", [.more("non-continuation payload", final: false), .text(hello)], close: broken),
    AutobahnCase(
      "5.13", [.more("non-continuation payload", final: false), .text(hello)], close: broken, chop: 64),
    AutobahnCase(
      "5.14", [.more("non-continuation payload", final: false), .text(hello)], close: broken, chop: 1),
    AutobahnCase(
      "5.15", pair + [.more("fragment3", final: false), .text("fragment4")],
      replies: [.text("fragment1fragment2")], close: broken),
    AutobahnCase(
      "5.16",
      [
        .more("fragment1", final: false), .text("fragment2", final: false), .more("fragment3"),
        .more("fragment1", final: false), .text("fragment2", final: false), .more("fragment3"),
      ], close: broken),
    AutobahnCase(
      "5.17",
      [
        .more("fragment1"), .text("fragment2", final: false), .more("fragment3"),
        .more("fragment1"), .text("fragment2", final: false), .more("fragment3"),
      ], close: broken),
    AutobahnCase("5.18", [.text("fragment1", final: false), .text("fragment2")], close: broken),
    AutobahnCase("5.19", steps: five, replies: fiveReplies),
    AutobahnCase("5.20", steps: five, replies: fiveReplies, chop: 64),
  ]

  private static let pair: [Frame] = [.text("fragment1", final: false), .more("fragment2")]
  private static let pinged: [Frame] = [
    .text("fragment1", final: false), .ping("ping payload"), .more("fragment2"),
  ]
  private static let five: [Step] = [
    .send(.text("fragment1", final: false)), .send(.more("fragment2", final: false)),
    .send(.ping("pongme 1!")), .stillOpen, .send(.more("fragment3", final: false)),
    .send(.more("fragment4", final: false)), .send(.ping("pongme 2!")), .send(.more("fragment5")),
  ]
  private static let fiveReplies: [Frame] = [
    .pong("pongme 1!"), .pong("pongme 2!"), .text("fragment1fragment2fragment3fragment4fragment5"),
  ]

  /// 10.1.1: 65,536 bytes in fragments of 1,300.
  static let fragmented: [AutobahnCase] = [
    AutobahnCase("10.1.1", fragments(of: stars(65_536), each: 1300), replies: [.text(stars(65_536))])
  ]

  /// A message in fragments of `size` bytes, the last shorter.
  static func fragments(of payload: [UInt8], each size: Int, opcode: UInt8 = 1) -> [Frame] {
    stride(from: 0, to: payload.count, by: size).map { from in
      let end = min(from + size, payload.count)
      return Frame(
        opcode: from == 0 ? opcode : 0, isFinal: end == payload.count, payload: Array(payload[from..<end]))
    }
  }
}
