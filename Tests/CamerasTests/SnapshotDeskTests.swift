import Cameras
import Directory
import HTTP
import RTP
import Testing
import Web
import Wire

/// A desk whose pictures are developed when the test says so.
private final class Darkroom {
  let studio = Studio([Studio.door, Studio.yard])
  private(set) var desk: SnapshotDesk!
  var newest: AccessUnit?
  var developing: [(AccessUnit, (Result<[UInt8], SourceFault>) -> Void)] = []
  var isFull = false
  var results: [Result<[UInt8], SnapshotRefusal>] = []

  init() {
    desk = SnapshotDesk(
      keeper: studio.keeper, newest: { [unowned self] _ in newest }, authority: WHEPBench(),
      make: { [unowned self] picture, then in
        guard !isFull else { return false }
        developing.append((picture, then))
        return true
      }, clock: { [unowned self] in studio.now })
    studio.keeper.whenChanged = { [unowned self] in desk.cameraChanged($0) }
  }

  func take(for viewer: Viewer? = nil) {
    desk.take(Studio.door, for: viewer) { [unowned self] in results.append($0) }
  }
  func develop(_ jpeg: [UInt8] = [0xFF, 0xD8]) { developing.removeFirst().1(.success(jpeg)) }

  /// The camera shows a key picture taken so long ago.
  func show(_ age: Interval = .zero) {
    newest = AccessUnit(
      bytes: [0x65, 1], units: [0..<2], timestamp: 0, captured: studio.now - age, isKey: true)
  }
  func goLive(_ age: Interval = .zero) {
    studio.keeper.watch(Studio.door)
    studio.last.begin()
    studio.last.show()
    show(age)
  }
  var viewers: Int? { studio.keeper.status(of: Studio.door)?.viewers }

  func pass(_ interval: Interval) {
    let end = studio.now + interval
    while let due = [studio.keeper.nextDeadline, desk.nextDeadline].compactMap({ $0 }).min(), due <= end {
      studio.now = max(studio.now, due)
      studio.keeper.advance()
      desk.advance()
    }
    studio.now = end
  }
}

@Suite struct SnapshotDeskTests {
  private let room = Darkroom()

  @Test func aFreshPictureIsTakenAsItIs() {
    room.goLive()
    room.take()
    #expect(room.developing.count == 1 && room.viewers == 2)
    room.develop([1, 2])
    #expect(room.results == [.success([1, 2])] && room.viewers == 1)
    // Who asks again at once gets the same.
    room.take()
    #expect(room.results.count == 2 && room.developing.isEmpty && room.desk.taken == 1)
    room.pass(.milliseconds(500))
    room.take()
    #expect(room.developing.count == 1)
  }

  @Test func onePictureIsDevelopedOnceForAllWhoWantIt() {
    room.goLive(.seconds(5))
    for number in 0..<9 { room.take(for: Viewer(holder: "web\(number)")) }
    room.show()
    room.desk.keyPictureCame(Studio.door)
    room.take(for: Viewer(holder: "late"))
    #expect(room.developing.count == 1 && room.viewers == 11)
    room.develop([7])
    #expect(room.results == Array(repeating: .success([7]), count: 10))
    #expect(room.viewers == 1 && room.desk.taken == 1)
  }

  @Test func viewersHaveTheirLimitsAndTheHouseHasNone() {
    room.goLive(.seconds(5))
    for _ in 0..<7 { room.take(for: Viewer(holder: "web401")) }
    #expect(room.results == [.failure(.tooMany)])
    for number in 0..<27 { room.take(for: Viewer(holder: "web\(number)")) }
    #expect(room.results.count == 2 && room.results.allSatisfy { $0 == .failure(.tooMany) })
    room.take()
    room.show()
    room.desk.keyPictureCame(Studio.door)
    room.develop([7])
    #expect(room.results.suffix(33) == Array(repeating: .success([7]), count: 33)[...])
  }

  @Test func anOldOneIsAskedAnewAndTakenIfNoneComes() {
    room.goLive(.seconds(5))
    room.take()
    #expect(room.developing.isEmpty && room.studio.last.wishes == 1)
    room.show()
    room.desk.keyPictureCame(Studio.door)
    #expect(room.developing.count == 1)
    room.develop()
    room.pass(.milliseconds(500))
    room.show(.seconds(9))
    room.take()
    room.studio.last.show(key: false)
    room.pass(.milliseconds(1200))
    #expect(room.developing.count == 1)
    room.develop()
    #expect(room.results.count == 2 && room.viewers == 1)
  }

  @Test func aCameraIsOpenedForItAndLeftAgain() {
    room.take()
    #expect(room.studio.state == .starting)
    room.studio.last.begin()
    room.studio.last.show()
    room.show()
    room.desk.keyPictureCame(Studio.door)
    room.develop()
    #expect(room.results == [.success([0xFF, 0xD8])])
    #expect(room.studio.state == .warm)
    room.pass(.seconds(9))
    #expect(room.studio.state == .idle)
  }

  @Test func oneThatFailsSaysWhy() {
    room.take()
    room.studio.last.end(.unreachable, "no route to it")
    #expect(
      room.results == [.failure(.notLive(SourceFault(.unreachable, "no route to it"), wait: .seconds(1)))])
    room.take()
    #expect(room.results.count == 2 && room.studio.sources.count == 1 && room.viewers == 0)
  }

  @Test func oneThatDoesNotBeginIsGivenUp() {
    room.take()
    room.pass(.seconds(6))
    #expect(room.results == [.failure(.notLive(nil, wait: .seconds(1)))] && room.viewers == 0)
  }

  @Test func whatCannotBeDecodedIsSaid() {
    room.goLive()
    room.take()
    room.developing.removeFirst().1(.failure(SourceFault(.coding, "broken")))
    #expect(room.results == [.failure(.unreadable(SourceFault(.coding, "broken")))] && room.viewers == 1)
  }

  @Test func thereAreNoMoreAtATimeThanCanBeMade() {
    room.goLive()
    room.isFull = true
    room.take()
    #expect(room.results.last == .failure(.tooMany) && room.viewers == 1)
  }

  @Test func aCameraThatIsNotThereHasNoPicture() {
    room.desk.take(CameraID("attic")) { [room] in room.results.append($0) }
    #expect(room.results == [.failure(.unknownCamera)])
  }

  @Test func overHTTPItIsAPictureForThoseWhoMayLook() {
    let bench = WHEPBench()
    let desk = SnapshotDesk(
      keeper: bench.studio.keeper,
      newest: { _ in
        AccessUnit(bytes: [0x65], units: [0..<1], timestamp: 0, captured: bench.now, isKey: true)
      }, authority: bench,
      make: { _, then in
        then(.success([0xFF, 0xD8, 0xFF]))
        return true
      }, clock: { bench.now })
    bench.serve { desk.addRoutes(to: &$0) }
    bench.goLive()
    let picture = bench.ask("GET", "/snapshot/door.jpg")
    #expect(picture.status == 200 && picture.fields["Content-Type"] == "image/jpeg")
    #expect(picture.fields["Content-Length"] == "3")
    #expect(bench.ask("GET", "/snapshot/door.jpg", token: nil).status == 401)
    #expect(bench.ask("GET", "/snapshot/yard.jpg").status == 403)
    #expect(bench.ask("GET", "/snapshot/door.png").status == 404)
    #expect(bench.ask("POST", "/snapshot/door.jpg").status == 405)
    bench.grant("y", to: "web401", "yard")
    let cold = bench.send("GET", "/snapshot/yard.jpg", token: "y")
    bench.studio.last.end(.missing, "there is no /dev/video0")
    desk.cameraChanged(Studio.yard)
    let answer = bench.heard(cold)
    #expect(answer?.status == 409 && answer?.word("reason") == "camera-off")
    #expect(answer?.fields["Retry-After"] == "1")
  }
}
