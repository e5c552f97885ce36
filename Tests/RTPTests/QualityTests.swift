import RTP
import Testing
import Wire

@Suite struct TalkQualityTests {
  @Test func theRecommendationsOwnFiguresComeOut() {
    // G.107: everything at its default and no delay is R 93.2, a score of 4.41; R 50 is 2.58, R 60 is 3.10.
    let best = TalkQuality.rating(delay: .zero, loss: 0, .g711)
    #expect(abs(best - 93.2) < 0.001)
    #expect(abs(TalkQuality.opinion(rating: best) - 4.409) < 0.001)
    #expect(abs(TalkQuality.opinion(rating: 60) - 3.1) < 0.001)
    #expect(abs(TalkQuality.opinion(rating: 50) - 2.575) < 0.001)
    #expect(TalkQuality.opinion(rating: 0) == 1)
    #expect(TalkQuality.opinion(rating: 3) == 1)
  }

  @Test func delayAndLossTakeWhatTheModelSays() {
    // 100 ms: 2.4. 200 ms: 4.8, and 0.11 for each of the 22.7 ms beyond 177.3.
    #expect(abs(TalkQuality.rating(delay: .milliseconds(100), loss: 0, .g711) - 90.8) < 0.001)
    #expect(abs(TalkQuality.rating(delay: .milliseconds(200), loss: 0, .g711) - 85.903) < 0.001)
    // As many percent as the robustness: half of 95.
    #expect(abs(TalkQuality.rating(delay: .zero, loss: 25.1, .g711) - 45.7) < 0.001)
    #expect(TalkQuality.rating(delay: .seconds(9), loss: 100, .g711) == 0)
  }
}

@Suite struct PacketHistoryTests {
  private let start = Instant(nanoseconds: 5_000_000_000)

  private func store(_ history: inout PacketHistory, _ sequence: UInt16, at now: Instant, length: Int = 3) {
    let head: [UInt8] = [UInt8(truncatingIfNeeded: sequence >> 8), UInt8(truncatingIfNeeded: sequence)]
    let payload = [UInt8](repeating: 7, count: length)
    history.store(sequence, head.span, payload.span, at: now)
  }

  private func recalled(
    _ history: inout PacketHistory, _ sequence: UInt16, at now: Instant, roundTrip: Interval? = nil
  ) -> [UInt8]? {
    var bytes: [UInt8] = []
    let isThere = history.recall(sequence, at: now, roundTrip: roundTrip) { packet in
      for index in packet.indices { bytes.append(packet[index]) }
    }
    return isThere ? bytes : nil
  }

  @Test func whatWasSentIsThereWholeAcrossTheWrap() {
    var history = PacketHistory(limit: 64)
    for step: UInt16 in 0..<40 { store(&history, 65_516 &+ step, at: start) }
    #expect(recalled(&history, 65_520, at: start) == [0xFF, 0xF0, 7, 7, 7])
    #expect(recalled(&history, 3, at: start) == [0, 3, 7, 7, 7])
    #expect(recalled(&history, 500, at: start) == nil)
    #expect(history.repeated == 2)
    #expect(history.refused == 1)
  }

  @Test func theOldestGoFirst() {
    var history = PacketHistory(limit: 16)
    for sequence: UInt16 in 0..<20 { store(&history, sequence, at: start) }
    #expect(recalled(&history, 3, at: start) == nil)
    #expect(recalled(&history, 4, at: start) == [0, 4, 7, 7, 7])
  }

  @Test func whatIsOldIsNotSentAgain() {
    var history = PacketHistory(limit: 16, keeps: .milliseconds(500))
    store(&history, 1, at: start)
    #expect(recalled(&history, 1, at: start + .milliseconds(501)) == nil)
  }

  @Test func onePacketIsRepeatedOnceInARoundTrip() {
    var history = PacketHistory(limit: 16)
    store(&history, 1, at: start)
    #expect(recalled(&history, 1, at: start, roundTrip: .milliseconds(80)) != nil)
    #expect(recalled(&history, 1, at: start + .milliseconds(79), roundTrip: .milliseconds(80)) == nil)
    #expect(recalled(&history, 1, at: start + .milliseconds(80), roundTrip: .milliseconds(80)) != nil)
    #expect(recalled(&history, 1, at: start + .milliseconds(89)) == nil)
  }

  @Test func whatIsTooLongIsNotKept() {
    var history = PacketHistory(limit: 16)
    store(&history, 1, at: start)
    store(&history, 17, at: start, length: 1499)
    #expect(recalled(&history, 17, at: start) == nil)
    #expect(recalled(&history, 1, at: start) == nil)
  }
}

@Suite struct LostPacketsTests {
  private func read(_ bytes: [UInt8]) throws -> ControlPacket? {
    var reader = ControlReader()
    return try reader.next(in: bytes.span)
  }

  @Test func aRequestOfTheStandardsShapeIsRead() throws {
    // PID 0x0102 with a mask of 0x8001: the next, and the sixteenth after it.
    let bytes: [UInt8] = [0x81, 205, 0, 3, 0, 0, 0, 9, 0, 0, 0, 5, 1, 2, 0x80, 1]
    #expect(try read(bytes) == .lost(sender: 9, media: 5, [0x0102, 0x0103, 0x0112]))
    // Requests for a lower rate (3) are nobody's.
    #expect(try read([0x83, 205, 0, 3, 0, 0, 0, 9, 0, 0, 0, 5, 1, 2, 0x80, 1]) == .other(type: 205))
    #expect(throws: ControlError.length) { try read([0x81, 205, 0, 1, 0, 0, 0, 9]) }
  }

  @Test(
    arguments: [
      [1], [1, 2, 3], [7, 23], [7, 24], [65_530, 65_535, 3, 9, 10], [0, 16, 17, 33, 34, 5000, 5001],
    ] as [[UInt16]])
  func whatIsWrittenIsReadBack(numbers: [UInt16]) throws {
    var writer = ControlWriter()
    writer.lost(sender: 1, media: 2, numbers)
    #expect(try read(writer.bytes) == .lost(sender: 1, media: 2, numbers))
    #expect(writer.bytes.count <= 12 + 4 * numbers.count)
  }

  @Test func aRequestForEverythingIsCut() throws {
    var bytes: [UInt8] = [0x81, 205, 1, 2, 0, 0, 0, 9, 0, 0, 0, 5]
    for index in 0..<256 { bytes += [UInt8(index), 0, 0xFF, 0xFF] }
    guard case .lost(_, _, let numbers) = try read(bytes) else {
      Issue.record("no request")
      return
    }
    #expect(numbers.count == ControlReader.lostLimit)
  }
}
