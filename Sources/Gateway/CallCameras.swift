internal import Calls
internal import Cameras
internal import Directory
internal import MediaPlane
internal import RTP
internal import Wire

// Stations as cameras: the H.264 of a station's own call, for everybody who may look, while the call lasts.
//
// Responsible for: which leg of the media plane a station shows its picture on, and the pictures on their way from there
// to whoever opened the camera.
// Assumes: `review` after a call was answered or ended, `take` for each picture that the plane tells.
// Somebody else's: what is agreed on with the station (Calls), and when a camera is opened (`CameraKeeper`).

final class CallCameras {
  private let plane: Plane
  private let world: any World
  private let leg: (StationName) -> MediaLegID?
  private var sources: [CallCamera] = []

  /// `leg`: where a station shows its picture now.
  init(plane: Plane, world: any World, leg: @escaping (StationName) -> MediaLegID?) {
    self.plane = plane
    self.world = world
    self.leg = leg
  }

  func open(_ station: StationName, hear: @escaping (SourceNews) -> Void) -> any CameraSource {
    let source = CallCamera(station, self, hear)
    sources.append(source)
    if let leg = current(station) {
      attach(source, leg)
    } else {
      world.perform(on: .general) {
      } then: { [weak self, weak source] in
        guard let self, let source, source.leg == .none else { return }
        self.end(
          source, SourceFault(.missing, "the station shows its picture in a call, once it is answered"))
      }
    }
    return source
  }

  private func current(_ station: StationName) -> LegID? { leg(station).map { LegID($0.handle) } }

  private func attach(_ source: CallCamera, _ leg: LegID) {
    source.leg = leg
    source.stream = PictureStream()
    plane.tapPictures(of: leg)
  }

  /// Calls were answered, or are over.
  func review() {
    for source in sources where current(source.station) != source.leg && source.leg != .none {
      end(source, SourceFault(.gone, "the station's call is over"))
    }
  }

  func take(_ picture: AccessUnit, from leg: LegID) {
    for source in sources where source.leg == leg {
      switch source.stream.take(picture) {
      case .nothing: break
      case .wantsKey: requestKeyFrame(source)
      case .unusable(let text): end(source, SourceFault(.coding, text))
      case .picture(let whole, let width, let height): source.show(whole, width: width, height: height)
      }
    }
  }

  /// A station sends something else than it announced.
  func fail(_ leg: LegID, _ verdict: CodingWatch.Verdict) {
    for source in sources where source.leg == leg { end(source, SourceFault(verdict)) }
  }

  fileprivate func requestKeyFrame(_ source: CallCamera) {
    if source.leg != .none { plane.requestKeyFrame(of: source.leg) }
  }

  fileprivate func remove(_ source: CallCamera) {
    sources.removeAll { $0 === source }
    guard source.leg != .none, !sources.contains(where: { $0.leg == source.leg }) else { return }
    plane.untapPictures(of: source.leg)
  }

  private func end(_ source: CallCamera, _ fault: SourceFault) {
    guard sources.contains(where: { $0 === source }) else { return }
    remove(source)
    source.hear(.ended(fault))
  }
}

/// One camera that a station's call is.
private final class CallCamera: CameraSource {
  let station: StationName
  let hear: (SourceNews) -> Void
  var leg = LegID.none
  var stream = PictureStream()
  private var format: SourceFormat?
  private unowned let owner: CallCameras

  init(_ station: StationName, _ owner: CallCameras, _ hear: @escaping (SourceNews) -> Void) {
    self.station = station
    self.owner = owner
    self.hear = hear
  }

  func show(_ picture: AccessUnit, width: Int, height: Int) {
    let shown = SourceFormat(coding: .h264, width: width, height: height, isOurs: false)
    if shown != format {
      format = shown
      hear(.began(shown))
    }
    hear(.picture(picture))
  }

  func requestKeyFrame() { owner.requestKeyFrame(self) }
  func limit(bitsPerSecond: Int, framesPerSecond: Int) {}
  func stop() { owner.remove(self) }
}
