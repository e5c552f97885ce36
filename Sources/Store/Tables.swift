internal import Directory
internal import Wire

// How rows become values and values rows. Times are nanoseconds since 1970.

extension Connection.Value {
  static func time(_ time: WallTime) -> Self { .integer(time.nanoseconds) }
  static func time(orNull time: WallTime?) -> Self { time.map { .integer($0.nanoseconds) } ?? .null }
  static func flag(_ value: Bool) -> Self { .integer(value ? 1 : 0) }
}

extension Connection.Row {
  borrowing func time(_ column: Int32) -> WallTime { WallTime(nanoseconds: integer(column)) }
  borrowing func optionalTime(_ column: Int32) -> WallTime? {
    optionalInteger(column).map { WallTime(nanoseconds: $0) }
  }
}

// MARK: Directory

extension Connection {
  func replaceDirectory(
    _ building: Building, _ passwords: [DevicePasswordRow], at: WallTime, by: String
  ) throws(StoreFailure) {
    // Inserted before the old one goes, so that versions grow.
    try run(
      "INSERT INTO directory (applied_at, applied_by, document) VALUES (?, ?, ?)", .time(at), .text(by),
      .text(building.exportedText))
    try run("DELETE FROM directory WHERE version < last_insert_rowid()")

    // Units come before their accounts, and go after them.
    let units = Set(building.units.map(\.number.rawValue))
    for unit in building.units {
      try run("INSERT OR IGNORE INTO units (number) VALUES (?)", .text(unit.number.rawValue))
    }
    var devices: Set<String> = []
    for (account, unit) in building.everyAccount {
      devices.insert(account.username.rawValue)
      try putDevice(account.username.rawValue, unit: unit?.rawValue, kind: account.kind)
    }
    for station in building.stations {
      devices.insert(station.username.rawValue)
      try putDevice(station.username.rawValue, unit: nil, kind: .station)
    }
    for name in try rows("SELECT username FROM devices", read: { row in row.text(0) })
    where !devices.contains(name) {
      try run("DELETE FROM devices WHERE username = ?", .text(name))
    }
    for number in try rows("SELECT number FROM units", read: { row in row.text(0) })
    where !units.contains(number) {
      try run("DELETE FROM units WHERE number = ?", .text(number))
    }

    for row in passwords {
      try run(
        "INSERT OR REPLACE INTO device_passwords (device, sealed) VALUES (?, ?)",
        .text(row.device.description),
        .blob(row.sealed))
    }
    let wanted = Set(building.devicesWithPassword.map(\.device.description))
    let stored = try rows("SELECT device FROM device_passwords", read: { row in row.text(0) })
    for device in stored where !wanted.contains(device) {
      try run("DELETE FROM device_passwords WHERE device = ?", .text(device))
    }
    let held = Set(stored)
    if let missing = building.devicesWithPassword.first(where: { !held.contains($0.device.description) }) {
      throw .refused("no password is stored for \(missing.device)")
    }
  }

  private func putDevice(_ username: String, unit: String?, kind: AccountKind) throws(StoreFailure) {
    try run(
      """
      INSERT INTO devices (username, unit, kind) VALUES (?, ?, ?)
      ON CONFLICT (username) DO UPDATE SET unit = excluded.unit, kind = excluded.kind
      """, .text(username), .text(orNull: unit), .text(kind.rawValue))
  }

  private func deviceID(_ text: String) -> DeviceID? {
    guard let colon = text.firstIndex(of: ":") else { return nil }
    let id = String(text[text.index(after: colon)...])
    switch text[..<colon] {
    case "camera": return .camera(CameraID(id))
    case "door": return .door(DoorID(id))
    default: return nil
    }
  }

  func loadState() throws(StoreFailure) -> StoredState {
    var state = StoredState()
    let document = try row("SELECT version, document FROM directory ORDER BY version DESC LIMIT 1") { row in
      (row.integer(0), row.text(1))
    }
    if let (version, text) = document {
      state.directoryVersion = version
      do throws(DirectoryFault) {
        state.directory = try Building.read(Array(text.utf8), file: "stored directory").building
      } catch {
        throw .damaged("the stored directory does not read: \(error.errors.first.map { "\($0)" } ?? "")")
      }
    }
    state.credentials = try credentials()
    state.enrolments = try enrolments()
    state.nextCredential = UInt64(try lastSequence("credentials") + 1)
    state.passwords = try rows("SELECT device, sealed FROM device_passwords ORDER BY device") { row in
      self.deviceID(row.text(0)).map { DevicePasswordRow(device: $0, sealed: row.blob(1)) }
    }.compactMap { $0 }
    state.bindings = try bindings()
    state.bans = try bans()
    state.quietAccounts = try rows("SELECT username FROM devices WHERE quiet ORDER BY username") { row in
      AccountName(row.text(0))
    }
    state.quietUnits = try rows("SELECT number FROM units WHERE quiet ORDER BY number") { row in
      UnitID(row.text(0))
    }
    state.auditTail = try auditTail()
    state.nextEvent = try lastSequence("events") + 1
    for (key, value) in try rows(
      "SELECT key, value FROM settings", read: { row in (row.text(0), row.text(1)) })
    {
      state.settings[key] = value
    }
    return state
  }

  /// The greatest id that a table ever gave.
  private func lastSequence(_ table: String) throws(StoreFailure) -> Int64 {
    try row("SELECT seq FROM sqlite_sequence WHERE name = ?", .text(table)) { row in row.integer(0) } ?? 0
  }
}

// MARK: Registrations

extension Connection {
  func add(_ row: CredentialRow) throws(StoreFailure) {
    try run(
      "INSERT INTO credentials (id, username, created, last_used, sealed) VALUES (?, ?, ?, ?, ?)",
      .integer(Int64(bitPattern: row.id)), .text(row.username), .time(row.created),
      .time(orNull: row.lastUsed), .blob(row.sealed))
    guard let bearer = row.bearer else { return }
    try run(
      "UPDATE credentials SET bearer = ? WHERE id = ?", .blob(bearer), .integer(Int64(bitPattern: row.id)))
  }

  func add(_ row: EnrolmentRow) throws(StoreFailure) {
    try run(
      "INSERT INTO enrolments (name, digest, username, created, expires) VALUES (?, ?, ?, ?, ?)",
      .text(row.name), .blob(row.digest), .text(row.username), .time(row.created), .time(row.expires))
  }

  func enrolments() throws(StoreFailure) -> [EnrolmentRow] {
    try rows("SELECT name, digest, username, created, expires FROM enrolments ORDER BY created, name") {
      row in
      EnrolmentRow(
        name: row.text(0), digest: row.blob(1), username: row.text(2), created: row.time(3),
        expires: row.time(4))
    }
  }

  func credentials() throws(StoreFailure) -> [CredentialRow] {
    try rows("SELECT id, username, created, last_used, sealed, bearer FROM credentials ORDER BY id") { row in
      CredentialRow(
        id: UInt64(bitPattern: row.integer(0)), username: row.text(1), created: row.time(2),
        lastUsed: row.optionalTime(3), sealed: row.blob(4), bearer: row.isNull(5) ? nil : row.blob(5))
    }
  }

  func put(_ row: BindingRow) throws(StoreFailure) {
    try run(
      """
      INSERT OR REPLACE INTO bindings (username, key, credential, contact, transport, local, remote, instance,
        reg_id, path, call_id, cseq, user_agent, registered, expires)
      SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15
      WHERE EXISTS (SELECT 1 FROM devices WHERE username = ?1)
      """, .text(row.username), .text(row.key),
      .integer(orNull: row.credential.map { Int64(bitPattern: $0) }), .text(row.contact),
      .integer(Int64(row.transport.rawValue)), .text(row.local.description), .text(row.remote.description),
      .text(orNull: row.instance), .integer(orNull: row.regID.map { Int64($0) }),
      .text(row.path.joined(separator: "\n")), .text(row.callID), .integer(Int64(row.cseq)),
      .text(row.userAgent), .time(row.registered), .time(row.expires))
  }

  /// In the order they were made. A row that cannot be understood is left out: its device registers again.
  func bindings() throws(StoreFailure) -> [BindingRow] {
    try rows(
      """
      SELECT username, key, credential, contact, transport, local, remote, instance, reg_id, path, call_id, cseq,
        user_agent, registered, expires
      FROM bindings ORDER BY registered, username, key
      """
    ) { row -> BindingRow? in
      guard let kind = UInt8(exactly: row.integer(4)), let transport = TransportKind(rawValue: kind),
        let local = Endpoint(row.text(5)), let remote = Endpoint(row.text(6)),
        let cseq = UInt32(exactly: row.integer(11))
      else { return nil }
      return BindingRow(
        username: row.text(0), key: row.text(1),
        credential: row.optionalInteger(2).map { UInt64(bitPattern: $0) }, contact: row.text(3),
        transport: transport, local: local, remote: remote, instance: row.optionalText(7),
        regID: row.optionalInteger(8).map { Int($0) },
        path: row.text(9).split(separator: "\n").map(String.init), callID: row.text(10), cseq: cseq,
        userAgent: row.text(12), registered: row.time(13), expires: row.time(14))
    }.compactMap { $0 }
  }

  func bans() throws(StoreFailure) -> [BanRow] {
    try rows("SELECT address, account, since, until, failures FROM bans ORDER BY since, address, account") {
      row -> BanRow? in
      guard let address = IPAddress(row.text(0)) else { return nil }
      let account = row.text(1)
      return BanRow(
        address: address, account: account.isEmpty ? nil : account, since: row.time(2), until: row.time(3),
        failures: Int(row.integer(4)))
    }.compactMap { $0 }
  }
}

// MARK: History

extension Connection {
  func add(_ row: CallRow) throws(StoreFailure) {
    try run(
      """
      INSERT INTO calls (id, caller, target, unit, station, started, answered, answered_by, ended, end, one_way,
        silent, call_id)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """, .text(row.id), .text(row.from), .text(row.target), .text(orNull: row.unit?.rawValue),
      .text(orNull: row.station?.rawValue), .time(row.started), .time(orNull: row.answered),
      .text(orNull: row.answeredBy), .time(row.ended), .text(row.end), .flag(row.isOneWay),
      .flag(row.isSilent), .text(row.callID))
    for (place, leg) in row.legs.enumerated() {
      try run(
        """
        INSERT INTO legs (call, place, account, state, code, codec, packets_in, packets_out, lost, jitter,
          foreign_packets, round_trip, opinion)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """, .text(row.id), .integer(Int64(place)), .text(leg.account), .text(leg.state),
        .integer(Int64(leg.code)), .text(orNull: leg.codec), .integer(Int64(leg.packetsIn)),
        .integer(Int64(leg.packetsOut)), .integer(Int64(leg.lost)), .integer(Int64(leg.jitter)),
        .integer(Int64(leg.foreign)), .integer(orNull: leg.roundTrip.map { Int64($0) }),
        .integer(orNull: leg.opinion.map { Int64($0) }))
    }
  }

  func calls(
    limit: Int, before: WallTime?, unit: UnitID?, account: AccountName?
  ) throws(StoreFailure) -> [CallRow] {
    var calls = try rows(
      """
      SELECT id, caller, target, unit, station, started, answered, answered_by, ended, end, one_way, silent, call_id
      FROM calls WHERE started < ?1
        AND (?3 IS NULL AND ?4 IS NULL OR unit = ?3
          OR EXISTS (SELECT 1 FROM legs WHERE call = calls.id AND account = ?4))
      ORDER BY started DESC, id LIMIT ?2
      """, .integer(before?.nanoseconds ?? .max), .integer(Int64(limit)), .text(orNull: unit?.rawValue),
      .text(orNull: account?.rawValue)
    ) { row in
      CallRow(
        id: row.text(0), from: row.text(1), target: row.text(2), unit: row.optionalText(3).map { UnitID($0) },
        station: row.optionalText(4).map { StationName($0) }, started: row.time(5),
        answered: row.optionalTime(6), answeredBy: row.optionalText(7), ended: row.time(8), end: row.text(9),
        isOneWay: row.integer(10) != 0, isSilent: row.integer(11) != 0, callID: row.text(12))
    }
    for index in calls.indices {
      calls[index].legs = try rows(
        """
        SELECT account, state, code, codec, packets_in, packets_out, lost, jitter, foreign_packets, round_trip,
          opinion
        FROM legs WHERE call = ? ORDER BY place
        """, .text(calls[index].id)
      ) { row in
        CallRow.Leg(
          account: row.text(0), state: row.text(1), code: Int(row.integer(2)), codec: row.optionalText(3),
          packetsIn: Int(row.integer(4)), packetsOut: Int(row.integer(5)), lost: Int(row.integer(6)),
          jitter: Int(row.integer(7)), foreign: Int(row.integer(8)),
          roundTrip: row.optionalInteger(9).map { Int($0) }, opinion: row.optionalInteger(10).map { Int($0) })
      }
    }
    return calls
  }

  func auditTail() throws(StoreFailure) -> AuditTail {
    try row("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1") { row in
      AuditTail(sequence: row.integer(0), hash: row.blob(1))
    } ?? AuditTail()
  }

  func append(_ row: AuditRow) throws(StoreFailure) {
    let tail = try auditTail()
    guard row.sequence == tail.sequence + 1, row.previous == tail.hash else {
      throw .refused("audit row \(row.sequence) does not follow row \(tail.sequence)")
    }
    try run(
      """
      INSERT INTO audit (sequence, at, actor, action, subject, result, detail, previous, hash)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      """, .integer(row.sequence), .time(row.at), .text(row.actor), .text(row.action), .text(row.subject),
      .text(row.result), .text(row.detail), .blob(row.previous), .blob(row.hash))
  }

  private static let auditColumns = "sequence, at, actor, action, subject, result, detail, previous, hash"

  private func auditRow(_ row: borrowing Row) -> AuditRow {
    AuditRow(
      sequence: row.integer(0), at: row.time(1),
      texts: [row.text(2), row.text(3), row.text(4), row.text(5), row.text(6)], previous: row.blob(7),
      hash: row.blob(8))
  }

  func auditRows(from sequence: Int64, limit: Int) throws(StoreFailure) -> [AuditRow] {
    try rows(
      "SELECT \(Connection.auditColumns) FROM audit WHERE sequence >= ? ORDER BY sequence LIMIT ?",
      .integer(sequence), .integer(Int64(limit))
    ) { row in self.auditRow(row) }
  }

  func lastAudit(action: String, subjects: [String]) throws(StoreFailure) -> [AuditRow] {
    var found: [AuditRow] = []
    for subject in subjects {
      let last = try row(
        """
        SELECT \(Connection.auditColumns) FROM audit WHERE subject = ? AND action = ?
        ORDER BY sequence DESC LIMIT 1
        """, .text(subject), .text(action)
      ) { row in self.auditRow(row) }
      if let last { found.append(last) }
    }
    return found
  }

  /// Walks the chain in pieces, so that a long one does not lie in memory.
  func brokenAuditRow(hash: ([UInt8]) -> [UInt8]) throws(StoreFailure) -> Int64? {
    var tail = AuditTail()
    while true {
      let piece = try auditRows(from: tail.sequence + 1, limit: 1000)
      if piece.isEmpty { return nil }
      for row in piece {
        guard row.sequence == tail.sequence + 1, row.previous == tail.hash, hash(row.hashed) == row.hash
        else {
          return row.sequence
        }
        tail = row.tail
      }
    }
  }
}
