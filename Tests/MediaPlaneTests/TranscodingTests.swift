import Codecs
import MediaPlane
import RTP
import Testing
import Wire

extension StreamFormat {
  static let opus = StreamFormat(
    payloadType: 111, codec: .other(name: "opus", fmtp: "minptime=10;useinbandfec=1"), clockRate: 48_000)
}

struct MissingCoder: Error {}

func made<Coder: ~Copyable>(_ coder: consuming Coder?) throws -> Coder {
  guard let coder else { throw MissingCoder() }
  return coder
}

/// A peer that sends a tone in one codec and hears another codec.
struct Talker {
  let format: StreamFormat
  let address: IPAddress
  let port: UInt16
  let hertz: Double
  private let codec: VoiceCodec
  private var encoder: Coder
  private var oscillator = Oscillator()
  private(set) var sequence: UInt16
  private(set) var timestamp: UInt32

  final class Coder {
    var coder: VoiceEncoder
    init(_ codec: VoiceCodec) throws { coder = try made(VoiceEncoder(codec)) }
  }

  init(_ codec: VoiceCodec, _ format: StreamFormat, at address: IPAddress, port: UInt16, hertz: Double) throws
  {
    self.codec = codec
    self.format = format
    self.address = address
    self.port = port
    self.hertz = hertz
    encoder = try Coder(codec)
    sequence = 65_500
    timestamp = 4_294_960_000
  }

  /// The next 20 ms.
  mutating func next() -> [UInt8] {
    var samples = [Int16](repeating: 0, count: 160)
    oscillator.add(hertz, level: -12, into: &samples, count: 160)
    let length = encoder.coder.encode(samples.span, count: 160)
    defer {
      sequence &+= 1
      timestamp &+= UInt32(codec.clockRate / 50)
    }
    return packet(
      format.payloadType, sequence, timestamp, Array(encoder.coder.bytes[0..<length]))
  }
}

@Suite struct TranscodingTests {
  private func bridged(
    _ bench: Bench, _ a: [StreamFormat], _ b: [StreamFormat]
  ) throws -> (LegPorts, LegPorts) {
    let first = try bench.leg()
    let second = try bench.leg()
    bench.plane.setRemote(first.leg, audio: bench.remote(stationAddress, a, event: nil))
    bench.plane.setRemote(second.leg, audio: bench.remote(panelAddress, b, event: nil))
    bench.plane.bridge(first.leg, second.leg, keys: .consumeBoth)
    return (first, second)
  }

  private func tone(
    _ bench: Bench, at address: IPAddress, _ codec: VoiceCodec, _ hertz: Double
  ) throws -> ToneDetector {
    var decoder = try made(VoiceDecoder(codec))
    var detector = ToneDetector(frequency: hertz)
    for packet in bench.heard(by: address) {
      let count = decoder.decode(packet.payload.span, 0..<packet.payload.count)
      detector.listen(to: decoder.samples.span, count: count)
    }
    return detector
  }

  static let pairs: [(VoiceCodec, StreamFormat)] = [
    (.pcma, .pcma), (.pcmu, .pcmu), (.g722, .g722),
  ]

  @Test(arguments: pairs)
  func anOpusPhoneAndAnyOtherHearEachOther(codec: VoiceCodec, format: StreamFormat) throws {
    let bench = Bench()
    let (station, phone) = try bridged(bench, [format], [.opus])
    var visitor = try Talker(codec, format, at: stationAddress, port: station.audio, hertz: 700)
    var resident = try Talker(.opus, .opus, at: panelAddress, port: phone.audio, hertz: 440)
    for _ in 0..<150 {
      bench.arrive(visitor.next(), at: visitor.port, from: stationAddress)
      bench.arrive(resident.next(), at: resident.port, from: panelAddress)
      bench.pass(.milliseconds(20))
    }
    let atPhone = bench.heard(by: panelAddress)
    #expect((146...150).contains(atPhone.count))
    for (one, next) in zip(atPhone, atPhone.dropFirst()) {
      #expect(next.head.payloadType == 111)
      #expect(next.head.sequence == one.head.sequence &+ 1)
      #expect(next.head.timestamp == one.head.timestamp &+ 960)
      #expect(next.payload.count < 200)
    }
    let atStation = bench.heard(by: stationAddress)
    for (one, next) in zip(atStation, atStation.dropFirst()) {
      #expect(next.head.timestamp == one.head.timestamp &+ 160)
      #expect(next.payload.count == 160)
    }
    let high = try tone(bench, at: panelAddress, .opus, 700)
    #expect(high.windowsWithTone >= 27)
    #expect(abs(high.toneLevel + 12) < 1.5)
    let low = try tone(bench, at: stationAddress, codec, 440)
    #expect(low.windowsWithTone >= 27)
    #expect(abs(low.toneLevel + 12) < 1.5)
    let playout = try #require(bench.plane.statistics(phone.leg)?.audio.playout)
    #expect(playout.late == 0)
    #expect(playout.concealed == 0)
    #expect(playout.target == .milliseconds(10))
  }

  @Test func lossAndJitterAreHeardLittle() throws {
    let bench = Bench()
    let (station, phone) = try bridged(bench, [.pcma], [.opus])
    _ = station
    var resident = try Talker(.opus, .opus, at: panelAddress, port: phone.audio, hertz: 440)
    var random = Random(seed: 21)
    var pending: [(at: Instant, bytes: [UInt8])] = []
    let began = bench.world.now
    for index in 0..<1000 {
      let bytes = resident.next()
      if random.below(100) < 5 { continue }
      pending.append(
        (began + .milliseconds(Int64(index) * 20 + Int64(random.below(40))), bytes))
    }
    pending.sort { $0.at < $1.at }
    for packet in pending {
      bench.pass(packet.at - bench.world.now)
      bench.arrive(packet.bytes, at: phone.audio, from: panelAddress)
    }
    let heard = try tone(bench, at: stationAddress, .pcma, 440)
    // Nine of ten windows of 100 ms hold the tone, though in every fourth a packet is missing.
    #expect(heard.windows >= 195)
    #expect(heard.windowsWithTone >= heard.windows * 9 / 10)
    let statistics = try #require(bench.plane.statistics(phone.leg)?.audio)
    let playout = try #require(statistics.playout)
    #expect((30...100).contains(playout.concealed))
    #expect(playout.target >= .milliseconds(35))
    #expect(playout.late < 25)
    let opinion = try #require(statistics.opinion)
    #expect(opinion > 3.5 && opinion < 4.2)
  }

  @Test func aSilentPeerIsFollowedForTwoSecondsAndTakenUpAgain() throws {
    let bench = Bench()
    let (_, phone) = try bridged(bench, [.pcma], [.opus])
    var resident = try Talker(.opus, .opus, at: panelAddress, port: phone.audio, hertz: 440)
    for _ in 0..<50 {
      bench.arrive(resident.next(), at: phone.audio, from: panelAddress)
      bench.pass(.milliseconds(20))
    }
    bench.pass(.seconds(3))
    let silent = bench.heard(by: stationAddress).count
    #expect((140...160).contains(silent))
    bench.pass(.seconds(10))
    #expect(bench.heard(by: stationAddress).count == silent)
    let last = try #require(bench.heard(by: stationAddress).last)
    // Ten seconds later, by the sender's own clock: what it left out was silence.
    for _ in 0..<650 { _ = resident.next() }
    let before = bench.world.now
    for _ in 0..<10 {
      bench.arrive(resident.next(), at: phone.audio, from: panelAddress)
      bench.pass(.milliseconds(20))
    }
    let resumed = Array(bench.heard(by: stationAddress)[silent...])
    #expect(resumed.count >= 8)
    #expect(resumed.map(\.head.marker) == resumed.indices.map { $0 == 0 })
    #expect(resumed[0].head.sequence == last.head.sequence &+ 1)
    // The clock went on: eleven seconds, give or take a frame.
    let ticks = resumed[0].head.timestamp &- last.head.timestamp
    #expect(abs(Int(ticks) - 11 * 8000) < 8000 / 5)
    #expect(before < bench.world.now)
  }

  @Test func aPromptTakesTheLineAndGivesItBack() throws {
    let bench = Bench()
    let (station, phone) = try bridged(bench, [.pcma], [.opus])
    var visitor = try Talker(.pcma, .pcma, at: stationAddress, port: station.audio, hertz: 700)
    for index in 0..<100 {
      if index == 40 { bench.plane.play(.opened, on: phone.leg) }
      bench.arrive(visitor.next(), at: station.audio, from: stationAddress)
      bench.pass(.milliseconds(20))
    }
    let heard = bench.heard(by: panelAddress)
    #expect((95...100).contains(heard.count))
    for (one, next) in zip(heard, heard.dropFirst()) {
      #expect(next.head.sequence == one.head.sequence &+ 1)
      let step = next.head.timestamp &- one.head.timestamp
      #expect(step >= 960 && step < 2 * 960)
    }
    // A new talk begins with the voice, with the prompt, and with the voice again.
    #expect(heard.filter(\.head.marker).count == 3)
    #expect(bench.events().contains(.promptEnded(phone.leg, .opened)))
  }

  @Test func theSendersPacketTimeIsNotTheListeners() throws {
    let bench = Bench()
    var slow = StreamFormat.opus
    slow.ptime = 60
    let (station, _) = try bridged(bench, [.pcma], [slow])
    var visitor = try Talker(.pcma, .pcma, at: stationAddress, port: station.audio, hertz: 700)
    for _ in 0..<100 {
      bench.arrive(visitor.next(), at: station.audio, from: stationAddress)
      bench.pass(.milliseconds(20))
    }
    let heard = bench.heard(by: panelAddress)
    #expect((31...33).contains(heard.count))
    #expect(heard[1].head.timestamp &- heard[0].head.timestamp == 2880)
    #expect(ticks(heard[3].payload) == 2880)
  }

  @Test func jitterIsCountedByTheClockOfWhatReallyComes() throws {
    let bench = Bench()
    // Both were agreed on, A-law first; Opus is what comes.
    let (_, phone) = try bridged(bench, [.pcmu], [.pcma, .opus])
    var resident = try Talker(.opus, .opus, at: panelAddress, port: phone.audio, hertz: 440)
    for _ in 0..<100 {
      bench.arrive(resident.next(), at: phone.audio, from: panelAddress)
      bench.pass(.milliseconds(20))
    }
    let statistics = try #require(bench.plane.statistics(phone.leg)?.audio)
    #expect(statistics.jitter == .zero)
    #expect(statistics.lost == 0)
    #expect((statistics.opinion ?? 0) > 4.35)
  }

  private func ticks(_ payload: [UInt8]) -> Int? { VoiceCodec.opus.ticks(of: payload.span) }

  @Test func aKeyOfAnOpusPhoneReachesAPanelAsAPressOfOurs() throws {
    let bench = Bench()
    let panel = try bench.leg()
    let phone = try bench.leg()
    bench.plane.setRemote(panel.leg, audio: bench.remote(stationAddress, [.pcma]))
    bench.plane.setRemote(phone.leg, audio: bench.remote(panelAddress, [.opus], event: 110))
    bench.plane.bridge(panel.leg, phone.leg, keys: .translateBoth)
    var resident = try Talker(.opus, .opus, at: panelAddress, port: phone.audio, hertz: 440)
    for _ in 0..<10 {
      bench.arrive(resident.next(), at: phone.audio, from: panelAddress)
      bench.pass(.milliseconds(20))
    }
    for bytes in press(5, payloadType: 110, from: resident.sequence, resident.timestamp) {
      bench.arrive(bytes, at: phone.audio, from: panelAddress)
    }
    bench.pass(.milliseconds(400))
    let keys = bench.heard(by: stationAddress).filter { $0.head.payloadType == 101 }
    #expect(keys.count == 8)
    #expect(keys.allSatisfy { $0.payload[0] == 5 && $0.head.timestamp == keys[0].head.timestamp })
    #expect(bench.events().contains(.key(phone.leg, "5", .forwarded)))
  }

  @Test func aPeerThatLosesPacketsIsSentCopies() throws {
    let bench = Bench()
    let (station, phone) = try bridged(bench, [.g722], [.opus])
    var visitor = try Talker(.g722, .g722, at: stationAddress, port: station.audio, hertz: 300)
    var resident = try Talker(.opus, .opus, at: panelAddress, port: phone.audio, hertz: 440)
    func talk() -> Int {
      bench.forget()
      for _ in 0..<100 {
        bench.arrive(visitor.next(), at: station.audio, from: stationAddress)
        bench.arrive(resident.next(), at: phone.audio, from: panelAddress)
        bench.pass(.milliseconds(20))
      }
      return bench.heard(by: panelAddress).reduce(0) { $0 + $1.payload.count }
    }
    let before = talk()
    let ssrc = try #require(bench.heard(by: panelAddress).first?.head.ssrc)
    var report = ControlWriter()
    report.receiverReport(
      ssrc: 0x1111,
      ReportBlock(
        ssrc: ssrc, fractionLost: 64, lost: 25, highest: 100, jitter: 0, lastReport: 0, delay: 0))
    bench.arrive(report.bytes, at: phone.audioRTCP, from: panelAddress, port: 5001)
    let after = talk()
    // Something of every packet stands in the next: the stream is not the same.
    #expect(after != before)
    #expect(bench.plane.statistics(phone.leg)?.audio.remoteLost == 25)
  }
}

@Suite struct BudgetTests {
  /// A machine on which every measured piece of work takes so long.
  private func affords(_ share: Double, work: Interval, bridges: Int) throws -> (Int, Bench) {
    let bench = Bench(MediaConfiguration(transcodingShare: share))
    bench.world.workTakes = work
    var carried = 0
    for index in 0..<bridges {
      let first = try bench.leg()
      let second = try bench.leg()
      let one = bench.remote(stationAddress, port: 5000 + UInt16(index) * 2, [.pcma])
      let other = bench.remote(panelAddress, port: 5000 + UInt16(index) * 2, [.opus])
      guard bench.plane.affords(one, other) else { continue }
      carried += 1
      bench.plane.setRemote(first.leg, audio: one)
      bench.plane.setRemote(second.leg, audio: other)
      bench.plane.bridge(first.leg, second.leg, keys: .consumeBoth)
      var visitor = try Talker(.pcma, .pcma, at: stationAddress, port: first.audio, hertz: 700)
      var resident = try Talker(.opus, .opus, at: panelAddress, port: second.audio, hertz: 440)
      bench.arrive(visitor.next(), at: first.audio, from: stationAddress, port: 5000 + UInt16(index) * 2)
      bench.arrive(resident.next(), at: second.audio, from: panelAddress, port: 5000 + UInt16(index) * 2)
    }
    return (carried, bench)
  }

  @Test func callsBeyondTheShareAreRefusedAndCounted() throws {
    // Half a second of sound is coded in 10 ms, and decoded in no time: a bridge takes 20 ms of each second.
    let (carried, bench) = try affords(0.1, work: .milliseconds(10), bridges: 9)
    // The first finds nothing measured; each takes 20 of 1000, and five fill the tenth of a core.
    #expect(carried == 5)
    #expect(bench.plane.refusedTranscodings == 4)
    #expect(bench.plane.transcodingPermille == 100)
  }

  @Test func whatPassesThroughCostsNothing() throws {
    let (_, bench) = try affords(0.01, work: .milliseconds(50), bridges: 2)
    #expect(bench.plane.refusedTranscodings == 1)
    let plain = bench.remote(stationAddress, [.pcma])
    #expect(bench.plane.affords(plain, bench.remote(panelAddress, [.pcmu, .pcma])))
    // One law becomes the other by a table.
    #expect(bench.plane.affords(plain, bench.remote(panelAddress, [.pcmu])))
    let opus = bench.remote(panelAddress, [.opus])
    #expect(bench.plane.affords(opus, opus))
    #expect(!bench.plane.affords(plain, opus))
  }
}
