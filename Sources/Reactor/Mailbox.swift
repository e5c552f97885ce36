internal import CLinux
import Wire

/// The only thing that lies between two threads: a bounded box of messages and a bell.
///
/// Room is reserved before a message is made, by whoever owns the sending side, so that posting never fails and
/// never waits. A reservation ends when its message is taken out. Any thread may call any method.
@safe  // `mutex` guards `messages` and `reserved`; the bell is the kernel's.
package final class Mailbox<Message: Sendable>: @unchecked Sendable {
  private let mutex: OpaquePointer
  private let bell: Descriptor
  private var messages: [Message] = []
  private var reserved = 0
  /// The most messages that can be reserved or lie here at one time.
  package let capacity: Int

  /// `isWaitedFor`: the receiver waits in `wait` instead of asking an epoll loop to watch `descriptor`.
  package init(capacity: Int, isWaitedFor: Bool) {
    self.capacity = capacity
    unsafe mutex = clinux_mutex_make()
    let number = clinux_eventfd(isWaitedFor ? 1 : 0)
    precondition(number >= 0, "no descriptor left for a mailbox")
    bell = Descriptor(number)
    messages.reserveCapacity(min(capacity, 64))
  }

  deinit { unsafe clinux_mutex_free(mutex) }

  /// Readable while messages may be waiting.
  package var descriptor: Int32 { bell.number }

  /// Keeps a place for one `post`. False when the box is full.
  package func reserve() -> Bool {
    locked {
      guard reserved < capacity else { return false }
      reserved += 1
      return true
    }
  }

  /// Puts a message into the place reserved for it, and rings if nothing lay there yet.
  package func post(_ message: Message) {
    let wasEmpty = locked {
      precondition(messages.count < reserved, "a message was posted without a reserved place")
      messages.append(message)
      return messages.count == 1
    }
    if wasEmpty { clinux_eventfd_signal(bell.number) }
  }

  /// Takes out everything, in the order it was posted, appending to `taken`.
  package func take(into taken: inout [Message]) {
    clinux_eventfd_take(bell.number)
    locked {
      reserved -= messages.count
      taken.append(contentsOf: messages)
      messages.removeAll(keepingCapacity: true)
    }
  }

  private func locked<Result>(_ body: () -> Result) -> Result {
    unsafe clinux_mutex_lock(mutex)
    defer { unsafe clinux_mutex_unlock(mutex) }
    return body()
  }
}
