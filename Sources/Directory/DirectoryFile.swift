package import JSON
internal import Wire

/// A directory file that cannot be taken: everything wrong with it, in the order of the file.
package struct DirectoryFault: Error, Sendable {
  package var errors: [JSONError]
  /// How many more there were than are listed.
  package var further: Int

  package init(errors: [JSONError], further: Int = 0) {
    self.errors = errors
    self.further = further
  }
}

extension DirectoryFault: CustomStringConvertible {
  /// One line for each error.
  package var description: String {
    (errors.map(\.description) + (further > 0 ? ["and \(further) more"] : [])).joined(separator: "\n")
  }
}

extension Building {
  /// Reads a directory file, whole or not at all. `isZone` says which time zones exist; without it any name of
  /// the usual shape does.
  package static func read(
    _ text: [UInt8], file: String = "-", isZone: ((String) -> Bool)? = nil
  ) throws(DirectoryFault) -> (building: Building, warnings: [JSONWarning]) {
    let root: JSONNode
    do throws(JSONError) {
      root = try JSONNode(parsing: text, dialect: .json5, file: file)
    } catch {
      throw DirectoryFault(errors: [error])
    }
    let report = JSONReport(file: file)
    let reader = DirectoryReader(root, report: report, isZone: isZone ?? DirectoryReader.looksLikeZone)
    let building = reader.building()
    guard report.errors.isEmpty, let building else {
      throw DirectoryFault(errors: report.sortedErrors, further: report.further)
    }
    return (building, report.warnings)
  }
}

/// How many of each a directory may hold: far above any building, far below what a turn of the loop can chew.
package enum DirectoryLimits {
  package static let units = 5_000
  package static let accountsPerUnit = 64
  package static let rulesPerUnit = 64
  package static let targetsPerRule = 32
  package static let aliasesPerUnit = 32
  package static let accounts = 1_000
  package static let stations = 256
  package static let cameras = 256
  package static let doors = 256
  package static let emergencyNumbers = 32
  package static let periods = 32
  package static let nameBytes = 64
}

/// Walks the tree of one file: first for the names that it defines, so that references may point forwards, then
/// for everything.
final class DirectoryReader {
  private let root: ValueReader
  let report: JSONReport
  private let isZone: (String) -> Bool

  // Names that the file defines, in its order, for references and for the nearest known one.
  private var unitNames: [String] = []
  private var units: [String: UnitID] = [:]
  private var accountNames: [String] = []
  private var accounts: Set<String> = []
  private var cameraIDs: [String] = []
  private var doorIDs: [String] = []
  private var hasGuards = false
  private var saidThereAreNoGuards = false
  /// Where a name was used first: people's and stations' names are one set, cameras and doors each their own.
  private var firstUse: [String: String] = [:]

  init(_ root: JSONNode, report: JSONReport, isZone: @escaping (String) -> Bool) {
    self.root = ValueReader(root, report: report)
    self.report = report
    self.isZone = isZone
    for unit in root["units"]?.array ?? [] {
      if let number = unit["number"]?.string {
        for name in [number] + (unit["aliases"]?.array ?? []).compactMap(\.string) {
          unitNames.append(name)
          if units[name] == nil { units[name] = UnitID(number) }
        }
      }
      for account in unit["accounts"]?.array ?? [] { note(account) }
    }
    for account in root["accounts"]?.array ?? [] { note(account) }
    cameraIDs = (root["cameras"]?.array ?? []).compactMap { $0["id"]?.string }
    doorIDs = (root["doors"]?.array ?? []).compactMap { $0["id"]?.string }
  }

  private func note(_ account: JSONNode) {
    if account["kind"]?.string == AccountKind.guard.rawValue { hasGuards = true }
    guard let name = account["username"]?.string else { return }
    accountNames.append(name)
    accounts.insert(name)
  }

  /// `Europe/Paris`, `UTC`, `Etc/GMT+3`
  static func looksLikeZone(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 64
      && name.utf8.allSatisfy {
        ASCII.isAlpha($0) || ASCII.isDigit($0) || "/_+-".utf8.contains($0)
      } && name.utf8.first != UInt8(ascii: "/")
  }

  func building() -> Building? {
    root.object { root in
      let site = root.section("site") { self.site(&$0) }
      let (id, name) = root.section("building") { building in
        (building.string("id", default: "building", limit: 64), building.string("name", default: ""))
      }
      let doors = root.list("doors", limit: DirectoryLimits.doors).compactMap { door($0) }
      let cameras = root.list("cameras", limit: DirectoryLimits.cameras).compactMap { camera($0) }
      let units = root.list("units", limit: DirectoryLimits.units).compactMap { unit($0) }
      let accounts = root.list("accounts", limit: DirectoryLimits.accounts).compactMap {
        account($0, ofUnit: false)
      }
      let stations = root.list("stations", limit: DirectoryLimits.stations)
      return Building(
        site: site, id: id, name: name, units: units, accounts: accounts, stations: self.stations(stations),
        cameras: cameras, doors: doors)
    }
  }

  // MARK: Names

  /// A name that people or devices are called by, used nowhere else among those of `space`.
  private func name(_ reader: inout ObjectReader, _ key: String, what: String, space: String = "") -> String {
    guard let member = reader.requiredMember(key, "the name of this \(what)") else { return "" }
    return name(member, what: what, space: space) ?? ""
  }

  private func name(_ value: ValueReader, what: String, space: String = "") -> String? {
    guard let text = value.string(limit: DirectoryLimits.nameBytes, allowEmpty: false) else { return nil }
    guard text.utf8.allSatisfy({ ASCII.isAlpha($0) || ASCII.isDigit($0) || "-_.+".utf8.contains($0) }) else {
      value.wrong(expected: "letters, digits and - _ . + only")
      return nil
    }
    if space.isEmpty, text == RuleTarget.guards.written {
      value.wrong(expected: "another name", hint: "\"guard\" means every account of kind guard")
      return nil
    }
    if space.isEmpty, text.hasPrefix(Building.pagePrefix) {
      value.wrong(expected: "another name", hint: "\"\(Building.pagePrefix)…\" pages the panels of a unit")
      return nil
    }
    let place = "\(space)/\(text)"
    if let first = firstUse[place] {
      value.wrong(expected: "a name that is used once", hint: "it is \(first)")
      return nil
    }
    firstUse[place] = "the \(what) at line \(value.node.position.line) too"
    return text
  }

  private func reference(_ value: ValueReader, to what: String, among known: [String]) -> String? {
    guard let text = value.string(allowEmpty: false) else { return nil }
    if known.contains(text) { return text }
    value.wrong(
      expected: "the id of a \(what)", found: known.isEmpty ? "none defined" : "an unknown one",
      hint: didYouMean(nearest(to: text, among: known)))
    return nil
  }

  private func target(_ value: ValueReader) -> RuleTarget? {
    guard let text = value.string(allowEmpty: false) else { return nil }
    if text == RuleTarget.guards.written {
      if !hasGuards, !saidThereAreNoGuards {
        saidThereAreNoGuards = true
        value.warn("no account is of kind guard, so this rings nobody")
      }
      return .guards
    }
    if let unit = units[text] { return .unit(unit) }
    if accounts.contains(text) { return .account(AccountName(text)) }
    let known = unitNames + accountNames + [RuleTarget.guards.written]
    value.wrong(
      expected: "the number of a unit, an account or \"guard\"", found: "an unknown name",
      hint: didYouMean(nearest(to: text, among: known)))
    return nil
  }

  /// One target or a list of them.
  private func targets(_ value: ValueReader?) -> [RuleTarget] {
    guard let value else { return [] }
    if value.node.array == nil { return target(value).map { [$0] } ?? [] }
    let items = value.list(limit: DirectoryLimits.targetsPerRule) ?? []
    if items.isEmpty { value.wrong(expected: "at least one target", found: "an empty list") }
    return items.compactMap(target)
  }

  // MARK: Site and units

  private func site(_ reader: inout ObjectReader) -> Site {
    var site = Site(
      id: reader.string("id", default: "site", limit: 64), name: reader.string("name", default: ""),
      address: reader.string("address", default: ""))
    if let zone = reader.presentMember("timezone"), let name = zone.string(limit: 64) {
      if isZone(name) {
        site.timezone = name
      } else {
        zone.wrong(expected: "a time zone, such as \"Europe/Paris\"", found: "an unknown one")
      }
    }
    site.emergency = reader.list("emergency", limit: DirectoryLimits.emergencyNumbers).compactMap { item in
      item.object { number in
        let name = self.name(&number, "number", what: "emergency number")
        let targets = self.targets(number.presentMember("target"))
        if number.presentMember("target") == nil {
          item.warn("this emergency number has no target: its callers get 404")
        }
        return EmergencyNumber(name, targets: targets)
      }
    }
    return site
  }

  private func unit(_ value: ValueReader) -> Unit? {
    value.object { reader in
      let number = self.name(&reader, "number", what: "unit")
      let unit = Unit(
        number: UnitID(number), name: reader.string("name", default: "", limit: 200),
        aliases: reader.list("aliases", limit: DirectoryLimits.aliasesPerUnit).compactMap {
          self.name($0, what: "alias")
        },
        callWaiting: reader.choice("callWaiting", default: .ring),
        neighbours: reader.bool("neighbours", default: false),
        accounts: reader.list("accounts", limit: DirectoryLimits.accountsPerUnit).compactMap {
          self.account($0, ofUnit: true)
        },
        rules: reader.list("rules", limit: DirectoryLimits.rulesPerUnit).compactMap { self.rule($0) },
        doors: self.grants(&reader))
      if unit.accounts.isEmpty { value.warn("this unit has no accounts: nothing rings in it") }
      return unit
    }
  }

  private func account(_ value: ValueReader, ofUnit: Bool) -> Account? {
    value.object { reader in
      let username = self.name(&reader, "username", what: "account")
      var kind = AccountKind.panel
      if let member = reader.presentMember("kind"), member.node.string == AccountKind.station.rawValue {
        member.wrong(
          expected: "a kind of account", found: "\"station\"",
          hint: "door stations are listed in \"stations\"")
      } else {
        kind = reader.choice("kind", AccountKind.Written.self)?.kind ?? .panel
      }
      return Account(
        username: AccountName(username), kind: kind, name: reader.string("name", default: "", limit: 200),
        digest: reader.choice("digest", default: .auto), doors: ofUnit ? [] : self.grants(&reader))
    }
  }

  private func grants(_ reader: inout ObjectReader) -> [DoorGrant] {
    reader.list("doors", limit: DirectoryLimits.doors).compactMap { value in
      if value.node.string != nil {
        return self.reference(value, to: "door", among: self.doorIDs).map { DoorGrant(DoorID($0)) }
      }
      guard case .object = value.node.content else {
        value.wrong(expected: "the id of a door or { door, schedule }", found: value.node.kind)
        return nil
      }
      return value.object { grant in
        let door = grant.requiredMember("door", "the id of a door").flatMap {
          self.reference($0, to: "door", among: self.doorIDs)
        }
        return DoorGrant(DoorID(door ?? ""), schedule: self.schedule(&grant))
      }
    }
  }

  // MARK: Rules and schedules

  private func rule(_ value: ValueReader) -> Rule? {
    value.object { reader in
      let action: Rule.Action = reader.choice("action") ?? .ring
      let from = reader.string("from", default: "*", limit: 128)
      let targetValue = reader.presentMember("target")
      let rule = Rule(
        from: Glob(from), action: action, targets: self.targets(targetValue),
        timeout: .seconds(Int64(reader.integer("timeout", default: 45, in: 1...600))),
        declineEnds: reader.bool("declineEnds", default: false), schedule: self.schedule(&reader))
      if action == .forward, targetValue == nil {
        value.wrong(expected: "\"target\": whom to forward to", found: "no such key")
      }
      if action == .voicemail { value.warn("voicemail does not exist yet: this rule is skipped") }
      return rule
    }
  }

  private func schedule(_ reader: inout ObjectReader) -> Schedule? {
    guard let value = reader.presentMember("schedule") else { return nil }
    guard let items = value.list(limit: DirectoryLimits.periods) else { return nil }
    if items.isEmpty {
      value.wrong(expected: "at least one period", found: "an empty list", hint: "leave it out for always")
    }
    return Schedule(
      items.compactMap { item in
        item.object { period in
          Period(
            days: self.days(&period), from: self.clock(&period, "from", latest: 1439),
            to: self.clock(&period, "to", latest: 1440))
        }
      })
  }

  private func days(_ reader: inout ObjectReader) -> Days {
    guard let value = reader.presentMember("days") else { return .all }
    guard let items = value.list(limit: 7) else { return .all }
    if items.isEmpty {
      value.wrong(expected: "at least one day", found: "an empty list", hint: "leave it out for every day")
    }
    return Days(
      items.compactMap { item in
        guard let text = item.string() else { return nil }
        if let day = Days.names.firstIndex(of: text) { return day }
        item.wrong(
          expected: "one of \(Days.names.joined(separator: ", "))",
          hint: didYouMean(nearest(to: text, among: Days.names)))
        return nil
      })
  }

  private func clock(_ reader: inout ObjectReader, _ key: String, latest: Int) -> Int {
    guard let value = reader.requiredMember(key, "a time such as \"22:00\""), let text = value.string() else {
      return 0
    }
    if let minutes = Clock.minutes(text), minutes <= latest { return minutes }
    value.wrong(expected: "a time from \"00:00\" to \"\(Clock.written(latest))\"")
    return 0
  }

  // MARK: Stations, cameras, doors

  private func stations(_ values: [ValueReader]) -> [Station] {
    var firstAt: [IPAddress: Int] = [:]
    return values.compactMap { value in
      let station = self.station(value)
      if let address = station?.address?.address {
        if let line = firstAt[address] {
          value.warn(
            "the station at line \(line) has this address too: they are told apart by the From user, which each "
              + "must send as its username")
        } else {
          firstAt[address] = value.node.position.line
        }
      }
      return station
    }
  }

  private func station(_ value: ValueReader) -> Station? {
    value.object { reader in
      let username = self.name(&reader, "username", what: "station")
      var address: Endpoint?
      if let member = reader.presentMember("address"), let text = member.string(limit: 80) {
        address = Endpoint(text, defaultPort: Station.usualPort)
        if address == nil || address?.port == 0 || address?.address.isUnspecified == true
          || address?.address.isMulticast == true || address?.address.isBroadcast == true
        {
          member.wrong(
            expected: "the IP address of one device, such as \"192.0.2.10\" or \"192.0.2.10:5060\"")
          address = nil
        }
      }
      return Station(
        username: StationName(username), name: reader.string("name", default: "", limit: 200),
        camera: reader.presentMember("camera").flatMap {
          self.reference($0, to: "camera", among: self.cameraIDs)
        }.map { CameraID($0) },
        door: reader.presentMember("door").flatMap {
          self.reference($0, to: "door", among: self.doorIDs)
        }.map { DoorID($0) },
        address: address, maxTalk: .seconds(Int64(reader.integer("maxTalk", default: 180, in: 5...7200))),
        hangupAfterOpen: reader.bool("hangupAfterOpen", default: false),
        digest: reader.choice("digest", default: .auto))
    }
  }

  private func camera(_ value: ValueReader) -> Camera? {
    value.object { reader in
      let id = self.name(&reader, "id", what: "camera", space: "camera")
      let expected = "\"v4l2:PATH\", \"rtsp://…\" or \"test:pattern\""
      var source = Camera.Source.pattern
      if let member = reader.requiredMember("source", expected), let text = member.string() {
        let path = text.dropFirst(5)
        if text.hasPrefix("v4l2:"), path.utf8.first == UInt8(ascii: "/") {
          source = .v4l2(path: String(path))
        } else if text.hasPrefix("rtsp://") || text.hasPrefix("rtsps://") {
          source = .rtsp(url: self.url(member, text) ?? "")
        } else if text != "test:pattern" {
          member.wrong(expected: expected)
        }
      }
      return Camera(
        id: CameraID(id), source: source, username: reader.optionalString("username"),
        password: self.password(&reader), view: reader.choice("view", default: .ring))
    }
  }

  private func door(_ value: ValueReader) -> Door? {
    value.object { reader in
      let id = self.name(&reader, "id", what: "door", space: "door")
      let actuator = reader.object("actuator") { self.actuator(&$0) }
      if reader.presentMember("actuator") == nil {
        value.warn("this door has no actuator: openings are recorded and nothing moves")
      }
      return Door(
        id: DoorID(id), name: reader.string("name", default: "", limit: 200), actuator: actuator ?? .none,
        pulse: .milliseconds(Int64(reader.integer("pulse", default: 3000, in: 100...10_000))),
        openCode: self.keys(&reader, "openCode", longest: 6))
    }
  }

  private func actuator(_ reader: inout ObjectReader) -> Actuator {
    switch reader.choice("kind", Actuator.Kind.self) {
    case .gpio:
      return .gpio(
        chip: reader.string("chip", limit: 200), line: reader.integer("line", in: 0...1023),
        activeLow: reader.bool("activeLow", default: false))
    case .dtmf:
      return .dtmf(
        code: self.keys(&reader, "code", longest: 16), mode: reader.choice("mode", default: .rfc4733))
    case .http:
      var url = ""
      if let member = reader.requiredMember("url", "the address of the device"), let text = member.string() {
        if text.hasPrefix("http://") || text.hasPrefix("https://") {
          url = self.url(member, text) ?? ""
        } else {
          member.wrong(expected: "an address that begins with http:// or https://")
        }
      }
      return .http(
        HTTPActuator(
          url: url, username: reader.optionalString("username"), password: self.password(&reader),
          relay: reader.integer("relay", default: 1, in: 1...16), fingerprint: self.fingerprint(&reader)))
    case .some(.none): return .none
    case nil:
      // Which other keys are right cannot be said.
      reader.ignore(
        "chip", "line", "activeLow", "code", "mode", "url", "username", "password", "relay", "fingerprint")
      return .none
    }
  }

  /// A URL with a host and without username or password: those are never kept inside one.
  private func url(_ value: ValueReader, _ text: String) -> String? {
    guard let start = text.start(after: "://") else { return nil }
    let rest = text[start...]
    let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    if authority.contains("@") {
      value.wrong(
        expected: "an address without username and password",
        hint: "write them beside it as keys of their own")
      return nil
    }
    guard !authority.isEmpty, authority.first != ":",
      text.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "\"") })
    else {
      value.wrong(expected: "an address with a host")
      return nil
    }
    return text
  }

  private func password(_ reader: inout ObjectReader) -> DevicePassword {
    guard let text = reader.presentMember("password")?.string(limit: 256, allowEmpty: false) else {
      return .none
    }
    return text == DevicePassword.unchanged ? .stored : .given(text)
  }

  private func keys(_ reader: inout ObjectReader, _ key: String, longest: Int) -> String {
    guard let value = reader.presentMember(key), let text = value.string() else { return "#" }
    guard (1...longest).contains(text.utf8.count),
      text.utf8.allSatisfy({ "0123456789*#ABCD".utf8.contains($0) })
    else {
      value.wrong(expected: "1 to \(longest) keys of 0-9 * # A-D")
      return "#"
    }
    return text
  }

  private func fingerprint(_ reader: inout ObjectReader) -> String? {
    guard let value = reader.presentMember("fingerprint"), let text = value.string() else { return nil }
    let digits = text.utf8.filter { $0 != UInt8(ascii: ":") }
    guard digits.count == 64, digits.allSatisfy({ ASCII.hexValue($0) != nil }) else {
      value.wrong(expected: "the SHA-256 of a certificate: 64 hexadecimal digits")
      return nil
    }
    return String(decoding: digits.map(ASCII.lowered), as: UTF8.self)
  }
}

extension String {
  /// Where the text after the first `mark` begins.
  fileprivate func start(after mark: String) -> String.Index? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(mark) { return index(start, offsetBy: mark.count) }
      start = index(after: start)
    }
    return nil
  }
}
