internal import Wire

// Session timers (RFC 4028): both sides agree how long a session lives without a refresh and who refreshes.
//
// Responsible for the arithmetic and for who refreshes; the session sends and hangs up. A request carries
// `Session-Expires` with or without a refresher; the 2xx settles both. Roles are those of the transaction that
// carried the headers, not of the call.
//
//   we refresh       at half the interval: UPDATE without body where the peer allows it, else re-INVITE
//   the peer does    silence until interval − min(32 s, interval / 3): BYE
struct SessionTimer: Equatable {
  enum Refresher: Equatable { case us, peer }

  /// Seconds between refreshes.
  var interval: Int
  var refresher: Refresher

  /// How long to wait before acting: refreshing, or giving the session up.
  var wait: Interval {
    switch refresher {
    case .us: .milliseconds(Int64(interval) * 500)
    case .peer: .seconds(Int64(interval - min(32, interval / 3)))
    }
  }

  /// A `Session-Expires` value: seconds, and the refresher it names.
  struct Field: Equatable {
    enum Role: Equatable { case uac, uas }
    var interval: Int
    var refresher: Role?

    /// Reads `1800;refresher=uac`; nil when the number is not one. Absurd numbers are cut at a day.
    init?(_ text: String) {
      let list = ParameterList(text)
      guard let seconds = SessionTimer.seconds(list.head) else { return nil }
      interval = seconds
      guard let role = list["refresher"] else { return }
      if ASCII.equalIgnoringCase(role, "uac") { refresher = .uac }
      if ASCII.equalIgnoringCase(role, "uas") { refresher = .uas }
    }
  }

  /// The number at the head of a `Session-Expires` or `Min-SE` value, at most 86,400.
  static func seconds(_ text: String) -> Int? {
    let digits = ParameterList(text).head
    guard !digits.isEmpty, digits.utf8.count <= 10, digits.utf8.allSatisfy(ASCII.isDigit),
      let value = Int(digits)
    else { return nil }
    return min(value, 86_400)
  }

  /// What a 2xx that we received settles; nil: no timer. Where the peer forgot to name the refresher, we are.
  static func settled(byResponse field: Field?, least: Int) -> SessionTimer? {
    guard let field else { return nil }
    return SessionTimer(
      interval: max(field.interval, least), refresher: field.refresher == .uas ? .peer : .us)
  }
}
