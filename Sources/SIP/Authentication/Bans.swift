package import Wire

/// Who may no longer try: addresses, and accounts from an address, that failed too often.
///
/// Failures are counted on the monotonic clock, and so is what is left of a ban; the wall clock only labels them.
/// What is saved is how long a ban still lasts, so that neither a jump of the wall clock nor a restart ends one
/// early (the time the daemon was not running is added to it; nobody can use that).
package struct Bans: Sendable {
  /// What is banned: an address, alone or for one account.
  package struct Subject: Hashable, Sendable {
    package var address: IPAddress
    /// Nil: whatever comes from the address.
    package var account: String?

    package init(_ address: IPAddress, account: String? = nil) {
      self.address = address
      self.account = account
    }
  }

  /// A ban as it is listed and stored.
  package struct Ban: Hashable, Sendable {
    package var subject: Subject
    /// When it was set, for people.
    package var since: WallTime
    /// How long it still lasts.
    package var remaining: Interval
    package var failures: Int

    package init(subject: Subject, since: WallTime, remaining: Interval, failures: Int) {
      self.subject = subject
      self.since = since
      self.remaining = remaining
      self.failures = failures
    }
  }

  /// What one more failure means.
  package enum Consequence: Hashable, Sendable {
    case counted
    /// Store it, say it.
    case banned([Ban])
    /// Over the limit, from a provisioned station: say it, ban nobody.
    case alert(Subject)
  }

  package static let pairLimit = 5
  package static let addressLimit = 20
  package static let window = Interval.minutes(10)
  package static let duration = Interval.hours(24)
  /// Subjects under watch. When all are taken the oldest is forgotten: a flood from many addresses then costs it
  /// its count, and never memory.
  package static let watchLimit = 4096
  /// Bans held. Beyond it the oldest goes.
  package static let banLimit = 16_384

  private struct Watch: Sendable {
    /// Failures within the window, oldest first; at most the limit's number.
    var times: [Instant]
  }
  private struct Held: Sendable {
    var since: WallTime
    var until: Instant
    var failures: Int
  }

  private var watches: [Subject: Watch] = [:]
  /// Subjects of `watches` by age of their first failure. May name some that are gone.
  private var watchOrder: [Subject] = []
  private var bans: [Subject: Held] = [:]
  private var banOrder: [Subject] = []
  /// The first moment at which a ban ends: `expire` is wanted then.
  package private(set) var nextDeadline: Instant?

  package init() {}

  /// Whether requests from here are to be dropped unheard; `account` is the one that the request claims.
  package func isBanned(_ address: IPAddress, account: String? = nil, now: Instant) -> Bool {
    if bans.isEmpty { return false }
    if let held = bans[Subject(address)], held.until > now { return true }
    guard let account, let held = bans[Subject(address, account: account)] else { return false }
    return held.until > now
  }

  /// Counts a wrong response. `isStation`: the address is provisioned for a station.
  package mutating func failed(
    from address: IPAddress, account: String, isStation: Bool, now: Instant, wall: WallTime
  ) -> Consequence {
    expire(now)
    var set: [Ban] = []
    for (subject, limit) in [
      (Subject(address, account: account), Bans.pairLimit), (Subject(address), Bans.addressLimit),
    ] {
      let failures = count(subject, limit: limit, now: now)
      guard failures >= limit else { continue }
      watches[subject] = nil
      if isStation { return .alert(subject) }
      insert(subject, Held(since: wall, until: now + Bans.duration, failures: failures))
      set.append(Ban(subject: subject, since: wall, remaining: Bans.duration, failures: failures))
    }
    return set.isEmpty ? .counted : .banned(set)
  }

  /// Ends every ban of an address, whatever the account. Returns what was lifted.
  package mutating func lift(_ address: IPAddress) -> [Subject] {
    let lifted = banOrder.filter { $0.address == address && bans[$0] != nil }
    for subject in lifted { bans[subject] = nil }
    banOrder.removeAll { $0.address == address }
    watches = watches.filter { $0.key.address != address }
    findDeadline()
    return lifted
  }

  /// The bans that stand, oldest first; also what to save.
  package func list(now: Instant) -> [Ban] {
    banOrder.compactMap { subject in
      guard let held = bans[subject], held.until > now else { return nil }
      return Ban(subject: subject, since: held.since, remaining: held.until - now, failures: held.failures)
    }
  }

  /// Takes back what `list` gave before a restart.
  package mutating func load(_ saved: [Ban], now: Instant) {
    for ban in saved where ban.remaining > .zero {
      let remaining = min(ban.remaining, Bans.duration)
      insert(ban.subject, Held(since: ban.since, until: now + remaining, failures: ban.failures))
    }
  }

  /// Forgets bans that are over. Returns them, to be deleted from the store.
  @discardableResult
  package mutating func expire(_ now: Instant) -> [Subject] {
    guard let nextDeadline, nextDeadline <= now else { return [] }
    // All bans last equally long, but loaded ones may end out of order.
    let over = banOrder.filter { subject in bans[subject].map { $0.until <= now } ?? false }
    for subject in over { bans[subject] = nil }
    banOrder.removeAll { bans[$0] == nil }
    findDeadline()
    return over
  }

  private mutating func findDeadline() {
    nextDeadline = nil
    for subject in banOrder { nextDeadline = .earlier(nextDeadline, bans[subject]?.until) }
  }

  private mutating func count(_ subject: Subject, limit: Int, now: Instant) -> Int {
    if watches[subject] == nil {
      if watches.count >= Bans.watchLimit { forgetOldest() }
      watches[subject] = Watch(times: [])
      watchOrder.append(subject)
      // Names of watches that are gone pile up behind bans and windows: swept before they outgrow the rest.
      if watchOrder.count > 2 * Bans.watchLimit {
        var kept: Set<Subject> = []
        watchOrder = watchOrder.filter { watches[$0] != nil && kept.insert($0).inserted }
      }
    }
    var times = watches[subject]?.times ?? []
    times.removeAll { now - $0 >= Bans.window }
    times.append(now)
    if times.count > limit { times.removeFirst() }
    watches[subject] = Watch(times: times)
    return times.count
  }

  private mutating func forgetOldest() {
    while !watchOrder.isEmpty {
      if watches.removeValue(forKey: watchOrder.removeFirst()) != nil { return }
    }
  }

  private mutating func insert(_ subject: Subject, _ held: Held) {
    if bans[subject] == nil {
      if bans.count >= Bans.banLimit, !banOrder.isEmpty { bans[banOrder.removeFirst()] = nil }
      banOrder.append(subject)
    }
    bans[subject] = held
    if nextDeadline == nil || held.until < nextDeadline! { nextDeadline = held.until }
  }
}
