package import Wire

/// Which of a camera's two streams a viewer is served best by: the main one, or the smaller one where its path cannot carry
/// that.
///
/// | shown | what happens                                     | wanted |
/// | ----- | ------------------------------------------------ | ------ |
/// | main  | it carries less than that brings, for a while    | small  |
/// | small | it carries it with ease, for the length of a trial | main |
///
/// What a path could carry beyond what it gets is not known before it is tried, so the way back is a trial: the first
/// after half a minute, and each that fails makes the next one wait twice as long.
package struct StreamChoice: Hashable, Sendable {
  package enum Stream: Hashable, Sendable { case main, small }

  /// How long a viewer must be short of the main stream.
  package static let haste = Interval.seconds(2)
  package static let firstTrial = Interval.seconds(30)
  package static let longestTrial = Interval.seconds(600)
  /// A trial that lasted for so long was none.
  package static let relapse = Interval.seconds(20)

  package private(set) var shown = Stream.main
  /// Since when the other stream would be better.
  private var since: Instant?
  private var trial = StreamChoice.firstTrial
  private var returned: Instant?

  package init() {}

  /// Which stream is wanted now. `rate`: what the one that is shown brings; `limit`: what the path carries; both in bits a
  /// second, nil as long as nobody knows.
  package mutating func wanted(rate: Int?, limit: Int?, at now: Instant) -> Stream {
    guard let rate, let limit else { return shown }
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
    since = nil
  }
}

/// What a stream brings, in bits a second, over the last two seconds or a little more.
package struct StreamRate: Sendable {
  private static let window = Interval.seconds(2)

  /// Nil before it is known.
  package private(set) var bitsPerSecond: Int?
  private var bytes = 0
  private var start: Instant?

  package init() {}

  /// A picture of so many bytes.
  package mutating func passed(_ count: Int, at now: Instant) {
    guard let start else {
      self.start = now
      return
    }
    bytes += count
    let length = now - start
    guard length >= StreamRate.window else { return }
    bitsPerSecond = Int(Int64(bytes) * 8 * 1000 / length.milliseconds)
    bytes = 0
    self.start = now
  }
}
