import Cameras
import Testing
import Wire

@Suite struct StreamChoiceTests {
  private var choice = StreamChoice()
  private var now = Instant(nanoseconds: 1_000_000_000)

  /// Four looks a second, until another stream is wanted or the time is over: how long it took.
  private mutating func look(rate: Int, limit: Int?, _ longest: Interval) -> Interval? {
    let start = now
    while now - start <= longest {
      if choice.wanted(rate: rate, limit: limit, at: now) != choice.shown { return now - start }
      now = now + .milliseconds(250)
    }
    return nil
  }

  @Test mutating func whoCarriesTheMainStreamKeepsIt() {
    #expect(look(rate: 2_000_000, limit: nil, .seconds(60)) == nil)
    #expect(look(rate: 2_000_000, limit: 2_500_000, .seconds(60)) == nil)
    #expect(choice.wanted(rate: nil, limit: 50_000, at: now) == .main, "nobody knows what it brings")
  }

  @Test mutating func aMomentTooNarrowIsBorne() {
    for _ in 0..<10 {
      #expect(look(rate: 2_000_000, limit: 500_000, .milliseconds(1500)) == nil)
      #expect(look(rate: 2_000_000, limit: 2_000_000, .milliseconds(250)) == nil)
    }
    #expect(look(rate: 2_000_000, limit: 500_000, .seconds(9)) == StreamChoice.haste)
  }

  @Test mutating func theWayBackIsATrialAndEachThatFailsWaitsLonger() {
    choice.switched(at: now)
    #expect(look(rate: 200_000, limit: 210_000, .seconds(600)) == nil, "it just about carries that")
    for trial in [
      Interval.seconds(30), .seconds(60), .seconds(120), .seconds(240), .seconds(480), .seconds(600),
    ] {
      #expect(look(rate: 200_000, limit: 300_000, .seconds(700)) == trial)
      choice.switched(at: now)
      #expect(choice.shown == .main)
      #expect(look(rate: 2_000_000, limit: 300_000, .seconds(9)) == StreamChoice.haste)
      choice.switched(at: now)
      #expect(choice.shown == .small)
    }
  }

  @Test mutating func aTrialThatLastedWasNone() {
    choice.switched(at: now)
    #expect(look(rate: 200_000, limit: 300_000, .seconds(60)) == StreamChoice.firstTrial)
    choice.switched(at: now)
    #expect(look(rate: 2_000_000, limit: 3_000_000, StreamChoice.relapse) == nil)
    #expect(look(rate: 2_000_000, limit: 300_000, .seconds(9)) == StreamChoice.haste)
    choice.switched(at: now)
    #expect(look(rate: 200_000, limit: 300_000, .seconds(60)) == StreamChoice.firstTrial)
  }

  @Test func theRateIsThatOfTheLastSeconds() {
    var rate = StreamRate()
    var now = Instant(nanoseconds: 0)
    func pass(_ bytes: Int, _ length: Interval) {
      let end = now + length
      while now < end {
        rate.passed(bytes, at: now)
        now = now + .milliseconds(100)
      }
    }
    pass(25_000, .seconds(1))
    #expect(rate.bitsPerSecond == nil)
    pass(25_000, .milliseconds(1100))
    #expect(rate.bitsPerSecond == 2_000_000)
    pass(2500, .milliseconds(2000))
    #expect(rate.bitsPerSecond == 200_000)
  }
}
