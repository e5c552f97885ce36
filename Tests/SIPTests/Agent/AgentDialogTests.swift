import Testing
import Wire

@testable import SIP

@Suite struct AgentDialogTests {
  @Test func routesAreKeptAsTheyCameAndInOrder() throws {
    let desk = Desk()
    let routes =
      "Record-Route: <sip:192.0.2.100;r2=on;lr;ftag=7001;nat=yes>, <sip:10.9.9.9;transport=tcp;r2=on;lr;ftag=7001>\n"
      + "Record-Route: <sip:outer.example;lr>\n"
    let (id, _) = try AgentCalleeTests.answered(desk, extra: routes)
    let bye = desk.turn { $0.hangUp(id, &$1) }[0].message
    #expect(
      bye.values(.route) == [
        "<sip:192.0.2.100;r2=on;lr;ftag=7001;nat=yes>", "<sip:10.9.9.9;transport=tcp;r2=on;lr;ftag=7001>",
        "<sip:outer.example;lr>",
      ])
    #expect(bye.requestURI?.description == "sip:100@192.0.2.100:5060")
  }

  @Test func aCallersRoutesAreReversed() {
    let desk = Desk()
    let (_, invite) = desk.call()
    let ack = desk.respond(
      to: invite, 200, extra: "Record-Route: <sip:near.example;lr>, <sip:far.example;lr>\n", body: Station.sdp
    )
    #expect(ack[0].message.values(.route) == ["<sip:far.example;lr>", "<sip:near.example;lr>"])
  }

  @Test func aStrictRouterGetsItsOwnNameInTheRequestLine() throws {
    let desk = Desk()
    let (id, _) = try AgentCalleeTests.answered(
      desk, extra: "Record-Route: <sip:old.example>\nRecord-Route: <sip:new.example;lr>\n")
    let bye = desk.turn { $0.hangUp(id, &$1) }[0].message
    #expect(bye.requestURI?.description == "sip:old.example")
    #expect(bye.values(.route) == ["<sip:new.example;lr>", "<sip:100@192.0.2.100:5060>"])
  }

  @Test func aPeerBehindATranslatorIsReachedWhereItWasHeard() throws {
    let desk = Desk()
    let heard = Desk.flow(from: Endpoint(IPAddress(v4: 0xCB00_7105), port: 31_000))
    desk.receive(Station.invite(), on: heard)
    let id = try #require(desk.take().first?.session)
    let tag = try #require(desk.turn { $0.answer(id, body: ourSDP, &$1) }.first?.message.toTag)
    desk.receive(Station.request("ACK", branch: "z9hG4bK2", cseq: 20, toTag: tag), on: heard)
    let bye = desk.turn { $0.hangUp(id, &$1) }[0]
    #expect(bye.flow.remote == heard.remote)
    #expect(bye.message.requestURI?.description == "sip:100@192.0.2.100:5060")
  }

  @Test func numbersMustRise() throws {
    let desk = Desk()
    let (_, tag) = try AgentCalleeTests.answered(desk)
    #expect(
      desk.receive(Station.request("OPTIONS", branch: "z9hG4bKa", cseq: 20, toTag: tag)).lines == [
        "500 OPTIONS"
      ])
    #expect(
      desk.receive(Station.request("OPTIONS", branch: "z9hG4bKb", cseq: 2_147_483_647, toTag: tag)).lines == [
        "200 OPTIONS"
      ])
    #expect(
      desk.receive(Station.request("BYE", branch: "z9hG4bKc", cseq: 21, toTag: tag)).lines == ["500 BYE"])
  }

  @Test func onlyTheRightTagsCallIDAndAddressReachTheDialog() throws {
    let desk = Desk()
    let (_, tag) = try AgentCalleeTests.answered(desk)
    let bye = { (branch: String, tag: String, call: String, from: String) in
      Station.request("BYE", branch: branch, cseq: 30, toTag: tag, callID: call, fromTag: from)
    }
    let good = "1a2b@192.0.2.100"
    #expect(desk.receive(bye("z9hG4bKa", tag, "other", "7001")).lines == ["481 BYE"])
    #expect(desk.receive(bye("z9hG4bKb", tag, good, "7002")).lines == ["481 BYE"])
    #expect(desk.receive(bye("z9hG4bKc", tag.dropLast() + "g", good, "7001")).lines == ["481 BYE"])
    #expect(desk.receive(bye("z9hG4bKd", tag.uppercased() + " ", good, "7001")).lines == ["481 BYE"])
    #expect(
      desk.receive(bye("z9hG4bKe", String(repeating: "f", count: 32), good, "7001")).lines == ["481 BYE"])
    #expect(
      desk.receive(bye("z9hG4bKf", String(tag.prefix(16)) + "0000000000000000", good, "7001")).lines == [
        "481 BYE"
      ])
    #expect(
      desk.receive(bye("z9hG4bKg", tag, good, "7001"), on: Desk.flow(from: Desk.stranger)).lines == [
        "481 BYE"
      ])
    // Another port of the same address may be a translator's new mapping.
    let moved = Desk.flow(from: Endpoint(Desk.peer.address, port: 9999))
    #expect(desk.receive(bye("z9hG4bKh", tag, good, "7001"), on: moved).lines == ["200 BYE"])
  }

  @Test func aForgedAckConfirmsNothing() throws {
    let desk = Desk()
    desk.receive(Station.invite())
    let id = try #require(desk.take().first?.session)
    let tag = try #require(desk.turn { $0.answer(id, body: ourSDP, &$1) }.first?.message.toTag)
    for number in 0..<200 {
      desk.receive(
        Station.request("ACK", branch: "z9hG4bKf\(number)", cseq: 20, toTag: tag),
        on: Desk.flow(from: Desk.stranger))
      desk.receive(Station.request("ACK", branch: "z9hG4bKg\(number)", cseq: 19, toTag: tag))
      desk.receive(Station.request("ACK", branch: "z9hG4bKh\(number)", cseq: 20, toTag: tag, fromTag: "x"))
    }
    #expect(desk.take().isEmpty)
    #expect(desk.agent.census.serverTransactions == 1)
    desk.receive(Station.request("ACK", branch: "z9hG4bKi", cseq: 20, toTag: tag))
    #expect(desk.take().words == ["confirmed"])
  }

  @Test func repliesToNothingAreCountedOnly() {
    let desk = Desk()
    let (_, invite) = desk.call()
    let branch = invite.message.branch!
    for forged in [
      branch.dropLast() + "x", "z9hG4bK" + String(repeating: "0", count: 32), "z9hG4bK", "x", branch + "0",
      "z9hG4bK" + branch.dropFirst(7).prefix(16) + "0000000000000000",
    ] {
      desk.receive(
        Array(
          invite.text.replacing(branch, with: forged).replacing(
            "INVITE sip:panel401@192.0.2.100:5060 SIP/2.0", with: "SIP/2.0 200 OK"
          ).utf8))
    }
    // The right branch, but not the request's number.
    desk.receive(
      Array(
        invite.text.replacing("CSeq: ", with: "CSeq: 1").replacing(
          "INVITE sip:panel401@192.0.2.100:5060 SIP/2.0", with: "SIP/2.0 200 OK"
        ).utf8))
    let events = desk.take()
    #expect(events.count == 7 && events.allSatisfy { $0.word == "mistake" })
    #expect(desk.agent.census.sessions == 1)
  }

  @Test func aPeerThatMakesUpForksIsBounded() {
    let desk = Desk()
    let (_, invite) = desk.call()
    for number in 0..<100 { desk.respond(to: invite, 180, tag: "e\(number)") }
    #expect(desk.take().count == 16)
    for number in 0..<100 { desk.respond(to: invite, 200, tag: "f\(number)", body: Station.sdp) }
    #expect(desk.take().words == ["answered"])
    #expect(desk.agent.census.clientTransactions <= 33)
    desk.wait(.minutes(3))
    #expect(desk.agent.census.clientTransactions == 0)
  }

  @Test func keysComeAsInfoAndAreReplied() throws {
    let desk = Desk()
    let (id, tag) = try AgentCalleeTests.answered(desk)
    let info = Station.request(
      "INFO", branch: "z9hG4bKi", cseq: 21, toTag: tag,
      body: ("application/dtmf-relay", "Signal=5\nDuration=100"))
    #expect(desk.receive(info).isEmpty)
    guard case .informed(let session, let transaction, let body)? = desk.take().first else {
      Issue.record("no key")
      return
    }
    #expect(session == id)
    #expect(body.mediaType == "application/dtmf-relay")
    #expect(desk.turn { $0.reply(transaction, status: 200, &$1) }.lines == ["200 INFO"])
    #expect(
      desk.receive(Station.request("INFO", branch: "z9hG4bKj", cseq: 22, toTag: tag)).lines == ["200 INFO"])
    // And ours.
    var sentID = TransactionID(.none)
    let ours = desk.turn {
      sentID = $0.info(
        id, body: Body(contentType: "application/dtmf-relay", bytes: Array("Signal=#\r\n".utf8)), &$1)
    }
    #expect(ours.lines == ["INFO"])
    desk.respond(to: ours[0], 200)
    guard case .response(sentID, _)? = desk.take().first else {
      Issue.record("no response")
      return
    }
  }

  @Test func aTransferIsAskedForAndReportedOn() throws {
    let desk = Desk()
    let (id, tag) = try AgentCalleeTests.answered(desk)
    let refer = Station.request(
      "REFER", branch: "z9hG4bKr", cseq: 21, toTag: tag,
      extra:
        "Refer-To: \"Loge\" <sip:guard1@vestibule.local?Replaces=c%40h%3Bto-tag%3Da%3Bfrom-tag%3Db%3Bearly-only>\n"
    )
    #expect(desk.receive(refer).isEmpty)
    guard case .transferRequested(_, let transaction, let target, let replaces)? = desk.take().first else {
      Issue.record("no transfer")
      return
    }
    #expect(target.uri.user == "guard1")
    #expect(replaces == ReplacesID(callID: "c@h", toTag: "a", fromTag: "b", isEarlyOnly: true))
    #expect(desk.turn { $0.reply(transaction, status: 202, &$1) }.lines == ["202 REFER"])
    let trying = desk.turn { $0.notifyTransfer(id, status: 100, &$1) }
    #expect(trying.lines == ["NOTIFY"])
    #expect(trying[0].message.value(.event) == "refer;id=21")
    #expect(trying[0].message.value(.subscriptionState) == "active;expires=60")
    #expect(trying[0].text.hasSuffix("\r\n\r\nSIP/2.0 100 Trying\r\n"))
    let done = desk.turn { $0.notifyTransfer(id, status: 200, &$1) }
    #expect(done[0].message.value(.subscriptionState) == "terminated;reason=noresource")
    #expect(desk.turn { $0.notifyTransfer(id, status: 200, &$1) }.isEmpty)
    #expect(
      desk.receive(Station.request("REFER", branch: "z9hG4bKs", cseq: 22, toTag: tag)).lines == ["400 REFER"])
    let elsewhere = Station.request(
      "REFER", branch: "z9hG4bKu", cseq: 23, toTag: tag, extra: "Refer-To: <sip:guard1@elsewhere.example>\n")
    #expect(desk.receive(elsewhere).lines == ["404 REFER"], "nobody of another house is called")
  }

  @Test func anInviteThatReplacesNamesTheSession() throws {
    let desk = Desk()
    let (id, tag) = try AgentCalleeTests.answered(desk)
    let text = Station.invite(
      branch: "z9hG4bKz", extra: "Replaces: 1a2b@192.0.2.100;to-tag=\(tag);from-tag=7001\n", callID: "new")
    #expect(desk.receive(text).lines == ["100 INVITE"])
    guard case .invited(_, let message, _, _)? = desk.take().first else {
      Issue.record("no call")
      return
    }
    #expect(desk.agent.session(replacedBy: message) == id)
    let early = Station.invite(
      branch: "z9hG4bKy", extra: "Replaces: 1a2b@192.0.2.100;to-tag=\(tag);from-tag=7001;early-only\n",
      callID: "newer")
    #expect(desk.receive(early).lines == ["486 INVITE"])
  }

  @Test func byeInAnEarlyDialogEndsTheRinging() throws {
    let desk = Desk()
    desk.receive(Station.invite())
    let id = try #require(desk.take().first?.session)
    let tag = try #require(desk.turn { $0.ring(id, &$1) }.first?.message.toTag)
    #expect(
      desk.receive(Station.request("BYE", branch: "z9hG4bKb", cseq: 21, toTag: tag)).lines == [
        "200 BYE", "487 INVITE",
      ])
    #expect(desk.take().words == ["cancelled 0"])
  }

  @Test func aLateOfferOfOursIsAnsweredInTheAck() throws {
    let desk = Desk()
    desk.receive(Station.invite(body: nil))
    let id = try #require(desk.take().first?.session)
    let tag = try #require(desk.turn { $0.answer(id, body: ourSDP, &$1) }.first?.message.toTag)
    desk.receive(
      Station.request("ACK", branch: "z9hG4bK2", cseq: 20, toTag: tag, body: ("application/sdp", Station.sdp))
    )
    guard case .confirmed(_, let body)? = desk.take().first else {
      Issue.record("not confirmed")
      return
    }
    #expect(body?.bytes.starts(with: Array("v=0\r\n".utf8)) == true)
  }

  @Test func callersThatHangOnTooLongAre487() throws {
    let desk = Desk()
    desk.receive(Station.invite(extra: "Expires: 20\n"))
    #expect(desk.wait(.seconds(19)).isEmpty)
    #expect(desk.wait(.seconds(2)).lines.first == "487 INVITE")
    #expect(desk.take().words == ["invited", "ended timeout"])
  }

  @Test func aLostConnectionEndsWhatItCarried() throws {
    let desk = Desk()
    let tcp = Desk.flow(.tcp)
    desk.receive(Station.invite().replacing("SIP/2.0/UDP", with: "SIP/2.0/TCP"), on: tcp)
    let (_, invite) = desk.call(flow: tcp)
    #expect(invite.text.contains("Via: SIP/2.0/TCP 192.0.2.1:5060;branch="))
    #expect(invite.message.contacts.first?.uri.parameters["transport"] == "tcp")
    #expect(desk.wait(.seconds(5)).isEmpty)
    desk.turn { $0.connectionLost(Desk.streamSocket, &$1) }
    #expect(desk.take().words == ["invited", "refused 503", "ended transport"])
    desk.wait(.minutes(2))
    #expect(desk.agent.census == AgentCensus())
  }
}
