import Calls
import Directory
import SDP
import SIP
import Testing
import Wire

@Suite struct CallsTalkTests {
  @Test func soundPassesInWhatBothSpeak() {
    let bench = CallsBench.talking(panel: Shapes.audio("0 101", port: 5004))
    #expect(bench.written(to: "intercom-main")?.media[0].formats == ["0", "101"])
    #expect(bench.media.open.values.allSatisfy { $0.audio?.peer.media?.audioCodec == .pcmu })
    #expect(bench.media.open.values.allSatisfy { $0.partner != nil })
  }

  @Test func aPanelThatSpeaksNothingOfItIsAskedAgainAndTranscoded() {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    bench.invite()
    #expect(bench.written(to: "panel401")?.media[0].formats == ["8", "0", "101"])
    bench.refuses("panel401", 488)
    bench.answers("panel401", sdp: Shapes.audio("9 101", port: 5004))
    #expect(bench.written(to: "intercom-main")?.media[0].formats == ["8", "101"])
    let codecs = bench.media.open.values.compactMap { $0.audio?.peer.media?.audioCodec }
    #expect(codecs.contains(.g722) && codecs.contains(.pcma))
  }

  @Test func theStationsPictureIsOfferedWithItsOwnParameters() {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    bench.invite(sdp: Shapes.withPicture)
    let offered = bench.written(to: "panel401")?.media[1]
    #expect(offered?.rtpFormats.first?.parameters == "profile-level-id=42801F;packetization-mode=1")
    #expect(offered?.has("sendonly") == true)
    bench.answers(
      "panel401",
      sdp: Shapes.panel
        + "m=video 5006 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=recvonly\r\n"
    )
    let answer = bench.written(to: "intercom-main")
    #expect(answer?.media.count == 2)
    #expect(answer?.media[1].port != 0)
    #expect(answer?.media[1].has("recvonly") == true)
    #expect(answer?.media[1].rtpFormats.first?.parameters == "profile-level-id=42801F;packetization-mode=1")
  }

  @Test func aPanelWithoutPictureMakesTheStationsPictureRefused() {
    let bench = CallsBench.talking(station: Shapes.withPicture)
    #expect(bench.written(to: "intercom-main")?.media.map { $0.port == 0 } == [false, true])
  }

  @Test func aStationThatIsACameraShowsItsPictureWhoeverAnswers() {
    let bench = CallsBench()
    bench.dialplan.watched = ["intercom-main"]
    bench.plan([["panel401"]])
    bench.invite(sdp: Shapes.withPicture)
    #expect(bench.calls.pictures(of: "intercom-main") == nil, "before the answer nothing is agreed on")
    bench.answers("panel401")
    let answer = bench.written(to: "intercom-main")
    #expect(answer?.media[1].port != 0)
    #expect(answer?.media[1].has("recvonly") == true)
    #expect(bench.calls.pictures(of: "intercom-main") != nil)
    #expect(bench.calls.pictures(of: "rear") == nil)
  }

  @Test func anExtraVideoLineInAnAnswerIsTolerated() {
    let bench = CallsBench.talking(
      panel: Shapes.panel + "m=video 20002 RTP/AVP 105\r\na=rtpmap:105 H264/90000\r\n")
    #expect(bench.calls.count == 1)
    #expect(bench.media.open.values.allSatisfy { $0.video == nil })
  }

  @Test func aCallerWithoutAnOfferGetsOursAndAnswersInItsAcknowledgement() {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    bench.invite(sdp: nil)
    #expect(bench.written(to: "panel401")?.media[0].formats == ["8", "0", "101"])
    bench.answers("panel401")
    #expect(bench.written(to: "intercom-main")?.media[0].formats == ["8", "0", "101"])
    #expect(bench.media.open.values.allSatisfy { $0.partner == nil })
    bench.acknowledges("intercom-main", sdp: Shapes.station)
    #expect(bench.media.open.values.allSatisfy { $0.partner != nil })
    #expect(bench.signalling.objections.isEmpty)
  }

  @Test func anAcknowledgementWithoutAnAnswerEndsTheCall() {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    bench.invite(sdp: nil)
    bench.answers("panel401")
    _ = bench.taken()
    bench.acknowledges("intercom-main", sdp: nil)
    #expect(bench.taken() == ["hangUp intercom-main SIP 488", "hangUp panel401 SIP 488"])
    #expect(bench.records[0].end == .failed)
  }

  @Test func holdIsOfferedOnAndAnsweredWhenTheOtherEndHas() {
    let bench = CallsBench.talking()
    bench.offers("panel401", sdp: Shapes.held)
    #expect(bench.taken() == ["offer intercom-main"])
    #expect(bench.written(to: "intercom-main")?.media[0].has("sendonly") == true)
    bench.acceptsOffer("intercom-main", sdp: Shapes.audio("8 101", "a=recvonly\r\n"))
    #expect(bench.taken() == ["acceptOffer panel401"])
    #expect(bench.written(to: "panel401")?.media[0].has("recvonly") == true)
    // And back.
    bench.offers("panel401", sdp: Shapes.panel)
    #expect(bench.taken() == ["offer intercom-main"])
    bench.acceptsOffer("intercom-main", sdp: Shapes.station)
    #expect(bench.taken() == ["acceptOffer panel401"])
    #expect(bench.written(to: "panel401")?.media[0].has("sendrecv") == true)
    #expect(bench.media.made == 2)
    #expect(bench.signalling.objections.isEmpty)
  }

  @Test func aRefreshIsAnsweredAtOnceWithTheSameDescription() {
    let bench = CallsBench.talking()
    let before = bench.written(to: "intercom-main")
    bench.offers("intercom-main", sdp: Shapes.station)
    #expect(bench.taken() == ["acceptOffer intercom-main"])
    #expect(bench.written(to: "intercom-main") == before)
  }

  @Test func aHoldThatTheOtherEndRefusesIsAnsweredAllTheSame() {
    let bench = CallsBench.talking()
    bench.offers("panel401", sdp: Shapes.held)
    let station = bench.session("intercom-main")
    bench.signalling.sessions[station]?.offering = false
    bench.turn { bench.calls.offerRefused(station, &$0) }
    #expect(bench.taken() == ["offer intercom-main", "acceptOffer panel401"])
    #expect(bench.written(to: "panel401")?.media[0].has("recvonly") == true)
  }

  @Test func aMovedAddressInAReofferReachesTheMediaPlane() {
    let bench = CallsBench.talking()
    bench.offers("intercom-main", sdp: Shapes.station.replacing("192.0.2.20", with: "192.0.2.77"))
    #expect(bench.taken() == ["acceptOffer intercom-main"])
    #expect(bench.media.open.values.contains { $0.audio?.peer.rtp?.address == IPAddress("192.0.2.77") })
  }

  @Test func aPeerThatWantsOurOfferGetsItAndAnswersInItsAcknowledgement() {
    let bench = CallsBench.talking()
    bench.offers("panel401", sdp: nil)
    #expect(bench.taken() == ["acceptOffer panel401"])
    bench.acceptsOffer("panel401", sdp: Shapes.held)
    #expect(bench.taken() == ["offer intercom-main"])
    bench.acceptsOffer("intercom-main", sdp: Shapes.audio("8 101", "a=recvonly\r\n"))
    #expect(bench.taken() == [])
    #expect(bench.signalling.objections.isEmpty)
  }

  @Test func twoOffersAtOnceAreNotBothTaken() {
    let bench = CallsBench.talking()
    bench.offers("panel401", sdp: Shapes.held)
    bench.offers("panel401", sdp: Shapes.held)
    #expect(bench.taken() == ["offer intercom-main", "refuseOffer panel401 491"])
  }

  @Test func aPeerThatWantedOurOfferAndNeverAnswersChangesNothing() {
    let bench = CallsBench.talking()
    let before = bench.media.open
    bench.offers("panel401", sdp: nil)
    bench.refusesOffer("panel401")
    #expect(bench.taken() == ["acceptOffer panel401"])
    #expect(bench.media.open.mapValues(\.audio) == before.mapValues(\.audio))
    bench.offers("panel401", sdp: Shapes.panel)
    #expect(bench.taken() == ["acceptOffer panel401"])
  }

  // MARK: Keys

  @Test func aResidentsKeyIsToldAndNeverReachesTheStation() {
    let bench = CallsBench.talking()
    #expect(bench.media.keys == [KeyPassage(fromFirst: true, fromSecond: false)])
    bench.informs("panel401", "application/dtmf-relay", "Signal=#\r\nDuration=160\r\n")
    let leg = bench.media.open.first { $0.value.audio?.peer.rtp?.port == 5004 }!.key
    bench.turn { bench.calls.keyReceived("5", on: leg, &$0) }
    #expect(bench.taken() == ["reply 200"])
    #expect(bench.media.log == [])
    #expect(bench.keys.map(\.digit) == ["#", "5"])
    #expect(
      bench.keys.allSatisfy { $0.account == "panel401" && $0.station == "intercom-main" && $0.unit == "401" })
  }

  @Test func whoTalksWithAStationIsKnownWhicheverCalled() {
    let bench = CallsBench()
    bench.plan([["panel401"], ["guard1"]])
    bench.invite()
    let id = bench.calls.live[0].id
    #expect(bench.calls.conversation(in: id) == nil)
    bench.answers("panel401")
    #expect(bench.calls.conversation(in: id)?.account == "panel401")
    #expect(bench.calls.conversation(in: id)?.unit == "401")
    bench.plan([["guard1"]])
    bench.refers("panel401", to: "guard1")
    #expect(bench.calls.conversation(in: id) == nil)
    bench.answers("guard1")
    #expect(bench.calls.conversation(in: id)?.account == "guard1")
    let other = CallsBench()
    other.plan([["intercom-main"]])
    other.invite(from: "panel401", to: "intercom-main")
    other.answers("intercom-main")
    #expect(other.calls.conversation(in: other.calls.live[0].id)?.station == "intercom-main")
    other.informs("panel401", "application/dtmf", "#")
    #expect(other.keys.map(\.digit) == ["#"])
    #expect(other.media.keys == [KeyPassage(fromFirst: false, fromSecond: true)])
  }

  @Test func aKeyBeforeTheAnswerOpensNothing() {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    bench.invite()
    bench.rings("panel401")
    bench.informs("panel401", "application/dtmf-relay", "Signal=#\r\n")
    #expect(bench.keys.isEmpty)
    #expect(bench.taken().last == "reply 200")
  }

  @Test func aVisitorsKeyOpensNothing() {
    let bench = CallsBench.talking()
    bench.informs("intercom-main", "application/dtmf-relay", "Signal=#\r\n")
    #expect(bench.keys.isEmpty)
    #expect(bench.media.log == ["keys #"])
  }

  @Test(arguments: [
    ("application/dtmf-relay", "Signal=5\r\nDuration=100", ["5"]),
    ("application/dtmf-relay;charset=utf-8", "Duration=100\nSignal= * \n", ["*"]),
    ("application/dtmf", "#", ["#"]), ("Application/DTMF", " 11\r\n", ["#"]),
    ("application/dtmf-relay", "Signal=x", []), ("application/dtmf-relay", "", []),
  ])
  func keysInInfoAreReadInEveryForm(type: String, body: String, keys: [String]) {
    let bench = CallsBench.talking()
    bench.informs("panel401", type, body)
    #expect(bench.keys.map { String($0.digit) } == keys)
    #expect(bench.taken() == ["reply 200"])
  }

  @Test func informationOfAnotherKindIsRefused() {
    let bench = CallsBench.talking()
    bench.informs("panel401", "application/json", "{}")
    #expect(bench.taken() == ["reply 415"])
  }

  @Test func keysBetweenResidentsAreTranslated() {
    let bench = CallsBench.talking(from: "web401", panel: Shapes.plainPanel)
    bench.informs("panel401", "application/dtmf", "7")
    #expect(bench.media.log == ["keys 7"])
    bench.informs("web401", "application/dtmf", "8")
    #expect(bench.taken() == ["reply 200", "reply 200", "info panel401 Signal=8"])
    #expect(bench.keys.isEmpty)
    #expect(bench.media.keys == [KeyPassage(fromFirst: true, fromSecond: true)])
  }

  @Test func onlyAnActuatorSendsKeysToAStation() {
    let bench = CallsBench.talking()
    #expect(bench.turn { bench.calls.sendKeys("12#", as: .rfc4733, to: "intercom-main", &$0) })
    #expect(bench.media.log == ["keys 12#"])
    #expect(bench.turn { bench.calls.sendKeys("4", as: .info, to: "intercom-main", &$0) })
    #expect(bench.taken() == ["info intercom-main Signal=4"])
    #expect(bench.turn { bench.calls.sendKeys("4", as: .info, to: "intercom-back", &$0) } == false)
  }

  // MARK: How calls end

  @Test func theOtherEndIsToldWhy() {
    let bench = CallsBench.talking()
    bench.hangsUp("intercom-main", Reason(.q850, cause: 16, text: "bye"))
    #expect(bench.taken() == ["hangUp panel401 Q.850 16"])
  }

  @Test func theLongestTalkIsTheStations() {
    let bench = CallsBench()
    bench.dialplan.stations["intercom-main"]?.maxTalk = .seconds(40)
    bench.plan([["panel401"]])
    bench.invite()
    bench.answers("panel401")
    _ = bench.taken()
    for _ in 0..<7 {
      bench.mediaFlows()
      bench.wait(.seconds(5))
    }
    #expect(bench.taken() == [])
    bench.mediaFlows()
    bench.wait(.seconds(6))
    #expect(bench.taken() == ["hangUp intercom-main Q.850 16", "hangUp panel401 Q.850 16"])
  }

  @Test func mediaThatNeverBeginsEndsTheCallAfterTwentySeconds() {
    let bench = CallsBench.talking()
    bench.wait(.seconds(19))
    #expect(bench.taken() == [])
    bench.wait(.seconds(7))
    #expect(bench.taken() == ["hangUp intercom-main Q.850 41", "hangUp panel401 Q.850 41"])
    #expect(bench.records[0].isSilent)
  }

  @Test func mediaThatStopsEndsTheCallAfterAMinute() {
    let bench = CallsBench.talking()
    bench.mediaFlows()
    bench.wait(.seconds(59))
    #expect(bench.taken() == [])
    bench.wait(.seconds(12))
    #expect(bench.taken().count == 2)
  }

  @Test func aCallOneWayGoesOnAndIsRecordedAsSuch() {
    let bench = CallsBench.talking()
    let station = bench.media.open.first { $0.value.audio?.peer.rtp?.port == 12000 }!.key
    for _ in 0..<20 {
      bench.media.open[station]?.counts.packetsIn += 50
      bench.wait(.seconds(5))
    }
    #expect(bench.taken() == [])
    bench.hangsUp("panel401")
    #expect(bench.records[0].isOneWay)
    #expect(!bench.records[0].isSilent)
  }

  @Test func silenceOnHoldIsNotLostMedia() {
    let bench = CallsBench.talking()
    bench.mediaFlows()
    bench.offers("panel401", sdp: Shapes.audio("8 101", port: 5004, "a=inactive\r\n"))
    bench.acceptsOffer("intercom-main", sdp: Shapes.audio("8 101", "a=inactive\r\n"))
    _ = bench.taken()
    bench.wait(.seconds(100))
    #expect(bench.taken() == [])
  }

  @Test func theCallEndsSoonAfterOpeningWhereTheStationWantsThat() {
    let bench = CallsBench.talking()
    let id = bench.calls.live[0].id
    bench.turn { bench.calls.doorOpened(in: id, &$0) }
    #expect(bench.media.log == ["play opened", "play opened"])
    bench.mediaFlows()
    bench.wait(.seconds(4))
    #expect(bench.calls.count == 1)
    bench.dialplan.stations["intercom-main"]?.hangupAfterOpen = true
    bench.turn { bench.calls.doorOpened(in: id, &$0) }
    bench.wait(.seconds(3))
    #expect(bench.calls.count == 0)
    #expect(bench.records[0].end == .answered)
  }
}
