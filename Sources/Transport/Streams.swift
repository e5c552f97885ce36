package import Crypto
package import Wire

// Streams: listeners and connections, with TLS where wanted.
//
// Responsible for: taking connections in within the caps of their source's standing, dialling, handshakes,
// deadlines (answer, handshake, first byte, idle, stall), the farewell, and handing plain bytes to the one
// consumer of each purpose. A peer that opens connections without speaking, dribbles, or does not read costs a
// bounded number of sockets for a bounded time.
//
// Assumes: one thread; the resident that owns it forwards the news of every socket that `owns` names, with
// `advance` and `nextDeadline`. Somebody else's: what the bytes mean, which addresses are known, and reading
// certificates from files.
package final class Streams {
  let world: any World
  let sessions: any SessionMaker
  let limits: StreamLimits
  weak var judge: (any SourceJudge)?
  var admission: Admission
  var consumers: [(purpose: StreamPurpose, delegate: WeakDelegate)] = []
  var listeners: [SocketID: Listener] = [:]
  var connections: [SocketID: Connection] = [:]
  var timers: Wheel
  /// Accepted connections by address, and by standing; no address stays with a count of zero.
  var byAddress: [IPAddress: Int] = [:]
  var byClass: [Int]
  package private(set) var counters = StreamCounters()

  struct WeakDelegate {
    weak var value: (any StreamsDelegate)?
  }

  struct Listener {
    var purpose: StreamPurpose
    var isSecure: Bool
    var isLocal: Bool
    var idle: Interval?
    var local: Endpoint
  }

  /// `admission` paces new connections (`AdmissionKind.connection`); nil takes the defaults.
  package init(
    world: any World, sessions: any SessionMaker, limits: StreamLimits = StreamLimits(),
    judge: (any SourceJudge)?, admission: Admission? = nil
  ) {
    self.world = world
    self.sessions = sessions
    self.limits = limits
    self.judge = judge
    var random = world.makeRandom()
    self.admission = admission ?? Admission(seed: random.next())
    timers = Wheel(now: world.now)
    byClass = Array(repeating: 0, count: ConnectionClass.count)
  }

  /// Names the consumer of a purpose; it is not kept alive.
  package func setConsumer(_ delegate: any StreamsDelegate, for purpose: StreamPurpose) {
    consumers.removeAll { $0.purpose == purpose }
    consumers.append((purpose, WeakDelegate(value: delegate)))
  }

  // MARK: Opening

  /// Listens; port 0 means any, the bound endpoint is the result. `idle` is how long its connections may say
  /// nothing once they have spoken; nil for ever.
  @discardableResult
  package func listen(
    _ local: Endpoint, secure: Bool, purpose: StreamPurpose, idle: Interval? = nil
  ) throws(NetworkFailure) -> Endpoint {
    let socket = try world.listen(local)
    let bound = world.local(of: socket) ?? local
    listeners[socket] = Listener(
      purpose: purpose, isSecure: secure, isLocal: false, idle: idle, local: bound)
    return bound
  }

  /// Listens on a path for clients of this machine.
  package func listen(
    path: String, mode: UInt32, group: String?, purpose: StreamPurpose, idle: Interval? = nil
  ) throws(NetworkFailure) {
    let socket = try world.listen(path: path, mode: mode, group: group)
    listeners[socket] = Listener(
      purpose: purpose, isSecure: false, isLocal: true, idle: idle, local: Endpoint(.anyV4, port: 0))
  }

  /// Closes every listener of a purpose; its connections stand.
  package func stopListening(for purpose: StreamPurpose) {
    let gone = listeners.filter { $0.value.purpose == purpose }.keys
      .sorted { $0.handle.raw < $1.handle.raw }
    for socket in gone {
      listeners[socket] = nil
      world.close(socket, flushing: false)
    }
  }

  /// Starts a connection; `opened` or `closed` follows. `trust` is set for TLS, `serverName` is then what the
  /// certificate must name.
  package func dial(
    _ remote: Endpoint, trust: TLSTrust? = nil, serverName: String? = nil, purpose: StreamPurpose,
    idle: Interval? = nil
  ) throws(NetworkFailure) -> ConnectionID {
    guard byClass[ConnectionClass.dialled.rawValue] < limits.dialled else { throw .tooManyOpen }
    let socket = try world.connect(remote)
    let connection = Connection(
      id: socket, kind: .dialled, remote: remote, purpose: purpose, isSecure: trust != nil)
    connection.idle = idle
    connection.trust = trust
    connection.serverName = serverName
    adopt(connection)
    counters.dialled += 1
    arm(connection, .notEstablished, after: limits.connect)
    return socket
  }

  // MARK: Using

  /// Queues bytes. False when the connection is gone, not yet open, or its queue is full: nothing was taken
  /// then, and `drained` follows if it is still there.
  package func write(_ bytes: [UInt8], on connection: ConnectionID) -> Bool {
    write(bytes.span, on: connection)
  }

  package func write(_ bytes: Span<UInt8>, on id: ConnectionID) -> Bool {
    guard let connection = connections[id], connection.phase == .open else { return false }
    guard !isFull(connection, adding: bytes.count) else {
      connection.owesDrained = true
      return false
    }
    guard let session = connection.session else {
      guard world.write(bytes, on: id) else {
        connection.owesDrained = true
        watchQueue(connection)
        return false
      }
      connection.unwatched += bytes.count
      if connection.unwatched >= Streams.watchEvery { watchQueue(connection) }
      return true
    }
    var out: [UInt8] = []
    do throws(TLSFailure) {
      try session.send(bytes, out: &out)
    } catch {
      end(connection, .security(error))
      return false
    }
    carry(out, connection)
    return true
  }

  /// Closes in good order: what is queued is sent first when `flushing`. No event follows.
  package func close(_ id: ConnectionID, flushing: Bool) {
    guard let connection = connections[id] else { return }
    if flushing, let session = connection.session, connection.phase == .open {
      var out: [UInt8] = []
      session.finish(out: &out)
      carry(out, connection)
    }
    forget(connection)
    world.close(id, flushing: flushing)
  }

  /// How long a connection may say nothing from now on; nil for ever.
  package func setIdle(_ idle: Interval?, on id: ConnectionID) {
    guard let connection = connections[id] else { return }
    connection.idle = idle
    if connection.phase == .open, connection.hasSpoken { armIdle(connection) }
  }

  /// Ends the connection after `interval` whatever comes in between, so that a peer that dribbles gains nothing;
  /// nil takes the limit back. For consumers that wait for the rest of a message.
  package func setDeadline(_ interval: Interval?, on id: ConnectionID) {
    guard let connection = connections[id] else { return }
    connection.overdue = interval.map { world.now + $0 }
    schedule(connection)
  }

  /// Stops or resumes reading: how a slow consumer pushes back.
  package func setReading(_ reading: Bool, on id: ConnectionID) {
    guard connections[id] != nil else { return }
    world.setReading(reading, on: id)
  }

  /// Who is at the other end has proved itself since the connection came in: it counts among the known from now
  /// on, and leaves its place among strangers to others.
  package func recognise(_ id: ConnectionID) {
    guard let connection = connections[id], connection.kind == .stranger,
      let standing = judge?.standing(of: connection.remote.address), standing != .stranger
    else { return }
    let kind = ConnectionClass(standing)
    guard byClass[kind.rawValue] < limits.cap(standing).total else { return }
    byClass[connection.kind.rawValue] -= 1
    byClass[kind.rawValue] += 1
    connection.kind = kind
  }

  /// What is known of an open connection.
  package func facts(of id: ConnectionID) -> ConnectionFacts? { connections[id].map(facts) }

  /// The open connection to `remote` of this purpose and security, the oldest one; nil if there is none.
  package func connection(to remote: Endpoint, secure: Bool, purpose: StreamPurpose) -> ConnectionID? {
    var found: ConnectionID?
    // The least by name is taken: the same whatever the order of the table.
    for (id, connection) in connections
    where connection.remote == remote && connection.isSecure == secure && connection.purpose == purpose
      && connection.phase == .open
    {
      if found == nil || id.handle.raw < found!.handle.raw { found = id }
    }
    return found
  }

  package var connectionCount: Int { connections.count }

  // MARK: News from the resident

  /// Whether news of this socket belong here.
  package func owns(_ socket: SocketID) -> Bool {
    connections[socket] != nil || listeners[socket] != nil
  }

  package func accepted(
    _ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?
  ) {
    guard let listener = listeners[listener] else {
      world.close(stream, flushing: false)
      return
    }
    let kind: ConnectionClass
    if listener.isLocal {
      kind = .local
      guard byClass[kind.rawValue] < limits.local else { return refuse(stream) }
    } else {
      let standing = judge?.standing(of: remote.address) ?? .stranger
      kind = ConnectionClass(standing)
      let cap = limits.cap(standing)
      guard byClass[kind.rawValue] < cap.total, byAddress[remote.address, default: 0] < cap.perAddress,
        admission.admit(.connection, from: remote.address, standing: standing, at: world.now) == .admitted
      else { return refuse(stream) }
    }
    let connection = Connection(
      id: stream, kind: kind, remote: remote, purpose: listener.purpose, isSecure: listener.isSecure)
    connection.local = listener.isLocal ? listener.local : world.local(of: stream) ?? listener.local
    connection.peer = peer
    connection.idle = listener.idle
    if listener.isSecure {
      guard let session = sessions.accept() else { return refuse(stream) }
      connection.session = session
    }
    adopt(connection)
    counters.accepted += 1
    if listener.isSecure {
      connection.phase = .handshaking
      arm(connection, .notEstablished, after: limits.handshake)
    } else {
      open(connection)
    }
  }

  package func connected(_ stream: SocketID) {
    guard let connection = connections[stream], connection.phase == .dialling else { return }
    connection.local = world.local(of: stream) ?? connection.local
    guard let trust = connection.trust else { return open(connection) }
    do throws(TLSFailure) {
      let session = try sessions.connect(serverName: connection.serverName, trust: trust, at: world.wall)
      connection.session = session
      connection.phase = .handshaking
      arm(connection, .notEstablished, after: limits.handshake)
      var out: [UInt8] = []
      try session.start(out: &out)
      carry(out, connection)
    } catch {
      counters.handshakesFailed += 1
      end(connection, .security(error))
    }
  }

  package func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {
    guard let connection = connections[stream] else { return }
    guard let session = connection.session else {
      guard connection.phase == .open else { return }
      heard(connection)
      delegate(connection)?.received(bytes, on: stream)
      return
    }
    var plain: [UInt8] = []
    var out: [UInt8] = []
    var failure: TLSFailure?
    do throws(TLSFailure) {
      try session.receive(bytes, plain: &plain, out: &out)
    } catch { failure = error }
    carry(out, connection)
    if connection.phase == .handshaking, session.isEstablished, failure == nil { open(connection) }
    // The consumer may have closed it when told that it opened.
    if connections[stream] === connection, connection.phase == .open, !plain.isEmpty {
      heard(connection)
      delegate(connection)?.received(plain.span, on: stream)
    }
    guard connections[stream] === connection else { return }
    if let failure {
      if connection.phase == .handshaking { counters.handshakesFailed += 1 }
      // The alert that says why is queued; let it leave.
      end(connection, .security(failure), flushing: true)
    } else if session.isFinishedByPeer {
      end(connection, .finished, flushing: true)
    }
  }

  package func drained(_ stream: SocketID) {
    guard let connection = connections[stream] else { return }
    if !connection.pending.isEmpty {
      let waiting = connection.pending
      connection.pending = []
      carry(waiting, connection)
      guard connections[stream] === connection, connection.pending.isEmpty else { return }
    }
    connection.unwatched = 0
    connection.stall = nil
    if connection.owesDrained {
      connection.owesDrained = false
      delegate(connection)?.drained(stream)
    }
  }

  package func closed(_ stream: SocketID, _ failure: NetworkFailure) {
    listeners[stream] = nil
    guard let connection = connections[stream] else { return }
    forget(connection)
    delegate(connection)?.closed(stream, failure == .closed ? .finished : .network(failure))
  }

  package var nextDeadline: Instant? { timers.nextDeadline }

  package func advance() {
    while let token = timers.expired(by: world.now) {
      let id = SocketID(Handle(raw: token))
      guard let connection = connections[id] else { continue }
      connection.timer = nil
      let now = world.now
      if let stall = connection.stall, stall <= now {
        counters.timedOut += 1
        end(connection, .stalled)
      } else if let overdue = connection.overdue, overdue <= now {
        counters.timedOut += 1
        end(connection, .overdue)
      } else if let deadline = connection.deadline, deadline <= now {
        counters.timedOut += 1
        end(connection, connection.meaning)
      } else {
        schedule(connection)
      }
    }
  }

  // MARK: Inside

  static let watchEvery = 16 * 1024

  func delegate(_ connection: Connection) -> (any StreamsDelegate)? {
    consumers.first { $0.purpose == connection.purpose }?.delegate.value
  }

  func facts(_ connection: Connection) -> ConnectionFacts {
    ConnectionFacts(
      purpose: connection.purpose, isSecure: connection.isSecure, isDialled: connection.kind == .dialled,
      remote: connection.remote, local: connection.local, peer: connection.peer,
      fingerprint: connection.session?.peerFingerprint)
  }

  func refuse(_ stream: SocketID) {
    counters.refused += 1
    world.close(stream, flushing: false)
  }

  func adopt(_ connection: Connection) {
    connections[connection.id] = connection
    byClass[connection.kind.rawValue] += 1
    if connection.kind.countsAddress { byAddress[connection.remote.address, default: 0] += 1 }
  }

  func forget(_ connection: Connection) {
    guard connections.removeValue(forKey: connection.id) != nil else { return }
    if let timer = connection.timer { timers.cancel(timer) }
    connection.timer = nil
    byClass[connection.kind.rawValue] -= 1
    guard connection.kind.countsAddress else { return }
    let left = byAddress[connection.remote.address, default: 1] - 1
    byAddress[connection.remote.address] = left > 0 ? left : nil
  }

  func open(_ connection: Connection) {
    connection.phase = .open
    if connection.kind == .dialled || connection.kind == .local {
      connection.hasSpoken = true
      armIdle(connection)
    } else {
      arm(connection, .silent, after: limits.firstByte)
    }
    delegate(connection)?.opened(connection.id, facts(connection))
  }

  func heard(_ connection: Connection) {
    connection.hasSpoken = true
    armIdle(connection)
  }

  /// Ends a connection by our own decision, and says so.
  func end(_ connection: Connection, _ ending: StreamEnding, flushing: Bool = false) {
    guard connections[connection.id] === connection else { return }
    forget(connection)
    world.close(connection.id, flushing: flushing)
    delegate(connection)?.closed(connection.id, ending)
  }
}

/// Which cap a connection counts against.
enum ConnectionClass: Int {
  case stranger, known, provisioned, local, dialled

  static let count = 5

  init(_ standing: SourceStanding) {
    switch standing {
    case .stranger: self = .stranger
    case .known: self = .known
    case .provisioned: self = .provisioned
    }
  }

  var countsAddress: Bool { self != .local && self != .dialled }
}

final class Connection {
  enum Phase {
    /// We dialled; may become `handshaking` or `open`.
    case dialling
    /// TLS is being agreed on; may become `open`.
    case handshaking
    /// Bytes may flow.
    case open
  }

  let id: SocketID
  var kind: ConnectionClass
  let remote: Endpoint
  let purpose: StreamPurpose
  let isSecure: Bool
  var phase = Phase.dialling
  var local = Endpoint(.anyV4, port: 0)
  var peer: LocalPeer?
  var session: (any SecureSession)?
  var trust: TLSTrust?
  var serverName: String?
  var idle: Interval?
  var hasSpoken = false
  /// When the connection ends unless something happens, and what that would mean.
  var deadline: Instant?
  var meaning = StreamEnding.notEstablished
  /// When a standing queue ends the connection.
  var stall: Instant?
  /// When the consumer's own limit ends the connection.
  var overdue: Instant?
  var timer: Handle?
  var armedFor = Instant(nanoseconds: 0)
  /// Records the world has not taken yet.
  var pending: [UInt8] = []
  /// Bytes written since the queue was last looked at.
  var unwatched = 0
  /// A write was refused: its writer waits for `drained`.
  var owesDrained = false

  init(id: SocketID, kind: ConnectionClass, remote: Endpoint, purpose: StreamPurpose, isSecure: Bool) {
    self.id = id
    self.kind = kind
    self.remote = remote
    self.purpose = purpose
    self.isSecure = isSecure
  }
}
