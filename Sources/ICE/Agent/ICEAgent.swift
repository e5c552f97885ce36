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
  package let configuration: ICEConfiguration
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
    /// As the peer's check said.
    var priority: UInt32
    /// When the peer last asked to use it.
    var nominated: Instant?
  }

  /// An agent with fresh credentials. Gathers nothing before `gather`.
  package init(_ configuration: ICEConfiguration, _ turn: inout Turn) {
    self.configuration = configuration
    role = configuration.role
    credentials = ICECredentials(&turn.random)
    tieBreaker = turn.random.next()
  }

  // MARK: What the owner asks

  /// What to tell the peer now; more candidates may follow as events.
  package var localDescription: ICEDescription {
    ICEDescription(
      credentials: credentials, candidates: hostCandidates, isLite: configuration.mode == .lite,
      isComplete: true)
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

  /// Whether what comes on this flow comes from the peer.
  package func isValidated(_ flow: Flow) -> Bool {
    if let selected, selected.flow == flow { return true }
    return paths.contains { $0.path.flow == flow && $0.path.relayed == nil }
  }

  // MARK: What the owner tells

  /// Takes the peer's description: from the offer or the answer, or after a restart. Candidates in it are added.
  package mutating func setRemote(_ description: ICEDescription, _ turn: inout Turn) {
    remoteCredentials = description.credentials
  }

  /// Takes one datagram or one whole frame of a stream that came on `flow`. Never fails: a peer's mistake costs its
  /// sender only.
  package mutating func receive(_ datagram: Span<UInt8>, on flow: Flow, _ turn: inout Turn) -> ICEReading {
    let path = ICEPath(flow)
    switch DatagramKind(datagram) {
    case .stun: return receive(stun: datagram, on: path, &turn)
    case .dtls, .rtp, .rtcp:
      guard isValidated(flow) else {
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
    if message.kind == .request, message.method == STUNMethod.binding {
      return answer(message, in: datagram, on: path, &turn)
    }
    counters.refused += 1
    return .ignored
  }

  /// A connection that carried flows of this session is gone.
  package mutating func closed(_ socket: SocketID, _ turn: inout Turn) {
    paths.removeAll { $0.path.flow.transport != .udp && $0.path.flow.socket == socket }
    if let selected, selected.flow.transport != .udp, selected.flow.socket == socket {
      self.selected = paths.last?.path
      if let other = self.selected { report(.selected(other)) }
    }
  }

  /// Sends a payload to the peer by the selected path. False when there is none, or no room in the outbox.
  @discardableResult
  package mutating func send(_ payload: Span<UInt8>, _ turn: inout Turn) -> Bool {
    guard let selected else { return false }
    return turn.out.send(payload, on: selected.flow)
  }

  /// Does what time demands. Early is harmless.
  package mutating func advance(_ turn: inout Turn) {
    watch(turn.now)
  }

  // MARK: Inside

  mutating func report(_ event: ICEEvent) { events.append(event) }

  /// Host candidates, best first.
  var hostCandidates: [Candidate] {
    var list: [Candidate] = []
    for base in configuration.bases {
      for endpoint in [base.local] + base.advertised {
        let transport: CandidateTransport = base.transport == .udp ? .udp : .tcpPassive
        list.append(
          Candidate(
            foundation: String(list.count + 1), transport: transport,
            priority: Candidate.priority(.host, transport, order: list.count), endpoint: endpoint, kind: .host
          ))
      }
    }
    return list
  }
}
