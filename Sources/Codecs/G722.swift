// G.722 at 64 kbit/s: 16 kHz sound, one byte for two samples, through libavcodec.
//
// The library is opened at first use: it weighs 18 MB, and most buildings never need it. Its coders allocate
// inside for every frame; only calls that transcode pay for that.

internal import CAVCodec

/// The library behind G.722.
package enum G722Library {
  /// Opens it. False when this machine has none that fits. May take as long as a slow disk: a worker's job.
  @discardableResult package static func prepare() -> Bool { vestibule_av_prepare() != 0 }
}

@safe  // Owns `coder`; every call hands over lengths that were checked against the arrays.
struct G722Encoder: ~Copyable {
  /// Samples at 16 kHz of one step: 10 ms.
  static let frame = 160

  private let coder: OpaquePointer

  /// Nil without the library.
  init?() {
    guard let made = unsafe vestibule_g722_encoder() else { return nil }
    unsafe coder = made
  }

  deinit { unsafe vestibule_g722_free(coder) }

  /// Encodes whole steps of `samples[0 ..< count]` into `out`. The bytes written; nil for broken steps or when
  /// the library refuses.
  mutating func encode(_ samples: [Int16], count: Int, into out: inout [UInt8]) -> Int? {
    guard count % G722Encoder.frame == 0, count <= samples.count, out.count >= count / 2 else { return nil }
    let coder = unsafe self.coder
    let good = unsafe samples.withUnsafeBufferPointer { input in
      unsafe out.withUnsafeMutableBufferPointer { output in
        guard count > 0, let from = input.baseAddress, let to = output.baseAddress else { return false }
        var place = 0
        while place < count {
          guard unsafe vestibule_g722_encode(coder, from + place, to + place / 2) == G722Encoder.frame / 2
          else { return false }
          place += G722Encoder.frame
        }
        return true
      }
    }
    return good ? count / 2 : nil
  }
}

@safe  // As above.
struct G722Decoder: ~Copyable {
  private let coder: OpaquePointer

  /// Nil without the library.
  init?() {
    guard let made = unsafe vestibule_g722_decoder() else { return nil }
    unsafe coder = made
  }

  deinit { unsafe vestibule_g722_free(coder) }

  /// Decodes `bytes` into `out`. The samples written; nil when the library refuses or `out` is too small.
  mutating func decode(_ bytes: Span<UInt8>, into out: inout [Int16]) -> Int? {
    guard !bytes.isEmpty, bytes.count * 2 <= out.count else { return nil }
    let coder = unsafe self.coder
    let count = unsafe bytes.withUnsafeBufferPointer { input in
      unsafe out.withUnsafeMutableBufferPointer { output in
        guard let from = input.baseAddress, let to = output.baseAddress else { return Int32(-1) }
        return unsafe vestibule_g722_decode(coder, from, Int32(input.count), to, Int32(output.count))
      }
    }
    return count > 0 ? Int(count) : nil
  }
}
