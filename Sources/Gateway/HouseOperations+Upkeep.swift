internal import API
internal import Directory
internal import JSON
internal import Journal
internal import Management
internal import SIP
internal import Store
internal import Wire

// What keeps a gateway in order: backups, maintenance mode, and what is told to whoever gives support.

extension HouseOperations {
  // MARK: Backups

  func backup(by: Principal, then: @escaping Completion<[UInt8]>) {
    house.audit(actor: by.name, action: "backup", subject: "store", result: "given")
    let premises = gateway.setting.premises
    // Behind the audit's row, so that the copy has it.
    gateway.keeper.commit([]) { [weak gateway] _ in
      guard let gateway else { return }
      gateway.keeper.ask { (database) throws(StoreFailure) in
        premises.copy(of: database)
      } then: { outcome in
        switch outcome {
        case .success(.success(let bytes)): then(.success(bytes))
        case .success(.failure(let fault)):
          then(.failure(.unavailable("the store: \(fault)", next: "no backup was made")))
        case .failure(let failure):
          then(.failure(.unavailable("the store: \(failure)", next: "no backup was made")))
        }
      }
    }
  }

  func restore(_ backup: [UInt8], by: Principal, then: @escaping Completion<RestoreReply>) {
    let premises = gateway.setting.premises
    gateway.world.perform(on: .general) {
      premises.inspect(copy: backup)
    } then: { [weak self] outcome in
      guard let self else { return }
      switch outcome {
      case .failure(let fault):
        then(
          .failure(
            Problem(
              422, "this is no backup that can be put back", detail: "\(fault)", next: "nothing was changed"))
        )
      // What SQLite makes of an empty file is a store as well; a gateway's own names its domain.
      case .success(let state) where state.settings["realm"] == nil:
        then(.failure(Problem(422, "this is no backup of a gateway", next: "nothing was changed")))
      case .success(let state): self.restore(backup, holding: state, by: by, then: then)
      }
    }
  }

  private func restore(
    _ backup: [UInt8], holding state: StoredState, by: Principal, then: @escaping Completion<RestoreReply>
  ) {
    let domain = gateway.configuration.gateway.domain
    if let realm = state.settings["realm"], realm != domain {
      return then(
        .failure(
          Problem(
            409, "the backup is of the domain \"\(realm)\", and this is \"\(domain)\"",
            next: "set gateway.domain to it, or enrol every device anew; nothing was changed")))
    }
    let reply = RestoreReply(
      units: state.directory?.units.count ?? 0, accounts: state.directory?.everyAccount.count ?? 0,
      credentials: state.credentials.count,
      unreadable: state.credentials.count { Sealed.open($0, with: gateway.wrap) == nil })
    house.audit(actor: by.name, action: "restore", subject: "store", result: "begun")
    let premises = gateway.setting.premises
    gateway.world.perform(on: .general) {
      premises.lay(copy: backup)
    } then: { [weak gateway] fault in
      guard let gateway else { return }
      if let fault {
        return then(
          .failure(.unavailable("the backup cannot be put down: \(fault)", next: "nothing was changed")))
      }
      gateway.log.write(
        .notice, "store.restored", "a backup was put back; the gateway begins anew with it",
        ["by": .text(by.name)])
      then(.success(reply))
      gateway.restart()
    }
  }

  // MARK: Maintenance

  func setMaintenance(_ on: Bool, by: Principal, then: @escaping Completion<Maintenance>) {
    house.audit(actor: by.name, action: "maintenance", subject: "gateway", result: on ? "on" : "off")
    let end = on ? wall + House.maintenanceLife : nil
    gateway.keeper.commit([.setting(House.maintenanceKey, end.map { "\($0.nanoseconds)" } ?? "")]) {
      [weak self] failure in
      guard let self else { return }
      if let failure {
        return then(.failure(.unavailable("the store: \(failure)", next: "nothing was changed")))
      }
      self.house.maintenance = on ? self.gateway.world.now + House.maintenanceLife : nil
      self.gateway.log.write(.notice, "maintenance", "maintenance mode is \(on ? "on" : "off")")
      self.gateway.feed.publish("maintenance.set", at: self.wall, [JSONField("on", .bool(on))])
      then(.success(Maintenance(on: on, until: end)))
    }
  }

  // MARK: Support

  func supportBundle(then: @escaping Completion<JSONValue>) {
    doctor { [weak self] outcome in
      guard let self else { return }
      let checks = (try? outcome.get()) ?? []
      self.callRecords(limit: 100, before: nil, of: nil) { [weak self] records in
        guard let self else { return }
        then(.success(self.bundle(checks, (try? records.get()) ?? [])))
      }
    }
  }

  private func bundle(_ checks: [CheckView], _ records: [CallView]) -> JSONValue {
    [
      "made": .string(wall.description), "version": .string(gateway.setting.version), "status": status().json,
      "health": health().json, "doctor": checks.json,
      "directory": HouseOperations.nameless(exportDirectory()),
      "accounts": HouseOperations.nameless(accounts().json),
      "stations": HouseOperations.nameless(stations().json),
      "doors": doors().json, "calls": calls().json, "records": records.json,
      "bans": .array(
        house.gate.bans.list(now: gateway.world.now).map {
          ["network": .string(Address($0.subject.address).description), "failures": .integer($0.failures)]
        }), "metrics": .string(exposition(of: metrics())), "log": gateway.tail.newest,
    ]
  }

  /// Without what says who lives there and where their devices are.
  private static let personal = ["name", "address", "uri", "display"]

  static func nameless(_ value: JSONValue) -> JSONValue {
    switch value {
    case .object(let fields):
      .object(
        fields.map { field in
          JSONField(
            field.key,
            personal.contains(field.key) && field.value != .null ? "(left out)" : nameless(field.value))
        })
    case .array(let items): .array(items.map(nameless))
    default: value
    }
  }
}

extension House {
  static let maintenanceKey = "maintenance"
  /// Who forgets to end it has not left the building lenient for ever.
  static let maintenanceLife = Interval.hours(4)

  /// What was on goes on after a start, until its end.
  func takeMaintenance(_ stored: StoredState) {
    gate.isLenient = { [weak self] in self?.maintenanceEnd != nil }
    guard let text = stored.settings[House.maintenanceKey], let end = Int64(text) else { return }
    let left = WallTime(nanoseconds: end) - world.wall
    // A clock that jumped back must not make it longer.
    if left > .zero { maintenance = world.now + min(left, House.maintenanceLife) }
  }

  var maintenanceEnd: WallTime? {
    guard let maintenance, maintenance > world.now else { return nil }
    return world.wall + (maintenance - world.now)
  }
}
