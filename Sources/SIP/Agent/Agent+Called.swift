package import Wire

// The callee's side of a session: ringing, answering, refusing, being cancelled (§13.3, §9.2; RFC 3262 §3, RFC 4028 §9).
extension Agent {
  func invited(
    _ request: Message, key: TransactionKey, on flow: Flow, _ identity: Identity, _ turn: inout Turn
  ) {
    guard let dialog = Dialog(calleeOf: request, on: flow) else {
      return respondStateless(request, on: flow, status: 400, reason: "Missing or Unusable Contact", &turn)
    }
    if let complaint = timerComplaint(about: request) ?? replacesComplaint(about: request) {
      return refuse(request, on: flow, complaint.status, headers: complaint.headers, &turn)
    }
    let address = flow.remote.address
    guard callsByAddress[address, default: 0] < configuration.callsPerAddress else {
      return refuseForCapacity(request, on: flow, &turn)
    }
    let session = Session(
      isCaller: false, callID: request.callID, local: request.to, remote: request.from,
      cseq: UInt32(1 + turn.random.below(9_999)), leastInterval: configuration.minimumSessionInterval)
    guard let handle = sessions.insert(session) else { return refuseForCapacity(request, on: flow, &turn) }
    guard let server = makeServer(request, key: key, on: flow, session: handle, &turn) else {
      _ = sessions.remove(handle)
      return refuseForCapacity(request, on: flow, &turn)
    }
    session.localTag = Token.text(handle, turn.random.next())
    session.local.tag = session.localTag
    session.remote.tag = nil
    session.contactUser = request.requestURI?.user
    session.identity = identity
    session.caller = address
    callsByAddress[address, default: 0] += 1
    session.dialogs = [dialog]
    session.chosen = 0
    session.invite = server
    session.needsReliable = request.requires("100rel")
    session.reliableSequence = UInt32(turn.random.below(1 << 30))
    session.remoteBody = Body(of: request)
    merges[MergeKey(callID: request.callID, fromTag: dialog.remoteTag, cseq: request.cseq.number)] = handle
    // An `Expires` of the caller is honoured with 487 (§13.3.1).
    let patience = request.expires.map { Interval.seconds(Int64(max(1, $0))) } ?? configuration.ringLimit
    start(.limit, handle, session, after: min(patience, configuration.ringLimit), turn)
    respond(server, status: 100, tag: "", &turn)
    report(.invited(SessionID(handle), request, flow, identity))
  }

  /// A session interval below ours, from a peer that can be told so (RFC 4028 §9).
  func timerComplaint(about request: Message) -> Complaint? {
    guard let field = request.value(.sessionExpires).flatMap({ SessionTimer.Field($0) }),
      field.interval < configuration.minimumSessionInterval, request.supports("timer")
    else { return nil }
    return Complaint(status: 422, headers: [("Min-SE", String(configuration.minimumSessionInterval))])
  }

  private func replacesComplaint(about request: Message) -> Complaint? {
    let values = request.values(.replaces)
    guard let value = values.first else { return nil }
    guard values.count == 1, let replaces = ReplacesID(value) else { return Complaint(status: 400) }
    guard let id = session(named: replaces), let other = sessions[id.handle] else {
      return Complaint(status: 481)
    }
    if replaces.isEarlyOnly, other.isAnswered { return Complaint(status: 486) }
    return nil
  }

  /// The INVITE's transaction is final: copies by other ways are new calls from now on.
  private func forgetMerge(_ session: Session) {
    guard !session.isCaller, let dialog = session.dialogs.first else { return }
    let number = servers.read(session.invite) { $0.request?.cseq.number } ?? nil
    guard let number else { return }
    merges[MergeKey(callID: session.callID, fromTag: dialog.remoteTag, cseq: number)] = nil
  }

  /// The fields of a response that makes or keeps the dialog.
  private func dialogResponse(_ server: Handle, _ session: Session, status: Int) -> Response? {
    guard var response = response(server, status: status, tag: session.localTag) else { return nil }
    let flow = session.dialog?.flow ?? servers.read(server) { $0.flow }
    if let flow { response.add(.contact, contact(user: session.contactUser, on: flow)) }
    response.add(.allow, allowText)
    response.add(.supported, "timer, replaces")
    return response
  }

  // MARK: Ringing

  /// Sends a provisional response. Where the peer requires it, it is sent until acknowledged, one at a time.
  package func ring(
    _ id: SessionID, status: Int = 180, body: Body? = nil, headers: [(String, String)] = [],
    _ turn: inout Turn
  ) {
    guard let session = sessions[id.handle], session.phase == .incoming, (101..<200).contains(status) else {
      return
    }
    guard session.provisional == nil else {
      session.queuedProvisional = (status, body, headers)
      return
    }
    guard var response = dialogResponse(session.invite, session, status: status) else { return }
    for (name, value) in headers { response.add(named: name, value) }
    if let body { session.localBody = body }
    start(.ringing, id.handle, session, after: .minutes(1), turn)
    guard session.needsReliable else {
      return respond(
        session.invite, status: status,
        response.encoded(body: body?.bytes ?? [], contentType: body?.contentType), &turn)
    }
    session.reliableSequence += 1
    response.add(.require, "100rel")
    response.add(.rseq, decimal: UInt64(session.reliableSequence))
    let bytes = response.encoded(body: body?.bytes ?? [], contentType: body?.contentType)
    let flow = servers.read(session.invite) { $0.flow }
    respond(session.invite, status: status, bytes, &turn)
    guard let flow else { return }
    let wait = configuration.timers.t1
    session.provisional = .init(
      sequence: session.reliableSequence, bytes: bytes, flow: flow, wait: wait, waited: .zero,
      hasBody: body != nil)
    start(.reliable, id.handle, session, after: wait, turn)
  }

  func repeatProvisional(_ handle: Handle, _ session: Session, _ turn: inout Turn) {
    guard var pending = session.provisional else { return }
    pending.waited = pending.waited + pending.wait
    guard pending.waited < configuration.timers.patience else {
      // RFC 3262 §3: a peer that never acknowledges is refused.
      close(session, .ended(SessionID(handle), .timeout))
      refuseInvite(session, status: 504, &turn)
      return finish(handle, session)
    }
    pending.wait = min(pending.wait * 2, configuration.timers.patience - pending.waited)
    session.provisional = pending
    turn.out.send(pending.bytes, on: pending.flow)
    counters.retransmissionsSent += 1
    start(.reliable, handle, session, after: pending.wait, turn)
  }

  func keepRinging(_ handle: Handle, _ session: Session, _ turn: inout Turn) {
    guard session.phase == .incoming else { return }
    if session.provisional == nil { serverClock(session.invite, .repeated, &turn) }
    start(.ringing, handle, session, after: .minutes(1), turn)
  }

  /// A PRACK came inside the session; its own transaction is `server`.
  func acknowledgedReliably(
    _ handle: Handle, _ session: Session, by prack: Message, _ server: Handle, _ turn: inout Turn
  ) {
    let words = (prack.value(.rack) ?? "").split(whereSeparator: { $0 == " " || $0 == "\t" })
    guard let pending = session.provisional, words.count == 3, UInt32(words[0]) == pending.sequence,
      words[2] == "INVITE"
    else { return respond(server, status: 481, &turn) }
    respond(server, status: 200, &turn)
    session.provisional = nil
    stop(.reliable, session)
    if let body = Body(of: prack) {
      session.remoteBody = body
      tell(session, .offerAccepted(SessionID(handle), body: body))
    }
    if let next = session.queuedProvisional {
      session.queuedProvisional = nil
      ring(SessionID(handle), status: next.status, body: next.body, headers: next.headers, &turn)
    }
    if let delayed = session.delayedAnswer {
      session.delayedAnswer = nil
      answer(SessionID(handle), body: delayed.body, headers: delayed.headers, &turn)
    }
  }

  // MARK: Final responses

  /// Answers the call: 200, sent again until its ACK.
  package func answer(
    _ id: SessionID, body: Body?, headers: [(String, String)] = [], _ turn: inout Turn
  ) {
    let handle = id.handle
    guard let session = sessions[handle], session.phase == .incoming, !session.isClosed else { return }
    if session.provisional?.hasBody == true {
      // RFC 3262 §5: a description on its way must arrive before the 2xx may leave.
      session.delayedAnswer = .init(body: body, headers: headers)
      session.queuedProvisional = nil
      return
    }
    session.provisional = nil
    session.queuedProvisional = nil
    stop(.reliable, session)
    stop(.ringing, session)
    stop(.limit, session)
    forgetMerge(session)
    guard let cseq = servers.read(session.invite, { $0.request?.cseq.number }) ?? nil else { return }
    session.phase = .answering
    if let place = session.chosen { session.dialogs[place].isConfirmed = true }
    if let body { session.localBody = body }
    succeed(
      session.invite, handle, session, cseq: cseq, body: body, headers: headers, isInitial: true,
      isOffer: session.remoteBody == nil && body != nil, &turn)
  }

  /// Sends a 2xx to an INVITE of the peer, first or later, and sees that it is acknowledged (§13.3.1.4).
  func succeed(
    _ server: Handle, _ handle: Handle, _ session: Session, cseq: UInt32, body: Body?,
    headers: [(String, String)],
    isInitial: Bool, isOffer: Bool, _ turn: inout Turn
  ) {
    guard let request = servers.read(server, { $0.request }) ?? nil,
      let flow = servers.read(server, { $0.flow }),
      var response = dialogResponse(server, session, status: 200)
    else { return }
    for (name, value) in headers { response.add(named: name, value) }
    settleInterval(session, by: request, &response)
    let bytes = response.encoded(body: body?.bytes ?? [], contentType: body?.contentType)
    respond(server, status: 200, bytes, &turn)
    let wait = configuration.timers.t1
    session.answer = .init(
      cseq: cseq, bytes: bytes, flow: flow, wait: wait, isInitial: isInitial, isOffer: isOffer)
    start(.answer, handle, session, after: wait, turn)
    start(.answerEnd, handle, session, after: configuration.timers.patience, turn)
    startInterval(handle, session, turn)
  }

  func repeatAnswer(_ handle: Handle, _ session: Session, _ turn: inout Turn) {
    guard var answer = session.answer else { return }
    answer.wait = min(answer.wait * 2, configuration.timers.t2)
    session.answer = answer
    turn.out.send(answer.bytes, on: answer.flow)
    counters.retransmissionsSent += 1
    start(.answer, handle, session, after: answer.wait, turn)
  }

  func answerUnacknowledged(_ handle: Handle, _ session: Session, _ turn: inout Turn) {
    guard session.answer != nil else { return }
    tearDown(handle, session, .timeout, reason: session.hangUpReason, &turn)
  }

  /// Refuses the call; `ended(refused)` follows at once.
  package func refuse(
    _ id: SessionID, status: Int, reason: String? = nil, headers: [(String, String)] = [], _ turn: inout Turn
  ) {
    guard let session = sessions[id.handle], session.phase == .incoming, (300..<700).contains(status) else {
      return
    }
    close(session, .ended(id, .refused(status)))
    refuseInvite(session, status: status, reason: reason, headers: headers, &turn)
    finish(id.handle, session)
  }

  /// Sends the final refusal of the peer's first INVITE.
  func refuseInvite(
    _ session: Session, status: Int, reason: String? = nil, headers: [(String, String)] = [],
    _ turn: inout Turn
  ) {
    forgetMerge(session)
    guard var response = response(session.invite, status: status, reason: reason, tag: session.localTag)
    else { return }
    for (name, value) in headers { response.add(named: name, value) }
    respond(session.invite, status: status, response.encoded(), &turn)
  }

  /// A CANCEL came for the INVITE `server` of this session.
  func cancelled(
    _ handle: Handle, _ session: Session, _ server: Handle, _ reason: Reason?, _ turn: inout Turn
  ) {
    if server == session.invite {
      guard session.phase == .incoming else { return }
      close(session, .cancelled(SessionID(handle), reason))
      refuseInvite(session, status: 487, &turn)
      return finish(handle, session)
    }
    // A re-INVITE may be cancelled too; the session goes on as it was.
    switch session.exchange {
    case .theirs(let pending, _) where pending == server:
      session.exchange = .none
      respond(server, status: 487, tag: session.localTag, &turn)
      tell(session, .offerRefused(SessionID(handle), status: 487))
    case .theirs, .none, .ours, .acknowledging: return
    }
  }

  /// The ACK to one of our 2xx came. One that fits no answer on its way is a copy.
  func acknowledged(_ handle: Handle, _ session: Session, by ack: Message, _ turn: inout Turn) {
    guard let answer = session.answer, answer.cseq == ack.cseq.number else { return }
    session.answer = nil
    stop(.answer, session)
    stop(.answerEnd, session)
    switch session.phase {
    case .closing:
      return tearDown(handle, session, .hungUp, reason: session.hangUpReason, &turn)
    case .answering: session.phase = .established
    case .established: break
    case .inviting, .cancelling, .answeredOpen, .incoming, .over: return
    }
    session.exchange = .none
    let body = answer.isOffer ? Body(of: ack) : nil
    if let body { session.remoteBody = body }
    if answer.isInitial {
      tell(session, .confirmed(SessionID(handle), body: body))
    } else if answer.isOffer {
      tell(session, .offerAccepted(SessionID(handle), body: body))
    }
    proceedWithOffer(handle, session, &turn)
  }
}
