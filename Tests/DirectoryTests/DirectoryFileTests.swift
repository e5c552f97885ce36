import Directory
import JSON
import Testing
import Wire

@Suite struct DirectoryFileTests {
  @Test func theDemoBuildingIsTheContractsPlusUnit402() throws {
    let demo = Building.demo()
    #expect(demo.units.map(\.number) == ["401", "402"])
    #expect(demo.unit(of: "panel402") == "402")
    #expect(demo.door("entrance")?.actuator == Actuator.none)
    #expect(demo.door("entrance")?.pulse == .milliseconds(3000))
    #expect(demo.camera("entrance")?.source == .pattern)
    #expect(demo.station("intercom-main")?.maxTalk == .seconds(180))
    #expect(demo.site.timezone == "Europe/Paris")
    #expect(try warnings(Building.demoFile()) == [])
    #expect(
      demo.rings(.station("intercom-main"), "401") == [["panel401", "web401", "mobile401"], ["guard1"]])
    #expect(demo.rings(.station("intercom-main"), "402") == [["panel402"]])
    #expect(demo.rings(.account("panel402"), "112") == [["guard1"]])
    #expect(demo.mayOpen("entrance", by: "panel402", at: friday(3)) == .granted)
  }

  @Test func anEmptyFileIsAnEmptyBuilding() throws {
    let building = try directory("{}")
    #expect(building.units.isEmpty && building.stations.isEmpty)
    #expect(building.site.timezone == "UTC")
  }

  @Test func whatIsExportedReadsBackWithoutChange() throws {
    for text in [sample, Building.demoFile(), "{}"] {
      let building = try directory(text).withoutPasswords().building
      let again = try directory(building.exported.text(.pretty))
      #expect(again.changes(from: building).isEmpty)
      #expect(again.exported == building.exported)
      #expect(again.units == building.units && again.accounts == building.accounts)
      #expect(again.stations == building.stations && again.cameras == building.cameras)
      #expect(again.doors == building.doors && again.site == building.site)
    }
  }

  // MARK: Passwords

  @Test func passwordsAreNeverPrinted() throws {
    let building = try directory(sample)
    let exported = building.exported.text(.pretty)
    #expect(!exported.contains("hunter2"))
    #expect(exported.contains("\"password\": \"unchanged\""))
    #expect(!"\(building) \(building.cameras) \(String(reflecting: building.doors))".contains("hunter2"))
  }

  @Test func passwordsLeaveTheDirectoryForTheStore() throws {
    let (building, passwords) = try directory(sample).withoutPasswords()
    #expect(passwords.map(\.device) == [.camera("gate"), .door("gate")])
    #expect(passwords.map(\.password) == ["hunter2", "hunter2"])
    #expect(building.devicesWithPassword.allSatisfy { $0.password == .stored })
  }

  @Test func unchangedKeepsTheStoredPasswordAndNeedsOne() throws {
    let stored = try directory(sample).withoutPasswords().building
    let again = try directory(stored.exported.text())
    #expect(again.passwordsNotStored(in: stored).isEmpty)
    #expect(again.passwordsNotStored(in: nil) == [.camera("gate"), .door("gate")])
    #expect(again.passwordsNotStored(in: Building.demo()) == [.camera("gate"), .door("gate")])
  }

  // MARK: Changes

  @Test func changesNameWhatWasAddedChangedAndRemoved() throws {
    let old = try directory(
      """
      { units: [{ number: "1", name: "A", accounts: [{ username: "p1", kind: "panel" }, { username: "m1", kind: "mobile" }] },
                { number: "2", accounts: [{ username: "p2", kind: "panel" }] }],
        doors: [{ id: "d", actuator: { kind: "none" } }] }
      """)
    let new = try directory(
      """
      { units: [{ number: "1", name: "B", doors: ["d"], accounts: [{ username: "p1", kind: "browser" }] },
                { number: "3", accounts: [{ username: "m1", kind: "mobile" }] }],
        doors: [{ id: "d", actuator: { kind: "none" } }] }
      """)
    let changes = new.changes(from: old)
    #expect(changes.added == [DirectoryChange(.unit, "3")])
    #expect(
      changes.changed == [
        DirectoryChange(.unit, "1", keys: ["name", "doors"]), DirectoryChange(.account, "p1", keys: ["kind"]),
        DirectoryChange(.account, "m1", keys: ["unit"]),
      ])
    #expect(changes.removed == [DirectoryChange(.unit, "2"), DirectoryChange(.account, "p2")])
    #expect(new.changes(from: new).isEmpty)
    #expect(new.changes(from: nil).removed.isEmpty && new.changes(from: nil).added.count == 7)
  }

  @Test func aPasswordThatIsGivenCountsAsChanged() throws {
    let new = try directory(sample)
    let changes = new.changes(from: new.withoutPasswords().building)
    #expect(
      changes.changed == [
        DirectoryChange(.camera, "gate", keys: ["password"]),
        DirectoryChange(.door, "gate", keys: ["password"]),
      ])
  }

  // MARK: Errors

  @Test func allErrorsAreToldAtOnceInTheOrderOfTheFile() {
    let found = faults(
      """
      {
        site: { timezone: "Europe Paris", emergncy: [] },
        units: [
          { number: "401", callWaiting: "rnig",
            accounts: [{ username: "panel401", kind: "panle" }],
            rules: [{ action: "forward" }, { action: "ring", timeout: 0, target: "panel410" }],
            doors: ["entrnce", { door: "entrance", schedule: [{ days: ["mo"], from: "25:00", to: "7" }] }] },
        ],
        doors: [{ id: "entrance", pulse: 99, openCode: "1234567", actuator: { kind: "gpio", chip: "gpiochip0" } }],
      }
      """)
    #expect(
      found == [
        "d:2:21: site.timezone: expected a time zone, such as \"Europe/Paris\", found an unknown one",
        "d:2:37: site.emergncy: expected a known key; did you mean \"emergency\"?",
        "d:4:35: units[0].callWaiting: expected one of \"ring\", \"busy\", \"next\"; did you mean \"ring\"?",
        "d:5:48: units[0].accounts[0].kind: expected one of \"panel\", \"mobile\", \"browser\", \"extension\", "
          + "\"line\", \"guard\", \"trunk\", \"sbc\"; did you mean \"panel\"?",
        "d:6:15: units[0].rules[0]: expected \"target\": whom to forward to, found no such key",
        "d:6:65: units[0].rules[1].timeout: expected a whole number from 1 to 600, found 0",
        "d:6:76: units[0].rules[1].target: expected the number of a unit, an account or \"guard\", found an unknown "
          + "name; did you mean \"panel401\"?",
        "d:7:15: units[0].doors[0]: expected the id of a door, found an unknown one; did you mean \"entrance\"?",
        "d:7:66: units[0].doors[1].schedule[0].days[0]: expected one of mon, tue, wed, thu, fri, sat, sun; "
          + "did you mean \"mon\"?",
        "d:7:79: units[0].doors[1].schedule[0].from: expected a time from \"00:00\" to \"23:59\"",
        "d:7:92: units[0].doors[1].schedule[0].to: expected a time from \"00:00\" to \"24:00\"",
        "d:9:36: doors[0].pulse: expected a whole number from 100 to 10000, found 99",
        "d:9:50: doors[0].openCode: expected 1 to 6 keys of 0-9 * # A-D",
        "d:9:71: doors[0].actuator: expected \"line\": a whole number from 0 to 1023, found no such key",
      ])
  }

  @Test func aNameUsedTwiceIsAnErrorWhereverItIsUsed() {
    let found = faults(
      """
      { site: { emergency: [{ number: "112", target: "guard" }] },
        units: [{ number: "401", aliases: ["112"], accounts: [{ username: "x", kind: "guard" }] },
                { number: "401" }],
        accounts: [{ username: "401", kind: "mobile" }],
        stations: [{ username: "x" }],
        doors: [{ id: "x", actuator: { kind: "none" } }, { id: "x", actuator: { kind: "none" } }],
        cameras: [{ id: "x", source: "test:pattern" }] }
      """)
    #expect(
      found == [
        "d:2:38: units[0].aliases[0]: expected a name that is used once; it is the emergency number at line 1 too",
        "d:3:21: units[1].number: expected a name that is used once; it is the unit at line 2 too",
        "d:4:26: accounts[0].username: expected a name that is used once; it is the unit at line 2 too",
        "d:5:26: stations[0].username: expected a name that is used once; it is the account at line 2 too",
        "d:6:58: doors[1].id: expected a name that is used once; it is the door at line 6 too",
      ])
  }

  @Test(arguments: ["guard", "page-401", "a b", "é", "", "a@b", "a/b", "*78"])
  func aNameThatCannotBeDialledIsRefused(_ name: String) {
    #expect(faults("{ accounts: [{ username: \"\(name)\", kind: \"mobile\" }] }").count == 1)
  }

  @Test func stationsAreNotWrittenAmongAccounts() {
    #expect(
      faults("{ accounts: [{ username: 'a', kind: 'station' }] }") == [
        "d:1:37: accounts[0].kind: expected a kind of account, found \"station\"; door stations are listed in \"stations\""
      ])
  }

  @Test(arguments: [
    "station.example", "192.0.2.256", "192.0.2.1:0", "192.0.2.1:70000", "0.0.0.0", "239.0.0.1", "::",
    "2001:db8::1:x",
  ])
  func aStationsAddressIsAnIPLiteralOfOneDevice(_ address: String) {
    #expect(faults("{ stations: [{ username: 's', address: '\(address)' }] }").count == 1)
  }

  @Test func aStationsAddressMayBeIPv6() throws {
    let building = try directory("{ stations: [{ username: 's', address: '[2001:db8::1]:5070' }] }")
    #expect(building.station(at: IPAddress("2001:db8::1")!, from: "") == "s")
    #expect(building.station("s")?.address?.port == 5070)
  }

  @Test(arguments: [
    "v4l2:video0", "http://x/", "sip:", "sip:nobody", "rtsp://", "rtsp://user:hunter2@192.0.2.1/",
    "test:colours", "",
  ])
  func whatIsNoSourceOfACameraIsRefused(_ source: String) {
    let found = faults("{ cameras: [{ id: 'c', source: '\(source)' }] }")
    #expect(found.count == 1)
    #expect(!found.joined().contains("hunter2"))
  }

  @Test func aStationsCallMayBeACamera() throws {
    let text = "{ stations: [{ username: 'gate', camera: 'c' }], cameras: [{ id: 'c', source: 'sip:gate' }] }"
    let building = try directory(text)
    #expect(building.camera("c")?.source == .call("gate"))
    #expect(
      try Building.read(Array(building.exportedText.utf8), file: "again").building.cameras == building.cameras
    )
  }

  @Test func aNetworkCameraMayHaveASmallerStream() throws {
    let text =
      "{ cameras: [{ id: 'c', source: 'rtsp://192.0.2.1/main', substream: 'rtsp://192.0.2.1/sub' }] }"
    let building = try directory(text)
    #expect(building.camera("c")?.substream == "rtsp://192.0.2.1/sub")
    #expect(
      try Building.read(Array(building.exportedText.utf8), file: "again").building.cameras == building.cameras
    )
    #expect(
      faults("{ cameras: [{ id: 'c', source: 'test:pattern', substream: 'rtsp://192.0.2.1/sub' }] }").count
        == 1)
    let found = faults(
      "{ cameras: [{ id: 'c', source: 'rtsp://a/', substream: 'rtsp://user:hunter2@192.0.2.1/' }] }")
    #expect(found.count == 1 && !found.joined().contains("hunter2"))
  }

  @Test func howADeviceIsTakenUpIsReadAndWritten() throws {
    let text = """
      { cameras: [ { id: "a", source: "v4l2:/dev/video0", capture: { width: 640, height: 480, rate: 15, bitRate: 900,
          controls: [ { name: "Brightness", value: -3 } ], masks: [ { x: 0, y: 500, width: 250, height: 500 } ] } },
        { id: "b", source: "test:pattern" } ] }
      """
    let building = try Building.read(Array(text.utf8), file: "d").building
    let capture = try #require(building.camera("a")).capture
    #expect(capture.width == 640 && capture.height == 480 && capture.framesPerSecond == 15)
    #expect(capture.bitRate == 900)
    #expect(capture.controls == [.init(name: "Brightness", value: -3)])
    #expect(capture.masks == [.init(x: 0, y: 500, width: 250, height: 500)])
    #expect(building.camera("b")?.capture == Capture())
    let again = try Building.read(Array(building.exportedText.utf8), file: "again").building
    #expect(again.cameras == building.cameras)
    #expect(!building.exportedText.contains("\"capture\": {}"))
  }

  @Test(arguments: [
    "{ width: 100 }", "{ height: 5000 }", "{ rate: 0 }", "{ bitRate: 1 }", "{ masks: [ { x: 0 } ] }",
    "{ masks: [ { x: 0, y: 0, width: 1001, height: 5 } ] }", "{ controls: [ { value: 1 } ] }",
    "{ colour: 1 }",
  ])
  func whatNoDeviceCouldBeToldIsRefused(_ capture: String) {
    #expect(!faults("{ cameras: [{ id: 'c', source: 'v4l2:/dev/video0', capture: \(capture) }] }").isEmpty)
  }

  @Test(arguments: [
    "default", "hw:1,0", "plughw:CARD=Webcam,DEV=0", "sysdefault:CARD=U0x46d0x825", "door-mic",
  ])
  func aMicrophoneBesideACameraIsReadAndWritten(_ name: String) throws {
    for source in ["v4l2:/dev/video0", "test:pattern"] {
      let building = try directory("{ cameras: [{ id: 'c', source: '\(source)', microphone: '\(name)' }] }")
      #expect(building.camera("c")?.microphone == name)
      let again = try Building.read(Array(building.exportedText.utf8), file: "again").building
      #expect(again.cameras == building.cameras)
    }
  }

  /// ALSA's library would write files for some of these, and run programs for others.
  @Test(arguments: [
    "", "/dev/snd/pcmC1D0c", "hw:", ":1", "hw:1 0", "tee:hw,|reboot,raw", "file:hw", "tee:default,a.raw",
    "plug:hw:1", "hw:{ type file }", "hw:1\\'",
  ])
  func whatIsNoNameOfASoundCardIsRefused(_ name: String) {
    let found = faults("{ cameras: [{ id: 'c', source: 'v4l2:/dev/video0', microphone: '\(name)' }] }")
    #expect(found.count == 1)
    #expect(found.first?.contains("hw:1,0") == true)
  }

  @Test func aMicrophoneBesideANetworkCameraIsRefused() {
    let found = faults("{ cameras: [{ id: 'c', source: 'rtsp://192.0.2.1/', microphone: 'default' }] }")
    #expect(found.count == 1 && found[0].contains("brings its own sound"))
  }

  @Test func aMaskOverANetworkCameraIsSaidToBeImpossible() {
    let found = faults(
      "{ cameras: [{ id: 'c', source: 'rtsp://192.0.2.1/', capture: { masks: [{ x: 0, y: 0, width: 9, height: 9 }] } }] }"
    )
    #expect(found.count == 1)
    #expect(found[0].contains("pass as they are"))
  }

  @Test(arguments: [
    "{ kind: 'http', url: 'http://admin:hunter2@192.0.2.1' }", "{ kind: 'http', url: 'ftp://192.0.2.1' }",
    "{ kind: 'http' }", "{ kind: 'http', url: 'http:///x' }", "{ kind: 'gpio', chip: 'gpiochip0' }",
    "{ kind: 'dtmf', mode: 'inband' }", "{ kind: 'dtmf', code: 'x' }", "{ kind: 'none', line: 1 }",
    "{ kind: 'magic' }",
    "{ kind: 'http', url: 'http://192.0.2.1', fingerprint: 'abc' }",
    "{ kind: 'http', url: 'http://192.0.2.1', relay: 0 }",
  ])
  func aWrongActuatorIsRefusedWithOneError(_ actuator: String) {
    let found = faults("{ doors: [{ id: 'd', actuator: \(actuator) }] }")
    #expect(found.count == 1)
    #expect(!found.joined().contains("hunter2"))
  }

  @Test func actuatorsAreReadWithTheirDefaults() throws {
    let building = try directory(
      """
      { doors: [{ id: "a", actuator: { kind: "dtmf" } },
                { id: "b", actuator: { kind: "http", url: "https://192.0.2.1/x", fingerprint: "\(
                  Array(repeating: "AB", count: 32).joined(separator: ":"))" } },
                { id: "c", actuator: { kind: "gpio", chip: "/dev/gpiochip0", line: 4, activeLow: true } }] }
      """)
    #expect(building.door("a")?.actuator == .dtmf(code: "#", mode: .rfc4733))
    let fingerprint = String(repeating: "ab", count: 32)
    #expect(
      building.door("b")?.actuator
        == .http(HTTPActuator(url: "https://192.0.2.1/x", fingerprint: fingerprint)))
    #expect(building.door("c")?.actuator == .gpio(chip: "/dev/gpiochip0", line: 4, activeLow: true))
    #expect(building.door("a")?.openCode == "#")
  }

  @Test func onlyTheZonesThatExistAreTaken() {
    #expect(throws: DirectoryFault.self) {
      _ = try Building.read(Array("{ site: { timezone: 'Mars/Base' } }".utf8), isZone: { $0 == "UTC" })
    }
  }

  @Test func aFaultOfGrammarIsToldToo() {
    #expect(faults("{ units: [ }") == ["d:1:12: expected a value, found \"}\""])
  }

  // MARK: Warnings

  @Test func whatIsAllowedButProbablyNotMeantIsWarnedOf() throws {
    let found = try warnings(
      """
      { site: { emergency: [{ number: "112" }, { number: "18", target: "guard" }] },
        units: [{ number: "1", rules: [{ action: "voicemail" }] }],
        stations: [{ username: "a", address: "192.0.2.1" }, { username: "b", address: "192.0.2.1:5070" }],
        doors: [{ id: "d" }] }
      """)
    #expect(found.count == 6)
    let all = found.joined(separator: "\n")
    for words in [
      "this emergency number has no target", "no account is of kind guard", "voicemail does not exist yet",
      "has no accounts", "has this address too", "has no actuator",
    ] { #expect(all.contains(words)) }
  }
}
