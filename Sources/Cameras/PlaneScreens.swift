package import Directory
package import ICE
package import MediaPlane
package import RTP
package import SDP
package import WebRTC
package import Wire

// Cameras on the media plane: each camera's pictures are a feed, each viewer a leg that the feed is shown on.
//
// Responsible for: which feed belongs to which camera, viewers that stay while a camera is away, what of a viewer's offer
// fits what the camera shows, and telling the camera's keeper what the plane asks of it. The smaller stream that a camera
// may have besides is in SmallStream.swift.
// Somebody else's: packets (the plane), descriptions and ICE (the peer connection), who may look (WHEP).

package final class PlaneScreens: Screens, ViewerSeats {
  final class Screen {
    let camera: CameraID
    var feed = FeedID.none
    var format: SourceFormat?
    /// What its pictures said of themselves when they were last seen.
    var parameters: H264Parameters?
    var legs: [LegID] = []
    /// The same pictures for viewers who cannot decode them as they come; while there are such.
    var twin: Twin?
    /// The camera's smaller stream, and who is shown that.
    let small = SmallStream()

    init(_ camera: CameraID) { self.camera = camera }
  }

  /// A camera's pictures in VP8.
  final class Twin {
    var feed = FeedID.none
    var transcoder: (any Transcoder)?
    /// Nothing is handed in before the next key picture.
    var waits = true
    var legs: [LegID] = []
    /// Seconds of a core for a second of pictures; nil before it was measured.
    var load: Double?
  }

  /// Cores that turning pictures into VP8 may take, all cameras together.
  package static let twinShare = 1.0
  /// What a camera is taken to cost before any was measured: much, as on a small board.
  package static let twinGuess = 0.5
  /// Cameras at a time however little they cost: each has a thread.
  package static let twinLimit = 8

  let plane: Plane
  /// How ICE is done with a peer that offers this; with nil for offers of ours.
  private let mode: (SessionDescription?) -> ICEMode
  /// In the order in which they were first shown.
  private(set) var screens: [Screen] = []

  private let transcoders: (any Transcoders)?
  /// Opens cameras' smaller streams; nil where there are none.
  package weak var substreams: (any SubstreamOpener)?
  /// What a viewer's path carries, in bits a second, once it was seen to be full.
  package var limit: (LegID) -> Int?
  /// Told when a camera should make a key picture, and when a viewer can be shown nothing any more.
  package var whenKeyWanted: ((CameraID) -> Void)?
  package var whenLost: ((LegID) -> Void)?
  /// Told of every picture that a decoder can begin with, when it is shown.
  package var whenKeyPicture: ((CameraID) -> Void)?

  /// `transcoders`: make VP8 of a camera's pictures; nil where nothing can.
  package init(
    _ plane: Plane, transcoders: (any Transcoders)? = nil,
    mode: @escaping (SessionDescription?) -> ICEMode
  ) {
    self.plane = plane
    self.transcoders = transcoders
    self.mode = mode
    limit = { plane.viewerStatistics($0)?.limit }
  }

  private func screen(_ camera: CameraID) -> Screen {
    if let known = screens.first(where: { $0.camera == camera }) { return known }
    let made = Screen(camera)
    screens.append(made)
    return made
  }

  /// The plane wants a key picture of a feed: the camera that is to make it; nil where it need not.
  package func keyFrameWanted(_ feed: FeedID) -> CameraID? {
    guard feed != .none else { return nil }
    if let twin = screens.compactMap(\.twin).first(where: { $0.feed == feed }) {
      twin.transcoder?.requestKeyFrame()
      return nil
    }
    if let small = screens.first(where: { $0.small.feed == feed })?.small {
      small.source?.requestKeyFrame()
      return nil
    }
    return screens.first { $0.feed == feed }?.camera
  }

  /// The viewers of a feed can take so much: the camera that is to follow; nil where it need not.
  package func rateWanted(_ feed: FeedID, bitsPerSecond bits: Int) -> CameraID? {
    guard feed != .none else { return nil }
    if let twin = screens.compactMap(\.twin).first(where: { $0.feed == feed }) {
      twin.transcoder?.limit(bitsPerSecond: bits, framesPerSecond: TranscoderSetting().framesPerSecond)
      return nil
    }
    return screens.first { $0.feed == feed }?.camera
  }

  /// The feed of a camera that shows pictures.
  package func feed(of camera: CameraID) -> FeedID? {
    screens.first { $0.camera == camera && $0.feed != .none }?.feed
  }

  // MARK: Screens

  package func begin(_ camera: CameraID, _ format: SourceFormat) {
    let screen = screen(camera)
    defer { screen.format = format }
    if screen.feed != .none, let known = screen.format, known.coding == format.coding,
      known.isOurs == format.isOurs
    {
      return
    }
    end(camera)
    open(screen, format)
    for leg in screen.legs { plane.show(screen.feed, on: leg) }
    if let twin = screen.twin, twin.feed == .none { start(twin, screen) }
  }

  private func open(_ screen: Screen, _ format: SourceFormat) {
    screen.feed = plane.openFeed(
      format.coding == .vp8 ? .vp8 : .h264(screen.parameters), isInstant: format.isOurs)
  }

  package func push(_ picture: AccessUnit, of camera: CameraID) {
    guard let feed = feed(of: camera) else { return }
    plane.push(picture, into: feed)
    let screen = screen(camera)
    if let twin = screen.twin { hand(picture, to: twin, camera) }
    weigh(picture, screen)
    if picture.isKey { whenKeyPicture?(camera) }
  }

  package func push(sound: [UInt8], samples: Int, captured: Instant, of camera: CameraID) {
    let screen = screen(camera)
    guard screen.feed != .none, let kind = screen.format?.sound else { return }
    for feed in [screen.feed, screen.twin?.feed ?? .none, screen.small.feed] where feed != .none {
      plane.pushSound(sound, samples: samples, codec: kind == .pcma ? .pcma : .pcmu, into: feed)
    }
  }

  package func end(_ camera: CameraID) {
    let screen = screen(camera)
    guard screen.feed != .none else { return }
    screen.parameters = plane.parameters(of: screen.feed) ?? screen.parameters
    plane.closeFeed(screen.feed)
    screen.feed = .none
    restSmall(screen)
    if let twin = screen.twin { rest(twin) }
  }

  // MARK: VP8

  /// Begins to turn a camera's pictures into VP8 for those who wait for that.
  private func start(_ twin: Twin, _ screen: Screen) {
    guard let transcoders else { return }
    let camera = screen.camera
    twin.feed = plane.openFeed(.vp8, isInstant: true)
    twin.waits = true
    twin.transcoder = transcoders.openTranscoder(TranscoderSetting()) { [weak self, weak twin] news in
      guard let self, let twin else { return }
      switch news {
      case .began: break
      case .picture(let picture): self.plane.push(picture, into: twin.feed)
      case .wantsKey:
        twin.waits = true
        self.whenKeyWanted?(camera)
      case .load(let load): twin.load = load
      case .ended: self.lose(twin, of: camera)
      }
    }
    for leg in twin.legs { plane.show(twin.feed, on: leg) }
    // It joins as any viewer does: with what lies ready.
    let group = plane.group(of: screen.feed)
    if let transcoder = twin.transcoder, !group.isEmpty, transcoder.push(group) == .taken {
      twin.waits = false
      return
    }
    // A still picture until the next key picture is better than none.
    if let picture = plane.keyPicture(of: screen.feed) { _ = twin.transcoder?.push([picture]) }
    whenKeyWanted?(camera)
  }

  private func hand(_ picture: AccessUnit, to twin: Twin, _ camera: CameraID) {
    guard let transcoder = twin.transcoder, picture.isKey || !twin.waits else { return }
    switch transcoder.push([picture]) {
    case .taken: twin.waits = false
    case .wantsKey:
      twin.waits = true
      whenKeyWanted?(camera)
    }
  }

  /// The camera is away, or nobody looks.
  private func rest(_ twin: Twin) {
    twin.transcoder?.stop()
    twin.transcoder = nil
    plane.closeFeed(twin.feed)
    twin.feed = .none
  }

  /// It ended by itself: its viewers are told, and may come again.
  private func lose(_ twin: Twin, of camera: CameraID) {
    twin.transcoder = nil
    rest(twin)
    screen(camera).twin = nil
    let legs = twin.legs
    twin.legs = []
    for leg in legs { whenLost?(leg) }
  }

  /// Shows a viewer who offers VP8 the camera in that; nil where it cannot be.
  private func takeInVP8(
    _ leg: LegID, _ offer: SessionDescription, _ screen: Screen, _ sound: ViewerSound
  ) -> [UInt8]? {
    guard transcoders != nil, screen.format?.coding == .h264, offer.offersVP8 else { return nil }
    if screen.twin == nil {
      guard affordsTwin else { return nil }
      screen.twin = Twin()
    }
    guard let twin = screen.twin else { return nil }
    if twin.feed == .none { start(twin, screen) }
    guard let answer = try? plane.answerViewer(leg, offer, feed: twin.feed, sound: sound) else {
      if twin.legs.isEmpty { drop(twin, screen) }
      return nil
    }
    twin.legs.append(leg)
    return answer.bytes
  }

  /// Whether one more camera's pictures can be turned into VP8 beside those that are: by what those cost as measured on
  /// this machine.
  private var affordsTwin: Bool {
    let twins = screens.compactMap(\.twin)
    let dearest = twins.compactMap(\.load).max() ?? PlaneScreens.twinGuess
    let all = twins.reduce(dearest) { $0 + ($1.load ?? dearest) }
    return twins.count < PlaneScreens.twinLimit && all <= PlaneScreens.twinShare
  }

  private func drop(_ twin: Twin, _ screen: Screen) {
    rest(twin)
    screen.twin = nil
  }

  /// The newest picture that a decoder can begin with; nil while the camera shows none.
  package func keyPicture(of camera: CameraID) -> AccessUnit? {
    feed(of: camera).flatMap { plane.keyPicture(of: $0) }
  }

  // MARK: Seats

  package func take(
    _ offer: SessionDescription, by engine: ViewerEngine, of camera: CameraID, _ format: SourceFormat
  ) -> Result<Seat, SeatRefusal> {
    guard offer.media.contains(where: { $0.kind == .video && $0.isOffered }) else {
      return .failure(.noPicture)
    }
    let mode = mode(offer)
    guard
      let leg = try? plane.openPeer(
        PeerSpec(
          kinds: .audioAndVideo, mode: mode,
          role: PeerConnection.isLite(offer) ? .controlling : .controlled))
    else { return .failure(.noRoom) }
    do throws(ViewerRefusal) {
      let answer = try show(camera, format, on: leg, offer, engine, format.viewerSound)
      plane.watch(leg, silentAfter: nil)
      return .success(Seat(leg: leg, description: answer))
    } catch {
      plane.close(leg)
      switch error {
      case .description(.noSharedCodec), .coding, .profile, .reordered:
        return .failure(.noCodec(error.reason))
      case .description: return .failure(.malformed(error.reason))
      case .noPicture: return .failure(.noPicture)
      }
    }
  }

  /// Shows the camera on a leg that somebody else opened and will close, with sound both ways in `codec`.
  package func join(
    _ leg: LegID, _ offer: SessionDescription, by engine: ViewerEngine, to camera: CameraID,
    _ format: SourceFormat, talking codec: AudioCodec
  ) -> [UInt8]? {
    try? show(camera, format, on: leg, offer, engine, .talks(codec))
  }

  /// The answer to a viewer who is shown the camera from now on: as it comes, else in a stream that it can decode.
  private func show(
    _ camera: CameraID, _ format: SourceFormat, on leg: LegID, _ offer: SessionDescription,
    _ engine: ViewerEngine, _ sound: ViewerSound
  ) throws(ViewerRefusal) -> [UInt8] {
    let screen = screen(camera)
    prepare(screen, format)
    do throws(ViewerRefusal) {
      let answer = try plane.answerViewer(leg, offer, feed: screen.feed, sound: sound, engine: engine)
      screen.legs.append(leg)
      if engine == .webKit { screen.small.promised[leg] = answer.picture?.h264Profile }
      return answer.bytes
    } catch {
      switch error {
      case .profile:
        if let answer = takeSmall(leg, offer, screen, sound) ?? takeInVP8(leg, offer, screen, sound) {
          return answer
        }
      case .coding: if let answer = takeInVP8(leg, offer, screen, sound) { return answer }
      case .description, .noPicture, .reordered: break
      }
      throw error
    }
  }

  /// Such a leg is gone.
  package func forget(_ leg: LegID) {
    for screen in screens {
      screen.legs.removeAll { $0 == leg }
      screen.small.forget(leg)
      guard let twin = screen.twin, twin.legs.contains(leg) else { continue }
      twin.legs.removeAll { $0 == leg }
      if twin.legs.isEmpty { drop(twin, screen) }
    }
  }

  private func prepare(_ screen: Screen, _ format: SourceFormat) {
    guard screen.feed == .none else { return }
    screen.format = format
    open(screen, format)
  }

  package func propose(_ camera: CameraID, _ format: SourceFormat) -> Seat? {
    let spec = PeerSpec(kinds: .audioAndVideo, mode: mode(nil), role: .controlling)
    guard let leg = try? plane.openPeer(spec) else { return nil }
    let screen = screen(camera)
    var picture = Format(payloadType: 96, encoding: format.coding.name, clockRate: 90_000)
    if format.coding == .h264 {
      picture.parameters =
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=\(screen.parameters?.profileLevelID ?? "42e01f")"
    }
    let sound = [Format.assigned(8), Format.assigned(0)].compactMap { $0 }
    // What is promised comes: of a camera without sound there is none.
    let audio = format.sound == nil ? nil : PeerMedia(sound, .sendonly)
    let offer = plane.withPeer(leg) { connection, turn in
      connection.createOffer(
        audio: audio, video: PeerMedia([picture], .sendonly), &turn)
    }
    guard let offer else { return nil }
    screen.legs.append(leg)
    return Seat(leg: leg, description: offer.bytes)
  }

  package func accept(_ answer: SessionDescription, on leg: LegID) -> SeatRefusal? {
    guard let screen = screens.first(where: { $0.legs.contains(leg) }) else { return .noRoom }
    let refusal = plane.withPeer(leg) { connection, turn -> SeatRefusal? in
      do throws(PeerRefusal) {
        try connection.setRemote(answer: answer, &turn)
        return connection.settled(.video) == nil ? .malformed("the answer takes no picture") : nil
      } catch { return .malformed(error.reason) }
    }
    guard let refusal else { return .noRoom }
    if let refusal { return refusal }
    let streams = plane.withPeer(leg) { connection, _ in
      (PlaneScreens.stream(.audio, connection), PlaneScreens.stream(.video, connection))
    }
    plane.setRemote(leg, audio: streams?.0, video: streams?.1)
    plane.watch(leg, silentAfter: nil)
    if screen.feed != .none { plane.show(screen.feed, on: leg) }
    return nil
  }

  private static func stream(_ kind: StreamKind, _ connection: PeerConnection) -> RemoteStream? {
    connection.settled(kind).map { settled in
      RemoteStream(
        rtp: Endpoint(.anyV4, port: 9), signalledFrom: .anyV4,
        formats: settled.formats.filter(\.isMedia).map { StreamFormat($0, ptime: settled.ptime) },
        received: connection.receiving(kind).filter(\.isMedia).map { StreamFormat($0, ptime: nil) },
        direction: MediaDirection(facing: settled.direction))
    }
  }

  package func trickle(_ fragment: TrickleFragment, on leg: LegID) -> SeatTrickle {
    // Which generation the candidates belong to is said by the credentials beside them (RFC 8840 section 4.4).
    guard fragment.credentials != nil else {
      return .refused("the credentials of ICE are missing, too short, or malformed")
    }
    let outcome = plane.withPeer(leg) { connection, turn -> SeatTrickle in
      do throws(PeerRefusal) {
        try connection.apply(fragment, &turn)
        return .taken
      } catch {
        guard error == .staleFragment else { return .refused(error.reason) }
        do throws(PeerRefusal) {
          var ours = try connection.restart(by: fragment, &turn)
          ours.options = PlaneScreens.options(of: connection.localDescription)
          return .restarted(ours.bytes)
        } catch { return .refused(error.reason) }
      }
    }
    return outcome ?? .refused("this connection is gone")
  }

  /// What our description says of ICE, which a restart must not change.
  private static func options(of description: SessionDescription?) -> [String] {
    guard let description else { return [] }
    let attributes = description.attributes + description.media.flatMap(\.attributes)
    let value = attributes.first { $0.name == "ice-options" }?.value ?? ""
    return value.split(separator: " ").map(String.init)
  }

  package func isConnected(_ leg: LegID) -> Bool {
    plane.withPeer(leg) { connection, _ in connection.isReady } ?? false
  }

  package func leave(_ leg: LegID) {
    forget(leg)
    plane.close(leg)
  }
}

extension SourceFormat.Coding {
  /// As `rtpmap` writes it.
  var name: String {
    switch self {
    case .h264: "H264"
    case .vp8: "VP8"
    }
  }
}

extension SourceFormat {
  /// What whoever looks hears.
  fileprivate var viewerSound: ViewerSound {
    switch sound {
    case .pcma: .hears(.pcma)
    case .pcmu: .hears(.pcmu)
    case nil: .none
    }
  }
}

extension SessionDescription {
  /// What the pictures are sent as.
  fileprivate var picture: Format? { media.first { $0.kind == .video }?.rtpFormats.first }
  fileprivate var offersVP8: Bool {
    media.contains { $0.kind == .video && $0.rtpFormats.contains(where: \.isVP8) }
  }
}

extension MediaDescription {
  /// The writer wants this line, be it only as part of the bundle.
  var isOffered: Bool { !isRejected || has("bundle-only") }
}
