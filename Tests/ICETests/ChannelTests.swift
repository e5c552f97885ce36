import Testing
import Wire

@testable import ICE

/// The numbers under which a relay carries what goes to a peer.
struct ChannelTests {
  @Test func aRefusedChannelsNumberIsNoReasonToGiveAnotherTwice() throws {
    var turn = turn(at: 0)
    let local = endpoint("10.0.0.1:1000")
    let base = ICEBase(
      .udp, local: local, socket: SocketID(Handle(index: 0, generation: 1)), asksServers: true)
    let server = ICEServer(turn: endpoint("203.0.113.1:3478"), username: "a", password: "b")
    var agent = ICEAgent(
      ICEConfiguration(.full, role: .controlling, bases: [base], servers: [server]), &turn)
    agent.gather(&turn)
    agent.allocations[0].state = .granted
    let flow = agent.allocations[0].flow
    let peers = (1...4).map { endpoint("198.51.100.\($0):5000") }
    for peer in peers[..<3] { agent.bindChannel(flow, peer) }
    #expect(agent.allocations[0].channels.map(\.number) == [0x4000, 0x4001, 0x4002])
    for place in [1, 2] { agent.allocations[0].channels[place].isBound = true }
    agent.relayRefused(0, .bind(peers[0]), &turn)
    agent.bindChannel(flow, peers[3])
    #expect(agent.allocations[0].channels.map(\.number) == [0x4001, 0x4002, 0x4003])
    for channel in agent.allocations[0].channels {
      #expect(agent.allocations[0].peer(of: channel.number) == channel.peer)
    }
  }
}
