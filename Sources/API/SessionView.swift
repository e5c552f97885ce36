package import JSON
package import Wire

/// A call that rings for one device.
package struct RingingView: APIValue {
  package var call: String
  /// The caller's username, and how people read it.
  package var from: String
  package var name: String
  package var target: String
  package var unit: String?
  /// The door beside the station that calls, if the device may open it.
  package var door: String?
  package var since: WallTime
  /// Nil unless a camera shows the caller.
  package var view: CameraToken?

  package init(
    call: String, from: String, name: String, target: String, unit: String?, door: String?,
    since: WallTime, view: CameraToken?
  ) {
    self.call = call
    self.from = from
    self.name = name
    self.target = target
    self.unit = unit
    self.door = door
    self.since = since
    self.view = view
  }
  package init(_ reader: inout ObjectReader) {
    call = reader.string("call")
    from = reader.string("from")
    name = reader.string("name", default: "")
    target = reader.string("target")
    unit = reader.text("unit")
    door = reader.text("door")
    since = reader.requiredTime("since")
    view = nil
    if let token = reader.text("token") {
      view = CameraToken(
        token: token, expires: reader.requiredTime("expires"), whep: reader.string("whep", limit: 4096))
    }
  }
  package var json: JSONValue { .object(fields) }
  /// The same as the members of an event.
  package var fields: [JSONField] {
    var fields = [
      JSONField("call", .string(call)), JSONField("from", .string(from)), JSONField("name", .string(name)),
      JSONField("target", .string(target)), JSONField("unit", .string(orNull: unit)),
      JSONField("door", .string(orNull: door)), JSONField("since", .time(since)),
    ]
    if let view {
      fields += [
        JSONField("token", .string(view.token)), JSONField("expires", .time(view.expires)),
        JSONField("whep", .string(view.whep)),
      ]
    }
    return fields
  }
  package static var example: RingingView {
    RingingView(
      call: "c1f0", from: "intercom-main", name: "Entrance", target: "401", unit: "401", door: "entrance",
      since: WallTime(seconds: 1_795_210_100), view: .example)
  }
}

/// Something with the name that people read.
package struct NamedView: APIValue {
  package var id: String
  package var name: String

  package init(id: String, name: String) {
    self.id = id
    self.name = name
  }
  package init(_ reader: inout ObjectReader) {
    id = reader.string("id")
    name = reader.string("name", default: "")
  }
  package var json: JSONValue { ["id": .string(id), "name": .string(name)] }
  package static var example: NamedView { NamedView(id: "entrance", name: "Entrance") }
}

extension JSONValue {
  fileprivate static func text(of value: JSONValue) -> String {
    if case .string(let text) = value { text } else { "" }
  }
}

/// The device that asks, and what concerns it now.
package struct SessionView: APIValue {
  package var account: String
  package var kind: String
  package var name: String
  /// Nil for people without one.
  package var unit: String?
  package var unitName: String?
  package var building: String
  package var doors: [NamedView]
  /// The stations and accounts that may call this device, by username.
  package var names: [NamedView]
  /// Do not disturb, of the account and of its unit.
  package var dnd: Bool
  package var unitDND: Bool
  package var ringing: [RingingView]
  /// What the gateway's clock shows: commands say by it when they were given.
  package var now: WallTime
  /// Where this page is served over TLS, which browsers want before they lend a microphone; nil when it is not.
  package var secure: String?
  /// Whether a certificate that browsers can check is shown there.
  package var hasKnownCertificate: Bool

  package init(
    account: String, kind: String, name: String, unit: String?, unitName: String?, building: String,
    doors: [NamedView], names: [NamedView], dnd: Bool, unitDND: Bool, ringing: [RingingView], now: WallTime,
    secure: String?, hasKnownCertificate: Bool
  ) {
    self.account = account
    self.kind = kind
    self.name = name
    self.unit = unit
    self.unitName = unitName
    self.building = building
    self.doors = doors
    self.names = names
    self.dnd = dnd
    self.unitDND = unitDND
    self.ringing = ringing
    self.now = now
    self.secure = secure
    self.hasKnownCertificate = hasKnownCertificate
  }
  package init(_ reader: inout ObjectReader) {
    account = reader.string("account")
    kind = reader.string("kind")
    name = reader.string("name", default: "")
    unit = reader.text("unit")
    unitName = reader.text("unitName")
    building = reader.string("building", default: "")
    doors = reader.values("doors")
    names = []
    if case .object(let members) = reader.presentMember("names")?.node.content {
      names = members.map { NamedView(id: $0.key, name: JSONValue.text(of: $0.value.value)) }
    }
    dnd = reader.bool("dnd", default: false)
    unitDND = reader.bool("unitDND", default: false)
    ringing = reader.values("ringing")
    now = reader.requiredTime("now")
    secure = reader.text("secure")
    hasKnownCertificate = reader.bool("hasKnownCertificate", default: false)
  }
  package var json: JSONValue {
    [
      "account": .string(account), "kind": .string(kind), "name": .string(name),
      "unit": .string(orNull: unit), "unitName": .string(orNull: unitName), "building": .string(building),
      "doors": doors.json, "names": .object(names.map { JSONField($0.id, .string($0.name)) }),
      "dnd": .bool(dnd), "unitDND": .bool(unitDND), "ringing": ringing.json, "now": .time(now),
      "secure": .string(orNull: secure), "hasKnownCertificate": .bool(hasKnownCertificate),
    ]
  }
  package static var example: SessionView {
    SessionView(
      account: "web401", kind: "browser", name: "Martin", unit: "401", unitName: "Martin",
      building: "Bâtiment A", doors: [.example], names: [.example], dnd: false, unitDND: false,
      ringing: [.example], now: WallTime(seconds: 1_795_210_119),
      secure: "https://192.0.2.1:8443/", hasKnownCertificate: true)
  }
}
