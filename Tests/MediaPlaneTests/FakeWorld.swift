import Wire

/// A world for one media plane: time stands where it was put, and what is sent is kept.
final class FakeWorld: World {
  struct Sent: Equatable {
    var socket: SocketID
    var port: UInt16
    var to: Endpoint
    var bytes: [UInt8]
  }

  var now = Instant(nanoseconds: 1_000_000_000_000)
  var wall = WallTime(seconds: 1_800_000_000)
  var sent: [Sent] = []
  /// Ports that somebody else has.
  var occupied: Set<UInt16> = []
  /// Counts without keeping, for tests that measure.
  var keepsSent = true
  private(set) var sentCount = 0
  /// Runs of datagrams that left as one message.
  private(set) var runs = 0
  /// Workers are slow: what they are given waits in `held`.
  var holdsWork = false
  var held: [() -> Void] = []
  /// How much time passes while a worker works.
  var workTakes = Interval.zero
  private(set) var open: [SocketID: Endpoint] = [:]
  private var nextIndex: UInt32 = 7
  private var nextPort: UInt16 = 60_000
  /// What the name service knows, and who waits for it while it is slow.
  var names: [String: [IPAddress]] = [:]
  var holdsNames = false
  var heldNames: [() -> Void] = []
  private(set) var asked: [String] = []
  private var random = Random(seed: 9)

  func localTime(at wall: WallTime, in zone: String) -> LocalTime? { nil }
  func makeRandom() -> Random { random.fork() }
  func hostAddresses() -> [IPAddress] { [.loopbackV4] }

  func openDatagram(_ local: Endpoint, _ options: DatagramOptions) throws(NetworkFailure) -> SocketID {
    var local = local
    if local.port == 0 {
      nextPort += 1
      local.port = nextPort
    }
    if occupied.contains(local.port) || open.values.contains(local) { throw .addressInUse }
    nextIndex += 1
    let id = SocketID(Handle(index: nextIndex, generation: 1))
    open[id] = local
    return id
  }
  func listen(_ local: Endpoint) throws(NetworkFailure) -> SocketID { throw .notPermitted }
  func listen(path: String, mode: UInt32, group: String?) throws(NetworkFailure) -> SocketID {
    throw .notPermitted
  }
  func connect(_ remote: Endpoint) throws(NetworkFailure) -> SocketID { throw .notPermitted }
  func local(of socket: SocketID) -> Endpoint? { open[socket] }

  func send(_ datagram: Span<UInt8>, on socket: SocketID, to remote: Endpoint, from source: IPAddress?) {
    sentCount += 1
    guard keepsSent else { return }
    var bytes: [UInt8] = []
    for index in datagram.indices { bytes.append(datagram[index]) }
    sent.append(Sent(socket: socket, port: open[socket]?.port ?? 0, to: remote, bytes: bytes))
  }
  func send(
    _ head: Span<UInt8>, _ tail: Span<UInt8>, on socket: SocketID, to remote: Endpoint,
    from source: IPAddress?
  ) {
    sentCount += 1
    guard keepsSent else { return }
    var bytes: [UInt8] = []
    for index in head.indices { bytes.append(head[index]) }
    for index in tail.indices { bytes.append(tail[index]) }
    sent.append(Sent(socket: socket, port: open[socket]?.port ?? 0, to: remote, bytes: bytes))
  }
  func send(
    run room: Int, of segment: Int, on socket: SocketID, to remote: Endpoint, from source: IPAddress?,
    _ write: (inout MutableSpan<UInt8>) -> Int
  ) {
    runs += 1
    var whole = [UInt8](repeating: 0, count: room)
    var span = whole.mutableSpan
    let length = write(&span)
    for start in stride(from: 0, to: length, by: segment) {
      send(
        whole.span.extracting(start..<min(start + segment, length)), on: socket, to: remote, from: source)
    }
  }
  func write(_ bytes: Span<UInt8>, on stream: SocketID) -> Bool { false }
  func unsent(on stream: SocketID) -> Int { 0 }
  func setReading(_ reading: Bool, on stream: SocketID) {}
  func close(_ socket: SocketID, flushing: Bool) { open[socket] = nil }
  func perform<Result: Sendable>(
    on lane: Lane, _ work: @escaping @Sendable () -> Result, then: @escaping (Result) -> Void
  ) {
    if holdsWork {
      held.append { then(work()) }
    } else {
      let result = work()
      now = now + workTakes
      then(result)
    }
  }
  func resolve(_ query: NameQuery, then: @escaping ([ResolvedName]) -> Void) {
    guard case .addresses(let host) = query else { return then([]) }
    asked.append(host)
    let answer = { [self] in then((names[host] ?? []).map(ResolvedName.address)) }
    if holdsNames { heldNames.append(answer) } else { answer() }
  }
  func stop() {}

  func socket(_ port: UInt16) -> SocketID { open.first { $0.value.port == port }?.key ?? .none }
}
