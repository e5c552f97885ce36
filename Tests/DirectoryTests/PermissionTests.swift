import Directory
import Testing
import Wire

@Suite struct PermissionTests {
  let building = try! directory(sample)

  @Test func anAccountOpensTheDoorsOfItsUnit() {
    #expect(building.mayOpen("entrance", by: "mobile101", at: friday(3)) == .granted)
    #expect(building.mayOpen("gate", by: "mobile101", at: friday(12)) == .notYourDoor)
    #expect(building.mayOpen("entrance", by: "panel102", at: friday(12)) == .notYourDoor)
  }

  @Test func aDoorWithAScheduleOpensAtItsHoursOnly() {
    #expect(building.mayOpen("gate", by: "web103", at: friday(7, 59)) == .notNow)
    #expect(building.mayOpen("gate", by: "web103", at: friday(8)) == .granted)
    #expect(building.mayOpen("gate", by: "web103", at: friday(20)) == .notNow)
  }

  @Test func whatNobodyKnowsOpensNothing() {
    #expect(building.mayOpen("entrance", by: "gone", at: friday(12)) == .unknownAccount)
    #expect(building.mayOpen("cellar", by: "mobile101", at: friday(12)) == .unknownDoor)
  }

  @Test func aKeyInACallNeedsAnAccountOfTheUnitThatIsInIt() {
    #expect(building.mayOpen("entrance", by: "mobile101", of: "101", at: friday(12)) == .granted)
    #expect(building.mayOpen("entrance", by: "mobile101", of: "103", at: friday(12)) == .notYourDoor)
    #expect(building.mayOpen("gate", by: "janitor", of: "103", at: friday(12)) == .notYourDoor)
  }

  @Test func peopleWithoutAUnitOpenTheDoorsWrittenBesideThem() {
    #expect(building.mayOpen("gate", by: "janitor", at: friday(3)) == .granted)
    #expect(building.mayOpen("gate", by: "guard1", at: friday(3)) == .notYourDoor)
  }

  @Test func aUnitSeesTheCamerasOfTheStationsOfItsDoors() {
    #expect(building.maySee("hall", unit: "101"))
    #expect(!building.maySee("hall", unit: "103"))
    #expect(!building.maySee("hall", unit: "102"))
    #expect(!building.maySee("attic", unit: "101"))
  }

  @Test func aRingCameraIsSeenOnlyWhileItsStationRingsOrTalks() {
    #expect(!building.maySee("gate", unit: "103"))
    #expect(building.maySee("gate", unit: "103", engaged: ["gate-main"]))
    #expect(!building.maySee("gate", unit: "103", engaged: ["intercom"]))
    #expect(!building.maySee("gate", unit: "101", engaged: ["gate-main"]))
    #expect(building.maySee("gate", account: "web103", engaged: ["gate-main"]))
    #expect(building.maySee("gate", account: "janitor", engaged: ["gate-main"]))
  }

  // MARK: Kinds, addresses, globs, hours

  @Test func everyKindHasItsTransportsAndContacts() {
    let table: [(AccountKind, [TransportKind], Int)] = [
      (.panel, [.udp, .tcp, .tls], 2), (.mobile, [.tcp, .tls, .udp, .wss], 5), (.browser, [.ws, .wss], 5),
      (.extension, [.wss], 1), (.line, [.wss], 5), (.station, [.udp, .tcp, .tls], 1),
      (.guard, [.udp, .tcp, .tls, .ws, .wss], 5), (.trunk, [], 0), (.sbc, [], 0),
    ]
    #expect(table.map(\.0) == AccountKind.allCases)
    for (kind, transports, contacts) in table {
      #expect(kind.transports == transports)
      #expect(kind.contacts == contacts)
      #expect(kind.registers == (contacts > 0))
    }
  }

  @Test func aStationIsChosenByAddressNotByFrom() throws {
    let address = try #require(IPAddress("192.0.2.10"))
    #expect(building.station(at: address, from: "anybody") == "gate-main")
    #expect(building.station(at: IPAddress("192.0.2.11")!, from: "gate-main") == nil)
    #expect(building.isStationAddress(address))
    #expect(building.station("gate-main")?.address?.port == 5060)
  }

  @Test func twoStationsOnOneAddressAreToldApartByTheFromUser() throws {
    let text = """
      { stations: [{ username: "a", address: "192.0.2.1:5062" }, { username: "b", address: "192.0.2.1" }] }
      """
    let building = try directory(text)
    let address = IPAddress("192.0.2.1")!
    #expect(building.station(at: address, from: "a") == "a")
    #expect(building.station(at: address, from: "b") == "b")
    #expect(building.station(at: address, from: "c") == nil)
    #expect(building.station("a")?.address?.port == 5062)
  }

  @Test(arguments: [
    ("*", "", true), ("*", "abc", true), ("intercom-*", "intercom-main", true),
    ("intercom-*", "intercom", false),
    ("*-main", "intercom-main", true), ("a*b*c", "aXbYbZc", true), ("a*b*c", "aXbYbZ", false),
    ("?", "", false),
    ("p?nel", "panel", true), ("panel", "Panel", false), ("", "", true), ("", "a", false),
    ("*********b", "aaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
  ])
  func globsMatch(_ pattern: String, _ text: String, _ expected: Bool) {
    #expect(Glob(pattern).matches(text) == expected)
  }

  @Test func aPeriodOfEqualEndsIsAWholeDayAndMidnightMayBeWritten24() throws {
    let round = Period(days: Days([4]), from: 22 * 60, to: 22 * 60)
    #expect(round.contains(day(20, 22)) && round.contains(day(21, 21, 59)))
    #expect(!round.contains(day(20, 21, 59)) && !round.contains(day(21, 22)))
    let day24 = Period(days: Days([4]), from: 0, to: 1440)
    #expect(day24.contains(day(20, 0)) && day24.contains(day(20, 23, 59)) && !day24.contains(day(21, 0)))
  }

  @Test func sundayNightReachesIntoMonday() {
    let period = Period(days: Days([6]), from: 23 * 60, to: 60)
    #expect(period.contains(day(22, 23)) && period.contains(day(23, 0, 59)))
    #expect(!period.contains(day(22, 0)))
  }

  @Test func aCallerIsShownByTheNameItsReaderKnows() {
    #expect(building.displayName(of: .station("gate-main")) == "Gate")
    #expect(building.displayName(of: .station("intercom")) == "intercom")
    #expect(building.displayName(of: .account("mobile101")) == "Ana")
    #expect(building.displayName(of: .account("panel101")) == "Martin")
    #expect(building.displayName(of: .account("panel102")) == "102")
    #expect(building.displayName(of: .account("janitor")) == "janitor")
  }

  @Test func aUsernameBecomesATypedCaller() {
    #expect(building.caller(named: "panel101") == .account("panel101"))
    #expect(building.caller(named: "gate-main") == .station("gate-main"))
    #expect(building.caller(named: "101") == nil)
    #expect(building.caller(named: "112") == nil)
  }
}
