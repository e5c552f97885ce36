import Cameras
import Capture
import Codecs
import RTP
import Reactor
import Testing
import Wire

/// H.264 of the test picture, a key picture first and where it is asked for.
private func stream(_ count: Int, keys: [Int] = [], width: Int = 320, height: Int = 240) throws
  -> [AccessUnit]
{
  var setting = VideoSetting(
    coding: .h264, width: width, height: height, picturesPerSecond: 15, bitsPerSecond: 1_000_000)
  setting.mayUseBoard = false
  var encoder = try VideoEncoder(setting)
  return try (0..<count).flatMap { number in
    var picture = Picture(width: width, height: height)!
    Pattern.draw(.init(number: number, milliseconds: 7), on: &picture)
    return try encoder.encode(picture, time: Int64(number) * 6000, asKey: keys.contains(number)).compactMap {
      AccessUnit(
        annexB: $0.bytes, timestamp: UInt32($0.time),
        captured: Instant(nanoseconds: 1_000_000_000 + 66_666_667 * Int64(number)))
    }
  }
}

@Suite struct TranscoderTests {
  private final class Listener {
    var pictures: [AccessUnit] = []
    var sizes: [String] = []
    var wishes = 0
    var loads: [Double] = []
    var fault: SourceFault?
    func hear(_ news: TranscoderNews) {
      switch news {
      case .began(let width, let height): sizes.append("\(width)x\(height)")
      case .picture(let unit): pictures.append(unit)
      case .wantsKey: wishes += 1
      case .load(let load): loads.append(load)
      case .ended(let fault): self.fault = fault
      }
    }
  }

  @Test func whatGoesInComesOutAsVP8() throws {
    let stage = Stage()
    defer { stage.reactor.retire() }
    let listener = Listener()
    let transcoder = stage.cameras.openTranscoder(TranscoderSetting(), hear: listener.hear)
    for (place, picture) in try stream(20).enumerated() {
      #expect(transcoder.push([picture]) == .taken)
      #expect(stage.runs { listener.pictures.count > place })
    }
    transcoder.stop()
    #expect(listener.sizes == ["320x240"])
    #expect(try Stage.read(listener.pictures, .vp8).map(\.?.number) == Array(0..<20))
    #expect(listener.pictures[0].isKey)
    #expect(listener.pictures.dropFirst().allSatisfy { !$0.isKey })
    #expect(listener.pictures[0].units == [0..<listener.pictures[0].bytes.count])
    #expect(abs(listener.pictures[15].captured.nanoseconds - 2_000_000_000) < 20_000)
    #expect(listener.fault == nil && listener.wishes == 0)
    // A second and a third of pictures: what they took of the processor was told once.
    #expect(listener.loads.count == 1 && listener.loads.allSatisfy { $0 > 0 && $0 < 20 })
  }

  @Test func widePicturesAreScaledDown() throws {
    let stage = Stage()
    defer { stage.reactor.retire() }
    let listener = Listener()
    let transcoder = stage.cameras.openTranscoder(TranscoderSetting(), hear: listener.hear)
    #expect(transcoder.push([try stream(1, width: 1280, height: 720)[0]]) == .taken)
    #expect(stage.runs { !listener.pictures.isEmpty })
    transcoder.stop()
    #expect(listener.sizes == ["640x360"])
    #expect(try Stage.read(listener.pictures, .vp8).map(\.?.number) == [0])
  }

  @Test func itBeginsWithAKeyPicture() throws {
    let stage = Stage()
    defer { stage.reactor.retire() }
    let listener = Listener()
    let transcoder = stage.cameras.openTranscoder(TranscoderSetting(), hear: listener.hear)
    let pictures = try stream(4, keys: [2])
    #expect(transcoder.push([pictures[1]]) == .wantsKey)
    #expect(transcoder.push([pictures[2]]) == .taken)
    #expect(transcoder.push([pictures[3]]) == .taken)
    #expect(stage.runs { (try? Stage.read(listener.pictures, .vp8).last)??.number == 3 })
    transcoder.stop()
  }

  @Test func aGroupThatWentBeforeIsCaughtUpWithAndOnlyItsNewestShown() throws {
    let stage = Stage()
    defer { stage.reactor.retire() }
    let listener = Listener()
    let transcoder = stage.cameras.openTranscoder(TranscoderSetting(), hear: listener.hear)
    let pictures = try stream(122)
    #expect(transcoder.push(Array(pictures[..<120])) == .taken)
    #expect(stage.runs { listener.pictures.count == 1 })
    for place in 120..<122 {
      #expect(transcoder.push([pictures[place]]) == .taken)
      #expect(stage.runs { listener.pictures.count == place - 118 })
    }
    transcoder.stop()
    #expect(try Stage.read(listener.pictures, .vp8).map(\.?.number) == [119, 120, 121])
    #expect(listener.wishes == 0)
  }

  @Test func whenItCannotKeepUpItSkipsToAKeyPicture() throws {
    let stage = Stage()
    defer { stage.reactor.retire() }
    let listener = Listener()
    let transcoder = stage.cameras.openTranscoder(TranscoderSetting(), hear: listener.hear)
    let pictures = try stream(11, keys: [10])
    // Ten pictures take far longer to decode than to hand in, whatever watches us.
    var taken = 0
    while taken < 10_000, transcoder.push(Array(pictures[..<10])) == .taken { taken += 1 }
    #expect((2..<10_000).contains(taken), "everything at once is too much")
    // Nothing is taken before the next key picture, however much room there is.
    #expect(stage.runs { !listener.pictures.isEmpty })
    #expect(transcoder.push([pictures[9]]) == .wantsKey)
    #expect(stage.runs { transcoder.push([pictures[10]]) == .taken })
    #expect(stage.runs { (try? Stage.read(listener.pictures, .vp8).last)??.number == 10 })
    transcoder.stop()
    #expect(try !Stage.read(listener.pictures, .vp8).contains(nil))
  }

  @Test func whatCannotBeDecodedIsAskedForAnew() throws {
    let stage = Stage()
    defer { stage.reactor.retire() }
    let listener = Listener()
    let transcoder = stage.cameras.openTranscoder(TranscoderSetting(), hear: listener.hear)
    let broken = AccessUnit(
      bytes: [0x65, 1, 2, 3], units: [0..<4], timestamp: 0, captured: Instant(nanoseconds: 1), isKey: true)
    #expect(transcoder.push([broken]) == .taken)
    #expect(stage.runs { listener.wishes == 1 })
    let pictures = try stream(2)
    #expect(transcoder.push([pictures[1]]) == .wantsKey)
    #expect(transcoder.push([pictures[0]]) == .taken)
    #expect(stage.runs { listener.pictures.count == 1 })
    transcoder.stop()
  }

  @Test func aKeyPictureComesWhenItIsAskedFor() throws {
    let stage = Stage()
    defer { stage.reactor.retire() }
    let listener = Listener()
    let transcoder = stage.cameras.openTranscoder(TranscoderSetting(), hear: listener.hear)
    for (place, picture) in try stream(10).enumerated() {
      if place == 6 { transcoder.requestKeyFrame() }
      #expect(transcoder.push([picture]) == .taken)
      #expect(stage.runs { listener.pictures.count > place })
    }
    transcoder.stop()
    #expect(listener.pictures.indices.filter { listener.pictures[$0].isKey } == [0, 6])
  }
}
