internal import Directory
package import Journal
package import SIP
package import Transport
package import Web
package import Wire

/// Stands before the house: who is heard, who is challenged, who is not answered at all.
///
/// Asked by the agent for every request outside a dialog. It joins what separate rooms know (bans, quotas, digest,
/// provisioned addresses) in one order: the banned hear nothing; who asks too often is dropped, or sent away with
/// Retry-After when known; a station's provisioned address may call; everybody else proves an account. What the
/// admitted may then do is for `Calls` and the registrar.
package final class Gate: Gatekeeper {
  private let book: AccountBook
  private let world: any World
  private let log: Log
  private let processID: Int
  private var authenticator: Authenticator
  package var bans: Bans
  private var admission: Admission
  /// Names and addresses by which requests may address this building.
  private var names: Set<String>
  private var addresses: Set<IPAddress> = []
  /// Addresses from which an account has authenticated, with how long that counts.
  private var known: [IPAddress: Instant] = [:]
  /// A ban was set: to store, to tell.
  package var onBan: ((Bans.Ban) -> Void)?
  /// An account proved itself on this connection.
  package var onRecognised: ((SocketID) -> Void)?
  /// A credential proved itself.
  package var onProof: ((_ username: String, _ credential: UInt64) -> Void)?

  /// Whether an installer is at work: wrong passwords from the building's own network then ban nobody.
  package var isLenient: () -> Bool = { false }

  package private(set) var silenced: UInt64 = 0
  package private(set) var challenged: UInt64 = 0
  package private(set) var failures: UInt64 = 0

  /// How long an address counts as known after a proof.
  private static let knownFor = Interval.hours(1)
  private static let knownLimit = 16_384

  package init(
    book: AccountBook, world: any World, log: Log, processID: Int, names: [String]
  ) {
    self.book = book
    self.world = world
    self.log = log
    self.processID = processID
    var random = world.makeRandom()
    authenticator = Authenticator(key: random.bytes(32))
    bans = Bans()
    admission = Admission(seed: random.next())
    self.names = Set(names.map { $0.lowercased() })
  }

  /// Names by which requests may address this building.
  package func setNames(_ names: [String]) { self.names = Set(names.map { $0.lowercased() }) }

  /// Names the addresses that requests may be addressed to; once the listeners are open.
  package func setAddresses(_ addresses: [IPAddress]) { self.addresses = Set(addresses) }

  package func serves(_ uri: URI, on flow: Flow) -> Bool {
    if let address = uri.address { return address == flow.local.address || addresses.contains(address) }
    return names.contains(uri.host) || names.contains(uri.host.lowercased())
  }

  /// Whether a datagram from here is read at all: a flood is dropped before it costs more than a look.
  package func hears(datagramFrom address: IPAddress) -> Bool {
    let standing = standing(of: address)
    if admission.admit(.datagram, from: address, standing: standing, at: world.now) == .admitted {
      return true
    }
    silenced += 1
    return false
  }

  /// How long a request for a page must wait; nil when it need not.
  package func wait(forRequestFrom address: IPAddress) -> Interval? {
    switch admission.admit(.http, from: address, standing: standing(of: address), at: world.now) {
    case .admitted: nil
    case .addressOverQuota(let wait), .standingOverQuota(let wait): wait
    }
  }

  /// Whether nothing from here is even read.
  package func isDeaf(to address: IPAddress) -> Bool {
    bans.isBanned(address, now: world.now) && !book.isStationAddress(address)
  }

  /// The banned and the scanners are not listened to, whatever they ask.
  package func hears(_ request: Message, on flow: Flow, _ turn: inout Turn) -> Bool {
    let source = flow.remote.address
    let isBanned = bans.isBanned(source, account: request.fromUser ?? "", now: turn.now)
    if isBanned && !book.isStationAddress(source) || Scanners.sent(request) {
      silenced += 1
      return false
    }
    return true
  }

  package func decide(_ request: Message, on flow: Flow, _ turn: inout Turn) -> GateDecision {
    let source = flow.remote.address
    let user = request.fromUser ?? ""
    let isStation = book.isStationAddress(source)
    let standing = standing(of: source)
    if admission.admit(kind(request.method), from: source, standing: standing, at: turn.now) != .admitted {
      silenced += 1
      return standing == .stranger ? .silence : .refuse(status: 503, headers: [("Retry-After", "5")])
    }
    if request.method == .invite, !request.has(.authorization),
      let station = book.station(at: source, from: user)
    {
      return .admit(.station(station, credential: nil))
    }
    switch authenticator.judge(request, from: source, accounts: book, now: turn.now) {
    case .authentic(let username, let credential):
      // One connection or device speaks for the account it proved, and for no other.
      if request.method == .register, request.toUser != username {
        return foreign(request, flow)
      }
      if user != username, user != "anonymous" { return foreign(request, flow) }
      know(source, turn.now)
      if flow.transport.isReliable { onRecognised?(flow.socket) }
      onProof?(username, credential)
      if book.isStation(username) { return .admit(.station(username, credential: credential)) }
      return .admit(.account(username, credential: credential))
    case .unproven(let isStale):
      return challenge(request, flow, isStale: isStale, turn.now)
    case .wrong(let username):
      failures += 1
      note(request, flow, .wrongSecret)
      if isLenient(), source.isPrivate { return challenge(request, flow, isStale: false, turn.now) }
      switch bans.failed(
        from: source, account: username, isStation: isStation, now: turn.now, wall: world.wall)
      {
      case .counted: break
      case .banned(let set): for ban in set { onBan?(ban) }
      case .alert(let subject):
        log.write(
          .warning, "ban.alert",
          "too many wrong passwords from a provisioned station's address; it is not banned",
          ["address": .text("\(subject.address)")])
      }
      if bans.isBanned(source, account: username, now: turn.now), !isStation { return .silence }
      return challenge(request, flow, isStale: false, turn.now)
    }
  }

  private func foreign(_ request: Message, _ flow: Flow) -> GateDecision {
    note(request, flow, .foreignAccount)
    return .refuse(status: 403, headers: [])
  }

  /// The line that Fail2Ban reads.
  private func note(_ request: Message, _ flow: Flow, _ cause: FailureLine.Cause) {
    log.write(
      Record(
        .notice, "auth.failed",
        FailureLine.text(request, from: flow.remote, cause: cause, process: processID), isVerbatim: true))
  }

  private func challenge(_ request: Message, _ flow: Flow, isStale: Bool, _ now: Instant) -> GateDecision {
    challenged += 1
    var policy = Authenticator.policy(for: request, accounts: book)
    if policy == .auto, Gate.singleMinded.contains(where: { request.hasValue(.userAgent, beginning: $0) }) {
      policy = .md5
    }
    let values = authenticator.challenge(
      realm: book.realm, policy: policy, over: flow.transport, to: flow.remote.address, isStale: isStale,
      now: now)
    return .challenge(headers: values.map { ("WWW-Authenticate", $0) }, status: 401)
  }

  private func kind(_ method: Method) -> AdmissionKind {
    switch method {
    case .register: .register
    case .invite: .invite
    case .options: .options
    default: .other
    }
  }

  /// Devices that give up at a second challenge they cannot answer, whatever stands in the first. Seen: baresip
  /// 1.0 (Debian 12) ends a registration with "Function not implemented" when SHA-256 follows MD5.
  private static let singleMinded = ["baresip v0.", "baresip v1."]

  /// From here an account has proved itself, now or before a restart.
  package func know(_ address: IPAddress, _ now: Instant) {
    if known.count >= Gate.knownLimit, known[address] == nil {
      known = known.filter { $0.value > now }
      guard known.count < Gate.knownLimit else { return }
    }
    known[address] = now + Gate.knownFor
  }
}

extension Gate: DeviceTokens {
  /// How long a token that nobody uses is good. One that has been used since the daemon started stays good whatever
  /// the clock on the wall says.
  package static let tokenLife = Interval.hours(24 * 400)

  package func device(tokenDigest: [UInt8], from peer: WebPeer) -> DeviceIdentity? {
    guard let (username, credential) = book.bearer(tokenDigest) else { return nil }
    let unusedSince = credential.lastUsed ?? credential.created
    guard credential.isInUse || world.wall - unusedSince < Gate.tokenLife else { return nil }
    if let address = peer.address { know(address, world.now) }
    onProof?(username, credential.digests.id)
    return DeviceIdentity(account: username, credential: credential.digests.id)
  }
}

extension Gate: SourceJudge {
  package func standing(of address: IPAddress) -> SourceStanding {
    if book.isStationAddress(address) { return .provisioned }
    if let until = known[address], until > world.now { return .known }
    return .stranger
  }
}
