package import Wire

/// How much of the protocol an agent does (RFC 8445 section 2.5).
package enum ICEMode: Hashable, Sendable {
  /// Host candidates, no checks of its own; the peer does the work.
  case lite
  case full
}

/// What a lite agent does when its peer turns out to be lite as well: somebody must check.
package enum LitePeerPolicy: Hashable, Sendable {
  /// It stays what it said, and the session fails.
  case fails
  /// It becomes full.
  case checks
}

/// Who decides which pair is used (RFC 8445 section 6.1.1). A lite agent is always controlled.
package enum ICERole: Hashable, Sendable {
  case controlling, controlled
}

/// One of our addresses that a session may be reached at: a bound UDP socket, or a TCP listener (passive).
package struct ICEBase: Hashable, Sendable {
  /// `.udp` or `.tcp`.
  package var transport: TransportKind
  /// The real address: what `Flow.local` says of what arrives there. Never unspecified.
  package var local: Endpoint
  /// The UDP socket; for TCP the listener, which no flow will name.
  package var socket: SocketID
  /// What peers outside see in front of it (a fixed 1:1 translation), told as host candidates beside `local`.
  package var advertised: [Endpoint]
  /// STUN and TURN servers are asked from here. Servers tell clients apart by address and port: for TURN the
  /// socket must belong to this session alone.
  package var asksServers: Bool

  package init(
    _ transport: TransportKind, local: Endpoint, socket: SocketID, advertised: [Endpoint] = [],
    asksServers: Bool = false
  ) {
    self.transport = transport
    self.local = local
    self.socket = socket
    self.advertised = advertised
    self.asksServers = asksServers
  }
}

/// A server that tells us our address, or lends us one of its own. Reached by UDP.
package struct ICEServer: Hashable, Sendable {
  package var endpoint: Endpoint
  /// Nil for STUN; with them it is a TURN server (long-term credentials).
  package var account: Account?

  package struct Account: Hashable, Sendable, CustomStringConvertible {
    package var username: String
    package var password: String
    /// Without the password.
    package var description: String { "account of \(username)" }
    package init(username: String, password: String) {
      self.username = username
      self.password = password
    }
  }

  package init(stun endpoint: Endpoint) { self.endpoint = endpoint }
  package init(turn endpoint: Endpoint, username: String, password: String) {
    self.endpoint = endpoint
    account = Account(username: username, password: password)
  }
}

/// What an agent is made with. The bounds are on what a peer can make us hold or send.
package struct ICEConfiguration: Sendable {
  package var mode: ICEMode
  package var role: ICERole
  /// Of a lite agent.
  package var facingLite = LitePeerPolicy.fails
  /// Best first.
  package var bases: [ICEBase]
  package var servers: [ICEServer]
  /// First 32 bits of every transaction that this agent begins: how a shared port finds the session an answer
  /// belongs to. See `ICEDemultiplexer`.
  package var tag: UInt32
  /// Addresses of the bases that servers told before: candidates from the beginning.
  package var mappings: [ICEMapping] = []
  /// Leases that were asked for before: candidates from the beginning too. They are the agent's from then on, until
  /// `takeRelays` or `close`.
  package var relays: [ICERelay] = []

  /// Candidates of the peer that are kept; what comes beyond is counted and forgotten.
  package var remoteLimit = 32
  /// Pairs in the check list (RFC 8445 section 6.1.2.5).
  package var pairLimit = 100
  /// Addresses of the peer that have proved to be its own; the one unheard for longest makes room.
  package var pathLimit = 16
  /// Least time between two transactions that we begin (Ta).
  package var pacing = Interval.milliseconds(50)
  /// Wait before the first retransmission; it doubles each time.
  package var retransmission = Interval.milliseconds(500)
  /// How often a check is sent before it has failed.
  package var transmissions = 7
  /// How long an unanswering server delays the end of gathering.
  package var gathering = Interval.seconds(5)
  /// How long a controlling agent waits for a better pair once one works, when none is left that is likely better,
  /// and when one is.
  package var settling = Interval.milliseconds(100)
  package var settlingRelayed = Interval.milliseconds(1000)
  /// How long without any working pair until the session has failed.
  package var patience = Interval.seconds(30)
  /// How long relays that are not used are kept after the end of the checks; nil for as long as the session lasts, so
  /// that a restart finds them.
  package var relayGrace: Interval? = .seconds(5)
  /// The most time between two refreshes of a lease.
  package var relayRenewal = Interval.seconds(86_400)
  /// Mean time between two consent checks (RFC 7675 section 5.1).
  package var consentInterval = Interval.seconds(5)
  /// Silence after which the session is called disconnected, and after which it is over. Full agents count answers
  /// to their consent checks (RFC 7675 section 5.1: 30 s), lite ones the checks of the peer.
  package var disconnection = Interval.seconds(10)
  package var expiry = Interval.seconds(30)

  package init(
    _ mode: ICEMode, role: ICERole = .controlled, bases: [ICEBase], servers: [ICEServer] = [],
    tag: UInt32 = 0
  ) {
    self.mode = mode
    self.role = mode == .lite ? .controlled : role
    self.bases = bases
    self.servers = mode == .lite ? [] : servers
    self.tag = tag
  }
}
