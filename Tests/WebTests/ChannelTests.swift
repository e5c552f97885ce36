import HTTP
import Testing
import Web
import WebSocket
import Wire

struct ChannelTests {
  /// What a route's owner sees of its channels.
  final class Owner {
    var channels: [WebChannel] = []
    var heard: [String] = []
    var endings: [WebSocketEnding] = []
    func take(_ channel: WebChannel) {
      channels.append(channel)
      channel.whenMessage = { [unowned self] kind, bytes in
        heard.append("\(kind) \(String(decoding: bytes, as: UTF8.self))")
      }
      channel.whenClosed = { [unowned self] in endings.append($0) }
    }
  }
  private func sip(_ owner: Owner, _ limits: WebSocketLimits = WebSocketLimits()) -> Route {
    Route(channel: "/sip", access: .open, protocols: ["sip"], limits: limits) { _, channel in
      owner.take(channel)
    }
  }

  @Test func aBrowserOpensAChannelAndBothSpeak() {
    let owner = Owner()
    let bench = Bench([sip(owner)])
    let id = bench.connect()
    bench.send(upgrade(), on: id)
    #expect(
      bench.heardText(id)
        == "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n"
        + "Date: Fri, 20 Nov 2026 21:28:39 GMT\r\n\r\n")
    #expect(owner.channels.count == 1)
    bench.send(frame("hello"), on: id)
    #expect(owner.heard == ["text hello"])
    #expect(owner.channels[0].send(.binary, [1, 2]))
    #expect(bench.heard(id) == [0x82, 2, 1, 2])
    #expect(owner.channels[0].send(Array("é".utf8)))
    #expect(bench.heard(id) == [0x81, 2, 0xC3, 0xA9])
    bench.send(frame(8, [0x03, 0xE8]), on: id)
    #expect(bench.heard(id) == [0x88, 2, 0x03, 0xE8])
    #expect(owner.endings == [.closedByPeer(.normal, reason: "")])
    #expect(bench.closed == [id])
    #expect(!owner.channels[0].send(.text, [65]))
    #expect(bench.server.connectionCount == 0)
    #expect(bench.server.counters.channels == 1)
  }

  @Test func whatWasSentAheadIsHeard() {
    let owner = Owner()
    let bench = Bench([sip(owner)])
    let id = bench.connect()
    bench.send(Array(upgrade().utf8) + frame("at once") + frame("and again"), on: id)
    #expect(owner.heard == ["text at once", "text and again"])
  }

  @Test func whatIsNoHandshakeIsToldWhy() {
    let owner = Owner()
    let bench = Bench([sip(owner)])
    func answer(_ text: String) -> String {
      let id = bench.connect()
      bench.send(text, on: id)
      return bench.heardText(id)
    }
    let plain = answer("GET /sip HTTP/1.1\r\nHost: 192.0.2.1:8443\r\n\r\n")
    #expect(plain.hasPrefix("HTTP/1.1 426 Upgrade Required\r\n"))
    #expect(plain.contains("\r\nUpgrade: websocket\r\n"))
    #expect(plain.contains("\r\nConnection: Upgrade\r\n"))
    #expect(plain.contains("\r\nSec-WebSocket-Version: 13\r\n"))
    #expect(answer(upgrade(protocols: nil)).hasPrefix("HTTP/1.1 400 "))
    #expect(answer(upgrade(protocols: "mqtt")).hasPrefix("HTTP/1.1 400 "))
    let old = upgrade().split(separator: "Version: 13").joined(separator: "Version: 8")
    #expect(answer(old).hasPrefix("HTTP/1.1 426 "))
    #expect(answer(upgrade("/nowhere")).hasPrefix("HTTP/1.1 404 "))
    #expect(owner.channels.isEmpty)
  }

  @Test(arguments: [
    // our own, by address, by name
    ("https://192.0.2.1:8443", "192.0.2.1:8443", true),
    ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443", true),
    ("https://vestibule.local:8443", "vestibule.local:8443", true),
    ("https://VESTIBULE.local:8443", "vestibule.LOCAL:8443", true),
    ("https://localhost:8443", "localhost:8443", true),
    // named by the operator
    ("https://intercom.example.net", "192.0.2.1:8443", true),
    // where links lead: a proxy speaks TLS there, and names us as it likes
    ("https://door.example.net", "10.0.0.5:8080", true),
    ("https://door.example.net", "door.example.net", true),
    ("http://door.example.net", "10.0.0.5:8080", false),
    ("https://door.example.net:8443", "10.0.0.5:8080", false),
    // nobody's
    (nil, "192.0.2.1:8443", true),
    ("https://evil.example", "192.0.2.1:8443", false),
    ("http://192.0.2.1:8443", "192.0.2.1:8443", false),
    ("https://192.0.2.1:9443", "192.0.2.1:8443", false),
    ("https://192.0.2.2:8443", "192.0.2.1:8443", false),
    ("https://intercom.example.net.evil.example", "192.0.2.1:8443", false),
    ("null", "192.0.2.1:8443", false),
    // a stranger's name that points at our address
    ("https://evil.example:8443", "evil.example:8443", false),
  ])
  func onlyPagesThatMayConnectDo(_ origin: String?, _ host: String, _ isAllowed: Bool) {
    let owner = Owner()
    let bench = Bench(
      [sip(owner)],
      origins: OriginPolicy(
        names: ["vestibule.local"], published: "https://Door.example.net",
        allowed: ["https://Intercom.example.net/"]))
    let id = bench.connect()
    bench.send(upgrade(origin: origin, host: host), on: id)
    let text = bench.heardText(id)
    #expect(text.hasPrefix(isAllowed ? "HTTP/1.1 101 " : "HTTP/1.1 403 "))
    #expect(owner.channels.count == (isAllowed ? 1 : 0))
    // Two origins are nobody's.
    let other = bench.connect()
    bench.send(upgrade(origin: origin, host: host, more: "Origin: https://evil.example\r\n"), on: other)
    #expect(bench.heardText(other).hasPrefix("HTTP/1.1 403 ") || origin == nil)
  }

  @Test func whoAsksTooOftenIsToldToWait() {
    let owner = Owner()
    var left = 1
    let bench = Bench(
      [sip(owner)],
      pace: { _ in
        left -= 1
        return left >= 0 ? nil : .problem(429, "too many requests")
      })
    let first = bench.connect()
    bench.send(upgrade(), on: first)
    #expect(bench.heardText(first).hasPrefix("HTTP/1.1 101 "))
    let second = bench.connect()
    bench.send(upgrade(), on: second)
    #expect(bench.heardText(second).hasPrefix("HTTP/1.1 429 "))
    bench.send(frame("a"), on: first)
    #expect(owner.heard == ["text a"], "what stands is not paced here")
  }

  @Test func onePathMayHaveBoth() {
    let owner = Owner()
    let get = Route(.get, "/events", access: .open) { _, responder in
      responder.reply(.text(200, "plain"))
    }
    let channel = Route(channel: "/events", access: .open) { _, channel in owner.take(channel) }
    for routes in [[get, channel], [channel, get]] {
      let bench = Bench(routes)
      let plain = bench.connect()
      bench.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n", on: plain)
      #expect(bench.heardText(plain).hasSuffix("\r\n\r\nplain"))
      let upgraded = bench.connect()
      bench.send(upgrade("/events", protocols: nil), on: upgraded)
      let answer = bench.heardText(upgraded)
      #expect(answer.hasPrefix("HTTP/1.1 101 "))
      #expect(!answer.contains("Sec-WebSocket-Protocol"))
    }
    #expect(owner.channels.count == 2)
  }

  @Test func aLostConnectionIsToldAtOnce() {
    let owner = Owner()
    let bench = Bench([sip(owner)])
    let id = bench.connect()
    bench.send(upgrade(), on: id)
    bench.server.closed(id)
    #expect(owner.endings == [.lost])
    #expect(!owner.channels[0].isOpen)
    #expect(bench.server.nextDeadline == nil)
  }

  @Test func aSilentBrowserIsAskedAndThenGivenUp() {
    let owner = Owner()
    let bench = Bench([sip(owner)])
    let id = bench.connect()
    bench.send(upgrade(), on: id)
    _ = bench.heard(id)
    bench.pass(.seconds(30))
    #expect(bench.heard(id) == [0x89, 0])
    bench.send(frame(10, []), on: id)
    bench.pass(.seconds(30))
    #expect(bench.heard(id) == [0x89, 0])
    bench.pass(.seconds(10))
    #expect(owner.endings == [.failed(.silent)])
    bench.pass(.seconds(1))
    #expect(bench.closed == [id])
  }

  @Test func aPeerThatBreaksTheRulesIsToldAndClosed() {
    let owner = Owner()
    let bench = Bench([sip(owner)])
    let id = bench.connect()
    bench.send(upgrade(), on: id)
    _ = bench.heard(id)
    bench.send([0xC1, 0x80, 0, 0, 0, 0], on: id)
    #expect(Array(bench.heard(id).prefix(4)) == [0x88, 23, 0x03, 0xEA])
    #expect(owner.endings == [.failed(.reservedBits)])
    #expect(bench.server.counters.channelFaults == 1)
    bench.send(frame("more"), on: id)
    #expect(owner.heard.isEmpty)
    bench.pass(.seconds(1))
    #expect(bench.closed == [id])
  }

  @Test func aPeerThatDoesNotTakeIsNotReadAndThenCutOff() {
    var limits = WebSocketLimits()
    limits.output = 1000
    let owner = Owner()
    let bench = Bench([sip(owner, limits)])
    let id = bench.connect()
    bench.send(upgrade(), on: id)
    _ = bench.heard(id)
    bench.room = 0
    let message = [UInt8](repeating: 65, count: 400)
    #expect(owner.channels[0].send(.text, message))
    #expect(bench.paused == [id])
    #expect(owner.channels[0].send(.text, message))
    #expect(!owner.channels[0].send(.text, message), "two are as much as may wait")
    bench.room = nil
    bench.server.drained(id)
    #expect(bench.paused.isEmpty)
    #expect(bench.heard(id).count == 2 * 404)
    #expect(owner.channels[0].send(.text, message))
    // And one that takes nothing for long is not waited for.
    bench.room = 0
    #expect(owner.channels[0].send(.text, message))
    bench.pass(.seconds(30))
    #expect(bench.closed == [id])
    #expect(owner.endings == [.lost])
  }

  @Test func aStoppingServerSaysSo() {
    let owner = Owner()
    let bench = Bench([sip(owner)])
    let id = bench.connect()
    bench.send(upgrade(), on: id)
    _ = bench.heard(id)
    bench.server.drain()
    #expect(Array(bench.heard(id).prefix(4)) == [0x88, 19, 0x03, 0xE9])
    bench.send(frame(8, [0x03, 0xE9]), on: id)
    #expect(owner.endings == [.closed])
    #expect(bench.closed == [id])
  }

  @Test func aChannelMayBeClosedByItsOwnerInAnyCallback() {
    let bench = Bench([
      Route(channel: "/sip", access: .open) { _, channel in
        channel.whenMessage = { _, _ in channel.close(.policyViolation, reason: "no") }
      }
    ])
    let id = bench.connect()
    bench.send(upgrade(protocols: nil), on: id)
    _ = bench.heard(id)
    bench.send(frame("a") + frame("b"), on: id)
    #expect(bench.heard(id) == [0x88, 4, 0x03, 0xF0, 0x6E, 0x6F])
    bench.pass(.seconds(3))
    #expect(bench.closed == [id])
  }
}
