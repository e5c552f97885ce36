/// What a device's final refusal means for the fork it is part of.
enum Verdict: Equatable {
  case busy
  /// This device declines; by rule that ends the whole call.
  case declined
  /// Not there, not reachable, broken, or asking for credentials that we never give.
  case unreachable
  /// Cannot speak what was offered: asked once more with sound only.
  case mismatch

  init(status: Int) {
    switch status {
    case 486, 600: self = .busy
    case 603: self = .declined
    case 415, 488, 606: self = .mismatch
    default: self = .unreachable
    }
  }
}

/// How everything that was tried went: what the caller gets in the end.
struct Tally {
  /// Devices that rang and were not declined by hand.
  private var unanswered = 0
  private var declined = 0
  private var busy = 0
  private var mismatched = 0
  /// The media plane or the agent had no room.
  private var failed = 0

  mutating func count(_ leg: LegEnd, rang: Bool) {
    switch leg {
    case .noanswer: unanswered += 1
    case .declined: declined += 1
    case .busy: busy += 1
    case .mismatch: mismatched += 1
    case .unreachable: if rang { unanswered += 1 }
    case .answered, .cancelled, .calling, .ringing, .talking: break
    }
  }
  mutating func countFailure() { failed += 1 }

  /// No answer 480; every device that rang declined 603; every device busy 486; no shared encoding 488; no room 503;
  /// nobody there 480.
  var verdict: (status: Int, end: CallEnd) {
    if unanswered > 0 { return (480, .noanswer) }
    if declined > 0 { return (603, .declined) }
    if busy > 0 { return (486, .busy) }
    if mismatched > 0 { return (488, .failed) }
    if failed > 0 { return (503, .failed) }
    return (480, .unreachable)
  }
}
