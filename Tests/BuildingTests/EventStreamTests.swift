import API
import HTTP
import JSON
import Management
import Testing
import Web
import Wire

@Suite struct EventStreamTests {
  func listen(_ bench: ManagementBench, _ target: String = "/api/v1/events") -> WebConnectionID {
    let id = bench.connect()
    bench.send("GET \(target) HTTP/1.1\r\nHost: g\r\n\r\n", on: id)
    return id
  }
  func tell(_ bench: ManagementBench, _ type: String, text: String = "x") {
    bench.feed.publish(type, at: bench.carrier.wall, [JSONField("text", .string(text))])
  }

  @Test func aListenerHearsWhatHappens() {
    let bench = ManagementBench()
    tell(bench, "call.ringing")
    let id = listen(bench)
    let head = bench.heard(id)
    #expect(head.contains("Content-Type: text/event-stream\r\n"))
    #expect(!head.contains("call.ringing"))
    tell(bench, "call.answered")
    let expected =
      "event: call.answered\nid: 2\n"
      + #"data: {"id":2,"type":"call.answered","at":"2026-11-20T21:28:39.000Z","text":"x"}"# + "\n\n"
    #expect(bench.heard(id) == String(expected.utf8.count, radix: 16) + "\r\n" + expected + "\r\n")
  }

  @Test func aListenerThatComesBackGetsWhatItMissed() {
    let bench = ManagementBench()
    for place in 1...5 { tell(bench, "e\(place)") }
    #expect(bench.heard(listen(bench, "/api/v1/events?after=3")).split(separator: "id: ").count == 3)
    let id = bench.connect()
    bench.send("GET /api/v1/events HTTP/1.1\r\nHost: g\r\nLast-Event-ID: 4\r\n\r\n", on: id)
    let heard = bench.heard(id)
    #expect(heard.contains("event: e5") && !heard.contains("event: e4"))
    // An id of another life of the daemon: everything is new.
    #expect(bench.heard(listen(bench, "/api/v1/events?after=99")).contains("event: e1\n"))
  }

  @Test func whoWantsNoStreamGetsAList() throws {
    let bench = ManagementBench()
    for _ in 0..<1500 { tell(bench, "e") }
    let all = bench.ask(.get, "/api/v1/events", fields: ["Accept": "application/json"])
    let events = try EventView.list(reply: all.body)
    #expect(events.count == 1000)
    #expect(events.last?.id == 1500)
    let late = bench.ask(.get, "/api/v1/events?after=1499", fields: ["Accept": "application/json"])
    #expect(try EventView.list(reply: late.body).map(\.id) == [1500])
  }

  @Test func aListenerThatDoesNotListenIsCutOff() {
    var limits = WebLimits()
    limits.eventBacklog = 4096
    let bench = ManagementBench(limits: limits)
    let deaf = listen(bench)
    let alive = listen(bench)
    _ = bench.heard(alive)
    bench.carrier.room = 0
    var told = 0
    while bench.carrier.closed.isEmpty, told < 100 {
      tell(bench, "e", text: String(repeating: "a", count: 100))
      told += 1
    }
    #expect(told < 30)
    #expect(bench.carrier.closed.contains(deaf))
    #expect(bench.server.counters.cutOff >= 1)
    #expect(bench.server.connectionCount <= 1)
  }

  @Test func aListenerThatStandsStillIsClosedInTime() {
    let bench = ManagementBench()
    let id = listen(bench)
    bench.carrier.room = 0
    tell(bench, "e")
    for _ in 0..<40 {
      bench.carrier.now = bench.carrier.now + .seconds(1)
      bench.server.advance()
    }
    #expect(bench.carrier.closed == [id])
  }

  @Test func aSilentStreamIsKeptAlive() {
    let bench = ManagementBench()
    let id = listen(bench)
    _ = bench.heard(id)
    var comments = 0
    for _ in 0..<61 {
      bench.carrier.now = bench.carrier.now + .seconds(1)
      bench.server.advance()
      comments += bench.heard(id).split(separator: ": \n\n").count > 1 ? 1 : 0
    }
    #expect((3...4).contains(comments))
    #expect(bench.carrier.closed == [])
  }

  @Test func listenersAreBoundedAndLeaveNothingBehind() {
    let bench = ManagementBench()
    let ids = (0..<EventFeed.mostListeners).map { _ in listen(bench) }
    #expect(bench.heard(listen(bench)).hasPrefix("HTTP/1.1 503 "))
    for id in ids { bench.server.closed(id) }
    #expect(bench.heard(listen(bench)).hasPrefix("HTTP/1.1 200 "))
  }

  @Test func drainingEndsStreamsInGoodOrder() {
    let bench = ManagementBench()
    let id = listen(bench)
    let idle = bench.connect()
    _ = bench.heard(id)
    bench.server.drain()
    #expect(bench.heard(id) == "0\r\n\r\n")
    #expect(bench.carrier.closed.contains(idle))
  }

  @Test func aLongAnswerWaitsForASlowReader() {
    let bench = ManagementBench()
    for place in 0..<1000 { tell(bench, "e", text: String(repeating: "é", count: 500) + "\(place)") }
    let whole = bench.ask(.get, "/api/v1/events", fields: ["Accept": "application/json"])
    let id = bench.connect()
    bench.carrier.room = 0
    bench.send("GET /api/v1/events HTTP/1.1\r\nHost: g\r\nAccept: application/json\r\n\r\n", on: id)
    var heard: [UInt8] = []
    for _ in 0..<200 {
      bench.carrier.room = 40_000
      bench.carrier.now = bench.carrier.now + .seconds(5)
      bench.server.drained(id)
      bench.server.advance()
      heard += bench.carrier.written.removeValue(forKey: id) ?? []
    }
    let isWhole = heard.suffix(whole.body.count) == whole.body[...]
    #expect(isWhole)
  }
}
