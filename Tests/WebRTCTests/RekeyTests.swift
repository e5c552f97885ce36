import Crypto
import Glibc
import SDP
import Simulation
import Testing
import WebRTC
import Wire

/// Who offers again under another identity, over OpenSSL: the old keys end with the description, and new ones are agreed
/// on by the same two.
@Suite struct RekeyTests {
  enum Change: CaseIterable { case certificate, association }

  /// What the browser says, with the name of its association (RFC 8842 section 5.2) in it.
  private func named(_ description: SessionDescription, _ name: String) throws -> SessionDescription {
    let text = String(decoding: description.bytes, as: UTF8.self)
    let said = text.replacing("a=setup:", with: "a=tls-id:\(name)\r\na=setup:")
    #expect(said != text)
    return try SessionDescription(parsing: Array(said.utf8))
  }

  /// Offer and answer; the gateway ends as the server where the browser offers, else as the client.
  private func negotiate(_ town: PeerTown, _ role: DTLSRole, _ name: String, restart: Bool) throws {
    if role == .server {
      let offer = town.turn(.browser) { browser, turn in
        browser.createOffer(audio: Wanted.audio, video: nil, &turn)
      }
      try town.gateway.setRemote(offer: try named(offer, name))
      let answer = try town.turn(.gateway) { (gateway, turn) throws(PeerRefusal) in
        try gateway.createAnswer(audio: gateway.offered(.audio), video: nil, &turn)
      }
      try town.turn(.browser) { (browser, turn) throws(PeerRefusal) in
        try browser.setRemote(answer: answer, &turn)
      }
    } else {
      let offer = town.turn(.gateway) { gateway, turn in
        gateway.createOffer(audio: Wanted.audio, video: nil, &turn, restart: restart)
      }
      try town.browser.setRemote(offer: offer)
      let answer = try town.turn(.browser) { (browser, turn) throws(PeerRefusal) in
        try browser.createAnswer(audio: browser.offered(.audio), video: nil, &turn)
      }
      let said = try named(answer, name)
      try town.turn(.gateway) { (gateway, turn) throws(PeerRefusal) in
        try gateway.setRemote(answer: said, &turn)
      }
    }
    town.turn(.browser) { browser, turn in browser.gather(&turn) }
  }

  /// A hello that comes before its path is known is lost, and OpenSSL's timer runs by the system's clock, which no test
  /// can turn: it is waited for.
  private func connect(_ town: PeerTown) {
    town.whenIdle = { usleep(2000) }
    town.run { $0.isConnected }
    town.whenIdle = {}
  }

  private func say(_ town: PeerTown, _ first: UInt16) -> Int {
    let before = town.arrivals[.gateway]!.count + town.arrivals[.browser]!.count
    for number in first..<first + 20 {
      town.speak(.browser, payloadType: 8, sequence: number, source: 0xB0, [1, 2, 3])
      town.speak(.gateway, payloadType: 8, sequence: number, source: 0xA0, [1, 2, 3])
      town.run(for: .milliseconds(20))
    }
    return town.arrivals[.gateway]!.count + town.arrivals[.browser]!.count - before
  }

  @Test(arguments: Change.allCases, [DTLSRole.server, .client])
  func anotherIdentityEndsTheOldKeysAtOnceAndGetsItsOwn(change: Change, role: DTLSRole) throws {
    let contexts = try (UInt64(1)...3).map {
      try DTLSContext.make(serial: $0, at: WallTime(seconds: 1_760_000_000))
    }
    func sessions(_ number: Int) -> DTLSSessions {
      DTLSSessions(contexts[number], firstTimeout: .milliseconds(16))
    }
    let town = PeerTown(browser: sessions(0), gateway: sessions(1))
    try negotiate(town, role, "first-association-of-this-page", restart: false)
    connect(town)
    #expect(town.isConnected && say(town, 1) == 40)
    // The page is loaded anew at the same address: with a certificate of its own, or with the one that it keeps.
    let old = town.browser
    var late = [UInt8](repeating: 0, count: 100)
    var room = late.mutableSpan
    let head: [UInt8] = [0x80, 8, 0, 90, 0, 0, 0, 0, 0, 0, 0, 0xB0]
    let length = old.protect(head.span, [7, 7, 7].span, into: &room)
    #expect(length == 15 + old.overhead)
    town.browser = PeerTown(seed: 77, browser: sessions(change == .certificate ? 2 : 0)).browser
    let name =
      change == .association ? "another-association-of-it" : "first-association-of-this-page"
    try negotiate(town, role, name, restart: true)
    #expect(!town.gateway.isReady)
    #expect(town.events[.gateway]!.contains(.restarted))
    connect(town)
    #expect(town.isConnected, "events \(town.events)")
    // The gateway begins its numbers again: under other keys they are others.
    #expect(say(town, 1) == 40)
    // What the old keys protected is nobody's.
    let heard = town.arrivals[.gateway]!.count
    town.post(Array(late[..<length]), from: PeerTown.browserAddress, to: .gateway)
    town.run(for: .milliseconds(50))
    #expect(town.arrivals[.gateway]!.count == heard)
    #expect(town.gateway.counters.forged == 1)
  }
}
