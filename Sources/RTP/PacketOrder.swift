package import Wire

/// The packets of one stream put back into their order within a short patience; what has not come by then is given up.
///
/// Assumes packets of one source. Whoever owns it asks `next` after each packet, and where it can at `nextDeadline`.
package struct PacketOrder: Sendable {
  package enum Turn: Hashable, Sendable {
    case now
    /// Kept until what is missing before it comes, or is given up.
    case held
    /// Late, or repeated.
    case over
  }

  private struct Held: Sendable {
    var sequence: UInt16
    var bytes: [UInt8]
    var at: Instant
  }

  /// Packets that wait for an earlier one.
  private static let limit = 128
  /// Further back than that nothing is late: a sender counts anew. A connection brings nothing late at all.
  private static let farBack = (datagrams: 1000, connection: 16)

  /// How long a packet waits; nil where the carriage keeps order by itself, and what is missing never comes.
  private let patience: Interval?
  private var expected: UInt16?
  private var held: [Held] = []

  package init(patience: Interval?) { self.patience = patience }

  /// Takes in a packet that came at `now`: whether it is its turn.
  package mutating func take(_ packet: Span<UInt8>, sequence: UInt16, at now: Instant) -> Turn {
    let ahead = expected.map { Int16(bitPattern: sequence &- $0) } ?? 0
    if ahead == 0 || patience == nil && ahead > 0 {
      expected = sequence &+ 1
      return .now
    }
    if ahead < 0 {
      let farBack = patience == nil ? PacketOrder.farBack.connection : PacketOrder.farBack.datagrams
      guard ahead < -farBack else { return .over }
    }
    guard ahead > 0, held.count < PacketOrder.limit else {
      held = []
      expected = sequence &+ 1
      return .now
    }
    let place = held.firstIndex { Int16(bitPattern: $0.sequence &- sequence) >= 0 } ?? held.count
    guard place == held.count || held[place].sequence != sequence else { return .over }
    held.insert(Held(sequence: sequence, bytes: [UInt8](packet), at: now), at: place)
    return .held
  }

  /// The next packet whose turn has come.
  package mutating func next(at now: Instant) -> [UInt8]? {
    guard let first = held.first, let patience else { return nil }
    guard first.sequence == expected || now - first.at >= patience else { return nil }
    held.removeFirst()
    expected = first.sequence &+ 1
    return first.bytes
  }

  package var nextDeadline: Instant? {
    guard let patience else { return nil }
    return held.first.map { $0.at + patience }
  }

  /// Another source follows, whatever its numbers are.
  package mutating func forget() {
    held = []
    expected = nil
  }
}
