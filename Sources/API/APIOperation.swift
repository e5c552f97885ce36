package import HTTP
internal import JSON

/// Every operation of `/api/v1`. One table serves the daemon's routes, the command line's requests and the API's own
/// description, so none of them can lag behind the others.
package enum APIOperation: String, CaseIterable, Sendable {
  case status, doctor
  case exportDirectory, applyDirectory
  case units, accounts, stations, cameras, doors
  case enroll, revokeAll, revoke
  case accountDND, unitDND
  case calls, hangUp, callRecords, callSnapshot
  case events
  case bans, liftBan
  case openDoor
  case ring, ringReport
  case session, openSession, endSession
  case answerCall, declineCall, trickle, hangUpAnswer
  case cameraToken
  case backup, restore, supportBundle, maintenance
  case description

  package static let prefix = "/api/v1"

  package var method: HTTPMethod {
    switch self {
    case .status, .doctor, .exportDirectory, .units, .accounts, .stations, .cameras, .doors, .calls,
      .callRecords, .callSnapshot, .events, .bans, .ringReport, .session, .backup, .supportBundle,
      .description:
      .get
    case .applyDirectory, .accountDND, .unitDND, .restore, .maintenance: .put
    case .enroll, .openDoor, .ring, .openSession, .answerCall, .cameraToken: .post
    case .trickle: .patch
    case .revokeAll, .revoke, .hangUp, .liftBan, .endSession, .declineCall, .hangUpAnswer: .delete
    }
  }

  /// The path, with its variable parts in braces.
  package var path: String { APIOperation.prefix + suffix }
  private var suffix: String {
    switch self {
    case .status: "/status"
    case .doctor: "/doctor"
    case .exportDirectory, .applyDirectory: "/directory"
    case .units: "/units"
    case .accounts: "/accounts"
    case .stations: "/stations"
    case .cameras: "/cameras"
    case .doors: "/doors"
    case .enroll, .revokeAll: "/accounts/{name}/credentials"
    case .revoke: "/accounts/{name}/credentials/{id}"
    case .accountDND: "/accounts/{name}/dnd"
    case .unitDND: "/units/{number}/dnd"
    case .calls: "/calls"
    case .hangUp: "/calls/{id}"
    case .callRecords: "/cdr"
    case .callSnapshot: "/calls/{id}/snapshots/{moment}"
    case .events: "/events"
    case .bans: "/bans"
    case .liftBan: "/bans/{address}"
    case .openDoor: "/doors/{id}/open"
    case .ring: "/rings"
    case .ringReport: "/rings/{id}"
    case .session, .openSession, .endSession: "/session"
    case .answerCall, .declineCall: "/calls/{id}/answer"
    case .trickle, .hangUpAnswer: "/calls/{id}/answer/{leg}"
    case .cameraToken: "/cameras/{id}/token"
    case .backup, .restore: "/backup"
    case .supportBundle: "/support"
    case .maintenance: "/maintenance"
    case .description: "/openapi.json"
    }
  }

  /// What it does, in one sentence.
  package var summary: String {
    switch self {
    case .status: "One page about the gateway."
    case .doctor: "Runs every check, each with its fix."
    case .exportDirectory: "The directory, in the form that apply takes, without secrets."
    case .applyDirectory: "Makes the directory what the body (JSON5) says, in one transaction."
    case .units: "The units with their live state."
    case .accounts: "The accounts with their contacts and credentials (without secrets)."
    case .stations: "The door stations with their live state."
    case .cameras: "The cameras with their live state."
    case .doors: "The doors with the last attempt on each."
    case .enroll: "Adds a credential to an account and shows it once."
    case .revokeAll: "Ends all credentials of an account, with their registrations and calls."
    case .revoke: "Ends one credential, with its registrations and calls."
    case .accountDND: "Sets do-not-disturb for an account."
    case .unitDND: "Sets do-not-disturb for a unit."
    case .calls: "The live calls."
    case .hangUp: "Ends a live call."
    case .callRecords: "Past calls, the latest first."
    case .callSnapshot: "A still picture (JPEG) of a call's station: at the ring, after it, at the end."
    case .events: "What happens, as server-sent events, or over a WebSocket with each event a message."
    case .bans: "The banned addresses."
    case .liftBan: "Lifts every ban of an address."
    case .openDoor: "Triggers a door as an operator."
    case .ring: "A credential that is good for one test call as a door station."
    case .ringReport: "What the gateway saw of a test call."
    case .session: "The device that asks: whose it is, its doors, and what rings for it."
    case .openSession: "Trades a bearer token for a cookie, for pages of this gateway."
    case .endSession:
      "Ends this device's credential, with its registrations and calls, and takes the cookie away."
    case .answerCall: "Answers a ringing call from a browser: an SDP offer in, its answer out."
    case .declineCall: "Stops a call from ringing on this device."
    case .trickle: "Takes further ICE candidates of an answered call (RFC 8840)."
    case .hangUpAnswer: "Hangs up an answered call."
    case .cameraToken: "A token by which one camera can be seen for five minutes."
    case .backup:
      "A consistent copy of everything that is kept; its secrets are wrapped with the device's key."
    case .restore: "Takes a backup, checks it, and starts anew with it; what was kept before stays beside it."
    case .supportBundle: "What support needs to know, without secrets, names and addresses of residents."
    case .maintenance: "Switches maintenance mode on, for four hours, or off."
    case .description: "This description."
    }
  }

  /// Query parameters with what they mean.
  package var query: [(name: String, meaning: String)] {
    switch self {
    case .applyDirectory:
      [("dryRun", "true: say what would change, and change nothing"), ("file", "the name to give in errors")]
    case .callRecords:
      [
        ("limit", "how many, 1 to 1000; 100 unless told"),
        ("before", "only calls that started before this time"),
      ]
    case .events:
      [
        ("after", "begin with the events after this id, as far as they are still known"),
        ("rings", "false: this listener is no device that rings"),
      ]
    case .status, .doctor, .exportDirectory, .units, .accounts, .stations, .cameras, .doors, .enroll,
      .revokeAll, .revoke, .accountDND, .unitDND, .calls, .hangUp, .bans, .liftBan, .openDoor, .ring,
      .ringReport, .session, .openSession, .endSession, .answerCall, .declineCall, .trickle, .hangUpAnswer,
      .cameraToken, .callSnapshot, .backup, .restore, .supportBundle, .maintenance, .description:
      []
    }
  }

  /// The status of success.
  package var success: Int {
    switch self {
    case .enroll, .ring, .answerCall, .cameraToken: 201
    case .hangUp, .liftBan, .openSession, .endSession, .declineCall, .trickle: 204
    case .status, .doctor, .exportDirectory, .applyDirectory, .units, .accounts, .stations, .cameras,
      .doors, .revokeAll, .revoke, .accountDND, .unitDND, .calls, .callRecords, .callSnapshot, .events, .bans,
      .openDoor,
      .ringReport, .session, .hangUpAnswer, .backup, .restore, .supportBundle, .maintenance, .description:
      200
    }
  }

  /// The most bytes of body it takes.
  package var bodyLimit: Int {
    switch self {
    case .applyDirectory: JSONLimits.file.bytes
    case .answerCall: 64 << 10
    case .restore: 64 << 20
    default: 16 << 10
    }
  }

  package enum Audience: Sendable { case devices, operators }

  /// Who may ask for it at all. A device is answered for its own account and unit only; operators always may.
  package var audience: Audience {
    switch self {
    case .description, .doors, .accountDND, .unitDND, .calls, .callRecords, .callSnapshot, .events, .openDoor,
      .session,
      .openSession,
      .endSession, .answerCall, .declineCall, .trickle, .hangUpAnswer, .cameraToken:
      .devices
    case .status, .doctor, .exportDirectory, .applyDirectory, .units, .accounts, .stations, .cameras, .enroll,
      .revokeAll, .revoke, .hangUp, .bans, .liftBan, .ring, .ringReport, .backup, .restore, .supportBundle,
      .maintenance:
      .operators
    }
  }

  /// The target of a request: the path with `parameters` put in for the braces in order, escaped, and a query.
  package func target(_ parameters: [String] = [], query: [(String, String)] = []) -> String {
    var rest = parameters[...]
    var text = ""
    for segment in path.split(separator: "/") {
      text += "/"
      if segment.first == "{", let value = rest.popFirst() {
        text += PercentEncoding.encode(value)
      } else {
        text += segment
      }
    }
    precondition(rest.isEmpty, "\(self) takes fewer parameters")
    for (index, (name, value)) in query.enumerated() {
      text += (index == 0 ? "?" : "&") + PercentEncoding.encode(name) + "=" + PercentEncoding.encode(value)
    }
    return text
  }
}
