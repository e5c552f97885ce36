internal import API
internal import Calls
internal import Directory
internal import Management
internal import SIP
internal import Web
internal import Wire

// What a device asks for itself. Each question carries the device's own account and unit, which come from its token
// and from nothing that it says.

extension HouseOperations {
  func scope(of device: DeviceIdentity) -> DeviceScope? {
    let name = AccountName(device.account)
    guard building.account(name) != nil else { return nil }
    return DeviceScope(account: name, unit: building.unit(of: name), credential: device.credential)
  }

  func session(of device: DeviceScope) -> SessionView {
    let unit = device.unit.flatMap { building.unit($0) }
    var granted: [DoorID] = []
    for grant in building.grants(of: device.account) where !granted.contains(grant.door) {
      granted.append(grant.door)
    }
    let stations = building.stations.filter { station in station.door.map { granted.contains($0) } ?? false }
    return SessionView(
      account: device.account.rawValue, kind: building.account(device.account)?.kind.rawValue ?? "",
      name: building.displayName(of: .account(device.account)), unit: unit?.number.rawValue,
      unitName: unit?.name, building: building.name.isEmpty ? building.site.name : building.name,
      doors: granted.map { door in
        NamedView(id: door.rawValue, name: stations.first { $0.door == door }?.name ?? door.rawValue)
      },
      names: stations.map { NamedView(id: $0.username.rawValue, name: $0.name) }
        + (unit?.accounts ?? []).map {
          NamedView(id: $0.username.rawValue, name: building.displayName(of: .account($0.username)))
        },
      dnd: book.quietAccounts.contains(device.account),
      unitDND: device.unit.map { book.quietUnits.contains($0) } ?? false,
      ringing: house.ringing(for: device), now: wall,
      secure: gateway.https.isEmpty ? nil : gateway.baseURL + "/",
      hasKnownCertificate: gateway.configuration.tls.certificate != nil)
  }

  func forget(_ device: DeviceScope, then: @escaping Completion<Void>) {
    revoke(
      device.account.rawValue, credential: String(device.credential),
      by: Principal("account:\(device.account)", device: device)
    ) { outcome in
      then(outcome.map { _ in })
    }
  }

  func doors(of device: DeviceScope) -> [DoorView] {
    let grants = building.grants(of: device.account)
    return doors().filter { door in grants.contains { $0.door.rawValue == door.id } }
  }

  func calls(of device: DeviceScope) -> [CallView] {
    house.calls.live.filter { record in
      device.unit != nil && record.unit == device.unit
        || record.legs.contains { $0.account == device.account.rawValue }
    }.map { withSnapshots(CallView($0)) }
  }

  func cameraToken(_ camera: String, by: Principal) -> Outcome<CameraToken> {
    let id = CameraID(camera)
    if let device = by.device {
      // The same answer for a camera that is not there and for one that may not be seen.
      guard
        building.maySee(
          id, account: device.account, engaged: house.engaged(device.account, device.unit))
      else { return .failure(Problem(403, "you may not see this camera now", next: "wait until it rings")) }
    } else if building.camera(id) == nil {
      return .failure(.unknown("camera", camera, list: "cameras"))
    }
    return .success(
      house.token(
        id, to: by.device?.account.rawValue ?? "", for: nil, by: by.device?.credential,
        life: House.cameraView, &gateway.random))
  }

  func attends(_ device: DeviceScope, _ isPresent: Bool) {
    guard isPresent else {
      house.presence.went(device, now: gateway.world.now)
      return
    }
    guard house.presence.came(device) else { return }
    gateway.soon { [weak self] turn in
      self?.house.calls.registered(Presence.contact(device), of: device.account.rawValue, &turn)
    }
  }

  var answers: any BrowserAnswers { self }
}

extension HouseOperations: BrowserAnswers {
  func answer(
    _ call: String, by device: DeviceScope, from address: IPAddress?, offer: [UInt8],
    then: @escaping Completion<BrowserAnswer>
  ) {
    gateway.soon { [weak self] turn in
      guard let self else { return }
      let result = self.house.calls.answerPage(
        CallName(call), Presence.contact(device, at: address), of: device.account, offer: offer, &turn)
      then(
        result.map { BrowserAnswer(leg: $0.leg, description: $0.description, tag: $0.tag) }
          .mapError(HouseOperations.problem))
    }
  }

  func decline(_ call: String, by device: DeviceScope, then: @escaping Completion<Void>) {
    gateway.soon { [weak self] turn in
      guard let self else { return }
      let refusal = self.house.calls.declinePage(
        CallName(call), Presence.contact(device), of: device.account, &turn)
      then(refusal.map { .failure(HouseOperations.problem($0)) } ?? .success(()))
    }
  }

  func trickle(
    _ call: String, leg: String, by device: DeviceScope, fragment: [UInt8], tag: String?,
    then: @escaping Completion<BrowserAnswer?>
  ) {
    gateway.soon { [weak self] turn in
      guard let self else { return }
      let result = self.house.calls.trickle(
        CallName(call), leg: leg, of: device.account, tag: tag, fragment, &turn)
      switch result {
      case .failure(let refusal): then(.failure(HouseOperations.problem(refusal)))
      case .success((.taken, _)): then(.success(nil))
      case .success((.restarted(let fragment), let tag)):
        then(.success(BrowserAnswer(leg: leg, description: fragment, tag: tag)))
      case .success((.malformed, _)), .success((.stale, _)):
        then(.failure(Problem(400, "the fragment cannot be read")))
      }
    }
  }

  func hangUp(_ call: String, leg: String, by device: DeviceScope, then: @escaping Completion<Void>) {
    gateway.soon { [weak self] turn in
      guard let self else { return }
      let refusal = self.house.calls.hangUpPage(CallName(call), leg: leg, of: device.account, &turn)
      // Whoever hangs up twice has what it wants.
      if let refusal, refusal == .unknown { return then(.failure(HouseOperations.problem(refusal))) }
      then(.success(()))
    }
  }

  static func problem(_ refusal: PageRefusal) -> Problem {
    switch refusal {
    case .unknown: Problem(404, "no such call rings here")
    case .answeredElsewhere: Problem(409, "somebody else has answered")
    case .over: Problem(410, "the call is over")
    case .notAcceptable:
      Problem(
        406, "this browser and the caller share no kind of sound", next: "use another browser, or a telephone"
      )
    case .stale:
      Problem(
        412, "these candidates belong to an earlier generation of ICE",
        next: "send If-Match: * with new credentials to restart it")
    case .noRoom: Problem(503, "no room for one more conversation", next: "try again in a moment")
    }
  }
}
