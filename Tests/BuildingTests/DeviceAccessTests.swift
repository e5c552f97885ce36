import API
import Crypto
import Directory
import HTTP
import JSON
import Management
import Testing
import Web
import Wire

/// Requests of devices over the network: what their tokens and cookies let them do.
@Suite struct DeviceAccessTests {
  let bench = ManagementBench()
  static let secure = WebPeer.remote(Endpoint("192.0.2.1:4000")!, isSecure: true)
  static let bearer: HTTPFields = ["Authorization": "Bearer web-token"]

  func cookie(_ origin: String?, name: String = "__Host-vestibule") -> HTTPFields {
    var fields: HTTPFields = ["Cookie": "theme=dark; \(name)=web-token"]
    if let origin { fields.append("Origin", origin) }
    return fields
  }
  func ask(
    _ operation: APIOperation, _ parameters: [String] = [], fields: HTTPFields = bearer, body: String = "",
    as peer: WebPeer = secure
  ) -> ManagementBench.Answer {
    bench.ask(operation.method, operation.target(parameters), fields: fields, body: body, as: peer)
  }

  @Test func aDeviceMayDoWhatIsItsOwnAndNothingElse() {
    for operation in APIOperation.allCases where operation.audience == .operators {
      let parameters = operation.path.split(separator: "/").filter { $0.first == "{" }.map { _ in "x" }
      #expect(ask(operation, parameters).status == 403, "\(operation)")
    }
    #expect(bench.operations.asked == [])
    #expect(ask(.accountDND, ["web401"], body: #"{"dnd":true}"#).status == 200)
    #expect(ask(.unitDND, ["401"], body: #"{"dnd":true}"#).status == 200)
    #expect(ask(.accountDND, ["panel401"], body: #"{"dnd":true}"#).status == 403)
    #expect(ask(.unitDND, ["402"], body: #"{"dnd":true}"#).status == 403)
    #expect(ask(.callRecords).status == 200)
    #expect(ask(.callSnapshot, ["c1", "ring"]).status == 200)
    #expect(ask(.openDoor, ["entrance"]).status == 200)
    #expect(ask(.doors).text == "[]\n")
    #expect(ask(.calls).text == "[]\n")
    #expect(ask(.session).json != nil)
    #expect(ask(.cameraToken, ["entrance"]).status == 201)
    #expect(
      bench.operations.asked == [
        "dnd account web401 true", "dnd unit 401 true", "cdr 100 - web401",
        "snapshot c1 ring web401", "open entrance account:web401",
      ])
  }

  @Test func aTokenThatIsNotGoodIsRefusedAndSoonNotEvenLookedAt() {
    let wrong: HTTPFields = ["Authorization": "Bearer nonsense"]
    var statuses: [Int] = []
    for _ in 0..<25 { statuses.append(ask(.session, fields: wrong).status) }
    #expect(statuses.filter { $0 == 401 }.count == 20)
    #expect(statuses.last == 429)
    #expect(Int(ask(.session, fields: wrong).fields["Retry-After"] ?? "") == 30)
    // A good one is served meanwhile: whoever shares the address is not to suffer.
    #expect(ask(.session).status == 200)
    bench.carrier.now = bench.carrier.now + .seconds(31)
    #expect(ask(.session, fields: wrong).status == 401)
    #expect(ask(.session, fields: wrong).status == 429)
  }

  @Test func theTokenOfAnAccountThatIsGoneIsNoGood() {
    let answer = ask(.session, fields: ["Authorization": "Bearer gone-token"])
    #expect(answer.status == 401)
  }

  @Test func aBearerIsTradedForACookieThatNoScriptSees() {
    let answer = ask(.openSession)
    #expect(answer.status == 204)
    #expect(
      answer.fields["Set-Cookie"]
        == "__Host-vestibule=web-token; Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict; Secure")
    let plain = ask(.openSession, as: ManagementBench.outside)
    #expect(
      plain.fields["Set-Cookie"]
        == "vestibule=web-token; Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict")
    // Not for the pages of others, and not from a cookie.
    var foreign = DeviceAccessTests.bearer
    foreign.append("Origin", "https://evil.example")
    #expect(ask(.openSession, fields: foreign).status == 403)
    #expect(ask(.openSession, fields: cookie("https://gate")).status == 401)
  }

  @Test func withACookieWhatChangesSomethingNeedsOurOwnOrigin() {
    #expect(ask(.session, fields: cookie(nil)).status == 200)
    for origin in [nil, "https://evil.example", "http://gate", "https://gate.example", "null"] {
      #expect(ask(.openDoor, ["entrance"], fields: cookie(origin)).status == 403, "\(origin ?? "none")")
    }
    #expect(bench.operations.asked == [])
    #expect(ask(.openDoor, ["entrance"], fields: cookie("https://gate")).status == 200)
    var upgrade = cookie("https://evil.example")
    upgrade.append("Upgrade", "websocket")
    #expect(ask(.session, fields: upgrade).status == 403)
    // The cookie of a plain page is not one over TLS, nor the other way round.
    #expect(ask(.session, fields: cookie(nil, name: "vestibule")).status == 401)
    #expect(ask(.session, fields: cookie(nil), as: ManagementBench.outside).status == 401)
  }

  @Test func theEndOfASessionTakesTheCookieAway() {
    let answer = ask(.endSession, fields: cookie("https://gate"))
    #expect(answer.status == 204)
    #expect(answer.fields["Set-Cookie"]?.contains("Max-Age=0") == true)
    #expect(bench.operations.asked == ["forget web401 7"])
  }

  @Test func aCallIsAnsweredLikeAWHEPResource() {
    var fields = DeviceAccessTests.bearer
    fields.append("Content-Type", "application/sdp")
    let answer = ask(.answerCall, ["c1"], fields: fields, body: "v=0 offer")
    #expect(answer.status == 201)
    #expect(answer.text == "v=0")
    #expect(answer.fields["Location"] == "/api/v1/calls/c1/answer/l1")
    #expect(answer.fields["ETag"] == "\"t1\"")
    #expect(answer.fields["Content-Type"] == "application/sdp")
    #expect(ask(.answerCall, ["taken"], fields: fields, body: "v=0").status == 409)
    #expect(ask(.answerCall, ["c1"], body: "v=0").status == 415)
    #expect(ask(.hangUpAnswer, ["c1", "l1"]).status == 200)
    #expect(ask(.declineCall, ["c1"]).status == 204)
    var candidates = DeviceAccessTests.bearer
    candidates.append("Content-Type", "application/trickle-ice-sdpfrag")
    candidates.append("If-Match", "\"t1\"")
    #expect(ask(.trickle, ["c1", "l1"], fields: candidates, body: "a=end-of-candidates").status == 204)
    #expect(bench.operations.asked.last == "trickle c1 l1 t1")
    // Over the control socket there is no device that could answer.
    #expect(
      bench.ask(.post, "/api/v1/calls/c1/answer", fields: ["Content-Type": "application/sdp"], body: "v=0")
        .status
        == 403)
  }

  // MARK: Events

  func listen(_ token: String = "web-token", query: String = "") -> WebConnectionID {
    let id = bench.connect(DeviceAccessTests.secure)
    bench.send(
      "GET /api/v1/events\(query) HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer \(token)\r\n\r\n", on: id)
    return id
  }

  @Test func aDeviceHearsOfItsOwnUnitAndOfItself() {
    let mine = listen()
    let operators = bench.connect()
    bench.send("GET /api/v1/events HTTP/1.1\r\nHost: g\r\n\r\n", on: operators)
    let feed = bench.feed
    let now = bench.carrier.wall
    feed.publish("e1", at: now, [])
    feed.publish("e2", at: now, to: EventAudience(unit: "402", accounts: ["web402"]), [])
    feed.publish("e3", at: now, to: EventAudience(unit: "401"), [])
    feed.publish("e4", at: now, to: EventAudience(unit: "402", accounts: ["web401"]), [])
    feed.publish("e5", at: now, to: EventAudience(accounts: ["web401"], hasOperators: false), [])
    let heard = bench.heard(mine)
    #expect(
      ["e1", "e2", "e3", "e4", "e5"].map { heard.contains("event: \($0)\n") } == [
        false, false, true, true, true,
      ])
    let told = bench.heard(operators)
    #expect(
      ["e1", "e2", "e3", "e4", "e5"].map { told.contains("event: \($0)\n") } == [
        true, true, true, true, false,
      ])
    // The same when it comes back, and as a list.
    let again = bench.heard(listen(query: "?after=0"))
    #expect(!again.contains("e1") && !again.contains("e2") && again.contains("e5"))
    var fields = DeviceAccessTests.bearer
    fields.append("Accept", "application/json")
    let list = try? EventView.list(
      reply: bench.ask(.get, "/api/v1/events", fields: fields, as: DeviceAccessTests.secure).body)
    #expect(list?.map(\.type) == ["e3", "e4", "e5"])
  }

  @Test func whatIsForOneHolderReachesNobodyElse() {
    let mine = listen()
    let operators = bench.connect()
    bench.send("GET /api/v1/events HTTP/1.1\r\nHost: g\r\n\r\n", on: operators)
    bench.feed.publish(
      "call.ringing", at: bench.carrier.wall, to: EventAudience(unit: "401"), [JSONField("call", "c1")],
      secrets: [
        PrivateDetails(holder: "web401", fields: [JSONField("token", "for-web")]),
        PrivateDetails(holder: "panel401", fields: [JSONField("token", "for-panel")]),
        PrivateDetails(holder: nil, fields: [JSONField("token", "for-operators")]),
      ])
    let heard = bench.heard(mine)
    #expect(heard.contains("for-web") && !heard.contains("for-panel") && !heard.contains("for-operators"))
    let told = bench.heard(operators)
    #expect(told.contains("for-operators") && !told.contains("for-web") && !told.contains("for-panel"))
  }

  @Test func aListeningPageIsADeviceThatRingsUntilItLeaves() {
    let first = listen()
    let silent = listen(query: "?rings=false")
    #expect(bench.operations.asked == ["here web401"])
    bench.server.closed(silent)
    bench.server.closed(first)
    #expect(bench.operations.asked == ["here web401", "away web401"])
  }

  @Test func theStreamsOfOneDeviceAreBoundedAndEndWithIt() {
    let ids = (0..<EventFeed.mostOfOneDevice).map { _ in listen() }
    for id in ids { #expect(bench.heard(id).hasPrefix("HTTP/1.1 200 ")) }
    #expect(bench.heard(listen()).hasPrefix("HTTP/1.1 503 "))
    bench.feed.end { $0.credential == 7 }
    for id in ids { #expect(bench.heard(id) == "0\r\n\r\n") }
    #expect(bench.operations.asked.filter { $0 == "away web401" }.count == ids.count)
  }

  @Test func aThousandListenersAreToldOnce() {
    for word in 0..<200 {
      bench.tokens.known[Digest.sha256(Array("t\(word)".utf8))] = DeviceIdentity(
        account: "web401", credential: UInt64(100 + word))
    }
    let ids = (0..<1000).map { listen("t\($0 / 5)") }
    for id in ids { _ = bench.heard(id) }
    bench.feed.publish("e", at: bench.carrier.wall, to: EventAudience(unit: "401"), [])
    let heard = ids.map { bench.heard($0) }
    #expect(heard.allSatisfy { $0.contains("event: e\n") })
    for id in ids { bench.server.closed(id) }
    bench.feed.publish("e", at: bench.carrier.wall, to: EventAudience(unit: "401"), [])
    #expect(bench.carrier.written.isEmpty)
  }

  @Test func aFailureBudgetIsPerNetworkAndForgets() {
    var budget = FailureBudget()
    var now = Instant(nanoseconds: 0)
    let one = IPAddress("2001:db8::1")!
    let neighbour = IPAddress("2001:db8::ffff")!
    for _ in 0..<40 { budget.failed(one, now: now) }
    #expect(budget.retryAfter(neighbour, now: now) == .seconds(30))
    #expect(budget.retryAfter(IPAddress("2001:db8:1::1")!, now: now) == nil)
    #expect(budget.retryAfter(IPAddress("192.0.2.1")!, now: now) == nil)
    now = now + .seconds(30)
    #expect(budget.retryAfter(one, now: now) == nil)
    for number in 0..<4500 { budget.failed(IPAddress(v4: UInt32(number)), now: now) }
    #expect(budget.count <= FailureBudget.mostKept)
  }

  @Test func aViewEndsWithItsCallItsHolderOrItsTime() {
    var tokens = ViewTokens()
    var random = Random(seed: 1)
    let now = Instant(nanoseconds: 0)
    let end = now + .minutes(5)
    let first = tokens.grant(camera: "door", to: "web401", for: "c1", until: end, now: now, &random)
    #expect(tokens.grant(camera: "door", to: "web401", for: "c1", until: end, now: now, &random) == first)
    let panel = tokens.grant(camera: "door", to: "panel401", for: "c1", until: end, now: now, &random)
    let free = tokens.grant(camera: "door", to: "web401", for: nil, until: end, now: now, &random)
    #expect(tokens.check(first, now: now)?.camera == "door")
    tokens.end(call: "c1", holder: "web401")
    #expect(tokens.check(first, now: now) == nil)
    #expect(tokens.check(panel, now: now) != nil)
    tokens.end(call: "c1")
    #expect(tokens.check(panel, now: now) == nil)
    #expect(tokens.check(free, now: now) != nil)
    #expect(tokens.check(free, now: end) == nil)
  }

  @Test func whatOneAccountAsksForCostsNobodyElsesTokens() {
    var tokens = ViewTokens()
    var random = Random(seed: 1)
    let now = Instant(nanoseconds: 0)
    let end = now + .minutes(5)
    let ring = tokens.grant(camera: "door", to: "web402", for: "c1", until: end, now: now, &random)
    let asked = tokens.grant(camera: "door", to: "web402", for: nil, until: end, now: now, &random)
    for _ in 0..<100 { _ = tokens.grant(camera: "a", to: "b", for: nil, until: end, now: now, &random) }
    #expect(tokens.count == 2 + ViewTokens.mostAsked)
    // Operators have no such limit, and even they cost nobody's ring.
    for _ in 0..<4200 { _ = tokens.grant(camera: "a", to: "", for: nil, until: end, now: now, &random) }
    #expect(tokens.count == ViewTokens.mostKept)
    #expect(tokens.check(ring, now: now) != nil && tokens.check(asked, now: now) == nil)
  }

  @Test func aRevokedDeviceKeepsNoToken() {
    var tokens = ViewTokens()
    var random = Random(seed: 1)
    let now = Instant(nanoseconds: 0)
    let end = now + .minutes(5)
    func grant(_ call: String?, by credential: UInt64?) -> String {
      tokens.grant(
        camera: "door", to: "web401", for: call, by: credential, until: end, now: now, &random)
    }
    let shared = grant("c1", by: nil)
    let own = grant(nil, by: 5)
    let sisters = grant(nil, by: 6)
    tokens.end(holder: "web401", credential: 5)
    #expect(tokens.check(shared, now: now) == nil && tokens.check(own, now: now) == nil)
    #expect(tokens.check(sisters, now: now) != nil)
    #expect(grant("c1", by: nil) != shared)
  }
}
