// The one stream that a leg hears from us: its source, sequence and timestamps stay continuous whatever feeds it
// (the other leg, a new source after a re-INVITE, a prompt, keys of ours).
//
// Responsible for: mapping numbers, each of which leaves once: under SRTP a second packet of the same number would give
// both away. A relayed packet keeps its distance to its neighbours, so that loss and reordering on the way here are
// seen by the receiver as they were. Assumes calls in the order of sending.

package import Wire

/// What an outgoing packet carries.
package struct Stamp: Hashable, Sendable {
  package var sequence: UInt16
  package var timestamp: UInt32
  /// The first packet from a new source: audio sets the marker there (RFC 3551 section 4.1).
  package var isNewTalk: Bool

  package init(sequence: UInt16, timestamp: UInt32, isNewTalk: Bool) {
    self.sequence = sequence
    self.timestamp = timestamp
    self.isNewTalk = isNewTalk
  }
}

/// The numbering of one outgoing stream.
package struct Timeline: Sendable {
  /// Names whoever feeds a timeline; 0 is its owner.
  package typealias Feeder = UInt64

  package let ssrc: UInt32
  package private(set) var clockRate: UInt32
  package private(set) var packets: UInt64 = 0
  package private(set) var octets: UInt64 = 0
  /// When the last packet left; nil before the first.
  package private(set) var lastSent: Instant?
  /// When the newest timestamp first left.
  private var moment: Instant?
  /// The newest timestamp that left.
  package private(set) var timestamp: UInt32
  /// The numbers that left, counted on over the wraps of 16 bits.
  private var used: UsedNumbers

  private var feeder: Feeder?
  private var sequenceOffset: UInt16 = 0
  private var timestampOffset: UInt32 = 0
  /// The feeder's newest packet, sent or skipped.
  private var newestInput: UInt16 = 0
  private var newestInputTimestamp: UInt32 = 0
  /// Where the last run of skipped packets began, and the offset of what came before it.
  private var skipStart: UInt16?
  private var offsetBeforeSkip: UInt16 = 0
  private var lastSkipped: UInt16?
  /// The feeder's first packet that has a place here: what comes late from before it has none. Nil once it lies so far
  /// back that nothing can.
  private var firstPlace: UInt16?
  /// How far behind a packet may still come late, in sequence numbers.
  private static let reach: Int16 = 1000
  private var ownTimestamp: UInt32 = 0

  /// A stream that begins at numbers which the caller drew.
  package init(ssrc: UInt32, sequence: UInt16, timestamp: UInt32, clockRate: UInt32) {
    self.ssrc = ssrc
    self.clockRate = max(1, clockRate)
    self.timestamp = timestamp
    // Far enough from zero for what comes late.
    used = UsedNumbers(newest: 1 << 16 + UInt64(sequence &- 1))
  }

  private var highest: UInt16 { UInt16(truncatingIfNeeded: used.newest) }

  /// Changes the clock; what feeds the stream is mapped anew.
  package mutating func setClock(_ rate: UInt32) {
    guard rate != clockRate, rate > 0 else { return }
    clockRate = rate
    feeder = nil
  }

  /// The numbers under which a feeder's packet leaves now; nil for one that has no number of its own: it comes a
  /// second time, too late, or from before the feeder's first here.
  package mutating func relay(
    from feeder: Feeder, sequence: UInt16, timestamp: UInt32, at now: Instant
  ) -> Stamp? {
    let isNew = self.feeder != feeder || jumps(sequence, timestamp, at: now)
    if isNew {
      let next = nextTimestamp(at: now)
      self.feeder = feeder
      sequenceOffset = highest &+ 1 &- sequence
      timestampOffset = next &- timestamp
      newestInput = sequence
      newestInputTimestamp = timestamp
      skipStart = nil
      firstPlace = sequence
    }
    if let firstPlace, Int16(bitPattern: sequence &- firstPlace) < 0 { return nil }
    var offset = sequenceOffset
    if let skipStart, Int16(bitPattern: sequence &- skipStart) < 0 { offset = offsetBeforeSkip }
    let stamp = Stamp(
      sequence: sequence &+ offset, timestamp: timestamp &+ timestampOffset,
      isNewTalk: isNew && lastSent != nil)
    let step = Int64(Int16(bitPattern: stamp.sequence &- highest))
    guard used.use(UInt64(Int64(used.newest) + step)) else { return nil }
    if Int16(bitPattern: sequence &- newestInput) >= 0 {
      newestInput = sequence
      newestInputTimestamp = timestamp
      forgetOldPlaces()
    }
    if Int32(bitPattern: stamp.timestamp &- self.timestamp) > 0 || packets == 0 {
      self.timestamp = stamp.timestamp
      moment = now
    }
    lastSent = now
    return stamp
  }

  /// Places in the sequence mean the opposite half a turn later.
  private mutating func forgetOldPlaces() {
    if let start = firstPlace, Int16(bitPattern: newestInput &- start) > Timeline.reach { firstPlace = nil }
    if let start = skipStart, Int16(bitPattern: newestInput &- start) > Timeline.reach { skipStart = nil }
  }

  /// A feeder's packet that shall not leave: the gap in the sequence is closed.
  package mutating func skip(from feeder: Feeder, sequence: UInt16) {
    // A late or repeated packet leaves no gap that could still be closed.
    guard self.feeder == feeder, Int16(bitPattern: sequence &- newestInput) > 0 else { return }
    if lastSkipped != newestInput || sequence != newestInput &+ 1 || skipStart == nil {
      // Of two runs the offsets are known: what comes late from before the first of them has no place any more.
      if let skipStart { firstPlace = skipStart }
      skipStart = sequence
      offsetBeforeSkip = sequenceOffset
    }
    sequenceOffset &-= 1
    newestInput = sequence
    lastSkipped = sequence
    forgetOldPlaces()
  }

  /// The numbers for a packet of our own making; the next one's timestamp lies `ticks` further.
  package mutating func generate(ticks: UInt32, at now: Instant) -> Stamp {
    let isNew = feeder != 0
    if isNew {
      ownTimestamp = nextTimestamp(at: now)
      feeder = 0
    }
    _ = used.use(used.newest + 1)
    if timestamp != ownTimestamp || moment == nil { moment = now }
    timestamp = ownTimestamp
    lastSent = now
    defer { ownTimestamp &+= ticks }
    return Stamp(sequence: highest, timestamp: ownTimestamp, isNewTalk: isNew)
  }

  /// The number of the first of `count` packets of a picture of a feed, whose timestamp the caller keeps rising.
  package mutating func reserve(_ count: Int, timestamp: UInt32, at now: Instant) -> UInt16 {
    // Whoever else feeds this timeline afterwards is mapped anew, behind what leaves here.
    feeder = nil
    let first = highest &+ 1
    _ = used.use(used.newest + UInt64(count))
    self.timestamp = timestamp
    moment = now
    lastSent = now
    return first
  }

  /// The timestamp of something new that leaves now.
  package func freshTimestamp(at now: Instant) -> UInt32 { nextTimestamp(at: now) }

  /// Moves our own making's clock on without a packet.
  package mutating func pass(ticks: UInt32) { ownTimestamp &+= ticks }

  /// Counts a packet that left with `payload` bytes.
  package mutating func sent(payload: Int, packets count: Int = 1) {
    packets += UInt64(count)
    octets += UInt64(payload)
  }

  /// What a sender report says now; nil before the first packet.
  package func information(at now: Instant) -> SenderInformation? {
    guard let moment else { return nil }
    return SenderInformation(
      ntp: now.ntp, timestamp: timestamp &+ (now - moment).ticks(at: clockRate),
      packets: UInt32(truncatingIfNeeded: packets), octets: UInt32(truncatingIfNeeded: octets))
  }

  private func nextTimestamp(at now: Instant) -> UInt32 {
    guard let moment else { return timestamp }
    // At least a frame of 20 ms: two sources never share a moment.
    return timestamp &+ max((now - moment).ticks(at: clockRate), clockRate / 50)
  }

  /// Whether a feeder began its numbers anew under the same name.
  private func jumps(_ sequence: UInt16, _ timestamp: UInt32, at now: Instant) -> Bool {
    let step = Int16(bitPattern: sequence &- newestInput)
    if step > Int16(Reception.maximumDropout) || step < -Timeline.reach { return true }
    guard let lastSent else { return false }
    let change = Int64(Int32(bitPattern: timestamp &- newestInputTimestamp))
    let elapsed = (now - lastSent).nanoseconds / 1_000_000 * Int64(clockRate) / 1000
    let reach = Int64(clockRate) * 10
    return change < -reach || change > elapsed + reach
  }
}
