internal import Cameras
internal import Directory
internal import Wire

/// Opens each camera the way its source says: over the network, on this machine, or from a call.
final class CameraWays: CameraOpener, SubstreamOpener {
  private let network: RTSPCameras
  private let local: (any LocalCameras)?
  private let calls: CallCameras
  private let world: any World
  /// The password of a device, open; nil for one that has none.
  var password: (DeviceID) -> String? = { _ in nil }
  /// What the directory says of a camera.
  var camera: (CameraID) -> Camera? = { _ in nil }

  init(network: RTSPCameras, local: (any LocalCameras)?, calls: CallCameras, world: any World) {
    self.network = network
    self.local = local
    self.calls = calls
    self.world = world
  }

  func open(_ camera: Camera, hear: @escaping (SourceNews) -> Void) -> any CameraSource {
    switch camera.source {
    case .rtsp(let url):
      let key = password(.camera(camera.id)) ?? ""
      return network.open(camera.id, url: url, user: camera.username, password: key, hear: hear)
    case .call(let station): return calls.open(station, hear: hear)
    case .v4l2, .pattern:
      guard let local else { return AbsentCamera(world, hear) }
      return local.open(camera, hear: hear)
    }
  }

  func openSubstream(of id: CameraID, hear: @escaping (SourceNews) -> Void) -> (any CameraSource)? {
    guard let camera = camera(id), let url = camera.substream else { return nil }
    return network.openSubstream(
      of: id, url: url, user: camera.username, password: password(.camera(id)) ?? "", hear: hear)
  }
}

/// Stands for a camera of a machine that has none.
private final class AbsentCamera: CameraSource {
  private var isStopped = false

  init(_ world: any World, _ hear: @escaping (SourceNews) -> Void) {
    world.perform(on: .general) {
    } then: { [weak self] in
      guard let self, !self.isStopped else { return }
      hear(.ended(SourceFault(.missing, "this machine serves no cameras of its own")))
    }
  }

  func requestKeyFrame() {}
  func limit(bitsPerSecond: Int, framesPerSecond: Int) {}
  func stop() { isStopped = true }
}
