package import Wire

// The SIP agent: the one object that the calls and the gateway talk to.
//
// Responsible for transactions, dialogs and sessions: it takes whole messages with the flow they came by, answers
// what the protocol itself must answer (§8.2, §9.2, §12.2.2), keeps everything going that time drives, and tells its
// owner through `next()` only what needs a decision. It assumes that whoever feeds it has framed streams, drained the
// outbox after each turn, and turned banned sources away. Who may say what is the gate's; who is called is the
// owner's; bytes, digests and bindings are other parts of this room.
//
//   received                              goes to
//   response                              the client transaction its branch names, else nowhere
//   ACK                                   the INVITE transaction it matches, else the session its To tag names
//   CANCEL                                the INVITE transaction it matches, else 481
//   a request seen before                 its transaction, which answers as before
//   a request with a To tag               the session it names, if Call-ID, both tags and address agree, else 481
//   any other                             the gate, then a new transaction
//
// Bounds: transactions, sessions, forks and answered transactions each have a limit in the configuration; beyond it a
// request is answered 503 and leaves nothing behind. The order of what the agent does depends on its inputs alone.
package final class Agent {
  package var configuration: AgentConfiguration
  let gate: any Gatekeeper

  var servers: Slab<ServerRecord>
  var serverPlaces: [TransactionKey: Handle] = [:]
  /// Answered non-INVITE transactions from the oldest on; `answeredStart` counts those already dropped.
  var answered: [Handle] = []
  var answeredStart = 0
  var clients: Slab<ClientRecord>
  var sessions: Slab<Session>
  /// Initial INVITEs in progress by Call-ID, From tag and number, to find one that came by two ways (§8.2.2.2).
  var merges: [MergeKey: Handle] = [:]
  /// How many calls each address has with us that are not over.
  var callsByAddress: [IPAddress: Int] = [:]
  /// Client transactions that wait for a name, by ticket.
  var lookups: [UInt64: Handle] = [:]
  var lastTicket: UInt64 = 0

  var wheel: Wheel
  var events: [AgentEvent] = []
  var eventsTaken = 0
  /// Drawn with the first message; To tags of stateless answers differ by it from one run to the next.
  var secret: UInt64 = 0

  /// What happened so far, for metrics.
  package internal(set) var counters = AgentCounters()

  package init(configuration: AgentConfiguration, gate: any Gatekeeper, now: Instant) {
    precondition(
      max(configuration.transactionLimit, configuration.sessionLimit) < 1 << 24,
      "a timer's token has 24 bits for a place")
    self.configuration = configuration
    self.gate = gate
    servers = Slab(limit: configuration.transactionLimit)
    clients = Slab(limit: configuration.transactionLimit)
    sessions = Slab(limit: configuration.sessionLimit)
    wheel = Wheel(now: now)
  }

  /// The next thing the owner must know, in order; nil when there is none. Call after every other call, until nil.
  package func next() -> AgentEvent? {
    guard eventsTaken < events.count else {
      events.removeAll(keepingCapacity: true)
      eventsTaken = 0
      return nil
    }
    defer { eventsTaken += 1 }
    return events[eventsTaken]
  }

  /// When `advance` is wanted; may be early, never late.
  package var nextDeadline: Instant? { wheel.nextDeadline }

  /// How much is held; all zero after quiet.
  package var census: AgentCensus {
    AgentCensus(
      serverTransactions: servers.count, clientTransactions: clients.count, sessions: sessions.count,
      timers: wheel.count, lookups: lookups.count)
  }

  /// Takes one whole message: a datagram, or what a framer cut out of a stream. Never fails: a peer's mistake is
  /// answered, or counted and forgotten.
  package func receive(_ bytes: Span<UInt8>, on flow: Flow, _ turn: inout Turn) {
    if Agent.isKeepAlive(bytes) { return }
    if secret == 0 { secret = turn.random.next() | 1 }
    let message: Message
    do throws(SIPParseError) {
      message = try Message(parsing: bytes, framing: flow.transport.framing)
    } catch {
      counters.unreadable += 1
      report(.mistake(.unreadable(error), flow))
      let tag = String(turn.random.next() | 1 << 63, radix: 16)
      if let answer = Refusal.response(to: bytes, for: error, tag: tag, source: flow.remote) {
        turn.out.send(answer, on: flow)
      }
      return
    }
    if message.isRequest {
      counters.requests += 1
      receive(request: message, on: flow, &turn)
    } else {
      counters.responses += 1
      receive(response: message, on: flow, &turn)
    }
  }

  /// A few line ends or zeros, by which devices keep their translator's mapping open.
  private static func isKeepAlive(_ bytes: Span<UInt8>) -> Bool {
    guard bytes.count <= 8 else { return false }
    for index in bytes.indices where bytes[index] != 13 && bytes[index] != 10 && bytes[index] != 0 {
      return false
    }
    return true
  }

  func report(_ event: AgentEvent) { events.append(event) }

  // MARK: Time

  /// What a timer in the wheel is for; its token carries this and the handle of what it belongs to.
  enum Alarm {
    case serverRetransmission, serverEnd, clientRetransmission, clientEnd
    case session(Session.Clock)

    var number: UInt64 {
      switch self {
      case .serverRetransmission: 1
      case .serverEnd: 2
      case .clientRetransmission: 3
      case .clientEnd: 4
      case .session(let clock): 8 + UInt64(clock.rawValue)
      }
    }

    init?(number: UInt64) {
      switch number {
      case 1: self = .serverRetransmission
      case 2: self = .serverEnd
      case 3: self = .clientRetransmission
      case 4: self = .clientEnd
      default:
        guard number >= 8, let clock = Session.Clock(rawValue: Int(number - 8)) else { return nil }
        self = .session(clock)
      }
    }

    /// Index in the low 24 bits, this in the next 8, generation above: limits stay below 2^24.
    func token(_ handle: Handle) -> UInt64 { handle.raw | number << 24 }

    static func parse(_ token: UInt64) -> (Alarm, Handle)? {
      guard let alarm = Alarm(number: token >> 24 & 0xFF) else { return nil }
      return (alarm, Handle(raw: token & ~(0xFF << 24)))
    }
  }

  func arm(_ alarm: Alarm, _ handle: Handle, after wait: Interval, _ turn: borrowing Turn) -> Handle {
    wheel.arm(turn.now + wait, token: alarm.token(handle))
  }

  /// Does everything whose time has come.
  package func advance(_ turn: inout Turn) {
    while let token = wheel.expired(by: turn.now) {
      guard let (alarm, handle) = Alarm.parse(token) else { continue }
      switch alarm {
      case .serverRetransmission: serverClock(handle, .retransmissionDue, &turn)
      case .serverEnd: serverClock(handle, .endDue, &turn)
      case .clientRetransmission: clientClock(handle, .retransmissionDue, &turn)
      case .clientEnd: clientClock(handle, .endDue, &turn)
      case .session(let clock): sessionClock(handle, clock, &turn)
      }
    }
  }

  // MARK: Broken ways

  /// A message with this token could not be carried: the connection could not be made, or broke first.
  package func undeliverable(token: UInt64, _ turn: inout Turn) {
    guard let (alarm, handle) = Alarm.parse(token) else { return }
    switch alarm {
    case .clientRetransmission, .clientEnd: clientUndeliverable(handle, &turn)
    case .serverRetransmission, .serverEnd: serverUndeliverable(handle, &turn)
    case .session: return
    }
  }

  /// A stream is gone. Requests that wait for an answer on it fail; sessions go on over a new one, except those that
  /// were never answered, whose caller can no longer be told.
  package func connectionLost(_ socket: SocketID, _ turn: inout Turn) {
    guard socket != .none else { return }
    var waiting: [Handle] = []
    clients.forEach { handle, record in
      if record.flow?.socket == socket, !record.machine.isOver { waiting.append(handle) }
    }
    for handle in waiting { clientUndeliverable(handle, &turn) }
    servers.forEach { _, record in
      if record.flow.socket == socket { record.loseConnection() }
    }
    for handle in sessions.handles {
      guard let session = sessions[handle] else { continue }
      var isAffected = false
      for place in session.dialogs.indices where session.dialogs[place].flow.socket == socket {
        session.dialogs[place].flow.socket = .none
        isAffected = true
      }
      if let answer = session.answer, answer.flow.socket == socket {
        session.answer?.flow = session.dialog?.way ?? answer.flow
      }
      guard isAffected else { continue }
      switch session.phase {
      case .incoming: abandon(handle, session, .transport, &turn)
      case .answeredOpen, .answering, .established:
        // A browser cannot be dialled: it comes back by itself, or the call is over.
        if session.dialog?.isOrphaned ?? false {
          start(.orphaned, handle, session, after: configuration.orphanTime, turn)
        }
      case .inviting, .cancelling, .closing, .over: break
      }
    }
  }

  /// An account registered this contact on a new connection: its answered calls whose WebSocket broke go on there.
  package func returned(_ account: String, contact: URI, on flow: Flow, _ turn: inout Turn) {
    guard flow.transport == .ws || flow.transport == .wss else { return }
    for handle in sessions.handles {
      guard let session = sessions[handle], let dialog = session.dialog, dialog.isOrphaned,
        dialog.remoteTarget.user == contact.user, dialog.remoteTarget.host == contact.host
      else { continue }
      let name: String? =
        switch session.identity {
        case .account(let name, _)?: name
        case .station(let name, _)?: name
        case nil: session.remote.uri.decodedUser
        }
      guard name == account else { continue }
      session.dialog?.flow = flow
      stop(.orphaned, session)
    }
  }
}

/// What an agent holds at the moment.
package struct AgentCensus: Sendable, Equatable {
  package var serverTransactions: Int
  package var clientTransactions: Int
  package var sessions: Int
  package var timers: Int
  package var lookups: Int

  package init(
    serverTransactions: Int = 0, clientTransactions: Int = 0, sessions: Int = 0, timers: Int = 0,
    lookups: Int = 0
  ) {
    self.serverTransactions = serverTransactions
    self.clientTransactions = clientTransactions
    self.sessions = sessions
    self.timers = timers
    self.lookups = lookups
  }
}

/// Counts since the start.
package struct AgentCounters: Sendable, Equatable {
  package var requests: UInt64 = 0
  package var responses: UInt64 = 0
  package var unreadable: UInt64 = 0
  package var strayResponses: UInt64 = 0
  package var strayRequests: UInt64 = 0
  package var retransmissionsReceived: UInt64 = 0
  package var retransmissionsSent: UInt64 = 0
  package var challenged: UInt64 = 0
  package var refused: UInt64 = 0
  package var overCapacity: UInt64 = 0

  package init() {}
}

/// Names an initial INVITE whatever way it came.
struct MergeKey: Hashable {
  var callID: String
  var fromTag: String
  var cseq: UInt32
}

extension TransportKind {
  /// How this room's parser is to take a message of such a flow.
  var framing: Framing {
    switch self {
    case .udp, .ws, .wss: .datagram
    case .tcp, .tls: .stream
    }
  }
}
