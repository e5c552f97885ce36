import Crypto
import Directory
import Doors
import HTTP
import Testing
import Wire

@Suite struct DoorDeviceTests {
  private func bench(_ url: String = "http://192.0.2.10", username: String? = "api") -> DoorBench {
    DoorBench(DoorBench.house(.http(HTTPActuator(url: url, username: username, password: .stored, relay: 2))))
  }

  private let demand: HTTPFields = [
    "WWW-Authenticate":
      #"Digest realm="HTTPAPI", qop="auth,auth-int", nonce="n0nce", opaque="o\"p", algorithm=MD5"#
  ]

  /// The digest of RFC 7616 section 3.4.1 over what the request itself says.
  private func isProved(_ request: HTTPRequest, nonce: String = "n0nce") -> Bool {
    guard let field = request.fields["Authorization"], field.hasPrefix("Digest ") else { return false }
    var values: [String: String] = [:]
    for part in field.dropFirst(7).split(separator: ", ") {
      let pair = part.split(separator: "=", maxSplits: 1).map(String.init)
      values[pair[0]] = pair[1].hasPrefix("\"") ? String(pair[1].dropFirst().dropLast()) : pair[1]
    }
    func hash(_ text: String) -> String { ASCII.hex(Digest.md5(Array(text.utf8))) }
    let first = hash("api:HTTPAPI:s3cret&")
    let second = hash("\(request.method.name):\(request.target)")
    let expected = hash("\(first):\(nonce):00000001:\(values["cnonce"] ?? ""):auth:\(second)")
    return values["response"] == expected && values["uri"] == request.target && values["nc"] == "00000001"
      && values["username"] == "api" && values["realm"] == "HTTPAPI" && values["qop"] == "auth"
      && values["opaque"] == #"o\"p"#
  }

  @Test func theSecureFormIsTriedFirstAndProvedByDigest() {
    let bench = bench()
    #expect(bench.open(bench.command()) == nil)
    let asked = bench.fetches[0].fetch
    #expect(asked.host == "192.0.2.10" && asked.port == 80 && !asked.isSecure)
    #expect(asked.request.method == .get)
    #expect(asked.request.target == "/fcgi/OpenDoor?action=OpenDoor&DoorNum=2")
    #expect(asked.request.fields["Host"] == "192.0.2.10")
    #expect(asked.request.fields["Authorization"] == nil)
    bench.answer(401, fields: demand)
    #expect(bench.fetches.count == 2)
    #expect(isProved(bench.fetches[1].fetch.request))
    bench.answer(200, "OK")
    #expect(bench.finished.last?.result == .opened)
    #expect(bench.keeper.nextDeadline == nil)
    #expect(bench.rows.map(\.result) == ["", "opened"])
  }

  @Test func olderFormsFollowOnlyWhereNothingCanHaveMoved() {
    let bench = bench("http://192.0.2.10:8080/door/")
    bench.open(bench.command())
    #expect(bench.fetches[0].fetch.request.target == "/door/fcgi/OpenDoor?action=OpenDoor&DoorNum=2")
    #expect(bench.fetches[0].fetch.request.fields["Host"] == "192.0.2.10:8080")
    bench.answer(404)
    #expect(
      bench.fetches[1].fetch.request.target
        == "/door/fcgi/do?action=OpenDoor&UserName=api&Password=s3cret%26&DoorNum=2")
    bench.answer(200, "Please use new interface")
    let last = bench.fetches[2].fetch
    #expect(last.request.method == .post)
    #expect(last.request.target == "/door/api/relay/trig")
    #expect(
      String(decoding: last.body, as: UTF8.self)
        == #"{"target":"relay","action":"trig","data":{"mode":0,"num":2,"level":0,"delay":3}}"#)
    bench.answer(401, fields: demand)
    #expect(isProved(bench.fetches[3].fetch.request))
    bench.answer(200, #"{"retcode" : 0, "action":"trig"}"#)
    #expect(bench.finished.last?.result == .opened)
    // What worked is what is asked first the next time.
    bench.pass(.seconds(4))
    bench.open(bench.command())
    #expect(bench.fetches[4].fetch.request.target == "/door/api/relay/trig")
    bench.answer(200, #"{"retcode":-1}"#)
    #expect(bench.finished.last?.result == .refused(.device("retcode -1")))
  }

  @Test func aDeviceThatOffersNoFormSaysWhy() {
    let bench = bench()
    bench.open(bench.command())
    bench.answer(503)
    bench.answer(404)
    bench.answer(404)
    #expect(bench.fetches.count == 3)
    #expect(
      bench.finished.last?.result
        == .refused(.device("503; opening by HTTP is switched off in the device")))
    // Nothing moved: the next may come at once.
    #expect(bench.open(bench.command()) == nil)
    #expect(bench.fetches.count == 4)
  }

  @Test func aWrongPasswordIsTriedOnce() {
    let bench = bench()
    bench.open(bench.command())
    bench.answer(401, fields: demand)
    bench.answer(401, fields: demand)
    #expect(bench.finished.last?.result == .refused(.deviceCredentials))
    #expect(bench.fetches.count == 2)
  }

  @Test func aStaleNonceIsRenewedOnce() {
    let bench = bench()
    bench.open(bench.command())
    bench.answer(401, fields: demand)
    let stale: HTTPFields = [
      "WWW-Authenticate": #"Digest realm="HTTPAPI", qop="auth", nonce="second", opaque="o\"p", stale=TRUE"#
    ]
    bench.answer(401, fields: stale)
    #expect(isProved(bench.fetches[2].fetch.request, nonce: "second"))
    bench.answer(401, fields: stale)
    #expect(bench.finished.last?.result == .refused(.deviceCredentials))
  }

  @Test func silenceIsUnknownAndNeverTriedAgain() {
    let bench = bench()
    bench.open(bench.command())
    let ticket = bench.fetches[0].ticket
    bench.pass(.milliseconds(4999))
    #expect(bench.finished.isEmpty)
    bench.pass(.milliseconds(1))
    #expect(bench.finished.last?.result == .unknown("timeout"))
    #expect(bench.abandoned == [ticket])
    // What comes after is nobody's.
    bench.answer(404)
    bench.answer(200)
    bench.pass(.seconds(60))
    #expect(bench.fetches.count == 1)
    #expect(bench.finished.count == 1)
  }

  @Test func aLostAnswerIsUnknownAndARequestThatNeverLeftIsRefused() {
    let bench = bench()
    bench.open(bench.command())
    bench.answer(FetchOutcome.lost("connection reset"))
    #expect(bench.finished.last?.result == .unknown("connection reset"))
    #expect(bench.open(bench.command()) == .refused(.cooldown), "it may have opened")
    bench.pass(.seconds(3))
    bench.open(bench.command())
    bench.answer(FetchOutcome.notSent("refused"))
    #expect(bench.finished.last?.result == .refused(.unreachable("refused")))
    bench.open(bench.command())
    bench.answer(500)
    #expect(bench.finished.last?.result == .unknown("the device answered 500"))
    #expect(bench.fetches.count == 3)
  }

  @Test func aLaterRequestDoesNotLeaveOnceTheCommandIsStale() {
    let bench = bench()
    var command = bench.command()
    command.expires = command.issued + .seconds(2)
    bench.open(command)
    bench.pass(.milliseconds(2001))
    bench.answer(401, fields: demand)
    #expect(bench.fetches.count == 1)
    #expect(bench.finished.last?.result == .refused(.expired))
  }

  @Test func aCertificateIsPinnedAtFirstContact() {
    let bench = bench("https://[2001:db8::5]")
    bench.open(bench.command())
    #expect(bench.fetches[0].fetch.isSecure)
    #expect(bench.fetches[0].fetch.host == "[2001:db8::5]" && bench.fetches[0].fetch.port == 443)
    #expect(bench.fetches[0].fetch.fingerprint == nil)
    let print = String(repeating: "ab", count: 32)
    bench.answer(401, fields: demand, fingerprint: print)
    #expect(bench.events.contains(.pinned("entrance", fingerprint: print)))
    #expect(bench.fetches[1].fetch.fingerprint == print)
    bench.answer(200, fingerprint: print)
    bench.pass(.seconds(3))
    #expect(bench.open(bench.command()) == nil)
    guard bench.fetches.count == 3 else { return }
    #expect(bench.fetches[2].fetch.fingerprint == print)
    #expect(bench.events.filter { $0 == .pinned("entrance", fingerprint: print) }.count == 1)
    let again = DoorBench(
      bench.building, memory: DoorMemory(recent: bench.rows, pins: ["entrance": print]), wall: bench.wall,
      seed: 2)
    again.pass(.seconds(4))
    #expect(again.open(again.command()) == nil)
    guard again.fetches.count == 1 else { return }
    #expect(again.fetches[0].fetch.fingerprint == print)
  }

  @Test(arguments: [
    "", "ftp://192.0.2.1", "http://", "http://a@b", "http://a:0", "http://a:99999", "http://a/?x",
    "http://a b",
  ])
  func anAddressThatIsNoneIsRefusedWithoutARequest(url: String) {
    let bench = bench(url)
    guard case .refused(.device) = bench.open(bench.command()) else {
      Issue.record("\(url) was taken")
      return
    }
    #expect(bench.fetches.isEmpty)
  }

  @Test func whateverADeviceSaysAtMostOneOrderIsLeftUnanswered() {
    var random = Random(seed: 2617)
    let pieces = [
      "Digest", " ", "realm", "=", "\"", "HTTPAPI", ",", "nonce", "qop", "auth", "\\", "stale=true",
      "algorithm=MD5",
      "SHA-256", "Basic", "\u{1}", "é",
    ]
    for _ in 0..<2000 {
      let bench = bench()
      bench.open(bench.command())
      for _ in 0..<12 where bench.finished.isEmpty {
        var text = random.below(2) == 0 ? "Digest realm=\"r\", nonce=\"n\"" : ""
        for _ in 0..<random.below(20) { text += pieces[Int(random.below(UInt64(pieces.count)))] }
        let status = [200, 401, 401, 403, 404, 500, 503, 302][Int(random.below(8))]
        bench.answer(status, text, fields: ["WWW-Authenticate": text])
      }
      #expect(bench.finished.count == 1)
      #expect(bench.fetches.count <= 9)
    }
  }
}
