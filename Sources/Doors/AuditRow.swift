package import Directory
package import Wire

/// What doors have to say to the audit. Whoever keeps it chains its rows, so that one taken out or changed later is
/// found.
package struct AuditRow: Hashable, Sendable {
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    /// An authorised command is about to be carried out; written, and synced, before anything moves.
    case intent
    /// What became of it.
    case result
    /// A command that was not carried out.
    case refusal
  }

  /// Names the row until it is written; later ones have higher numbers.
  package var number: UInt64
  package var at: WallTime
  package var kind: Kind
  package var door: String
  package var command: String
  /// As `Opener` and `Proof` write themselves.
  package var opener: String
  package var proof: String
  /// `opened`, `refused`, `unknown`; empty in an intent.
  package var result: String
  package var reason: String

  /// A row as it was stored.
  package init(
    number: UInt64, at: WallTime, kind: Kind, door: String, command: String, opener: String, proof: String,
    result: String, reason: String
  ) {
    self.number = number
    self.at = at
    self.kind = kind
    self.door = door
    self.command = command
    self.opener = opener
    self.proof = proof
    self.result = result
    self.reason = reason
  }

  init(number: UInt64, at: WallTime, kind: Kind, _ command: OpenCommand, _ result: DoorResult?) {
    self.init(
      number: number, at: at, kind: kind, door: command.door.rawValue, command: command.id.text,
      opener: command.opener.description, proof: command.proof.description, result: result?.name ?? "",
      reason: result?.reason ?? "")
  }
}

/// What a doorkeeper must know of the time before it: read from the store at start.
package struct DoorMemory: Sendable {
  /// The newest rows, oldest first: those of the last ten minutes, or the last thousand.
  package var recent: [AuditRow]
  /// Certificates pinned at first contact.
  package var pins: [DoorID: String]
  /// The audit could not be read: nothing is known of the time before.
  package var isLost: Bool

  package init(recent: [AuditRow] = [], pins: [DoorID: String] = [:], isLost: Bool = false) {
    self.recent = recent
    self.pins = pins
    self.isLost = isLost
  }
}
