internal import Wire

// Requests: who they belong to, and what is wrong with them (§8.2, §9.2, §12.2.2).
extension Agent {
  func receive(request: Message, on flow: Flow, _ turn: inout Turn) {
    switch request.method {
    case .ack: return receive(ack: request, on: flow, &turn)
    case .cancel: return receive(cancel: request, on: flow, &turn)
    case .invite, .bye, .register, .options, .info, .update, .prack, .refer, .notify, .subscribe, .message,
      .publish, .other:
      break
    }
    let key = TransactionKey(request, method: request.method, from: flow.remote.address)
    if let known = server(matching: key) {
      counters.retransmissionsReceived += 1
      return serverClock(known, .repeated, &turn)
    }
    // A REGISTER never belongs to a dialog, whatever tag an old device leaves in its To.
    if request.toTag != nil, request.method != .register {
      return receive(inDialog: request, key: key, on: flow, &turn)
    }
    receive(outOfDialog: request, key: key, on: flow, &turn)
  }

  private func receive(outOfDialog request: Message, key: TransactionKey, on flow: Flow, _ turn: inout Turn) {
    guard gate.hears(request, on: flow, &turn) else { return }
    if request.method == .invite, isLoop(request) {
      return refuse(request, on: flow, 482, &turn)
    }
    guard let uri = request.requestURI else { return }
    guard uri.kind == .sip || uri.kind == .sips else { return refuse(request, on: flow, 416, &turn) }
    guard gate.serves(uri, on: flow) else { return refuse(request, on: flow, 404, &turn) }
    switch gate.decide(request, on: flow, &turn) {
    case .silence: return
    case .challenge(let headers, let status):
      counters.challenged += 1
      return respondStateless(request, on: flow, status: status, headers: headers, &turn)
    case .refuse(let status, let headers):
      return refuse(request, on: flow, status, headers: headers, &turn)
    case .admit(let identity):
      guard let complaint = complaint(about: request) else {
        return admitted(request, key: key, on: flow, identity, &turn)
      }
      refuse(request, on: flow, complaint.status, headers: complaint.headers, &turn)
    }
  }

  func refuse(
    _ request: Message, on flow: Flow, _ status: Int, headers: [(String, String)] = [], _ turn: inout Turn
  ) {
    counters.refused += 1
    respondStateless(request, on: flow, status: status, headers: headers, &turn)
  }

  func refuseForCapacity(_ request: Message, on flow: Flow, _ turn: inout Turn) {
    counters.overCapacity += 1
    report(.mistake(.overCapacity, flow))
    respondStateless(
      request, on: flow, status: 503, headers: [("Retry-After", String(configuration.retryAfter))], &turn)
  }

  /// A reason not to take a request, and the answer that says so.
  struct Complaint {
    var status: Int
    var headers: [(String, String)] = []
  }

  /// What 8.2.1 to 8.2.3 find wrong; nil for nothing. Asked after the gate, so that strangers learn nothing.
  func complaint(about request: Message) -> Complaint? {
    switch request.method {
    case .invite, .ack, .bye, .cancel, .register, .options, .info, .update, .prack, .refer, .notify, .message:
      break
    case .subscribe:
      return Complaint(status: 489, headers: [("Allow-Events", "refer")])
    case .publish: return Complaint(status: 405, headers: [("Allow", allowText)])
    case .other: return Complaint(status: 501, headers: [("Allow", allowText)])
    }
    let unknown = (request.values(.require) + request.values(.proxyRequire)).filter { option in
      !configuration.supported.contains { ASCII.equalIgnoringCase($0, option) }
    }
    if !unknown.isEmpty {
      return Complaint(status: 420, headers: [("Unsupported", unknown.prefix(8).joined(separator: ", "))])
    }
    switch request.method {
    case .invite:
      if request.maxForwards == 0 { return Complaint(status: 483) }
      return bodyComplaint(about: request)
    case .update, .prack: return bodyComplaint(about: request)
    case .ack, .bye, .cancel, .register, .options, .info, .refer, .notify, .subscribe, .message, .publish,
      .other:
      return nil
    }
  }

  private func bodyComplaint(about request: Message) -> Complaint? {
    if request.hasBody {
      guard request.contentType == "application/sdp" else {
        return Complaint(status: 415, headers: [("Accept", "application/sdp")])
      }
      let encodings = request.values(.contentEncoding)
      guard encodings.allSatisfy({ ASCII.equalIgnoringCase($0, "identity") }) else {
        return Complaint(status: 415, headers: [("Accept-Encoding", "identity")])
      }
    }
    let accepted = request.values(.accept).map { Body(contentType: $0, bytes: []).mediaType }
    if !accepted.isEmpty,
      !accepted.contains(where: { ["application/sdp", "application/*", "*/*"].contains($0) })
    {
      return Complaint(status: 406)
    }
    return nil
  }

  /// An INVITE that is here already by another way (§8.2.2.2), or one of ours that came back.
  private func isLoop(_ request: Message) -> Bool {
    guard let tag = request.fromTag else { return false }
    let key = MergeKey(callID: request.callID, fromTag: tag, cseq: request.cseq.number)
    if merges[key] != nil { return true }
    guard let (handle, _) = Token.parse(tag), let session = sessions[handle] else { return false }
    return session.localTag == tag && session.callID == request.callID
  }

  private func admitted(
    _ request: Message, key: TransactionKey, on flow: Flow, _ identity: Identity, _ turn: inout Turn
  ) {
    switch request.method {
    case .invite: invited(request, key: key, on: flow, identity, &turn)
    case .register, .options, .message, .refer, .info, .notify:
      guard let handle = makeServer(request, key: key, on: flow, &turn) else {
        return refuseForCapacity(request, on: flow, &turn)
      }
      report(.request(TransactionID(handle), request, flow, identity))
    case .bye, .update, .prack:
      // These have no meaning outside a dialog.
      refuse(request, on: flow, 481, &turn)
    case .ack, .cancel, .subscribe, .publish, .other: return
    }
  }

  // MARK: ACK and CANCEL

  private func receive(ack: Message, on flow: Flow, _ turn: inout Turn) {
    let key = TransactionKey(ack, method: .invite, from: flow.remote.address)
    if let known = server(matching: key) {
      let isAnswered = servers.read(known) { $0.machine.state == .accepted } ?? false
      // An RFC 2543 device's ACK to a 2xx matches the INVITE's key as well.
      if !isAnswered { return serverClock(known, .acknowledged, &turn) }
    }
    guard let (handle, session) = session(of: ack, on: flow) else {
      counters.strayRequests += 1
      return
    }
    acknowledged(handle, session, by: ack, &turn)
  }

  private func receive(cancel: Message, on flow: Flow, _ turn: inout Turn) {
    let key = TransactionKey(cancel, method: .cancel, from: flow.remote.address)
    if let known = server(matching: key) {
      counters.retransmissionsReceived += 1
      return serverClock(known, .repeated, &turn)
    }
    let inviteKey = TransactionKey(cancel, method: .invite, from: flow.remote.address)
    guard let invite = server(matching: inviteKey),
      let record = servers.read(invite, { ($0.session, $0.machine.isFinal, $0.tag) })
    else {
      counters.strayRequests += 1
      guard gate.hears(cancel, on: flow, &turn) else { return }
      return respondStateless(cancel, on: flow, status: 481, &turn)
    }
    if let handle = makeServer(cancel, key: key, on: flow, &turn) {
      let tag = sessions[record.0]?.localTag ?? record.2
      respond(handle, status: 200, tag: tag.isEmpty ? nil : tag, &turn)
    } else {
      respondStateless(cancel, on: flow, status: 200, &turn)
    }
    guard !record.1, let session = sessions[record.0] else { return }
    cancelled(record.0, session, invite, Reason(in: cancel.values(.reason)), &turn)
  }

  // MARK: Finding the session

  /// The session whose dialog a request belongs to: by our tag, then Call-ID, the peer's tag, and the address.
  func session(of request: Message, on flow: Flow) -> (Handle, Session)? {
    guard let tag = request.toTag, let (handle, _) = Token.parse(tag), let session = sessions[handle],
      session.localTag == tag, session.callID == request.callID,
      let place = session.place(of: request.fromTag ?? ""), session.dialogs[place].admits(flow)
    else { return nil }
    return (handle, session)
  }

  /// The live session that a `Replaces` value names; nil when there is none.
  package func session(named replaces: ReplacesID) -> SessionID? {
    guard let (handle, _) = Token.parse(replaces.toTag), let session = sessions[handle],
      session.localTag == replaces.toTag, session.callID == replaces.callID, session.phase != .over,
      session.place(of: replaces.fromTag) != nil
    else { return nil }
    return SessionID(handle)
  }

  /// The session that an admitted INVITE asks to take the place of (RFC 3891); nil when it asks for none.
  package func session(replacedBy invite: Message) -> SessionID? {
    invite.value(.replaces).flatMap { ReplacesID($0) }.flatMap { session(named: $0) }
  }
}

extension ReplacesID {
  /// Reads a `Replaces` value; nil when a tag is missing.
  package init?(_ value: String) {
    let list = ParameterList(value)
    guard !list.head.isEmpty, let to = list["to-tag"], let from = list["from-tag"] else { return nil }
    self.init(callID: list.head, toTag: to, fromTag: from, isEarlyOnly: list["early-only"] != nil)
  }
}
