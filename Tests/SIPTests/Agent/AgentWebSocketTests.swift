import Testing
import Wire

@testable import SIP

/// What browsers do that speak SIP over WebSocket (RFC 7118): names that lead nowhere, no rport, one connection for
/// everything.
@Suite struct AgentWebSocketTests {
  private static let second = SocketID(Handle(index: 11, generation: 1))
  private static let contact = URI("sip:k3fj29aa@df7jal23ls0d.invalid;transport=ws")!

  private static func flow(_ socket: SocketID = Desk.streamSocket) -> Flow {
    Desk.flow(.wss, from: Endpoint(Desk.peer.address, port: 50_000), socket: socket)
  }

  /// A browser calls 401 and is answered.
  private func answered(_ desk: Desk) throws -> (SessionID, String) {
    let invite =
      "INVITE sip:401@vestibule.local SIP/2.0\nVia: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bKw1\n"
      + "From: <sip:alice@vestibule.local>;tag=7001\nTo: <sip:401@vestibule.local>\nCall-ID: 1a2b\n"
      + "CSeq: 20 INVITE\nContact: <\(AgentWebSocketTests.contact);ob>\nMax-Forwards: 69\n"
      + "Allow: INVITE,ACK,CANCEL,BYE,UPDATE,MESSAGE,OPTIONS,REFER,INFO,NOTIFY,SUBSCRIBE\n"
      + "Session-Expires: 90\nSupported: timer,ice,replaces,outbound\n"
      + "Content-Type: application/sdp\n\n\(Station.sdp)"
    let trying = desk.receive(invite, on: Self.flow())
    #expect(trying.map(\.flow) == [Self.flow()])
    #expect(trying[0].text.contains("Via: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bKw1"))
    let id = try #require(desk.take().first?.session)
    let sent = desk.turn { $0.answer(id, body: ourSDP, &$1) }
    let tag = try #require(sent.first?.message.toTag)
    #expect(sent[0].message.contacts.first?.uri.parameters["transport"] == "ws")
    desk.receive(request("ACK", 20, tag), on: Self.flow())
    #expect(desk.take().words == ["confirmed"])
    return (id, tag)
  }

  private func request(_ method: String, _ cseq: Int, _ tag: String, extra: String = "") -> String {
    "\(method) sip:401@192.0.2.1:5060;transport=ws SIP/2.0\nVia: SIP/2.0/WSS df7jal23ls0d.invalid;"
      + "branch=z9hG4bK\(method)\(cseq)\nFrom: <sip:alice@vestibule.local>;tag=7001\n"
      + "To: <sip:401@vestibule.local>;tag=\(tag)\nCall-ID: 1a2b\nCSeq: \(cseq) \(method)\nMax-Forwards: 69\n"
      + extra
  }

  @Test func aBrowserIsRungOnItsConnectionOnly() throws {
    let desk = Desk()
    let (_, invite) = desk.call(flow: Self.flow())
    #expect(invite.flow == Self.flow())
    #expect(invite.text.contains("Via: SIP/2.0/WSS 192.0.2.1:5060;branch=z9hG4bK"))
    #expect(!invite.text.contains("rport"))
    #expect(invite.message.contacts.first?.uri.parameters["transport"] == "ws")
    #expect(desk.wait(.seconds(20)).isEmpty, "a stream is not repeated on")
    desk.turn { $0.connectionLost(Desk.streamSocket, &$1) }
    #expect(desk.take().words == ["refused 503"])
  }

  @Test func aRefreshWithoutBodyEveryFortyFiveSecondsKeepsTheCall() throws {
    let desk = Desk()
    let (_, tag) = try answered(desk)
    for round in 1...4 {
      desk.wait(.seconds(45))
      let sent = desk.receive(
        request(
          "UPDATE", 20 + round, tag,
          extra: "Supported: timer,ice,replaces,outbound\nSession-Expires: 90;refresher=uac\n"),
        on: Self.flow())
      #expect(sent.lines == ["200 UPDATE"])
      #expect(sent[0].message.value(.sessionExpires) == "90;refresher=uac")
      #expect(sent[0].flow == Self.flow())
    }
    #expect(desk.take().isEmpty)
  }

  @Test func aKeyComesAsInfo() throws {
    let desk = Desk()
    let (_, tag) = try answered(desk)
    desk.receive(
      request(
        "INFO", 21, tag, extra: "Content-Type: application/dtmf-relay\n\nSignal=#\nDuration=100"),
      on: Self.flow())
    #expect(desk.take().words == ["informed"])
  }

  @Test func aCallWhoseBrowserDoesNotComeBackEnds() throws {
    let desk = Desk()
    let (_, _) = try answered(desk)
    desk.turn { $0.connectionLost(Desk.streamSocket, &$1) }
    desk.wait(.seconds(9))
    #expect(desk.take().isEmpty, "it has ten seconds")
    desk.wait(.seconds(2))
    #expect(desk.take().words == ["ended transport"])
    desk.wait(.minutes(2))
    #expect(desk.agent.census == AgentCensus())
  }

  @Test func aBrowserThatSpeaksAgainKeepsItsCall() throws {
    let desk = Desk()
    let (id, tag) = try answered(desk)
    desk.turn { $0.connectionLost(Desk.streamSocket, &$1) }
    desk.wait(.seconds(5))
    let back = Self.flow(Self.second)
    #expect(desk.receive(request("UPDATE", 21, tag), on: back).lines == ["200 UPDATE"])
    desk.wait(.seconds(30))
    #expect(desk.take().isEmpty)
    let bye = desk.turn { $0.hangUp(id, &$1) }
    #expect(bye.lines == ["BYE"])
    #expect(bye[0].flow == back)
  }

  @Test func aBrowserThatRegistersItsContactAgainKeepsItsCall() throws {
    let desk = Desk()
    let (id, _) = try answered(desk)
    desk.turn { $0.connectionLost(Desk.streamSocket, &$1) }
    let back = Self.flow(Self.second)
    // Not another account, nor another contact of the same.
    desk.turn { $0.returned("mallory", contact: Self.contact, on: back, &$1) }
    desk.turn { $0.returned("alice", contact: URI("sip:other@df7jal23ls0d.invalid")!, on: back, &$1) }
    desk.wait(.seconds(5))
    desk.turn { $0.returned("alice", contact: Self.contact, on: back, &$1) }
    desk.wait(.seconds(30))
    let bye = desk.turn { $0.hangUp(id, &$1) }
    #expect(bye.map(\.flow) == [back])
  }

  @Test func strangersContactsTakeNoCallOver() throws {
    let desk = Desk()
    _ = try answered(desk)
    desk.turn { $0.connectionLost(Desk.streamSocket, &$1) }
    desk.turn { $0.returned("mallory", contact: Self.contact, on: Self.flow(Self.second), &$1) }
    desk.wait(.seconds(11))
    #expect(desk.take().words == ["ended transport"])
  }

  @Test func publishAndSubscribeAreAnsweredProperly() {
    let desk = Desk()
    func ask(_ method: String) -> [String] {
      desk.receive(
        "\(method) sip:alice@vestibule.local SIP/2.0\nVia: SIP/2.0/WSS df7jal23ls0d.invalid;"
          + "branch=z9hG4bK\(method)\nFrom: <sip:alice@vestibule.local>;tag=1\nTo: <sip:alice@vestibule.local>\n"
          + "Call-ID: \(method)\nCSeq: 1 \(method)\nMax-Forwards: 69\nEvent: presence\nExpires: 600\n",
        on: Self.flow()
      ).lines
    }
    #expect(ask("PUBLISH") == ["405 PUBLISH"])
    #expect(ask("SUBSCRIBE") == ["489 SUBSCRIBE"])
    #expect(ask("KDMQ") == ["501 KDMQ"])
  }
}
