import Directory
import JSON
import Wire

/// Friday, 2026-11-20, at the given hour.
func friday(_ hour: Int, _ minute: Int = 0) -> LocalTime { day(20, hour, minute) }
func day(_ day: Int, _ hour: Int, _ minute: Int = 0) -> LocalTime {
  LocalTime(date: CivilDate(year: 2026, month: 11, day: day), minute: hour * 60 + minute)
}

func directory(_ text: String) throws -> Building {
  try Building.read(Array(text.utf8), file: "d").building
}

/// What is wrong with a file, one line each; empty when nothing is.
func faults(_ text: String) -> [String] {
  do throws(DirectoryFault) {
    _ = try Building.read(Array(text.utf8), file: "d")
    return []
  } catch {
    return error.errors.map(\.description)
  }
}

func warnings(_ text: String) throws -> [String] {
  try Building.read(Array(text.utf8), file: "d").warnings.map(\.description)
}

/// Three flats, two of them friends, guards, people without a flat, two stations.
let sample = """
  {
    site: { timezone: "Europe/Paris",
            emergency: [{ number: "112", target: "guard" }, { number: "18" }, { number: "15", target: ["101", "guard1"] }] },
    units: [
      { number: "101", name: "Martin", aliases: ["martin"], neighbours: true,
        accounts: [ { username: "panel101", kind: "panel" }, { username: "kitchen101", kind: "panel" },
                    { username: "mobile101", kind: "mobile", name: "Ana" } ],
        doors: ["entrance"] },
      { number: "102", neighbours: true, callWaiting: "busy",
        accounts: [ { username: "panel102", kind: "panel" } ] },
      { number: "103", callWaiting: "next",
        accounts: [ { username: "panel103", kind: "panel" }, { username: "web103", kind: "browser" } ],
        rules: [ { from: "gate-*", action: "ring", target: "panel103", timeout: 20, declineEnds: true },
                 { from: "*", action: "voicemail" },
                 { from: "*", action: "ring", target: ["web103", "102"], timeout: 30,
                   schedule: [{ days: ["fri"], from: "22:00", to: "07:00" }] },
                 { from: "*", action: "forward", target: "guard" } ],
        doors: [{ door: "gate", schedule: [{ from: "08:00", to: "20:00" }] }] },
      { number: "104", accounts: [] },
    ],
    accounts: [ { username: "guard1", kind: "guard", name: "Loge" }, { username: "guard2", kind: "guard" },
                { username: "janitor", kind: "mobile", doors: ["gate"] }, { username: "provider", kind: "trunk" } ],
    stations: [ { username: "gate-main", name: "Gate", camera: "gate", door: "gate", address: "192.0.2.10" },
                { username: "intercom", camera: "hall", door: "entrance" } ],
    cameras: [ { id: "gate", source: "rtsp://192.0.2.10/live", username: "admin", password: "hunter2" },
               { id: "hall", source: "test:pattern", view: "always" } ],
    doors: [ { id: "gate", actuator: { kind: "http", url: "http://192.0.2.10", username: "a", password: "hunter2" } },
             { id: "entrance", actuator: { kind: "gpio", chip: "gpiochip0", line: 17 } } ],
  }
  """

extension Building {
  func callPlan(
    _ caller: Caller, _ dialled: String, at time: LocalTime = friday(12),
    _ conditions: CallConditions = CallConditions()
  ) -> CallPlan? {
    if case .call(let plan) = plan(caller, dials: dialled, at: time, conditions) { plan } else { nil }
  }

  /// Usernames of each step; empty when the call is refused.
  func rings(
    _ caller: Caller, _ dialled: String, at time: LocalTime = friday(12),
    _ conditions: CallConditions = CallConditions()
  ) -> [[String]] {
    (callPlan(caller, dialled, at: time, conditions)?.steps ?? []).map { $0.targets.map(\.username) }
  }

  func refusal(
    _ caller: Caller, _ dialled: String, at time: LocalTime = friday(12),
    _ conditions: CallConditions = CallConditions()
  ) -> CallRefusal? {
    if case .refuse(let why) = plan(caller, dials: dialled, at: time, conditions) { why } else { nil }
  }
}
