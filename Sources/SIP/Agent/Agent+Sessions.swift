package import Wire

// What all sessions share: making, holding, ending, and the requests they send.
extension Agent {
  func hold(_ handle: Handle) { sessions[handle]?.holds += 1 }

  /// One transaction less; the last one of a session that is over takes it away.
  func release(_ handle: Handle) {
    guard let session = sessions[handle] else { return }
    session.holds -= 1
    settle(handle, session)
  }

  /// Takes a session away when nothing more can come of it.
  func settle(_ handle: Handle, _ session: Session) {
    guard session.phase == .over, session.holds == 0 else { return }
    for clock in Session.Clock.allCases { stop(clock, session) }
    _ = sessions.remove(handle)
  }

  func start(
    _ clock: Session.Clock, _ handle: Handle, _ session: Session, after wait: Interval, _ turn: borrowing Turn
  ) {
    stop(clock, session)
    session.clocks[clock.rawValue] = arm(.session(clock), handle, after: wait, turn)
  }

  func stop(_ clock: Session.Clock, _ session: Session) {
    wheel.cancel(session.clocks[clock.rawValue])
    session.clocks[clock.rawValue] = .none
  }

  /// Tells the owner, unless it has already been told of the end.
  func tell(_ session: Session, _ event: @autoclosure () -> AgentEvent) {
    if !session.isClosed { report(event()) }
  }

  /// Tells the owner of the end, once.
  func close(_ session: Session, _ event: AgentEvent) {
    guard !session.isClosed else { return }
    session.isClosed = true
    report(event)
  }

  /// The session does nothing more on its own: clocks stop, nothing waits.
  func finish(_ handle: Handle, _ session: Session) {
    if let address = session.caller {
      session.caller = nil
      let left = callsByAddress[address, default: 1] - 1
      callsByAddress[address] = left > 0 ? left : nil
    }
    session.phase = .over
    for clock in Session.Clock.allCases { stop(clock, session) }
    session.answer = nil
    session.provisional = nil
    session.queuedProvisional = nil
    session.delayedAnswer = nil
    session.queuedOffer = nil
    session.exchange = .none
    settle(handle, session)
  }

  /// Sends a request inside the session's dialog.
  @discardableResult
  func send(
    _ method: Method, _ purpose: Purpose, in handle: Handle, _ session: Session,
    headers: [(String, String)] = [],
    body: Body? = nil, hasContact: Bool = false, _ turn: inout Turn
  ) -> Handle? {
    guard let dialog = session.dialog else { return nil }
    return send(
      method, .session(handle, purpose), on: dialog, session, headers: headers, body: body,
      hasContact: hasContact,
      &turn)
  }

  @discardableResult
  func send(
    _ method: Method, _ owner: Owner, on dialog: Dialog, _ session: Session, headers: [(String, String)] = [],
    body: Body? = nil, hasContact: Bool = false, _ turn: inout Turn
  ) -> Handle? {
    session.localCSeq += 1
    let head = head(method, on: dialog, session, cseq: session.localCSeq)
    return start(
      head, owner: owner, headers: headers, body: body,
      contactUser: hasContact ? session.contactUser ?? "" : nil,
      destination: Destination(uri: head.target, flow: dialog.way, route: head.route), &turn)
  }

  func head(_ method: Method, on dialog: Dialog, _ session: Session, cseq: UInt32) -> RequestHead {
    let (target, route) = dialog.addressing
    var to = session.remote
    to.tag = dialog.remoteTag.isEmpty ? nil : dialog.remoteTag
    return RequestHead(
      method: method, target: target, from: session.local, to: to, callID: session.callID, cseq: cseq,
      route: route)
  }

  /// Ends one dialog with BYE; nobody waits for what comes of it.
  func bye(_ dialog: Dialog, _ session: Session, reason: Reason?, _ turn: inout Turn) {
    send(
      .bye, .nobody, on: dialog, session, headers: reason.map { [("Reason", $0.value)] } ?? [], &turn)
  }

  /// Ends an answered session from our side, whatever is still open in it, and tells the owner why.
  func tearDown(_ handle: Handle, _ session: Session, _ ending: Ending, reason: Reason?, _ turn: inout Turn) {
    close(session, .ended(SessionID(handle), ending))
    answerOpenRequests(session, &turn)
    switch session.phase {
    case .answeredOpen:
      if let dialog = session.dialog { acknowledge(session, session.invite, dialog, body: nil, &turn) }
      fallthrough
    case .established, .answering, .closing:
      if let dialog = session.dialog { bye(dialog, session, reason: reason, &turn) }
    case .inviting, .cancelling, .incoming, .over: break
    }
    finish(handle, session)
  }

  /// A re-INVITE or UPDATE of the peer that still waits is answered 487 when the session ends (§15.1.2).
  func answerOpenRequests(_ session: Session, _ turn: inout Turn) {
    switch session.exchange {
    case .theirs(let server, _): respond(server, status: 487, tag: session.localTag, &turn)
    case .none, .ours, .acknowledging: break
    }
  }

  /// An unanswered call of the peer cannot go on.
  func abandon(_ handle: Handle, _ session: Session, _ ending: Ending, _ turn: inout Turn) {
    close(session, .ended(SessionID(handle), ending))
    refuseInvite(session, status: ending == .timeout ? 487 : 480, &turn)
    finish(handle, session)
  }

  /// Hangs up, whatever that means at this moment: BYE, CANCEL, or a refusal. `ended(hungUp)` follows at once.
  package func hangUp(_ id: SessionID, reason: Reason? = nil, _ turn: inout Turn) {
    let handle = id.handle
    guard let session = sessions[handle], !session.isClosed else { return }
    switch session.phase {
    case .over, .closing: return
    case .inviting, .cancelling:
      close(session, .ended(id, .hungUp))
      if session.phase == .inviting { giveUp(handle, session, reason: reason, &turn) }
    case .incoming:
      close(session, .ended(id, .hungUp))
      refuseInvite(session, status: 480, headers: reason.map { [("Reason", $0.value)] } ?? [], &turn)
      finish(handle, session)
    case .answering:
      // A BYE before the ACK could overtake our answer.
      close(session, .ended(id, .hungUp))
      session.phase = .closing
      session.hangUpReason = reason
    case .answeredOpen, .established:
      tearDown(handle, session, .hungUp, reason: reason, &turn)
    }
  }

  /// The Call-ID and tags of a session, for `Replaces` and for the log; nil when it has no dialog yet or is gone.
  package func dialogID(of id: SessionID) -> ReplacesID? {
    guard let session = sessions[id.handle], let dialog = session.dialog else { return nil }
    return ReplacesID(callID: session.callID, toTag: dialog.remoteTag, fromTag: session.localTag)
  }

  /// How the peer of a session is heard; nil when it has no dialog yet or is gone.
  package func flow(of id: SessionID) -> Flow? { sessions[id.handle]?.dialog?.flow }

  func sessionClock(_ handle: Handle, _ clock: Session.Clock, _ turn: inout Turn) {
    guard let session = sessions[handle] else { return }
    session.clocks[clock.rawValue] = .none
    switch clock {
    case .answer: repeatAnswer(handle, session, &turn)
    case .answerEnd: answerUnacknowledged(handle, session, &turn)
    case .interval: intervalDue(handle, session, &turn)
    case .glare: proceedWithOffer(handle, session, &turn)
    case .limit: limitReached(handle, session, &turn)
    case .reliable: repeatProvisional(handle, session, &turn)
    case .ringing: keepRinging(handle, session, &turn)
    case .orphaned: if session.phase != .over { tearDown(handle, session, .transport, reason: nil, &turn) }
    }
  }

  private func limitReached(_ handle: Handle, _ session: Session, _ turn: inout Turn) {
    switch session.phase {
    case .inviting:
      close(session, .refused(SessionID(handle), status: 408, nil))
      giveUp(handle, session, reason: nil, &turn)
    case .cancelling:
      // The CANCEL had no effect: treated as if a 487 had come (§9.1).
      close(session, .refused(SessionID(handle), status: 487, nil))
      removeClient(session.invite)
      finish(handle, session)
    case .incoming: abandon(handle, session, .timeout, &turn)
    case .answeredOpen, .answering, .closing, .established, .over: return
    }
  }

  // MARK: What comes back

  func sessionHears(
    _ handle: Handle, _ purpose: Purpose, _ client: Handle, _ response: Message, on flow: Flow,
    _ turn: inout Turn
  ) {
    guard let session = sessions[handle] else { return }
    switch purpose {
    case .invite: inviteHears(handle, session, client, response, on: flow, &turn)
    case .reinvite(let isRefresh):
      reinviteHears(handle, session, client, response, on: flow, isRefresh: isRefresh, &turn)
    case .update(let isRefresh): updateHears(handle, session, response, isRefresh: isRefresh, &turn)
    case .info: tell(session, .response(TransactionID(client), response))
    case .bye, .prack, .notify: return
    }
  }

  func sessionMisses(
    _ handle: Handle, _ purpose: Purpose, _ client: Handle, _ why: Unanswered, _ turn: inout Turn
  ) {
    guard let session = sessions[handle] else { return }
    switch purpose {
    case .invite:
      let status = why == .timeout ? 408 : 503
      close(session, .refused(SessionID(handle), status: status, nil))
      finish(handle, session)
    case .reinvite(let isRefresh), .update(let isRefresh):
      guard session.phase != .over else { return }
      session.exchange = .none
      if !isRefresh { tell(session, .offerRefused(SessionID(handle), status: why == .timeout ? 408 : 503)) }
      tearDown(handle, session, why == .timeout ? .timeout : .transport, reason: nil, &turn)
    case .info: tell(session, .unanswered(TransactionID(client), why))
    case .bye, .prack, .notify: return
    }
  }
}
