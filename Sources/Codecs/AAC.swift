// AAC of network cameras to one channel at 8 kHz, through libavcodec and libswresample.

internal import CAVCodec

/// Decodes raw AAC frames (RFC 3640's access units).
@safe  // Owns `coder`; every call hands over lengths that were checked against the arrays.
package final class AACDecoder {
  /// The longest frame: 6144 bits for each of eight channels (ISO/IEC 14496-3), and some.
  package static let maximumFrame = 8192
  /// What a frame of 2048 samples at the slowest rate becomes, and what the resampler had kept.
  private static let room = 4096

  /// Frames in a row that could not be read: a broken one may have told the decoder of another stream.
  private static let patience = 4

  private var coder: OpaquePointer
  private let config: [UInt8]
  private var failures = 0
  private var samples = [Int16](repeating: 0, count: AACDecoder.room)

  /// Opens what it is made of, which reads files: once, on any thread. The first decoder does it otherwise.
  package static func prepare() { _ = vestibule_swr_prepare() }

  /// `config` is the AudioSpecificConfig out of a session description. Nil when it cannot be read, or the library is
  /// missing.
  package init?(config: [UInt8]) {
    guard (2...64).contains(config.count), let made = unsafe AACDecoder.make(config) else { return nil }
    unsafe coder = made
    self.config = config
  }

  private static func make(_ config: [UInt8]) -> OpaquePointer? {
    unsafe config.withUnsafeBufferPointer { input in
      unsafe vestibule_aac_make(input.baseAddress!, Int32(input.count))
    }
  }

  deinit { unsafe vestibule_aac_free(coder) }

  /// What one frame sounds like, in PCMA at 8000 samples a second; empty while the decoder fills up, and for what it
  /// cannot read.
  package func pcma(_ frame: [UInt8]) -> [UInt8] {
    guard !frame.isEmpty, frame.count <= AACDecoder.maximumFrame else { return [] }
    let coder = unsafe self.coder
    let count = unsafe frame.withUnsafeBufferPointer { input in
      unsafe samples.withUnsafeMutableBufferPointer { output in
        unsafe vestibule_aac_decode(
          coder, input.baseAddress!, Int32(input.count), output.baseAddress!, Int32(output.count))
      }
    }
    if count < 0 {
      failures += 1
      if failures >= AACDecoder.patience, let made = unsafe AACDecoder.make(config) {
        failures = 0
        unsafe vestibule_aac_free(self.coder)
        unsafe self.coder = made
      }
      return []
    }
    failures = 0
    guard count > 0 else { return [] }
    return samples[..<Int(count)].map { G711.a(from: $0) }
  }
}
