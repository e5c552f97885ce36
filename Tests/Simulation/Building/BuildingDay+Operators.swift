internal import Crypto
internal import Gateway
internal import JSON
internal import Simulation
internal import Wire

// What operators do, and what they may rely on afterwards.

extension BuildingDay {
  /// Sends a command; `done` is true when it succeeded, false when it was refused, nil when nobody knows.
  private func command(
    _ method: String, _ path: String, _ body: String = "",
    then: @escaping (_ done: Bool?, _ answer: Operator.Answer?) -> Void
  ) {
    desk.ask(method, "/api/v1" + path, body) { [weak self] answer in
      guard let self else { return }
      guard let answer else { return then(nil, nil) }
      if answer.status != 201 { self.ledger.inspect(answer.body, in: "the answer to \(method) \(path)") }
      if !(200..<300).contains(answer.status) { self.ledger.count("command \(answer.status)") }
      switch answer.status {
      case 200..<300: then(true, answer)
      case 400..<500: then(false, answer)
      default: then(nil, answer)
      }
    }
  }

  func apply(isPlain: Bool = false) {
    lastVersion += 1
    let version = Version(number: lastVersion, isPlain: isPlain)
    promises.proposed(version)
    command("PUT", "/directory?file=building.json5", version.file) { [weak self] done, _ in
      guard let self else { return }
      if done == true { self.ledger.count("applied") }
      if done == false { self.ledger.breach("the API answers", "the directory is refused") }
      self.promises.applied(version.number, done)
    }
  }

  func enroll(_ device: Device) {
    let username = device.name
    promises.enrolling(username)
    if case .page = device.kind { return invite(device) }
    command("POST", "/accounts/\(username)/credentials", "{\"format\":\"sip\"}") {
      [weak self, weak device] _, answer in
      guard let self, let device else { return }
      let secret = answer?.status == 201 ? answer?.json?["secret"]?.string : nil
      if let secret { self.learn(secret, username) }
      self.promises.enrolled(username, secret)
      guard let secret else { return }
      self.ledger.count("enrolled")
      device.secret = secret
      device.phone?.secret = secret
      if device.world?.isAlive == true { device.phone?.after(.milliseconds(10)) { $0.register() } }
    }
  }

  /// Gives a link to the page of an account, which redeems it.
  private func invite(_ device: Device) {
    let username = device.name
    command("POST", "/accounts/\(username)/credentials", "{\"format\":\"url\"}") {
      [weak self, weak device] _, answer in
      guard let self, let device else { return }
      let url = answer?.status == 201 ? answer?.json?["url"]?.string : nil
      guard let url, let token = url.split(separator: "=").last, let page = device.page,
        device.world?.isAlive == true
      else { return self.promises.enrolled(username, nil) }
      let world = device.world
      page.redeem(String(token)) { [weak self] bearer, secret in
        guard let self else { return }
        if let secret { self.learn(secret, username) }
        // A bearer is looked up by its digest, which is no secret.
        if let bearer { self.ledger.learned(secret: String(bearer.prefix(32)), digests: []) }
        self.promises.enrolled(username, bearer)
        if bearer != nil { self.ledger.count("page enrolled") }
      }
      // Who died while it redeemed has not stored what it was given.
      self.network.after(.seconds(20)) { [weak self] in
        guard let self, world?.isAlive != true else { return }
        self.promises.isInDoubt(username)
      }
    }
  }

  /// Lets a device in again that was banned for an old password.
  func liftBan(_ device: Device) {
    let address = "\(device.host.addresses[0])"
    guard house.bans.contains(where: { $0.address == address }) else { return }
    ledger.count("ban lifted")
    command("DELETE", "/bans/\(address)") { _, _ in }
  }

  private func learn(_ secret: String, _ username: String) {
    let text = Array("\(username):\(Building.domain):\(secret)".utf8)
    ledger.learned(secret: secret, digests: [Digest.md5(text), Digest.sha256(text)])
  }

  private func revoke(_ device: Device) {
    let username = device.name
    promises.revoking(username)
    if device.talks.contains(where: { $0.state == .up }) { ledger.count("revoked in a call") }
    command("DELETE", "/accounts/\(username)/credentials") { [weak self] done, _ in
      guard let self else { return }
      if done == true { self.ledger.count("revoked") }
      self.promises.revoked(username, done == true)
    }
    network.after(drawn(3000, 15_000)) { [weak self] in self?.enroll(device) }
  }

  func setQuiet(_ username: String, _ quiet: Bool) {
    let place = Building.units.contains(username) ? "units" : "accounts"
    promises.quieting(username)
    let life = house.starts
    command("PUT", "/\(place)/\(username)/dnd", "{\"dnd\":\(quiet)}") { [weak self] done, _ in
      guard let self, life == self.house.starts else { return }
      self.ledger.count("dnd")
      self.promises.quieted(username, done == true ? quiet : nil)
    }
  }

  private func open(_ door: String) {
    let right = ledger.operatorOpens(door)
    let asked = network.now
    ledger.count("opened by operator")
    command("POST", "/doors/\(door)/open", "{}") { [ledger] _, answer in
      if let result = answer?.json?["result"]?.string, door != "yard" {
        ledger.heard(of: right, result, door: door, asked: asked)
      }
    }
  }

  private func look() {
    let path = [
      "/accounts", "/status", "/doors", "/calls", "/cdr", "/bans", "/directory", "/units", "/doctor",
      "/stations",
    ]
    let wanted = path[Int(dice.below(UInt64(path.count)))]
    command("GET", wanted) { [ledger] done, answer in
      if let answer, done != true { ledger.breach("the API answers", "GET \(wanted): \(answer.status)") }
    }
  }

  /// How many contacts an account has, as operators see it.
  func look(for account: String, then: @escaping (Int) -> Void) {
    command("GET", "/accounts") { _, answer in
      let all = answer?.json?.array ?? []
      guard let one = all.first(where: { $0["username"]?.string == account }) else { return }
      then(one["contacts"]?.array?.count ?? 0)
    }
  }

  func operate() {
    switch dice.below(14) {
    case 0: apply()
    case 1: enroll(devices[1 + Int(dice.below(UInt64(devices.count - 1)))])
    case 2:
      // Whoever talks, rather than anybody.
      let talking = devices.filter { $0.registers && !$0.talks.isEmpty }
      revoke(talking.first ?? devices[1 + Int(dice.below(UInt64(devices.count - 1)))])
    case 3, 4:
      setQuiet(["panel401", "mobile402", "401", "402", "web401", "web402"][Int(dice.below(6))], chance(40))
    case 5, 6: open(["entrance", "garage", "yard"][Int(dice.below(3))])
    case 7: house.reload()
    case 8, 9: desk.follow()
    default: look()
    }
  }
}
