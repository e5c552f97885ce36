import Cameras
import Directory
import HTTP
import MediaPlane
import Testing
import Web
import Wire

/// How views end, and how many there can be.
@Suite struct WHEPEndsTests {
  let bench = WHEPBench()

  @Test func aViewerThatNeverConnectsLosesItsPlace() {
    bench.goLive()
    let answer = bench.post()
    let other = bench.post()
    bench.connected.insert(bench.seated[1])
    for _ in 0..<20 {
      bench.studio.last.show()
      bench.pass(.seconds(1))
    }
    #expect(bench.whep.count == 1 && bench.whep.connectedCount == 1 && bench.seated.count == 1)
    #expect(bench.whep.figures.unfinished == 1)
    #expect(bench.patch(answer.session, tag: "*").status == 404)
    #expect(bench.patch(other.session, tag: "*").status == 204)
  }

  @Test func theNextDeadlineIsThatOfTheFirstWhoHasNotConnected() {
    bench.goLive()
    let began = bench.now
    func due() -> Interval? { bench.whep.nextDeadline.map { $0 - began } }
    func connect(_ leg: LegID) {
      bench.connected.insert(leg)
      bench.whep.advance()
    }
    #expect(due() == nil)
    _ = bench.post()
    bench.pass(.seconds(1))
    let second = bench.post()
    #expect(due() == .seconds(20))
    connect(bench.seated[0])
    #expect(due() == .seconds(21))
    bench.refusal = .noPicture
    let proposed = bench.post(offer: WHEPBench.offer(video: nil))
    #expect(due() == .seconds(21))
    #expect(bench.ask("DELETE", second.session).status == 200)
    #expect(due() == .seconds(31))
    let accepted = bench.patch(
      proposed.session, tag: nil, type: "application/sdp", body: WHEPBench.offer(audio: nil))
    #expect(accepted.status == 204 && due() == .seconds(21))
    connect(bench.seated[1])
    // Only their token's end is left.
    #expect(due() == .hours(9) && bench.whep.connectedCount == 2)
    // Who connected and goes leaves none behind.
    for leg in bench.seated { #expect(bench.whep.lost(leg)) }
    #expect(due() == nil)
    // The camera that starts for somebody has one too.
    bench.refusal = nil
    bench.grant("y", to: "web401", "yard")
    _ = bench.sendPost("yard", token: "y")
    #expect(due() == .seconds(4))
  }

  @Test func whenARightEndsSoDoesWhatWasSeenByIt() {
    bench.goLive()
    bench.grant("ring", to: "web401", "door", call: "c1")
    let ring = bench.post(token: "ring")
    let other = bench.post(token: "t")
    bench.mayLook = { viewer, _ in viewer.call != "c1" }
    bench.whep.review()
    #expect(bench.seated.count == 1 && bench.whep.figures.expired == 1)
    #expect(bench.patch(ring.session, tag: "*").status == 404)
    #expect(bench.patch(other.session, tag: "*").status == 204)
  }

  @Test func aSessionEndsWithTheTokenThatOpenedIt() {
    bench.goLive()
    bench.grant("short", to: "web401", "door", life: .minutes(5))
    let short = bench.post(token: "short")
    let long = bench.post(token: "t")
    bench.seated.forEach { bench.connected.insert($0) }
    bench.whep.advance()
    #expect(bench.whep.nextDeadline.map { $0 - bench.now } == .minutes(5))
    for _ in 0..<299 {
      bench.studio.last.show()
      bench.pass(.seconds(1))
    }
    #expect(bench.patch(short.session, tag: "*").status == 204)
    bench.studio.last.show()
    bench.pass(.seconds(2))
    #expect(bench.patch(short.session, tag: "*").status == 404)
    #expect(bench.patch(long.session, tag: "*").status == 204)
    #expect(bench.whep.figures.expired == 1)
    #expect(bench.ask("DELETE", long.session).status == 200)
    #expect(bench.whep.nextDeadline == nil)
  }

  @Test func whoLooksAtACameraThatSomebodyHasToMendIsLetGoAndHearsWhy() {
    bench.goLive()
    let session = bench.post().session
    // One that is only away comes back to its viewers.
    bench.studio.last.end(.unreachable)
    #expect(bench.patch(session, tag: "*").status == 204)
    bench.pass(.seconds(2))
    bench.studio.last.begin()
    bench.studio.last.show()
    bench.studio.last.end(.coding, "it sends H.265")
    #expect(bench.patch(session, tag: "*").status == 404 && bench.seated.isEmpty)
    let again = bench.post()
    #expect(again.status == 409 && again.word("detail") == "it sends H.265")
  }

  @Test func aRightThatEndsWhileTheCameraStartsIsHeardOf() {
    let early = bench.sendPost()
    bench.mayLook = { _, _ in false }
    bench.whep.review()
    #expect(bench.heard(early)?.status == 403)
    #expect(bench.studio.keeper.status(of: Studio.door)?.viewers == 0)
  }

  @Test func aLostConnectionEndsItsSession() {
    bench.goLive()
    _ = bench.post()
    #expect(!bench.whep.lost(.none))
    #expect(bench.whep.lost(bench.seated[0]))
    #expect(bench.whep.count == 0 && bench.seated.isEmpty && bench.whep.figures.lost == 1)
  }

  // MARK: Limits

  @Test func oneUnitHasEightPlacesAndNoMore() {
    bench.goLive()
    bench.grant("mobile", to: "mobile401", "door")
    for place in 0..<8 {
      #expect(bench.post(token: place % 2 == 0 ? "t" : "mobile").status == 201, "\(place)")
      bench.seated.forEach { bench.connected.insert($0) }
      bench.whep.advance()
    }
    let refused = bench.post()
    #expect(refused.status == 503 && refused.word("reason") == "too-many")
    #expect(refused.fields["Retry-After"] == "5")
    bench.grant("other", to: "web402", "door")
    #expect(bench.post(token: "other").status == 201)
  }

  @Test func whoOpensAndNeverConnectsIsStoppedSooner() {
    bench.goLive()
    var statuses: [Int] = []
    for _ in 0..<10 { statuses.append(bench.post().status) }
    #expect(statuses == [201, 201, 201, 201, 201, 201, 503, 503, 503, 503])
    for _ in 0..<20 {
      bench.studio.last.show()
      bench.pass(.seconds(1))
    }
    #expect(bench.post().status == 201)
  }

  @Test func oneAddressAndAllTogetherHaveLimitsToo() {
    bench.goLive()
    bench.whep.limits.perAddress = 3
    bench.whep.limits.unfinished = 5
    for holder in 0..<5 { bench.grant("t\(holder)", to: "web50\(holder)", "door") }
    #expect((0..<4).map { bench.post(token: "t\($0)").status } == [201, 201, 201, 503])
    #expect(bench.post(token: "t3", from: "192.0.2.8").status == 201)
    #expect(bench.post(token: "t4", from: "192.0.2.9").status == 201)
    #expect(bench.post(token: "t", from: "192.0.2.10").status == 503)
  }

  @Test(arguments: 0..<20)
  func whateverViewersDoNothingIsLeftBehind(seed: Int) {
    var random = Random(seed: UInt64(seed))
    var sessions: [WHEPBench.Answer] = []
    var waiting: [WebConnectionID] = []
    bench.grant("u", to: "web402", "door")
    func take() {
      waiting = waiting.filter { id in
        guard let answer = bench.heard(id) else { return true }
        #expect([201, 403, 406, 409, 503].contains(answer.status))
        if answer.status == 201 { sessions.append(answer) }
        return false
      }
    }
    for _ in 0..<400 {
      let tokens = ["t", "u"]
      switch random.below(12) {
      case 0, 1, 2: waiting.append(bench.sendPost(token: tokens[Int(random.below(2))]))
      case 3:
        if let session = sessions.popLast() { _ = bench.ask("DELETE", session.session, token: nil) }
      case 4:
        if let session = sessions.randomElement(using: &random) {
          #expect([204, 404].contains(bench.patch(session.session, tag: "*").status))
        }
      case 5: bench.pass(.milliseconds(Int64(random.below(5000))))
      case 6: if let leg = bench.seated.randomElement(using: &random) { bench.connected.insert(leg) }
      case 7: if let leg = bench.seated.randomElement(using: &random) { _ = bench.whep.lost(leg) }
      case 8: bench.studio.sources.last(where: \.runs)?.end(.gone)
      case 9:
        let isAllowed = random.below(4) != 0
        bench.mayLook = { _, _ in isAllowed }
        bench.whep.review()
        bench.mayLook = { _, _ in true }
      default:
        if let source = bench.studio.sources.last(where: \.runs) {
          source.begin()
          source.show()
        }
      }
      take()
      #expect(bench.whep.count == bench.seated.count)
      #expect(bench.studio.keeper.status(of: Studio.door)?.viewers == bench.seated.count + waiting.count)
    }
    for leg in bench.seated { _ = bench.whep.lost(leg) }
    bench.pass(.seconds(60))
    take()
    for leg in bench.seated { _ = bench.whep.lost(leg) }
    bench.pass(.seconds(60))
    #expect(waiting.isEmpty && bench.seated.isEmpty && bench.whep.count == 0)
    #expect(bench.studio.state == .idle && bench.studio.keeper.running == 0)
  }
}
