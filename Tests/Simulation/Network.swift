package import Wire

/// The network between simulated hosts, and the clock that all of them share.
///
/// Everything that will happen lies in one queue, ordered by time and then by the order in which it was asked for,
/// so two runs of one seed are the same run. Datagrams meet loss, duplication, delay and reordering; streams are
/// ordered and reliable, arrive in random pieces, and break when a partition lasts or a host crashes. The network
/// knows nothing of what is said on it.
package final class SimulatedNetwork {
  /// How the links behave; changed at any moment by a scenario.
  package struct Weather: Sendable {
    /// Chance of losing a datagram, in thousandths.
    package var loss = 0
    /// Chance of delivering one twice, in thousandths.
    package var duplication = 0
    package var delay = Interval.milliseconds(1)
    /// The most that is added to the delay, drawn for each datagram: what reorders them.
    package var jitter = Interval.zero

    package init() {}
  }

  package private(set) var now: Instant
  /// Civil time minus monotonic time; a jump of the clock changes it.
  package var wallOffset: Interval
  package var weather = Weather()
  package private(set) var random: Random
  /// Grows with every delivery: two runs of one seed end with the same value.
  package private(set) var trace: UInt64 = 0xCBF2_9CE4_8422_2325
  /// Called after every step: where invariants are checked.
  package var afterStep: (() -> Void)?

  private var queue = EventQueue()
  private var hosts: [SimulatedWorld] = []
  private var cut: [(IPAddress, IPAddress)] = []

  /// A network whose every draw comes from `seed`.
  package init(seed: UInt64) {
    random = Random(seed: seed)
    now = Instant(nanoseconds: 1_000_000_000)
    wallOffset = .seconds(1_795_000_000)
  }

  package var wall: WallTime { WallTime(nanoseconds: (now + wallOffset).nanoseconds) }

  func fork() -> Random { random.fork() }

  // MARK: Hosts

  func attach(_ host: SimulatedWorld) { hosts.append(host) }

  /// Takes a host off the network as a crash does: nothing it had queued is delivered any more.
  func detach(_ host: SimulatedWorld) { hosts.removeAll { $0 === host } }

  func host(at address: IPAddress) -> SimulatedWorld? { hosts.first { $0.addresses.contains(address) } }

  /// Cuts the path between two addresses, both ways.
  package func partition(_ one: IPAddress, _ other: IPAddress) { cut.append((one, other)) }

  package func heal() { cut.removeAll() }

  func isCut(_ one: IPAddress, _ other: IPAddress) -> Bool {
    cut.contains { ($0.0 == one && $0.1 == other) || ($0.0 == other && $0.1 == one) }
  }

  // MARK: Time

  /// Does `action` after `delay`, in the order of asking among equals.
  package func after(_ delay: Interval, _ action: @escaping () -> Void) {
    queue.insert(at: now + max(delay, .zero), action)
  }

  /// Runs what is to happen until `instant`, stepping every host's deadlines on the way.
  package func run(until instant: Instant) {
    while true {
      let next = earliest()
      guard let next, next <= instant else { break }
      now = max(now, next)
      if let action = queue.take(by: now) {
        action()
      } else {
        for host in hosts where host.isDue(now) { host.advance() }
      }
      afterStep?()
    }
    now = max(now, instant)
  }

  package func run(for interval: Interval) { run(until: now + interval) }

  /// Runs until `condition` holds, at most for `limit`; whether it came to hold.
  package func run(until condition: () -> Bool, within limit: Interval) -> Bool {
    let end = now + limit
    while !condition() {
      guard let next = earliest(), next <= end else {
        now = end
        return condition()
      }
      run(until: next)
    }
    return true
  }

  private func earliest() -> Instant? {
    var result = queue.first
    for host in hosts {
      guard let deadline = host.deadline else { continue }
      // A deadline that has passed already is due now, one tick later, so that time cannot stand still.
      let due = max(deadline, host.lastAdvance + .microseconds(10))
      if result == nil || due < result! { result = due }
    }
    return result.map { max($0, now) }
  }

  // MARK: Delivery

  func send(_ bytes: [UInt8], from source: Endpoint, to target: Endpoint) {
    note(bytes, source, target)
    guard !isCut(source.address, target.address), Int(random.below(1000)) >= weather.loss else { return }
    let copies = Int(random.below(1000)) < weather.duplication ? 2 : 1
    for _ in 0..<copies {
      let extra =
        weather.jitter == .zero ? 0 : Int64(random.below(UInt64(max(1, weather.jitter.nanoseconds))))
      after(weather.delay + .nanoseconds(extra)) { [weak self] in
        guard let self, !self.isCut(source.address, target.address) else { return }
        self.host(at: target.address)?.deliver(bytes, from: source, to: target)
      }
    }
  }

  /// Folds a message into the trace (FNV-1a).
  func note(_ bytes: [UInt8], _ source: Endpoint, _ target: Endpoint) {
    func fold(_ byte: UInt8) { trace = (trace ^ UInt64(byte)) &* 0x100_0000_01B3 }
    for shift in stride(from: 0, to: 64, by: 8) {
      fold(UInt8(truncatingIfNeeded: now.nanoseconds >> Int64(shift)))
    }
    fold(UInt8(truncatingIfNeeded: source.port))
    fold(UInt8(truncatingIfNeeded: target.port))
    for byte in bytes { fold(byte) }
  }
}

/// What is to happen, by time and then by order of asking.
struct EventQueue {
  private var heap: [(time: Instant, order: UInt64, action: () -> Void)] = []
  private var asked: UInt64 = 0

  var first: Instant? { heap.first?.time }

  mutating func insert(at time: Instant, _ action: @escaping () -> Void) {
    asked += 1
    heap.append((time, asked, action))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard before(child, parent) else { break }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func take(by now: Instant) -> (() -> Void)? {
    guard let top = heap.first, top.time <= now else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && before(child, least) {
        least = child
      }
      if least == parent { break }
      heap.swapAt(parent, least)
      parent = least
    }
    return top.action
  }

  private func before(_ one: Int, _ other: Int) -> Bool {
    (heap[one].time, heap[one].order) < (heap[other].time, heap[other].order)
  }
}
