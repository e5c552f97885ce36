import Calls
import SDP
import SIP
import Testing
import Wire

@testable import Directory

/// Calls over the real agent, with telephones that are agents too.
@Suite struct CallsNetworkTests {
  private func network(
    _ phones: [String] = ["intercom-main", "panel401", "web401", "guard1"], seed: UInt64 = 1
  )
    -> CallsNetwork
  {
    let network = CallsNetwork(seed: seed, phones: phones)
    plan(network, [["panel401", "web401"]])
    return network
  }
  private func plan(_ network: CallsNetwork, _ steps: [[String]], timeout: Int64 = 45) {
    let bench = CallsBench()
    bench.plan(steps, timeout: timeout)
    network.dialplan.decision = bench.dialplan.decision
  }
  private func quiet(_ network: CallsNetwork) -> Bool {
    network.run(.minutes(10))
    return network.isQuiet
  }
  private func talking() -> CallsNetwork {
    let network = network()
    network.dial("intercom-main")
    network.run(.seconds(1))
    network.rings("panel401")
    network.run(.seconds(1))
    network.answers("panel401")
    network.run(.seconds(1))
    return network
  }

  @Test func aDoorRingsTwoPanelsAndOneAnswers() {
    let network = talking()
    #expect(network["intercom-main"].heard == ["180", "answered"])
    #expect(network["intercom-main"].description?.media[0].formats == ["8", "101"])
    #expect(network["panel401"].heard == ["invited by Entrance"])
    #expect(network["web401"].heard == ["invited by Entrance", "cancelled 200 Call completed elsewhere"])
    network.hangsUp("intercom-main")
    network.run(.seconds(1))
    #expect(
      network["panel401"].heard.last == "ended \(Ending.bye(Reason(.q850, cause: 16, text: "done")))")
    #expect(quiet(network))
    let told = network.told.filter { if case .left = $0 { false } else { true } }
    #expect(told.count == 3)
    let left = network.told.compactMap { if case .left(_, let account) = $0 { account } else { nil } }
    #expect(left == ["web401", "panel401"])
  }

  @Test func theVisitorGivesUp() {
    let network = network()
    network.dial("intercom-main")
    network.run(.seconds(1))
    network.rings("panel401")
    network.run(.seconds(1))
    network.hangsUp("intercom-main")
    network.run(.seconds(1))
    #expect(network["panel401"].heard.last?.hasPrefix("cancelled") == true)
    #expect(network["panel401"].heard.last != "cancelled 200 Call completed elsewhere")
    #expect(network["web401"].heard.last == network["panel401"].heard.last)
    #expect(quiet(network))
  }

  @Test func twoAnswersAtOnceLeaveOneConversation() {
    let network = network()
    network.dial("intercom-main")
    network.run(.seconds(1))
    network.answers("panel401")
    network.answers("web401")
    network.run(.seconds(2))
    #expect(network.calls.live[0].legs.filter { $0.state == .talking }.count == 2)
    #expect(network["web401"].heard.last?.hasPrefix("ended bye") == true)
    network.hangsUp("panel401")
    #expect(quiet(network))
  }

  @Test func nobodyAnswersAndTheGuardIsRung() {
    let network = network()
    plan(network, [["panel401"], ["guard1"]], timeout: 20)
    network.dial("intercom-main")
    network.run(.seconds(1))
    network.rings("panel401")
    network.run(.seconds(20))
    #expect(network["panel401"].heard.last == "cancelled 487 Request terminated")
    #expect(network["guard1"].heard == ["invited by Entrance"])
    network.run(.seconds(30))
    #expect(network["intercom-main"].heard == ["180", "refused 480"])
    #expect(quiet(network))
  }

  @Test func aStationWithoutAnOfferTalksAllTheSame() {
    let network = network()
    network.dial("intercom-main", sdp: nil)
    network.run(.seconds(1))
    network.answers("panel401")
    network.run(.seconds(1))
    let station = network["intercom-main"]
    #expect(station.heard == ["answered"])
    network.act(station) { $0.acknowledge(station.session, body: .sdp(Array(Shapes.station.utf8)), &$1) }
    network.run(.seconds(1))
    #expect(network.media.open.values.allSatisfy { $0.partner != nil })
    network.hangsUp("panel401")
    #expect(quiet(network))
  }

  @Test func holdReachesTheStationAndComesBack() {
    let network = talking()
    network.reoffers("panel401", Shapes.held)
    network.run(.seconds(2))
    #expect(network["intercom-main"].heard.last == "offered")
    #expect(network["panel401"].heard.last == "offer accepted")
    #expect(network["panel401"].description?.media[0].has("recvonly") == true)
    network.reoffers("panel401", Shapes.panel)
    network.run(.seconds(2))
    #expect(network["panel401"].description?.media[0].has("sendrecv") == true)
    network.hangsUp("panel401")
    #expect(quiet(network))
  }

  @Test func bothEndsOfferAtOnceAndBothGetThrough() {
    let network = talking()
    network.reoffers("panel401", Shapes.held)
    network.reoffers("intercom-main", Shapes.station + "a=sendonly\r\n")
    network.run(.seconds(20))
    #expect(network.calls.count == 1)
    #expect(network["panel401"].heard.contains("offer accepted"))
    network.hangsUp("panel401")
    #expect(quiet(network))
  }

  @Test func aKeyInInfoIsToldAndTheStationHearsNothingOfIt() {
    let network = talking()
    let panel = network["panel401"]
    let heard = network["intercom-main"].heard
    network.act(panel) {
      _ = $0.info(
        panel.session, body: Body(contentType: "application/dtmf-relay", bytes: Array("Signal=#\r\n".utf8)),
        &$1)
    }
    network.run(.seconds(1))
    let keys = network.told.compactMap { if case .key(let press) = $0 { press.digit } else { nil } }
    #expect(keys == ["#"])
    #expect(network["intercom-main"].heard == heard)
    network.hangsUp("panel401")
    #expect(quiet(network))
  }

  @Test func aSilentPanelIsGivenUpByTheAgentAndTheNextStepRings() {
    let network = network()
    plan(network, [["nobody"], ["guard1"]])
    network.dialplan.places["nobody"] = Endpoint(IPAddress("192.0.2.200")!, port: 5060)
    network.dial("intercom-main")
    network.run(.seconds(40))
    #expect(network["guard1"].heard == ["invited by Entrance"])
    network.answers("guard1")
    network.run(.seconds(1))
    network.hangsUp("guard1")
    #expect(quiet(network))
  }

  @Test(arguments: 1...40) func whateverIsLostAndLateEverythingEnds(seed: UInt64) {
    let network = network(["intercom-main", "intercom-back", "panel401", "web401", "guard1"], seed: seed)
    var dice = Random(seed: seed &* 77)
    network.lost = dice.below(35)
    network.slowest = 1 + dice.below(700)
    for _ in 0..<60 {
      let phone = network.phones[Int(dice.below(5))]
      switch dice.below(9) {
      case 0, 1:
        if phone.agent.census.sessions == 0 {
          plan(network, [["panel401", "web401"], ["guard1"]], timeout: 15)
          network.dial(phone.name, sdp: dice.below(4) == 0 ? nil : Shapes.station)
        }
      case 2: network.rings(phone.name)
      case 3, 4: network.answers(phone.name)
      case 5:
        network.act(phone) { $0.refuse(phone.session, status: [486, 603, 488][Int(dice.below(3))], &$1) }
      case 6: network.hangsUp(phone.name)
      case 7: network.reoffers(phone.name, [Shapes.held, Shapes.panel][Int(dice.below(2))])
      default:
        network.act(phone) {
          _ = $0.info(phone.session, body: Body(contentType: "application/dtmf", bytes: [0x35]), &$1)
        }
      }
      network.run(.milliseconds(Int64(dice.below(6000))))
      for call in network.calls.live { #expect(call.legs.filter { $0.state == .talking }.count <= 2) }
    }
    #expect(network.told.contains { if case .ended = $0 { true } else { false } })
    // Who still talks hangs up; the longest talk ends the rest.
    for phone in network.phones { network.hangsUp(phone.name) }
    #expect(quiet(network), "\(network.calls.count) calls, \(network.agent.census)")
  }
}
