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
  let root: ValueReader
  let report: JSONReport
  let isZone: (String) -> Bool

  // Names that the file defines, in its order, for references and for the nearest known one.
  var unitNames: [String] = []
  var units: [String: UnitID] = [:]
  var accountNames: [String] = []
  var accounts: Set<String> = []
  var cameraIDs: [String] = []
  var stationNames: [String] = []
  var doorIDs: [String] = []
  var hasGuards = false
  var saidThereAreNoGuards = false
  /// Where a name was used first: people's and stations' names are one set, cameras and doors each their own.
  var firstUse: [String: String] = [:]

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
    stationNames = (root["stations"]?.array ?? []).compactMap { $0["username"]?.string }
    cameraIDs = (root["cameras"]?.array ?? []).compactMap { $0["id"]?.string }
    doorIDs = (root["doors"]?.array ?? []).compactMap { $0["id"]?.string }
  }

  func note(_ account: JSONNode) {
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
  func name(_ reader: inout ObjectReader, _ key: String, what: String, space: String = "") -> String {
    guard let member = reader.requiredMember(key, "the name of this \(what)") else { return "" }
    return name(member, what: what, space: space) ?? ""
  }

  func name(_ value: ValueReader, what: String, space: String = "") -> String? {
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

  func reference(_ value: ValueReader, to what: String, among known: [String]) -> String? {
    guard let text = value.string(allowEmpty: false) else { return nil }
    if known.contains(text) { return text }
    value.wrong(
      expected: "the id of a \(what)", found: known.isEmpty ? "none defined" : "an unknown one",
      hint: didYouMean(nearest(to: text, among: known)))
    return nil
  }

  func target(_ value: ValueReader) -> RuleTarget? {
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
  func targets(_ value: ValueReader?) -> [RuleTarget] {
    guard let value else { return [] }
    if value.node.array == nil { return target(value).map { [$0] } ?? [] }
    let items = value.list(limit: DirectoryLimits.targetsPerRule) ?? []
    if items.isEmpty { value.wrong(expected: "at least one target", found: "an empty list") }
    return items.compactMap(target)
  }

  // MARK: Site and units

  func site(_ reader: inout ObjectReader) -> Site {
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

  func unit(_ value: ValueReader) -> Unit? {
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

  func account(_ value: ValueReader, ofUnit: Bool) -> Account? {
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

  func grants(_ reader: inout ObjectReader) -> [DoorGrant] {
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

  func rule(_ value: ValueReader) -> Rule? {
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

  func schedule(_ reader: inout ObjectReader) -> Schedule? {
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

  func days(_ reader: inout ObjectReader) -> Days {
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

  func clock(_ reader: inout ObjectReader, _ key: String, latest: Int) -> Int {
    guard let value = reader.requiredMember(key, "a time such as \"22:00\""), let text = value.string() else {
      return 0
    }
    if let minutes = Clock.minutes(text), minutes <= latest { return minutes }
    value.wrong(expected: "a time from \"00:00\" to \"\(Clock.written(latest))\"")
    return 0
  }
}

extension String {
  /// Where the text after the first `mark` begins.
  func start(after mark: String) -> String.Index? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(mark) { return index(start, offsetBy: mark.count) }
      start = index(after: start)
    }
    return nil
  }
}
