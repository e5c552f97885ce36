import Directory
import Store
import Testing
import Wire

@Suite struct DatabaseTests {
  @Test func aNewStoreIsEmpty() throws {
    let workspace = Workspace()
    let database = try Database(path: workspace.path)
    let state = try database.load()
    #expect(database.mode == .file)
    #expect(state.directory == nil && state.directoryVersion == 0)
    #expect(
      state.credentials.isEmpty && state.bindings.isEmpty && state.bans.isEmpty && state.settings.isEmpty)
    #expect(state.nextCredential == 1 && state.nextEvent == 1 && state.auditTail == AuditTail())
    #expect(try database.integrityFault() == nil)
  }

  @Test func everythingWrittenIsThereAfterOpeningAnew() throws {
    let workspace = Workspace()
    let credential = CredentialRow(id: 7, username: "panel401", created: at(1), sealed: [1, 2, 3])
    let bans = [
      BanRow(
        address: IPAddress("203.0.113.5")!, account: "panel401", since: at(1), until: at(2), failures: 5),
      BanRow(address: IPAddress("2001:db8::9")!, account: nil, since: at(2), until: at(3), failures: 20),
    ]
    let row = audit(after: AuditTail())
    do {
      let database = try Database(path: workspace.path)
      try database.commit([.demo(), .addCredential(credential), .bind(binding("panel401"))])
      try database.commit(bans.map(StoreChange.ban))
      try database.commit([
        .quietAccount("web401", true), .quietUnit("402", true), .call(call(1)), .audit(row),
        .event(EventRow(id: 1, at: at(9), type: "call.ended", body: "{}")),
        .setting("realm", "vestibule.local"),
        .credentialUsed(7, at: at(5)),
      ])
    }
    let database = try Database(path: workspace.path)
    let state = try database.load()
    #expect(state.directory?.exportedText == Building.demo().exportedText)
    #expect(state.directoryVersion == 1)
    var used = credential
    used.lastUsed = at(5)
    #expect(state.credentials == [used])
    #expect(state.nextCredential == 8)
    #expect(state.bindings == [binding("panel401")])
    #expect(state.bans == bans)
    #expect(state.quietAccounts == ["web401"] && state.quietUnits == ["402"])
    #expect(state.auditTail == row.tail && state.nextEvent == 2)
    #expect(state.settings == ["realm": "vestibule.local"])
    #expect(try database.calls(limit: 10) == [call(1)])
    #expect(try database.audit(limit: 10) == [row])
    #expect(try database.events(limit: 10).map(\.type) == ["call.ended"])
    #expect(try database.integrityFault() == nil)
  }

  @Test func aCommitIsAllOrNothing() throws {
    let database = Database.inMemory()
    try database.commit([.demo()])
    #expect(throws: StoreFailure.self) {
      try database.commit([
        .setting("a", "b"),
        .addCredential(CredentialRow(id: 1, username: "nobody", created: at(0), sealed: [])),
      ])
    }
    #expect(try database.load().settings.isEmpty)
    try database.commit([.setting("a", "b")])
    #expect(try database.load().settings == ["a": "b"])
  }

  @Test func whatBelongsToARemovedAccountGoesWithIt() throws {
    let database = Database.inMemory()
    try database.commit([.demo()])
    for (id, name) in ["panel401", "panel402", "intercom-main"].enumerated() {
      try database.commit([
        .addCredential(CredentialRow(id: UInt64(id + 1), username: name, created: at(0), sealed: [0])),
        .bind(binding(name)),
      ])
    }
    try database.commit([.quietAccount("panel402", true), .quietUnit("402", true)])
    let smaller = try Building.read(
      Array("{ units: [{ number: '401', accounts: [{ username: 'panel401', kind: 'panel' }] }] }".utf8)
    ).building
    try database.commit([.directory(smaller, passwords: [], at: at(1), by: "local:root")])
    let state = try database.load()
    #expect(state.credentials.map(\.username) == ["panel401"])
    #expect(state.bindings.map(\.username) == ["panel401"])
    #expect(state.quietAccounts.isEmpty && state.quietUnits.isEmpty)
    #expect(state.directoryVersion == 2)
    #expect(state.nextCredential == 4)
    // The unit comes back without its old wishes.
    try database.commit([.demo()])
    #expect(try database.load().quietUnits.isEmpty)
    #expect(try database.load().directoryVersion == 3)
  }

  @Test func applyingTheSameDirectoryAgainKeepsWhatHangsOnIt() throws {
    let database = Database.inMemory()
    let credential = CredentialRow(id: 1, username: "panel401", created: at(0), sealed: [9])
    try database.commit([
      .demo(), .addCredential(credential), .bind(binding("panel401")), .quietUnit("401", true),
    ])
    try database.commit([.demo()])
    let state = try database.load()
    #expect(state.credentials == [credential])
    #expect(state.bindings.count == 1)
    #expect(state.quietUnits == ["401"])
  }

  @Test func anAccountThatMovesToANewUnitKeepsItsCredentials() throws {
    let database = Database.inMemory()
    func building(_ unit: String) throws -> Building {
      try Building.read(
        Array("{ units: [{ number: '\(unit)', accounts: [{ username: 'p', kind: 'panel' }] }] }".utf8)
      ).building
    }
    try database.commit([
      .directory(building("1"), passwords: [], at: at(0), by: ""),
      .addCredential(CredentialRow(id: 1, username: "p", created: at(0), sealed: [])),
    ])
    try database.commit([.directory(building("2"), passwords: [], at: at(0), by: "")])
    #expect(try database.load().credentials.count == 1)
  }

  @Test func devicePasswordsAreKeptWhileUnchangedAndGoWithTheirDevice() throws {
    let database = Database.inMemory()
    func building(_ camera: String) throws -> Building {
      try Building.read(Array("{ cameras: [\(camera)] }".utf8)).building
    }
    let unchanged = try building("{ id: 'c', source: 'rtsp://192.0.2.1/', password: 'unchanged' }")
    #expect(throws: StoreFailure.self) {
      try database.commit([.directory(unchanged, passwords: [], at: at(0), by: "")])
    }
    let row = DevicePasswordRow(device: .camera("c"), sealed: [4, 5])
    try database.commit([.directory(unchanged, passwords: [row], at: at(0), by: "")])
    try database.commit([.directory(unchanged, passwords: [], at: at(0), by: "")])
    #expect(try database.load().passwords == [row])
    try database.commit([
      .directory(building("{ id: 'c', source: 'test:pattern' }"), passwords: [], at: at(0), by: "")
    ])
    #expect(try database.load().passwords.isEmpty)
  }

  @Test func noGivenPasswordReachesTheDocument() throws {
    let workspace = Workspace()
    let text = "{ cameras: [{ id: 'c', source: 'rtsp://192.0.2.1/', password: 'hunter2hunter2' }] }"
    let building = try Building.read(Array(text.utf8)).building
    let database = try Database(path: workspace.path)
    // Even if the caller forgot to take it out.
    let row = DevicePasswordRow(device: .camera("c"), sealed: [1])
    try database.commit([.directory(building, passwords: [row], at: at(0), by: "")])
    try database.checkpoint()
    let bytes = Workspace.read(workspace.path)
    #expect(bytes.count > 4096)
    #expect(!String(decoding: bytes, as: UTF8.self).contains("hunter2"))
  }

  @Test func theNumberOfARevokedCredentialIsNotGivenAgain() throws {
    let database = Database.inMemory()
    try database.commit([
      .demo(), .addCredential(CredentialRow(id: 41, username: "panel401", created: at(0), sealed: [])),
      .removeCredential(41),
    ])
    #expect(try database.load().credentials.isEmpty)
    #expect(try database.load().nextCredential == 42)
  }

  @Test func aBindingIsRenewedInPlaceAndOneOfNobodyIsPassedOver() throws {
    let database = Database.inMemory()
    try database.commit([.demo()])
    try database.commit([
      .bind(binding("panel401")), .bind(binding("panel401", "b")), .bind(binding("nobody")),
      .bind(binding("panel401", expires: 9)), .unbind(username: "panel401", key: "b"),
    ])
    #expect(try database.load().bindings == [binding("panel401", expires: 9)])
  }

  @Test func bansAreLiftedByAddressAndAccount() throws {
    let database = Database.inMemory()
    let address = IPAddress("203.0.113.5")!
    let pair = BanRow(address: address, account: "a", since: at(0), until: at(9), failures: 5)
    let all = BanRow(address: address, account: nil, since: at(0), until: at(9), failures: 20)
    try database.commit([.ban(pair), .ban(all), .liftBan(address, account: nil)])
    #expect(try database.load().bans == [pair])
    try database.commit([.liftBan(address, account: "a")])
    #expect(try database.load().bans.isEmpty)
  }

  // MARK: History

  @Test func callsComeNewestFirstAndInPages() throws {
    let database = Database.inMemory()
    try database.commit((1...5).map { .call(call($0)) })
    #expect(try database.calls(limit: 2).map(\.id) == ["call5", "call4"])
    #expect(try database.calls(limit: 9, before: at(3)).map(\.id) == ["call2", "call1"])
    try database.commit([.forgetCalls(endedBefore: at(64))])
    #expect(try database.calls(limit: 9).map(\.id) == ["call5", "call4"])
    #expect(try database.integrityFault() == nil)
  }

  @Test func eventsWaitUntilTheyAreForgottenAndTheirNumbersGrow() throws {
    let database = Database.inMemory()
    try database.commit((1...3).map { .event(EventRow(id: $0, at: at($0), type: "t", body: "{}")) })
    try database.commit([.forgetEvents(through: 2)])
    #expect(try database.events(limit: 9).map(\.id) == [3])
    #expect(try database.events(after: 3, limit: 9).isEmpty)
    try database.commit([.forgetEvents(through: 3)])
    #expect(try database.load().nextEvent == 4)
  }

  @Test func auditRowsAreAChainAndNothingElseIsTaken() throws {
    let database = Database.inMemory()
    var tail = AuditTail()
    for subject in ["entrance", "gate", "entrance"] {
      let row = audit(after: tail, subject)
      try database.commit([.audit(row)])
      tail = row.tail
    }
    #expect(try database.brokenAuditRow(hash: digest) == nil)
    #expect(try database.load().auditTail == tail)
    for wrong in [audit(after: AuditTail()), audit(after: AuditTail(sequence: 3, hash: [1]))] {
      #expect(throws: StoreFailure.self) { try database.commit([.audit(wrong)]) }
    }
    var altered = audit(after: tail)
    altered.result = "refused"
    try database.commit([.audit(altered)])
    #expect(try database.brokenAuditRow(hash: digest) == 4)
    #expect(
      try database.lastAudit(action: "door.open", subjects: ["entrance", "gate", "none"]).map(\.sequence) == [
        4, 2,
      ])
    #expect(try database.audit(from: 2, limit: 2).map(\.sequence) == [2, 3])
  }

  @Test func noTwoAuditRowsHashTheSameBytes() {
    let one = AuditRow(
      after: AuditTail(), at: at(0), actor: "ab", action: "c", subject: "", result: "", hash: digest)
    let other = AuditRow(
      after: AuditTail(), at: at(0), actor: "a", action: "bc", subject: "", result: "", hash: digest)
    #expect(one.hashed != other.hashed)
    #expect(one.hash != other.hash)
  }

  // MARK: Random operations

  @Test(arguments: 1...8 as ClosedRange<UInt64>)
  func aRandomRunLeavesWhatAModelSays(_ seed: UInt64) throws {
    let workspace = Workspace("random\(seed)")
    var random = Random(seed: seed)
    var database = try Database(path: workspace.path)
    try database.commit([.demo()])
    let names = ["panel401", "web401", "mobile401", "panel402", "guard1"]
    var bindings: [String: BindingRow] = [:]
    var settings: [String: String] = [:]
    var tail = AuditTail()
    for step in 0..<200 {
      var changes: [StoreChange] = []
      for _ in 0...random.below(3) {
        let name = names[Int(random.below(5))]
        switch random.below(5) {
        case 0, 1:
          let row = binding(name, expires: Int64(step))
          bindings[name] = row
          changes.append(.bind(row))
        case 2:
          bindings[name] = nil
          changes.append(.unbind(username: name, key: "a"))
        case 3:
          settings[name] = "\(step)"
          changes.append(.setting(name, "\(step)"))
        default:
          let row = audit(after: tail)
          tail = row.tail
          changes.append(.audit(row))
        }
      }
      try database.commit(changes)
      if random.below(40) == 0 {
        // Closed and opened anew.
        database = Database.inMemory()
        database = try Database(path: workspace.path)
      }
    }
    let state = try database.load()
    #expect(Dictionary(uniqueKeysWithValues: state.bindings.map { ($0.username, $0) }) == bindings)
    #expect(state.settings == settings)
    #expect(state.auditTail == tail)
    #expect(try database.brokenAuditRow(hash: digest) == nil)
    #expect(try database.integrityFault() == nil)
  }
}
