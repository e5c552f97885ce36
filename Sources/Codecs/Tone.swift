// Tones: making them and telling whether one is there (Goertzel).

/// A sine that never stops: amplitude and frequency may change between samples without a click.
package struct Oscillator: Sendable {
  private var phase = 0.0

  package init() {}

  /// Adds `count` samples at 8 kHz of `hertz` into `samples` from `start`; `level` is in dBm0 (a full sine of
  /// A-law is +3).
  package mutating func add(_ hertz: Double, level: Double, into samples: inout [Int16], count: Int) {
    // What 8 kHz cannot carry is the nearest that it can.
    let hertz = hertz > 0 ? min(hertz, 4000) : 0
    let amplitude = 32_124 * Sine.power(of: (level - 3.14) / 20)
    let step = hertz / 8000
    for index in 0..<min(count, samples.count) {
      let value = Double(samples[index]) + amplitude * Sine.value(turns: phase)
      samples[index] = Int16(max(-32_767, min(32_767, value + (value < 0 ? -0.5 : 0.5))))
      phase += step
      if phase >= 1 { phase -= 1 }
    }
  }
}

/// The little mathematics that tones want.
enum Sine {
  /// The sine of `turns` whole circles, 0 to a million; good to 1e-7.
  static func value(turns: Double) -> Double {
    // Into -1/4 ... 1/4, where the series converges fast. (`rounded` would want the C library's mathematics.)
    var x = turns - Double(Int(turns + 0.5))
    if x > 0.25 { x = 0.5 - x } else if x < -0.25 { x = -0.5 - x }
    let a = x * 2 * Double.pi
    let s = a * a
    return a
      * (1 + s * (-1 / 6.0 + s * (1 / 120.0 + s * (-1 / 5040.0 + s * (1 / 362_880.0 - s / 39_916_800.0)))))
  }

  static func cosine(turns: Double) -> Double { value(turns: turns + 0.25) }

  /// Ten to the power of `exponent`.
  static func power(of exponent: Double) -> Double {
    // e^x by halving until small, a series, and squaring back.
    let x = exponent * 2.302585092994046 / 1024
    var result = 1 + x * (1 + x / 2 * (1 + x / 3 * (1 + x / 4)))
    for _ in 0..<10 { result *= result }
    return result
  }

  /// The decimal logarithm of a positive number.
  static func logarithm(_ number: Double) -> Double {
    guard number > 0 else { return -.infinity }
    // ln(m · 2^e) with m near 1, by the series of artanh.
    let exponent = Double(number.exponent)
    let z = (number.significand - 1) / (number.significand + 1)
    let s = z * z
    var sum = 0.0
    var term = z
    for odd in stride(from: 1.0, to: 29, by: 2) {
      sum += term / odd
      term *= s
    }
    return (2 * sum + exponent * 0.6931471805599453) / 2.302585092994046
  }
}

/// Listens for one frequency in sound at 8 kHz, in windows of 100 ms.
package struct ToneDetector: Sendable {
  /// Samples of one window.
  package static let window = 800
  /// The tone is there in a window that holds it above -40 dBm0 and with half of all power.
  package static let threshold = -40.0

  package let frequency: Double
  private let coefficient: Double
  private var first = 0.0
  private var second = 0.0
  private var power = 0.0
  private var taken = 0
  /// Whole windows heard.
  package private(set) var windows = 0
  /// Windows that held the tone.
  package private(set) var windowsWithTone = 0
  /// All sound of the last window in dBm0; minus infinity for digital silence.
  package private(set) var level = -Double.infinity
  /// The tone of the last window in dBm0.
  package private(set) var toneLevel = -Double.infinity

  package init(frequency: Double) {
    self.frequency = frequency > 0 ? min(frequency, 4000) : 0
    coefficient = 2 * Sine.cosine(turns: self.frequency / 8000)
  }

  package mutating func listen(to samples: Span<Int16>, count: Int) {
    for index in 0..<min(count, samples.count) {
      let sample = Double(samples[index])
      power += sample * sample
      let next = sample + coefficient * first - second
      second = first
      first = next
      taken += 1
      if taken == ToneDetector.window { close() }
    }
  }

  private mutating func close() {
    let count = Double(ToneDetector.window)
    // A sine of amplitude A gives (A·N/2)² here, and A²·N/2 in all.
    let square = max(0, first * first + second * second - coefficient * first * second)
    let tonePower = square * 2 / count
    // Of a sine at +3.14 dBm0.
    let full = 32_124.0 * 32_124.0 * count / 2
    level = 10 * Sine.logarithm(power / full) + 3.14
    toneLevel = 10 * Sine.logarithm(tonePower / full) + 3.14
    windows += 1
    if toneLevel > ToneDetector.threshold, tonePower > power / 2 { windowsWithTone += 1 }
    first = 0
    second = 0
    power = 0
    taken = 0
  }
}
