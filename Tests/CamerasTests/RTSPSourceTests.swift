import Cameras
import Directory
import RTP
import RTSP
import Simulation
import Synchronization
import Testing
import Wire

@Suite struct RTSPSourceTests {
  @Test func picturesAndSoundComeFromTheFirstKeyPictureOn() {
    let wiring = opened()
    let watcher = wiring.watcher
    #expect(
      watcher.formats == [SourceFormat(coding: .h264, width: 320, height: 240, isOurs: false, sound: .pcma)])
    #expect(watcher.pictures.first?.key == true)
    #expect(watcher.pictures.count > 40)
    #expect(watcher.sounds > 40)
    #expect(watcher.faults.isEmpty)
    // `began` comes before everything else.
    if case .began? = watcher.news.first?.1 {} else { Issue.record("something came before the beginning") }
    #expect(
      wiring.camera.requests.map { $0.split(separator: " ")[0] } == ["DESCRIBE", "SETUP", "SETUP", "PLAY"])
  }

  @Test func aPictureIsHandedOnUntouched() {
    let wiring = opened()
    for (_, news) in wiring.watcher.news {
      guard case .picture(let unit) = news else { continue }
      let units = unit.units.map { Array(unit.bytes[$0]) }
      if unit.isKey {
        #expect(units.count == 3)
        #expect(units[0] == SimulatedCamera.sps)
        #expect(units[1] == SimulatedCamera.pps)
        #expect(units[2][0] == 0x65)
        #expect(units[2].count == 6)
      } else {
        #expect(units.count == 1)
        #expect(units[0][0] == 0x41)
      }
    }
  }

  @Test func parameterSetsOfTheDescriptionAreAddedWhereTheStreamHasNone() {
    var habits = CameraHabits()
    habits.parametersInBand = false
    let wiring = opened(habits)
    let keys = wiring.watcher.news.compactMap { news -> AccessUnit? in
      if case .picture(let unit) = news.1, unit.isKey { unit } else { nil }
    }
    #expect(!keys.isEmpty)
    for unit in keys { #expect(unit.units.map { unit.bytes[$0.lowerBound] } == [0x67, 0x68, 0x65]) }
  }

  @Test func picturesWithoutMarkersAreToldApartByTheirTime() {
    var habits = CameraHabits()
    habits.setsMarkers = false
    #expect(opened(habits).watcher.pictures.count > 40)
  }

  @Test func anAkuvoxIsAskedAgainForDatagramsAndNextTimeAtOnce() {
    var habits = CameraHabits()
    habits.media = .akuvox
    let wiring = opened(habits)
    #expect(wiring.watcher.pictures.count > 20)
    #expect(
      wiring.camera.requests.map { $0.split(separator: " ")[0] } == [
        "DESCRIBE", "SETUP", "TEARDOWN", "DESCRIBE", "SETUP", "SETUP", "PLAY",
      ])
    wiring.inGateway {
      $0.source?.stop()
      $0.news = []
    }
    wiring.run(.seconds(1))
    #expect(wiring.watcher.cameras.held == 0)
    #expect(wiring.camera.sessionCount == 0)
    wiring.inGateway { $0.open() }
    wiring.run(.seconds(2))
    #expect(
      wiring.camera.requests.dropFirst(7).map { $0.split(separator: " ")[0] } == [
        "TEARDOWN", "DESCRIBE", "SETUP", "SETUP", "PLAY",
      ])
    #expect(wiring.watcher.pictures.count > 10)
  }

  @Test(arguments: [CameraHabits.Media.datagramsOnly, .connectionOnly])
  func aCameraWithOneWayIsTakenThatWay(media: CameraHabits.Media) {
    var habits = CameraHabits()
    habits.media = media
    let wiring = Wiring(habits)
    // What is remembered is wrong.
    wiring.inGateway {
      $0.cameras.know(
        RTSPKnowledge(transport: media == .datagramsOnly ? .interleaved : .datagrams), of: CameraID("door"))
      $0.open()
    }
    wiring.run(.seconds(3))
    #expect(wiring.watcher.pictures.count > 20)
    #expect(wiring.watcher.faults.isEmpty)
  }

  @Test func aCameraThatIsSlowToForgetASessionIsGivenTime() {
    var habits = CameraHabits()
    habits.media = .akuvox
    habits.rest = .milliseconds(700)
    let wiring = opened(habits)
    #expect(wiring.camera.requests.count { $0.hasPrefix("DESCRIBE") } == 4)
    #expect(wiring.watcher.faults.isEmpty)
    #expect(wiring.watcher.pictures.count > 20)
  }

  @Test func anAkuvoxThatHangsUpAtAFarewellIsAskedAgainAllTheSame() {
    var habits = CameraHabits()
    habits.media = .akuvox
    habits.resetsOnFarewell = true
    #expect(opened(habits).watcher.pictures.count > 20)
  }

  @Test func aCameraThatHangsUpAfterAskingWhoWeAreIsCalledAgain() {
    var habits = CameraHabits()
    habits.credentials = ("admin", "hunter2")
    habits.closesAfterChallenge = true
    let wiring = opened(habits, user: "admin", password: "hunter2")
    #expect(wiring.watcher.pictures.count > 20)
    let wrong = opened(habits, user: "admin", password: "hunter3")
    #expect(wrong.watcher.faults.map(\.kind) == [.credentials])
    #expect(wrong.camera.requests.count == 2)
  }

  @Test func aCameraThatChangesItsSizeBeginsAnew() {
    let wiring = opened()
    wiring.inCamera {
      $0.habits.sps = [
        0x67, 0x42, 0xC0, 0x0D, 0xD9, 0x01, 0x50, 0x87, 0x88, 0x88, 0xC0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04,
        0x00,
        0x00, 0x03, 0x00, 0xC8, 0x3C, 0x50, 0xA9, 0x20,
      ]
    }
    wiring.run(.seconds(2))
    #expect(wiring.watcher.formats.map { [$0.width, $0.height] } == [[320, 240], [322, 242]])
  }

  @Test func aWayThatBringsNothingIsOvertakenByTheOther() {
    var habits = CameraHabits()
    habits.muteOnConnection = true
    let wiring = Wiring(habits)
    var learnt: [RTSPKnowledge] = []
    wiring.inGateway {
      $0.cameras.whenLearnt = { learnt.append($1) }
      $0.open()
    }
    wiring.run(.seconds(4))
    #expect(learnt == [RTSPKnowledge(transport: .datagrams)])
    #expect(wiring.watcher.pictures.count > 20)
    // The loser was told goodbye.
    #expect(wiring.camera.sessionCount == 1)
    #expect(wiring.camera.requests.contains { $0.hasPrefix("TEARDOWN") })
    #expect(wiring.watcher.cameras.held == 5)
    #expect(wiring.camera.punches > 0)
  }

  @Test func aRivalThatIsRefusedLosesNothing() {
    // One place only, and the first picture comes late.
    var habits = CameraHabits()
    habits.sessionLimit = 1
    let wiring = Wiring(habits)
    wiring.inCamera { $0.isFrozen = true }
    wiring.inGateway { $0.open() }
    wiring.run(.seconds(2))
    #expect(wiring.camera.requests.count { $0.hasPrefix("DESCRIBE") } == 2)
    wiring.inCamera { $0.isFrozen = false }
    wiring.run(.seconds(2))
    #expect(wiring.watcher.faults.isEmpty)
    #expect(wiring.watcher.pictures.count > 20)
  }

  @Test func silenceBothWaysIsFrozen() {
    let wiring = Wiring()
    wiring.inCamera { $0.isFrozen = true }
    wiring.inGateway { $0.open() }
    wiring.run(.seconds(20))
    #expect(wiring.watcher.faults.map(\.kind) == [.frozen])
    #expect(wiring.watcher.cameras.held == 0)
    #expect(wiring.watcher.cameras.count == 0)
  }

  @Test func aCameraThatFreezesIsTold() {
    let wiring = opened()
    wiring.inCamera { $0.isFrozen = true }
    wiring.run(.seconds(6))
    #expect(wiring.watcher.faults.map(\.kind) == [.frozen])
    let last = wiring.watcher.pictures.last!.at
    let end = wiring.watcher.news.last!.at
    #expect(end - last >= .seconds(5))
    #expect(end - last < .milliseconds(5100))
  }

  @Test func afterLossNothingBrokenIsShown() {
    var habits = CameraHabits()
    habits.media = .datagramsOnly
    habits.losesEvery = 41
    let wiring = opened(habits, for: .seconds(10))
    // Between two key pictures the numbers of slices follow each other, or nothing comes until the next key picture.
    var expected: UInt8?
    var shown = 0
    for (_, news) in wiring.watcher.news {
      guard case .picture(let unit) = news else { continue }
      let number = unit.bytes[unit.units.last!.lowerBound + 2]
      if !unit.isKey { #expect(number == expected) }
      expected = number &+ 1
      shown += 1
    }
    #expect(shown > 50)
    #expect(shown < 240)
    #expect(wiring.camera.reports.contains { $0.count > 60 })
  }

  @Test func disorderOfDatagramsIsNotLoss() {
    var habits = CameraHabits()
    habits.media = .datagramsOnly
    let wiring = Wiring(habits)
    var weather = SimulatedNetwork.Weather()
    weather.jitter = .milliseconds(15)
    weather.duplication = 100
    wiring.network.setWeather(weather, between: wiring.cameraHost, and: wiring.gatewayHost)
    wiring.inGateway { $0.open() }
    wiring.run(.seconds(11))
    #expect(wiring.watcher.pictures.count > 230)
    let times = wiring.watcher.news.compactMap { news -> UInt32? in
      if case .picture(let unit) = news.1 { unit.timestamp } else { nil }
    }
    #expect(times == times.sorted())
    #expect(Set(times).count == times.count)
  }

  @Test func aCameraThatRestartsComesBackByItself() {
    let wiring = opened(again: true)
    #expect(wiring.watcher.formats.count == 1)
    wiring.restartCamera(.process, after: .seconds(20))
    wiring.run(.seconds(60))
    #expect(wiring.watcher.formats.count == 2)
    #expect(wiring.watcher.faults.first?.kind == .gone)
    #expect(wiring.watcher.faults.dropFirst().allSatisfy { $0.kind == .unreachable })
    #expect(wiring.watcher.pictures.last!.at > wiring.network.now - .seconds(1))
    #expect(wiring.watcher.cameras.count == 1)
  }

  @Test func aCameraThatLosesPowerComesBackByItself() {
    let wiring = opened(again: true)
    wiring.restartCamera(.power, after: .seconds(3))
    wiring.run(.seconds(12))
    #expect(wiring.watcher.formats.count == 2)
    #expect([.frozen, .gone].contains(wiring.watcher.faults.first!.kind))
  }

  @Test func aCutWireIsNoticedAndMended() {
    let wiring = opened(again: true)
    wiring.network.partition(wiring.cameraHost, wiring.gatewayHost)
    wiring.run(.seconds(30))
    wiring.network.heal()
    wiring.run(.seconds(60))
    #expect(wiring.watcher.formats.count == 2)
    #expect(wiring.watcher.faults.first?.kind == .frozen)
  }

  @Test func whatIsElsewhereIsFoundThere() {
    var habits = CameraHabits()
    habits.movedTo = "rtsp://192.0.2.10/live"
    // It sends on to itself for ever.
    #expect(opened(habits).watcher.faults.map(\.kind) == [.malformed])
    habits.movedTo = "rtsp://192.0.2.11/other"
    let wiring = Wiring(habits)
    let other = wiring.network.addHost("other", [IPAddress(v4: 0xC000_020B)])
    let (_, camera) = other.start { SimulatedCamera($0, CameraHabits()) }
    wiring.inGateway { $0.open() }
    wiring.run(.seconds(3))
    #expect(wiring.watcher.pictures.count > 20)
    #expect(camera.requests.first == "DESCRIBE rtsp://192.0.2.11/other RTSP/1.0")
  }

  @Test func aNameIsLookedUp() {
    let wiring = Wiring()
    wiring.network.names[.addresses(host: "door.lan")] = [.address(Wiring.cameraAddress)]
    wiring.inGateway { $0.open("rtsp://door.lan/live") }
    wiring.run(.seconds(3))
    #expect(wiring.watcher.pictures.count > 20)
    // Nobody is at the first address.
    let second = Wiring()
    second.network.names[.addresses(host: "door.lan")] = [
      .address(IPAddress(v4: 0xC000_0263)), .address(Wiring.cameraAddress),
    ]
    second.inGateway { $0.open("rtsp://door.lan/live") }
    second.run(.seconds(6))
    #expect(second.watcher.pictures.count > 20)
    let lost = Wiring()
    lost.inGateway { $0.open("rtsp://nowhere.lan/live") }
    lost.run(.seconds(3))
    #expect(lost.watcher.faults.map(\.kind) == [.unreachable])
  }

  @Test func signsOfLifeAndReportsAreSent() {
    var habits = CameraHabits()
    habits.timeout = 10
    let wiring = opened(habits, for: .seconds(31))
    let life = wiring.camera.requests.dropFirst(4).map { $0.split(separator: " ")[0] }
    #expect(
      life == [
        "OPTIONS", "GET_PARAMETER", "GET_PARAMETER", "GET_PARAMETER", "GET_PARAMETER", "GET_PARAMETER",
      ])
    #expect(wiring.camera.reports.count > 6)
    #expect(wiring.watcher.faults.isEmpty)
  }

  @Test func aWishForAKeyPictureReachesTheCamera() {
    let wiring = opened()
    let before = wiring.camera.reports.count
    wiring.inGateway {
      for _ in 0..<100 { $0.source?.requestKeyFrame() }
    }
    wiring.run(.milliseconds(100))
    let wishes = wiring.camera.reports.dropFirst(before).filter { $0.count > 60 }
    #expect(wishes.count == 1)
  }

  @Test func nothingIsHeardAfterStop() {
    let wiring = opened()
    wiring.inGateway {
      $0.source?.stop()
      $0.news = []
    }
    wiring.run(.seconds(3))
    #expect(wiring.watcher.news.isEmpty)
    #expect(wiring.watcher.cameras.held == 0)
    #expect(wiring.watcher.cameras.nextDeadline == nil)
    #expect(wiring.camera.requests.last?.hasPrefix("TEARDOWN") == true)
  }

  @Test func everyMomentIsGoodForAnEnd() {
    // Stopped after any time, also while two attempts race: nothing is left, and the camera knows.
    for step in 0..<60 {
      var habits = CameraHabits()
      habits.muteOnConnection = true
      let wiring = Wiring(habits, seed: UInt64(step))
      wiring.inGateway { $0.open() }
      wiring.run(.milliseconds(Int64(step) * 25 / 1))
      wiring.inGateway { $0.source?.stop() }
      wiring.run(.seconds(1))
      #expect(wiring.watcher.cameras.held == 0)
      #expect(wiring.camera.sessionCount == 0)
    }
  }

  @Test func badWeatherEndsInPicturesOrAReason() {
    for seed: UInt64 in 0..<20 {
      var habits = CameraHabits()
      habits.media = seed % 2 == 0 ? .both : .akuvox
      let wiring = Wiring(habits, seed: seed)
      wiring.network.weather = .bad
      wiring.inGateway { $0.open(again: true) }
      wiring.run(.seconds(60))
      #expect(wiring.watcher.pictures.count > 20, "seed \(seed)")
      #expect(wiring.watcher.cameras.count <= 1)
      #expect(wiring.camera.sessionCount <= 2)
    }
  }

  private static let aacLine =
    "m=audio 0 RTP/AVP 8\r\na=rtpmap:8 MPEG4-GENERIC/16000/1\r\n"
    + "a=fmtp:8 mode=AAC-hbr;config=1408;sizeLength=13;indexLength=3;indexDeltaLength=3\r\na=control:sound\r\n"

  /// Counts what a worker does.
  private final class Counter: Sendable {
    private let count = Atomic(0)
    var value: Int { count.load(ordering: .acquiring) }
    func add() { count.add(1, ordering: .acquiringAndReleasing) }
  }

  /// Says how many frames it has seen, in two bytes of PCMA each.
  private final class Decoder: SoundDecoder {
    var frames: [[UInt8]] = []
    func pcma(_ frame: [UInt8]) -> [UInt8] {
      frames.append(frame)
      return [0xD5, UInt8(frames.count & 255)]
    }
  }

  @Test func soundInAACIsHandedOnAsPCMAWhereSomethingCanReadIt() {
    var habits = CameraHabits()
    habits.soundLine = RTSPSourceTests.aacLine
    habits.sound = [0, 16, 0, 3 << 3, 7, 8, 9]
    let wiring = Wiring(habits)
    let decoder = Decoder()
    var asked: [AACFormat] = []
    wiring.inGateway {
      $0.cameras.soundDecoder = { format in
        asked.append(format)
        return decoder
      }
      $0.open()
    }
    wiring.run(.seconds(3))
    #expect(asked == [AACFormat(configuration: [0x14, 0x08], clockRate: 16_000, channels: 1)])
    #expect(wiring.watcher.formats.first?.sound == .pcma)
    #expect(decoder.frames.allSatisfy { $0 == [7, 8, 9] })
    let heard = wiring.watcher.news.compactMap { news -> [UInt8]? in
      if case .sound(let bytes, 2, _) = news.1 { bytes } else { nil }
    }
    #expect(heard.count > 40)
    #expect(heard.count == decoder.frames.count)
    // Without anything that reads it, the picture is silent.
    let silent = opened(habits)
    #expect(silent.watcher.formats.map(\.sound) == [nil])
    #expect(silent.watcher.sounds == 0)
    #expect(silent.watcher.pictures.count > 20)
    #expect(silent.watcher.silences.count == 1)
  }

  @Test func whatReadsSoundIsLoadedByAWorkerBeforeItIsMade() {
    var habits = CameraHabits()
    habits.soundLine = RTSPSourceTests.aacLine
    habits.sound = [0, 16, 0, 3 << 3, 7, 8, 9]
    let wiring = Wiring(habits)
    let loads = Counter()
    var loadedBefore: [Int] = []
    wiring.inGateway {
      $0.cameras.loadSound = { loads.add() }
      $0.cameras.soundDecoder = { _ in
        loadedBefore.append(loads.value)
        return loadedBefore.count == 1 ? nil : Decoder()
      }
      $0.open()
    }
    wiring.run(.seconds(3))
    // What cannot be read all the same is said once, after the beginning.
    #expect(loadedBefore == [1])
    #expect(wiring.watcher.silences.map(\.kind) == [.coding] && wiring.watcher.sounds == 0)
    #expect(wiring.watcher.pictures.count > 20)
    if case .began? = wiring.watcher.news.first?.1 {} else { Issue.record("something came before") }
    wiring.inGateway {
      $0.source?.stop()
      $0.news = []
      $0.open()
    }
    wiring.run(.seconds(3))
    #expect(loadedBefore == [1, 1])
    #expect(wiring.watcher.silences.isEmpty && wiring.watcher.sounds > 20)
  }

  @Test func whySoundOfAnotherKindIsNotHeardIsTold() {
    var habits = CameraHabits()
    habits.soundLine = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 G726-16/8000\r\na=control:sound\r\n"
    let wiring = opened(habits)
    #expect(
      wiring.watcher.silences == [
        SourceFault(
          .coding, "the sound is G726-16, which nobody here reads: set it to G.711 or AAC")
      ])
    #expect(wiring.watcher.formats.map(\.sound) == [nil] && wiring.watcher.pictures.count > 20)
  }

  @Test func oneSeedIsOneRun() {
    func day(_ seed: UInt64) -> (trace: UInt64, pictures: Int, pauses: [SourceFault]) {
      var habits = CameraHabits()
      habits.muteOnConnection = true
      let wiring = Wiring(habits, seed: seed)
      wiring.network.weather = .bad
      wiring.inGateway { $0.open(again: true) }
      wiring.run(.seconds(10))
      wiring.restartCamera(.power, after: .seconds(2))
      wiring.run(.seconds(20))
      return (wiring.network.trace, wiring.watcher.pictures.count, wiring.watcher.faults)
    }
    let first = day(3)
    let second = day(3)
    #expect(first.trace == second.trace)
    #expect(first.pictures == second.pictures)
    #expect(first.pauses == second.pauses)
    #expect(day(4).trace != first.trace)
  }

  @Test func whatIsClosedIsLetGoOf() {
    weak var source: AnyObject?
    let wiring = opened()
    source = wiring.watcher.source
    #expect(source != nil)
    wiring.inGateway {
      $0.source?.stop()
      $0.source = nil
    }
    wiring.run(.seconds(1))
    #expect(source == nil)
  }
}
