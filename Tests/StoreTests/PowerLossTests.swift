import Directory
import Simulation
import Store
import Testing
import Wire

@Suite struct PowerLossTests {
  @Test func whatMustSurviveIsFlushedAndBindingsAreNot() throws {
    let disk = SimulatedDisk(name: "flushes")
    let database = try Database(path: "/state.db", vfs: disk.name)
    try database.commit([.demo()])
    var before = disk.flushes
    for number in 1...20 { try database.commit([.bind(binding("panel401", expires: Int64(number)))]) }
    #expect(disk.flushes == before)
    for number in 1...20 {
      before = disk.flushes
      try database.commit([.setting("a", "\(number)"), .bind(binding("panel401"))])
      #expect(disk.flushes > before)
    }
  }

  @Test(arguments: 1...24 as ClosedRange<UInt64>)
  func aPowerLossAtAnyWriteKeepsEverythingAcknowledged(_ seed: UInt64) throws {
    var random = Random(seed: seed)
    var image = SimulatedDisk.Image()
    var tail = AuditTail()
    var calls = 0
    for life in 0..<4 {
      let disk = SimulatedDisk(name: "power\(seed).\(life)", seed: seed, image: image)
      do {
        let database = try Database(path: "/state.db", vfs: disk.name)
        let state = try database.load()
        // All that was acknowledged, and at most the one commit that was under way.
        #expect(state.auditTail.sequence == tail.sequence || state.auditTail.sequence == tail.sequence + 1)
        #expect(try database.integrityFault() == nil)
        #expect(try database.brokenAuditRow(hash: digest) == nil)
        #expect(try database.calls(limit: 1000).count == Int(state.auditTail.sequence))
        tail = state.auditTail
        calls = Int(tail.sequence)
        try database.commit([.demo()])
        disk.writesUntilPowerLoss = Int(random.below(400))
        while true {
          if random.below(3) == 0 {
            try database.commit([.bind(binding("panel401", expires: tail.sequence))])
          }
          if random.below(20) == 0 { try database.checkpoint() }
          let row = audit(after: tail)
          try database.commit([.audit(row), .call(call(calls + 1))])
          tail = row.tail
          calls += 1
        }
      } catch {
        guard case .inputOutput = error else {
          Issue.record("\(error)")
          return
        }
      }
      image = disk.survivors(&random)
    }
  }

  @Test func atEveryFlushThereIsAWholeDatabase() throws {
    let disk = SimulatedDisk(name: "replay")
    var images: [(image: SimulatedDisk.Image, acknowledged: Int64)] = []
    var tail = AuditTail()
    disk.flushed = { images.append((disk.flushedImage, tail.sequence)) }
    defer { disk.flushed = nil }
    do {
      let database = try Database(path: "/state.db", vfs: disk.name)
      for number in 1...40 {
        let row = audit(after: tail)
        try database.commit([.audit(row), .setting("a", "\(number)")])
        tail = row.tail
        if number % 7 == 0 { try database.checkpoint() }
      }
    }
    #expect(images.count > 40)
    for (place, state) in images.enumerated() {
      let copy = SimulatedDisk(name: "replay.\(place)", image: state.image)
      let database = try Database(path: "/state.db", vfs: copy.name)
      let found = try database.load().auditTail.sequence
      #expect(found == state.acknowledged || found == state.acknowledged + 1)
      #expect(try database.integrityFault() == nil)
    }
  }

  @Test func aFullDiskRefusesOneWriteAndLosesNothing() throws {
    let disk = SimulatedDisk(name: "full")
    let database = try Database(path: "/state.db", vfs: disk.name)
    try database.commit([.demo(), .setting("a", "1")])
    try database.checkpoint()
    disk.capacity = disk.flushedImage.values.reduce(0) { $0 + $1.count } + 20_000
    var written = 0
    do {
      while written < 10_000 {
        try database.commit([.call(call(written))])
        written += 1
      }
      Issue.record("the disk never filled")
    } catch {
      #expect(error == .full)
    }
    #expect(throws: StoreFailure.full) {
      try database.commit([.setting("b", String(repeating: "x", count: 50_000))])
    }
    #expect(try database.load().settings == ["a": "1"])
    #expect(try database.calls(limit: 100_000).count == written)
    disk.capacity = nil
    try database.commit([.setting("b", "2")])
    #expect(try database.load().settings == ["a": "1", "b": "2"])
  }

  @Test func anAuditEntryAfterAFailedCommitContinuesTheChainThatIsStored() throws {
    let disk = SimulatedDisk(name: "chain")
    let database = try Database(path: "/state.db", vfs: disk.name)
    func entry(_ number: Int) -> StoreChange {
      .record(
        AuditEntry(at: at(Int64(number)), actor: "a", action: "b", subject: "c", result: "\(number)"),
        hash: { digest($0) })
    }
    try database.commit([entry(1), entry(2)])
    disk.isFailing = true
    #expect(throws: StoreFailure.self) { try database.commit([entry(3)]) }
    disk.isFailing = false
    try database.commit([entry(4)])
    #expect(try database.audit(limit: 9).map(\.result) == ["1", "2", "4"])
    #expect(try database.brokenAuditRow(hash: digest) == nil)
    #expect(try database.auditTail() == database.load().auditTail)
  }

  @Test func aDiskThatFailsForAWhileIsUsedAgainAfterwards() throws {
    let disk = SimulatedDisk(name: "failing")
    let database = try Database(path: "/state.db", vfs: disk.name)
    try database.commit([.setting("a", "1")])
    disk.isFailing = true
    #expect(throws: StoreFailure.self) { try database.commit([.setting("a", "2")]) }
    #expect(try database.load().settings == ["a": "1"])
    disk.isFailing = false
    try database.commit([.setting("a", "3")])
    #expect(try database.load().settings == ["a": "3"])
  }
}
