package import Crypto
package import Wire

/// How many connections one standing may hold.
package struct ConnectionCap: Sendable, Equatable {
  package var total: Int
  package var perAddress: Int

  package init(total: Int, perAddress: Int) {
    self.total = total
    self.perAddress = perAddress
  }
}

/// The bounds of `Streams`. The sum of the caps must stay below what the process may open.
package struct StreamLimits: Sendable {
  package var strangers = ConnectionCap(total: 256, perAddress: 16)
  /// Many phones may share an address behind a translator.
  package var known = ConnectionCap(total: 2048, perAddress: 256)
  package var provisioned = ConnectionCap(total: 128, perAddress: 8)
  /// Clients of the control socket.
  package var local = 32
  package var dialled = 1024
  /// From the first packet of a dialled connection to its answer.
  package var connect = Interval.seconds(10)
  /// From the connection to the end of the TLS handshake.
  package var handshake = Interval.seconds(10)
  /// From there to the peer's first byte, on connections that came in.
  package var firstByte = Interval.seconds(20)
  /// Bytes queued for a peer that does not read; a write beyond is refused.
  package var unsent = 512 * 1024
  /// How long a queue may stand without emptying.
  package var stall = Interval.seconds(30)

  package init() {}

  func cap(_ standing: SourceStanding) -> ConnectionCap {
    switch standing {
    case .stranger: strangers
    case .known: known
    case .provisioned: provisioned
    }
  }
}

/// A connection is named by its socket, so that a `Flow` can carry it.
package typealias ConnectionID = SocketID

/// Whose connections these are: one consumer each.
package struct StreamPurpose: RawRepresentable, Hashable, Sendable {
  package var rawValue: UInt8
  package init(rawValue: UInt8) { self.rawValue = rawValue }

  package static let sip = StreamPurpose(rawValue: 1)
  package static let web = StreamPurpose(rawValue: 2)
  package static let control = StreamPurpose(rawValue: 3)
  package static let actuator = StreamPurpose(rawValue: 4)
  package static let camera = StreamPurpose(rawValue: 5)
  package static let media = StreamPurpose(rawValue: 6)
}

/// What is known of a connection when it opens.
package struct ConnectionFacts: Sendable, Equatable {
  package var purpose: StreamPurpose
  package var isSecure: Bool
  package var isDialled: Bool
  package var remote: Endpoint
  package var local: Endpoint
  /// Set on connections to a path.
  package var peer: LocalPeer?
  /// SHA-256 of the peer's certificate, where it showed one.
  package var fingerprint: [UInt8]?
}

/// Why a connection is no more.
package enum StreamEnding: Sendable, Equatable {
  /// The peer closed in good order.
  case finished
  case network(NetworkFailure)
  case security(TLSFailure)
  /// Nobody answered the dial, or the handshake did not end, in time.
  case notEstablished
  /// Nothing ever came.
  case silent
  /// Nothing came for as long as the consumer allows.
  case idle
  /// What the consumer waited for did not come whole in time (`setDeadline`).
  case overdue
  /// The peer does not take what it is sent.
  case stalled
}

/// Counts since the start; never reset.
package struct StreamCounters: Sendable, Equatable {
  package var accepted = 0
  package var dialled = 0
  /// Refused because its address or its standing holds enough, or asks too often.
  package var refused = 0
  package var handshakesFailed = 0
  package var timedOut = 0
}

/// Who uses the connections of one purpose. Any call may be answered with calls to `Streams`, also with closing.
package protocol StreamsDelegate: AnyObject {
  /// The connection stands: accepted or answered, and its handshake done.
  func opened(_ connection: ConnectionID, _ facts: ConnectionFacts)
  /// Bytes came. The span is valid for this call only.
  func received(_ bytes: Span<UInt8>, on connection: ConnectionID)
  /// The queue is empty again, after a write was refused.
  func drained(_ connection: ConnectionID)
  /// The connection is no more, also one that was dialled and never opened. Not told after one's own `close`.
  func closed(_ connection: ConnectionID, _ ending: StreamEnding)
}

/// Knows how well an address is known.
package protocol SourceJudge: AnyObject {
  func standing(of address: IPAddress) -> SourceStanding
}
