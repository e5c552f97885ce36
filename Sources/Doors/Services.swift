package import Directory
package import HTTP
package import Journal

/// What doors ask about the building and its calls.
package protocol DoorAuthority: AnyObject {
  var building: Building { get }
  /// The call, if it stands answered now.
  func answeredCall(_ id: CallID) -> AnsweredCall?
  /// Whether that credential is the account's and not revoked.
  func isValid(credential: UInt64, of account: AccountName) -> Bool
  /// The password kept for a door's device.
  func password(of door: DoorID) -> Secret?
}

/// A call between a door station and somebody who answered it.
package struct AnsweredCall: Hashable, Sendable {
  package var station: StationName
  /// Who answered.
  package var account: AccountName
  /// The unit that the visitor called; nil when an account was called.
  package var unit: UnitID?

  package init(station: StationName, account: AccountName, unit: UnitID?) {
    self.station = station
    self.account = account
    self.unit = unit
  }
}

/// Sends keys to a door station in a call with it.
package protocol KeySender: AnyObject {
  /// Sends `keys` towards the first of `stations` that a call stands with (`call` if it is given). False when there
  /// is none: nothing was sent then.
  func send(_ keys: String, _ mode: Actuator.KeyMode, to stations: [StationName], in call: CallID?) -> Bool
}

/// One request to a device.
package struct Fetch: Hashable, Sendable {
  package var isSecure: Bool
  package var host: String
  package var port: UInt16
  package var request: HTTPRequest
  package var body: [UInt8]
  /// SHA-256 of the certificate that must be shown, 64 lower-case hexadecimal digits; nil takes any.
  package var fingerprint: String?

  package init(
    isSecure: Bool, host: String, port: UInt16, request: HTTPRequest, body: [UInt8] = [],
    fingerprint: String? = nil
  ) {
    self.isSecure = isSecure
    self.host = host
    self.port = port
    self.request = request
    self.body = body
    self.fingerprint = fingerprint
  }
}

package enum FetchOutcome: Hashable, Sendable {
  /// `fingerprint` is that of the certificate shown, when there was one.
  case response(HTTPResponse, body: [UInt8], fingerprint: String?)
  /// Not a byte of the request left: no connection, wrong certificate. In words.
  case notSent(String)
  /// The request left, at least in part, and no whole answer came.
  case lost(String)
}

/// Carries requests to devices. It follows no redirect, repeats nothing, and answers every ticket once through
/// `Doorkeeper.fetched` unless it was abandoned.
package protocol HTTPFetcher: AnyObject {
  func fetch(_ fetch: Fetch, ticket: UInt64)
  func abandon(ticket: UInt64)
}
