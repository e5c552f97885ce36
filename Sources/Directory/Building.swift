package import Wire

/// Everything the gateway knows about its building: who lives there, what hangs on the walls, who may what.
///
/// Never changes, and is one reference for everybody who asks. It is read from a directory file (`Building.read`), compared (`changes`), printed (`exported`), and
/// asked: who is called (`plan`), who may open (`mayOpen`), who may see (`maySee`). It knows no socket, no clock
/// and no database; the time, and who is busy or not to be disturbed, are arguments. Secrets of accounts are not
/// here, and passwords of devices only on their way from the file to the store.
package final class Building: Sendable {
  package let site: Site
  package let id: String
  package let name: String
  package let units: [Unit]
  /// People without a unit.
  package let accounts: [Account]
  package let stations: [Station]
  package let cameras: [Camera]
  package let doors: [Door]
  private let index: Index

  /// What a name stands for. Emergency numbers, units, accounts and stations share one set of names.
  package enum Entry: Hashable, Sendable {
    case emergency(EmergencyNumber)
    case unit(UnitID)
    case account(AccountName)
    case station(StationName)
  }

  private struct Index: Sendable {
    var names: [String: Entry] = [:]
    var units: [UnitID: Int] = [:]
    /// Place of the unit, -1 for none, and place of the account.
    var accounts: [AccountName: (unit: Int, account: Int)] = [:]
    var stations: [StationName: Int] = [:]
    var cameras: [CameraID: Int] = [:]
    var doors: [DoorID: Int] = [:]
    var addresses: [IPAddress: [Int]] = [:]
    var guards: [AccountName] = []
  }

  /// Names must be used once, which `Building.read` sees to; here the first use counts.
  package init(
    site: Site = Site(), id: String = "building", name: String = "", units: [Unit] = [],
    accounts: [Account] = [], stations: [Station] = [], cameras: [Camera] = [], doors: [Door] = []
  ) {
    self.site = site
    self.id = id
    self.name = name
    self.units = units
    self.accounts = accounts
    self.stations = stations
    self.cameras = cameras
    self.doors = doors
    var index = Index()
    func enter(_ name: String, _ entry: Entry) {
      if index.names[name] == nil { index.names[name] = entry }
    }
    for number in site.emergency { enter(number.number, .emergency(number)) }
    for (place, unit) in units.enumerated() where index.units[unit.number] == nil {
      index.units[unit.number] = place
      enter(unit.number.rawValue, .unit(unit.number))
      for alias in unit.aliases { enter(alias, .unit(unit.number)) }
    }
    func enter(_ account: Account, unit: Int, place: Int) {
      guard index.accounts[account.username] == nil else { return }
      index.accounts[account.username] = (unit, place)
      enter(account.username.rawValue, .account(account.username))
      if account.kind == .guard { index.guards.append(account.username) }
    }
    for (unit, owner) in units.enumerated() {
      for (place, account) in owner.accounts.enumerated() { enter(account, unit: unit, place: place) }
    }
    for (place, account) in accounts.enumerated() { enter(account, unit: -1, place: place) }
    for (place, station) in stations.enumerated() where index.stations[station.username] == nil {
      index.stations[station.username] = place
      enter(station.username.rawValue, .station(station.username))
      if let address = station.address { index.addresses[address.address, default: []].append(place) }
    }
    for (place, camera) in cameras.enumerated() where index.cameras[camera.id] == nil {
      index.cameras[camera.id] = place
    }
    for (place, door) in doors.enumerated() where index.doors[door.id] == nil { index.doors[door.id] = place }
    self.index = index
  }
}

// MARK: Looking up

extension Building {
  /// What the user part of a request URI names: emergency number, unit number or alias, account, station.
  package func entry(named name: String) -> Entry? { index.names[name] }

  package func unit(_ id: UnitID) -> Unit? { index.units[id].map { units[$0] } }
  /// The unit of that number or alias.
  package func unit(named name: String) -> UnitID? {
    if case .unit(let id) = entry(named: name) { id } else { nil }
  }

  package func account(_ name: AccountName) -> Account? {
    guard let place = index.accounts[name] else { return nil }
    return place.unit < 0 ? accounts[place.account] : units[place.unit].accounts[place.account]
  }
  /// The unit an account belongs to; nil for people without one, and for names nobody has.
  package func unit(of account: AccountName) -> UnitID? {
    guard let place = index.accounts[account], place.unit >= 0 else { return nil }
    return units[place.unit].number
  }
  /// Every account, units first, in the order of the file.
  package var everyAccount: [(account: Account, unit: UnitID?)] {
    units.flatMap { unit in unit.accounts.map { ($0, unit.number) } } + accounts.map { ($0, nil) }
  }
  /// Every account of kind guard, in the order of the file.
  package var guards: [AccountName] { index.guards }

  package func station(_ name: StationName) -> Station? { index.stations[name].map { stations[$0] } }
  /// The station that calls from `address` without registering. Two on one address are told apart by the From
  /// user; elsewhere that is not looked at.
  package func station(at address: IPAddress, from user: String) -> StationName? {
    guard let places = index.addresses[address] else { return nil }
    if places.count == 1 { return stations[places[0]].username }
    return places.map { stations[$0].username }.first { $0.rawValue == user }
  }
  /// Whether a provisioned station has this address: such are alerted, never banned.
  package func isStationAddress(_ address: IPAddress) -> Bool { index.addresses[address] != nil }

  package func camera(_ id: CameraID) -> Camera? { index.cameras[id].map { cameras[$0] } }
  package func door(_ id: DoorID) -> Door? { index.doors[id].map { doors[$0] } }
  /// The door beside a station.
  package func door(of station: StationName) -> Door? { self.station(station)?.door.flatMap { door($0) } }

  /// The caller behind an authenticated username.
  package func caller(named username: String) -> Caller? {
    switch entry(named: username) {
    case .account(let name): .account(name)
    case .station(let name): .station(name)
    case .emergency, .unit, nil: nil
    }
  }

  /// How a caller is shown to those it rings.
  package func displayName(of caller: Caller) -> String {
    switch caller {
    case .station(let name):
      return station(name).flatMap { $0.name.isEmpty ? nil : $0.name } ?? name.rawValue
    case .account(let name):
      if let own = account(name)?.name, !own.isEmpty { return own }
      if let unit = unit(of: name).flatMap({ self.unit($0) }) {
        return unit.name.isEmpty ? unit.number.rawValue : unit.name
      }
      return name.rawValue
    }
  }
}

/// Who calls, after authentication or by provisioned address.
package enum Caller: Hashable, Sendable {
  case account(AccountName)
  case station(StationName)

  package var username: String {
    switch self {
    case .account(let name): name.rawValue
    case .station(let name): name.rawValue
    }
  }
}
