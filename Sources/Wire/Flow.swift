/// How bytes travel to a peer.
package enum TransportKind: UInt8, Hashable, Sendable, CaseIterable {
  case udp, tcp, tls, ws, wss

  /// A stream keeps order and delivers or fails; a datagram may be lost.
  package var isReliable: Bool { self != .udp }
  package var isSecure: Bool { self == .tls || self == .wss }
  /// WebSocket: the peer is a browser, or speaks as one.
  package var isWeb: Bool { self == .ws || self == .wss }
}

/// The path a message came by, or should leave by.
///
/// For UDP: the local socket and the two endpoints. For streams: a connection; `.none` means "a live connection
/// to `remote` if there is one, else dial".
package struct Flow: Hashable, Sendable {
  package var transport: TransportKind
  /// Our side: the listener's or connection's own endpoint. Unspecified when the shell should choose.
  package var local: Endpoint
  package var remote: Endpoint
  /// The UDP socket or the stream connection; `.none` where the shell should choose.
  package var socket: SocketID

  package init(_ transport: TransportKind, local: Endpoint, remote: Endpoint, socket: SocketID = .none) {
    self.transport = transport
    self.local = local
    self.remote = remote
    self.socket = socket
  }
}

/// Names an open socket of a `World`: index and registration number, so that a number the kernel reuses is
/// never mistaken for the socket that had it before.
package struct SocketID: Hashable, Sendable {
  package let handle: Handle

  @inlinable package init(_ handle: Handle) { self.handle = handle }

  package static let none = SocketID(.none)
}
