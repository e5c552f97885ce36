package import Wire

// The caller's side of a session: INVITE, early dialogs and forks, the answer, giving up (§13.2, §9.1; RFC 3262 §4).
extension Agent {
  /// Begins a session. Its outcome comes as `progressed`, `answered` or `refused`; at the cap, `refused` with 503.
  package func invite(_ invitation: OutgoingInvitation, _ turn: inout Turn) -> SessionID {
    var local = invitation.from
    let session = Session(
      isCaller: true, callID: makeCallID(&turn), local: local, remote: invitation.to,
      cseq: UInt32(1 + turn.random.below(9_999)), leastInterval: configuration.minimumSessionInterval)
    guard let handle = sessions.insert(session) else {
      counters.overCapacity += 1
      report(.refused(SessionID(.none), status: 503, nil))
      return SessionID(.none)
    }
    session.localTag = Token.text(handle, turn.random.next())
    local.tag = session.localTag
    session.local = local
    session.remote.tag = nil
    session.contactUser = invitation.contactUser ?? invitation.from.uri.user
    session.invitation = invitation
    session.localBody = invitation.body
    start(.limit, handle, session, after: configuration.ringLimit, turn)
    sendInvite(handle, session, &turn)
    return SessionID(handle)
  }

  private func sendInvite(_ handle: Handle, _ session: Session, _ turn: inout Turn) {
    guard let invitation = session.invitation else { return }
    var head = RequestHead(
      method: .invite, target: invitation.destination.uri, from: session.local, to: session.remote,
      callID: session.callID, cseq: session.localCSeq, route: invitation.destination.route)
    head.maxForwards = invitation.maxForwards
    var headers = invitation.headers
    headers.append(("Allow", allowText))
    headers.append(("Supported", "timer, replaces"))
    if let interval = invitation.sessionExpires {
      headers.append(("Session-Expires", String(max(interval, session.leastInterval))))
      if session.intervalRetries > 0 { headers.append(("Min-SE", String(session.leastInterval))) }
    }
    let client = start(
      head, owner: .session(handle, .invite), headers: headers, body: invitation.body,
      contactUser: session.contactUser ?? "", destination: invitation.destination, &turn)
    guard let client else {
      close(session, .refused(SessionID(handle), status: 503, nil))
      return finish(handle, session)
    }
    session.invite = client
  }

  /// Gives an outgoing session up before its answer. It ends with `refused` (487 or what the peer says), or with
  /// `ended(answeredTooLate)` when the answer crossed.
  package func cancel(_ id: SessionID, reason: Reason? = nil, _ turn: inout Turn) {
    guard let session = sessions[id.handle], session.phase == .inviting, !session.isClosed else { return }
    giveUp(id.handle, session, reason: reason, &turn)
  }

  func giveUp(_ handle: Handle, _ session: Session, reason: Reason?, _ turn: inout Turn) {
    session.phase = .cancelling
    session.cancelReason = reason
    let isUnsent = clients.read(session.invite) { $0.flow == nil } ?? true
    if isUnsent {
      // Nothing has left yet: there is nobody to tell.
      close(session, .refused(SessionID(handle), status: 487, nil))
      removeClient(session.invite) { session.phase = .over }
      return finish(handle, session)
    }
    if session.hasProvisional { sendCancel(session.invite, reason: reason, &turn) }
    start(.limit, handle, session, after: configuration.timers.patience, turn)
  }

  func inviteHears(
    _ handle: Handle, _ session: Session, _ client: Handle, _ response: Message, on flow: Flow,
    _ turn: inout Turn
  ) {
    switch response.status {
    case ..<200: provisional(handle, session, response, on: flow, &turn)
    case 200..<300: success(handle, session, client, response, on: flow, &turn)
    default: refusal(handle, session, response, &turn)
    }
  }

  private func provisional(
    _ handle: Handle, _ session: Session, _ response: Message, on flow: Flow, _ turn: inout Turn
  ) {
    session.hasProvisional = true
    switch session.phase {
    case .cancelling: return sendCancel(session.invite, reason: session.cancelReason, &turn)
    case .inviting: break
    case .answeredOpen, .incoming, .answering, .closing, .established, .over: return
    }
    guard response.status > 100 else { return }
    if let tag = response.toTag {
      let place: Int
      if let known = session.place(of: tag) {
        place = known
      } else {
        guard session.dialogs.count < configuration.forkLimit,
          let dialog = Dialog(callerOf: response, on: flow, fallback: target(of: session))
        else { return }
        session.dialogs.append(dialog)
        place = session.dialogs.count - 1
      }
      if response.requires("100rel"), let sequence = response.value(.rseq).flatMap({ UInt32($0) }) {
        guard acknowledgeReliably(handle, session, place, response, sequence, &turn) else { return }
      }
    }
    tell(
      session,
      .progressed(SessionID(handle), status: response.status, body: Body(of: response), response))
  }

  private func target(of session: Session) -> URI {
    session.invitation?.destination.uri ?? session.remote.uri
  }

  /// Sends PRACK (RFC 3262 §4); false for one that comes again, or before its time.
  private func acknowledgeReliably(
    _ handle: Handle, _ session: Session, _ place: Int, _ response: Message, _ sequence: UInt32,
    _ turn: inout Turn
  ) -> Bool {
    if let last = session.dialogs[place].reliableSequence, sequence != last &+ 1 { return false }
    session.dialogs[place].reliableSequence = sequence
    session.dialogs[place].refresh(by: response)
    send(
      .prack, .session(handle, .prack), on: session.dialogs[place], session,
      headers: [("RAck", "\(sequence) \(response.cseq.number) INVITE")], &turn)
    return true
  }

  private func success(
    _ handle: Handle, _ session: Session, _ client: Handle, _ response: Message, on flow: Flow,
    _ turn: inout Turn
  ) {
    let tag = response.toTag ?? ""
    if repeatAcknowledgement(client, tag, on: flow, &turn) { return }
    var place = session.place(of: tag)
    if place == nil {
      // Twice the early forks: a hostile peer may make up tags for as long as the transaction lasts.
      guard session.dialogs.count < 2 * configuration.forkLimit else { return }
      guard let dialog = Dialog(callerOf: response, on: flow, fallback: target(of: session)) else {
        return useless(handle, session, on: flow)
      }
      session.dialogs.append(dialog)
      place = session.dialogs.count - 1
    }
    guard let place else { return }
    session.dialogs[place].confirm(by: response, on: flow)
    let dialog = session.dialogs[place]
    switch session.phase {
    case .inviting:
      session.chosen = place
      // From now on only this dialog counts.
      stop(.limit, session)
      session.timer = SessionTimer.settled(
        byResponse: response.value(.sessionExpires).flatMap { SessionTimer.Field($0) },
        least: configuration.minimumSessionInterval)
      startInterval(handle, session, turn)
      let body = Body(of: response)
      session.remoteBody = body
      if session.invitation?.body == nil, body != nil {
        session.phase = .answeredOpen
      } else {
        session.phase = .established
        acknowledge(session, client, dialog, body: nil, &turn)
      }
      report(.answered(SessionID(handle), body: body, response))
      if session.phase == .established { proceedWithOffer(handle, session, &turn) }
    case .cancelling:
      acknowledge(session, client, dialog, body: nil, &turn)
      bye(dialog, session, reason: session.cancelReason, &turn)
      close(session, .ended(SessionID(handle), .answeredTooLate))
      finish(handle, session)
    case .answeredOpen where session.chosen == place:
      // Our answer, and with it the ACK, is still being made.
      return
    case .answeredOpen, .established, .over:
      // Another fork answered too (§13.2.2.4), or this one after all was over.
      acknowledge(session, client, dialog, body: nil, &turn)
      bye(dialog, session, reason: .completedElsewhere, &turn)
    case .incoming, .answering, .closing: return
    }
  }

  /// A 2xx that makes no dialog can be neither acknowledged nor hung up.
  private func useless(_ handle: Handle, _ session: Session, on flow: Flow) {
    report(.mistake(.uselessAnswer, flow))
    switch session.phase {
    case .inviting, .cancelling:
      close(session, .refused(SessionID(handle), status: 502, nil))
      finish(handle, session)
    case .answeredOpen, .incoming, .answering, .closing, .established, .over: return
    }
  }

  private func refusal(_ handle: Handle, _ session: Session, _ response: Message, _ turn: inout Turn) {
    switch session.phase {
    case .inviting, .cancelling: break
    case .answeredOpen, .incoming, .answering, .closing, .established, .over: return
    }
    if response.status == 422, session.phase == .inviting, session.intervalRetries < 2,
      session.invitation?.sessionExpires != nil,
      let least = response.value(.minSE).flatMap({ SessionTimer.seconds($0) })
    {
      session.intervalRetries += 1
      session.leastInterval = max(session.leastInterval, least)
      session.localCSeq += 1
      session.dialogs.removeAll()
      session.hasProvisional = false
      return sendInvite(handle, session, &turn)
    }
    close(session, .refused(SessionID(handle), status: response.status, response))
    finish(handle, session)
  }

  // MARK: ACK to 2xx

  /// Answers the offer that came in a 2xx, in its ACK.
  package func acknowledge(_ id: SessionID, body: Body, _ turn: inout Turn) {
    guard let session = sessions[id.handle], session.phase == .answeredOpen, let dialog = session.dialog
    else { return }
    session.phase = .established
    session.localBody = body
    acknowledge(session, session.invite, dialog, body: body, &turn)
    proceedWithOffer(id.handle, session, &turn)
  }

  /// Sends the ACK to a 2xx of `client`'s INVITE and keeps it for when the 2xx comes again (§13.2.2.4).
  func acknowledge(_ session: Session, _ client: Handle, _ dialog: Dialog, body: Body?, _ turn: inout Turn) {
    guard let cseq = clients.read(client, { $0.head.cseq }) else { return }
    let flow = dialog.way
    guard let local = localEndpoint(on: flow) else { return }
    var named = flow
    named.local = local.endpoint
    let via = Agent.via(.none, turn.random.next(), named)
    let head = head(.ack, on: dialog, session, cseq: cseq)
    let bytes = head.bytes(via: via, body: body)
    turn.out.send(bytes, on: flow)
    clients.update(client) {
      $0.acknowledgements.append(.init(tag: dialog.remoteTag, bytes: bytes, flow: flow))
    }
  }

  /// The 2xx of this tag came again: so does its ACK. False when it was not acknowledged before.
  func repeatAcknowledgement(_ client: Handle, _ tag: String, on flow: Flow, _ turn: inout Turn) -> Bool {
    let known = clients.read(client) { record in record.acknowledgements.first { $0.tag == tag } }
    guard let known = known ?? nil else { return false }
    // The connection of the first copy may be gone by now; the one the 2xx came over is not.
    turn.out.send(known.bytes, on: known.flow.transport.isReliable ? flow : known.flow)
    return true
  }
}

extension Body {
  /// The body of a message; nil when it has none.
  init?(of message: Message) {
    guard message.hasBody else { return nil }
    self.init(contentType: message.value(.contentType) ?? "application/octet-stream", bytes: message.body)
  }
}
