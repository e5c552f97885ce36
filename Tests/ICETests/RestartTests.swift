import ICE
import SimulatedHomes
import Testing
import Wire

/// A peer moved, or something went wrong: new credentials, and nothing lost meanwhile.
struct RestartTests {
  /// Both restart, as an offer and its answer make them.
  static func restart(_ a: Player, _ b: Player, _ network: VirtualNetwork) {
    a.step { $0.restart(&$1) }
    let offer = a.agent.localDescription
    network.later(network.signalling) {
      b.step { agent, turn in
        agent.restart(&turn)
        agent.setRemote(offer, &turn)
      }
      let answer = b.agent.localDescription
      network.later(network.signalling) { a.step { $0.setRemote(answer, &$1) } }
      b.step { $0.gather(&$1) }
    }
    // What is found at once is told after the offer.
    a.step { $0.gather(&$1) }
  }

  static func pair(_ modes: (ICEMode, ICEMode), seed: UInt64 = 1) -> (VirtualNetwork, Player, Player) {
    let network = VirtualNetwork(seed: seed)
    let server = RelayServer(network, "203.0.113.1")
    let a = Player(
      "A", network, at: ["10.0.0.1:1000"], behind: network.translator(.portRestricted, "192.0.2.1"), modes.0,
      .controlling, servers: [server.stun])
    let b = Player("B", network, at: ["198.51.100.2:2000"], modes.1, .controlled)
    network.introduce(a, b)
    network.run(2000)
    return (network, a, b)
  }

  @Test(arguments: [ICEMode.full, .lite])
  func mediaFlowsAllThroughARestart(_ mode: ICEMode) {
    let (network, a, b) = Self.pair((.full, mode))
    let before = (a.agent.credentials, b.agent.credentials)
    (a.payloads, b.payloads) = ([], [])
    Self.restart(a, b, network)
    for _ in 0..<100 {
      a.say([128, 0, 1])
      b.say([128, 0, 2])
      network.run(20)
    }
    network.run(500)
    #expect(a.payloads.count == 100 && b.payloads.count == 100)
    #expect(a.agent.credentials != before.0 && b.agent.credentials != before.1)
    #expect(!a.told(.disconnected) && !b.told(.disconnected))
    // The new credentials carry it on for as long as it likes.
    network.run(120_000)
    expectTalk(a, b, network)
    #expect(!a.told(.disconnected) && !b.told(.disconnected))
  }

  @Test(arguments: [ICEMode.full, .lite])
  func aPeerWhoseNetworkChangedIsFoundAgain(_ mode: ICEMode) {
    let (network, a, b) = Self.pair((.full, mode))
    let old = b.agent.selected
    a.translator?.forget()
    // Its packets come from another port now, and those of the other side go nowhere.
    Self.restart(a, b, network)
    network.run(3000)
    expectTalk(a, b, network)
    #expect(b.agent.selected != old)
    network.run(60_000)
    expectTalk(a, b, network)
  }

  /// A translator that forgets gives the peer another port and tells nobody. Chromium would nominate anew with every
  /// check; Firefox and we do not.
  @Test func aLiteAgentFollowsAPeerThatComesFromAnotherPort() {
    let (network, a, b) = Self.pair((.full, .lite))
    let old = b.agent.selected
    a.translator?.forget()
    for _ in 0..<600 {
      a.say([128, 0, 1])
      network.run(20)
    }
    #expect(b.agent.selected != old)
    expectTalk(a, b, network)
    network.run(60_000)
    expectTalk(a, b, network)
  }

  @Test(arguments: [ICEMode.full, .lite])
  func aRestartAfterTheEndBeginsAnew(_ mode: ICEMode) {
    let (network, a, b) = Self.pair((.full, mode))
    network.loss = 1000
    network.run(60_000)
    #expect(a.told(.consentLost) && b.told(.consentLost))
    network.loss = 0
    Self.restart(a, b, network)
    network.run(3000)
    expectTalk(a, b, network)
  }

  @Test(arguments: [ICEMode.full, .lite])
  func aRestartInTheLastMomentOutlivesTheOldPath(_ mode: ICEMode) {
    let (network, a, b) = Self.pair((.full, mode))
    network.loss = 1000
    network.run(24_000)
    #expect(a.told(.disconnected) && b.told(.disconnected))
    Self.restart(a, b, network)
    network.run(15_000)
    #expect(!a.told(.consentLost) && !b.told(.consentLost))
    #expect(a.agent.selected == nil && b.agent.selected == nil)
    network.loss = 0
    network.run(10_000)
    expectTalk(a, b, network)
  }

  @Test(arguments: [ICEMode.full, .lite])
  func aRestartThatComesToNothingEnds(_ mode: ICEMode) {
    let (network, a, b) = Self.pair((.full, mode))
    network.loss = 1000
    network.run(24_000)
    Self.restart(a, b, network)
    network.run(100_000)
    for player in [a, b] {
      #expect(player.told(.failed) && player.agent.selected == nil && player.agent.nextDeadline == nil)
    }
  }

  @Test func aFailedRestartKeepsTheOldPath() {
    let (network, a, b) = Self.pair((.full, .full))
    // The answer's candidates and credentials are of another world.
    a.step { $0.restart(&$1) }
    b.step { $0.restart(&$1) }
    let stranger = ICECredentials(
      fragment: "strange!".replacing("!", with: "r"), password: String(repeating: "x", count: 22))!
    for player in [a, b] {
      player.step { agent, turn in
        agent.gather(&turn)
        agent.setRemote(ICEDescription(credentials: stranger, isComplete: true), &turn)
      }
    }
    network.run(60_000)
    #expect(a.count(.restartFailed) == 1 && !a.told(.failed) && !a.told(.consentLost))
    expectTalk(a, b, network)
  }

  @Test func restartsInARowKeepTheOldPath() {
    let (network, a, b) = Self.pair((.full, .full))
    for _ in 0..<5 {
      a.step { $0.restart(&$1) }
      network.run(1000)
      b.step { $0.restart(&$1) }
      network.run(1000)
      expectTalk(a, b, network)
    }
    network.run(60_000)
    expectTalk(a, b, network)
    Self.restart(a, b, network)
    network.run(3000)
    expectTalk(a, b, network)
    #expect(!a.told(.consentLost))
  }

  @Test func otherCredentialsWithoutARestartAreNotBelieved() {
    let (network, a, b) = Self.pair((.full, .full))
    let stranger = ICECredentials(fragment: "stranger", password: String(repeating: "x", count: 22))!
    let refused = b.agent.counters.refused
    b.step { $0.setRemote(ICEDescription(credentials: stranger), &$1) }
    #expect(b.agent.counters.refused == refused + 1)
    network.run(60_000)
    expectTalk(a, b, network)
  }

  /// The same for a full agent, in either role: it finds the peer by its checks, and its consent goes with it.
  @Test(arguments: [ICERole.controlling, .controlled])
  func aFullAgentFollowsAPeerThatComesFromAnotherPort(_ role: ICERole) {
    let network = VirtualNetwork(seed: 5)
    let server = RelayServer(network, "203.0.113.1")
    let a = Player(
      "A", network, at: ["10.0.0.1:1000"], behind: network.translator(.portRestricted, "192.0.2.1"), .full,
      role == .controlling ? .controlled : .controlling, servers: [server.stun])
    let b = Player("B", network, at: ["198.51.100.2:2000"], .full, role)
    network.introduce(a, b)
    network.run(5000)
    expectTalk(a, b, network)
    for _ in 0..<3 {
      let old = b.agent.selected
      a.translator?.forget()
      b.payloads = []
      a.payloads = []
      for _ in 0..<500 {
        a.say([128, 0, 1])
        b.say([128, 0, 2])
        network.run(20)
      }
      #expect(b.agent.selected != old)
      // Away for as long as a consent check and the silence take, not longer.
      #expect(a.payloads.count > 50, "\(a.payloads.count)")
      expectTalk(a, b, network)
      network.run(60_000)
      expectTalk(a, b, network)
    }
    #expect(!a.told(.consentLost) && !b.told(.consentLost) && !b.told(.failed))
  }

  /// A selected pair that is merely quiet stays: nothing is followed while its consent is answered.
  @Test func aQuietPathIsNotLeft() {
    let network = VirtualNetwork(seed: 6)
    let a = Player("A", network, at: ["10.0.0.1:1000", "10.0.0.2:1000"], .full, .controlling)
    let b = Player("B", network, at: ["10.0.0.9:2000"], .full, .controlled)
    network.introduce(a, b)
    network.run(5000)
    let selected = (a.agent.selected, b.agent.selected)
    for _ in 0..<10 {
      network.run(60_000)
      #expect(a.agent.selected == selected.0 && b.agent.selected == selected.1)
    }
  }
}
