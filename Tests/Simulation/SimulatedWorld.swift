package import Wire

/// One life on a simulated host: a `World` whose network, clock, randomness, workers and names belong to a
/// `SimulatedNetwork`.
///
/// A resident made for it runs exactly as it does over the kernel, but on virtual time. Crashing it drops the
/// resident and everything unsent; a new world on the same host is the restarted machine.
package final class SimulatedWorld: World {
  package let host: SimulatedHost
  package let network: SimulatedNetwork
  private(set) var index = 0
  private(set) var resident: (any Resident)?
  private var random: Random
  private var sockets = Slab<Socket>(limit: 65_536)
  /// Datagrams of this turn, leaving at its end.
  private var outgoing: [Outgoing] = []
  /// Streams written to in this turn, in order of the first write.
  private var touched: [SimulatedStream] = []
  private var laneFree: [Instant]
  private var wakeAt: Instant?
  private var wakeOrder = 0
  private var wantsStop = false
  /// Whether the resident lives.
  package private(set) var isAlive = true
  /// The most bytes a stream queues.
  static let streamQueueLimit = 1 << 20

  private struct Outgoing {
    var bytes: [UInt8]
    var socket: SocketID
    var remote: Endpoint
    var source: IPAddress?
  }

  enum Socket {
    case datagram(Endpoint)
    case listener(Endpoint)
    case path(String)
    case stream(SimulatedStream)
  }

  /// A world on `host`; give it its resident with `run`.
  package init(on host: SimulatedHost) {
    self.host = host
    network = host.network
    random = host.random.fork()
    laneFree = Array(repeating: network.now, count: Lane.allCases.count)
    index = network.register(self)
  }

  /// A world on the host with these addresses, which is made when there is none yet.
  package convenience init(_ network: SimulatedNetwork, addresses: [IPAddress]) {
    precondition(!addresses.isEmpty, "a host has an address")
    self.init(on: network.host(with: addresses))
  }

  /// Makes the resident of this world.
  package func run(_ make: (SimulatedWorld) -> any Resident) {
    precondition(resident == nil && isAlive, "one world, one resident")
    resident = make(self)
    endTurn()
  }

  package var addresses: [IPAddress] { host.addresses }

  // MARK: Life

  /// How a life ends against its will.
  package enum Crash: Sendable {
    /// The process dies; the kernel resets its connections.
    case process
    /// The machine loses power: nobody is told. What its disk keeps is the disk's matter.
    case power
  }

  /// Ends the resident in the middle of whatever it was doing. The host stays.
  package func crash(_ kind: Crash = .power) {
    guard isAlive else { return }
    network.journal.event("crash", at: now, world: index)
    for handle in sockets.handles {
      guard case .stream(let stream)? = sockets[handle] else { continue }
      if kind == .process { stream.abort() } else { stream.fallSilent() }
    }
    vanish()
  }

  /// Lets go of everything, telling nobody.
  func vanish() {
    guard isAlive else { return }
    isAlive = false
    for handle in sockets.handles { unbind(SocketID(handle)) }
    outgoing = []
    touched = []
    resident = nil
    network.unregister(self)
  }

  /// Whether the resident asked to stop and is gone in good order.
  package private(set) var hasStopped = false

  package func stop() { wantsStop = true }

  // MARK: Turns

  func endTurn() {
    guard isAlive, let resident else { return }
    if let deadline = resident.nextDeadline, deadline <= now { resident.advance() }
    guard isAlive else { return }
    resident.settle()
    guard isAlive else { return }
    flush()
    if wantsStop {
      hasStopped = true
      network.journal.event("stop", at: now, world: index)
      for handle in sockets.handles {
        if case .stream(let stream)? = sockets[handle] { stream.close(flushing: true) }
      }
      vanish()
      return
    }
    armWake()
  }

  private func armWake() {
    guard let deadline = resident?.nextDeadline else {
      wakeAt = nil
      wakeOrder += 1
      return
    }
    guard wakeAt != deadline else { return }
    wakeAt = deadline
    wakeOrder += 1
    let order = wakeOrder
    let late = Interval(nanoseconds: Int64(random.below(UInt64(host.lateness.nanoseconds) + 1)))
    network.schedule(max(deadline, now) + late, world: index) { [weak self] in
      guard let self, self.wakeOrder == order else { return }
      self.wakeAt = nil
      self.network.journal.event("wake", at: self.now, world: self.index)
    }
  }

  private func flush() {
    let leaving = outgoing
    outgoing = []
    for datagram in leaving { carry(datagram) }
    let streams = touched
    touched = []
    for stream in streams { stream.flush() }
  }

  /// Runs `action` in a turn of this world, after `interval`: a peer's own timer.
  package func after(_ interval: Interval, _ action: @escaping () -> Void) {
    network.schedule(now + interval, world: index) { [weak self] in
      guard let self, self.isAlive else { return }
      self.network.journal.event("timer", at: self.now, world: self.index)
      action()
    }
  }

  func tell(at time: Instant, _ news: @escaping (SimulatedWorld, any Resident) -> Void) {
    network.schedule(time, world: index) { [weak self] in
      guard let self, self.isAlive, let resident = self.resident else { return }
      news(self, resident)
    }
  }

  /// Sends the resident a signal.
  package func signal(_ signal: Signal) {
    tell(at: now) { world, resident in
      world.network.journal.event("signal", at: world.now, world: world.index)
      resident.signalled(signal)
    }
  }

  // MARK: World: time and chance

  package var now: Instant { network.now }
  package var wall: WallTime { network.wall + host.wallOffset }
  package func localTime(at wall: WallTime, in zone: String) -> LocalTime? {
    SimulatedZones.localTime(at: wall, in: zone)
  }
  package func makeRandom() -> Random { random.fork() }
  package func hostAddresses() -> [IPAddress] { host.addresses + [.loopbackV4] }

  // MARK: World: datagrams

  package func openDatagram(
    _ local: Endpoint, _ options: DatagramOptions
  ) throws(NetworkFailure) -> SocketID {
    let bound = try bind(local, isTaken: { host.datagrams[$0] != nil })
    let socket = try insert(.datagram(bound))
    host.datagrams[bound] = (self, socket)
    return socket
  }

  package func send(
    _ datagram: Span<UInt8>, on socket: SocketID, to remote: Endpoint, from source: IPAddress?
  ) {
    guard datagram.count <= 65_507, case .datagram? = sockets[socket.handle] else { return }
    outgoing.append(
      Outgoing(bytes: datagram.copied, socket: socket, remote: remote, source: source))
  }

  private func carry(_ datagram: Outgoing) {
    guard case .datagram(let bound)? = sockets[datagram.socket.handle] else { return }
    var from = bound
    if from.address.isUnspecified {
      from.address = datagram.source ?? host.source(for: datagram.remote.address)
    }
    network.journal.event(
      "send", at: now, world: index, "\(from) to \(datagram.remote), \(datagram.bytes.count)")
    network.journal.note(datagram.bytes)
    guard let target = network.host(owning: datagram.remote.address, from: host) else {
      network.undelivered += 1
      return
    }
    let link = network.weather(from: host, to: target)
    guard !network.isCut(from: host, to: target), !chance(link.loss) else { return }
    var copies = 1
    if chance(link.duplication) { copies = 2 }
    for _ in 0..<copies {
      var delay = link.delay + drawn(link.jitter)
      if chance(link.reordering) { delay = delay + link.delay * 3 + drawn(.milliseconds(30)) }
      // Who is bound is asked on arrival, as a kernel would.
      let time = now + delay
      network.schedule(time, world: -1) { [network] in
        guard let place = target.find(datagram.remote, in: target.datagrams) else {
          network.undelivered += 1
          return
        }
        network.schedule(time, world: place.world.index) { [weak world = place.world] in
          guard let world, world.isAlive else { return }
          network.journal.event("datagram", at: time, world: world.index, "from \(from)")
          world.resident?.received(
            datagram.bytes.span, on: place.socket, from: from, to: datagram.remote)
        }
      }
    }
  }

  // MARK: World: streams

  package func listen(_ local: Endpoint) throws(NetworkFailure) -> SocketID {
    let bound = try bind(local, isTaken: { host.listeners[$0] != nil })
    let socket = try insert(.listener(bound))
    host.listeners[bound] = (self, socket)
    return socket
  }

  package func listen(path: String, mode: UInt32, group: String?) throws(NetworkFailure) -> SocketID {
    if let other = host.paths[path], other.world.isAlive { throw .addressInUse }
    let socket = try insert(.path(path))
    host.paths[path] = (self, socket)
    return socket
  }

  package func connect(_ remote: Endpoint) throws(NetworkFailure) -> SocketID {
    guard let port = host.freePort({ _ in false }) else { throw .tooManyOpen }
    let local = Endpoint(host.source(for: remote.address), port: port)
    let stream = SimulatedStream(world: self, local: local, remote: remote)
    let socket = try insert(.stream(stream))
    stream.socket = socket
    network.journal.event("connect", at: now, world: index, "\(remote)")
    guard let target = network.host(owning: remote.address, from: host) else {
      fail(stream, .unreachable, after: .seconds(3))
      return socket
    }
    knock(stream, at: target, tries: 1)
    return socket
  }

  /// How often the first packet of a connection is sent: after 1, 3, 7, … 63 s again, and 64 s later it is given up,
  /// as a kernel does.
  private static let mostKnocks = 7

  private func knock(_ stream: SimulatedStream, at target: SimulatedHost, tries: Int) {
    let link = network.weather(from: host, to: target)
    let there = now + link.delay + drawn(link.jitter)
    network.schedule(there, world: -1) { [weak self] in
      guard let self, self.isAlive, !stream.isClosed else { return }
      if self.network.isCut(from: self.host, to: target) || self.network.isCut(from: target, to: self.host) {
        guard tries < SimulatedWorld.mostKnocks else {
          return self.fail(stream, .timedOut, after: .seconds(64))
        }
        self.network.schedule(there + .seconds(1 << Int64(tries - 1)), world: -1) { [weak self] in
          guard let self, self.isAlive, !stream.isClosed else { return }
          self.knock(stream, at: target, tries: tries + 1)
        }
        return
      }
      let back = self.network.weather(from: target, to: self.host)
      let again = there + back.delay + self.drawn(back.jitter)
      guard let place = target.find(stream.remote, in: target.listeners) else {
        return self.fail(stream, .refused, after: again - there)
      }
      self.join(stream, to: place.world, place.socket, peer: nil, local: stream.remote, answered: again)
    }
  }

  /// Connects to a path of this host, as `peer`: what the command line does.
  package func connect(path: String, as peer: LocalPeer) throws(NetworkFailure) -> SocketID {
    let nowhere = Endpoint(.loopbackV4, port: 0)
    guard let place = host.paths[path], place.world.isAlive else { throw .refused }
    let stream = SimulatedStream(world: self, local: nowhere, remote: nowhere)
    let socket = try insert(.stream(stream))
    stream.socket = socket
    network.schedule(now, world: -1) { [weak self] in
      guard let self, self.isAlive, !stream.isClosed else { return }
      self.join(stream, to: place.world, place.socket, peer: peer, local: nowhere, answered: self.now)
    }
    return socket
  }

  private func join(
    _ stream: SimulatedStream, to other: SimulatedWorld, _ listener: SocketID, peer: LocalPeer?,
    local: Endpoint, answered: Instant
  ) {
    let far = SimulatedStream(world: other, local: local, remote: stream.local)
    guard other.isAlive, let socket = try? other.insert(.stream(far)) else {
      fail(stream, .refused, after: .zero)
      return
    }
    far.socket = socket
    far.isOpen = true
    far.far = stream
    stream.far = far
    other.tell(at: network.now) { world, resident in
      guard !far.isClosed else { return }
      world.network.journal.event("accepted", at: world.now, world: world.index, "\(stream.local)")
      resident.accepted(socket, on: listener, from: stream.local, peer: peer)
    }
    tell(at: answered) { world, resident in
      guard !stream.isClosed, !stream.isOpen else { return }
      stream.isOpen = true
      world.network.journal.event("connected", at: world.now, world: world.index)
      resident.connected(stream.socket)
    }
  }

  private func fail(_ stream: SimulatedStream, _ failure: NetworkFailure, after interval: Interval) {
    tell(at: network.now + interval) { _, _ in stream.end(failure) }
  }

  package func write(_ bytes: Span<UInt8>, on stream: SocketID) -> Bool {
    guard case .stream(let own)? = sockets[stream.handle], own.isOpen else { return false }
    guard own.unsent + bytes.count <= SimulatedWorld.streamQueueLimit else {
      own.owesDrained = true
      return false
    }
    if own.queue.isEmpty { touched.append(own) }
    own.queue += bytes.copied
    return true
  }

  package func unsent(on stream: SocketID) -> Int {
    guard case .stream(let own)? = sockets[stream.handle] else { return 0 }
    if own.unsent > 0 {
      own.owesDrained = true
      if !touched.contains(where: { $0 === own }) { touched.append(own) }
    }
    return own.unsent
  }

  package func setReading(_ reading: Bool, on stream: SocketID) {
    guard case .stream(let own)? = sockets[stream.handle] else { return }
    own.setReading(reading)
  }

  package func local(of socket: SocketID) -> Endpoint? {
    switch sockets[socket.handle] {
    case .datagram(let local), .listener(let local): local
    case .stream(let stream): stream.local
    case .path, nil: nil
    }
  }

  package func close(_ socket: SocketID, flushing: Bool) {
    if case .stream(let stream)? = sockets[socket.handle] { stream.close(flushing: flushing) }
    unbind(socket)
  }

  // MARK: World: workers

  package func perform<Result: Sendable>(
    on lane: Lane, _ work: @escaping @Sendable () -> Result, then: @escaping (Result) -> Void
  ) {
    let begin = max(now, laneFree[lane.rawValue])
    let end = begin + drawn(host.laneLatency.least, host.laneLatency.most)
    laneFree[lane.rawValue] = end
    network.schedule(begin, world: -1) { [weak self] in
      guard let self, self.isAlive else { return }
      let result = work()
      self.tell(at: end) { world, _ in
        world.network.journal.event("performed", at: world.now, world: world.index)
        then(result)
      }
    }
  }

  package func resolve(_ query: NameQuery, then: @escaping ([ResolvedName]) -> Void) {
    tell(at: now + drawn(host.nameLatency.least, host.nameLatency.most)) { world, _ in
      world.network.journal.event("resolved", at: world.now, world: world.index)
      then(world.host.names[query] ?? world.network.names[query] ?? [])
    }
  }

  // MARK: Inside

  private func insert(_ socket: Socket) throws(NetworkFailure) -> SocketID {
    guard let handle = sockets.insert(socket) else { throw .tooManyOpen }
    return SocketID(handle)
  }

  func drop(_ socket: SocketID) { _ = sockets.remove(socket.handle) }

  private func unbind(_ socket: SocketID) {
    switch sockets.remove(socket.handle) {
    case .datagram(let local): host.datagrams[local] = nil
    case .listener(let local): host.listeners[local] = nil
    case .path(let path): if host.paths[path]?.world === self { host.paths[path] = nil }
    case .stream, nil: break
    }
  }

  private func bind(
    _ local: Endpoint, isTaken: (Endpoint) -> Bool
  ) throws(NetworkFailure) -> Endpoint {
    guard local.address.isUnspecified || host.owns(local.address) else { throw .addressNotAvailable }
    if local.port != 0 {
      guard !isTaken(local), !host.takenPorts.contains(local.port) else { throw .addressInUse }
      return local
    }
    guard
      let port = host.freePort({ isTaken(Endpoint(local.address, port: $0)) || host.takenPorts.contains($0) })
    else { throw .addressInUse }
    return Endpoint(local.address, port: port)
  }

  func chance(_ perMille: Int) -> Bool { perMille > 0 && random.below(1000) < UInt64(perMille) }
  func draw(_ bound: Int) -> Int { Int(random.below(UInt64(max(1, bound)))) }
  func drawn(_ most: Interval) -> Interval { drawn(.zero, most) }
  func drawn(_ least: Interval, _ most: Interval) -> Interval {
    least + Interval(nanoseconds: Int64(random.below(UInt64(max(0, (most - least).nanoseconds)) + 1)))
  }
}

extension Span where Element == UInt8 {
  /// The bytes, owned.
  var copied: [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(count)
    for index in indices { result.append(self[index]) }
    return result
  }
}
