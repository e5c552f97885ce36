import Codecs
import MediaPlane
import RTP
import Testing
import Wire

@Suite struct RelayTests {
  /// Whose panel has a number of its own for keys.
  private func call(
    _ bench: Bench, _ station: [StreamFormat] = [.pcma], _ panel: [StreamFormat] = [.pcma],
    keys: KeyPolicy = KeyPolicy(fromA: .translate, fromB: .consume), panelEvent: UInt8? = 97
  ) throws -> (station: LegPorts, panel: LegPorts) {
    try bench.call(station, panel, keys: keys, panelEvent: panelEvent)
  }

  @Test func portsAreEvenAndOddAndGivenUp() throws {
    let bench = Bench(ports: 40_001...40_009)
    bench.world.occupied = [40_004]
    let legs = try (0..<3).map { _ in try bench.leg() }
    for leg in legs {
      #expect(leg.audio % 2 == 0)
      #expect(leg.audioRTCP == leg.audio + 1)
      #expect(leg.address == ourAddress)
    }
    #expect(Set(legs.map(\.audio)) == [40_002, 40_006, 40_008])
    #expect(throws: MediaFailure.noPorts) { try bench.leg() }
    #expect(bench.plane.owns(bench.world.socket(40_003)))
    bench.plane.close(legs[0].leg)
    #expect(bench.world.open.count == 4)
    #expect(try bench.leg().audio == legs[0].audio)
    #expect(bench.plane.close(legs[0].leg) == nil)
  }

  @Test func aLegThatCannotHaveVideoPortsLeavesNoneBehind() throws {
    let bench = Bench(ports: 40_000...40_001)
    #expect(throws: MediaFailure.noPorts) { try bench.leg(.audioAndVideo) }
    #expect(bench.world.open.isEmpty)
    _ = try bench.leg()
  }

  @Test func aPayloadPassesUntouchedUnderANewHead() throws {
    let bench = Bench()
    let (station, panel) = try call(
      bench, [.pcma], [StreamFormat(payloadType: 108, codec: .pcma)])
    let payload = (0..<160).map { UInt8($0) }
    // With a contributor, an extension and padding: only the payload is ours to pass on.
    let bytes: [UInt8] =
      [0xB1, 0x88, 0, 5, 0, 0, 0, 0, 0, 0, 0x11, 0x11] + [1, 2, 3, 4] + [0, 0, 0, 1, 9, 9, 9, 9] + payload
      + [0, 0, 0, 4]
    bench.arrive(bytes, at: station.audio, from: stationAddress)
    let heard = bench.heard(by: panelAddress)
    #expect(heard.count == 1)
    #expect(heard.first?.payload == payload)
    #expect(heard.first?.head.payloadType == 108)
    #expect(heard.first?.head.marker == true)
    #expect(heard.first?.head.contributors == 0)
    #expect(bench.world.sent.first?.port == panel.audio)
    #expect(bench.world.sent.first?.bytes.count == 172)
  }

  @Test func sourceSequenceAndTimestampStayContinuousOverANewOffer() throws {
    let bench = Bench()
    let (station, _) = try call(bench)
    for index in 0..<5 {
      bench.arrive(
        packet(8, 65_533 &+ UInt16(index), UInt32(index) * 160), at: station.audio, from: stationAddress)
      bench.pass(.milliseconds(20))
    }
    // Hold: nothing comes, nothing goes.
    bench.plane.setRemote(station.leg, audio: bench.remote(stationAddress, direction: .inactive))
    bench.arrive(packet(8, 2, 800), at: station.audio, from: stationAddress)
    bench.pass(.seconds(2))
    // The station comes back from elsewhere, with another source.
    bench.plane.setRemote(station.leg, audio: bench.remote(stationAddress, port: 6000))
    for index in 0..<5 {
      bench.arrive(
        packet(8, 900 &+ UInt16(index), 77 &+ UInt32(index) * 160, ssrc: 0x7777), at: station.audio,
        from: stationAddress, port: 6000)
      bench.pass(.milliseconds(20))
    }
    let heard = bench.heard(by: panelAddress)
    #expect(heard.count == 10)
    #expect(Set(heard.map(\.head.ssrc)).count == 1)
    for (one, next) in zip(heard, heard.dropFirst()) {
      #expect(next.head.sequence == one.head.sequence &+ 1)
    }
    let steps = zip(heard, heard.dropFirst()).map { $1.head.timestamp &- $0.head.timestamp }
    // 2 s of hold and the 20 ms after the last packet before it.
    #expect(steps == [160, 160, 160, 160, 16_160, 160, 160, 160, 160])
    #expect(heard.map(\.head.marker).firstIndex(of: true) == 5)
    #expect(bench.plane.statistics(station.leg)?.audio.held == 1)
  }

  @Test func aHeldListenerHearsNothing() throws {
    let bench = Bench()
    let (station, panel) = try call(bench)
    bench.plane.setRemote(panel.leg, audio: bench.remote(panelAddress, direction: .sendOnly))
    bench.arrive(packet(8, 1, 0), at: station.audio, from: stationAddress)
    bench.plane.setRemote(panel.leg, audio: bench.remote(.anyV4))
    bench.arrive(packet(8, 2, 160), at: station.audio, from: stationAddress)
    #expect(bench.heard(by: panelAddress).isEmpty)
    bench.plane.setRemote(panel.leg, audio: bench.remote(panelAddress))
    bench.arrive(packet(8, 3, 320), at: station.audio, from: stationAddress)
    #expect(bench.heard(by: panelAddress).count == 1)
  }

  @Test func anAlawStationAndAWidebandPanelHearEachOther() throws {
    let bench = Bench()
    let (station, panel) = try call(bench, [.pcma], [.g722])
    guard var encoder = VoiceEncoder(.pcma), var decoder = VoiceDecoder(.g722) else {
      Issue.record("no library for G.722")
      return
    }
    var oscillator = Oscillator()
    var detector = ToneDetector(frequency: 1000)
    for index in 0..<50 {
      var samples = [Int16](repeating: 0, count: 160)
      oscillator.add(1000, level: -12, into: &samples, count: 160)
      _ = encoder.encode(samples.span, count: 160)
      bench.arrive(
        packet(8, UInt16(index), UInt32(index) * 160, encoder.bytes.prefix(160) + []), at: station.audio,
        from: stationAddress)
      bench.pass(.milliseconds(20))
    }
    let heard = bench.heard(by: panelAddress)
    // The first waits 30 ms.
    #expect(heard.count == 49)
    for packet in heard {
      #expect(packet.head.payloadType == 9)
      #expect(packet.payload.count == 160)
      let count = decoder.decode(packet.payload.span, 0..<packet.payload.count)
      detector.listen(to: decoder.samples.span, count: count)
    }
    #expect(detector.windowsWithTone >= 9)
    #expect(abs(detector.toneLevel + 12) < 1)
    #expect(heard.map(\.head.marker) == (0..<49).map { $0 == 0 })
    for (one, next) in zip(heard, heard.dropFirst()) {
      #expect(next.head.sequence == one.head.sequence &+ 1)
      #expect(next.head.timestamp == one.head.timestamp &+ 160)
    }
    bench.arrive(packet(9, 1, 0, [UInt8](repeating: 0x55, count: 160)), at: panel.audio, from: panelAddress)
    bench.pass(.milliseconds(40))
    #expect(bench.heard(by: stationAddress).map(\.head.payloadType) == [8])
  }

  @Test func theLibraryIsOpenedByAWorkerWhenItIsFirstNeededAndAskedForOnce() throws {
    let bench = Bench()
    bench.world.holdsWork = true
    let (station, _) = try call(bench, [.pcma, .pcmu], [.g722, .pcma])
    bench.arrive(packet(8, 1, 0), at: station.audio, from: stationAddress)
    #expect(bench.world.held.isEmpty)
    bench.plane.setRemote(station.leg, audio: bench.remote(stationAddress, [.pcmu]))
    for index: UInt16 in 2..<5 {
      bench.arrive(packet(0, index, UInt32(index) * 160), at: station.audio, from: stationAddress)
    }
    #expect(bench.world.held.count == 1)
    #expect(bench.heard(by: panelAddress).count == 1)
    bench.world.held.first?()
    bench.arrive(packet(0, 5, 800), at: station.audio, from: stationAddress)
    bench.pass(.milliseconds(40))
    #expect(bench.heard(by: panelAddress).map(\.head.payloadType) == [8, 9])
  }

  @Test func sharedCodecsAreNeverTranscoded() throws {
    let bench = Bench()
    let (station, _) = try call(bench, [.pcmu, .pcma], [.g722, .pcma, .pcmu])
    bench.arrive(packet(8, 1, 0), at: station.audio, from: stationAddress)
    bench.arrive(packet(0, 2, 160), at: station.audio, from: stationAddress)
    #expect(bench.heard(by: panelAddress).map(\.head.payloadType) == [8, 0])
  }

  @Test func whatTheOtherSideCannotHaveIsCounted() throws {
    let bench = Bench()
    let opus = StreamFormat(
      payloadType: 111, codec: .other(name: "opus", fmtp: "useinbandfec=1"), clockRate: 48_000)
    let speex = StreamFormat(payloadType: 110, codec: .other(name: "speex", fmtp: ""))
    let (station, _) = try call(bench, [speex, .pcma], [.pcmu])
    bench.arrive(packet(110, 1, 0), at: station.audio, from: stationAddress)
    #expect(bench.plane.statistics(station.leg)?.audio.unmapped == 1)
    let other = StreamFormat(payloadType: 96, codec: .other(name: "OPUS", fmtp: ""), clockRate: 48_000)
    let (second, _) = try call(bench, [opus], [other])
    bench.arrive(packet(111, 1, 0), at: second.audio, from: stationAddress)
    #expect(bench.heard(by: panelAddress).map(\.head.payloadType) == [96])
  }

  @Test func pagedLegsHearAndAreNotHeard() throws {
    let bench = Bench()
    let source = try bench.leg()
    bench.plane.setRemote(source.leg, audio: bench.remote(stationAddress, [.pcma]))
    let sinks = try (0..<3).map { _ in try bench.leg() }
    for (index, sink) in sinks.enumerated() {
      bench.plane.setRemote(
        sink.leg,
        audio: bench.remote(panelAddress, port: 7000 + UInt16(index) * 2, [index == 0 ? .pcma : .pcmu]))
    }
    bench.plane.page(from: source.leg, to: sinks.map(\.leg))
    bench.arrive(packet(8, 1, 0), at: source.audio, from: stationAddress)
    #expect(bench.heard(by: panelAddress, port: 7000).map(\.head.payloadType) == [8])
    #expect(bench.heard(by: panelAddress, port: 7002).map(\.head.payloadType) == [0])
    #expect(bench.heard(by: panelAddress, port: 7004).count == 1)
    bench.arrive(packet(8, 1, 0), at: sinks[0].audio, from: panelAddress, port: 7000)
    #expect(bench.heard(by: stationAddress).isEmpty)
    bench.plane.close(sinks[1].leg)
    bench.arrive(packet(8, 2, 160), at: source.audio, from: stationAddress)
    #expect(bench.heard(by: panelAddress, port: 7000).count == 2)
    #expect(bench.heard(by: panelAddress, port: 7002).count == 1)
  }

  @Test func aPartedLegHearsNothing() throws {
    let bench = Bench()
    let (station, panel) = try call(bench)
    bench.plane.unbridge(panel.leg)
    bench.arrive(packet(8, 1, 0), at: station.audio, from: stationAddress)
    bench.arrive(packet(8, 1, 0), at: panel.audio, from: panelAddress)
    #expect(bench.heard(by: panelAddress).isEmpty)
    #expect(bench.heard(by: stationAddress).isEmpty)
  }

  // MARK: Keys

  @Test func aResidentsKeysNeverReachTheStation() throws {
    let bench = Bench()
    let (station, panel) = try call(bench)
    bench.arrive(packet(8, 10, 0), at: panel.audio, from: panelAddress)
    for bytes in press(11, payloadType: 97, from: 11, 160) {
      bench.arrive(bytes, at: panel.audio, from: panelAddress)
    }
    bench.arrive(packet(8, 17, 1120), at: panel.audio, from: panelAddress)
    let heard = bench.heard(by: stationAddress)
    #expect(heard.map(\.head.payloadType) == [8, 8])
    // The gap is closed.
    #expect(heard[1].head.sequence == heard[0].head.sequence &+ 1)
    #expect(heard[1].head.timestamp == heard[0].head.timestamp &+ 1120)
    #expect(
      bench.events() == [
        .firstPacket(panel.leg, .audio), .key(panel.leg, "#", .consumed),
      ])
    _ = station
  }

  @Test func keysCannotBeSmuggledToTheStationUnderAnotherName() throws {
    let bench = Bench()
    let a = try bench.leg()
    let b = try bench.leg()
    let event = StreamFormat(payloadType: 96, codec: .other(name: "Telephone-Event", fmtp: "0-16"))
    let redundant = StreamFormat(payloadType: 98, codec: .other(name: "red", fmtp: "101/101"))
    let station = [
      StreamFormat.pcma, StreamFormat(payloadType: 101, codec: .other(name: "telephone-event", fmtp: "")),
      StreamFormat(payloadType: 99, codec: .other(name: "RED", fmtp: "101/101")),
    ]
    bench.plane.setRemote(a.leg, audio: bench.remote(stationAddress, station))
    bench.plane.setRemote(b.leg, audio: bench.remote(panelAddress, [.pcma, event, redundant], event: 97))
    bench.plane.bridge(a.leg, b.leg, keys: .consumeBoth)
    for payloadType: UInt8 in 0...127 where !(64...95).contains(payloadType) {
      for bytes in press(11, payloadType: payloadType, from: UInt16(payloadType) * 10, 160) {
        bench.arrive(bytes, at: b.audio, from: panelAddress)
      }
    }
    // As voice it is noise, and that is all that may pass.
    #expect(bench.heard(by: stationAddress).allSatisfy { $0.head.payloadType == 8 })
    #expect(!bench.heard(by: stationAddress).isEmpty)
  }

  @Test func aStationsKeysArriveUnderTheOtherSidesNumber() throws {
    let bench = Bench()
    let (station, panel) = try call(bench)
    bench.arrive(packet(8, 10, 0), at: station.audio, from: stationAddress)
    for bytes in press(4, from: 11, 160) { bench.arrive(bytes, at: station.audio, from: stationAddress) }
    let heard = bench.heard(by: panelAddress)
    #expect(heard.map(\.head.payloadType) == [8, 97, 97, 97, 97, 97, 97])
    #expect(heard[1].payload == [4, 10, 0, 160])
    #expect(heard[6].payload == [4, 0x8A, 1, 0xE0])
    #expect(Set(heard[1...].map(\.head.timestamp)).count == 1)
    #expect(heard[1].head.marker)
    #expect(
      bench.events() == [.firstPacket(station.leg, .audio), .key(station.leg, "4", .forwarded)])
    _ = panel
  }

  @Test func aKeyForALegWithoutTelephoneEventsIsToldAsSuch() throws {
    let bench = Bench()
    let (station, _) = try call(bench, panelEvent: nil)
    for bytes in press(10, from: 11, 160) { bench.arrive(bytes, at: station.audio, from: stationAddress) }
    #expect(bench.heard(by: panelAddress).isEmpty)
    #expect(bench.events().last == .key(station.leg, "*", .undeliverable))
  }

  @Test func keysOfOursArePressedTowardsALeg() throws {
    let bench = Bench()
    let (station, panel) = try call(bench)
    bench.arrive(packet(8, 1, 0), at: panel.audio, from: panelAddress)
    let wasTaken = bench.plane.sendKeys("#1", on: station.leg)
    #expect(wasTaken)
    bench.pass(.milliseconds(20))
    // The voice of the panel waits while keys go out.
    bench.arrive(packet(8, 2, 160), at: panel.audio, from: panelAddress)
    bench.pass(.seconds(1))
    bench.arrive(packet(8, 3, 8320), at: panel.audio, from: panelAddress)
    let heard = bench.heard(by: stationAddress)
    #expect(heard.map(\.head.payloadType) == [8] + Array(repeating: 101, count: 16) + [8])
    for (one, next) in zip(heard, heard.dropFirst()) {
      #expect(next.head.sequence == one.head.sequence &+ 1)
    }
    var receiver = KeyReceiver()
    var keys = ""
    for packet in heard where packet.head.payloadType == 101 {
      if let event = TelephoneEvent(parsing: packet.payload.span, at: 0..<4),
        let key = receiver.receive(
          event, timestamp: packet.head.timestamp, marker: packet.head.marker, at: bench.world.now)
      {
        keys.append(key.character)
      }
    }
    #expect(keys == "#1")
    #expect(bench.events().filter { $0 == .keysSent(station.leg) }.count == 1)
    let refused = bench.plane.sendKeys("1x", on: station.leg)
    #expect(!refused)
    let nothing = bench.plane.sendKeys("", on: station.leg)
    #expect(!nothing)
  }
}
