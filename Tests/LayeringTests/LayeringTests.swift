import Testing

/// The direction of the arrows is law, and so are where `unsafe`, time and chance may be written.
struct LayeringTests {
  private static let readHouse = House(manifest: SourceTree.text(of: "Package.swift"))
  private static let readSources = SourceTree.swiftFiles(in: "Sources")
  let house = Self.readHouse
  let sources = Self.readSources

  @Test func theManifestIsReadAsAHouse() {
    #expect(house.rooms.first?.name == "Wire")
    #expect(house.rooms.last?.name == "Gateway")
    #expect(house.rooms.first { $0.name == "Calls" }?.imports.contains("SIP") == true)
    #expect(sources.count > 50)
  }

  @Test func noRoomImportsALaterOne() {
    #expect(house.importViolations(in: sources) == [])
  }

  @Test func callsAndDoorsNeverImportOneAnother() {
    for (one, other) in [("Calls", "Doors"), ("Doors", "Calls")] {
      #expect(house.rooms.first { $0.name == one }?.imports.contains(other) == false)
    }
  }

  @Test func unsafeStandsOnlyInRoomsThatWrapC() {
    #expect(House.safetyViolations(in: sources) == [])
  }

  @Test func timeAndChanceComeFromTheWorldAlone() {
    let simulation = SourceTree.swiftFiles(in: "Tests/Simulation")
    #expect(House.determinismViolations(in: sources + simulation) == [])
  }

  @Test func nothingDependsOnTheOrderOfATable() {
    let simulation = SourceTree.swiftFiles(in: "Tests/Simulation")
    #expect(House.orderViolations(in: sources + simulation) == [])
  }

  @Test func aPlantedArrowUpIsFound() {
    let planted = [SourceTree.File(path: "Sources/SIP/Planted.swift", text: "package import Calls\n")]
    #expect(house.importViolations(in: planted).count == 1)
    let declared = House(
      manifest: """
        let rooms: [Target] = [
          room("Wire", ["SIP"]), room("SIP", ["Wire"])
        ]
        let programs
        """)
    #expect(declared.importViolations(in: []).count == 1)
    let foundation = [SourceTree.File(path: "Sources/Wire/Planted.swift", text: "import Foundation\n")]
    #expect(house.importViolations(in: foundation).count == 1)
  }

  @Test func plantedUnsafetyIsFound() {
    let planted = [
      SourceTree.File(path: "Sources/Calls/Planted.swift", text: "let x = unsafe y\n"),
      SourceTree.File(path: "Sources/Reactor/Planted.swift", text: "final class A: @unchecked Sendable {}\n"),
    ]
    #expect(House.safetyViolations(in: planted).count == 2)
    let proved = [
      SourceTree.File(
        path: "Sources/Reactor/Proved.swift",
        text: "// Guarded by its lock.\nclass A: @unchecked Sendable {}\n")
    ]
    #expect(House.safetyViolations(in: proved) == [])
  }

  @Test func aPlantedWalkThroughATableIsFound() {
    func count(_ text: String) -> Int {
      House.orderViolations(in: [SourceTree.File(path: "Sources/SIP/Planted.swift", text: text)]).count
    }
    let table = "private var dialogs: [String: Dialog] = [:]\n"
    #expect(count(table + "for (id, dialog) in dialogs {\n") == 1)
    #expect(count(table + "for dialog in self.dialogs.values where dialog.isOpen {\n") == 1)
    #expect(count(table + "let all = dialogs.values.map { $0.id }\n") == 1)
    #expect(count("var seen: Set<Int> = []\nseen.forEach { send($0) }\n") == 1)
    #expect(count("let seen = Set(ids)\nfor id in seen {\n") == 1)
    #expect(count(table + "for id in dialogs.keys.sorted() {\n") == 0)
    #expect(count(table + "// Each is only counted: the order does not matter.\nfor d in dialogs {\n") == 0)
    #expect(count("var list: [(key: Int, value: Int)] = []\nfor pair in list {\n") == 0)
    #expect(count(table + "let one = dialogs[id]\n") == 0)
    #expect(count(table + "for leg in dialogs[id] ?? [] {\n") == 0)
  }

  @Test func plantedChanceIsFoundButNotInCommentsOrText() {
    let planted = [
      SourceTree.File(path: "Sources/SIP/Planted.swift", text: "let x = Int.random(in: 0...1)\n")
    ]
    #expect(House.determinismViolations(in: planted).count == 1)
    for sentence in ["let d = Date()", "let u = UUID()", "list.shuffled()", "localtime(&t)", "Task { go() }"]
    {
      let one = [SourceTree.File(path: "Sources/Wire/Planted.swift", text: sentence + "\n")]
      #expect(House.determinismViolations(in: one).count == 1, "\(sentence)")
    }
    let calendar = [SourceTree.File(path: "Sources/Wire/Day.swift", text: "let d = CivilDate(year: 1)\n")]
    #expect(House.determinismViolations(in: calendar) == [])
    let spoken = [
      SourceTree.File(
        path: "Sources/SIP/Spoken.swift", text: "// never .random(in:)\nlet s = \"UUID()\" // await it\n")
    ]
    #expect(House.determinismViolations(in: spoken) == [])
  }
}
