import API
import JSON
import Testing
import Wire

@testable import vestibule

@Suite struct AnswerTests {
  @Test func problemsBecomeLinesWithWhatToDoNext() {
    let missing = Problem.unknown("account", "x", list: "accounts")
    #expect(
      ControlClient.failure(404, missing.json.bytes())
        == .failed(["no account \"x\"; see `vestibule accounts`"]))
    let refused = Problem(403, "eve may not use the control socket", next: "run as root")
    #expect(
      ControlClient.failure(403, refused.json.bytes())
        == .notAllowed("eve may not use the control socket; run as root"))
    #expect(
      ControlClient.failure(502, Array("<html>".utf8)) == .failed(["the gateway answered 502 Bad Gateway"]))
  }

  @Test func everyFaultOfAFileIsALine() {
    let place = JSONPlace(
      file: "b.json5", position: JSONPosition(line: 3, column: 9), path: "units[0].number")
    let problem = Problem.faulty([
      JSONError(place, expected: "text", found: "a number"), JSONError(place, expected: "a known key"),
    ])
    #expect(
      ControlClient.failure(422, problem.json.bytes()).lines == [
        "b.json5:3:9: units[0].number: expected text, found a number",
        "b.json5:3:9: units[0].number: expected a known key",
        "2 errors, nothing was changed; mend what is named and try again",
      ])
  }

  @Test func aSocketNobodyListensOnIs69AndAForbiddenOneIs77() {
    #expect(ControlClient.unreachable("/s", .refused).status == 69)
    #expect(ControlClient.unreachable("/s", .system(errno: 2)).status == 69)
    #expect(ControlClient.unreachable("/s", .notPermitted).status == 77)
  }

  @Test func tablesLineUp() {
    #expect(
      Tables.doors([
        .example, DoorView(id: "a", state: "idle", lastResult: nil, lastAt: nil, actuator: "none"),
      ])
        == """
        DOOR      ACTUATOR  STATE  LAST    AT
        entrance  gpio      idle   opened  2026-11-20T21:28:39Z
        a         none      idle   -       -

        """)
  }

  @Test func everyTableShowsItsExample() {
    for text in [
      Tables.units([.example]), Tables.accounts([.example]), Tables.stations([.example]),
      Tables.cameras([.example]), Tables.bans([.example]), Tables.calls([.example]),
      Tables.callRecords([.example]), Tables.legs([.example]), Tables.checks([.example]),
    ] {
      #expect(text.split(separator: "\n").count == 2)
      #expect(!text.contains("null") && !text.contains("nil"))
    }
    #expect(Tables.callRecords([.example]).hasSuffix("answered  panel401  13 s    4.37\n"))
    #expect(Tables.status(.example).contains("disk         20000 MB free of 32000 MB\n"))
    #expect(
      Tables.event(EventView.example.json.text())
        == "2026-11-20T21:28:39Z  door.attempt  door=entrance  result=opened")
  }
}
