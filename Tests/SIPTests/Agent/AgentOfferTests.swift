import Testing
import Wire

@testable import SIP

/// Exchanges inside an answered call, in which the station called us.
@Suite struct AgentOfferTests {
  static let newSDP = Station.sdp.replacing("11800", with: "11900")

  @Test func aReInviteIsGivenOutAnsweredAndAcknowledged() throws {
    let desk = Desk()
    let (id, tag) = try AgentCalleeTests.answered(desk)
    let offer = Station.request(
      "INVITE", branch: "z9hG4bKr1", cseq: 21, toTag: tag,
      extra: "Contact: <sip:100@192.0.2.100:5070;alias=192.0.2.100~5070~1>\n",
      body: ("application/sdp", Self.newSDP))
    #expect(desk.receive(offer).lines == ["100 INVITE"])
    #expect(desk.take().words == ["offered"])
    // A second one while the first waits.
    let second = Station.request(
      "INVITE", branch: "z9hG4bKr2", cseq: 22, toTag: tag, body: ("application/sdp", Self.newSDP))
    let busy = desk.receive(second)
    #expect(busy.lines == ["500 INVITE"])
    #expect(busy[0].message.value(.retryAfter).flatMap { Int($0) }.map { $0 < 10 } == true)
    let answer = desk.turn { $0.acceptOffer(id, body: ourSDP, &$1) }
    #expect(answer.lines == ["200 INVITE"])
    #expect(desk.wait(.milliseconds(600)).lines.contains("200 INVITE"))
    desk.receive(Station.request("ACK", branch: "z9hG4bKr3", cseq: 21, toTag: tag))
    #expect(desk.wait(.seconds(3)).lines == ["500 INVITE", "500 INVITE"])
    // The target moved, its parameters kept.
    let bye = desk.turn { $0.hangUp(id, &$1) }
    #expect(bye[0].message.requestURI?.description == "sip:100@192.0.2.100:5070;alias=192.0.2.100~5070~1")
    #expect(bye[0].flow.remote.port == 5070)
  }

  @Test func aReInviteWithoutAnOfferGetsOursAndTheAckBringsTheAnswer() throws {
    let desk = Desk()
    let (id, tag) = try AgentCalleeTests.answered(desk)
    desk.receive(Station.request("INVITE", branch: "z9hG4bKr1", cseq: 21, toTag: tag))
    #expect(desk.take().words == ["asked for an offer"])
    desk.turn { $0.acceptOffer(id, body: ourSDP, &$1) }
    desk.receive(
      Station.request(
        "ACK", branch: "z9hG4bKr3", cseq: 21, toTag: tag, body: ("application/sdp", Self.newSDP)))
    guard case .offerAccepted(_, let body)? = desk.take().first else {
      Issue.record("no answer")
      return
    }
    #expect(body?.bytes.isEmpty == false)
  }

  @Test func aRefusedOfferLeavesTheCallAsItWas() throws {
    let desk = Desk()
    let (id, tag) = try AgentCalleeTests.answered(desk)
    desk.receive(
      Station.request(
        "INVITE", branch: "z9hG4bKr1", cseq: 21, toTag: tag, body: ("application/sdp", Self.newSDP)))
    #expect(desk.turn { $0.refuseOffer(id, &$1) }.lines == ["488 INVITE"])
    desk.receive(Station.request("ACK", branch: "z9hG4bKr1", cseq: 21, toTag: tag))
    #expect(desk.turn { $0.offer(id, body: ourSDP, &$1) }.lines == ["INVITE"])
  }

  @Test func ourOfferIsAnsweredAndAcknowledged() throws {
    let desk = Desk()
    let (id, _) = try AgentCalleeTests.answered(desk)
    let offer = desk.turn { $0.offer(id, body: ourSDP, &$1) }
    #expect(offer.lines == ["INVITE"])
    #expect(desk.respond(to: offer[0], 200, body: Self.newSDP).lines == ["ACK"])
    #expect(desk.take().words == ["offer accepted"])
    #expect(desk.respond(to: offer[0], 200, body: Self.newSDP).lines == ["ACK"])
    #expect(desk.take().isEmpty)
  }

  @Test func offersThatCollideAreTriedAgainAfterARandomWhile() throws {
    let desk = Desk()
    let (id, tag) = try AgentCalleeTests.answered(desk)
    let ours = desk.turn { $0.offer(id, body: ourSDP, &$1) }
    // Theirs meets ours on the way.
    let theirs = Station.request(
      "INVITE", branch: "z9hG4bKr1", cseq: 21, toTag: tag, body: ("application/sdp", Self.newSDP))
    #expect(desk.receive(theirs).lines == ["491 INVITE"])
    let update = Station.request(
      "UPDATE", branch: "z9hG4bKr2", cseq: 22, toTag: tag, body: ("application/sdp", Self.newSDP))
    #expect(desk.receive(update).lines == ["491 UPDATE"])
    #expect(desk.respond(to: ours[0], 491).lines == ["ACK"])
    #expect(desk.take().isEmpty)
    // We did not begin the call: 0 to 2 s.
    let again = desk.wait(.milliseconds(2100)).filter { $0.line == "INVITE" }
    #expect(again.first?.message.body == ourSDP.bytes)
    #expect(again.first.map { $0.message.cseq.number > ours[0].message.cseq.number } == true)
    #expect(desk.respond(to: again[0], 200, body: Self.newSDP).lines == ["ACK"])
    #expect(desk.take().words == ["offer accepted"])
  }

  @Test func whoBeganTheCallWaitsLongerAfterACollision() throws {
    let desk = Desk()
    let (id, invite) = desk.call()
    desk.respond(to: invite, 200, body: Station.sdp)
    let ours = desk.turn { $0.offer(id, body: ourSDP, &$1) }
    desk.respond(to: ours[0], 491)
    #expect(desk.wait(.milliseconds(2000)).lines.isEmpty)
    #expect(desk.wait(.milliseconds(2100)).lines.first == "INVITE")
  }

  @Test func anOfferWaitsForTheAckOfTheFirstAnswer() throws {
    let desk = Desk()
    desk.receive(Station.invite())
    let id = try #require(desk.take().first?.session)
    let tag = try #require(desk.turn { $0.answer(id, body: ourSDP, &$1) }.first?.message.toTag)
    #expect(desk.turn { $0.offer(id, body: ourSDP, &$1) }.isEmpty)
    #expect(
      desk.receive(Station.request("ACK", branch: "z9hG4bK2", cseq: 20, toTag: tag)).lines == ["INVITE"])
  }

  @Test func anUpdateWithAnOfferIsAnswered() throws {
    let desk = Desk()
    let (id, tag) = try AgentCalleeTests.answered(desk)
    let update = Station.request(
      "UPDATE", branch: "z9hG4bKu1", cseq: 21, toTag: tag, body: ("application/sdp", Self.newSDP))
    #expect(desk.receive(update).isEmpty)
    #expect(desk.take().words == ["offered"])
    let answer = desk.turn { $0.acceptOffer(id, body: ourSDP, &$1) }
    #expect(answer.lines == ["200 UPDATE"])
    #expect(answer[0].message.body == ourSDP.bytes)
    #expect(answer[0].message.contacts.count == 1)
    #expect(desk.wait(.seconds(5)).isEmpty)
  }

  @Test func aPeerThatForgotTheDialogEndsIt() throws {
    let desk = Desk()
    let (id, _) = try AgentCalleeTests.answered(desk)
    let offer = desk.turn { $0.offer(id, body: ourSDP, &$1) }
    #expect(desk.respond(to: offer[0], 481).lines == ["ACK", "BYE"])
    #expect(desk.take().words == ["offer refused 481", "ended timeout"])
  }

  // MARK: Session timers

  @Test func aBrowsersRefreshWithoutBodyIsAnsweredAndKeepsTheCall() throws {
    let desk = Desk()
    let (_, tag) = try AgentCalleeTests.answered(
      desk, extra: "Supported: timer\nSession-Expires: 90;refresher=uac\n")
    for round in 0..<5 {
      desk.wait(.seconds(45))
      let update = Station.request(
        "UPDATE", branch: "z9hG4bKu\(round)", cseq: 21 + round, toTag: tag,
        extra: "Supported: timer\nSession-Expires: 90;refresher=uac\n")
      let sent = desk.receive(update)
      #expect(sent.lines == ["200 UPDATE"])
      #expect(sent[0].message.value(.sessionExpires) == "90;refresher=uac")
      #expect(sent[0].message.requires("timer"))
    }
    #expect(desk.take().isEmpty)
    // It stops: 90 − 30 s later the call is hung up.
    #expect(desk.wait(.seconds(59)).isEmpty)
    #expect(desk.wait(.seconds(2)).lines.first == "BYE")
    #expect(desk.take().words == ["ended sessionExpired"])
  }

  @Test func weRefreshByUpdateWhereThePeerTakesIt() throws {
    let desk = Desk()
    // No refresher named: we take it, and say so.
    _ = try AgentCalleeTests.answered(desk, extra: "Supported: timer\nSession-Expires: 200\n")
    #expect(desk.wait(.seconds(98)).isEmpty)
    let update = desk.wait(.milliseconds(2_100))
    #expect(update.lines == ["UPDATE"])
    #expect(!update[0].message.hasBody)
    #expect(update[0].message.value(.sessionExpires) == "200;refresher=uac")
    desk.respond(to: update[0], 200, extra: "Session-Expires: 200;refresher=uac\n")
    #expect(desk.wait(.seconds(98)).isEmpty)
    #expect(desk.wait(.seconds(3)).lines.first == "UPDATE")
    // Without an answer the call is over.
    desk.wait(.seconds(33))
    #expect(desk.take().words == ["ended timeout"])
  }

  @Test func weRefreshByReInviteWhereThePeerKnowsNoUpdate() throws {
    let desk = Desk()
    let (_, invite) = desk.call(sessionExpires: 100)
    #expect(invite.message.value(.sessionExpires) == "100")
    #expect(invite.message.supports("timer"))
    desk.respond(
      to: invite, 200, extra: "Session-Expires: 100;refresher=uac\nAllow: INVITE, ACK, BYE\n",
      body: Station.sdp)
    #expect(desk.take().words == ["answered"])
    let refresh = desk.wait(.milliseconds(50_200))
    #expect(refresh.lines == ["INVITE"])
    #expect(refresh[0].message.body == ourSDP.bytes)
    #expect(
      desk.respond(to: refresh[0], 200, extra: "Session-Expires: 100;refresher=uac\n", body: Station.sdp)
        .lines == ["ACK"])
    // The same answer as before is no news.
    #expect(desk.take().isEmpty)
  }

  @Test func tooSmallAnIntervalIsRaisedAndAskedAgain() {
    let desk = Desk()
    let (_, invite) = desk.call(sessionExpires: 100)
    let again = desk.respond(to: invite, 422, extra: "Min-SE: 240\n")
    #expect(again.lines == ["ACK", "INVITE"])
    #expect(again[1].message.value(.sessionExpires) == "240")
    #expect(again[1].message.value(.minSE) == "240")
    #expect(again[1].message.cseq.number == invite.message.cseq.number + 1)
    #expect(again[1].message.callID == invite.message.callID)
    #expect(desk.take().isEmpty)
  }

  // MARK: Reliable provisional responses

  @Test func whoRequiresReliableRingingGetsIt() throws {
    let desk = Desk()
    desk.receive(Station.invite(extra: "Require: 100rel\n"))
    let id = try #require(desk.take().first?.session)
    let ringing = desk.turn { $0.ring(id, &$1) }
    #expect(ringing.lines == ["180 INVITE"])
    #expect(ringing[0].message.requires("100rel"))
    let sequence = try #require(ringing[0].message.value(.rseq))
    let tag = try #require(ringing[0].message.toTag)
    #expect(desk.wait(.milliseconds(1_600)).lines == ["180 INVITE", "180 INVITE"])
    // The next one waits its turn.
    #expect(desk.turn { $0.ring(id, status: 183, body: ourSDP, &$1) }.isEmpty)
    let wrong = Station.request(
      "PRACK", branch: "z9hG4bKp1", cseq: 21, toTag: tag, extra: "RAck: 1 20 INVITE\n")
    #expect(desk.receive(wrong).lines == ["481 PRACK"])
    let right = Station.request(
      "PRACK", branch: "z9hG4bKp2", cseq: 22, toTag: tag, extra: "RAck: \(sequence) 20 INVITE\n")
    let sent = desk.receive(right)
    #expect(sent.lines == ["200 PRACK", "183 INVITE"])
    #expect(sent[1].message.value(.rseq).flatMap { Int($0) } == Int(sequence).map { $0 + 1 })
    // A description is on its way: the answer waits until it arrived.
    #expect(desk.turn { $0.answer(id, body: ourSDP, &$1) }.isEmpty)
    let last = Station.request(
      "PRACK", branch: "z9hG4bKp3", cseq: 23, toTag: tag,
      extra: "RAck: \(sent[1].message.value(.rseq)!) 20 INVITE\n")
    #expect(desk.receive(last).lines == ["200 PRACK", "200 INVITE"])
  }

  @Test func reliableRingingThatIsNeverAcknowledgedEndsTheCall() throws {
    let desk = Desk()
    desk.receive(Station.invite(extra: "Require: 100rel\n"))
    let id = try #require(desk.take().first?.session)
    desk.turn { $0.ring(id, &$1) }
    desk.wait(.seconds(40))
    #expect(desk.take().words == ["ended timeout"])
    desk.wait(.seconds(80))
    #expect(desk.agent.census == AgentCensus())
  }

  @Test func aReliableResponseIsAcknowledgedOnce() {
    let desk = Desk()
    let (_, invite) = desk.call()
    let prack = desk.respond(to: invite, 183, extra: "Require: 100rel\nRSeq: 7\n", body: Station.sdp)
    #expect(prack.lines == ["PRACK"])
    #expect(prack[0].message.value(.rack) == "7 \(invite.message.cseq.number) INVITE")
    #expect(desk.respond(to: invite, 183, extra: "Require: 100rel\nRSeq: 7\n", body: Station.sdp).isEmpty)
    #expect(desk.respond(to: invite, 183, extra: "Require: 100rel\nRSeq: 9\n").isEmpty)
    #expect(desk.respond(to: invite, 180, extra: "Require: 100rel\nRSeq: 8\n").lines == ["PRACK"])
    #expect(desk.take().words == ["progressed 183", "progressed 180"])
  }
}
