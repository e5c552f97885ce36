package import Wire

/// One simulated host: a `World` whose network, clock, randomness, workers and names belong to a
/// `SimulatedNetwork`.
///
/// A resident made for it runs exactly as it does over the kernel, but on virtual time. Crashing it drops the
/// resident and everything unsent; a new world at the same addresses is the restarted machine.
package final class SimulatedWorld: World {
  package let network: SimulatedNetwork
  package let addresses: [IPAddress]
  /// How long a worker takes, at most; drawn for each piece of work.
  package var workDelay = Interval.milliseconds(2)
  /// What names resolve to.
  package var names: [NameQuery: [ResolvedName]] = [:]
  /// Binding one of these ports fails, as when another program has it.
  package var takenPorts: Set<UInt16> = []
  package private(set) var hasStopped = false
  /// Datagrams that found no socket.
  package private(set) var undelivered = 0

  private var resident: (any Resident)?
  private var sockets = Slab<SimulatedSocket>(limit: 65_536)
  private var ports: [PortKey: SocketID] = [:]
  private var dice: Random
  private var nextPort: UInt16 = 32_768
  private var laneFree: [Instant] = Array(repeating: Instant(nanoseconds: 0), count: Lane.allCases.count)
  private(set) var lastAdvance = Instant(nanoseconds: 0)
  private var isCrashed = false

  private struct PortKey: Hashable {
    var isStream: Bool
    var port: UInt16
    var address: IPAddress
  }

  package init(_ network: SimulatedNetwork, addresses: [IPAddress]) {
    precondition(!addresses.isEmpty, "a host has an address")
    self.network = network
    self.addresses = addresses
    dice = network.fork()
    network.attach(self)
  }

  /// Makes the resident of this host.
  package func run(_ make: (SimulatedWorld) -> any Resident) {
    let resident = make(self)
    self.resident = resident
    resident.settle()
  }

  /// Ends the host as a power cut does. What peers have open to it breaks after the network's delay.
  package func crash() {
    isCrashed = true
    resident = nil
    network.detach(self)
    for handle in sockets.handles {
      if let peer = sockets[handle]?.peer { breakPeer(peer) }
    }
  }

  var deadline: Instant? { isCrashed ? nil : resident?.nextDeadline }
  func isDue(_ now: Instant) -> Bool {
    guard let deadline else { return false }
    return max(deadline, lastAdvance + .microseconds(10)) <= now
  }
  func advance() {
    lastAdvance = network.now
    turn { $0.advance() }
  }

  private func turn(_ body: (any Resident) -> Void) {
    guard let resident, !isCrashed, !hasStopped else { return }
    body(resident)
    resident.settle()
  }

  // MARK: World

  package var now: Instant { network.now }
  package var wall: WallTime { network.wall }
  package func makeRandom() -> Random { dice.fork() }
  package func hostAddresses() -> [IPAddress] { addresses }

  package func localTime(at wall: WallTime, in zone: String) -> LocalTime? {
    guard let offset = SimulatedZone.offset(at: wall, in: zone) else { return nil }
    let seconds = wall.seconds + offset
    let days = Int((Double(seconds) / 86_400).rounded(.down))
    return LocalTime(
      date: CivilDate(daysSinceEpoch: days), minute: (Int(seconds) - days * 86_400) / 60)
  }

  package func openDatagram(
    _ local: Endpoint, _ options: DatagramOptions
  ) throws(NetworkFailure) -> SocketID {
    try bind(local, isStream: false, kind: .datagram)
  }

  package func listen(_ local: Endpoint) throws(NetworkFailure) -> SocketID {
    try bind(local, isStream: true, kind: .listener)
  }

  package func listen(path: String, mode: UInt32, group: String?) throws(NetworkFailure) -> SocketID {
    guard
      let handle = sockets.insert(
        SimulatedSocket(kind: .listener, local: Endpoint(.loopbackV4, port: 0), path: path))
    else { throw .tooManyOpen }
    return SocketID(handle)
  }

  private func bind(
    _ wanted: Endpoint, isStream: Bool, kind: SimulatedSocket.Kind
  ) throws(NetworkFailure) -> SocketID {
    let address = wanted.address
    guard address.isUnspecified || addresses.contains(address) else { throw .addressNotAvailable }
    var port = wanted.port
    if port == 0 {
      repeat {
        port = nextPort
        nextPort = nextPort == .max ? 32_768 : nextPort + 1
      } while isTaken(address, port, isStream)
    } else if isTaken(address, port, isStream) {
      throw .addressInUse
    }
    guard
      let handle = sockets.insert(
        SimulatedSocket(kind: kind, local: Endpoint(address, port: port), path: nil))
    else { throw .tooManyOpen }
    ports[PortKey(isStream: isStream, port: port, address: address)] = SocketID(handle)
    return SocketID(handle)
  }

  private func isTaken(_ address: IPAddress, _ port: UInt16, _ isStream: Bool) -> Bool {
    takenPorts.contains(port) || socket(for: Endpoint(address, port: port), isStream: isStream) != nil
  }

  private func socket(for target: Endpoint, isStream: Bool) -> SocketID? {
    for address in [target.address, .anyV4, .anyV6] {
      if let found = ports[PortKey(isStream: isStream, port: target.port, address: address)] { return found }
    }
    return nil
  }

  package func local(of socket: SocketID) -> Endpoint? { sockets[socket.handle]?.local }

  package func send(
    _ datagram: Span<UInt8>, on socket: SocketID, to remote: Endpoint, from source: IPAddress?
  ) {
    guard let found = sockets[socket.handle], found.kind == .datagram else { return }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(datagram.count)
    for index in datagram.indices { bytes.append(datagram[index]) }
    let address = source ?? (found.local.address.isUnspecified ? addresses[0] : found.local.address)
    network.send(bytes, from: Endpoint(address, port: found.local.port), to: remote)
  }

  func deliver(_ bytes: [UInt8], from source: Endpoint, to target: Endpoint) {
    guard let socket = socket(for: target, isStream: false) else {
      undelivered += 1
      return
    }
    turn { $0.received(bytes.span, on: socket, from: source, to: target) }
  }

  // MARK: Streams

  package func connect(_ remote: Endpoint) throws(NetworkFailure) -> SocketID {
    let port = nextPort
    nextPort = nextPort == .max ? 32_768 : nextPort + 1
    let local = Endpoint(addresses.first { $0.isV4 == remote.address.isV4 } ?? addresses[0], port: port)
    guard let handle = sockets.insert(SimulatedSocket(kind: .stream, local: local, path: nil)) else {
      throw .tooManyOpen
    }
    let socket = SocketID(handle)
    network.after(network.weather.delay * 2) { [weak self] in
      guard let self, self.sockets.contains(handle) else { return }
      guard !self.network.isCut(local.address, remote.address) else {
        self.network.after(.seconds(5)) { [weak self] in self?.fail(socket, .timedOut) }
        return
      }
      guard let host = self.network.host(at: remote.address),
        let accepted = host.accept(from: self, socket, local, at: remote)
      else {
        self.fail(socket, .refused)
        return
      }
      self.sockets.update(handle) { $0.peer = StreamEnd(host: host, socket: accepted) }
      self.turn { $0.connected(socket) }
    }
    return socket
  }

  private func accept(
    from other: SimulatedWorld, _ theirs: SocketID, _ remote: Endpoint, at local: Endpoint
  ) -> SocketID? {
    guard let listener = socket(for: local, isStream: true), resident != nil else { return nil }
    var socket = SimulatedSocket(kind: .stream, local: local, path: nil)
    socket.peer = StreamEnd(host: other, socket: theirs)
    guard let handle = sockets.insert(socket) else { return nil }
    let stream = SocketID(handle)
    turn { $0.accepted(stream, on: listener, from: remote, peer: nil) }
    return sockets.contains(handle) ? stream : nil
  }

  /// Connects to a path listener of this very host, as its command line does.
  package func connectLocally(path: String, from other: SimulatedWorld, peer: LocalPeer) -> SocketID? {
    guard let listener = sockets.handles.first(where: { sockets[$0]?.path == path }),
      let theirs = other.sockets.insert(
        SimulatedSocket(kind: .stream, local: Endpoint(.loopbackV4, port: 0), path: nil))
    else { return nil }
    var socket = SimulatedSocket(kind: .stream, local: Endpoint(.loopbackV4, port: 0), path: nil)
    socket.peer = StreamEnd(host: other, socket: SocketID(theirs))
    guard let handle = sockets.insert(socket) else { return nil }
    other.sockets.update(theirs) { $0.peer = StreamEnd(host: self, socket: SocketID(handle)) }
    turn {
      $0.accepted(
        SocketID(handle), on: SocketID(listener), from: Endpoint(.loopbackV4, port: 0), peer: peer)
    }
    return SocketID(theirs)
  }

  package func write(_ bytes: Span<UInt8>, on stream: SocketID) -> Bool {
    guard let socket = sockets[stream.handle], socket.kind == .stream, let peer = socket.peer else {
      return false
    }
    guard socket.unsent + bytes.count <= SimulatedSocket.queueLimit else { return false }
    var rest: [UInt8] = []
    for index in bytes.indices { rest.append(bytes[index]) }
    sockets.update(stream.handle) { $0.unsent += rest.count }
    // In order, in random pieces.
    while !rest.isEmpty {
      let count = min(rest.count, 1 + Int(dice.below(1460)))
      let piece = Array(rest[..<count])
      rest.removeFirst(count)
      transmit(piece, on: stream, to: peer, attempt: 0)
    }
    return true
  }

  private func transmit(_ piece: [UInt8], on stream: SocketID, to peer: StreamEnd, attempt: Int) {
    guard let socket = sockets[stream.handle] else { return }
    network.note(piece, socket.local, Endpoint(.anyV4, port: 0))
    let arrival = max(socket.lastArrival, network.now + network.weather.delay)
    sockets.update(stream.handle) { $0.lastArrival = arrival }
    network.after(arrival - network.now) { [weak self] in
      self?.arrive(piece, on: stream, to: peer, attempt: attempt)
    }
  }

  private func arrive(_ piece: [UInt8], on stream: SocketID, to peer: StreamEnd, attempt: Int) {
    guard let socket = sockets[stream.handle] else { return }
    guard let host = peer.host, !host.isCrashed else { return fail(stream, .reset) }
    if network.isCut(socket.local.address, host.addresses[0]) {
      // Retransmission until the kernel gives up.
      guard attempt < 15 else { return fail(stream, .timedOut) }
      network.after(.seconds(1)) { [weak self] in
        self?.arrive(piece, on: stream, to: peer, attempt: attempt + 1)
      }
      return
    }
    sockets.update(stream.handle) { $0.unsent -= piece.count }
    host.take(piece, on: peer.socket)
    if let after = sockets[stream.handle], after.unsent == 0 { turn { $0.drained(stream) } }
  }

  private func take(_ piece: [UInt8], on stream: SocketID) {
    guard let socket = sockets[stream.handle] else { return }
    if socket.isReading {
      turn { $0.received(piece.span, onStream: stream) }
    } else {
      sockets.update(stream.handle) { $0.held.append(piece) }
    }
  }

  package func unsent(on stream: SocketID) -> Int { sockets[stream.handle]?.unsent ?? 0 }

  package func setReading(_ reading: Bool, on stream: SocketID) {
    sockets.update(stream.handle) { $0.isReading = reading }
    guard reading else { return }
    network.after(.zero) { [weak self] in
      guard let self, self.sockets[stream.handle]?.isReading == true else { return }
      let held = self.sockets.update(stream.handle) { socket in
        defer { socket.held = [] }
        return socket.held
      }
      for piece in held ?? [] { self.take(piece, on: stream) }
    }
  }

  package func close(_ socket: SocketID, flushing: Bool) {
    guard let closing = sockets[socket.handle] else { return }
    if flushing, closing.unsent > 0, closing.kind == .stream {
      let arrival = max(closing.lastArrival, network.now)
      network.after(arrival - network.now + .microseconds(1)) { [weak self] in
        self?.close(socket, flushing: false)
      }
      return
    }
    _ = sockets.remove(socket.handle)
    switch closing.kind {
    case .datagram, .listener:
      let isStream = closing.kind == .listener
      ports[PortKey(isStream: isStream, port: closing.local.port, address: closing.local.address)] = nil
    case .stream:
      if let peer = closing.peer { breakPeer(peer, .closed) }
    }
  }

  private func breakPeer(_ peer: StreamEnd, _ failure: NetworkFailure = .reset) {
    guard let host = peer.host else { return }
    network.after(network.weather.delay + .microseconds(2)) { host.fail(peer.socket, failure) }
  }

  private func fail(_ stream: SocketID, _ failure: NetworkFailure) {
    guard sockets.remove(stream.handle) != nil else { return }
    turn { $0.closed(stream, failure) }
  }

  // MARK: Workers and names

  package func perform<Result: Sendable>(
    on lane: Lane, _ work: @escaping @Sendable () -> Result, then: @escaping (Result) -> Void
  ) {
    let start = max(laneFree[lane.rawValue], network.now)
    let end = start + .nanoseconds(Int64(dice.below(UInt64(max(1, workDelay.nanoseconds)))) + 1000)
    laneFree[lane.rawValue] = end
    network.after(end - network.now) { [weak self] in
      guard let self, !self.isCrashed else { return }
      let result = work()
      self.turn { _ in then(result) }
    }
  }

  package func resolve(_ query: NameQuery, then: @escaping ([ResolvedName]) -> Void) {
    network.after(workDelay) { [weak self] in
      guard let self, !self.isCrashed else { return }
      self.turn { _ in then(self.names[query] ?? []) }
    }
  }

  package func stop() { hasStopped = true }

  /// Sends the host's process a signal.
  package func signal(_ signal: Signal) { turn { $0.signalled(signal) } }
}

/// A socket of a simulated host.
struct SimulatedSocket {
  enum Kind { case datagram, listener, stream }

  static let queueLimit = 1 << 20

  let kind: Kind
  let local: Endpoint
  let path: String?
  var peer: StreamEnd?
  var unsent = 0
  var lastArrival = Instant(nanoseconds: 0)
  var isReading = true
  var held: [[UInt8]] = []

  init(kind: Kind, local: Endpoint, path: String?) {
    self.kind = kind
    self.local = local
    self.path = path
  }
}

/// The other end of a stream.
struct StreamEnd {
  weak var host: SimulatedWorld?
  let socket: SocketID
}

/// The zones that simulated buildings stand in.
enum SimulatedZone {
  /// Seconds to add to UTC; nil for a zone that is not simulated.
  static func offset(at wall: WallTime, in zone: String) -> Int64? {
    switch zone {
    case "UTC", "Etc/UTC": return 0
    case "Europe/Paris":
      // Summer time from 01:00 UTC on the last Sunday of March to that of October.
      let date = CivilDate(daysSinceEpoch: Int(wall.seconds / 86_400))
      let start = lastSunday(of: 3, in: date.year) * 86_400 + 3600
      let end = lastSunday(of: 10, in: date.year) * 86_400 + 3600
      return wall.seconds >= Int64(start) && wall.seconds < Int64(end) ? 7200 : 3600
    default: return nil
    }
  }

  private static func lastSunday(of month: Int, in year: Int) -> Int {
    let last = CivilDate(year: year, month: month, day: 31)
    return last.daysSinceEpoch - (last.weekday + 1) % 7
  }
}
