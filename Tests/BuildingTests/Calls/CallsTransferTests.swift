import Calls
import Directory
import SDP
import SIP
import Testing
import Wire

/// Conversations that are handed on, and pages.
@Suite struct CallsTransferTests {
  @Test func aBlindTransferRingsOnBehalfOfWhoStays() {
    let bench = CallsBench.talking()
    bench.plan([["guard1"]])
    bench.refers("panel401", to: "guard1")
    #expect(bench.taken() == ["reply 202", "notify panel401 100", "invite guard1"])
    #expect(bench.signalling.sessions[bench.session("guard1")]?.from?.display == "Entrance")
    bench.rings("guard1")
    #expect(bench.taken() == ["notify panel401 180"])
    bench.answers("guard1")
    #expect(bench.taken() == ["notify panel401 200", "hangUp panel401 Q.850 16"])
    bench.hangsUp("guard1")
    #expect(bench.taken() == ["hangUp intercom-main"])
    #expect(bench.records[0].legs.map(\.account) == ["intercom-main", "panel401", "guard1"])
    #expect(bench.signalling.objections.isEmpty)
    #expect(bench.media.open.isEmpty)
  }

  @Test func aStationOnHoldHearsOfATransferAsAReinvite() {
    let bench = CallsBench.talking()
    bench.offers("panel401", sdp: Shapes.held)
    bench.acceptsOffer("intercom-main", sdp: Shapes.audio("8 101", "a=recvonly\r\n"))
    bench.plan([["guard1"]])
    bench.refers("panel401", to: "guard1")
    _ = bench.taken()
    bench.answers("guard1")
    #expect(bench.taken() == ["notify panel401 200", "hangUp panel401 Q.850 16", "offer intercom-main"])
    #expect(bench.written(to: "intercom-main")?.media[0].has("sendrecv") == true)
  }

  @Test func aTransferThatNobodyTakesLeavesTheCallAsItWas() {
    let bench = CallsBench.talking()
    bench.plan([["guard1"]])
    bench.refers("panel401", to: "guard1")
    _ = bench.taken()
    bench.refuses("guard1", 486)
    #expect(bench.taken() == ["notify panel401 486"])
    bench.hangsUp("panel401")
    #expect(bench.taken() == ["hangUp intercom-main"])
  }

  @Test func whoAskedForATransferNeedNotWait() {
    let bench = CallsBench.talking()
    bench.plan([["guard1"]])
    bench.refers("panel401", to: "guard1")
    bench.hangsUp("panel401")
    #expect(bench.calls.count == 1)
    _ = bench.taken()
    bench.answers("guard1")
    #expect(bench.taken() == [])
    #expect(bench.media.open.values.allSatisfy { $0.partner != nil })
    bench.hangsUp("intercom-main")
    #expect(bench.taken() == ["hangUp guard1"])
  }

  @Test func anAbandonedTransferThatNobodyTakesEndsTheCall() {
    let bench = CallsBench.talking()
    bench.plan([["guard1"]])
    bench.refers("panel401", to: "guard1")
    bench.hangsUp("panel401")
    _ = bench.taken()
    bench.refuses("guard1", 480)
    #expect(bench.taken() == ["hangUp intercom-main Q.850 16"])
    #expect(bench.media.open.isEmpty)
  }

  @Test func aStationTransfersNobody() {
    let bench = CallsBench.talking()
    bench.plan([["guard1"]])
    bench.refers("intercom-main", to: "guard1")
    #expect(bench.taken() == ["reply 403"])
  }

  @Test func aTransferThatIsNotAllowedIsRefused() {
    let bench = CallsBench.talking()
    bench.dialplan.decision = .refuse(.notAllowed)
    bench.refers("panel401", to: "501")
    #expect(bench.taken() == ["reply 403"])
    #expect(bench.calls.count == 1)
  }

  @Test func anAttendedTransferJoinsTheTwoOtherEnds() {
    let bench = CallsBench.talking()
    bench.plan([["guard1"]])
    let second = bench.invite(from: "panel401", to: "guard1")
    bench.answers("guard1")
    _ = bench.taken()
    let first = bench.signalling.order[1]
    bench.turn {
      bench.calls.transferRequested(
        first, TransactionID(.none), TransferRequest(dialled: "guard1", replaces: second), &$0)
    }
    #expect(
      bench.taken() == [
        "reply 202", "hangUp panel401 Q.850 16", "notify panel401 200", "hangUp panel401 Q.850 16",
      ])
    #expect(bench.calls.count == 1)
    #expect(bench.media.open.count == 2)
    #expect(bench.media.open.values.allSatisfy { $0.partner != nil })
    bench.hangsUp("intercom-main")
    #expect(bench.taken() == ["hangUp guard1"])
    #expect(bench.media.open.isEmpty)
    #expect(bench.signalling.objections.isEmpty)
  }

  @Test func nobodyTransfersWithAnothersCall() {
    let bench = CallsBench.talking()
    bench.plan([["guard1"]])
    let second = bench.invite(from: "web401", to: "guard1")
    bench.answers("guard1")
    _ = bench.taken()
    bench.refers("panel401", to: "guard1", replacing: second)
    #expect(bench.taken() == ["reply 481"])
  }

  @Test func aDeviceOfTheSameUnitTakesACallOver() {
    let bench = CallsBench.talking()
    bench.dialplan.units = ["web401": "401"]
    let replaced = bench.session("panel401")
    bench.invite(from: "web401", sdp: Shapes.panel, replacing: replaced)
    #expect(bench.taken() == ["answer web401", "hangUp panel401 Q.850 16"])
    #expect(bench.calls.count == 1)
    #expect(bench.media.open.values.allSatisfy { $0.partner != nil })
    bench.hangsUp("intercom-main")
    #expect(bench.taken() == ["hangUp web401"])
    #expect(bench.records.map { $0.legs.map(\.account) } == [["intercom-main", "panel401", "web401"]])
    #expect(bench.media.open.isEmpty)
    #expect(bench.calls.nextDeadline == nil)
  }

  @Test func nobodyElseTakesACallOver() {
    let bench = CallsBench.talking()
    bench.dialplan.units = ["web402": "402"]
    bench.invite(from: "web402", sdp: Shapes.panel, replacing: bench.session("panel401"))
    #expect(bench.taken() == ["refuse web402 481"])
    bench.invite(from: "web402", sdp: Shapes.panel, replacing: SessionID(.none))
    #expect(bench.taken() == ["refuse web402 481"])
    #expect(bench.calls.count == 1)
  }

  // MARK: Paging

  @Test func aPageIsHeardByEveryPanelOneWay() {
    let bench = CallsBench()
    bench.plan([["panel401", "panel401b"]], isPage: true)
    bench.invite(from: "web401", to: "page-401")
    #expect(bench.taken() == ["invite panel401", "invite panel401b"])
    let headers = bench.signalling.sessions[bench.session("panel401")]?.headers ?? []
    #expect(headers.contains { $0.0 == "Call-Info" && $0.1.hasSuffix(";answer-after=0") })
    #expect(headers.contains { $0.0 == "Alert-Info" && $0.1.hasSuffix(";info=alert-autoanswer") })
    #expect(bench.written(to: "panel401")?.media[0].has("sendonly") == true)
    bench.answers("panel401", sdp: Shapes.audio("8", port: 5004, "a=recvonly\r\n"))
    #expect(bench.taken() == ["answer web401"])
    #expect(bench.written(to: "web401")?.media[0].has("recvonly") == true)
    bench.answers("panel401b", sdp: Shapes.audio("8", port: 5006, "a=recvonly\r\n"))
    #expect(bench.media.listeners.count == 2)
    bench.hangsUp("panel401")
    #expect(bench.taken() == [])
    bench.hangsUp("web401")
    #expect(bench.taken() == ["hangUp panel401b"])
    #expect(bench.media.open.isEmpty)
    #expect(bench.records[0].isOneWay == false)
  }

  @Test func aPageThatNobodyTakesIs480() {
    let bench = CallsBench()
    bench.plan([["panel401"]], isPage: true)
    bench.invite(from: "web401", to: "page-401")
    _ = bench.taken()
    bench.wait(.seconds(11))
    #expect(bench.taken() == ["cancel panel401 SIP 487", "refuse web401 480"])
  }

  @Test func aPageEndsByItself() {
    let bench = CallsBench()
    bench.plan([["panel401", "panel402"]], isPage: true)
    bench.invite(from: "web401", to: "page-401")
    bench.answers("panel401", sdp: Shapes.audio("8", port: 5004, "a=recvonly\r\n"))
    bench.wait(.seconds(61))
    #expect(bench.calls.count == 0)
    #expect(bench.media.open.isEmpty)
  }
}

@Suite struct CallsTranscodingTests {
  static let opus =
    "v=0\r\no=100 1 1 IN IP4 192.0.2.50\r\ns=-\r\nc=IN IP4 192.0.2.50\r\nt=0 0\r\n"
    + "m=audio 5004 RTP/AVP 111 101\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n"
    + "a=rtpmap:101 telephone-event/8000\r\n"

  private func answeredInOpus(affords: Bool) -> CallsBench {
    let bench = CallsBench()
    bench.media.affordsMore = affords
    bench.plan([["panel401"]])
    bench.invite()
    bench.refuses("panel401", 488)
    _ = bench.taken()
    bench.answers("panel401", sdp: Self.opus)
    return bench
  }

  @Test func aPhoneThatSpeaksOnlyOpusTalksWithAStation() {
    let bench = answeredInOpus(affords: true)
    #expect(bench.written(to: "intercom-main")?.media[0].formats == ["8", "101"])
    let codecs = bench.media.open.values.compactMap { $0.audio?.peer.media?.audioCodec }
    #expect(codecs.contains(.opus) && codecs.contains(.pcma))
  }

  @Test func aCallThatTheMachineCannotCarryGets503() {
    let bench = answeredInOpus(affords: false)
    #expect(bench.taken() == ["hangUp panel401 SIP 503", "refuse intercom-main 503"])
    #expect(bench.records.map(\.end) == [.failed])
    #expect(bench.media.open.isEmpty)
  }

  @Test func aDeviceThatTheMachineCannotCarryLosesTheCallToTheOthers() {
    let bench = CallsBench()
    bench.plan([["panel401", "mobile401"]])
    bench.invite()
    _ = bench.taken()
    bench.media.affordsMore = false
    bench.answers("panel401")
    #expect(bench.taken() == ["hangUp panel401 SIP 503"])
    bench.media.affordsMore = true
    bench.answers("mobile401")
    #expect(bench.taken() == ["answer intercom-main"])
    #expect(bench.signalling.objections.isEmpty)
  }
}
