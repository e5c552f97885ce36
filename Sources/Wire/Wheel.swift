/// Deadlines by the hundred thousand: a hierarchical timing wheel.
///
/// Arming and cancelling cost the same few nanoseconds however many deadlines there are; 64 slots on each of
/// seven levels, one tick a little over a millisecond (2^20 ns). A deadline never fires early and at most one
/// tick late. `nextDeadline` is O(1): it may name an earlier moment than the first deadline (the moment at which
/// a higher level is spread over a lower one), never a later one.
package struct Wheel: Sendable {
  private struct Timer: Sendable {
    var deadlineTick: Int64
    var token: UInt64
    var generation: UInt32
    var slot: Int32  // level * 64 + slot; -1 when free; -2 when due and waiting in `due`
    var next: UInt32
    var previous: UInt32
  }

  private static let slotBits: Int64 = 6
  private static let levels = 7
  private static let tickShift: Int64 = 20
  private static let none = UInt32.max

  private var timers: [Timer] = []
  private var firstFree = none
  private var heads: [UInt32] = Array(repeating: none, count: 64 * levels)
  private var occupied: InlineArray<7, UInt64> = .init(repeating: 0)
  private var currentTick: Int64
  private var due: [UInt32] = []
  private var dueTaken = 0
  /// How many deadlines are armed.
  package private(set) var count = 0

  package init(now: Instant) { currentTick = now.nanoseconds >> Wheel.tickShift }

  /// Asks for `token` to be given back by `expired` once `deadline` has come. The handle cancels it.
  package mutating func arm(_ deadline: Instant, token: UInt64) -> Handle {
    // Rounded up: never early.
    let tick = max(
      (deadline.nanoseconds + (1 << Wheel.tickShift) - 1) >> Wheel.tickShift, currentTick + 1)
    let index: UInt32
    if firstFree != Wheel.none {
      index = firstFree
      firstFree = timers[Int(index)].next
      timers[Int(index)].generation &+= 1
      timers[Int(index)].deadlineTick = tick
      timers[Int(index)].token = token
    } else {
      index = UInt32(timers.count)
      timers.append(
        Timer(
          deadlineTick: tick, token: token, generation: 1, slot: -1, next: Wheel.none,
          previous: Wheel.none))
    }
    link(index)
    count += 1
    return Handle(index: index, generation: timers[Int(index)].generation)
  }

  /// Forgets a deadline. False if it had already expired, or was cancelled before.
  @discardableResult
  package mutating func cancel(_ handle: Handle) -> Bool {
    let index = Int(handle.index)
    guard index < timers.count, timers[index].generation == handle.generation, timers[index].slot != -1
    else { return false }
    if timers[index].slot >= 0 {
      unlink(handle.index)
    } else if let place = due[dueTaken...].firstIndex(of: handle.index) {
      due.remove(at: place)
    }
    free(handle.index)
    return true
  }

  /// The next token whose deadline has come by `now`; nil when there is none left. Call until nil.
  package mutating func expired(by now: Instant) -> UInt64? {
    if dueTaken == due.count {
      due.removeAll(keepingCapacity: true)
      dueTaken = 0
      turn(to: now.nanoseconds >> Wheel.tickShift)
      if due.isEmpty { return nil }
    }
    let index = due[dueTaken]
    dueTaken += 1
    let token = timers[Int(index)].token
    free(index)
    return token
  }

  /// When `expired` should be asked next; nil when nothing is armed.
  package var nextDeadline: Instant? {
    if dueTaken < due.count { return Instant(nanoseconds: currentTick << Wheel.tickShift) }
    guard let tick = nextOccupiedTick else { return nil }
    return Instant(nanoseconds: tick << Wheel.tickShift)
  }

  // MARK: Turning

  /// The first tick at which anything happens: a slot of level 0 comes due, or a higher slot is spread.
  private var nextOccupiedTick: Int64? {
    var earliest: Int64?
    for level in 0..<Wheel.levels where occupied[level] != 0 {
      let shift = Wheel.slotBits * Int64(level)
      let position = currentTick >> shift
      let slot = position & 63
      // Slots strictly ahead of the current one, in turning order.
      let ahead = rotatedRight(occupied[level], by: Int(slot + 1) & 63)
      let distance = Int64(ahead.trailingZeroBitCount) + 1
      let tick = (position + distance) << shift
      if earliest == nil || tick < earliest! { earliest = tick }
    }
    return earliest
  }

  private mutating func turn(to target: Int64) {
    while let tick = nextOccupiedTick, tick <= target {
      currentTick = tick
      // A tick that starts a slot of a higher level spreads that slot first, from the top.
      var level = Wheel.levels - 1
      while level >= 1 {
        let shift = Wheel.slotBits * Int64(level)
        if tick & ((1 << shift) - 1) == 0 { spread(level: level, slot: Int(tick >> shift & 63)) }
        level -= 1
      }
      collect(slot: Int(tick & 63))
      if !due.isEmpty { return }
    }
    if target > currentTick { currentTick = target }
  }

  private mutating func spread(level: Int, slot: Int) {
    var index = takeAll(level: level, slot: slot)
    while index != Wheel.none {
      let next = timers[Int(index)].next
      if timers[Int(index)].deadlineTick <= currentTick {
        becomeDue(index)
      } else {
        link(index)
      }
      index = next
    }
  }

  private mutating func collect(slot: Int) {
    var index = takeAll(level: 0, slot: slot)
    while index != Wheel.none {
      let next = timers[Int(index)].next
      becomeDue(index)
      index = next
    }
  }

  private mutating func becomeDue(_ index: UInt32) {
    timers[Int(index)].slot = -2
    due.append(index)
  }

  private mutating func takeAll(level: Int, slot: Int) -> UInt32 {
    let place = level * 64 + slot
    let head = heads[place]
    heads[place] = Wheel.none
    occupied[level] &= ~(1 << UInt64(slot))
    return head
  }

  // MARK: Links

  private mutating func link(_ index: UInt32) {
    let tick = timers[Int(index)].deadlineTick
    let distance = tick - currentTick
    var level = 0
    while level < Wheel.levels - 1, distance >= 1 << (Wheel.slotBits * Int64(level + 1)) { level += 1 }
    let shift = Wheel.slotBits * Int64(level)
    // Beyond the top level's reach a timer waits in its last slot and is linked anew from there.
    let reach = (currentTick >> shift) + 63
    let slot = Int(min(tick >> shift, reach) & 63)
    let place = level * 64 + slot
    let head = heads[place]
    timers[Int(index)].slot = Int32(place)
    timers[Int(index)].previous = Wheel.none
    timers[Int(index)].next = head
    if head != Wheel.none { timers[Int(head)].previous = index }
    heads[place] = index
    occupied[level] |= 1 << UInt64(slot)
  }

  private mutating func unlink(_ index: UInt32) {
    let timer = timers[Int(index)]
    if timer.previous == Wheel.none {
      heads[Int(timer.slot)] = timer.next
      if timer.next == Wheel.none { occupied[Int(timer.slot) / 64] &= ~(1 << UInt64(timer.slot % 64)) }
    } else {
      timers[Int(timer.previous)].next = timer.next
    }
    if timer.next != Wheel.none { timers[Int(timer.next)].previous = timer.previous }
  }

  private mutating func free(_ index: UInt32) {
    timers[Int(index)].slot = -1
    timers[Int(index)].next = firstFree
    firstFree = index
    count -= 1
  }

  private func rotatedRight(_ value: UInt64, by count: Int) -> UInt64 {
    count == 0 ? value : value >> UInt64(count) | value << UInt64(64 - count)
  }
}
