// What one received stream tells about the way it came: RFC 3550 sections 6.4.1 and A.1, A.3, A.8.
//
// Responsible for: extended sequence numbers, loss, jitter, and the report block made of them. Assumes that
// whoever feeds it has already decided that the packet belongs to the stream.

package import Wire

/// Counts one source's packets.
package struct Reception: Sendable {
  /// A jump forwards further than this is a new beginning, not loss.
  package static let maximumDropout: UInt16 = 3000
  /// A step backwards further than this is a new beginning, not reordering.
  package static let maximumMisorder: UInt16 = 100

  package let clockRate: UInt32
  /// Packets that came, repeated and late ones among them.
  package private(set) var received: UInt64 = 0
  private var highest: UInt16 = 0
  private var cycles: UInt32 = 0
  private var base: UInt32 = 0
  /// Expected packets of the stretches before a source began anew.
  private var expectedBefore: UInt64 = 0
  private var receivedBefore: UInt64 = 0
  private var restart: UInt32 = .max
  private var transit: UInt32 = 0
  /// Jitter in ticks, with four binary places.
  private var scaledJitter: UInt32 = 0
  private var expectedAtReport: UInt64 = 0
  private var receivedAtReport: UInt64 = 0
  private var senderReport: (middle: UInt32, at: Instant)?

  package init(clockRate: UInt32) { self.clockRate = max(1, clockRate) }

  /// Takes note of a packet that came at `now`.
  package mutating func receive(sequence: UInt16, timestamp: UInt32, at now: Instant) {
    let arrival = now.ticks(at: clockRate) &- timestamp
    if received == 0 {
      base = UInt32(sequence)
      highest = sequence
      transit = arrival
      received = 1
      return
    }
    received += 1
    let step = sequence &- highest
    if step < Reception.maximumDropout {
      if sequence < highest { cycles &+= 1 << 16 }
      highest = sequence
    } else if step <= UInt16.max - Reception.maximumMisorder {
      // Far off: believed when the next one follows it.
      if UInt32(sequence) == restart {
        expectedBefore += UInt64(expectedHere)
        receivedBefore = received - 2
        base = UInt32(sequence &- 1)
        highest = sequence
        cycles = sequence == 0 ? 1 << 16 : 0
        restart = .max
        transit = arrival
        return
      }
      restart = UInt32(sequence &+ 1)
      return
    }
    let change = Int32(bitPattern: arrival &- transit)
    transit = arrival
    let magnitude = min(change.magnitude, 1 << 24)
    // J += (|D| - J) / 16, kept with four binary places (RFC 3550 section A.8).
    scaledJitter = scaledJitter &+ magnitude &- ((scaledJitter &+ 8) >> 4)
  }

  private var expectedHere: UInt32 { received == 0 ? 0 : extendedHighest &- base &+ 1 }
  /// Highest sequence number with the count of its wraps above it.
  package var extendedHighest: UInt32 { cycles | UInt32(highest) }
  /// How many packets should have come.
  package var expected: UInt64 { expectedBefore + UInt64(expectedHere) }
  /// How many did not; negative when packets were repeated.
  package var lost: Int64 { Int64(expected) - Int64(received) }
  /// Jitter in ticks of the stream's clock.
  package var jitterTicks: UInt32 { scaledJitter >> 4 }
  package var jitter: Interval {
    .nanoseconds(Int64(scaledJitter) * 1_000_000_000 / 16 / Int64(clockRate))
  }

  /// Takes note of a sender report, so that its sender can tell the round trip from our next report.
  package mutating func heard(senderReport ntp: UInt64, at now: Instant) {
    senderReport = (UInt32(truncatingIfNeeded: ntp >> 16), now)
  }

  /// The block for the next report about `ssrc`; the interval for the lost fraction begins anew.
  package mutating func report(about ssrc: UInt32, at now: Instant) -> ReportBlock {
    let expectedNow = expected
    let expectedInterval = Int64(expectedNow &- expectedAtReport)
    let lostInterval = expectedInterval - Int64(received &- receivedAtReport)
    expectedAtReport = expectedNow
    receivedAtReport = received
    let fraction =
      expectedInterval <= 0 || lostInterval <= 0 ? 0 : min(255, lostInterval * 256 / expectedInterval)
    var delay: UInt32 = 0
    if let senderReport {
      delay = UInt32(clamping: (now - senderReport.at).nanoseconds / 1000 * 65_536 / 1_000_000)
    }
    return ReportBlock(
      ssrc: ssrc, fractionLost: UInt8(fraction),
      lost: Int32(clamping: max(-0x80_0000, min(0x7F_FFFF, lost))), highest: extendedHighest,
      jitter: jitterTicks, lastReport: senderReport?.middle ?? 0, delay: delay)
  }
}

/// One reception report block (RFC 3550 section 6.4.1).
package struct ReportBlock: Hashable, Sendable {
  /// The source that the block speaks of.
  package var ssrc: UInt32
  /// Lost since the last report, in 256ths.
  package var fractionLost: UInt8
  /// Lost since the beginning, 24 bits, negative for repeated packets.
  package var lost: Int32
  package var highest: UInt32
  /// In ticks of the stream's clock.
  package var jitter: UInt32
  /// The middle 32 bits of the last sender report's time; 0 when none came.
  package var lastReport: UInt32
  /// Since that report, in 65,536ths of a second.
  package var delay: UInt32

  package init(
    ssrc: UInt32, fractionLost: UInt8, lost: Int32, highest: UInt32, jitter: UInt32, lastReport: UInt32,
    delay: UInt32
  ) {
    self.ssrc = ssrc
    self.fractionLost = fractionLost
    self.lost = lost
    self.highest = highest
    self.jitter = jitter
    self.lastReport = lastReport
    self.delay = delay
  }

  /// The round trip that this block tells, when it came at `now`; nil when the peer had no report of ours, or
  /// its figures are impossible.
  package func roundTrip(at now: Instant) -> Interval? {
    guard lastReport != 0 else { return nil }
    let middle = UInt32(truncatingIfNeeded: now.ntp >> 16)
    let units = Int32(bitPattern: middle &- lastReport &- delay)
    // A minute is no round trip; a tick below zero is rounding.
    guard units >= -64, units < 60 << 16 else { return nil }
    return .nanoseconds(Int64(max(0, units)) * 1_000_000_000 / 65_536)
  }
}

extension Instant {
  /// This moment as a 64-bit NTP time of the house's own monotonic clock: a report's time need only be common
  /// to all streams of one sender, and this one never jumps.
  package var ntp: UInt64 {
    let seconds = UInt64(bitPattern: nanoseconds / 1_000_000_000) & 0xFFFF_FFFF
    let rest = UInt64(bitPattern: nanoseconds % 1_000_000_000) & 0xFFFF_FFFF
    return seconds << 32 | (rest << 32) / 1_000_000_000
  }
}
