// The jitter buffer: packets that come early, late, twice, in the wrong order or not at all, handed on one by one at
// the moment they are wanted.
//
// Responsible for: the order, how long a packet waits (as long as 99 of 100 packets need, found while they come),
// what is lost and what came too late, silence that the sender left out, a sender that begins anew, a clock that
// runs off, and a bound on everything it keeps. It says by how much sound should become shorter or longer; whoever
// decodes does that, and makes up what is lost.
// Assumes: one stream; whoever plays asks in good time, packet by packet, and says how much it still holds.
// Knows nothing of codecs: how many ticks a packet lasts is told with it.
//
// Time is kept in ticks of the stream's clock. A packet's `wait` is how much later it is taken than it could have been
// had it come the fastest way. Whoever plays takes packets when a frame of its own is due, so that waits differ by
// whole frames only: the least that is not below `target` is held. Sound that is taken ahead of its frame is delay
// besides, and cut away where that is not heard. A sender whose clock runs off moves the fastest way, and so the wait:
// nothing else is needed for drift.

package import Wire

package struct JitterBuffer: Sendable {
  /// What a packet was found to be when it came.
  package enum Arrival: Hashable, Sendable {
    case kept
    /// Its moment had passed.
    case late
    case repeated
    /// It fits nothing; believed when the next one follows it.
    case stray
    /// The sender began anew, and so did we.
    case restarted
  }

  /// What to play next.
  package enum Step: Hashable, Sendable {
    /// The packet that `lend` gives; it lasts so many ticks.
    case packet(ticks: Int)
    /// A packet did not come: make up so many ticks. When `isRecoverable` the packet after it is there, and `lend`
    /// gives it: it may hold a copy.
    case missing(ticks: Int, isRecoverable: Bool)
    /// The sender is silent, or nothing is here yet: nothing for the rest of the frame.
    case rest
  }

  /// How packets fared.
  package struct Figures: Hashable, Sendable {
    package var kept: UInt64 = 0
    /// Came after their moment, and were dropped.
    package var late: UInt64 = 0
    package var repeated: UInt64 = 0
    package var stray: UInt64 = 0
    /// Never played: they did not come, or too late.
    package var concealed: UInt64 = 0
    /// Dropped because too many waited.
    package var dropped: UInt64 = 0
    package var restarts: UInt64 = 0
  }

  private struct Slot: Sendable {
    var sequence: UInt16 = 0
    var timestamp: UInt32 = 0
    var ticks = 0
    var isFull = false
    var bytes: [UInt8] = []
  }

  /// Packets kept at most: at 10 ms each more than a second.
  package static let capacity = 128
  /// The longest payload kept.
  package static let maximumPayload = 1500
  /// The deepest it becomes.
  package static let maximumTarget = Interval.milliseconds(400)
  /// Beside what jitter asks for: the grain of timers.
  private static let margin = Interval.milliseconds(5)
  /// What is not worth a change.
  private static let tolerance = Interval.milliseconds(3)
  /// Before anything is known.
  private static let firstTarget = Interval.milliseconds(30)
  /// Beyond target and this, packets are dropped: a thread stood still, or a burst came after a stall.
  private static let excess = Interval.milliseconds(250)
  /// No transit is so far off: the sender's clock jumped.
  private static let jump = Interval.seconds(2)
  /// So far behind a packet may be late or repeated; further it is from another numbering.
  private static let reach = 100

  package let clockRate: UInt32
  package private(set) var figures = Figures()
  /// The packets that wait.
  package private(set) var count = 0
  private var slots: [Slot]
  private var lateness: Lateness
  private var source: UInt32?
  private var hasPlayed = false
  /// The next packet to play, and the timestamp of the next tick.
  private var nextSequence: UInt16 = 0
  private var nextTimestamp: UInt32 = 0
  /// Of the newest packet, for what a missing one lasted.
  private var usualTicks: Int
  /// Whether nothing is being said: then the delay may be set freely.
  private var isResting = true
  /// Made up since the last packet, while none was there.
  private var madeUp = 0
  /// How long the packet last taken waited.
  private var waited = 0
  private var candidate: (sequence: UInt16, timestamp: UInt32, source: UInt32)?
  private var lent = 0
  /// The share of lost packets, smoothed over some 100.
  private var loss = 0.0
  /// Wait one packet longer where packets are lost, so that a copy may come.
  private let recovers: Bool
  /// The newest packet's arrival.
  package private(set) var lastArrival: Instant?

  /// `recovers`: packets may hold copies of those before them.
  package init(clockRate: UInt32, recovers: Bool = false) {
    self.clockRate = max(1000, min(192_000, clockRate))
    self.recovers = recovers
    usualTicks = Int(self.clockRate / 50)
    slots = Array(repeating: Slot(), count: JitterBuffer.capacity)
    lateness = Lateness(clockRate: self.clockRate)
  }

  /// How long packets shall wait now.
  package var target: Interval {
    if lateness.packets == 0 { return JitterBuffer.firstTarget }
    var result = lateness.depth + JitterBuffer.margin
    if lateness.packets < 50 { result = max(result, JitterBuffer.firstTarget) }
    if recovers, loss > 0.005 { result = result + interval(usualTicks) }
    return min(result, JitterBuffer.maximumTarget)
  }

  private func ticks(_ interval: Interval) -> Int {
    Int(interval.nanoseconds / 1000 * Int64(clockRate) / 1_000_000)
  }
  private func interval(_ ticks: Int) -> Interval {
    .nanoseconds(Int64(ticks) * 1_000_000_000 / Int64(clockRate))
  }

  private func place(_ sequence: UInt16) -> Int { Int(sequence) % JitterBuffer.capacity }

  private func has(_ sequence: UInt16) -> Bool {
    let slot = place(sequence)
    return slots[slot].isFull && slots[slot].sequence == sequence
  }

  // MARK: Coming in

  /// Takes a packet that came at `now` and lasts `ticks`.
  @discardableResult
  package mutating func receive(
    _ payload: Span<UInt8>, sequence: UInt16, timestamp: UInt32, source: UInt32, ticks: Int, at now: Instant
  ) -> Arrival {
    guard ticks > 0, ticks <= Int(clockRate), payload.count <= JitterBuffer.maximumPayload else {
      figures.stray += 1
      return .stray
    }
    let transit = now.ticks(at: clockRate) &- timestamp
    if self.source == nil {
      begin(sequence, timestamp, source)
    } else if source != self.source || !isPlausible(sequence, timestamp, transit) {
      let follows =
        candidate.map {
          $0.source == source && sequence == $0.sequence &+ 1
            && Int32(bitPattern: timestamp &- $0.timestamp).magnitude < clockRate
        } ?? false
      guard follows else {
        candidate = (sequence, timestamp, source)
        figures.stray += 1
        return .stray
      }
      restart(sequence, timestamp, source)
      keep(payload, sequence, timestamp, ticks, transit, now)
      return .restarted
    }
    candidate = nil
    lastArrival = now
    let step = Int(Int16(bitPattern: sequence &- nextSequence))
    if step < 0 {
      if !hasPlayed, -step + newestStep() < JitterBuffer.capacity {
        // Before anything was played the first packet may come second.
        nextSequence = sequence
        nextTimestamp = timestamp
        keep(payload, sequence, timestamp, ticks, transit, now)
        return .kept
      }
      lateness.observe(transit: transit, at: now)
      figures.late += 1
      return .late
    }
    if step >= JitterBuffer.capacity {
      restart(sequence, timestamp, source)
      keep(payload, sequence, timestamp, ticks, transit, now)
      return .restarted
    }
    if has(sequence) {
      figures.repeated += 1
      return .repeated
    }
    let behind = Int(Int32(bitPattern: nextTimestamp &- timestamp))
    if behind > 0, !isResting {
      // What stood in for it was played. If the delay shall grow anyway, that was how it grew; else it is too late.
      lateness.observe(transit: transit, at: now)
      let delay = Int(lateness.lag(of: now.ticks(at: clockRate) &- timestamp))
      guard count == 0, delay <= self.ticks(target) + ticks else {
        if step == 0 {
          nextSequence &+= 1
          resolve(lost: 1)
        }
        figures.late += 1
        return .late
      }
      nextTimestamp = timestamp
      store(payload, sequence, timestamp, ticks)
      return .kept
    }
    keep(payload, sequence, timestamp, ticks, transit, now)
    return .kept
  }

  private func newestStep() -> Int {
    var newest = 0
    for slot in slots where slot.isFull {
      newest = max(newest, Int(Int16(bitPattern: slot.sequence &- nextSequence)))
    }
    return newest
  }

  /// Whether a packet belongs to the numbering that we know.
  private func isPlausible(_ sequence: UInt16, _ timestamp: UInt32, _ transit: UInt32) -> Bool {
    let limit = Int32(clamping: ticks(JitterBuffer.jump))
    guard lateness.lag(of: transit).magnitude < UInt32(limit) else { return false }
    let step = Int(Int16(bitPattern: sequence &- nextSequence))
    if step < -JitterBuffer.reach { return false }
    // Numbers that go back while the time goes on.
    if step < 0, hasPlayed, Int32(bitPattern: timestamp &- nextTimestamp) > Int32(usualTicks) { return false }
    return true
  }

  private mutating func begin(_ sequence: UInt16, _ timestamp: UInt32, _ source: UInt32) {
    self.source = source
    nextSequence = sequence
    nextTimestamp = timestamp
    isResting = true
    hasPlayed = false
    madeUp = 0
    candidate = nil
    lateness = Lateness(clockRate: clockRate)
  }

  private mutating func restart(_ sequence: UInt16, _ timestamp: UInt32, _ source: UInt32) {
    for place in slots.indices { slots[place].isFull = false }
    figures.dropped += UInt64(count)
    count = 0
    figures.restarts += 1
    begin(sequence, timestamp, source)
  }

  private mutating func keep(
    _ payload: Span<UInt8>, _ sequence: UInt16, _ timestamp: UInt32, _ ticks: Int, _ transit: UInt32,
    _ now: Instant
  ) {
    lastArrival = now
    lateness.observe(transit: transit, at: now)
    store(payload, sequence, timestamp, ticks)
  }

  private mutating func store(_ payload: Span<UInt8>, _ sequence: UInt16, _ timestamp: UInt32, _ ticks: Int) {
    let slot = place(sequence)
    if slots[slot].isFull { figures.dropped += 1 } else { count += 1 }
    slots[slot].sequence = sequence
    slots[slot].timestamp = timestamp
    slots[slot].ticks = ticks
    slots[slot].isFull = true
    slots[slot].bytes.removeAll(keepingCapacity: true)
    for index in payload.indices { slots[slot].bytes.append(payload[index]) }
    usualTicks = ticks
    figures.kept += 1
  }

  // MARK: Going out

  /// How long a packet has waited at `moment`.
  private func wait(_ slot: Int, _ moment: UInt32) -> Int {
    Int(Int32(bitPattern: moment &- slots[slot].timestamp &- lateness.base))
  }

  /// What to play next, in a frame that is due at `now`.
  package mutating func next(at now: Instant) -> Step {
    let moment = now.ticks(at: clockRate)
    guard count > 0 else { return dry() }
    dropExcess(moment)
    if has(nextSequence) {
      let slot = place(nextSequence)
      if isResting {
        if wait(slot, moment) < ticks(target) { return .rest }
      } else if Int32(bitPattern: slots[slot].timestamp &- nextTimestamp) > 0 {
        // The sender left something out: silence, in which the delay is set anew.
        isResting = true
        madeUp = 0
        return next(at: now)
      }
      return take(slot, moment)
    }
    if isResting {
      // The first after a rest is not here: it may still come until its successor's moment.
      let successor = earliest()
      if wait(place(successor), moment) < ticks(target) { return .rest }
      let lost = Int(successor &- nextSequence)
      nextSequence = successor
      if hasPlayed { resolve(lost: lost) }
      return take(place(successor), moment)
    }
    return miss(moment)
  }

  /// The waiting packet with the lowest number.
  private func earliest() -> UInt16 {
    for step in 0..<JitterBuffer.capacity where has(nextSequence &+ UInt16(step)) {
      return nextSequence &+ UInt16(step)
    }
    preconditionFailure("a packet that waits lies within the capacity of the next")
  }

  private mutating func take(_ slot: Int, _ moment: UInt32) -> Step {
    waited = wait(slot, moment)
    let ticks = slots[slot].ticks
    slots[slot].isFull = false
    count -= 1
    lent = slot
    nextSequence = slots[slot].sequence &+ 1
    nextTimestamp = slots[slot].timestamp &+ UInt32(ticks)
    isResting = false
    hasPlayed = true
    if madeUp > 0 { resolve(lost: 1, isCounted: madeUp >= ticks / 2) }
    note(isLost: false)
    return .packet(ticks: ticks)
  }

  /// A packet is missing, and a later one is here.
  private mutating func miss(_ moment: UInt32) -> Step {
    let successor = earliest()
    let gap = Int(Int32(bitPattern: slots[place(successor)].timestamp &- nextTimestamp))
    let missing = Int(successor &- nextSequence)
    guard gap > 0 else {
      // What was made up already stood for it.
      nextSequence = successor
      resolve(lost: missing)
      return take(place(successor), moment)
    }
    let isLast = missing == 1
    let ticks = isLast && gap < 2 * usualTicks ? gap : min(gap, usualTicks)
    nextSequence &+= 1
    nextTimestamp &+= UInt32(ticks)
    resolve(lost: 1)
    lent = place(successor)
    return .missing(ticks: ticks, isRecoverable: isLast && ticks == gap)
  }

  /// Nothing waits.
  private mutating func dry() -> Step {
    let ticks = max(1, usualTicks)
    // Made-up sound has died away: now it is silence, whatever the reason.
    if !isResting, madeUp < Int(clockRate) / 10 {
      madeUp += ticks
      nextTimestamp &+= UInt32(ticks)
      return .missing(ticks: ticks, isRecoverable: false)
    }
    isResting = true
    madeUp = 0
    return .rest
  }

  /// More waits than ever will be needed: the oldest go.
  private mutating func dropExcess(_ moment: UInt32) {
    let limit = ticks(target + JitterBuffer.excess)
    guard !isResting || count > 1, wait(place(earliest()), moment) > limit else { return }
    let goal = ticks(target)
    while count > 1 {
      let oldest = place(earliest())
      guard wait(oldest, moment) > goal else { break }
      slots[oldest].isFull = false
      count -= 1
      figures.dropped += 1
      nextSequence = slots[oldest].sequence &+ 1
      nextTimestamp = slots[oldest].timestamp &+ UInt32(slots[oldest].ticks)
    }
    let first = earliest()
    nextSequence = first
    nextTimestamp = slots[place(first)].timestamp
  }

  private mutating func resolve(lost: Int, isCounted: Bool = true) {
    if isCounted {
      figures.concealed += UInt64(lost)
      for _ in 0..<min(lost, 10) { note(isLost: true) }
    }
    madeUp = 0
  }

  private mutating func note(isLost: Bool) { loss += ((isLost ? 1 : 0) - loss) / 100 }

  /// Lends the packet that the last step spoke of.
  package func lend<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
    let bytes = slots[lent].bytes
    return body(bytes.span)
  }

  /// By how many ticks, at most, sound should become shorter (positive), or by how many longer (negative), so that
  /// later packets wait as long as they should; 0 while all is well. To be asked when a frame of `frame` ticks has all
  /// it needs, after a packet was taken for it; `ahead` is what was taken beyond it.
  package func correction(ahead: Int, frame: Int) -> Int {
    guard !isResting else { return 0 }
    let spare = waited - ticks(target)
    // Whole frames only can be saved; what is less, but for the grain of timers, is left.
    if spare >= frame { return spare + ahead }
    if spare < -ticks(JitterBuffer.tolerance) { return min(-1, ahead - frame) }
    return ahead > ticks(JitterBuffer.tolerance) ? ahead : 0
  }
}
