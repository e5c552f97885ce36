// The loop of a load that lives in one thread: thousands of sockets, and no more timing than a millisecond's.
//
// Responsible for: waiting, handing each socket's news to whoever watches it, telling every listener to the clock once a
// millisecond, reading datagrams in batches. Sockets here take datagrams one by one, never coalesced: what a viewer
// elsewhere would receive.
// Somebody else's: what is measured, and when a measurement ends (`run` is given that).
import CLinux
import Glibc
import Wire

@safe  // Owns `receiver`; spans of it are lent for one call.
final class LoadLoop {
  private let epoll: Int32
  private let receiver: OpaquePointer
  private var watched: [(() -> Void)?] = []
  private var free: [Int] = []
  private var listeners: [(Instant) -> Void] = []
  private var later: [(at: Instant, body: () -> Void)] = []
  private var events = [clinux_event](repeating: clinux_event(), count: 256)
  private var lastTick = Instant(nanoseconds: 0)
  var random: Random

  /// The most datagrams of one read, and the room for each.
  private static let slots = 64
  private static let slotBytes = 2048

  init(seed: UInt64 = 1) {
    epoll = clinux_epoll_create()
    unsafe receiver = clinux_receiver_make(Int32(LoadLoop.slots), LoadLoop.slotBytes)
    // The names of a load's streams and sources must differ from run to run.
    random = Random(seed: seed &+ UInt64(LoadLoop.now.nanoseconds))
    clinux_ignore_sigpipe()
  }

  deinit {
    unsafe clinux_receiver_free(receiver)
    close(epoll)
  }

  static var now: Instant { Instant(nanoseconds: clinux_monotonic()) }

  /// Calls `body` whenever the descriptor has something; the number is for `forget`.
  func watch(_ descriptor: Int32, writable: Bool = false, _ body: @escaping () -> Void) -> Int {
    let place = free.popLast() ?? watched.count
    if place == watched.count { watched.append(body) } else { watched[place] = body }
    let interest = UInt32(writable ? CLINUX_READABLE | CLINUX_WRITABLE : CLINUX_READABLE)
    clinux_epoll_add(epoll, descriptor, interest, UInt64(place))
    return place
  }

  /// From now on only what can be read is told.
  func watchReading(_ descriptor: Int32, _ place: Int) {
    clinux_epoll_change(epoll, descriptor, UInt32(CLINUX_READABLE), UInt64(place))
  }

  func forget(_ descriptor: Int32, _ place: Int) {
    clinux_epoll_remove(epoll, descriptor)
    watched[place] = nil
    free.append(place)
  }

  /// Calls `body` about once a millisecond from now on.
  func everyMillisecond(_ body: @escaping (Instant) -> Void) { listeners.append(body) }

  /// Calls `body` once, after that time.
  func after(seconds: Double, _ body: @escaping () -> Void) {
    later.append((LoadLoop.now + Interval(nanoseconds: Int64(seconds * 1e9)), body))
  }

  /// Lends every datagram that waits at a socket, and whom it is from.
  func read(_ descriptor: Int32, _ body: (Span<UInt8>, Endpoint) -> Void) {
    while true {
      let count = unsafe clinux_receiver_read(receiver, descriptor)
      guard count > 0 else { return }
      for index in 0..<count {
        let got = unsafe clinux_receiver_at(receiver, index)
        guard unsafe got.truncated == 0 else { continue }
        let bytes = unsafe UnsafeBufferPointer(start: got.bytes, count: Int(got.length))
        let from = unsafe Endpoint(
          IPAddress(high: got.from.high, low: got.from.low), port: got.from.port)
        body(unsafe bytes.span, from)
      }
      if count < LoadLoop.slots { return }
    }
  }

  /// Waits for news once, at most until `deadline` or for a millisecond, and hands it out.
  func turn(until deadline: Instant? = nil) {
    let now = LoadLoop.now
    var wait: Int64 = 1_000_000
    if let deadline { wait = max(0, min(wait, (deadline - now).nanoseconds)) }
    let count = unsafe clinux_epoll_wait(epoll, &events, Int32(events.count), wait)
    for index in 0..<max(0, Int(count)) { watched[Int(events[index].token)]?() }
    let after = LoadLoop.now
    guard after - lastTick >= .milliseconds(1) else { return }
    lastTick = after
    for listener in listeners { listener(after) }
    guard !later.isEmpty else { return }
    let due = later.filter { $0.at <= after }
    later.removeAll { $0.at <= after }
    for one in due { one.body() }
  }

  func run(seconds: Double) {
    let end = LoadLoop.now + Interval(nanoseconds: Int64(seconds * 1e9))
    while LoadLoop.now < end { turn(until: end) }
  }

  /// Runs until `isDone`; false when that took too long.
  @discardableResult
  func run(within seconds: Double, until isDone: () -> Bool) -> Bool {
    let end = LoadLoop.now + Interval(nanoseconds: Int64(seconds * 1e9))
    while !isDone() {
      guard LoadLoop.now < end else { return false }
      turn()
    }
    return true
  }
}
