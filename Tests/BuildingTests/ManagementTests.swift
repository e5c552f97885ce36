import API
import HTTP
import JSON
import Management
import Testing
import Web
import Wire

@Suite struct ManagementTests {
  let bench = ManagementBench()

  // MARK: Operations

  @Test func everyOperationReachesTheGateway() {
    let asks: [(APIOperation, [String], [(String, String)], String, String?)] = [
      (.status, [], [], "", nil), (.doctor, [], [], "", nil), (.exportDirectory, [], [], "", nil),
      (
        .applyDirectory, [], [("file", "b.json5"), ("dryRun", "true")], "{}",
        "apply {} b.json5 true local:root"
      ),
      (.units, [], [], "", nil), (.accounts, [], [], "", nil), (.stations, [], [], "", nil),
      (.cameras, [], [], "", nil), (.doors, [], [], "", nil),
      (.enroll, ["panel401"], [], #"{"format":"sip","replace":true}"#, "enroll panel401 sip true"),
      (.accountDND, ["panel401"], [], #"{"dnd":true}"#, "dnd account panel401 true"),
      (.unitDND, ["4/01"], [], #"{"dnd":false}"#, "dnd unit 4/01 false"),
      (.calls, [], [], "", nil), (.hangUp, ["c1"], [], "", "hangup c1"),
      (
        .callRecords, [], [("limit", "5"), ("before", "2026-11-20T00:00:00Z")], "",
        "cdr 5 2026-11-20T00:00:00Z"
      ),
      (.bans, [], [], "", nil), (.liftBan, ["2001:db8:0::1"], [], "", "lift 2001:db8::1"),
      (.openDoor, ["entrance"], [], "", "open entrance local:root"),
      (.ring, [], [], #"{"target":"401"}"#, "ring 401 - 10"), (.ringReport, ["t1"], [], "", nil),
      (.supportBundle, [], [], "", nil),
      (.maintenance, [], [], #"{"on":true}"#, "maintenance true local:root"), (.description, [], [], "", nil),
    ]
    for (operation, parameters, query, body, said) in asks {
      let answer = bench.ask(operation.method, operation.target(parameters, query: query), body: body)
      #expect(answer.status == operation.success, "\(operation)")
      #expect(answer.fields["Cache-Control"] == "no-store")
      if let said { #expect(bench.operations.asked.last == said) }
      if answer.status != 204 { #expect(answer.json != nil) }
    }
    // What devices ask for themselves is asked in DeviceAccessTests.
    let devices: Set<APIOperation> = [
      .session, .openSession, .endSession, .answerCall, .declineCall, .trickle, .hangUpAnswer, .cameraToken,
    ]
    let seen = Set(asks.map(\.0)).union([.events, .revoke, .revokeAll, .backup, .restore, .callSnapshot])
      .union(devices)
    #expect(seen == Set(APIOperation.allCases))
  }

  @Test func aSnapshotIsAPicture() {
    let answer = bench.ask(.get, "/api/v1/calls/c1f0/snapshots/ring")
    #expect(answer.status == 200 && answer.fields["Content-Type"] == "image/jpeg")
    #expect(bench.operations.asked.last == "snapshot c1f0 ring -")
    #expect(bench.ask(.get, "/api/v1/calls/c1f0/snapshots/end").status == 404)
  }

  @Test func aBackupIsAFileAndIsTakenAsOne() {
    let given = bench.ask(.get, "/api/v1/backup")
    #expect(given.fields["Content-Type"] == "application/vnd.sqlite3" && given.text == "SQLite format 3")
    #expect(bench.ask(.put, "/api/v1/backup", body: "x").status == 415)
    let taken = bench.ask(
      .put, "/api/v1/backup", fields: ["Content-Type": "application/vnd.sqlite3"], body: given.text)
    #expect(taken.status == 200)
    #expect(bench.operations.asked == ["backup local:root", "restore SQLite format 3 local:root"])
  }

  @Test func listsAreOneArray() throws {
    let answer = bench.ask(.get, "/api/v1/accounts")
    #expect(try AccountView.list(reply: answer.body) == [.example, .example])
    #expect(bench.ask(.get, "/api/v1/cameras").text == "[]\n")
  }

  @Test func aProblemKeepsItsStatusAndSaysWhatToDo() throws {
    for (target, said) in [("a/credentials", "revoke a all"), ("a/credentials/7", "revoke a 7")] {
      let answer = bench.ask(.delete, "/api/v1/accounts/" + target)
      #expect(answer.status == 404)
      #expect(answer.fields["Content-Type"] == "application/problem+json")
      #expect(try Problem(reply: answer.body).next == "see `vestibule accounts`")
      #expect(bench.operations.asked.last == said)
    }
    let faulty = bench.ask(.put, "/api/v1/directory?file=b.json5", body: "bad")
    #expect(faulty.status == 422)
    #expect(try Problem(reply: faulty.body).errors.map(\.text) == ["b.json5:1:1: expected a value"])
  }

  @Test(arguments: [
    ("PUT", "/api/v1/accounts/a/dnd", #"{"dnb":true}"#, 400), ("PUT", "/api/v1/accounts/a/dnd", "", 400),
    ("POST", "/api/v1/rings", #"{"target":"401","seconds":9999}"#, 400),
    ("GET", "/api/v1/cdr?limit=0", "", 400), ("GET", "/api/v1/cdr?limit=x", "", 400),
    ("GET", "/api/v1/cdr?before=yesterday", "", 400), ("PUT", "/api/v1/directory?dryRun=maybe", "{}", 400),
    ("DELETE", "/api/v1/bans/nowhere", "", 400), ("GET", "/api/v1/events?after=-1", "", 400),
    ("GET", "/api/v1/units?a=%zz", "", 400), ("GET", "/api/v1/%zz", "", 400),
    ("GET", "/api/v1/../v1/units", "", 400), ("GET", "/api/v1/unit", "", 404), ("GET", "/", "", 404),
    ("GET", "/api/v1/units/", "", 404), ("DELETE", "/api/v1/accounts//credentials", "", 404),
    ("POST", "/api/v1/units", "", 405), ("GET", "/api/v1/doors/a/open", "", 405),
  ])
  func aRequestThatIsNoneIsRefused(_ method: String, _ target: String, _ body: String, _ status: Int) throws {
    let answer = bench.ask(HTTPMethod(method), target, body: body)
    #expect(answer.status == status)
    #expect(try Problem(reply: answer.body).status == status)
    #expect(bench.operations.asked == [])
    if status == 405 { #expect(answer.fields["Allow"] != nil) }
  }

  @Test func aBodyLongerThanItsRouteTakesIsRefusedBeforeItCame() {
    let id = bench.connect()
    bench.send(
      "PUT /api/v1/accounts/a/dnd HTTP/1.1\r\nHost: g\r\nContent-Length: 20000\r\n"
        + "Expect: 100-continue\r\n\r\n", on: id)
    #expect(bench.heard(id).hasPrefix("HTTP/1.1 413 "))
    let chunked = bench.connect()
    bench.send(
      "PUT /api/v1/accounts/a/dnd HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n5000\r\n"
        + String(repeating: " ", count: 0x5000), on: chunked)
    #expect(bench.heard(chunked).hasPrefix("HTTP/1.1 413 "))
    #expect(bench.operations.asked == [])
  }

  // MARK: Who may ask

  @Test func onlyPermittedPeersMayUseTheControlSocket() throws {
    let answer = bench.ask(.get, "/api/v1/status", as: ManagementBench.stranger)
    #expect(answer.status == 403)
    #expect(try Problem(reply: answer.body).title == "eve may not use the control socket")
    #expect(bench.ask(.get, "/metrics", as: ManagementBench.stranger).status == 403)
    #expect(bench.ask(.get, "/health", as: ManagementBench.stranger).status == 200)
  }

  @Test func theNetworkSeesHealthAndLoopbackSeesMetrics() {
    for operation in APIOperation.allCases {
      let target = operation.target(
        operation.path.split(separator: "/").filter { $0.first == "{" }.map { _ in "x" })
      for peer in [ManagementBench.loopback, ManagementBench.outside] {
        let answer = bench.ask(operation.method, target, as: peer)
        #expect(answer.status == 401)
        #expect(answer.fields["WWW-Authenticate"] == "Bearer")
      }
    }
    #expect(bench.operations.asked == [])
    #expect(bench.ask(.get, "/health", as: ManagementBench.outside).status == 200)
    #expect(bench.ask(.get, "/metrics", as: ManagementBench.loopback).status == 200)
    #expect(bench.ask(.get, "/metrics", as: ManagementBench.outside).status == 401)
  }

  @Test func aGatewayThatIsDownSaysSoWith503() throws {
    bench.operations.healthStatus = "down"
    let answer = bench.ask(.get, "/health", as: ManagementBench.outside)
    #expect(answer.status == 503)
    #expect(try HealthView(reply: answer.body).status == "down")
  }

  @Test func metricsAreWhatPrometheusReads() {
    let answer = bench.ask(.get, "/metrics")
    #expect(answer.fields["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8")
    #expect(
      answer.text == """
        # HELP vestibule_calls_total Calls.
        # TYPE vestibule_calls_total counter
        vestibule_calls_total{end="answered"} 3
        # HELP vestibule_calls Live calls\\nand \\\\ more.
        # TYPE vestibule_calls gauge
        vestibule_calls 1
        # HELP vestibule_odd \n\
        # TYPE vestibule_odd gauge
        vestibule_odd{name="a\\"b\\\\c\\nd"} -2

        """)
  }

  @Test func theDescriptionNamesEveryOperation() throws {
    let document = try #require(bench.ask(.get, "/api/v1/openapi.json").json)
    for operation in APIOperation.allCases {
      let described = document["paths"]?[operation.path]?[operation.method.name.lowercased()]
      #expect(described?["operationId"]?.string == operation.rawValue)
      #expect(described?["responses"]?["\(operation.success)"] != nil)
    }
    for (path, methods) in [
      ("/whep/{camera}", ["post", "get"]), ("/whep/{camera}/{session}", ["patch", "delete", "get"]),
      ("/snapshot/{camera}.jpg", ["get"]),
    ] {
      for method in methods {
        #expect(document["paths"]?[path]?[method]?["responses"]?["401"] != nil, "\(method) \(path)")
      }
    }
    let schema = document["paths"]?["/api/v1/doors/{id}/open"]?["post"]?["responses"]?["200"]?["content"]?[
      "application/json"]?["schema"]
    #expect(schema?["properties"]?["result"]?["type"]?.string == "string")
  }

  @Test func theDescriptionSaysWhatElseMayBecomeOfAQuestion() throws {
    let paths = try #require(bench.ask(.get, "/api/v1/openapi.json").json?["paths"])
    func responses(_ path: String, _ method: String) -> JSONNode? { paths[path]?[method]?["responses"] }
    let answer = "/api/v1/calls/{id}/answer"
    for name in ["Location", "ETag"] {
      #expect(responses(answer, "post")?["201"]?["headers"]?[name]?["description"] != nil)
    }
    for (path, method, statuses) in [
      (answer, "post", ["404", "406", "409", "410", "503"]), (answer, "delete", ["404", "409", "410"]),
      (answer + "/{leg}", "patch", ["200", "404", "409", "410", "412"]),
      ("/api/v1/doors/{id}/open", "post", ["403"]),
      ("/provision/{token}", "get", ["200", "404", "410", "503"]),
      ("/provision/{token}", "post", ["200", "404", "410", "503"]),
    ] {
      for status in statuses {
        #expect(responses(path, method)?[status]?["description"] != nil, "\(method) \(path) \(status)")
      }
    }
    #expect(responses(answer + "/{leg}", "patch")?["200"]?["headers"]?["ETag"] != nil)
    func parameters(_ path: String, _ method: String) -> [String?] {
      paths[path]?[method]?["parameters"]?.array?.map { $0["name"]?.string } ?? []
    }
    #expect(parameters(answer + "/{leg}", "patch").contains("If-Match"))
    #expect(parameters("/api/v1/doors/{id}/open", "post").contains("Issued-At"))
  }

  // MARK: Doors

  @Test func aRepeatedCommandOpensOnce() {
    let key: HTTPFields = ["Idempotency-Key": "k1"]
    for _ in 0..<3 {
      let answer = bench.ask(.post, "/api/v1/doors/entrance/open", fields: key)
      #expect(answer.json?["result"]?.string == "opened")
    }
    #expect(bench.operations.asked == ["open entrance local:root"])
    // Another key, another door and, later, the same key again are commands of their own.
    _ = bench.ask(.post, "/api/v1/doors/entrance/open", fields: ["Idempotency-Key": "k2"])
    _ = bench.ask(.post, "/api/v1/doors/cellar/open", fields: key)
    _ = bench.ask(.post, "/api/v1/doors/entrance/open")
    #expect(bench.operations.asked.count == 4)
    bench.carrier.now = bench.carrier.now + .minutes(11)
    _ = bench.ask(.post, "/api/v1/doors/entrance/open", fields: key)
    #expect(bench.operations.asked.count == 5)
  }

  @Test func aCommandSaysWhenItWasGiven() {
    let open = "/api/v1/doors/entrance/open"
    let time: HTTPFields = ["Issued-At": "2026-11-20T21:28:39.250Z"]
    #expect(bench.ask(.post, open, fields: time).status == 200)
    let named: HTTPFields = ["Idempotency-Key": "k", "Issued-At": "2026-11-20T21:28:39.250Z"]
    #expect(bench.ask(.post, open, fields: named).status == 200)
    #expect(
      bench.operations.asked
        == Array(repeating: "open entrance local:root issued 2026-11-20T21:28:39.250Z", count: 2))
    #expect(bench.ask(.post, open, fields: ["Issued-At": "a while ago"]).status == 400)
    #expect(bench.operations.asked.count == 2)
  }

  @Test func aRepeatedCommandWaitsForTheFirst() {
    bench.operations.holdsDoors = true
    let request =
      "POST /api/v1/doors/e/open HTTP/1.1\r\nHost: g\r\nIdempotency-Key: k\r\nContent-Length: 0\r\n\r\n"
    let first = bench.connect()
    let second = bench.connect()
    bench.send(request, on: first)
    bench.send(request, on: second)
    #expect(bench.heard(first) == "")
    #expect(bench.operations.waiting.count == 1)
    bench.operations.waiting[0](.success(OpenReply(door: "e", result: "unknown", reason: "timeout")))
    for id in [first, second] { #expect(bench.heard(id).contains(#""result":"unknown""#)) }
  }

  @Test func anAnswerThatComesTooLateGoesNowhere() {
    bench.operations.holdsDoors = true
    let id = bench.connect()
    bench.send("POST /api/v1/doors/e/open HTTP/1.1\r\nHost: g\r\n\r\n", on: id)
    bench.server.closed(id)
    bench.operations.waiting[0](.success(.example))
    bench.operations.waiting[0](.success(.example))
    #expect(bench.heard(id) == "")
    #expect(bench.server.connectionCount == 0)
  }

  @Test func requestsSentAheadAreAnsweredInOrder() {
    bench.operations.holdsDoors = true
    let id = bench.connect()
    bench.send(
      "POST /api/v1/doors/e/open HTTP/1.1\r\nHost: g\r\n\r\nGET /api/v1/cameras HTTP/1.1\r\nHost: g\r\n\r\n",
      on: id)
    #expect(bench.heard(id) == "")
    bench.operations.waiting[0](.success(.example))
    let heard = bench.heard(id)
    #expect(heard.contains("cooldown"))
    #expect(heard.hasSuffix("\r\n\r\n[]\n"))
  }
}
