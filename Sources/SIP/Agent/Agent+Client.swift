package import Wire

// Client transactions: choosing a way, sending, matching responses, trying the next address.
extension Agent {
  static let branchPrefix = "z9hG4bK"

  /// Sends a request outside the sessions. Its outcome comes as `.response` (provisional ones too) or `.unanswered`,
  /// each with the id returned here.
  package func send(_ request: OutgoingRequest, to destination: Destination, _ turn: inout Turn)
    -> TransactionID
  {
    var from = request.from
    if from.tag == nil { from.tag = String(turn.random.next() | 1 << 63, radix: 16) }
    let head = RequestHead(
      method: request.method, target: destination.uri, from: from, to: request.to,
      callID: request.callID ?? makeCallID(&turn), cseq: request.cseq, route: destination.route)
    let contactUser: String? =
      request.headers.contains { ASCII.equalIgnoringCase($0.0, "Contact") } ? nil : from.uri.user ?? ""
    guard
      let handle = start(
        head, owner: .outside, headers: request.headers, body: request.body, contactUser: contactUser,
        destination: destination, &turn)
    else {
      report(.unanswered(TransactionID(.none), .transport))
      return TransactionID(.none)
    }
    return TransactionID(handle)
  }

  func makeCallID(_ turn: inout Turn) -> String { turn.random.hex(bytes: 16) + "@" + configuration.domain }

  /// Makes a client transaction and sends it, or asks for its name first. nil when the cap is reached.
  func start(
    _ head: RequestHead, owner: Owner, headers: [(String, String)] = [], body: Body? = nil,
    contactUser: String?,
    destination: Destination, _ turn: inout Turn
  ) -> Handle? {
    let isInvite = head.method == .invite
    let record = ClientRecord(
      machine: ClientTransaction(isInvite: isInvite, isReliable: false, configuration.timers), head: head,
      owner: owner, headers: headers, body: body, contactUser: contactUser, secret: turn.random.next())
    guard let handle = clients.insert(record) else {
      counters.overCapacity += 1
      return nil
    }
    if case .session(let session, _) = owner { hold(session) }
    if let flow = destination.flow {
      transmit(handle, on: flow, &turn)
      return handle
    }
    let hop = destination.route.first.flatMap { NameAddress($0)?.uri } ?? destination.uri
    guard hop.kind == .sip || hop.kind == .sips,
      let transport = Resolution.transport(named: hop.parameters["transport"], isSecure: hop.kind == .sips)
    else {
      failLater(handle, &turn)
      return handle
    }
    let resolution = Resolution(
      host: hop.parameters["maddr"] ?? hop.host, port: hop.port, transport: transport)
    clients.update(handle) { $0.resolution = resolution }
    // A look-up may take as long as an answer may.
    let end = arm(.clientEnd, handle, after: configuration.timers.patience, turn)
    clients.update(handle) { $0.end = end }
    continueResolution(handle, &turn)
    return handle
  }

  /// Fails with the next `advance`, so that the caller has the id before it hears of it.
  private func failLater(_ handle: Handle, _ turn: inout Turn) {
    let end = arm(.clientEnd, handle, after: .zero, turn)
    clients.update(handle) { record in
      wheel.cancel(record.end)
      record.end = end
      record.flow = nil
      record.resolution = nil
    }
  }

  private func continueResolution(_ handle: Handle, _ turn: inout Turn) {
    guard let resolution = clients.read(handle, { $0.resolution }) ?? nil else { return }
    if let query = resolution.query {
      lastTicket += 1
      lookups[lastTicket] = handle
      report(.resolve(ticket: lastTicket, query))
      return
    }
    guard let first = resolution.endpoints.first else { return failLater(handle, &turn) }
    clients.update(handle) { record in
      record.resolution = nil
      record.alternatives = Array(resolution.endpoints.dropFirst())
    }
    transmit(handle, on: Agent.flow(resolution.transport, to: first), &turn)
  }

  /// The answer to a `.resolve` event; an unknown or late ticket does nothing.
  package func resolved(_ ticket: UInt64, _ names: [ResolvedName], _ turn: inout Turn) {
    guard let handle = lookups.removeValue(forKey: ticket) else { return }
    clients.update(handle) { $0.resolution?.receive(names, &turn.random) }
    continueResolution(handle, &turn)
  }

  /// A flow on which everything but transport and remote end is left to the shell.
  static func flow(_ transport: TransportKind, to remote: Endpoint) -> Flow {
    let unspecified: IPAddress = remote.address.isV4 ? .anyV4 : .anyV6
    return Flow(transport, local: Endpoint(unspecified, port: 0), remote: remote)
  }

  /// What we call ourselves on a flow: the address it came to, or the best of ours.
  func localEndpoint(on flow: Flow) -> LocalEndpoint? {
    if !flow.local.address.isUnspecified, flow.local.port != 0 {
      return LocalEndpoint(flow.transport, flow.local, socket: flow.socket)
    }
    return configuration.local(flow.transport, towards: flow.remote.address)
  }

  /// Our Contact on a flow.
  func contact(user: String?, on flow: Flow) -> String {
    let local = localEndpoint(on: flow)?.endpoint ?? flow.local
    var uri = URI(at: local)
    if let user, !user.isEmpty { uri.user = user }
    switch flow.transport {
    case .udp: break
    case .tcp: uri.parameters["transport"] = "tcp"
    case .tls: uri.parameters["transport"] = "tls"
    case .ws, .wss: uri.parameters["transport"] = "ws"
    }
    return "<\(uri)>"
  }

  /// Writes the request for this flow and sends it for the first time there.
  private func transmit(_ handle: Handle, on flow: Flow, _ turn: inout Turn) {
    guard let local = localEndpoint(on: flow) else { return failLater(handle, &turn) }
    var flow = flow
    flow.local = local.endpoint
    if flow.transport == .udp, flow.socket == .none { flow.socket = local.socket }
    let timers = configuration.timers
    let secret = turn.random.next()
    let agent = configuration.userAgent
    let step: ClientTransaction.Step? = clients.update(handle) { record in
      record.secret = secret
      record.flow = flow
      let via = Agent.via(handle, secret, flow)
      let contact = record.contactUser.map { self.contact(user: $0, on: flow) }
      var headers = record.headers
      if !agent.isEmpty { headers.append(("User-Agent", agent)) }
      record.bytes = record.head.bytes(via: via, contact: contact, headers: headers, body: record.body)
      record.machine = ClientTransaction(
        isInvite: record.head.method == .invite, isReliable: flow.transport.isReliable, timers)
      return record.machine.start(timers)
    }
    if let step { carryOut(step, handle, response: nil, on: flow, &turn) }
  }

  // MARK: Responses

  func receive(response: Message, on flow: Flow, _ turn: inout Turn) {
    guard let branch = response.branch,
      let (handle, secret) = Token.parse(prefix: Agent.branchPrefix, branch),
      let known = clients.read(handle, { ($0.secret, $0.head.method, $0.head.cseq, $0.cancel) }),
      known.0 == secret, response.cseq.number == known.2
    else { return stray(flow) }
    let timers = configuration.timers
    let target: Handle
    if response.method == known.1 {
      target = handle
    } else if response.method == .cancel, known.3 != .none {
      target = known.3
    } else {
      return stray(flow)
    }
    let step = clients.update(target) { $0.machine.receive(.response(status: response.status), timers) }
    if let step { carryOut(step, target, response: response, on: flow, &turn) }
  }

  private func stray(_ flow: Flow) {
    counters.strayResponses += 1
    report(.mistake(.strayResponse, flow))
  }

  func clientClock(_ handle: Handle, _ event: ClientTransaction.Event, _ turn: inout Turn) {
    let timers = configuration.timers
    guard let step = clients.update(handle, { $0.machine.receive(event, timers) }) else { return }
    if step.sends { counters.retransmissionsSent += 1 }
    let flow = clients.read(handle) { $0.flow } ?? nil
    carryOut(step, handle, response: nil, on: flow, &turn)
  }

  /// The way broke before an answer came.
  func clientUndeliverable(_ handle: Handle, _ turn: inout Turn) {
    guard let isOver = clients.read(handle, { $0.machine.isOver }), !isOver else { return }
    if tryNext(handle, &turn) { return }
    fail(handle, .transport, &turn)
  }

  /// Sends the request to the next address of its destination (RFC 3263 §4.3); false when there is none.
  private func tryNext(_ handle: Handle, _ turn: inout Turn) -> Bool {
    let next = clients.update(handle) { record -> (Endpoint, TransportKind)? in
      guard let flow = record.flow, !record.alternatives.isEmpty, record.cancel == .none else { return nil }
      wheel.cancel(record.retransmission)
      wheel.cancel(record.end)
      return (record.alternatives.removeFirst(), flow.transport)
    }
    guard let next = next ?? nil else { return false }
    transmit(handle, on: Agent.flow(next.1, to: next.0), &turn)
    return true
  }

  private func carryOut(
    _ step: ClientTransaction.Step, _ handle: Handle, response: Message?, on flow: Flow?, _ turn: inout Turn
  ) {
    if step.sends {
      clients.update(handle) { record in
        guard let flow = record.flow else { return }
        _ = turn.out.send(record.bytes, on: flow, token: Alarm.clientEnd.token(handle))
      }
    }
    if step.stopsRetransmitting || step.retransmitAfter != nil {
      _ = clients.read(handle) { wheel.cancel($0.retransmission) }
    }
    if step.stopsWaiting || step.endAfter != nil { _ = clients.read(handle) { wheel.cancel($0.end) } }
    // A first INVITE may ring for as long as its session lets it; a later one is answered by a machine.
    if step.stopsWaiting, clients.read(handle, { $0.owner.isSessionChange }) ?? false {
      let timer = arm(.clientEnd, handle, after: configuration.timers.patience, turn)
      clients.update(handle) { $0.end = timer }
    }
    if let wait = step.retransmitAfter {
      let timer = arm(.clientRetransmission, handle, after: wait, turn)
      clients.update(handle) { $0.retransmission = timer }
    }
    if let wait = step.endAfter {
      let timer = arm(.clientEnd, handle, after: wait, turn)
      clients.update(handle) { $0.end = timer }
    }
    if step.acknowledges, let response { acknowledgeRefusal(handle, response, &turn) }
    if step.timedOut {
      let isUnsent = clients.read(handle) { $0.flow == nil } ?? false
      if !isUnsent, tryNext(handle, &turn) { return }
      return fail(handle, isUnsent ? .unresolved : .timeout, &turn)
    }
    if step.reports, let response, let flow {
      // 503 means "not here, perhaps elsewhere"; a machine that is over may be started anew for the next address.
      if response.status == 503, tryNext(handle, &turn) { return }
      hear(handle, response, on: flow, &turn)
    }
    let isOver = clients.read(handle) { $0.machine.state == .terminated } ?? false
    if isOver { removeClient(handle) }
  }

  private func hear(_ handle: Handle, _ response: Message, on flow: Flow, _ turn: inout Turn) {
    guard let owner = clients.read(handle, { $0.owner }) else { return }
    switch owner {
    case .nobody: return
    case .outside: report(.response(TransactionID(handle), response))
    case .session(let session, let purpose):
      sessionHears(session, purpose, handle, response, on: flow, &turn)
    }
  }

  private func fail(_ handle: Handle, _ why: Unanswered, _ turn: inout Turn) {
    guard let owner = clients.read(handle, { $0.owner }) else { return }
    removeClient(handle) {
      switch owner {
      case .nobody: return
      case .outside: report(.unanswered(TransactionID(handle), why))
      case .session(let session, let purpose): sessionMisses(session, purpose, handle, why, &turn)
      }
    }
  }

  /// Forgets a transaction, with the CANCEL that hangs on it. `before` runs while its session is still held.
  func removeClient(_ handle: Handle, _ before: () -> Void = {}) {
    guard let record = clients.remove(handle) else { return }
    wheel.cancel(record.retransmission)
    wheel.cancel(record.end)
    if record.resolution != nil { lookups = lookups.filter { $0.value != handle } }
    before()
    if record.cancel != .none { removeClient(record.cancel) }
    if case .session(let session, _) = record.owner { release(session) }
  }

  // MARK: What repeats an INVITE

  /// The ACK to a refusal: the same branch and target, To as in the response (§17.1.1.3).
  private func acknowledgeRefusal(_ handle: Handle, _ response: Message, _ turn: inout Turn) {
    clients.update(handle) { record in
      guard let flow = record.flow else { return }
      var head = record.head
      head.method = .ack
      head.to = response.to
      head.maxForwards = 70
      _ = turn.out.send(head.bytes(via: Agent.via(handle, record.secret, flow)), on: flow)
    }
  }

  /// Cancels an INVITE: the same branch, target, To and number (§9.1). Once only, and only after a provisional.
  func sendCancel(_ invite: Handle, reason: Reason?, _ turn: inout Turn) {
    let timers = configuration.timers
    let secret = turn.random.next()
    let made = clients.update(invite) { record -> ClientRecord? in
      guard let flow = record.flow, record.cancel == .none, record.machine.state == .proceeding else {
        return nil
      }
      var head = record.head
      head.method = .cancel
      head.maxForwards = 70
      var cancel = ClientRecord(
        machine: ClientTransaction(isInvite: false, isReliable: flow.transport.isReliable, timers),
        head: head,
        owner: .nobody, headers: [], body: nil, contactUser: nil, secret: secret)
      cancel.flow = flow
      cancel.bytes = head.bytes(
        via: Agent.via(invite, record.secret, flow), headers: reason.map { [("Reason", $0.value)] } ?? [])
      return cancel
    }
    guard let made = made ?? nil, let handle = clients.insert(made) else { return }
    clients.update(invite) { $0.cancel = handle }
    carryOut(made.machine.start(timers), handle, response: nil, on: made.flow, &turn)
  }

  /// The Via of a transaction on a flow whose local end is what we call ourselves there.
  static func via(_ handle: Handle, _ secret: UInt64, _ flow: Flow) -> String {
    let branch = Token.text(prefix: branchPrefix, handle, secret)
    let via = "SIP/2.0/\(Via.text(flow.transport)) \(flow.local);branch=\(branch)"
    return flow.transport == .udp ? via + ";rport" : via
  }
}
