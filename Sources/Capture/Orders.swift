internal import Reactor

/// What a loop tells the thread of a camera.
enum Order: Sendable {
  case key
  case limit(bitsPerSecond: Int, framesPerSecond: Int)
  case stop
}

/// The loop's end of a thread's orders: never waits, and the last wish of each kind arrives.
struct OrderBook {
  let box = Mailbox<Order>(capacity: 16, isWaitedFor: false)
  private var wantsKey = false
  private var limit: (bits: Int, frames: Int)?
  private var hasStopped = false

  init() {
    let hasRoom = box.reserve()
    precondition(hasRoom, "an empty mailbox had no room")
  }

  mutating func key() {
    wantsKey = true
    send()
  }

  mutating func limit(bitsPerSecond: Int, framesPerSecond: Int) {
    limit = (bitsPerSecond, framesPerSecond)
    send()
  }

  mutating func stop() {
    guard !hasStopped else { return }
    hasStopped = true
    box.post(.stop)
  }

  /// Sends what had no room before.
  mutating func send() {
    guard !hasStopped else { return }
    if wantsKey, box.reserve() {
      box.post(.key)
      wantsKey = false
    }
    if let wanted = limit, box.reserve() {
      box.post(.limit(bitsPerSecond: wanted.bits, framesPerSecond: wanted.frames))
      limit = nil
    }
  }
}

/// The thread's end: what is wished now.
struct Wishes {
  private let box: Mailbox<Order>
  private var batch: [Order] = []
  var wantsKey = false
  private(set) var limit: (bitsPerSecond: Int, framesPerSecond: Int)?
  private(set) var hasStopped = false

  init(_ box: Mailbox<Order>) { self.box = box }

  var descriptor: Int32 { box.descriptor }

  mutating func take() {
    box.take(into: &batch)
    for order in batch {
      switch order {
      case .key: wantsKey = true
      case .limit(let bits, let frames): limit = (bits, frames)
      case .stop: hasStopped = true
      }
    }
    batch.removeAll(keepingCapacity: true)
  }

  /// The newest limit, once.
  mutating func takeLimit() -> (bitsPerSecond: Int, framesPerSecond: Int)? {
    defer { limit = nil }
    return limit
  }
}
