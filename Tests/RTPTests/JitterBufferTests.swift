import RTP
import Testing
import Wire

/// A stream of 20 ms packets of a clock of 8000, played in frames of 20 ms by a clock of its own.
struct Playing {
  var buffer = JitterBuffer(clockRate: 8000)
  var now = Instant(nanoseconds: 50_000_000_000)
  /// Packets under way: when they come, and their numbers.
  var coming: [(at: Instant, sequence: UInt16, timestamp: UInt32)] = []
  /// The first byte of each packet played; -1 for 20 ms made up, -2 for 20 ms of silence.
  var played: [Int] = []
  /// What was taken out (positive) or put in by stretching, in ticks.
  var corrected = 0
  private var held = 0
  var frames = 0
  var nextFrame: Instant?
  /// Nanoseconds of a frame by the player's clock.
  var frame = Interval.milliseconds(20)

  mutating func arrive(_ sequence: UInt16, _ timestamp: UInt32, source: UInt32 = 7) -> JitterBuffer.Arrival {
    let payload: [UInt8] = [UInt8(truncatingIfNeeded: sequence)]
    if nextFrame == nil { nextFrame = now }
    return buffer.receive(
      payload.span, sequence: sequence, timestamp: timestamp, source: source, ticks: 160, at: now)
  }

  /// One frame of 160 ticks, as whoever decodes would draw it.
  mutating func drawFrame() {
    frames += 1
    while held < 160 {
      switch buffer.next(at: now) {
      case .packet(let ticks):
        played.append(buffer.lend { Int($0[0]) })
        held += ticks
        let correction = held < 160 ? 0 : buffer.correction(ahead: held - 160, frame: 160)
        // A pitch period of 5 ms at a time.
        if correction >= 40 {
          held -= 40
          corrected += 40
        } else if correction < 0 {
          held += 40
          corrected -= 40
        }
      case .missing(let ticks, _):
        played.append(-1)
        held += ticks
      case .rest:
        played.append(-2)
        held = 160
      }
    }
    held -= 160
  }

  /// Lets packets come and frames be drawn, each at its moment, until `end`.
  mutating func run(until end: Instant) {
    coming.sort { ($0.at, $0.sequence) < ($1.at, $1.sequence) }
    var place = 0
    while true {
      let arrival = place < coming.count ? coming[place].at : nil
      let due = nextFrame
      guard let moment = [arrival, due].compactMap({ $0 }).min(), moment <= end else { break }
      now = moment
      if let arrival, arrival == moment {
        _ = arrive(coming[place].sequence, coming[place].timestamp)
        place += 1
      } else {
        drawFrame()
        nextFrame = moment + frame
      }
    }
    coming.removeFirst(place)
    now = end
  }

  /// `count` packets that leave every `spacing` and take what `delay` says; nil for lost ones.
  mutating func send(
    _ count: Int, from first: UInt16 = 0, spacing: Interval = .milliseconds(20), _ delay: (Int) -> Interval?
  ) {
    for index in 0..<count {
      guard let delay = delay(index) else { continue }
      coming.append(
        (
          now + .nanoseconds(spacing.nanoseconds * Int64(index)) + delay,
          first &+ UInt16(truncatingIfNeeded: index),
          UInt32(first) &* 160 &+ UInt32(index) &* 160
        ))
    }
  }
}

@Suite struct JitterBufferTests {
  @Test func packetsInOrderAreHandedOnInOrderWithLittleDelay() {
    var playing = Playing()
    playing.send(200) { _ in .zero }
    playing.run(until: playing.now + .milliseconds(3990))
    let sound = playing.played.drop { $0 < 0 }
    #expect(Array(sound.prefix(150)) == Array(0..<150))
    #expect(!sound.contains { $0 < 0 })
    #expect(playing.buffer.target == .milliseconds(10))
    #expect(playing.buffer.figures.late == 0)
    #expect(playing.buffer.figures.concealed == 0)
  }

  @Test func disorderWithinTheDelayIsPutRight() {
    var playing = Playing()
    // Every fifth packet comes 25 ms late: behind its successor.
    playing.send(500) { $0 % 5 == 3 ? .milliseconds(25) : .zero }
    playing.run(until: playing.now + .seconds(10))
    #expect(playing.buffer.target >= .milliseconds(30))
    // Once the delay has been learnt everything is played in its order.
    let sound = Array(playing.played.suffix(300))
    for (one, next) in zip(sound, sound.dropFirst()) where one >= 0 && next >= 0 {
      #expect(next == (one + 1) % 256)
    }
    #expect(sound.filter { $0 == -1 }.count <= 1)
  }

  @Test func aLostPacketIsMadeUpOnceAndItsCopyOffered() {
    var buffer = JitterBuffer(clockRate: 48_000, recovers: true)
    let start = Instant(nanoseconds: 9_000_000_000)
    let byte: [UInt8] = [1]
    for sequence: UInt16 in [10, 12, 13] {
      let moment = start + .milliseconds(Int64(sequence - 10) * 20)
      let arrival = buffer.receive(
        byte.span, sequence: sequence, timestamp: UInt32(sequence) * 960, source: 1, ticks: 960, at: moment)
      #expect(arrival == .kept)
    }
    let now = start + .milliseconds(60)
    #expect(buffer.next(at: now) == .packet(ticks: 960))
    #expect(buffer.next(at: now) == .missing(ticks: 960, isRecoverable: true))
    #expect(buffer.next(at: now) == .packet(ticks: 960))
    #expect(buffer.next(at: now) == .packet(ticks: 960))
    #expect(buffer.figures.concealed == 1)
    // What was made up comes too late now.
    let late = buffer.receive(
      byte.span, sequence: 11, timestamp: 11 * 960, source: 1, ticks: 960, at: now)
    #expect(late == .late)
    #expect(buffer.figures.late == 1)
    #expect(buffer.figures.concealed == 1)
  }

  @Test func aRepeatedPacketIsPlayedOnce() {
    var playing = Playing()
    #expect(playing.arrive(1, 160) == .kept)
    #expect(playing.arrive(1, 160) == .repeated)
    #expect(playing.arrive(2, 320) == .kept)
    for _ in 0..<6 {
      playing.now = playing.now + .milliseconds(20)
      playing.drawFrame()
    }
    #expect(playing.played.filter { $0 >= 0 } == [1, 2])
  }

  @Test(arguments: [10, 40, 90, 150])
  func theDelayFollowsTheJitterAndComesBack(spread: Int) {
    var playing = Playing()
    var random = Random(seed: UInt64(spread))
    playing.send(1500) { _ in .milliseconds(Int64(random.below(UInt64(spread)))) }
    playing.run(until: playing.now + .seconds(30))
    // Wide enough for 99 of 100, and not much wider.
    #expect(playing.buffer.target.milliseconds >= Int64(spread) * 9 / 10)
    #expect(playing.buffer.target.milliseconds <= Int64(spread) + 15)
    let settled = playing.played.suffix(1000)
    #expect(settled.filter { $0 == -1 }.count <= 30)
    // A calm way for a while: the delay is given back.
    playing.send(3000, from: 1500) { _ in .zero }
    playing.run(until: playing.now + .seconds(60))
    #expect(playing.buffer.target <= .milliseconds(15))
    #expect(playing.corrected > (spread > 40 ? 0 : -1))
  }

  @Test(arguments: [Int64(-200), -50, 50, 200])
  func aClockThatRunsOffIsFollowedForHours(partsPerMillion: Int64) {
    var playing = Playing()
    // Two hours of a sender whose 20 ms are a little longer or shorter.
    let spacing = Interval.nanoseconds(20_000_000 + 20 * partsPerMillion)
    let began = playing.now
    for hour in 0..<8 {
      let first = UInt16(truncatingIfNeeded: hour * 45_000)
      for index in 0..<45_000 {
        let number = hour * 45_000 + index
        playing.coming.append(
          (
            began + .nanoseconds(spacing.nanoseconds * Int64(number)),
            first &+ UInt16(truncatingIfNeeded: index),
            UInt32(number) &* 160
          ))
      }
      playing.run(until: began + .nanoseconds(spacing.nanoseconds * Int64((hour + 1) * 45_000) - 1))
    }
    let figures = playing.buffer.figures
    #expect(figures.kept == 360_000)
    #expect(figures.concealed + figures.late + figures.dropped < 20)
    #expect(figures.restarts == 0)
    // 50 parts in a million of two hours are 360 ms: 2880 ticks, taken out of or put into the sound.
    let expected = -partsPerMillion * 2880 / 50
    #expect(abs(Int64(playing.corrected) - expected) < 500)
    #expect(playing.buffer.count < 5)
  }

  @Test func silenceThatTheSenderLeavesOutIsNoLoss() {
    var playing = Playing()
    // A second of speech, then comfort noise every 400 ms, then speech: numbers without a gap, timestamps with.
    for index in 0..<50 {
      playing.coming.append(
        (playing.now + .milliseconds(20 * Int64(index)), UInt16(index), UInt32(index) * 160))
    }
    for index in 0..<10 {
      playing.coming.append(
        (
          playing.now + .milliseconds(1000 + 400 * Int64(index)), UInt16(50 + index),
          UInt32(8000 + 3200 * index)
        ))
    }
    for index in 0..<50 {
      playing.coming.append(
        (
          playing.now + .milliseconds(5000 + 20 * Int64(index)), UInt16(60 + index),
          UInt32(40_000 + 160 * index)
        ))
    }
    playing.run(until: playing.now + .milliseconds(6100))
    #expect(playing.played.filter { $0 >= 0 } == Array(0..<110))
    #expect(playing.buffer.figures.concealed == 0)
    #expect(playing.buffer.figures.late == 0)
    #expect(playing.buffer.target == .milliseconds(10))
  }

  @Test func aSenderThatBeginsAnewIsFollowedAtItsSecondPacket() {
    var playing = Playing()
    for index in 0..<20 { _ = playing.arrive(UInt16(index), UInt32(index) * 160) }
    // Another clock.
    #expect(playing.arrive(20, 4_000_000_000) == .stray)
    #expect(playing.arrive(21, 4_000_000_160) == .restarted)
    #expect(playing.arrive(22, 4_000_000_320) == .kept)
    // Another source.
    #expect(playing.arrive(23, 4_000_000_480, source: 8) == .stray)
    #expect(playing.arrive(23, 4_000_000_480) == .kept)
    #expect(playing.arrive(900, 77, source: 8) == .stray)
    #expect(playing.arrive(901, 237, source: 8) == .restarted)
    #expect(playing.buffer.figures.restarts == 2)
    #expect(playing.buffer.count == 1)
  }

  @Test func oneStrayPacketChangesNothing() {
    var playing = Playing()
    playing.send(100) { _ in .zero }
    playing.run(until: playing.now + .milliseconds(1000))
    #expect(playing.arrive(50_000, 4_000_000_000) == .stray)
    #expect(playing.arrive(1, 160) == .late)
    playing.run(until: playing.now + .milliseconds(1000))
    #expect(playing.buffer.figures.restarts == 0)
    #expect(playing.played.drop { $0 < 0 }.prefix(90).allSatisfy { $0 >= 0 })
  }

  @Test func aStallOfTheThreadDoesNotLeaveADelayBehind() {
    var playing = Playing()
    playing.send(100) { _ in .zero }
    playing.run(until: playing.now + .milliseconds(990))
    // Nothing is drawn for 700 ms while packets come.
    let frame = playing.nextFrame
    playing.nextFrame = nil
    for packet in playing.coming.prefix(35) {
      playing.now = packet.at
      _ = playing.arrive(packet.sequence, packet.timestamp)
    }
    playing.coming.removeFirst(35)
    playing.nextFrame = (frame ?? playing.now) + .milliseconds(700)
    playing.run(until: playing.now + .milliseconds(200))
    #expect(playing.buffer.figures.dropped > 20)
    #expect(playing.buffer.count <= 3)
  }

  @Test func whatComesFasterThanItIsPlayedIsBounded() {
    var playing = Playing()
    for index in 0..<100_000 { _ = playing.arrive(UInt16(truncatingIfNeeded: index), UInt32(index) * 160) }
    #expect(playing.buffer.count <= JitterBuffer.capacity)
    let payload = [UInt8](repeating: 0, count: JitterBuffer.maximumPayload + 1)
    let arrival = playing.buffer.receive(
      payload.span, sequence: 0, timestamp: 0, source: 7, ticks: 160, at: playing.now)
    #expect(arrival == .stray)
  }

  @Test(arguments: 0..<30)
  func anyPatternOfLossAndJitterIsPlayedInOrderAndCounted(seed: Int) {
    var random = Random(seed: UInt64(seed))
    var playing = Playing()
    let loss = random.below(20)
    let spread = 1 + random.below(120)
    var sent = 0
    playing.send(1000) { _ in
      guard random.below(100) >= loss else { return nil }
      sent += 1
      return .milliseconds(Int64(random.below(spread)))
    }
    playing.run(until: playing.now + .seconds(21))
    let sound = playing.played.filter { $0 >= 0 }
    var position = 0
    for (one, next) in zip(sound, sound.dropFirst()) {
      // Never back: numbers of a byte, steps of less than half its range.
      #expect(UInt8(truncatingIfNeeded: next - one) < 128)
      position += Int(UInt8(truncatingIfNeeded: next - one))
    }
    let figures = playing.buffer.figures
    #expect(sound.count + Int(figures.late) + Int(figures.dropped) + playing.buffer.count == sent)
    #expect(position + 1 <= 1000)
    // Time is kept: as much is played as was said, but for what stretching took.
    #expect(playing.frames >= 1040)
  }

  @Test func theSameHappensTwice() {
    func run() -> [Int] {
      var random = Random(seed: 3)
      var playing = Playing()
      playing.send(500) { _ in random.below(10) == 0 ? nil : .milliseconds(Int64(random.below(60))) }
      playing.run(until: playing.now + .seconds(10))
      return playing.played
    }
    #expect(run() == run())
  }
}
