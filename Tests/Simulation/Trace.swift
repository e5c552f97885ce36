import Wire

/// What happened, in one number: equal for two runs of one seed, or something is not deterministic.
package struct Trace: Sendable {
  /// The fingerprint of everything noted so far.
  package private(set) var hash: UInt64 = 0xCBF2_9CE4_8422_2325
  /// How much was noted.
  package private(set) var count = 0
  /// Kept when `keepsLines`: one line per event, the newest last, at most `limit`.
  package private(set) var lines: [String] = []
  package var keepsLines = false
  private static let limit = 20_000

  package mutating func note(_ value: UInt64) {
    hash = (hash ^ value) &* 0x9E37_79B9_7F4A_7C15
    hash ^= hash >> 32
  }

  mutating func note(_ bytes: [UInt8]) {
    note(UInt64(bytes.count))
    var word: UInt64 = 0
    for (index, byte) in bytes.enumerated() {
      word = word << 8 | UInt64(byte)
      if index & 7 == 7 {
        note(word)
        word = 0
      }
    }
    note(word)
  }

  mutating func event(
    _ kind: StaticString, at time: Instant, world: Int, _ detail: @autoclosure () -> String = ""
  ) {
    count += 1
    note(UInt64(bitPattern: time.nanoseconds))
    note(UInt64(world))
    note(UInt64(kind.utf8CodeUnitCount))
    guard keepsLines else { return }
    if lines.count == Trace.limit { lines.removeFirst(Trace.limit / 2) }
    lines.append("\(time.nanoseconds / 1000) us  #\(world) \(kind) \(detail())")
  }

  /// Anything a test wants compared between runs.
  package mutating func note(_ text: String) { note(Array(text.utf8)) }
}
