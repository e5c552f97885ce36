internal import API
internal import Calls
internal import Directory
internal import SIP
internal import Wire

/// A test call that `vestibule ring` was let place: one credential of a station, good for one INVITE.
struct RingCall {
  var id: String
  var station: String
  var target: String
  var credential: UInt64
  var began: WallTime
  var expires: Instant
  /// The record, once the call is over.
  var record: CallRecord?
}

extension House {
  /// Credentials of test calls have the top bit, so that none of them meets a stored one.
  private static let ringBit: UInt64 = 1 << 63
  private static let ringLimit = 32
  /// How long a test call's credential waits, and its report is kept.
  private static let ringLife = Interval.minutes(5)

  func makeRing(_ request: RingRequest) -> Result<RingTicket, Problem> {
    let stations = book.building.stations
    let station =
      request.station.map { name in stations.first { $0.username.rawValue == name } } ?? stations.first
    guard let station else {
      return .failure(
        request.station.map { .unknown("station", $0, list: "stations") }
          ?? Problem(
            409, "the building has no door station to ring as",
            next: "add one to the directory file and apply it"))
    }
    if rings.count >= House.ringLimit { rings.removeFirst() }
    let secret = gateway.random.hex(bytes: 16)
    let id = gateway.random.hex(bytes: 8)
    let number = gateway.random.next() | House.ringBit
    let now = world.now
    let username = station.username.rawValue
    book.add(
      AccountBook.StoredCredential(
        digests: Credential(id: number, username: username, realm: book.realm, secret: secret),
        created: world.wall, expires: now + House.ringLife), to: username)
    rings.append(
      RingCall(
        id: id, station: username, target: request.target, credential: number, began: world.wall,
        expires: now + House.ringLife))
    return .success(
      RingTicket(
        id: id, username: username, secret: secret, domain: book.realm,
        addresses: gateway.sip.locals.filter { $0.transport == .udp }.map { "\($0.endpoint)" },
        target: "sip:\(request.target)@\(book.realm)", expires: world.wall + House.ringLife))
  }

  /// Whether a credential was a test call's; it is good once.
  func spendRing(_ credential: UInt64, of username: String) -> Bool {
    guard credential & House.ringBit != 0 else { return false }
    _ = book.remove(credential, of: username)
    return true
  }

  func noteRing(_ record: CallRecord) {
    guard
      let place = rings.lastIndex(where: {
        $0.record == nil && $0.station == record.from && $0.target == record.target
          && $0.began <= record.started
      })
    else { return }
    rings[place].record = record
  }

  func ringView(_ id: String) -> Result<RingView, Problem> {
    guard let ring = rings.first(where: { $0.id == id }) else {
      return .failure(.unknown("test call", id, list: "calls"))
    }
    let running = calls.live.last {
      $0.from == ring.station && $0.target == ring.target && $0.started >= ring.began
    }
    guard let record = ring.record ?? running else {
      return .success(RingView(state: "waiting", answered: false, by: nil, end: nil, legs: []))
    }
    return .success(
      RingView(
        state: record.ended != nil ? "ended" : record.answered != nil ? "talking" : "ringing",
        answered: record.answered != nil, by: record.answeredBy,
        end: record.end.flatMap { API.CallEnd(rawValue: $0.rawValue) }, legs: record.legs.map(LegView.init)))
  }

  func expireRings(_ now: Instant) {
    guard let first = rings.first, first.expires <= now else { return }
    for ring in rings where ring.expires <= now { _ = book.remove(ring.credential, of: ring.station) }
    rings.removeAll { $0.expires <= now }
  }
}

extension LegView {
  init(_ leg: LegRecord) {
    self.init(
      account: leg.account, state: leg.state.rawValue, code: leg.code == 0 ? nil : leg.code,
      codec: leg.codec, packetsIn: leg.counts.packetsIn, packetsOut: leg.counts.packetsOut,
      lost: leg.counts.lost, jitter: leg.counts.jitter, foreign: leg.counts.foreign,
      roundTrip: leg.counts.roundTrip, opinion: leg.counts.opinion)
  }
}

extension CallView {
  init(_ record: CallRecord) {
    self.init(
      id: record.id.text, from: record.from, target: record.target, unit: record.unit?.rawValue,
      started: record.started, answered: record.answered, ended: record.ended,
      end: record.end.flatMap { API.CallEnd(rawValue: $0.rawValue) }, legs: record.legs.map(LegView.init))
  }
}
