package import Wire

/// Where an account can be reached: one contact that it registered, and the path it did so by.
package struct Binding: Sendable, Hashable {
  /// What the last pings said.
  package enum Reach: Sendable, Hashable {
    /// No ping has come back or failed yet.
    case unknown
    case reachable(latency: Interval)
    case unreachable
  }

  /// Given by the registrar, never used twice.
  package var id: UInt64
  package var account: String
  /// The credential that proved the last REGISTER; 0 for a station known by its address.
  package var credential: UInt64
  /// The contact's URI, letter for letter.
  package var contact: String
  /// The contact's own parameters with their leading `;`, letter for letter, without `expires`.
  package var parameters: String
  /// The path back: the source of the REGISTER. A socket of `.none` asks for a connection to be dialled, or for
  /// the listener on `local`.
  package var flow: Flow
  /// RFC 3327, in order, as written.
  package var path: [String]
  /// `+sip.instance` without quotes and brackets.
  package var instance: String?
  package var regID: UInt32?
  package var callID: String
  package var cseq: UInt32
  package var expires: Instant
  package var registered: Instant
  package var userAgent: String
  package var reach: Reach = .unknown

  /// The contact as a target.
  package var uri: URI? { URI(contact) }

  /// It is gone when its connection is: WebSocket, an RFC 5626 flow, or a contact that is not where it came from
  /// (dialling that would reach nobody, or somebody else).
  package var isTied: Bool {
    switch flow.transport {
    case .udp: false
    case .ws, .wss: true
    case .tcp, .tls: regID != nil || uri?.address != flow.remote.address
    }
  }
}

/// A binding as the store keeps it: times are civil, sockets are forgotten.
package struct SavedBinding: Sendable, Hashable {
  package var id: UInt64
  package var account: String
  package var credential: UInt64
  package var contact: String
  package var parameters: String
  package var transport: TransportKind
  package var local: Endpoint
  package var remote: Endpoint
  package var path: [String]
  package var instance: String?
  package var regID: UInt32?
  package var callID: String
  package var cseq: UInt32
  package var expires: WallTime
  package var userAgent: String

  package init(
    id: UInt64, account: String, credential: UInt64, contact: String, parameters: String,
    transport: TransportKind, local: Endpoint, remote: Endpoint, path: [String], instance: String?,
    regID: UInt32?, callID: String, cseq: UInt32, expires: WallTime, userAgent: String
  ) {
    self.id = id
    self.account = account
    self.credential = credential
    self.contact = contact
    self.parameters = parameters
    self.transport = transport
    self.local = local
    self.remote = remote
    self.path = path
    self.instance = instance
    self.regID = regID
    self.callID = callID
    self.cseq = cseq
    self.expires = expires
    self.userAgent = userAgent
  }
}

extension Binding {
  package func saved(now: Instant, wall: WallTime) -> SavedBinding {
    SavedBinding(
      id: id, account: account, credential: credential, contact: contact, parameters: parameters,
      transport: flow.transport, local: flow.local, remote: flow.remote, path: path, instance: instance,
      regID: regID, callID: callID, cseq: cseq, expires: wall + (expires - now), userAgent: userAgent)
  }

  init(_ saved: SavedBinding, now: Instant, expires: Instant) {
    id = saved.id
    account = saved.account
    credential = saved.credential
    contact = saved.contact
    parameters = saved.parameters
    flow = Flow(saved.transport, local: saved.local, remote: saved.remote)
    path = saved.path
    instance = saved.instance
    regID = saved.regID
    callID = saved.callID
    cseq = saved.cseq
    self.expires = expires
    registered = now
    userAgent = saved.userAgent
  }

  /// What a lost connection leaves of a binding that is not tied to it: it is dialled anew at its Contact.
  mutating func detach() {
    flow.socket = .none
    guard flow.transport != .udp, let uri, let address = uri.address else { return }
    flow.remote = Endpoint(address, port: uri.port ?? (flow.transport == .tls ? 5061 : 5060))
  }
}
