package import JSON
package import Wire

// What the lists of `/api/v1` hold: the directory's things with their live state.

/// Where a device of an account can be reached.
package struct ContactView: APIValue {
  package var uri: String
  /// udp, tcp, tls, ws or wss.
  package var transport: String
  /// Round trip of the last qualify ping in milliseconds; nil before the first answer, or when none came.
  package var latency: Int?
  /// What pings say: `unknown` before the first one came to an end, `reachable`, `unreachable`.
  package var reach: String
  package var expires: WallTime

  package init(uri: String, transport: String, latency: Int?, reach: String, expires: WallTime) {
    self.uri = uri
    self.transport = transport
    self.latency = latency
    self.reach = reach
    self.expires = expires
  }
  package init(_ reader: inout ObjectReader) {
    uri = reader.string("uri", limit: 4096)
    transport = reader.string("transport")
    latency = reader.optionalInteger("latency")
    reach = reader.string("reach", default: latency == nil ? "unknown" : "reachable")
    expires = reader.requiredTime("expires")
  }
  package var json: JSONValue {
    [
      "uri": .string(uri), "transport": .string(transport), "latency": .integer(orNull: latency),
      "reach": .string(reach), "expires": .time(expires),
    ]
  }
  package static var example: ContactView {
    ContactView(
      uri: "sip:panel401@192.0.2.7:5060", transport: "udp", latency: 12, reach: "reachable",
      expires: WallTime(seconds: 1_795_210_119))
  }
}

/// A credential without its secret.
package struct CredentialView: APIValue {
  package var id: String
  package var created: WallTime
  package var lastUsed: WallTime?

  package init(id: String, created: WallTime, lastUsed: WallTime?) {
    self.id = id
    self.created = created
    self.lastUsed = lastUsed
  }
  package init(_ reader: inout ObjectReader) {
    id = reader.string("id")
    created = reader.requiredTime("created")
    lastUsed = reader.time("lastUsed")
  }
  package var json: JSONValue {
    ["id": .string(id), "created": .time(created), "lastUsed": .time(lastUsed)]
  }
  package static var example: CredentialView {
    CredentialView(
      id: "3", created: WallTime(seconds: 1_795_200_000), lastUsed: WallTime(seconds: 1_795_210_000))
  }
}

package struct AccountView: APIValue {
  package var username: String
  package var kind: String
  package var unit: String?
  package var registered: Bool
  package var contacts: [ContactView]
  package var dnd: Bool
  package var credentials: [CredentialView]

  package init(
    username: String, kind: String, unit: String?, registered: Bool, contacts: [ContactView], dnd: Bool,
    credentials: [CredentialView]
  ) {
    self.username = username
    self.kind = kind
    self.unit = unit
    self.registered = registered
    self.contacts = contacts
    self.dnd = dnd
    self.credentials = credentials
  }
  package init(_ reader: inout ObjectReader) {
    username = reader.string("username")
    kind = reader.string("kind")
    unit = reader.text("unit")
    registered = reader.bool("registered", default: false)
    contacts = reader.values("contacts")
    dnd = reader.bool("dnd", default: false)
    credentials = reader.values("credentials")
  }
  package var json: JSONValue {
    [
      "username": .string(username), "kind": .string(kind), "unit": .string(orNull: unit),
      "registered": .bool(registered), "contacts": contacts.json, "dnd": .bool(dnd),
      "credentials": credentials.json,
    ]
  }
  package static var example: AccountView {
    AccountView(
      username: "panel401", kind: "panel", unit: "401", registered: true, contacts: [.example], dnd: false,
      credentials: [.example])
  }
}

package struct UnitView: APIValue {
  package var number: String
  package var name: String
  package var aliases: [String]
  package var accounts: [String]
  package var doors: [String]
  /// How many of the accounts have a device that can be reached.
  package var registered: Int
  package var dnd: Bool
  /// How many calls the unit is in.
  package var calls: Int

  package init(
    number: String, name: String, aliases: [String], accounts: [String], doors: [String], registered: Int,
    dnd: Bool, calls: Int
  ) {
    self.number = number
    self.name = name
    self.aliases = aliases
    self.accounts = accounts
    self.doors = doors
    self.registered = registered
    self.dnd = dnd
    self.calls = calls
  }
  package init(_ reader: inout ObjectReader) {
    number = reader.string("number")
    name = reader.string("name", default: "")
    aliases = reader.strings("aliases")
    accounts = reader.strings("accounts")
    doors = reader.strings("doors")
    registered = reader.integer("registered", default: 0)
    dnd = reader.bool("dnd", default: false)
    calls = reader.integer("calls", default: 0)
  }
  package var json: JSONValue {
    [
      "number": .string(number), "name": .string(name), "aliases": .strings(aliases),
      "accounts": .strings(accounts), "doors": .strings(doors), "registered": .integer(registered),
      "dnd": .bool(dnd), "calls": .integer(calls),
    ]
  }
  package static var example: UnitView {
    UnitView(
      number: "401", name: "Martin", aliases: ["4-1"], accounts: ["panel401", "web401"],
      doors: ["entrance"], registered: 1, dnd: false, calls: 0)
  }
}

package struct StationView: APIValue {
  package var username: String
  package var name: String
  package var camera: String?
  package var door: String?
  /// The provisioned address, if it has one.
  package var address: String?
  package var registered: Bool
  package var contacts: [ContactView]
  /// How many calls it is in.
  package var calls: Int

  package init(
    username: String, name: String, camera: String?, door: String?, address: String?, registered: Bool,
    contacts: [ContactView], calls: Int
  ) {
    self.username = username
    self.name = name
    self.camera = camera
    self.door = door
    self.address = address
    self.registered = registered
    self.contacts = contacts
    self.calls = calls
  }
  package init(_ reader: inout ObjectReader) {
    username = reader.string("username")
    name = reader.string("name", default: "")
    camera = reader.text("camera")
    door = reader.text("door")
    address = reader.text("address")
    registered = reader.bool("registered", default: false)
    contacts = reader.values("contacts")
    calls = reader.integer("calls", default: 0)
  }
  package var json: JSONValue {
    [
      "username": .string(username), "name": .string(name), "camera": .string(orNull: camera),
      "door": .string(orNull: door), "address": .string(orNull: address), "registered": .bool(registered),
      "contacts": contacts.json, "calls": .integer(calls),
    ]
  }
  package static var example: StationView {
    StationView(
      username: "intercom-main", name: "Entrance", camera: "entrance", door: "entrance",
      address: "192.0.2.5:5060", registered: true, contacts: [.example], calls: 1)
  }
}

package struct CameraView: APIValue {
  package var id: String
  /// Without any password.
  package var source: String
  package var view: String
  /// idle, starting, live (somebody looks), warm (nobody does, it shows all the same), backing off (it failed and is tried
  /// again by itself), faulty (somebody has to change something).
  package var state: String
  /// Why it gave no pictures last: a word, and a sentence. Nil as soon as it gives them again.
  package var reason: String?
  package var detail: String?
  /// When it is tried again.
  package var retry: WallTime?
  /// As `640x480`; nil before its first picture.
  package var size: String?
  package var coding: String?
  /// PCMA or PCMU; nil for a camera without sound, and before its first picture.
  package var sound: String?
  /// Why its microphone gave no sound last, while pictures go on; nil as soon as it gives it again.
  package var silence: String?
  package var viewers: Int
  /// From its last opening to the first picture, in milliseconds.
  package var firstPicture: Int?

  package init(
    id: String, source: String, view: String, state: String, reason: String? = nil, detail: String? = nil,
    retry: WallTime? = nil, size: String? = nil, coding: String? = nil, sound: String? = nil,
    silence: String? = nil, viewers: Int = 0,
    firstPicture: Int? = nil
  ) {
    self.id = id
    self.source = source
    self.view = view
    self.state = state
    self.reason = reason
    self.detail = detail
    self.retry = retry
    self.size = size
    self.coding = coding
    self.sound = sound
    self.silence = silence
    self.viewers = viewers
    self.firstPicture = firstPicture
  }
  package init(_ reader: inout ObjectReader) {
    id = reader.string("id")
    source = reader.string("source", default: "", limit: 4096)
    view = reader.string("view", default: "")
    state = reader.string("state", default: "unknown")
    reason = reader.text("reason")
    detail = reader.text("detail")
    retry = reader.time("retry")
    size = reader.text("size")
    coding = reader.text("coding")
    sound = reader.text("sound")
    silence = reader.text("silence")
    viewers = reader.integer("viewers", default: 0)
    firstPicture = reader.optionalInteger("firstPicture")
  }
  package var json: JSONValue {
    [
      "id": .string(id), "source": .string(source), "view": .string(view), "state": .string(state),
      "reason": .string(orNull: reason), "detail": .string(orNull: detail), "retry": .time(retry),
      "size": .string(orNull: size), "coding": .string(orNull: coding),
      "sound": .string(orNull: sound), "silence": .string(orNull: silence), "viewers": .integer(viewers),
      "firstPicture": .integer(orNull: firstPicture),
    ]
  }
  package static var example: CameraView {
    CameraView(
      id: "entrance", source: "v4l2:/dev/video0", view: "ring", state: "backing off", reason: "gone",
      detail: "/dev/video0 is gone: it was unplugged, or its driver lost it",
      retry: WallTime(seconds: 1_795_210_119),
      size: "640x480", coding: "H264", sound: "PCMA",
      silence: "the sound card hw:1,0 is used by another program", viewers: 2, firstPicture: 180)
  }
}

package struct DoorView: APIValue {
  package var id: String
  /// idle, pulsing or failed.
  package var state: String
  /// opened, refused or unknown; nil before the first attempt.
  package var lastResult: String?
  package var lastAt: WallTime?
  /// The kind of its actuator.
  package var actuator: String

  package init(id: String, state: String, lastResult: String?, lastAt: WallTime?, actuator: String) {
    self.id = id
    self.state = state
    self.lastResult = lastResult
    self.lastAt = lastAt
    self.actuator = actuator
  }
  package init(_ reader: inout ObjectReader) {
    id = reader.string("id")
    state = reader.string("state")
    lastResult = reader.text("lastResult")
    lastAt = reader.time("lastAt")
    actuator = reader.string("actuator", default: "")
  }
  package var json: JSONValue {
    [
      "id": .string(id), "state": .string(state), "lastResult": .string(orNull: lastResult),
      "lastAt": .time(lastAt), "actuator": .string(actuator),
    ]
  }
  package static var example: DoorView {
    DoorView(
      id: "entrance", state: "idle", lastResult: "opened", lastAt: WallTime(seconds: 1_795_210_119),
      actuator: "gpio")
  }
}

package struct BanView: APIValue {
  package var address: String
  /// The account the ban is limited to; nil when the address is banned whole.
  package var account: String?
  package var since: WallTime
  package var until: WallTime
  package var failures: Int

  package init(address: String, account: String?, since: WallTime, until: WallTime, failures: Int) {
    self.address = address
    self.account = account
    self.since = since
    self.until = until
    self.failures = failures
  }
  package init(_ reader: inout ObjectReader) {
    address = reader.string("address")
    account = reader.text("account")
    since = reader.requiredTime("since")
    until = reader.requiredTime("until")
    failures = reader.integer("failures", default: 0)
  }
  package var json: JSONValue {
    [
      "address": .string(address), "account": .string(orNull: account), "since": .time(since),
      "until": .time(until), "failures": .integer(failures),
    ]
  }
  package static var example: BanView {
    BanView(
      address: "198.51.100.9", account: "panel401", since: WallTime(seconds: 1_795_200_000),
      until: WallTime(seconds: 1_795_286_400), failures: 5)
  }
}

/// One check of `doctor`.
package struct CheckView: APIValue {
  package enum Status: String, CaseIterable, Sendable {
    case ok, warning, failed, skipped
  }
  package var name: String
  package var status: Status
  package var detail: String
  /// What to do; nil when there is nothing to do.
  package var fix: String?

  package init(name: String, status: Status, detail: String, fix: String?) {
    self.name = name
    self.status = status
    self.detail = detail
    self.fix = fix
  }
  package init(_ reader: inout ObjectReader) {
    name = reader.string("name")
    status = reader.choice("status", Status.self) ?? .failed
    detail = reader.string("detail", default: "", limit: longText)
    fix = reader.text("fix")
  }
  package var json: JSONValue {
    [
      "name": .string(name), "status": .string(status.rawValue), "detail": .string(detail),
      "fix": .string(orNull: fix),
    ]
  }
  package static var example: CheckView {
    CheckView(
      name: "gpio", status: .warning, detail: "lines keep their level after the daemon ends",
      fix: "add dtparam=strict_gpiod to config.txt")
  }
}
