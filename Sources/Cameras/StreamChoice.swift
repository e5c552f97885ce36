package import Wire

/// Which of a camera's two streams viewers are served best by: the main one, or the smaller sub-stream where they cannot
/// carry it.
///
/// | shown | what happens                                         | wanted |
/// | ----- | ---------------------------------------------------- | ------ |
/// | main  | viewers carry less than it brings, for a while       | small  |
/// | small | they carry it with ease, for the length of a trial   | main   |
///
/// What viewers could carry beyond what they get is not known before it is tried, so the way back is a trial: the first
/// after half a minute, and each that fails makes the next one wait twice as long.
package struct StreamChoice: Sendable {
  package enum Stream: Hashable, Sendable { case main, small }

  /// How long viewers must be short of the main stream.
  package static let haste = Interval.seconds(2)
  package static let firstTrial = Interval.seconds(30)
  package static let longestTrial = Interval.seconds(600)
  /// A trial that lasted for so long was none.
  package static let relapse = Interval.seconds(20)
  /// How long a stream that could not be opened is left alone.
  package static let rest = Interval.seconds(60)
  private static let window = Interval.seconds(2)

  package private(set) var shown = Stream.main
  /// What comes of the stream that is shown, in bits a second; nil before it is known.
  package private(set) var rate: Int?
  private var limit: Int?
  private var bytes = 0
  private var windowStart: Instant?
  /// Since when the other stream would be better.
  private var since: Instant?
  private var trial = StreamChoice.firstTrial
  private var returned: Instant?
  private var barredUntil: Instant?

  package init() {}

  /// What viewers can carry, in bits a second.
  package mutating func limit(_ bitsPerSecond: Int) { limit = bitsPerSecond }

  /// A picture of the stream that is shown: which stream is wanted now.
  package mutating func passed(_ count: Int, at now: Instant) -> Stream {
    measure(count, at: now)
    guard let rate, let limit else { return shown }
    if let barredUntil, now < barredUntil { return shown }
    let isOtherBetter: Bool
    let patience: Interval
    switch shown {
    case .main: (isOtherBetter, patience) = (limit < rate * 9 / 10, StreamChoice.haste)
    case .small: (isOtherBetter, patience) = (limit >= rate * 11 / 10, trial)
    }
    guard isOtherBetter else {
      since = nil
      return shown
    }
    guard let since else {
      since = now
      return shown
    }
    guard now - since >= patience else { return shown }
    return shown == .main ? .small : .main
  }

  private mutating func measure(_ count: Int, at now: Instant) {
    guard let start = windowStart else {
      windowStart = now
      return
    }
    bytes += count
    let length = now - start
    guard length >= StreamChoice.window else { return }
    rate = Int(Int64(bytes) * 8 * 1000 / length.milliseconds)
    bytes = 0
    windowStart = now
  }

  /// The other stream is shown from now on.
  package mutating func switched(at now: Instant) {
    if shown == .main {
      shown = .small
      if let returned, now - returned < StreamChoice.relapse {
        trial = min(StreamChoice.longestTrial, trial * 2)
      } else {
        trial = StreamChoice.firstTrial
      }
    } else {
      shown = .main
      returned = now
    }
    rate = nil
    bytes = 0
    windowStart = nil
    since = nil
  }

  /// The other stream could not be had.
  package mutating func failed(at now: Instant) {
    barredUntil = now + StreamChoice.rest
    since = nil
  }
}
