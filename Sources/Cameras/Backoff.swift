package import Directory
package import Wire

/// How long to wait before a camera that failed is tried again: half a second, then twice as long each time up to a
/// bound, each somewhere between half of that and the whole, so that cameras which fell together do not rise together.
package struct Backoff: Sendable {
  package static let first = Interval.milliseconds(500)
  package static let longest = Interval.seconds(30)
  /// The bound for a device of this machine: to try it costs nothing, and whoever has plugged it in again looks at once.
  package static let nearby = Interval.seconds(2)
  /// After a wrong password, a wrong certificate or a wrong coding: cameras lock out whoever guesses, and somebody has
  /// to come and change something.
  package static let hopeless = Interval.seconds(60)
  /// A camera that worked for so long begins again at the first step.
  package static let trusted = Interval.seconds(20)

  private let bound: Interval
  private var next = Backoff.first

  package init(of source: Camera.Source) {
    if case .v4l2 = source { bound = Backoff.nearby } else { bound = Backoff.longest }
  }

  /// How long to wait after `fault`, from which the camera had worked for `worked`.
  package mutating func delay(after fault: SourceFault, worked: Interval, random: inout Random) -> Interval {
    if worked >= Backoff.trusted { next = Backoff.first }
    let whole: Interval
    switch fault.kind {
    case .credentials, .certificate, .coding: whole = Backoff.hopeless
    case .missing, .refused, .unreachable, .frozen, .gone, .malformed:
      whole = next
      next = min(bound, next * 2)
    }
    // The first step is short already: it is made longer instead of shorter.
    let least = whole == Backoff.first ? whole : whole / 2
    return least + .nanoseconds(Int64(random.below(UInt64((whole / 2).nanoseconds) + 1)))
  }
}
