package import Directory
internal import HTTP
internal import ICE
internal import JSON
package import MediaPlane
internal import SDP
package import Web
internal import WebRTC
package import Wire

// WHEP: a camera as an HTTP resource (draft-ietf-wish-whep-03). A viewer posts an offer and gets an answer; the session
// that this makes has an address of its own, where candidates are added, ICE is restarted and the session is ended.
//
// Responsible for: what each request means and is answered, limits, sessions that never come to be, and ending what
// its viewer may no longer see.
// Assumes: `advance` at `nextDeadline`; told of cameras that change (`cameraChanged`), of connections that are gone
// (`lost`), and of rights that may have ended (`review`).
// Somebody else's: who may look (`ViewAuthority`), opening cameras (`CameraKeeper`), descriptions, ICE and media
// (`ViewerSeats`).
//
// A camera that does not show yet is waited for a little: one that is warm answers at once, one that must be opened first
// mostly within that time, and the others are 409 with the time after which to ask again. What a camera showed before is
// taken for what it will show, so that its start and the viewer's handshake run side by side.
//
// A viewer that offers its voice while the door rings for it answers the door: the call is whoever owns calls' to answer
// (`whenOffered`), and its session here is the way to it.
//
// The address of a session holds 128 random bits and is given to nobody but its viewer, who shows its token there as
// well. Players that show none at a session's address exist: they are heard where the offer came from, and only about
// looking; a conversation is its token's alone.

/// Most of what viewers may have.
package struct WHEPLimits: Sendable {
  /// Sessions at once. Calls must find room beside them.
  package var sessions = 384
  /// Of one unit, whoever of it looks; of one account that belongs to none.
  package var perUnit = 8
  /// From one address: a whole building may share one.
  package var perAddress = 64
  /// Sessions whose viewer has not connected yet, all together and of one unit: a page that is reloaded may leave some
  /// behind.
  package var unfinished = 128
  package var unfinishedPerUnit = 6
  /// From the answer to the end of the handshake.
  package var connecting = Interval.seconds(20)
  /// How long a viewer's request waits for a camera that starts.
  package var patience = Interval.seconds(3)
  /// How long an offer of ours stands.
  package var proposal = Interval.seconds(30)

  package init() {}
}

/// What viewers did since the start.
package struct WHEPFigures: Hashable, Sendable {
  package var opened = 0
  package var connected = 0
  /// Sessions whose viewer never connected.
  package var unfinished = 0
  /// Ended because the right to look had ended.
  package var expired = 0
  /// Connections that were lost, or closed by the viewer.
  package var lost = 0
  /// Refusals by what the viewer is told: no codec, camera not there, too many.
  package var noCodec = 0
  package var notLive = 0
  package var tooMany = 0
}

package final class WHEP {
  static let sdp = "application/sdp"
  static let fragment = "application/trickle-ice-sdpfrag"
  /// A viewer whose camera starts.
  private struct Waiting {
    var request: ViewerOffer
    var offer: SessionDescription
    var until: Instant

    var camera: CameraID { request.camera }
    var viewer: Viewer { request.viewer }
  }

  private let keeper: CameraKeeper
  let seats: any ViewerSeats
  let authority: any ViewAuthority
  let clock: () -> Instant
  private let wall: () -> WallTime
  var random: Random
  package var limits = WHEPLimits()
  /// Values of Link that name STUN and TURN servers (RFC 9725 section 4.6).
  package var servers: [String] = []
  /// Asked before a camera is looked at: the answer to a door that rings, where the offer is one.
  package var whenOffered: ((ViewerOffer) -> Bool)?

  var sessions = ViewerSessions()
  private var waiting: [Waiting] = []
  package internal(set) var figures = WHEPFigures()

  package init(
    keeper: CameraKeeper, seats: any ViewerSeats, authority: any ViewAuthority, random: Random,
    clock: @escaping () -> Instant, wall: @escaping () -> WallTime
  ) {
    self.keeper = keeper
    self.seats = seats
    self.authority = authority
    self.random = random
    self.clock = clock
    self.wall = wall
  }

  package var count: Int { sessions.all.count }
  package func viewers(of camera: CameraID) -> Int { sessions.all.count { $0.camera == camera } }
  package var connectedCount: Int { sessions.all.count - sessions.unfinished.count }

  // MARK: Opening

  /// A viewer's POST.
  func open(_ request: WebRequest, _ answer: @escaping (WebReply) -> Void) {
    let camera = CameraID(request["camera"])
    let viewer: Viewer
    switch authority.viewer(request.identity, token: WebGuard.bearer(request.head), of: camera) {
    case .success(let admitted): viewer = admitted
    case .failure(.unknownCamera): return answer(.problem(404, "there is no camera \(camera)"))
    case .failure(.notNow):
      return answer(
        WHEP.problem(403, "you may not see this camera now", reason: "not-now", next: "wait until it rings"))
    }
    guard WHEP.isType(request, WHEP.sdp) else { return answer(WHEP.wrongType(WHEP.sdp, "Accept-Post")) }
    guard let offer = try? SessionDescription(parsing: request.body) else {
      return answer(WHEP.problem(400, "this is no session description", reason: "malformed"))
    }
    if let fault = WHEP.fault(of: offer) {
      return answer(WHEP.problem(400, fault, reason: "malformed"))
    }
    let waiter = Waiting(
      request: ViewerOffer(
        camera: camera, viewer: viewer, address: request.peer.address, offer: request.body,
        engine: ViewerEngine(userAgent: request.head.fields["User-Agent"]), answer: answer),
      offer: offer, until: clock() + limits.patience)
    if isTalk(waiter) { return }
    guard hasRoom(for: viewer, at: request.peer.address) else { return answer(tooMany()) }
    guard keeper.watch(camera), let status = keeper.status(of: camera) else {
      return answer(.problem(404, "there is no camera \(camera)"))
    }
    if status.state.shows || status.state == .starting && status.format != nil && status.fault == nil {
      seat(waiter)
    } else if status.state == .starting {
      waiting.append(waiter)
    } else {
      refuse(waiter)
    }
  }

  /// Whether the offer answers the door, which is somebody else's to do then.
  private func isTalk(_ waiter: Waiting) -> Bool {
    guard let whenOffered, WHEP.wantsToTalk(waiter.offer) else { return false }
    return whenOffered(waiter.request)
  }

  private func hasRoom(for viewer: Viewer, at address: IPAddress?) -> Bool {
    guard sessions.all.count + waiting.count < limits.sessions,
      sessions.unfinished.count + waiting.count < limits.unfinished
    else { return false }
    // Operators measure and test; the limits of all together hold for them.
    guard !viewer.isOperator else { return true }
    let waits = waiting.count { $0.viewer.isHousemate(of: viewer) }
    func own(_ sessions: [ViewerSession]) -> Int {
      sessions.count { $0.viewer.isHousemate(of: viewer) } + waits
    }
    guard own(sessions.all) < limits.perUnit, own(sessions.unfinished) < limits.unfinishedPerUnit else {
      return false
    }
    guard let address else { return true }
    return sessions.all.count { $0.address == address } < limits.perAddress
  }

  /// Shows a camera to whoever waited for it. It watches already.
  private func seat(_ waiter: Waiting) {
    guard let format = keeper.status(of: waiter.camera)?.format else { return refuse(waiter) }
    switch seats.take(waiter.offer, by: waiter.request.engine, of: waiter.camera, format) {
    case .success(let seat):
      let session = enter(seat, waiter, connecting: limits.connecting, isProposed: false)
      figures.opened += 1
      waiter.request.answer(created(session, seat.description))
    case .failure(.noPicture): propose(waiter, format)
    case .failure(let refusal):
      keeper.unwatch(waiter.camera)
      waiter.request.answer(answer(to: refusal))
    }
  }

  private func created(_ session: ViewerSession, _ description: [UInt8]) -> WebReply {
    var reply = WebReply(
      201,
      fields: [
        "Content-Type": WHEP.sdp, "Location": location(session), "ETag": "\"\(session.tag)\"",
        "Accept-Patch": WHEP.fragment,
      ], body: description)
    for server in servers { reply.fields.append("Link", server) }
    return reply
  }

  /// The viewer asked for no picture: what it would get is offered to it.
  private func propose(_ waiter: Waiting, _ format: SourceFormat) {
    guard let seat = seats.propose(waiter.camera, format) else {
      keeper.unwatch(waiter.camera)
      return waiter.request.answer(tooMany())
    }
    let session = enter(seat, waiter, connecting: limits.proposal, isProposed: true)
    let until = HTTPDate.text(wall() + limits.proposal)
    var reply = WebReply(
      406,
      fields: [
        "Content-Type": "\(WHEP.sdp); valid-until=\"\(until)\"", "Location": location(session),
        "ETag": "\"\(session.tag)\"", "Accept-Patch": WHEP.sdp,
      ], body: seat.description)
    for server in servers { reply.fields.append("Link", server) }
    waiter.request.answer(reply)
  }

  private func enter(
    _ seat: Seat, _ waiter: Waiting, connecting: Interval, isProposed: Bool
  ) -> ViewerSession {
    let session = ViewerSession(
      id: random.hex(bytes: 16), camera: waiter.camera, viewer: waiter.viewer,
      address: waiter.request.address, leg: seat.leg, tag: random.hex(bytes: 8))
    session.isProposed = isProposed
    sessions.enter(session, connectBy: clock() + connecting)
    return session
  }

  private func location(_ session: ViewerSession) -> String {
    "/whep/\(PercentEncoding.encode(session.camera.rawValue))/\(session.id)"
  }

  /// The camera shows nothing now: why, and when to ask again.
  private func refuse(_ waiter: Waiting) {
    let status = keeper.status(of: waiter.camera)
    keeper.unwatch(waiter.camera)
    figures.notLive += 1
    var wait = 1
    if let retry = status?.retry { wait = max(1, Int(((retry - clock()).milliseconds + 999) / 1000)) }
    var reply = WHEP.problem(
      409, status?.fault == nil ? "the camera is starting" : "the camera gives no picture now",
      reason: status?.fault == nil ? "camera-starting" : "camera-off", detail: status?.fault?.text,
      next: "ask again in \(wait) s")
    reply.fields.append("Retry-After", "\(wait)")
    waiter.request.answer(reply)
  }

  func answer(to refusal: SeatRefusal) -> WebReply {
    switch refusal {
    case .malformed(let text): return WHEP.problem(400, text, reason: "malformed")
    case .noPicture:
      return WHEP.problem(400, "the description has no line for pictures", reason: "malformed")
    case .noCodec(let text):
      figures.noCodec += 1
      return WHEP.problem(
        406, text, reason: "no-codec", next: "use another browser, or another profile of the camera")
    case .noRoom: return tooMany()
    }
  }

  private func tooMany() -> WebReply {
    figures.tooMany += 1
    var reply = WHEP.problem(
      503, "too many look at once", reason: "too-many", next: "close another window, or ask again in 5 s")
    reply.fields.append("Retry-After", "5")
    return reply
  }

  /// Ends a session and frees what it holds.
  func end(_ session: ViewerSession) {
    guard sessions.end(session) else { return }
    if let talk = session.talk { talk.hangUp() } else { seats.leave(session.leg) }
    keeper.unwatch(session.camera)
  }

  // MARK: News

  /// A connection is gone for good. False when it was no viewer's.
  package func lost(_ leg: LegID) -> Bool {
    guard let session = sessions.all.first(where: { $0.leg == leg && $0.talk == nil }) else { return false }
    figures.lost += 1
    end(session)
    return true
  }

  /// A viewer's offer answered the door: the reply to it.
  package func enter(_ talk: Talk, answering offer: ViewerOffer) -> WebReply {
    keeper.watch(offer.camera)
    let session = ViewerSession(
      id: talk.name, camera: offer.camera, viewer: offer.viewer, address: offer.address, leg: talk.leg,
      tag: talk.tag)
    session.talk = talk
    sessions.enter(session, connectBy: nil)
    figures.opened += 1
    return created(session, talk.description)
  }

  /// A call is over: whoever answered it here has nothing left.
  package func over(_ call: String) {
    for session in sessions.all where session.talk?.call == call { end(session) }
  }

  /// A camera began to show, or failed: whoever waits for it hears. Who looks stays while it is only away for a moment;
  /// where somebody has to mend it first, they are let go, and hear why when they come again.
  package func cameraChanged(_ camera: CameraID) {
    guard let state = keeper.status(of: camera)?.state, state != .starting else { return }
    let mine = waiting.filter { $0.camera == camera }
    waiting.removeAll { $0.camera == camera }
    for waiter in mine {
      if !state.shows {
        refuse(waiter)
      } else if isTalk(waiter) {
        keeper.unwatch(camera)
      } else {
        seat(waiter)
      }
    }
    guard state == .faulty else { return }
    for session in sessions.all where session.camera == camera && session.talk == nil { end(session) }
  }

  /// Rights may have ended: what may no longer be seen is ended.
  package func review() {
    for session in sessions.all where !authority.mayLook(session.viewer, through: session.camera) {
      figures.expired += 1
      end(session)
    }
    let over = waiting.filter { !authority.mayLook($0.viewer, through: $0.camera) }
    waiting.removeAll { !authority.mayLook($0.viewer, through: $0.camera) }
    for waiter in over {
      keeper.unwatch(waiter.camera)
      waiter.request.answer(WHEP.problem(403, "you may no longer see this camera", reason: "not-now"))
    }
  }

  /// Ends every session.
  package func stop() {
    for session in sessions.all { end(session) }
  }

  // MARK: Time

  package var nextDeadline: Instant? {
    waiting.lazy.map(\.until).reduce(
      Instant.earlier(sessions.nextDeadline, sessions.nextExpiry), Instant.earlier)
  }

  package func advance() {
    let now = clock()
    if let due = sessions.nextExpiry, due <= now { review() }
    for session in sessions.unfinished {
      guard let due = session.connectBy else { continue }
      if !session.isProposed, seats.isConnected(session.leg) {
        sessions.connected(session)
        figures.connected += 1
      } else if due <= now {
        figures.unfinished += 1
        end(session)
      }
    }
    let late = waiting.filter { $0.until <= now }
    waiting.removeAll { $0.until <= now }
    for waiter in late { refuse(waiter) }
  }
}
