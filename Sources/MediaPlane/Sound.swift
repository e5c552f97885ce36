// Sounds of ours and listening for them: prompts frame by frame, the coder a leg needs for them, tone detection.

internal import Codecs
internal import Wire

/// Plays one prompt in frames of 20 ms at 8 kHz.
struct Player {
  static let frame = 160

  let prompt: Prompt
  private var oscillator = Oscillator()
  private var position = 0

  init(_ prompt: Prompt) { self.prompt = prompt }

  /// Frames of sound and of silence in turn, with the frequency of each; whether it begins again.
  private static let opened: [(hertz: Double, frames: Int)] = [(660, 8), (880, 12)]
  private static let refused: [(hertz: Double, frames: Int)] = [
    (320, 7), (0, 4), (320, 7), (0, 4), (320, 14),
  ]
  private static let ringback: [(hertz: Double, frames: Int)] = [(425, 75), (0, 175)]

  /// Fills a frame; false when the prompt is over.
  mutating func fill(_ samples: inout [Int16]) -> Bool {
    for index in 0..<Player.frame { samples[index] = 0 }
    switch prompt {
    case .silence: return true
    case .tone(let hertz):
      oscillator.add(hertz, level: -10, into: &samples, count: Player.frame)
      return true
    case .opened: return score(Player.opened, repeats: false, &samples)
    case .refused: return score(Player.refused, repeats: false, &samples)
    case .ringback: return score(Player.ringback, repeats: true, &samples)
    }
  }

  private mutating func score(
    _ notes: [(hertz: Double, frames: Int)], repeats: Bool, _ samples: inout [Int16]
  ) -> Bool {
    var end = 0
    for note in notes {
      end += note.frames
      guard position < end else { continue }
      position += 1
      if note.hertz > 0 { oscillator.add(note.hertz, level: -13, into: &samples, count: Player.frame) }
      return true
    }
    guard repeats else { return false }
    position = 0
    return score(notes, repeats: false, &samples)
  }
}

/// A leg's coder for our own sounds.
final class Encoder {
  var coder: VoiceEncoder
  let payloadType: UInt8

  /// Of the timestamps of one frame.
  let ticks: UInt32

  init?(_ codec: VoiceCodec, _ format: StreamFormat) {
    guard let coder = VoiceEncoder(codec, format.codec.opusSettings) else { return nil }
    self.coder = consume coder
    payloadType = format.payloadType & 0x7F
    ticks = format.clockRate / 50
  }
}

/// Listens to what a leg sends.
final class Listener {
  var detector: ToneDetector
  private var codec: VoiceCodec?
  private var decoder: Coder?

  final class Coder {
    var decoder: VoiceDecoder
    init?(_ codec: VoiceCodec) {
      guard let decoder = VoiceDecoder(codec) else { return nil }
      self.decoder = consume decoder
    }
  }

  init(frequency: Double) { detector = ToneDetector(frequency: frequency) }

  func listen(to packet: Span<UInt8>, _ payload: Range<Int>, as codec: VoiceCodec) {
    if self.codec != codec {
      decoder = Coder(codec)
      self.codec = codec
    }
    guard let coder = decoder else { return }
    let count = coder.decoder.decode(packet, payload)
    let samples = coder.decoder.samples
    detector.listen(to: samples.span, count: count)
  }
}
