import Glibc

/// A gateway under measurement, on loopback, with state of its own.
struct Vestibule: ~Copyable {
  let folder: String
  let peer: Peer
  let udp: UInt16
  let http: UInt16
  let https: UInt16
  let control: String
  /// Seconds from the start of the process to its ready line.
  let readyAfter: Double

  /// Where the release build of this checkout lies; `VESTIBULE_RELEASE` names another.
  static var programs: String {
    let named = contents(of: "/proc/self/environ").split(separator: "\0").first {
      $0.hasPrefix("VESTIBULE_RELEASE=")
    }
    return named.map { String($0.dropFirst("VESTIBULE_RELEASE=".count)) } ?? ".build/release"
  }

  /// Starts the daemon in `folder`; media on `address`.
  init(folder: String, address: String = "127.0.0.1") {
    self.folder = folder
    write(
      """
      { gateway: { domain: "bench.test" }, sip: { udp: ["127.0.0.1:0"], tcp: ["127.0.0.1:0"], tls: ["127.0.0.1:0"] },
        http: { plain: ["127.0.0.1:0"], tls: ["127.0.0.1:0"] }, media: { addresses: ["\(address)"], ports: "20000-27999", webrtcPort: 0 },
        control: { socket: "\(folder)/control.sock" } }
      """, to: "\(folder)/vestibule.json5")
    let began = monotonicSeconds()
    peer = Peer(
      ["\(Vestibule.programs)/vestibuled", "--config", "\(folder)/vestibule.json5", "--state", folder],
      output: "\(folder)/log")
    guard let line = peer.line(beginning: "ready ", within: 10) else {
      preconditionFailure("vestibuled did not become ready: \(contents(of: folder + "/log"))")
    }
    readyAfter = monotonicSeconds() - began
    var udp: UInt16 = 0
    func port(of name: String) -> UInt16 {
      let word = line.split(separator: " ").first { $0.hasPrefix(name) }
      return word?.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
    }
    http = port(of: "http=")
    https = port(of: "https=")
    for word in line.split(separator: " ") where word.hasPrefix("sip=udp:") {
      udp = UInt16(word.split(separator: ",")[0].split(separator: ":").last!) ?? 0
    }
    self.udp = udp
    control = "\(folder)/control.sock"
  }

  func command(_ words: String) -> String {
    run("\(Vestibule.programs)/vestibule --socket \(control) \(words)")
  }

  /// A building of `units` units with one account each (`p0`, `p1`, …) and one trusted station at 127.0.0.10.
  func furnish(units: Int, kind: String = "panel", cameras: String = "") {
    let list = (0..<units).map {
      "{ number: \"\(1000 + $0)\", accounts: [{ username: \"p\($0)\", kind: \"\(kind)\" }], doors: [\"d\"] }"
    }.joined(separator: ",\n")
    write(
      """
      { site: { id: "s", name: "S", timezone: "Europe/Paris" }, building: { id: "b", name: "B" },
        units: [\(list)],
        stations: [{ username: "gate", name: "Gate", door: "d", address: "127.0.0.10", maxTalk: 3600 }],
        cameras: [\(cameras)],
        doors: [{ id: "d", actuator: { kind: "none" } }] }
      """, to: "\(folder)/directory.json5")
    print(command("apply \(folder)/directory.json5").split(separator: "\n").last.map(String.init) ?? "")
  }

  /// A fresh secret for the account.
  func enroll(_ account: String) -> String {
    quoted("secret", inJSON: command("enroll \(account) --format sip --json")) ?? ""
  }

  /// What stands behind `#enroll=` in a fresh link for the account.
  func link(_ account: String) -> String {
    let url = quoted("url", inJSON: command("enroll \(account) --format url --json")) ?? ""
    return url.split(separator: "=").last.map(String.init) ?? ""
  }
}

/// The text of a string member of a flat JSON object.
func quoted(_ key: String, inJSON text: String) -> String? {
  let parts = text.split(separator: "\"", omittingEmptySubsequences: false)
  guard let place = parts.firstIndex(where: { $0 == Substring(key) }), place + 2 < parts.count else {
    return nil
  }
  return String(parts[place + 2])
}

func temporaryFolder() -> String {
  let made = run("mktemp -d ${TMPDIR:-/tmp}/vestibule-benchmark.XXXXXX")
  return String(made.split(separator: "\n")[0])
}
