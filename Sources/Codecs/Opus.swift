// Opus (RFC 6716, RFC 7587): speech in one channel, 8 or 16 kHz on our side, whatever the peer chose on its side.
//
// Through libopus itself, the library that libavcodec carries inside. libavcodec's wrapper hides three things that a
// call over Wi-Fi wants: the copy of a lost packet in the next one, concealment, and the change of an encoder to the
// loss that the peer reports; and it decodes to 48 kHz only, so that each packet would be resampled besides. libopus
// decodes to, and encodes from, the rate that the other leg needs. It is opened at first use, as libavcodec is, but
// weighs a twentieth of it; its coders allocate nothing after they are made.

internal import COpus

/// The library behind Opus.
package enum OpusLibrary {
  /// Opens it. False when this machine has none.
  @discardableResult package static func prepare() -> Bool { vestibule_opus_prepare() != 0 }
}

/// What the peer asks of an encoder (RFC 7587 section 6.1).
package struct OpusSettings: Hashable, Sendable {
  /// Bits per second.
  package var bitrate: Int
  /// Repeats what was said inside the next packet when the peer reports loss.
  package var repeats: Bool
  /// Packets of equal length.
  package var isConstant: Bool

  /// What serves a door: wide-band speech at 24 kbit/s.
  package static let speech = OpusSettings(bitrate: 24_000, repeats: true, isConstant: false)

  package init(bitrate: Int, repeats: Bool, isConstant: Bool) {
    self.bitrate = max(6000, min(64_000, bitrate))
    self.repeats = repeats
    self.isConstant = isConstant
  }

  /// Reads the peer's `fmtp`; what it does not say is as RFC 7587 has it, at our bit rate.
  package init(parameters: String) {
    var bitrate = OpusSettings.speech.bitrate
    var repeats = false
    var isConstant = false
    for piece in parameters.split(separator: ";") {
      let halves = piece.split(separator: "=", maxSplits: 1)
      guard halves.count == 2 else { continue }
      let name = halves[0].filter { $0 != " " }.lowercased()
      let value = halves[1].filter { $0 != " " }
      switch name {
      case "maxaveragebitrate": if let most = Int(value), most > 0 { bitrate = min(bitrate, most) }
      case "useinbandfec": repeats = value == "1"
      case "cbr": isConstant = value == "1"
      default: break
      }
    }
    self.init(bitrate: bitrate, repeats: repeats, isConstant: isConstant)
  }
}

/// What one payload of Opus holds.
package enum OpusPayload {
  /// The longest packet on the RTP clock of 48 kHz: 120 ms.
  package static let maximumTicks = 5760

  /// The ticks of 1/48000 s that a payload stands for; nil for what is none, or without the library.
  package static func ticks(_ payload: Span<UInt8>) -> Int? {
    let count = unsafe payload.withUnsafeBufferPointer { bytes in
      guard let base = bytes.baseAddress else { return Int32(-1) }
      return unsafe vestibule_opus_ticks(base, Int32(clamping: bytes.count))
    }
    return count > 0 && count <= Int32(maximumTicks) ? Int(count) : nil
  }
}

@safe  // Owns `coder`; every call hands over lengths that were checked against the arrays.
struct OpusDecoder: ~Copyable {
  private let coder: OpaquePointer

  /// Nil without the library.
  init?(rate: SampleRate) {
    guard let made = unsafe vestibule_opus_decoder_make(Int32(rate.rawValue)) else { return nil }
    unsafe coder = made
  }

  deinit { unsafe vestibule_opus_decoder_free(coder) }

  /// Decodes `payload` into `out`. The samples written; nil for what is no Opus.
  mutating func decode(_ payload: Span<UInt8>, into out: inout [Int16]) -> Int? {
    run(payload, recovers: false, count: out.count, into: &out)
  }

  /// Makes `count` samples of the packet before `payload` from what `payload` repeats of it, or from nothing where it
  /// repeats none.
  mutating func recover(_ payload: Span<UInt8>, count: Int, into out: inout [Int16]) -> Int? {
    run(payload, recovers: true, count: count, into: &out)
  }

  /// Makes `count` samples (whole steps of 2.5 ms) out of what was heard before.
  mutating func conceal(count: Int, into out: inout [Int16]) -> Int? {
    guard count > 0, count <= out.count else { return nil }
    let coder = unsafe self.coder
    let made = unsafe out.withUnsafeMutableBufferPointer { output in
      guard let to = output.baseAddress else { return Int32(-1) }
      return unsafe vestibule_opus_decode(coder, nil, 0, to, Int32(count), 0)
    }
    return made > 0 ? Int(made) : nil
  }

  private mutating func run(
    _ payload: Span<UInt8>, recovers: Bool, count: Int, into out: inout [Int16]
  ) -> Int? {
    guard count > 0, count <= out.count else { return nil }
    let coder = unsafe self.coder
    let made = unsafe payload.withUnsafeBufferPointer { input in
      unsafe out.withUnsafeMutableBufferPointer { output in
        guard let from = input.baseAddress, let to = output.baseAddress else { return Int32(-1) }
        return unsafe vestibule_opus_decode(
          coder, from, Int32(clamping: input.count), to, Int32(count), recovers ? 1 : 0)
      }
    }
    return made > 0 ? Int(made) : nil
  }
}

@safe  // As above.
struct OpusEncoder: ~Copyable {
  /// The longest payload: RFC 6716 allows 1275 bytes a frame; speech at 64 kbit/s needs 480 for 60 ms.
  static let maximumBytes = 1275
  /// Of ten: half of the full effort can hardly be told from it in speech, and a small computer's core carries
  /// more calls.
  private static let complexity: Int32 = 5

  private let coder: OpaquePointer

  /// Nil without the library.
  init?(rate: SampleRate, _ settings: OpusSettings) {
    guard
      let made = unsafe vestibule_opus_encoder_make(
        Int32(rate.rawValue), Int32(settings.bitrate), OpusEncoder.complexity, settings.repeats ? 1 : 0,
        settings.isConstant ? 1 : 0)
    else { return nil }
    unsafe coder = made
  }

  deinit { unsafe vestibule_opus_encoder_free(coder) }

  /// Encodes `count` samples: 10, 20, 40 or 60 ms. The bytes written; nil for other lengths.
  mutating func encode(_ samples: Span<Int16>, count: Int, into out: inout [UInt8]) -> Int? {
    guard count > 0, count <= samples.count else { return nil }
    let coder = unsafe self.coder
    let length = unsafe samples.withUnsafeBufferPointer { input in
      unsafe out.withUnsafeMutableBufferPointer { output in
        guard let from = input.baseAddress, let to = output.baseAddress else { return Int32(-1) }
        return unsafe vestibule_opus_encode(coder, from, Int32(count), to, Int32(output.count))
      }
    }
    return length > 0 ? Int(length) : nil
  }

  /// How many packets of a hundred the peer says are lost.
  mutating func expectLoss(percent: Int) {
    unsafe vestibule_opus_encoder_expect_loss(coder, Int32(clamping: percent))
  }
}
