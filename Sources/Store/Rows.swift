package import Directory
package import Wire

/// A credential of an account or station. The digests are sealed with the key of this device before they come
/// here, under `label`: the store never holds a secret that it could read.
package struct CredentialRow: Hashable, Sendable {
  /// Never given twice; the next one is in `StoredState`.
  package var id: UInt64
  package var username: String
  package var created: WallTime
  package var lastUsed: WallTime?
  package var sealed: [UInt8]
  /// SHA-256 of its bearer token; nil for one that a person typed in.
  package var bearer: [UInt8]?

  package init(
    id: UInt64, username: String, created: WallTime, lastUsed: WallTime? = nil, sealed: [UInt8],
    bearer: [UInt8]? = nil
  ) {
    self.id = id
    self.username = username
    self.created = created
    self.lastUsed = lastUsed
    self.sealed = sealed
    self.bearer = bearer
  }

  package var label: String { CredentialRow.label(id: id, username: username) }
  package static func label(id: UInt64, username: String) -> String { "credential:\(id):\(username)" }
}

/// A one-time link that was given out and not redeemed.
package struct EnrolmentRow: Hashable, Sendable {
  /// The part of its token that is no secret.
  package var name: String
  /// SHA-256 of the whole token.
  package var digest: [UInt8]
  package var username: String
  package var created: WallTime
  package var expires: WallTime

  package init(name: String, digest: [UInt8], username: String, created: WallTime, expires: WallTime) {
    self.name = name
    self.digest = digest
    self.username = username
    self.created = created
    self.expires = expires
  }
}

/// The password by which the gateway reaches a camera or an actuator, sealed under `label`.
package struct DevicePasswordRow: Hashable, Sendable {
  package var device: DeviceID
  package var sealed: [UInt8]

  package init(device: DeviceID, sealed: [UInt8]) {
    self.device = device
    self.sealed = sealed
  }

  package var label: String { DevicePasswordRow.label(device) }
  package static func label(_ device: DeviceID) -> String { "device:\(device)" }
}

/// Where a device can be reached (RFC 3261, 10.3).
package struct BindingRow: Hashable, Sendable {
  package var username: String
  /// What tells this binding from the others of the account; the registrar's to choose.
  package var key: String
  package var credential: UInt64?
  /// The Contact value, parameters included, as it was sent.
  package var contact: String
  package var transport: TransportKind
  package var local: Endpoint
  package var remote: Endpoint
  package var instance: String?
  package var regID: Int?
  /// Path values in order (RFC 3327).
  package var path: [String]
  package var callID: String
  package var cseq: UInt32
  package var userAgent: String
  package var registered: WallTime
  package var expires: WallTime

  package init(
    username: String, key: String, credential: UInt64? = nil, contact: String, transport: TransportKind,
    local: Endpoint, remote: Endpoint, instance: String? = nil, regID: Int? = nil, path: [String] = [],
    callID: String, cseq: UInt32, userAgent: String = "", registered: WallTime, expires: WallTime
  ) {
    self.username = username
    self.key = key
    self.credential = credential
    self.contact = contact
    self.transport = transport
    self.local = local
    self.remote = remote
    self.instance = instance
    self.regID = regID
    self.path = path
    self.callID = callID
    self.cseq = cseq
    self.userAgent = userAgent
    self.registered = registered
    self.expires = expires
  }
}

/// An address that hears nothing, for one account or for all.
package struct BanRow: Hashable, Sendable {
  package var address: IPAddress
  /// Nil: whatever account it names.
  package var account: String?
  package var since: WallTime
  package var until: WallTime
  package var failures: Int

  package init(address: IPAddress, account: String?, since: WallTime, until: WallTime, failures: Int) {
    self.address = address
    self.account = account
    self.since = since
    self.until = until
    self.failures = failures
  }
}

/// A call that is over.
package struct CallRow: Hashable, Sendable {
  package struct Leg: Hashable, Sendable {
    package var account: String
    package var state: String
    package var code: Int
    package var codec: String?
    package var packetsIn: Int
    package var packetsOut: Int
    package var lost: Int
    /// Milliseconds.
    package var jitter: Int
    /// Packets from whoever may not speak on this leg.
    package var foreign: Int
    /// Milliseconds; nil when the peer never reported.
    package var roundTrip: Int?
    /// Hundredths of a mean opinion score; nil when too little was heard.
    package var opinion: Int?

    package init(
      account: String, state: String, code: Int, codec: String?, packetsIn: Int = 0, packetsOut: Int = 0,
      lost: Int = 0, jitter: Int = 0, foreign: Int = 0, roundTrip: Int? = nil, opinion: Int? = nil
    ) {
      self.roundTrip = roundTrip
      self.opinion = opinion
      self.account = account
      self.state = state
      self.code = code
      self.codec = codec
      self.packetsIn = packetsIn
      self.packetsOut = packetsOut
      self.lost = lost
      self.jitter = jitter
      self.foreign = foreign
    }
  }

  package var id: String
  package var from: String
  package var target: String
  package var unit: UnitID?
  package var station: StationName?
  package var started: WallTime
  package var answered: WallTime?
  package var answeredBy: String?
  package var ended: WallTime
  package var end: String
  package var isOneWay: Bool
  package var isSilent: Bool
  package var callID: String
  package var legs: [Leg]

  package init(
    id: String, from: String, target: String, unit: UnitID? = nil, station: StationName? = nil,
    started: WallTime, answered: WallTime? = nil, answeredBy: String? = nil, ended: WallTime, end: String,
    isOneWay: Bool = false, isSilent: Bool = false, callID: String = "", legs: [Leg] = []
  ) {
    self.id = id
    self.from = from
    self.target = target
    self.unit = unit
    self.station = station
    self.started = started
    self.answered = answered
    self.answeredBy = answeredBy
    self.ended = ended
    self.end = end
    self.isOneWay = isOneWay
    self.isSilent = isSilent
    self.callID = callID
    self.legs = legs
  }
}

/// What an audit row says, before it has its place in the chain.
package struct AuditEntry: Hashable, Sendable {
  package var at: WallTime
  /// Who: an account, a station, `local:USER`.
  package var actor: String
  /// What, such as `door.open`.
  package var action: String
  /// To what, such as `entrance`.
  package var subject: String
  package var result: String
  package var detail: String

  package init(
    at: WallTime, actor: String, action: String, subject: String, result: String, detail: String = ""
  ) {
    self.at = at
    self.actor = actor
    self.action = action
    self.subject = subject
    self.result = result
    self.detail = detail
  }
}

/// One row of the audit log. Rows are a chain: each carries the hash of the one before, and its own hash is that
/// of `hashed`. The caller hashes; the store refuses a row that does not continue the chain.
package struct AuditRow: Hashable, Sendable {
  /// 1 for the first.
  package var sequence: Int64
  package var at: WallTime
  /// Who: an account, a station, `local:USER`.
  package var actor: String
  /// What, such as `door.open`.
  package var action: String
  /// To what, such as `entrance`.
  package var subject: String
  package var result: String
  package var detail: String
  /// The hash of the row before; empty for the first.
  package var previous: [UInt8]
  package var hash: [UInt8]

  package init(
    after tail: AuditTail, at: WallTime, actor: String, action: String, subject: String, result: String,
    detail: String = "", hash: ([UInt8]) -> [UInt8]
  ) {
    sequence = tail.sequence + 1
    previous = tail.hash
    self.at = at
    self.actor = actor
    self.action = action
    self.subject = subject
    self.result = result
    self.detail = detail
    self.hash = []
    self.hash = hash(hashed)
  }

  package init(after tail: AuditTail, _ entry: AuditEntry, hash: ([UInt8]) -> [UInt8]) {
    self.init(
      after: tail, at: entry.at, actor: entry.actor, action: entry.action, subject: entry.subject,
      result: entry.result, detail: entry.detail, hash: hash)
  }

  init(sequence: Int64, at: WallTime, texts: [String], previous: [UInt8], hash: [UInt8]) {
    self.sequence = sequence
    self.at = at
    actor = texts[0]
    action = texts[1]
    subject = texts[2]
    result = texts[3]
    detail = texts[4]
    self.previous = previous
    self.hash = hash
  }

  /// The bytes that the hash is taken over: every field, each with its length before it, so that no two rows share
  /// them.
  package var hashed: [UInt8] {
    var bytes: [UInt8] = []
    func append(_ value: Int64) {
      for shift in stride(from: 56, through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: value >> shift))
      }
    }
    append(sequence)
    append(at.nanoseconds)
    for text in [actor, action, subject, result, detail] {
      append(Int64(text.utf8.count))
      bytes.append(contentsOf: text.utf8)
    }
    append(Int64(previous.count))
    bytes.append(contentsOf: previous)
    return bytes
  }

  /// The end of the chain once this row is in it.
  package var tail: AuditTail { AuditTail(sequence: sequence, hash: hash) }
}

/// Where the audit log ends.
package struct AuditTail: Hashable, Sendable {
  package var sequence: Int64
  package var hash: [UInt8]

  package init(sequence: Int64 = 0, hash: [UInt8] = []) {
    self.sequence = sequence
    self.hash = hash
  }
}

/// An event as it is told, and kept until everybody who must know has it.
package struct EventRow: Hashable, Sendable {
  package var id: Int64
  package var at: WallTime
  package var type: String
  /// One JSON object.
  package var body: String

  package init(id: Int64, at: WallTime, type: String, body: String) {
    self.id = id
    self.at = at
    self.type = type
    self.body = body
  }
}
