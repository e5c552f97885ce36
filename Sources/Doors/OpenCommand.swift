package import Directory
package import Wire

/// Names one wish to open a door, for ever: 1 to 128 bytes that its maker drew or was given.
package struct CommandID: Hashable, Sendable {
  package let text: String

  /// Nil for an empty or overlong name.
  package init?(_ text: String) {
    guard (1...128).contains(text.utf8.count) else { return nil }
    self.text = text
  }

  /// A fresh one of 128 random bits.
  package init(_ random: inout Random) { text = random.hex(bytes: 16) }
}

/// A call as whoever runs calls names it.
package struct CallID: Hashable, Sendable {
  package let number: UInt64
  package init(_ number: UInt64) { self.number = number }
}

/// Who wishes a door to open.
package enum Opener: Hashable, Sendable {
  case account(AccountName)
  /// Somebody at the control socket, by user name.
  case localOperator(String)
}

extension Opener: CustomStringConvertible {
  /// As audits write it: `account:panel401`, `local:root`.
  package var description: String {
    switch self {
    case .account(let name): "account:\(name)"
    case .localOperator(let user): "local:\(user)"
    }
  }
}

/// What a wish rests on. It is checked when the command comes, not believed.
package enum Proof: Hashable, Sendable {
  /// A key pressed in this call. It must stand, answered by that account, with a station of that door.
  case call(CallID)
  /// A session under this credential of the account, outside any call.
  case credential(UInt64)
  /// The kernel's word about the other end of the control socket.
  case peer(LocalPeer)
}

extension Proof: CustomStringConvertible {
  /// As audits write it.
  package var description: String {
    switch self {
    case .call(let id): "call:\(id.number)"
    case .credential(let id): "credential:\(id)"
    case .peer(let peer): "uid:\(peer.userID)"
    }
  }
}

/// A wish to open a door.
package struct OpenCommand: Hashable, Sendable {
  package var id: CommandID
  package var door: DoorID
  package var issued: WallTime
  /// At most five seconds after `issued`.
  package var expires: WallTime
  package var opener: Opener
  package var proof: Proof

  /// The longest a command is good for.
  package static let longestLife = Interval.seconds(5)
  /// How far an issuer's clock may be ahead of ours.
  package static let tolerance = Interval.seconds(1)

  package init(
    id: CommandID, door: DoorID, issued: WallTime, expires: WallTime? = nil, opener: Opener, proof: Proof
  ) {
    self.id = id
    self.door = door
    self.issued = issued
    self.expires = expires ?? issued + OpenCommand.longestLife
    self.opener = opener
    self.proof = proof
  }
}

/// The time of one turn as doors need it.
package struct Moment: Hashable, Sendable {
  package var now: Instant
  package var wall: WallTime
  /// What the site's clocks show.
  package var local: LocalTime

  package init(now: Instant, wall: WallTime, local: LocalTime) {
    self.now = now
    self.wall = wall
    self.local = local
  }
}

/// What became of a command.
package enum DoorResult: Hashable, Sendable {
  case opened
  case refused(Refusal)
  /// It may have opened: keys were sent, or an answer never came. Never tried again.
  case unknown(String)

  /// `opened`, `refused` or `unknown`.
  package var name: String {
    switch self {
    case .opened: "opened"
    case .refused: "refused"
    case .unknown: "unknown"
    }
  }
  /// Why, for people and machines; nil for `opened`.
  package var reason: String? {
    switch self {
    case .opened: nil
    case .refused(let refusal): refusal.reason
    case .unknown(let reason): reason
    }
  }
}

/// Why a door stayed shut.
package enum Refusal: Hashable, Sendable {
  case unknownDoor
  case unknownAccount
  case notYourDoor
  case notAtThisHour
  /// No answered call between that account and a station of that door.
  case noCall
  /// The control socket's guest, or the credential, may not.
  case notPermitted
  case expired
  /// It lives too long or comes from the future.
  case malformed
  case replayed
  /// Less than three seconds after the pulse before, or while one lasts.
  case cooldown
  /// Too many commands wait.
  case busy
  /// The daemon is stopping.
  case stopping
  case unreachable(String)
  /// The device refused our name and password.
  case deviceCredentials
  /// The device or the line would not, in words.
  case device(String)

  /// True when the asker, not the door, is at fault: 403 at the API.
  package var isForbidden: Bool {
    switch self {
    case .unknownDoor, .unknownAccount, .notYourDoor, .notAtThisHour, .noCall, .notPermitted: true
    case .expired, .malformed, .replayed, .cooldown, .busy, .stopping, .unreachable, .deviceCredentials,
      .device:
      false
    }
  }

  package var reason: String {
    switch self {
    case .unknownDoor: "unknown-door"
    case .unknownAccount: "unknown-account"
    case .notYourDoor: "not-your-door"
    case .notAtThisHour: "not-at-this-hour"
    case .noCall: "no-answered-call"
    case .notPermitted: "not-permitted"
    case .expired: "expired"
    case .malformed: "malformed"
    case .replayed: "replayed"
    case .cooldown: "cooldown"
    case .busy: "busy"
    case .stopping: "stopping"
    case .unreachable(let words): "unreachable: \(words)"
    case .deviceCredentials: "device-credentials"
    case .device(let words): "device: \(words)"
    }
  }
}
