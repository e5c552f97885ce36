import RTP
import Testing
import Wire

private func read(_ bytes: [UInt8]) throws -> [ControlPacket] {
  var reader = ControlReader()
  var result: [ControlPacket] = []
  while let packet = try reader.next(in: bytes.span) { result.append(packet) }
  return result
}

@Suite struct TransportFeedbackTests {
  @Test func aReportIsReadChunkByChunk() throws {
    // Base 10, 20 packets, reference 1 (64 ms), report 7: a run of three that came, a vector of one bit, one of two bits.
    let bytes: [UInt8] = [
      0x8F, 205, 0, 8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 10, 0, 20, 0, 0, 1, 7, 0x20, 3, 0xA0, 0, 0xD8, 0, 4, 8, 0,
      12, 0xFF,
      0xFF, 3, 0, 0, 0,
    ]
    let packets = try read(bytes)
    guard case .arrivals(1, let feedback) = packets.first else {
      Issue.record("no report: \(packets)")
      return
    }
    #expect(feedback.base == 10)
    #expect(feedback.number == 7)
    #expect(feedback.arrivals.count == 20)
    #expect(Array(feedback.arrivals[0..<4]) == [65_000, 67_000, 67_000, 70_000])
    #expect(feedback.arrivals[4..<17].allSatisfy { $0 == nil })
    // A large step forwards, and one back.
    #expect(feedback.arrivals[17] == Int64(133_750))
    #expect(feedback.arrivals[18] == Int64(70_500))
    #expect(feedback.arrivals[19] == nil)
  }

  @Test func whatIsWrittenIsReadAgain() throws {
    var random = Random(seed: 12)
    for _ in 0..<200 {
      var time = Int64(random.below(1 << 30)) * 250
      let arrivals = (0..<1 + random.below(60)).map { _ -> Int64? in
        guard random.below(4) > 0 else { return nil }
        time += Int64(random.below(600)) * 250 - 20 * 250
        return time
      }
      let feedback = TransportFeedback(
        base: UInt16(truncatingIfNeeded: random.next()), number: UInt8(random.below(256)), arrivals: arrivals)
      var writer = ControlWriter()
      writer.arrivals(sender: 3, media: 4, feedback)
      let packets = try read(writer.bytes)
      #expect(packets == [.arrivals(sender: 3, feedback)])
    }
  }

  @Test(
    arguments: [
      // Nothing behind the common head; a run of none; more packets than anyone reports; deltas that are missing.
      [0x8F, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2],
      [0x8F, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0],
      [0x8F, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0xFF, 0xFF, 0, 0, 0, 0, 0x3F, 0xFF, 0, 0],
      [0x8F, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 9, 0, 0, 0, 0, 0x20, 9, 1, 1],
    ] as [[UInt8]])
  func aLyingReportIsRefused(bytes: [UInt8]) {
    #expect(throws: ControlError.length) { try read(bytes) }
  }

  @Test func estimatesAreReadWithTheirExponent() throws {
    // 18 bits of 0x20000, shifted by 3: a mebibit.
    let bytes: [UInt8] = [
      0x8F, 206, 0, 5, 0, 0, 0, 9, 0, 0, 0, 0, 0x52, 0x45, 0x4D, 0x42, 1, 0x0E, 0, 0, 0, 0, 0, 7,
    ]
    #expect(try read(bytes) == [.estimate(sender: 9, bitsPerSecond: 1 << 20)])
    var writer = ControlWriter()
    writer.estimate(sender: 9, bitsPerSecond: 1 << 20, [7])
    #expect(writer.bytes == bytes)
    // Application feedback of another kind is nobody's.
    var other = bytes
    other[12] = 0x53
    #expect(try read(other) == [.other(type: 206)])
  }
}

/// A path of a given rate, with a queue in front of it.
private struct Path {
  var bitsPerSecond: Double
  var delay = Interval.milliseconds(20)
  /// Packets that find more than this waiting are lost.
  var longest = Interval.milliseconds(400)
  private var free = Instant(nanoseconds: 0)

  init(_ bitsPerSecond: Double) { self.bitsPerSecond = bitsPerSecond }

  mutating func carry(_ bytes: Int, at now: Instant) -> Instant? {
    let begin = max(free, now)
    guard begin - now < longest else { return nil }
    free = begin + .nanoseconds(Int64(Double(bytes * 8) / bitsPerSecond * 1e9))
    return free + delay
  }
}

@Suite struct BandwidthEstimateTests {
  /// Sends pictures of `bitsPerSecond` at 25 a second for so many seconds; reports come every 100 ms.
  private func run(
    _ estimate: inout BandwidthEstimate, _ path: inout Path, from start: Instant, seconds: Int,
    bitsPerSecond: (BandwidthEstimate) -> Int
  ) -> Instant {
    var now = start
    var pending: [(sent: Instant, arrival: Instant?, bytes: Int)] = []
    for tick in 0..<seconds * 25 {
      let bytes = max(200, bitsPerSecond(estimate) / 8 / 25)
      var rest = bytes
      while rest > 0 {
        let size = min(1200, rest)
        pending.append((now, path.carry(size, at: now), size))
        rest -= size
      }
      now = now + .milliseconds(40)
      guard tick % 3 == 2 else { continue }
      let ready = pending.prefix { ($0.arrival ?? $0.sent) <= now }
      for one in ready {
        if let arrival = one.arrival {
          estimate.came(sent: one.sent, arrival: arrival.nanoseconds / 1000 + 77_000_000, bytes: one.bytes)
        } else {
          estimate.lost(1)
        }
      }
      pending.removeFirst(ready.count)
      estimate.settle(at: now, roundTrip: .milliseconds(40))
    }
    return now
  }

  @Test func aStreamThatFitsShowsNoLimit() throws {
    var estimate = BandwidthEstimate()
    #expect(estimate.bitsPerSecond == nil)
    var path = Path(20_000_000)
    _ = run(&estimate, &path, from: Instant(nanoseconds: 1_000_000_000), seconds: 20) { _ in 2_000_000 }
    let known = try #require(estimate.bitsPerSecond)
    #expect(!estimate.hasLimit)
    #expect(known > 2_000_000 && known < 4_000_000)
  }

  @Test(arguments: [300_000, 1_000_000, 4_000_000])
  func aStreamThatFollowsEndsNearWhatThePathCarries(rate: Int) throws {
    var estimate = BandwidthEstimate()
    var path = Path(Double(rate))
    var now = run(&estimate, &path, from: Instant(nanoseconds: 1_000_000_000), seconds: 60) {
      min(8_000_000, $0.bitsPerSecond ?? rate * 2)
    }
    #expect(estimate.hasLimit)
    var known = try #require(estimate.bitsPerSecond)
    #expect(known > rate / 2 && known < rate * 13 / 10, "\(known) of \(rate)")
    // The path becomes four times as wide.
    path.bitsPerSecond = Double(rate) * 4
    now = run(&estimate, &path, from: now, seconds: 60) { min(8_000_000, $0.bitsPerSecond ?? rate) }
    known = try #require(estimate.bitsPerSecond)
    #expect(known > rate * 3 / 2, "\(known) of \(rate * 4)")
    // And narrow again.
    path.bitsPerSecond = Double(rate)
    _ = run(&estimate, &path, from: now, seconds: 20) { min(8_000_000, $0.bitsPerSecond ?? rate) }
    known = try #require(estimate.bitsPerSecond)
    #expect(known < rate * 13 / 10, "\(known) of \(rate)")
  }

  @Test func jitterAloneIsNoFullPath() throws {
    var estimate = BandwidthEstimate()
    var random = Random(seed: 4)
    var now = Instant(nanoseconds: 1_000_000_000)
    var last: Int64 = 0
    for tick in 0..<1500 {
      for _ in 0..<8 {
        let arrival = max(last, now.nanoseconds / 1000 + 20_000 + Int64(random.below(12_000)))
        last = arrival
        estimate.came(sent: now, arrival: arrival, bytes: 1200)
      }
      now = now + .milliseconds(40)
      if tick % 3 == 2 { estimate.settle(at: now, roundTrip: .milliseconds(40)) }
    }
    #expect(!estimate.hasLimit)
  }

  @Test func lossBringsItDown() throws {
    var estimate = BandwidthEstimate()
    var now = Instant(nanoseconds: 1_000_000_000)
    for tick in 0..<300 {
      for index in 0..<8 {
        if index < 2, tick > 100 {
          estimate.lost(1)
        } else {
          estimate.came(sent: now, arrival: now.nanoseconds / 1000 + 20_000, bytes: 1200)
        }
      }
      now = now + .milliseconds(40)
      if tick % 3 == 2 { estimate.settle(at: now, roundTrip: .milliseconds(40)) }
    }
    #expect(estimate.hasLimit)
    #expect(try #require(estimate.bitsPerSecond) < 2_000_000)
  }

  @Test func aClockThatStandsStillJumpsOrRunsBackKeepsNothing() {
    // Steps of the receiver's clock; the last one wraps as the wire does.
    for step: Int64 in [0, -400_000, 400_000, -(1 << 24) * 64_000 + 1] {
      var estimate = BandwidthEstimate()
      var arrival: Int64 = ((1 << 23) - 1) * 64_000
      for number in 0..<10_000 {
        if number % 100 == 99 { arrival += step }
        if abs(arrival) > (1 << 23) * 64_000 { arrival = 0 }
        estimate.came(sent: Instant(nanoseconds: Int64(number) * 1_000_000), arrival: arrival, bytes: 1200)
        estimate.settle(at: Instant(nanoseconds: Int64(number) * 1_000_000), roundTrip: .milliseconds(40))
        #expect(estimate.counted <= BandwidthEstimate.rateLimit)
      }
    }
  }

  @Test func aClockThatWasSetBackCountsAnew() throws {
    var estimate = BandwidthEstimate()
    var now = Instant(nanoseconds: 1_000_000_000)
    for tick in 0..<400 {
      // Half an hour back, in the midst.
      let clock = now.nanoseconds / 1000 + (tick < 200 ? 2_000_000_000 : 200_000_000)
      for _ in 0..<8 { estimate.came(sent: now, arrival: clock, bytes: tick < 200 ? 100 : 1200) }
      now = now + .milliseconds(40)
      if tick % 3 == 2 { estimate.settle(at: now, roundTrip: .milliseconds(40)) }
    }
    #expect(try #require(estimate.bitsPerSecond) > 300_000)
  }
}
