// How much a path carries, as far as its receiver's reports tell: by delay that grows, by loss, and by what came.
//
// Responsible for: one number, in bits a second. Packets that left together count as one group; the delay of a group
// against the one before it is summed, smoothed, and its slope over the last groups says whether a queue fills or
// drains. A queue that fills brings the estimate below what really came; otherwise it rises, never far beyond that,
// because a stream that is slower than its path proves no more. Loss above a tenth brings it down too.
// Assumes that reports come in the order of sending, more or less.

package import Wire

package struct BandwidthEstimate: Sendable {
  package static let least = 50_000
  package static let most = 100_000_000

  /// Bits a second; nil before enough came.
  package private(set) var bitsPerSecond: Int?
  /// Whether the path was ever seen to be full. Before, the number says no more than what was tried.
  package private(set) var hasLimit = false

  // Groups.
  private struct Group {
    var sent: Instant
    var arrival: Int64
  }
  private static let groupLength = Interval.milliseconds(5)
  private var current: Group?
  private var before: Group?

  // The trend of the delay: milliseconds over milliseconds.
  private static let window = 20
  private var points: [(time: Double, delay: Double)] = []
  private var sum = 0.0
  private var smoothed = 0.0
  private var start: Int64?
  private var groups = 0
  private var threshold = 12.5
  private var lastThreshold: Int64?
  private var overuseSince: Int64?
  private var lastTrend = 0.0
  private enum Usage { case normal, over, under }
  private var usage = Usage.normal

  // What came: the newest half second of the receiver's clock, in its order.
  private static let rateWindow: Int64 = 500_000
  /// Of 1200 bytes, more than the most we believe in; a receiver whose clock stands still holds no more of our memory.
  package static let rateLimit = 8192
  private var came: [(arrival: Int64, bytes: Int)] = []
  private var cameHead = 0
  private var cameBytes = 0

  // Changes.
  private var lastChange: Instant?
  private var lastDecrease: Instant?
  /// Where it was full last: near it, it rises slowly.
  private var capacity: Double?

  // Loss.
  private var lost = 0
  private var all = 0
  private var lossSince: Instant?

  package init() {
    points.reserveCapacity(BandwidthEstimate.window + 1)
    came.reserveCapacity(256)
  }

  /// A packet that came: when it left, when it came on the receiver's clock in microseconds, its bytes on the wire. That
  /// clock is 24 bits of 64 ms, so that a difference of two times never overflows; it may stand still, jump and wrap.
  package mutating func came(sent: Instant, arrival: Int64, bytes: Int) {
    all += 1
    count(arrival, bytes)
    guard var group = current else {
      current = Group(sent: sent, arrival: arrival)
      return
    }
    if sent < group.sent { return }
    if sent - group.sent < BandwidthEstimate.groupLength {
      group.arrival = max(group.arrival, arrival)
      current = group
      return
    }
    if let before { compare(group, with: before) }
    before = group
    current = Group(sent: sent, arrival: arrival)
  }

  /// A packet that did not.
  package mutating func lost(_ count: Int) {
    lost += count
    all += count
  }

  /// The end of a report: what follows from it.
  package mutating func settle(at now: Instant, roundTrip: Interval) {
    judgeLoss(at: now)
    guard let rate = acknowledged else { return }
    guard var bits = bitsPerSecond.map(Double.init) else {
      // The first second tells nothing of a limit.
      bitsPerSecond = bounded(Double(rate) * 1.5)
      lastChange = now
      return
    }
    let passed = min(1.0, Double((now - (lastChange ?? now)).nanoseconds) / 1e9)
    lastChange = now
    switch usage {
    case .over:
      if let lastDecrease, now - lastDecrease < max(roundTrip * 2, .milliseconds(200)) { break }
      lastDecrease = now
      hasLimit = true
      capacity = capacity.map { 0.7 * $0 + 0.3 * Double(rate) } ?? Double(rate)
      bits = min(bits, 0.85 * Double(rate))
      // One queue is one warning.
      usage = .normal
      overuseSince = nil
    case .under: break
    case .normal:
      if let known = capacity, abs(Double(rate) - known) < 0.3 * known {
        // About one packet a round trip more.
        let response = max(0.1, Double(roundTrip.nanoseconds) / 1e9 + 0.1)
        bits += max(4000, 9600 / response) * passed
      } else {
        if let known = capacity, Double(rate) > known * 1.3 { capacity = nil }
        bits *= 1 + 0.08 * passed
      }
      // Beyond what was tried nothing is known; what was known stays.
      let tried = 1.5 * Double(rate) + 10_000
      if bits > tried { bits = max(Double(bitsPerSecond ?? 0), tried) }
    }
    bitsPerSecond = bounded(bits)
  }

  /// What the receiver itself believes, where it tells no more.
  package mutating func told(bitsPerSecond bits: Int) {
    bitsPerSecond = bounded(Double(bits))
    hasLimit = true
  }

  private func bounded(_ bits: Double) -> Int {
    Int(max(Double(BandwidthEstimate.least), min(Double(BandwidthEstimate.most), bits)))
  }

  // MARK: What came

  /// Packets of the window.
  package var counted: Int { came.count - cameHead }

  private mutating func count(_ arrival: Int64, _ bytes: Int) {
    let newest = came.last?.arrival ?? arrival
    if arrival < newest - BandwidthEstimate.rateWindow {
      // The clock was set back, or wrapped: what came before it says nothing of a rate now.
      came.removeAll(keepingCapacity: true)
      cameHead = 0
      cameBytes = 0
      came.append((arrival, bytes))
    } else {
      came.append((max(arrival, newest), bytes))
    }
    cameBytes += bytes
    while came[cameHead].arrival < arrival - BandwidthEstimate.rateWindow
      || counted > BandwidthEstimate.rateLimit
    {
      cameBytes -= came[cameHead].bytes
      cameHead += 1
    }
    if cameHead > 512 {
      came.removeFirst(cameHead)
      cameHead = 0
    }
  }

  /// Bits a second that came lately; nil before a fifth of a second.
  private var acknowledged: Int? {
    guard cameHead < came.count, let last = came.last else { return nil }
    let length = last.arrival - came[cameHead].arrival
    guard length >= 200_000 else { return nil }
    return Int(Int64(cameBytes) * 8 * 1_000_000 / length)
  }

  // MARK: Delay

  private mutating func compare(_ group: Group, with before: Group) {
    let sent = Double((group.sent - before.sent).nanoseconds) / 1e6
    let arrived = Double(group.arrival - before.arrival) / 1000
    // Reports out of order, or a clock that was set.
    guard arrived >= 0, arrived < 10_000, sent < 10_000 else { return forgetTrend() }
    if start == nil { start = group.arrival }
    groups += 1
    sum += arrived - sent
    smoothed = 0.9 * smoothed + 0.1 * sum
    points.append((Double(group.arrival - (start ?? 0)) / 1000, smoothed))
    if points.count > BandwidthEstimate.window { points.removeFirst() }
    let slope = points.count == BandwidthEstimate.window ? trend() : 0
    judge(slope, at: group.arrival)
  }

  private mutating func forgetTrend() {
    points.removeAll(keepingCapacity: true)
    sum = 0
    smoothed = 0
    start = nil
    usage = .normal
    overuseSince = nil
  }

  /// The slope of the line through the points.
  private func trend() -> Double {
    var times = 0.0
    var delays = 0.0
    for point in points {
      times += point.time
      delays += point.delay
    }
    times /= Double(points.count)
    delays /= Double(points.count)
    var numerator = 0.0
    var denominator = 0.0
    for point in points {
      numerator += (point.time - times) * (point.delay - delays)
      denominator += (point.time - times) * (point.time - times)
    }
    return denominator > 0 ? numerator / denominator : 0
  }

  private mutating func judge(_ slope: Double, at arrival: Int64) {
    let value = Double(min(groups, 60)) * slope * 4
    defer {
      adapt(to: abs(value), at: arrival)
      lastTrend = value
    }
    if value > threshold {
      if let since = overuseSince {
        if arrival - since > 10_000, value >= lastTrend { usage = .over }
      } else {
        overuseSince = arrival
      }
    } else {
      overuseSince = nil
      usage = value < -threshold ? .under : .normal
    }
  }

  /// What counts as growth follows what the path shows when nothing is wrong.
  private mutating func adapt(to value: Double, at arrival: Int64) {
    defer { lastThreshold = arrival }
    guard let lastThreshold, value < threshold + 15 else { return }
    let passed = min(100, Double(arrival - lastThreshold) / 1000)
    threshold += (value - threshold) * (value < threshold ? 0.039 : 0.0087) * passed
    threshold = max(6, min(600, threshold))
  }

  // MARK: Loss

  private mutating func judgeLoss(at now: Instant) {
    guard let since = lossSince else {
      lossSince = now
      return
    }
    guard now - since >= .seconds(1), all >= 20 else { return }
    let share = Double(lost) / Double(all)
    lossSince = now
    lost = 0
    all = 0
    guard share > 0.1, let bits = bitsPerSecond else { return }
    hasLimit = true
    lastDecrease = now
    bitsPerSecond = bounded(Double(bits) * (1 - 0.5 * share))
  }
}
