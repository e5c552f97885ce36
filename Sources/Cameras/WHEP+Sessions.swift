internal import Directory
internal import HTTP
internal import ICE
internal import SDP
internal import Web
internal import Wire

// What is asked of a session at its own address.

extension WHEP {
  /// The session that a request is for, or the answer that there is none for it, or not for this sender.
  private func find(_ request: WebRequest) -> Result<ViewerSession, WHEPRefusal> {
    let id = request["session"]
    let session = sessions.all.first { $0.id == id && $0.camera.rawValue == request["camera"] }
    if request.head.fields["Authorization"] != nil {
      let token = WebGuard.bearer(request.head)
      let isViewer = session.map { token != nil && token == $0.viewer.token } ?? false
      if !isViewer {
        guard let token, let holder = authority.whoShows(token, from: request.peer) else {
          return .failure(.init(reply: WHEP.badToken))
        }
        if let session, session.viewer.holder != holder {
          return .failure(.init(reply: .problem(403, "this session is somebody else's")))
        }
      }
    } else if let session, session.talk != nil || session.address != request.peer.address {
      return .failure(.init(reply: WHEP.noToken))
    }
    guard let session else {
      return .failure(.init(reply: .problem(404, "there is no such session", next: "post a new offer")))
    }
    return .success(session)
  }

  private struct WHEPRefusal: Error {
    var reply: WebReply
  }

  func describe(_ request: WebRequest, _ answer: (WebReply) -> Void) {
    switch find(request) {
    case .failure(let refusal): answer(refusal.reply)
    case .success(let session):
      answer(
        WebReply(
          200,
          fields: [
            "Content-Type": WHEP.sdp, "ETag": "\"\(session.tag)\"",
            "Accept-Patch": session.isProposed ? WHEP.sdp : WHEP.fragment,
          ]))
    }
  }

  func delete(_ request: WebRequest, _ answer: (WebReply) -> Void) {
    switch find(request) {
    case .failure(let refusal):
      // Whoever ends it twice has what it wants.
      answer(
        refusal.reply.status == 404 && sessions.hasEnded(request["session"])
          ? WebReply(200) : refusal.reply)
    case .success(let session):
      end(session)
      answer(WebReply(200))
    }
  }

  func patch(_ request: WebRequest, _ answer: @escaping (WebReply) -> Void) {
    switch find(request) {
    case .failure(let refusal): answer(refusal.reply)
    case .success(let session):
      if session.isProposed { return answer(accept(request, session)) }
      trickle(request, session, answer)
    }
  }

  /// The answer to our own offer.
  private func accept(_ request: WebRequest, _ session: ViewerSession) -> WebReply {
    guard WHEP.isType(request, WHEP.sdp) else { return WHEP.wrongType(WHEP.sdp, "Accept-Patch") }
    guard let description = try? SessionDescription(parsing: request.body) else {
      return WHEP.problem(400, "this is no session description", reason: "malformed")
    }
    if let refusal = seats.accept(description, on: session.leg) { return answer(to: refusal) }
    session.isProposed = false
    sessions.extend(session, to: clock() + limits.connecting)
    figures.opened += 1
    return WebReply(204)
  }

  private func trickle(
    _ request: WebRequest, _ session: ViewerSession, _ answer: @escaping (WebReply) -> Void
  ) {
    guard let talk = session.talk else { return answer(trickle(request, session)) }
    if let refusal = check(request, session) { return answer(refusal) }
    talk.trickle(request.body) { [weak session] outcome, tag in
      if let tag { session?.tag = tag }
      answer(self.reply(to: outcome, tag: session?.tag ?? ""))
    }
  }

  /// What is wrong with a request that is about ICE, before its body is looked at.
  private func check(_ request: WebRequest, _ session: ViewerSession) -> WebReply? {
    guard WHEP.isType(request, WHEP.fragment) else { return WHEP.wrongType(WHEP.fragment, "Accept-Patch") }
    let tags = request.head.fields.elements("If-Match")
    guard !tags.isEmpty else {
      return WHEP.problem(
        428, "say which generation of ICE this is about", reason: "no-tag",
        next: "send If-Match with the ETag")
    }
    // The draft writes the star in quotes, RFC 9110 without.
    guard tags.contains("*") || tags.contains("\"*\"") || tags.contains("\"\(session.tag)\"") else {
      return WHEP.problem(
        412, "this is about an earlier generation of ICE", reason: "stale",
        next: "send If-Match: * with new credentials to restart it")
    }
    return nil
  }

  private func trickle(_ request: WebRequest, _ session: ViewerSession) -> WebReply {
    if let refusal = check(request, session) { return refusal }
    guard let fragment = TrickleFragment(parsing: request.body) else {
      return WHEP.problem(400, "this is no fragment of a session description", reason: "malformed")
    }
    let outcome = seats.trickle(fragment, on: session.leg)
    if case .restarted = outcome { session.tag = random.hex(bytes: 8) }
    return reply(to: outcome, tag: session.tag)
  }

  private func reply(to outcome: SeatTrickle, tag: String) -> WebReply {
    switch outcome {
    case .taken: WebReply(204)
    case .refused(let text): WHEP.problem(422, text, reason: "refused")
    case .restarted(let ours):
      WebReply(200, fields: ["Content-Type": WHEP.fragment, "ETag": "\"\(tag)\""], body: ours)
    }
  }
}
