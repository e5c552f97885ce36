import Cameras
import RTP
import Testing
import Wire

/// A camera of two streams, on made-up time.
private final class TwoStreams {
  var now = Instant(nanoseconds: 1_000_000_000)
  var opened: [(stream: StreamChoice.Stream, source: Studio.Source)] = []
  var began: [Int] = []
  var pictures: [Int] = []
  var fault: SourceFault?
  private(set) var source: SteppedSource!

  init() {
    source = SteppedSource { [unowned self] stream, hear in
      let source = Studio.Source(Studio.door, opened.count, hear)
      opened.append((stream, source))
      return source
    } clock: { [unowned self] in
      now
    } hear: { [unowned self] news in
      switch news {
      case .began(let format): began.append(format.width)
      case .picture(let picture): pictures.append(picture.bytes.count)
      case .sound: break
      case .ended(let fault): self.fault = fault
      }
    }
  }

  static func format(_ width: Int) -> SourceFormat {
    SourceFormat(coding: .h264, width: width, height: width * 3 / 4, isOurs: false)
  }

  func picture(_ number: Int, _ bytes: Int, key: Bool = false) {
    opened[number].source.hear(
      .picture(
        AccessUnit(
          bytes: [UInt8](repeating: 0x41, count: bytes), units: [0..<bytes], timestamp: 0, captured: now,
          isKey: key)))
  }

  /// Pictures of one stream, ten a second.
  func show(_ number: Int, _ bytes: Int, for length: Interval) {
    let end = now + length
    while now < end {
      picture(number, bytes)
      now = now + .milliseconds(100)
    }
  }

  var running: [StreamChoice.Stream] { opened.filter { $0.source.runs }.map(\.stream) }
}

@Suite struct StreamChoiceTests {
  /// 25,000 bytes ten times a second are 2 Mbit/s, 2,500 are 200 kbit/s.
  private static let main = 25_000
  private static let small = 2500

  private func narrowed() -> TwoStreams {
    let camera = TwoStreams()
    camera.opened[0].source.begin(TwoStreams.format(1280))
    camera.show(0, StreamChoiceTests.main, for: .seconds(3))
    camera.source.limit(bitsPerSecond: 500_000, framesPerSecond: 30)
    camera.show(0, StreamChoiceTests.main, for: .seconds(3))
    return camera
  }

  @Test func viewersWhoCarryTheMainStreamKeepIt() {
    let camera = TwoStreams()
    camera.opened[0].source.begin(TwoStreams.format(1280))
    camera.source.limit(bitsPerSecond: 2_500_000, framesPerSecond: 30)
    camera.show(0, StreamChoiceTests.main, for: .seconds(120))
    #expect(camera.running == [.main])
    #expect(camera.pictures.count == 1200)
  }

  @Test func theSmallerStreamTakesOverWithItsFirstKeyPicture() {
    let camera = narrowed()
    #expect(camera.running == [.main, .small])
    camera.opened[1].source.begin(TwoStreams.format(320))
    camera.picture(1, StreamChoiceTests.small)
    #expect(camera.began == [1280], "nobody can begin with that one")
    let before = camera.pictures.count
    camera.show(0, StreamChoiceTests.main, for: .seconds(1))
    #expect(camera.pictures.count == before + 10, "nothing is missing meanwhile")
    camera.picture(1, StreamChoiceTests.small, key: true)
    #expect(camera.began == [1280, 320])
    #expect(camera.pictures.last == StreamChoiceTests.small)
    #expect(camera.running == [.small])
    camera.picture(0, StreamChoiceTests.main, key: true)
    #expect(camera.pictures.last == StreamChoiceTests.small, "the other is not heard any more")
  }

  @Test func theWayBackIsATrialAndEachThatFailsWaitsLonger() {
    let camera = narrowed()
    func change(_ width: Int, _ bytes: Int) {
      camera.opened.last?.source.begin(TwoStreams.format(width))
      camera.picture(camera.opened.count - 1, bytes, key: true)
    }
    change(320, StreamChoiceTests.small)
    for trial in [Interval.seconds(30), .seconds(60), .seconds(120)] {
      camera.show(camera.opened.count - 1, StreamChoiceTests.small, for: trial)
      #expect(camera.running == [.small], "too early after \(trial)")
      camera.show(camera.opened.count - 1, StreamChoiceTests.small, for: .seconds(5))
      #expect(camera.running == [.small, .main], "tried after \(trial)")
      change(1280, StreamChoiceTests.main)
      // They cannot carry it still.
      camera.show(camera.opened.count - 1, StreamChoiceTests.main, for: .seconds(6))
      #expect(camera.running == [.main, .small])
      change(320, StreamChoiceTests.small)
    }
  }

  @Test func aSmallerStreamThatCannotBeHadCostsNothing() {
    let camera = narrowed()
    camera.opened[1].source.end(.refused)
    camera.show(0, StreamChoiceTests.main, for: .seconds(50))
    #expect(camera.opened.count == 2, "it is left alone for a while")
    camera.show(0, StreamChoiceTests.main, for: .seconds(20))
    #expect(camera.running == [.main, .small])
    #expect(camera.fault == nil)
  }

  @Test func theEndOfWhatIsShownIsTheEnd() {
    let camera = narrowed()
    camera.opened[0].source.end(.gone)
    #expect(camera.fault?.kind == .gone)
    #expect(camera.running == [])
  }

  @Test func stoppingStopsBoth() {
    let camera = narrowed()
    camera.source.stop()
    #expect(camera.running == [])
    #expect(camera.opened.count == 2)
  }
}
