internal import CAVCodec

/// Brings one channel of any rate to 8 kHz, through libswresample. What folds back is kept out.
@safe  // Owns `resampler`; every call hands over lengths that were checked against the arrays.
package final class Resampler {
  private let resampler: OpaquePointer
  private let rate: Int
  private var room: [Int16] = []

  /// Nil for a rate that no sound has, or when the library is missing.
  package init?(from rate: Int) {
    guard let made = unsafe vestibule_resampler_make(Int32(clamping: rate), 8000) else { return nil }
    unsafe resampler = made
    self.rate = rate
  }

  deinit { unsafe vestibule_resampler_free(resampler) }

  /// Some milliseconds of what is handed in come out at the next time.
  package func narrow(_ samples: [Int16]) -> ArraySlice<Int16> {
    let most = samples.count * 8000 / rate + 256
    if room.count < most { room = [Int16](repeating: 0, count: most) }
    let resampler = unsafe self.resampler
    let count = unsafe samples.withUnsafeBufferPointer { input in
      unsafe room.withUnsafeMutableBufferPointer { output in
        guard let from = input.baseAddress, let to = output.baseAddress else { return Int32(0) }
        return unsafe vestibule_resampler_take(
          resampler, from, Int32(input.count), to, Int32(output.count))
      }
    }
    return room[..<max(0, Int(count))]
  }
}
