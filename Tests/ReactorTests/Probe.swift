import Reactor
import Wire

/// A resident that writes down what it is told, and a loop that is turned until something is so.
final class Probe: Resident {
  let reactor: Reactor
  var datagrams: [(bytes: [UInt8], socket: SocketID, from: Endpoint, to: Endpoint)] = []
  var accepted: [(stream: SocketID, from: Endpoint, peer: LocalPeer?)] = []
  var connected: [SocketID] = []
  var bytes: [SocketID: [UInt8]] = [:]
  var drained: [SocketID] = []
  var closed: [(stream: SocketID, failure: NetworkFailure)] = []
  var signals: [Signal] = []
  var advances = 0
  var settles = 0
  var deadline: Instant?
  var wheel: Wheel?
  var fired: [UInt64] = []
  var onDatagram: ((Probe, Span<UInt8>, SocketID, Endpoint, Endpoint) -> Void)?
  var onBytes: ((Probe, SocketID) -> Void)?
  var keepsDatagrams = true

  init(_ options: Reactor.Options = .init()) {
    reactor = Reactor(options)
    reactor.settle(in: self)
  }

  func received(_ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint) {
    if keepsDatagrams { datagrams.append((copy(datagram), socket, remote, local)) }
    onDatagram?(self, datagram, socket, remote, local)
  }
  func accepted(_ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?) {
    accepted.append((stream, remote, peer))
  }
  func connected(_ stream: SocketID) { connected.append(stream) }
  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {
    self.bytes[stream, default: []] += copy(bytes)
    onBytes?(self, stream)
  }
  func drained(_ stream: SocketID) { drained.append(stream) }
  func closed(_ stream: SocketID, _ failure: NetworkFailure) { closed.append((stream, failure)) }
  func signalled(_ signal: Signal) { signals.append(signal) }
  func advance() {
    advances += 1
    while let token = wheel?.expired(by: reactor.now) { fired.append(token) }
    if let deadline, deadline <= reactor.now { self.deadline = nil }
  }
  func settle() { settles += 1 }
  var nextDeadline: Instant? { .earlier(wheel?.nextDeadline, deadline) }

  /// Turns the loop until `condition` holds; false after five seconds without.
  func runs(until condition: () -> Bool) -> Bool {
    let end = reactor.now + .seconds(5)
    while !condition() {
      guard reactor.now < end else { return false }
      reactor.turn(waitingAtMost: .milliseconds(100))
    }
    return true
  }

  /// Turns the loop for what is under way without anything being awaited.
  func turns(_ count: Int) {
    for _ in 0..<count { reactor.turn(waitingAtMost: .zero) }
  }

  private func copy(_ span: Span<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(span.count)
    for index in span.indices { result.append(span[index]) }
    return result
  }
}

extension Reactor {
  func send(_ datagram: [UInt8], on socket: SocketID, to remote: Endpoint, from source: IPAddress? = nil) {
    send(datagram.span, on: socket, to: remote, from: source)
  }
  func write(_ bytes: [UInt8], on stream: SocketID) -> Bool { write(bytes.span, on: stream) }
}

let anyV4 = Endpoint(.loopbackV4, port: 0)
let anyV6 = Endpoint(.loopbackV6, port: 0)

/// Lets `#expect` judge an expression over a value that cannot be copied or escape: the macro would take it apart.
func holds(_ value: Bool) -> Bool { value }
