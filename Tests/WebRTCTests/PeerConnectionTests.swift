import Crypto
import Glibc
import ICE
import SDP
import Simulation
import Synchronization
import Testing
import WebRTC
import Wire

private let voice = [UInt8](repeating: 0xD5, count: 160)

/// Sends a second of sound both ways and says how much came.
private func talk(_ town: PeerTown, from first: UInt16 = 1) -> (toGateway: Int, toBrowser: Int) {
  let before = (town.arrivals[.gateway]!.count, town.arrivals[.browser]!.count)
  for number in first..<first + 50 {
    town.speak(.browser, payloadType: 8, sequence: number, source: 0xB0, voice)
    town.speak(.gateway, payloadType: 8, sequence: number, source: 0xA0, voice)
    town.run(for: .milliseconds(20))
  }
  return (town.arrivals[.gateway]!.count - before.0, town.arrivals[.browser]!.count - before.1)
}

/// Counts what a worker does.
private final class Turns: Sendable {
  private let count = Atomic(0)
  func next() -> Int { count.wrappingAdd(1, ordering: .relaxed).oldValue }
}

/// Somebody for whom a world is made.
private final class Bystander: SimulatedPeer {}

@Suite struct PeerConnectionTests {
  @Test func aBrowserThatOffersIsHeardAndHears() throws {
    let town = PeerTown()
    try town.browserCalls()
    town.run { $0.isConnected }
    #expect(town.isConnected)
    #expect(town.events[.gateway]!.contains(.connected))
    #expect(town.gateway.path?.flow.remote == PeerTown.browserAddress)
    #expect(talk(town) == (50, 50))
    #expect(town.arrivals[.gateway]!.first?.reading == .rtp(.audio, length: 172))
    #expect(town.arrivals[.gateway]!.first.map { Array($0.plain[12...]) } == voice)
    // What went over the wire is not what was said.
    #expect(!town.sent.contains { $0.bytes.count > 100 && Array($0.bytes[12..<32]) == Array(voice[..<20]) })
    let report: [UInt8] = [0x80, 201, 0, 1, 0, 0, 0, 0xB0]
    #expect(town.report(.browser, report))
    town.run(for: .milliseconds(20))
    #expect(town.arrivals[.gateway]!.last == .init(reading: .rtcp(length: 8), plain: report))
    #expect(town.gateway.counters == PeerCounters())
  }

  @Test func aBrowserThatIsCalledIsHeardAndHears() throws {
    let town = PeerTown()
    try town.gatewayCalls()
    town.run { $0.isConnected }
    #expect(town.isConnected)
    #expect(talk(town) == (50, 50))
    #expect(town.gateway.settled(.audio)?.direction == .sendrecv)
    #expect(town.gateway.settled(.audio)?.formats.map(\.payloadType) == [8, 0, 101])
  }

  @Test func twoFullAgentsFindEachOther() throws {
    let town = PeerTown(gatewayMode: .full)
    try town.browserCalls()
    town.turn(.gateway) { gateway, turn in gateway.gather(&turn) }
    town.run { $0.isConnected }
    #expect(town.isConnected)
    #expect(talk(town) == (50, 50))
  }

  /// We offered as lite, and so does the peer answer, who minds less than we do: who may become full does.
  @Test(arguments: [LitePeerPolicy.checks, .fails])
  func ofTwoLiteOnesTheOneThatMayChecks(policy: LitePeerPolicy) throws {
    let town = PeerTown(browserMode: .lite, facingLite: policy)
    var offer = town.turn(.gateway) { gateway, turn in
      gateway.createOffer(audio: Wanted.audio, video: nil, &turn)
    }
    let isLite = { (attribute: Attribute) in attribute.name == "ice-lite" }
    #expect(offer.attributes.contains(where: isLite))
    offer.attributes.removeAll(where: isLite)
    try town.browser.setRemote(offer: offer)
    let answer = try town.turn(.browser) { (browser, turn) throws(PeerRefusal) in
      try browser.createAnswer(audio: browser.offered(.audio), video: nil, &turn)
    }
    #expect(answer.attributes.contains(where: isLite))
    try town.turn(.gateway) { (gateway, turn) throws(PeerRefusal) in
      try gateway.setRemote(answer: answer, &turn)
    }
    guard policy == .checks else {
      #expect(town.events[.gateway]!.contains(.failed(.ice)) && !town.gateway.isReady)
      return
    }
    town.run { $0.isConnected }
    #expect(town.isConnected)
    #expect(talk(town) == (50, 50))
  }

  @Test func overOpenSSLTooInBothRoles() throws {
    for gatewayCalls in [false, true] {
      let town = PeerTown(
        browser: DTLSSessions(try DTLSContext.make(serial: 1, at: WallTime(seconds: 1_760_000_000))),
        gateway: DTLSSessions(
          try DTLSContext.make(
            serial: 2, at: WallTime(seconds: 1_760_000_000), profiles: SRTPProfile.counterModeFirst)))
      if gatewayCalls { try town.gatewayCalls() } else { try town.browserCalls() }
      town.run { $0.isConnected }
      #expect(town.isConnected)
      #expect(talk(town) == (50, 50))
      // The server's order decides, and whoever answers `actpass` here is the server.
      #expect(town.gateway.overhead == (gatewayCalls ? 16 : 10))
    }
  }

  @Test(arguments: [false, true])
  func whatTheCPUDoesBestProtectsMediaOnceItIsMeasured(galoisIsSlow: Bool) throws {
    let start = WallTime(seconds: 1_760_000_000)
    let gateway = DTLSSessions(try DTLSContext.make(serial: 2, at: start))
    let network = SimulatedNetwork(seed: 1)
    let world = SimulatedWorld(network, addresses: [IPAddress(v4: 0xC000_0201)])
    world.run { _ in Bystander() }
    var told: [[SRTPProfile]] = []
    let turns = Turns()
    gateway.rank(on: world) { work in
      work()
      // The first of each turn is GCM.
      let isGalois = turns.next().isMultiple(of: 2)
      return isGalois == galoisIsSlow ? .microseconds(150) : .microseconds(100)
    } then: {
      told.append($0)
    }
    #expect(told.isEmpty && gateway.profiles == SRTPProfile.gcmFirst)
    network.run(until: network.now + .seconds(1))
    #expect(told == [galoisIsSlow ? SRTPProfile.counterModeFirst : SRTPProfile.gcmFirst])
    let town = PeerTown(browser: DTLSSessions(try DTLSContext.make(serial: 1, at: start)), gateway: gateway)
    try town.gatewayCalls()
    town.run { $0.isConnected }
    #expect(talk(town) == (50, 50))
    // The gateway is the client here, and the browser prefers GCM; where it decides, it has its own order.
    #expect(town.gateway.overhead == 16)
    let other = PeerTown(browser: DTLSSessions(try DTLSContext.make(serial: 1, at: start)), gateway: gateway)
    try other.browserCalls()
    other.run { $0.isConnected }
    #expect(talk(other) == (50, 50))
    #expect(other.gateway.overhead == (galoisIsSlow ? 10 : 16))
  }

  @Test(arguments: UInt64(1)...20)
  func aBadNetworkOnlyDelaysTheBeginning(seed: UInt64) throws {
    let town = PeerTown(seed: seed)
    town.weather = .init(delay: .milliseconds(20), jitter: .milliseconds(30), loss: 20, duplication: 10)
    try town.browserCalls()
    town.run { $0.isConnected }
    #expect(town.isConnected, "events \(town.events)")
    town.weather.loss = 0
    let heard = talk(town)
    // The last few may still be on their way; nothing came twice.
    #expect((45...50).contains(heard.toGateway) && (45...50).contains(heard.toBrowser), "\(heard)")
    #expect(town.gateway.counters.forged == 0)
  }

  @Test func aBadNetworkOnlyDelaysOpenSSL() throws {
    let town = PeerTown(
      browser: DTLSSessions(
        try DTLSContext.make(serial: 1, at: WallTime(seconds: 1_760_000_000)),
        firstTimeout: .milliseconds(16)),
      gateway: DTLSSessions(
        try DTLSContext.make(serial: 2, at: WallTime(seconds: 1_760_000_000)),
        firstTimeout: .milliseconds(16)))
    // OpenSSL's timer runs by the system's clock, which no test can turn: it is waited for.
    town.whenIdle = { usleep(2000) }
    town.weather = .init(delay: .milliseconds(1), jitter: .milliseconds(3), loss: 25, duplication: 20)
    try town.browserCalls()
    town.run { $0.isConnected }
    #expect(town.isConnected, "events \(town.events)")
  }

  @Test func aPeerWithAnotherCertificateIsNobody() throws {
    let town = PeerTown(browser: SimulatedDTLS(number: 1))
    let offer = town.turn(.browser) { browser, turn in
      browser.createOffer(audio: Wanted.audio, video: nil, &turn)
    }
    // The gateway is told of another certificate than the one that comes.
    let text = String(decoding: offer.bytes, as: UTF8.self)
    let forged = text.replacing(
      SimulatedDTLS(number: 1).fingerprint.description, with: SimulatedDTLS(number: 9).fingerprint.description
    )
    #expect(forged != text)
    try town.gateway.setRemote(offer: try SessionDescription(parsing: Array(forged.utf8)))
    let answer = try town.turn(.gateway) { (gateway, turn) throws(PeerRefusal) in
      try gateway.createAnswer(audio: gateway.offered(.audio), video: nil, &turn)
    }
    try town.turn(.browser) { (browser, turn) throws(PeerRefusal) in
      try browser.setRemote(answer: answer, &turn)
    }
    town.turn(.browser) { browser, turn in browser.gather(&turn) }
    town.run(for: .seconds(20))
    #expect(town.events[.gateway]!.contains(.failed(.dtls(.fingerprint))))
    #expect(!town.gateway.isReady)
    #expect(!town.events[.gateway]!.contains(.connected))
    #expect(!town.speak(.gateway, payloadType: 8, sequence: 1, source: 0xA0, voice))
  }

  @Test func strangersAreNotEvenAnswered() throws {
    let town = PeerTown()
    try town.browserCalls()
    town.run { $0.isConnected }
    let stranger = Endpoint(IPAddress(v4: 0xC633_6401), port: 4000)
    let spoken = town.sent.count
    var random = Random(seed: 4)
    for first: UInt8 in [0, 1, 20, 22, 23, 63, 64, 128, 129, 144, 191, 200, 255] {
      for _ in 0..<50 {
        town.post([first] + random.bytes(Int(random.below(200))), from: stranger, to: .gateway)
      }
    }
    // A whole hello of DTLS, too.
    let other = SimulatedDTLS(number: 7).make(.client, peer: [], seed: 5)
    other.start(at: town.now)
    var hello: [UInt8] = []
    while other.takeDatagram(&hello) { town.post(hello, from: stranger, to: .gateway) }
    town.run(for: .milliseconds(100))
    #expect(!town.sent[spoken...].contains { $0.to == .browser && $0.bytes.first == 22 })
    #expect(town.gateway.isReady)
    #expect(talk(town) == (50, 50))
  }

  @Test func aFloodOfForgeriesFromThePeersOwnAddressEndsNothing() throws {
    let town = PeerTown()
    try town.browserCalls()
    town.run { $0.isConnected }
    var random = Random(seed: 4)
    for index in 0..<2000 {
      let first: UInt8 = [128, 144, 128, 22][index % 4]
      let second: UInt8 = index % 5 == 0 ? 201 : 8
      town.post(
        [first, second] + random.bytes(Int(random.below(200))), from: PeerTown.browserAddress, to: .gateway)
    }
    town.run(for: .milliseconds(50))
    #expect(town.gateway.counters.forged > 1000)
    #expect(town.gateway.isReady)
    #expect(talk(town) == (50, 50))
  }

  @Test func mediaBeforeKeysIsDroppedAndCounted() throws {
    let town = PeerTown()
    // A handshake that cannot move: no steps.
    town.handshakes = 0
    try town.browserCalls()
    town.run { $0.gateway.path != nil }
    #expect(!town.gateway.isReady)
    town.post([0x80, 8] + [UInt8](repeating: 0, count: 40), from: PeerTown.browserAddress, to: .gateway)
    town.post([0x80, 201] + [UInt8](repeating: 0, count: 40), from: PeerTown.browserAddress, to: .gateway)
    town.run(for: .milliseconds(3))
    #expect(town.gateway.counters.beforeKeys == 2)
    #expect(town.arrivals[.gateway]!.isEmpty)
  }

  @Test func handshakeStepsWaitForATurnThatHasSomeLeft() throws {
    let town = PeerTown()
    town.handshakes = 0
    try town.browserCalls()
    // Each `advance` of the town gives one step, so the handshake gets through all the same.
    town.run { $0.isConnected }
    #expect(town.isConnected)
    #expect(town.gateway.counters.strayHandshakes == 0)
  }

  @Test func aHelloThatIsQuickerThanTheAnswerIsKept() throws {
    let town = PeerTown()
    let offer = town.turn(.gateway) { gateway, turn in
      gateway.createOffer(audio: Wanted.audio, video: nil, &turn)
    }
    // Real browsers answer `actpass` with `active`; the one of this town does so when it is asked for it.
    let text = String(decoding: offer.bytes, as: UTF8.self).replacing("actpass", with: "passive")
    try town.browser.setRemote(offer: try SessionDescription(parsing: Array(text.utf8)))
    let answer = try town.turn(.browser) { (browser, turn) throws(PeerRefusal) in
      try browser.createAnswer(audio: browser.offered(.audio), video: nil, &turn)
    }
    #expect(String(decoding: answer.bytes, as: UTF8.self).contains("a=setup:active"))
    town.turn(.browser) { browser, turn in browser.gather(&turn) }
    town.run(for: .milliseconds(150))
    #expect(town.sent.contains { $0.to == .gateway && $0.bytes.first == 22 })
    #expect(!town.gateway.isReady)
    try town.turn(.gateway) { (gateway, turn) throws(PeerRefusal) in
      try gateway.setRemote(answer: answer, &turn)
    }
    // Sooner than the hello would be said again.
    let before = town.now
    town.run(for: .milliseconds(20)) { $0.isConnected }
    #expect(town.isConnected)
    #expect(town.now - before < .milliseconds(20))
  }

  @Test func aGoodbyeIsHeardAndEndsTheKeys() throws {
    let town = PeerTown()
    try town.browserCalls()
    town.run { $0.isConnected }
    town.turn(.browser) { browser, turn in browser.close(&turn) }
    town.run(for: .milliseconds(50))
    #expect(town.events[.gateway]!.last == .closed)
    #expect(!town.gateway.isReady)
    #expect(!town.speak(.gateway, payloadType: 8, sequence: 1, source: 0xA0, voice))
    #expect(!town.browser.isReady && town.browser.nextDeadline == nil)
  }

  @Test func aBrowserThatDiesIsNoticed() throws {
    let town = PeerTown()
    try town.browserCalls()
    town.run { $0.isConnected }
    town.weather.loss = 100
    town.run(for: .seconds(60)) { $0.events[.gateway]!.contains(.failed(.consent)) }
    #expect(town.events[.gateway]!.contains(.disconnected))
    #expect(town.events[.gateway]!.contains(.failed(.consent)))
  }

  @Test func aHandshakeThatNeverEndsFails() throws {
    let town = PeerTown()
    try town.browserCalls()
    town.run { $0.gateway.path != nil }
    // From here on only STUN gets through: the handshake starves.
    let deadline = town.now + .seconds(35)
    while town.now < deadline, !town.events[.gateway]!.contains(.failed(.dtls(.timeout))) {
      town.dropHandshakes()
      town.run(for: .milliseconds(1))
    }
    #expect(town.events[.gateway]!.contains(.failed(.dtls(.timeout))))
  }

  @Test func aPictureGoesToTheBrowserAndNeverComesFromIt() throws {
    let town = PeerTown(browserTakesPictures: true)
    try town.gatewayCalls(video: Wanted.picture)
    town.run { $0.isConnected }
    #expect(town.isConnected)
    #expect(town.gateway.settled(.video)?.direction == .sendonly)
    #expect(town.speak(.gateway, payloadType: 102, sequence: 1, source: 0xA1, [0x65, 1, 2, 3]))
    town.run(for: .milliseconds(20))
    #expect(town.arrivals[.browser]!.last?.reading == .rtp(.video, length: 16))
    // It sends one all the same: nobody takes it.
    town.speak(.browser, payloadType: 102, sequence: 1, source: 0xB1, [0x65, 1, 2, 3])
    town.run(for: .milliseconds(20))
    #expect(town.arrivals[.gateway]!.isEmpty)
    #expect(town.gateway.counters.unknown == 1)
  }

  @Test func streamsAreToldApartBySourceMidAndPayloadType() throws {
    let town = PeerTown(browserTakesPictures: true)
    try town.gatewayCalls(video: Wanted.picture)
    town.run { $0.isConnected }
    func header(_ payloadType: UInt8, _ sequence: UInt8, source: UInt8, _ tail: [UInt8] = []) -> [UInt8] {
      [tail.isEmpty ? 0x80 : 0x90, payloadType, 0, sequence, 0, 0, 0, 0, 0, 0, 0, source] + tail
    }
    func heard(_ header: [UInt8]) -> PeerReading? {
      let before = town.arrivals[.browser]!.count
      town.speak(.gateway, header, [1, 2, 3])
      town.run(for: .milliseconds(20))
      let all = town.arrivals[.browser]!
      return all.count > before ? all.last?.reading : nil
    }
    #expect(heard(header(8, 1, source: 1)) == .rtp(.audio, length: 15))
    // A source once known keeps its stream, whatever it says it carries.
    #expect(heard(header(102, 2, source: 1)) == .rtp(.audio, length: 15))
    // The mid of the picture, in both forms of the extension; our offer numbers it 1.
    #expect(heard(header(8, 1, source: 2, [0xBE, 0xDE, 0, 1, 0x10, 0x31, 0, 0])) == .rtp(.video, length: 23))
    #expect(
      heard(header(8, 1, source: 3, [0x10, 0, 0, 1, 1, 1, 0x31, 0])) == .rtp(.video, length: 23))
    // A mid that nobody knows leaves it to the payload type.
    #expect(
      heard(header(102, 1, source: 4, [0xBE, 0xDE, 0, 1, 0x10, 0x39, 0, 0])) == .rtp(.video, length: 23))
    // An extension that ends in the middle is passed over.
    #expect(heard(header(8, 1, source: 5, [0xBE, 0xDE, 0, 1, 0x1F, 0x31, 0, 0])) == .rtp(.audio, length: 23))
    // A payload type of nobody.
    #expect(heard(header(77, 1, source: 6)) == nil)
    #expect(town.browser.counters.unknown == 1)
  }

  @Test func aDifferentCertificateEndsTheOldKeysAtOnceAndGetsItsOwn() throws {
    let town = PeerTown()
    try town.browserCalls()
    town.run { $0.isConnected }
    #expect(talk(town) == (50, 50))
    // The page is loaded anew: another browser instance, at the same address, offers inside the dialog.
    let old = town.browser
    let fresh = PeerTown(seed: 77, browser: SimulatedDTLS(number: 5)).browser
    town.browser = fresh
    let offer = town.turn(.browser) { browser, turn in
      browser.createOffer(audio: Wanted.audio, video: nil, &turn)
    }
    try town.gateway.setRemote(offer: offer)
    #expect(town.gateway.isReady)
    let answer = try town.turn(.gateway) { (gateway, turn) throws(PeerRefusal) in
      try gateway.createAnswer(audio: gateway.offered(.audio), video: nil, &turn)
    }
    #expect(!town.gateway.isReady)
    #expect(town.events[.gateway]!.contains(.restarted))
    try town.turn(.browser) { (browser, turn) throws(PeerRefusal) in
      try browser.setRemote(answer: answer, &turn)
    }
    town.turn(.browser) { browser, turn in browser.gather(&turn) }
    town.run { $0.isConnected }
    #expect(town.isConnected)
    #expect(talk(town) == (50, 50))
    #expect(old.isReady)
  }

  @Test func aRestartKeepsTheOldPathAndTheKeysUntilTheNewOneWorks() throws {
    let town = PeerTown()
    try town.browserCalls()
    town.run { $0.isConnected }
    let before = town.gateway.localCredentials
    let offer = town.turn(.browser) { browser, turn in
      browser.createOffer(audio: Wanted.audio, video: nil, &turn, restart: true)
    }
    try town.gateway.setRemote(offer: offer)
    let answer = try town.turn(.gateway) { (gateway, turn) throws(PeerRefusal) in
      try gateway.createAnswer(audio: gateway.offered(.audio), video: nil, &turn)
    }
    #expect(town.gateway.localCredentials != before)
    #expect(town.gateway.isReady)
    #expect(talk(town).toBrowser == 50)
    try town.turn(.browser) { (browser, turn) throws(PeerRefusal) in
      try browser.setRemote(answer: answer, &turn)
    }
    town.turn(.browser) { browser, turn in browser.gather(&turn) }
    town.run(for: .seconds(2))
    #expect(talk(town, from: 100) == (50, 50))
    // No second handshake.
    #expect(town.events[.gateway]!.filter { $0 == .connected }.count == 1)
  }

  @Test func aFragmentCarriesCandidatesOrAsksForARestart() throws {
    let town = PeerTown()
    try town.browserCalls()
    town.run { $0.isConnected }
    var fragment = TrickleFragment()
    fragment.session.fragment = town.browser.localCredentials.fragmentText
    fragment.session.password = town.browser.localCredentials.passwordText
    try town.turn(.gateway) { (gateway, turn) throws(PeerRefusal) in try gateway.apply(fragment, &turn) }
    fragment.session.fragment = "another1"
    #expect(throws: PeerRefusal.staleFragment) {
      try town.turn(.gateway) { (gateway, turn) throws(PeerRefusal) in try gateway.apply(fragment, &turn) }
    }
    let before = town.gateway.localCredentials
    let answer = try town.turn(.gateway) { (gateway, turn) throws(PeerRefusal) in
      try gateway.restart(by: fragment, &turn)
    }
    #expect(answer.credentials == town.gateway.localCredentials)
    #expect(answer.credentials != before)
    #expect(answer.isLite)
    #expect(answer.candidates.map(\.endpoint) == [PeerTown.gatewayAddress])
    #expect(town.gateway.isReady)
  }
}
