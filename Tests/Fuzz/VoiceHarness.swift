import Codecs
import RTP
import Wire

enum VoiceHarness {
  /// Payloads of every codec, from whoever: what is decoded fits, and what is lost is made up whole.
  static func payload(_ bytes: [UInt8]) {
    var script = Script(bytes)
    let codec = script.pick(VoiceCodec.allCases)
    let rate: SampleRate = codec.isWide && script.below(2) == 0 ? .wide : .narrow
    guard var decoder = VoiceDecoder(codec, rate: rate) else { return }
    let longest = rate.samples(milliseconds: VoiceCodec.longestPacket)
    var packets = 0
    while !script.isAtEnd, packets < 64 {
      packets += 1
      let operation = script.below(4)
      let payload = script.slice()
      let count: Int
      switch operation {
      case 0: count = decoder.conceal(count: script.below(13) * rate.samples(milliseconds: 10))
      case 1:
        let wanted = rate.samples(milliseconds: 20)
        count = decoder.recover(from: payload.span, 0..<payload.count, count: wanted)
        precondition(count == wanted, "a lost packet is another length")
      default:
        count = decoder.decode(payload.span, 0..<payload.count)
        if codec == .opus, count > 0, let ticks = codec.ticks(of: payload.span) {
          precondition(count == ticks * rate.rawValue / 48_000, "a payload is longer than it says")
        }
      }
      precondition(
        count >= 0 && count <= longest && count <= decoder.samples.count, "more than there is room")
      guard count > 0 else { continue }
      var samples = decoder.samples + [Int16](repeating: 0, count: longest)
      let shorter = Stretch.shorten(&samples, count: count, by: count, rate: rate, need: .urgent)
      let longer = Stretch.lengthen(&samples, count: shorter, rate: rate, need: .urgent)
      precondition(shorter > 0 && shorter <= count && longer >= shorter, "sound grew when it was to shrink")
    }
  }

  /// A jitter buffer that anything is put into while somebody plays.
  static func buffer(_ bytes: [UInt8]) {
    var script = Script(bytes)
    var buffer = JitterBuffer(
      clockRate: script.pick([8000, 16_000, 48_000, 0, .max]), recovers: script.below(2) == 0)
    var now = Instant(nanoseconds: Int64(script.byte()) << 32)
    var sequence: UInt16 = 65_530
    var timestamp: UInt32 = 0
    while !script.isAtEnd {
      switch script.below(8) {
      case 0: now = now + .milliseconds(Int64(script.byte()) * Int64(script.byte()))
      case 1: sequence = UInt16(script.byte()) << 8 | UInt16(script.byte())
      case 2: timestamp = UInt32(script.byte()) << 24 | UInt32(script.byte())
      case 3:
        var left = 200
        while left > 0, case .packet(let ticks) = buffer.next(at: now) {
          precondition(ticks > 0, "a packet of no length")
          buffer.lend { precondition($0.count <= JitterBuffer.maximumPayload) }
          _ = buffer.correction(ahead: script.below(200), frame: 160)
          left -= 1
        }
        precondition(left > 0, "more packets than were kept")
        now = now + .milliseconds(20)
      default:
        let step = Int(Int8(bitPattern: script.byte()))
        let payload = script.slice()
        let ticks = script.pick([160, 960, 1, 0, -1, 2880, .max])
        buffer.receive(
          payload.span, sequence: sequence &+ UInt16(truncatingIfNeeded: step / 16),
          timestamp: timestamp &+ UInt32(truncatingIfNeeded: step / 16 * 160),
          source: UInt32(script.below(2)), ticks: ticks, at: now)
        sequence &+= 1
        timestamp &+= 160
      }
      precondition(buffer.count <= JitterBuffer.capacity, "more is kept than may be")
      precondition(buffer.target <= JitterBuffer.maximumTarget, "it waits longer than it may")
    }
  }

  /// Packets kept for a while, asked for in any order.
  static func history(_ bytes: [UInt8]) {
    var script = Script(bytes)
    var history = PacketHistory(limit: script.below(64))
    var now = Instant(nanoseconds: 0)
    let head = [UInt8](repeating: 0x80, count: 12)
    while !script.isAtEnd {
      let sequence = UInt16(script.byte()) << 8 | UInt16(script.byte() & 0x1F)
      if script.below(2) == 0 {
        let payload = script.slice()
        history.store(sequence, head.span, payload.span, at: now)
      } else {
        let trip = Interval.milliseconds(Int64(script.byte()))
        _ = history.recall(sequence, at: now, roundTrip: trip) { precondition($0.count >= 12, "cut") }
      }
      now = now + .milliseconds(Int64(script.byte()))
    }
  }
}
