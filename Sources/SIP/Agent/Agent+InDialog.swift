package import Wire

// Requests inside a dialog (§12.2.2, §14.2, §15.1.2), and the ones we send there for the owner.
extension Agent {
  func receive(inDialog request: Message, key: TransactionKey, on flow: Flow, _ turn: inout Turn) {
    guard let (handle, session) = session(of: request, on: flow), session.phase != .over,
      let place = session.place(of: request.fromTag ?? "")
    else {
      counters.strayRequests += 1
      report(.mistake(.outsideDialog, flow))
      guard gate.hears(request, on: flow, &turn) else { return }
      return respondStateless(request, on: flow, status: 481, &turn)
    }
    if let complaint = complaint(about: request) {
      return refuse(request, on: flow, complaint.status, headers: complaint.headers, &turn)
    }
    guard session.dialogs[place].accept(request.cseq.number) else {
      report(.mistake(.oldSequence, flow))
      return refuse(request, on: flow, 500, &turn)
    }
    // Replies of a dialog leave by the way its peer was heard last.
    if session.dialogs[place].flow.transport == flow.transport {
      session.dialogs[place].flow = flow
      stop(.orphaned, session)
    }
    guard let server = makeServer(request, key: key, on: flow, session: handle, &turn) else {
      return refuseForCapacity(request, on: flow, &turn)
    }
    switch request.method {
    case .bye: hungUp(handle, session, place, by: request, server, &turn)
    case .prack: acknowledgedReliably(handle, session, by: request, server, &turn)
    case .options:
      reply(TransactionID(server), status: 200, &turn)
    case .invite: reinvited(handle, session, place, by: request, server, &turn)
    case .update: updated(handle, session, place, by: request, server, &turn)
    case .info:
      // INFO without a body asks only whether we are there.
      guard !session.isClosed, let body = Body(of: request) else {
        return respond(server, status: 200, &turn)
      }
      report(.informed(SessionID(handle), TransactionID(server), body))
    case .refer: referred(handle, session, by: request, server, &turn)
    case .message:
      guard !session.isClosed, let identity = session.identity else {
        return respond(server, status: 405, headers: [(.allow, allowText)], &turn)
      }
      report(.request(TransactionID(server), request, flow, identity))
    case .notify: respond(server, status: 481, &turn)
    case .register, .ack, .cancel, .subscribe, .publish, .other:
      respond(server, status: 405, headers: [(.allow, allowText)], &turn)
    }
  }

  private func hungUp(
    _ handle: Handle, _ session: Session, _ place: Int, by bye: Message, _ server: Handle, _ turn: inout Turn
  ) {
    respond(server, status: 200, &turn)
    let reason = Reason(in: bye.values(.reason))
    switch session.phase {
    case .incoming:
      // A caller may leave an early dialog with BYE as well as with CANCEL (§15).
      close(session, .cancelled(SessionID(handle), reason))
      refuseInvite(session, status: 487, &turn)
    case .inviting:
      // One of several forks leaves; the others ring on.
      guard session.dialogs.count == 1 else {
        session.dialogs.remove(at: place)
        return
      }
      close(session, .ended(SessionID(handle), .bye(reason)))
      return giveUp(handle, session, reason: nil, &turn)
    case .cancelling: return
    case .answeredOpen, .answering, .closing, .established:
      guard session.chosen == place else { return }
      close(session, .ended(SessionID(handle), .bye(reason)))
      answerOpenRequests(session, &turn)
    case .over: return
    }
    finish(handle, session)
  }

  private func referred(
    _ handle: Handle, _ session: Session, by refer: Message, _ server: Handle, _ turn: inout Turn
  ) {
    let values = refer.values(.referTo)
    guard values.count == 1, let target = NameAddress(values[0]), !session.isClosed else {
      return respond(server, status: 400, reason: "Missing or Unusable Refer-To", &turn)
    }
    let replaces = ReplacesID(in: target.uri)
    // As with calls: a name of another house is none of ours. A dialog of ours is found by its own name.
    guard replaces != nil || session.dialog.map({ gate.serves(target.uri, on: $0.flow) }) ?? false else {
      return respond(server, status: 404, &turn)
    }
    guard session.transferSequences.count < 4 else { return busy(server, &turn) }
    session.transferSequences.append(refer.cseq.number)
    report(
      .transferRequested(
        SessionID(handle), TransactionID(server), referTo: target, replaces: replaces))
  }

  // MARK: For the owner

  /// Sends INFO inside a session; its outcome comes as `.response` or `.unanswered`.
  @discardableResult
  package func info(_ id: SessionID, body: Body, _ turn: inout Turn) -> TransactionID {
    guard let session = sessions[id.handle], session.isAnswered, !session.isClosed,
      let client = send(.info, .info, in: id.handle, session, body: body, &turn)
    else {
      report(.unanswered(TransactionID(.none), .transport))
      return TransactionID(.none)
    }
    return TransactionID(client)
  }

  /// Tells the peer that sent REFER how far the transfer is (RFC 3515 §2.4.4); a final status ends the subscription.
  package func notifyTransfer(_ id: SessionID, status: Int, _ turn: inout Turn) {
    guard let session = sessions[id.handle], !session.isClosed, let sequence = session.transferSequences.first
    else { return }
    let isFinal = status >= 200
    if isFinal { session.transferSequences.removeFirst() }
    send(
      .notify, .notify, in: id.handle, session,
      headers: [
        ("Event", "refer;id=\(sequence)"),
        ("Subscription-State", isFinal ? "terminated;reason=noresource" : "active;expires=60"),
      ],
      body: Body(
        contentType: "message/sipfrag;version=2.0",
        bytes: Array("SIP/2.0 \(status) \(Response.reason(for: status))\r\n".utf8)),
      hasContact: true, &turn)
  }
}

extension ReplacesID {
  /// The `Replaces` among the headers of a Refer-To URI, with its escapes undone.
  init?(in uri: URI) {
    for field in (uri.headers ?? "").split(separator: "&") {
      let pair = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard pair.count == 2, ASCII.equalIgnoringCase(Text.unescaped(String(pair[0])), "Replaces") else {
        continue
      }
      guard let replaces = ReplacesID(Text.unescaped(String(pair[1]))) else { return nil }
      self = replaces
      return
    }
    return nil
  }
}
