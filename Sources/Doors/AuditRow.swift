internal import Crypto
package import Directory
package import Wire

/// One line of the doors' audit. Each carries the hash of the one before, so that a line taken out or changed later
/// is found.
package struct AuditRow: Hashable, Sendable {
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    /// An authorised command is about to be carried out; written, and synced, before anything moves.
    case intent
    /// What became of it.
    case result
    /// A command that was not carried out.
    case refusal
  }

  /// 1 for the first row ever, and so on without a gap.
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
  /// 32 bytes each.
  package var previous: [UInt8]
  package var hash: [UInt8]

  /// The hash before the first row.
  package static let origin = [UInt8](repeating: 0, count: 32)

  /// A row as it was stored.
  package init(
    number: UInt64, at: WallTime, kind: Kind, door: String, command: String, opener: String, proof: String,
    result: String, reason: String, previous: [UInt8], hash: [UInt8]
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
    self.previous = previous
    self.hash = hash
  }

  /// The row after one with that number and hash.
  init(after tail: AuditTail, at: WallTime, kind: Kind, _ command: OpenCommand, _ result: DoorResult?) {
    self.init(
      number: tail.number + 1, at: at, kind: kind, door: command.door.rawValue, command: command.id.text,
      opener: command.opener.description, proof: command.proof.description, result: result?.name ?? "",
      reason: result?.reason ?? "", previous: tail.hash, hash: [])
    hash = computedHash
  }

  /// SHA-256 over the hash before and every field, each with its length ahead of it.
  package var computedHash: [UInt8] {
    var bytes = previous
    func add(_ text: String) {
      let utf8 = Array(text.utf8)
      add(UInt64(utf8.count))
      bytes += utf8
    }
    func add(_ number: UInt64) {
      for shift in stride(from: 56, through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: number >> shift))
      }
    }
    add(number)
    add(UInt64(bitPattern: at.nanoseconds))
    for text in [kind.rawValue, door, command, opener, proof, result, reason] { add(text) }
    return Digest.sha256(bytes)
  }

  /// Where a chain breaks: the number of the first row that does not follow from those before; nil when it holds.
  /// `tail` is what precedes `rows`.
  package static func firstBreak(in rows: [AuditRow], after tail: AuditTail = AuditTail()) -> UInt64? {
    var tail = tail
    for row in rows {
      guard row.number == tail.number + 1, row.previous == tail.hash, row.hash == row.computedHash else {
        return row.number
      }
      tail = AuditTail(number: row.number, hash: row.hash)
    }
    return nil
  }
}

/// The end of the audit: what the next row follows.
package struct AuditTail: Hashable, Sendable {
  package var number: UInt64
  package var hash: [UInt8]

  package init(number: UInt64 = 0, hash: [UInt8] = AuditRow.origin) {
    self.number = number
    self.hash = hash
  }
}

/// What a doorkeeper must know of the time before it: read from the store at start.
package struct DoorMemory: Sendable {
  package var tail: AuditTail
  /// The newest rows, oldest first: those of the last ten minutes, or the last thousand.
  package var recent: [AuditRow]
  /// Certificates pinned at first contact.
  package var pins: [DoorID: String]
  /// The audit could not be read: nothing is known of the time before.
  package var isLost: Bool

  package init(
    tail: AuditTail = AuditTail(), recent: [AuditRow] = [], pins: [DoorID: String] = [:], isLost: Bool = false
  ) {
    self.tail = tail
    self.recent = recent
    self.pins = pins
    self.isLost = isLost
  }

  /// From the newest rows alone.
  package init(recent: [AuditRow], pins: [DoorID: String] = [:]) {
    let last = recent.last.map { AuditTail(number: $0.number, hash: $0.hash) } ?? AuditTail()
    self.init(tail: last, recent: recent, pins: pins)
  }
}
