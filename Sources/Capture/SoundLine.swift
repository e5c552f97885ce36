internal import Codecs
internal import Devices
internal import Wire

// What a sound card gives, of any rate and channels, as PCMA in packets of 20 ms.
//
// Responsible for keeping step with our own clock: a card's clock is off by some hundred millionths, and whoever listens
// for an hour must hear no more delay than at the beginning. What comes too fast loses a period now and then, what comes
// too slowly gets one twice. Assumes that everything the card had is handed in at once, with the time of that; how late a
// busy machine was is told from how far off the clock is by the soonest of two seconds.

struct SoundLine {
  /// Samples at 8 kHz.
  static let packet = 160
  /// So far off the clocks may be: 20 ms.
  static let slack = 160
  /// From here on it is no clock that is off: something was lost, or a card gives without end.
  static let limit = 4000
  private static let window = Interval.seconds(2)

  private let channels: Int
  private let resampler: Resampler?
  private var mono: [Int16] = []
  private var pending: [Int16] = []
  /// Samples since `origin`, less those taken out and with those put in.
  private var count = 0
  private var origin: Instant?
  private var windowEnd = Instant(nanoseconds: 0)
  /// How many samples we are ahead of our clock: the most in this window, and as it was in the first.
  private var ahead = Int.min
  private var usual: Int?
  /// Samples that are to be taken out, or put in when it is negative.
  private(set) var owed = 0

  /// Nil when this machine cannot bring that rate to ours.
  init?(_ format: SoundFormat) {
    channels = max(1, format.channels)
    resampler = format.rate == 8000 ? nil : Resampler(from: format.rate)
    if format.rate != 8000, resampler == nil { return nil }
  }

  /// Something was lost: the clocks are compared anew.
  mutating func restart() {
    origin = nil
    usual = nil
    ahead = .min
    owed = 0
  }

  /// Takes what the card had at `now`; gives packets, each with the time of its first sample.
  mutating func take(_ samples: [Int16], at now: Instant, _ give: ([UInt8], Instant) -> Void) {
    mix(samples)
    let came = resampler?.narrow(mono) ?? mono[...]
    guard compare(came.count, at: now) else { return }
    pending += came
    amend()
    var place = 0
    while pending.count - place >= SoundLine.packet {
      let before = Interval.microseconds(Int64(pending.count - place) * 125)
      give(pending[place..<place + SoundLine.packet].map { G711.a(from: $0) }, now - before)
      place += SoundLine.packet
    }
    pending.removeFirst(place)
  }

  /// All channels weigh the same.
  private mutating func mix(_ samples: [Int16]) {
    mono.removeAll(keepingCapacity: true)
    for first in stride(from: 0, to: samples.count - channels + 1, by: channels) {
      var sum = 0
      for channel in 0..<channels { sum += Int(samples[first + channel]) }
      mono.append(Int16(sum / channels))
    }
  }

  /// False when there is more than time has gone by: nobody could listen to that.
  private mutating func compare(_ came: Int, at now: Instant) -> Bool {
    if origin == nil {
      origin = now
      count = 0
      windowEnd = now + SoundLine.window
    }
    let gone = Int((now - (origin ?? now)).nanoseconds / 125_000)
    guard count + came - gone <= 2 * SoundLine.limit else { return false }
    count += came
    ahead = max(ahead, count - gone)
    guard now >= windowEnd else { return true }
    let off = ahead - (usual ?? ahead)
    usual = usual ?? ahead
    if off < -SoundLine.limit {
      restart()
    } else {
      owed = abs(off) > SoundLine.slack ? off : 0
      ahead = .min
      windowEnd = now + SoundLine.window
    }
    return true
  }

  /// Takes a period out, or puts one in: where nobody hears it, and at last wherever it is least heard.
  private mutating func amend() {
    guard owed != 0, pending.count >= SoundLine.packet else { return }
    var piece = Array(pending[..<SoundLine.packet])
    let need = abs(owed) > 2 * SoundLine.slack ? Stretch.Need.urgent : .calm
    let length: Int
    if owed > 0 {
      length = Stretch.shorten(&piece, count: piece.count, by: owed, rate: .narrow, need: need)
    } else {
      piece += repeatElement(0, count: piece.count)
      length = Stretch.lengthen(&piece, count: SoundLine.packet, rate: .narrow, need: need)
    }
    pending.replaceSubrange(..<SoundLine.packet, with: piece[..<length])
    let change = length - SoundLine.packet
    count += change
    owed = owed > 0 ? max(0, owed + change) : min(0, owed + change)
  }
}
