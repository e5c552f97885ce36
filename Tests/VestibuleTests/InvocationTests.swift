import Testing

@testable import vestibule

@Suite struct InvocationTests {
  func understand(_ line: String) throws(CommandFailure) -> Invocation.Understood {
    try Invocation.understand(line.split(separator: " ").map(String.init), version: "1")
  }

  /// The words that installers and scripts rely on.
  @Test func everyPromisedVerbIsThere() {
    let promised = """
      apply backup bans calls cameras cdr doctor doors dnd enroll events export maintenance open restore revoke
      ring stations status support-bundle units accounts
      """.split { $0.isWhitespace }.map(String.init)
    #expect(Set(Verb.allCases.map(\.rawValue)) == Set(promised))
  }

  @Test(arguments: Verb.allCases) func everyVerbExplainsItself(_ verb: Verb) throws {
    let help = try understand("\(verb.rawValue) --help")
    guard case .say(let text) = help else {
      Issue.record("no help")
      return
    }
    #expect(text.hasPrefix("usage: vestibule \(verb.rawValue)"))
    for option in verb.options + Verb.commonOptions { #expect(text.contains("--\(option.name)")) }
    for form in verb.forms { #expect(text.contains(form)) }
    #expect(text.contains("Exit status: 0 done, 64"))
    #expect(Verb.overview.contains("  \(verb.rawValue) "))
    for line in text.split(separator: "\n") { #expect(line.count <= 130) }
  }

  @Test func optionsStandAnywhere() throws {
    let expected = Invocation(
      verb: .enroll, arguments: ["panel401"],
      options: ["format": "sip", "json": "", "socket": "/tmp/s", "replace": ""])
    for line in [
      "--json --socket /tmp/s enroll --format sip --replace panel401",
      "enroll panel401 --format=sip --replace --json --socket=/tmp/s",
    ] { #expect(try understand(line) == .run(expected)) }
    #expect(
      try understand("enroll -- --json")
        == .run(Invocation(verb: .enroll, arguments: ["--json"], options: [:])))
    #expect(try understand("--version") == .say("vestibule 1\n"))
    #expect(try understand("--help") == .say(Verb.overview))
    #expect(try understand("apply -") == .run(Invocation(verb: .apply, arguments: ["-"])))
    #expect(
      try understand("calls hangup c1") == .run(Invocation(verb: .calls, arguments: ["hangup", "c1"])))
  }

  @Test(arguments: [
    "", "fly", "apply", "apply a b", "apply a --format sip", "units extra", "dnd", "dnd maybe 401", "dnd on",
    "calls hangup", "calls end c1", "bans lift", "ring", "enroll a --format", "enroll a --replace=yes",
    "events --after", "backup", "restore", "restore a b",
    "maintenance", "maintenance maybe", "support-bundle x",
    "--dry-run apply a", "open", "revoke", "revoke a 1 2", "--socket",
  ])
  func wordsThatMakeNoCommandExit64(_ line: String) {
    let failure = #expect(throws: CommandFailure.self) { try understand(line) }
    #expect(failure?.status == 64)
    #expect(failure?.lines.count == 1)
  }

  @Test func everyFailureHasItsExitStatus() {
    #expect(CommandFailure.usage("").status == 64)
    #expect(CommandFailure.unreachable("").status == 69)
    #expect(CommandFailure.notAllowed("").status == 77)
    #expect(CommandFailure.failed([]).status == 1)
  }
}
