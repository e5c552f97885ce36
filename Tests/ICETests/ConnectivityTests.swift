import ICE
import SimulatedHomes
import Testing
import Wire

/// Two agents mouth to mouth over a small internet.
struct ConnectivityTests {
  static func open(_ seed: UInt64, _ modes: (ICEMode, ICEMode), _ roles: (ICERole, ICERole))
    -> (VirtualNetwork, Player, Player)
  {
    let network = VirtualNetwork(seed: seed)
    let a = Player("A", network, at: ["198.51.100.1:1000"], modes.0, roles.0)
    let b = Player("B", network, at: ["198.51.100.2:2000"], modes.1, roles.1)
    network.introduce(a, b)
    return (network, a, b)
  }

  @Test func twoFullAgentsMeetInTheOpen() {
    let (network, a, b) = Self.open(1, (.full, .full), (.controlling, .controlled))
    network.run(400)
    #expect(a.agent.isConnected && b.agent.isConnected)
    #expect(a.agent.selected?.peer == b.agent.configuration.bases[0].local)
    #expect(a.count(.connected) == 1 && b.count(.connected) == 1)
    expectTalk(a, b, network)
    #expect(network.sent < 20)
  }

  @Test func aFullAgentMeetsALiteOne() {
    for roles: (ICERole, ICERole) in [(.controlling, .controlled), (.controlled, .controlled)] {
      let (network, a, b) = Self.open(2, (.full, .lite), roles)
      network.run(400)
      #expect(a.agent.role == .controlling)
      #expect(a.agent.isConnected && b.agent.isConnected)
      expectTalk(a, b, network)
    }
    let (network, a, b) = Self.open(3, (.lite, .full), (.controlled, .controlled))
    network.run(400)
    #expect(b.agent.role == .controlling && a.agent.isConnected)
    expectTalk(a, b, network)
  }

  @Test func twoLiteAgentsSayThatTheyCannotMeet() {
    let (network, a, b) = Self.open(4, (.lite, .lite), (.controlled, .controlled))
    network.run(400)
    #expect(a.told(.failed) && b.told(.failed) && !a.agent.isConnected)
  }

  @Test(arguments: [ICERole.controlling, .controlled])
  func twoOfOneRoleSettleIt(_ role: ICERole) {
    for seed in 0..<20 as Range<UInt64> {
      let (network, a, b) = Self.open(seed, (.full, .full), (role, role))
      network.run(3000)
      #expect(a.agent.role != b.agent.role)
      expectTalk(a, b, network, "seed \(seed)")
    }
  }

  /// What pairs of translators need a relay: neither side can be told an address that the other's packets pass.
  static func needsRelay(_ a: TranslatorKind, _ b: TranslatorKind) -> Bool {
    (a == .symmetric && [.portRestricted, .symmetric].contains(b))
      || (b == .symmetric && a == .portRestricted)
  }

  @Test(arguments: TranslatorKind.allCases, TranslatorKind.allCases)
  func bothBehindTranslators(_ first: TranslatorKind, _ second: TranslatorKind) {
    for usesRelay in [false, true] {
      let network = VirtualNetwork(seed: 5)
      let server = RelayServer(network, "203.0.113.1")
      let servers = [usesRelay ? server.turn : server.stun]
      let a = Player(
        "A", network, at: ["10.0.0.1:1000"], behind: network.translator(first, "192.0.2.1"), .full,
        .controlling,
        servers: servers)
      let b = Player(
        "B", network, at: ["10.9.0.1:2000"], behind: network.translator(second, "192.0.2.2"), .full,
        .controlled,
        servers: servers)
      network.introduce(a, b)
      network.run(10_000)
      let isHard = Self.needsRelay(first, second)
      #expect(a.agent.isConnected == (usesRelay || !isHard), "relay \(usesRelay)")
      guard a.agent.isConnected else { continue }
      expectTalk(a, b, network, "relay \(usesRelay)")
      if usesRelay {
        #expect(
          (server.relayed > 0 && a.agent.selected?.relayed != nil || b.agent.selected?.relayed != nil)
            == isHard)
      }
      // What no pair uses is given back.
      network.run(10_000)
      if usesRelay, !isHard { #expect(server.leases.isEmpty) }
      if usesRelay, isHard { #expect(!server.leases.isEmpty) }
    }
  }

  @Test(arguments: TranslatorKind.allCases)
  func aBrowserBehindATranslatorMeetsALiteGateway(_ kind: TranslatorKind) {
    let network = VirtualNetwork(seed: 6)
    let a = Player(
      "A", network, at: ["10.0.0.1:1000"], behind: network.translator(kind, "192.0.2.1"), .full, .controlling)
    let b = Player("B", network, at: ["198.51.100.2:8189"], .lite, .controlled)
    network.introduce(a, b)
    network.run(1000)
    expectTalk(a, b, network)
    #expect(b.agent.selected?.peer.address == a.translator?.outside)
  }

  @Test func neighboursMeetWithoutTheirTranslator() {
    let network = VirtualNetwork(seed: 7)
    let home = network.translator(.symmetric, "192.0.2.1")
    let server = RelayServer(network, "203.0.113.1")
    let a = Player(
      "A", network, at: ["10.0.0.1:1"], behind: home, .full, .controlling, servers: [server.turn])
    let b = Player("B", network, at: ["10.0.0.2:2"], behind: home, .full, .controlled, servers: [server.turn])
    network.introduce(a, b)
    network.run(3000)
    #expect(a.agent.selected?.peer == endpoint("10.0.0.2:2") && a.agent.selected?.relayed == nil)
    expectTalk(a, b, network)
  }

  @Test func agentsOfBothFamiliesMeetByIPv6() {
    let network = VirtualNetwork(seed: 8)
    let a = Player("A", network, at: ["[2001:db8::1]:1000", "198.51.100.1:1000"], .full, .controlling)
    let b = Player("B", network, at: ["[2001:db8::2]:2000", "198.51.100.2:2000"], .full, .controlled)
    network.introduce(a, b)
    network.run(2000)
    #expect(a.agent.selected?.peer == endpoint("[2001:db8::2]:2000"))
    expectTalk(a, b, network)
    // A network without IPv6: the other family is found.
    let poor = VirtualNetwork(seed: 9)
    poor.censor = { _, from, _ in from.address.isV4 }
    let c = Player("C", poor, at: ["[2001:db8::1]:1000", "198.51.100.1:1000"], .full, .controlling)
    let d = Player("D", poor, at: ["[2001:db8::2]:2000", "198.51.100.2:2000"], .full, .controlled)
    poor.introduce(c, d)
    poor.run(2000)
    #expect(c.agent.selected?.peer == endpoint("198.51.100.2:2000"))
    expectTalk(c, d, poor)
  }

  @Test func aPeerThatHidesItsAddressesIsLearnt() {
    // Browsers without a microphone tell names alone, which are passed over.
    for mode in [ICEMode.full, .lite] {
      let network = VirtualNetwork(seed: 10)
      let a = Player("A", network, at: ["198.51.100.1:1000"], .full, .controlling)
      let b = Player("B", network, at: ["198.51.100.2:2000"], mode, .controlled)
      a.other = nil
      var offer = a.agent.localDescription
      offer.candidates = []
      let answer = b.agent.localDescription
      b.step { $0.setRemote(offer, &$1) }
      a.step { $0.setRemote(answer, &$1) }
      network.run(2000)
      expectTalk(a, b, network)
    }
  }

  @Test func badLinksAreOvercome() {
    for seed in 0..<40 as Range<UInt64> {
      let network = VirtualNetwork(seed: seed)
      network.loss = 200
      network.jitter = .milliseconds(80)
      let server = RelayServer(network, "203.0.113.1")
      let kinds = TranslatorKind.allCases
      let (first, second) = (kinds[Int(seed % 4)], kinds[Int(seed / 4 % 4)])
      let a = Player(
        "A", network, at: ["10.0.0.1:1000"], behind: network.translator(first, "192.0.2.1"), .full,
        seed % 3 == 0 ? .controlled : .controlling, servers: [server.turn])
      let b = Player(
        "B", network, at: ["10.9.0.1:2000"], behind: network.translator(second, "192.0.2.2"), .full,
        seed % 5 == 0 ? .controlling : .controlled, servers: [server.turn])
      network.introduce(a, b)
      network.run(25_000)
      #expect(a.agent.isConnected && b.agent.isConnected, "seed \(seed) \(first) \(second)")
      expectTalk(a, b, network, "seed \(seed) \(first) \(second)")
    }
  }

  @Test func aWallBetweenThemIsSaid() {
    let (network, a, b) = Self.open(11, (.full, .full), (.controlling, .controlled))
    network.censor = { _, _, _ in false }
    network.run(35_000)
    for player in [a, b] {
      #expect(player.count(.failed) == 1 && !player.told(.connected))
      #expect(player.agent.nextDeadline == nil)
    }
  }

  @Test func aPeerThatDiesIsNoticed() {
    for mode in [ICEMode.full, .lite] {
      let (network, a, b) = Self.open(12, (mode, .full), (.controlled, .controlled))
      network.run(20_000)
      b.isDead = true
      let died = network.now
      network.run(100_000)
      let disconnected = a.events.first { $0.1 == .disconnected }?.0
      let lost = a.events.first { $0.1 == .consentLost }?.0
      #expect(disconnected.map { $0 - died <= .seconds(11) } == true)
      #expect(lost.map { $0 - died <= .seconds(31) && $0 - died >= .seconds(24) } == true)
      #expect(a.agent.selected == nil && a.agent.nextDeadline == nil)
      let before = network.sent
      a.say([22, 0, 0, 0])
      network.run(60_000)
      #expect(network.sent == before)
    }
  }

  @Test func aShortOutageIsSurvived() {
    let (network, a, b) = Self.open(13, (.full, .full), (.controlling, .controlled))
    network.run(10_000)
    network.loss = 1000
    network.run(18_000)
    #expect(a.told(.disconnected) && !a.told(.consentLost))
    network.loss = 0
    network.run(10_000)
    #expect(a.count(.connected) == 2 && b.count(.connected) == 2)
    expectTalk(a, b, network)
  }

  @Test func anIdleCallCostsAConsentCheckEachFiveSeconds() {
    let (network, _, _) = Self.open(14, (.full, .full), (.controlling, .controlled))
    network.run(10_000)
    let before = network.sent
    network.run(600_000)
    // Two agents, a request and an answer each.
    let perMinute = (network.sent - before) / 10
    #expect((40...56).contains(perMinute), "\(perMinute)")
  }

  @Test func oneSeedGivesOneStory() {
    func story() -> [String] {
      let network = VirtualNetwork(seed: 99)
      network.loss = 100
      network.jitter = .milliseconds(50)
      let server = RelayServer(network, "203.0.113.1")
      let a = Player(
        "A", network, at: ["10.0.0.1:1000"], behind: network.translator(.symmetric, "192.0.2.1"), .full,
        .controlling, servers: [server.turn])
      let b = Player(
        "B", network, at: ["10.9.0.1:2000"], behind: network.translator(.symmetric, "192.0.2.2"), .full,
        .controlled, servers: [server.turn])
      var trace: [String] = []
      network.censor = { datagram, from, to in
        trace.append("\(from) \(to) \(ASCII.hex(datagram))")
        return true
      }
      network.introduce(a, b)
      network.run(10_000)
      return trace
    }
    let first = story()
    #expect(first.count > 30)
    #expect(first == story())
  }
}
