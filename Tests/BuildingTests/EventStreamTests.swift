import API
import Directory
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
    #expect(bench.carrier.silent == [id], "it may be silent for ever")
    tell(bench, "call.answered")
    let expected =
      "event: call.answered\nid: 2\n"
      + #"data: {"id":2,"type":"call.answered","at":"2026-11-20T21:28:39.000Z","text":"x"}"# + "\n\n"
    #expect(bench.heard(id) == String(expected.utf8.count, radix: 16) + "\r\n" + expected + "\r\n")
  }

  // MARK: Over a WebSocket

  /// Opens a WebSocket for events, as a device with a bearer or as an operator.
  func follow(_ bench: ManagementBench, bearer: String? = nil, query: String = "") -> WebConnectionID {
    let id = bench.connect(bearer == nil ? ManagementBench.root : DeviceAccessTests.secure)
    let token = bearer.map { "Authorization: Bearer \($0)\r\n" } ?? ""
    bench.send(
      "GET /api/v1/events\(query) HTTP/1.1\r\nHost: g\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\(token)\r\n", on: id)
    return id
  }
  /// The messages that came: text, each in one frame.
  func messages(_ bench: ManagementBench, _ id: WebConnectionID) -> [String] {
    var bytes = bench.carrier.written.removeValue(forKey: id) ?? []
    var found: [String] = []
    while bytes.count > 2, bytes[0] == 0x81 {
      let isLong = bytes[1] == 126
      let size = isLong ? Int(bytes[2]) << 8 | Int(bytes[3]) : Int(bytes[1])
      let start = isLong ? 4 : 2
      found.append(String(decoding: bytes[start..<start + size], as: UTF8.self))
      bytes.removeFirst(start + size)
    }
    return found
  }

  @Test func aWebSocketHearsTheSameAsAStream() {
    let bench = ManagementBench()
    tell(bench, "e1")
    let id = follow(bench, query: "?after=0")
    #expect(bench.heard(id).hasPrefix("HTTP/1.1 101 "))
    tell(bench, "e2")
    #expect(
      messages(bench, id) == [#"{"id":2,"type":"e2","at":"2026-11-20T21:28:39.000Z","text":"x"}"#])
    let late = follow(bench, query: "?after=0")
    let bytes = bench.carrier.written[late] ?? []
    let start = bytes.firstIndex(of: 0x81) ?? bytes.endIndex
    bench.carrier.written[late] = Array(bytes[start...])
    #expect(messages(bench, late).map { $0.contains(#""type":"e1""#) } == [true, false])
    bench.server.closed(id)
    bench.server.closed(late)
    tell(bench, "e3")
    #expect(bench.carrier.written.isEmpty)
  }

  @Test func aDeviceOnAWebSocketHearsItsOwnAndRings() {
    let bench = ManagementBench()
    let id = follow(bench, bearer: "web-token")
    let silent = follow(bench, bearer: "web-token", query: "?rings=false")
    #expect(bench.operations.asked == ["here web401"])
    _ = (bench.heard(id), bench.heard(silent))
    bench.feed.publish("other", at: bench.carrier.wall, to: EventAudience(unit: "402"), [])
    bench.feed.publish(
      "call.ringing", at: bench.carrier.wall, to: EventAudience(unit: "401"), [],
      secrets: [PrivateDetails(holder: "panel401", fields: [JSONField("token", "for-panel")])])
    let heard = messages(bench, id)
    #expect(heard.count == 1 && heard[0].contains("call.ringing") && !heard[0].contains("for-panel"))
    // Who may listen no more hears it, and rings no more.
    bench.feed.end { $0.credential == 7 }
    #expect(bench.carrier.written[id]?.first == 0x88)
    bench.server.closed(id)
    #expect(bench.operations.asked == ["here web401", "away web401"])
  }

  @Test func aWebSocketIsNotForEverybody() {
    let bench = ManagementBench()
    #expect(bench.heard(follow(bench, bearer: "nonsense")).hasPrefix("HTTP/1.1 401 "))
    // Their account is no more: the channel is closed with a reason.
    let gone = follow(bench, bearer: "gone-token")
    #expect(bench.heard(gone).contains("this account is no more"))
    let wrong = follow(bench, query: "?after=x")
    #expect(bench.heard(wrong).contains("is no id of an event"))
    let ids = (0..<EventFeed.mostOfOneDevice).map { _ in follow(bench, bearer: "web-token") }
    for id in ids { #expect(bench.heard(id).hasPrefix("HTTP/1.1 101 ")) }
    #expect(bench.heard(follow(bench, bearer: "web-token")).contains("too many listeners"))
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
