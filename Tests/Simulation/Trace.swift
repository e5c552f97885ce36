package import Wire

/// What happened, in one number: equal for two runs of one seed, or something is not deterministic.
package struct Trace: Sendable {
  /// The fingerprint of everything noted so far.
  package private(set) var hash: UInt64 = 0xCBF2_9CE4_8422_2325
  /// How much was noted.
  package private(set) var count = 0
  /// Kept when `keepsLines`: one line per event, the newest last, at most `limit`.
  package private(set) var lines: [String] = []
  package var keepsLines = false
  private static let limit = 400_000

  package mutating func note(_ value: UInt64) {
    hash = (hash ^ value) &* 0x9E37_79B9_7F4A_7C15
    hash ^= hash >> 32
  }

  mutating func note(_ bytes: [UInt8]) {
    note(UInt64(bytes.count))
    unsafe bytes.withUnsafeBytes { raw in
      var place = 0
      while place + 8 <= raw.count {
        note(unsafe raw.loadUnaligned(fromByteOffset: place, as: UInt64.self))
        place += 8
      }
      var last: UInt64 = 0
      while place < raw.count {
        last = last << 8 | UInt64(unsafe raw[place])
        place += 1
      }
      note(last)
    }
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

  /// A line for people, which changes nothing.
  package mutating func say(_ text: @autoclosure () -> String, at time: Instant) {
    guard keepsLines, lines.count < Trace.limit else { return }
    lines.append("\(time.nanoseconds / 1000) us  \(text())")
  }

  /// Anything a test wants compared between runs.
  package mutating func note(_ text: String) { note(Array(text.utf8)) }
}
