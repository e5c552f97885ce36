import Codecs
import Testing

@Suite struct G711Tests {
  @Test func theCornersOfBothLawsAreThoseOfTheRecommendation() {
    #expect(G711.linear(fromMu: 0x00) == -32_124)
    #expect(G711.linear(fromMu: 0x80) == 32_124)
    #expect(G711.linear(fromMu: 0xFF) == 0)
    #expect(G711.linear(fromMu: 0x7F) == 0)
    #expect(G711.linear(fromMu: 0xFE) == 8)
    #expect(G711.linear(fromA: 0xD5) == 8)
    #expect(G711.linear(fromA: 0x55) == -8)
    #expect(G711.linear(fromA: 0xAA) == 32_256)
    #expect(G711.linear(fromA: 0x2A) == -32_256)
    #expect(G711.a(from: 0) == 0xD5)
    #expect(G711.a(from: .max) == 0xAA)
    #expect(G711.a(from: .min) == 0x2A)
    #expect(G711.mu(from: 0) == 0xFF)
    #expect(G711.mu(from: .max) == 0x80)
    #expect(G711.mu(from: .min) == 0x00)
  }

  @Test func everyByteComesBackAsItself() {
    for byte in UInt8.min ... .max {
      #expect(G711.a(from: G711.linear(fromA: byte)) == byte)
      // Negative zero of the µ-law is zero.
      #expect(G711.mu(from: G711.linear(fromMu: byte)) == (byte == 0x7F ? 0xFF : byte))
    }
  }

  @Test func noSampleIsFartherOffThanHalfItsStep() {
    for sample in stride(from: -32_000, through: 32_000, by: 7) {
      let value = Int16(sample)
      let step = max(16, abs(sample) / 16)
      #expect(abs(Int(G711.linear(fromA: G711.a(from: value))) - sample) <= step)
      #expect(abs(Int(G711.linear(fromMu: G711.mu(from: value))) - sample) <= step)
    }
  }
}

@Suite struct ToneTests {
  @Test func aToneIsHeardAtItsFrequencyAndLevelOnly() {
    var samples = [Int16](repeating: 0, count: 800)
    var oscillator = Oscillator()
    oscillator.add(1000, level: -10, into: &samples, count: 800)
    var there = ToneDetector(frequency: 1000)
    there.listen(to: samples.span, count: 800)
    #expect(abs(there.toneLevel + 10) < 0.1)
    #expect(abs(there.level + 10) < 0.1)
    #expect(there.windowsWithTone == 1)
    var elsewhere = ToneDetector(frequency: 1300)
    elsewhere.listen(to: samples.span, count: 800)
    #expect(elsewhere.toneLevel < -40)
    #expect(elsewhere.windows == 1)
    #expect(elsewhere.windowsWithTone == 0)
    var nothing = ToneDetector(frequency: 1000)
    nothing.listen(to: [Int16](repeating: 0, count: 800).span, count: 800)
    #expect(nothing.windowsWithTone == 0)
    #expect(nothing.level == -.infinity)
  }
}

@Suite struct VoiceTests {
  /// Carries two seconds of a tone through the codecs in turn; what a detector hears at the end.
  private func carried(_ hertz: Double, _ path: [VoiceCodec]) -> ToneDetector? {
    var oscillator = Oscillator()
    var packets: [[UInt8]] = []
    var samples: [[Int16]] = []
    for _ in 0..<100 {
      var frame = [Int16](repeating: 0, count: 160)
      oscillator.add(hertz, level: -12, into: &frame, count: 160)
      samples.append(frame)
    }
    for codec in path {
      guard var encoder = VoiceEncoder(codec), var decoder = VoiceDecoder(codec) else { return nil }
      packets = samples.map { frame in
        let length = encoder.encode(frame.span, count: frame.count)
        return Array(encoder.bytes[0..<length])
      }
      samples = packets.map { packet in
        let count = decoder.decode(packet.span, 0..<packet.count)
        return Array(decoder.samples[0..<count])
      }
    }
    guard samples.allSatisfy({ $0.count == 160 }) else { return nil }
    var detector = ToneDetector(frequency: hertz)
    for frame in samples { detector.listen(to: frame.span, count: frame.count) }
    return detector
  }

  @Test(arguments: [300.0, 440, 1000, 2000, 3000])
  func aToneSurvivesAlawToG722AndBack(hertz: Double) throws {
    let heard = try #require(carried(hertz, [.pcma, .g722, .pcma]))
    #expect(heard.windows == 20)
    #expect(heard.windowsWithTone >= 19)
    #expect(abs(heard.toneLevel + 12) < 1)
    // What is not the tone lies 20 dB below it or further.
    #expect(abs(heard.level - heard.toneLevel) < 0.1)
  }

  @Test(arguments: [
    [VoiceCodec.pcma, .pcmu], [.pcmu, .pcma], [.pcmu, .g722, .pcma], [.g722, .pcmu, .g722],
    [.pcma, .opus, .pcma], [.g722, .opus], [.opus, .pcmu, .opus],
  ])
  func everyPairCarriesATone(path: [VoiceCodec]) throws {
    let heard = try #require(carried(1000, path))
    #expect(heard.windowsWithTone >= 19)
    #expect(abs(heard.toneLevel + 12) < 1)
  }

  @Test func everyByteOfOneLawIsTheNearestOfTheOther() throws {
    var table = try #require(LawTable(from: .pcma, to: .pcmu))
    let bytes = (0...255).map { UInt8($0) }
    var turned: [UInt8] = []
    let isTurned = table.turn(bytes.span, 0..<256) { for index in $0.indices { turned.append($0[index]) } }
    #expect(isTurned)
    #expect(turned == bytes.map { G711.mu(from: G711.linear(fromA: $0)) })
    #expect(LawTable(from: .pcma, to: .g722) == nil)
    let long = [UInt8](repeating: 0xD5, count: 2000)
    let areTurned = [0, 2000].map { table.turn(long.span, 0..<$0) { _ in } }
    #expect(areTurned == [false, false])
  }

  @Test func payloadsThatCannotBeAreRefused() throws {
    let bytes = [UInt8](repeating: 0xD5, count: 2000)
    var decoder = try made(VoiceDecoder(.g722))
    let decoded = [0, 2000, 37].map { decoder.decode(bytes.span, 0..<$0) }
    #expect(decoded == [0, 0, 37])
    #expect(ticks(.g722, bytes) == nil)
    #expect(ticks(.pcma, Array(bytes[..<240])) == 240)
    var encoder = try made(VoiceEncoder(.g722))
    let samples = [Int16](repeating: 0, count: 2000)
    let encoded = [37, 2000, 240].map { encoder.encode(samples.span, count: $0) }
    #expect(encoded == [0, 0, 240])
  }
}
