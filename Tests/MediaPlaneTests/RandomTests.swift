import MediaPlane
import RTP
import Testing
import Wire

/// Anything in any order: nothing traps, nothing leaves for a stranger, and what is opened is closed.
@Suite struct RandomTests {
  private static func run(seed: UInt64) -> [FakeWorld.Sent] {
    var random = Random(seed: seed)
    let bench = Bench(
      ports: 40_000...40_031, MediaConfiguration(legs: 6, silentAfter: .seconds(3)))
    let addresses = [stationAddress, panelAddress, strangerAddress]
    let formats: [StreamFormat] = [
      .pcma, .pcmu, .g722, StreamFormat(payloadType: 8, codec: .pcmu),
      StreamFormat(payloadType: 111, codec: .other(name: "opus", fmtp: ""), clockRate: 48_000),
      StreamFormat(payloadType: 255, codec: .other(name: "x", fmtp: ""), clockRate: 0),
    ]
    var legs: [LegPorts] = []
    func pick<T>(_ list: [T]) -> T? { list.isEmpty ? nil : list[Int(random.below(UInt64(list.count)))] }
    func remote() -> RemoteStream? {
      guard random.below(12) > 0, let address = pick([stationAddress, panelAddress, .anyV4]) else {
        return nil
      }
      var chosen: [StreamFormat] = []
      for format in formats where random.below(3) > 0 { chosen.append(format) }
      return RemoteStream(
        rtp: Endpoint(address, port: UInt16(truncatingIfNeeded: random.below(4) * 21_845)),
        rtcpMux: random.below(2) == 0, signalledFrom: stationAddress, formats: chosen,
        received: random.below(3) == 0 ? chosen.reversed() : nil,
        telephoneEvent: random.below(3) == 0 ? nil : 101,
        direction: pick([.sendReceive, .sendOnly, .receiveOnly, .inactive])!)
    }
    for _ in 0..<600 {
      let leg = pick(legs)
      switch random.below(16) {
      case 0:
        if let opened = try? bench.leg(random.below(2) == 0 ? .audio : .audioAndVideo) { legs.append(opened) }
      case 1:
        if let leg {
          bench.plane.setRemote(leg.leg, audio: remote(), video: remote())
        }
      case 2:
        if let leg, let other = pick(legs) {
          bench.plane.bridge(
            leg.leg, other.leg, keys: random.below(2) == 0 ? .consumeBoth : .translateBoth)
        }
      case 3:
        if let leg {
          let sinks = legs.map(\.leg)
          bench.plane.page(from: leg.leg, to: sinks)
        }
      case 4:
        if let leg, let prompt = pick([Prompt.opened, .refused, .ringback, .tone(hertz: 440), .silence]) {
          bench.plane.play(prompt, on: leg.leg)
        }
      case 5:
        if let leg { _ = bench.plane.sendKeys("1#", on: leg.leg) }
      case 6:
        if let leg { bench.plane.stopPlaying(on: leg.leg) }
      case 7:
        if random.below(6) == 0, let leg { bench.plane.close(leg.leg) }
      case 8: bench.pass(.milliseconds(Int64(random.below(1500))))
      case 9:
        if let leg {
          bench.plane.listen(for: 440, on: leg.leg)
          bench.plane.requestKeyFrame(leg.leg)
          bench.plane.watch(leg.leg, silentAfter: random.below(2) == 0 ? nil : .seconds(1))
        }
      default:
        guard let leg, let address = pick(addresses) else { continue }
        var bytes = random.bytes(Int(random.below(200)))
        if bytes.count > 12, random.below(8) > 0 {
          bytes[0] = 0x80
          bytes[1] = pick([8, 0, 9, 101, 111, 200, 201, 206])!
          bytes[8] = 0
          bytes[9] = 0
          bytes[10] = 0
          bytes[11] = UInt8(random.below(2))
          if bytes[1] >= 200 {
            bytes[2] = 0
            bytes[3] = UInt8(random.below(8))
          }
        }
        let ports = [leg.audio, leg.audioRTCP, leg.video ?? leg.audio, leg.videoRTCP ?? leg.audio]
        if let port = pick(ports) {
          bench.arrive(
            bytes, at: port, from: address, port: UInt16(truncatingIfNeeded: random.below(4) * 21_845))
        }
      }
      _ = bench.events()
    }
    for leg in legs { bench.plane.close(leg.leg) }
    #expect(bench.world.open.isEmpty)
    #expect(bench.plane.nextDeadline == nil)
    #expect(bench.plane.count == 0)
    let strays = bench.world.sent.filter {
      $0.to.address == strangerAddress || $0.to.address == .anyV4 || $0.to.port == 0
    }
    #expect(strays.map(\.to) == [])
    return bench.world.sent
  }

  @Test(arguments: 0..<40)
  func anyOrderOfEventsIsSurvivedAndRepeatable(seed: Int) {
    let first = RandomTests.run(seed: UInt64(seed))
    let second = RandomTests.run(seed: UInt64(seed))
    let areEqual = first == second
    #expect(areEqual)
  }
}
