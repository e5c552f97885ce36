internal import API
internal import Calls
internal import Cameras
internal import Directory
internal import JSON
internal import Management
internal import Provisioning
internal import SIP
internal import Store
internal import Web
internal import Wire

// What pages and other devices are told of calls: who hears of one, what rings for whom, and the token by which the
// caller can be seen meanwhile.

extension House {
  /// How long a token given for a ring is good at most. It ends with the ring or the call.
  static let ringView = Interval.hours(1)
  static let cameraView = Interval.minutes(5)

  // MARK: Calls as events

  /// The unit that is called, and whoever has a leg in the call.
  func audience(of record: CallRecord) -> EventAudience {
    var accounts: [AccountName] = []
    for leg in record.legs {
      let name = AccountName(leg.account)
      if book.building.account(name) != nil, !accounts.contains(name) { accounts.append(name) }
    }
    return EventAudience(unit: record.unit, accounts: accounts)
  }

  func details(of record: CallRecord) -> [JSONField] {
    [
      JSONField("call", .string(record.id.text)), JSONField("from", .string(record.visitor)),
      JSONField("name", .string(displayName(of: record))), JSONField("target", .string(record.target)),
      JSONField("unit", .string(orNull: record.unit?.rawValue)),
      JSONField("door", .string(orNull: door(of: record)?.rawValue)),
      JSONField("since", .time(record.started)), JSONField("by", .string(orNull: record.answeredBy)),
      JSONField("end", .string(orNull: record.end?.rawValue)),
    ]
  }

  private func displayName(of record: CallRecord) -> String {
    book.building.caller(named: record.visitor).map { book.building.displayName(of: $0) } ?? record.visitor
  }

  private func door(of record: CallRecord) -> DoorID? {
    record.station.flatMap { book.building.station($0)?.door }
  }

  /// A call rings, for the first time or on one more account. Who rings is told how to see the caller.
  func tellRinging(_ record: CallRecord, _ random: inout Random, onlyTo account: AccountName? = nil) {
    let ringing = account.map { [$0] } ?? ringingAccounts(record)
    var secrets: [PrivateDetails] = []
    for name in ringing {
      var fields = [JSONField("rings", true)]
      if let caller = book.building.caller(named: record.visitor),
        let view = view(of: caller, for: name, in: record.id, &random)
      {
        fields += members(view)
      }
      secrets.append(PrivateDetails(holder: name, fields: fields))
    }
    var audience = audience(of: record)
    if let account {
      audience = EventAudience(accounts: [account], hasOperators: false)
    } else if let station = record.station, let camera = book.building.station(station)?.camera,
      record.visitor == station.rawValue
    {
      let view = token(camera, to: "", for: record.id.text, life: House.ringView, &random)
      secrets.append(PrivateDetails(holder: nil, fields: members(view)))
    }
    gateway.feed.publish(
      "call.ringing", at: world.wall, to: audience, details(of: record), secrets: secrets)
  }

  /// The accounts with a device that rings, in the order they were rung.
  private func ringingAccounts(_ record: CallRecord) -> [AccountName] {
    var names: [AccountName] = []
    for leg in record.legs.dropFirst() where leg.state == .calling || leg.state == .ringing {
      let name = AccountName(leg.account)
      if !names.contains(name) { names.append(name) }
    }
    return names
  }

  private func members(_ view: CameraToken) -> [JSONField] {
    [
      JSONField("token", .string(view.token)), JSONField("expires", .time(view.expires)),
      JSONField("whep", .string(view.whep)),
    ]
  }

  /// Nothing of this account rings or talks in the call any more. While the call goes on elsewhere, its pages are told.
  func left(_ call: CallName, _ account: AccountName) {
    views.end(call: call.text, holder: account.rawValue)
    whep.review()
    guard let record = calls.live.first(where: { $0.id == call }), record.answered == nil else { return }
    gateway.feed.publish(
      "call.silenced", at: world.wall, to: EventAudience(accounts: [account], hasOperators: false),
      details(of: record))
  }

  // MARK: Looking

  /// The way to see a station that calls this account; nil when nothing shows it, or the account may not.
  func view(
    of caller: Caller, for account: AccountName, in call: CallName, _ random: inout Random
  ) -> CameraToken? {
    guard case .station(let station) = caller, let camera = book.building.station(station)?.camera,
      book.building.maySee(camera, account: account, engaged: [station])
    else { return nil }
    return token(camera, to: account.rawValue, for: call.text, life: House.ringView, &random)
  }

  func token(
    _ camera: CameraID, to holder: String, for call: String?, by credential: UInt64? = nil, life: Interval,
    _ random: inout Random
  ) -> CameraToken {
    let token = views.grant(
      camera: camera.rawValue, to: holder, for: call, by: credential, until: world.now + life,
      now: world.now, &random)
    let rest = views.check(token, now: world.now).map { $0.expires - world.now } ?? .zero
    return CameraToken(
      token: token, expires: world.wall + rest, whep: gateway.baseURL + "/whep/" + camera.rawValue)
  }

  /// The stations that ring or talk with devices of this account or unit now.
  func engaged(_ account: AccountName, _ unit: UnitID?) -> [StationName] {
    calls.live.compactMap { record in
      guard let station = record.station,
        (unit != nil && record.unit == unit)
          || record.legs.contains(where: { $0.account == account.rawValue })
      else { return nil }
      return station
    }
  }

  /// What rings on the page of this device.
  func ringing(for device: DeviceScope) -> [RingingView] {
    let pages = Presence.name(device.credential)
    return calls.live.compactMap { record in
      guard record.answered == nil, calls.rings(record.id, pages) else { return nil }
      let view = book.building.caller(named: record.visitor).flatMap {
        self.view(of: $0, for: device.account, in: record.id, &gateway.random)
      }
      return RingingView(
        call: record.id.text, from: record.visitor, name: displayName(of: record), target: record.target,
        unit: record.unit?.rawValue, door: door(of: record)?.rawValue, since: record.started, view: view)
    }
  }

  // MARK: Credentials

  /// A device proved its credential. That it did is written down once a day.
  func noteUse(of credential: UInt64, by username: String) {
    let known = book.credentials(of: username).first { $0.digests.id == credential }
    let before = known?.lastUsed
    book.used(credential, of: username, at: world.wall)
    guard let before, world.wall - before < .hours(24), before <= world.wall else {
      if known != nil { gateway.keeper.commit([.credentialUsed(credential, at: world.wall)]) }
      return
    }
  }

  func load(_ row: EnrolmentRow, _ now: Instant) {
    let link = EnrolmentLink(
      name: row.name, digest: row.digest, account: AccountName(row.username), created: row.created,
      expires: row.expires)
    if desk?.links.load(link, now: now, wall: world.wall) != true {
      gateway.keeper.commit([.removeEnrolment(row.name)])
    }
  }
}

extension Gateway {
  /// What every link begins with: the address that operators publish, else the first of this host's network.
  var baseURL: String {
    if let published = configuration.http.publicURL { return published }
    if let bound = https.first { return "https://\(reachable(bound))" }
    if let bound = http.first { return "http://\(reachable(bound))" }
    return "https://localhost"
  }

  /// Where others reach what is bound there.
  func reachable(_ bound: Endpoint) -> Endpoint {
    guard bound.address == .anyV4 || bound.address == .anyV6 else { return bound }
    let addresses = world.hostAddresses()
    let isWanted = { (address: IPAddress) in bound.address == .anyV6 || address.isV4 }
    let address =
      addresses.first { !$0.isLoopback && isWanted($0) } ?? addresses.first(where: isWanted) ?? .loopbackV4
    return Endpoint(address, port: bound.port)
  }
}
