internal import Calls
internal import Cameras
internal import Directory
internal import MediaPlane
internal import SDP
internal import SIP
internal import WebRTC
internal import Wire

/// The descriptions of a leg that answers the door and sees it: sound as the call wants it, the picture the camera's own.
///
/// To the call there is no picture: the caller's own, if it has one, is not asked for.
final class ViewerDescriptions: LegDescriptions {
  private let connection: PeerDescriptions
  private let screens: PlaneScreens
  private let camera: CameraID
  private let format: SourceFormat
  private let engine: ViewerEngine
  private var offer: SessionDescription?

  init(
    _ leg: LegID, of plane: Plane, _ screens: PlaneScreens, _ camera: CameraID, _ format: SourceFormat,
    _ engine: ViewerEngine
  ) {
    connection = PeerDescriptions(leg, of: plane)
    self.screens = screens
    self.camera = camera
    self.format = format
    self.engine = engine
  }

  var id: MediaLegID { connection.id }
  var form: MediaForm { .webRTC }
  var hasRemote: Bool { connection.hasRemote }

  func takeOffer(_ description: SessionDescription) -> Bool {
    guard connection.takeOffer(description) else { return false }
    offer = description
    return true
  }
  func dismissOffer() { connection.dismissOffer() }
  func offered(_ kind: SDP.MediaKind) -> (formats: [Format], direction: Direction)? {
    kind == .audio ? connection.offered(.audio) : nil
  }

  func answer(audio: [Format], _ direction: Direction, video: [Format], videoDirection: Direction) -> Body? {
    guard let offer, let codec = audio.first(where: \.isMedia)?.audioCodec else { return nil }
    return screens.join(LegID(id.handle), offer, by: engine, to: camera, format, talking: codec).map {
      .sdp($0)
    }
  }

  func offer(audio: [Format], _ direction: Direction, video: [Format], videoDirection: Direction) -> Body {
    connection.offer(audio: audio, direction, video: video, videoDirection: videoDirection)
  }
  func settle(_ answer: SessionDescription) -> Bool { connection.settle(answer) }
  func withdrawOffer() { connection.withdrawOffer() }
  func trickle(_ fragment: [UInt8], mayRestart: Bool) -> TrickleOutcome {
    connection.trickle(fragment, mayRestart: mayRestart)
  }
  func settled(_ kind: SDP.MediaKind) -> PeerStream? { kind == .audio ? connection.settled(.audio) : nil }
  /// The plane keeps the picture that it was told to show.
  func stream(_ kind: SDP.MediaKind) -> LegStream? { connection.stream(kind) }
}
