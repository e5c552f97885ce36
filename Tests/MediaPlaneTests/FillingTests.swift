import MediaPlane
import RTP
import SDP
import Simulation
import Testing
import WebRTC
import Wire

/// A station with a camera, over plain RTP, in packets as it likes them.
private struct Station {
  let bench: Bench
  let ports: LegPorts
  var camera: PaperCamera
  private var sequence: UInt16 = 60_000
  private(set) var shot: [AccessUnit] = []
  private let packetizer = PicturePacketizer(limit: 1400)

  init(_ bench: Bench, _ camera: PaperCamera = PaperCamera(group: 8, keyBytes: 9000, bytes: 2500)) throws {
    self.bench = bench
    self.camera = camera
    ports = try bench.leg(.audioAndVideo)
    bench.plane.setRemote(
      ports.leg, audio: bench.remote(stationAddress),
      video: RemoteStream(
        rtp: Endpoint(stationAddress, port: 5002), signalledFrom: stationAddress,
        formats: [StreamFormat(payloadType: 99, codec: .other(name: "H264", fmtp: ""), clockRate: 90_000)],
        direction: .sendOnly))
  }

  /// A picture, without the packets that `loses` names by their place in it.
  mutating func shoot(isKey: Bool? = nil, loses: (Int) -> Bool = { _ in false }) throws {
    let picture = camera.next(at: bench.world.now, isKey: isKey)
    shot.append(picture)
    let packets = packetizer.packetize(picture, as: .h264(nil), timestamp: picture.timestamp)
    for (index, payload) in packets.payloads.enumerated() {
      defer { sequence &+= 1 }
      if loses(index) { continue }
      bench.arrive(
        packet(
          99, sequence, picture.timestamp, marker: index == packets.payloads.count - 1,
          Array(packets.bytes[payload])), at: try #require(ports.video), from: stationAddress, port: 5002)
    }
    bench.pass(.milliseconds(40))
  }

  /// How often it was asked for a key picture.
  var asked: Int {
    bench.world.sent.filter { sent in
      guard sent.to == Endpoint(stationAddress, port: 5003) else { return false }
      var reader = ControlReader()
      while let part = try? reader.next(in: sent.bytes.span) { if case .pictureLoss = part { return true } }
      return false
    }.count
  }
}

@Suite struct FillingTests {
  private func bench() throws -> Bench {
    let bench = Bench()
    try bench.plane.listenForPeers(
      at: [Endpoint(ourAddress, port: 8189)], addresses: [], maker: SimulatedDTLS(number: 2))
    return bench
  }

  @Test func whatAStationSendsCanBeLookedAt() throws {
    let bench = try bench()
    var station = try Station(bench)
    let feed = bench.plane.openFeed(.h264(nil))
    bench.plane.fill(feed, from: station.ports.leg)
    for _ in 0..<5 { try station.shoot() }
    let spectator = try Spectator(bench)
    try spectator.ask(for: feed)
    spectator.meet(300)
    for _ in 0..<6 {
      try station.shoot()
      spectator.meet(10)
    }
    #expect(spectator.isGapless())
    #expect(spectator.pictures().map(\.parts) == station.shot.map(\.parts))
    #expect(bench.plane.parameters(of: feed)?.profileLevelID == "42c01e")
    // After loss nothing is shown before the next key picture, and that is asked for.
    let before = station.asked
    try station.shoot(isKey: false) { $0 == 1 }
    bench.pass(.seconds(1))
    try station.shoot(isKey: false)
    try station.shoot(isKey: true)
    try station.shoot(isKey: false)
    spectator.meet(20)
    #expect(station.asked > before)
    #expect(spectator.pictures().map(\.number) == Array(0..<11) + [13, 14])
    bench.plane.stopFilling(feed)
    try station.shoot(isKey: true)
    spectator.meet(20)
    #expect(spectator.pictures().last?.number == 14)
    bench.plane.close(station.ports.leg)
    bench.plane.closeFeed(feed)
  }

  @Test func whoeverTapsAStationIsToldItsPicturesWhole() throws {
    let bench = try bench()
    var station = try Station(bench)
    let leg = station.ports.leg
    func told() -> [AccessUnit] {
      bench.events().compactMap { if case .picture(leg, let picture) = $0 { picture } else { nil } }
    }
    try station.shoot()
    #expect(told() == [], "nobody asked")
    let before = station.asked
    #expect(bench.plane.tapPictures(of: leg))
    #expect(station.asked > before)
    try station.shoot(isKey: false)
    try station.shoot(isKey: true)
    try station.shoot(isKey: false)
    #expect(told().map(\.parts) == station.shot[2...].map(\.parts))
    try station.shoot(isKey: false) { $0 == 1 }
    try station.shoot(isKey: false)
    #expect(told() == [], "something is missing")
    try station.shoot(isKey: true)
    #expect(told().map(\.parts) == [station.shot[6].parts])
    bench.plane.untapPictures(of: leg)
    try station.shoot(isKey: true)
    #expect(told() == [])
    #expect(!bench.plane.tapPictures(of: try bench.leg(.audio).leg), "it has no picture")
  }

  @Test func aCallShowsTheStationToTheBrowser() throws {
    let bench = try bench()
    var station = try Station(bench)
    let spectator = try Spectator(bench)
    let offer = spectator.offer()
    let answer = bench.plane.withPeer(spectator.leg) { connection, turn -> SessionDescription? in
      try? connection.setRemote(offer: offer)
      return try? connection.createAnswer(
        audio: PeerMedia([.pcma], .sendonly), video: PeerMedia([Spectator.h264], .sendonly), &turn)
    }
    spectator.take(try #require(answer ?? nil))
    func remote(_ format: StreamFormat) -> RemoteStream {
      RemoteStream(
        rtp: Endpoint(.anyV4, port: 9), signalledFrom: .anyV4, formats: [format], direction: .receiveOnly)
    }
    bench.plane.setRemote(
      spectator.leg, audio: remote(.pcma),
      video: remote(
        StreamFormat(payloadType: 102, codec: .other(name: "H264", fmtp: ""), clockRate: 90_000)))
    bench.plane.bridge(station.ports.leg, spectator.leg, keys: .consumeBoth)
    for _ in 0..<3 { try station.shoot() }
    spectator.meet(300)
    for _ in 0..<4 {
      try station.shoot()
      spectator.meet(10)
    }
    #expect(spectator.isConnected)
    #expect(spectator.isGapless())
    #expect(spectator.pictures().map(\.number) == Array(0..<7))
    #expect(spectator.packets.allSatisfy { $0.bytes.count <= 1200 })
    // Its decoder lost its way: it need not wait for the station.
    spectator.meet(600)
    spectator.report { $0.pictureLoss(sender: 0xB1, media: spectator.ssrc) }
    spectator.meet(20)
    #expect(spectator.pictures().map(\.number) == Array(0..<7) + Array(0..<7))
    // Parted, it sees nothing more, and nothing is left of the feed.
    let feed = bench.plane.shown(on: spectator.leg)
    #expect(bench.plane.feedStatistics(feed)?.viewers == 1)
    bench.plane.unbridge(spectator.leg)
    #expect(bench.plane.feedStatistics(feed) == nil)
    #expect(bench.plane.shown(on: spectator.leg) == .none)
    try station.shoot(isKey: true)
    spectator.meet(20)
    #expect(spectator.pictures().count == 14)
    // And again, without a gap.
    bench.plane.bridge(spectator.leg, station.ports.leg, keys: .consumeBoth)
    try station.shoot(isKey: true)
    spectator.meet(20)
    #expect(spectator.isGapless())
    #expect(spectator.pictures().count == 15)
    bench.plane.close(station.ports.leg)
    #expect(bench.plane.shown(on: spectator.leg) == .none)
  }

  @Test func aCameraThatIsShownStaysWhenTheCallIsAnswered() throws {
    let bench = try bench()
    let station = try Station(bench)
    let feed = bench.plane.openFeed(.h264(nil))
    var camera = PaperCamera()
    bench.plane.push(camera.next(at: bench.world.now), into: feed)
    let spectator = try Spectator(bench)
    try spectator.ask(for: feed)
    spectator.meet(300)
    bench.plane.bridge(station.ports.leg, spectator.leg, keys: .consumeBoth)
    #expect(bench.plane.shown(on: spectator.leg) == feed)
    // The station is heard now, the camera is not.
    func camerasSound() -> Int {
      let before = spectator.heard.count
      for _ in 0..<3 {
        bench.plane.pushSound([UInt8](repeating: 1, count: 160), samples: 160, codec: .pcma, into: feed)
        spectator.meet(20)
      }
      return spectator.heard.count - before
    }
    #expect(camerasSound() == 0)
    bench.arrive(packet(8, 1, 160), at: station.ports.audio, from: stationAddress)
    spectator.meet(20)
    #expect(spectator.heard.count == 1)
    bench.plane.unbridge(spectator.leg)
    #expect(bench.plane.shown(on: spectator.leg) == feed)
    #expect(camerasSound() == 3, "and after the call the camera again")
    bench.plane.push(camera.next(at: bench.world.now), into: feed)
    spectator.meet(20)
    #expect(spectator.pictures().map(\.number) == [0, 1])
  }
}
