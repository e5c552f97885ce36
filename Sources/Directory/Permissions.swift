package import Wire

/// What an account may do at doors and see through cameras.
extension Building {
  /// The doors an account may open: its unit's, or its own if it has no unit.
  package func grants(of account: AccountName) -> [DoorGrant] {
    if let unit = unit(of: account).flatMap({ unit($0) }) { return unit.doors }
    return self.account(account)?.doors ?? []
  }

  /// Whether `account` may open `door` at this hour. That it does so inside a call with that door's station is
  /// checked where calls are known.
  package func mayOpen(_ door: DoorID, by account: AccountName, at time: LocalTime) -> OpenPermission {
    guard self.door(door) != nil else { return .unknownDoor }
    guard self.account(account) != nil else { return .unknownAccount }
    let mine = grants(of: account).filter { $0.door == door }
    if mine.isEmpty { return .notYourDoor }
    return mine.contains { $0.schedule?.contains(time) ?? true } ? .granted : .notNow
  }

  /// The same for a key pressed in a call: the account must also belong to the unit that the call is with.
  package func mayOpen(
    _ door: DoorID, by account: AccountName, of unit: UnitID, at time: LocalTime
  ) -> OpenPermission {
    guard self.unit(of: account) == unit else { return .notYourDoor }
    return mayOpen(door, by: account, at: time)
  }

  /// Whether the accounts of `unit` may see `camera`. `engaged`: the stations that ring or talk to the unit now.
  package func maySee(_ camera: CameraID, unit: UnitID, engaged: [StationName] = []) -> Bool {
    guard let unit = self.unit(unit) else { return false }
    return maySee(camera, through: unit.doors, engaged)
  }

  /// The same for one account, which may have no unit.
  package func maySee(_ camera: CameraID, account: AccountName, engaged: [StationName] = []) -> Bool {
    maySee(camera, through: grants(of: account), engaged)
  }

  private func maySee(_ id: CameraID, through doors: [DoorGrant], _ engaged: [StationName]) -> Bool {
    guard let camera = camera(id) else { return false }
    return stations.contains { station in
      station.camera == id && doors.contains { $0.door == station.door }
        && (camera.view == .always || engaged.contains(station.username))
    }
  }
}

/// Whether a door may be opened, and why not.
package enum OpenPermission: String, Hashable, Sendable {
  case granted
  case unknownDoor = "unknown-door"
  case unknownAccount = "unknown-account"
  case notYourDoor = "not-your-door"
  /// The door is theirs, but not at this hour.
  case notNow = "not-at-this-hour"
}
