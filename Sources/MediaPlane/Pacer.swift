// How fast the packets of one viewer leave.
//
// Two accounts. The burst: what may leave at once, so that an ordinary picture is one message and a key picture does not
// flood a wireless link's queue. The budget, once the path is known to have a limit: what may leave in the long run;
// whoever overdraws it is not served before the next key picture.

internal import RTP
internal import Wire

struct Pacer {
  /// Bytes that may leave at once.
  static let burst = 32 << 10
  /// Before anything is known of a path: bytes a second.
  private static let unknown = 3_000_000
  private static let slowest = 60_000
  private static let pause = Interval.milliseconds(5)

  private var rate = Pacer.unknown
  private var credit = Pacer.burst
  private var since: Instant
  /// Bytes a second in the long run; nil without a limit.
  private var limit: Int?
  private var budget = 0

  init(at now: Instant) { since = now }

  /// Takes over what the path is believed to carry, in bits a second; nil for no limit.
  mutating func set(_ bits: Int?, at now: Instant) {
    refill(at: now)
    guard let bits else {
      rate = Pacer.unknown
      limit = nil
      return
    }
    // A key picture may take its share of a second; the queue before the path drains between pictures.
    rate = max(Pacer.slowest, bits / 8 * 5 / 2)
    if limit == nil { budget = bits / 8 }
    limit = bits / 8
  }

  mutating func refill(at now: Instant) {
    let passed = min(1_000_000, max(0, (now - since).nanoseconds / 1000))
    since = now
    credit = min(Pacer.burst, credit + Int(passed) * rate / 1_000_000)
    // A tenth above: an estimate is a careful one.
    if let limit { budget = min(limit, budget + Int(passed) * (limit + limit / 10) / 1_000_000) }
  }

  mutating func spend(_ bytes: Int) {
    credit -= bytes
    if limit != nil { budget -= bytes }
  }

  var mayGo: Bool { credit > 0 }
  /// Half a second more than the path carries has left.
  var isOverdrawn: Bool { limit.map { budget < -$0 / 2 } ?? false }
  var isBalanced: Bool { limit == nil || budget >= 0 }

  /// How many bytes may leave now.
  var allowance: Int { max(0, credit) }
  /// When something may leave again.
  var wait: Interval {
    max(Pacer.pause, .microseconds(Int64(max(0, 1 - credit)) * 1_000_000 / Int64(max(1, rate))))
  }
}

/// When the last packets left, by their numbers across all that leaves.
struct Departures {
  private struct Entry {
    var at = Instant(nanoseconds: 0)
    var bytes: UInt16 = 0
    var number: UInt16 = 0
    var isFull = false
  }
  private static let limit = 1024

  private var entries: [Entry] = []

  /// Takes note of `count` packets of so many bytes from `number` on.
  mutating func add(_ number: UInt16, bytes: Int, at now: Instant) {
    if entries.isEmpty { entries = Array(repeating: Entry(), count: Departures.limit) }
    entries[Int(number) & (Departures.limit - 1)] = Entry(
      at: now, bytes: UInt16(clamping: bytes), number: number, isFull: true)
  }

  /// When a packet left and how long it was; once, so that a report that comes again counts for nothing.
  mutating func take(_ number: UInt16) -> (at: Instant, bytes: Int)? {
    let place = Int(number) & (Departures.limit - 1)
    guard place < entries.count, entries[place].isFull, entries[place].number == number else { return nil }
    entries[place].isFull = false
    return (entries[place].at, Int(entries[place].bytes))
  }

  /// Whether it is still waited for.
  func holds(_ number: UInt16) -> Bool {
    let place = Int(number) & (Departures.limit - 1)
    return place < entries.count && entries[place].isFull && entries[place].number == number
  }
}
