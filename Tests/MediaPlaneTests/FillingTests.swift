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
  /// Whether its pictures have their parameter sets with them.
  var sendsParameters = true
  private let packetizer = PicturePacketizer(limit: 1400)

  /// `says`: what its description says of its pictures.
  init(
    _ bench: Bench, _ camera: PaperCamera = PaperCamera(group: 8, keyBytes: 9000, bytes: 2500),
    says parameters: String = ""
  ) throws {
    self.bench = bench
    self.camera = camera
    ports = try bench.leg(.audioAndVideo)
    bench.plane.setRemote(
      ports.leg, audio: bench.remote(stationAddress),
      video: RemoteStream(
        rtp: Endpoint(stationAddress, port: 5002), signalledFrom: stationAddress,
        formats: [
          StreamFormat(
            payloadType: 99, codec: .other(name: "H264", fmtp: parameters), clockRate: 90_000)
        ],
        direction: .sendOnly))
  }

  /// A picture, without the packets that `loses` names by their place in it; backwards when `turned`.
  mutating func shoot(
    isKey: Bool? = nil, turned: Bool = false, loses: (Int) -> Bool = { _ in false }
  ) throws {
    let picture = camera.next(at: bench.world.now, isKey: isKey)
    shot.append(picture)
    let packets = packetizer.packetize(picture, as: .h264(nil), timestamp: picture.timestamp)
    var made = packets.payloads.enumerated().map { index, payload in
      (Array(packets.bytes[payload]), marker: index == packets.payloads.count - 1)
    }
    // The two parameter sets come in one packet.
    if !sendsParameters { made.removeAll { $0.0[0] & 0x1F == 24 } }
    for index in turned ? made.indices.reversed() : Array(made.indices) where !loses(index) {
      try send(
        made[index].0, number: sequence &+ UInt16(index), picture.timestamp, marker: made[index].marker)
    }
    sequence &+= UInt16(made.count)
    bench.pass(.milliseconds(40))
  }

  /// One payload that is no picture of the camera's.
  mutating func send(_ payload: [UInt8]) throws {
    try send(payload, number: sequence, bench.world.now.ticks(at: 90_000), marker: true)
    sequence &+= 1
  }

  private func send(_ payload: [UInt8], number: UInt16, _ timestamp: UInt32, marker: Bool) throws {
    bench.arrive(
      packet(99, number, timestamp, marker: marker, payload), at: try #require(ports.video),
      from: stationAddress, port: 5002)
  }

  /// How often it was asked for a key picture: always in both ways.
  var asked: Int {
    bench.world.sent.filter { sent in
      guard sent.to == Endpoint(stationAddress, port: 5003) else { return false }
      var reader = ControlReader()
      var ways: Set<String> = []
      while let part = try? reader.next(in: sent.bytes.span) {
        if case .pictureLoss = part { ways.insert("PLI") }
        if case .fullIntra = part { ways.insert("FIR") }
      }
      #expect(ways.count != 1)
      return ways.count == 2
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

  @Test func disorderIsNotLoss() throws {
    let bench = try bench()
    var station = try Station(bench)
    let leg = station.ports.leg
    bench.plane.tapPictures(of: leg)
    try station.shoot()
    bench.pass(.seconds(1))
    let before = station.asked
    for _ in 0..<4 { try station.shoot(isKey: false, turned: true) }
    let told = bench.events().compactMap { event in
      if case .picture(leg, let picture) = event { picture } else { nil }
    }
    #expect(told.map(\.parts) == station.shot.map(\.parts))
    #expect(station.asked == before)
  }

  @Test func parameterSetsOfTheDescriptionAreTakenWhereTheStreamHasNone() throws {
    let bench = try bench()
    let sets = [PaperCamera.sps, PaperCamera.pps].map { Base64.encode($0) }.joined(separator: ",")
    var station = try Station(bench, says: "packetization-mode=1;sprop-parameter-sets=\(sets)")
    station.sendsParameters = false
    let leg = station.ports.leg
    let feed = bench.plane.openFeed(.h264(nil))
    bench.plane.fill(feed, from: leg)
    bench.plane.tapPictures(of: leg)
    for _ in 0..<3 { try station.shoot() }
    let told = bench.events().compactMap { event in
      if case .picture(leg, let picture) = event { picture } else { nil }
    }
    #expect(told.map(\.parts) == station.shot.map(\.parts), "as if they had been there")
    #expect(bench.plane.parameters(of: feed)?.profileLevelID == "42c01e")
  }

  @Test func aStationThatSendsSomethingElseIsFoundOut() throws {
    let bench = try bench()
    var station = try Station(bench)
    let leg = station.ports.leg
    bench.plane.tapPictures(of: leg)
    for payload: [UInt8] in [[0x40, 1, 0x0C], [0x42, 1, 1], [0x44, 1, 0xC1], [0x62, 1, 0x93, 1]] {
      try station.send(payload)
    }
    func found() -> [CodingWatch.Verdict] {
      bench.events().compactMap { if case .unusable(leg, let verdict) = $0 { verdict } else { nil } }
    }
    #expect(found() == [])
    for _ in 0..<8 { try station.send([0x02, 1, 0xD0]) }
    #expect(found() == [.h265], "said once")
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
