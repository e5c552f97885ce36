import Testing
import Wire

@testable import SIP

@Suite struct AgentAdmissionTests {
  static func options(
    uri: String = "sip:vestibule.local", branch: String = "z9hG4bKo1", method: String = "OPTIONS",
    extra: String = "",
    via: String = "SIP/2.0/UDP 192.0.2.100:5062;rport", callID: String = "o1", cseq: Int = 1,
    toTag: String = ""
  ) -> String {
    "\(method) \(uri) SIP/2.0\nVia: \(via);branch=\(branch)\nFrom: <sip:a@vestibule.local>;tag=f1\n"
      + "To: <sip:vestibule.local>\(toTag)\nCall-ID: \(callID)\nCSeq: \(cseq) \(method)\nMax-Forwards: 70\n\(extra)"
  }

  @Test func aRequestIsGivenOutAnsweredOnceAndItsCopiesGetTheSame() throws {
    let desk = Desk()
    #expect(desk.receive(Self.options()).isEmpty)
    guard case .request(let id, _, _, _)? = desk.take().first else {
      Issue.record("nothing given out")
      return
    }
    #expect(desk.receive(Self.options()).isEmpty)
    let sent = desk.turn { $0.reply(id, status: 200, &$1) }
    #expect(sent.lines == ["200 OPTIONS"])
    #expect(sent[0].text.contains("Allow: INVITE, ACK, CANCEL, BYE, OPTIONS"))
    #expect(desk.receive(Self.options()).map(\.bytes) == sent.map(\.bytes))
    #expect(desk.turn { $0.reply(id, status: 500, &$1) }.isEmpty)
    desk.wait(.seconds(33))
    #expect(desk.agent.census == AgentCensus())
    #expect(desk.take().isEmpty)
  }

  @Test func aRequestNobodyAnswersIsForgotten() {
    let desk = Desk()
    desk.receive(Self.options())
    desk.wait(.seconds(33))
    #expect(desk.agent.census == AgentCensus())
  }

  @Test func aChallengeLeavesNothingBehind() {
    let desk = Desk()
    desk.gate.decision = .challenge(
      headers: [("WWW-Authenticate", "Digest realm=\"vestibule.local\", nonce=\"n\"")], status: 401)
    let first = desk.receive(Station.invite())
    #expect(first.lines == ["401 INVITE"])
    #expect(first[0].text.contains("WWW-Authenticate: Digest realm=\"vestibule.local\", nonce=\"n\"\r\n"))
    #expect(desk.receive(Station.invite()).map(\.bytes) == first.map(\.bytes))
    #expect(
      desk.receive(Station.request("ACK", branch: "z9hG4bK1", cseq: 20, toTag: first[0].message.toTag!))
        .isEmpty)
    #expect(desk.agent.census == AgentCensus())
    desk.gate.decision = .silence
    #expect(desk.receive(Station.invite(branch: "z9hG4bK9", cseq: 21)).isEmpty)
    desk.gate.decision = .refuse(status: 403, headers: [("Warning", "399 x \"no\"")])
    #expect(desk.receive(Station.invite(branch: "z9hG4bK10", cseq: 22)).lines == ["403 INVITE"])
    #expect(desk.agent.census == AgentCensus())
    #expect(desk.take().isEmpty)
  }

  /// What is wrong with a request, and what it gets; in the order in which it is asked.
  @Test(arguments: [
    ("foreign host", "sip:401@elsewhere.example", "", "", "404 INVITE", ""),
    ("tel", "tel:+33123456", "", "", "416 INVITE", ""),
    (
      "extension", "sip:401@192.0.2.1", "Require: timer, foo\nProxy-Require: bar\n", "", "420 INVITE",
      "Unsupported: foo, bar"
    ),
    (
      "type", "sip:401@192.0.2.1", "Content-Type: text/plain\n\nhello", "own", "415 INVITE",
      "Accept: application/sdp"
    ),
    (
      "coding", "sip:401@192.0.2.1", "Content-Encoding: gzip\n", "", "415 INVITE", "Accept-Encoding: identity"
    ),
    ("accept", "sip:401@192.0.2.1", "Accept: text/plain\n", "", "406 INVITE", ""),
    (
      "short interval", "sip:401@192.0.2.1", "Supported: timer\nSession-Expires: 60\n", "", "422 INVITE",
      "Min-SE: 90"
    ),
    ("replaces nothing", "sip:401@192.0.2.1", "Replaces: x;to-tag=a;from-tag=b\n", "", "481 INVITE", ""),
    ("replaces badly", "sip:401@192.0.2.1", "Replaces: x\n", "", "400 INVITE", ""),
  ])
  func aFaultyInviteIsRefused(
    _ row: (name: String, uri: String, extra: String, own: String, line: String, field: String)
  ) {
    let desk = Desk()
    let text = Station.invite(extra: row.extra, body: row.own.isEmpty ? Station.sdp : nil, uri: row.uri)
    let sent = desk.receive(text)
    #expect(sent.lines == [row.line], "\(row.name)")
    #expect(row.field.isEmpty || sent[0].text.contains(row.field + "\r\n"), "\(row.name)")
    #expect(desk.agent.census == AgentCensus(), "\(row.name)")
    #expect(desk.take().isEmpty, "\(row.name)")
  }

  @Test(arguments: [
    ("FLY", "501 FLY"), ("PUBLISH", "405 PUBLISH"), ("SUBSCRIBE", "489 SUBSCRIBE"), ("BYE", "481 BYE"),
    ("UPDATE", "481 UPDATE"), ("PRACK", "481 PRACK"), ("CANCEL", "481 CANCEL"),
  ])
  func aMethodOutOfPlaceIsRefused(_ row: (method: String, line: String)) {
    let desk = Desk()
    #expect(desk.receive(Self.options(method: row.method)).lines == [row.line])
    #expect(desk.agent.census == AgentCensus())
  }

  @Test func aTooFarTravelledInviteIs483() {
    let desk = Desk()
    let bytes = Desk.bytes(Station.invite())
    let text = String(decoding: bytes, as: UTF8.self).split(
      separator: "\r\n", omittingEmptySubsequences: false
    )
    .map { $0 == "Max-Forwards: 70" ? "Max-Forwards: 0" : $0 }.joined(separator: "\r\n")
    #expect(desk.receive(Array(text.utf8)).lines == ["483 INVITE"])
  }

  @Test func anInviteThatCameByTwoWaysIsALoop() {
    let desk = Desk()
    #expect(desk.receive(Station.invite()).lines == ["100 INVITE"])
    #expect(desk.receive(Station.invite(branch: "z9hG4bKother")).lines == ["482 INVITE"])
    // And one of ours that comes back.
    let (_, invite) = desk.call()
    let text = invite.text.replacing("sip:panel401@192.0.2.100:5060 SIP", with: "sip:panel401@192.0.2.1 SIP")
      .replacing("branch=", with: "branch=z9hG4bKproxy;x=")
    #expect(desk.receive(Array(text.utf8)).lines == ["482 INVITE"])
  }

  @Test func whoIsNotHeardGetsNoWordWhateverIsWrong() {
    let strays = [
      Self.options(), Station.invite(branch: "z9hG4bKd1"),
      Station.request("CANCEL", branch: "z9hG4bKd2", cseq: 20, toTag: "nobody"),
      Station.request("BYE", branch: "z9hG4bKd3", cseq: 21, toTag: "nobody"),
    ]
    let desk = Desk()
    desk.gate.hosts = []
    desk.gate.isDeaf = true
    for stray in strays { #expect(desk.receive(stray).isEmpty) }
    desk.gate.isDeaf = false
    for stray in strays { #expect(desk.receive(stray).count == 1) }
  }

  @Test func aScannerIsNotAnsweredEvenWhatCannotBeRead() {
    // SIPVicious asks to be registered at the contact "None".
    let broken = Self.options().replacing("Max-Forwards", with: "Contact: None\nMax-Forwards")
    #expect(Desk().receive(broken).lines == ["400 OPTIONS"])
    for agent in ["friendly-scanner", "Friendly-Scanner 2", "sipvicious"] {
      let text = broken.replacing("Max-Forwards", with: "User-Agent: \(agent)\nMax-Forwards")
      #expect(Desk().receive(text).isEmpty)
    }
    #expect(!Scanners.include("Yealink SIP-T33G") && !Scanners.include(""))
  }

  @Test func responsesGoWhereTheViaAndTheSourceSay() {
    let desk = Desk()
    desk.gate.hosts = []
    let from = Endpoint(IPAddress(v4: 0xC000_0270), port: 40_000)
    // With rport: to the source port; received says where it came from.
    let symmetric = desk.receive(Self.options(), on: Desk.flow(from: from))
    #expect(symmetric[0].flow.remote == from)
    #expect(symmetric[0].text.contains(";received=192.0.2.112;rport=40000"))
    // Without: to the port the Via names, at the source address.
    let old = desk.receive(
      Self.options(branch: "z9hG4bKo2", via: "SIP/2.0/UDP 192.0.2.100:5062"), on: Desk.flow(from: from))
    #expect(old[0].flow.remote == Endpoint(from.address, port: 5062))
    let bare = desk.receive(
      Self.options(branch: "z9hG4bKo3", via: "SIP/2.0/UDP host"), on: Desk.flow(from: from))
    #expect(bare[0].flow.remote == Endpoint(from.address, port: 5060))
    // By stream: the connection.
    let stream = Desk.flow(.tcp, from: from)
    let over = desk.receive(
      Self.options(branch: "z9hG4bKo4", via: "SIP/2.0/TCP 192.0.2.100:5062"), on: stream)
    #expect(over[0].flow == stream)
  }

  @Test func anOldDeviceWithoutCookiesIsMatchedByItsFields() {
    let desk = Desk()
    desk.receive(Station.invite(branch: "1"))
    #expect(desk.receive(Station.invite(branch: "1")).lines == ["100 INVITE"])
    #expect(desk.take().words == ["invited"])
    let cancel = Station.invite(branch: "1", body: nil).replacing("INVITE", with: "CANCEL")
    #expect(
      desk.receive(cancel.replacing("Allow: CANCEL", with: "Allow: INVITE")).lines == [
        "200 CANCEL", "487 INVITE",
      ])
    let ack = Station.invite(branch: "1", toTag: ";tag=x", body: nil).replacing("20 INVITE", with: "20 ACK")
      .replacing("INVITE sip", with: "ACK sip")
    #expect(desk.receive(ack).isEmpty)
    // Acknowledged: not sent again.
    #expect(desk.wait(.seconds(40)).isEmpty)
    #expect(desk.agent.census == AgentCensus())
  }

  @Test func capsRefuseWith503AndKeepWhatIsThere() {
    let desk = Desk {
      $0.sessionLimit = 2
      $0.transactionLimit = 8
      $0.answeredLimit = 4
    }
    for number in 0..<3 {
      let sent = desk.receive(Station.invite(branch: "z9hG4bK\(number)", callID: "c\(number)"))
      #expect(sent.lines == [number < 2 ? "100 INVITE" : "503 INVITE"])
    }
    #expect(desk.agent.census.sessions == 2)
    // Answered transactions make room for new ones.
    for number in 0..<50 {
      desk.receive(Self.options(branch: "z9hG4bKo\(number)"))
      guard case .request(let id, _, _, _)? = desk.take().last else {
        Issue.record("\(number) was not taken")
        return
      }
      #expect(desk.turn { $0.reply(id, status: 200, &$1) }.lines == ["200 OPTIONS"])
      #expect(desk.agent.census.serverTransactions <= 6)
    }
    // Unanswered ones do not.
    var refused = 0
    for number in 100..<120 {
      let sent = desk.receive(Self.options(branch: "z9hG4bKo\(number)"))
      if sent.lines == ["503 OPTIONS"] {
        refused += 1
        #expect(sent[0].text.contains("Retry-After: 10\r\n"))
      }
    }
    #expect(refused >= 12)
    #expect(desk.agent.census.sessions == 2)
  }

  @Test func lineEndsThatKeepAMappingOpenAreNoMistake() {
    let desk = Desk()
    for text in ["\r\n\r\n", "\r\n", "", "\0\0\0\0"] { #expect(desk.receive(Array(text.utf8)).isEmpty) }
    #expect(desk.take().isEmpty && desk.agent.counters.unreadable == 0)
  }

  @Test func bytesThatAreNoMessageGetWhatTheyDeserve() {
    let desk = Desk()
    #expect(desk.receive(Array("\u{0}\u{1}hello".utf8)).isEmpty)
    #expect(
      desk.receive(Self.options().replacing("SIP/2.0\nVia", with: "SIP/9.0\nVia")).lines == ["505 OPTIONS"])
    #expect(desk.take().words == ["mistake", "mistake"])
    #expect(desk.agent.counters.unreadable == 2)
  }
}
