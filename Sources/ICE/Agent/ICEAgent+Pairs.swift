package import Wire

// The peer's candidates and the check list (RFC 8445 section 6.1.2, RFC 8838 section 8).

extension ICEAgent {
  /// Takes a candidate of the peer. One that is of no use, known, or over the limit is counted and forgotten.
  package mutating func addRemote(_ candidate: Candidate, _ turn: inout Turn) {
    guard configuration.mode == .full, standing != .over else { return }
    take(candidate, turn.now)
    settle(&turn)
  }

  /// The peer has no more candidates.
  package mutating func endOfCandidates(_ turn: inout Turn) {
    guard configuration.mode == .full else { return }
    remoteIsComplete = true
    settle(&turn)
  }

  mutating func take(_ candidate: Candidate, _ now: Instant) {
    let endpoint = candidate.endpoint
    // TCP: we are passive, and an active peer comes by itself.
    guard candidate.component == 1, endpoint.isUsable, candidate.transport == .udp else {
      counters.skipped += 1
      return
    }
    if let known = remotes.firstIndex(where: { $0.endpoint == endpoint && !$0.isTCP }) {
      tell(known, candidate)
      return
    }
    guard remotes.count < configuration.remoteLimit else {
      counters.skipped += 1
      return
    }
    let remote = RemoteCandidate(
      endpoint: endpoint, isTCP: false, priority: candidate.priority, foundation: candidate.foundation,
      kind: candidate.kind)
    remotes.append(remote)
    for base in bases.indices { pair(base, remote, now) }
  }

  /// The peer names an address that its check showed us before: its worth is what the peer says now, else the pair by
  /// which we met would rank below every other.
  private mutating func tell(_ place: Int, _ candidate: Candidate) {
    guard remotes[place].kind == .peerReflexive, candidate.kind != .peerReflexive else {
      counters.skipped += 1
      return
    }
    remotes[place].kind = candidate.kind
    remotes[place].priority = candidate.priority
    remotes[place].foundation = candidate.foundation
    for pair in pairs.indices where pairs[pair].generation == generation && !pairs[pair].remote.isTCP {
      if pairs[pair].peer == candidate.endpoint { pairs[pair].remote = remotes[place] }
    }
  }

  /// Pairs a base with an address of the peer if they can speak to one another, the list has room, and they are
  /// not paired yet. `carrier` is the connection of a TCP pair.
  @discardableResult
  mutating func pair(_ place: Int, _ remote: RemoteCandidate, _ now: Instant, carrier: Flow? = nil) -> Int? {
    let base = bases[place]
    guard (base.transport == .udp) != remote.isTCP,
      base.local.address.canSpeak(to: remote.endpoint.address)
    else { return nil }
    var flow = Flow(base.transport, local: base.local, remote: remote.endpoint, socket: base.socket)
    if let carrier {
      flow = carrier
    } else if let allocation = base.allocation {
      guard allocations[allocation].state == .granted else { return nil }
      flow = allocations[allocation].flow
    }
    if let known = pairPlace(base: place, peer: remote.endpoint, flow: flow) { return known }
    let foundation = base.foundation + ":" + remote.foundation
    let isBusy = pairs.contains {
      $0.generation == generation && $0.foundation == foundation && $0.state != .failed
    }
    lastPair += 1
    let new = CandidatePair(
      number: lastPair, generation: generation, base: place, remote: remote, flow: flow,
      isRelayed: base.allocation != nil, localPriority: base.priority, foundation: foundation,
      state: isBusy ? .frozen : .waiting)
    if pairs.count >= configuration.pairLimit {
      // The worst one that nothing has come of makes room for a better.
      let idle = pairs.indices.filter { [.frozen, .waiting, .failed].contains(pairs[$0].state) }
      guard let worst = idle.min(by: { pairs[$0].priority(role) < pairs[$1].priority(role) }),
        pairs[worst].priority(role) < new.priority(role) || pairs[worst].state == .failed
      else {
        counters.skipped += 1
        return nil
      }
      pairs.remove(at: worst)
    }
    pairs.append(new)
    if let allocation = base.allocation { permit(remote.endpoint.address, allocation) }
    return pairs.count - 1
  }

  /// The pair of this generation with this base, peer and flow.
  func pairPlace(base: Int, peer: Endpoint, flow: Flow) -> Int? {
    pairs.firstIndex {
      $0.generation == generation && $0.base == base && $0.peer == peer && $0.flow == flow
    }
  }

  func pairPlace(_ number: UInt32) -> Int? { pairs.firstIndex { $0.number == number } }

  /// The way a pair takes.
  func path(of pair: CandidatePair) -> ICEPath {
    guard let allocation = bases[pair.base].allocation else { return ICEPath(pair.flow) }
    return ICEPath(
      pair.flow, relayed: pair.peer, channel: allocations[allocation].channel(for: pair.peer))
  }

  /// The base that what came by this way came to.
  func basePlace(_ path: ICEPath) -> Int? {
    if path.relayed != nil {
      return bases.firstIndex {
        guard let allocation = $0.allocation else { return false }
        return allocations[allocation].flow == path.flow
      }
    }
    let flow = path.flow
    return bases.firstIndex {
      $0.allocation == nil && $0.transport == flow.transport && $0.local == flow.local
        && ($0.transport != .udp || $0.socket == flow.socket)
    }
  }
}

extension IPAddress {
  /// Whether a packet can go from here to there: one family, and scopes that go together (RFC 8445 section
  /// 6.1.2.2).
  func canSpeak(to other: IPAddress) -> Bool {
    isV4 == other.isV4 && isLoopback == other.isLoopback && (isV4 || isLinkLocal == other.isLinkLocal)
  }
}
