package import Wire

// Server transactions: matching, making, answering, forgetting.
extension Agent {
  /// The transaction a request belongs to, if it was seen before.
  func server(matching key: TransactionKey) -> Handle? { serverPlaces[key] }

  /// Makes a transaction for a request; nil when the cap is reached and nothing answered can make room.
  func makeServer(
    _ request: Message, key: TransactionKey, on flow: Flow, session: Handle = .none, _ turn: inout Turn
  ) -> Handle? {
    if servers.count >= configuration.transactionLimit { dropAnswered(keeping: answeredCount / 2) }
    let isInvite = request.method == .invite
    let record = ServerRecord(
      machine: ServerTransaction(isInvite: isInvite, isReliable: flow.transport.isReliable), key: key,
      method: request.method, flow: Agent.responseFlow(request, flow), source: flow.remote,
      sentByPort: Agent.sentByPort(request, flow.transport),
      tag: request.toTag == nil ? String(turn.random.next() | 1 << 63, radix: 16) : "", request: request,
      session: session)
    guard let handle = servers.insert(record) else { return nil }
    serverPlaces[key] = handle
    if !isInvite {
      let end = arm(.serverEnd, handle, after: configuration.timers.patience, turn)
      servers.update(handle) { $0.end = end }
    }
    if session != .none { hold(session) }
    return handle
  }

  /// Where the responses to a request go: over a stream's connection; by datagram to the source address and, without
  /// `rport`, to the port the Via names (§18.2.2, RFC 3581 §4).
  static func responseFlow(_ request: Message, _ flow: Flow) -> Flow {
    guard !flow.transport.isReliable else { return flow }
    guard request.parts.topVia.rport == nil else { return flow }
    var back = flow
    back.remote.port = sentByPort(request, flow.transport)
    return back
  }

  static func sentByPort(_ request: Message, _ transport: TransportKind) -> UInt16 {
    let port = request.parts.topVia.port
    return port > 0 ? UInt16(truncatingIfNeeded: port) : Resolution.defaultPort(transport)
  }

  /// Begins a response of a transaction: 8.2.6's fields with our tag, and who we are.
  func response(_ handle: Handle, status: Int, reason: String? = nil, tag: String? = nil) -> Response? {
    let parts = servers.read(handle) { ($0.request, $0.tag, $0.source) }
    guard let parts, let request = parts.0 else { return nil }
    var response = Response(
      to: request, status: status, reason: reason, tag: tag ?? parts.1, source: parts.2)
    if !configuration.userAgent.isEmpty, status > 100 { response.add(.server, configuration.userAgent) }
    return response
  }

  /// Sends a response of a transaction and keeps it for copies of the request.
  func respond(_ handle: Handle, status: Int, _ bytes: [UInt8], _ turn: inout Turn) {
    let timers = configuration.timers
    let step = servers.update(handle) { record -> ServerTransaction.Step in
      guard !record.machine.isFinal else { return ServerTransaction.Step() }
      record.response = bytes
      // The request is needed no more once its final response is made, except to answer an INVITE's copies.
      if status >= 200 { record.request = nil }
      return record.machine.receive(.respond(status: status), timers)
    }
    guard let step else { return }
    carryOut(step, handle, &turn)
    let isKept = servers.read(handle) { $0.machine.isFinal && !$0.machine.isInvite } ?? false
    if isKept {
      answered.append(handle)
      if answeredCount > configuration.answeredLimit { dropAnswered(keeping: configuration.answeredLimit) }
    }
  }

  /// A response with a few fields and no body.
  func respond(
    _ handle: Handle, status: Int, reason: String? = nil, tag: String? = nil,
    headers: [(HeaderName, String)] = [], _ turn: inout Turn
  ) {
    guard var response = response(handle, status: status, reason: reason, tag: tag) else { return }
    for (name, value) in headers { response.add(name, value) }
    respond(handle, status: status, response.encoded(), &turn)
  }

  /// Answers without keeping anything; copies of the request get the same To tag again.
  func respondStateless(
    _ request: Message, on flow: Flow, status: Int, reason: String? = nil, headers: [(String, String)] = [],
    _ turn: inout Turn
  ) {
    guard request.method != .ack else { return }
    var response = Response(
      to: request, status: status, reason: reason, tag: statelessTag(request), source: flow.remote)
    if !configuration.userAgent.isEmpty { response.add(.server, configuration.userAgent) }
    for (name, value) in headers { response.add(named: name, value) }
    turn.out.send(response.encoded(), on: Agent.responseFlow(request, flow))
  }

  /// The same for every copy of a request, and different for another: of the fields that copies share.
  private func statelessTag(_ request: Message) -> String {
    let parts = request.parts
    let bytes = request.bytes
    var hash = 0xCBF2_9CE4_8422_2325 ^ secret
    for range in [
      parts.topVia.branch ?? 0..<0, parts.index.fields[parts.callID].value, parts.fromTag ?? 0..<0,
    ] {
      for place in range { hash = (hash ^ UInt64(bytes[place])) &* 0x100_0000_01B3 }
    }
    hash = (hash ^ UInt64(parts.cseq)) &* 0x100_0000_01B3
    return String((hash ^ hash >> 29) | 1 << 63, radix: 16)
  }

  func carryOut(_ step: ServerTransaction.Step, _ handle: Handle, _ turn: inout Turn) {
    if step.sends {
      servers.update(handle) { record in
        _ = turn.out.send(record.response, on: record.flow, token: Alarm.serverEnd.token(handle))
      }
    }
    if step.stopsRetransmitting || step.retransmitAfter != nil {
      _ = servers.read(handle) { wheel.cancel($0.retransmission) }
    }
    if let wait = step.retransmitAfter {
      let timer = arm(.serverRetransmission, handle, after: wait, turn)
      servers.update(handle) { $0.retransmission = timer }
    }
    if let wait = step.endAfter {
      _ = servers.read(handle) { wheel.cancel($0.end) }
      let timer = arm(.serverEnd, handle, after: wait, turn)
      servers.update(handle) { $0.end = timer }
    }
    let isOver = servers.read(handle) { $0.machine.state == .terminated } ?? false
    if isOver { removeServer(handle) }
  }

  func serverClock(_ handle: Handle, _ event: ServerTransaction.Event, _ turn: inout Turn) {
    let timers = configuration.timers
    guard let step = servers.update(handle, { $0.machine.receive(event, timers) }) else { return }
    if step.sends { counters.retransmissionsSent += 1 }
    carryOut(step, handle, &turn)
  }

  /// The connection that a response was to take is gone: once more, to the address the Via names (§18.2.2).
  func serverUndeliverable(_ handle: Handle, _ turn: inout Turn) {
    servers.update(handle) { record in
      guard record.flow.transport.isReliable, !record.isRerouted, !record.response.isEmpty else { return }
      record.isRerouted = true
      record.loseConnection()
      _ = turn.out.send(record.response, on: record.flow)
    }
  }

  func removeServer(_ handle: Handle) {
    guard let record = servers.remove(handle) else { return }
    wheel.cancel(record.retransmission)
    wheel.cancel(record.end)
    serverPlaces[record.key] = nil
    if record.session != .none { release(record.session) }
  }

  private var answeredCount: Int { answered.count - answeredStart }

  /// Forgets the oldest answered transactions; entries whose time ended anyway cost nothing.
  private func dropAnswered(keeping limit: Int) {
    while answeredCount > limit {
      let oldest = answered[answeredStart]
      answeredStart += 1
      removeServer(oldest)
    }
    if answeredStart > 1024, answeredStart > answered.count / 2 {
      answered.removeFirst(answeredStart)
      answeredStart = 0
    }
  }

  // MARK: For the owner

  /// Answers a request given out as `.request`, `.informed` or `.transferRequested`. A second final answer, or one
  /// to a transaction that is gone, does nothing.
  package func reply(
    _ id: TransactionID, status: Int, reason: String? = nil, headers: [(String, String)] = [],
    body: Body? = nil,
    _ turn: inout Turn
  ) {
    guard var response = response(id.handle, status: status, reason: reason) else { return }
    let method = servers.read(id.handle) { $0.method }
    if method == .options, status == 200 {
      response.add(.allow, allowText)
      response.add(.accept, "application/sdp")
      response.add(.supported, "timer, replaces, path")
    }
    if status == 405 { response.add(.allow, allowText) }
    for (name, value) in headers { response.add(named: name, value) }
    respond(
      id.handle, status: status, response.encoded(body: body?.bytes ?? [], contentType: body?.contentType),
      &turn)
  }
}
