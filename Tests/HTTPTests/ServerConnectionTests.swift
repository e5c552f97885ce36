import HTTP
import Testing
import Wire

@Suite struct ServerConnectionTests {
  @Test func aRequestIsTheSameHoweverItsBytesArrive() {
    let text =
      "POST /api/v1/doors/a/open?x=1 HTTP/1.1\r\nHost: gate\r\nIdempotency-Key:  k1 \r\n"
      + "Content-Length: 5\r\n\r\nhello"
    for pieces in cuts(of: text) {
      let (heard, said, closes) = serve(pieces)
      #expect(
        heard.requests == [
          HTTPRequest(
            .post, "/api/v1/doors/a/open?x=1",
            fields: ["Host": "gate", "Idempotency-Key": "k1", "Content-Length": "5"])
        ])
      #expect(heard.bodies == ["hello"])
      #expect(heard.ended == 1)
      #expect(said == "HTTP/1.1 204 No Content\r\nDate: Fri, 20 Nov 2026 21:28:39 GMT\r\n\r\n")
      #expect(!closes)
    }
  }

  @Test func aChunkedBodyIsTheSameHoweverItsBytesArrive() {
    let text =
      "PUT /x HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: Chunked\r\n\r\n"
      + "5;name=value\r\nhello\r\n1 \r\n \r\nA\r\n0123456789\r\n0\r\nTrailer: gone\r\n\r\n"
      + "GET /y HTTP/1.1\r\nHost: g\r\n\r\n"
    for pieces in cuts(of: text) {
      let (heard, _, closes) = serve(pieces)
      #expect(heard.requests.map(\.target) == ["/x", "/y"])
      #expect(heard.bodies == ["hello 0123456789", ""])
      #expect(heard.ended == 2)
      #expect(heard.faults == [])
      #expect(!closes)
    }
  }

  @Test func requestsGluedTogetherAreAnsweredInOrder() {
    let server = Server(now: start)
    server.receive("GET /1 HTTP/1.1\r\nHost: g\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: g\r\n\r\n")
    let first = server.allEvents
    #expect(first == [.request(HTTPRequest(.get, "/1", fields: ["Host": "g"])), .end])
    #expect(server.said == "")
    server.respond(HTTPResponse(200), body: Array("one".utf8), date: date, now: start)
    #expect(server.said.hasSuffix("Content-Length: 3\r\n\r\none"))
    #expect(server.allEvents == [.request(HTTPRequest(.get, "/2", fields: ["Host": "g"])), .end])
    server.respond(HTTPResponse(200), body: Array("two".utf8), date: date, now: start)
    #expect(server.said.hasSuffix("two"))
    #expect(!server.isFinished)
    #expect(server.nextDeadline == start + .seconds(60))
  }

  @Test func whatIsSentFarAheadEndsTheConnectionWithTheExchange() {
    var limits = HTTPServerLimits()
    limits.pipelined = 64
    let server = Server(limits: limits, now: start)
    server.receive("GET /1 HTTP/1.1\r\nHost: g\r\n\r\n")
    server.receive(String(repeating: "GET /2 HTTP/1.1\r\nHost: g\r\n\r\n", count: 4))
    #expect(server.allEvents.count == 2)
    server.respond(HTTPResponse(200), date: date, now: start)
    #expect(server.said.contains("Connection: close\r\n"))
    #expect(server.next() == nil)
    #expect(server.isFinished)
  }

  static let refusals: [(String, HTTPFault)] = [
    (
      "GET / HTTP/1.1\r\nHost: g\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
      .conflictingLength
    ),
    (
      "GET / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
      .conflictingLength
    ),
    ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .conflictingLength),
    ("POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", .malformedLength),
    ("POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", .malformedLength),
    ("POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 5, 5\r\n\r\n", .malformedLength),
    ("POST / HTTP/1.1\r\nHost: g\r\nContent-Length: +5\r\n\r\n", .malformedLength),
    ("POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 0x5\r\n\r\n", .malformedLength),
    ("POST / HTTP/1.1\r\nHost: g\r\nContent-Length: -1\r\n\r\n", .malformedLength),
    ("POST / HTTP/1.1\r\nHost: g\r\nContent-Length:\r\n\r\n", .malformedLength),
    ("POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 99999999999999999999\r\n\r\n", .malformedLength),
    ("POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 99999999999\r\n\r\n", .bodyTooLong),
    ("POST / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", .unknownCoding),
    (
      "POST / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
      .unknownCoding
    ),
    ("POST / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: xchunked\r\n\r\n", .unknownCoding),
    ("POST / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding : chunked\r\n\r\n", .malformedField),
    ("POST / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", .foldedField),
    ("GET / HTTP/1.1\r\nHost: g\r\nX: a\r\n b\r\n\r\n", .foldedField),
    ("GET / HTTP/1.1\r\nHost: g\r\nX: a\r\n\tb\r\n\r\n", .foldedField),
    ("GET / HTTP/1.1\r\n Host: g\r\n\r\n", .malformedField),
    ("GET / HTTP/1.1\r\nHost: g\nX: y\r\n\r\n", .bareLineEnd),
    ("GET / HTTP/1.1\nHost: g\n\n", .bareLineEnd),
    ("GET / HTTP/1.1\r\nHost: g\rX: y\r\n\r\n", .bareLineEnd),
    ("GET / HTTP/1.1\r\nHost: g\u{0}\r\n\r\n", .malformedField),
    ("GET / HTTP/1.1\r\nHost: g\u{1}\r\n\r\n", .malformedField),
    ("GET / HTTP/1.1\r\nHost: g\r\n: y\r\n\r\n", .malformedField),
    ("GET / HTTP/1.1\r\nHost: g\r\nX\r\n\r\n", .malformedField),
    ("GET / HTTP/1.1\r\n\r\n", .hostNotOne),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", .hostNotOne),
    ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", .hostNotOne),
    ("GET  / HTTP/1.1\r\nHost: g\r\n\r\n", .malformedStartLine),
    ("GET / HTTP/1.1 \r\nHost: g\r\n\r\n", .malformedStartLine),
    ("GET /\r\nHost: g\r\n\r\n", .malformedStartLine),
    ("G(T / HTTP/1.1\r\nHost: g\r\n\r\n", .malformedStartLine),
    ("GET /a#b HTTP/1.1\r\nHost: g\r\n\r\n", .malformedStartLine),
    ("GET ../etc HTTP/1.1\r\nHost: g\r\n\r\n", .malformedStartLine),
    ("GET * HTTP/1.1\r\nHost: g\r\n\r\n", .malformedStartLine),
    ("GET /é HTTP/1.1\r\nHost: g\r\n\r\n", .malformedStartLine),
    ("GET / HTTP/2.0\r\nHost: g\r\n\r\n", .unsupportedVersion),
    ("GET / http/1.1\r\nHost: g\r\n\r\n", .malformedStartLine),
    ("CONNECT g:80 HTTP/1.1\r\nHost: g\r\n\r\n", .unsupported),
    ("GET / HTTP/1.1\r\nHost: g\r\nExpect: 200-ok\r\n\r\n", .unsupported),
    ("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: g\r\n\r\n", .malformedStartLine),
    ("PUT / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", .malformedChunk),
    (
      "PUT / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
      .malformedChunk
    ),
    ("PUT / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", .malformedChunk),
    ("PUT / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", .malformedChunk),
    ("PUT / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n", .malformedChunk),
    ("PUT / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFF\r\n", .bodyTooLong),
  ]

  @Test(arguments: refusals)
  func whatTwoServersCouldReadDifferentlyIsRefused(_ text: String, _ fault: HTTPFault) {
    for pieces in [[Array(text.utf8)], text.utf8.map { [$0] }] {
      let (heard, said, closes) = serve(pieces)
      #expect(heard.faults == [fault])
      #expect(heard.ended == 0)
      #expect(said.hasPrefix("HTTP/1.1 \(fault.status) "))
      #expect(said.contains("Connection: close\r\n"))
      #expect(closes)
    }
  }

  @Test func headsPastTheirLimitsAreRefusedBeforeTheyEnd() {
    var limits = HTTPServerLimits()
    limits.head = HeadLimits(bytes: 200, fields: 4)
    let long = "GET /" + String(repeating: "a", count: 300)
    #expect(serve([Array(long.utf8)], limits: limits).0.faults == [.targetTooLong])
    let wide = "GET / HTTP/1.1\r\nHost: g\r\nX: " + String(repeating: "a", count: 300)
    #expect(serve([Array(wide.utf8)], limits: limits).0.faults == [.headTooLong])
    let many = "GET / HTTP/1.1\r\nHost: g\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\n\r\n"
    #expect(serve([Array(many.utf8)], limits: limits).0.faults == [.tooManyFields])
    limits.body = 4
    let chunks = "PUT / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n"
    #expect(serve([Array(chunks.utf8)], limits: limits).0.faults == [.bodyTooLong])
  }

  @Test func absoluteTargetsAreCutToTheirPath() {
    for (written, read) in [
      ("http://g/a?b", "/a?b"), ("HTTP://g", "/"), ("https://g?q", "/?q"), ("/plain", "/plain"),
    ] {
      let (heard, _, _) = serve([Array("GET \(written) HTTP/1.1\r\nHost: g\r\n\r\n".utf8)])
      #expect(heard.requests.map(\.target) == [read])
    }
    #expect(serve([Array("OPTIONS * HTTP/1.1\r\nHost: g\r\n\r\n".utf8)]).0.requests.map(\.target) == ["*"])
  }

  @Test func aClientThatAsksFirstIsInvited() {
    let server = Server(now: start)
    server.receive("PUT / HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    #expect(server.allEvents.count == 1)
    #expect(server.awaitsContinue)
    server.proceed()
    server.proceed()
    #expect(server.said == "HTTP/1.1 100 Continue\r\n\r\n")
    server.receive("ok")
    #expect(server.allEvents == [.body(Array("ok".utf8)), .end])
    server.respond(HTTPResponse(200), date: date, now: start)
    #expect(!server.isFinished)
  }

  @Test func aClientThatAsksFirstMayBeRefused() {
    let server = Server(now: start)
    server.receive("PUT / HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    server.respond(HTTPResponse(413), date: date, now: start)
    #expect(server.said.hasPrefix("HTTP/1.1 413 Content Too Large\r\n"))
    // What comes all the same is nobody's request.
    server.receive("GET / HTTP/1.1\r\nHost: g\r\n\r\n")
    #expect(server.next() == nil)
    #expect(!server.isFinished)
    server.advance(now: start + .seconds(1))
    #expect(server.isFinished)
  }

  @Test func aResponseToHeadSaysItsLengthAndSendsNothing() {
    let server = Server(now: start)
    server.receive("HEAD / HTTP/1.1\r\nHost: g\r\n\r\n")
    #expect(server.allEvents.count == 2)
    server.respond(HTTPResponse(200), body: Array("four".utf8), date: date, now: start)
    #expect(server.said.hasSuffix("Content-Length: 4\r\n\r\n"))
    server.receive("HEAD / HTTP/1.1\r\nHost: g\r\n\r\n")
    #expect(server.allEvents.count == 2)
    server.beginResponse(HTTPResponse(200), length: .streamed, date: date)
    server.write(Array("data".utf8))
    server.endResponse(now: start)
    #expect(!server.said.contains("data"))
  }

  @Test func aStreamGoesOutInChunks() {
    let server = Server(now: start)
    server.receive("GET / HTTP/1.1\r\nHost: g\r\n\r\n")
    #expect(server.allEvents.count == 2)
    server.beginResponse(HTTPResponse(200), length: .streamed, date: date)
    #expect(server.said.contains("Transfer-Encoding: chunked\r\n"))
    server.write(Array("0123456789abcdef".utf8))
    server.write([])
    #expect(server.said == "10\r\n0123456789abcdef\r\n")
    #expect(server.nextDeadline == nil)
    server.endResponse(now: start)
    #expect(server.said == "0\r\n\r\n")
    #expect(!server.isFinished)
  }

  @Test func aStreamToAnOldClientEndsWithItsConnection() {
    let server = Server(now: start)
    server.receive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    #expect(server.allEvents.count == 2)
    server.beginResponse(HTTPResponse(200), length: .streamed, date: date)
    server.write(Array("data".utf8))
    server.endResponse(now: start)
    let said = server.said
    #expect(said.contains("Connection: close\r\n"))
    #expect(said.hasSuffix("\r\n\r\ndata"))
    #expect(server.isFinished)
  }

  @Test func anOldClientMayKeepItsConnection() {
    let server = Server(now: start)
    server.receive("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
    #expect(server.allEvents.count == 2)
    server.respond(HTTPResponse(200), date: date, now: start)
    #expect(server.said.contains("Connection: keep-alive\r\n"))
    #expect(!server.isFinished)
    server.receive("GET / HTTP/1.0\r\n\r\n")
    #expect(server.allEvents.count == 2)
    server.respond(HTTPResponse(200), date: date, now: start)
    #expect(server.isFinished)
  }

  @Test func slownessEndsAConnection() {
    let silent = Server(now: start)
    silent.advance(now: start + .milliseconds(9_999))
    #expect(!silent.isFinished)
    silent.advance(now: start + .seconds(10))
    #expect(silent.isFinished)
    #expect(silent.said == "")

    let dribbling = Server(now: start)
    for second in 0..<10 { dribbling.receive("G", at: start + .seconds(Int64(second))) }
    dribbling.advance(now: start + .seconds(10))
    #expect(dribbling.allEvents == [.faulted(.timedOut)])
    #expect(dribbling.said.hasPrefix("HTTP/1.1 408 "))

    let body = Server(now: start)
    body.receive("PUT / HTTP/1.1\r\nHost: g\r\nContent-Length: 1000\r\n\r\n")
    var now = start
    while let deadline = body.nextDeadline, deadline > now {
      now = now + .seconds(14)
      body.advance(now: now)
      body.receive("a", at: now)
    }
    #expect(body.allEvents.last == .faulted(.timedOut))
    #expect(now <= start + .seconds(140))
  }

  @Test func whatAnApplicationPutsIntoAFieldCannotBeginAnother() {
    let server = Server(now: start)
    server.receive("GET / HTTP/1.1\r\nHost: g\r\n\r\n")
    #expect(server.allEvents.count == 2)
    server.respond(
      HTTPResponse(303, fields: ["Location": "/a\r\nSet-Cookie: b"]), date: date, now: start)
    #expect(server.said.contains("Location: /a  Set-Cookie: b\r\n"))
  }

  @Test func aBodyShorterThanItsPromiseEndsTheConnection() {
    let server = Server(now: start)
    server.receive("GET / HTTP/1.1\r\nHost: g\r\n\r\n")
    #expect(server.allEvents.count == 2)
    server.beginResponse(HTTPResponse(200), length: .known(4), date: date)
    server.write(Array("ab".utf8))
    server.endResponse(now: start)
    #expect(server.isFinished)
  }

  /// Random bytes out of words that matter to HTTP, random answers, random time: no trap, bounded, and the same
  /// twice.
  @Test(arguments: 0..<200)
  func anyOrderOfEventsEndsWell(seed: Int) {
    func run() -> [UInt8] {
      var random = Random(seed: UInt64(seed))
      let words = [
        "GET / HTTP/1.1\r\n", "POST /a HTTP/1.1\r\n", "HEAD / HTTP/1.0\r\n", "Host: g\r\n", "\r\n",
        "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n", "3\r\nabc\r\n",
        "0\r\n\r\n", "abc", "Connection: close\r\n", "\n", ";", "X: y\r\n",
      ]
      var limits = HTTPServerLimits()
      limits.pipelined = 256
      limits.body = 64
      limits.head = HeadLimits(bytes: 300, fields: 6)
      let server = Server(limits: limits, now: start)
      var now = start
      var trace: [UInt8] = []
      for _ in 0..<300 where !server.isFinished {
        switch random.below(12) {
        case 0:
          now = now + .seconds(Int64(random.below(20)))
          server.advance(now: now)
        case 1: server.respond(HTTPResponse(200), body: [65], date: date, now: now)
        case 2: server.beginResponse(HTTPResponse(200), length: .streamed, date: date)
        case 3: server.write([66, 66])
        case 4: server.endResponse(now: now)
        case 5: server.proceed()
        default: server.receive(words[Int(random.below(UInt64(words.count)))], at: now)
        }
        while let event = server.next() { trace += Array("\(event)".utf8) }
        trace += server.takeOutput()
      }
      if !server.isFinished {
        if server.isAnswering {
          server.beginResponse(HTTPResponse(200), length: .streamed, date: date)
          server.endResponse(now: now)
        }
        for _ in 0..<100 {
          guard let deadline = server.nextDeadline else { break }
          now = deadline
          server.advance(now: now)
          if server.isAnswering { server.respond(HTTPResponse(200), date: date, now: now) }
        }
      }
      #expect(server.isFinished)
      return trace
    }
    #expect(run() == run())
  }

  @Test func aConnectionIsGivenUpToAnotherProtocol() {
    var machine = HTTPServerConnection(now: start)
    let text = "GET /sip HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nahead"
    machine.receive(Array(text.utf8).span, now: start)
    while machine.next() != nil {}
    let ahead = machine.upgrade([("Upgrade", "websocket"), ("Connection", "Upgrade")], date: date)
    #expect(ahead == Array("ahead".utf8))
    #expect(
      String(decoding: machine.takeOutput(), as: UTF8.self)
        == "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Date: Fri, 20 Nov 2026 21:28:39 GMT\r\n\r\n")
    let again = machine.upgrade([], date: date)
    #expect(again == nil)
    let deadline = machine.nextDeadline
    #expect(deadline == nil)
    // What comes now is not HTTP's.
    machine.receive([1, 2, 3].span, now: start)
    machine.advance(now: start + .hours(1))
    let event = machine.next()
    #expect(event == nil)
    #expect(!machine.hasOutput && !machine.isFinished)
  }

  @Test func aRequestThatIsNotWholeIsNotUpgraded() {
    var machine = HTTPServerConnection(now: start)
    let text = "POST /sip HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"
    machine.receive(Array(text.utf8).span, now: start)
    let ahead = machine.upgrade([], date: date)
    #expect(ahead == nil)
  }
}
