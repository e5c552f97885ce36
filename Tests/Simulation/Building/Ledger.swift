package import Wire

/// What really happened, kept beside the gateway and without its help: who dialled whom, who pressed which key in
/// which call, what was acknowledged. What the gateway does is held against it.
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

  struct Dial {
    var caller: String
    var target: String
    var at: Instant
  }
  /// A right to one pulse.
  struct Right {
    var door: String
    var by: String
    var at: Instant
    var isSpent = false
  }

  private(set) package var breaches: [Breach] = []
  /// Set by whoever runs the clock.
  var now = Instant(nanoseconds: 0)
  private(set) var dials: [Dial] = []
  private(set) var rights: [Right] = []
  /// Every secret that was ever made, by its digits.
  private(set) var secrets: Set<String> = []
  /// Media tags by who speaks.
  private var tags: [UInt8: String] = [:]
  /// Which unit an account belongs to; nobody's are stations and guards.
  let unitOf: [String: String]
  package private(set) var story: [String: Int] = [:]

  init(unitOf: [String: String]) { self.unitOf = unitOf }

  /// Notes that a rule was broken; the first twenty are kept.
  func breach(_ rule: String, _ detail: @autoclosure () -> String) {
    if breaches.count < 20 { breaches.append(Breach(rule: rule, detail: detail(), at: now)) }
  }

  /// Counts things, so that a test sees that the days are not empty.
  func count(_ what: String) { story[what, default: 0] += 1 }

  // MARK: Calls

  func dialled(_ caller: String, _ target: String) {
    dials.append(Dial(caller: caller, target: target, at: now))
    if dials.count > 400 { dials.removeFirst(200) }
  }

  private static let longestCall = Interval.minutes(10)

  /// Whether a call by `caller` may ring `account`.
  private func reaches(_ dial: Dial, _ account: String) -> Bool {
    guard now - dial.at < Ledger.longestCall else { return false }
    if dial.target == account { return true }
    // Units fall back to the guard.
    if account.hasPrefix("guard") { return Building.units.contains(dial.target) }
    return unitOf[account] == dial.target
  }

  /// Checks an INVITE that `account` got, said to be from `caller`.
  func rang(_ account: String, from caller: String) {
    guard dials.contains(where: { $0.caller == caller && reaches($0, account) }) else {
      return breach("unit isolation", "\(account) rings for \(caller), who did not dial it")
    }
    if let unit = unitOf[caller], let own = unitOf[account], unit != own {
      breach("unit isolation", "\(account) of unit \(own) rings for \(caller) of unit \(unit)")
    }
  }

  // MARK: Sound

  func speaks(_ name: String, as tag: UInt8) { tags[tag] = name }
  static let foreign: UInt8 = 0xEE

  func hears(_ listener: String, tag: UInt8) {
    if tag == Ledger.foreign {
      return breach("foreign media", "\(listener) hears a stranger")
    }
    guard let speaker = tags[tag] else { return breach("foreign media", "\(listener) hears tag \(tag)") }
    let isLinked = dials.contains {
      ($0.caller == speaker && reaches($0, listener)) || ($0.caller == listener && reaches($0, speaker))
    }
    if !isLinked { breach("unit isolation", "\(listener) hears \(speaker), with whom it has no call") }
  }

  // MARK: Doors

  /// Somebody who may open `door` asked for it.
  func mayOpen(_ door: String, by: String) { rights.append(Right(door: door, by: by, at: now)) }

  /// How long after a key a pulse may still come: a lost INFO is sent again for 32 s.
  private static let rightLasts = Interval.seconds(40)

  func opened(_ door: String) {
    guard
      let place = rights.firstIndex(where: {
        $0.door == door && !$0.isSpent && now - $0.at < Ledger.rightLasts
      })
    else { return breach("door without authority", door) }
    rights[place].isSpent = true
  }

  // MARK: Secrets

  func learned(secret: String) { secrets.insert(secret) }

  /// Looks for a secret in something that people or programs read.
  func inspect(_ text: some Sequence<UInt8>, in place: @autoclosure () -> String) {
    var run: [UInt8] = []
    func close() {
      if run.count >= 32 {
        for start in 0...(run.count - 32)
        where secrets.contains(String(decoding: run[start..<start + 32], as: UTF8.self)) {
          breach("secret in the clear", place())
        }
      }
      run.removeAll(keepingCapacity: true)
    }
    for byte in text {
      if ASCII.isDigit(byte) || (byte >= 97 && byte <= 102) { run.append(byte) } else { close() }
    }
    close()
  }
}

/// The simulated building's people and doors.
enum Building {
  static let units = ["401", "402"]
  static let domain = "vestibule.local"
  static let gateway = IPAddress(v4: 0x0A00_0001)

  /// The directory file; `variant` shows in a name, so that versions can be told apart.
  static func directory(variant: Int) -> String {
    """
    { site: { id: "s", name: "v\(variant)", timezone: "UTC" }, building: { id: "b", name: "B" },
      units: [
        { number: "401", name: "Martin", neighbours: false,
          accounts: [ { username: "panel401", kind: "panel" }, { username: "mobile401", kind: "mobile" } ],
          rules: [ { from: "*", action: "ring", timeout: 20 }, { from: "*", action: "forward", target: "guard", timeout: 15 } ],
          doors: ["entrance"] },
        { number: "402", name: "Durand", neighbours: false,
          accounts: [ { username: "panel402", kind: "panel" }, { username: "mobile402", kind: "mobile" } ],
          doors: ["entrance", "garage"] } ],
      accounts: [ { username: "guard1", kind: "guard", name: "Loge" } ],
      stations: [
        { username: "front", name: "Front", door: "entrance", address: "10.0.1.1", maxTalk: 60 },
        { username: "ramp", name: "Ramp", door: "garage", maxTalk: 40, hangupAfterOpen: true } ],
      doors: [
        { id: "entrance", actuator: { kind: "gpio", chip: "gpiochip0", line: 17 }, pulse: 1500, openCode: "#" },
        { id: "garage", actuator: { kind: "gpio", chip: "gpiochip0", line: 27 }, pulse: 800, openCode: "*9" } ] }
    """
  }

  static let unitOf = ["panel401": "401", "mobile401": "401", "panel402": "402", "mobile402": "402"]
  static let lines: [(door: String, line: Int, pulse: Interval)] = [
    ("entrance", 17, .milliseconds(1500)), ("garage", 27, .milliseconds(800)),
  ]
  static let doorOf = ["front": "entrance", "ramp": "garage"]
  static let codeOf = ["entrance": "#", "garage": "*9"]
  /// Which doors an account may open.
  static func mayOpen(_ account: String, _ door: String) -> Bool {
    switch unitOf[account] {
    case "401": door == "entrance"
    case "402": true
    default: false
    }
  }
}
