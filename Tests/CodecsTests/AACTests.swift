import Codecs
import Testing
import Wire

/// A tone of 1 kHz at 16 kHz, as ffmpeg's encoder made it: one frame a line.
private let frames = [
  "de02004c61766335392e33372e3130300002709e278c505556fedeffcf5c5a492492004848484848484848484848484848484848484848484848"
    + "484d34a12ef520aef5f17452a8d9b360c8a59659659659659659659659659659659659659659659659659659659659659659659659659659659780",
  "014094d81da09241ca08a41ca08a41da0925fedfffe7fff66bffff7ffebd7fffefffd1fbffff901c83"
    + "85aa03f20fc83f20fc87f05fc17f043cc798f37e41f907e43f82fe0bf821e63cc7987ec70b5407e438",
  "0108ef0bc6eb32b2b75bf5f6ff5ffdfea71ad5ddcb92c07b91f2660efbc21ff83077de10ffc361df701f07f8"
    + "3987c7c06c7be803e33019f442327c1867f72193e1b19fdc83ff0067f72193e0c13ee01f300efb903fc007680e",
  "00e82f10a58108294a3c7ff5fffb7fffbbfca49249693fec01818181818181818181a79f67ca79e79e79e79e79e701"
    + "201ce61cc000f3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cc79e79e79e79e79e79e79e79e79e79e79e141c0",
  "00e82f10a58108294a3c7ff5fffb7fffbbfca49249693ff001818181818181818181a79f67ca79e79e79e79e79e701"
    + "201ce61cc000f3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cc79e79e79e79e79e79e79e79e79e79e79e141c0",
  "00e82f10a58108294a3c7ff5fffb7fffbbfca49249693ff001818181818181818181a79f67ca79e79e79e79e79e701"
    + "201ce61cc000f3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cc79e79e79e79e79e79e79e79e79e79e79e141c0",
  "00e82f10a58108294a3c7ff5fffb7fffbbfca49249693ff001818181818181818181a79f67ca79e79e79e79e79e701"
    + "201ce61cc000f3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cc79e79e79e79e79e79e79e79e79e79e79e141c0",
  "00e82f10a58108294a3c7ff5fffb7fffbbfca49249693ff800c0c0c0c0c0c0c0c0c0d3cfb3e53cf3cf3cf3cf3cf380"
    + "900e730e600079e79e79e79e79e79e79e79e79e79e79e79e79e79e79e63cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf0a0e0",
  "00e82f10a58108294a3c7ff5fffb7fffbbfca49249693ff800c0c0c0c0c0c0c0c0c0d3cfb3e53cf3cf3cf3cf3cf380"
    + "900e730e600079e79e79e79e79e79e79e79e79e79e79e79e79e79e79e63cf3cf3cf3cf3cf3cf3cf3cf3cf3cf3cf0a0e0",
]

private func bytes(_ digits: String) -> [UInt8] {
  let values = digits.utf8.map {
    UInt8(ascii: "a") <= $0 ? $0 - UInt8(ascii: "a") + 10 : $0 - UInt8(ascii: "0")
  }
  return stride(from: 0, to: values.count, by: 2).map { values[$0] << 4 | values[$0 + 1] }
}

@Suite struct AACTests {
  /// AAC LC, 16 kHz, one channel.
  let config: [UInt8] = [0x14, 0x08]

  @Test func aToneIsHeardAtItsFrequency() throws {
    let decoder = try #require(AACDecoder(config: config))
    var sound: [Int16] = []
    for frame in frames {
      let pcma = decoder.pcma(bytes(frame))
      // 1024 samples at 16 kHz are 512 at 8 kHz, but for what the resampler keeps.
      #expect(pcma.count <= 600)
      sound += pcma.map { G711.linear(fromA: $0) }
    }
    #expect(sound.count > 512 * (frames.count - 2))
    var there = ToneDetector(frequency: 1000)
    let steady = Array(sound[2048...])
    there.listen(to: steady.span, count: steady.count)
    #expect(there.windowsWithTone == there.windows && there.windows >= 2)
    #expect(there.toneLevel > -30)
  }

  @Test func whatIsNoConfigurationMakesNoDecoder() {
    for wrong in [[], [0x14], [UInt8](repeating: 0xFF, count: 65), [0xFF, 0xFF, 0xFF]] as [[UInt8]] {
      #expect(AACDecoder(config: wrong) == nil)
    }
  }

  @Test func damagedFramesCostSoundAndNoMore() throws {
    var random = Random(seed: 99)
    let decoder = try #require(AACDecoder(config: config))
    #expect(decoder.pcma([]) == [])
    #expect(decoder.pcma([UInt8](repeating: 0, count: AACDecoder.maximumFrame + 1)) == [])
    for round in 0..<400 {
      var frame = bytes(frames[round % frames.count])
      for _ in 0..<1 + round % 9 {
        frame[Int(random.next() % UInt64(frame.count))] = UInt8(truncatingIfNeeded: random.next())
      }
      if round % 5 == 0 { frame.removeLast(Int(random.next() % UInt64(frame.count))) }
      #expect(decoder.pcma(frame).count <= 4096)
    }
    var heard = 0
    for frame in frames { heard += decoder.pcma(bytes(frame)).count }
    #expect(heard > 2048)
  }
}
