/// Everything the outside can do for a gateway, with two makers: `Reactor` (the kernel) and the simulated
/// building beside the tests.
///
/// A `World` belongs to one thread and one `Resident`. Its calls never block: what takes long is a worker's, and
/// what arrives is handed to the resident by its own methods. The time stands still during one turn.
package protocol World: AnyObject {
  /// Monotonic time of this turn.
  var now: Instant { get }
  /// Civil time of this turn. It may jump either way.
  var wall: WallTime { get }
  /// What a clock in `zone` (a tz database name, such as `Europe/Paris`) shows at `wall`; nil for an unknown zone.
  func localTime(at wall: WallTime, in zone: String) -> LocalTime?
  /// A fresh stream of randomness, not shared with any other.
  func makeRandom() -> Random
  /// The addresses of this host's interfaces that are up: what a wildcard listener can be reached at. Routable
  /// ones first, loopback last, the same order in every call.
  func hostAddresses() -> [IPAddress]

  /// Binds a datagram socket. Port 0 means any; `local(of:)` tells which.
  func openDatagram(_ local: Endpoint, _ options: DatagramOptions) throws(NetworkFailure) -> SocketID
  /// Listens for streams.
  func listen(_ local: Endpoint) throws(NetworkFailure) -> SocketID
  /// Listens on a path for local clients; whoever may open the path may connect. Replaces a stale socket file.
  func listen(path: String, mode: UInt32, group: String?) throws(NetworkFailure) -> SocketID
  /// Starts a connection; `connected` or `closed` follows.
  func connect(_ remote: Endpoint) throws(NetworkFailure) -> SocketID
  /// The endpoint a socket is bound to; nil if it is closed.
  func local(of socket: SocketID) -> Endpoint?

  /// Queues a datagram; it leaves with the others of this turn. Loss is silent and counted. `source` chooses our
  /// address on a host with several; nil leaves it to the kernel.
  func send(_ datagram: Span<UInt8>, on socket: SocketID, to remote: Endpoint, from source: IPAddress?)
  /// The same for a datagram that lies in two pieces: a relay writes a new head before a payload that it was lent,
  /// and the payload is copied once.
  func send(
    _ head: Span<UInt8>, _ tail: Span<UInt8>, on socket: SocketID, to remote: Endpoint,
    from source: IPAddress?)
  /// The same for the packets of a picture: `write` lays them one behind the other into the first of `room` bytes that it
  /// is lent, each `segment` long but the last, which may be shorter, and says how many bytes they are together. They
  /// leave as one message where the kernel cuts it.
  func send(
    run room: Int, of segment: Int, on socket: SocketID, to remote: Endpoint, from source: IPAddress?,
    _ write: (inout MutableSpan<UInt8>) -> Int)
  /// Queues bytes on a stream. False when the stream is closed or its queue is full: nothing was taken then.
  func write(_ bytes: Span<UInt8>, on stream: SocketID) -> Bool
  /// Bytes written and not yet taken by the kernel.
  func unsent(on stream: SocketID) -> Int
  /// Stops or resumes reading from a stream: how a slow consumer pushes back.
  func setReading(_ reading: Bool, on stream: SocketID)
  /// Closes a socket. A stream first sends what is queued when `flushing`. No event follows.
  func close(_ socket: SocketID, flushing: Bool)

  /// Runs `work` on a worker of `lane`, then `then` with its result on this thread. One lane runs its work in
  /// order; lanes run beside each other.
  func perform<Result: Sendable>(
    on lane: Lane, _ work: @escaping @Sendable () -> Result, then: @escaping (Result) -> Void)
  /// Looks a name up, then calls back on this thread: endpoints in order of preference, empty when there are none.
  func resolve(_ query: NameQuery, then: @escaping ([ResolvedName]) -> Void)

  /// Ends the loop after this turn.
  func stop()
}

extension World {
  /// Lays both pieces into one array; a maker that has a send pool writes them there instead.
  package func send(
    _ head: Span<UInt8>, _ tail: Span<UInt8>, on socket: SocketID, to remote: Endpoint,
    from source: IPAddress?
  ) {
    var whole: [UInt8] = []
    whole.reserveCapacity(head.count + tail.count)
    for index in head.indices { whole.append(head[index]) }
    for index in tail.indices { whole.append(tail[index]) }
    send(whole.span, on: socket, to: remote, from: source)
  }

  /// Sends them one by one; a maker that has a send pool lends that.
  package func send(
    run room: Int, of segment: Int, on socket: SocketID, to remote: Endpoint, from source: IPAddress?,
    _ write: (inout MutableSpan<UInt8>) -> Int
  ) {
    var whole = [UInt8](repeating: 0, count: room)
    var span = whole.mutableSpan
    let length = write(&span)
    var place = 0
    while place < length {
      let end = min(place + max(1, segment), length)
      send(whole.span.extracting(place..<end), on: socket, to: remote, from: source)
      place = end
    }
  }
}

/// A lane of slow work.
package enum Lane: Int, Sendable, CaseIterable {
  /// Everything that touches the database, in order.
  case store
  /// Name look-ups.
  case names
  /// Files and certificates, codec set-up, actuators that block.
  case general
}

/// What a resident of a thread is told. One method per kind of news; nothing here may block.
package protocol Resident: AnyObject {
  /// A datagram came. The span is valid for this call only. `local` carries the address it was sent to.
  func received(_ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint)
  /// A listener took a connection in. `peer` is set on local (path) listeners.
  func accepted(_ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?)
  /// A connection that we started stands.
  func connected(_ stream: SocketID)
  /// Bytes came on a stream. The span is valid for this call only.
  func received(_ bytes: Span<UInt8>, onStream stream: SocketID)
  /// Everything queued on a stream has been taken by the kernel, after a `write` was refused or `unsent` was seen.
  func drained(_ stream: SocketID)
  /// The peer, the network or the kernel ended a stream. It is gone.
  func closed(_ stream: SocketID, _ failure: NetworkFailure)
  /// A signal that the process was sent.
  func signalled(_ signal: Signal)
  /// The time has come that `nextDeadline` named, or passed.
  func advance()
  /// The end of a turn: everything that arrived together has been told. Flush here.
  func settle()
  /// When `advance` is wanted next; read after every turn, so O(1). Early is allowed, late is not.
  var nextDeadline: Instant? { get }
}

/// Who is at the other end of a local connection.
package struct LocalPeer: Sendable, Hashable {
  package var processID: Int32
  package var userID: UInt32
  /// The user's name, or its number in decimal.
  package var user: String
  /// Root, the daemon's own user, or a member of the group that may use the control socket.
  package var isPermitted: Bool

  package init(processID: Int32, userID: UInt32, user: String, isPermitted: Bool) {
    self.processID = processID
    self.userID = userID
    self.user = user
    self.isPermitted = isPermitted
  }
}

package enum Signal: Sendable, Hashable {
  /// Stop in good order (SIGTERM, SIGINT).
  case drain
  /// Read configuration and certificates again (SIGHUP).
  case reload
}

/// What a datagram socket is for.
package struct DatagramOptions: Sendable, Hashable {
  /// Kernel receive buffer in bytes; 0 keeps the default.
  package var receiveBuffer: Int
  /// Kernel send buffer in bytes, and what may wait besides; 0 keeps the defaults.
  package var sendBuffer: Int
  /// Differentiated services code point (RFC 4594: 46 for voice, 24 for signalling), 0 for none.
  package var dscp: UInt8

  package init(receiveBuffer: Int = 0, sendBuffer: Int = 0, dscp: UInt8 = 0) {
    self.receiveBuffer = receiveBuffer
    self.sendBuffer = sendBuffer
    self.dscp = dscp
  }
}

/// Why the network would not.
package enum NetworkFailure: Error, Hashable, Sendable {
  case addressInUse
  case addressNotAvailable
  case notPermitted
  case refused
  case unreachable
  case timedOut
  case reset
  /// The peer closed in good order.
  case closed
  case tooManyOpen
  case system(errno: Int32)
}

/// What to look up (RFC 3263 leaves the choice of types to the caller).
package enum NameQuery: Hashable, Sendable {
  /// A and AAAA of a host.
  case addresses(host: String)
  /// SRV records, such as `_sip._udp.example.net`.
  case service(name: String)
}

/// One answer to a `NameQuery`.
package enum ResolvedName: Hashable, Sendable {
  case address(IPAddress)
  case service(host: String, port: UInt16, priority: UInt16, weight: UInt16)
}
