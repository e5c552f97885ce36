package import Wire

// Candidates of ours (RFC 8445 section 5.1.1): host ones stand at once, servers are asked for the others.

extension ICEAgent {
  /// Starts asking the servers; `gatheringDone` follows, at once for a lite agent. Call it again after a restart.
  package mutating func gather(_ turn: inout Turn) {
    guard gathering == .idle else { return }
    guard configuration.mode == .full else {
      gathering = .done
      report(.gatheringDone)
      return
    }
    gathering = .running(turn.now + configuration.gathering)
    for (place, base) in configuration.bases.enumerated() where base.asksServers && base.transport == .udp {
      for (number, server) in configuration.servers.enumerated()
      where server.endpoint.address.isV4 == base.local.address.isV4 {
        let flow = Flow(.udp, local: base.local, remote: server.endpoint, socket: base.socket)
        guard let account = server.account else {
          steps.append(.mapping(base: place, server: number))
          continue
        }
        let known = allocations.firstIndex { $0.server == number && $0.flow == flow }
        if let known, allocations[known].state == .granted {
          // Kept over the restart, if the server still knows us.
          steps.append(.relay(known, .refresh))
          continue
        }
        // Asked before the restart, and not yet answered.
        if let known, isAsking(known) { continue }
        if known == nil { allocations.append(Allocation(server: number, account: account, flow: flow)) }
        let allocation = known ?? allocations.count - 1
        allocations[allocation].state = .none
        allocations[allocation].challenges = 0
        allocations[allocation].isReclaimed = false
        steps.append(.relay(allocation, .allocate))
      }
    }
    for place in allocations.indices where allocations[place].isAdopted {
      switch allocations[place].state {
      case .granted: if generation > 0 { steps.append(.relay(place, .refresh)) }
      case .none, .refused:
        if isAsking(place) { break }
        allocations[place].challenges = 0
        allocations[place].isReclaimed = false
        steps.append(.relay(place, .allocate))
      case .asked: break
      }
    }
    settle(&turn)
  }

  /// Whether a lease is asked for that was neither granted nor refused yet.
  private func isAsking(_ place: Int) -> Bool {
    allocations[place].isWanted || steps.contains(.relay(place, .allocate))
      || exchanges.contains { $0.purpose == .relay(place, .allocate) }
  }

  /// Ends gathering when nothing is outstanding, or its time is up.
  mutating func concludeGathering(_ now: Instant) {
    guard case .running(let limit) = gathering else { return }
    let isBusy =
      steps.contains(where: \.isGathering) || exchanges.contains { $0.purpose.isGathering && !$0.isAbandoned }
      || allocations.contains(where: \.isWanted)
    guard !isBusy || now >= limit else { return }
    gathering = .done
    report(.gatheringDone)
  }

  /// A server told us our address.
  mutating func learnMapping(_ endpoint: Endpoint, base: Int, server: Endpoint, isNews: Bool = true) {
    let host = configuration.bases[base]
    guard endpoint.isUsable, !candidates.contains(where: { $0.endpoint == endpoint && $0.transport == .udp })
    else { return }
    addCandidate(
      Candidate(
        foundation: foundation(.serverReflexive, host.local.address, server.address),
        priority: Candidate.priority(.serverReflexive, order: base), endpoint: endpoint,
        kind: .serverReflexive, related: host.local), isNews: isNews)
  }

  /// A relay lent us an address, or still does: a candidate and a base.
  mutating func addRelay(_ place: Int, _ turn: inout Turn, isNews: Bool = true) {
    let allocation = allocations[place]
    guard let relayed = allocation.relayed else { return }
    let server = configuration.servers[allocation.server].endpoint.address
    let candidate = Candidate(
      foundation: foundation(.relayed, relayed.address, server),
      priority: Candidate.priority(.relayed, order: allocation.server), endpoint: relayed, kind: .relayed,
      related: allocation.flow.local)
    let base = CheckBase(
      transport: .udp, local: relayed, socket: allocation.flow.socket, allocation: place,
      priority: candidate.priority, foundation: candidate.foundation)
    let number: Int
    if let known = bases.firstIndex(where: { $0.allocation == place }) {
      bases[known] = base
      number = known
    } else {
      bases.append(base)
      number = bases.count - 1
    }
    addCandidate(candidate, isNews: isNews)
    for remote in remotes { pair(number, remote, turn.now) }
  }

  private mutating func addCandidate(_ candidate: Candidate, isNews: Bool) {
    candidates.append(candidate)
    if isNews { report(.candidate(candidate)) }
  }

  /// What is known before anybody is asked: it stands in the description. At the beginning, and after a restart.
  mutating func prepareKnown(_ turn: inout Turn) {
    guard configuration.mode == .full else { return }
    for mapping in configuration.mappings {
      guard
        let base = configuration.bases.firstIndex(where: {
          $0.transport == .udp && $0.local == mapping.base
        })
      else { continue }
      learnMapping(mapping.endpoint, base: base, server: mapping.server, isNews: false)
    }
    for place in allocations.indices where allocations[place].state == .granted {
      addRelay(place, &turn, isNews: false)
    }
  }

  /// Equal for equal kinds, bases and servers (RFC 8445 section 5.1.1.3).
  mutating func foundation(
    _ kind: CandidateKind, _ base: IPAddress, _ server: IPAddress?, isTCP: Bool = false
  )
    -> String
  {
    let key = FoundationKey(kind: kind, base: base, server: server, isTCP: isTCP)
    if let known = foundations.firstIndex(of: key) { return String(known + 1) }
    foundations.append(key)
    return String(foundations.count)
  }

  /// The host candidates and the bases behind them.
  mutating func prepareHosts() {
    for (order, base) in configuration.bases.enumerated() {
      let transport: CandidateTransport = base.transport == .udp ? .udp : .tcpPassive
      for endpoint in [base.local] + base.advertised {
        candidates.append(
          Candidate(
            foundation: foundation(.host, base.local.address, nil, isTCP: transport.isTCP),
            transport: transport, priority: Candidate.priority(.host, transport, order: candidates.count),
            endpoint: endpoint, kind: .host))
        if endpoint == base.local {
          bases.append(
            CheckBase(
              transport: base.transport, local: base.local, socket: base.socket, allocation: nil,
              priority: candidates[candidates.count - 1].priority,
              foundation: candidates[candidates.count - 1].foundation))
        }
      }
      precondition(bases.count == order + 1, "every base has its own endpoint first")
    }
  }
}

/// What a foundation stands for.
struct FoundationKey: Hashable, Sendable {
  var kind: CandidateKind
  var base: IPAddress
  var server: IPAddress?
  var isTCP: Bool
}

/// Where gathering stands.
enum Gathering: Hashable, Sendable {
  /// May become running.
  case idle
  /// May become done, at this moment at the latest.
  case running(Instant)
  /// A restart makes it idle.
  case done
}

extension Exchange.Purpose {
  var isGathering: Bool {
    switch self {
    case .mapping, .relay(_, .allocate): true
    case .check, .consent, .relay: false
    }
  }
}

extension Endpoint {
  /// Whether a candidate may have it.
  var isUsable: Bool {
    port != 0 && !address.isUnspecified && !address.isMulticast && !address.isBroadcast
  }
}
