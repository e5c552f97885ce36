package import Wire

/// The bindings of the building's accounts (RFC 3261, 10.3): who registered where, until when, and whether a
/// ping still reaches it.
///
/// It decides and remembers; it sends nothing. A REGISTER comes here after it was authenticated; its answer goes
/// back as status and header fields. What changed comes out of `next` as events: to be stored, told, or, for a
/// ping, to be sent as OPTIONS. Bindings are bounded by the accounts' limits, and those by the directory.
package struct Registrar: Sendable {
  package struct Configuration: Sendable, Hashable {
    /// Shorter wishes get 423. Door stations are set to 30 s for quick fail-over.
    package var minimum: UInt32 = 30
    /// Longer wishes get this.
    package var maximum: UInt32 = 3600
    /// For a contact that does not say.
    package var standard: UInt32 = 3600
    /// Between pings of one binding; zero for none. Also keeps the way through an address translator open.
    package var qualify: Interval = .seconds(45)

    package init() {}
  }

  /// What to answer a REGISTER with.
  package struct Answer: Sendable {
    package var status: Int
    package var headers: [(name: HeaderName, value: String)]
  }

  package enum Removal: Sendable, Hashable {
    case unregistered, expired, replaced, connectionLost, revoked
  }

  package enum Event: Sendable, Hashable {
    /// A new contact: store it.
    case registered(Binding)
    /// A contact was renewed or changed: store it.
    case refreshed(Binding)
    /// A contact is gone: forget it.
    case removed(Binding, Removal)
    /// Send OPTIONS there and tell `pinged`.
    case ping(Binding)
    /// Pings come back, having failed or for the first time; or fail, having come back.
    case reachChanged(Binding)
  }

  /// Contacts in one REGISTER. The largest limit of any account kind is 5.
  private static let contactsPerRequest = 16
  /// Letters of a contact with its parameters; push parameters of mobile phones take some 600.
  private static let contactLength = 2048
  /// Pings in a row that fail before a contact counts as unreachable.
  private static let tolerance: UInt8 = 2

  private struct Entry: Sendable {
    var binding: Binding
    var expiry: Handle
    var ping: Handle?
    var failures: UInt8 = 0
  }

  private let configuration: Configuration
  /// By account, oldest registration first.
  private var accounts: [String: [Entry]] = [:]
  private var owners: [UInt64: String] = [:]
  /// Bindings by connection, so that its end finds them.
  private var connections: [SocketID: [UInt64]] = [:]
  private var wheel: Wheel
  private var lastID: UInt64 = 0
  private var events: [Event] = []
  private var eventsTaken = 0

  package init(_ configuration: Configuration = Configuration(), now: Instant) {
    self.configuration = configuration
    wheel = Wheel(now: now)
  }

  package var count: Int { owners.count }

  // MARK: Asking

  /// The contacts of an account, the newest first.
  package func bindings(of account: String) -> [Binding] {
    (accounts[account] ?? []).reversed().map(\.binding)
  }

  /// Every binding, by account name.
  package var all: [Binding] {
    accounts.keys.sorted().flatMap { bindings(of: $0) }
  }

  package func binding(_ id: UInt64) -> Binding? {
    guard let account = owners[id] else { return nil }
    return accounts[account]?.first { $0.binding.id == id }?.binding
  }

  // MARK: REGISTER

  /// One contact of a request.
  private struct Wish {
    var contact: String
    var parameters: String
    var instance: String?
    var regID: UInt32?
    var seconds: UInt32
    /// The binding that it renews.
    var place: UInt64?
  }

  /// Carries out an authenticated REGISTER that came by `flow`. All of it, or none.
  package mutating func register(
    _ request: Message, on flow: Flow, for account: AccountRecord, credential: UInt64, now: Instant,
    random: inout Random
  ) -> Answer {
    // Who proves one account cannot register another.
    guard request.toUser == account.username, account.contactLimit > 0,
      account.transports.allows(flow.transport)
    else { return Answer(status: 403, headers: []) }
    expire(now)

    if request.isContactWildcard {
      guard request.expires == 0 else { return Answer(status: 400, headers: []) }
      guard isInOrder(request, accounts[account.username] ?? []) else {
        return Answer(status: 500, headers: [])
      }
      for entry in accounts[account.username] ?? [] { remove(entry.binding.id, .unregistered) }
      return listing(account.username, request, now)
    }

    var wishes: [Wish] = []
    switch read(request, account) {
    case .failure(let refusal): return refusal.answer
    case .success(let list): wishes = list
    }
    for wish in wishes {
      if wish.seconds == 0 {
        if let place = wish.place { remove(place, .unregistered) }
      } else {
        take(wish, request, flow, account, credential, now, &random)
      }
    }
    return listing(account.username, request, now)
  }

  private struct Refused: Error {
    var answer: Answer
    init(_ status: Int, _ headers: [(name: HeaderName, value: String)] = []) {
      answer = Answer(status: status, headers: headers)
    }
  }

  private func read(_ request: Message, _ account: AccountRecord) -> Result<[Wish], Refused> {
    let held = request.bytes
    let bytes = held.span
    let ranges = request.ranges(.contact)
    guard ranges.count <= Registrar.contactsPerRequest else { return .failure(Refused(400)) }
    let header = request.has(.expires) ? request.expires ?? 3600 : nil
    let current = accounts[account.username] ?? []
    var wishes: [Wish] = []
    for range in ranges {
      guard let parts = Grammar.address(bytes, range.lowerBound, range.upperBound),
        parts.uri.scheme == .sip || parts.uri.scheme == .sips, range.count <= Registrar.contactLength
      else { return .failure(Refused(400)) }
      var wish = Wish(
        contact: Text.string(bytes, parts.uriRange), parameters: "",
        seconds: header ?? configuration.standard)
      var parameters: [UInt8] = []
      var position = parts.parameters.lowerBound
      while position < parts.parameters.upperBound,
        let parameter = Grammar.parameter(bytes, position, parts.parameters.upperBound)
      {
        if Grammar.equals(bytes, parameter.name, .expires) {
          // What is no number counts as an hour (RFC 3261, 10.2.1.1 by way of 20.19).
          wish.seconds = parameter.value.flatMap { Grammar.seconds(bytes, $0) } ?? 3600
        } else {
          if Grammar.equals(bytes, parameter.name, .regID), let value = parameter.value {
            wish.regID = Grammar.number(bytes, value, limit: UInt64(Int32.max)).map { UInt32($0) }
          } else if let value = parameter.value, parameter.name.count == 13,
            ASCII.equalIgnoringCase(Text.string(bytes, parameter.name), "+sip.instance")
          {
            wish.instance = Text.unquoted(Text.string(bytes, value))
          }
          Text.appendUnfolded(bytes, position..<parameter.next, to: &parameters)
        }
        position = parameter.next
      }
      wish.parameters = String(decoding: parameters, as: UTF8.self)
      if wish.seconds > 0, wish.seconds < configuration.minimum {
        return .failure(Refused(423, [(.minExpires, String(configuration.minimum))]))
      }
      wish.seconds = min(wish.seconds, configuration.maximum)
      if let entry = match(wish, current) {
        // The same registration going backwards is an old request come late (RFC 3261, 10.3, step 7).
        guard isInOrder(request, [entry]) else { return .failure(Refused(500)) }
        wish.place = entry.binding.id
      }
      wishes.append(wish)
    }
    return .success(wishes)
  }

  private func isInOrder(_ request: Message, _ entries: [Entry]) -> Bool {
    guard !entries.isEmpty else { return true }
    let callID = request.callID
    let number = request.cseq.number
    return entries.allSatisfy { $0.binding.callID != callID || $0.binding.cseq < number }
  }

  /// The binding that a contact renews: the same flow of the same device (RFC 5626, 6), or an equivalent URI.
  private func match(_ wish: Wish, _ entries: [Entry]) -> Entry? {
    if let instance = wish.instance, let regID = wish.regID,
      let entry = entries.first(where: { $0.binding.instance == instance && $0.binding.regID == regID })
    {
      return entry
    }
    if let entry = entries.first(where: { $0.binding.contact == wish.contact }) { return entry }
    guard !entries.isEmpty, let uri = URI(wish.contact) else { return nil }
    return entries.first { $0.binding.uri?.isEquivalent(to: uri) ?? false }
  }

  private mutating func take(
    _ wish: Wish, _ request: Message, _ flow: Flow, _ account: AccountRecord, _ credential: UInt64,
    _ now: Instant, _ random: inout Random
  ) {
    var reach = Binding.Reach.unknown
    var failures: UInt8 = 0
    var ping: Handle?
    var id: UInt64
    let isNew = wish.place.map { owners[$0] == nil } ?? true
    if let place = wish.place, let entry = detach(place) {
      id = place
      // A device that comes from elsewhere must prove anew that it can be reached.
      if entry.binding.flow == flow {
        reach = entry.binding.reach
        failures = entry.failures
      }
      ping = entry.ping
      wheel.cancel(entry.expiry)
    } else {
      lastID += 1
      id = lastID
    }
    let binding = Binding(
      id: id, account: account.username, credential: credential, contact: wish.contact,
      parameters: wish.parameters, flow: flow, path: request.values(.path), instance: wish.instance,
      regID: wish.regID, callID: request.callID, cseq: request.cseq.number,
      expires: now + .seconds(Int64(wish.seconds)), registered: now,
      userAgent: Registrar.brief(request.value(.userAgent) ?? ""), reach: reach)
    if ping == nil, configuration.qualify > .zero {
      // Whoever has just spoken is there. Spread over the rest of the interval, so that a building that comes back at
      // once is not pinged at once.
      let least = configuration.qualify.nanoseconds / 3
      let delay = least + Int64(random.below(UInt64(configuration.qualify.nanoseconds - least)))
      ping = wheel.arm(now + .nanoseconds(delay), token: id << 1 | 1)
    }
    let entry = Entry(
      binding: binding, expiry: wheel.arm(binding.expires, token: id << 1), ping: ping, failures: failures)
    accounts[account.username, default: []].append(entry)
    owners[id] = account.username
    if flow.transport.isReliable { connections[flow.socket, default: []].append(id) }
    events.append(isNew ? .registered(binding) : .refreshed(binding))
    while let all = accounts[account.username], all.count > account.contactLimit {
      remove(all[0].binding.id, .replaced)
    }
  }

  /// At most 128 bytes of what a device says of itself.
  private static func brief(_ text: String) -> String {
    text.utf8.count <= 128 ? text : String(decoding: text.utf8.prefix(128), as: UTF8.self)
  }

  /// 200 with every contact as it was given, and how long it still lasts.
  private func listing(_ account: String, _ request: Message, _ now: Instant) -> Answer {
    var headers: [(name: HeaderName, value: String)] = []
    for entry in accounts[account] ?? [] where entry.binding.expires > now {
      var text: [UInt8] = []
      text.reserveCapacity(entry.binding.contact.utf8.count + entry.binding.parameters.utf8.count + 24)
      text.append(UInt8(ascii: "<"))
      text.append(text: entry.binding.contact)
      text.append(UInt8(ascii: ">"))
      text.append(text: entry.binding.parameters)
      text.append(ascii: ";expires=")
      let left = entry.binding.expires - now
      text.append(decimal: Int(max(0, (left.nanoseconds + 999_999_999) / 1_000_000_000)))
      headers.append((.contact, String(decoding: text, as: UTF8.self)))
    }
    for value in request.values(.path) { headers.append((.path, value)) }
    // A device that asked for outbound learns that its flow is used (RFC 5626, 6).
    if request.supports("outbound"),
      request.contacts.contains(where: { $0.parameters.contains("reg-id") })
    {
      headers.append((.require, "outbound"))
    }
    return Answer(status: 200, headers: headers)
  }

  // MARK: What happens besides

  /// A connection is gone: what is tied to it is gone too, the rest will be dialled at its Contact.
  package mutating func connectionLost(_ socket: SocketID) {
    for id in connections.removeValue(forKey: socket) ?? [] {
      guard let account = owners[id],
        let place = accounts[account]?.firstIndex(where: { $0.binding.id == id }),
        let binding = accounts[account]?[place].binding, binding.flow.socket == socket
      else { continue }
      if binding.isTied {
        remove(id, .connectionLost)
      } else {
        accounts[account]?[place].binding.detach()
      }
    }
  }

  /// Ends the bindings of an account: all, or those that one credential proved.
  package mutating func revoke(_ account: String, credential: UInt64? = nil) {
    for entry in accounts[account] ?? [] where credential == nil || entry.binding.credential == credential {
      remove(entry.binding.id, .revoked)
    }
  }

  /// Ends one binding whose contact proved to be dead.
  package mutating func drop(_ id: UInt64, as removal: Removal = .connectionLost) { remove(id, removal) }

  /// What came of a ping: the time it took, or nil when no answer came.
  package mutating func pinged(_ id: UInt64, latency: Interval?) {
    guard let account = owners[id],
      let place = accounts[account]?.firstIndex(where: { $0.binding.id == id }),
      var entry = accounts[account]?[place]
    else { return }
    let wasReachable = if case .reachable = entry.binding.reach { true } else { false }
    var isChanged = false
    if let latency {
      entry.failures = 0
      entry.binding.reach = .reachable(latency: latency)
      isChanged = !wasReachable
    } else {
      entry.failures = min(entry.failures + 1, Registrar.tolerance)
      if entry.failures == Registrar.tolerance, entry.binding.reach != .unreachable {
        entry.binding.reach = .unreachable
        isChanged = true
      }
    }
    accounts[account]?[place] = entry
    if isChanged { events.append(.reachChanged(entry.binding)) }
  }

  /// Takes back what was saved. What was tied to a connection is left out; UDP works at once, TCP and TLS are
  /// dialled. A wall clock that jumped cannot make a binding last longer than it could have been given.
  package mutating func load(
    _ saved: [SavedBinding], now: Instant, wall: WallTime, random: inout Random
  ) {
    for one in saved {
      lastID = max(lastID, one.id)
      let left = min(one.expires - wall, .seconds(Int64(configuration.maximum)))
      var binding = Binding(one, now: now, expires: now + left)
      guard left > .zero, !binding.isTied, owners[one.id] == nil else { continue }
      binding.detach()
      var ping: Handle?
      if configuration.qualify > .zero {
        let delay = Int64(random.below(UInt64(configuration.qualify.nanoseconds)))
        ping = wheel.arm(now + .nanoseconds(delay), token: one.id << 1 | 1)
      }
      owners[one.id] = one.account
      accounts[one.account, default: []].append(
        Entry(binding: binding, expiry: wheel.arm(binding.expires, token: one.id << 1), ping: ping))
    }
  }

  // MARK: Time and events

  package var nextDeadline: Instant? { wheel.nextDeadline }

  /// Ends what has expired and asks for the pings that are due.
  package mutating func advance(now: Instant) { expire(now) }

  /// The next thing that happened; nil when there is none left.
  package mutating func next() -> Event? {
    guard eventsTaken < events.count else {
      events.removeAll(keepingCapacity: true)
      eventsTaken = 0
      return nil
    }
    defer { eventsTaken += 1 }
    return events[eventsTaken]
  }

  private mutating func expire(_ now: Instant) {
    while let token = wheel.expired(by: now) {
      let id = token >> 1
      guard let account = owners[id],
        let place = accounts[account]?.firstIndex(where: { $0.binding.id == id })
      else { continue }
      if token & 1 == 0 {
        remove(id, .expired)
      } else {
        accounts[account]?[place].ping = wheel.arm(now + configuration.qualify, token: token)
        if let binding = accounts[account]?[place].binding { events.append(.ping(binding)) }
      }
    }
  }

  private mutating func remove(_ id: UInt64, _ removal: Removal) {
    guard let entry = detach(id) else { return }
    wheel.cancel(entry.expiry)
    if let ping = entry.ping { wheel.cancel(ping) }
    events.append(.removed(entry.binding, removal))
  }

  /// Takes an entry out of every table.
  private mutating func detach(_ id: UInt64) -> Entry? {
    guard let account = owners.removeValue(forKey: id),
      let place = accounts[account]?.firstIndex(where: { $0.binding.id == id }),
      let entry = accounts[account]?.remove(at: place)
    else { return nil }
    if accounts[account]?.isEmpty ?? false { accounts[account] = nil }
    let socket = entry.binding.flow.socket
    if entry.binding.flow.transport.isReliable, var ids = connections[socket] {
      ids.removeAll { $0 == id }
      connections[socket] = ids.isEmpty ? nil : ids
    }
    return entry
  }
}

extension Grammar.StaticWord {
  static var expires: Self { Self(letters: 0x73_6572_6970_7865, count: 7) }
  static var regID: Self { Self(letters: 0x6469_2D67_6572, count: 6) }
}
