import Wire

/// The simulated building's people and doors.
enum Building {
  static let units = ["401", "402"]
  static let domain = "vestibule.local"
  static let gateway = IPAddress(v4: 0x0A00_0001)
  static let unitOf = [
    "panel401": "401", "kitchen401": "401", "mobile401": "401", "web401": "401", "panel402": "402",
    "mobile402": "402", "web402": "402",
  ]
  static let panels: Set<String> = ["panel401", "kitchen401", "panel402"]
  /// Who may talk to the gateway over a connection.
  static let overStreams: Set<String> = ["mobile401", "panel402", "ramp", "web401", "web402"]
  /// Doors that hang on a line of the gateway's own.
  static let lines: [(door: String, line: Int, pulse: Interval)] = [
    ("entrance", 17, .milliseconds(1500)), ("garage", 27, .milliseconds(800)),
  ]
  /// Sources of the cameras, as the directory writes them.
  static let cameras = ["test:pattern", "v4l2:/dev/video0"]
  static let doorOf = ["front": "entrance", "ramp": "garage", "gate": "yard"]
  static let codeOf = ["entrance": "#", "garage": "*9", "yard": "#"]
  /// The key that opens the yard, which its station gets from the gateway and from nobody else.
  static let yardKey = "9"
  /// Stations whose calls end after their door has opened.
  static let hangsUpAfterOpening: Set<String> = ["ramp"]
  static let longestTalk: [String: Interval] = ["front": .seconds(60), "ramp": .seconds(40)]

  static func isStation(_ name: String) -> Bool { doorOf[name] != nil }
  static func isGuard(_ name: String) -> Bool { name.hasPrefix("guard") }

  /// Whether somebody may call a unit, an account or a guard; stations and who may call them stand in `Version`.
  static func mayCall(_ caller: String, _ target: String) -> Bool {
    if isStation(caller) || isGuard(caller) || isGuard(target) { return true }
    let unit = units.contains(target) ? target : unitOf[target]
    return unit != nil && unitOf[caller] == unit
  }
}

/// One version of the directory. What differs follows from the number, so that a check knows what holds under each.
struct Version: Equatable {
  enum Waiting: String { case ring, busy, next }

  let number: Int
  /// Everybody is there, and no unit wants quiet from a second call: for the evening.
  var isPlain = false

  var name: String { "v\(number)" }
  var waiting402: Waiting { isPlain ? .ring : [.busy, .ring, .next][number % 3] }
  var hasKitchen: Bool { isPlain || number % 4 != 2 }
  /// Unit 401 may open the garage as well.
  var hasGarage401: Bool { !isPlain && number % 3 == 2 }
  /// Unit 402 may open the entrance.
  var hasEntrance402: Bool { isPlain || number % 5 != 3 }

  func doors(of unit: String) -> [String] {
    switch unit {
    case "401": hasGarage401 ? ["entrance", "garage"] : ["entrance"]
    case "402": hasEntrance402 ? ["entrance", "garage", "yard"] : ["garage", "yard"]
    default: []
    }
  }
  func mayOpen(_ account: String, _ door: String) -> Bool {
    guard has(account), let unit = Building.unitOf[account] else { return false }
    return doors(of: unit).contains(door)
  }
  func has(_ account: String) -> Bool { account != "kitchen401" || hasKitchen }

  /// The directory file.
  var file: String {
    func list(_ names: [String]) -> String { names.map { "\"\($0)\"" }.joined(separator: ", ") }
    let kitchen = hasKitchen ? ", { username: \"kitchen401\", kind: \"panel\" }" : ""
    return """
      { site: { id: "s", name: "\(name)", timezone: "UTC", emergency: [{ number: "112", target: "guard" }] },
        building: { id: "b", name: "B" },
        units: [
          { number: "401", name: "Martin", neighbours: false,
            accounts: [ { username: "panel401", kind: "panel" }, { username: "mobile401", kind: "mobile" },
              { username: "web401", kind: "browser" }\(kitchen) ],
            rules: [ { from: "*", action: "ring", timeout: 20 }, { from: "*", action: "forward", target: "guard", timeout: 15 } ],
            doors: [\(list(doors(of: "401")))] },
          { number: "402", name: "Durand", neighbours: false, callWaiting: "\(waiting402.rawValue)",
            accounts: [ { username: "panel402", kind: "panel" }, { username: "mobile402", kind: "mobile" },
              { username: "web402", kind: "browser" } ],
            doors: [\(list(doors(of: "402")))] } ],
        accounts: [ { username: "guard1", kind: "guard", name: "Loge" } ],
        stations: [
          { username: "front", name: "Front", door: "entrance", camera: "entrance", address: "10.0.1.1", maxTalk: 60 },
          { username: "ramp", name: "Ramp", door: "garage", maxTalk: 40, hangupAfterOpen: true },
          { username: "gate", name: "Gate", door: "yard", camera: "yard" } ],
        cameras: [
          { id: "entrance", source: "test:pattern", view: "ring" },
          { id: "yard", source: "v4l2:/dev/video0", view: "ring" } ],
        doors: [
          { id: "entrance", actuator: { kind: "gpio", chip: "gpiochip0", line: 17 }, pulse: 1500, openCode: "#" },
          { id: "garage", actuator: { kind: "gpio", chip: "gpiochip0", line: 27 }, pulse: 800, openCode: "*9" },
          { id: "yard", actuator: { kind: "dtmf", code: "\(Building.yardKey)", mode: "info" }, openCode: "#" } ] }
      """
  }
}
