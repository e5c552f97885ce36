internal import SIP

extension Reason {
  /// Somebody declined for the whole unit.
  static let declined = Reason(cause: 603, text: "Declined")
  /// The caller gave up, or nobody answered in time: a missed call.
  static let missed = Reason(cause: 487, text: "Request terminated")
  /// The answer shared no encoding.
  static let notAcceptable = Reason(cause: 488, text: "Not acceptable here")
  /// The machine turns as many talks from one encoding into another as it can.
  static let codersBusy = Reason(cause: 503, text: "Transcoding at its limit")
  static let mediaLost = Reason(.q850, cause: 41, text: "Media lost")
  static let talkedTooLong = Reason(.q850, cause: 16, text: "Longest talk reached")
  static let doorOpened = Reason(.q850, cause: 16, text: "Door opened")
  static let operatorsWish = Reason(.q850, cause: 16, text: "Ended by the operator")
  static let revoked = Reason(cause: 403, text: "No longer allowed")
  static let transferred = Reason(.q850, cause: 16, text: "Transferred")
  static let peerLost = Reason(.q850, cause: 27, text: "Peer lost")

  /// What the other side is told of an end.
  static func relaying(_ ending: Ending) -> Reason? {
    switch ending {
    case .bye(let reason): reason
    case .timeout, .transport, .sessionExpired: .peerLost
    case .hungUp, .refused, .answeredTooLate: nil
    }
  }
}
