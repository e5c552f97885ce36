import SIP
import Testing
import Wire

@Suite struct BansTests {
  let address = IPAddress("203.0.113.7")!
  let wall = WallTime(seconds: 1_760_000_000)
  let start = Instant(nanoseconds: 1)
  var bans = Bans()

  mutating func fail(_ account: String, at seconds: Int64, isStation: Bool = false) -> Bans.Consequence {
    bans.failed(
      from: address, account: account, isStation: isStation, now: start + .seconds(seconds), wall: wall)
  }

  @Test mutating func theFifthFailureInTenMinutesBansThePair() {
    for second in 0..<4 { #expect(fail("panel401", at: Int64(second)) == .counted) }
    #expect(!bans.isBanned(address, account: "panel401", now: start))
    guard case .banned(let set) = fail("panel401", at: 599) else {
      Issue.record("five failures must ban")
      return
    }
    #expect(set.map(\.subject) == [Bans.Subject(address, account: "panel401")])
    #expect(set.map(\.failures) == [5])
    let now = start + .seconds(600)
    #expect(bans.isBanned(address, account: "panel401", now: now))
    #expect(!bans.isBanned(address, account: "panel402", now: now))
    #expect(!bans.isBanned(address, now: now))
    #expect(!bans.isBanned(IPAddress("203.0.113.8")!, account: "panel401", now: now))
  }

  @Test mutating func failuresThatAreTenMinutesApartNeverBan() {
    for round in 0..<40 { #expect(fail("panel401", at: Int64(round) * 151) == .counted) }
  }

  @Test mutating func twentyFailuresOverAnyAccountsBanTheAddress() {
    for round in 0..<19 { #expect(fail("user\(round)", at: Int64(round)) == .counted) }
    guard case .banned(let set) = fail("user19", at: 19) else {
      Issue.record("twenty failures must ban")
      return
    }
    #expect(set.map(\.subject) == [Bans.Subject(address)])
    #expect(bans.isBanned(address, account: "anyone", now: start + .seconds(20)))
    #expect(bans.isBanned(address, now: start + .seconds(20)))
  }

  @Test mutating func aBanLastsADayAndThenIsToldToBeForgotten() {
    for second in 0..<5 { _ = fail("panel401", at: Int64(second)) }
    let end = start + .seconds(4) + .hours(24)
    #expect(bans.nextDeadline == end)
    #expect(bans.isBanned(address, account: "panel401", now: end - .nanoseconds(1)))
    #expect(!bans.isBanned(address, account: "panel401", now: end))
    #expect(bans.expire(end - .nanoseconds(1)).isEmpty)
    #expect(bans.expire(end) == [Bans.Subject(address, account: "panel401")])
    #expect(bans.nextDeadline == nil)
    #expect(bans.list(now: end).isEmpty)
  }

  @Test mutating func aStationIsAlertedAboutAndNeverBanned() {
    var alerts = 0
    for second in 0..<60 {
      if case .alert = fail("intercom-main", at: Int64(second), isStation: true) { alerts += 1 }
    }
    #expect(alerts >= 12)
    #expect(!bans.isBanned(address, account: "intercom-main", now: start + .seconds(60)))
    #expect(bans.list(now: start).isEmpty)
  }

  @Test mutating func aSavedBanLastsAsLongAsItHadLeftWhateverTheWallClockSays() {
    for second in 0..<5 { _ = fail("panel401", at: Int64(second)) }
    let saved = bans.list(now: start + .hours(10))
    #expect(saved.count == 1)
    #expect(saved[0].since == wall)
    // Another run: another origin of the monotonic clock.
    let reborn = Instant(nanoseconds: 77)
    var later = Bans()
    later.load(saved, now: reborn)
    let left = saved[0].remaining
    #expect(later.isBanned(address, account: "panel401", now: reborn + left - .nanoseconds(1)))
    #expect(!later.isBanned(address, account: "panel401", now: reborn + left))
    #expect(left == .hours(14) + .seconds(4))
  }

  @Test mutating func liftingEndsEveryBanOfTheAddressAndItsCounts() {
    for second in 0..<5 { _ = fail("panel401", at: Int64(second)) }
    for second in 0..<4 { _ = fail("panel402", at: Int64(second)) }
    #expect(bans.lift(address) == [Bans.Subject(address, account: "panel401")])
    #expect(!bans.isBanned(address, account: "panel401", now: start))
    #expect(fail("panel402", at: 10) == .counted)
    #expect(bans.lift(IPAddress("203.0.113.99")!).isEmpty)
  }

  @Test mutating func aFloodFromManyAddressesIsForgottenOldestFirst() {
    for number in 0..<20_000 {
      _ = bans.failed(
        from: IPAddress(v4: UInt32(number)), account: "a", isStation: false, now: start, wall: wall)
    }
    for _ in 0..<4 { #expect(fail("panel401", at: 1) == .counted) }
    if case .banned = fail("panel401", at: 1) {} else { Issue.record("counting goes on under a flood") }
  }
}
