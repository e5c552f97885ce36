package import Wire

// What time drives.

extension ICEAgent {
  /// How long a translator is trusted to keep a mapping that nothing uses yet (RFC 8445 section 11).
  static let mappingInterval = Interval.seconds(15)

  /// Does what time demands. Early is harmless.
  package mutating func advance(_ turn: inout Turn) {
    if configuration.mode == .lite {
      watchLite(turn.now)
      return
    }
    repeatExchanges(&turn)
    renewMappings(turn.now)
    renewRelays(&turn)
    askConsent(&turn)
    watchFull(turn.now)
    settle(&turn)
  }

  /// After every step: begins what may begin now, and knows when to come back.
  mutating func settle(_ turn: inout Turn) {
    guard configuration.mode == .full else {
      settleLite()
      return
    }
    considerFollowing(turn.now)
    considerNominating(turn.now)
    while turn.now >= nextPaced, beginOne(&turn) {
      nextPaced = turn.now + configuration.pacing
      considerNominating(turn.now)
    }
    concludeGathering(turn.now)
    var earliest: Instant?
    func note(_ moment: Instant?) { earliest = .earlier(earliest, moment) }
    for exchange in exchanges { note(exchange.due) }
    for mapping in mappings { note(mapping.due) }
    for allocation in allocations { note(allocation.nextRenewal) }
    if hasWork { note(nextPaced) }
    if case .running(let limit) = gathering { note(limit) }
    note(nomination)
    note(rivalry)
    note(relayEnd)
    if selected != nil { note(nextConsent) }
    if let consent {
      note(consent + (standing == .connected ? configuration.disconnection : configuration.expiry))
    }
    if let started, !isConcluded, !hasFailed,
      !pairs.contains(where: { $0.generation == generation && $0.isValid })
    {
      note(started + configuration.patience)
    }
    deadline = earliest
  }

  /// A server answered: the mapping is kept open until a pair is nominated.
  mutating func keepMapping(base: Int, server: Int, _ now: Instant) {
    guard !isConcluded, !mappings.contains(where: { $0.base == base && $0.server == server }) else { return }
    mappings.append(KeptMapping(base: base, server: server, due: now + ICEAgent.mappingInterval))
  }

  private mutating func renewMappings(_ now: Instant) {
    for place in mappings.indices where mappings[place].due <= now {
      mappings[place].due = now + ICEAgent.mappingInterval
      steps.append(.mapping(base: mappings[place].base, server: mappings[place].server))
    }
  }
}

/// A translator's mapping that a server showed us.
struct KeptMapping: Sendable {
  var base: Int
  var server: Int
  var due: Instant
}
