import ICE
import SimulatedHomes
import Testing
import Wire

/// Two agents, a server and a hostile stranger, in any order of operations.
struct RandomTests {
  /// Beside the first ones every tenth, and those that once found something: two questions for one lease under way, a
  /// question to take a lease back that was repeated and took the next.
  @Test func whateverHappensTheBoundsHold() {
    for seed in 0..<60 as Range<UInt64> { Self.story(seed) }
    for seed in stride(from: 62 as UInt64, to: 1000, by: 10) { Self.story(seed) }
    for seed in [230, 805, 1470, 1771, 3028] as [UInt64] { Self.story(seed) }
  }

  static func story(_ seed: UInt64) {
    var dice = Random(seed: seed &* 31 + 7)
    let network = VirtualNetwork(seed: seed)
    network.loss = dice.below(300)
    network.jitter = .milliseconds(Int64(dice.below(100)))
    let server = RelayServer(network, "203.0.113.1")
    let kinds = TranslatorKind.allCases
    func home(_ outside: String) -> Translator? {
      dice.below(3) == 0 ? nil : network.translator(kinds[Int(dice.below(4))], outside)
    }
    let modes: [(ICEMode, ICEMode)] = [(.full, .full), (.full, .full), (.full, .lite), (.lite, .full)]
    let mode = modes[Int(dice.below(4))]
    let a = Player(
      "A", network, at: ["10.0.0.1:1000", "[2001:db8::1]:1000"], behind: home("192.0.2.1"), mode.0,
      dice.below(2) == 0 ? .controlling : .controlled, servers: [server.turn, server.stun])
    let b = Player(
      "B", network, at: ["10.9.0.1:2000", "[2001:db8::2]:1000"], behind: home("192.0.2.2"), mode.1,
      dice.below(2) == 0 ? .controlling : .controlled, servers: [server.turn])
    var seen: [[UInt8]] = []
    network.censor = { datagram, _, _ in
      if seen.count < 64 { seen.append(datagram) } else { seen[Int(network.sent % 64)] = datagram }
      return true
    }
    network.introduce(a, b)
    for _ in 0..<60 {
      let player = dice.below(2) == 0 ? a : b
      switch dice.below(12) {
      case 0..<5: network.run(Int64(dice.below(2000)))
      case 5: network.run(Int64(dice.below(40_000)))
      case 6: RestartTests.restart(a, b, network)
      case 7: player.translator?.forget()
      case 8: player.step { $0.restart(&$1) }
      case 9: server.nonce = "n\(dice.next())"
      case 10:
        // What was heard on the wire, changed a little, from anywhere.
        guard var old = seen.isEmpty ? nil : seen[Int(dice.below(UInt64(seen.count)))], !old.isEmpty else {
          break
        }
        if dice.below(2) == 0 { old[Int(dice.below(UInt64(old.count)))] ^= UInt8(1 << dice.below(8)) }
        let stranger = Endpoint(IPAddress(v4: 0xC000_0263), port: UInt16(dice.below(9) + 1))
        let flow = Flow(
          .udp, local: player.agent.configuration.bases[0].local,
          remote: dice.below(2) == 0 ? stranger : server.endpoint,
          socket: player.agent.configuration.bases[0].socket)
        player.step { agent, turn in
          if case .payload = agent.receive(old, on: flow, &turn) {
            #expect(flow.remote == server.endpoint || agent.isValidated(flow), "seed \(seed)")
          }
        }
      default: player.say([128, 0, 1, 2])
      }
      for one in [a, b] {
        let agent = one.agent
        #expect((agent.selected != nil) == agent.isConnected || agent.selected == nil, "seed \(seed)")
        if let path = agent.selected, path.relayed == nil {
          #expect(agent.isValidated(path.flow), "seed \(seed)")
        }
      }
    }
    // Whatever it was, a restart in calm weather mends it where a way exists.
    (network.loss, network.jitter) = (0, .zero)
    server.nonce = "calm"
    for player in [a, b] where player.agent.selected == nil { player.translator?.forget() }
    network.run(120_000)
    RestartTests.restart(a, b, network)
    network.run(20_000)
    let canMeet = mode.0 == .full && mode.1 == .full || (mode.0 == .lite ? a : b).translator == nil
    if canMeet {
      #expect(a.agent.isConnected && b.agent.isConnected, "seed \(seed)")
      if a.agent.isConnected, b.agent.isConnected { expectTalk(a, b, network, "seed \(seed)") }
    }
    for player in [a, b] { player.step { $0.close(&$1) } }
    network.run(5000)
    #expect(a.agent.nextDeadline == nil && b.agent.nextDeadline == nil, "seed \(seed)")
  }
}
