/// The steps from an empty file to today's tables. A step that was once released is never edited: a change is a
/// new step at the end.
package struct Migration: Sendable {
  package var name: String
  package var script: String

  package static let all: [Migration] = [
    directory, registrations, history, foreignPackets, enrolments, talkQuality,
  ]

  /// The directory is one document, because it is read and replaced whole and has one reader already. Beside it
  /// stand the names that other rows refer to, so that what belongs to a removed account goes with it.
  private static let directory = Migration(
    name: "directory",
    script: """
      CREATE TABLE settings (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE directory (
        version INTEGER PRIMARY KEY AUTOINCREMENT,
        applied_at INTEGER NOT NULL,
        applied_by TEXT NOT NULL,
        document TEXT NOT NULL
      ) STRICT;

      CREATE TABLE units (
        number TEXT PRIMARY KEY,
        quiet INTEGER NOT NULL DEFAULT 0
      ) STRICT, WITHOUT ROWID;

      -- Whatever has credentials and registers: accounts and stations. Their names are one set.
      CREATE TABLE devices (
        username TEXT PRIMARY KEY,
        unit TEXT REFERENCES units (number),
        kind TEXT NOT NULL,
        quiet INTEGER NOT NULL DEFAULT 0
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX devices_by_unit ON devices (unit);

      CREATE TABLE device_passwords (
        device TEXT PRIMARY KEY,
        sealed BLOB NOT NULL
      ) STRICT, WITHOUT ROWID;
      """)

  private static let registrations = Migration(
    name: "registrations",
    script: """
      -- AUTOINCREMENT: the number of a revoked credential is never given again.
      CREATE TABLE credentials (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        username TEXT NOT NULL REFERENCES devices (username) ON DELETE CASCADE,
        created INTEGER NOT NULL,
        last_used INTEGER,
        sealed BLOB NOT NULL
      ) STRICT;
      CREATE INDEX credentials_by_username ON credentials (username);

      CREATE TABLE bindings (
        username TEXT NOT NULL REFERENCES devices (username) ON DELETE CASCADE,
        key TEXT NOT NULL,
        credential INTEGER,
        contact TEXT NOT NULL,
        transport INTEGER NOT NULL,
        local TEXT NOT NULL,
        remote TEXT NOT NULL,
        instance TEXT,
        reg_id INTEGER,
        path TEXT NOT NULL,
        call_id TEXT NOT NULL,
        cseq INTEGER NOT NULL,
        user_agent TEXT NOT NULL,
        registered INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        PRIMARY KEY (username, key)
      ) STRICT, WITHOUT ROWID;

      -- The empty account stands for all accounts.
      CREATE TABLE bans (
        address TEXT NOT NULL,
        account TEXT NOT NULL,
        since INTEGER NOT NULL,
        until INTEGER NOT NULL,
        failures INTEGER NOT NULL,
        PRIMARY KEY (address, account)
      ) STRICT, WITHOUT ROWID;
      """)

  private static let history = Migration(
    name: "history",
    script: """
      CREATE TABLE calls (
        id TEXT PRIMARY KEY,
        caller TEXT NOT NULL,
        target TEXT NOT NULL,
        unit TEXT,
        station TEXT,
        started INTEGER NOT NULL,
        answered INTEGER,
        answered_by TEXT,
        ended INTEGER NOT NULL,
        end TEXT NOT NULL,
        one_way INTEGER NOT NULL,
        silent INTEGER NOT NULL,
        call_id TEXT NOT NULL
      ) STRICT;
      CREATE INDEX calls_by_start ON calls (started);

      CREATE TABLE legs (
        call TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
        place INTEGER NOT NULL,
        account TEXT NOT NULL,
        state TEXT NOT NULL,
        code INTEGER NOT NULL,
        codec TEXT,
        packets_in INTEGER NOT NULL,
        packets_out INTEGER NOT NULL,
        lost INTEGER NOT NULL,
        jitter INTEGER NOT NULL,
        PRIMARY KEY (call, place)
      ) STRICT, WITHOUT ROWID;

      -- Each row carries the hash of the one before; no row is ever changed or removed.
      CREATE TABLE audit (
        sequence INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        result TEXT NOT NULL,
        detail TEXT NOT NULL,
        previous BLOB NOT NULL,
        hash BLOB NOT NULL
      ) STRICT;
      CREATE INDEX audit_by_subject ON audit (subject, sequence);
      CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN
        SELECT RAISE(ABORT, 'audit rows are never changed');
      END;
      CREATE TRIGGER audit_remains BEFORE DELETE ON audit BEGIN
        SELECT RAISE(ABORT, 'audit rows are never removed');
      END;

      CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        type TEXT NOT NULL,
        body TEXT NOT NULL
      ) STRICT;
      """)

  private static let foreignPackets = Migration(
    name: "foreign packets",
    script: "ALTER TABLE legs ADD COLUMN foreign_packets INTEGER NOT NULL DEFAULT 0;")

  private static let enrolments = Migration(
    name: "enrolments",
    script: """
      -- Of tokens only digests are kept.
      ALTER TABLE credentials ADD COLUMN bearer BLOB;

      CREATE TABLE enrolments (
        name TEXT PRIMARY KEY,
        digest BLOB NOT NULL,
        username TEXT NOT NULL REFERENCES devices (username) ON DELETE CASCADE,
        created INTEGER NOT NULL,
        expires INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;
      """)

  /// How good each leg's sound was: the round trip in milliseconds, the mean opinion score in hundredths.
  private static let talkQuality = Migration(
    name: "talk quality",
    script: """
      ALTER TABLE legs ADD COLUMN round_trip INTEGER;
      ALTER TABLE legs ADD COLUMN opinion INTEGER;
      """)
}

extension Connection {
  /// Brings the file up to `migrations`, each step in a transaction of its own with the note that it was done.
  func migrate(_ migrations: [Migration] = Migration.all) throws(StoreFailure) {
    let done = Int(try row("PRAGMA user_version") { (row: borrowing Row) in row.integer(0) } ?? 0)
    guard done <= migrations.count else { throw .later(migrations: done) }
    for number in done..<migrations.count {
      try run(script: "BEGIN IMMEDIATE")
      do throws(StoreFailure) {
        try run(script: migrations[number].script)
        try run(script: "PRAGMA user_version = \(number + 1)")
        try run(script: "COMMIT")
      } catch {
        if isInTransaction { try? run(script: "ROLLBACK") }
        throw error
      }
    }
  }
}
