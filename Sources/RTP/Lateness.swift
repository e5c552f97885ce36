// How late packets come: the measure by which a jitter buffer chooses its depth.
//
// Responsible for: the fastest way that packets take (the least difference of arrival and timestamp in the last two to
// four seconds, so that a clock that runs off is followed), and the distribution of how much slower than that they
// come, in which older packets weigh less and less.

internal import Wire

struct Lateness: Sendable {
  /// What later packets are measured in.
  static let grain = Interval.milliseconds(5)
  private static let buckets = 100
  /// Of a hundred packets one may come too late.
  private static let share = 0.99
  /// What a packet weighs against the one before it: half of all weight lies in the last 350 packets, 7 s of speech.
  private static let growth = 1 / 0.998
  private static let period = Interval.seconds(2)

  private let ticksPerGrain: Int32
  private var weights = [Double](repeating: 0, count: Lateness.buckets)
  private var total = 0.0
  private var weight = 1.0
  /// The least transit of this period and of the one before it, in ticks.
  private var least: UInt32 = 0
  private var leastBefore: UInt32?
  private var periodBegan = Instant(nanoseconds: 0)
  private(set) var packets = 0
  /// What covers the share of packets, as last found.
  private(set) var depth = Interval.zero

  init(clockRate: UInt32) {
    ticksPerGrain = max(1, Int32(clamping: clockRate / 200))
  }

  /// The fastest transit: arrival less timestamp, in ticks, wrapping.
  var base: UInt32 {
    guard let leastBefore else { return least }
    return Int32(bitPattern: leastBefore &- least) < 0 ? leastBefore : least
  }

  /// How much slower than the fastest a packet came; negative when it is the fastest yet.
  func lag(of transit: UInt32) -> Int32 { Int32(bitPattern: transit &- base) }

  mutating func observe(transit: UInt32, at now: Instant) {
    if packets == 0 {
      least = transit
      periodBegan = now
    } else if now - periodBegan >= Lateness.period {
      // After a silence nothing older counts.
      leastBefore = now - periodBegan >= Lateness.period * 3 ? nil : least
      least = transit
      periodBegan = now
    } else if Int32(bitPattern: transit &- least) < 0 {
      least = transit
    }
    packets += 1
    let bucket = min(Lateness.buckets - 1, Int(max(0, lag(of: transit)) / ticksPerGrain))
    // The first packets weigh equally, so that one alone does not count for half of all.
    if packets > 50 { weight *= Lateness.growth }
    weights[bucket] += weight
    total += weight
    if weight > 1e9 {
      for place in weights.indices { weights[place] /= weight }
      total /= weight
      weight = 1
    }
    if packets < 16 || packets % 8 == 0 || bucket > Int(depth.nanoseconds / Lateness.grain.nanoseconds) {
      findDepth()
    }
  }

  private mutating func findDepth() {
    var sum = 0.0
    for place in weights.indices {
      sum += weights[place]
      if sum >= total * Lateness.share {
        depth = Lateness.grain * Int64(place + 1)
        return
      }
    }
    depth = Lateness.grain * Int64(Lateness.buckets)
  }
}
