internal import Wire

// Sending checks and taking their answers (RFC 8445 sections 6.1.4, 7.2).

extension ICEAgent {
  /// One new transaction, if there is one to begin: a pair that the peer checked or that is to be nominated, then a
  /// question to a server, then the best pair that waits. False when nothing was begun.
  mutating func beginOne(_ turn: inout Turn) -> Bool {
    if remoteCredentials != nil {
      while let number = triggered.first {
        triggered.removeFirst()
        guard let place = pairPlace(number), pairs[place].generation == generation else { continue }
        guard isReady(pairs[place]) else {
          // Its relay has still to let the peer through: an ordinary check then.
          if pairs[place].state == .frozen { pairs[place].state = .waiting }
          continue
        }
        check(place, &turn)
        return true
      }
    }
    while !steps.isEmpty {
      if begin(steps.removeFirst(), &turn) { return true }
    }
    if let place = nextOrdinary() {
      check(place, &turn)
      return true
    }
    return false
  }

  /// Whether `beginOne` would begin something.
  var hasWork: Bool {
    !steps.isEmpty || (remoteCredentials != nil && !triggered.isEmpty) || nextOrdinary() != nil
  }

  /// The best pair that waits, else the best frozen one. Section 6.1.4.2 would leave a frozen one until others of its
  /// foundation have ended, which for a dead one takes half a minute; nothing is lost by trying it when nothing else
  /// waits for its turn.
  private func nextOrdinary() -> Int? {
    guard remoteCredentials != nil, !isConcluded, standing != .over else { return nil }
    var best: Int?
    var frozen: Int?
    for (place, pair) in pairs.enumerated() where pair.generation == generation {
      func isBetter(than other: Int?) -> Bool {
        isReady(pair) && other.map { pairs[$0].priority(role) < pair.priority(role) } ?? true
      }
      switch pair.state {
      case .waiting: if isBetter(than: best) { best = place }
      case .frozen: if isBetter(than: frozen) { frozen = place }
      case .inProgress, .succeeded, .failed: break
      }
    }
    return best ?? frozen
  }

  /// A relay must let the peer through first.
  private func isReady(_ pair: CandidatePair) -> Bool {
    guard let allocation = bases[pair.base].allocation else { return true }
    return allocations[allocation].permits(pair.peer.address)
  }

  /// Sends the first request of a check.
  private mutating func check(_ place: Int, _ turn: inout Turn) {
    guard let remoteCredentials else { return }
    let pair = pairs[place]
    let isNominating = role == .controlling && pair.isWanted
    let transaction = newTransaction(&turn)
    writer.begin(.request, STUNMethod.binding, transaction)
    writer.addUsername(remoteCredentials.fragment, credentials.fragment)
    // What a candidate learnt from this check is worth (section 7.1.1).
    let learnt = Candidate.priority(.peerReflexive, pair.remote.isTCP ? .tcpPassive : .udp, order: 0)
    writer.add(
      STUNAttribute.priority, word: learnt & 0xFF00_0000 | pair.localPriority & 0x00FF_FFFF)
    writer.add(
      role == .controlling ? STUNAttribute.iceControlling : STUNAttribute.iceControlled, double: tieBreaker)
    if isNominating { writer.addFlag(STUNAttribute.useCandidate) }
    writer.seal(key: remoteCredentials.password)
    if pair.state != .succeeded { pairs[place].state = .inProgress }
    begin(
      .check(pair: pair.number, isNominating: isNominating, role: role), transaction, on: path(of: pair),
      &turn)
  }

  func newTransaction(_ turn: inout Turn) -> STUNTransactionID {
    STUNTransactionID(high: configuration.tag, low: turn.random.next())
  }

  /// Sends what the writer holds for the first time, and keeps it to be sent again.
  mutating func begin(
    _ purpose: Exchange.Purpose, _ transaction: STUNTransactionID, on path: ICEPath, _ turn: inout Turn
  ) {
    var exchange = Exchange(
      transaction: transaction, purpose: purpose, path: path, generation: generation, bytes: writer.bytes,
      due: turn.now)
    exchange.sent = 1
    exchange.due = turn.now + wait(exchange)
    transmit(on: path, &turn)
    exchanges.append(exchange)
  }

  /// How long until an exchange is sent again or has failed (RFC 8489 section 6.2.1). A stream repeats nothing.
  private func wait(_ exchange: Exchange) -> Interval {
    if exchange.purpose == .consent { return configuration.expiry }
    let most = configuration.transmissions
    if exchange.path.flow.transport != .udp { return configuration.retransmission * 32 }
    if exchange.sent >= most { return configuration.retransmission * 16 }
    return configuration.retransmission * (1 << Int64(min(exchange.sent - 1, 6)))
  }

  /// Sends again what is due, and gives up what was sent often enough.
  mutating func repeatExchanges(_ turn: inout Turn) {
    var place = 0
    while place < exchanges.count {
      guard exchanges[place].due <= turn.now else {
        place += 1
        continue
      }
      let isOver =
        exchanges[place].isAbandoned || exchanges[place].sent >= configuration.transmissions
        || exchanges[place].path.flow.transport != .udp || exchanges[place].purpose == .consent
      if isOver {
        let exchange = exchanges.remove(at: place)
        expire(exchange, &turn)
      } else {
        exchanges[place].sent += 1
        exchanges[place].due = turn.now + wait(exchanges[place])
        let bytes = exchanges[place].bytes
        transmit(bytes.span, on: exchanges[place].path, &turn)
        place += 1
      }
    }
  }

  /// No answer came.
  private mutating func expire(_ exchange: Exchange, _ turn: inout Turn) {
    switch exchange.purpose {
    case .check(let number, _, _):
      // A newer check of the pair may be under way, or an older one have worked.
      let isPursued = exchanges.contains {
        if case .check(number, _, _) = $0.purpose { true } else { false }
      }
      let isSettled = exchange.isAbandoned && pairPlace(number).map { pairs[$0].state != .inProgress } ?? true
      if !isPursued, !isSettled { fail(number, exchange.generation, turn.now) }
    case .consent, .mapping: break
    case .relay(let place, let step): relayRefused(place, step, &turn)
    }
  }

  private mutating func fail(_ number: UInt32, _ generation: Int, _ now: Instant) {
    guard let place = pairPlace(number), pairs[place].generation == generation else { return }
    pairs[place].state = .failed
    pairs[place].isValid = false
    pairs[place].isWanted = false
    choose(now)
  }

  /// Takes a response to something we asked; false when we asked nothing like it.
  mutating func receive(
    response message: STUNMessage, in datagram: Span<UInt8>, on path: ICEPath, _ turn: inout Turn
  ) -> Bool {
    guard
      let place = exchanges.firstIndex(where: {
        $0.transaction == message.transaction
      })
    else { return false }
    let exchange = exchanges[place]
    switch exchange.purpose {
    case .check(let number, let isNominating, let role):
      guard let key = remotePassword(exchange.generation), message.hasFingerprint(in: datagram),
        message.hasIntegrity(key: key, in: datagram)
      else { return false }
      exchanges.remove(at: place)
      guard let pair = pairPlace(number) else { return true }
      guard path.isSame(as: exchange.path) else {
        // An answer must come back the way it was asked for (section 7.2.5.2.1).
        fail(number, exchange.generation, turn.now)
        return true
      }
      if message.kind == .success {
        guard let mapped = message.mapped(in: datagram) else {
          fail(number, exchange.generation, turn.now)
          return true
        }
        succeed(pair, mapped, isNominating: isNominating, &turn)
      } else if message.errorCode(in: datagram) == 487 {
        if self.role == role { changeRole() }
        if pairs[pair].state != .succeeded { pairs[pair].state = .waiting }
        if self.role == .controlled { pairs[pair].isWanted = false }
        trigger(pair)
      } else {
        fail(number, exchange.generation, turn.now)
      }
    case .consent:
      guard let key = remotePassword(exchange.generation), message.hasFingerprint(in: datagram),
        message.hasIntegrity(key: key, in: datagram), path.isSame(as: exchange.path)
      else { return false }
      exchanges.remove(at: place)
      if message.kind == .success { consented(path, turn.now) }
    case .mapping(let base, let server):
      guard path.isSame(as: exchange.path) else { return false }
      exchanges.remove(at: place)
      if message.kind == .success, let mapped = message.mapped(in: datagram) {
        learnMapping(mapped, base: base, server: configuration.servers[server].endpoint)
        keepMapping(base: base, server: server, turn.now)
      }
    case .relay(let allocation, let step):
      guard path.isSame(as: exchange.path),
        relayAnswered(allocation, step, message, in: datagram, &turn)
      else { return false }
      exchanges.removeAll { $0.transaction == message.transaction }
    }
    return true
  }

  /// A check of ours was answered.
  private mutating func succeed(_ place: Int, _ mapped: Endpoint, isNominating: Bool, _ turn: inout Turn) {
    pairs[place].state = .succeeded
    pairs[place].isValid = true
    let foundation = pairs[place].foundation
    for other in pairs.indices
    where pairs[other].state == .frozen && pairs[other].foundation == foundation
      && pairs[other].generation == generation
    {
      pairs[other].state = .waiting
    }
    let way = path(of: pairs[place])
    let known = validate(way, priority: pairs[place].remote.priority, turn.now)
    paths[known].heard = turn.now
    guard pairs[place].generation == generation else { return }
    if firstValid == nil { firstValid = turn.now }
    if isNominating || (role == .controlled && pairs[place].isWanted) { nominate(place, turn.now) }
    choose(turn.now)
  }

  /// Puts a pair at the end of what is checked next.
  mutating func trigger(_ place: Int) {
    let number = pairs[place].number
    if !triggered.contains(number) { triggered.append(number) }
  }

  /// The peer checked a path of this generation (section 7.3.1.3 to 7.3.1.5).
  mutating func checked(
    _ path: ICEPath, priority: UInt32, isNominating: Bool, _ turn: inout Turn
  ) {
    let known = validate(path, priority: priority, turn.now)
    paths[known].checked = turn.now
    guard let base = basePlace(path) else { return }
    let isTCP = path.flow.transport != .udp
    let remote: RemoteCandidate
    if let known = remotes.first(where: { $0.endpoint == path.peer && $0.isTCP == isTCP }) {
      remote = known
    } else {
      remote = RemoteCandidate(
        endpoint: path.peer, isTCP: isTCP, priority: priority, foundation: "p\(remotes.count)",
        kind: .peerReflexive)
      // Learnt ones are the peer's by its password; they have room of their own beside those told.
      if remotes.count < 2 * configuration.remoteLimit { remotes.append(remote) }
    }
    guard let place = pair(base, remote, turn.now, carrier: isTCP ? path.flow : nil) else { return }
    if isConcluded, let selected, !selected.isSame(as: path) { rival = pairs[place].number }
    let wantsIt = isNominating && role == .controlled
    switch pairs[place].state {
    case .succeeded:
      if wantsIt {
        nominate(place, turn.now)
        choose(turn.now)
      }
      return
    case .inProgress:
      // The check under way may have gone before the peer's translator was open: a new one follows now.
      let number = pairs[place].number
      for other in exchanges.indices {
        if case .check(number, _, _) = exchanges[other].purpose { exchanges[other].isAbandoned = true }
      }
      pairs[place].state = .waiting
    case .frozen, .failed: pairs[place].state = .waiting
    case .waiting: break
    }
    if wantsIt { pairs[place].isWanted = true }
    trigger(place)
  }

  /// The other role (section 7.2.5.1).
  mutating func changeRole() {
    role = role == .controlling ? .controlled : .controlling
    for place in pairs.indices where !pairs[place].isNominated { pairs[place].isWanted = false }
  }

  private func remotePassword(_ generation: Int) -> [UInt8]? {
    (generation == self.generation ? remoteCredentials : earlierRemoteCredentials)?.password
  }
}
