import Cameras
import Directory
import RTP
import RTSP
import Simulation
import Testing
import Wire

@Suite struct RTSPSourceTests {
  private func opened(
    _ habits: CameraHabits = CameraHabits(), seed: UInt64 = 1, user: String? = nil, password: String = "",
    again: Bool = false, for interval: Interval = .seconds(3)
  ) -> Wiring {
    let wiring = Wiring(habits, seed: seed)
    wiring.inGateway { $0.open(user: user, password: password, again: again) }
    wiring.run(interval)
    return wiring
  }

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

  @Test(arguments: ["rtsp://127.0.0.1:5060/", "rtsp://[::1]/x", "rtsp://0.0.0.0/", "rtsp://self.lan/"])
  func aCameraCannotSendTheGatewayToItself(target: String) {
    var habits = CameraHabits()
    habits.movedTo = target
    let wiring = Wiring(habits)
    wiring.network.names[.addresses(host: "self.lan")] = [.address(.loopbackV4)]
    wiring.inGateway { $0.open() }
    wiring.run(.seconds(3))
    #expect(wiring.watcher.faults.map(\.kind) == [.refused])
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

  @Test func thePasswordIsProvedAndAWrongOneTold() {
    var habits = CameraHabits()
    habits.credentials = ("admin", "hunter2")
    #expect(opened(habits, user: "admin", password: "hunter2").watcher.pictures.count > 20)
    let wrong = opened(habits, user: "admin", password: "hunter3", again: true, for: .seconds(25))
    #expect(wrong.watcher.faults.map(\.kind) == [.credentials])
    #expect(!wrong.watcher.faults[0].text.contains("hunter"))
    // A camera locks out whoever guesses: two questions, then a long pause.
    #expect(wrong.camera.requests.count == 2)
    let none = opened(habits)
    #expect(none.watcher.faults.map(\.kind) == [.credentials])
  }

  @Test func h265UnderTheNameOfH264IsTold() {
    var habits = CameraHabits()
    habits.sendsH265 = true
    let fault = opened(habits).watcher.faults.first
    #expect(fault?.kind == .coding)
    #expect(fault?.text.contains("H.265") == true)
    habits.coding = "H265"
    #expect(opened(habits).watcher.faults.map(\.kind) == [.coding])
  }

  @Test func bidirectionalPicturesAreTold() {
    var habits = CameraHabits()
    habits.sendsBidirectional = true
    let fault = opened(habits).watcher.faults.first
    #expect(fault?.kind == .coding)
    #expect(fault?.text.contains("B-frames") == true)
  }

  @Test func missingParameterSetsAreTold() {
    var habits = CameraHabits()
    habits.parametersInBand = false
    habits.parametersInDescription = false
    let wiring = opened(habits, for: .seconds(14))
    #expect(wiring.watcher.faults.map(\.kind) == [.coding])
    #expect(wiring.watcher.faults[0].text.contains("SPS"))
    #expect(wiring.watcher.pictures.isEmpty)
  }

  @Test func aSizeThatNoPictureHasIsTold() {
    var habits = CameraHabits()
    habits.parametersInDescription = false
    // 16,384 macroblocks wide.
    habits.sps = [0x67, 0x42, 0xC0, 0x0D, 0xF8, 0x00, 0x10, 0x00, 0x3F, 0xFF]
    #expect(opened(habits).watcher.faults.map(\.kind) == [.coding])
  }

  @Test func endlessHeadersAreTold() {
    var habits = CameraHabits()
    habits.endlessHead = true
    #expect(opened(habits).watcher.faults.map(\.kind) == [.malformed])
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
    let lost = Wiring()
    lost.inGateway { $0.open("rtsp://nowhere.lan/live") }
    lost.run(.seconds(3))
    #expect(lost.watcher.faults.map(\.kind) == [.unreachable])
  }

  @Test func aCertificateIsPinnedAtFirstContactAndAnotherRefused() {
    let first = SimulatedSessions(identity: SimulatedSessions.Identity(names: ["camera"], number: 1))
    let wiring = Wiring(sessions: first)
    var learnt: [RTSPKnowledge] = []
    wiring.inGateway {
      $0.cameras.whenLearnt = { learnt.append($1) }
      $0.open("rtsps://192.0.2.10/live")
    }
    wiring.run(.seconds(3))
    let known = RTSPKnowledge(transport: .interleaved, fingerprint: Array(repeating: 1, count: 32))
    #expect(learnt == [known])
    #expect(wiring.watcher.pictures.count > 20)
    #expect(RTSPKnowledge(text: known.text) == known)

    let other = SimulatedSessions(identity: SimulatedSessions.Identity(names: ["camera"], number: 2))
    let changed = Wiring(sessions: other)
    changed.inGateway {
      $0.cameras.know(known, of: CameraID("door"))
      $0.open("rtsps://192.0.2.10/live")
    }
    changed.run(.seconds(3))
    #expect(changed.watcher.faults.map(\.kind) == [.certificate])
    #expect(changed.camera.requests.isEmpty)
    changed.inGateway {
      $0.cameras.forget(CameraID("door"))
      $0.open("rtsps://192.0.2.10/live")
    }
    changed.run(.seconds(3))
    #expect(changed.watcher.pictures.count > 20)
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

  @Test func whatCannotBeAnAddressIsSaidToBeSo() {
    let wiring = Wiring()
    wiring.inGateway {
      $0.open("rtsp://[::1/")
      #expect($0.news.isEmpty)
    }
    wiring.run(.seconds(1))
    #expect(wiring.watcher.faults.map(\.kind) == [.malformed])
  }
}

@Suite struct BackoffTests {
  @Test func stepsGrowToABoundAndBeginAnew() {
    var backoff = Backoff()
    var random = Random(seed: 1)
    let gone = SourceFault(.gone, "")
    var delays: [Int64] = []
    for _ in 0..<10 { delays.append(backoff.delay(after: gone, worked: .zero, random: &random).milliseconds) }
    for (place, whole) in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000].enumerated() {
      let range = place == 0 ? 500...750 : Int64(whole / 2)...Int64(whole)
      #expect(range.contains(delays[place]), "step \(place): \(delays[place])")
    }
    let again = backoff.delay(after: gone, worked: .seconds(20), random: &random)
    #expect((500...750).contains(again.milliseconds))
    let hopeless = backoff.delay(after: SourceFault(.credentials, ""), worked: .zero, random: &random)
    #expect((30_000...60_000).contains(hopeless.milliseconds))
  }

  @Test func twoCamerasDoNotStepTogether() {
    var one = Backoff()
    var other = Backoff()
    var random = Random(seed: 1)
    let gone = SourceFault(.gone, "")
    #expect(
      one.delay(after: gone, worked: .zero, random: &random)
        != other.delay(after: gone, worked: .zero, random: &random))
  }
}
