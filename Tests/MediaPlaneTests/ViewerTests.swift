import MediaPlane
import RTP
import SDP
import Simulation
import Testing
import WebRTC
import Wire

/// A plane with a feed and a camera.
struct Cinema {
  let bench = Bench()
  let feed: FeedID
  var camera: PaperCamera
  private(set) var shot: [AccessUnit] = []

  init(_ camera: PaperCamera = PaperCamera(), isInstant: Bool = false) throws {
    self.camera = camera
    try bench.plane.listenForPeers(
      at: [Endpoint(ourAddress, port: 8189)], addresses: [], maker: SimulatedDTLS(number: 2))
    feed = bench.plane.openFeed(.h264(nil), isInstant: isInstant)
  }

  /// So many pictures, one every 40 ms.
  mutating func shoot(_ count: Int = 1, isKey: Bool? = nil, to spectators: [Spectator] = []) {
    for _ in 0..<count {
      let picture = camera.next(at: bench.world.now, isKey: isKey)
      shot.append(picture)
      bench.plane.push(picture, into: feed)
      if spectators.isEmpty { bench.pass(.milliseconds(40)) }
      for spectator in spectators { spectator.meet(40 / spectators.count / 10 * 10) }
    }
  }

  /// What the camera was asked for since the last time, in bits a second.
  func rates() -> [Int] {
    bench.events().compactMap { if case .rateWanted(feed, let bits) = $0 { bits } else { nil } }
  }

  func spectator(_ number: UInt16 = 0) throws -> Spectator {
    let spectator = try Spectator(bench, number: number)
    try spectator.ask(for: feed)
    spectator.meet(300)
    #expect(spectator.isConnected)
    return spectator
  }
}

@Suite struct ViewerTests {
  @Test(arguments: 1...12)
  func whoeverComesGetsTheGroupAtOnceAndThenWhatFollows(offset: Int) throws {
    var cinema = try Cinema()
    cinema.shoot(offset)
    let spectator = try cinema.spectator()
    // Nothing was pushed since: what came is the group, at once.
    let first = (offset - 1) / 10 * 10
    #expect(spectator.pictures().map(\.number) == Array(first..<offset))
    cinema.shoot(15, to: [spectator])
    #expect(spectator.isGapless())
    let seen = spectator.pictures()
    #expect(seen.map(\.number) == Array(first..<offset + 15))
    #expect(seen.map(\.parts) == cinema.shot[first...].map(\.parts))
    // The group took no time: its pictures are a millisecond apart, the later ones as far as they were taken.
    let stamps = seen.map(\.timestamp)
    for index in 1..<stamps.count {
      let step = stamps[index] &- stamps[index - 1]
      let place = first + index
      if place < offset { #expect(step == 90) } else if place > offset { #expect(step == 3600) }
    }
    let newest = (offset + 14) / 10 * 10
    #expect(cinema.bench.plane.group(of: cinema.feed).map(\.parts) == cinema.shot[newest...].map(\.parts))
    let statistics = try #require(cinema.bench.plane.feedStatistics(cinema.feed))
    #expect(statistics.viewers == 1)
    #expect(statistics.joins == 1)
    #expect(statistics.waits == 0)
    #expect(cinema.bench.plane.viewerStatistics(spectator.leg)?.pictures == UInt64(seen.count))
  }

  @Test func whoeverComesBeforeTheFirstPictureAsksForIt() throws {
    var cinema = try Cinema()
    let spectator = try cinema.spectator()
    #expect(cinema.bench.events().contains(.keyFrameWanted(cinema.feed)))
    cinema.shoot(3, isKey: false, to: [spectator])
    #expect(spectator.packets.isEmpty, "nothing that a decoder cannot begin with")
    cinema.shoot(1, isKey: true, to: [spectator])
    cinema.shoot(2, isKey: false, to: [spectator])
    #expect(spectator.pictures().map(\.number) == [3, 4, 5])
    #expect(spectator.isGapless())
  }

  @Test func everybodyHasNumbersOfTheirOwn() throws {
    var cinema = try Cinema()
    cinema.shoot(4)
    let first = try cinema.spectator(0)
    cinema.shoot(5, to: [first])
    let second = try cinema.spectator(1)
    cinema.shoot(12, to: [first, second])
    for spectator in [first, second] {
      #expect(spectator.isGapless())
      #expect(spectator.pictures().map(\.number) == Array(0..<21))
    }
    #expect(first.packets[0].header.ssrc != second.packets[0].header.ssrc)
    #expect(first.packets[0].header.sequence != second.packets[0].header.sequence)
    #expect(cinema.bench.plane.feedStatistics(cinema.feed)?.viewers == 2)
    cinema.bench.plane.close(first.leg)
    #expect(cinema.bench.plane.feedStatistics(cinema.feed)?.viewers == 1)
    cinema.shoot(1, to: [second])
    #expect(second.pictures().count == 22)
  }

  @Test func parameterSetsComeBeforeEveryKeyPictureAndAreKnown() throws {
    var cinema = try Cinema()
    #expect(cinema.bench.plane.parameters(of: cinema.feed) == nil)
    cinema.shoot(1)
    let read = try #require(cinema.bench.plane.parameters(of: cinema.feed))
    #expect(read.profileLevelID == "42c01e")
    #expect(cinema.bench.plane.keyPicture(of: cinema.feed)?.number == 0)
    let spectator = try cinema.spectator()
    // A camera that says them once only.
    let bare: [UInt8] = [0x65, 0x88, 0, 0, 0, 9]
    cinema.bench.plane.push(
      AccessUnit(
        bytes: bare, units: [0..<6], timestamp: cinema.bench.world.now.ticks(at: 90_000),
        captured: cinema.bench.world.now, isKey: true), into: cinema.feed)
    spectator.meet(50)
    #expect(spectator.pictures().last?.parts == [PaperCamera.sps, PaperCamera.pps, bare])
    #expect(cinema.bench.plane.keyPicture(of: cinema.feed)?.parts.count == 3)
  }

  @Test func aCameraThatBeginsAnewGoesOnForItsViewers() throws {
    var cinema = try Cinema()
    cinema.shoot(3)
    let spectator = try cinema.spectator()
    cinema.shoot(2, to: [spectator])
    let now = cinema.bench.world.now
    for (index, stamp) in [UInt32(5), 3605].enumerated() {
      var picture = cinema.camera.next(at: now, isKey: index == 0)
      picture = AccessUnit(
        bytes: picture.bytes, units: picture.units, timestamp: stamp,
        captured: now + .milliseconds(Int64(index) * 40),
        isKey: picture.isKey)
      cinema.bench.plane.push(picture, into: cinema.feed)
      spectator.meet(40)
    }
    #expect(spectator.isGapless())
    #expect(spectator.pictures().map(\.number) == Array(0..<7))
    let stamps = spectator.pictures().map(\.timestamp)
    #expect(stamps[5] &- stamps[4] == 3600)
    #expect(stamps[6] &- stamps[5] == 3600)
  }

  @Test func anotherFeedOnTheSameLegGoesOnWithoutAGap() throws {
    var cinema = try Cinema()
    cinema.shoot(3)
    let spectator = try cinema.spectator()
    cinema.shoot(2, to: [spectator])
    let plane = cinema.bench.plane
    let other = plane.openFeed(.h264(nil))
    var camera = PaperCamera(group: 3, keyBytes: 900, bytes: 200)
    for _ in 0..<2 { plane.push(camera.next(at: cinema.bench.world.now), into: other) }
    plane.show(other, on: spectator.leg)
    #expect(plane.shown(on: spectator.leg) == other)
    spectator.meet(100)
    cinema.shoot(1, to: [spectator])
    #expect(spectator.isGapless())
    #expect(spectator.pictures().map(\.number) == [0, 1, 2, 3, 4, 0, 1])
    plane.hide(on: spectator.leg)
    plane.push(camera.next(at: cinema.bench.world.now), into: other)
    spectator.meet(50)
    #expect(spectator.pictures().count == 7)
    plane.closeFeed(cinema.feed)
    #expect(plane.feedStatistics(cinema.feed) == nil)
  }

  @Test func whoeverHoldsAndComesBackBeginsAgain() throws {
    var cinema = try Cinema()
    cinema.shoot(2)
    let spectator = try cinema.spectator()
    let plane = cinema.bench.plane
    func set(_ direction: MediaDirection) {
      plane.setRemote(
        spectator.leg, audio: nil,
        video: RemoteStream(
          rtp: Endpoint(.anyV4, port: 9), signalledFrom: .anyV4,
          formats: [
            StreamFormat(payloadType: 102, codec: .other(name: "H264", fmtp: ""), clockRate: 90_000)
          ], direction: direction))
    }
    set(.inactive)
    cinema.shoot(3, to: [spectator])
    #expect(spectator.pictures().map(\.number) == [0, 1])
    set(.receiveOnly)
    spectator.meet(50)
    cinema.shoot(1, to: [spectator])
    #expect(spectator.isGapless())
    #expect(spectator.pictures().map(\.number) == [0, 1] + Array(0..<6))
  }

  @Test func slicesOfManySizesLeaveInOrder() throws {
    let cinema = try Cinema()
    let spectator = try cinema.spectator()
    var random = Random(seed: 8)
    var sent: [[[UInt8]]] = []
    for round in 0..<20 {
      var units = round == 0 ? [PaperCamera.sps, PaperCamera.pps] : []
      for _ in 0..<4 {
        units.append(
          [round == 0 ? 0x65 : 0x41, 0x9A] + [UInt8](repeating: 7, count: Int(random.below(3000))))
      }
      sent.append(units)
      var bytes: [UInt8] = []
      var places: [Range<Int>] = []
      for unit in units {
        places.append(bytes.count..<bytes.count + unit.count)
        bytes += unit
      }
      let now = cinema.bench.world.now
      cinema.bench.plane.push(
        AccessUnit(
          bytes: bytes, units: places, timestamp: now.ticks(at: 90_000), captured: now, isKey: round == 0),
        into: cinema.feed)
      spectator.meet(40)
    }
    #expect(spectator.isGapless())
    #expect(spectator.pictures().map(\.parts) == sent)
  }

  @Test func aLargePictureLeavesInPartsAndInOneRunEach() throws {
    var cinema = try Cinema(PaperCamera(group: 100, keyBytes: 200_000, bytes: 9000))
    cinema.shoot(1)
    let spectator = try cinema.spectator()
    spectator.meet(200)
    #expect(spectator.pictures().map(\.number) == [0])
    #expect(spectator.isGapless())
    cinema.shoot(1)
    let before = cinema.bench.world.runs
    cinema.shoot(1)
    #expect(cinema.bench.world.runs == before + 1, "an ordinary picture is one message")
  }

  @Test func soundReachesTheViewerInItsOwnCodec() throws {
    var cinema = try Cinema()
    cinema.shoot(1)
    let spectator = try cinema.spectator()
    let plane = cinema.bench.plane
    for index in 0..<3 {
      plane.pushSound(
        [UInt8](repeating: 0x55, count: 160 + index), samples: 160, codec: .pcma, into: cinema.feed)
      spectator.meet(20)
    }
    #expect(spectator.heard.map { $0.count - 12 } == [160, 161, 162])
    let headers = try spectator.heard.map { try PacketHeader(parsing: $0.span) }
    #expect(headers.map { $0.sequence &- headers[0].sequence } == [0, 1, 2])
    #expect(headers.map { $0.timestamp &- headers[0].timestamp } == [0, 160, 320])
    #expect(headers[0].payloadType == 8)
    plane.pushSound([UInt8](repeating: 0xFF, count: 160), samples: 160, codec: .pcmu, into: cinema.feed)
    spectator.meet(20)
    #expect(spectator.heard.count == 4, "and one law becomes the other")
    #expect(spectator.heard.last?[12] == 0xD5)
  }

  @Test func whoeverOffersNoH264IsToldWhy() throws {
    let cinema = try Cinema()
    let spectator = try Spectator(cinema.bench)
    #expect(throws: ViewerRefusal.coding(wanted: "H264", known: ["VP8"])) {
      try spectator.ask(for: cinema.feed, [Spectator.vp8])
    }
    let feed = cinema.bench.plane.openFeed(.vp8)
    try spectator.ask(for: feed, [Spectator.vp8])
    spectator.meet(300)
    let now = cinema.bench.world.now
    cinema.bench.plane.push(
      AccessUnit(bytes: [1, 2, 3], units: [0..<3], timestamp: 0, captured: now, isKey: true), into: feed)
    spectator.meet(50)
    #expect(spectator.packets.map { Array($0.bytes[$0.header.payload]) } == [[0x10, 1, 2, 3]])
    #expect(spectator.packets[0].header.payloadType == 96)
    #expect(spectator.packets[0].header.marker)
  }
}
