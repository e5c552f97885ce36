import Cameras
import Directory
import RTP
import Testing
import Wire

/// Cameras that do as they are told, and screens that remember.
final class Studio: CameraOpener, Screens {
  final class Source: CameraSource {
    let camera: CameraID
    let number: Int
    let hear: (SourceNews) -> Void
    var isStopped = false
    var hasEnded = false
    var wishes = 0
    var limits: [[Int]] = []

    init(_ camera: CameraID, _ number: Int, _ hear: @escaping (SourceNews) -> Void) {
      self.camera = camera
      self.number = number
      self.hear = hear
    }
    func requestKeyFrame() { wishes += 1 }
    func limit(bitsPerSecond: Int, framesPerSecond: Int) { limits.append([bitsPerSecond, framesPerSecond]) }
    func stop() { isStopped = true }
    var runs: Bool { !isStopped && !hasEnded }

    func begin(_ format: SourceFormat = Studio.format) { hear(.began(format)) }
    func show(key: Bool = true) { hear(.picture(Studio.picture(key: key))) }
    func end(_ kind: SourceFault.Kind, _ text: String = "so it is") {
      hasEnded = true
      hear(.ended(SourceFault(kind, text)))
    }
  }

  static let format = SourceFormat(coding: .h264, width: 640, height: 480, isOurs: true)
  static let door = CameraID("door")
  static let yard = CameraID("yard")

  static func picture(key: Bool) -> AccessUnit {
    AccessUnit(
      bytes: [key ? 0x65 : 0x41, 1, 2], units: [0..<3], timestamp: 0, captured: Instant(nanoseconds: 0),
      isKey: key)
  }

  var now = Instant(nanoseconds: 1_000_000_000)
  var sources: [Source] = []
  var begun: [CameraID] = []
  var shown: [CameraID] = []
  var sounds = 0
  var ended: [CameraID] = []
  var changes: [CameraState] = []
  private(set) var keeper: CameraKeeper!

  init(seed: UInt64 = 1, _ cameras: [CameraID] = [Studio.door]) {
    keeper = CameraKeeper(opener: self, screens: self, random: Random(seed: seed)) { [unowned self] in now }
    keeper.whenChanged = { [unowned self] camera in
      if let state = keeper.status(of: camera)?.state { changes.append(state) }
    }
    keeper.serve(cameras.map { Camera(id: $0, source: .pattern) })
  }

  func open(_ camera: Camera, hear: @escaping (SourceNews) -> Void) -> any CameraSource {
    let source = Source(camera.id, sources.count, hear)
    sources.append(source)
    return source
  }
  func begin(_ camera: CameraID, _ format: SourceFormat) { begun.append(camera) }
  func push(_ picture: AccessUnit, of camera: CameraID) { shown.append(camera) }
  func push(sound: [UInt8], samples: Int, captured: Instant, of camera: CameraID) { sounds += 1 }
  func end(_ camera: CameraID) { ended.append(camera) }

  var state: CameraState? { keeper.status(of: Studio.door)?.state }
  var last: Source { sources[sources.count - 1] }

  /// Lets time pass, and the keeper do what is due meanwhile.
  func pass(_ interval: Interval) {
    let end = now + interval
    while let due = keeper.nextDeadline, due <= end {
      now = max(now, due)
      keeper.advance()
    }
    now = end
    keeper.advance()
  }
}

@Suite struct CameraKeeperTests {
  @Test func aCameraRunsOnlyWhileSomebodyLooksAndALittleLonger() {
    let studio = Studio()
    #expect(studio.state == .idle && studio.sources.isEmpty)
    studio.keeper.watch(Studio.door)
    #expect(studio.state == .starting && studio.sources.count == 1)
    studio.keeper.watch(Studio.door)
    #expect(studio.sources.count == 1)
    studio.last.begin()
    #expect(studio.state == .starting)
    studio.pass(.milliseconds(200))
    studio.last.show()
    #expect(studio.state == .live && studio.shown == [Studio.door])
    #expect(studio.keeper.figures(of: Studio.door)?.firstPicture == .milliseconds(200))
    studio.keeper.unwatch(Studio.door)
    #expect(studio.state == .live)
    studio.keeper.unwatch(Studio.door)
    #expect(studio.state == .warm)
    studio.pass(CameraKeeper.linger - .milliseconds(1))
    #expect(studio.state == .warm && studio.last.runs)
    studio.pass(.milliseconds(1))
    #expect(studio.state == .idle && studio.last.isStopped && studio.ended == [Studio.door])
    #expect(studio.changes == [.starting, .live, .warm, .idle])
  }

  @Test func whoComesBackInTimeFindsItRunning() {
    let studio = Studio()
    studio.keeper.watch(Studio.door)
    studio.last.begin()
    studio.last.show()
    studio.keeper.unwatch(Studio.door)
    studio.pass(.seconds(3))
    studio.keeper.watch(Studio.door)
    #expect(studio.state == .live)
    for _ in 0..<10 {
      studio.pass(.seconds(1))
      studio.last.show(key: false)
    }
    #expect(studio.sources.count == 1 && studio.last.runs)
  }

  @Test func aRingKeepsItWarmUntilTheLastCallIsOver() {
    let studio = Studio()
    studio.keeper.warm(Studio.door, for: "one")
    studio.keeper.warm(Studio.door, for: "one")
    studio.keeper.warm(Studio.door, for: "two")
    studio.last.begin()
    studio.last.show()
    #expect(studio.state == .warm)
    studio.keeper.watch(Studio.door)
    #expect(studio.state == .live)
    studio.keeper.unwatch(Studio.door)
    studio.keeper.cool("one")
    for _ in 0..<20 {
      studio.pass(.seconds(1))
      studio.last.show()
    }
    #expect(studio.state == .warm && studio.last.runs)
    studio.keeper.cool("two")
    studio.pass(.seconds(8))
    #expect(studio.state == .idle && !studio.last.runs)
  }

  @Test func aCameraThatFailsIsTriedAgainByItselfAndSaysWhy() {
    let studio = Studio()
    studio.keeper.watch(Studio.door)
    studio.last.end(.unreachable, "no route to it")
    #expect(studio.state == .backingOff)
    let status = studio.keeper.status(of: Studio.door)
    #expect(status?.fault == SourceFault(.unreachable, "no route to it"))
    #expect(status?.retry.map { $0 > studio.now } == true)
    studio.pass(.milliseconds(499))
    #expect(studio.sources.count == 1)
    studio.pass(.milliseconds(251))
    #expect(studio.sources.count == 2 && studio.state == .starting)
    #expect(studio.keeper.status(of: Studio.door)?.fault != nil)
    studio.last.begin()
    studio.last.show()
    #expect(studio.state == .live && studio.keeper.status(of: Studio.door)?.fault == nil)
  }

  @Test func viewersWhoComeAndGoDoNotMakeItTryAgainSooner() {
    let studio = Studio()
    studio.keeper.watch(Studio.door)
    studio.last.end(.credentials, "the password is wrong")
    #expect(studio.state == .faulty)
    for _ in 0..<100 {
      studio.keeper.unwatch(Studio.door)
      #expect(studio.state == .idle)
      studio.keeper.watch(Studio.door)
      #expect(studio.state == .faulty)
      studio.pass(.milliseconds(100))
    }
    #expect(studio.sources.count == 1)
    studio.pass(.seconds(60))
    #expect(studio.sources.count == 2)
  }

  @Test func whoMendsACameraNeedNotWait() {
    let studio = Studio()
    studio.keeper.watch(Studio.door)
    studio.last.end(.credentials)
    studio.keeper.forgive(Studio.door)
    #expect(studio.state == .starting && studio.sources.count == 2)
  }

  @Test func aFrozenCameraIsOpenedAnew() {
    let studio = Studio()
    studio.keeper.watch(Studio.door)
    studio.last.begin()
    studio.last.show()
    studio.pass(CameraKeeper.freeze - .milliseconds(1))
    #expect(studio.state == .live)
    studio.pass(.milliseconds(1))
    #expect(studio.state == .backingOff && studio.sources[0].isStopped)
    #expect(studio.keeper.status(of: Studio.door)?.fault?.kind == .frozen)
    #expect(studio.keeper.figures(of: Studio.door)?.freezes == 1)
    studio.pass(.seconds(1))
    #expect(studio.sources.count == 2)
    // What the first one says late is not heard.
    let shown = studio.shown.count
    studio.sources[0].begin()
    studio.sources[0].show()
    studio.sources[0].end(.gone)
    #expect(studio.shown.count == shown && studio.state == .starting)
  }

  @Test func aSourceThatFindsItselfFrozenCountsAsThat() {
    let studio = Studio()
    studio.keeper.watch(Studio.door)
    studio.last.begin()
    studio.last.show()
    studio.last.end(.frozen)
    #expect(studio.keeper.figures(of: Studio.door)?.freezes == 1)
    studio.pass(.seconds(1))
    // One that never began did not stop.
    studio.last.end(.frozen)
    #expect(studio.sources.count == 2 && studio.keeper.figures(of: Studio.door)?.freezes == 1)
  }

  @Test func oneThatNeverShowsAnythingIsGivenUp() {
    let studio = Studio()
    studio.keeper.watch(Studio.door)
    studio.last.begin()
    studio.last.show(key: false)
    #expect(studio.state == .starting && studio.shown.isEmpty)
    studio.pass(CameraKeeper.start)
    #expect(studio.state == .backingOff && studio.last.isStopped)
  }

  @Test func anotherSourceInTheDirectoryTakesItsPlaceAtOnce() {
    let studio = Studio([Studio.door, Studio.yard])
    studio.keeper.watch(Studio.door)
    studio.keeper.watch(Studio.yard)
    studio.keeper.serve([Camera(id: Studio.door, source: .rtsp(url: "rtsp://192.0.2.10/"))])
    #expect(studio.sources.count == 3 && studio.sources[0].isStopped && studio.sources[1].isStopped)
    #expect(studio.keeper.cameras == [Studio.door] && studio.state == .starting)
    #expect(!studio.keeper.watch(Studio.yard))
    studio.keeper.serve([Camera(id: Studio.door, source: .rtsp(url: "rtsp://192.0.2.10/"), view: .always)])
    #expect(studio.sources.count == 3)
  }

  @Test func wishesReachTheSourceThatRuns() {
    let studio = Studio()
    studio.keeper.requestKeyFrame(Studio.door)
    studio.keeper.watch(Studio.door)
    studio.keeper.requestKeyFrame(Studio.door)
    studio.last.begin()
    studio.keeper.limit(Studio.door, bitsPerSecond: 300_000)
    #expect(studio.last.wishes == 1 && studio.last.limits == [[300_000, 25]])
  }

  @Test func aNarrowPathIsGivenFewerPicturesAndNotWorseOnesOnly() {
    let studio = Studio()
    studio.keeper.watch(Studio.door)
    studio.last.begin()
    // A little more than where it went down does not bring it up again.
    for bits in [250_000, 229_000, 235_000, 114_000, 120_000, 180_000, 100_000_000] {
      studio.keeper.limit(Studio.door, bitsPerSecond: bits)
    }
    #expect(studio.last.limits.map { $0[1] } == [25, 12, 12, 8, 8, 12, 25])
    // The next source begins with all of them.
    studio.keeper.limit(Studio.door, bitsPerSecond: 100_000)
    #expect(studio.last.limits.last?[1] == 8)
    studio.last.show()
    studio.last.end(.gone)
    studio.pass(.seconds(1))
    studio.last.begin()
    studio.keeper.limit(Studio.door, bitsPerSecond: 235_000)
    #expect(studio.last.limits == [[235_000, 25]])
  }

  @Test func soundIsPassedOnOnlyWhereItWasAnnounced() {
    let studio = Studio()
    studio.keeper.watch(Studio.door)
    let sound = SourceNews.sound([1], samples: 1, captured: studio.now)
    studio.last.begin()
    studio.last.hear(sound)
    #expect(studio.sounds == 0)
    var format = Studio.format
    format.sound = .pcma
    studio.last.begin(format)
    studio.last.hear(sound)
    #expect(studio.sounds == 1)
  }

  @Test func aMicrophoneThatFailsIsToldOfOnceAndTakesNoPicturesAway() {
    let studio = Studio()
    var changes: [SourceFault.Kind?] = []
    studio.keeper.whenSoundChanged = { [unowned studio] camera in
      changes.append(studio.keeper.status(of: camera)?.silence?.kind)
    }
    let sound = SourceNews.sound([1], samples: 1, captured: studio.now)
    var format = Studio.format
    format.sound = .pcma
    studio.keeper.watch(Studio.door)
    studio.last.begin(format)
    studio.last.show()
    studio.last.hear(sound)
    #expect(changes.isEmpty)
    studio.last.hear(.silent(SourceFault(.gone, "it is gone")))
    studio.last.hear(.silent(SourceFault(.missing, "it is not there")))
    studio.last.show()
    #expect(studio.state == .live && changes == [.gone])
    #expect(studio.keeper.status(of: Studio.door)?.silence == SourceFault(.missing, "it is not there"))
    #expect(studio.keeper.figures(of: Studio.door)?.silences == 2)
    studio.last.hear(sound)
    #expect(changes == [.gone, nil] && studio.keeper.status(of: Studio.door)?.silence == nil)
    // Another card is another microphone: the camera is opened anew.
    studio.keeper.serve([Camera(id: Studio.door, source: .pattern, microphone: "hw:2,0")])
    #expect(studio.sources.count == 2)
  }

  @Test(arguments: 0..<40)
  func whateverHappensOneSourceRunsWhereOneIsWantedAndNoneElsewhere(seed: Int) {
    let studio = Studio(seed: UInt64(seed))
    var random = Random(seed: UInt64(seed) + 1000)
    var viewers = 0
    var rings: [String] = []
    var unwantedSince: Instant? = studio.now
    for step in 0..<600 {
      switch random.below(12) {
      case 0, 1:
        studio.keeper.watch(Studio.door)
        viewers += 1
      case 2, 3:
        studio.keeper.unwatch(Studio.door)
        viewers = max(0, viewers - 1)
      case 4:
        studio.keeper.warm(Studio.door, for: "\(step % 3)")
        if !rings.contains("\(step % 3)") { rings.append("\(step % 3)") }
      case 5:
        studio.keeper.cool("\(step % 3)")
        rings.removeAll { $0 == "\(step % 3)" }
      case 6:
        if let source = studio.sources.last(where: \.runs) {
          let kinds = SourceFault.Kind.allCases
          source.end(kinds[Int(random.below(UInt64(kinds.count)))])
        }
      case 7: studio.pass(.milliseconds(Int64(random.below(12_000))))
      case 8: studio.pass(.milliseconds(Int64(random.below(300))))
      default:
        // Any source may speak, also one that was given up.
        if !studio.sources.isEmpty {
          let source = studio.sources[Int(random.below(UInt64(studio.sources.count)))]
          if random.below(2) == 0 { source.begin() }
          source.show(key: random.below(2) == 0)
        }
      }
      let isWanted = viewers > 0 || !rings.isEmpty
      unwantedSince = isWanted ? nil : unwantedSince ?? studio.now
      let runs = studio.sources.count(where: \.runs)
      let state = studio.state
      #expect(runs <= 1)
      #expect(runs == studio.keeper.running)
      switch state {
      case .idle: #expect(runs == 0 && !isWanted)
      case .starting: #expect(runs == 1)
      case .live: #expect(runs == 1 && viewers > 0)
      case .warm: #expect(runs == 1 && viewers == 0)
      case .backingOff, .faulty: #expect(runs == 0 && isWanted && studio.keeper.nextDeadline != nil)
      case nil: Issue.record("the camera is gone")
      }
      if let since = unwantedSince, since + CameraKeeper.linger < studio.now { #expect(runs == 0) }
      #expect(studio.keeper.status(of: Studio.door)?.viewers == viewers)
    }
  }

  @Test func twoRunsOfOneSeedAreEqual() {
    func run() -> [Instant?] {
      let studio = Studio(seed: 7)
      var retries: [Instant?] = []
      studio.keeper.watch(Studio.door)
      for _ in 0..<8 {
        studio.last.end(.gone)
        retries.append(studio.keeper.status(of: Studio.door)?.retry)
        studio.pass(.seconds(31))
      }
      return retries
    }
    #expect(run() == run())
  }
}
