internal import Wire

// What a full agent keeps: its bases, both sides' candidates and the pairs of them (RFC 8445 section 6.1.2). Values
// only: when to check which is in the agent.

/// An address that checks leave from: a socket, or a relay that was lent to us.
struct CheckBase: Sendable {
  var transport: TransportKind
  var local: Endpoint
  var socket: SocketID
  /// The place of the allocation whose relayed address this is.
  var allocation: Int?
  /// Priority and foundation of the candidate that stands for it in pairs.
  var priority: UInt32
  var foundation: String
}

/// A candidate of the peer: told, or learnt from a check.
struct RemoteCandidate: Sendable {
  var endpoint: Endpoint
  var isTCP: Bool
  var priority: UInt32
  var foundation: String
  var kind: CandidateKind
}

/// A base of ours and an address of the peer.
struct CandidatePair: Sendable {
  enum State: Hashable, Sendable {
    /// Waits until another of its foundation has worked. May become waiting.
    case frozen
    /// May become in progress.
    case waiting
    /// May become succeeded or failed.
    case inProgress
    case succeeded
    /// May become waiting again when the peer checks it.
    case failed
  }

  /// Names the pair for as long as it lives.
  let number: UInt32
  /// Counts restarts: a pair of an older generation carries media until the new one has a nominated pair.
  let generation: Int
  let base: Int
  var remote: RemoteCandidate
  /// What carries it: to the peer, or to the relay's server.
  let flow: Flow
  let isRelayed: Bool
  let localPriority: UInt32
  let foundation: String
  var state: State
  /// A check of ours was answered.
  var isValid = false
  var isNominated = false
  /// To be nominated once it is valid: the peer said so, or we asked it to.
  var isWanted = false

  /// Where the peer is.
  var peer: Endpoint { remote.endpoint }

  /// RFC 8445 section 6.1.2.3.
  func priority(_ role: ICERole) -> UInt64 {
    let controlling = UInt64(role == .controlling ? localPriority : remote.priority)
    let controlled = UInt64(role == .controlling ? remote.priority : localPriority)
    return min(controlling, controlled) << 32 + 2 * max(controlling, controlled)
      + (controlling > controlled ? 1 : 0)
  }
}

/// A request of ours that waits for its answer.
struct Exchange: Sendable {
  enum Purpose: Hashable, Sendable {
    /// A check of a pair. An abandoned one is not repeated, but its answer still counts.
    case check(pair: UInt32, isNominating: Bool, role: ICERole)
    /// RFC 7675.
    case consent
    /// Our address as a server sees it.
    case mapping(base: Int, server: Int)
    /// A step with a relay.
    case relay(Int, RelayStep)
  }

  var transaction: STUNTransactionID
  var purpose: Purpose
  var path: ICEPath
  var generation: Int
  var bytes: [UInt8]
  var sent = 0
  var isAbandoned = false
  /// When it is sent again, or has failed.
  var due: Instant
}

/// What we ask of a relay.
enum RelayStep: Hashable, Sendable {
  case allocate
  case refresh
  case release
  case permit(IPAddress)
  case bind(Endpoint)
}
