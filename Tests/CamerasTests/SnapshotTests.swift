import Cameras
import Codecs
import Directory
import RTP
import Simulation
import Testing
import Wire

private final class Photographer: SimulatedPeer {
  let world: SimulatedWorld
  let snapshots: Snapshots
  let cameras: SimulatedCameras
  var results: [Result<[UInt8], SourceFault>] = []
  var news: [(at: Instant, SourceNews)] = []

  init(_ world: SimulatedWorld) {
    self.world = world
    snapshots = Snapshots(world: world)
    cameras = SimulatedCameras(world)
  }

  func open(_ source: Camera.Source = .pattern) -> any CameraSource {
    cameras.open(Camera(id: "c", source: source)) { [unowned self] news in
      self.news.append((self.world.now, news))
    }
  }

  var pictures: [AccessUnit] {
    news.compactMap { if case .picture(let unit) = $0.1 { unit } else { nil } }
  }
  var fault: SourceFault? {
    for case (_, .ended(let fault)) in news { return fault }
    return nil
  }
}

private func stage() -> (SimulatedNetwork, Photographer) {
  let network = SimulatedNetwork(seed: 1)
  let host = network.addHost("gateway", [IPAddress(v4: 0xC000_0201)])
  return (network, host.start { Photographer($0) }.resident)
}

private func key(_ number: Int) throws -> AccessUnit {
  var setting = VideoSetting(
    coding: .h264, width: 320, height: 240, picturesPerSecond: 25, bitsPerSecond: 1_000_000)
  setting.mayUseBoard = false
  var encoder = try VideoEncoder(setting)
  var picture = Picture(width: 320, height: 240)!
  Pattern.draw(.init(number: number, milliseconds: 3), on: &picture)
  let coded = try encoder.encode(picture, time: 0)
  return AccessUnit(annexB: coded[0].bytes, timestamp: 0, captured: Instant(nanoseconds: 0))!
}

@Suite struct SnapshotTests {
  @Test func aKeyPictureBecomesAFileThatShowsTheSame() throws {
    let (network, photographer) = stage()
    let isTaken = photographer.snapshots.take(of: try key(4321)) { photographer.results.append($0) }
    #expect(isTaken)
    #expect(photographer.results.isEmpty, "never before it returns")
    network.run(for: .seconds(1))
    let file = try photographer.results[0].get()
    var decoder = try VideoDecoder(.mjpeg)
    var shown: Picture?
    let came = decoder.decode(file.span, into: &shown)
    #expect(came)
    #expect(shown.flatMap { Pattern.read($0) }?.number == 4321)
  }

  @Test func tooManyAtATimeAreRefused() throws {
    let (network, photographer) = stage()
    let picture = try key(1)
    var taken = 0
    for _ in 0..<20 where photographer.snapshots.take(of: picture, then: { photographer.results.append($0) })
    {
      taken += 1
    }
    #expect(taken == Snapshots.most)
    network.run(for: .seconds(2))
    #expect(photographer.results.count == Snapshots.most)
    let isTaken = photographer.snapshots.take(of: picture) { photographer.results.append($0) }
    #expect(isTaken, "there is room again")
  }

  @Test func whatIsNoPictureIsAFaultWithASentence() throws {
    func fault(_ bytes: [UInt8], isKey: Bool) -> SourceFault? {
      let unit = AccessUnit(
        bytes: bytes, units: bytes.isEmpty ? [] : [0..<bytes.count], timestamp: 0,
        captured: Instant(nanoseconds: 0),
        isKey: isKey)
      guard case .failure(let fault) = Snapshots.jpeg(of: unit) else { return nil }
      return fault
    }
    #expect(fault([0x65, 1, 2, 3], isKey: true)?.kind == .coding)
    #expect(fault([], isKey: true)?.kind == .coding)
    #expect(fault([0x41, 1, 2, 3], isKey: false)?.text.contains("key picture") == true)
    var whole = try key(9)
    whole = AccessUnit(
      bytes: Array(whole.bytes.prefix(whole.bytes.count / 2)), units: [whole.units[0], whole.units[1]],
      timestamp: 0, captured: whole.captured, isKey: true)
    guard case .failure = Snapshots.jpeg(of: whole) else {
      Issue.record("parameter sets alone are no picture")
      return
    }
  }
}

@Suite struct SimulatedCamerasTests {
  @Test func theCannedPicturesAreAStreamThatIsDecoded() throws {
    let (network, photographer) = stage()
    let source = photographer.open()
    network.run(for: .seconds(2))
    source.requestKeyFrame()
    network.run(for: .seconds(1))
    source.stop()
    #expect(photographer.cameras.open == 0)
    let count = photographer.pictures.count
    #expect(count > 70)
    var decoder = try VideoDecoder(.h264)
    var shown: Picture?
    for unit in photographer.pictures {
      let bytes = unit.annexB
      let came = decoder.decode(bytes.span, into: &shown)
      #expect(came)
      #expect(shown?.width == 32 && shown?.height == 32)
    }
    network.run(for: .seconds(1))
    #expect(photographer.pictures.count == count, "nothing is heard after stop")
  }

  @Test func aDeviceIsUnpluggedAndPluggedIn() {
    let (network, photographer) = stage()
    _ = photographer.open(.v4l2(path: "/dev/video0"))
    network.run(for: .seconds(1))
    photographer.cameras.unplug("v4l2:/dev/video0")
    network.run(for: .seconds(1))
    #expect(photographer.fault?.kind == .gone)
    photographer.news = []
    _ = photographer.open(.v4l2(path: "/dev/video0"))
    network.run(for: .seconds(1))
    #expect(photographer.fault?.kind == .missing)
    photographer.cameras.plugIn("v4l2:/dev/video0")
    photographer.news = []
    _ = photographer.open(.v4l2(path: "/dev/video0"))
    network.run(for: .seconds(1))
    #expect(photographer.fault == nil && photographer.pictures.count > 20)
    photographer.cameras.freeze("v4l2:/dev/video0")
    network.run(for: .seconds(6))
    #expect(photographer.fault?.kind == .frozen)
  }
}
