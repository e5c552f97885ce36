import Cameras
import Directory
import MediaPlane
import RTP
import Simulation
import Testing
import WebRTC
import Wire

/// A camera of two streams in a theatre with two viewers, on the time of its pictures.
@Suite struct SmallStreamTests {
  private static let door = CameraID("door")
  private static let format = SourceFormat(
    coding: .h264, width: 1280, height: 720, isOurs: false, sound: .pcma)
  private static let smallFormat = SourceFormat(coding: .h264, width: 320, height: 180, isOurs: false)
  /// Five pictures a second: 40 and 4 kbit/s.
  private static let bytes = 1000
  private static let smallBytes = 100

  private final class Clock { var now = Instant(nanoseconds: 5_000_000_000) }
  private let clock = Clock()
  private let theatre: Theatre
  private let narrow: LegID
  private let wide: LegID
  private var screens: PlaneScreens { theatre.screens }
  private var plane: Plane { theatre.plane }

  init() throws {
    let network = SimulatedNetwork(seed: 1)
    let host = network.addHost("gateway", [IPAddress(v4: 0xC000_0201)])
    let started = host.start { Theatre($0, hasTranscoders: false) }
    theatre = started.resident
    theatre.hasSmaller = true
    theatre.screens.begin(SmallStreamTests.door, SmallStreamTests.format)
    let legs = try (0..<2).map { _ in
      try started.resident.screens.take(
        Guest(started.world.now).offer([Guest.h264]), by: .other, of: SmallStreamTests.door,
        SmallStreamTests.format
      ).get().leg
    }
    (narrow, wide) = (legs[0], legs[1])
  }

  private func picture(_ bytes: Int, key: Bool) -> AccessUnit {
    AccessUnit(
      bytes: [key ? 0x65 : 0x41] + [UInt8](repeating: 1, count: bytes - 1), units: [0..<bytes], timestamp: 0,
      captured: clock.now, isKey: key)
  }
  /// The main stream, and the smaller one while it runs; a key picture of each after every second.
  private func run(_ length: Interval, keys: Bool = true) {
    let end = clock.now + length
    var count = 0
    while clock.now < end {
      count += 1
      let isKey = keys && count % 5 == 0
      screens.push(picture(SmallStreamTests.bytes, key: isKey), of: SmallStreamTests.door)
      if let small = theatre.smaller.last, small.runs {
        small.hear(.picture(picture(SmallStreamTests.smallBytes, key: isKey)))
      }
      clock.now = clock.now + .milliseconds(200)
    }
  }
  /// Until something is so: how long it took.
  private func runs(until isSo: () -> Bool) -> Interval {
    let start = clock.now
    while !isSo(), clock.now - start < .seconds(200) { run(.seconds(1)) }
    return clock.now - start
  }
  private var mainFeed: FeedID? { screens.feed(of: SmallStreamTests.door) }
  private func seesMain(_ leg: LegID) -> Bool { plane.shown(on: leg) == mainFeed }
  private func opens() throws -> Studio.Source {
    let small = try #require(theatre.smaller.last)
    small.begin(SmallStreamTests.smallFormat)
    return small
  }
  private func narrowed() throws -> Studio.Source {
    run(.seconds(3))
    theatre.limits[narrow] = 10_000
    run(.seconds(3))
    return try opens()
  }

  @Test func whereEverybodyCarriesTheMainStreamItIsTheOnlyOne() {
    theatre.limits = [narrow: 50_000]
    run(.seconds(120))
    #expect(theatre.smaller.isEmpty && seesMain(narrow) && seesMain(wide))
  }

  @Test func whoCannotCarryTheMainStreamIsShownTheSmallerOneAndNobodyElse() throws {
    let small = try narrowed()
    #expect(theatre.smaller.count == 1)
    run(.seconds(2), keys: false)
    #expect(seesMain(narrow), "nobody can begin with what is no key picture")
    #expect(small.wishes > 0)
    small.wishes = 0
    small.hear(.picture(picture(SmallStreamTests.smallBytes, key: true)))
    #expect(!seesMain(narrow) && plane.shown(on: narrow) != .none)
    #expect(seesMain(wide))
    #expect(screens.smallViewers(of: SmallStreamTests.door) == 1)
    // What the plane wishes of that feed is the smaller stream's to fulfil.
    #expect(screens.keyFrameWanted(plane.shown(on: narrow)) == nil && small.wishes == 1)
    #expect(screens.rateWanted(plane.shown(on: narrow), bitsPerSecond: 2000) == nil)
    // Both hear the camera.
    screens.push(sound: [1, 2, 3], samples: 160, captured: clock.now, of: SmallStreamTests.door)
    #expect(screens.keyPicture(of: SmallStreamTests.door)?.bytes.count == SmallStreamTests.bytes)
    screens.leave(narrow)
    run(SmallStream.linger - .seconds(1))
    #expect(small.runs, "whoever comes back finds it")
    run(.seconds(2))
    #expect(!small.runs)
    #expect(screens.smallViewers(of: SmallStreamTests.door) == 0)
  }

  @Test func theWayBackIsTriedWithAKeyPictureOfTheMainStream() throws {
    let small = try narrowed()
    run(.seconds(2))
    #expect(!seesMain(narrow))
    let first = runs { seesMain(narrow) }
    #expect(first >= StreamChoice.firstTrial - .seconds(2) && first <= StreamChoice.firstTrial + .seconds(4))
    #expect(small.runs)
    // It cannot carry it still.
    #expect(runs { !seesMain(narrow) } <= .seconds(5))
    theatre.limits[narrow] = 60_000
    #expect(runs { seesMain(narrow) } >= StreamChoice.firstTrial * 2)
    run(SmallStream.linger + .seconds(1))
    #expect(seesMain(narrow) && !small.runs)
    #expect(theatre.smaller.count == 1)
  }

  @Test func aSmallerStreamThatCannotBeHadIsLeftAlone() throws {
    let small = try narrowed()
    small.end(.refused)
    run(SmallStream.rest - .seconds(4))
    #expect(theatre.smaller.count == 1 && seesMain(narrow))
    run(.seconds(8))
    #expect(theatre.smaller.count == 2)
  }

  @Test func aSmallerStreamThatEndsGivesItsViewersBack() throws {
    let small = try narrowed()
    run(.seconds(2))
    #expect(!seesMain(narrow))
    small.end(.gone)
    #expect(seesMain(narrow) && seesMain(wide) && theatre.lost.isEmpty)
  }

  @Test func aCameraWithoutASmallerStreamIsAskedForNone() {
    theatre.hasSmaller = false
    theatre.limits[narrow] = 10_000
    run(.seconds(20))
    #expect(theatre.smaller.isEmpty && seesMain(narrow))
  }

  @Test func bothEndWithTheCamera() throws {
    let small = try narrowed()
    run(.seconds(2))
    screens.end(SmallStreamTests.door)
    #expect(!small.runs && plane.shown(on: narrow) == .none)
    screens.begin(SmallStreamTests.door, SmallStreamTests.format)
    #expect(seesMain(narrow) && seesMain(wide))
  }
}
