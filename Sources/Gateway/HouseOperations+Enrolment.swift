internal import API
internal import Crypto
internal import Directory
internal import JSON
internal import Management
internal import Provisioning
internal import SIP
internal import Store
internal import Wire

// Credentials: made for a person who types, or for a device that redeems a link; ended alone or all together.

extension HouseOperations {
  func enroll(
    _ username: String, _ request: EnrollRequest, by: Principal, then: @escaping Completion<JSONValue>
  ) {
    guard let account = book.account(named: username), account.contactLimit > 0 else {
      return then(.failure(.unknown("account", username, list: "accounts")))
    }
    let ended = request.replace ? account.credentials.map(\.id) : []
    guard request.format == .sip else {
      return giveLink(username, request.format, ending: ended, by: by, then: then)
    }
    addCredential(username, ending: ended, bearer: nil, forgetting: nil, by: by.name) { [weak self] made in
      guard let self, let made else {
        return then(.failure(.unavailable("the store does not write", next: "no credential was made")))
      }
      then(
        .success(SIPCredential(username: username, secret: made.secret, domain: self.book.realm).json))
    }
  }

  /// Adds a credential; `ended` go, and the oldest if there are too many. Nil when the store would not have it.
  private func addCredential(
    _ username: String, ending: [UInt64], bearer: String?, forgetting link: String?, by actor: String,
    then: @escaping ((id: UInt64, secret: String)?) -> Void
  ) {
    var ended = ending
    let all = book.credentials(of: username).map(\.digests.id)
    let limit = book.account(named: username)?.contactLimit ?? 0
    let kept = all.filter { !ended.contains($0) }
    if kept.count >= limit { ended += kept.prefix(kept.count - limit + 1) }
    let secret = gateway.random.hex(bytes: 16)
    let id = house.nextCredential
    house.nextCredential += 1
    let digests = Credential(id: id, username: username, realm: book.realm, secret: secret)
    let digest = bearer.map { Digest.sha256(Array($0.utf8)) }
    var changes: [StoreChange] = ended.map { .removeCredential($0) }
    if let link { changes.append(.removeEnrolment(link)) }
    changes.append(
      .addCredential(
        Sealed.seal(
          digests, username: username, created: wall, bearer: digest, with: gateway.wrap,
          nonce: gateway.random.bytes(12))))
    house.audit(actor: actor, action: "credential.add", subject: username, result: "\(id)")
    gateway.keeper.commit(changes) { [weak self] failure in
      guard let self else { return }
      guard failure == nil else { return then(nil) }
      self.gateway.soon { [weak self] turn in
        guard let self else { return }
        for old in ended { self.house.end(old, of: username, &turn) }
        self.book.add(
          AccountBook.StoredCredential(digests: digests, created: self.wall, bearer: digest), to: username)
        then((id, secret))
      }
    }
  }

  // MARK: Links

  private func giveLink(
    _ username: String, _ format: EnrollFormat, ending ended: [UInt64], by: Principal,
    then: @escaping Completion<JSONValue>
  ) {
    guard let desk = house.desk else {
      return then(.failure(.unavailable("the web is not served yet", next: "try again in a moment")))
    }
    let name = AccountName(username)
    var gone = ended.isEmpty ? [] : desk.links.end(name)
    let (token, link, dropped) = desk.links.make(
      for: name, now: gateway.world.now, wall: wall, &gateway.random)
    gone += dropped
    let url: String
    switch format {
    case .linphone, .akuvox: url = "\(gateway.baseURL)/provision/\(token)?format=\(format.rawValue)"
    case .sip, .url, .png, .svg: url = "\(gateway.baseURL)/#enroll=\(token)"
    }
    let changes: [StoreChange] =
      ended.map { .removeCredential($0) } + gone.map { .removeEnrolment($0) } + [
        .addEnrolment(
          EnrolmentRow(
            name: link.name, digest: link.digest, username: username, created: link.created,
            expires: link.expires))
      ]
    house.audit(actor: by.name, action: "enrolment.add", subject: username, result: format.rawValue)
    gateway.keeper.commit(changes) { [weak self] failure in
      guard let self else { return }
      if let failure {
        return then(.failure(.unavailable("the store: \(failure)", next: "no link was made")))
      }
      self.gateway.soon { [weak self] turn in
        for old in ended { self?.house.end(old, of: username, &turn) }
        then(
          .success(EnrollmentLink(url: url, expires: link.expires, qr: QRCode(url)?.rows ?? []).json))
      }
    }
  }

  func revoke(
    _ username: String, credential id: String?, by: Principal, then: @escaping Completion<RevokeReply>
  ) {
    guard let account = book.account(named: username) else {
      return then(.failure(.unknown("account", username, list: "accounts")))
    }
    let ended = account.credentials.map(\.id).filter { id == nil || String($0) == id }
    if let id, ended.isEmpty { return then(.failure(.unknown("credential", id, list: "accounts"))) }
    // Who ends all of them means those that are on their way, too.
    let links = id == nil ? house.desk?.links.end(AccountName(username)) ?? [] : []
    house.audit(actor: by.name, action: "credential.revoke", subject: username, result: "\(ended.count)")
    let changes: [StoreChange] =
      ended.map { .removeCredential($0) } + links.map { .removeEnrolment($0) }
    gateway.keeper.commit(changes) { [weak self] failure in
      guard let self else { return }
      if let failure {
        return then(.failure(.unavailable("the store: \(failure)", next: "nothing was revoked")))
      }
      self.gateway.soon { [weak self] turn in
        for credential in ended { self?.house.end(credential, of: username, &turn) }
        then(.success(RevokeReply(username: username, revoked: ended.count)))
      }
    }
  }
}

extension HouseOperations: CredentialMaker {
  func makeCredential(redeeming link: EnrolmentLink, then: @escaping (DeviceProfile?) -> Void) {
    let username = link.account.rawValue
    guard building.caller(named: username) != nil else { return then(nil) }
    let bearer = gateway.random.hex(bytes: 32)
    addCredential(username, ending: [], bearer: bearer, forgetting: link.name, by: "link:\(link.name)") {
      [weak self] made in
      guard let self, let made else { return then(nil) }
      then(self.profile(of: link.account, secret: made.secret, bearer: bearer))
    }
  }

  func forget(link name: String) { gateway.keeper.commit([.removeEnrolment(name)]) }

  private func profile(of account: AccountName, secret: String, bearer: String) -> DeviceProfile {
    let name = account.rawValue
    let caller = building.caller(named: name)
    func place(_ transport: TransportKind) -> Endpoint? {
      gateway.sip.bound.first { $0.transport == transport }.map { gateway.reachable($0.endpoint) }
    }
    let cameras = building.stations.compactMap { station -> String? in
      guard let camera = station.camera,
        building.maySee(camera, account: account, engaged: [station.username])
      else { return nil }
      return "\(gateway.baseURL)/whep/\(camera.rawValue)"
    }
    return DeviceProfile(
      username: name, secret: secret, domain: book.realm,
      display: caller.map { building.displayName(of: $0) } ?? name, udp: place(.udp), tcp: place(.tcp),
      tls: place(.tls), wss: gateway.https.first.map { "wss://\(gateway.reachable($0))/sip" },
      bearer: bearer, whep: cameras, expires: wall + Gate.tokenLife,
      hasKnownCertificate: gateway.configuration.tls.certificate != nil)
  }
}
