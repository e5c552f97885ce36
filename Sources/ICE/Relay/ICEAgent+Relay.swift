internal import Wire

// The relay's client (RFC 8656): allocation, permissions, channels, and the framing of what goes through.

/// A question to a server that waits for its turn.
enum ServerStep: Hashable, Sendable {
  case mapping(base: Int, server: Int)
  case relay(Int, RelayStep)

  var isGathering: Bool {
    switch self {
    case .mapping, .relay(_, .allocate): true
    case .relay: false
    }
  }
  var isRelay: Bool { if case .relay = self { true } else { false } }
}

extension Exchange.Purpose {
  var isRelay: Bool { if case .relay = self { true } else { false } }
}

extension ICEAgent {
  /// First of the channel numbers that a client may choose (RFC 8656 section 12).
  private static let firstChannel: UInt16 = 0x4000

  /// Begins a question to a server; false when there is nothing to ask any more.
  mutating func begin(_ step: ServerStep, _ turn: inout Turn) -> Bool {
    let transaction = newTransaction(&turn)
    switch step {
    case .mapping(let base, let server):
      writer.begin(.request, STUNMethod.binding, transaction)
      writer.addFingerprint()
      let host = configuration.bases[base]
      let flow = Flow(
        .udp, local: host.local, remote: configuration.servers[server].endpoint, socket: host.socket)
      begin(.mapping(base: base, server: server), transaction, on: ICEPath(flow), &turn)
      return true
    case .relay(let place, let step):
      guard allocations[place].state == .granted || step == .allocate || step == .release else {
        return false
      }
      switch step {
      case .allocate:
        guard !exchanges.contains(where: { $0.purpose == .relay(place, .release) }) else {
          allocations[place].isWanted = true
          return false
        }
        writer.begin(.request, STUNMethod.allocate, transaction)
        writer.add(STUNAttribute.requestedTransport, word: 17 << 24)
        if !allocations[place].flow.remote.address.isV4 {
          writer.add(STUNAttribute.requestedAddressFamily, word: 2 << 24)
        }
        allocations[place].state = .asked
      case .refresh:
        writer.begin(.request, STUNMethod.refresh, transaction)
      case .release:
        writer.begin(.request, STUNMethod.refresh, transaction)
        writer.add(STUNAttribute.lifetime, word: 0)
      case .permit(let address):
        writer.begin(.request, STUNMethod.createPermission, transaction)
        writer.add(STUNAttribute.xorPeerAddress, xor: Endpoint(address, port: 0))
      case .bind(let peer):
        guard let channel = allocations[place].channels.first(where: { $0.peer == peer }) else {
          return false
        }
        writer.begin(.request, STUNMethod.channelBind, transaction)
        writer.add(STUNAttribute.channelNumber, word: UInt32(channel.number) << 16)
        writer.add(STUNAttribute.xorPeerAddress, xor: peer)
      }
      let allocation = allocations[place]
      if !allocation.key.isEmpty {
        writer.add(STUNAttribute.username, text: allocation.account.username)
        writer.add(STUNAttribute.realm, allocation.realm)
        writer.add(STUNAttribute.nonce, allocation.nonce)
        writer.addIntegrity(key: allocation.key)
      }
      writer.addFingerprint()
      begin(.relay(place, step), transaction, on: ICEPath(allocation.flow), &turn)
      return true
    }
  }

  /// Takes a server's answer; false when it is not to be believed.
  mutating func relayAnswered(
    _ place: Int, _ step: RelayStep, _ message: STUNMessage, in datagram: Span<UInt8>, _ turn: inout Turn
  ) -> Bool {
    let key = allocations[place].key
    let isProved = !key.isEmpty && message.hasIntegrity(key: key, in: datagram)
    guard message.kind == .success else {
      let code = message.errorCode(in: datagram)
      if code == 401 || code == 438, message.nonce.isPresent, message.nonce.count <= 763,
        message.realm.count <= 763, allocations[place].challenges < Allocation.challengeLimit
      {
        allocations[place].challenges += 1
        let realm =
          message.realm.isPresent ? message.bytes(message.realm, in: datagram) : allocations[place].realm
        allocations[place].challenge(realm: realm, nonce: message.bytes(message.nonce, in: datagram))
        steps.insert(.relay(place, step), at: 0)
      } else if isProved, code == 437 {
        mismatched(place, step, &turn)
      } else if isProved || key.isEmpty || code == 401 || code == 438 {
        relayRefused(place, step, &turn)
      } else {
        return false
      }
      return true
    }
    guard isProved else { return false }
    allocations[place].challenges = 0
    switch step {
    case .allocate:
      guard let relayed = message.address(message.xorRelayedAddress, in: datagram), relayed.isUsable else {
        relayRefused(place, step, &turn)
        return true
      }
      allocations[place].state = .granted
      allocations[place].isReclaimed = false
      allocations[place].relayed = relayed
      allocations[place].renewal = renewal(message, in: datagram, turn.now)
      allocations[place].keeping = turn.now + Allocation.keepingInterval
      if let mapped = message.mapped(in: datagram),
        let base = configuration.bases.firstIndex(where: { $0.local == allocations[place].flow.local })
      {
        learnMapping(mapped, base: base, server: allocations[place].flow.remote)
      }
      addRelay(place, &turn)
    case .refresh: allocations[place].renewal = renewal(message, in: datagram, turn.now)
    case .release: released(place)
    case .permit(let address):
      guard let known = allocations[place].permissions.firstIndex(where: { $0.address == address }) else {
        return true
      }
      allocations[place].permissions[known].state = .granted
      allocations[place].permissions[known].renewal = turn.now + Allocation.permissionRenewal
    case .bind(let peer):
      guard let known = allocations[place].channels.firstIndex(where: { $0.peer == peer }) else {
        return true
      }
      allocations[place].channels[known].isBound = true
      allocations[place].channels[known].renewal = turn.now + Allocation.channelRenewal
      if let selected, selected.flow == allocations[place].flow, selected.relayed == peer,
        selected.channel == nil
      {
        self.selected?.channel = allocations[place].channels[known].number
        if let selected = self.selected { report(.selected(selected)) }
      }
    }
    return true
  }

  /// When to refresh: a minute before the end, or half-way through a short lease.
  private func renewal(_ message: STUNMessage, in datagram: Span<UInt8>, _ now: Instant) -> Instant {
    let lifetime = Int64(min(message.lifetime(in: datagram) ?? 600, 86_400))
    return now
      + min(.seconds(max(1, lifetime > 120 ? lifetime - 60 : lifetime / 2)), configuration.relayRenewal)
  }

  /// A server holds a lease that we thought we had given back, or none that we thought we had: our translator gave
  /// us another port, or it began anew. Once in a row we ask for a fresh one.
  private mutating func mismatched(_ place: Int, _ step: RelayStep, _ turn: inout Turn) {
    guard !allocations[place].isReclaimed else {
      relayRefused(place, step, &turn)
      return
    }
    switch step {
    case .allocate:
      lose(place, .none)
      allocations[place].isReclaimed = true
      allocations[place].isWanted = true
      steps.insert(.relay(place, .release), at: 0)
    case .refresh, .permit, .bind:
      guard allocations[place].state == .granted else { return }
      allocations[place].isReclaimed = true
      lose(place, .none)
      if !isConcluded { steps.append(.relay(place, .allocate)) }
    case .release: released(place)
    }
  }

  /// The server has a lease back, or never had it.
  private mutating func released(_ place: Int) {
    guard allocations[place].isWanted else { return }
    allocations[place].isWanted = false
    steps.append(.relay(place, .allocate))
  }

  /// A lease is gone, and with it every pair over it.
  mutating func lose(_ place: Int, _ state: Allocation.State) {
    let number = bases.firstIndex { $0.allocation == place }
    pairs.removeAll { $0.base == number }
    allocations[place].end(state)
  }

  /// A server said no, or nothing.
  mutating func relayRefused(_ place: Int, _ step: RelayStep, _ turn: inout Turn) {
    switch step {
    case .allocate:
      allocations[place].end(.refused)
      // It may still tell us our address.
      let flow = allocations[place].flow
      if let base = configuration.bases.firstIndex(where: { $0.local == flow.local }) {
        steps.append(.mapping(base: base, server: allocations[place].server))
      }
    case .refresh: lose(place, .refused)
    case .release: released(place)
    case .permit(let address):
      for known in allocations[place].permissions.indices
      where allocations[place].permissions[known].address == address {
        allocations[place].permissions[known].state = .refused
      }
      for pair in pairs.indices
      where bases[pairs[pair].base].allocation == place && pairs[pair].peer.address == address
        && !pairs[pair].isValid
      {
        pairs[pair].state = .failed
      }
    case .bind(let peer): allocations[place].channels.removeAll { $0.peer == peer && !$0.isBound }
    }
  }

  /// Lets an address of the peer through a relay.
  mutating func permit(_ address: IPAddress, _ place: Int) {
    guard !allocations[place].permissions.contains(where: { $0.address == address }),
      allocations[place].permissions.count < Allocation.permissionLimit
    else { return }
    allocations[place].permissions.append(
      Allocation.Permission(address: address, state: .asked, renewal: Instant(nanoseconds: .max)))
    steps.append(.relay(place, .permit(address)))
  }

  /// Binds a channel to the peer of the selected pair, which makes its packets 32 bytes smaller.
  mutating func bindChannel(_ flow: Flow, _ peer: Endpoint) {
    guard let place = allocations.firstIndex(where: { $0.flow == flow && $0.state == .granted }),
      !allocations[place].channels.contains(where: { $0.peer == peer }),
      allocations[place].channels.count < Allocation.channelLimit
    else { return }
    // Those before may have been refused and forgotten: what is bound keeps its number.
    let number = allocations[place].channels.map(\.number).max().map { $0 + 1 } ?? ICEAgent.firstChannel
    allocations[place].channels.append(
      Allocation.Channel(peer: peer, number: number, isBound: false, renewal: Instant(nanoseconds: .max)))
    steps.append(.relay(place, .bind(peer)))
  }

  /// Asks again for what would end, and gives back what nothing uses after the checks.
  mutating func renewRelays(_ turn: inout Turn) {
    let now = turn.now
    if let relayEnd, now >= relayEnd {
      self.relayEnd = nil
      if selected?.relayed == nil { releaseRelays(&turn) }
    }
    for place in allocations.indices where allocations[place].state == .granted {
      if let keeping = allocations[place].keeping, now >= keeping {
        allocations[place].keeping = now + Allocation.keepingInterval
        if selected?.flow != allocations[place].flow {
          writer.begin(.indication, STUNMethod.binding, newTransaction(&turn))
          writer.addFingerprint()
          transmit(on: ICEPath(allocations[place].flow), &turn)
        }
      }
      if let renewal = allocations[place].renewal, now >= renewal {
        allocations[place].renewal = nil
        steps.append(.relay(place, .refresh))
      }
      for known in allocations[place].permissions.indices
      where allocations[place].permissions[known].state == .granted
        && now >= allocations[place].permissions[known].renewal
      {
        let address = allocations[place].permissions[known].address
        allocations[place].permissions[known].renewal = Instant(nanoseconds: .max)
        // After the checks only what a pair still leads to.
        let isUsed = pairs.contains {
          bases[$0.base].allocation == place && $0.peer.address == address && $0.state != .failed
        }
        if isUsed { steps.append(.relay(place, .permit(address))) }
      }
      for known in allocations[place].channels.indices
      where allocations[place].channels[known].isBound
        && now >= allocations[place].channels[known].renewal
      {
        let peer = allocations[place].channels[known].peer
        allocations[place].channels[known].renewal = Instant(nanoseconds: .max)
        steps.append(.relay(place, .bind(peer)))
      }
    }
  }

  /// Gives every lease back, without waiting for its turn: the session may end with this step.
  mutating func releaseRelays(_ turn: inout Turn) {
    for place in allocations.indices where allocations[place].state == .granted {
      _ = begin(.relay(place, .release), &turn)
      lose(place, .none)
    }
  }

  // MARK: Framing

  /// Sends bytes by a path: as they are, in a channel, or in an indication.
  mutating func transmit(_ bytes: Span<UInt8>, on path: ICEPath, _ turn: inout Turn) {
    guard let peer = path.relayed else {
      if !turn.out.send(bytes, on: path.flow) { counters.unsent += 1 }
      return
    }
    guard let place = allocations.firstIndex(where: { $0.flow == path.flow && $0.state == .granted }),
      bytes.count <= 0xFFFF - 64
    else {
      counters.unsent += 1
      return
    }
    if let channel = allocations[place].channel(for: peer) {
      wrapping.removeAll(keepingCapacity: true)
      wrapping.append(UInt8(channel >> 8))
      wrapping.append(UInt8(channel & 0xFF))
      wrapping.append(UInt8(bytes.count >> 8))
      wrapping.append(UInt8(bytes.count & 0xFF))
      wrapping.append(0..<bytes.count, of: bytes)
      if !turn.out.send(wrapping, on: path.flow) { counters.unsent += 1 }
    } else {
      wrapper.begin(.indication, STUNMethod.send, newTransaction(&turn))
      wrapper.add(STUNAttribute.xorPeerAddress, xor: peer)
      wrapper.add(STUNAttribute.data, bytes)
      wrapper.finish()
      if !turn.out.send(wrapper.bytes, on: path.flow) { counters.unsent += 1 }
    }
  }

  /// Takes what a relay's server sent: unwraps data, or hears an answer. Nil when the flow is no relay's.
  mutating func receive(
    relayed datagram: Span<UInt8>, on flow: Flow, _ turn: inout Turn
  ) -> ICEReading? {
    guard let place = allocations.firstIndex(where: { $0.flow == flow }) else { return nil }
    let inner: Range<Int>
    let peer: Endpoint
    switch DatagramKind(datagram) {
    case .turnChannel:
      guard datagram.count >= 4, let known = allocations[place].peer(of: datagram.word16(at: 0)) else {
        return .ignored
      }
      let size = Int(datagram.word16(at: 2))
      guard 4 + size <= datagram.count else { return .ignored }
      inner = 4..<4 + size
      peer = known
    case .stun:
      guard let message = try? STUNMessage(parsing: datagram) else { return .ignored }
      guard message.kind == .indication else { return nil }
      guard message.method == STUNMethod.data, message.dataField.isPresent,
        let sender = message.address(message.xorPeerAddress, in: datagram)
      else { return .ignored }
      inner = message.dataField.range
      peer = sender
    case .dtls, .rtp, .rtcp, .unknown: return nil
    }
    guard allocations[place].state == .granted else { return .ignored }
    let path = ICEPath(flow, relayed: peer, channel: allocations[place].channel(for: peer))
    let content = datagram.extracting(inner)
    switch DatagramKind(content) {
    case .stun: return receive(stun: content, on: path, &turn)
    case .dtls, .rtp, .rtcp:
      if let selected, selected.isSame(as: path) {
        carried = turn.now
      } else if !isValidated(path) {
        counters.foreign += 1
        return .ignored
      }
      return .payload(inner, path)
    case .turnChannel, .unknown: return .ignored
    }
  }
}
