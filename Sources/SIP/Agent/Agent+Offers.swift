package import Wire

// Offers after the first, and the session timer that travels with them (§14, RFC 3311, RFC 4028).
//
// One exchange at a time in either direction. An offer of ours waits in the session until the exchange before it is
// done; 491 sends it back there for a random while (§14.1), which differs for caller and callee so that two who
// collided do not collide again.
extension Agent {
  // MARK: The peer's

  /// A re-INVITE came.
  func reinvited(
    _ handle: Handle, _ session: Session, _ place: Int, by request: Message, _ server: Handle,
    _ turn: inout Turn
  ) {
    guard session.chosen == place, !session.isClosed else { return respond(server, status: 481, &turn) }
    if let complaint = timerComplaint(about: request) {
      return respond(server, status: complaint.status, headers: [(.minSE, complaint.headers[0].1)], &turn)
    }
    switch session.phase {
    case .established: break
    case .incoming, .answering: return busy(server, &turn)
    case .inviting, .cancelling, .answeredOpen, .closing, .over: return respond(server, status: 491, &turn)
    }
    switch session.exchange {
    case .none: break
    case .ours: return respond(server, status: 491, &turn)
    case .theirs, .acknowledging: return busy(server, &turn)
    }
    session.dialogs[place].refresh(by: request)
    session.exchange = .theirs(server, isUpdate: false)
    respond(server, status: 100, tag: "", &turn)
    report(.offered(SessionID(handle), body: Body(of: request)))
  }

  /// An UPDATE came: with a body an offer, without one a sign of life.
  func updated(
    _ handle: Handle, _ session: Session, _ place: Int, by request: Message, _ server: Handle,
    _ turn: inout Turn
  ) {
    if let complaint = timerComplaint(about: request) {
      return respond(server, status: complaint.status, headers: [(.minSE, complaint.headers[0].1)], &turn)
    }
    guard let body = Body(of: request) else {
      session.dialogs[place].refresh(by: request)
      return succeedUpdate(server, handle, session, body: nil, &turn)
    }
    guard session.chosen == place, !session.isClosed else { return respond(server, status: 481, &turn) }
    switch session.exchange {
    case .none: break
    case .ours: return respond(server, status: 491, &turn)
    case .theirs, .acknowledging: return busy(server, &turn)
    }
    switch session.phase {
    case .established, .answering: break
    // Before an answer there is nothing yet to change, unless a reliable response carried it.
    case .incoming where session.localBody != nil && session.provisional == nil: break
    case .incoming, .inviting, .cancelling, .answeredOpen, .closing, .over:
      return respond(server, status: 491, &turn)
    }
    session.dialogs[place].refresh(by: request)
    session.exchange = .theirs(server, isUpdate: true)
    report(.offered(SessionID(handle), body: body))
  }

  /// An exchange is not finished; the peer may try again soon (§14.2).
  func busy(_ server: Handle, _ turn: inout Turn) {
    let seconds = turn.random.below(10)
    respond(server, status: 500, headers: [(.retryAfter, String(seconds))], &turn)
  }

  /// Answers the peer's offer; where the peer asked for ours, `body` is the offer and the ACK brings the answer as
  /// `offerAccepted`.
  package func acceptOffer(_ id: SessionID, body: Body?, _ turn: inout Turn) {
    let handle = id.handle
    guard let session = sessions[handle] else { return }
    switch session.exchange {
    case .theirs(let server, let isUpdate):
      guard let request = servers.read(server, { $0.request }) ?? nil else { return }
      let offer = Body(of: request)
      if let body { session.localBody = body }
      if let offer { session.remoteBody = offer }
      if isUpdate {
        session.exchange = .none
        succeedUpdate(server, handle, session, body: body, &turn)
        proceedWithOffer(handle, session, &turn)
      } else {
        session.exchange = .acknowledging(isOffer: offer == nil)
        succeed(
          server, handle, session, cseq: request.cseq.number, body: body, headers: [], isInitial: false,
          isOffer: offer == nil && body != nil, &turn)
      }
    case .none, .ours, .acknowledging: return
    }
  }

  /// Refuses the peer's offer, 488 as a rule; the session goes on as before.
  package func refuseOffer(_ id: SessionID, status: Int = 488, _ turn: inout Turn) {
    guard let session = sessions[id.handle], (300..<700).contains(status) else { return }
    switch session.exchange {
    case .theirs(let server, _):
      session.exchange = .none
      respond(server, status: status, &turn)
      proceedWithOffer(id.handle, session, &turn)
    case .none, .ours, .acknowledging: return
    }
  }

  private func succeedUpdate(
    _ server: Handle, _ handle: Handle, _ session: Session, body: Body?, _ turn: inout Turn
  ) {
    guard let request = servers.read(server, { $0.request }) ?? nil,
      var response = response(server, status: 200)
    else { return }
    if let flow = session.dialog?.flow {
      response.add(.contact, contact(user: session.contactUser, on: flow))
    }
    response.add(.allow, allowText)
    response.add(.supported, "timer, replaces")
    settleInterval(session, by: request, &response)
    respond(
      server, status: 200, response.encoded(body: body?.bytes ?? [], contentType: body?.contentType), &turn)
    startInterval(handle, session, turn)
  }

  // MARK: Ours

  /// Offers new media by re-INVITE. Before the call is confirmed, or while another exchange goes on, it waits its turn
  /// and repeats itself after 491; ends in `offerAccepted` or `offerRefused`. A later offer replaces a waiting one.
  package func offer(_ id: SessionID, body: Body, _ turn: inout Turn) {
    guard let session = sessions[id.handle], session.phase != .over, !session.isClosed else { return }
    session.queuedOffer = body
    proceedWithOffer(id.handle, session, &turn)
  }

  /// Sends the waiting offer if nothing stands in its way.
  func proceedWithOffer(_ handle: Handle, _ session: Session, _ turn: inout Turn) {
    guard let body = session.queuedOffer, session.exchange == .none, !session.isClosed,
      session.clocks[Session.Clock.glare.rawValue] == .none
    else { return }
    switch session.phase {
    case .established: sendOffer(.invite, body, handle, session, isRefresh: false, &turn)
    case .inviting, .incoming, .answering, .answeredOpen: return
    case .cancelling, .closing, .over: return
    }
  }

  private func sendOffer(
    _ method: Method, _ body: Body?, _ handle: Handle, _ session: Session, isRefresh: Bool, _ turn: inout Turn
  ) {
    if !isRefresh { session.queuedOffer = nil }
    if let body { session.localBody = body }
    var headers = [("Supported", "timer, replaces")]
    if let timer = session.timer {
      headers.append(
        ("Session-Expires", "\(timer.interval);refresher=\(timer.refresher == .us ? "uac" : "uas")"))
      headers.append(("Min-SE", String(session.leastInterval)))
    }
    let purpose: Purpose = method == .update ? .update(isRefresh: isRefresh) : .reinvite(isRefresh: isRefresh)
    if let client = send(
      method, purpose, in: handle, session, headers: headers, body: body, hasContact: true, &turn)
    {
      session.exchange = .ours(client)
    } else {
      tearDown(handle, session, .transport, reason: nil, &turn)
    }
  }

  func reinviteHears(
    _ handle: Handle, _ session: Session, _ client: Handle, _ response: Message, on flow: Flow,
    isRefresh: Bool,
    _ turn: inout Turn
  ) {
    guard response.status >= 200 else { return }
    if response.status < 300 {
      if repeatAcknowledgement(client, response.toTag ?? "", on: flow, &turn) { return }
      session.dialog?.refresh(by: response)
      if let dialog = session.dialog { acknowledge(session, client, dialog, body: nil, &turn) }
    }
    offerOutcome(handle, session, response, isRefresh: isRefresh, client, &turn)
  }

  func updateHears(
    _ handle: Handle, _ session: Session, _ response: Message, isRefresh: Bool, _ turn: inout Turn
  ) {
    guard response.status >= 200 else { return }
    if response.status < 300 { session.dialog?.refresh(by: response) }
    switch session.exchange {
    case .ours(let client): offerOutcome(handle, session, response, isRefresh: isRefresh, client, &turn)
    case .none, .theirs, .acknowledging: return
    }
  }

  private func offerOutcome(
    _ handle: Handle, _ session: Session, _ response: Message, isRefresh: Bool, _ client: Handle,
    _ turn: inout Turn
  ) {
    guard session.exchange == .ours(client), session.phase != .over else { return }
    session.exchange = .none
    switch response.status {
    case 200..<300:
      adoptInterval(handle, session, response, turn)
      let body = Body(of: response)
      if !isRefresh || (body != nil && body != session.remoteBody) {
        session.remoteBody = body ?? session.remoteBody
        tell(session, .offerAccepted(SessionID(handle), body: body))
      }
    case 491:
      if !isRefresh, session.queuedOffer == nil { session.queuedOffer = session.localBody }
      let pause = session.isCaller ? 210 + turn.random.below(191) : turn.random.below(201)
      if isRefresh {
        start(.interval, handle, session, after: .milliseconds(Int64(pause) * 10), turn)
      } else {
        start(.glare, handle, session, after: .milliseconds(Int64(pause) * 10), turn)
        return
      }
    case 422 where session.intervalRetries < 2 && session.timer != nil:
      session.intervalRetries += 1
      session.leastInterval = max(
        session.leastInterval, response.value(.minSE).flatMap { SessionTimer.seconds($0) } ?? 0)
      let least = session.leastInterval
      if let timer = session.timer { session.timer?.interval = max(timer.interval, least) }
      if isRefresh { return refresh(handle, session, &turn) }
      if session.queuedOffer == nil { session.queuedOffer = session.localBody }
    case 408, 481:
      if !isRefresh { tell(session, .offerRefused(SessionID(handle), status: response.status)) }
      return tearDown(handle, session, .timeout, reason: nil, &turn)
    default:
      if isRefresh {
        // The peer is alive, whatever it thinks of the refresh.
        startInterval(handle, session, turn)
      } else {
        tell(session, .offerRefused(SessionID(handle), status: response.status))
      }
    }
    proceedWithOffer(handle, session, &turn)
  }

  // MARK: Session timer

  /// Settles the timer by a request that we answer with 2xx, and says so in the response (RFC 4028 §9).
  func settleInterval(_ session: Session, by request: Message, _ response: inout Response) {
    let field = request.value(.sessionExpires).flatMap { SessionTimer.Field($0) }
    let least = max(
      configuration.minimumSessionInterval, request.value(.minSE).flatMap { SessionTimer.seconds($0) } ?? 0)
    guard field != nil || request.supports("timer") else {
      session.timer = nil
      return
    }
    let interval = max(field?.interval ?? configuration.sessionInterval, least)
    let refresher: SessionTimer.Refresher
    switch field?.refresher {
    case .uac: refresher = request.supports("timer") ? .peer : .us
    case .uas: refresher = .us
    case nil: refresher = field != nil && request.supports("timer") ? session.timer?.refresher ?? .us : .us
    }
    session.timer = SessionTimer(interval: interval, refresher: refresher)
    response.add(.sessionExpires, "\(interval);refresher=\(refresher == .us ? "uas" : "uac")")
    if refresher == .peer { response.add(.require, "timer") }
  }

  /// Takes what a 2xx to our refresh or offer says.
  private func adoptInterval(
    _ handle: Handle, _ session: Session, _ response: Message, _ turn: borrowing Turn
  ) {
    let field = response.value(.sessionExpires).flatMap { SessionTimer.Field($0) }
    session.intervalRetries = 0
    if let settled = SessionTimer.settled(byResponse: field, least: configuration.minimumSessionInterval) {
      session.timer = settled
    } else if session.timer?.refresher == .peer {
      // A peer that no longer speaks of the timer no longer keeps it.
      session.timer = nil
    }
    startInterval(handle, session, turn)
  }

  func startInterval(_ handle: Handle, _ session: Session, _ turn: borrowing Turn) {
    guard let timer = session.timer, session.phase != .over else { return stop(.interval, session) }
    start(.interval, handle, session, after: timer.wait, turn)
  }

  func intervalDue(_ handle: Handle, _ session: Session, _ turn: inout Turn) {
    guard let timer = session.timer else { return }
    switch timer.refresher {
    case .peer:
      tearDown(
        handle, session, .sessionExpired, reason: Reason(cause: 408, text: "Session expired"), &turn)
    case .us: refresh(handle, session, &turn)
    }
  }

  private func refresh(_ handle: Handle, _ session: Session, _ turn: inout Turn) {
    guard session.phase == .established, session.exchange == .none, let dialog = session.dialog else {
      // An exchange that is going on refreshes by itself, or is soon over.
      return start(.interval, handle, session, after: .seconds(5), turn)
    }
    let isUpdate = dialog.takesUpdate
    sendOffer(
      isUpdate ? .update : .invite, isUpdate ? nil : session.localBody, handle, session, isRefresh: true,
      &turn)
  }
}
