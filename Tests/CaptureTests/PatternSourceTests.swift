import Cameras
import Codecs
import Devices
import Directory
import RTP
import Reactor
import Testing
import Wire

@Suite struct PatternSourceTests {
  @Test func itBeginsWithAKeyPictureAndCountsOn() throws {
    let stage = Stage()
    defer { stage.reactor.retire() }
    let source = stage.open()
    #expect(stage.heard.isEmpty, "nothing is heard before open returns")
    #expect(stage.runs { stage.pictures.count >= 12 })
    source.stop()
    guard case .began(let format) = stage.heard[0] else { throw Wrong("no format first") }
    #expect(format == SourceFormat(coding: .h264, width: 320, height: 240, isOurs: true))
    #expect(stage.formats.count == 1)
    #expect(stage.pictures[0].isKey)
    #expect(stage.pictures.dropFirst().allSatisfy { !$0.isKey })
    let readings = try stage.readings().map(\.?.number)
    #expect(readings == Array(0..<readings.count))
    // SPS, PPS, IDR slice, without start codes.
    let kinds = stage.pictures[0].units.map { stage.pictures[0].bytes[$0.lowerBound] & 0x1F }
    #expect(kinds == [7, 8, 5])
  }

  @Test func picturesKeepTheirPaceOnTheirOwnClock() throws {
    let stage = Stage()
    defer { stage.reactor.retire() }
    let source = stage.open()
    #expect(stage.runs { stage.pictures.count >= 20 })
    source.stop()
    let pictures = stage.pictures
    for (one, other) in zip(pictures, pictures.dropFirst()) {
      let step = other.captured - one.captured
      // Never early by more than the thread was late for the one before; how late it is, is the machine's business.
      #expect(step > .milliseconds(0))
      let ticks = Int64(other.timestamp &- one.timestamp)
      #expect(abs(ticks - step.nanoseconds * 9 / 100_000) <= 2)
    }
    let whole = pictures.last!.captured - pictures[0].captured
    #expect(whole >= .milliseconds(33 * (Int64(pictures.count) - 2)), "never faster than asked for")
  }

  @Test func aKeyPictureComesAtOnceWhenItIsAskedFor() {
    let stage = Stage()
    defer { stage.reactor.retire() }
    let source = stage.open()
    #expect(stage.runs { stage.pictures.count >= 3 })
    let before = stage.pictures.count
    source.requestKeyFrame()
    #expect(stage.runs { stage.pictures.dropFirst(before).contains { $0.isKey } })
    source.stop()
    // Those that were under way when it was asked for come first.
    let place = stage.pictures.dropFirst(before).firstIndex { $0.isKey }!
    #expect(place - before <= 3)
  }

  @Test func itFollowsALimitOfPicturesAndBits() throws {
    let stage = Stage()
    defer { stage.reactor.retire() }
    let source = stage.open()
    #expect(stage.runs { stage.pictures.count >= 3 })
    source.limit(bitsPerSecond: 50_000, framesPerSecond: 10)
    let before = stage.pictures.count
    #expect(stage.runs { stage.pictures.count >= before + 12 })
    source.stop()
    let slow = Array(stage.pictures.suffix(8))
    #expect(slow.last!.captured - slow[0].captured >= .milliseconds(7 * 100 - 120))
    #expect(try !stage.readings().contains(nil), "the pictures go on without a gap that a decoder notices")
  }

  @Test func nothingIsHeardAfterStop() {
    let stage = Stage()
    defer { stage.reactor.retire() }
    var source: (any CameraSource)? = stage.open()
    stage.onNews = { _ in
      // From within: what lies in the same batch is not told either.
      source?.stop()
    }
    #expect(stage.runs { !stage.heard.isEmpty })
    source?.stop()
    source?.requestKeyFrame()
    source?.limit(bitsPerSecond: 1, framesPerSecond: 1)
    for _ in 0..<20 { stage.reactor.turn(waitingAtMost: .milliseconds(10)) }
    #expect(stage.heard.count == 1)
    source = nil
  }

  @Test func threadsEndWhenSourcesAreLetGo() throws {
    let stage = Stage()
    defer { stage.reactor.retire() }
    var sources: [any CameraSource] = []
    for _ in 0..<3 { sources.append(stage.open()) }
    #expect(stage.runs { stage.formats.count == 3 })
    for source in sources.dropLast() { source.stop() }
    // Dropped without a word: as good as stopped.
    sources = []
    let before = stage.reactor.turns
    stage.reactor.turn(waitingAtMost: .milliseconds(300))
    #expect(stage.reactor.turns - before == 1)
    let count = stage.heard.count
    stage.reactor.turn(waitingAtMost: .milliseconds(100))
    #expect(stage.heard.count == count)
  }

  @Test func aSlowLoopLosesPicturesAndIsNeverBroken() throws {
    let stage = Stage()
    defer { stage.reactor.retire() }
    var capture = Capture.small
    capture.framesPerSecond = 60
    let source = stage.open(.pattern, capture)
    #expect(stage.runs { stage.pictures.count >= 2 })
    // The loop stands still for as long as 32 pictures and more take.
    let still = SideThread.now + .milliseconds(900)
    while SideThread.now < still { _ = SideThread.wait(for: -1, until: still) }
    let before = stage.pictures.count
    #expect(stage.runs { stage.pictures.count > before + 40 })
    source.stop()
    let numbers = try stage.readings()
    #expect(!numbers.contains(nil), "every picture that came is whole")
    let gap = numbers.indices.dropLast().first { numbers[$0]!.number + 1 < numbers[$0 + 1]!.number }
    let first = try #require(gap, "some were lost")
    #expect(stage.pictures[first + 1].isKey, "and the next was one to begin with")
  }

  @Test func aMaskHidesWhatLiesBehindIt() throws {
    let stage = Stage()
    defer { stage.reactor.retire() }
    var capture = Capture.small
    capture.masks = [.init(x: 0, y: 0, width: 1000, height: 250)]
    let source = stage.open(.pattern, capture)
    #expect(stage.runs { stage.pictures.count >= 2 })
    source.stop()
    var decoder = try VideoDecoder(.h264)
    var shown: Picture?
    let bytes = stage.pictures[0].annexB
    let came = decoder.decode(bytes.span, into: &shown)
    #expect(came)
    var brightest: UInt8 = 0
    for y in 0..<56 { for x in 0..<320 { brightest = max(brightest, shown!.luma(x: x, y: y)) } }
    #expect(brightest < 24)
    #expect(shown!.luma(x: 20, y: 130) > 150)
  }

  @Test func aCameraOfTheNetworkIsNoneOfThisMachine() {
    let stage = Stage()
    defer { stage.reactor.retire() }
    let source = stage.open(.rtsp(url: "rtsp://192.0.2.1/"))
    #expect(stage.heard.isEmpty)
    #expect(stage.runs { stage.fault != nil })
    #expect(stage.fault?.kind == .refused)
    source.stop()
  }
}

struct Wrong: Error {
  let text: String
  init(_ text: String) { self.text = text }
}
