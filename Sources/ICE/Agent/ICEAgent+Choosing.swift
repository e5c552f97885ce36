package import Wire

// Which pair is used (RFC 8445 section 8), whether the peer still wants it (RFC 7675), and the end.

extension ICEAgent {
  /// The peer, or we, chose this pair.
  mutating func nominate(_ place: Int, _ now: Instant) {
    guard pairs[place].isValid, pairs[place].generation == generation else { return }
    pairs[place].isNominated = true
    pairs[place].isWanted = false
    guard !isConcluded else { return }
    isConcluded = true
    lastConcluded = lastPair
    isRestarting = false
    earlierCredentials = nil
    earlierRemoteCredentials = nil
    // What was not begun is not wanted any more, and what was is not repeated (section 8.1.2).
    let kept = triggered
    let generation = generation
    pairs.removeAll {
      $0.generation != generation
        || (($0.state == .frozen || $0.state == .waiting) && !kept.contains($0.number))
    }
    for other in exchanges.indices {
      if case .check = exchanges[other].purpose { exchanges[other].isAbandoned = true }
    }
    mappings.removeAll()
    relayEnd = configuration.relayGrace.map { now + $0 }
  }

  /// Selects the best nominated pair, before there is one the best valid, during a restart the old one.
  mutating func choose(_ now: Instant) {
    var best: Int?
    for (place, pair) in pairs.enumerated() where pair.isValid {
      // An old pair goes before a new one that nobody nominated yet.
      func rank(_ pair: CandidatePair) -> Int {
        pair.isNominated && pair.generation == generation ? 2 : pair.generation < generation ? 1 : 0
      }
      guard let old = best else {
        best = place
        continue
      }
      let (mine, its) = (rank(pair), rank(pairs[old]))
      if mine > its || (mine == its && pair.priority(role) > pairs[old].priority(role)) { best = place }
    }
    guard let best else {
      // No pair works any more; what was selected goes with its consent.
      return
    }
    select(path(of: pairs[best]), now)
  }

  private mutating func select(_ path: ICEPath, _ now: Instant) {
    let isOther = selected.map { !$0.isSame(as: path) } ?? true
    if selected != path {
      selected = path
      report(.selected(path))
    }
    if isOther {
      carried = nil
      // The peer's consent is for one way, and as old as its last answer there.
      let heard = paths.first { $0.path.isSame(as: path) }?.heard ?? now
      consent = heard
      nextConsent = heard + configuration.consentInterval
      if now - heard >= configuration.disconnection {
        if standing == .connected { report(.disconnected) }
        standing = .disconnected
      } else if standing != .connected {
        standing = .connected
        report(.connected)
      }
    }
    if let relayed = path.relayed, path.channel == nil { bindChannel(path.flow, relayed) }
  }

  /// Nominates the best valid pair once none that is better is likely to come (section 8.1.1).
  mutating func considerNominating(_ now: Instant) {
    nomination = nil
    guard role == .controlling, !isConcluded, let firstValid else { return }
    let valid = pairs.indices.filter { pairs[$0].generation == generation && pairs[$0].isValid }
    guard let best = valid.max(by: { pairs[$0].priority(role) < pairs[$1].priority(role) }) else { return }
    if pairs[best].isWanted {
      // Under way, unless it waits for the pacing.
      return
    }
    let worth = pairs[best].priority(role)
    let hasBetter = pairs.contains {
      $0.generation == generation && $0.priority(role) > worth
        && [.frozen, .waiting, .inProgress].contains($0.state)
    }
    let isRelayed = pairs[best].isRelayed || pairs[best].remote.kind == .relayed
    let moreMayCome = hasBetter || (isRelayed && !(remoteIsComplete && gathering == .done))
    let moment = firstValid + (isRelayed ? configuration.settlingRelayed : configuration.settling)
    guard !moreMayCome || now >= moment else {
      nomination = moment
      return
    }
    for other in pairs.indices where pairs[other].generation == generation { pairs[other].isWanted = false }
    pairs[best].isWanted = true
    let number = pairs[best].number
    triggered.removeAll { $0 == number }
    triggered.insert(number, at: 0)
  }

  /// How long a full agent's selected path brings nothing before another that the peer checks takes over: long enough
  /// that a consent check of ours went unanswered. Shorter where all speaks for a translator that gave the peer another
  /// port: then nothing else would tell us, and the peer itself does not know.
  private var silence: Interval { configuration.consentInterval * 6 / 5 + .milliseconds(1500) }

  /// Goes over to the pair that the peer checks, when the selected one has fallen silent.
  mutating func considerFollowing(_ now: Instant) {
    rivalry = nil
    guard isConcluded, let selected, let rival else { return }
    guard let place = pairPlace(rival), pairs[place].generation == generation else {
      self.rival = nil
      return
    }
    let way = path(of: pairs[place])
    guard pairs[place].isValid, !way.isSame(as: selected),
      let checked = paths.first(where: { $0.path.isSame(as: way) })?.checked
    else { return }
    let last = lastSign(of: selected) ?? Instant(nanoseconds: .min)
    guard checked > last else { return }
    let isMoved =
      rival > lastConcluded && way.peer.address == selected.peer.address && way.flow.transport == .udp
      && selected.flow.transport == .udp
    let moment = last + (isMoved ? ICEAgent.silenceOfPort : silence)
    guard now >= moment else {
      rivalry = moment
      return
    }
    self.rival = nil
    for other in pairs.indices where path(of: pairs[other]).isSame(as: selected) {
      pairs[other].state = .failed
      pairs[other].isValid = false
      pairs[other].isNominated = false
    }
    nominate(place, now)
    if role == .controlling {
      pairs[place].isWanted = true
      trigger(place)
    }
    choose(now)
  }

  /// An answer to a consent check, or another proof by our own question, came by this path.
  mutating func consented(_ path: ICEPath, _ now: Instant) {
    guard let selected, selected.isSame(as: path) else { return }
    consent = now
    if let place = paths.firstIndex(where: { $0.path.isSame(as: path) }) { paths[place].heard = now }
    if standing == .disconnected {
      standing = .connected
      report(.connected)
    }
  }

  /// Asks for consent when it is time: every 4 to 6 s, each time a new transaction (RFC 7675 section 5.1).
  mutating func askConsent(_ turn: inout Turn) {
    guard let selected, let moment = nextConsent, turn.now >= moment else { return }
    let base = configuration.consentInterval.nanoseconds
    nextConsent =
      turn.now + .nanoseconds(base * 4 / 5 + Int64(turn.random.below(UInt64(max(1, base * 2 / 5)))))
    // Until a restart's new pair is selected, the old one lives by the old credentials.
    let isEarlier = pairs.contains {
      $0.generation < generation && path(of: $0).isSame(as: selected)
    }
    guard let remote = isEarlier ? earlierRemoteCredentials : remoteCredentials else { return }
    let ours = isEarlier ? earlierCredentials ?? credentials : credentials
    let transaction = newTransaction(&turn)
    writer.begin(.request, STUNMethod.binding, transaction)
    writer.addUsername(remote.fragment, ours.fragment)
    writer.add(
      STUNAttribute.priority, word: Candidate.priority(.peerReflexive, order: 0))
    writer.add(
      role == .controlling ? STUNAttribute.iceControlling : STUNAttribute.iceControlled, double: tieBreaker)
    writer.seal(key: remote.password)
    begin(.consent, transaction, on: selected, &turn)
    if isEarlier { exchanges[exchanges.count - 1].generation = generation - 1 }
  }

  /// Tells silence, its end, and that nothing works.
  mutating func watchFull(_ now: Instant) {
    if standing == .connected || standing == .disconnected, let heard = consent {
      if now - heard >= configuration.expiry {
        guard outliveEarlier() else {
          end()
          report(.consentLost)
          return
        }
        choose(now)
      } else if now - heard >= configuration.disconnection, standing == .connected {
        standing = .disconnected
        report(.disconnected)
      }
    }
    guard let started, !isConcluded, !hasFailed else { return }
    let mine = pairs.filter { $0.generation == generation }
    let isHopeless =
      remoteIsComplete && gathering == .done && !mine.isEmpty && mine.allSatisfy { $0.state == .failed }
    let works = mine.contains(where: \.isValid)
    guard isHopeless || (!works && now >= started + configuration.patience) else { return }
    hasFailed = true
    if standing == .new {
      report(.failed)
      end()
    } else {
      report(.restartFailed)
    }
  }

  /// What was selected before a restart is silent for too long. False when there is no restart that the peer has
  /// answered; else the session is new again, and lives or fails by the restart.
  mutating func outliveEarlier() -> Bool {
    guard isRestarting, started != nil, !hasFailed else { return false }
    standing = .new
    selected = nil
    consent = nil
    nextConsent = nil
    paths.removeAll()
    pairs.removeAll { $0.generation != generation }
    exchanges.removeAll { $0.purpose == .consent }
    return true
  }

  /// Nothing is sent or believed any more; relays are kept for a restart until `close`.
  mutating func end() {
    standing = .over
    selected = nil
    consent = nil
    nextConsent = nil
    nomination = nil
    rival = nil
    paths.removeAll()
    pairs.removeAll()
    triggered.removeAll()
    mappings.removeAll()
    steps.removeAll { !$0.isRelay }
    exchanges.removeAll { !$0.purpose.isRelay }
    deadline = nil
  }

  /// New credentials, to be told to the peer; `setRemote` takes its new ones. What is selected carries on until a
  /// new pair is nominated. Gathering starts again with `gather`.
  package mutating func restart(_ turn: inout Turn) {
    // A second restart before the first came to anything: what is selected is still the first's earlier one.
    if !isRestarting {
      earlierCredentials = credentials
      earlierRemoteCredentials = remoteCredentials
    }
    credentials = ICECredentials(&turn.random)
    remoteCredentials = nil
    isRestarting = true
    generation += 1
    let old = selected
    let current = generation
    pairs = pairs.filter { pair in
      pair.generation < current && old.map { path(of: pair).isSame(as: $0) } == true
    }
    exchanges.removeAll { $0.purpose != .consent && !$0.purpose.isRelay }
    remotes.removeAll()
    triggered.removeAll()
    mappings.removeAll()
    steps.removeAll { !$0.isRelay }
    candidates.removeAll { $0.kind != .host }
    gathering = .idle
    remoteIsComplete = false
    isConcluded = false
    rival = nil
    hasFailed = false
    firstValid = nil
    nomination = nil
    started = nil
    relayEnd = nil
    if standing == .over { standing = .new }
    prepareKnown(&turn)
    settle(&turn)
  }

  /// The end of the session: gives relays back and forgets the peer.
  package mutating func close(_ turn: inout Turn) {
    releaseRelays(&turn)
    end()
    exchanges.removeAll()
    steps.removeAll()
    gathering = .done
  }
}
