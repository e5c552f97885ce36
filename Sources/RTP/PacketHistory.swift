// What was sent a moment ago, to be sent again when the peer says that it did not come (RFC 4585 section 6.2.1).
//
// Responsible for: keeping packets by their number, bounded in count and time, and answering for each at most once in
// a round trip: the peer asks again before the first repetition can have come. Assumes packets are shown in the order
// of sending, whole and not encrypted: who encrypts for each viewer does it anew.

package import Wire

package struct PacketHistory: Sendable {
  private struct Slot: Sendable {
    var sequence: UInt16 = 0
    var sent = Instant(nanoseconds: 0)
    var repeated: Instant?
    var isFull = false
    var bytes: [UInt8] = []
  }

  /// The longest packet kept.
  package static let maximumPacket = 1500
  /// Asked for sooner than this again, a packet is not repeated even if no round trip is known.
  private static let leastPause = Interval.milliseconds(10)

  private let keeps: Interval
  private var slots: [Slot]
  /// Packets asked for that were not here any more, or too soon.
  package private(set) var refused: UInt64 = 0
  package private(set) var repeated: UInt64 = 0

  /// Keeps at most `limit` packets (rounded up to a power of two, at most 4096), none longer than `keeps`.
  package init(limit: Int, keeps: Interval = .seconds(1)) {
    var size = 16
    while size < min(limit, 4096) { size *= 2 }
    slots = Array(repeating: Slot(), count: size)
    self.keeps = keeps
  }

  /// Keeps a packet that leaves in two pieces: its head and its payload.
  package mutating func store(
    _ sequence: UInt16, _ head: Span<UInt8>, _ payload: Span<UInt8>, at now: Instant
  ) {
    let slot = Int(sequence) & (slots.count - 1)
    slots[slot].isFull = head.count + payload.count <= PacketHistory.maximumPacket
    guard slots[slot].isFull else { return }
    slots[slot].sequence = sequence
    slots[slot].sent = now
    slots[slot].repeated = nil
    slots[slot].bytes.removeAll(keepingCapacity: true)
    for index in head.indices { slots[slot].bytes.append(head[index]) }
    for index in payload.indices { slots[slot].bytes.append(payload[index]) }
  }

  /// Lends the packet with this number to be sent again; false when it is not here, or was repeated less than a round
  /// trip ago.
  package mutating func recall(
    _ sequence: UInt16, at now: Instant, roundTrip: Interval? = nil, _ body: (Span<UInt8>) -> Void
  ) -> Bool {
    let slot = Int(sequence) & (slots.count - 1)
    let pause = max(roundTrip ?? .zero, PacketHistory.leastPause)
    guard slots[slot].isFull, slots[slot].sequence == sequence, now - slots[slot].sent <= keeps,
      slots[slot].repeated.map({ now - $0 >= pause }) ?? true
    else {
      refused += 1
      return false
    }
    slots[slot].repeated = now
    repeated += 1
    let bytes = slots[slot].bytes
    body(bytes.span)
    return true
  }
}
