/// What an engine is lent for one step: the time, dice, and somewhere to put what it sends.
package struct Turn: ~Copyable {
  /// The time of this turn; it does not move while the turn lasts.
  package let now: Instant
  package var random: Random
  package var out: Outbox

  package init(now: Instant, random: Random, out: consuming Outbox = Outbox()) {
    self.now = now
    self.random = random
    self.out = out
  }
}

/// Messages to leave at the end of a turn, laid one after another in one buffer.
///
/// Bounded: a message that does not fit is refused, and the caller decides (a datagram is counted and lost, a
/// stream stops reading). The shell drains it once per turn and hands it back empty, so it allocates nothing in
/// the long run.
package struct Outbox: ~Copyable {
  package struct Entry: Sendable {
    package var flow: Flow
    package var range: Range<Int>
    /// What the engine wants to hear about should a stream fail to carry this message; 0 for nothing.
    package var token: UInt64
  }

  /// All message bytes, in order.
  package private(set) var bytes: [UInt8] = []
  package private(set) var entries: [Entry] = []
  /// How many messages were refused because the box was full.
  package private(set) var refused = 0
  /// The most bytes it holds.
  package let limit: Int

  package init(limit: Int = 1 << 20) { self.limit = limit }

  /// Adds a message for `flow`. False, and counted, when the box is full.
  @discardableResult
  package mutating func send(_ message: Span<UInt8>, on flow: Flow, token: UInt64 = 0) -> Bool {
    guard bytes.count + message.count <= limit else {
      refused += 1
      return false
    }
    let start = bytes.count
    for index in message.indices { bytes.append(message[index]) }
    entries.append(Entry(flow: flow, range: start..<bytes.count, token: token))
    return true
  }

  /// The same for a whole array, in one copy.
  @discardableResult
  package mutating func send(_ message: [UInt8], on flow: Flow, token: UInt64 = 0) -> Bool {
    guard bytes.count + message.count <= limit else {
      refused += 1
      return false
    }
    let start = bytes.count
    bytes.append(contentsOf: message)
    entries.append(Entry(flow: flow, range: start..<bytes.count, token: token))
    return true
  }

  package var isEmpty: Bool { entries.isEmpty }

  /// Forgets every message, keeping the memory.
  package mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    entries.removeAll(keepingCapacity: true)
  }
}
