import Testing
import Wire

@testable import SIP

/// What a door station of the common make sends.
enum Station {
  static let sdp =
    "v=0\no=- 1 1 IN IP4 192.0.2.100\ns=-\nc=IN IP4 192.0.2.100\nt=0 0\nm=audio 11800 RTP/AVP 8 0 101"

  static func invite(
    branch: String = "z9hG4bK1", cseq: Int = 20, toTag: String = "", extra: String = "", body: String? = sdp,
    callID: String = "1a2b@192.0.2.100", uri: String = "sip:401@192.0.2.1"
  ) -> String {
    "INVITE \(uri) SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.100:5060;rport;branch=\(branch)\n"
      + "From: \"Gate\" <sip:100@192.0.2.100:5060>;tag=7001\nTo: <sip:401@192.0.2.1>\(toTag)\n"
      + "Call-ID: \(callID)\nCSeq: \(cseq) INVITE\nContact: <sip:100@192.0.2.100:5060>\nMax-Forwards: 70\n"
      + "Allow: INVITE, INFO, PRACK, ACK, BYE, CANCEL, OPTIONS, NOTIFY, UPDATE\n" + extra
      + (body.map { "Content-Type: application/sdp\n\n\($0)" } ?? "")
  }

  static func request(
    _ method: String, branch: String, cseq: Int, toTag: String, extra: String = "",
    body: (String, String)? = nil,
    callID: String = "1a2b@192.0.2.100", fromTag: String = "7001"
  ) -> String {
    "\(method) sip:401@192.0.2.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.100:5060;rport;branch=\(branch)\n"
      + "From: \"Gate\" <sip:100@192.0.2.100:5060>;tag=\(fromTag)\nTo: <sip:401@192.0.2.1>;tag=\(toTag)\n"
      + "Call-ID: \(callID)\nCSeq: \(cseq) \(method)\nMax-Forwards: 70\n" + extra
      + (body.map { "Content-Type: \($0.0)\n\n\($0.1)" } ?? "")
  }
}

let ourSDP = Body.sdp(
  Array("v=0\r\no=- 9 9 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n".utf8))

@Suite struct AgentCalleeTests {
  /// Station calls, we answer, it acknowledges: the tag of our dialog.
  static func answered(_ desk: Desk, extra: String = "") throws -> (SessionID, String) {
    desk.receive(Station.invite(extra: extra))
    let id = try #require(desk.take().first?.session)
    let sent = desk.turn { $0.answer(id, body: ourSDP, &$1) }
    let tag = try #require(sent.first?.message.toTag)
    desk.receive(Station.request("ACK", branch: "z9hG4bKack", cseq: 20, toTag: tag))
    #expect(desk.take().words == ["confirmed"])
    return (id, tag)
  }

  @Test func aCallIsRungAnsweredAcknowledgedAndHungUp() throws {
    let desk = Desk()
    let trying = desk.receive(Station.invite())
    #expect(trying.lines == ["100 INVITE"])
    #expect(trying[0].message.toTag == nil)
    #expect(
      trying[0].text.contains(
        "Via: SIP/2.0/UDP 192.0.2.100:5060;branch=z9hG4bK1;received=192.0.2.100;rport=5060\r\n"))
    guard case .invited(let id, _, _, let identity)? = desk.take().first else {
      Issue.record("no call")
      return
    }
    #expect(identity == .account("alice", credential: 1))
    #expect(desk.turn { $0.ring(id, &$1) }.lines == ["180 INVITE"])
    // A copy of the INVITE gets the last response again.
    #expect(desk.receive(Station.invite()).lines == ["180 INVITE"])
    let answer = desk.turn { $0.answer(id, body: ourSDP, &$1) }
    #expect(answer.lines == ["200 INVITE"])
    #expect(answer[0].message.contacts.first?.uri.description == "sip:401@192.0.2.1:5060")
    #expect(answer[0].message.body == ourSDP.bytes)
    // 0.5 s, then doubling to 4 s, until the ACK; the INVITE's copies are swallowed (RFC 6026).
    #expect(desk.receive(Station.invite()).isEmpty)
    #expect(desk.wait(.milliseconds(1600)).lines == ["200 INVITE", "200 INVITE"])
    let tag = try #require(answer[0].message.toTag)
    desk.receive(Station.request("ACK", branch: "z9hG4bK2", cseq: 20, toTag: tag))
    #expect(desk.take().words == ["confirmed"])
    #expect(desk.wait(.seconds(5)).isEmpty)
    let bye = desk.receive(
      Station.request("BYE", branch: "z9hG4bK3", cseq: 21, toTag: tag, extra: "Reason: Q.850;cause=16\n"))
    #expect(bye.lines == ["200 BYE"])
    guard case .ended(_, .bye(let reason))? = desk.take().first else {
      Issue.record("no end")
      return
    }
    #expect(reason == Reason(.q850, cause: 16))
    // The copy of the BYE is answered from the transaction.
    #expect(
      desk.receive(Station.request("BYE", branch: "z9hG4bK3", cseq: 21, toTag: tag)).lines == ["200 BYE"])
    desk.wait(.seconds(40))
    #expect(desk.agent.census == AgentCensus())
    #expect(desk.take().isEmpty)
  }

  @Test func weHangUpAnAnsweredCall() throws {
    let desk = Desk()
    let (id, _) = try Self.answered(desk)
    let sent = desk.turn { $0.hangUp(id, reason: Reason(cause: 200, text: "Door opened"), &$1) }
    #expect(sent.lines == ["BYE"])
    #expect(sent[0].text.contains("Reason: SIP;cause=200;text=\"Door opened\"\r\n"))
    #expect(sent[0].message.requestURI?.description == "sip:100@192.0.2.100:5060")
    #expect(sent[0].flow.remote == Desk.peer)
    #expect(desk.take().words == ["ended hungUp"])
    // Unanswered, it is sent 10 times more in 32 s, then forgotten.
    #expect(desk.wait(.seconds(33)).count == 10)
    desk.wait(.seconds(40))
    #expect(desk.agent.census == AgentCensus())
    #expect(desk.take().isEmpty)
  }

  @Test func aCancelledCallGets487AndIsGone() {
    let desk = Desk()
    desk.receive(Station.invite())
    let cancel =
      "CANCEL sip:401@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.100:5060;rport;branch=z9hG4bK1\n"
      + "From: \"Gate\" <sip:100@192.0.2.100:5060>;tag=7001\nTo: <sip:401@192.0.2.1>\nCall-ID: 1a2b@192.0.2.100\n"
      + "CSeq: 20 CANCEL\nMax-Forwards: 70\nReason: SIP;cause=487;text=\"left, \\\"gone\\\"\"\n"
    // Nobody else may cancel it.
    #expect(desk.receive(cancel, on: Desk.flow(from: Desk.stranger)).lines == ["481 CANCEL"])
    let sent = desk.receive(cancel)
    #expect(sent.lines == ["200 CANCEL", "487 INVITE"])
    #expect(sent[0].message.toTag == sent[1].message.toTag)
    let events = desk.take()
    #expect(events.words == ["invited", "cancelled 487"])
    if case .cancelled(_, let reason)? = events.last { #expect(reason?.text == "left, \"gone\"") }
    #expect(desk.receive(cancel).lines == ["200 CANCEL"])
    let ack = Station.request("ACK", branch: "z9hG4bK1", cseq: 20, toTag: sent[1].message.toTag ?? "")
    #expect(desk.wait(.seconds(1)).lines == ["487 INVITE"])
    #expect(desk.receive(ack).isEmpty)
    #expect(desk.wait(.seconds(40)).isEmpty)
    #expect(desk.agent.census == AgentCensus())
  }

  @Test func anAnswerWithoutAnAckEndsWithBye() throws {
    let desk = Desk()
    desk.receive(Station.invite())
    let id = try #require(desk.take().first?.session)
    desk.turn { $0.answer(id, body: ourSDP, &$1) }
    let sent = desk.wait(.seconds(33))
    #expect(sent.lines.contains("BYE"))
    #expect(desk.take().words == ["ended timeout"])
    desk.wait(.seconds(70))
    #expect(desk.agent.census == AgentCensus())
  }

  @Test func aHangUpBeforeTheAckWaitsForIt() throws {
    let desk = Desk()
    desk.receive(Station.invite())
    let id = try #require(desk.take().first?.session)
    let tag = try #require(desk.turn { $0.answer(id, body: ourSDP, &$1) }.first?.message.toTag)
    #expect(desk.turn { $0.hangUp(id, &$1) }.isEmpty)
    #expect(desk.take().words == ["ended hungUp"])
    #expect(desk.receive(Station.request("ACK", branch: "z9hG4bK2", cseq: 20, toTag: tag)).lines == ["BYE"])
    desk.wait(.seconds(70))
    #expect(desk.agent.census == AgentCensus())
    #expect(desk.take().isEmpty)
  }
}
