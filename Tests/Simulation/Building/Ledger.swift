package import Wire

/// What really happened, kept beside the gateway and without its help: who dialled whom, who pressed which key in
/// which call, who heard whom. What the gateway does is held against it and against what it promised.
package final class Ledger {
  /// A rule that was broken.
  package struct Breach: Sendable, Hashable, CustomStringConvertible {
    package var rule: String
    package var detail: String
    package var at: Instant
    package var description: String {
      "\(rule): \(detail) (at \(at.nanoseconds / 1_000_000) ms)"
    }
  }

  /// Somebody asked for a call.
  struct Dial {
    var number: Int
    /// Who is shown as calling.
    var caller: String
    var target: String
    /// Whose wish it was: the caller's, or that of who transfers him.
    var by: String
    /// A guard brought the two together.
    var isByGuard: Bool
    var at: Instant
    var ended: Instant?
  }
  /// A right to one opening.
  struct Right {
    var number: Int
    var door: String
    var by: String
    var at: Instant
    /// The call in which a key was pressed; nil for an operator.
    var talk: Talk?
  }

  private(set) package var breaches: [Breach] = []
  /// Set by whoever runs the clock.
  var now = Instant(nanoseconds: 0) { didSet { promises.now = now } }
  let promises = Promises()
  /// Has something looked at a while later.
  var later: (Interval, @escaping () -> Void) -> Void = { _, _ in }
  /// Where lines for people go.
  var say: (String) -> Void = { _ in }
  private var dials: [Dial] = []
  private var rights: [Right] = []
  private var lastNumber = 0
  /// Talks that are up, by whose they are.
  private var talks: [(name: String, talk: Talk)] = []
  private var lastOpening: [String: Instant] = [:]
  private var secrets = SecretWatch()
  /// Media tags by who speaks.
  private var tags: [UInt8: String] = [:]
  package private(set) var story: [String: Int] = [:]

  /// Notes that a rule was broken; the first twenty are kept.
  func breach(_ rule: String, _ detail: @autoclosure () -> String) {
    guard breaches.count < 20 else { return }
    let breach = Breach(rule: rule, detail: detail(), at: now)
    breaches.append(breach)
    say("BREACH \(breach)")
  }

  /// Counts things, so that a test sees that the days are not empty.
  func count(_ what: String) { story[what, default: 0] += 1 }

  private func number() -> Int {
    lastNumber += 1
    return lastNumber
  }

  // MARK: Calls

  /// Notes that `caller` calls, or is put through to, `target`; the dial's number.
  func dialled(_ caller: String, _ target: String, by: String? = nil) -> Int {
    if dials.count > 60 { dials.removeAll { !isOpen($0, for: "panel402") } }
    let by = by ?? caller
    // Whom a guard put through to somebody, that one may hand on.
    let isByGuard =
      Building.isGuard(by)
      || dials.contains { $0.isByGuard && $0.caller == caller && isOpen($0, for: by) && reaches($0, by) }
    let dial = Dial(number: number(), caller: caller, target: target, by: by, isByGuard: isByGuard, at: now)
    dials.append(dial)
    return dial.number
  }

  func dialEnded(_ number: Int) {
    guard let place = dials.firstIndex(where: { $0.number == number }), dials[place].ended == nil else {
      return
    }
    dials[place].ended = now
  }

  private static let longestCall = Interval.minutes(10)
  /// How long what was sent before the end may still arrive: a request is sent again for 32 s, and a connection whose
  /// path is cut tries for two minutes.
  private static func aftermath(_ name: String) -> Interval {
    Building.overStreams.contains(name) ? .seconds(130) : .seconds(40)
  }

  private func isOpen(_ dial: Dial, for account: String) -> Bool {
    if let ended = dial.ended, now - ended > Ledger.aftermath(account) { return false }
    return now - dial.at < Ledger.longestCall
  }

  /// Whether a dial may ring `account`.
  private func reaches(_ dial: Dial, _ account: String) -> Bool {
    if dial.target == account { return true }
    if dial.target == "112" { return Building.isGuard(account) }
    if dial.target.hasPrefix("page-") {
      return account != dial.by && Building.panels.contains(account)
        && Building.unitOf[account] == String(dial.target.dropFirst(5))
    }
    // 401 falls back to the guard.
    if Building.isGuard(account) { return dial.target == "401" }
    return account != dial.by && Building.unitOf[account] == dial.target
  }

  /// Checks an INVITE that `account` got, said to be from `caller`.
  func rang(_ account: String, from caller: String) {
    let open = dials.filter { $0.caller == caller && isOpen($0, for: account) && reaches($0, account) }
    guard let first = open.first else {
      return breach("unit isolation", "\(account) rings for \(caller), who did not dial it")
    }
    if let unit = Building.unitOf[caller], let own = Building.unitOf[account], unit != own,
      !open.contains(where: \.isByGuard)
    {
      breach("unit isolation", "\(account) of unit \(own) rings for \(caller) of unit \(unit)")
    }
    if let door = Building.doorOf[account],
      !open.contains(where: { dial in promises.mightHold(since: dial.at) { $0.mayOpen(dial.by, door) } })
    {
      breach("unit isolation", "\(account) rings for \(caller), who has no right to \(door)")
    }
    if !promises.mightHold(since: now - Ledger.aftermath(account), { $0.has(account) }) {
      breach("the directory holds", "\(account) rings after it was removed")
    }
    checkQuiet(account, open)
    checkWaiting(account, open, first.at)
  }

  /// Checks what a page is told of a call.
  func isTold(_ account: String, of caller: String, unit: String?, isPartOfIt: Bool) {
    guard !isPartOfIt, caller != account, unit == nil || unit != Building.unitOf[account] else { return }
    // It was rung, by a transfer say, while its page was out of reach.
    guard !dials.contains(where: { $0.caller == caller && isOpen($0, for: account) && reaches($0, account) })
    else { return }
    breach("unit isolation", "\(account) is told of a call of \(caller) to unit \(unit ?? "none")")
  }

  private func checkQuiet(_ account: String, _ open: [Dial]) {
    for dial in open where dial.target != "112" {
      var names = [account]
      if dial.target != account, !Building.isGuard(account) { names += [Building.unitOf[account] ?? ""] }
      let isQuiet = names.contains { name in
        promises.quietSince(name).map { $0 < dial.at } ?? false
      }
      if !isQuiet { return }
    }
    if open.contains(where: { $0.target != "112" }) {
      breach("do not disturb", "\(account) rings for \(open[0].caller) in spite of it")
    }
  }

  /// A unit that wants no second call is not rung while it talks. Whether it talked shows a moment later.
  private func checkWaiting(_ account: String, _ open: [Dial], _ first: Instant) {
    guard Building.unitOf[account] == "402", open.allSatisfy({ $0.target == "402" }),
      !promises.mightHold(since: first, { $0.waiting402 == .ring })
    else { return }
    let rung = now
    for (name, talk) in talks
    where Building.unitOf[name] == "402" && talk.up + .milliseconds(500) < first {
      later(.milliseconds(1500)) { [weak self] in
        guard let self, talk.heard > rung + .milliseconds(500) else { return }
        self.breach("call waiting", "\(account) rings for \(open[0].caller) while \(name) talks")
      }
    }
  }

  // MARK: Talks

  func rose(_ talk: Talk, of name: String) {
    talk.up = now
    talks.append((name, talk))
  }

  func fell(_ talk: Talk) {
    talks.removeAll { $0.talk === talk }
    if talk.dial > 0 { dialEnded(talk.dial) }
  }

  /// The talks in which somebody was heard last.
  func talks(hearing name: String) -> [Talk] {
    talks.filter { $0.name != name && $0.talk.heardFrom == name }.map(\.talk)
  }

  // MARK: Sound

  func speaks(_ name: String, as tag: UInt8) { tags[tag] = name }
  static let foreign: UInt8 = 0xEE

  func hears(_ listener: String, tag: UInt8, in talk: Talk) {
    talk.heard = now
    talk.heardFrom = tags[tag]
    if tag == Ledger.foreign {
      return breach("foreign media", "\(listener) hears a stranger")
    }
    guard let speaker = tags[tag] else { return breach("foreign media", "\(listener) hears tag \(tag)") }
    let isLinked = dials.contains {
      ($0.caller == speaker && reaches($0, listener))
        || ($0.caller == listener && reaches($0, speaker) && !$0.target.hasPrefix("page-"))
    }
    if !isLinked { breach("unit isolation", "\(listener) hears \(speaker), with whom it has no call") }
    for name in [listener, speaker] {
      if let since = promises.revokedSince(name), now - since > .seconds(2) {
        breach("a revoked account talks", "\(listener) hears \(speaker) 2 s after \(name) was revoked")
      }
    }
    let station = Building.isStation(listener) ? listener : talk.peer
    if let longest = Building.longestTalk[station], talk.up.nanoseconds > 0,
      now - talk.up > longest + .seconds(5)
    {
      breach("the longest talk", "\(station) is heard by \(listener) after \(longest.milliseconds) ms")
    }
  }

  // MARK: Doors

  /// Somebody presses a key that completes a door's code, in a call with its station. Whether he may is asked of the
  /// directory when the door opens.
  func pressed(_ door: String, by account: String, in talk: Talk) {
    guard promises.revokedSince(account) == nil else { return count("pressed when revoked") }
    rights.append(Right(number: number(), door: door, by: account, at: now, talk: talk))
  }

  /// A page asks for a door; the number of its right, and nil where it has lost every right.
  func pageOpens(_ door: String, by account: String) -> Int? {
    guard promises.revokedSince(account) == nil else {
      count("asked when revoked")
      return nil
    }
    let right = Right(number: number(), door: door, by: account, at: now)
    rights.append(right)
    return right.number
  }

  private static let `operator` = "operator"
  /// The operator asks for a door; the number of his right.
  func operatorOpens(_ door: String) -> Int {
    let right = Right(number: number(), door: door, by: Ledger.operator, at: now)
    rights.append(right)
    return right.number
  }

  /// The gateway said what came of it.
  func heard(of number: Int, _ result: String, door: String, asked: Instant) {
    if result == "refused" { rights.removeAll { $0.number == number } }
    if result == "opened", lastOpening[door].map({ $0 < asked }) ?? true {
      breach("opened means opened", "\(door) was said to have opened and did not")
    }
  }

  func opened(_ door: String) {
    lastOpening[door] = now
    rights.removeAll { now - $0.at >= Ledger.aftermath($0.by) }
    let good = rights.filter { right in
      right.door == door
        && (right.by == Ledger.operator || promises.mightHold(since: right.at) { $0.mayOpen(right.by, door) })
    }
    guard let right = good.first else { return breach("door without authority", door) }
    rights.removeAll { $0.number == right.number }
    guard good.count == 1, let talk = right.talk, Building.hangsUpAfterOpening.contains(talk.peer) else {
      return
    }
    let since = now
    later(.milliseconds(4500)) { [weak self] in
      if talk.heard > since + .milliseconds(3500) {
        self?.breach("hangs up after opening", "\(right.by) and \(talk.peer) talk on")
      }
    }
  }

  // MARK: Secrets

  /// A secret with the digests that may stand for it.
  func learned(secret: String, digests: [[UInt8]]) {
    if let place = secrets.add(secret, digests) { breach("secret in the clear", place) }
  }

  /// Looks for a secret in something that people or programs read.
  func inspect(_ text: [UInt8], in place: @autoclosure () -> String) {
    if secrets.isWritten(in: text) { breach("secret in the clear", place()) }
  }

  /// The same, for what may tell a secret before whoever asked for it hears it.
  func inspect(early text: [UInt8], in place: String) {
    inspect(text, in: place)
    secrets.remember(text, in: place)
  }

  /// Looks for one in a file, where it may stand as bytes as well.
  func inspect(file: [UInt8], in place: @autoclosure () -> String) {
    if secrets.isWritten(in: file) || secrets.isRaw(in: file) { breach("secret in the clear", place()) }
  }
}
