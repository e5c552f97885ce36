internal import Cameras
internal import Devices
internal import Wire

// One microphone beside a camera: opened, listened to, and opened anew whenever it fails.
//
// It never ends by itself: a card that is pulled out takes no pictures away, and is heard again when it is back.
// Assumes that `advance` is called when `descriptor` is readable and at `deadline`. Waiting, and the thread that waits, is
// somebody else's.

struct Microphone {
  /// After a failure the card is left alone for so long.
  static let pause = Interval.seconds(2)
  /// How long an open card may say nothing at all.
  static let patience = Interval.seconds(3)
  /// A card that wakes us for nothing, or has more than anybody takes, is not looked at before.
  static let breath = Interval.milliseconds(10)
  /// Takes of one `advance`.
  private static let rounds = 16

  private let name: String
  private let cards: any SoundCards
  private var card: (any SoundCard)?
  private var line: SoundLine?
  private var samples: [Int16] = []
  private var lastSound: Instant
  private var isResting = false
  /// As it was told.
  private var fault: SourceFault?
  private(set) var deadline: Instant

  init(_ name: String, _ cards: any SoundCards, now: Instant) {
    self.name = name
    self.cards = cards
    lastSound = now
    deadline = now
  }

  /// What to wait for besides the time; -1 for nothing.
  var descriptor: Int32 { isResting ? -1 : card?.descriptor ?? -1 }

  /// `hear` says whether there was room for what it was told: sound that finds none is lost.
  mutating func advance(at now: Instant, _ hear: (SourceNews) -> Bool) {
    do throws(SourceFault) {
      if card == nil {
        guard now >= deadline else { return }
        try open(at: now)
      }
      try listen(at: now, hear)
    } catch {
      card = nil
      line = nil
      deadline = now + Microphone.pause
      if error != fault, hear(.silent(error)) { fault = error }
    }
  }

  private mutating func open(at now: Instant) throws(SourceFault) {
    do throws(SoundFailure) { card = try cards.open(name) } catch { throw SourceFault(error) }
    guard let format = card?.format, let made = SoundLine(format) else {
      throw SourceFault(
        .missing,
        "the sound card \(name) gives \(card?.format.rate ?? 0) samples a second, and what would bring "
          + "them to 8000, libswresample, is not installed")
    }
    line = made
    lastSound = now
    // That it has nothing yet is no reason to leave it alone.
    isResting = true
  }

  private mutating func listen(at now: Instant, _ hear: (SourceNews) -> Bool) throws(SourceFault) {
    var hasHeard = false
    for _ in 0..<Microphone.rounds {
      switch try take() {
      case .nothing:
        isResting = !isResting && !hasHeard
        if now - lastSound >= Microphone.patience {
          throw SourceFault(
            .frozen, "the sound card \(name) has given nothing for \(Microphone.patience.seconds) s")
        }
        deadline = isResting ? now + Microphone.breath : lastSound + Microphone.patience
        return
      case .gap: line?.restart()
      case .samples:
        hasHeard = true
        lastSound = now
        fault = nil
        line?.take(samples, at: now) { bytes, captured in
          _ = hear(.sound(bytes, samples: bytes.count, captured: captured))
        }
      }
    }
    isResting = true
    deadline = now + Microphone.breath
  }

  private mutating func take() throws(SourceFault) -> SoundIntake {
    guard let card else { return .nothing }
    do throws(SoundFailure) { return try card.take(into: &samples) } catch { throw SourceFault(error) }
  }
}

extension SourceFault {
  init(_ failure: SoundFailure) {
    let kind: Kind =
      switch failure {
      case .missing, .noLibrary: .missing
      case .inUse, .notPermitted: .refused
      case .noFormat: .coding
      case .gone, .kernel: .gone
      }
    self.init(kind, "\(failure)")
  }
}
