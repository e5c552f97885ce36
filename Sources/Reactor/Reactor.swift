internal import CLinux
package import Wire

/// The real world of one thread: an epoll loop that serves one `Resident`.
///
/// It carries bytes and knows no protocol. Everything a turn sends leaves at its end, batched; datagrams are read
/// in batches into one pool and never copied; a stream's queue is bounded; a full table of descriptors refuses
/// guests instead of spinning. It assumes that its resident never blocks: slow work goes to the lanes. Nothing
/// here is shared between threads but the lanes' mailboxes.
package final class Reactor: World {
  package struct Options: Sendable {
    /// Whether SIGTERM, SIGINT and SIGHUP are this loop's. One loop of the process only, before other threads.
    package var takesSignals = false
    /// Sockets open at one time.
    package var socketLimit = 16_384
    /// Bytes queued on one stream before `write` refuses.
    package var streamQueueLimit = 1 << 20
    /// How long a closed stream may take to send what was queued.
    package var flushTime = Interval.seconds(10)
    /// How long the peer of a closed stream may take to close too.
    package var lingerTime = Interval.seconds(1)
    /// How long a listener rests when there is no descriptor to accept with.
    package var acceptRest = Interval.milliseconds(200)

    package init() {}
  }

  enum Socket {
    case datagram(DatagramSocket)
    case stream(Stream)
    case listener(Listener)
    case ear(Ear)
  }

  /// What must be told at the start of the next turn, because its cause lay inside a resident's own call.
  enum News {
    case drained(SocketID)
    case closed(SocketID, NetworkFailure)
  }

  package private(set) var now: Instant
  package private(set) var wall: WallTime
  /// Guests turned away because there was no descriptor for them.
  package internal(set) var refusedForDescriptors: UInt64 = 0
  /// Turns of the loop so far: a loop that spins is seen here.
  package private(set) var turns: UInt64 = 0

  let options: Options
  let epoll: Descriptor
  let signals: Descriptor?
  let signalNumber: Int32
  /// Held back so that a guest can be turned away when no descriptor is left.
  var reserve: Descriptor?
  var resident: (any Resident)?
  var sockets: Slab<Socket>
  var timers: Wheel
  let lanes = Lanes()
  var random: Random
  var zones: [String: Zone] = [:]
  var sendPool = SendPool()
  let receivePool = ReceivePool()
  var readBuffer = [UInt8](repeating: 0, count: 65_536)
  var events = [clinux_event](repeating: clinux_event(), count: 64)
  var dirtyDatagrams: [Handle] = []
  var dirtyStreams: [Handle] = []
  var news: [News] = []
  var isStopping = false

  /// Tokens of what is not a socket: no slab gives out an even generation.
  static let mailboxToken = Handle(index: 1, generation: 0).raw
  static let signalToken = Handle(index: 2, generation: 0).raw
  /// Batches read from one socket before the others have their turn.
  static let batchesPerTurn = 4
  static let acceptsPerTurn = 64

  /// Makes a resident in this thread and serves it until it calls `stop`. Throws what `make` throws.
  package static func run<Failure: Error>(
    _ options: Options = Options(), _ make: (Reactor) throws(Failure) -> any Resident
  ) throws(Failure) {
    let reactor = Reactor(options)
    defer { reactor.retire() }
    let resident = try make(reactor)
    reactor.settle(in: resident)
    resident.settle()
    while !reactor.isStopping { reactor.turn() }
  }

  /// A loop without a resident yet, for `run` and for tests that turn it by hand.
  package init(_ options: Options = Options()) {
    self.options = options
    let epollNumber = clinux_epoll_create()
    precondition(epollNumber >= 0, "no descriptor left for a loop")
    epoll = Descriptor(epollNumber)
    reserve = Descriptor(clinux_open_reserve())
    var seed: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    let outcome = unsafe withUnsafeMutablePointer(to: &seed) { pointer in
      unsafe pointer.withMemoryRebound(to: UInt64.self, capacity: 4) { unsafe clinux_random($0) }
    }
    precondition(outcome == 0, "the kernel gave no randomness")
    random = Random(seed: seed)
    now = Instant(nanoseconds: clinux_monotonic())
    wall = WallTime(nanoseconds: clinux_wall())
    timers = Wheel(now: now)
    sockets = Slab(limit: options.socketLimit, reserved: 64)
    clinux_ignore_sigpipe()
    if options.takesSignals {
      let number = clinux_signals_open()
      precondition(number >= 0, "no descriptor left for signals")
      signals = Descriptor(number)
      signalNumber = number
      clinux_epoll_add(epollNumber, number, Happening.readable, Reactor.signalToken)
    } else {
      signals = nil
      signalNumber = -1
    }
    clinux_epoll_add(epollNumber, lanes.results.descriptor, Happening.readable, Reactor.mailboxToken)
  }

  /// Gives the loop its resident.
  package func settle(in resident: any Resident) { self.resident = resident }

  /// Whether the resident has asked for the end.
  package var hasStopped: Bool { isStopping }

  /// Ends the lanes and lets go of the resident and its sockets.
  package func retire() {
    lanes.end()
    resident = nil
    news.removeAll()
    for handle in sockets.handles { _ = sockets.remove(handle) }
  }

  package func hostAddresses() -> [IPAddress] {
    var found = [clinux_endpoint](repeating: clinux_endpoint(), count: 64)
    let count = unsafe clinux_host_addresses(&found, 64)
    return found.prefix(Int(count)).map { Endpoint($0).address }
  }

  package func stop() { isStopping = true }

  // MARK: One turn

  /// Waits for news, a deadline or at most `limit`, and serves what came.
  package func turn(waitingAtMost limit: Interval? = nil) {
    guard let resident else { preconditionFailure("a loop without a resident was turned") }
    // What was sent outside any turn, as while the resident was being made, does not wait for news.
    flush()
    var wait: Int64 = news.isEmpty ? limit?.nanoseconds ?? -1 : 0
    for deadline in [resident.nextDeadline, timers.nextDeadline] {
      guard let deadline else { continue }
      let left = max(0, deadline.nanoseconds - clinux_monotonic())
      wait = wait < 0 ? left : min(wait, left)
    }
    let count = unsafe clinux_epoll_wait(epoll.number, &events, Int32(events.count), wait)
    now = Instant(nanoseconds: clinux_monotonic())
    wall = WallTime(nanoseconds: clinux_wall())
    turns &+= 1
    tellNews(resident)
    for index in 0..<max(0, Int(count)) { serve(events[index], resident) }
    while let token = timers.expired(by: now) { expired(Handle(raw: token)) }
    if let deadline = resident.nextDeadline, deadline <= now { resident.advance() }
    resident.settle()
    flush()
  }

  func serve(_ event: clinux_event, _ resident: any Resident) {
    switch event.token {
    case Reactor.mailboxToken: lanes.collect()
    case Reactor.signalToken: takeSignals(resident)
    default:
      let id = SocketID(Handle(raw: event.token))
      // A socket closed earlier in this batch of events is not found any more.
      switch sockets[id.handle] {
      case .datagram(let socket): serve(socket, id, event.events, resident)
      case .stream(let stream): serve(stream, id, event.events, resident)
      case .listener(let listener): accept(listener, id, resident)
      case .ear(let ear): ear.hear()
      case nil: break
      }
    }
  }

  func takeSignals(_ resident: any Resident) {
    while true {
      switch clinux_signals_next(signalNumber) {
      case 0: return
      case 1:  // SIGHUP
        zones.removeAll()
        resident.signalled(.reload)
      default: resident.signalled(.drain)
      }
    }
  }

  func tellNews(_ resident: any Resident) {
    guard !news.isEmpty else { return }
    let told = news
    news.removeAll(keepingCapacity: true)
    for item in told {
      switch item {
      case .drained(let id):
        guard let stream = ownStream(id) else { continue }
        if stream.unsent == 0 { resident.drained(id) } else { stream.owesDrained = true }
      case .closed(let id, let failure):
        guard ownStream(id) != nil else { continue }
        drop(id)
        resident.closed(id, failure)
      }
    }
  }

  func expired(_ handle: Handle) {
    switch sockets[handle] {
    case .stream: drop(SocketID(handle))
    case .listener(let listener):
      listener.isPaused = false
      clinux_epoll_add(epoll.number, listener.descriptor.number, Happening.readable, handle.raw)
    case .datagram, .ear, nil: break
    }
  }

  /// Everything of this turn leaves.
  func flush() {
    sendDatagrams()
    guard !dirtyStreams.isEmpty else { return }
    for handle in dirtyStreams {
      guard case .stream(let stream) = sockets[handle], stream.isDirty else { continue }
      flush(stream, SocketID(handle))
    }
    dirtyStreams.removeAll(keepingCapacity: true)
  }

  // MARK: Clocks, chance, names, workers

  package func localTime(at wall: WallTime, in zone: String) -> LocalTime? {
    if let known = zones[zone] { return known.localTime(at: wall) }
    guard let read = readZone(zone) else { return nil }
    zones[zone] = read
    return read.localTime(at: wall)
  }

  package func makeRandom() -> Random { random.fork() }

  package func perform<Result: Sendable>(
    on lane: Lane, _ work: @escaping @Sendable () -> Result, then: @escaping (Result) -> Void
  ) {
    lanes.perform(on: lane, work, then: then)
  }

  package func resolve(_ query: NameQuery, then: @escaping ([ResolvedName]) -> Void) {
    lanes.perform(on: .names, { Names.look(up: query) }, then: then)
  }

  // MARK: Datagrams

  package func openDatagram(_ local: Endpoint, _ options: DatagramOptions) throws(NetworkFailure) -> SocketID
  {
    var segmentation: Int32 = 0
    let number = unsafe clinux_udp_open(
      local.raw(), Int32(clamping: options.receiveBuffer), Int32(clamping: options.sendBuffer),
      Int32(options.dscp), &segmentation)
    guard number >= 0 else { throw NetworkFailure(errno: -number) }
    let descriptor = Descriptor(number)
    let bound = endpoint(of: descriptor) ?? local
    return try register(
      .datagram(
        DatagramSocket(
          descriptor: descriptor, local: bound, segmentation: segmentation != 0,
          backlogLimit: options.sendBuffer)),
      number, Happening.readable)
  }

  package func send(
    _ datagram: Span<UInt8>, on socket: SocketID, to remote: Endpoint, from source: IPAddress?
  ) {
    guard case .datagram(let own) = sockets[socket.handle] else { return }
    // 65,507 bytes are the most that IPv4 carries.
    guard datagram.count <= 65_507, remote.port != 0 else {
      own.statistics.unsent += 1
      return
    }
    if !sendPool.hasRoom(for: datagram.count) { sendDatagrams() }
    if own.head < 0 { dirtyDatagrams.append(socket.handle) }
    sendPool.append(datagram, for: own, to: remote, source: source)
  }

  package func send(
    _ head: Span<UInt8>, _ tail: Span<UInt8>, on socket: SocketID, to remote: Endpoint,
    from source: IPAddress?
  ) {
    guard case .datagram(let own) = sockets[socket.handle] else { return }
    let length = head.count + tail.count
    guard length <= 65_507, remote.port != 0 else {
      own.statistics.unsent += 1
      return
    }
    if !sendPool.hasRoom(for: length) { sendDatagrams() }
    if own.head < 0 { dirtyDatagrams.append(socket.handle) }
    sendPool.append(head, tail, for: own, to: remote, source: source)
  }

  package func send(
    run room: Int, of segment: Int, on socket: SocketID, to remote: Endpoint, from source: IPAddress?,
    _ write: (inout MutableSpan<UInt8>) -> Int
  ) {
    guard case .datagram(let own) = sockets[socket.handle], remote.port != 0 else { return }
    precondition(room <= 1 << 18 && segment > 0, "a run is a picture's packets, or a part of them")
    if !sendPool.hasRoom(for: room, datagrams: room / segment + 1) { sendDatagrams() }
    if own.head < 0 { dirtyDatagrams.append(socket.handle) }
    sendPool.append(run: room, of: segment, for: own, to: remote, source: source, write)
  }

  /// What passed through a datagram socket so far; nil if it is closed.
  package func statistics(of socket: SocketID) -> DatagramStatistics? {
    guard case .datagram(let own) = sockets[socket.handle] else { return nil }
    return own.statistics
  }

  func serve(
    _ socket: DatagramSocket, _ id: SocketID, _ happened: UInt32, _ resident: any Resident
  ) {
    if happened & Happening.writable != 0, !sendPool.sendBacklog(socket) {
      clinux_epoll_change(
        epoll.number, socket.descriptor.number, Happening.readable, id.handle.raw)
    }
    // An error without data (a port unreachable) is taken by reading it.
    guard happened & (Happening.readable | Happening.failed) != 0 else { return }
    for _ in 0..<Reactor.batchesPerTurn {
      socket.statistics.reads += 1
      let count = receivePool.read(socket)
      guard count > 0 else { return }
      for index in 0..<Int(count) {
        receivePool.slot(index, socket) { datagram, remote, local in
          // Closing a socket ends what it still had to tell.
          guard sockets.contains(id.handle) else { return }
          resident.received(datagram, on: id, from: remote, to: local)
        }
      }
      if Int(count) < ReceivePool.slots || !sockets.contains(id.handle) { return }
    }
  }

  func sendDatagrams() {
    guard !dirtyDatagrams.isEmpty else { return }
    for handle in dirtyDatagrams {
      guard case .datagram(let socket) = sockets[handle] else { continue }
      if sendPool.send(socket) {
        clinux_epoll_change(
          epoll.number, socket.descriptor.number, Happening.readable | Happening.writable,
          handle.raw)
      }
    }
    dirtyDatagrams.removeAll(keepingCapacity: true)
    sendPool.removeAll()
  }

  // MARK: The table

  func adopt(_ descriptor: consuming Descriptor, _ phase: Stream.Phase) throws(NetworkFailure)
    -> SocketID
  {
    let number = descriptor.number
    let local = endpoint(of: descriptor) ?? Endpoint(.anyV6, port: 0)
    let stream = Stream(descriptor: descriptor, phase: phase, local: local)
    stream.watched = stream.interest
    return try register(.stream(stream), number, stream.interest)
  }

  func register(_ socket: Socket, _ number: Int32, _ interest: UInt32) throws(NetworkFailure)
    -> SocketID
  {
    guard let handle = sockets.insert(socket) else { throw .tooManyOpen }
    let outcome = clinux_epoll_add(epoll.number, number, interest, handle.raw)
    guard outcome == 0 else {
      _ = sockets.remove(handle)
      throw NetworkFailure(errno: -outcome)
    }
    return SocketID(handle)
  }

  /// The stream, if it still is the resident's.
  func ownStream(_ id: SocketID) -> Stream? {
    guard case .stream(let stream) = sockets[id.handle], stream.phase == .open || stream.phase == .connecting
    else { return nil }
    return stream
  }

  func watch(_ stream: Stream, _ id: SocketID) {
    let wanted = stream.interest
    guard stream.watched != wanted else { return }
    if stream.watched == nil {
      clinux_epoll_add(epoll.number, stream.descriptor.number, wanted, id.handle.raw)
    } else {
      clinux_epoll_change(epoll.number, stream.descriptor.number, wanted, id.handle.raw)
    }
    stream.watched = wanted
  }

  func drop(_ id: SocketID) {
    guard let socket = sockets.remove(id.handle) else { return }
    switch socket {
    case .stream(let stream): timers.cancel(stream.deadline)
    // Its descriptor lives on with the mailbox.
    case .ear(let ear): clinux_epoll_remove(epoll.number, ear.descriptor)
    case .datagram, .listener: break
    }
    // The last reference goes here: the kernel forgets the descriptor and epoll with it.
  }

  func endpoint(of descriptor: borrowing Descriptor) -> Endpoint? {
    var raw = clinux_endpoint()
    guard unsafe clinux_local(descriptor.number, &raw) == 0 else { return nil }
    return Endpoint(raw)
  }
}
