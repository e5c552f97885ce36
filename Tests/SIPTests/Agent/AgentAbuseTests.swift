import Testing
import Wire

@testable import SIP

/// What a hostile or broken peer can send. Nothing may trap, and nothing may stay.
@Suite struct AgentAbuseTests {
  /// Messages of a whole call as they pass, for damaging.
  static func corpus(_ desk: Desk) throws -> [[UInt8]] {
    var all: [[UInt8]] = [
      Desk.bytes(
        Station.invite(extra: "Require: 100rel\nSupported: timer\nSession-Expires: 90;refresher=uac\n")),
      Desk.bytes(Station.invite(branch: "z9hG4bKm", cseq: 7, callID: "second")),
      Desk.bytes(AgentAdmissionTests.options()),
    ]
    desk.receive(all[0])
    let id = try #require(desk.take().first?.session)
    let ring = desk.turn { $0.ring(id, &$1) }[0].message
    let tag = try #require(ring.toTag)
    for (number, method) in ["PRACK", "ACK", "CANCEL", "INFO", "UPDATE", "INVITE", "REFER", "OPTIONS", "BYE"]
      .enumerated()
    {
      all.append(
        Desk.bytes(
          Station.request(
            method, branch: "z9hG4bKx\(number)", cseq: 21 + number, toTag: tag,
            extra:
              "RAck: \(ring.value(.rseq)!) 20 INVITE\nRefer-To: <sip:a@b?Replaces=x>\nReason: SIP;cause=200\n",
            body: ("application/sdp", Station.sdp))))
    }
    desk.turn { $0.answer(id, body: ourSDP, &$1) }
    let (_, invite) = desk.call(sessionExpires: 90)
    let head = "INVITE sip:panel401@192.0.2.100:5060 SIP/2.0"
    for status in [100, 180, 183, 200, 301, 401, 422, 486, 491, 503] {
      let line =
        "SIP/2.0 \(status) X\r\nRequire: 100rel\r\nRSeq: 4\r\nMin-SE: 100\r\nSession-Expires: 90;refresher=uas"
      all.append(
        Array(
          invite.text.replacing(head, with: line).replacing("\r\nCall-ID", with: ";tag=q\r\nCall-ID").utf8))
    }
    return all
  }

  @Test(arguments: 0..<8) func damagedMessagesNeitherTrapNorStay(_ run: Int) throws {
    var dice = Random(seed: UInt64(900 + run))
    let desk = Desk(seed: UInt64(run)) { $0.ringLimit = .seconds(60) }
    let corpus = try Self.corpus(desk)
    desk.takesDamaged = true
    for _ in 0..<3_000 {
      var bytes = corpus[Int(dice.below(UInt64(corpus.count)))]
      for _ in 0..<dice.below(4) where !bytes.isEmpty {
        let place = Int(dice.below(UInt64(bytes.count)))
        switch dice.below(6) {
        case 0: bytes[place] = UInt8(dice.below(256))
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(UInt8(dice.below(128)), at: place)
        case 3: bytes[place] = UInt8(48 + dice.below(10))
        case 4:
          // A piece of another message.
          let other = corpus[Int(dice.below(UInt64(corpus.count)))]
          let start = Int(dice.below(UInt64(other.count)))
          bytes.insert(contentsOf: other[start..<min(other.count, start + Int(dice.below(40)))], at: place)
        default:
          let end = min(bytes.count, place + Int(dice.below(30)))
          bytes.removeSubrange(place..<end)
        }
      }
      let from = dice.below(8) == 0 ? Desk.stranger : Desk.peer
      desk.receive(bytes, on: Desk.flow(dice.below(4) == 0 ? .tcp : .udp, from: from))
      // An owner that does what it is asked.
      for event in desk.take() {
        switch event {
        case .request(let id, _, _, _), .informed(_, let id, _), .transferRequested(_, let id, _, _):
          desk.turn { $0.reply(id, status: 200, &$1) }
        case .invited(let id, _, _, _):
          desk.turn { dice.below(2) == 0 ? $0.ring(id, &$1) : $0.answer(id, body: ourSDP, &$1) }
        case .offered(let id, _): desk.turn { $0.acceptOffer(id, body: ourSDP, &$1) }
        case .answered(let id, _, _): desk.turn { $0.offer(id, body: ourSDP, &$1) }
        case .response, .unanswered, .progressed, .refused, .cancelled, .confirmed, .offerAccepted,
          .offerRefused,
          .ended, .resolve, .mistake:
          break
        }
      }
      if dice.below(20) == 0 { desk.wait(.milliseconds(Int64(dice.below(3_000)))) }
    }
    // Whoever is still there is hung up.
    for handle in desk.agent.sessions.handles { desk.turn { $0.hangUp(SessionID(handle), &$1) } }
    desk.wait(.minutes(5))
    #expect(desk.agent.census == AgentCensus())
    #expect(desk.agent.merges.isEmpty && desk.agent.callsByAddress.isEmpty && desk.agent.serverPlaces.isEmpty)
  }

  @Test func oneAddressCannotTakeEveryCall() {
    let desk = Desk {
      $0.callsPerAddress = 3
      $0.sessionLimit = 10
    }
    for number in 0..<10 { desk.receive(Station.invite(branch: "z9hG4bK\(number)", callID: "c\(number)")) }
    #expect(desk.agent.census.sessions == 3)
    let other = Desk.flow(from: Desk.stranger)
    #expect(desk.receive(Station.invite(branch: "z9hG4bKz", callID: "z"), on: other).lines == ["100 INVITE"])
    // Places come back.
    for event in desk.take() {
      if case .invited(let id, _, _, _) = event { desk.turn { $0.refuse(id, status: 486, &$1) } }
    }
    #expect(desk.receive(Station.invite(branch: "z9hG4bKy", callID: "y")).lines == ["100 INVITE"])
  }

  @Test func strangersLeaveNoState() {
    let desk = Desk()
    desk.gate.decision = .challenge(
      headers: [("WWW-Authenticate", "Digest realm=\"x\", nonce=\"n\"")], status: 401)
    for number in 0..<2_000 {
      let from = Desk.flow(from: Endpoint(IPAddress(v4: 0xC633_0000 + UInt32(number)), port: 5060))
      for method in ["REGISTER", "OPTIONS", "INVITE", "BYE", "CANCEL", "ACK", "INFO", "NOTIFY", "FOO"] {
        desk.receive(AgentAdmissionTests.options(branch: "z9hG4bK\(number)", method: method), on: from)
        desk.receive(
          AgentAdmissionTests.options(branch: "z9hG4bKt\(number)", method: method, toTag: ";tag=x"), on: from)
      }
    }
    #expect(desk.agent.census == AgentCensus())
  }

  @Test func commandsToWhatIsGoneDoNothing() {
    let desk = Desk()
    let gone = SessionID(Handle(index: 3, generation: 1))
    let sent = desk.turn { agent, turn in
      agent.ring(gone, &turn)
      agent.answer(gone, body: nil, &turn)
      agent.refuse(gone, status: 486, &turn)
      agent.cancel(gone, &turn)
      agent.hangUp(gone, &turn)
      agent.offer(gone, body: ourSDP, &turn)
      agent.acceptOffer(gone, body: nil, &turn)
      agent.refuseOffer(gone, &turn)
      agent.acknowledge(gone, body: ourSDP, &turn)
      agent.notifyTransfer(gone, status: 200, &turn)
      agent.reply(TransactionID(gone.handle), status: 200, &turn)
      agent.undeliverable(token: .max, &turn)
      agent.undeliverable(token: 0, &turn)
      agent.resolved(77, [], &turn)
      agent.connectionLost(.none, &turn)
    }
    #expect(sent.isEmpty && desk.take().isEmpty)
  }

  @Test func aTransactionIsSmall() {
    // The rest of the 2 kB: key and response, about 700 bytes for a REGISTER.
    #expect(MemoryLayout<ServerRecord>.stride < 400)
  }

  @Test func aCallOverALostConnectionIsHungUpAtItsContact() throws {
    let desk = Desk()
    let tcp = Desk.flow(.tcp, from: Endpoint(Desk.peer.address, port: 49_152))
    let over = { (text: String) in text.replacing("SIP/2.0/UDP", with: "SIP/2.0/TCP") }
    desk.receive(over(Station.invite()), on: tcp)
    let id = try #require(desk.take().first?.session)
    let tag = try #require(desk.turn { $0.answer(id, body: ourSDP, &$1) }.first?.message.toTag)
    desk.receive(over(Station.request("ACK", branch: "z9hG4bK2", cseq: 20, toTag: tag)), on: tcp)
    desk.turn { $0.connectionLost(Desk.streamSocket, &$1) }
    #expect(desk.take().words == ["confirmed"])
    let bye = desk.turn { $0.hangUp(id, &$1) }
    #expect(bye[0].flow.remote == Desk.peer && bye[0].flow.socket == .none)
  }
}
