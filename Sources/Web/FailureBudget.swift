package import Wire

/// Counts failures by address, so that guessing is slow. Bounded: when it is full, the address that failed longest
/// ago is forgotten.
///
/// An IPv6 address counts with the others of its /64, which one host may take at will.
package struct FailureBudget: Sendable {
  /// How many failures an address has at once; one comes back every `refill`.
  package static let depth: Int64 = 20
  package static let refill = Interval.seconds(30)
  /// How many addresses are remembered.
  package static let mostKept = 4096

  private struct Place: Hashable {
    var high: UInt64
    var low: UInt64

    init(_ address: IPAddress) {
      high = address.high
      low = address.isV4 ? address.low : 0
    }
  }
  private struct Level {
    /// When all failures will have come back.
    var cleared: Instant
  }
  private var levels: [Place: Level] = [:]

  package init() {}

  /// When the address may try again; nil: now.
  package func retryAfter(_ address: IPAddress, now: Instant) -> Interval? {
    guard let level = levels[Place(address)] else { return nil }
    let debt = level.cleared - now
    let most = FailureBudget.refill * FailureBudget.depth
    return debt > most - FailureBudget.refill ? debt - (most - FailureBudget.refill) : nil
  }

  package mutating func failed(_ address: IPAddress, now: Instant) {
    let place = Place(address)
    if levels[place] == nil, levels.count >= FailureBudget.mostKept {
      // What is dropped does not depend on the order they are looked at.
      levels = levels.filter { $0.value.cleared > now }
      if levels.count >= FailureBudget.mostKept,
        let oldest = levels.min(by: { ($0.value.cleared, $0.key.low) < ($1.value.cleared, $1.key.low) })
      {
        levels[oldest.key] = nil
      }
    }
    let from = max(levels[place]?.cleared ?? now, now)
    levels[place] = Level(
      cleared: min(from + FailureBudget.refill, now + FailureBudget.refill * FailureBudget.depth))
  }

  package var count: Int { levels.count }
}
