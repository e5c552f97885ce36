import MediaPlane
import RTP
import SDP
import Simulation
import Testing
import WebRTC
import Wire

/// A slow path with a long queue: when what is sent arrives.
private final class SlowPath {
  var bitsPerSecond: Double
  private var free = Instant(nanoseconds: 0)

  init(_ bitsPerSecond: Double) { self.bitsPerSecond = bitsPerSecond }

  func carry(_ bytes: Int, at now: Instant) -> Instant {
    free = max(free, now) + .nanoseconds(Int64(Double(bytes * 8) / bitsPerSecond * 1e9))
    return free
  }
  /// How much waits.
  func queue(at now: Instant) -> Interval { max(.zero, free - now) }
}

@Suite struct ViewerRateTests {
  /// Pictures of a group of 25 for so many seconds, 2 Mbit/s; reports every 120 ms, by a slow path for some.
  private func show(_ cinema: inout Cinema, _ seconds: Int, _ viewers: [(Spectator, SlowPath?)]) {
    for tick in 0..<seconds * 25 { show(&cinema, viewers, at: tick) }
  }

  private func show(_ cinema: inout Cinema, _ viewers: [(Spectator, SlowPath?)], at tick: Int) {
    cinema.shoot(1)
    for (spectator, path) in viewers {
      spectator.meet(10)
      guard tick % 3 == 2 else { continue }
      spectator.tellArrivals { at, bytes in path?.carry(bytes, at: at) ?? at + .milliseconds(5) }
    }
  }

  /// The same by a camera that follows, with what it was asked for: so much of a picture as there is to see.
  private func follow(
    _ cinema: inout Cinema, _ seconds: Int, _ viewers: [(Spectator, SlowPath?)], seen: Int, told: Int
  ) -> [Int] {
    var asked: [Int] = []
    for tick in 0..<seconds * 25 {
      let bytes = min(seen, (asked.last ?? told) / 8 / 25)
      cinema.camera.bytes = bytes
      cinema.camera.keyBytes = bytes
      show(&cinema, viewers, at: tick)
      asked += cinema.rates()
    }
    return asked
  }

  private static let camera = PaperCamera(group: 25, keyBytes: 40_000, bytes: 8000)

  @Test func aViewerThatCannotFollowGetsWholeKeyPicturesAndNobodyElseSuffers() throws {
    var cinema = try Cinema(ViewerRateTests.camera)
    cinema.shoot(1)
    let slow = try cinema.spectator(0)
    let quick = try cinema.spectator(1)
    let path = SlowPath(700_000)
    show(&cinema, 12, [(slow, path), (quick, nil)])
    // Everything, for whoever can.
    #expect(quick.isGapless())
    #expect(quick.pictures().map(\.number) == Array(0..<cinema.shot.count))
    let statistics = try #require(cinema.bench.plane.viewerStatistics(slow.leg))
    #expect(statistics.skips > 0)
    #expect(statistics.skippedPictures > 100)
    let estimate = try #require(statistics.estimate)
    #expect(estimate < 1_200_000, "\(estimate)")
    #expect(path.queue(at: cinema.bench.world.now) < .milliseconds(2500))
    // Never half a picture, and after each gap one that a decoder can begin with.
    #expect(slow.isGapless())
    let seen = slow.pictures()
    #expect(seen.count > 8)
    for (before, after) in zip(seen, seen.dropFirst()) {
      #expect(after.number == before.number + 1 || after.isKey)
      #expect(after.number > before.number)
    }
    #expect(seen.map(\.parts) == seen.map { cinema.shot[$0.number].parts })
    // The source is asked for what a viewer takes who is worth waiting for.
    let wanted = cinema.rates()
    #expect(!wanted.isEmpty)
    #expect(wanted.allSatisfy { $0 >= 180_000 })
    #expect(try #require(wanted.min()) < 1_200_000)
  }

  @Test func aViewerWhosePathIsWideEnoughMissesNothing() throws {
    var cinema = try Cinema(ViewerRateTests.camera)
    cinema.shoot(30)
    let viewer = try cinema.spectator()
    show(&cinema, 8, [(viewer, SlowPath(6_000_000))])
    #expect(viewer.isGapless())
    #expect(viewer.pictures().map(\.number) == Array(25..<cinema.shot.count))
    #expect(cinema.bench.plane.viewerStatistics(viewer.leg)?.skips == 0)
  }

  @Test func aQuietPictureKeepsItselfSmallForNobody() throws {
    var cinema = try Cinema(ViewerRateTests.camera)
    cinema.shoot(1)
    let first = try cinema.spectator(0)
    // Next to nothing moves: what comes says nothing of what could come.
    let quiet = follow(&cinema, 3, [(first, nil)], seen: 1000, told: BandwidthEstimate.most)
    #expect(quiet == [])
    let newcomer = try cinema.spectator(1)
    let busy = follow(
      &cinema, 3, [(first, nil), (newcomer, nil)], seen: 8000, told: BandwidthEstimate.most)
    #expect(busy == [])
    #expect(try #require(cinema.bench.plane.viewerStatistics(newcomer.leg)?.estimate) < 5_000_000)
    #expect(first.pictures().map(\.number) == Array(0..<cinema.shot.count))
  }

  @Test func aCameraFollowsASlowPathAndIsFreeAgainWhenThatViewerLeaves() throws {
    var cinema = try Cinema(ViewerRateTests.camera)
    cinema.shoot(1)
    let slow = try cinema.spectator(0)
    let quick = try cinema.spectator(1)
    let path = SlowPath(800_000)
    let asked = follow(
      &cinema, 10, [(slow, path), (quick, nil)], seen: 8000, told: BandwidthEstimate.most)
    let last = try #require(asked.last)
    #expect((180_000..<800_000).contains(last), "\(asked)")
    // By then it fits: nothing is left out.
    let skipped = cinema.bench.plane.viewerStatistics(slow.leg)?.skippedPictures
    _ = follow(&cinema, 2, [(slow, path), (quick, nil)], seen: 8000, told: last)
    #expect(cinema.bench.plane.viewerStatistics(slow.leg)?.skippedPictures == skipped)
    cinema.bench.plane.close(slow.leg)
    #expect(cinema.rates() == [BandwidthEstimate.most])
    let after = follow(&cinema, 1, [(quick, nil)], seen: 8000, told: BandwidthEstimate.most)
    #expect(after == [])
  }

  @Test func theRateIsThatOfTheSlowestWorthWaitingFor() {
    func rate(_ limits: [Int], tried: [Int] = []) -> Int? {
      Plane.rate(
        limits.map { PathRate(bitsPerSecond: $0, isLimit: true) }
          + tried.map { PathRate(bitsPerSecond: $0, isLimit: false) })
    }
    #expect(rate([]) == nil)
    #expect(rate([1_000_000]) == 900_000)
    #expect(rate([3_000_000, 1_000_000, 2_000_000]) == 900_000)
    // Far below the others, or below any picture.
    #expect(rate([300_000, 4_000_000, 5_000_000]) == 3_600_000)
    #expect(rate([50_000, 1_000_000]) == 900_000)
    #expect(rate([50_000]) == 180_000)
    // What was only tried holds nobody back, and tells who is far below.
    #expect(rate([], tried: [50_000, 300_000]) == nil)
    #expect(rate([1_000_000], tried: [300_000]) == 900_000)
    #expect(rate([300_000], tried: [4_000_000, 5_000_000]) == nil)
  }

  @Test func aLongGroupThatCannotBeSentInTimeIsGivenUpForAKeyPicture() throws {
    // A group of three megabytes, and then a path that nobody knows yet: what waits too long goes.
    var cinema = try Cinema(PaperCamera(group: 400, keyBytes: 60_000, bytes: 30_000))
    cinema.shoot(250)
    let viewer = try Spectator(cinema.bench)
    try viewer.ask(for: cinema.feed)
    for _ in 0..<70 {
      cinema.shoot(1)
      viewer.meet(20)
    }
    cinema.shoot(1, isKey: true)
    viewer.meet(500)
    cinema.shoot(3, isKey: false)
    viewer.meet(500)
    #expect(viewer.isGapless())
    let seen = viewer.pictures()
    #expect(seen.last?.number == cinema.shot.count - 1)
    for (before, after) in zip(seen, seen.dropFirst()) {
      #expect(after.number == before.number + 1 || after.isKey)
    }
    let statistics = try #require(cinema.bench.plane.viewerStatistics(viewer.leg))
    #expect(statistics.skips > 0)
  }
}
