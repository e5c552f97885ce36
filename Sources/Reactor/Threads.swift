internal import CLinux
package import Wire

// Threads that work for a loop, and may wait: for a device, for the next picture to be due.
//
// Responsible for starting them, for what they may ask the kernel (time, waiting), and for bringing what they post into
// the loop's turns. Assumes that nothing but mailboxes lies between them and the loop. What they do is somebody else's.

/// A thread of its own beside a loop. Nobody waits for its end: it is told to go by its mailbox.
package enum SideThread {
  /// Runs `body` with every signal blocked. False when the kernel gives no thread.
  package static func start(named name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
    guard let handle = tryThread(named: name, body) else { return false }
    clinux_thread_detach(handle)
    return true
  }

  /// Monotonic time, on the scale of every loop's `now`.
  package static var now: Instant { Instant(nanoseconds: clinux_monotonic()) }
  package static var wall: WallTime { WallTime(nanoseconds: clinux_wall()) }
  /// What the calling thread has had of the processor.
  package static var used: Interval { .nanoseconds(clinux_thread_used()) }

  /// Waits until one of at most two descriptors (-1 for none) is readable or in a bad way, or `deadline` has come.
  package static func wait(
    for one: Int32, or other: Int32 = -1, until deadline: Instant?
  ) -> (one: Bool, other: Bool) {
    let left = deadline.map { max(0, $0.nanoseconds - clinux_monotonic()) } ?? -1
    let ready = clinux_wait_readable(one, other, left)
    return (ready & 1 != 0, ready & 2 != 0)
  }
}

/// A mailbox that a loop listens to.
final class Ear {
  let descriptor: Int32
  let hear: () -> Void

  init(descriptor: Int32, hear: @escaping () -> Void) {
    self.descriptor = descriptor
    self.hear = hear
  }
}

extension Reactor {
  /// Hears what is posted into `box` from now on, in batches, on this loop's thread, until `close` of the result. Throws
  /// when nothing more can be watched.
  package func listen<Message: Sendable>(
    to box: Mailbox<Message>, _ hear: @escaping ([Message]) -> Void
  ) throws(NetworkFailure) -> SocketID {
    let ear = Ear(descriptor: box.descriptor) {
      var batch: [Message] = []
      box.take(into: &batch)
      if !batch.isEmpty { hear(batch) }
    }
    return try register(.ear(ear), box.descriptor, Happening.readable)
  }
}
