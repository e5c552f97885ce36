import Cameras
import Codecs
import Devices
import Directory
import RTP
import Reactor
import Testing
import Wire

@testable import Capture

/// A card whose sound the test hands in, on whatever thread.
final class FakeCards: SoundCards {
  enum Act: Sendable {
    case samples([Int16])
    case gap
    case fail(SoundFailure)
  }

  private let acts = Mailbox<Act>(capacity: 4096, isWaitedFor: false)
  private let refusals = Mailbox<SoundFailure>(capacity: 64, isWaitedFor: false)
  /// What was asked of it.
  let asked = Mailbox<String>(capacity: 4096, isWaitedFor: false)
  let format: SoundFormat

  init(rate: Int = 8000, channels: Int = 1) { format = SoundFormat(rate: rate, channels: channels) }

  func give(_ samples: [Int16]) { post(.samples(samples)) }
  func lose() { post(.gap) }
  func fail(_ failure: SoundFailure) { post(.fail(failure)) }
  private func post(_ act: Act) { if acts.reserve() { acts.post(act) } }
  /// The next openings fail.
  func refuse(_ failure: SoundFailure, times: Int) {
    for _ in 0..<times where refusals.reserve() { refusals.post(failure) }
  }
  private func note(_ line: String) { if asked.reserve() { asked.post(line) } }
  func notes() -> [String] {
    var lines: [String] = []
    asked.take(into: &lines)
    return lines
  }

  func open(_ name: String) throws(SoundFailure) -> any SoundCard {
    note("open \(name)")
    var waiting: [SoundFailure] = []
    refusals.take(into: &waiting)
    if let first = waiting.first {
      for other in waiting.dropFirst() { refuse(other, times: 1) }
      throw first
    }
    return Card(self)
  }

  private final class Card: SoundCard {
    private let owner: FakeCards
    private var waiting: [Act] = []

    init(_ owner: FakeCards) { self.owner = owner }
    deinit { owner.note("closed") }

    var format: SoundFormat { owner.format }
    var descriptor: Int32 { owner.acts.descriptor }
    func take(into samples: inout [Int16]) throws(SoundFailure) -> SoundIntake {
      owner.acts.take(into: &waiting)
      guard !waiting.isEmpty else { return .nothing }
      switch waiting.removeFirst() {
      case .samples(let given):
        samples = given
        return .samples
      case .gap: return .gap
      case .fail(let failure): throw failure
      }
    }
  }
}

/// A sine on every channel.
struct Sound {
  /// One second of it.
  private let second: [Int16]
  private let channels: Int
  private var place = 0

  init(_ hertz: Int, rate: Int = 8000, channels: Int = 1) {
    self.channels = channels
    // A turn by a small angle, out of which all others come.
    let angle = Double(hertz) * 2 * Double.pi / Double(rate)
    let s = angle * angle
    let sine = angle * (1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72))))
    let cosine = 1 - s / 2 * (1 - s / 12 * (1 - s / 30 * (1 - s / 56 * (1 - s / 90))))
    var (x, y) = (1.0, 0.0)
    var second: [Int16] = []
    second.reserveCapacity(rate)
    for _ in 0..<rate {
      second.append(Int16(10_000 * y))
      (x, y) = (x * cosine - y * sine, y * cosine + x * sine)
    }
    self.second = second
  }

  mutating func next(_ count: Int) -> [Int16] {
    var samples: [Int16] = []
    samples.reserveCapacity(count * channels)
    while samples.count < count * channels {
      let end = min(second.count, place + count - samples.count / channels)
      if channels == 1 {
        samples += second[place..<end]
      } else {
        for sample in second[place..<end] { samples += repeatElement(sample, count: channels) }
      }
      place = end % second.count
    }
    return samples
  }
}

/// A microphone in made-up time.
final class Ear {
  let cards: FakeCards
  var now = Instant(nanoseconds: 5_000_000_000)
  var heard: [SourceNews] = []
  var hasRoom = true
  private var microphone: Microphone

  init(_ cards: FakeCards) {
    self.cards = cards
    microphone = Microphone("hw:1,0", cards, now: now)
    advance()
  }

  private func advance() {
    microphone.advance(at: now) { news in
      guard hasRoom else { return false }
      heard.append(news)
      return true
    }
  }

  /// The card has something.
  func wake() { if isWaiting { advance() } }
  var isWaiting: Bool { microphone.descriptor >= 0 }

  /// Time goes by, and nothing comes but what is due.
  func pass(_ interval: Interval) {
    let end = now + interval
    while microphone.deadline <= end {
      now = max(now, microphone.deadline)
      advance()
    }
    now = end
  }

  /// Two hundredths of a second of sound, taken as soon as they were there.
  func hears(_ samples: [Int16]) {
    pass(.milliseconds(20))
    cards.give(samples)
    wake()
  }

  var packets: [[UInt8]] {
    heard.compactMap { if case .sound(let bytes, _, _) = $0 { bytes } else { nil } }
  }
  var sound: [Int16] { packets.joined().map { G711.linear(fromA: $0) } }
  var faults: [SourceFault] { heard.compactMap { if case .silent(let fault) = $0 { fault } else { nil } } }
}

/// How often a second it crosses the middle upwards.
private func frequency(_ sound: ArraySlice<Int16>) -> Double {
  let crossings = zip(sound, sound.dropFirst()).count { $0 < 0 && $1 >= 0 }
  return Double(crossings) * 8000 / Double(sound.count)
}

@Suite struct MicrophoneTests {
  @Test(arguments: [(8000, 1), (8000, 2), (11_025, 1), (16_000, 1), (44_100, 2), (48_000, 2), (192_000, 1)])
  func aToneIsHeardAtItsFrequencyWhateverTheCardGives(rate: Int, channels: Int) throws {
    let ear = Ear(FakeCards(rate: rate, channels: channels))
    var tone = Sound(440, rate: rate, channels: channels)
    for _ in 0..<100 { ear.hears(tone.next(rate / 50)) }
    #expect(ear.faults.isEmpty)
    #expect(ear.packets.allSatisfy { $0.count == 160 })
    #expect((98...100).contains(ear.packets.count))
    let sound = ear.sound[800...]
    #expect(abs(frequency(sound) - 440) < 3)
    #expect((9500...10_500).contains(sound.max() ?? 0))
  }

  @Test func whatTheTelephoneCannotCarryIsKeptOutAndDoesNotFoldBack() {
    let ear = Ear(FakeCards(rate: 48_000))
    // Without a filter this would be a tone of 440 Hz.
    var tone = Sound(7560, rate: 48_000)
    for _ in 0..<50 { ear.hears(tone.next(960)) }
    #expect(ear.packets.count > 40)
    #expect(ear.sound[800...].allSatisfy { abs($0) < 100 })
  }

  @Test func channelsThatDifferAreHeardTogether() {
    let ear = Ear(FakeCards(channels: 2))
    ear.hears((0..<320).map { $0 % 2 == 0 ? 8000 : 0 })
    #expect(ear.sound == [Int16](repeating: G711.linear(fromA: G711.a(from: 4000)), count: 160))
  }

  @Test func littleByLittleIsTheSameAsAllAtOnce() {
    var tone = Sound(440)
    let samples = tone.next(8000)
    let whole = Ear(FakeCards())
    for first in stride(from: 0, to: 8000, by: 160) { whole.hears(Array(samples[first..<first + 160])) }
    let pieces = Ear(FakeCards())
    var random = Random(seed: 7)
    var place = 0
    while place < samples.count {
      let count = min(samples.count - place, 1 + Int(random.below(37)))
      pieces.cards.give(Array(samples[place..<place + count]))
      pieces.pass(.microseconds(Int64(count) * 125))
      pieces.wake()
      place += count
    }
    #expect(whole.sound.count == 8000 && pieces.sound == whole.sound)
  }

  @Test func aPacketHasTheTimeOfItsFirstSample() {
    let ear = Ear(FakeCards())
    let began = ear.now
    for _ in 0..<3 { ear.hears([Int16](repeating: 0, count: 160)) }
    let times: [Instant] = ear.heard.compactMap {
      if case .sound(_, 160, let captured) = $0 { captured } else { nil }
    }
    #expect(times == (0..<3).map { began + .milliseconds(20 * $0) })
  }

  @Test func aCardThatRanOverIsHeardFurther() {
    let ear = Ear(FakeCards())
    var tone = Sound(440)
    for _ in 0..<200 { ear.hears(tone.next(160)) }
    for _ in 0..<5 {
      // A machine that was too busy for a second.
      ear.pass(.seconds(1))
      ear.cards.lose()
      ear.wake()
      for _ in 0..<200 { ear.hears(tone.next(160)) }
    }
    #expect(ear.faults.isEmpty && ear.cards.notes() == ["open hw:1,0"])
    // What was lost is not made good, and nothing is stretched for it.
    #expect(ear.packets.count == 6 * 200)
  }

  @Test func aCardThatIsPulledOutIsToldOfOnceAndHeardAgainWhenItIsBack() {
    let ear = Ear(FakeCards())
    var tone = Sound(440)
    for _ in 0..<10 { ear.hears(tone.next(160)) }
    ear.cards.fail(.gone("hw:1,0"))
    ear.cards.refuse(.missing("hw:1,0"), times: 5)
    ear.wake()
    #expect(ear.faults.map(\.kind) == [.gone] && !ear.isWaiting)
    ear.pass(.seconds(9))
    #expect(ear.faults.map(\.kind) == [.gone, .missing])
    #expect(ear.faults.last?.text.contains("there is no sound card hw:1,0 that records") == true)
    #expect(ear.cards.notes() == ["open hw:1,0", "closed"] + Array(repeating: "open hw:1,0", count: 4))
    ear.pass(.seconds(4))
    for _ in 0..<10 { ear.hears(tone.next(160)) }
    #expect(ear.packets.count == 20 && ear.faults.count == 2)
    // The next time is told anew.
    ear.cards.fail(.gone("hw:1,0"))
    ear.wake()
    #expect(ear.faults.map(\.kind) == [.gone, .missing, .gone])
  }

  @Test func whatFoundNoRoomIsToldTheNextTime() {
    let cards = FakeCards()
    cards.refuse(.inUse("hw:1,0"), times: 3)
    let ear = Ear(cards)
    #expect(ear.faults.map(\.kind) == [.refused])
    cards.refuse(.notPermitted("hw:1,0"), times: 10)
    ear.hasRoom = false
    ear.pass(.seconds(8))
    #expect(ear.faults.count == 1)
    ear.hasRoom = true
    ear.pass(.seconds(3))
    #expect(ear.faults.map(\.text).last?.contains("group \"audio\"") == true && ear.faults.count == 2)
  }

  @Test func aCardThatSaysNothingIsOpenedAnew() {
    let ear = Ear(FakeCards())
    ear.pass(.milliseconds(2900))
    #expect(ear.faults.isEmpty)
    ear.pass(.milliseconds(200))
    #expect(ear.faults == [SourceFault(.frozen, "the sound card hw:1,0 has given nothing for 3 s")])
    ear.pass(.seconds(2))
    #expect(ear.cards.notes() == ["open hw:1,0", "closed", "open hw:1,0"])
  }

  @Test func aCardThatWakesForNothingIsLeftAloneForAMoment() {
    let ear = Ear(FakeCards())
    ear.hears([Int16](repeating: 1, count: 160))
    #expect(ear.isWaiting)
    ear.wake()
    #expect(!ear.isWaiting)
    ear.pass(.milliseconds(9))
    #expect(!ear.isWaiting)
    ear.pass(.milliseconds(1))
    #expect(ear.isWaiting)
    ear.cards.give([Int16](repeating: 1, count: 160))
    ear.wake()
    #expect(ear.isWaiting && ear.packets.count == 2)
  }

  @Test(arguments: [-3000, -500, 500, 3000])
  func aClockThatIsOffMakesNoDelayGrow(millionths: Int) {
    let ear = Ear(FakeCards())
    var tone = Sound(440)
    var given = 0
    var elapsed = 0
    var worst = 0
    while elapsed < 60 * 8000 {
      elapsed += 160
      let due = elapsed + elapsed * millionths / 1_000_000
      ear.hears(tone.next(due - given))
      given = due
      worst = max(worst, abs(ear.packets.count * 160 - elapsed))
      if elapsed % 8000 == 0 { #expect(ear.heard.count == ear.packets.count) }
    }
    // Left alone it would be 180 ms after this minute, for the worse of them.
    #expect(abs(given - elapsed) == 60 * 8000 * abs(millionths) / 1_000_000)
    #expect(worst < 8 * 50)
    let sound = ear.sound
    #expect(abs(frequency(sound[8000...]) - 440) < 2)
  }

  @Test func aMachineThatIsLateChangesNothing() {
    let ear = Ear(FakeCards())
    var tone = Sound(440)
    var random = Random(seed: 3)
    var given = 0
    while given < 40 * 8000 {
      let count = 160 * (1 + Int(random.below(15)))
      ear.cards.give(tone.next(count))
      ear.pass(.microseconds(Int64(count) * 125))
      ear.wake()
      given += count
    }
    #expect(ear.packets.count * 160 == given)
  }

  @Test func aCardThatGivesWithoutEndIsHeardNoFasterThanTimeGoesBy() {
    let ear = Ear(FakeCards())
    var random = Random(seed: 1)
    let noise = (0..<1024).map { _ in Int16(random.below(1000)) }
    for _ in 0..<100 {
      for _ in 0..<8 { ear.cards.give(noise) }
      ear.pass(.milliseconds(20))
      ear.wake()
    }
    #expect((70...155).contains(ear.packets.count))
  }

  // MARK: Beside a camera

  private let camera = Camera(id: "c", source: .pattern, capture: .small, microphone: "default")

  @Test func aCameraWithAMicrophoneIsSeenAndHeard() {
    let cards = FakeCards()
    let stage = Stage(NoDevices(), cards)
    defer { stage.reactor.retire() }
    let source = stage.open(camera)
    #expect(stage.runs { !stage.pictures.isEmpty })
    #expect(stage.formats.map(\.sound) == [.pcma])
    var tone = Sound(440)
    for _ in 0..<10 { cards.give(tone.next(160)) }
    #expect(stage.runs { stage.sounds == 10 })
    // Without its microphone it is a camera all the same.
    cards.refuse(.missing("default"), times: 1)
    cards.fail(.gone("default"))
    #expect(stage.runs { stage.silences.count == 2 })
    #expect(stage.silences.map(\.kind) == [.gone, .missing])
    let shown = stage.pictures.count
    #expect(stage.runs { stage.pictures.count > shown + 5 } && stage.fault == nil)
    for _ in 0..<10 { cards.give(tone.next(160)) }
    #expect(stage.runs { stage.sounds == 20 })
    source.stop()
    var notes: [String] = []
    #expect(
      stage.runs {
        notes += cards.notes()
        return notes.count { $0 == "closed" } == 2
      })
    #expect(notes.count { $0 == "open default" } == 3)
  }

  @Test func aCameraThatShowsNothingListensToNobody() {
    let cards = FakeCards()
    let stage = Stage(NoDevices(), cards)
    defer { stage.reactor.retire() }
    let source = stage.open(
      Camera(id: "c", source: .v4l2(path: "/dev/video7"), capture: .small, microphone: "default"))
    #expect(stage.runs { stage.fault != nil })
    #expect(cards.notes().isEmpty)
    source.stop()
  }
}
