import ICE
import SimulatedHomes
import Testing
import Wire

/// Leases that lie ready before a call, go over to its session, and are given back after it.
struct LentRelayTests {
  /// A keeper with a lease, behind a translator that only a relay gets through.
  static func keeper(_ network: VirtualNetwork, _ server: RelayServer) -> Player {
    let keeper = Player(
      "keeper", network, at: ["10.0.0.1:1000"], behind: network.translator(.symmetric, "192.0.2.1"), .full,
      .controlled, servers: [server.turn])
    keeper.step { $0.gather(&$1) }
    network.run(1000)
    return keeper
  }

  static func talk(seed: UInt64) -> (network: VirtualNetwork, server: RelayServer, a: Player, b: Player) {
    let network = VirtualNetwork(seed: seed)
    let server = RelayServer(network, "203.0.113.1")
    let keeper = Self.keeper(network, server)
    #expect(keeper.agent.hasRelay && keeper.agent.isQuiet)
    var relays: [ICERelay] = []
    keeper.step { agent, turn in relays = agent.takeRelays(&turn) }
    #expect(relays.map(\.local) == [endpoint("10.0.0.1:1000")] && !keeper.agent.hasRelay)
    #expect(server.leases.count == 1, "taken over, not given back")
    network.stations.removeAll { $0 === keeper }
    let a = Player(
      "A", network, at: ["10.0.0.1:1000"], behind: keeper.translator, .full, .controlled
    ) { configuration in
      configuration.relays = relays
      configuration.relayGrace = nil
    }
    let b = Player(
      "B", network, at: ["10.9.0.1:2000"], behind: network.translator(.symmetric, "192.0.2.2"), .full,
      .controlling, servers: [server.stun])
    return (network, server, a, b)
  }

  @Test func theSessionOffersTheLeaseAtOnceAndTalksThroughIt() throws {
    let (network, server, a, b) = Self.talk(seed: 1)
    #expect(a.agent.localDescription.candidates.map(\.kind) == [.host, .relayed])
    let asked = server.requests
    network.introduce(a, b)
    network.run(5000)
    expectTalk(a, b, network)
    #expect(a.agent.selected?.flow.remote == server.endpoint)
    #expect(
      !a.events.contains { if case .candidate = $0.1 { true } else { false } }, "all stood in the offer")
    #expect(server.leases.count == 1 && server.requests > asked)
    // An hour, and a new nonce on the way.
    for minute in 0..<60 {
      if minute == 30 { server.nonce = "another" }
      network.run(60_000)
      expectTalk(a, b, network, "minute \(minute)")
    }
    #expect(server.leases.count == 1)
    // A restart finds it in its offer.
    RestartTests.restart(a, b, network)
    #expect(a.agent.localDescription.candidates.map(\.kind) == [.host, .relayed])
    network.run(5000)
    expectTalk(a, b, network)
  }

  @Test func aLeaseThatLiesReadyIsKeptOpenAndFresh() {
    let network = VirtualNetwork(seed: 2)
    let server = RelayServer(network, "203.0.113.1")
    var indications = 0
    network.censor = { datagram, _, to in
      if to == server.endpoint, datagram.starts(with: [0, 0x11]) { indications += 1 }
      return true
    }
    let keeper = Self.keeper(network, server)
    network.run(3_600_000)
    #expect(keeper.agent.hasRelay && server.leases.count == 1)
    // Translators forget what is idle for half a minute.
    #expect((175...182).contains(indications), "\(indications)")
  }

  @Test func aLeaseIsGivenBackAlsoToAServerWithANewNonce() {
    let (network, server, a, b) = Self.talk(seed: 3)
    network.introduce(a, b)
    network.run(5000)
    expectTalk(a, b, network)
    var relays: [ICERelay] = []
    a.step { agent, turn in relays = agent.takeRelays(&turn) }
    a.step { $0.close(&$1) }
    #expect(server.leases.count == 1 && a.agent.nextDeadline == nil)
    server.nonce = "grown old"
    network.stations.removeAll { $0 === a }
    let last = Player("last", network, at: ["10.0.0.1:1000"], behind: a.translator, .full, .controlled) {
      $0.relays = relays
    }
    last.step { $0.release(&$1) }
    #expect(!last.agent.isQuiet)
    network.run(1000)
    #expect(server.leases.isEmpty && last.agent.isQuiet && !last.agent.hasRelay)
  }

  @Test func aServerThatIsGoneDoesNotKeepTheLeaseForEver() {
    let (network, server, a, _) = Self.talk(seed: 4)
    server.isSilent = true
    a.step { $0.release(&$1) }
    network.run(60_000)
    #expect(a.agent.isQuiet && !a.agent.hasRelay && a.agent.nextDeadline == nil)
  }
}
