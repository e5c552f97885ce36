import MediaPlane
import RTP
import SDP
import Simulation
import Testing
import WebRTC
import Wire

@Suite struct RepetitionTests {
  @Test func whatWasLostLeavesAgainUnderItsOwnSource() throws {
    var cinema = try Cinema()
    cinema.shoot(1)
    let spectator = try cinema.spectator()
    var lost = 0
    spectator.loses = {
      lost = $0
      return $0 % 7 == 3
    }
    cinema.shoot(4, to: [spectator])
    spectator.loses = { _ in false }
    cinema.shoot(1, to: [spectator])
    #expect(lost > 20)
    let missing = spectator.missing()
    #expect(missing.count >= 3)
    spectator.complain()
    spectator.hear()
    #expect(spectator.repairs.count == missing.count)
    #expect(spectator.repairs.allSatisfy { $0.header.ssrc != spectator.ssrc })
    let numbers = spectator.repairs.map(\.header.sequence)
    #expect(numbers == (0..<numbers.count).map { numbers[0] &+ UInt16($0) })
    #expect(spectator.missing().isEmpty)
    #expect(spectator.pictures().map(\.parts) == cinema.shot.map(\.parts))
    let statistics = try #require(cinema.bench.plane.viewerStatistics(spectator.leg))
    #expect(statistics.lost == UInt64(missing.count))
    #expect(statistics.repeated == UInt64(missing.count))
  }

  @Test func aPacketIsRepeatedOnceInARoundTripAndNotForEver() throws {
    var cinema = try Cinema()
    cinema.shoot(1)
    let spectator = try cinema.spectator()
    let number = spectator.packets[1].header.sequence
    func ask(_ numbers: [UInt16]) -> Int {
      spectator.repairs = []
      spectator.report {
        $0.receiverReport(ssrc: 0xB1, nil)
        $0.lost(sender: 0xB1, media: spectator.ssrc, numbers)
      }
      spectator.hear()
      return spectator.repairs.count
    }
    #expect(ask([number]) == 1)
    #expect(ask([number]) == 0)
    spectator.meet(20)
    #expect(ask([number]) == 1)
    // What was never sent, and what is somebody else's.
    #expect(ask([number &+ 5000]) == 0)
    spectator.report { $0.lost(sender: 0xB1, media: spectator.ssrc &+ 1, [number]) }
    spectator.hear()
    #expect(spectator.repairs.isEmpty)
    // And not when it is old.
    spectator.meet(4000)
    #expect(ask([number]) == 0)
  }

  /// Without a payload type for what leaves again.
  private func agreeWithoutRepairs(
    _ spectator: Spectator, _ format: Format, _ cinema: Cinema
  ) throws {
    var offer = spectator.offer([format])
    for (index, line) in offer.media.enumerated() where line.kind == .video {
      offer.media[index].formats.removeAll { $0 == "97" }
      offer.media[index].attributes.removeAll { ($0.value ?? "").hasPrefix("97 ") }
    }
    spectator.take(try cinema.bench.plane.answerViewer(spectator.leg, offer, feed: cinema.feed))
  }

  /// `isChanged`: another payload type was agreed on meanwhile.
  @Test(arguments: [false, true])
  func withoutRepairsAPacketLeavesAsItWas(isChanged: Bool) throws {
    var cinema = try Cinema()
    cinema.shoot(1)
    let spectator = try Spectator(cinema.bench)
    try agreeWithoutRepairs(spectator, Spectator.h264, cinema)
    spectator.meet(300)
    if isChanged {
      var other = Spectator.h264
      other.payloadType = 108
      try agreeWithoutRepairs(spectator, other, cinema)
    }
    let before = cinema.bench.world.sent.filter { $0.to == spectator.place && $0.bytes[0] >> 6 == 2 }.map(
      \.bytes)
    if isChanged { #expect(before.contains { $0[1] & 0x7F == 108 }) }
    let first = spectator.packets[0].header.sequence
    cinema.bench.forget()
    spectator.forget()
    spectator.meet(50)
    spectator.report {
      $0.receiverReport(ssrc: 0xB1, nil)
      $0.lost(sender: 0xB1, media: spectator.ssrc, [first, first &+ 2])
    }
    let again = cinema.bench.world.sent.filter { $0.to == spectator.place && $0.bytes[0] >> 6 == 2 }
      .map(\.bytes).filter { !(200...207).contains($0[1]) }
    #expect(again.count == 2)
    #expect(again.allSatisfy { before.contains($0) }, "byte for byte: no nonce is used for two texts")
  }

  @Test func whatWasLostEarlyInALongGroupLeavesAgainToo() throws {
    var cinema = try Cinema(PaperCamera(group: 1000, keyBytes: 900, bytes: 100))
    cinema.shoot(600)
    let spectator = try Spectator(cinema.bench)
    spectator.loses = { $0 == 5 }
    try spectator.ask(for: cinema.feed)
    spectator.meet(500)
    #expect(spectator.missing().count == 1)
    spectator.complain()
    spectator.hear()
    #expect(spectator.missing().isEmpty)
    #expect(spectator.pictures().map(\.number) == Array(0..<600))
    #expect(cinema.bench.events().allSatisfy { $0 != .keyFrameWanted(cinema.feed) })
    // To begin all over again would take longer each time: the camera is asked besides.
    spectator.meet(500)
    spectator.report { $0.pictureLoss(sender: 0xB1, media: spectator.ssrc) }
    spectator.hear()
    #expect(cinema.bench.events().contains(.keyFrameWanted(cinema.feed)))
  }

  @Test func aViewerThatCannotDecodeBeginsAgainWithoutAGap() throws {
    var cinema = try Cinema()
    cinema.shoot(5)
    let spectator = try cinema.spectator()
    cinema.shoot(3, to: [spectator])
    spectator.meet(500)
    spectator.report { $0.pictureLoss(sender: 0xB1, media: spectator.ssrc) }
    spectator.report { $0.pictureLoss(sender: 0xB1, media: spectator.ssrc) }
    spectator.report { $0.fullIntra(sender: 0xB1, media: spectator.ssrc, sequence: 4) }
    spectator.hear()
    cinema.shoot(3, to: [spectator])
    #expect(spectator.isGapless())
    #expect(spectator.pictures().map(\.number) == Array(0..<8) + Array(0..<11), "again once, then on")
    let statistics = try #require(cinema.bench.plane.viewerStatistics(spectator.leg))
    #expect(statistics.keyRequests == 3)
    #expect(statistics.replays == 2)
    #expect(cinema.bench.events().allSatisfy { $0 != .keyFrameWanted(cinema.feed) })
  }

  @Test func anEncoderOfOursIsAskedInsteadAndNotTooOften() throws {
    var cinema = try Cinema(PaperCamera(group: 1000, keyBytes: 9000, bytes: 2000), isInstant: true)
    cinema.shoot(100)
    _ = cinema.bench.events()
    let first = try cinema.spectator(0)
    let second = try cinema.spectator(1)
    func asked() -> Int { cinema.bench.events().filter { $0 == .keyFrameWanted(cinema.feed) }.count }
    #expect(asked() == 2, "the second half a second later")
    #expect(first.packets.isEmpty)
    cinema.shoot(1, isKey: true, to: [first, second])
    cinema.shoot(2, isKey: false, to: [first, second])
    for spectator in [first, second] {
      #expect(spectator.pictures().map(\.number) == [100, 101, 102])
    }
    // Whoever comes now begins with these three.
    let third = try cinema.spectator(2)
    #expect(third.pictures().map(\.number) == [100, 101, 102])
    #expect(asked() == 0)
    for _ in 0..<5 {
      first.meet(100)
      first.report { $0.pictureLoss(sender: 0xB1, media: first.ssrc) }
    }
    #expect(asked() == 0, "what lies here is short enough")
  }

  /// Whatever is lost on the way, whoever asks for it sees every picture as it was taken.
  @Test(arguments: 0..<12)
  func lossAndJoinsAtAnyMomentLeaveEveryPictureWhole(seed: Int) throws {
    var random = Random(seed: UInt64(seed) + 500)
    var cinema = try Cinema(
      PaperCamera(
        group: 3 + Int(random.below(20)), keyBytes: 2000 + Int(random.below(40_000)),
        bytes: 20 + Int(random.below(5000))))
    var spectators: [Spectator] = []
    let share = 2 + random.below(12)
    for round in 0..<40 {
      if spectators.count < 3, random.below(12) == 0 || round == 20 {
        let spectator = try cinema.spectator(UInt16(spectators.count))
        var own = random.fork()
        spectator.loses = { _ in own.below(100) < share }
        spectators.append(spectator)
      }
      cinema.shoot(1)
      for spectator in spectators {
        spectator.meet(20)
        spectator.complain()
        spectator.meet(20)
      }
    }
    #expect(!spectators.isEmpty)
    for spectator in spectators { spectator.loses = { _ in false } }
    // So that nobody misses the last one unknowingly.
    cinema.shoot(1)
    for spectator in spectators {
      for _ in 0..<6 {
        spectator.meet(30)
        spectator.complain()
      }
      spectator.meet(30)
      #expect(spectator.missing().isEmpty)
      let seen = spectator.pictures()
      let first = try #require(seen.first)
      #expect(first.isKey)
      #expect(spectator.isGapless())
      #expect(seen.map(\.parts) == cinema.shot[first.number...].map(\.parts))
    }
  }

  @Test func voicesAreRepeatedWhereThePeerAsksAndAskedForToo() throws {
    let bench = Bench()
    try bench.plane.listenForPeers(
      at: [Endpoint(ourAddress, port: 8189)], addresses: [], maker: SimulatedDTLS(number: 2))
    let spectator = try Spectator(bench, talks: true)
    let station = try bench.leg()
    bench.plane.setRemote(station.leg, audio: bench.remote(stationAddress))
    let feed = bench.plane.openFeed(.h264(nil))
    let offer = spectator.offer()
    let answer = try bench.plane.answerViewer(spectator.leg, offer, feed: feed, sound: .talks(.pcma))
    spectator.take(answer)
    spectator.meet(300)
    bench.plane.bridge(station.leg, spectator.leg, keys: .consumeBoth)
    for index in 0..<5 {
      bench.arrive(
        packet(8, UInt16(index), UInt32(index) * 160, [UInt8(index)] + [UInt8](repeating: 1, count: 159)),
        at: station.audio, from: stationAddress)
      spectator.meet(20)
    }
    #expect(spectator.heard.count == 5)
    let lost = spectator.heard[2]
    let number = UInt16(lost[2]) << 8 | UInt16(lost[3])
    let source = (8..<12).reduce(UInt32(0)) { $0 << 8 | UInt32(lost[$1]) }
    #expect(bench.world.sent.filter { $0.to == spectator.place }.count > 5)
    let before = bench.world.sent.count
    spectator.report {
      $0.receiverReport(ssrc: 0xB0, nil)
      $0.lost(sender: 0xB0, media: source, [number])
    }
    // The receiver has had it: what counts is that the same bytes left.
    #expect(bench.world.sent.count == before + 1)
    let again = bench.world.sent[before].bytes
    #expect(bench.world.sent[..<before].contains { $0.bytes == again })
    // And the other way round.
    for index in [UInt16(1), 2, 5, 6] {
      spectator.say(index, [UInt8](repeating: 3, count: 160))
      spectator.hear()
    }
    let asked = spectator.controls.flatMap { bytes -> [ControlPacket] in
      var reader = ControlReader()
      var result: [ControlPacket] = []
      while let part = try? reader.next(in: bytes.span) { result.append(part) }
      return result
    }.compactMap { part -> [UInt16]? in
      if case .lost(_, 0xB0, let numbers) = part { numbers } else { nil }
    }
    #expect(asked == [[3, 4]])
  }
}
