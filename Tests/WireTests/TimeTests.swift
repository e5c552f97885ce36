import Testing
import Wire

@Suite struct TimeTests {
  @Test func theEarlierDeadlineIsTheOneThatComes() {
    let (one, two) = (Instant(nanoseconds: 1), Instant(nanoseconds: 2))
    #expect(Instant.earlier(one, two) == one)
    #expect(Instant.earlier(two, one) == one)
    #expect(Instant.earlier(two, nil) == two)
    #expect(Instant.earlier(nil, two) == two)
    #expect(Instant.earlier(nil, nil) == nil)
    #expect([two, nil, one].reduce(nil, Instant.earlier) == one)
  }

  @Test(arguments: [
    (0, 1970, 1, 1, 3), (-1, 1969, 12, 31, 2), (11_016, 2000, 2, 29, 1), (11_017, 2000, 3, 1, 2),
    (20_777, 2026, 11, 20, 4), (-719_468, 0, 3, 1, 2), (2_932_896, 9999, 12, 31, 4), (-25_508, 1900, 3, 1, 3),
  ])
  func daysAndDatesAgree(days: Int, year: Int, month: Int, day: Int, weekday: Int) {
    let date = CivilDate(year: year, month: month, day: day)
    #expect(date.daysSinceEpoch == days)
    #expect(CivilDate(daysSinceEpoch: days) == date)
    #expect(date.weekday == weekday)
  }

  @Test func everyDayOfNineCenturiesComesAfterItsEve() {
    var eve = CivilDate(daysSinceEpoch: -170_000)
    for days in -169_999...160_000 {
      let date = CivilDate(daysSinceEpoch: days)
      #expect(date.daysSinceEpoch == days)
      let follows =
        date.day == eve.day + 1 && date.month == eve.month
        || date.day == 1 && (date.month == eve.month + 1 || date.month == 1 && eve.month == 12)
      guard follows else {
        Issue.record("\(date) does not follow \(eve)")
        return
      }
      eve = date
    }
  }

  @Test(arguments: [
    ("2026-11-20T21:28:39.000Z", 1_795_210_119_000), ("1970-01-01T00:00:00.000Z", 0),
    ("2024-02-29T23:59:59.999Z", 1_709_251_199_999),
  ])
  func momentsAreWrittenAndReadAsRFC3339(text: String, milliseconds: Int64) throws {
    let moment = WallTime(nanoseconds: milliseconds * 1_000_000)
    #expect(moment.description == text)
    #expect(WallTime(text) == moment)
  }

  @Test func fractionsMayBeAbsentOrLonger() {
    #expect(WallTime("1970-01-01T00:00:01Z")?.nanoseconds == 1_000_000_000)
    #expect(WallTime("1970-01-01T00:00:00.5Z")?.nanoseconds == 500_000_000)
    #expect(WallTime("1970-01-01T00:00:00.000000001Z")?.nanoseconds == 1)
    // A leap second is the first of the next minute.
    #expect(WallTime("2016-12-31T23:59:60Z") == WallTime("2017-01-01T00:00:00Z"))
  }

  @Test(arguments: [
    "", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01T00:00:00+00:00", "1970-13-01T00:00:00Z",
    "1970-00-01T00:00:00Z", "1970-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "1970-01-00T00:00:00Z",
    "1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z", "1970-01-01T00:00:61Z", "1970-01-01T00:00:00.Z",
    "1970-01-01T00:00:00.1234567890Z", "1970/01/01T00:00:00Z", "1970-01-01T00-00-00Z", "1970-01-01 00:00:00Z",
    "9999-12-31T23:59:59Z", "2262-12-31T23:59:59Z", "197a-01-01T00:00:00Z",
  ])
  func whatIsNoMomentOrOneThatDoesNotFitIsRefused(text: String) {
    #expect(WallTime(text) == nil)
  }
}

@Suite struct ZoneTests {
  private func local(_ zone: Zone, _ text: String) throws -> String {
    let time = zone.localTime(at: try #require(WallTime(text)))
    return "\(time.date.year)-\(time.date.month)-\(time.date.day) \(time.minute / 60):\(time.minute % 60)"
  }

  @Test func parisChangesItsClocksAtOneInTheMorningUTC() throws {
    let paris = try #require(Zone(rule: "CET-1CEST,M3.5.0,M10.5.0/3"))
    #expect(try local(paris, "2026-03-29T00:59:59Z") == "2026-3-29 1:59")
    #expect(try local(paris, "2026-03-29T01:00:00Z") == "2026-3-29 3:0")
    #expect(try local(paris, "2026-10-25T00:59:59Z") == "2026-10-25 2:59")
    #expect(try local(paris, "2026-10-25T01:00:00Z") == "2026-10-25 2:0")
    #expect(try local(paris, "2026-12-31T23:30:00Z") == "2027-1-1 0:30")
    #expect(try local(paris, "1969-12-31T23:30:00Z") == "1970-1-1 0:30")
  }

  @Test func southernSummerSpansTheNewYear() throws {
    let sydney = try #require(Zone(rule: "AEST-10AEDT,M10.1.0,M4.1.0/3"))
    #expect(try local(sydney, "2026-01-01T00:00:00Z") == "2026-1-1 11:0")
    #expect(try local(sydney, "2026-07-01T00:00:00Z") == "2026-7-1 10:0")
    #expect(try local(sydney, "2026-04-04T15:59:59Z") == "2026-4-5 2:59")
    #expect(try local(sydney, "2026-04-04T16:00:00Z") == "2026-4-5 2:0")
  }

  @Test func oddOffsetsAndDayFormsAreRead() throws {
    #expect(try local(try #require(Zone(rule: "<+0545>-5:45")), "2026-01-01T00:00:00Z") == "2026-1-1 5:45")
    #expect(
      try local(try #require(Zone(rule: "NST3:30NDT,M3.2.0,M11.1.0")), "2026-07-01T12:00:00Z")
        == "2026-7-1 9:30")
    // Greenland changes relative to its own day before: negative times of RFC 8536.
    let nuuk = try #require(Zone(rule: "<-02>2<-01>,M3.5.0/-1,M10.5.0/0"))
    #expect(try local(nuuk, "2026-03-29T00:59:59Z") == "2026-3-28 22:59")
    #expect(try local(nuuk, "2026-03-29T01:00:00Z") == "2026-3-29 0:0")
    // Day 60 of the Julian form is 1 March, leap year or not.
    let julian = try #require(Zone(rule: "AAA0BBB,J60/0,J300/0"))
    #expect(try local(julian, "2024-02-29T12:00:00Z") == "2024-2-29 12:0")
    #expect(try local(julian, "2024-03-01T00:00:00Z") == "2024-3-1 1:0")
    #expect(try local(julian, "2025-03-01T00:00:00Z") == "2025-3-1 1:0")
    let ordinal = try #require(Zone(rule: "AAA0BBB,59/0,300/0"))
    #expect(try local(ordinal, "2024-02-29T00:00:00Z") == "2024-2-29 1:0")
  }

  @Test(arguments: [
    "", "C", "CET", "CET-1CEST,", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0",
    "CET-1CEST,M3.5.0,M10.5.0x", "<CET-1", "CET-999",
  ])
  func whatIsNoRuleIsRefused(text: String) {
    #expect(Zone(rule: text) == nil)
  }

  /// A version 2 file by hand: one transition at 1000 s from +1 h to +2 h, then a rule.
  private var file: [UInt8] {
    func header(_ times: UInt8, _ types: UInt8, _ characters: UInt8) -> [UInt8] {
      Array("TZif2".utf8) + [UInt8](repeating: 0, count: 15)
        + [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, times, 0, 0, 0, types, 0, 0, 0, characters]
    }
    let types: [UInt8] = [0, 0, 0x0E, 0x10, 0, 0] + [0, 0, 0x1C, 0x20, 1, 0]
    return header(0, 1, 1) + [0, 0, 0, 0, 0, 0] + [0]
      + header(1, 2, 1) + [0, 0, 0, 0, 0, 0, 0x03, 0xE8] + [1] + types + [0]
      + Array("\nAAA-2\n".utf8)
  }

  @Test func aCompiledFileIsRead() throws {
    let zone = try #require(Zone(tzif: file))
    #expect(zone.offset(at: WallTime(seconds: 999)) == 3600)
    #expect(zone.offset(at: WallTime(seconds: 1000)) == 7200)
    #expect(zone.offset(at: WallTime(seconds: -5_000_000_000)) == 3600)
    #expect(zone.offset(at: WallTime(seconds: 4_000_000_000)) == 7200)
  }

  @Test func aCutOrTornFileIsRefusedAndNeverTraps() {
    for length in 0..<file.count { #expect(Zone(tzif: Array(file.prefix(length))) == nil) }
    var random = Random(seed: 8536)
    for _ in 0..<20_000 {
      var torn = file
      torn[Int(random.below(UInt64(torn.count)))] = UInt8(truncatingIfNeeded: random.next())
      if let zone = Zone(tzif: torn) {
        _ = zone.localTime(at: WallTime(seconds: Int64(random.below(1 << 33))))
      }
    }
  }
}
