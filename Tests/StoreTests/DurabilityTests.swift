import Directory
import Glibc
import Store
import Testing
import Wire

@Suite struct DurabilityTests {
  // MARK: Migrations

  /// A released step is never edited. A change is a new step, and a new line here.
  @Test func noMigrationWasEverEdited() {
    let known = [
      ("directory", "ccebdb174b039ece"), ("registrations", "76b8d840a3d7b128"),
      ("history", "b7cb32ff38675965"), ("foreign packets", "3b1223920d767423"),
      ("enrolments", "5ca6b08f86a3cdd3"),
      ("talk quality", "1cffacf60361e3bd"),
    ]
    #expect(Migration.all.map(\.name) == known.map(\.0))
    #expect(Migration.all.map { ASCII.hex(digest(Array($0.script.utf8))) } == known.map(\.1))
  }

  @Test(arguments: 0...Migration.all.count)
  func aFileOfEveryEarlierVersionIsBroughtUpToDate(_ count: Int) throws {
    let workspace = Workspace("version\(count)")
    let credential = CredentialRow(id: 3, username: "panel401", created: at(0), sealed: [1])
    do {
      let old = try Database(path: workspace.path, migrations: Array(Migration.all.prefix(count)))
      if count >= 1 { try old.commit([.demo(), .quietUnit("401", true), .setting("realm", "r")]) }
      if count >= 2 { try old.commit([.addCredential(credential), .bind(binding("panel401"))]) }
      if count >= 3 { try old.commit([.audit(audit(after: AuditTail()))]) }
      // Today's rows of calls fit into today's table only.
      if count == Migration.all.count { try old.commit([.call(call(1))]) }
    }
    let database = try Database(path: workspace.path)
    let state = try database.load()
    #expect((state.directory != nil) == (count >= 1))
    #expect(state.quietUnits == (count >= 1 ? ["401"] : []))
    #expect(state.credentials == (count >= 2 ? [credential] : []))
    #expect(try database.calls(limit: 9) == (count == Migration.all.count ? [call(1)] : []))
    #expect(try database.integrityFault() == nil)
    try database.commit([.demo(), .call(call(2)), .bind(binding("panel401"))])
  }

  @Test func aFileOfALaterVersionIsRefused() throws {
    let workspace = Workspace()
    do {
      var later = Migration.all
      later.append(later[0])
      later[later.count - 1].script = "CREATE TABLE later (a INTEGER)"
      _ = try Database(path: workspace.path, migrations: later)
    }
    #expect(throws: StoreFailure.later(migrations: Migration.all.count + 1)) {
      _ = try Database(path: workspace.path)
    }
  }

  @Test func aMigrationThatFailsLeavesTheFileAsItWas() throws {
    let workspace = Workspace()
    try Database(path: workspace.path).commit([.setting("a", "b")])
    var broken = Migration.all
    broken.append(broken[0])
    broken[broken.count - 1].script = "CREATE TABLE half (a INTEGER); CREATE TABLE settings (a INTEGER);"
    #expect(throws: StoreFailure.self) { _ = try Database(path: workspace.path, migrations: broken) }
    #expect(try Database(path: workspace.path).load().settings == ["a": "b"])
  }

  // MARK: Damage and other processes

  @Test func aFileThatIsNoDatabaseIsRefusedAndLeftAlone() throws {
    let workspace = Workspace()
    let text = Array(String(repeating: "this is a letter, not a database. ", count: 400).utf8)
    Workspace.write(text, to: workspace.path)
    do throws(StoreFailure) {
      _ = try Database(path: workspace.path)
      Issue.record("was opened")
    } catch {
      guard case .damaged = error else {
        Issue.record("\(error)")
        return
      }
      #expect(error.isFatal)
      #expect(error.description.contains("vestibule restore"))
    }
    #expect(Workspace.read(workspace.path) == text)
  }

  @Test func aDamagedPageIsFoundWhenOpening() throws {
    let workspace = Workspace()
    do {
      let database = try Database(path: workspace.path)
      try database.commit([.demo()])
      try database.commit((1...400).map { .call(call($0)) })
      try database.checkpoint()
    }
    var bytes = Workspace.read(workspace.path)
    for index in (bytes.count / 2)..<(bytes.count / 2 + 8192) { bytes[index] = 0xA5 }
    Workspace.write(bytes, to: workspace.path)
    #expect(throws: StoreFailure.self) { _ = try Database(path: workspace.path) }
    let fallback = Database.openOrInMemory(path: workspace.path)
    guard case .memory(because: .damaged?) = fallback.mode else {
      Issue.record("\(fallback.mode)")
      return
    }
    #expect(Workspace.read(workspace.path) == bytes)
  }

  @Test func withoutItsFileTheStoreGoesOnInMemoryAndSaysSo() throws {
    let database = Database.openOrInMemory(path: "/nonexistent/vestibule/state.db")
    guard case .memory(because: .cannotOpen?) = database.mode else {
      Issue.record("\(database.mode)")
      return
    }
    try database.commit([.demo(), .bind(binding("panel401"))])
    #expect(try database.load().bindings.count == 1)
  }

  @Test func aSecondDaemonOnTheSameStateIsRefused() throws {
    let workspace = Workspace()
    let first = try Database(path: workspace.path)
    #expect(throws: StoreFailure.taken) {
      _ = try Database(path: workspace.path, migrations: Migration.all, patience: .zero)
    }
    try first.commit([.setting("a", "b")])
  }

  @Test func aBackupIsWholeAndIsNotWrittenOverAnything() throws {
    let workspace = Workspace()
    let database = try Database(path: workspace.path)
    try database.commit([.demo(), .call(call(1)), .audit(audit(after: AuditTail()))])
    let copy = workspace.folder + "/copy.db"
    try database.backup(to: copy)
    #expect(throws: StoreFailure.self) { try database.backup(to: copy) }
    let restored = try Database(path: copy)
    #expect(try restored.calls(limit: 9) == [call(1)])
    #expect(try restored.load().directory?.exportedText == Building.demo().exportedText)
  }

  // MARK: Crashes

  /// What another process would find had ours been killed right after each commit returned.
  @Test func whatIsAcknowledgedIsInTheFilesWhenCommitReturns() throws {
    let workspace = Workspace()
    let database = try Database(path: workspace.path)
    try database.commit([.demo()])
    var tail = AuditTail()
    for number in 1...30 {
      let row = audit(after: tail)
      tail = row.tail
      try database.commit([.audit(row), .call(call(number))])
      if number % 3 == 0 { try database.commit([.bind(binding("panel401", expires: Int64(number)))]) }
      if number % 10 == 0 { try database.checkpoint() }
      let copy = workspace.folder + "/copy.db"
      Workspace.write(Workspace.read(workspace.path), to: copy)
      Workspace.write(Workspace.read(workspace.path + "-wal"), to: copy + "-wal")
      let found = try Database(path: copy)
      #expect(try found.load().auditTail == tail)
      #expect(try found.calls(limit: 1).first?.id == "call\(number)")
      if number >= 3 {
        #expect(try found.load().bindings.first?.expires == at(Int64(number - number % 3)))
      }
    }
  }

  /// A process that writes as fast as it can is killed at some moment; a clock could not prove what the kernel
  /// keeps of its files.
  @Test(arguments: [7_000, 13_000, 19_000, 31_000, 43_000, 59_000, 71_000, 97_000] as [Int])
  func aKillLosesNothingThatWasAcknowledged(_ microseconds: Int) async throws {
    let workspace = Workspace("kill\(microseconds)")
    let path = workspace.path
    let notes = workspace.folder + "/acknowledged"
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [path = path as String, notes = notes as String, microseconds = microseconds as Int] in
      let database = try Database(path: path)
      try database.commit([.demo()])
      let file = unsafe open(notes, O_WRONLY | O_CREAT | O_APPEND, 0o600)
      killThisProcess(after: microseconds)
      var tail = AuditTail()
      while true {
        let row = audit(after: tail)
        tail = row.tail
        try database.commit([.audit(row), .call(call(Int(row.sequence)))])
        try database.commit([.bind(binding("panel401", expires: row.sequence))])
        var byte: UInt8 = 1
        unsafe write(file, &byte, 1)
      }
    }
    let acknowledged = Int64(Workspace.read(notes).count)
    let database = try Database(path: path)
    let state = try database.load()
    #expect(try database.integrityFault() == nil)
    #expect(try database.brokenAuditRow(hash: digest) == nil)
    #expect(state.auditTail.sequence >= acknowledged)
    #expect(state.auditTail.sequence <= acknowledged + 1)
    if acknowledged > 0 {
      #expect(state.bindings.first.map { $0.expires >= at(acknowledged) } == true)
      #expect(try database.calls(limit: 1).first?.id == "call\(state.auditTail.sequence)")
    }
  }
}
