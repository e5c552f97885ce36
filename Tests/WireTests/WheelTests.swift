import Testing
import Wire

/// One tick of the wheel.
private let tick: Int64 = 1 << 20

private func at(_ nanoseconds: Int64) -> Instant { Instant(nanoseconds: nanoseconds) }

@Suite struct WheelTests {
  /// Random arming, cancelling and waiting against an array of deadlines, from far below to far above the
  /// reach of the upper levels.
  @Test(arguments: 1...24)
  func neverFiresEarlyNorMoreThanATickLateAndNeverNamesALaterMoment(seed: Int) {
    struct Armed {
      var deadline: Int64
      var armedAt: Int64
      var handle: Handle
    }
    var random = Random(seed: UInt64(seed))
    var now: Int64 = Int64(random.below(1 << 50))
    var wheel = Wheel(now: at(now))
    var model: [UInt64: Armed] = [:]
    var gone: [Handle] = []
    var lastToken: UInt64 = 0
    var fired = 0
    for _ in 0..<4000 {
      switch random.below(10) {
      case 0..<5:
        // Lengths spread evenly over their magnitude.
        let length = Int64(random.next() >> (20 + random.below(43)))
        let deadline = now + length - Int64(random.below(3)) * tick
        lastToken += 1
        model[lastToken] = Armed(
          deadline: deadline, armedAt: now, handle: wheel.arm(at(deadline), token: lastToken))
      case 5, 6:
        guard !model.isEmpty else { continue }
        let token = model.keys.sorted()[Int(random.below(UInt64(model.count)))]
        let handle = model.removeValue(forKey: token)!.handle
        #expect(holds(wheel.cancel(handle)))
        #expect(holds(!wheel.cancel(handle)), "the same deadline cannot be cancelled twice")
        gone.append(handle)
      default:
        if random.below(4) == 0, let next = wheel.nextDeadline {
          now = max(now, next.nanoseconds)
        } else {
          now += Int64(random.next() >> (24 + random.below(39)))
        }
        while let token = wheel.expired(by: at(now)) {
          guard let armed = model.removeValue(forKey: token) else {
            Issue.record("token \(token) fired although it was not armed")
            return
          }
          fired += 1
          gone.append(armed.handle)
          #expect(armed.deadline <= now, "early")
        }
        // Whatever is left lies ahead, or came due less than two ticks ago (the tick it was rounded up to).
        for armed in model.values {
          #expect(max(armed.deadline, armed.armedAt) > now - 2 * tick, "late")
        }
      }
      #expect(holds(wheel.count == model.count))
      if let first = model.values.map({ max($0.deadline, $0.armedAt) }).min() {
        guard let next = wheel.nextDeadline else {
          Issue.record("deadlines are armed and the wheel names none")
          return
        }
        #expect(next.nanoseconds <= first + 2 * tick)
      } else {
        #expect(holds(wheel.nextDeadline == nil))
      }
    }
    #expect(fired > 100)
    for handle in gone.prefix(500) { #expect(holds(!wheel.cancel(handle)), "a stale handle cancels nobody") }
  }

  @Test func aLoopThatSleepsUntilNextDeadlineMeetsEveryDeadlineWithinATick() {
    var random = Random(seed: 7)
    var wheel = Wheel(now: at(0))
    var deadlines: [UInt64: Int64] = [:]
    for token in 1...2000 {
      let deadline = Int64(random.below(1 << 41))
      deadlines[UInt64(token)] = deadline
      _ = wheel.arm(at(deadline), token: UInt64(token))
    }
    var wakes = 0
    while let next = wheel.nextDeadline {
      wakes += 1
      while let token = wheel.expired(by: next) {
        let deadline = deadlines.removeValue(forKey: token)!
        #expect(next.nanoseconds >= deadline)
        #expect(next.nanoseconds - deadline <= tick + tick)
      }
      guard wakes < 100_000 else { break }
    }
    #expect(deadlines.isEmpty)
    // Spreading a higher level costs a wake now and then, never one per tick.
    #expect(wakes < 8000)
  }

  @Test func aDeadlineFarBeyondTheTopLevelFiresInItsTime() {
    var wheel = Wheel(now: at(0))
    let far = Int64(1) << 62
    _ = wheel.arm(at(far), token: 9)
    var last: Int64 = 0
    while let next = wheel.nextDeadline {
      #expect(next.nanoseconds > last)
      last = next.nanoseconds
      if let token = wheel.expired(by: next) {
        #expect(token == 9)
        #expect(next.nanoseconds >= far)
      }
    }
    #expect(last >= far)
  }

  @Test func aDeadlineThatCancelsAnotherOfItsOwnTickIsObeyed() {
    var wheel = Wheel(now: at(0))
    let handles = (0..<4).map { wheel.arm(at(5 * tick), token: UInt64($0)) }
    let first = wheel.expired(by: at(6 * tick))
    #expect(first != nil)
    for (index, handle) in handles.enumerated() where UInt64(index) != first {
      #expect(holds(wheel.cancel(handle)))
    }
    #expect(holds(wheel.expired(by: at(6 * tick)) == nil))
    #expect(holds(wheel.count == 0))
  }
}
