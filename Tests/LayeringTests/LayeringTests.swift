import Testing

/// The direction of the arrows is law, and so are where `unsafe`, time and chance may be written.
struct LayeringTests {
  let house = House(manifest: SourceTree.text(of: "Package.swift"))
  let sources = SourceTree.swiftFiles(in: "Sources")

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

  @Test func plantedChanceIsFoundButNotInCommentsOrText() {
    let planted = [
      SourceTree.File(path: "Sources/SIP/Planted.swift", text: "let x = Int.random(in: 0...1)\n")
    ]
    #expect(House.determinismViolations(in: planted).count == 1)
    let spoken = [
      SourceTree.File(
        path: "Sources/SIP/Spoken.swift", text: "// never .random(in:)\nlet s = \"UUID()\" // await it\n")
    ]
    #expect(House.determinismViolations(in: spoken) == [])
  }
}
