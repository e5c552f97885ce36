import API
import JSON
import Wire

/// How answers look to people.
enum Tables {
  private static func yes(_ value: Bool) -> String { value ? "yes" : "no" }
  private static func or(_ text: String?) -> String { text.flatMap { $0.isEmpty ? nil : $0 } ?? "-" }
  private static func or(_ texts: [String]) -> String { or(texts.joined(separator: ",")) }
  /// Without milliseconds: `2026-11-20T21:28:39Z`.
  private static func short(_ time: WallTime?) -> String {
    guard let time else { return "-" }
    return String(time.description.prefix(19)) + "Z"
  }
  private static func seconds(_ interval: Interval) -> String { "\(max(0, interval.seconds)) s" }
  private static func contact(_ contact: ContactView) -> String {
    let state =
      contact.latency.map { "\($0) ms" }
      ?? (contact.reach == "unreachable" ? "no answer" : "not pinged yet")
    return "\(contact.transport) \(contact.uri) (\(state))"
  }

  static func units(_ units: [UnitView]) -> String {
    Terminal.table(
      ["UNIT", "NAME", "ACCOUNTS", "REACHABLE", "DOORS", "DND", "CALLS"],
      units.map {
        [
          $0.number, or($0.name), or($0.accounts), "\($0.registered) of \($0.accounts.count)", or($0.doors),
          yes($0.dnd), "\($0.calls)",
        ]
      })
  }

  static func accounts(_ accounts: [AccountView]) -> String {
    Terminal.table(
      ["ACCOUNT", "KIND", "UNIT", "REGISTERED", "DND", "CREDENTIALS", "CONTACTS"],
      accounts.map {
        [
          $0.username, $0.kind, or($0.unit), yes($0.registered), yes($0.dnd),
          or($0.credentials.map(\.id)), or($0.contacts.map(contact).joined(separator: ", ")),
        ]
      })
  }

  static func stations(_ stations: [StationView]) -> String {
    Terminal.table(
      ["STATION", "NAME", "DOOR", "CAMERA", "ADDRESS", "REGISTERED", "CALLS"],
      stations.map {
        [
          $0.username, or($0.name), or($0.door), or($0.camera),
          or($0.address ?? $0.contacts.map(contact).joined(separator: ", ")), yes($0.registered),
          "\($0.calls)",
        ]
      })
  }

  static func cameras(_ cameras: [CameraView]) -> String {
    Terminal.table(
      ["CAMERA", "SOURCE", "VIEW", "STATE", "PICTURE", "SOUND", "VIEWERS", "WHY"],
      cameras.map {
        [
          $0.id, or($0.source), or($0.view), $0.state,
          or([$0.coding, $0.size].compactMap { $0 }.joined(separator: " ")),
          or($0.silence == nil ? $0.sound : "silent"),
          "\($0.viewers)", or($0.detail ?? $0.silence),
        ]
      })
  }

  static func doors(_ doors: [DoorView]) -> String {
    Terminal.table(
      ["DOOR", "ACTUATOR", "STATE", "LAST", "AT"],
      doors.map { [$0.id, or($0.actuator), $0.state, or($0.lastResult), short($0.lastAt)] })
  }

  static func bans(_ bans: [BanView]) -> String {
    Terminal.table(
      ["ADDRESS", "ACCOUNT", "SINCE", "UNTIL", "FAILURES"],
      bans.map {
        [$0.address, $0.account ?? "(any)", short($0.since), short($0.until), "\($0.failures)"]
      })
  }

  static func calls(_ calls: [CallView]) -> String {
    Terminal.table(
      ["CALL", "FROM", "TARGET", "STARTED", "ANSWERED", "LEGS"],
      calls.map {
        [
          $0.id, $0.from, $0.target, short($0.started), short($0.answered),
          or($0.legs.map { "\($0.account) \($0.state)" }.joined(separator: ", ")),
        ]
      })
  }

  static func callRecords(_ calls: [CallView]) -> String {
    Terminal.table(
      ["CALL", "FROM", "TARGET", "STARTED", "END", "BY", "TALKED", "MOS"],
      calls.map { call in
        let talked = call.answered.flatMap { from in call.ended.map { seconds($0 - from) } }
        let by = call.legs.first { $0.code == 200 && $0.account != call.from }?.account
        // A talk is as good as its worse end.
        let mos = call.legs.compactMap(\.opinion).min().map(score)
        return [
          call.id, call.from, call.target, short(call.started), or(call.end?.rawValue), or(by), or(talked),
          or(mos),
        ]
      })
  }

  static func legs(_ legs: [LegView]) -> String {
    Terminal.table(
      ["LEG", "STATE", "CODE", "CODEC", "IN", "OUT", "LOST", "JITTER", "FOREIGN", "ROUND TRIP", "MOS"],
      legs.map {
        [
          $0.account, $0.state, $0.code.map { "\($0)" } ?? "-", or($0.codec), "\($0.packetsIn)",
          "\($0.packetsOut)", "\($0.lost)", "\($0.jitter) ms", "\($0.foreign)",
          $0.roundTrip.map { "\($0) ms" } ?? "-", $0.opinion.map(score) ?? "-",
        ]
      })
  }

  /// Hundredths as a number with two digits after the point.
  private static func score(_ hundredths: Int) -> String {
    let rest = hundredths % 100
    return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
  }

  static func checks(_ checks: [CheckView]) -> String {
    let width = checks.map(\.name.count).max() ?? 0
    return checks.map { check in
      let mark = check.status.rawValue + String(repeating: " ", count: 9 - check.status.rawValue.count)
      var text =
        mark + check.name + String(repeating: " ", count: width + 2 - check.name.count) + check.detail
      if let fix = check.fix { text += "\n         fix: \(fix)" }
      return text + "\n"
    }.joined()
  }

  static func status(_ status: StatusView) -> String {
    func share(_ share: StatusView.Share) -> String { "\(share.up) of \(share.total) up" }
    let uptime = status.uptime / 1000
    var lines = [
      ("gateway", "\(status.name) (\(status.domain)), version \(status.version)"),
      (
        "up",
        "\(uptime / 86_400) d \(uptime / 3600 % 24) h \(uptime / 60 % 60) min, since \(short(status.started))"
      ),
      ("listening", or(status.listeners.joined(separator: " "))),
      ("uplink", status.uplink.state + (status.uplink.detail.map { " (\($0))" } ?? "")),
      ("accounts", share(status.registrations)), ("stations", share(status.stations)),
      ("cameras", share(status.cameras)), ("doors", share(status.doors)), ("calls", "\(status.calls)"),
      ("bans", "\(status.bans)"),
    ]
    if let disk = status.disk {
      lines.append(("disk", "\(disk.free / 1_000_000) MB free of \(disk.total / 1_000_000) MB"))
    }
    if let end = status.maintenance { lines.append(("maintenance", "on until \(short(end))")) }
    if let temperature = status.temperature { lines.append(("temperature", "\(temperature) °C")) }
    for problem in status.problems { lines.append(("PROBLEM", problem)) }
    return lines.map { $0 + String(repeating: " ", count: 13 - $0.count) + $1 + "\n" }.joined()
  }

  /// One line for an event given as JSON.
  static func event(_ text: String) -> String {
    guard let event = try? EventView(reply: Array(text.utf8)) else { return text }
    var line = short(event.at) + "  " + event.type
    for field in event.details {
      if case .string(let value) = field.value {
        line += "  \(field.key)=\(value)"
      } else if field.value != .null {
        line += "  \(field.key)=\(field.value.text())"
      }
    }
    return line
  }
}
