import Codecs
import MediaPlane
import RTP
import Testing
import Wire

@Suite struct SoundTests {
  @Test(arguments: [StreamFormat.pcma, .pcmu, .g722])
  func aToneIsPlayedEveryTwentyMillisecondsInTheLegsCodec(format: StreamFormat) throws {
    let bench = Bench()
    let leg = try bench.leg()
    bench.plane.setRemote(leg.leg, audio: bench.remote(stationAddress, [format]))
    bench.plane.play(.tone(hertz: 700), on: leg.leg)
    bench.pass(.seconds(2))
    let heard = bench.heard(by: stationAddress)
    #expect((99...101).contains(heard.count))
    guard var decoder = VoiceDecoder(format.codec == .g722 ? .g722 : format == .pcma ? .pcma : .pcmu) else {
      Issue.record("no library for G.722")
      return
    }
    var detector = ToneDetector(frequency: 700)
    for (index, packet) in heard.enumerated() {
      #expect(packet.head.payloadType == format.payloadType)
      #expect(packet.head.sequence == heard[0].head.sequence &+ UInt16(index))
      #expect(packet.head.timestamp == heard[0].head.timestamp &+ UInt32(index) * 160)
      #expect(packet.head.marker == (index == 0))
      let count = decoder.decode(packet.payload.span, 0..<160)
      detector.listen(to: decoder.samples.span, count: count)
    }
    #expect(detector.windowsWithTone >= 18)
    #expect(abs(detector.toneLevel + 10) < 1)
    bench.plane.stopPlaying(on: leg.leg)
    bench.forget()
    bench.pass(.seconds(1))
    #expect(bench.heard(by: stationAddress).isEmpty)
    #expect(bench.events() == [])
  }

  @Test(arguments: [Prompt.opened, .refused])
  func aShortPromptEndsAndTheCallGoesOn(prompt: Prompt) throws {
    let bench = Bench()
    let (a, b) = try bench.call()
    bench.arrive(packet(8, 1, 0), at: a.audio, from: stationAddress)
    bench.plane.play(prompt, on: b.leg)
    bench.pass(.milliseconds(100))
    bench.arrive(packet(8, 6, 800), at: a.audio, from: stationAddress)
    bench.pass(.seconds(1))
    #expect(bench.events() == [.firstPacket(a.leg, .audio), .promptEnded(b.leg, prompt)])
    let before = bench.heard(by: panelAddress)
    #expect((15...60).contains(before.count))
    bench.arrive(packet(8, 60, 9600), at: a.audio, from: stationAddress)
    let heard = bench.heard(by: panelAddress)
    #expect(heard.count == before.count + 1)
    for (one, next) in zip(heard, heard.dropFirst()) {
      #expect(next.head.sequence == one.head.sequence &+ 1)
      #expect(next.head.timestamp &- one.head.timestamp < 20_000)
    }
  }

  @Test func aToneThatComesBackIsHeard() throws {
    let bench = Bench()
    let leg = try bench.leg()
    bench.plane.setRemote(leg.leg, audio: bench.remote(stationAddress, [.pcma]))
    bench.plane.play(.tone(hertz: 440), on: leg.leg)
    bench.plane.listen(for: 440, on: leg.leg)
    for index in 0..<60 {
      bench.pass(.milliseconds(20))
      // The far side sends back what it hears.
      if let last = bench.heard(by: stationAddress).last {
        bench.arrive(
          packet(8, UInt16(index), UInt32(index) * 160, last.payload), at: leg.audio, from: stationAddress)
      }
      bench.forget()
    }
    let heard = try #require(bench.plane.heard(on: leg.leg))
    #expect(heard.windows >= 10)
    #expect(heard.windowsWithTone >= heard.windows - 2)
    bench.plane.listen(for: 440, on: leg.leg)
    for index in 60..<120 {
      bench.arrive(packet(8, UInt16(index), UInt32(index) * 160), at: leg.audio, from: stationAddress)
    }
    #expect(bench.plane.heard(on: leg.leg)?.windowsWithTone == 0)
    #expect(bench.plane.heard(on: leg.leg)?.windows == 12)
  }

  @Test func silenceIsToldOnceAndItsEndToo() throws {
    let bench = Bench(MediaConfiguration(silentAfter: .seconds(20)))
    let leg = try bench.leg()
    bench.plane.setRemote(leg.leg, audio: bench.remote(stationAddress))
    bench.pass(.seconds(10))
    bench.arrive(packet(8, 1, 0), at: leg.audio, from: stationAddress)
    _ = bench.events()
    bench.pass(.milliseconds(19_900))
    #expect(bench.events() == [])
    bench.pass(.milliseconds(200))
    #expect(bench.events() == [.silent(leg.leg)])
    bench.pass(.seconds(100))
    #expect(bench.events() == [])
    // Foreign packets are no sign of life.
    bench.arrive(packet(8, 2, 0), at: leg.audio, from: strangerAddress)
    #expect(bench.events() == [])
    bench.arrive(packet(8, 2, 160), at: leg.audio, from: stationAddress)
    #expect(bench.events() == [.resumed(leg.leg)])
    // On hold silence is right.
    bench.plane.setRemote(leg.leg, audio: bench.remote(stationAddress, direction: .inactive))
    bench.pass(.seconds(100))
    #expect(bench.events() == [])
    bench.plane.setRemote(leg.leg, audio: bench.remote(stationAddress))
    bench.plane.watch(leg.leg, silentAfter: .seconds(5))
    bench.pass(.seconds(6))
    #expect(bench.events() == [.silent(leg.leg)])
  }
}

@Suite struct ReportTests {
  private func control(_ bench: Bench, to address: IPAddress) -> [ControlPacket] {
    var packets: [ControlPacket] = []
    for sent in bench.world.sent
    where sent.to.address == address && PacketHeader.looksLikeControl(sent.bytes.span) {
      var reader = ControlReader()
      while let packet = try? reader.next(in: sent.bytes.span) { packets.append(packet) }
    }
    return packets
  }

  @Test func bothSidesGetReportsOfOurOwn() throws {
    let bench = Bench()
    let (a, b) = try bench.call()
    for index in 0..<500 where index % 10 != 3 {
      bench.arrive(packet(8, UInt16(index), UInt32(index) * 160), at: a.audio, from: stationAddress)
      bench.pass(.milliseconds(20))
    }
    let toStation = control(bench, to: stationAddress)
    guard case .receiverReport(let ssrc, let blocks) = toStation.first else {
      Issue.record("no receiver report to the station")
      return
    }
    #expect(blocks.first?.ssrc == 0x1111)
    #expect(blocks.first.map { (20...28).contains($0.fractionLost) } == true)
    #expect(toStation[1] == .description(ssrc: ssrc, name: Array("vestibule".utf8)))
    #expect((2...5).contains(toStation.count / 2))
    let toPanel = control(bench, to: panelAddress)
    let out = bench.heard(by: panelAddress)
    guard case .senderReport(let own, let information, _) = toPanel.first else {
      Issue.record("no sender report to the panel")
      return
    }
    #expect(own == out[0].head.ssrc)
    #expect(information.octets == information.packets * 160)
    #expect(bench.plane.statistics(a.leg)?.audio.lost == 50)
    // RTCP leaves by the odd port for the odd port.
    #expect(bench.world.sent.filter { $0.port == a.audioRTCP }.allSatisfy { $0.to.port == 5001 })
    // The panel answers; the round trip is told.
    bench.arrive(packet(8, 1, 0, ssrc: 0x3333), at: b.audio, from: panelAddress)
    var writer = ControlWriter()
    writer.receiverReport(
      ssrc: 0x3333,
      ReportBlock(
        ssrc: own, fractionLost: 0, lost: 3, highest: 9, jitter: 80,
        lastReport: UInt32(truncatingIfNeeded: (bench.world.now - .milliseconds(130)).ntp >> 16),
        delay: 65_536 / 10))
    bench.arrive(writer.bytes, at: b.audioRTCP, from: panelAddress, port: 5001)
    let figures = try #require(bench.plane.statistics(b.leg)?.audio)
    #expect(figures.roundTrip.map { abs($0.nanoseconds - 30_000_000) < 1_000_000 } == true)
    #expect(figures.remoteLost == 3)
    #expect(figures.remoteJitter == .milliseconds(10))
    bench.forget()
    let last = try #require(bench.plane.close(b.leg))
    #expect(!last.isEmpty)
    #expect(!last.isOneWay)
    #expect(control(bench, to: panelAddress).last == .bye([own]))
  }

  @Test func muxedReportsShareThePort() throws {
    let bench = Bench()
    let leg = try bench.leg()
    var remote = bench.remote(stationAddress)
    remote.rtcpMux = true
    bench.plane.setRemote(leg.leg, audio: remote)
    bench.arrive(packet(8, 1, 0), at: leg.audio, from: stationAddress)
    var writer = ControlWriter()
    writer.senderReport(
      ssrc: 0x1111, SenderInformation(ntp: 1 << 32, timestamp: 0, packets: 1, octets: 160), nil)
    bench.arrive(writer.bytes, at: leg.audio, from: stationAddress)
    bench.pass(.seconds(8))
    let packets = control(bench, to: stationAddress)
    guard case .receiverReport(_, let blocks) = packets.first else {
      Issue.record("no report")
      return
    }
    #expect(blocks.first?.lastReport == 1 << 16)
    #expect(bench.world.sent.allSatisfy { $0.port == leg.audio && $0.to.port == 5000 })
    #expect(bench.plane.statistics(leg.leg)?.isOneWay == true)
  }

  @Test func requestsForKeyFramesReachTheCameraUnderItsOwnName() throws {
    let bench = Bench()
    let a = try bench.leg(.audioAndVideo)
    let b = try bench.leg(.audioAndVideo)
    let h264 = StreamFormat(
      payloadType: 96, codec: .other(name: "H264", fmtp: "packetization-mode=1"), clockRate: 90_000)
    var other = h264
    other.payloadType = 102
    bench.plane.setRemote(
      a.leg, audio: bench.remote(stationAddress), video: bench.remote(stationAddress, port: 5004, [h264]))
    bench.plane.setRemote(
      b.leg, audio: bench.remote(panelAddress), video: bench.remote(panelAddress, port: 5004, [other]))
    bench.plane.bridge(a.leg, b.leg, keys: .consumeBoth)
    let video = try #require(a.video)
    let bVideo = try #require(b.videoRTCP)
    bench.arrive(
      packet(96, 1, 0, ssrc: 0xCAFE, [UInt8](repeating: 7, count: 1200)), at: video, from: stationAddress,
      port: 5004)
    // The first packet asks for a key frame: the viewer was there before.
    #expect(
      control(bench, to: stationAddress).contains {
        if case .pictureLoss(_, 0xCAFE) = $0 { true } else { false }
      })
    let heard = bench.heard(by: panelAddress, port: 5004)
    #expect(heard.first?.head.payloadType == 102)
    #expect(heard.first?.head.marker == false)
    bench.pass(.seconds(1))
    bench.forget()
    var writer = ControlWriter()
    writer.receiverReport(ssrc: 5, nil)
    writer.fullIntra(sender: 5, media: heard[0].head.ssrc, sequence: 9)
    writer.pictureLoss(sender: 5, media: heard[0].head.ssrc)
    bench.arrive(writer.bytes, at: bVideo, from: panelAddress, port: 5005)
    let asked = control(bench, to: stationAddress)
    #expect(asked.contains { if case .fullIntra(_, 0xCAFE) = $0 { true } else { false } })
    // At most two a second.
    #expect(!asked.contains { if case .pictureLoss = $0 { true } else { false } })
    bench.forget()
    bench.pass(.seconds(1))
    bench.plane.requestKeyFrame(a.leg)
    #expect(
      control(bench, to: stationAddress).contains {
        if case .pictureLoss(_, 0xCAFE) = $0 { true } else { false }
      })
  }
}
