internal import Wire

// A dialog (RFC 3261 §12): two tags, a route set, the peer's target and both counters.
//
// Responsible for what every later request must carry and for judging what comes: numbers must rise, only a target
// refresh request with one usable Contact moves the target. Which connection it lives on is kept here too, because a
// request inside a dialog must come by the way the dialog was made, or at least from the same address. It assumes
// that tags and Call-ID were compared by whoever found it.
struct Dialog {
  let remoteTag: String
  /// Where requests are addressed (§12.2): the peer's Contact.
  private(set) var remoteTarget: URI
  /// Route values in the order in which our requests carry them; fixed when the dialog is made (§12.2.1.1), except
  /// that the 2xx settles that of an early dialog (§13.2.2.4).
  private(set) var routeSet: [String]
  /// The last number the peer used; nil before its first request.
  private(set) var remoteCSeq: UInt32?
  /// How we hear the peer.
  var flow: Flow
  var isConfirmed: Bool
  /// Methods of the peer's last Allow; nil as long as it said none.
  var allows: [Method]?
  /// The last RSeq that we acknowledged (RFC 3262 §4).
  var reliableSequence: UInt32?

  /// The callee's side, from the request that makes it (§12.1.1). nil without a usable Contact.
  init?(calleeOf request: Message, on flow: Flow) {
    guard let target = Dialog.target(of: request) else { return nil }
    remoteTag = request.from.tag ?? ""
    remoteTarget = target
    routeSet = request.values(.recordRoute)
    remoteCSeq = request.cseq.number
    self.flow = flow
    isConfirmed = false
    allows = Dialog.allowed(by: request)
  }

  /// The caller's side, from a response with a To tag (§12.1.2). Early responses of some devices have no Contact:
  /// then `fallback`, what we called, stands in until the 2xx.
  init?(callerOf response: Message, on flow: Flow, fallback: URI) {
    guard let tag = response.to.tag, !tag.isEmpty else { return nil }
    remoteTag = tag
    remoteTarget = Dialog.target(of: response) ?? fallback
    routeSet = response.values(.recordRoute).reversed()
    remoteCSeq = nil
    self.flow = flow
    isConfirmed = response.status >= 200
    allows = Dialog.allowed(by: response)
  }

  /// The 2xx of the INVITE that made this early dialog came.
  mutating func confirm(by response: Message, on flow: Flow) {
    guard !isConfirmed else { return }
    isConfirmed = true
    routeSet = response.values(.recordRoute).reversed()
    self.flow = flow
    refresh(by: response)
  }

  /// Takes the Contact of a target refresh: INVITE, UPDATE, or a 2xx to one. A message without one usable Contact
  /// changes nothing.
  mutating func refresh(by message: Message) {
    if let target = Dialog.target(of: message) { remoteTarget = target }
    if let methods = Dialog.allowed(by: message) { allows = methods }
  }

  /// Takes the number of a request; false when it is not higher than the last (§12.2.2).
  mutating func accept(_ number: UInt32) -> Bool {
    if let remoteCSeq, number <= remoteCSeq { return false }
    remoteCSeq = number
    return true
  }

  /// A request may come over the dialog's connection or from its address, and from nowhere else.
  func admits(_ other: Flow) -> Bool {
    if other.socket != .none, other.socket == flow.socket, flow.transport.isReliable { return true }
    return other.remote.address == flow.remote.address
  }

  /// Its WebSocket is gone, and there is no other way to it.
  var isOrphaned: Bool { flow.socket == .none && (flow.transport == .ws || flow.transport == .wss) }

  /// The peer says that it takes UPDATE.
  var takesUpdate: Bool { allows?.contains(.update) ?? false }

  /// Request-URI and Route values of the next request (§12.2.1.1), a strict router of RFC 2543 included.
  var addressing: (target: URI, route: [String]) {
    guard let first = routeSet.first, let hop = NameAddress(first) else { return (remoteTarget, routeSet) }
    if hop.uri.parameters.contains("lr") { return (remoteTarget, routeSet) }
    return (hop.uri, Array(routeSet.dropFirst()) + ["<\(remoteTarget)>"])
  }

  /// Where the next request is sent: the way the peer came, its port corrected where it names one of the same
  /// address. A peer behind an address translator, or with a made-up name, is heard and reached on one flow only.
  var way: Flow {
    let hop = routeSet.first.flatMap { NameAddress($0)?.uri } ?? remoteTarget
    if flow.socket == .none, flow.transport == .tcp || flow.transport == .tls {
      // The peer's connection is gone, and nobody listens on the port it came from.
      guard let address = hop.address else { return flow }
      var way = flow
      way.remote = Endpoint(address, port: hop.port ?? Resolution.defaultPort(flow.transport))
      return way
    }
    guard flow.transport == .udp, let address = hop.address, address == flow.remote.address else {
      return flow
    }
    if let transport = hop.transport, transport != .udp { return flow }
    var way = flow
    way.remote.port = hop.port ?? 5060
    return way
  }

  /// The one Contact of a message, if it is a SIP URI.
  static func target(of message: Message) -> URI? {
    let contacts = message.contacts
    guard contacts.count == 1, let uri = contacts.first?.uri else { return nil }
    switch uri.kind {
    case .sip, .sips: return uri
    case .tel, .other: return nil
    }
  }

  private static func allowed(by message: Message) -> [Method]? {
    let values = message.values(.allow)
    return values.isEmpty ? nil : values.prefix(64).map { Method($0) }
  }
}
