package import Wire

/// A resident that a test writes: whatever it does not care for is done for it. Its timers are
/// `SimulatedWorld.after`.
package protocol SimulatedPeer: Resident {}

extension SimulatedPeer {
  package func received(
    _ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint
  ) {}
  package func accepted(
    _ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?
  ) {}
  package func connected(_ stream: SocketID) {}
  package func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {}
  package func drained(_ stream: SocketID) {}
  package func closed(_ stream: SocketID, _ failure: NetworkFailure) {}
  package func signalled(_ signal: Signal) {}
  package func advance() {}
  package func settle() {}
  package var nextDeadline: Instant? { nil }
}
