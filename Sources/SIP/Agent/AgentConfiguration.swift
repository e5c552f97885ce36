package import Wire

/// One of our addresses as peers may write to it.
package struct LocalEndpoint: Sendable, Hashable {
  package var transport: TransportKind
  /// Never unspecified: what Via and Contact say.
  package var endpoint: Endpoint
  /// The datagram socket to send from; `.none` for streams.
  package var socket: SocketID

  package init(_ transport: TransportKind, _ endpoint: Endpoint, socket: SocketID = .none) {
    self.transport = transport
    self.endpoint = endpoint
    self.socket = socket
  }
}

/// What an agent is told once.
package struct AgentConfiguration: Sendable {
  /// Host of Call-IDs and of our own addresses of record.
  package var domain: String
  /// Every address we listen on. A wildcard listener stands here once for each address of the host.
  package var locals: [LocalEndpoint]
  /// `Server` and `User-Agent`; empty: neither.
  package var userAgent: String
  package var timers = TransactionTimers()
  /// The shortest session interval we take, in seconds (RFC 4028: not below 90).
  package var minimumSessionInterval = 90
  /// The interval we propose where a peer can do session timers.
  package var sessionInterval = 1800
  /// How long an INVITE may stay without a final response.
  package var ringLimit = Interval.minutes(5)
  /// How long an answered call waits for a browser whose connection broke to come back on another.
  package var orphanTime = Interval.seconds(10)
  /// The most server and client transactions at one time, each.
  package var transactionLimit = 16_384
  /// How many answered non-INVITE transactions are kept for copies of their requests; the oldest go first.
  package var answeredLimit = 4_096
  package var sessionLimit = 1_024
  /// The most calls from one address at a time.
  package var callsPerAddress = 256
  /// The most early dialogs of one INVITE; further forks are not followed before their 2xx.
  package var forkLimit = 16
  /// Extensions that a request may Require of us.
  package var supported = ["timer", "100rel", "replaces", "path", "outbound", "gruu", "norefersub"]
  /// Seconds in `Retry-After` when a cap is reached.
  package var retryAfter = 10

  package init(domain: String, locals: [LocalEndpoint], userAgent: String = "") {
    self.domain = domain
    self.locals = locals
    self.userAgent = userAgent
  }

  /// Our address towards `remote`: of the transport and family, the one with the longest common prefix.
  func local(_ transport: TransportKind, towards remote: IPAddress) -> LocalEndpoint? {
    var best: LocalEndpoint?
    var longest = -1
    for candidate in locals where candidate.transport == transport {
      let address = candidate.endpoint.address
      guard address.isV4 == remote.isV4 else { continue }
      let high = (address.high ^ remote.high).leadingZeroBitCount
      let length = high < 64 ? high : 64 + (address.low ^ remote.low).leadingZeroBitCount
      if length > longest {
        longest = length
        best = candidate
      }
    }
    return best
  }
}

/// Methods this agent and its owner answer.
let allowedMethods: [Method] = [
  .invite, .ack, .cancel, .bye, .options, .info, .update, .prack, .refer, .notify, .message, .register,
]
let allowText = allowedMethods.map(\.text).joined(separator: ", ")

/// What becomes of a request outside a dialog.
package enum GateDecision: Sendable {
  case admit(Identity)
  /// Answered without keeping state.
  case challenge(headers: [(String, String)], status: Int)
  case refuse(status: Int, headers: [(String, String)])
  /// Not answered at all.
  case silence
}

/// Who may say what: asked for every request outside a dialog except ACK and CANCEL. The agent keeps it alive.
package protocol Gatekeeper: AnyObject {
  /// Whether a request that belongs to nothing of ours is listened to at all. Asked before every other word about it:
  /// a refusal tells whoever searches that somebody is there.
  func hears(_ request: Message, on flow: Flow, _ turn: inout Turn) -> Bool
  /// Whether the Request-URI names this building; if not, 404.
  func serves(_ uri: URI, on flow: Flow) -> Bool
  func decide(_ request: Message, on flow: Flow, _ turn: inout Turn) -> GateDecision
}

extension Gatekeeper {
  package func hears(_ request: Message, on flow: Flow, _ turn: inout Turn) -> Bool { true }
}
