import MediaPlane
import RTP
import Testing
import Wire

@Suite struct PinningTests {
  @Test func nobodyMaySpeakBeforeTheFarSideIsKnown() throws {
    let bench = Bench()
    let a = try bench.leg()
    bench.arrive(packet(8, 1, 0), at: a.audio, from: stationAddress)
    #expect(bench.plane.statistics(a.leg)?.audio.foreign == 1)
    #expect(bench.plane.statistics(a.leg)?.audio.packetsIn == 0)
    #expect(bench.events() == [])
  }

  @Test func onlyTheNegotiatedAddressAndThenOnePortAndOneSourceMaySpeak() throws {
    let bench = Bench()
    let (a, b) = try bench.call()
    // Another address, before the call's media began.
    bench.arrive(packet(8, 1, 0), at: a.audio, from: strangerAddress)
    // What is no packet pins nothing either, nor does a payload type that nobody negotiated.
    bench.arrive([1, 2, 3], at: a.audio, from: stationAddress, port: 6000)
    bench.arrive(packet(77, 1, 0), at: a.audio, from: stationAddress, port: 6000)
    #expect(bench.heard(by: panelAddress).isEmpty)
    // The peer speaks from another port than its SDP says: that port it is.
    bench.arrive(packet(8, 10, 0), at: a.audio, from: stationAddress, port: 5500)
    #expect(bench.heard(by: panelAddress).count == 1)
    #expect(bench.events() == [.firstPacket(a.leg, .audio)])
    bench.arrive(packet(8, 11, 160), at: a.audio, from: strangerAddress, port: 5500)
    bench.arrive(packet(8, 11, 160), at: a.audio, from: stationAddress, port: 5000)
    bench.arrive(packet(8, 11, 160, ssrc: 0x2222), at: a.audio, from: stationAddress, port: 5500)
    #expect(bench.heard(by: panelAddress).count == 1)
    let figures = try #require(bench.plane.statistics(a.leg)?.audio)
    #expect(figures.foreign == 4)
    #expect(figures.malformed == 1)
    #expect(figures.unmapped == 1)
    #expect(figures.packetsIn == 1)
    // And what the panel says goes to the learnt port.
    bench.arrive(packet(8, 70, 9), at: b.audio, from: panelAddress)
    #expect(bench.heard(by: stationAddress, port: 5500).count == 1)
    #expect(bench.heard(by: stationAddress, port: 5000).isEmpty)
  }

  @Test func theAddressOfTheSignallingMaySpeakWhenTheSDPNamesAPrivateOne() throws {
    let bench = Bench()
    let a = try bench.leg()
    var remote = bench.remote(IPAddress(v4: 0xC0A8_0105))
    remote.signalledFrom = stationAddress
    bench.plane.setRemote(a.leg, audio: remote)
    bench.arrive(packet(8, 1, 0), at: a.audio, from: stationAddress, port: 31_000)
    #expect(bench.plane.statistics(a.leg)?.audio.packetsIn == 1)
    bench.arrive(packet(8, 2, 160), at: a.audio, from: IPAddress(v4: 0xC0A8_0105))
    #expect(bench.plane.statistics(a.leg)?.audio.foreign == 1)
  }

  @Test func aReofferWithTheSameAddressLearnsNothingAnewAndOneWithAnotherDoes() throws {
    let bench = Bench()
    let a = try bench.leg()
    bench.plane.setRemote(a.leg, audio: bench.remote(stationAddress))
    bench.arrive(packet(8, 1, 0), at: a.audio, from: stationAddress)
    bench.plane.setRemote(a.leg, audio: bench.remote(stationAddress, direction: .sendOnly))
    bench.plane.setRemote(a.leg, audio: bench.remote(stationAddress))
    bench.arrive(packet(8, 2, 0, ssrc: 0x2222), at: a.audio, from: stationAddress)
    bench.arrive(packet(8, 2, 0), at: a.audio, from: stationAddress, port: 5002)
    #expect(bench.plane.statistics(a.leg)?.audio.foreign == 2)
    // Held by the old way and back again: still the same address.
    bench.plane.setRemote(a.leg, audio: bench.remote(.anyV4))
    bench.plane.setRemote(a.leg, audio: bench.remote(stationAddress))
    bench.arrive(packet(8, 2, 0, ssrc: 0x2222), at: a.audio, from: stationAddress)
    #expect(bench.plane.statistics(a.leg)?.audio.foreign == 3)
    bench.plane.setRemote(a.leg, audio: bench.remote(panelAddress, port: 7000))
    bench.arrive(packet(8, 3, 0), at: a.audio, from: stationAddress)
    #expect(bench.plane.statistics(a.leg)?.audio.foreign == 4)
    bench.arrive(packet(8, 500, 0, ssrc: 0x2222), at: a.audio, from: panelAddress, port: 7000)
    let figures = try #require(bench.plane.statistics(a.leg)?.audio)
    #expect(figures.packetsIn == 2)
    #expect(figures.lost == 0)
  }

  @Test func reportsAreBoundToTheSameSource() throws {
    let bench = Bench()
    let a = try bench.leg()
    bench.plane.setRemote(a.leg, audio: bench.remote(stationAddress))
    bench.arrive(packet(8, 1, 0), at: a.audio, from: stationAddress)
    func report(_ ssrc: UInt32) -> [UInt8] {
      var writer = ControlWriter()
      writer.receiverReport(ssrc: ssrc, nil)
      return writer.bytes
    }
    bench.arrive(report(0x1111), at: a.audioRTCP, from: strangerAddress, port: 5001)
    bench.arrive(report(0x2222), at: a.audioRTCP, from: stationAddress, port: 5001)
    #expect(bench.plane.statistics(a.leg)?.audio.foreign == 2)
    bench.arrive(report(0x1111), at: a.audioRTCP, from: stationAddress, port: 5001)
    #expect(bench.plane.statistics(a.leg)?.audio.foreign == 2)
    bench.arrive(report(0x1111), at: a.audioRTCP, from: stationAddress, port: 5009)
    #expect(bench.plane.statistics(a.leg)?.audio.foreign == 3)
  }
}
