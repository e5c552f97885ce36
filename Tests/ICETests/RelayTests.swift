import ICE
import SimulatedHomes
import Testing
import Wire

/// The relay's client against a small server.
struct RelayTests {
  /// Two homes that only a relay joins.
  static func homes(_ seed: UInt64, prepare: (RelayServer) -> Void = { _ in })
    -> (VirtualNetwork, RelayServer, Player, Player)
  {
    let network = VirtualNetwork(seed: seed)
    let server = RelayServer(network, "203.0.113.1")
    prepare(server)
    let a = Player(
      "A", network, at: ["10.0.0.1:1000"], behind: network.translator(.symmetric, "192.0.2.1"), .full,
      .controlling,
      servers: [server.turn])
    let b = Player(
      "B", network, at: ["10.9.0.1:2000"], behind: network.translator(.symmetric, "192.0.2.2"), .full,
      .controlled, servers: [server.stun])
    network.introduce(a, b)
    return (network, server, a, b)
  }

  @Test func oneRelayIsEnoughAndItsChannelIsUsed() throws {
    let (network, server, a, b) = Self.homes(1)
    network.run(5000)
    expectTalk(a, b, network)
    let path = try #require(a.agent.selected)
    #expect(path.relayed?.address == b.translator?.outside && path.flow.remote == server.endpoint)
    #expect(path.channel == 0x4000)
    let before = server.channelMessages
    a.say([128, 0, 0, 0])
    network.run(100)
    #expect(server.channelMessages == before + 1)
    #expect(a.events.contains { $0.1 == .selected(path) })
    // The owner may write the channel's head itself.
    let head: [UInt8] = [0x40, 0, 0, 5]
    b.payloads = []
    network.send(
      head + [128, 0, 7, 7, 7], from: path.flow.local, to: path.flow.remote, through: a.translator)
    network.run(100)
    #expect(b.payloads == [[128, 0, 7, 7, 7]])
  }

  @Test func aLongCallKeepsItsLeasePermissionsAndChannel() {
    let (network, server, a, b) = Self.homes(2)
    for _ in 0..<60 {
      network.run(60_000)
      expectTalk(a, b, network)
    }
    #expect(server.leases.count == 1 && !a.told(.disconnected))
    // An hour: a refresh each 9 minutes, a permission each 4, a channel each 9, and what was needed to begin.
    #expect((25...35).contains(server.requests), "\(server.requests)")
  }

  @Test func aNonceThatGrewOldIsReplaced() {
    let (network, server, a, b) = Self.homes(3)
    network.run(5000)
    for number in 2..<12 {
      server.nonce = "nonce-\(number)"
      network.run(600_000)
      expectTalk(a, b, network, "nonce \(number)")
    }
    #expect(server.leases.count == 1)
  }

  @Test func aShortLeaseIsRenewedInTime() {
    let (network, server, a, b) = Self.homes(4) { server in server.lifetime = 30 }
    network.run(300_000)
    expectTalk(a, b, network)
    #expect(server.leases.count == 1)
  }

  @Test func closingGivesTheLeaseBack() {
    let (network, server, a, _) = Self.homes(5)
    network.run(5000)
    #expect(server.leases.count == 1)
    a.step { $0.close(&$1) }
    network.run(1000)
    #expect(server.leases.isEmpty && a.agent.nextDeadline == nil && a.agent.selected == nil)
    let before = network.sent
    a.say([128, 0])
    #expect(network.sent == before)
  }

  @Test func aWrongPasswordEndsGatheringAndNothingElse() {
    let (network, server, a, b) = Self.homes(6) { server in server.password = "secret" }
    server.password = "another"
    network.run(3000)
    #expect(a.count(.gatheringDone) == 1 && server.leases.isEmpty)
    // The server still tells our address, and is not asked for ever.
    #expect(a.agent.localDescription.candidates.map(\.kind) == [.host, .serverReflexive])
    #expect(server.requests <= 6)
    network.run(60_000)
    #expect(a.told(.failed) && b.told(.failed))
  }

  @Test func aFullServerStillTellsOurAddress() {
    let (network, _, a, _) = Self.homes(7) { server in server.isFull = true }
    network.run(3000)
    #expect(a.agent.localDescription.candidates.map(\.kind) == [.host, .serverReflexive])
    #expect(a.told(.gatheringDone))
  }

  @Test func aSilentServerDelaysNothing() {
    let network = VirtualNetwork(seed: 8)
    let server = RelayServer(network, "203.0.113.1")
    server.isSilent = true
    let a = Player(
      "A", network, at: ["198.51.100.1:1"], .full, .controlling, servers: [server.turn, server.stun])
    let b = Player("B", network, at: ["198.51.100.2:2"], .full, .controlled, servers: [server.turn])
    network.introduce(a, b)
    network.run(1000)
    expectTalk(a, b, network)
    #expect(!a.told(.gatheringDone))
    network.run(5000)
    #expect(a.count(.gatheringDone) == 1)
  }

  @Test func aServerThatAnswersLateIsStillOfUse() {
    let (network, server, a, b) = Self.homes(9) { server in server.isSilent = true }
    network.run(6000)
    #expect(a.told(.gatheringDone))
    server.isSilent = false
    network.run(15_000)
    expectTalk(a, b, network)
  }

  @Test func aRestartKeepsTheLease() {
    let (network, server, a, b) = Self.homes(10)
    network.run(5000)
    let lease = server.leases.first?.port
    RestartTests.restart(a, b, network)
    network.run(5000)
    expectTalk(a, b, network)
    #expect(server.leases.map(\.port) == [lease])
    #expect(a.agent.localDescription.candidates.contains { $0.kind == .relayed && $0.endpoint.port == lease })
  }

  @Test func aServerOfIPv6LendsItsOwnFamily() {
    let network = VirtualNetwork(seed: 11)
    let server = RelayServer(network, "2001:db8:ffff::1")
    let a = Player("A", network, at: ["[2001:db8::1]:1000"], .full, .controlling, servers: [server.turn])
    let b = Player("B", network, at: ["[2001:db8::2]:2000"], .full, .controlled)
    // They cannot reach one another directly.
    network.censor = { _, from, to in !(from.address.high == to.address.high && from.address != to.address) }
    network.introduce(a, b)
    network.run(5000)
    expectTalk(a, b, network)
    #expect(a.agent.selected?.relayed == endpoint("[2001:db8::2]:2000"))
  }

  @Test func whatTheRelayCarriesFromStrangersIsIgnored() throws {
    let (network, server, a, b) = Self.homes(12)
    network.run(5000)
    let lease = try #require(server.leases.first)
    a.payloads = []
    // The stranger shares the peer's address, so the relay lets it through; its port is not the peer's.
    let relayed = Endpoint(server.address, port: lease.port)
    let outside = try #require(b.translator?.outside)
    for payload: [UInt8] in [[128, 0, 1, 2], [22, 254, 253], [64, 0, 0, 0], [], [0], STUNTests.request] {
      network.send(payload, from: Endpoint(outside, port: 4), to: relayed, through: nil)
      // Nor may anyone speak as the server from another port of it.
      network.send(
        [0x40, 0, 0, 2, 128, 0], from: Endpoint(server.address, port: 9), to: endpoint("10.0.0.1:1000"),
        through: a.translator)
    }
    network.run(500)
    #expect(a.payloads.isEmpty)
    expectTalk(a, b, network)
  }

  @Test func brokenFramesOfTheRelayAreIgnored() throws {
    let (network, _, a, b) = Self.homes(13)
    network.run(5000)
    let path = try #require(a.agent.selected)
    a.payloads = []
    for frame in [
      bytes("40000005 80"), bytes("4001 0001 80"), bytes("40"), bytes("4000"), bytes("40000000"),
      bytes("4fff0000"),
      bytes("00170000 2112a442 00000000 00000000 00000000"),
      bytes("00170008 2112a442 00000000 00000000 00000000 00130002 80000000"),
      bytes("00160000 2112a442 00000000 00000000 00000000"),
      bytes("01030000 2112a442 00000007 00000000 00000000"),
    ] {
      let flow = path.flow
      a.step { agent, turn in #expect(agent.receive(frame, on: flow, &turn) == .ignored) }
    }
    #expect(a.payloads.isEmpty)
    expectTalk(a, b, network)
  }
}

/// A lease that one side forgot.
struct LostLeaseTests {
  @Test func aLeaseThatTheServerForgotIsAskedForAnew() {
    let (network, server, a, b) = RelayTests.homes(20)
    network.run(5000)
    server.leases.removeAll()
    RestartTests.restart(a, b, network)
    network.run(5000)
    expectTalk(a, b, network)
    #expect(server.leases.count == 1)
  }

  @Test func aNewPortOfTheTranslatorGetsANewLease() {
    let (network, server, a, b) = RelayTests.homes(21)
    network.run(5000)
    a.translator?.forget()
    b.translator?.forget()
    RestartTests.restart(a, b, network)
    network.run(8000)
    expectTalk(a, b, network)
    #expect(server.leases.count == 2)
  }

  @Test func aLeaseThatWeForgotIsReclaimed() {
    let network = VirtualNetwork(seed: 22)
    let server = RelayServer(network, "203.0.113.1")
    server.leases.append(
      RelayServer.Lease(
        client: endpoint("198.51.100.1:1000"), port: 999, expires: at(600_000),
        transaction: STUNTransactionID(high: 0, low: 0)))
    let a = Player("A", network, at: ["198.51.100.1:1000"], .full, .controlling, servers: [server.turn])
    a.step { $0.gather(&$1) }
    network.run(2000)
    #expect(server.leases.count == 1 && server.leases.first?.port != 999)
    #expect(a.agent.localDescription.candidates.map(\.kind) == [.host, .relayed])
  }
}
