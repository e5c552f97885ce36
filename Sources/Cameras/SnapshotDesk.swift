package import Directory
internal import HTTP
package import RTP
package import Web
package import Wire

// Still pictures of cameras, by `GET /snapshot/{camera}.jpg` and for whoever else in the house wants one.
//
// Responsible for: opening a camera for the moment that it takes, the newest picture that there is, and limits. One
// picture is developed once, however many want it: pages ask each second. The house's own wishes, whoever rings, are
// never turned away for viewers' sake.
// Assumes: told of key pictures (`keyPictureCame`) and of cameras that change (`cameraChanged`); `advance` at
// `nextDeadline`.
// Somebody else's: making a JPEG of a picture, who may look, where snapshots are kept.

/// Makes a JPEG of a key picture and hands it on, later. False, and nothing is handed on, while too much is asked.
package typealias SnapshotMaker = (
  AccessUnit, _ then: @escaping (Result<[UInt8], SourceFault>) -> Void
) -> Bool

package enum SnapshotRefusal: Error, Hashable, Sendable {
  case unknownCamera
  /// It shows nothing now: why, as far as is known.
  case notLive(SourceFault?, wait: Interval)
  case tooMany
  case unreadable(SourceFault)
}

package final class SnapshotDesk {
  /// A key picture is new enough for so long; after that another is asked for.
  static let fresh = Interval.milliseconds(1000)
  /// How long a newer picture is waited for, and a camera that must be opened first.
  static let patience = Interval.milliseconds(1200)
  static let opening = Interval.seconds(6)
  /// Whoever asks often gets the same picture for so long.
  private static let kept = Interval.milliseconds(400)
  /// Viewers' wishes at once, all together and of one account.
  static let most = 32
  static let mostOfOne = 6

  private struct Wish {
    var camera: CameraID
    var until: Instant
    /// Whose it is; nil for the house.
    var viewer: Viewer?
    var then: (Result<[UInt8], SnapshotRefusal>) -> Void
  }
  /// A picture that is being made a JPEG of, and who gets it.
  private final class Development {
    let camera: CameraID
    let captured: Instant
    var wishes: [Wish]

    init(_ camera: CameraID, _ captured: Instant, _ wishes: [Wish]) {
      self.camera = camera
      self.captured = captured
      self.wishes = wishes
    }
  }

  private let keeper: CameraKeeper
  private let newest: (CameraID) -> AccessUnit?
  private let authority: any ViewAuthority
  private let make: SnapshotMaker
  private let clock: () -> Instant
  private var wishes: [Wish] = []
  private var underWay: [Development] = []
  /// The newest of each camera, for as long as it is given to others.
  private var last: [(camera: CameraID, at: Instant, jpeg: [UInt8])] = []
  package private(set) var taken = 0

  /// `newest`: the newest picture of a camera that a decoder can begin with.
  package init(
    keeper: CameraKeeper, newest: @escaping (CameraID) -> AccessUnit?, authority: any ViewAuthority,
    make: @escaping SnapshotMaker, clock: @escaping () -> Instant
  ) {
    self.keeper = keeper
    self.newest = newest
    self.authority = authority
    self.make = make
    self.clock = clock
  }

  // MARK: Taking

  /// A JPEG of what the camera shows now; `then` is called once, now or later. `viewer`: who wants it; nil for the house.
  package func take(
    _ camera: CameraID, for viewer: Viewer? = nil,
    then: @escaping (Result<[UInt8], SnapshotRefusal>) -> Void
  ) {
    let now = clock()
    last.removeAll { now - $0.at >= SnapshotDesk.kept }
    if let made = last.first(where: { $0.camera == camera }) { return then(.success(made.jpeg)) }
    guard hasRoom(for: viewer) else { return then(.failure(.tooMany)) }
    guard keeper.watch(camera), let state = keeper.status(of: camera)?.state else {
      return then(.failure(.unknownCamera))
    }
    let wish = Wish(
      camera: camera, until: now + (state.shows ? SnapshotDesk.patience : SnapshotDesk.opening),
      viewer: viewer, then: then)
    switch state {
    case .live, .warm:
      if let picture = newest(camera), now - picture.captured < SnapshotDesk.fresh {
        develop(picture, [wish])
      } else {
        wishes.append(wish)
        keeper.requestKeyFrame(camera)
      }
    case .starting: wishes.append(wish)
    case .idle, .backingOff, .faulty: refuse(wish)
    }
  }

  private func hasRoom(for viewer: Viewer?) -> Bool {
    guard let viewer else { return true }
    let all = (wishes + underWay.flatMap(\.wishes)).compactMap(\.viewer)
    return all.count < SnapshotDesk.most
      && (viewer.isOperator || all.count { $0.holder == viewer.holder } < SnapshotDesk.mostOfOne)
  }

  private func develop(_ picture: AccessUnit, _ wishes: [Wish]) {
    guard let camera = wishes.first?.camera else { return }
    if let same = underWay.first(where: { $0.camera == camera && $0.captured == picture.captured }) {
      same.wishes += wishes
      return
    }
    let development = Development(camera, picture.captured, wishes)
    underWay.append(development)
    let isMade = make(picture) { [weak self] result in self?.made(result, development) }
    if !isMade { end(development, .failure(.tooMany)) }
  }

  private func made(_ result: Result<[UInt8], SourceFault>, _ development: Development) {
    switch result {
    case .success(let jpeg):
      taken += 1
      last.removeAll { $0.camera == development.camera }
      last.append((development.camera, clock(), jpeg))
      end(development, .success(jpeg))
    case .failure(let fault): end(development, .failure(.unreadable(fault)))
    }
  }

  private func end(_ development: Development, _ result: Result<[UInt8], SnapshotRefusal>) {
    underWay.removeAll { $0 === development }
    for wish in development.wishes {
      keeper.unwatch(wish.camera)
      wish.then(result)
    }
  }

  private func refuse(_ wish: Wish) {
    let status = keeper.status(of: wish.camera)
    let wait = status?.retry.map { $0 - clock() } ?? .seconds(1)
    keeper.unwatch(wish.camera)
    wish.then(.failure(.notLive(status?.fault, wait: max(wait, .seconds(1)))))
  }

  // MARK: News

  private func take(wishesFor camera: CameraID) -> [Wish] {
    let mine = wishes.filter { $0.camera == camera }
    wishes.removeAll { $0.camera == camera }
    return mine
  }

  package func keyPictureCame(_ camera: CameraID) {
    guard wishes.contains(where: { $0.camera == camera }), let picture = newest(camera) else { return }
    develop(picture, take(wishesFor: camera))
  }

  package func cameraChanged(_ camera: CameraID) {
    switch keeper.status(of: camera)?.state {
    case .live, .warm, .starting: break
    case .idle, .backingOff, .faulty, nil: for wish in take(wishesFor: camera) { refuse(wish) }
    }
  }

  package var nextDeadline: Instant? { wishes.map(\.until).min() }

  package func advance() {
    let now = clock()
    let late = wishes.filter { $0.until <= now }
    wishes.removeAll { $0.until <= now }
    for wish in late {
      // An older one is better than none.
      if let picture = newest(wish.camera) { develop(picture, [wish]) } else { refuse(wish) }
    }
  }

  // MARK: HTTP

  package func addRoutes(to router: inout Router) {
    router.add(
      Route(.get, "/snapshot/{file}", access: .viewer) { [self] request, responder in
        answer(request) { responder.reply($0) }
      })
  }

  private func answer(_ request: WebRequest, _ answer: @escaping (WebReply) -> Void) {
    let file = request["file"]
    guard file.hasSuffix(".jpg") else {
      return answer(.problem(404, "snapshots are /snapshot/CAMERA.jpg"))
    }
    let camera = CameraID(String(file.dropLast(4)))
    let viewer: Viewer
    switch authority.viewer(request.identity, token: WebGuard.bearer(request.head), of: camera) {
    case .failure(.unknownCamera): return answer(.problem(404, "there is no camera \(camera)"))
    case .failure(.notNow):
      return answer(
        WHEP.problem(403, "you may not see this camera now", reason: "not-now", next: "wait until it rings"))
    case .success(let admitted): viewer = admitted
    }
    take(camera, for: viewer) { result in
      switch result {
      case .success(let jpeg):
        answer(WebReply(200, fields: ["Content-Type": "image/jpeg"], body: jpeg))
      case .failure(let refusal): answer(SnapshotDesk.problem(refusal))
      }
    }
  }

  private static func problem(_ refusal: SnapshotRefusal) -> WebReply {
    func later(_ reply: WebReply, _ wait: Interval) -> WebReply {
      var reply = reply
      reply.fields.append("Retry-After", "\(max(1, (wait.milliseconds + 999) / 1000))")
      return reply
    }
    switch refusal {
    case .unknownCamera: return .problem(404, "there is no such camera")
    case .notLive(let fault, let wait):
      return later(
        WHEP.problem(
          409, fault == nil ? "the camera is starting" : "the camera gives no picture now",
          reason: fault == nil ? "camera-starting" : "camera-off", detail: fault?.text), wait)
    case .tooMany:
      return later(WHEP.problem(503, "too many snapshots at once", reason: "too-many"), .seconds(2))
    case .unreadable(let fault):
      return WHEP.problem(
        502, "no still picture can be made of what the camera sends", reason: "unreadable",
        detail: fault.text)
    }
  }
}
