internal import Wire

// Messages in a stream (RFC 4571, as RFC 6544 uses it): sixteen bits of length before each.

/// Cuts the bytes of one connection into messages. What it holds is bounded by one piece and one message.
package struct ICEFrameReader: Sendable {
  /// The longest message that is taken: more than any packet that goes through a datagram.
  package static let limit = 2048

  package enum Reading: Hashable, Sendable {
    /// One message: these of `bytes`, until the next `append`.
    case frame(Range<Int>)
    /// The rest has still to come.
    case incomplete
    /// No peer of ours says so much at once: the stream cannot be followed any further.
    case tooLong
  }

  package private(set) var bytes: [UInt8] = []
  private var taken = 0

  package init() {}

  /// Takes what came; read `next` until it is incomplete before the next piece.
  package mutating func append(_ piece: Span<UInt8>) {
    bytes.removeFirst(taken)
    taken = 0
    bytes.append(0..<piece.count, of: piece)
  }

  /// The next message. Empty ones, which some send to keep a stream alive, are passed over.
  package mutating func next() -> Reading {
    while bytes.count - taken >= 2 {
      let size = Int(bytes[taken]) << 8 | Int(bytes[taken + 1])
      guard size <= ICEFrameReader.limit else { return .tooLong }
      guard bytes.count - taken >= 2 + size else { return .incomplete }
      let start = taken + 2
      taken = start + size
      if size > 0 { return .frame(start..<taken) }
    }
    return .incomplete
  }
}
