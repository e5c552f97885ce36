import Wire

/// A world that records what it is asked and whose clock is set by hand.
final class FakeWorld: World {
  var now = Instant(nanoseconds: 0)
  var wall = WallTime(seconds: 1_780_000_000)
  var sockets = Slab<Bool>(limit: 4096)
  var written: [SocketID: [UInt8]] = [:]
  var closed: [SocketID: Bool] = [:]
  var stopped: Set<SocketID> = []
  /// What a stream's queue takes; beyond it, writes are refused.
  var room = Int.max
  var queued: [SocketID: Int] = [:]
  var refusesListening: NetworkFailure?

  func open() -> SocketID { SocketID(sockets.insert(true)!) }

  func localTime(at wall: WallTime, in zone: String) -> LocalTime? { nil }
  func hostAddresses() -> [IPAddress] { [] }
  func makeRandom() -> Random { Random(seed: 1) }
  func openDatagram(_ local: Endpoint, _ options: DatagramOptions) throws(NetworkFailure) -> SocketID {
    open()
  }
  func listen(_ local: Endpoint) throws(NetworkFailure) -> SocketID {
    if let refusesListening { throw refusesListening }
    return open()
  }
  func listen(path: String, mode: UInt32, group: String?) throws(NetworkFailure) -> SocketID { open() }
  func connect(_ remote: Endpoint) throws(NetworkFailure) -> SocketID { open() }
  func local(of socket: SocketID) -> Endpoint? { Endpoint(.loopbackV4, port: 5061) }
  func send(_ datagram: Span<UInt8>, on socket: SocketID, to remote: Endpoint, from source: IPAddress?) {}
  func write(_ bytes: Span<UInt8>, on stream: SocketID) -> Bool {
    guard sockets.contains(stream.handle), queued[stream, default: 0] + bytes.count <= room else {
      return false
    }
    if room != .max { queued[stream, default: 0] += bytes.count }
    for index in bytes.indices { written[stream, default: []].append(bytes[index]) }
    return true
  }
  func unsent(on stream: SocketID) -> Int { queued[stream, default: 0] }
  func setReading(_ reading: Bool, on stream: SocketID) {
    if reading { stopped.remove(stream) } else { stopped.insert(stream) }
  }
  func close(_ socket: SocketID, flushing: Bool) {
    closed[socket] = flushing
    _ = sockets.remove(socket.handle)
  }
  func perform<Result: Sendable>(
    on lane: Lane, _ work: @escaping @Sendable () -> Result, then: @escaping (Result) -> Void
  ) {}
  func resolve(_ query: NameQuery, then: @escaping ([ResolvedName]) -> Void) {}
  func stop() {}

  func take(_ stream: SocketID) -> [UInt8] { written.removeValue(forKey: stream) ?? [] }
}
