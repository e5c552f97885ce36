import Calls
import Directory
import SDP
import SIP
import Testing
import Wire

/// Pages: devices that hear of calls by events and answer with an offer of their own.
@Suite struct CallsPageTests {
  let bench = CallsBench()

  func page(_ credential: UInt64 = 9) -> Contact {
    Contact(
      id: "page:\(credential)", destination: nil, address: IPAddress("192.0.2.70"), credential: credential)
  }
  func opens(_ account: String, _ page: Contact? = nil) {
    bench.turn { bench.calls.registered(page ?? self.page(), of: account, &$0) }
  }
  func answer(
    _ account: AccountName = "web401", _ page: Contact? = nil, sdp: String = Shapes.panel
  ) -> Result<PageAnswer, PageRefusal> {
    let id = bench.calls.live.first?.id ?? CallID("none")
    return bench.turn {
      bench.calls.answerPage(id, page ?? self.page(), of: account, offer: Array(sdp.utf8), &$0)
    }
  }
  /// Unit 401 with a panel that is registered and a page that is open.
  func ring(_ devices: [String] = ["panel401", "web401"]) {
    bench.plan([devices])
    bench.dialplan.contacts["web401"] = []
    bench.dialplan.pages["web401"] = [page()]
    bench.invite()
  }
  var told: [String] {
    bench.events.map { event in
      switch event {
      case .ringing: "ringing"
      case .answered(let record): "answered by \(record.answeredBy ?? "")"
      case .joined(_, let account): "\(account) joined"
      case .left(_, let account): "\(account) left"
      case .ended(let record): "ended \(record.end?.rawValue ?? "")"
      case .key, .doNotDisturb: "other"
      }
    }
  }

  @Test func aUnitWithNothingButAPageRings() {
    ring(["web401"])
    #expect(bench.taken() == ["ring intercom-main 180"])
    #expect(told == ["ringing"])
    let legs = bench.calls.live[0].legs
    #expect(
      legs.map { "\($0.account) \($0.state) \($0.code)" } == [
        "intercom-main ringing 180", "web401 ringing 180",
      ])
    bench.wait(.seconds(46))
    #expect(bench.taken() == ["refuse intercom-main 480"])
    #expect(bench.records.first?.end == .noanswer)
    #expect(told == ["ringing", "web401 left", "ended noanswer"])
    #expect(bench.media.open.isEmpty)
    #expect(bench.signalling.objections.isEmpty)
  }

  @Test func theFirstPageToAnswerTalksAndTheOthersAreTold() throws {
    ring()
    _ = bench.taken()
    let answer = try answer().get()
    #expect(bench.taken() == ["cancel panel401 SIP 200", "answer intercom-main"])
    #expect(answer.leg.utf8.count == 32)
    let description = try SessionDescription(parsing: answer.description)
    #expect(description.media[0].formats == ["8", "101"])
    #expect(bench.media.open.values.count { $0.partner != nil } == 2)
    bench.mediaFlows()
    let call = bench.calls.live[0].id
    #expect(bench.calls.conversation(in: call)?.account == "web401")
    let refusal = bench.turn { bench.calls.hangUpPage(call, leg: answer.leg, of: "web401", &$0) }
    #expect(refusal == nil)
    #expect(bench.taken() == ["hangUp intercom-main"])
    #expect(told == ["ringing", "panel401 left", "answered by web401", "web401 left", "ended answered"])
    #expect(bench.media.open.isEmpty)
    #expect(bench.calls.nextDeadline == nil)
    #expect(bench.signalling.objections.isEmpty)
  }

  @Test func candidatesOfAnEarlierGenerationAreRefused() throws {
    ring()
    let answer = try answer().get()
    let call = bench.calls.live[0].id
    func trickle(_ tag: String?) -> Result<(TrickleOutcome, tag: String), PageRefusal> {
      bench.turn {
        bench.calls.trickle(
          call, leg: answer.leg, of: "web401", tag: tag, Array("a=end-of-candidates\r\n".utf8), &$0)
      }
    }
    #expect(answer.tag != answer.leg && !answer.tag.isEmpty)
    for tag in [answer.tag, "*", nil] {
      let outcome = try trickle(tag).get()
      #expect(outcome.0 == .taken && outcome.tag == answer.tag)
    }
    #expect(throws: PageRefusal.stale) { try trickle("t0").get() }
  }

  @Test func aPageThatComesLateHearsWhy() throws {
    ring()
    bench.answers("panel401")
    #expect(answer() == .failure(.answeredElsewhere))
    // Who never was part of the call learns nothing of it.
    #expect(answer("web402", page(11)) == .failure(.unknown))
    let call = bench.calls.live[0].id
    bench.hangsUp("panel401")
    let late = bench.turn {
      bench.calls.answerPage(call, page(), of: "web401", offer: Array(Shapes.panel.utf8), &$0)
    }
    #expect(late == .failure(.over))
    let stranger = bench.turn {
      bench.calls.answerPage(call, page(11), of: "web402", offer: Array(Shapes.panel.utf8), &$0)
    }
    #expect(stranger == .failure(.unknown))
    #expect(bench.media.open.isEmpty)
  }

  @Test func anOfferThatCannotBeSpokenLeavesTheCallRinging() {
    ring()
    #expect(answer(sdp: "nonsense") == .failure(.notAcceptable))
    #expect(answer(sdp: Shapes.audio("98", "a=rtpmap:98 G729/8000\r\n")) == .failure(.notAcceptable))
    bench.media.left = bench.media.open.count
    #expect(answer() == .failure(.noRoom))
    bench.media.left = 1000
    #expect(bench.calls.live[0].legs.map(\.state) == [.ringing, .calling, .ringing])
    #expect((try? answer().get()) != nil)
  }

  @Test func whatTheMachineCannotTranscodeIsRefusedAndTheOthersRingOn() {
    ring()
    bench.media.affordsMore = false
    #expect(answer() == .failure(.noRoom))
    // One that follows no events leaves nothing behind that nobody could decline.
    #expect(answer("web401", page(12)) == .failure(.noRoom))
    #expect(bench.calls.live[0].legs.map(\.state) == [.ringing, .calling, .ringing])
    bench.media.affordsMore = true
    #expect((try? answer().get()) != nil)
  }

  @Test func aPageThatWentAwayAndCameBackRingsAgain() throws {
    ring()
    let call = bench.calls.live[0].id
    bench.turn { bench.calls.pageLost("page:9", &$0) }
    #expect(!bench.calls.rings(call, "page:9"))
    opens("web401")
    #expect(bench.calls.rings(call, "page:9"))
    #expect(told == ["ringing", "web401 left", "web401 joined"])
    #expect(bench.turn { bench.calls.declinePage(call, page(), of: "web401", &$0) } == nil)
    opens("web401")
    #expect(!bench.calls.rings(call, "page:9"))
  }

  @Test func aPageThatWentAwayMayAnswerBeforeItsEventsAreBack() throws {
    ring()
    bench.turn { bench.calls.pageLost("page:9", &$0) }
    #expect((try? answer().get()) != nil)
    #expect(bench.signalling.objections.isEmpty)
  }

  @Test func decliningOnAPageEndsThatPageOnly() {
    ring()
    let call = bench.calls.live[0].id
    #expect(bench.turn { bench.calls.declinePage(call, page(), of: "web401", &$0) } == nil)
    #expect(told == ["ringing", "web401 left"])
    #expect(answer() == .failure(.over))
    // Opening the page again does not make it ring again.
    opens("web401")
    #expect(bench.calls.live[0].legs.count == 3)
    bench.refuses("panel401", 603)
    #expect(bench.records.first?.end == .declined)
  }

  @Test func aPageThatOpensWhileItsUnitRingsJoinsIn() {
    ring()
    bench.rings("panel401")
    opens("web401", page(10))
    opens("web401", page(10))
    opens("web402", page(11))
    #expect(told == ["ringing", "web401 joined"])
    #expect(bench.calls.live[0].legs.map(\.account) == ["intercom-main", "panel401", "web401", "web401"])
    #expect((try? answer("web401", page(10)).get()) != nil)
    #expect(bench.calls.live[0].legs.map(\.state) == [.talking, .cancelled, .cancelled, .talking])
  }

  @Test func aDeviceThatFollowsNoEventsMayAnswerWhatRingsForItsAccount() throws {
    ring(["panel401", "web401"])
    bench.dialplan.pages = [:]
    _ = try answer("web401", page(20)).get()
    #expect(bench.calls.live[0].answeredBy == "web401")
    #expect(answer("panel401", page(21)) == .failure(.answeredElsewhere))
  }

  @Test func anAccountWithSeveralPagesIsToldOnce() {
    bench.plan([["web401", "web402"]])
    for (account, pages) in [("web401", [9, 10, 11]), ("web402", [12, 13])] as [(String, [UInt64])] {
      bench.dialplan.contacts[account] = []
      bench.dialplan.pages[account] = pages.map { page($0) }
    }
    bench.invite()
    #expect(told == ["ringing", "web402 joined"])
    #expect(
      bench.calls.live[0].legs.dropFirst().map(\.state) == [.ringing, .ringing, .ringing, .ringing, .ringing])
    #expect((try? answer("web401", page(11)).get()) != nil)
  }

  @Test func whoAnswersUnderANameOfItsOwnIsNotToldThatItRings() throws {
    ring()
    _ = try answer("web401", page(20)).get()
    #expect(told == ["ringing", "panel401 left", "answered by web401"])
  }

  @Test func whoDeclinesUnderANameOfItsOwnIsNotToldThatItRings() {
    ring()
    let call = bench.calls.live[0].id
    #expect(bench.turn { bench.calls.declinePage(call, page(20), of: "web401", &$0) } == nil)
    #expect(told == ["ringing"])
  }

  @Test func aPageThatWentAwayIsOut() {
    ring(["web401"])
    bench.turn { bench.calls.pageLost("page:9", &$0) }
    #expect(bench.taken() == ["ring intercom-main 180", "refuse intercom-main 480"])
    #expect(bench.records.first?.end == .noanswer)
  }

  @Test func revokingItsCredentialEndsItsRingAndItsTalk() throws {
    ring()
    bench.turn { bench.calls.revoke("web401", credential: 9, &$0) }
    #expect(bench.calls.live[0].legs.map(\.state) == [.ringing, .calling, .unreachable])
    bench.cancels("intercom-main")
    ring()
    _ = try answer().get()
    bench.turn { bench.calls.revoke("web401", credential: 8, &$0) }
    #expect(bench.calls.count == 1)
    bench.turn { bench.calls.revoke("web401", credential: 9, &$0) }
    #expect(bench.calls.count == 0)
    #expect(bench.media.open.isEmpty)
    #expect(bench.signalling.objections.isEmpty)
  }

  @Test func aStationOnHoldIsAnsweredWithoutAskingThePage() throws {
    ring()
    _ = try answer().get()
    _ = bench.taken()
    bench.offers("intercom-main", sdp: Shapes.held)
    #expect(bench.taken() == ["acceptOffer intercom-main"])
    #expect(bench.signalling.objections.isEmpty)
  }

  @Test func aCallerWithoutAnOfferIsAnsweredWithOurs() throws {
    bench.plan([["web401"]])
    bench.dialplan.contacts["web401"] = []
    bench.dialplan.pages["web401"] = [page()]
    bench.invite(sdp: nil)
    let answer = try answer().get()
    #expect(!answer.description.isEmpty)
    bench.acknowledges("intercom-main", sdp: Shapes.station)
    #expect(bench.media.open.values.count { $0.partner != nil } == 2)
    #expect(bench.calls.live[0].legs.map(\.state) == [.talking, .talking])
  }

  @Test func aSleepingTelephoneThatWakesUpJoinsIn() {
    bench.plan([["panel401", "mobile401"]])
    bench.invite()
    bench.refuses("mobile401", 503)
    let phone = bench.dialplan.contact("mobile401")
    bench.turn { bench.calls.registered(phone, of: "mobile401", &$0) }
    #expect(bench.taken() == ["invite panel401", "invite mobile401", "invite mobile401"])
    // One that said no is not asked again.
    bench.refuses("mobile401", 480)
    bench.turn { bench.calls.registered(phone, of: "mobile401", &$0) }
    #expect(bench.taken() == [])
  }
}
