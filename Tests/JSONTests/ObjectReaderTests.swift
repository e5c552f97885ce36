import JSON
import Testing

private enum Waiting: String, CaseIterable { case ring, busy, next }

private struct Sample: Equatable {
  var name = ""
  var port = 0
  var waiting = Waiting.ring
  var link: String?
  var tags: [String] = []
  var isOn = false
}

private func read(_ text: String) throws -> (Sample?, JSONReport) {
  let report = JSONReport(file: "f.json5")
  let node = try JSONNode(parsing: Array(text.utf8), dialect: .json5, file: "f.json5")
  let sample = ValueReader(node, report: report).object { root in
    root.section("gateway") { gateway in
      Sample(
        name: gateway.string("name", default: "vestibule"),
        port: gateway.integer("port", default: 5060, in: 0...65535),
        waiting: gateway.choice("callWaiting", default: Waiting.ring), link: gateway.optionalString("link"),
        tags: gateway.strings("tags"), isOn: gateway.bool("on", default: true))
    }
  }
  return (sample, report)
}

@Suite struct ObjectReaderTests {
  @Test func whatIsAbsentTakesItsDefault() throws {
    let (sample, report) = try read("{}")
    #expect(sample == Sample(name: "vestibule", port: 5060, waiting: .ring, isOn: true))
    #expect(report.errors.isEmpty)
    let (other, _) = try read("{gateway: {link: null}}")
    #expect(other == sample)
  }

  @Test func whatIsWrittenIsTaken() throws {
    let (sample, report) = try read(
      "{gateway: {name: 'n', port: 1.0, callWaiting: 'next', link: 'l', tags: ['a', 'b'], on: false}}")
    #expect(
      sample == Sample(name: "n", port: 1, waiting: .next, link: "l", tags: ["a", "b"], isOn: false))
    #expect(report.errors.isEmpty)
  }

  @Test func allErrorsOfAFileAreToldAtOnceEachWithItsPlace() throws {
    let (_, report) = try read(
      """
      {
        gateway: { naem: 'x', port: 70000, callWaiting: 'buzy',
          tags: [1, 'a'], on: 'yes', link: 3, name: 'a', name: 'b' },
        gatway: {},
      }
      """)
    #expect(
      report.sortedErrors.map(\.description) == [
        "f.json5:2:14: gateway.naem: expected a known key; did you mean \"name\"?",
        "f.json5:2:31: gateway.port: expected a whole number from 0 to 65535, found 70000",
        "f.json5:2:51: gateway.callWaiting: expected one of \"ring\", \"busy\", \"next\"; did you mean \"busy\"?",
        "f.json5:3:12: gateway.tags[0]: expected text, found a number",
        "f.json5:3:25: gateway.on: expected true or false, found text",
        "f.json5:3:38: gateway.link: expected text, found a number",
        "f.json5:3:52: gateway.name: expected each key once, found it again; first written at line 3, column 41",
        "f.json5:4:3: gatway: expected a known key; did you mean \"gateway\"?",
      ])
  }

  @Test func anErrorNeverRepeatsTextThatStoodThere() throws {
    let (_, report) = try read(
      "{gateway: {callWaiting: 'hunter2-secret', port: 'hunter2-secret', on: 'hunter2'}}")
    #expect(report.errors.count == 3)
    for error in report.errors { #expect(!error.description.contains("hunter2")) }
  }

  @Test func aMissingKeyNamesTheStrayOneThatMayBeIt() throws {
    let report = JSONReport(file: "f")
    let node = try JSONNode(parsing: Array("{usrname: 'x'}".utf8), dialect: .json5)
    _ = ValueReader(node, report: report).object { $0.string("username") }
    #expect(
      report.errors.first?.description
        == "f:1:1: expected \"username\": text, found no such key; is \"usrname\" meant to be \"username\"?")
  }

  @Test func errorsBeyondTheLimitAreCountedNotKept() throws {
    let report = JSONReport(file: "f")
    let text = "[" + String(repeating: "1,", count: 150) + "]"
    let node = try JSONNode(parsing: Array(text.utf8), dialect: .json5)
    for item in ValueReader(node, report: report).list() ?? [] { _ = item.string() }
    #expect(report.errors.count == JSONReport.mostErrors)
    #expect(report.further == 50)
  }

  @Test func theNearestWordIsFoundAndAFarOneIsNot() {
    let known = ["username", "camera", "door", "address"]
    #expect(nearest(to: "usernmae", among: known) == "username")
    #expect(nearest(to: "Camera", among: known) == "camera")
    #expect(nearest(to: "dor", among: known) == "door")
    #expect(nearest(to: "pulse", among: known) == nil)
    #expect(nearest(to: "", among: known) == nil)
  }
}
