package import JSON
internal import Wire

extension DevicePassword {
  /// What stands in a file for a password that is stored and stays.
  package static let unchanged = "unchanged"

  fileprivate var written: JSONValue { self == .none ? .null : .string(DevicePassword.unchanged) }
}

extension Building {
  /// The directory in the form of its file. Reading it back changes nothing; passwords print `"unchanged"`.
  package var exported: JSONValue {
    [
      "site": .object(site.fields), "building": ["id": .string(id), "name": .string(name)],
      "units": .array(units.map { .object($0.fields) }),
      "accounts": .array(accounts.map { .object($0.fields) }),
      "stations": .array(stations.map { .object($0.fields) }),
      "cameras": .array(cameras.map { .object($0.fields) }),
      "doors": .array(doors.map { .object($0.fields) }),
    ]
  }

  /// The same as text, one key a line.
  package var exportedText: String { exported.text(.pretty) + "\n" }

  /// Takes the passwords that the file gave out of the directory, and leaves the mark of stored ones. What is
  /// kept in memory and written as text holds none.
  package func withoutPasswords() -> (building: Building, passwords: [(device: DeviceID, password: String)]) {
    var passwords: [(device: DeviceID, password: String)] = []
    func stored(_ password: DevicePassword, _ device: DeviceID) -> DevicePassword {
      guard case .given(let text) = password else { return password }
      passwords.append((device, text))
      return .stored
    }
    let cameras = self.cameras.map { camera in
      var camera = camera
      camera.password = stored(camera.password, .camera(camera.id))
      return camera
    }
    let doors = self.doors.map { door in
      var door = door
      if case .http(var actuator) = door.actuator {
        actuator.password = stored(actuator.password, .door(door.id))
        door.actuator = .http(actuator)
      }
      return door
    }
    let building = Building(
      site: site, id: id, name: name, units: units, accounts: accounts, stations: stations, cameras: cameras,
      doors: doors)
    return (building, passwords)
  }

  /// The devices that have a password, in the order of the file.
  package var devicesWithPassword: [(device: DeviceID, password: DevicePassword)] {
    var found: [(device: DeviceID, password: DevicePassword)] = []
    for camera in cameras where camera.password != .none {
      found.append((.camera(camera.id), camera.password))
    }
    for door in doors {
      if case .http(let actuator) = door.actuator, actuator.password != .none {
        found.append((.door(door.id), actuator.password))
      }
    }
    return found
  }

  /// Devices whose password is to stay as it is although `old` has none for them: an error of `apply`.
  package func passwordsNotStored(in old: Building?) -> [DeviceID] {
    let stored = Set((old?.devicesWithPassword ?? []).map(\.device))
    return devicesWithPassword.filter { $0.password == .stored && !stored.contains($0.device) }.map(\.device)
  }
}

private typealias Fields = [JSONField]

private func field(_ key: String, _ value: JSONValue) -> JSONField { JSONField(key, value) }

extension Site {
  fileprivate var fields: Fields {
    [
      field("id", .string(id)), field("name", .string(name)), field("address", .string(address)),
      field("timezone", .string(timezone)),
      field(
        "emergency",
        .array(
          emergency.map { number in
            var fields = [field("number", .string(number.number))]
            if !number.targets.isEmpty { fields.append(field("target", written(number.targets))) }
            return .object(fields)
          })),
    ]
  }
}

private func written(_ targets: [RuleTarget]) -> JSONValue {
  targets.count == 1 ? .string(targets[0].written) : .strings(targets.map(\.written))
}

extension Unit {
  fileprivate var ownFields: Fields {
    [
      field("number", .string(number.rawValue)), field("name", .string(name)),
      field("aliases", .strings(aliases)),
      field("callWaiting", .string(callWaiting.rawValue)), field("neighbours", .bool(neighbours)),
      field("rules", .array(rules.map { .object($0.fields) })), field("doors", .array(doors.map(\.written))),
    ]
  }

  fileprivate var fields: Fields {
    var fields = ownFields
    fields.insert(field("accounts", .array(accounts.map { .object($0.fields) })), at: 5)
    return fields
  }
}

extension Account {
  fileprivate var fields: Fields {
    var fields = [field("username", .string(username.rawValue)), field("kind", .string(kind.rawValue))]
    if !name.isEmpty { fields.append(field("name", .string(name))) }
    if digest != .auto { fields.append(field("digest", .string(digest.rawValue))) }
    if !doors.isEmpty { fields.append(field("doors", .array(doors.map(\.written)))) }
    return fields
  }
}

extension DoorGrant {
  fileprivate var written: JSONValue {
    guard let schedule else { return .string(door.rawValue) }
    return ["door": .string(door.rawValue), "schedule": schedule.written]
  }
}

extension Schedule {
  fileprivate var written: JSONValue {
    .array(
      periods.map {
        [
          "days": .strings($0.days.written), "from": .string(Clock.written($0.from)),
          "to": .string(Clock.written($0.to)),
        ]
      })
  }
}

extension Rule {
  fileprivate var fields: Fields {
    var fields = [field("from", .string(from.pattern)), field("action", .string(action.rawValue))]
    if !targets.isEmpty { fields.append(field("target", Directory.written(targets))) }
    fields.append(field("timeout", .integer(Int(timeout.seconds))))
    if declineEnds { fields.append(field("declineEnds", true)) }
    if let schedule { fields.append(field("schedule", schedule.written)) }
    return fields
  }
}

extension Station {
  fileprivate var fields: Fields {
    var fields = [
      field("username", .string(username.rawValue)), field("name", .string(name)),
      field("camera", .string(orNull: camera?.rawValue)), field("door", .string(orNull: door?.rawValue)),
      field("address", .string(orNull: address?.description)),
      field("maxTalk", .integer(Int(maxTalk.seconds))), field("hangupAfterOpen", .bool(hangupAfterOpen)),
    ]
    if digest != .auto { fields.append(field("digest", .string(digest.rawValue))) }
    return fields
  }
}

extension Camera {
  fileprivate var fields: Fields {
    var fields = [field("id", .string(id.rawValue)), field("source", .string(source.written))]
    if let substream { fields.append(field("substream", .string(substream))) }
    if let username { fields.append(field("username", .string(username))) }
    if password != .none { fields.append(field("password", password.written)) }
    fields.append(field("view", .string(view.rawValue)))
    let settings = capture.fields
    if !settings.isEmpty { fields.append(field("capture", .object(settings))) }
    if let microphone { fields.append(field("microphone", .string(microphone))) }
    return fields
  }
}

extension Door {
  fileprivate var fields: Fields {
    var fields = [field("id", .string(id.rawValue))]
    if !name.isEmpty { fields.append(field("name", .string(name))) }
    return fields + [
      field("actuator", .object(actuator.fields)), field("pulse", .integer(Int(pulse.milliseconds))),
      field("openCode", .string(openCode)),
    ]
  }
}

extension Actuator {
  fileprivate var fields: Fields {
    var fields = [field("kind", .string(kind.rawValue))]
    switch self {
    case .gpio(let chip, let line, let activeLow):
      fields += [
        field("chip", .string(chip)), field("line", .integer(line)), field("activeLow", .bool(activeLow)),
      ]
    case .dtmf(let code, let mode):
      fields += [field("code", .string(code)), field("mode", .string(mode.rawValue))]
    case .http(let actuator):
      fields.append(field("url", .string(actuator.url)))
      if let username = actuator.username { fields.append(field("username", .string(username))) }
      if actuator.password != .none { fields.append(field("password", actuator.password.written)) }
      fields += [
        field("relay", .integer(actuator.relay)), field("fingerprint", .string(orNull: actuator.fingerprint)),
      ]
    case .none: break
    }
    return fields
  }
}

// MARK: What changed

/// One thing that a new directory adds, changes or removes.
package struct DirectoryChange: Hashable, Sendable {
  package enum Subject: String, CaseIterable, Hashable, Sendable {
    case site, building, unit, account, station, camera, door
  }
  package var subject: Subject
  package var id: String
  /// The keys whose values differ; empty when it was added or removed.
  package var keys: [String]

  package init(_ subject: Subject, _ id: String, keys: [String] = []) {
    self.subject = subject
    self.id = id
    self.keys = keys
  }
}

/// What `apply` prints.
package struct DirectoryChanges: Hashable, Sendable {
  package var added: [DirectoryChange] = []
  package var changed: [DirectoryChange] = []
  package var removed: [DirectoryChange] = []

  package var isEmpty: Bool { added.isEmpty && changed.isEmpty && removed.isEmpty }
}

extension Building {
  /// What this directory adds to, changes in and removes from `old`, in the order of their files; everything is
  /// added to nil. A password that was given counts as changed: the stored one cannot be read to compare.
  package func changes(from old: Building?) -> DirectoryChanges {
    var changes = DirectoryChanges()
    let before = old?.subjects ?? []
    let after = subjects
    var left: [Subject.Key: Subject] = [:]
    for subject in before { left[subject.key] = subject }
    for subject in after {
      guard let former = left.removeValue(forKey: subject.key) else {
        changes.added.append(DirectoryChange(subject.key.subject, subject.key.id))
        continue
      }
      var keys: [String] = []
      for field in subject.fields where former[field.key] != field.value { keys.append(field.key) }
      for field in former.fields where subject[field.key] == nil { keys.append(field.key) }
      if subject.givesPassword, !keys.contains("password") { keys.append("password") }
      if !keys.isEmpty {
        changes.changed.append(DirectoryChange(subject.key.subject, subject.key.id, keys: keys))
      }
    }
    for subject in before where left[subject.key] != nil {
      changes.removed.append(DirectoryChange(subject.key.subject, subject.key.id))
    }
    return changes
  }

  private struct Subject {
    struct Key: Hashable {
      var subject: DirectoryChange.Subject
      var id: String
    }
    var key: Key
    var fields: [JSONField]
    var givesPassword = false

    init(_ subject: DirectoryChange.Subject, _ id: String, _ fields: [JSONField]) {
      key = Key(subject: subject, id: id)
      self.fields = fields
    }

    subscript(key: String) -> JSONValue? { fields.first { $0.key == key }?.value }
  }

  private var subjects: [Subject] {
    let given = Set(devicesWithPassword.filter { $0.password != .stored }.map(\.device))
    var all = [
      Subject(.site, site.id, site.fields), Subject(.building, id, [field("name", .string(name))]),
    ]
    all += units.map { Subject(.unit, $0.number.rawValue, $0.ownFields) }
    all += everyAccount.map { account, unit in
      Subject(
        .account, account.username.rawValue, account.fields + [field("unit", .string(orNull: unit?.rawValue))]
      )
    }
    all += stations.map { Subject(.station, $0.username.rawValue, $0.fields) }
    all += cameras.map {
      var subject = Subject(.camera, $0.id.rawValue, $0.fields)
      subject.givesPassword = given.contains(.camera($0.id))
      return subject
    }
    all += doors.map {
      var subject = Subject(.door, $0.id.rawValue, $0.fields)
      subject.givesPassword = given.contains(.door($0.id))
      return subject
    }
    return all
  }
}
