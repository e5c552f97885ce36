// One direction of a bridge between two codecs: packets of one go in as they come, packets of the other come out on a
// clock of ours, every 20 ms or as the peer asked.
//
// Responsible for: the jitter buffer, decoding, what stands in for loss, stretching, encoding, and numbers without a
// gap for whoever sends. Knows no transport: a leg over plain RTP and one over WebRTC hand in and take the same.
// Assumes that `frame` is called when `nextFrame` says; coders exist only where the machine's libraries do.

internal import Codecs
internal import RTP
internal import Wire

/// What is turned into what.
struct VoiceShape: Hashable {
  var from: VoiceCodec
  /// Of the timestamps that come; as the peer declares it.
  var fromClock: UInt32
  var to: VoiceCodec
  var toClock: UInt32
  var payloadType: UInt8
  /// Milliseconds of a packet that goes out: 10, 20, 40 or 60.
  var ptime: Int
  var settings: OpusSettings

  var isLaw: Bool { from.isLaw(of: to) && fromClock == toClock }
}

final class VoicePath {
  /// Without a packet for so long the sender is gone, or silent for good: nothing is sent until it comes again.
  private static let patience = Interval.seconds(2)
  /// Sound that is further than this from its moment is cut or stretched wherever it can be.
  private static let urgency = Interval.milliseconds(80)

  let shape: VoiceShape
  /// Names this path to the timeline that it feeds.
  let feeder: Timeline.Feeder
  private let rate: SampleRate
  private var buffer: JitterBuffer
  private var decoder: VoiceDecoder
  private var encoder: VoiceEncoder
  /// Decoded and not yet sent.
  private var sound: [Int16]
  private var held = 0
  private var scratch: [Int16]
  /// When the next packet goes out; nil while there is nothing to send.
  private(set) var nextFrame: Instant?
  private var lastFrame: Instant?
  private var sequence: UInt16 = 0
  private var timestamp: UInt32 = 0
  private var isNewTalk = true

  /// Nil when a codec's library is missing.
  init?(_ shape: VoiceShape, feeder: Timeline.Feeder) {
    self.shape = shape
    self.feeder = feeder
    rate = shape.from.rate(with: shape.to)
    guard let decoder = VoiceDecoder(shape.from, rate: rate),
      let encoder = VoiceEncoder(shape.to, rate: rate, shape.settings)
    else { return nil }
    buffer = JitterBuffer(clockRate: shape.fromClock, recovers: decoder.canRecover)
    self.decoder = decoder
    self.encoder = encoder
    // A packet out, and before it two of the longest that come in, the second one stretched.
    sound = Array(repeating: 0, count: rate.samples(milliseconds: 60 + 3 * VoiceCodec.longestPacket))
    scratch = Array(repeating: 0, count: rate.samples(milliseconds: 2 * VoiceCodec.longestPacket))
  }

  /// How the packets that came fared, and how long they wait.
  var figures: JitterBuffer.Figures { buffer.figures }
  var target: Interval { buffer.target }

  /// The peer that hears this tells how many packets of a hundred it loses.
  func expectLoss(percent: Int) { encoder.expectLoss(percent: percent) }

  private func samples(_ ticks: Int) -> Int { ticks * rate.rawValue / Int(shape.fromClock) }
  private func ticks(_ samples: Int) -> Int { samples * Int(shape.fromClock) / rate.rawValue }

  /// Takes a packet; false when its payload cannot be of the codec.
  func receive(_ packet: Span<UInt8>, _ header: PacketHeader, at now: Instant) -> Bool {
    let payload = packet.extracting(header.payload)
    guard var ticks = shape.from.ticks(of: payload) else { return false }
    // A peer that counts G.722 at 16 kHz is taken at its word.
    ticks = ticks * Int(shape.fromClock) / shape.from.clockRate
    buffer.receive(
      payload, sequence: header.sequence, timestamp: header.timestamp, source: header.ssrc, ticks: ticks,
      at: now)
    guard nextFrame == nil, buffer.count > 0 else { return true }
    if let lastFrame {
      let passed = Int64((now - lastFrame).milliseconds) / Int64(shape.ptime) * Int64(shape.ptime)
      timestamp &+= UInt32(truncatingIfNeeded: passed * Int64(shape.toClock) / 1000)
    }
    isNewTalk = true
    nextFrame = now + buffer.target
    return true
  }

  /// One packet's time has come, at `nextFrame`. Unless nobody wants it, it is lent with its numbers and whether sound
  /// begins with it.
  func frame(
    at now: Instant, isWanted: Bool, _ send: (Span<UInt8>, UInt16, UInt32, Bool) -> Void
  ) {
    guard let due = nextFrame else { return }
    lastFrame = now
    if let last = buffer.lastArrival, now - last > VoicePath.patience {
      nextFrame = nil
      held = 0
      return
    }
    // By the path's own clock, so that timers' grain does not add up; after a standstill from now.
    let length = Interval.milliseconds(Int64(shape.ptime))
    let moment = due + length < now - .milliseconds(100) ? now : due
    nextFrame = moment + length
    let wanted = rate.samples(milliseconds: shape.ptime)
    while held < wanted { draw(wanted, at: moment) }
    defer {
      held -= wanted
      for index in 0..<held { sound[index] = sound[index + wanted] }
      timestamp &+= UInt32(shape.ptime) * shape.toClock / 1000
    }
    guard isWanted else {
      isNewTalk = true
      return
    }
    let out = sound
    let count = encoder.encode(out.span, count: wanted)
    guard count > 0 else { return }
    let bytes = encoder.bytes
    send(bytes.span.extracting(0..<count), sequence, timestamp, isNewTalk)
    sequence &+= 1
    isNewTalk = false
  }

  /// Adds the next piece of sound.
  private func draw(_ wanted: Int, at moment: Instant) {
    switch buffer.next(at: moment) {
    case .packet(let ticks):
      let count = buffer.lend { decoder.decode($0, 0..<$0.count) }
      if count > 0 {
        append(count, wanted)
      } else {
        append(decoder.conceal(count: max(1, samples(ticks))))
      }
    case .missing(let ticks, let isRecoverable):
      let count = max(1, samples(ticks))
      if isRecoverable, decoder.canRecover {
        append(buffer.lend { decoder.recover(from: $0, 0..<$0.count, count: count) })
      } else {
        append(decoder.conceal(count: count))
      }
    case .rest: append(decoder.conceal(count: wanted - held))
    }
  }

  /// Takes over what the decoder made, shorter or longer where the delay is wrong.
  private func append(_ count: Int, _ wanted: Int) {
    let ahead = held + count - wanted
    let correction = ahead < 0 ? 0 : buffer.correction(ahead: ticks(ahead), frame: ticks(wanted))
    guard correction != 0 else { return append(count) }
    let made = decoder.samples
    for index in 0..<count { scratch[index] = made[index] }
    let urgent = Int(VoicePath.urgency.milliseconds) * Int(shape.fromClock) / 1000
    let need: Stretch.Need = abs(correction) > urgent ? .urgent : .calm
    let now =
      correction > 0
      ? Stretch.shorten(&scratch, count: count, by: samples(correction), rate: rate, need: need)
      : Stretch.lengthen(&scratch, count: count, rate: rate, need: need)
    for index in 0..<now { sound[held + index] = scratch[index] }
    held += now
  }

  private func append(_ count: Int) {
    let made = decoder.samples
    for index in 0..<count { sound[held + index] = made[index] }
    held += count
  }
}
