import Testing
import Wire

@testable import SIP

extension Desk {
  /// Calls a panel at a known flow; the INVITE as sent.
  func call(body: Body? = ourSDP, sessionExpires: Int? = nil, flow: Flow = Desk.flow()) -> (SessionID, Sent) {
    var id = SessionID(.none)
    let sent = turn { agent, turn in
      id = agent.invite(
        OutgoingInvitation(
          from: NameAddress(display: "Entrance", URI(user: "intercom-main", host: "vestibule.local")),
          to: NameAddress(URI(user: "panel401", host: "vestibule.local")),
          destination: Destination(uri: URI("sip:panel401@192.0.2.100:5060")!, flow: flow),
          headers: [("Alert-Info", "<urn:alert:source:external>")], body: body, sessionExpires: sessionExpires
        ), &turn)
    }
    return (id, sent[0])
  }

  /// What a peer answers to a request of ours.
  @discardableResult
  func respond(
    to request: Sent, _ status: Int, tag: String = "p1", extra: String = "", body: String? = nil,
    contact: String? = "<sip:panel401@192.0.2.100:5060>", on flow: Flow = Desk.flow()
  ) -> [Sent] {
    let message = request.message
    var text = "SIP/2.0 \(status) Whatever\n"
    for via in message.vias { text += "Via: \(via)\n" }
    text += "From: \(message.from)\n"
    text += "To: \(message.to)\(message.toTag == nil && status > 100 && !tag.isEmpty ? ";tag=\(tag)" : "")\n"
    text += "Call-ID: \(message.callID)\nCSeq: \(message.cseq.number) \(message.method.text)\n"
    if let contact { text += "Contact: \(contact)\n" }
    text += extra
    if let body { text += "Content-Type: application/sdp\n\n\(body)" }
    return receive(text, on: flow)
  }
}

@Suite struct AgentCallerTests {
  @Test func aCallIsProgressedAnsweredAndHungUpByThePeer() throws {
    let desk = Desk()
    let (id, invite) = desk.call()
    #expect(invite.message.method == .invite)
    #expect(invite.message.from.display == "Entrance")
    #expect(invite.message.contacts.first?.uri.description == "sip:intercom-main@192.0.2.1:5060")
    #expect(invite.message.maxForwards == 70)
    #expect(invite.message.branch?.hasPrefix("z9hG4bK") == true)
    #expect(invite.message.topVia.wantsRport)
    #expect(invite.message.requires("100rel") == false && invite.message.supports("100rel") == false)
    // Copies until something is heard: after 0.5 and 1.5 s.
    #expect(desk.wait(.seconds(2)).lines == ["INVITE", "INVITE"])
    desk.respond(to: invite, 100)
    #expect(desk.wait(.seconds(10)).isEmpty)
    desk.respond(to: invite, 180)
    #expect(desk.take().words == ["progressed 180"])
    let ack = desk.respond(to: invite, 200, body: Station.sdp)
    #expect(ack.lines == ["ACK"])
    #expect(ack[0].message.cseq.number == invite.message.cseq.number)
    #expect(ack[0].message.branch != invite.message.branch)
    #expect(ack[0].message.toTag == "p1")
    #expect(desk.take().words == ["answered"])
    // The 2xx again: the same ACK again.
    #expect(desk.respond(to: invite, 200, body: Station.sdp).map(\.bytes) == ack.map(\.bytes))
    #expect(desk.take().isEmpty)
    let from = invite.message.from.tag ?? ""
    let bye =
      "BYE sip:intercom-main@192.0.2.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.100:5060;branch=z9hG4bKb\n"
      + "From: <sip:panel401@vestibule.local>;tag=p1\nTo: <sip:intercom-main@vestibule.local>;tag=\(from)\n"
      + "Call-ID: \(invite.message.callID)\nCSeq: 1 BYE\n"
    #expect(desk.receive(bye, on: Desk.flow(from: Desk.stranger)).lines == ["481 BYE"])
    #expect(desk.receive(bye).lines == ["200 BYE"])
    #expect(desk.take().words == ["mistake", "ended bye(nil)"])
    desk.wait(.seconds(70))
    #expect(desk.agent.census == AgentCensus())
    _ = id
  }

  @Test func aRefusalIsAcknowledgedInItsTransaction() {
    let desk = Desk()
    let (_, invite) = desk.call()
    let ack = desk.respond(to: invite, 486)
    #expect(ack.lines == ["ACK"])
    #expect(ack[0].message.branch == invite.message.branch)
    #expect(ack[0].message.toTag == "p1")
    #expect(desk.take().words == ["refused 486"])
    #expect(desk.respond(to: invite, 486).lines == ["ACK"])
    desk.wait(.seconds(40))
    #expect(desk.agent.census == AgentCensus())
    #expect(desk.respond(to: invite, 486).isEmpty)
    #expect(desk.take().words == ["mistake"])
  }

  @Test func aCancelWaitsForAProvisionalAndEndsWith487() {
    let desk = Desk()
    let (id, invite) = desk.call()
    #expect(desk.turn { $0.cancel(id, reason: .completedElsewhere, &$1) }.isEmpty)
    let cancel = desk.respond(to: invite, 180)
    #expect(cancel.lines == ["CANCEL"])
    #expect(cancel[0].message.branch == invite.message.branch)
    #expect(cancel[0].message.requestURI == invite.message.requestURI)
    #expect(cancel[0].message.toTag == nil)
    #expect(cancel[0].text.contains("Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n"))
    #expect(desk.take().isEmpty)
    desk.respond(to: cancel[0], 200, contact: nil)
    #expect(desk.respond(to: invite, 487).lines == ["ACK"])
    #expect(desk.take().words == ["refused 487"])
    desk.wait(.seconds(70))
    #expect(desk.agent.census == AgentCensus())
  }

  @Test func anAnswerThatCrossesTheCancelIsAcknowledgedAndHungUp() {
    let desk = Desk()
    let (id, invite) = desk.call()
    desk.respond(to: invite, 180)
    #expect(desk.turn { $0.cancel(id, &$1) }.lines == ["CANCEL"])
    #expect(desk.respond(to: invite, 200, body: Station.sdp).lines == ["ACK", "BYE"])
    #expect(desk.take().words == ["progressed 180", "ended answeredTooLate"])
    desk.wait(.seconds(110))
    #expect(desk.agent.census == AgentCensus())
    #expect(desk.take().isEmpty)
  }

  @Test func theFirstAnswerOfSeveralForksWins() {
    let desk = Desk()
    let (_, invite) = desk.call()
    desk.respond(to: invite, 180, tag: "a")
    desk.respond(to: invite, 180, tag: "b")
    #expect(desk.respond(to: invite, 200, tag: "b", body: Station.sdp).lines == ["ACK"])
    let late = desk.respond(to: invite, 200, tag: "a", body: Station.sdp)
    #expect(late.lines == ["ACK", "BYE"])
    #expect(late.allSatisfy { $0.message.toTag == "a" })
    // Again: its ACK again, but no second BYE.
    #expect(desk.respond(to: invite, 200, tag: "a", body: Station.sdp).lines == ["ACK"])
    #expect(desk.take().words == ["progressed 180", "progressed 180", "answered"])
  }

  @Test func noAnswerAtAllIs408() {
    let desk = Desk()
    _ = desk.call()
    #expect(desk.wait(.seconds(33)).count == 6)
    #expect(desk.take().words == ["refused 408"])
    #expect(desk.agent.census == AgentCensus())
  }

  @Test func aLateOfferIsAnsweredInTheAck() {
    let desk = Desk()
    let (id, invite) = desk.call(body: nil)
    #expect(!invite.message.hasBody)
    #expect(desk.respond(to: invite, 200, body: Station.sdp).isEmpty)
    #expect(desk.take().words == ["answered"])
    #expect(desk.respond(to: invite, 200, body: Station.sdp).isEmpty)
    let ack = desk.turn { $0.acknowledge(id, body: ourSDP, &$1) }
    #expect(ack.lines == ["ACK"])
    #expect(ack[0].message.body == ourSDP.bytes)
    #expect(desk.respond(to: invite, 200, body: Station.sdp).map(\.bytes) == ack.map(\.bytes))
  }
}
