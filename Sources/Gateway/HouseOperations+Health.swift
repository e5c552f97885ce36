internal import API
internal import Calls
internal import Cameras
internal import Directory
internal import Doors
internal import Management
internal import MediaPlane
internal import SIP
internal import Wire

// How the gateway is: one page, one word, and every check with its fix.

extension HouseOperations {
  func health() -> HealthView {
    let isKept = gateway.keeper.failure == nil && !gateway.problems.contains { $0.hasPrefix("store") }
    let hears = !gateway.sip.bound.isEmpty
    // Calls and doors work without: a camera that is away makes nobody restart the gateway.
    let lost = building.cameras.map(\.id).filter { !isWell($0) }
    return HealthView(
      status: isKept && hears ? "up" : "down",
      components: [
        HealthView.Component(
          name: "store", status: isKept ? "up" : "down",
          detail: gateway.keeper.failure.map { "\($0)" }
            ?? gateway.problems.first { $0.hasPrefix("store") }),
        HealthView.Component(
          name: "sip", status: hears ? "up" : "down",
          detail: gateway.sip.bound.map { "\($0.transport):\($0.endpoint)" }.joined(separator: ",")),
        HealthView.Component(
          name: "cameras", status: lost.isEmpty ? "up" : "down",
          detail: lost.isEmpty ? nil : lost.map(\.rawValue).joined(separator: ",")),
      ])
  }

  func status() -> StatusView {
    let everyone = building.everyAccount
    let reached = everyone.count {
      !house.registrar.bindings(of: $0.account.username.rawValue).isEmpty
    }
    let stationsUp = building.stations.count {
      $0.address != nil || !house.registrar.bindings(of: $0.username.rawValue).isEmpty
    }
    let doorsUp = building.doors.count { door in
      if case .fault = house.doors.status(of: door.id)?.state { false } else { true }
    }
    let disk = gateway.setting.premises.disk()
    return StatusView(
      version: gateway.setting.version, name: gateway.configuration.gateway.name,
      domain: gateway.configuration.gateway.domain, started: gateway.started,
      uptime: Int((wall - gateway.started).milliseconds),
      listeners: gateway.sip.bound.map { "\($0.transport):\($0.endpoint)" }
        + gateway.http.map { "http:\($0)" } + gateway.https.map { "https:\($0)" },
      uplink: StatusView.Uplink(state: "off", detail: "not paired"),
      registrations: StatusView.Share(total: everyone.count, up: reached),
      stations: StatusView.Share(total: building.stations.count, up: stationsUp),
      cameras: StatusView.Share(
        total: building.cameras.count, up: building.cameras.count { isWell($0.id) }),
      doors: StatusView.Share(total: building.doors.count, up: doorsUp), calls: house.calls.count,
      bans: house.gate.bans.list(now: gateway.world.now).count,
      disk: disk.map { StatusView.Disk(total: Int($0.total), free: Int($0.free)) }, temperature: nil,
      maintenance: house.maintenanceEnd, problems: gateway.problems)
  }

  func doctor(then: @escaping Completion<[CheckView]>) {
    var checks: [CheckView] = []
    func check(_ name: String, _ isWell: Bool, _ detail: String, fix: String? = nil, warns: Bool = false) {
      checks.append(
        CheckView(
          name: name, status: isWell ? .ok : warns ? .warning : .failed, detail: detail,
          fix: isWell ? nil : fix))
    }
    let health = health()
    for component in health.components where component.name != "cameras" {
      check(
        component.name, component.status == "up", component.detail ?? "works",
        fix: "read the log of the daemon, mend what it names, and restart it")
    }
    for problem in gateway.problems {
      check("start", false, problem, fix: "mend it and restart the daemon")
    }
    check(
      "directory", !building.units.isEmpty,
      "\(building.units.count) units, \(building.stations.count) stations",
      fix: "write a directory file and run \"vestibule apply FILE\"", warns: true)
    for number in building.site.emergency where number.targets.isEmpty {
      check(
        "emergency \(number.number)", false, "no target: whoever dials it hears 404",
        fix: "give it a target in the directory file", warns: true)
    }
    let media = gateway.configuration.media
    if media.ice == .lite, !media.stun.isEmpty || !media.turn.isEmpty {
      check(
        "media.ice", false, "lite: the servers of media.stun and media.turn are not asked",
        fix: "set media.ice to \"auto\"", warns: true)
    } else if house.plane.hasServers {
      let mapped = house.plane.mappedEndpoints
      check(
        "media.stun", !mapped.isEmpty,
        mapped.isEmpty
          ? "no server tells our address" : "seen as " + mapped.map(\.description).joined(separator: ", "),
        fix: "check the names in media.stun and media.turn, and that UDP may leave to them", warns: true)
      if !media.turn.isEmpty {
        let ready = house.plane.readyRelays
        check(
          "media.turn", ready > 0, "\(ready) leases lie ready",
          fix: "check address, username and password in media.turn, and that UDP may leave to it", warns: true
        )
      }
    }
    for door in building.doors {
      if case .fault(let words)? = house.doors.status(of: door.id)?.state {
        check(
          "door \(door.id)", false, words,
          fix: "check chip and line in the directory file, and that the daemon's user is in the group gpio")
      } else {
        check("door \(door.id)", true, "\(door.actuator.kind.rawValue)")
      }
    }
    for camera in building.cameras {
      let fault = house.cameras.status(of: camera.id)?.fault
      check(
        "camera \(camera.id)", fault == nil, fault?.text ?? camera.source.written,
        fix: fault.map { HouseOperations.fix($0.kind) })
      guard let card = camera.microphone else { continue }
      let silence = house.cameras.status(of: camera.id)?.silence
      check(
        "microphone of \(camera.id)", silence == nil, silence?.text ?? card,
        fix: "choose one of those that `arecord -L` lists, and see that nothing else uses it", warns: true)
    }
    for account in building.everyAccount.map(\.account) where account.kind != .browser {
      let name = account.username.rawValue
      if book.credentials(of: name).isEmpty {
        check(
          "account \(name)", false, "no credential: no device can register",
          fix: "vestibule enroll \(name) --format sip", warns: true)
      } else if house.registrar.bindings(of: name).isEmpty {
        check(
          "account \(name)", false, "enrolled, and no device is registered",
          fix: "check the device's server address and password", warns: true)
      }
    }
    if building.stations.contains(where: { $0.door != nil }) {
      checks.append(
        CheckView(
          name: "stations' keypads", status: .skipped,
          detail: "a gateway cannot see whether a station listens for keys in the sound itself",
          fix:
            "switch in-band DTMF detection off on every station: a tone played by a resident must not open it"
        ))
    }
    let premises = gateway.setting.premises
    gateway.world.perform(on: .general) {
      premises.checks()
    } then: { machine in
      then(
        .success(
          checks
            + machine.map {
              CheckView(
                name: $0.name, status: $0.isWell ? .ok : .warning, detail: $0.detail,
                fix: $0.isWell ? nil : $0.fix)
            }))
    }
  }

  /// What helps against a camera's failing.
  private static func fix(_ kind: SourceFault.Kind) -> String {
    switch kind {
    case .missing: "plug it in, and check its path in the directory file"
    case .refused: "allow one more viewer in the camera's settings, or check the address's path"
    case .unreachable, .gone: "check its power, its network, and its address in the directory file"
    case .credentials: "write its username and password in the directory file and apply it"
    case .certificate: "if the camera was replaced, change its source in the directory file and back"
    case .coding: "set its stream to H.264 without B-frames, baseline profile at best"
    case .frozen: "restart the camera"
    case .malformed: "update its firmware"
    }
  }
}
