import Codecs
import Testing
import Wire

func encode(_ encoder: inout VoiceEncoder, _ samples: [Int16]) -> Int {
  encoder.encode(samples.span, count: samples.count)
}

struct MissingCoder: Error {}

/// A coder, which cannot be copied, or an error.
func made<Coder: ~Copyable>(_ coder: consuming Coder?) throws -> Coder {
  guard let coder else { throw MissingCoder() }
  return coder
}

func ticks(_ codec: VoiceCodec, _ bytes: [UInt8]) -> Int? { codec.ticks(of: bytes.span) }

/// Sound for tests: a tone, and how much of what came back is it.
struct Tone {
  let hertz: Double
  let rate: SampleRate
  private var oscillator = Oscillator()

  init(_ hertz: Double, _ rate: SampleRate) {
    self.hertz = hertz
    self.rate = rate
  }

  mutating func next(_ count: Int, level: Double = -12) -> [Int16] {
    var samples = [Int16](repeating: 0, count: count)
    // The oscillator counts at 8 kHz.
    oscillator.add(hertz * 8000 / Double(rate.rawValue), level: level, into: &samples, count: count)
    return samples
  }
}

/// The power of one frequency in `samples` against all the rest, in decibels, by a window of whole periods.
func signalToNoise(_ samples: ArraySlice<Int16>, _ hertz: Double, _ rate: SampleRate) -> Double {
  var detector = ToneDetector(frequency: hertz * 8000 / Double(rate.rawValue))
  let list = Array(samples)
  detector.listen(to: list.span, count: list.count)
  guard detector.windows > 0 else { return -.infinity }
  // Levels are in decibels: power of the tone against what is left.
  let tone = power(detector.toneLevel)
  let all = power(detector.level)
  return all > tone ? 10 * logarithm(tone / (all - tone)) : 90
}

private func power(_ decibels: Double) -> Double {
  var result = 1.0
  let step = decibels / 10 * 2.302585092994046 / 1024
  let factor = 1 + step + step * step / 2 + step * step * step / 6
  for _ in 0..<1024 { result *= factor }
  return result
}

private func logarithm(_ value: Double) -> Double {
  var low = -20.0
  var high = 20.0
  for _ in 0..<60 {
    let middle = (low + high) / 2
    if power(middle * 10) < value { low = middle } else { high = middle }
  }
  return low
}

@Suite struct OpusTests {
  @Test(arguments: [SampleRate.narrow, .wide], [10, 20, 40, 60])
  func aToneSurvivesEveryPacketLength(rate: SampleRate, milliseconds: Int) throws {
    var encoder = try made(VoiceEncoder(.opus, rate: rate))
    var decoder = try made(VoiceDecoder(.opus, rate: rate))
    var tone = Tone(1000, rate)
    var heard: [Int16] = []
    let count = rate.samples(milliseconds: milliseconds)
    for _ in 0..<(2000 / milliseconds) {
      let length = encode(&encoder, tone.next(count))
      #expect(length > 0 && length < 300)
      let payload = Array(encoder.bytes[0..<length])
      #expect(ticks(.opus, payload) == 48 * milliseconds)
      let made = decoder.decode(payload.span, 0..<length)
      #expect(made == count)
      heard += decoder.samples[0..<count]
    }
    #expect(signalToNoise(heard.suffix(8000), 1000, rate) > 15)
  }

  @Test func whatIsWideStaysWide() throws {
    // 6 kHz: nothing that 8 kHz could carry.
    var encoder = try made(VoiceEncoder(.opus, rate: .wide))
    var decoder = try made(VoiceDecoder(.opus, rate: .wide))
    var tone = Tone(6000, .wide)
    var heard: [Int16] = []
    for _ in 0..<100 {
      let length = encode(&encoder, tone.next(320))
      let payload = Array(encoder.bytes[0..<length])
      _ = decoder.decode(payload.span, 0..<length)
      heard += decoder.samples[0..<320]
    }
    #expect(signalToNoise(heard.suffix(8000), 6000, .wide) > 8)
    #expect(VoiceCodec.opus.rate(with: .g722) == .wide)
    #expect(VoiceCodec.opus.rate(with: .pcma) == .narrow)
  }

  @Test func theEncoderKeepsToTheAskedBitrate() throws {
    for bitrate in [8000, 16_000, 32_000] {
      let settings = OpusSettings(parameters: "maxaveragebitrate=\(bitrate);cbr=1")
      #expect(settings.bitrate == min(bitrate, 24_000))
      var encoder = try made(VoiceEncoder(.opus, rate: .wide, settings))
      var random = Random(seed: 4)
      var bytes = 0
      for _ in 0..<100 {
        let noise = (0..<320).map { _ in Int16(truncatingIfNeeded: random.below(16_000)) &- 8000 }
        bytes += encoder.encode(noise.span, count: 320)
      }
      let measured = bytes * 8 / 2
      #expect(abs(measured - settings.bitrate) < settings.bitrate / 10)
    }
  }

  @Test func thePeersWishesAreRead() {
    let chrome = OpusSettings(parameters: "minptime=10;useinbandfec=1")
    #expect(chrome == OpusSettings(bitrate: 24_000, repeats: true, isConstant: false))
    let phone = OpusSettings(
      parameters: "stereo=0; sprop-stereo=0; maxaveragebitrate=9000 ; useinbandfec=0;cbr=1")
    #expect(phone == OpusSettings(bitrate: 9000, repeats: false, isConstant: true))
    #expect(OpusSettings(parameters: "maxaveragebitrate=-4;;=;x").bitrate == 24_000)
    #expect(OpusSettings(parameters: "maxaveragebitrate=1").bitrate == 6000)
  }

  /// What a listener hears of noise-like speech with every tenth packet lost, against what was said without loss.
  private func damage(lossEvery: Int, recovering: Bool) throws -> Double {
    var encoder = try made(VoiceEncoder(.opus, rate: .wide))
    encoder.expectLoss(percent: 20)
    var whole = try made(VoiceDecoder(.opus, rate: .wide))
    var lossy = try made(VoiceDecoder(.opus, rate: .wide))
    var packets: [[UInt8]] = []
    var tone = Tone(220, .wide)
    for index in 0..<200 {
      // A voice that changes its pitch with every packet, so that repeating the last is not enough.
      tone = Tone(Double(120 + index * 37 % 300), .wide)
      let length = encode(&encoder, tone.next(320))
      packets.append(Array(encoder.bytes[0..<length]))
    }
    var difference = 0.0
    var energy = 0.0
    for (index, packet) in packets.enumerated() {
      _ = whole.decode(packet.span, 0..<packet.count)
      let isLost = index % lossEvery == lossEvery - 1
      if !isLost {
        _ = lossy.decode(packet.span, 0..<packet.count)
      } else if recovering, index + 1 < packets.count {
        let next = packets[index + 1]
        let made = lossy.recover(from: next.span, 0..<next.count, count: 320)
        #expect(made == 320)
      } else {
        let made = lossy.conceal(count: 320)
        #expect(made == 320)
      }
      guard isLost else { continue }
      for place in 0..<320 {
        let one = Double(whole.samples[place])
        let other = Double(lossy.samples[place])
        difference += (one - other) * (one - other)
        energy += one * one
      }
    }
    return difference / energy
  }

  @Test func aLostPacketComesBackOutOfTheNext() throws {
    let concealed = try damage(lossEvery: 10, recovering: false)
    let recovered = try damage(lossEvery: 10, recovering: true)
    #expect(recovered < concealed / 2)
  }

  @Test func bytesThatAreNoOpusAreRefused() throws {
    var decoder = try made(VoiceDecoder(.opus, rate: .narrow))
    var random = Random(seed: 11)
    for _ in 0..<3000 {
      let bytes = random.bytes(Int(random.below(200)))
      let length = ticks(.opus, bytes)
      let count = decoder.decode(bytes.span, 0..<bytes.count)
      #expect(count >= 0 && count <= 960)
      if count > 0 { #expect(length == count * 6) }
    }
    let empty: [UInt8] = []
    let none = decoder.decode(empty.span, 0..<0)
    #expect(none == 0)
    #expect(ticks(.opus, []) == nil)
    // Code 3 with no count byte; code 3 with 49 frames.
    #expect(ticks(.opus, [0xFB]) == nil)
    let crowded: [UInt8] = [0xFB, 49, 1, 2, 3]
    let refused = decoder.decode(crowded.span, 0..<5)
    #expect(refused == 0)
    var encoder = try made(VoiceEncoder(.opus))
    let samples = [Int16](repeating: 0, count: 960)
    let odd = encoder.encode(samples.span, count: 37)
    #expect(odd == 0)
    if let _ = VoiceDecoder(.pcma, rate: .wide) { Issue.record("A-law carries no 16 kHz") }
  }
}

@Suite struct ConcealmentTests {
  /// A tone through G.711 with some packets lost; the joints are looked at one by one.
  private func heard(
    _ codec: VoiceCodec, rate: SampleRate = .narrow, hertz: Double, losing lost: Set<Int>, packets: Int = 60
  ) throws -> [Int16] {
    var encoder = try made(VoiceEncoder(codec, rate: rate))
    var decoder = try made(VoiceDecoder(codec, rate: rate))
    var tone = Tone(hertz, rate)
    var result: [Int16] = []
    let count = rate.samples(milliseconds: 20)
    for index in 0..<packets {
      let length = encode(&encoder, tone.next(count))
      let payload = Array(encoder.bytes[0..<length])
      let made =
        lost.contains(index) ? decoder.conceal(count: count) : decoder.decode(payload.span, 0..<length)
      #expect(made == count)
      result += decoder.samples[0..<count]
    }
    return result
  }

  @Test(arguments: [110.0, 150, 200, 440, 1000])
  func aSingleLossInATonePassesWithoutAStep(hertz: Double) throws {
    let whole = try heard(.pcma, hertz: hertz, losing: [])
    let lossy = try heard(.pcma, hertz: hertz, losing: [30])
    func steepest(_ samples: ArraySlice<Int16>) -> Int {
      zip(samples, samples.dropFirst()).map { abs(Int($1) - Int($0)) }.max() ?? 0
    }
    let around = 30 * 160 - 10..<32 * 160
    #expect(steepest(lossy[around]) < steepest(whole[around]) * 3 / 2 + 400)
    // What stands in for 20 ms is the tone still, a little softer.
    let energy = lossy[30 * 160..<31 * 160].reduce(0.0) { $0 + Double($1) * Double($1) }
    let before = lossy[29 * 160..<30 * 160].reduce(0.0) { $0 + Double($1) * Double($1) }
    #expect(energy > before / 2)
    #expect(signalToNoise(lossy[28 * 160..<33 * 160], hertz, .narrow) > 8)
  }

  @Test func aLongLossDiesAwayWithinSixtyMilliseconds() throws {
    for codec in [VoiceCodec.pcmu, .g722] {
      let sound = try heard(codec, hertz: 300, losing: Set(30..<40))
      let silence = sound[34 * 160..<40 * 160]
      #expect(!silence.contains { $0 != 0 })
      let third = sound[32 * 160..<33 * 160].map { abs(Int($0)) }.max() ?? 0
      let first = sound[30 * 160..<31 * 160].map { abs(Int($0)) }.max() ?? 0
      #expect(third < first * 7 / 10)
      // And it comes back whole.
      #expect(signalToNoise(sound[41 * 160..<60 * 160], 300, .narrow) > 20)
    }
  }

  @Test func wideSoundIsConcealedWide() throws {
    let sound = try heard(.g722, rate: .wide, hertz: 5000, losing: [20])
    #expect(signalToNoise(sound[18 * 320..<25 * 320], 5000, .wide) > 5)
  }

  @Test func lossBeforeAnySoundIsSilence() throws {
    var decoder = try made(VoiceDecoder(.pcma))
    let made = decoder.conceal(count: 160)
    #expect(made == 160)
    #expect(!decoder.samples[0..<160].contains { $0 != 0 })
  }
}

@Suite struct StretchTests {
  @Test(arguments: [SampleRate.narrow, .wide], [250.0, 437, 1000])
  func aToneIsShortenedAndLengthenedUnheard(rate: SampleRate, hertz: Double) {
    for isShorter in [true, false] {
      var tone = Tone(hertz, rate)
      let count = rate.samples(milliseconds: 20)
      var sound: [Int16] = []
      var changed = 0
      for _ in 0..<50 {
        var samples = tone.next(count) + [Int16](repeating: 0, count: 2 * count)
        let now =
          isShorter
          ? Stretch.shorten(&samples, count: count, by: count, rate: rate, need: .calm)
          : Stretch.lengthen(&samples, count: count, rate: rate, need: .calm)
        if now != count { changed += 1 }
        #expect(isShorter ? now <= count : now >= count)
        sound += samples[0..<now]
      }
      #expect(changed > 45)
      #expect(signalToNoise(sound[...], hertz, rate) > 15)
    }
  }

  @Test func noiseIsLeftAloneUnlessItMust() {
    var random = Random(seed: 5)
    let noise = (0..<160).map { _ in Int16(truncatingIfNeeded: random.below(20_000)) &- 10_000 }
    var calm = noise
    #expect(Stretch.shorten(&calm, count: 160, by: 160, rate: .narrow, need: .calm) == 160)
    #expect(calm == noise)
    var urgent = noise
    #expect(Stretch.shorten(&urgent, count: 160, by: 160, rate: .narrow, need: .urgent) < 160)
  }

  @Test func silenceIsCutByHalf() {
    var samples = [Int16](repeating: 3, count: 480)
    #expect(Stretch.shorten(&samples, count: 160, by: 160, rate: .narrow, need: .calm) == 80)
    #expect(Stretch.shorten(&samples, count: 160, by: 30, rate: .narrow, need: .calm) == 130)
    #expect(Stretch.shorten(&samples, count: 160, by: 10, rate: .narrow, need: .urgent) == 160)
    #expect(Stretch.lengthen(&samples, count: 160, rate: .narrow, need: .calm) == 240)
    #expect(!samples[0..<240].contains { $0 != 3 })
    #expect(Stretch.shorten(&samples, count: 20, by: 20, rate: .narrow, need: .calm) == 20)
  }
}
