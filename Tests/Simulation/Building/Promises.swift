import Wire

/// What the gateway has said it keeps: the directory, credentials, quiet, the audit. What was asked and not answered
/// may have happened or not, and nothing is held against it.
final class Promises {
  /// One thing that commands change.
  private struct Known<Value> {
    var value: Value
    /// Commands whose answer is awaited.
    var waiting = 0
    /// False after a command that failed or was lost, until another succeeds.
    var isSure = true
    /// When it was acknowledged.
    var since = Instant(nanoseconds: 0)
  }
  /// A directory that holds, or may hold.
  private struct Standing {
    var version: Version
    var isWaiting = true
    var from: Instant
    var until: Instant?
  }

  var now = Instant(nanoseconds: 0)
  private var credentials: [String: Known<String?>] = [:]
  private var quiet: [String: Known<Bool>] = [:]
  /// Quiet that was dialled is kept, but nobody was promised when.
  private var dialledQuiet: Set<String> = []
  private var dialling: [String: Int] = [:]
  private var standings: [Standing] = []
  private var newest = 0
  /// Credentials that were made, by account: each has its row in the audit.
  private var enrolments: [String: Int] = [:]
  private var revocations: [String: Instant] = [:]
  /// When the disk was full.
  var troubles: [(from: Instant, to: Instant)] = []

  // MARK: Directory

  func proposed(_ version: Version) {
    standings.append(Standing(version: version, from: now))
    for name in credentials.keys.sorted() where !version.has(name) { credentials[name]!.isSure = false }
  }

  /// The answer to an `apply`: nil when none came.
  func applied(_ number: Int, _ isDone: Bool?) {
    guard let place = standings.firstIndex(where: { $0.version.number == number }) else { return }
    standings[place].isWaiting = false
    guard let isDone else { return }
    guard isDone, number > newest else { return end { $0.version.number == number } }
    newest = number
    end { $0.version.number != number && !$0.isWaiting }
  }

  private func end(_ condition: (Standing) -> Bool) {
    for place in standings.indices where standings[place].until == nil && condition(standings[place]) {
      standings[place].until = now
    }
    standings.removeAll { $0.until.map { now - $0 > .minutes(11) } ?? false }
  }

  /// Whether a directory that may have been served since then is so.
  func mightHold(since: Instant, _ condition: (Version) -> Bool) -> Bool {
    standings.contains { ($0.until.map { $0 >= since } ?? true) && condition($0.version) }
  }

  // MARK: Credentials

  func enrolling(_ username: String) {
    credentials[username, default: Known(value: nil)].waiting += 1
    credentials[username]!.isSure = false
    revocations[username] = nil
  }

  /// The new secret; nil when none was given out.
  func enrolled(_ username: String, _ secret: String?) {
    credentials[username]!.waiting -= 1
    guard let secret else { return }
    enrolments[username, default: 0] += 1
    credentials[username]!.value = secret
    // Whoever is being taken out of the directory is promised nothing.
    credentials[username]!.isSure =
      credentials[username]!.waiting == 0
      && !standings.contains { $0.until == nil && !$0.version.has(username) }
  }

  /// Whoever was given one may have lost it.
  func isInDoubt(_ username: String) { credentials[username]?.isSure = false }

  func revoking(_ username: String) {
    credentials[username, default: Known(value: nil)].waiting += 1
    credentials[username]!.isSure = false
  }

  func revoked(_ username: String, _ isDone: Bool) {
    credentials[username]!.waiting -= 1
    guard isDone, credentials[username]!.waiting == 0 else { return }
    credentials[username]!.value = nil
    credentials[username]!.isSure = true
    revocations[username] = now
  }

  func holdsCredential(_ username: String) -> Bool {
    guard let known = credentials[username] else { return false }
    return known.isSure && known.value != nil
  }
  func promised(_ username: String, _ secret: String) -> Bool {
    holdsCredential(username) && credentials[username]?.value == secret
  }
  /// Since when the account surely has no credential, because they were revoked.
  func revokedSince(_ username: String) -> Instant? { revocations[username] }

  // MARK: Quiet

  /// `dialled`: by a phone, which goes on asking when the gateway dies.
  func quieting(_ name: String, dialled: Bool = false) {
    if dialled { dialling[name, default: 0] += 1 }
    quiet[name, default: Known(value: false)].waiting += 1
    quiet[name]!.isSure = false
  }

  func quieted(_ name: String, _ isQuiet: Bool?, dialled: Bool = false) {
    guard quiet[name] != nil, quiet[name]!.waiting > 0 else { return }
    quiet[name]!.waiting -= 1
    if dialled { dialling[name, default: 1] -= 1 }
    guard let isQuiet, quiet[name]!.waiting == 0 else { return }
    quiet[name]!.value = isQuiet
    quiet[name]!.isSure = true
    quiet[name]!.since = now
    if dialled { dialledQuiet.insert(name) } else { dialledQuiet.remove(name) }
  }

  /// Since when a unit or an account surely wants no calls; nil when it may want some.
  func quietSince(_ name: String) -> Instant? {
    guard let known = quiet[name], known.isSure, known.value else { return nil }
    return known.since
  }

  // MARK: The disk

  /// Holds what the next life will find against what was promised; what is lost, in words.
  func losses(_ kept: Gatehouse.Kept) -> [String] {
    var lost: [String] = []
    if !standings.contains(where: { $0.until == nil && $0.version.name == kept.directory }),
      !(newest == 0 && kept.directory == nil)
    {
      lost.append("directory: \(kept.directory ?? "none")")
    }
    for name in credentials.keys.sorted() {
      let known = credentials[name]!
      if known.isSure, known.value != nil, kept.credentials[name, default: 0] == 0 {
        lost.append("credential of \(name)")
      }
      if known.isSure, known.value == nil, kept.credentials[name] != nil {
        lost.append("revocation of \(name)")
      }
      if kept.enrolments[name, default: 0] < enrolments[name, default: 0] { lost.append("audit of \(name)") }
    }
    for name in quiet.keys.sorted() where quiet[name]!.isSure && !dialledQuiet.contains(name) {
      if quiet[name]!.value != kept.quiet.contains(name) { lost.append("dnd of \(name)") }
    }
    return lost
  }

  /// The process is dead and `kept` is what there is: no answer comes any more, and what was in doubt is no more.
  func settle(_ kept: Gatehouse.Kept) {
    if let name = kept.directory, standings.contains(where: { $0.version.name == name }) {
      end { $0.version.name != name }
      for place in standings.indices { standings[place].isWaiting = false }
    }
    for name in quiet.keys.sorted() {
      let isQuiet = kept.quiet.contains(name)
      let wasSure = quiet[name]!.isSure && quiet[name]!.value == isQuiet
      let waiting = dialling[name, default: 0]
      quiet[name] = Known(
        value: isQuiet, waiting: waiting, isSure: waiting == 0, since: wasSure ? quiet[name]!.since : now)
    }
    dialledQuiet = []
  }
}
