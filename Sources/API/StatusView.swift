package import JSON
package import Wire

/// One page about the gateway.
package struct StatusView: APIValue {
  /// How many there are, and how many of them are well.
  package struct Share: APIValue {
    package var total: Int
    package var up: Int

    package init(total: Int, up: Int) {
      self.total = total
      self.up = up
    }
    package init(_ reader: inout ObjectReader) {
      total = reader.integer("total", default: 0)
      up = reader.integer("up", default: 0)
    }
    package var json: JSONValue { ["total": .integer(total), "up": .integer(up)] }
    package static var example: Share { Share(total: 4, up: 3) }
  }
  package struct Uplink: APIValue {
    /// off (not paired), up or down.
    package var state: String
    package var detail: String?

    package init(state: String, detail: String?) {
      self.state = state
      self.detail = detail
    }
    package init(_ reader: inout ObjectReader) {
      state = reader.string("state", default: "off")
      detail = reader.text("detail")
    }
    package var json: JSONValue { ["state": .string(state), "detail": .string(orNull: detail)] }
    package static var example: Uplink { Uplink(state: "off", detail: "not paired") }
  }
  /// Bytes of the file system that holds the state.
  package struct Disk: APIValue {
    package var total: Int
    package var free: Int

    package init(total: Int, free: Int) {
      self.total = total
      self.free = free
    }
    package init(_ reader: inout ObjectReader) {
      total = reader.integer("total", default: 0)
      free = reader.integer("free", default: 0)
    }
    package var json: JSONValue { ["total": .integer(total), "free": .integer(free)] }
    package static var example: Disk { Disk(total: 32_000_000_000, free: 20_000_000_000) }
  }

  package var version: String
  package var name: String
  package var domain: String
  package var started: WallTime
  /// Milliseconds.
  package var uptime: Int
  /// Where SIP and HTTP are listened for, such as `udp:0.0.0.0:5060`.
  package var listeners: [String]
  package var uplink: Uplink
  /// Accounts, and those with a device that can be reached.
  package var registrations: Share
  package var stations: Share
  package var cameras: Share
  package var doors: Share
  package var calls: Int
  package var bans: Int
  package var disk: Disk?
  /// Degrees Celsius; nil where there is no sensor.
  package var temperature: Double?
  /// When maintenance mode ends by itself; nil when it is off.
  package var maintenance: WallTime?
  /// What is wrong, in one line each.
  package var problems: [String]

  package init(
    version: String, name: String, domain: String, started: WallTime, uptime: Int, listeners: [String],
    uplink: Uplink, registrations: Share, stations: Share, cameras: Share, doors: Share, calls: Int,
    bans: Int, disk: Disk?, temperature: Double?, maintenance: WallTime? = nil,
    problems: [String]
  ) {
    self.version = version
    self.name = name
    self.domain = domain
    self.started = started
    self.uptime = uptime
    self.listeners = listeners
    self.uplink = uplink
    self.registrations = registrations
    self.stations = stations
    self.cameras = cameras
    self.doors = doors
    self.calls = calls
    self.bans = bans
    self.disk = disk
    self.temperature = temperature
    self.maintenance = maintenance
    self.problems = problems
  }
  package init(_ reader: inout ObjectReader) {
    version = reader.string("version")
    name = reader.string("name", default: "")
    domain = reader.string("domain", default: "")
    started = reader.requiredTime("started")
    uptime = reader.integer("uptime", default: 0)
    listeners = reader.strings("listeners")
    uplink = reader.value("uplink") ?? Uplink(state: "off", detail: nil)
    registrations = reader.value("registrations") ?? Share(total: 0, up: 0)
    stations = reader.value("stations") ?? Share(total: 0, up: 0)
    cameras = reader.value("cameras") ?? Share(total: 0, up: 0)
    doors = reader.value("doors") ?? Share(total: 0, up: 0)
    calls = reader.integer("calls", default: 0)
    bans = reader.integer("bans", default: 0)
    disk = reader.value("disk")
    temperature = reader.presentMember("temperature")?.number()
    maintenance = reader.time("maintenance")
    problems = reader.strings("problems")
  }
  package var json: JSONValue {
    [
      "version": .string(version), "name": .string(name), "domain": .string(domain),
      "started": .time(started), "uptime": .integer(uptime), "listeners": .strings(listeners),
      "uplink": uplink.json, "registrations": registrations.json, "stations": stations.json,
      "cameras": cameras.json, "doors": doors.json, "calls": .integer(calls), "bans": .integer(bans),
      "disk": disk?.json ?? .null, "temperature": temperature.map(JSONValue.number) ?? .null,
      "maintenance": .time(maintenance), "problems": .strings(problems),
    ]
  }
  package static var example: StatusView {
    StatusView(
      version: "0.1.0", name: "vestibule", domain: "vestibule.local",
      started: WallTime(seconds: 1_795_200_000), uptime: 10_119_000, listeners: ["udp:0.0.0.0:5060"],
      uplink: .example, registrations: .example, stations: .example, cameras: .example, doors: .example,
      calls: 1, bans: 0, disk: .example, temperature: 48.5,
      maintenance: WallTime(seconds: 1_795_224_519), problems: ["no GPIO"])
  }
}

/// `GET /health`.
package struct HealthView: APIValue {
  package struct Component: APIValue {
    package var name: String
    /// up or down.
    package var status: String
    package var detail: String?

    package init(name: String, status: String, detail: String?) {
      self.name = name
      self.status = status
      self.detail = detail
    }
    package init(_ reader: inout ObjectReader) {
      name = reader.string("name")
      status = reader.string("status")
      detail = reader.text("detail")
    }
    package var json: JSONValue {
      ["name": .string(name), "status": .string(status), "detail": .string(orNull: detail)]
    }
    package static var example: Component { Component(name: "store", status: "up", detail: "ok") }
  }
  /// up; degraded when a component is down that calls do not need; down when the store or every SIP listener is.
  package var status: String
  package var components: [Component]

  package init(status: String, components: [Component]) {
    self.status = status
    self.components = components
  }
  package init(_ reader: inout ObjectReader) {
    status = reader.string("status")
    components = reader.values("components")
  }
  package var json: JSONValue { ["status": .string(status), "components": components.json] }
  package static var example: HealthView { HealthView(status: "up", components: [.example]) }
}
