internal import API
internal import Calls
internal import Cameras
internal import Crypto
internal import Directory
internal import Doors
internal import JSON
internal import Journal
internal import Management
internal import MediaPlane
internal import Provisioning
internal import SIP
internal import Store
internal import Transport
internal import Web
internal import Wire

/// What people ask of the gateway, carried to the room that does it.
final class HouseOperations: Operations {
  unowned let gateway: Gateway
  unowned let house: House

  init(gateway: Gateway, house: House) {
    self.gateway = gateway
    self.house = house
  }

  var book: AccountBook { house.book }
  var building: Building { house.book.building }
  var wall: WallTime { gateway.world.wall }

  // MARK: Lists

  func units() -> [UnitView] {
    let live = house.calls.live
    return building.units.map { unit in
      UnitView(
        number: unit.number.rawValue, name: unit.name, aliases: unit.aliases,
        accounts: unit.accounts.map(\.username.rawValue), doors: unit.doors.map(\.door.rawValue),
        registered: unit.accounts.reduce(0) {
          $0 + house.registrar.bindings(of: $1.username.rawValue).count
        }, dnd: book.quietUnits.contains(unit.number), calls: live.count { $0.unit == unit.number })
    }
  }

  func accounts() -> [AccountView] {
    building.everyAccount.map { account, unit in
      let name = account.username.rawValue
      let contacts = contacts(of: name)
      return AccountView(
        username: name, kind: account.kind.rawValue, unit: unit?.rawValue, registered: !contacts.isEmpty,
        contacts: contacts, dnd: book.quietAccounts.contains(account.username),
        credentials: book.credentials(of: name).map {
          CredentialView(id: String($0.digests.id), created: $0.created, lastUsed: $0.lastUsed)
        })
    }
  }

  private func contacts(of name: String) -> [ContactView] {
    house.registrar.bindings(of: name).map { binding in
      var latency: Int?
      let reach: String
      switch binding.reach {
      case .reachable(let time): (latency, reach) = (Int(time.milliseconds), "reachable")
      case .unreachable: reach = "unreachable"
      case .unknown: reach = "unknown"
      }
      return ContactView(
        uri: binding.contact, transport: "\(binding.flow.transport)", latency: latency, reach: reach,
        expires: wall + (binding.expires - gateway.world.now))
    }
  }

  func stations() -> [StationView] {
    let live = house.calls.live
    return building.stations.map { station in
      let contacts = contacts(of: station.username.rawValue)
      return StationView(
        username: station.username.rawValue, name: station.name, camera: station.camera?.rawValue,
        door: station.door?.rawValue, address: station.address.map { "\($0)" },
        registered: !contacts.isEmpty, contacts: contacts,
        calls: live.count { $0.station == station.username })
    }
  }

  func doors() -> [DoorView] {
    building.doors.map { door in
      let status = house.doors.status(of: door.id)
      let state: String
      switch status?.state {
      case .ready?, nil: state = "ready"
      case .active?: state = "active"
      case .fault(let words)?: state = "fault: \(words)"
      }
      return DoorView(
        id: door.id.rawValue, state: state, lastResult: status?.lastResult, lastAt: status?.lastAt,
        actuator: door.actuator.kind.rawValue)
    }
  }

  func calls() -> [CallView] { house.calls.live.map { withSnapshots(CallView($0)) } }

  func bans() -> [BanView] {
    house.gate.bans.list(now: gateway.world.now).map {
      BanView(
        address: "\($0.subject.address)", account: $0.subject.account, since: $0.since,
        until: wall + $0.remaining, failures: $0.failures)
    }
  }

  func metrics() -> [Counters.Family] {
    let gauges = gateway.counters
    gauges.make("vestibule_calls", .gauge, help: "Calls under way.").set(Int64(house.calls.count))
    gauges.make("vestibule_bindings", .gauge, help: "Contacts registered.").set(Int64(house.registrar.count))
    gauges.make("vestibule_connections", .gauge, help: "Stream connections open.").set(
      Int64(gateway.streams.connectionCount))
    gauges.make("vestibule_sip_requests_total", help: "SIP requests received.").set(
      Int64(clamping: house.agent.counters.requests))
    gauges.make("vestibule_sip_unreadable_total", help: "Messages that were no SIP.").set(
      Int64(clamping: house.agent.counters.unreadable))
    gauges.make("vestibule_sip_silenced_total", help: "Requests not answered: banned or over quota.").set(
      Int64(clamping: house.gate.silenced))
    gauges.make("vestibule_login_failures_total", help: "Wrong passwords.").set(
      Int64(clamping: house.gate.failures))
    gauges.make("vestibule_transcoding_permille", .gauge, help: "Of one core, for turning encodings.").set(
      Int64(house.plane.transcodingPermille))
    gauges.make("vestibule_transcoding_refused_total", help: "Calls that would have asked too much of it.")
      .set(
        Int64(clamping: house.plane.refusedTranscodings))
    countCameras()
    return gauges.families
  }

  // MARK: Directory

  func exportDirectory() -> JSONValue { building.exported }

  func applyDirectory(
    _ text: [UInt8], file: String, dryRun: Bool, by: Principal, then: @escaping Completion<ApplyReply>
  ) {
    let reading: (building: Building, warnings: [JSONWarning])
    do throws(DirectoryFault) {
      reading = try Building.read(text, file: file)
    } catch { return then(.failure(.faulty(error.errors))) }
    let missing = reading.building.passwordsNotStored(in: building)
    if let device = missing.first {
      return then(
        .failure(
          Problem(
            422, "\(device) says \"unchanged\", and no password is stored for it",
            next: "write the password, or leave the key out")))
    }
    let changes = reading.building.changes(from: building)
    var reply = ApplyReply(
      applied: !dryRun, added: changes.added.map(HouseOperations.words),
      changed: changes.changed.map(HouseOperations.words),
      removed: changes.removed.map(HouseOperations.words), warnings: reading.warnings.map { "\($0)" })
    guard !dryRun else { return then(.success(reply)) }
    let (bare, passwords) = reading.building.withoutPasswords()
    let rows = passwords.map { device, password in
      DevicePasswordRow(
        device: device,
        sealed: gateway.wrap.seal(
          Array(password.utf8), label: DevicePasswordRow.label(device), nonce: gateway.random.bytes(12)))
    }
    gateway.keeper.commit([.directory(bare, passwords: rows, at: wall, by: by.name)]) { [weak self] failure in
      guard let self else { return }
      if let failure {
        return then(.failure(.unavailable("the store: \(failure)", next: "nothing was changed")))
      }
      for (device, password) in passwords { self.house.passwords[device] = Secret(password) }
      self.house.porter.passwords = self.house.passwords
      self.gateway.soon { [weak self] turn in
        guard let self else { return }
        self.house.replace(bare, &turn)
        for case (.camera(let camera), _) in passwords { self.house.cameras.forgive(camera) }
      }
      reply.applied = true
      then(.success(reply))
    }
    house.audit(actor: by.name, action: "directory.apply", subject: file, result: "accepted")
  }

  /// A change as people read it: `unit 401 (name, rules)`.
  private static func words(_ change: DirectoryChange) -> String {
    let what = "\(change.subject.rawValue) \(change.id)"
    return change.keys.isEmpty ? what : "\(what) (\(change.keys.joined(separator: ", ")))"
  }

  // MARK: Quiet

  func setDoNotDisturb(
    account username: String, _ dnd: Bool, by: Principal, then: @escaping Completion<DoNotDisturb>
  ) {
    guard building.account(AccountName(username)) != nil else {
      return then(.failure(.unknown("account", username, list: "accounts")))
    }
    house.setQuiet(account: AccountName(username), dnd) { failure in
      then(failure.map { .failure(.unavailable("the store: \($0)")) } ?? .success(DoNotDisturb(dnd: dnd)))
    }
  }

  func setDoNotDisturb(
    unit number: String, _ dnd: Bool, by: Principal, then: @escaping Completion<DoNotDisturb>
  ) {
    guard let unit = building.unit(named: number) else {
      return then(.failure(.unknown("unit", number, list: "units")))
    }
    book.setQuiet(dnd, unit: unit)
    gateway.feed.publish(
      "dnd.set", at: wall, to: EventAudience(unit: unit),
      [JSONField("unit", .string(unit.rawValue)), JSONField("dnd", .bool(dnd))])
    gateway.keeper.commit([.quietUnit(unit, dnd)]) { failure in
      then(failure.map { .failure(.unavailable("the store: \($0)")) } ?? .success(DoNotDisturb(dnd: dnd)))
    }
  }

  // MARK: Calls, bans, doors, tests

  func hangUp(call id: String, by: Principal) -> Outcome<Void> {
    guard house.calls.live.contains(where: { $0.id.text == id }) else {
      return .failure(.unknown("call", id, list: "calls"))
    }
    gateway.soon { [weak self] turn in _ = self?.house.calls.hangUp(CallName(id), &turn) }
    return .success(())
  }

  func callRecords(
    limit: Int, before: String?, of device: DeviceScope?, then: @escaping Completion<[CallView]>
  ) {
    var time: WallTime?
    if let before {
      guard let read = WallTime(before) else {
        return then(.failure(Problem(400, "\"before\" must be a time of RFC 3339 in UTC")))
      }
      time = read
    }
    gateway.keeper.ask { [time] database throws(StoreFailure) in
      try database.calls(limit: limit, before: time, unit: device?.unit, account: device?.account)
    } then: { [weak self] answer in
      guard let self else { return }
      switch answer {
      case .success(let rows): then(.success(rows.map { self.withSnapshots(CallView($0)) }))
      case .failure(let failure): then(.failure(.unavailable("the store: \(failure)")))
      }
    }
  }

  func liftBan(address: String, by: Principal, then: @escaping Completion<Void>) {
    guard let ip = IPAddress(address) else {
      return then(.failure(Problem(400, "\"\(address)\" is no IP address")))
    }
    let lifted = house.gate.bans.lift(ip)
    guard !lifted.isEmpty else { return then(.failure(.unknown("ban", address, list: "bans"))) }
    house.audit(actor: by.name, action: "ban.lift", subject: address, result: "lifted")
    gateway.keeper.commit(lifted.map { .liftBan($0.address, account: $0.account) }) { failure in
      then(failure.map { .failure(.unavailable("the store: \($0)")) } ?? .success(()))
    }
  }

  func openDoor(
    _ id: String, by: Principal, key: String?, issued: WallTime?, then: @escaping Completion<OpenReply>
  ) {
    let name =
      key.map { ASCII.hex(Digest.sha256(Array("\(by.name) \(id) \($0)".utf8))) }
      ?? gateway.random.hex(bytes: 16)
    guard let command = CommandID(name) else { preconditionFailure("a digest has a length") }
    let opener: Opener
    let proof: Proof
    if let device = by.device {
      (opener, proof) = (.account(device.account), .credential(device.credential))
    } else {
      let user = by.name.hasPrefix("local:") ? String(by.name.dropFirst(6)) : by.name
      opener = .localOperator(user)
      proof = .peer(LocalPeer(processID: 0, userID: 0, user: user, isPermitted: true))
    }
    house.openings[command] = { [weak self] result in
      var result = result
      // A wish that comes again hears what became of it, also after a restart.
      if result == .refused(.replayed), let known = self?.house.doors.result(of: command) { result = known }
      if by.device != nil, case .refused(let refusal) = result, refusal.isForbidden {
        return then(
          .failure(
            Problem(403, "you may not open this door now", detail: refusal.reason, next: "ask the caretaker"))
        )
      }
      then(.success(OpenReply(door: id, result: result.name, reason: result.reason)))
    }
    let wish = OpenCommand(
      id: command, door: DoorID(id), issued: issued ?? wall, opener: opener, proof: proof)
    gateway.soon { [weak self] _ in
      guard let self else { return }
      self.house.doors.open(wish, at: self.house.moment)
    }
  }

  func ring(_ request: RingRequest, by: Principal) -> Outcome<RingTicket> { house.makeRing(request) }
  func ringReport(_ id: String) -> Outcome<RingView> { house.ringView(id) }
}

extension CallView {
  init(_ row: CallRow) {
    self.init(
      id: row.id, from: row.from, target: row.target, unit: row.unit?.rawValue, started: row.started,
      answered: row.answered, ended: row.ended, end: API.CallEnd(rawValue: row.end),
      legs: row.legs.map {
        LegView(
          account: $0.account, state: $0.state, code: $0.code == 0 ? nil : $0.code, codec: $0.codec,
          packetsIn: $0.packetsIn, packetsOut: $0.packetsOut, lost: $0.lost, jitter: $0.jitter,
          foreign: $0.foreign, roundTrip: $0.roundTrip, opinion: $0.opinion)
      })
  }
}

extension House {
  private func isCurrent(_ scope: DeviceScope) -> Bool {
    book.building.account(scope.account) != nil && book.building.unit(of: scope.account) == scope.unit
  }

  /// Ends a credential with its registrations and calls.
  func end(_ credential: UInt64, of username: String, _ turn: inout Turn) {
    _ = book.remove(credential, of: username)
    registrar.revoke(username, credential: credential)
    calls.revoke(username, credential: credential, &turn)
    presence.end(credential)
    views.end(holder: username, credential: credential)
    gateway.feed.end { $0.credential == credential }
    whep.review()
  }

  func setQuiet(account: AccountName, _ quiet: Bool, then: @escaping (StoreFailure?) -> Void) {
    book.setQuiet(quiet, account: account)
    gateway.feed.publish(
      "dnd.set", at: world.wall,
      to: EventAudience(unit: book.building.unit(of: account), accounts: [account]),
      [JSONField("account", .string(account.rawValue)), JSONField("dnd", .bool(quiet))])
    gateway.keeper.commit([.quietAccount(account, quiet)], then: then)
  }

  /// Serves another directory from now on.
  func replace(_ building: Building, _ turn: inout Turn) {
    let old = book.building
    for username in book.replace(building) {
      registrar.revoke(username)
      calls.revoke(username, credential: nil, &turn)
      views.end(holder: username)
      _ = desk?.links.end(AccountName(username))
    }
    // Whoever is gone, or belongs to another unit now, listens to the old one's events no longer.
    for credential in presence.end(where: { !isCurrent($0) }) {
      calls.pageLost(Presence.name(credential), &turn)
    }
    gateway.feed.end { [self] scope in !isCurrent(scope) }
    doors.reload(at: moment)
    replaceCameras(from: old, to: building)
  }
}
