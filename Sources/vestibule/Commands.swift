import API
import HTTP
import JSON
import Wire

/// What each verb asks of the daemon, and how the answer is shown.
struct Commands {
  let client: ControlClient
  let invocation: Invocation

  private var isJSON: Bool { invocation.isJSON }

  func run() throws(CommandFailure) {
    switch invocation.verb {
    case .apply: try apply()
    case .export: Terminal.say(try pretty(client.perform(.exportDirectory)))
    case .units: try list(.units, Tables.units)
    case .accounts: try list(.accounts, Tables.accounts)
    case .stations: try list(.stations, Tables.stations)
    case .cameras: try list(.cameras, Tables.cameras)
    case .doors: try list(.doors, Tables.doors)
    case .enroll: try enroll()
    case .revoke: try revoke()
    case .dnd: try doNotDisturb()
    case .ring: try RingCommand(client: client, invocation: invocation).run()
    case .open: try openDoor()
    case .calls: try calls()
    case .cdr: try callRecords()
    case .events: try events()
    case .bans: try bans()
    case .doctor: try doctor()
    case .status: try status()
    case .supportBundle: try supportBundle()
    case .backup: try backup()
    case .restore: try restore()
    case .maintenance: try maintenance()
    }
  }

  // MARK: Directory

  private func apply() throws(CommandFailure) {
    let path = invocation.arguments[0]
    let text = try Terminal.read(path, limit: APIOperation.applyDirectory.bodyLimit)
    let name = path == "-" ? "standard input" : path
    var query = [("file", name)]
    if invocation.has("dry-run") { query.append(("dryRun", "true")) }
    let reply = try client.perform(
      .applyDirectory, query: query, fields: ["Content-Type": "application/json5"], body: text)
    let outcome: ApplyReply = try decode(reply)
    for warning in outcome.warnings { Terminal.complain("warning: \(warning)") }
    if isJSON {
      Terminal.say(reply)
      return
    }
    var lines = ""
    for (word, names) in [
      ("added", outcome.added), ("changed", outcome.changed), ("removed", outcome.removed),
    ] { for name in names { lines += (outcome.applied ? "" : "would be ") + "\(word): \(name)\n" } }
    Terminal.say(lines.isEmpty ? "nothing to change\n" : lines)
  }

  private func list<Value: APIValue>(
    _ operation: APIOperation, query: [(String, String)] = [], _ show: ([Value]) -> String
  ) throws(CommandFailure) {
    let reply = try client.perform(operation, query: query)
    if isJSON {
      Terminal.say(reply)
      return
    }
    do throws(APIFault) {
      Terminal.say(show(try Value.list(reply: reply)))
    } catch {
      throw Commands.misunderstood(error)
    }
  }

  // MARK: Accounts

  private func enroll() throws(CommandFailure) {
    let word = invocation.options["format"] ?? "sip"
    guard let format = EnrollFormat(rawValue: word) else {
      let known = EnrollFormat.allCases.map(\.rawValue).joined(separator: ", ")
      throw .usage("unknown format \"\(word)\"; known are \(known)")
    }
    let request = EnrollRequest(format: format, replace: invocation.has("replace"))
    let reply = try client.perform(.enroll, [invocation.arguments[0]], body: request.json.bytes())
    if format != .sip {
      show(try decode(reply), format)
    } else if isJSON {
      Terminal.say(reply)
    } else {
      let credential: SIPCredential = try decode(reply)
      Terminal.say(
        """
        username  \(credential.username)
        secret    \(credential.secret)
        domain    \(credential.domain)

        """)
    }
  }

  private func show(_ link: EnrollmentLink, _ format: EnrollFormat) {
    if isJSON {
      let fields = [JSONField("url", .string(link.url)), JSONField("expires", .time(link.expires))]
      Terminal.say(JSONValue.object(fields).text() + "\n")
      return
    }
    let picture = QRPicture(rows: link.qr)
    switch format {
    case .png: Terminal.say(picture.png())
    case .svg: Terminal.say(picture.svg)
    case .sip, .url, .linphone, .akuvox:
      if !link.qr.isEmpty { Terminal.say(picture.text(isColoured: Terminal.isTerminal)) }
      Terminal.say("\(link.url)\ngood once, until \(link.expires)\n")
    }
  }

  private func revoke() throws(CommandFailure) {
    let arguments = invocation.arguments
    let reply = try client.perform(arguments.count == 2 ? .revoke : .revokeAll, arguments)
    if isJSON {
      Terminal.say(reply)
      return
    }
    let outcome: RevokeReply = try decode(reply)
    Terminal.say(
      "\(outcome.revoked) credential\(outcome.revoked == 1 ? "" : "s") of \(outcome.username) ended\n")
  }

  /// A name may be an account's or a unit's; no name is both.
  private func doNotDisturb() throws(CommandFailure) {
    let wanted = DoNotDisturb(dnd: invocation.arguments[0] == "on")
    let name = invocation.arguments[1]
    let accounts = try client.perform(.accounts)
    let isAccount: Bool
    do throws(APIFault) {
      isAccount = try AccountView.list(reply: accounts).contains { $0.username == name }
    } catch {
      throw Commands.misunderstood(error)
    }
    let reply = try client.perform(
      isAccount ? .accountDND : .unitDND, [name], body: wanted.json.bytes())
    Terminal.say(
      isJSON
        ? String(decoding: reply, as: UTF8.self)
        : "do-not-disturb is \(wanted.dnd ? "on" : "off") for \(name)\n")
  }

  // MARK: Calls

  private func calls() throws(CommandFailure) {
    guard let id = invocation.arguments.last else {
      try list(.calls, Tables.calls)
      return
    }
    _ = try client.perform(.hangUp, [id])
    Terminal.say(
      isJSON ? JSONValue.object([JSONField("id", .string(id))]).text() + "\n" : "call \(id) ended\n")
  }

  private func callRecords() throws(CommandFailure) {
    var query: [(String, String)] = []
    for name in ["limit", "before"] {
      if let value = invocation.options[name] { query.append((name, value)) }
    }
    try list(.callRecords, query: query, Tables.callRecords)
  }

  // MARK: Doors

  private func openDoor() throws(CommandFailure) {
    // Should the answer be lost, whoever repeats this request with the same key opens nothing twice.
    let key = client.reactor.makeKey()
    let reply = try client.perform(
      .openDoor, [invocation.arguments[0]], fields: ["Idempotency-Key": key])
    let outcome: OpenReply = try decode(reply)
    if isJSON { Terminal.say(reply) }
    guard outcome.result == "opened" else {
      let reason = outcome.reason.map { ": \($0)" } ?? ""
      throw .failed(["door \(outcome.door): \(outcome.result)\(reason); look at it before trying again"])
    }
    if !isJSON { Terminal.say("door \(outcome.door): opened\n") }
  }

  // MARK: The gateway

  private func events() throws(CommandFailure) {
    let after = invocation.options["after"]
    if let after, Int(after) == nil { throw .usage("--after needs the id of an event") }
    if invocation.has("follow") {
      // One object a line, with or without --json: who follows is mostly a program.
      try client.follow(after: after) { event in Terminal.say(event.data + "\n") }
      return
    }
    let reply = try client.perform(
      .events, query: after.map { [("after", $0)] } ?? [], fields: ["Accept": "application/json"])
    if isJSON {
      Terminal.say(reply)
      return
    }
    do throws(APIFault) {
      for event in try EventView.list(reply: reply) { Terminal.say(Tables.event(event.json.text()) + "\n") }
    } catch {
      throw Commands.misunderstood(error)
    }
  }

  private func bans() throws(CommandFailure) {
    guard let address = invocation.arguments.last else {
      try list(.bans, Tables.bans)
      return
    }
    _ = try client.perform(.liftBan, [address])
    Terminal.say(
      isJSON
        ? JSONValue.object([JSONField("address", .string(address))]).text() + "\n"
        : "no ban of \(address) is left\n")
  }

  private func doctor() throws(CommandFailure) {
    let reply = try client.perform(.doctor)
    let checks: [CheckView]
    do throws(APIFault) {
      checks = try CheckView.list(reply: reply)
    } catch {
      throw Commands.misunderstood(error)
    }
    if isJSON { Terminal.say(reply) } else { Terminal.say(Tables.checks(checks)) }
    let failed = checks.filter { $0.status == .failed }.map(\.name)
    guard failed.isEmpty else {
      throw .failed(["failed: \(failed.joined(separator: ", ")); each check above says its fix"])
    }
  }

  private func status() throws(CommandFailure) {
    let reply = try client.perform(.status)
    if isJSON { Terminal.say(reply) } else { Terminal.say(Tables.status(try decode(reply))) }
  }

  // MARK: Upkeep

  private func supportBundle() throws(CommandFailure) {
    let bundle = try pretty(client.perform(.supportBundle))
    let path = invocation.options["output"] ?? (isJSON ? "-" : "vestibule-support.json")
    guard path != "-" else { return Terminal.say(bundle) }
    try Terminal.write(Array(bundle.utf8), to: path)
    if !isJSON { Terminal.say("written to \(path): read it before you hand it on\n") }
  }

  private func backup() throws(CommandFailure) {
    let path = invocation.arguments[0]
    let bytes = try client.perform(.backup)
    guard path != "-" else { return Terminal.say(bytes) }
    try Terminal.write(bytes, to: path)
    Terminal.say(
      isJSON
        ? JSONValue.object([JSONField("file", .string(path)), JSONField("bytes", .integer(bytes.count))])
          .text()
          + "\n"
        : "\(bytes.count) bytes written to \(path); the device's key is not in it: keep that elsewhere\n")
  }

  private func restore() throws(CommandFailure) {
    let bytes = try Terminal.read(invocation.arguments[0], limit: APIOperation.restore.bodyLimit)
    let reply = try client.perform(
      .restore, fields: ["Content-Type": "application/vnd.sqlite3"], body: bytes)
    if isJSON { return Terminal.say(reply) }
    let outcome: RestoreReply = try decode(reply)
    Terminal.say(
      "\(outcome.units) units, \(outcome.accounts) accounts, \(outcome.credentials) credentials: the gateway begins "
        + "anew with them\n")
    if outcome.unreadable > 0 {
      Terminal.complain(
        "warning: \(outcome.unreadable) credentials were wrapped with another device's key; put that key back, or "
          + "enrol their devices anew")
    }
  }

  private func maintenance() throws(CommandFailure) {
    let wanted = Maintenance(on: invocation.arguments[0] == "on")
    let reply = try client.perform(.maintenance, body: wanted.json.bytes())
    if isJSON { return Terminal.say(reply) }
    let outcome: Maintenance = try decode(reply)
    Terminal.say("maintenance mode is \(outcome.until.map { "on until \($0)" } ?? "off")\n")
  }

  // MARK: Reading replies

  private func decode<Value: APIValue>(_ reply: [UInt8]) throws(CommandFailure) -> Value {
    do throws(APIFault) {
      return try Value(reply: reply)
    } catch {
      throw Commands.misunderstood(error)
    }
  }

  private func pretty(_ reply: [UInt8]) throws(CommandFailure) -> String {
    do throws(JSONError) {
      return try JSONNode(parsing: reply).value.text(isJSON ? .compact : .pretty) + "\n"
    } catch {
      throw Commands.misunderstood(APIFault(errors: [error]))
    }
  }

  static func misunderstood(_ fault: APIFault) -> CommandFailure {
    let first = fault.errors.first.map { ": \($0)" } ?? ""
    return .failed(["the gateway's answer was not understood\(first); are both of the same version?"])
  }
}
