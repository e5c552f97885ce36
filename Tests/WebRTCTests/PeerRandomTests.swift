import Crypto
import ICE
import SDP
import Simulation
import Testing
import WebRTC
import Wire

@Suite struct PeerRandomTests {
  /// Offers, answers, refusals, restarts, holds, fragments, media, floods, bad weather and time, in any order. Whatever
  /// was done, nothing traps, media flows only between the two, and one good offer and answer bring them together.
  @Test(arguments: UInt64(1)...40)
  func whateverHappensOneGoodOfferBringsThemTogether(seed: UInt64) throws {
    let town = PeerTown(seed: seed)
    var random = Random(seed: seed &* 977)
    let directions: [Direction] = [.sendrecv, .sendonly, .recvonly, .inactive]
    var sequence: UInt16 = 1
    for _ in 0..<60 {
      switch random.below(10) {
      case 0, 1:
        // An offer of the browser that is answered, refused, or lost on the way.
        let restart = random.below(3) == 0
        var media = Wanted.audio
        media.direction = directions[Int(random.below(4))]
        let offer = town.turn(.browser) { browser, turn in
          browser.createOffer(audio: media, video: nil, &turn, restart: restart)
        }
        if restart { town.turn(.browser) { browser, turn in browser.gather(&turn) } }
        guard (try? town.gateway.setRemote(offer: offer)) != nil else { continue }
        if random.below(4) == 0 {
          town.gateway.withdraw()
          town.browser.withdraw()
          continue
        }
        let answer = try? town.turn(.gateway) { (gateway, turn) throws(PeerRefusal) in
          try gateway.createAnswer(audio: gateway.offered(.audio), video: nil, &turn)
        }
        guard let answer, random.below(6) > 0 else {
          town.browser.withdraw()
          continue
        }
        _ = try? town.turn(.browser) { (browser, turn) throws(PeerRefusal) in
          try browser.setRemote(answer: answer, &turn)
        }
        town.turn(.browser) { browser, turn in browser.gather(&turn) }
      case 2:
        // Ours, answered or withdrawn.
        let offer = town.turn(.gateway) { gateway, turn in
          gateway.createOffer(
            audio: Wanted.audio, video: random.below(2) == 0 ? Wanted.picture : nil, &turn,
            restart: random.below(4) == 0)
        }
        guard random.below(3) > 0, (try? town.browser.setRemote(offer: offer)) != nil,
          let answer = try? town.turn(
            .browser,
            { (browser, turn) throws(PeerRefusal) in
              try browser.createAnswer(audio: browser.offered(.audio), video: nil, &turn)
            })
        else {
          town.gateway.withdraw()
          town.browser.withdraw()
          continue
        }
        _ = try? town.turn(.gateway) { (gateway, turn) throws(PeerRefusal) in
          try gateway.setRemote(answer: answer, &turn)
        }
        town.turn(.browser) { browser, turn in browser.gather(&turn) }
      case 3:
        var fragment = TrickleFragment()
        fragment.session.fragment =
          random.below(2) == 0 ? town.browser.localCredentials.fragmentText : "abcdefgh"
        fragment.session.password = town.browser.localCredentials.passwordText
        _ = try? town.turn(.gateway) { (gateway, turn) throws(PeerRefusal) in
          try gateway.apply(fragment, &turn)
        }
      case 4:
        for _ in 0..<20 {
          let first: UInt8 = [0, 22, 128, 144][Int(random.below(4))]
          town.post(
            [first] + random.bytes(Int(random.below(120))),
            from: random.below(2) == 0
              ? PeerTown.browserAddress : Endpoint(IPAddress(v4: 0xC633_6401), port: 9), to: .gateway)
        }
      case 5:
        town.weather.loss = random.below(60)
        town.weather.jitter = .milliseconds(Int64(random.below(40)))
      case 6: town.weather = .init()
      default:
        town.speak(.browser, payloadType: 8, sequence: sequence, source: 0xB0, [1, 2, 3])
        town.speak(.gateway, payloadType: 8, sequence: sequence, source: 0xA0, [4, 5, 6])
        sequence &+= 1
        town.run(for: .milliseconds(Int64(random.below(3000))))
      }
    }
    for arrival in town.arrivals[.gateway]! where arrival.reading == .rtp(.audio, length: 15) {
      #expect(Array(arrival.plain[12...]) == [1, 2, 3])
    }
    // The end of it all: fair weather, and the page loaded anew.
    town.weather = .init()
    town.run(for: .seconds(1))
    town.gateway.withdraw()
    town.browser = PeerTown(seed: seed &+ 1000, browser: SimulatedDTLS(number: 9)).browser
    let offer = town.turn(.browser) { browser, turn in
      browser.createOffer(audio: Wanted.audio, video: nil, &turn)
    }
    try town.gateway.setRemote(offer: offer)
    let answer = try town.turn(.gateway) { (gateway, turn) throws(PeerRefusal) in
      try gateway.createAnswer(audio: gateway.offered(.audio), video: nil, &turn)
    }
    try town.turn(.browser) { (browser, turn) throws(PeerRefusal) in
      try browser.setRemote(answer: answer, &turn)
    }
    town.turn(.browser) { browser, turn in browser.gather(&turn) }
    town.run { $0.isConnected }
    #expect(town.isConnected, "\(town.events)")
    let before = town.arrivals[.gateway]!.count
    #expect(town.speak(.browser, payloadType: 8, sequence: 1, source: 0xB0, [7]))
    town.run(for: .milliseconds(50))
    #expect(town.arrivals[.gateway]!.count == before + 1)
  }

  @Test func oneSeedTellsOneStory() throws {
    func story() throws -> [[UInt8]] {
      let town = PeerTown(seed: 5)
      town.weather = .init(delay: .milliseconds(5), jitter: .milliseconds(9), loss: 20, duplication: 5)
      try town.browserCalls()
      town.run { $0.isConnected }
      return town.sent.map(\.bytes)
    }
    let first = try story()
    #expect(try story() == first)
    #expect(first.count > 10)
  }
}
