// What stands in for lost sound where the codec has nothing of its own (G.711, G.722): the last pitch periods again,
// softer and softer, in the manner of G.711 Appendix I.
//
// Responsible for: finding the pitch of what was heard, repeating one, then two, then three of its periods, fading
// from 10 ms on until nothing is left at 60 ms, and leading over into sound that comes again. Adds no delay:
// where the appendix holds back 3.75 ms to smooth the first joint, here the joint's step is bent away instead.
// Assumes that every decoded packet is shown, in order.

struct Concealment {
  /// The deepest voice is 66 Hz, the highest pitch looked for 200 Hz; what is higher repeats in several periods.
  private let shortestLag: Int
  private let longestLag: Int
  private let step: Int
  private var history: [Float]
  /// What is repeated, and where in it we are.
  private var cycle: [Float] = []
  private var position = 0
  private var lag = 0
  private var made = 0
  /// The step at the joint, bent away over the first 2.5 ms.
  private var bend: Float = 0
  /// The sound heard before the loss: the cycle is taken from it, never from what was made up.
  private var past: [Float] = []

  init(rate: SampleRate) {
    shortestLag = rate.samples(milliseconds: 5)
    longestLag = rate.samples(milliseconds: 15)
    step = rate.samples(milliseconds: 1)
    history = Array(repeating: 0, count: rate.samples(milliseconds: 50))
  }

  /// Takes note of decoded sound; after a loss its beginning is blended with what was made up.
  mutating func heard(_ samples: inout [Int16], count: Int) {
    let count = min(count, samples.count)
    if made > 0 {
      // 4 ms, and 4 more for each 10 ms of loss, at most 10 (Appendix I.2.7).
      let window = min(count, min(10, 4 + 4 * (made / (10 * step))) * step)
      for index in 0..<window {
        let share = Float(index + 1) / Float(window + 1)
        samples[index] = Concealment.clamped(Float(samples[index]) * share + next() * (1 - share))
      }
      made = 0
    }
    remember(samples, count)
  }

  /// Makes up `count` samples.
  mutating func fill(_ samples: inout [Int16], count: Int) {
    let count = min(count, samples.count)
    if made == 0 { begin() }
    for index in 0..<count { samples[index] = Concealment.clamped(next()) }
    remember(samples, count)
  }

  private static func clamped(_ value: Float) -> Int16 {
    Int16(max(-32_768, min(32_767, value < 0 ? value - 0.5 : value + 0.5)))
  }

  private mutating func remember(_ samples: [Int16], _ count: Int) {
    let kept = history.count
    if count >= kept {
      for index in 0..<kept { history[index] = Float(samples[count - kept + index]) }
    } else {
      for index in 0..<kept - count { history[index] = history[index + count] }
      for index in 0..<count { history[kept - count + index] = Float(samples[index]) }
    }
  }

  private mutating func begin() {
    past = history
    lag = pitch()
    take(periods: 1)
    position = 0
    let end = past.count
    bend = past[end - 1] - past[end - lag - 1]
  }

  /// The lag at which the last 20 ms resemble what came before them most; looked for coarsely, then finely.
  private func pitch() -> Int {
    let window = 20 * step
    let start = past.count - window
    let coarse = max(1, step / 4)
    var best = shortestLag
    var bestScore = -Float.infinity
    func score(_ lag: Int, every: Int) -> Float {
      var product: Float = 0
      var energy: Float = 1
      var index = start
      while index < past.count {
        let old = past[index - lag]
        product += past[index] * old
        energy += old * old
        index += every
      }
      // What grows with the likeness and keeps its sign, without a root.
      return product * product.magnitude / energy
    }
    for lag in stride(from: shortestLag, through: longestLag, by: coarse) {
      let value = score(lag, every: coarse)
      if value > bestScore { (best, bestScore) = (lag, value) }
    }
    bestScore = -Float.infinity
    let middle = best
    for lag in max(shortestLag, middle - coarse)...min(longestLag, middle + coarse) {
      let value = score(lag, every: 1)
      if value > bestScore { (best, bestScore) = (lag, value) }
    }
    return best
  }

  /// The last so many periods, their end led over into what came before their beginning, so that they can be
  /// repeated without a step.
  private mutating func take(periods: Int) {
    let overlap = lag / 4
    let most = (past.count - overlap) / lag
    let length = min(periods, max(1, most)) * lag
    let start = past.count - length
    cycle.removeAll(keepingCapacity: true)
    for index in start..<past.count { cycle.append(past[index]) }
    for index in 0..<overlap where start - overlap + index >= 0 {
      let share = Float(index + 1) / Float(overlap + 1)
      let place = length - overlap + index
      cycle[place] = cycle[place] * (1 - share) + past[start - overlap + index] * share
    }
  }

  private mutating func next() -> Float {
    // One period for 10 ms, then two, then three: one alone would buzz.
    if made == 10 * step || made == 20 * step {
      let phase = position % lag
      take(periods: made / (10 * step) + 1)
      position = phase
    }
    var value = cycle[position]
    position = position + 1 == cycle.count ? 0 : position + 1
    let bent = 5 * step / 2
    if made < bent { value += bend * Float(bent - made) / Float(bent) }
    if made >= 60 * step { return 0 }
    if made > 10 * step { value *= Float(60 * step - made) / Float(50 * step) }
    made += 1
    return value
  }
}
