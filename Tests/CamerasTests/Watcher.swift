import Cameras
import Crypto
import Directory
import RTP
import RTSP
import Simulation
import Transport
import Wire

/// A gateway with nothing but its cameras.
final class Watcher: SimulatedPeer {
  let world: SimulatedWorld
  let streams: Streams
  let cameras: RTSPCameras
  var news: [(at: Instant, SourceNews)] = []
  var source: (any CameraSource)?

  init(_ world: SimulatedWorld) {
    self.world = world
    streams = Streams(world: world, sessions: SimulatedSessions(identity: nil), judge: nil)
    cameras = RTSPCameras(world: world, streams: streams)
  }

  func open(
    _ url: String = "rtsp://192.0.2.10/live", user: String? = nil, password: String = "", again: Bool = false
  ) {
    var backoff = Backoff(of: .rtsp(url: ""))
    var random = world.makeRandom()
    var began: Instant?
    func begin() {
      source = cameras.open(
        CameraID("door"), url: url, credentials: user.map { RTSPCredentials(user: $0, password: password) }
      ) { [weak self] news in
        guard let self else { return }
        self.news.append((self.world.now, news))
        if case .began = news, began == nil { began = self.world.now }
        if case .ended(let fault) = news, again {
          let worked = began.map { self.world.now - $0 } ?? .zero
          began = nil
          self.world.after(backoff.delay(after: fault, worked: worked, random: &random)) { begin() }
        }
      }
    }
    begin()
  }

  // MARK: What was told

  var pictures: [(at: Instant, key: Bool)] {
    news.compactMap { if case .picture(let unit) = $0.1 { ($0.at, unit.isKey) } else { nil } }
  }
  var sounds: Int { news.count { if case .sound = $0.1 { true } else { false } } }
  var silences: [SourceFault] {
    news.compactMap { if case .silent(let fault) = $0.1 { fault } else { nil } }
  }
  var formats: [SourceFormat] {
    news.compactMap { if case .began(let format) = $0.1 { format } else { nil } }
  }
  var faults: [SourceFault] {
    news.compactMap { if case .ended(let fault) = $0.1 { fault } else { nil } }
  }

  // MARK: Resident

  func received(
    _ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint
  ) {
    if cameras.owns(socket) { cameras.received(datagram, on: socket, from: remote) }
  }
  func connected(_ stream: SocketID) { streams.connected(stream) }
  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) { streams.received(bytes, onStream: stream) }
  func drained(_ stream: SocketID) { streams.drained(stream) }
  func closed(_ stream: SocketID, _ failure: NetworkFailure) { streams.closed(stream, failure) }
  func advance() {
    streams.advance()
    cameras.advance()
  }
  var nextDeadline: Instant? { .earlier(streams.nextDeadline, cameras.nextDeadline) }
}

/// A camera, a gateway, and the wire between them.
final class Wiring {
  let network: SimulatedNetwork
  let cameraHost: SimulatedHost
  let gatewayHost: SimulatedHost
  private(set) var camera: SimulatedCamera
  private(set) var cameraWorld: SimulatedWorld
  let watcher: Watcher

  static let cameraAddress = IPAddress(v4: 0xC000_020A)

  init(_ habits: CameraHabits = CameraHabits(), seed: UInt64 = 1, sessions: SimulatedSessions? = nil) {
    network = SimulatedNetwork(seed: seed)
    cameraHost = network.addHost("camera", [Wiring.cameraAddress])
    gatewayHost = network.addHost("gateway", [IPAddress(v4: 0xC000_0201)])
    (cameraWorld, camera) = cameraHost.start { SimulatedCamera($0, habits, sessions: sessions) }
    watcher = gatewayHost.start { Watcher($0) }.resident
  }

  deinit { network.end() }

  /// Runs `action` in a turn of the gateway's.
  func inGateway(_ action: @escaping (Watcher) -> Void) {
    watcher.world.after(.zero) { [watcher] in action(watcher) }
  }

  func inCamera(_ action: @escaping (SimulatedCamera) -> Void) {
    cameraWorld.after(.zero) { [camera] in action(camera) }
  }

  /// The camera loses power, and comes back after a while.
  func restartCamera(
    _ kind: SimulatedWorld.Crash, after interval: Interval, _ habits: CameraHabits = CameraHabits()
  ) {
    cameraWorld.crash(kind)
    network.after(interval) { [self] in
      (cameraWorld, camera) = cameraHost.start { SimulatedCamera($0, habits) }
    }
  }

  func run(_ interval: Interval) { network.run(for: interval) }
}

/// A camera with these habits that was opened, after a while.
func opened(
  _ habits: CameraHabits = CameraHabits(), seed: UInt64 = 1, user: String? = nil, password: String = "",
  again: Bool = false, for interval: Interval = .seconds(3)
) -> Wiring {
  let wiring = Wiring(habits, seed: seed)
  wiring.inGateway { $0.open(user: user, password: password, again: again) }
  wiring.run(interval)
  return wiring
}
