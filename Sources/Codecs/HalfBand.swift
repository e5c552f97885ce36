// Between 8 and 16 kHz by a half-band filter: 47 taps (Kaiser window, 75 dB), every second one zero but the
// middle. Flat to 3.4 kHz, 6 dB down at 4 kHz.

enum HalfBand {
  /// The taps right of the middle at distances 1, 3, 5 …, in 65,536ths; the left ones are the same, the middle
  /// is a half. They add up to a quarter: no gain at direct current.
  static let side: InlineArray<12, Int> = [
    20_732, -6579, 3574, -2193, 1385, -865, 521, -296, 154, -70, 26, -5,
  ]

  static func clamped(_ value: Int) -> Int16 { Int16(clamping: value) }
}

/// 8 kHz to 16 kHz. Delays by 12 samples (1.5 ms).
struct Upsampler {
  private static let history = 23
  private var line: [Int]
  private let side = HalfBand.side

  /// Takes up to `limit` samples at once.
  init(limit: Int) { line = Array(repeating: 0, count: Upsampler.history + limit) }

  /// Writes twice `count` samples of `input` into `out`.
  mutating func process(_ input: Span<Int16>, count: Int, into out: inout [Int16]) {
    let count = min(count, line.count - Upsampler.history, out.count / 2)
    for index in 0..<count { line[Upsampler.history + index] = Int(input[index]) }
    for index in 0..<count {
      // The moment between line[index + 11] and line[index + 12].
      var sum = 1 << 14
      for tap in 0..<12 { sum += side[tap] * (line[index + 11 - tap] + line[index + 12 + tap]) }
      out[2 * index] = Int16(line[index + 11])
      out[2 * index + 1] = HalfBand.clamped(sum >> 15)
    }
    for index in 0..<Upsampler.history { line[index] = line[index + count] }
  }
}

/// 16 kHz to 8 kHz. Delays by 23 samples of 16 kHz (1.4 ms).
struct Downsampler {
  private static let history = 46
  private var line: [Int]
  private let side = HalfBand.side

  /// Takes up to `limit` samples at once.
  init(limit: Int) { line = Array(repeating: 0, count: Downsampler.history + limit) }

  /// Writes half of `count` (even) samples of `input` into `out`.
  mutating func process(_ input: [Int16], count: Int, into out: inout [Int16]) {
    let count = min(count, line.count - Downsampler.history, out.count * 2) & ~1
    for index in 0..<count { line[Downsampler.history + index] = Int(input[index]) }
    for half in 0..<count / 2 {
      let middle = 2 * half + 23
      var sum = 1 << 15 + line[middle] << 15
      for tap in 0..<12 { sum += side[tap] * (line[middle - 1 - 2 * tap] + line[middle + 1 + 2 * tap]) }
      out[half] = HalfBand.clamped(sum >> 16)
    }
    for index in 0..<Downsampler.history { line[index] = line[index + count] }
  }
}
