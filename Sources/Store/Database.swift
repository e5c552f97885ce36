package import Directory
package import Wire

/// The store: one SQLite file that holds what must outlive the process.
///
/// It is responsible for keeping and giving back; it decides nothing. Everything that calls need is loaded at the
/// start and lives in the memory of the thread that asks, so no call waits for the disk: writes are values
/// (`StoreChange`), committed in the order they were handed over, and acknowledged when `commit` returns.
///
/// **Durability.** One connection in WAL mode, `synchronous` chosen for each transaction: FULL, so that what was
/// acknowledged survives a power loss, unless the transaction holds nothing but what devices bring again
/// (bindings), which is NORMAL and costs no flush. Two connections would gain nothing: there is one lane, SQLite
/// has one writer, and the flush of a FULL commit carries the earlier NORMAL ones with it because they lie before
/// it in the same log.
///
/// **Alone.** `locking_mode=EXCLUSIVE`: a second daemon on the same state is refused, and no shared memory file is
/// needed. A killed process leaves no lock.
///
/// **Damage.** A damaged file, or one from a later version, is refused and left as it is, because moving it away
/// would end every credential silently. Whoever starts the gateway may go on with `inMemory`: doors and calls that
/// need nothing stored still work, and `mode` says what is the matter.
///
/// Unchecked Sendable, and why that is so: after it is opened, only work on the `World`'s lane `.store` touches
/// it, and a lane runs one piece of work at a time, each after the one before.
package final class Database: @unchecked Sendable {
  package enum Mode: Hashable, Sendable {
    case file
    /// Nothing outlives the process; because of what, if a file was wanted.
    case memory(because: StoreFailure?)
  }

  package let mode: Mode
  private let connection: Connection
  private var isFlushing = true

  /// How long to wait for another process to let go of the file: a daemon that is just ending.
  package static let patience = Interval.seconds(2)

  // MARK: Opening

  /// Opens the file, creating it if need be, checks it and brings it up to date. `vfs` names another disk than
  /// the real one.
  package convenience init(path: String, vfs: String? = nil) throws(StoreFailure) {
    try self.init(path: path, vfs: vfs, mode: .file, migrations: Migration.all)
  }

  /// A store that ends with the process.
  package static func inMemory(because failure: StoreFailure? = nil) -> Database {
    do {
      return try Database(
        path: ":memory:", vfs: nil, mode: .memory(because: failure), migrations: Migration.all)
    } catch {
      preconditionFailure("a database in memory needs nothing but memory: \(error)")
    }
  }

  /// The file, or a store in memory that says why it is not the file.
  package static func openOrInMemory(path: String, vfs: String? = nil) -> Database {
    do {
      return try Database(path: path, vfs: vfs)
    } catch {
      return inMemory(because: error)
    }
  }

  /// The same with all choices: tests make files of earlier versions, and do not wait.
  package init(
    path: String, vfs: String? = nil, mode: Mode = .file, migrations: [Migration],
    patience: Interval = Database.patience
  ) throws(StoreFailure) {
    self.mode = mode
    connection = try Connection(path: path, vfs: vfs)
    connection.setPatience(milliseconds: Int32(patience.milliseconds))
    // Exclusive before WAL, or a shared memory file would be made.
    try connection.run(script: "PRAGMA locking_mode = EXCLUSIVE")
    try connection.run(script: "PRAGMA journal_mode = WAL")
    try connection.run(
      script: """
        PRAGMA synchronous = FULL;
        PRAGMA foreign_keys = ON;
        PRAGMA trusted_schema = OFF;
        PRAGMA cell_size_check = ON;
        PRAGMA temp_store = MEMORY;
        PRAGMA journal_size_limit = 4194304;
        """)
    try connection.migrate(migrations)
    try check(quick: true)
  }

  /// Nil when the file is whole, else the first fault SQLite found. `quick` leaves the indexes out.
  package func integrityFault(quick: Bool = false) throws(StoreFailure) -> String? {
    let found = try connection.row("PRAGMA \(quick ? "quick_check" : "integrity_check")(1)") { row in
      row.text(0)
    }
    if let found, found != "ok" { return found }
    let orphan = quick ? nil : try connection.row("PRAGMA foreign_key_check") { row in row.text(0) }
    return orphan.map { "a row of \($0) belongs to nothing" }
  }

  private func check(quick: Bool) throws(StoreFailure) {
    if let fault = try integrityFault(quick: quick) { throw .damaged(fault) }
  }

  /// Writes the log back into the file, so that the file alone is everything.
  package func checkpoint() throws(StoreFailure) {
    try connection.run("PRAGMA wal_checkpoint(TRUNCATE)")
  }

  /// Writes a consistent copy to a path where nothing is yet.
  package func backup(to path: String) throws(StoreFailure) {
    try connection.run("VACUUM INTO ?", .text(path))
  }

  // MARK: Writing

  /// Writes `changes` in order, all or none; on return they survive a crash of the process, and, unless all of
  /// them are written behind, a power loss.
  package func commit(_ changes: [StoreChange]) throws(StoreFailure) {
    if changes.isEmpty { return }
    let flushes = !changes.allSatisfy(\.isWrittenBehind)
    if flushes != isFlushing {
      try connection.run(script: "PRAGMA synchronous = \(flushes ? "FULL" : "NORMAL")")
      isFlushing = flushes
    }
    try connection.run("BEGIN IMMEDIATE")
    do throws(StoreFailure) {
      for change in changes { try write(change) }
      try connection.run("COMMIT")
    } catch {
      // A full disk may have rolled back already.
      if connection.isInTransaction { try? connection.run("ROLLBACK") }
      throw error
    }
  }

  private func write(_ change: StoreChange) throws(StoreFailure) {
    switch change {
    case .directory(let building, let passwords, let at, let by):
      try connection.replaceDirectory(building, passwords, at: at, by: by)
    case .addCredential(let row): try connection.add(row)
    case .removeCredential(let id):
      try connection.run("DELETE FROM credentials WHERE id = ?", .integer(Int64(bitPattern: id)))
    case .credentialUsed(let id, let at):
      try connection.run(
        "UPDATE credentials SET last_used = ? WHERE id = ?", .time(at), .integer(Int64(bitPattern: id)))
    case .addEnrolment(let row): try connection.add(row)
    case .removeEnrolment(let name):
      try connection.run("DELETE FROM enrolments WHERE name = ?", .text(name))
    case .bind(let row): try connection.put(row)
    case .unbind(let username, let key):
      try connection.run("DELETE FROM bindings WHERE username = ? AND key = ?", .text(username), .text(key))
    case .ban(let row):
      try connection.run(
        "INSERT OR REPLACE INTO bans (address, account, since, until, failures) VALUES (?, ?, ?, ?, ?)",
        .text(row.address.description), .text(row.account ?? ""), .time(row.since), .time(row.until),
        .integer(Int64(row.failures)))
    case .liftBan(let address, let account):
      try connection.run(
        "DELETE FROM bans WHERE address = ? AND account = ?", .text(address.description), .text(account ?? "")
      )
    case .quietAccount(let name, let isQuiet):
      try connection.run(
        "UPDATE devices SET quiet = ? WHERE username = ?", .flag(isQuiet), .text(name.rawValue))
    case .quietUnit(let number, let isQuiet):
      try connection.run(
        "UPDATE units SET quiet = ? WHERE number = ?", .flag(isQuiet), .text(number.rawValue))
    case .call(let row): try connection.add(row)
    case .audit(let row): try connection.append(row)
    case .record(let entry, let hash):
      try connection.append(AuditRow(after: try connection.auditTail(), entry, hash: hash))
    case .event(let row):
      try connection.run(
        "INSERT INTO events (id, at, type, body) VALUES (?, ?, ?, ?)", .integer(row.id), .time(row.at),
        .text(row.type), .text(row.body))
    case .forgetEvents(let id): try connection.run("DELETE FROM events WHERE id <= ?", .integer(id))
    case .forgetCalls(let time): try connection.run("DELETE FROM calls WHERE ended < ?", .time(time))
    case .setting(let key, let value?):
      try connection.run(
        "INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", .text(key), .text(value))
    case .setting(let key, nil): try connection.run("DELETE FROM settings WHERE key = ?", .text(key))
    }
  }

  // MARK: Reading

  /// Everything that is kept in memory while the gateway runs.
  package func load() throws(StoreFailure) -> StoredState { try connection.loadState() }

  /// Calls that are over, newest first. `before`: only those that began earlier.
  /// `unit` and `account`: only calls to that unit, or in which that account took part.
  package func calls(
    limit: Int, before: WallTime? = nil, unit: UnitID? = nil, account: AccountName? = nil
  ) throws(StoreFailure) -> [CallRow] {
    try connection.calls(limit: limit, before: before, unit: unit, account: account)
  }

  /// Where the audit log ends: what a caller that chains rows itself goes on from after a failed commit.
  package func auditTail() throws(StoreFailure) -> AuditTail { try connection.auditTail() }

  /// Audit rows in order, from `sequence` on.
  package func audit(from sequence: Int64 = 1, limit: Int) throws(StoreFailure) -> [AuditRow] {
    try connection.auditRows(from: sequence, limit: limit)
  }

  /// The newest audit row about each of `subjects` with this action, such as the last opening of each door.
  package func lastAudit(action: String, subjects: [String]) throws(StoreFailure) -> [AuditRow] {
    try connection.lastAudit(action: action, subjects: subjects)
  }

  /// The first row that does not continue the chain or whose hash is wrong; nil when all of it holds.
  package func brokenAuditRow(hash: ([UInt8]) -> [UInt8]) throws(StoreFailure) -> Int64? {
    try connection.brokenAuditRow(hash: hash)
  }

  /// Events in order, after `id`.
  package func events(after id: Int64 = 0, limit: Int) throws(StoreFailure) -> [EventRow] {
    try connection.rows(
      "SELECT id, at, type, body FROM events WHERE id > ? ORDER BY id LIMIT ?", .integer(id),
      .integer(Int64(limit))
    ) { row in
      EventRow(id: row.integer(0), at: row.time(1), type: row.text(2), body: row.text(3))
    }
  }
}
