// Sound made a little shorter or longer without a change of pitch: one pitch period is taken out or put in, its ends
// blended (overlap and add). So a jitter buffer gives time back, or takes some, unheard.

package enum Stretch {
  /// How readily sound may be changed.
  package enum Need: Sendable {
    /// Only where it cannot be heard: silence, and sound that repeats itself.
    case calm
    /// At the best place there is.
    case urgent
  }

  /// The shortest period looked for is 2.5 ms, the longest half of what is given, at most 15 ms and at most `most`.
  private static func lags(_ count: Int, _ rate: SampleRate, _ most: Int) -> ClosedRange<Int>? {
    let shortest = rate.samples(milliseconds: 5) / 2
    let longest = min(rate.samples(milliseconds: 15), count / 2, most)
    return longest > shortest ? shortest...longest : nil
  }

  /// Below this mean power sound is silence: some -50 dBm0.
  private static let silence: Float = 75 * 75
  /// From this likeness on two periods are one twice.
  private static let likeness: Float = 0.85

  /// The best lag, when it may be used.
  private static func lag(
    _ samples: [Int16], _ count: Int, _ rate: SampleRate, _ most: Int, _ need: Need
  ) -> Int? {
    guard count <= samples.count, let lags = lags(count, rate, most) else { return nil }
    var power: Float = 0
    for index in 0..<count { power += Float(samples[index]) * Float(samples[index]) }
    // In silence any piece will do, and the longest saves most.
    if power < silence * Float(count) { return lags.upperBound }
    var best = lags.lowerBound
    var bestScore: Float = -1
    let window = count - lags.upperBound
    for lag in lags {
      var product: Float = 0
      var first: Float = 1
      var second: Float = 1
      for index in 0..<window {
        let one = Float(samples[index])
        let other = Float(samples[index + lag])
        product += one * other
        first += one * one
        second += other * other
      }
      guard product > 0 else { continue }
      let score = product / (first * second).squareRoot()
      if score > bestScore { (best, bestScore) = (lag, score) }
    }
    return bestScore >= likeness || need == .urgent ? best : nil
  }

  /// Takes a period of at most `most` samples out of the first `count`. How many there are now.
  package static func shorten(
    _ samples: inout [Int16], count: Int, by most: Int, rate: SampleRate, need: Need
  ) -> Int {
    guard let lag = lag(samples, count, rate, most, need) else { return count }
    for index in 0..<lag {
      samples[index] = blend(samples[index], samples[index + lag], index, of: lag)
    }
    for index in lag..<count - lag { samples[index] = samples[index + lag] }
    return count - lag
  }

  /// Puts a period into the first `count` samples, where there is room for it. How many there are now.
  package static func lengthen(
    _ samples: inout [Int16], count: Int, rate: SampleRate, need: Need
  ) -> Int {
    guard let lag = lag(samples, count, rate, count, need), count + lag <= samples.count else { return count }
    // From behind, so that nothing is read after it was written over.
    for index in stride(from: count - 1, through: lag, by: -1) { samples[index + lag] = samples[index] }
    // The second period, led over into the first, stands between them.
    for index in 0..<lag {
      samples[lag + index] = blend(samples[2 * lag + index], samples[index], index, of: lag)
    }
    return count + lag
  }

  private static func blend(_ from: Int16, _ to: Int16, _ index: Int, of count: Int) -> Int16 {
    Int16((Int(from) * (count - index) + Int(to) * index) / count)
  }
}
