import Testing
import Wire

@testable import SIP

@Suite struct AgentResolutionTests {
  static func options(_ desk: Desk, to uri: String, route: [String] = []) -> (TransactionID, [Desk.Sent]) {
    var id = TransactionID(.none)
    let sent = desk.turn { agent, turn in
      let own = NameAddress(URI(user: "qualify", host: "vestibule.local"))
      id = agent.send(
        OutgoingRequest(.options, from: own, to: NameAddress(URI(uri)!)),
        to: Destination(uri: URI(uri)!, route: route), &turn)
    }
    return (id, sent)
  }

  static func query(_ desk: Desk) -> (UInt64, NameQuery)? {
    for case .resolve(let ticket, let query) in desk.take() { return (ticket, query) }
    return nil
  }

  @Test func aNumericHostIsTakenAtOnce() {
    let desk = Desk()
    let (id, sent) = Self.options(desk, to: "sip:401@192.0.2.100:5080")
    #expect(sent[0].flow.remote == Endpoint(Desk.peer.address, port: 5080))
    #expect(sent[0].flow.socket == Desk.udpSocket)
    desk.respond(to: sent[0], 200)
    guard case .response(id, _)? = desk.take().first else {
      Issue.record("no response")
      return
    }
    #expect(desk.agent.census == AgentCensus())
    let (_, tls) = Self.options(desk, to: "sips:401@192.0.2.100")
    #expect(tls[0].flow.transport == .tls && tls[0].flow.remote.port == 5061 && tls[0].flow.socket == .none)
  }

  @Test func theFirstRouteIsTheNextHop() {
    let desk = Desk()
    let (_, sent) = Self.options(
      desk, to: "sip:401@far.example", route: ["<sip:192.0.2.9:5070;transport=tcp;lr>"])
    #expect(sent[0].flow.remote == Endpoint(IPAddress(v4: 0xC000_0209), port: 5070))
    #expect(sent[0].flow.transport == .tcp)
    #expect(sent[0].message.values(.route) == ["<sip:192.0.2.9:5070;transport=tcp;lr>"])
    #expect(sent[0].message.requestURI?.host == "far.example")
  }

  @Test func servicesThenAddressesThenTheNextOneOnFailure() throws {
    let desk = Desk()
    let (id, none) = Self.options(desk, to: "sip:401@sip.example.net;transport=tcp")
    #expect(none.isEmpty)
    let first = try #require(Self.query(desk))
    #expect(first.1 == .service(name: "_sip._tcp.sip.example.net"))
    desk.turn {
      $0.resolved(
        first.0,
        [
          .service(host: "b.example.net", port: 5082, priority: 20, weight: 0),
          .service(host: "a.example.net", port: 5081, priority: 10, weight: 0),
        ], &$1)
    }
    let second = try #require(Self.query(desk))
    #expect(second.1 == .addresses(host: "a.example.net"))
    desk.turn { $0.resolved(second.0, [.address(IPAddress(v4: 0xC000_020A))], &$1) }
    let third = try #require(Self.query(desk))
    #expect(third.1 == .addresses(host: "b.example.net"))
    let sent = desk.turn { $0.resolved(third.0, [.address(IPAddress(v4: 0xC000_020B))], &$1) }
    #expect(sent[0].flow.remote == Endpoint(IPAddress(v4: 0xC000_020A), port: 5081))
    let next = desk.turn { $0.undeliverable(token: sent[0].token, &$1) }
    #expect(next[0].flow.remote == Endpoint(IPAddress(v4: 0xC000_020B), port: 5082))
    #expect(next[0].message.branch != sent[0].message.branch)
    #expect(next[0].message.callID == sent[0].message.callID)
    desk.turn { $0.undeliverable(token: next[0].token, &$1) }
    guard case .unanswered(id, .transport)? = desk.take().first else {
      Issue.record("not told")
      return
    }
    #expect(desk.agent.census == AgentCensus())
    desk.turn { $0.undeliverable(token: next[0].token, &$1) }
    #expect(desk.take().isEmpty)
  }

  @Test func withoutServicesTheNameItselfAndAfterSilenceTheNextAddress() throws {
    let desk = Desk()
    let (_, _) = Self.options(desk, to: "sip:401@sip.example.net")
    let first = try #require(Self.query(desk))
    desk.turn { $0.resolved(first.0, [], &$1) }
    let second = try #require(Self.query(desk))
    #expect(second.1 == .addresses(host: "sip.example.net"))
    let sent = desk.turn {
      $0.resolved(
        second.0, [.address(IPAddress(v4: 0xC000_020A)), .address(IPAddress(v4: 0xC000_020B))], &$1)
    }
    #expect(sent[0].flow.remote == Endpoint(IPAddress(v4: 0xC000_020A), port: 5060))
    let later = desk.wait(.seconds(33))
    #expect(later.last?.flow.remote == Endpoint(IPAddress(v4: 0xC000_020B), port: 5060))
    #expect(desk.take().isEmpty)
    desk.wait(.seconds(33))
    #expect(desk.take().words == ["unanswered timeout"])
  }

  @Test func aNameWithoutAddressAndANameWithoutAnswerAreBothTold() throws {
    let desk = Desk()
    _ = Self.options(desk, to: "sip:401@gone.example:5060")
    let query = try #require(Self.query(desk))
    desk.turn { $0.resolved(query.0, [], &$1) }
    desk.wait(.milliseconds(10))
    #expect(desk.take().words == ["unanswered unresolved"])
    _ = Self.options(desk, to: "sip:401@slow.example:5060")
    let late = try #require(Self.query(desk))
    desk.wait(.seconds(33))
    #expect(desk.take().words == ["unanswered unresolved"])
    desk.turn { $0.resolved(late.0, [.address(IPAddress(v4: 0xC000_020A))], &$1) }
    #expect(desk.agent.census == AgentCensus())
    // A scheme or transport that we do not speak.
    _ = Self.options(desk, to: "sip:401@x.example;transport=sctp")
    desk.wait(.milliseconds(10))
    #expect(desk.take().words == ["unanswered unresolved"])
    #expect(desk.agent.census == AgentCensus())
  }

  @Test func aCallCancelledWhileItsNameIsLookedUpIsGone() throws {
    let desk = Desk()
    var id = SessionID(.none)
    desk.turn { agent, turn in
      id = agent.invite(
        OutgoingInvitation(
          from: NameAddress(URI(user: "a", host: "vestibule.local")),
          to: NameAddress(URI("sip:b@sip.example.net")!),
          destination: Destination(uri: URI("sip:b@sip.example.net")!), body: ourSDP), &turn)
    }
    #expect(desk.turn { $0.cancel(id, &$1) }.isEmpty)
    #expect(desk.take().words == ["resolve", "refused 487"])
    #expect(desk.agent.census == AgentCensus())
  }

  @Test func weightsDrawAmongEqualPriorities() {
    var random = Random(seed: 3)
    var first: [String: Int] = [:]
    for _ in 0..<1000 {
      var resolution = Resolution(host: "x.example", port: nil, transport: .udp)
      resolution.receive(
        [
          .service(host: "light.example", port: 1, priority: 1, weight: 10),
          .service(host: "heavy.example", port: 2, priority: 1, weight: 90),
          .service(host: ".", port: 3, priority: 0, weight: 0),
        ], &random)
      if case .addresses(let host)? = resolution.query { first[host, default: 0] += 1 }
    }
    #expect((850...960).contains(first["heavy.example"] ?? 0))
    #expect(first["light.example", default: 0] + first["heavy.example", default: 0] == 1000)
  }
}
