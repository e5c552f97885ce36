package import Wire

// One ICE session (RFC 8445), full or lite, for one component with RTP and RTCP on one port.
//
// Responsible for finding a way to the peer and for knowing that it still works and is wanted: candidates, checks,
// nomination, consent, and the relay's framing. It assumes that its owner hands it every datagram of the session's
// flows, drains the outbox after each turn, and calls `advance` at the deadline. STUN over TCP comes and goes as whole
// messages: the framing of RFC 4571 is the transport's. Which session a datagram is for is the demultiplexer's
// question; what lies in a payload is the owner's.
//
//   received                               becomes
//   binding request, ours by its integrity an answer, a validated path; full: a triggered check
//   any other binding request              nothing: strangers hear nothing
//   response to what we asked              a step of gathering, checks, consent or the relay
//   channel data, data indication          unwrapped once, then as if it had come directly
//   DTLS, RTP, RTCP                        `.payload` if its path is validated, else nothing
//
// A path is validated by a check that carries our password, or by an answer that carries the peer's. Only payload
// from validated paths leaves this room.

/// A session's agent. A value with one owner: copying it and using both copies makes no sense.
package struct ICEAgent: Sendable {
  package private(set) var configuration: ICEConfiguration
  package internal(set) var role: ICERole
  /// Ours now. Given in `localDescription`.
  package internal(set) var credentials: ICECredentials
  /// The peer's, once `setRemote` was called.
  package internal(set) var remoteCredentials: ICECredentials?
  /// Of the generation before the last restart, until the new one has a nominated pair.
  var earlierCredentials: ICECredentials?
  var earlierRemoteCredentials: ICECredentials?
  var tieBreaker: UInt64
  var writer = STUNWriter()

  /// The peer's addresses that have proved to be its own; at most `configuration.pathLimit`.
  var paths: [ValidatedPath] = []
  /// Where media goes; nil before anything works and after the end. O(1).
  package internal(set) var selected: ICEPath?
  var standing = Standing.new
  package internal(set) var counters = ICECounters()
  var events: [ICEEvent] = []
  var eventsTaken = 0
  var deadline: Instant?
  /// Between `restart` and the first nominated pair after it.
  var isRestarting = false

  // What only a full agent fills.
  /// All of ours that may be told, host ones first.
  var candidates: [Candidate] = []
  var foundations: [FoundationKey] = []
  var bases: [CheckBase] = []
  var remotes: [RemoteCandidate] = []
  /// The check list; at most `configuration.pairLimit`.
  var pairs: [CandidatePair] = []
  var lastPair: UInt32 = 0
  /// Pairs that the peer checked, or that are to be nominated, in order.
  var triggered: [UInt32] = []
  /// What servers are to be asked, in order.
  var steps: [ServerStep] = []
  var exchanges: [Exchange] = []
  var mappings: [KeptMapping] = []
  var allocations: [Allocation] = []
  var gathering = Gathering.idle
  /// Counts restarts.
  var generation = 0
  var remoteIsComplete = false
  /// A pair of this generation was nominated.
  var isConcluded = false
  /// The last pair that was made before that.
  var lastConcluded: UInt32 = 0
  /// What the peer checks though another pair is selected, and when that would have been silent for too long.
  var rival: UInt32?
  var rivalry: Instant?
  /// `failed` was told for this generation.
  var hasFailed = false
  /// When the peer's credentials came, and when the first pair worked.
  var started: Instant?
  var firstValid: Instant?
  /// When a pair is nominated though better ones may come.
  var nomination: Instant?
  /// When the next transaction may begin.
  var nextPaced = Instant(nanoseconds: .min)
  /// The last proof that the peer wants what we send (lite: its last check), and when to ask for the next.
  var consent: Instant?
  var nextConsent: Instant?
  /// When the selected path last brought anything but a check.
  var carried: Instant?
  /// When relays that are not used are given back.
  var relayEnd: Instant?
  /// Where what goes to a relay is wrapped.
  var wrapper = STUNWriter()
  var wrapping: [UInt8] = []

  enum Standing: Hashable, Sendable {
    /// May become connected or over.
    case new
    /// May become disconnected or over.
    case connected
    /// May become connected or over.
    case disconnected
    /// Failed or lost; a restart makes it new.
    case over
  }

  struct ValidatedPath: Sendable {
    var path: ICEPath
    var heard: Instant
    /// When the peer last checked it.
    var checked: Instant
    /// As the peer's check said.
    var priority: UInt32
    /// When the peer last asked to use it.
    var nominated: Instant?
  }

  /// An agent with fresh credentials. Gathers nothing before `gather`.
  package init(_ configuration: ICEConfiguration, _ turn: inout Turn) {
    var own = configuration
    if own.mode == .lite { (own.mappings, own.relays) = ([], []) }
    own.servers += own.relays.map(\.server)
    self.configuration = own
    role = configuration.role
    credentials = ICECredentials(&turn.random)
    tieBreaker = turn.random.next()
    prepareHosts()
    adopt(own.relays, firstServer: own.servers.count - own.relays.count)
    prepareKnown(&turn)
    settle(&turn)
  }

  // MARK: What the owner asks

  /// What to tell the peer now; more candidates may follow as events.
  package var localDescription: ICEDescription {
    ICEDescription(
      credentials: credentials, candidates: candidates, isLite: configuration.mode == .lite,
      isComplete: configuration.mode == .lite || gathering == .done)
  }

  /// The next thing the owner must know, in order; nil when there is none. Call after every other call, until nil.
  package mutating func next() -> ICEEvent? {
    guard eventsTaken < events.count else {
      if !events.isEmpty { events.removeAll(keepingCapacity: true) }
      eventsTaken = 0
      return nil
    }
    defer { eventsTaken += 1 }
    return events[eventsTaken]
  }

  /// When `advance` is wanted; may be early, never late.
  package var nextDeadline: Instant? { deadline }

  package var isConnected: Bool { standing == .connected || standing == .disconnected }

  /// Whether what comes on this flow, not through a relay, comes from the peer.
  package func isValidated(_ flow: Flow) -> Bool { isValidated(ICEPath(flow)) }

  func isValidated(_ path: ICEPath) -> Bool {
    if let selected, selected.isSame(as: path) { return true }
    return paths.contains { $0.path.isSame(as: path) }
  }

  // MARK: What the owner tells

  /// Takes the peer's description: from the offer or the answer, or after a restart. Candidates in it are added.
  /// Other credentials than before, without a `restart` of ours, are not believed: restart first.
  package mutating func setRemote(_ description: ICEDescription, _ turn: inout Turn) {
    guard standing != .over else { return }
    if let remoteCredentials, remoteCredentials != description.credentials {
      counters.refused += 1
      return
    }
    if configuration.mode == .lite, description.isLite, configuration.facingLite == .checks, paths.isEmpty {
      // What it told stays true: host candidates are all that it has. Of a full and a lite one the full one controls.
      configuration.mode = .full
      role = .controlling
    }
    if configuration.mode == .lite {
      remoteCredentials = description.credentials
      if isRestarting { started = turn.now }
      guard description.isLite else {
        settleLite()
        return
      }
      // Somebody must check.
      end()
      report(.failed)
      return
    }
    if remoteCredentials == nil {
      remoteCredentials = description.credentials
      started = turn.now
      if description.isLite, role == .controlled { changeRole() }
    }
    for candidate in description.candidates { take(candidate, turn.now) }
    if description.isComplete { remoteIsComplete = true }
    settle(&turn)
  }

  /// Takes one datagram or one whole frame of a stream that came on `flow`. Never fails: a peer's mistake costs its
  /// sender only.
  package mutating func receive(_ datagram: Span<UInt8>, on flow: Flow, _ turn: inout Turn) -> ICEReading {
    if !allocations.isEmpty, let reading = receive(relayed: datagram, on: flow, &turn) {
      if reading == .consumed { settle(&turn) }
      return reading
    }
    let path = ICEPath(flow)
    switch DatagramKind(datagram) {
    case .stun:
      let reading = receive(stun: datagram, on: path, &turn)
      if reading == .consumed { settle(&turn) }
      return reading
    case .dtls, .rtp, .rtcp:
      if let selected, selected.isSame(as: path) {
        carried = turn.now
      } else if !isValidated(path) {
        counters.foreign += 1
        return .ignored
      }
      return .payload(0..<datagram.count, path)
    case .turnChannel, .unknown:
      counters.refused += 1
      return .ignored
    }
  }

  mutating func receive(stun datagram: Span<UInt8>, on path: ICEPath, _ turn: inout Turn) -> ICEReading {
    guard let message = try? STUNMessage(parsing: datagram) else {
      counters.refused += 1
      return .ignored
    }
    switch message.kind {
    case .request where message.method == STUNMethod.binding:
      return answer(message, in: datagram, on: path, &turn)
    case .success, .failure:
      if receive(response: message, in: datagram, on: path, &turn) { return .consumed }
    case .request, .indication: break
    }
    counters.refused += 1
    return .ignored
  }

  /// A connection that carried flows of this session is gone.
  package mutating func closed(_ socket: SocketID, _ turn: inout Turn) {
    func isGone(_ path: ICEPath) -> Bool { path.flow.transport != .udp && path.flow.socket == socket }
    paths.removeAll { isGone($0.path) }
    pairs.removeAll { $0.flow.transport != .udp && $0.flow.socket == socket }
    exchanges.removeAll { isGone($0.path) }
    guard let selected, isGone(selected) else { return }
    // Another that works takes over; without one there is time until the expiry for the peer to come again.
    self.selected = nil
    if configuration.mode == .full {
      choose(turn.now)
    } else if let other = paths.max(by: { $0.heard < $1.heard }) {
      self.selected = other.path
      report(.selected(other.path))
    }
    if self.selected == nil, standing == .connected {
      standing = .disconnected
      report(.disconnected)
    }
    settle(&turn)
  }

  /// Sends a payload to the peer by the selected path. False when there is none.
  @discardableResult
  package mutating func send(_ payload: Span<UInt8>, _ turn: inout Turn) -> Bool {
    guard let selected else { return false }
    transmit(payload, on: selected, &turn)
    return true
  }

  // MARK: Inside

  mutating func report(_ event: ICEEvent) { events.append(event) }
}
