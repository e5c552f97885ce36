import ICE
import Testing
import Wire

/// Passive TCP (RFC 6544): the peer connects, and a flow is its connection.
struct StreamTests {
  static let local = "192.0.2.1:8189"

  static func flow(_ connection: UInt32, from remote: String = "198.51.100.7:40000") -> Flow {
    Flow(
      .tcp, local: endpoint(local), remote: endpoint(remote),
      socket: SocketID(Handle(index: connection, generation: 9)))
  }

  static func agent(_ mode: ICEMode) -> (ICEAgent, Browser) {
    var start = turn(at: 0)
    let socket = SocketID(Handle(index: 0, generation: 1))
    var agent = ICEAgent(
      ICEConfiguration(
        mode,
        bases: [
          ICEBase(.udp, local: endpoint(local), socket: socket),
          ICEBase(.tcp, local: endpoint(local), socket: socket),
        ]), &start)
    var browser = Browser(of: agent)
    browser.password = agent.credentials.password
    agent.setRemote(ICEDescription(credentials: Self.theirs, isComplete: true), &start)
    #expect(start.out.isEmpty == true)
    return (agent, browser)
  }

  static let theirs = ICECredentials(fragment: "brow", password: String(repeating: "b", count: 22))!

  /// The browser's answer to a check of ours.
  static func answer(_ check: [UInt8], from: Endpoint) throws -> [UInt8] {
    let message = try STUNMessage(parsing: check)
    #expect(message.hasIntegrity(key: theirs.password, in: check))
    var writer = STUNWriter()
    writer.begin(.success, STUNMethod.binding, message.transaction)
    writer.add(STUNAttribute.xorMappedAddress, xor: from)
    writer.seal(key: theirs.password)
    return writer.bytes
  }

  @Test func passiveCandidatesAreTold() {
    let (agent, _) = Self.agent(.lite)
    #expect(
      agent.localDescription.candidates.map(\.line) == [
        "candidate:1 1 udp 2130706431 192.0.2.1 8189 typ host",
        "candidate:2 1 tcp 1671429887 192.0.2.1 8189 typ host tcptype passive",
      ])
  }

  @Test func aLiteAgentIsReachedByAConnection() {
    var (agent, browser) = Self.agent(.lite)
    let flow = Self.flow(4)
    var turn = turn(at: 10)
    #expect(agent.receive(browser.check(nominating: true), on: flow, &turn) == .consumed)
    #expect(turn.out.taken().map(\.flow) == [flow])
    #expect(agent.selected == ICEPath(flow))
    #expect(agent.receive([22, 1, 2], on: flow, &turn) == .payload(0..<3, ICEPath(flow)))
    // Another connection from the same endpoint has yet to prove itself.
    #expect(agent.receive([22, 1, 2], on: Self.flow(5), &turn) == .ignored)
    _ = agent.news()
    agent.closed(flow.socket, &turn)
    #expect(agent.selected == nil && agent.news() == [.disconnected] && agent.nextDeadline == at(30_010))
    #expect(agent.receive([22, 1, 2], on: flow, &turn) == .ignored)
    _ = agent.receive(browser.check(nominating: true), on: Self.flow(6), &turn)
    #expect(agent.news().suffix(2) == [.selected(ICEPath(Self.flow(6))), .connected])
  }

  @Test func aFullAgentChecksTheConnectionThatCame() throws {
    var (agent, browser) = Self.agent(.full)
    let flow = Self.flow(4)
    var turn = turn(at: 10)
    _ = agent.receive(browser.check(nominating: true), on: flow, &turn)
    let sent = turn.out.taken()
    #expect(sent.map(\.flow) == [flow, flow])
    let check = try #require(sent.last?.bytes)
    _ = agent.receive(try Self.answer(check, from: flow.local), on: flow, &turn)
    #expect(agent.news().contains(.connected) && agent.selected == ICEPath(flow))
    #expect(turn.out.isEmpty == true)
    agent.closed(flow.socket, &turn)
    #expect(agent.selected == nil && agent.news() == [.disconnected])
  }

  @Test func aStreamRepeatsNothing() {
    var (agent, browser) = Self.agent(.full)
    var first = turn(at: 10)
    _ = agent.receive(browser.check(), on: Self.flow(4), &first)
    #expect(first.out.taken().count == 2)
    var sent = 0
    while let deadline = agent.nextDeadline, deadline < at(40_000) {
      var turn = Turn(now: deadline, random: Random(seed: 3))
      agent.advance(&turn)
      sent += turn.out.taken().count
      precondition(agent.nextDeadline.map { $0 > deadline } ?? true, "time stands still")
    }
    #expect(sent == 0)
  }

  @Test func whenTheConnectionEndsUDPTakesOver() throws {
    var (agent, browser) = Self.agent(.full)
    let paths = [Self.flow(4), udp(Self.local, "198.51.100.7:5000")]
    for (number, flow) in paths.enumerated() {
      var turn = turn(at: Int64(100 * number + 10))
      _ = agent.receive(browser.check(nominating: true), on: flow, &turn)
      for check in turn.out.taken() {
        if (try STUNMessage(parsing: check.bytes)).kind == .request {
          _ = agent.receive(try Self.answer(check.bytes, from: flow.local), on: check.flow, &turn)
        }
      }
    }
    // UDP ranks above, and both were nominated.
    #expect(agent.selected == ICEPath(paths[1]))
    var turn = turn(at: 500)
    _ = agent.news()
    agent.closed(paths[0].socket, &turn)
    #expect(agent.selected == ICEPath(paths[1]) && agent.news().isEmpty)
  }
}
