import Calls
import Directory
import SDP
import SIP
import Testing
import Wire

@Suite struct CallsRingingTests {
  @Test func allDevicesRingAndTheFirstAnswerWins() {
    let bench = CallsBench()
    bench.plan([["panel401", "web401", "mobile401"]])
    bench.invite()
    #expect(bench.taken() == ["invite panel401", "invite web401", "invite mobile401"])
    bench.rings("panel401")
    bench.rings("web401")
    #expect(bench.taken() == ["ring intercom-main 180"])
    bench.answers("web401")
    #expect(bench.taken() == ["cancel panel401 SIP 200", "cancel mobile401 SIP 200", "answer intercom-main"])
    bench.mediaFlows()
    bench.wait(.seconds(30))
    bench.hangsUp("web401")
    #expect(bench.taken() == ["hangUp intercom-main"])
    let record = bench.records[0]
    #expect(record.end == .answered)
    #expect(record.answeredBy == "web401")
    #expect(
      record.legs.map { "\($0.account) \($0.state) \($0.code) \($0.codec ?? "-")" } == [
        "intercom-main answered 200 PCMA", "panel401 cancelled 487 -", "web401 answered 200 PCMA",
        "mobile401 cancelled 487 -",
      ])
    #expect(!record.isSilent && !record.isOneWay)
    #expect(bench.media.open.isEmpty)
    #expect(bench.signalling.objections.isEmpty)
    #expect(bench.calls.nextDeadline == nil)
  }

  @Test func thePanelReadsTheStationsName() {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    bench.invite()
    #expect(
      bench.signalling.sessions[bench.session("panel401")]?.from
        == Party(username: "intercom-main", display: "Entrance"))
  }

  @Test func everyDeviceOfAnAccountRings() {
    let bench = CallsBench()
    bench.plan([["mobile401"]])
    bench.dialplan.contacts["mobile401"] = ["phone", "tablet"]
    bench.invite()
    #expect(bench.taken() == ["invite mobile401", "invite mobile401"])
  }

  @Test func theCallersGivingUpTellsEveryDeviceThatTheCallWasMissed() {
    let bench = CallsBench()
    bench.plan([["panel401", "web401"]])
    bench.invite()
    bench.rings("panel401")
    _ = bench.taken()
    bench.cancels("intercom-main")
    #expect(bench.taken() == ["cancel panel401 SIP 487", "cancel web401 SIP 487"])
    #expect(bench.records[0].end == .cancelled)
  }

  @Test func aReasonInTheCallersCancelIsCarriedOn() {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    bench.invite()
    _ = bench.taken()
    bench.cancels("intercom-main", Reason(.q850, cause: 31, text: "x"))
    #expect(bench.taken() == ["cancel panel401 Q.850 31"])
  }

  @Test func aDeclineEndsItsBranchOnly() {
    let bench = CallsBench()
    bench.plan([["panel401", "web401"]])
    bench.invite()
    bench.rings("panel401")
    _ = bench.taken()
    bench.refuses("panel401", 603)
    #expect(bench.taken() == [])
    bench.answers("web401")
    #expect(bench.taken() == ["answer intercom-main"])
  }

  @Test func aDeclineEndsTheCallWhereTheRuleSaysSo() {
    let bench = CallsBench()
    bench.plan([["panel401", "web401"], ["guard1"]], declineEnds: true)
    bench.invite()
    _ = bench.taken()
    bench.refuses("panel401", 603)
    #expect(bench.taken() == ["cancel web401 SIP 603", "refuse intercom-main 603"])
    #expect(bench.records[0].end == .declined)
  }

  @Test(arguments: [
    (486, 486, CallEnd.busy), (600, 486, .busy), (603, 603, .declined), (480, 480, .unreachable),
    (408, 480, .unreachable), (404, 480, .unreachable), (430, 480, .unreachable), (503, 480, .unreachable),
    (401, 480, .unreachable), (500, 480, .unreachable), (302, 480, .unreachable),
  ])
  func whatTheOnlyDeviceSaysDecidesWhatTheCallerGets(status: Int, caller: Int, end: CallEnd) {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    bench.invite()
    _ = bench.taken()
    bench.refuses("panel401", status)
    #expect(bench.taken() == ["refuse intercom-main \(caller)"])
    #expect(bench.records.map(\.end) == [end])
    #expect(bench.media.open.isEmpty)
  }

  @Test(arguments: [488, 415, 606])
  func aMediaMismatchIsAskedOnceMoreWithSoundOnly(status: Int) {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    bench.invite(sdp: Shapes.withPicture)
    #expect(bench.written(to: "panel401")?.media.count == 2)
    bench.refuses("panel401", status)
    #expect(bench.taken() == ["invite panel401", "invite panel401"])
    #expect(bench.written(to: "panel401")?.media.map { $0.formats } == [["8", "0", "9", "111", "101"]])
    bench.refuses("panel401", status)
    #expect(bench.taken() == ["refuse intercom-main 488"])
    #expect(bench.media.open.isEmpty)
  }

  @Test func nobodyRegisteredIs480() {
    let bench = CallsBench()
    bench.plan([["panel401"], ["guard1"]])
    bench.dialplan.contacts = ["panel401": [], "guard1": []]
    bench.invite()
    #expect(bench.taken() == ["refuse intercom-main 480"])
    #expect(bench.records[0].end == .unreachable)
  }

  @Test(arguments: [
    (CallRefusal.unknown, 404, CallEnd.refused), (.notAllowed, 403, .refused),
    (.doNotDisturb, 480, .unreachable),
    (.busy, 486, .busy), (.nobody, 480, .unreachable), (.emergencyWithoutTarget, 404, .refused),
  ])
  func whatThePlanRefusesIsSaid(refusal: CallRefusal, status: Int, end: CallEnd) {
    let bench = CallsBench()
    bench.dialplan.decision = .refuse(refusal)
    bench.invite()
    #expect(bench.taken() == ["refuse intercom-main \(status)"])
    #expect(bench.records[0].end == end)
    #expect(bench.media.open.isEmpty)
  }

  @Test func aStepThatTimesOutIsFollowedByTheNextAndTheGuardIsLast() {
    let bench = CallsBench()
    bench.plan([["panel401"], ["guard1"]], timeout: 30)
    bench.invite()
    bench.rings("panel401")
    _ = bench.taken()
    bench.wait(.seconds(29))
    #expect(bench.taken() == [])
    bench.wait(.seconds(2))
    #expect(bench.taken() == ["cancel panel401 SIP 487", "invite guard1"])
    bench.rings("guard1")
    bench.wait(.seconds(31))
    #expect(bench.taken() == ["cancel guard1 SIP 487", "refuse intercom-main 480"])
    #expect(bench.records[0].end == .noanswer)
    #expect(bench.records[0].legs.map(\.state) == [.noanswer, .noanswer, .noanswer])
  }

  @Test func aStepEndsAtOnceWhenEveryDeviceIsOut() {
    let bench = CallsBench()
    bench.plan([["panel401", "web401"], ["guard1"]])
    bench.invite()
    _ = bench.taken()
    bench.refuses("panel401", 486)
    #expect(bench.taken() == [])
    bench.refuses("web401", 480)
    #expect(bench.taken() == ["invite guard1"])
    bench.answers("guard1")
    #expect(bench.taken() == ["answer intercom-main"])
  }

  @Test func anAnswerThatCrossesIsHungUp() {
    let bench = CallsBench()
    bench.plan([["panel401", "web401"]])
    bench.invite()
    let late = bench.session("web401")
    bench.answers("panel401")
    _ = bench.taken()
    bench.signalling.sessions[late]?.stage = .talking
    bench.turn { bench.calls.answered(late, body: .sdp(Array(Shapes.panel.utf8)), &$0) }
    #expect(bench.taken() == ["hangUp web401 SIP 200"])
    #expect(bench.records.isEmpty)
  }

  @Test func anAnswerWithoutUsableSoundLosesItsBranch() {
    let bench = CallsBench()
    bench.plan([["panel401", "web401"]])
    bench.invite()
    _ = bench.taken()
    bench.answers("panel401", sdp: Shapes.audio("96"))
    #expect(bench.taken() == ["hangUp panel401 SIP 488"])
    bench.answers("web401")
    #expect(bench.taken() == ["answer intercom-main"])
  }

  @Test func aCallerWithoutPlainSoundGets488() {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    bench.invite(sdp: Shapes.station.replacing("RTP/AVP", with: "RTP/SAVP"))
    #expect(bench.taken() == ["refuse intercom-main 488"])
  }

  @Test func aBodyThatIsNoDescriptionGets415() {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    bench.invite(sdp: "hello")
    #expect(bench.taken() == ["refuse intercom-main 415"])
    #expect(bench.calls.count == 0)
  }

  @Test func aFullHouseRefusesButEmergencyGoesAhead() {
    let bench = CallsBench(CallsConfiguration(limit: 1, emergencyReserve: 1))
    bench.plan([["panel401"]])
    bench.invite()
    bench.invite()
    #expect(bench.taken() == ["invite panel401", "refuse intercom-main 503"])
    bench.plan([["guard1"]], isEmergency: true)
    bench.invite()
    #expect(bench.taken() == ["invite guard1"])
  }

  @Test func noPortsLeftIs503() {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    bench.media.left = 1
    bench.invite()
    #expect(bench.taken() == ["refuse intercom-main 503"])
    #expect(bench.records[0].end == .failed)
  }

  @Test func anAgentWithoutRoomIs503() {
    let bench = CallsBench()
    bench.plan([["panel401", "web401"]])
    bench.signalling.hasRoom = false
    bench.invite()
    #expect(bench.taken() == ["no room for panel401", "no room for web401", "refuse intercom-main 503"])
    #expect(bench.media.open.isEmpty)
  }

  @Test func drainingRefusesNewCallsAndKeepsRunningOnes() {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    bench.invite()
    bench.calls.admitsCalls = false
    bench.invite()
    #expect(bench.taken() == ["invite panel401", "refuse intercom-main 503"])
    bench.answers("panel401")
    #expect(bench.taken() == ["answer intercom-main"])
  }

  @Test func aDeviceThatRegistersWhileItsAccountRingsJoinsIn() {
    let bench = CallsBench()
    bench.plan([["panel401", "mobile401"]])
    bench.dialplan.contacts["mobile401"] = []
    bench.invite()
    #expect(bench.taken() == ["invite panel401"])
    bench.turn { bench.calls.registered(bench.dialplan.contact("phone"), of: "mobile401", &$0) }
    bench.turn { bench.calls.registered(bench.dialplan.contact("phone"), of: "mobile401", &$0) }
    bench.turn { bench.calls.registered(bench.dialplan.contact("else"), of: "mobile402", &$0) }
    #expect(bench.taken() == ["invite mobile401"])
    bench.answers("mobile401")
    #expect(bench.taken() == ["cancel panel401 SIP 200", "answer intercom-main"])
  }

  @Test func aUnitInACallIsToldToTheDialplanAsBusy() {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    bench.invite()
    bench.invite()
    #expect(bench.dialplan.lastBusy == [])
    bench.answers("panel401")
    bench.invite()
    #expect(bench.dialplan.lastBusy == ["401"])
  }

  @Test func severalDoorsRingAtOnceAndDoNotMeet() {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    let first = bench.invite()
    bench.plan([["panel402"]])
    let second = bench.invite(from: "intercom-back")
    bench.answers("panel402")
    #expect(bench.signalling.sessions[second]?.stage == .talking)
    #expect(bench.signalling.sessions[first]?.stage == .invited)
    #expect(bench.calls.live.map(\.from) == ["intercom-main", "intercom-back"])
  }

  @Test func revokedCredentialsEndCallsAndSilenceRinging() {
    let bench = CallsBench()
    bench.plan([["panel401", "web401"]])
    bench.invite()
    _ = bench.taken()
    bench.turn { bench.calls.revoke("web401", credential: nil, &$0) }
    #expect(bench.taken() == ["cancel web401 SIP 403"])
    bench.answers("panel401")
    _ = bench.taken()
    bench.turn { bench.calls.revoke("intercom-main", credential: 8, &$0) }
    #expect(bench.taken() == [])
    bench.turn { bench.calls.revoke("intercom-main", credential: 7, &$0) }
    #expect(bench.taken() == ["hangUp intercom-main SIP 403", "hangUp panel401 SIP 403"])
    #expect(bench.calls.count == 0)
  }

  @Test func aCallIsHungUpByItsName() {
    let bench = CallsBench()
    bench.plan([["panel401"]])
    bench.invite()
    let id = bench.calls.live[0].id
    #expect(id.text.count == 16)
    #expect(bench.turn { bench.calls.hangUp(CallID("nothing"), &$0) } == false)
    #expect(bench.turn { bench.calls.hangUp(id, &$0) })
    #expect(bench.taken() == ["invite panel401", "refuse intercom-main 480", "cancel panel401 Q.850 16"])
    #expect(bench.records[0].end == .cancelled)
  }

  @Test func aDialledServiceIsAnsweredWithAToneAndEndsByItself() {
    let bench = CallsBench()
    bench.dialplan.decision = .doNotDisturb("panel401", on: true)
    bench.invite(from: "panel401", to: "*78")
    #expect(bench.taken() == ["answer panel401"])
    #expect(bench.media.log == ["play opened"])
    #expect(bench.events.first == .doNotDisturb("panel401", on: true))
    bench.wait(.seconds(3))
    #expect(bench.taken().count == 1)
    #expect(bench.records.count == 1)
    #expect(bench.media.open.isEmpty)
  }

  @Test func earlyMediaIsRelayedOnlyWhereWantedAndNeverToAStation() {
    let bench = CallsBench(CallsConfiguration(earlyMedia: .relayed))
    bench.plan([["panel401"]])
    bench.invite(from: "web401")
    bench.rings("panel401", status: 183, sdp: Shapes.panel)
    #expect(bench.taken() == ["invite panel401", "ring web401 183 sdp"])
    let early = bench.written(to: "web401")
    bench.answers("panel401")
    #expect(bench.written(to: "web401") == early)
    let station = CallsBench(CallsConfiguration(earlyMedia: .relayed))
    station.plan([["panel401"]])
    station.invite()
    station.rings("panel401", status: 183, sdp: Shapes.panel)
    #expect(station.taken() == ["invite panel401", "ring intercom-main 180"])
  }
}
