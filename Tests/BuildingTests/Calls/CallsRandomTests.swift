import Calls
import Directory
import SDP
import SIP
import Testing
import Wire

/// Whatever peers do, in whatever order: every call ends, at most one device is ever in conversation with a caller,
/// and nothing is kept.
@Suite struct CallsRandomTests {
  @Test(arguments: 0..<30) func nothingThatPeersDoLeavesALegBehind(seed: UInt64) {
    let bench = CallsBench(CallsConfiguration(limit: 6, earlyMedia: seed % 2 == 0 ? .relayed : .ignored))
    var dice = Random(seed: seed)
    let people = ["panel401", "web401", "mobile401", "guard1", "intercom-back"]
    let shapes = [
      Shapes.station, Shapes.panel, Shapes.plainPanel, Shapes.held, Shapes.withPicture, Shapes.audio("18"),
      Shapes.audio("9 101"), Shapes.audio("8", port: 0), Shapes.audio("8", "a=inactive\r\n"),
    ]
    func pick<T>(_ list: [T]) -> T { list[Int(dice.below(UInt64(list.count)))] }
    func body() -> Body? { dice.below(8) == 0 ? nil : .sdp(Array(pick(shapes).utf8)) }
    bench.dialplan.units = ["panel401": "401", "web401": "401", "mobile401": "401"]

    for _ in 0..<400 {
      bench.signalling.hasRoom = dice.below(40) != 0
      bench.media.left = dice.below(30) == 0 ? 3 : 1000
      let live = bench.signalling.order.filter { bench.signalling.sessions[$0]?.stage != .done }
      switch dice.below(14) {
      case 0:
        bench.plan(
          (0..<Int(1 + dice.below(3))).map { _ in [pick(people), pick(people)] },
          declineEnds: dice.below(2) == 0,
          isEmergency: dice.below(8) == 0, isPage: dice.below(8) == 0)
        if dice.below(20) == 0 { bench.dialplan.decision = .doNotDisturb("panel401", on: true) }
        let replaced = dice.below(6) == 0 && !live.isEmpty ? pick(live) : nil
        bench.invite(
          from: pick(people + ["intercom-main"]), sdp: dice.below(5) == 0 ? nil : pick(shapes),
          replacing: replaced)
      case 1: bench.wait(.milliseconds(Int64(dice.below(30_000))))
      case 2: bench.mediaFlows()
      default:
        guard !live.isEmpty else { continue }
        let session = pick(live)
        let stage = bench.signalling.sessions[session]!.stage
        switch (stage, dice.below(8)) {
        case (.inviting, 0), (.inviting, 1):
          let body = body()
          bench.turn { bench.calls.progressed(session, status: 180, body: body, &$0) }
        case (.inviting, 2), (.inviting, 3), (.inviting, 4):
          let body = body()
          bench.signalling.sessions[session]?.stage = .talking
          bench.turn { bench.calls.answered(session, body: body, &$0) }
        case (.inviting, _):
          bench.signalling.sessions[session]?.stage = .done
          let status = pick([486, 603, 480, 408, 488, 503, 404])
          bench.turn { bench.calls.refused(session, status: status, &$0) }
        case (.invited, 0):
          bench.signalling.sessions[session]?.stage = .done
          bench.turn { bench.calls.cancelled(session, reason: nil, &$0) }
        case (.invited, _): break
        case (.talking, 0), (.talking, 1):
          if bench.signalling.sessions[session]?.asked == false {
            bench.signalling.sessions[session]?.asked = true
            let body = body()
            bench.turn { bench.calls.offered(session, body: body, &$0) }
          }
        case (.talking, 2):
          if bench.signalling.sessions[session]?.offering == true {
            bench.signalling.sessions[session]?.offering = false
            let body = body()
            bench.turn { bench.calls.offerAccepted(session, body: body, &$0) }
          } else {
            let body = body()
            bench.turn { bench.calls.confirmed(session, body: body, &$0) }
          }
        case (.talking, 3):
          if bench.signalling.sessions[session]?.offering == true {
            bench.signalling.sessions[session]?.offering = false
            bench.turn { bench.calls.offerRefused(session, &$0) }
          }
        case (.talking, 4):
          bench.informs(bench.signalling.name(session), "application/dtmf", "#")
        case (.talking, 5):
          let other = dice.below(2) == 0 ? pick(live) : nil
          bench.plan([[pick(people)], [pick(people)]])
          bench.turn {
            bench.calls.transferRequested(
              session, TransactionID(.none), TransferRequest(dialled: "guard1", replaces: other), &$0)
          }
        case (.talking, 6):
          bench.signalling.sessions[session]?.stage = .done
          bench.turn { bench.calls.ended(session, .bye(nil), &$0) }
        case (.talking, _):
          let name = pick(people)
          if dice.below(6) == 0 { bench.turn { bench.calls.revoke(name, credential: nil, &$0) } }
        case (.done, _): break
        }
      }
      check(bench)
    }
    bench.wait(.hours(5))
    check(bench)
    #expect(bench.calls.count == 0)
    #expect(bench.calls.nextDeadline == nil)
    #expect(bench.media.open.isEmpty)
    let left = bench.signalling.order.filter { bench.signalling.sessions[$0]?.stage != .done }
    #expect(left.isEmpty, "sessions that nobody ended: \(left.map { bench.signalling.name($0) })")
    let records = bench.records
    #expect(records.allSatisfy { $0.end != nil && $0.ended != nil })
    #expect(Set(records.map(\.id)).count == records.count)
    #expect(!records.isEmpty)
  }

  private func check(_ bench: CallsBench) {
    #expect(bench.signalling.objections.isEmpty)
    for call in bench.calls.live where !call.target.hasPrefix("page") {
      let talking = call.legs.dropFirst().filter { $0.state == .talking }
      // Two where a transfer has brought both ends of the conversation in.
      if talking.count > 2 { Issue.record("\(talking.map(\.account)) all talk") }
    }
    let live: Set<LegEnd> = [.calling, .ringing, .talking]
    var owned = 0
    for call in bench.calls.live { owned += call.legs.count { live.contains($0.state) } }
    #expect(owned == bench.media.open.count)
  }

  @Test func theSameSeedTellsTheSameStory() {
    func story() -> [String] {
      let bench = CallsBench()
      bench.plan([["panel401", "web401"], ["guard1"]])
      for _ in 0..<5 { bench.invite() }
      bench.answers("panel401")
      bench.wait(.minutes(3))
      return bench.signalling.log + bench.records.map { "\($0)" }
    }
    #expect(story() == story())
  }
}
