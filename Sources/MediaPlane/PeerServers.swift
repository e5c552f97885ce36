// The STUN and TURN servers of the configuration, asked before anybody calls: a session that begins takes what is known
// at that moment, and no call waits for a server, whether it is slow, dead or unknown to the name service.
//
// Responsible for: looking the names up, again whenever something failed; our addresses as servers see them, kept fresh
// (`ICEMappings`); a few leases of relays that lie ready, each on a socket of its own, handed to one session each and
// given back after it; trying another server, later and later, when none is to be had.
// Assumes: sessions that are lite take nothing of this.
// Somebody else's: how servers are spoken to (ICE), and when a relay's path is used (the session's agent).

package import ICE
package import Wire

/// A server by its name, as a configuration gives it. With an account it is a TURN server.
package struct PeerServer: Hashable, Sendable {
  package var host: String
  package var port: UInt16
  package var account: ICEServer.Account?

  package init(host: String, port: UInt16, account: ICEServer.Account? = nil) {
    self.host = host
    self.port = port
    self.account = account
  }
}

/// What lies ready for sessions.
struct PeerServers {
  /// Leases that lie ready: as many browsers as usually ring together.
  static let spareLimit = 4
  /// How often names are looked up again while something is amiss.
  static let rest = Interval.seconds(60)
  /// Wait before a lease is asked for again after none was given; it doubles each time.
  static let shortestWait = Interval.seconds(5)
  static let longestWait = Interval.seconds(300)
  /// How often a lease that lies ready is refreshed: a server that began anew is noticed so.
  static let renewal = Interval.seconds(60)
  /// How long a server may take to confirm that it has a lease back.
  static let farewell = Interval.seconds(5)
  /// First 32 bits of the transactions that belong to no session.
  static let tag = UInt32.max

  /// A lease that lies ready, is asked for, or is given back.
  final class Spare {
    let socket: SocketID
    let local: Endpoint
    var agent: ICEAgent
    /// A server has lent it something.
    var isGranted = false
    /// Set when it is given back: until when that may take.
    var end: Instant?

    init(_ socket: SocketID, _ local: Endpoint, _ agent: ICEAgent) {
      self.socket = socket
      self.local = local
      self.agent = agent
    }
  }

  /// Whose a relay's socket is.
  enum Owner {
    case spare(Spare)
    case session(Handle, local: Endpoint)
  }

  var named: [PeerServer] = []
  /// What the names came to, place by place.
  var found: [[IPAddress]] = []
  /// Answers that are still to come.
  var asked = 0
  var nextLookup: Instant?
  var mappings = ICEMappings(tag: PeerServers.tag)
  var spares: [Spare] = []
  /// Looked up, never walked.
  var owners: [SocketID: Owner] = [:]
  /// Which relay is asked next, counted round.
  var cursor = 0
  var nextTry: Instant?
  var wait = PeerServers.shortestWait
  var timer: Handle?
  var due: Instant?

  /// The relays that can be asked.
  var relays: [ICEServer] {
    var result: [ICEServer] = []
    for (server, addresses) in zip(named, found) {
      guard let account = server.account else { continue }
      for address in addresses {
        result.append(
          ICEServer(
            turn: Endpoint(address, port: server.port), username: account.username, password: account.password
          ))
      }
    }
    return result
  }
  /// Every server says how it sees us, relays too.
  var endpoints: [Endpoint] {
    zip(named, found).flatMap { server, addresses in addresses.map { Endpoint($0, port: server.port) } }
  }
  var isAmiss: Bool {
    found.contains(where: \.isEmpty) || mappings.isAnySilent || wait > PeerServers.shortestWait
  }
}

extension Plane {
  /// The one timer of the servers: no peer's, feed's, viewer's or stream's token is like it.
  static let serverTimer: UInt64 = 1 << 60
  /// Addresses of one name that are used.
  private static let addressLimit = 4

  /// Takes the servers that sessions may be helped by. Once, after `listenForPeers`.
  package func useServers(_ servers: [PeerServer]) {
    guard !servers.isEmpty, peers.servers.named.isEmpty else { return }
    peers.servers.named = servers
    peers.servers.found = Array(repeating: [], count: servers.count)
    lookUpServers()
    settleServers()
  }

  /// Whether sessions can be helped by servers at all.
  package var hasServers: Bool { !peers.servers.named.isEmpty }

  /// Our addresses as servers see them now.
  package var mappedEndpoints: [Endpoint] { peers.servers.mappings.known.map(\.endpoint) }
  /// How many leases of relays lie ready.
  package var readyRelays: Int { peers.servers.spares.count { isReady($0) } }

  /// Gives back every lease that lies ready; none is asked for after. For the end.
  package func leaveServers() {
    peers.servers.named = []
    peers.servers.found = []
    for spare in peers.servers.spares where spare.end == nil { giveBack(spare) }
    settleServers()
  }

  // MARK: Names

  private func lookUpServers() {
    peers.servers.nextLookup = nil
    for (place, server) in peers.servers.named.enumerated() {
      if let literal = IPAddress(server.host) {
        peers.servers.found[place] = [literal]
        continue
      }
      peers.servers.asked += 1
      world.resolve(.addresses(host: server.host)) { [weak self] names in
        guard let self else { return }
        peers.servers.asked -= 1
        let addresses = names.compactMap { if case .address(let address) = $0 { address } else { nil } }
        // A name service that is down says nothing new.
        if !addresses.isEmpty, place < peers.servers.found.count {
          peers.servers.found[place] = Array(addresses.prefix(Plane.addressLimit))
        }
        if peers.servers.asked == 0 { askServers() }
        settleServers()
      }
    }
    if peers.servers.asked == 0 { askServers() }
  }

  /// What we ask from has changed.
  func askServersAnew() {
    askServers()
    settleServers()
  }

  private func askServers() {
    let endpoints = peers.servers.endpoints
    let bases = peers.bases
    turn { peers.servers.mappings.ask(endpoints, from: bases, &$0) }
  }

  // MARK: What sessions take

  /// Gives what is known now to a session that begins: addresses, and a lease if one lies ready.
  func equip(_ ice: inout ICEConfiguration) {
    guard ice.mode == .full else { return }
    ice.mappings = peers.servers.mappings.known
    ice.relayGrace = nil
    guard let place = peers.servers.spares.firstIndex(where: isReady) else { return }
    let spare = peers.servers.spares.remove(at: place)
    ice.relays = turn { spare.agent.takeRelays(&$0) }
  }

  /// The sockets of a session's leases lead to it.
  func own(_ relays: [ICERelay], by peer: Peer) {
    for relay in relays {
      peer.relays.append(relay.socket)
      peers.servers.owners[relay.socket] = .session(peer.handle, local: relay.local)
    }
    settleServers()
  }

  /// A session is over: what it was lent goes back.
  func giveBack(_ relays: [ICERelay], of peer: Peer) {
    for socket in peer.relays where !relays.contains(where: { $0.socket == socket }) {
      // Its lease was lost on the way.
      peers.servers.owners[socket] = nil
      world.close(socket, flushing: false)
    }
    peer.relays.removeAll()
    giveBack(relays)
  }

  func giveBack(_ relays: [ICERelay]) {
    for relay in relays {
      var configuration = ICEConfiguration(.full, bases: [])
      configuration.relays = [relay]
      let agent = turn { ICEAgent(configuration, &$0) }
      let spare = PeerServers.Spare(relay.socket, relay.local, agent)
      peers.servers.spares.append(spare)
      peers.servers.owners[relay.socket] = .spare(spare)
      giveBack(spare)
    }
    settleServers()
  }

  private func giveBack(_ spare: PeerServers.Spare) {
    spare.end = world.now + PeerServers.farewell
    turn { spare.agent.release(&$0) }
  }

  private func isReady(_ spare: PeerServers.Spare) -> Bool { spare.end == nil && spare.agent.hasRelay }

  // MARK: The network

  /// Takes a datagram of a shared port that no session claims; false when no server sent it.
  func receiveMapping(_ datagram: Span<UInt8>, _ flow: Flow) -> Bool {
    guard turn({ peers.servers.mappings.receive(datagram, on: flow, &$0) }) else { return false }
    settleServers()
    return true
  }

  /// Takes a datagram on a relay's socket; what comes to another is nobody's.
  func receiveRelayed(_ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint) {
    switch peers.servers.owners[socket] {
    case nil: break
    case .spare(let spare):
      let flow = Flow(.udp, local: spare.local, remote: remote, socket: socket)
      turn { _ = spare.agent.receive(datagram, on: flow, &$0) }
      settleServers()
    case .session(let handle, let local):
      guard let peer = peers[handle] else { return }
      receive(datagram, Flow(.udp, local: local, remote: remote, socket: socket), by: peer)
    }
  }

  // MARK: Time

  func advanceServers() {
    peers.servers.timer = nil
    peers.servers.due = nil
    let now = world.now
    turn { turn in
      peers.servers.mappings.advance(&turn)
      for spare in peers.servers.spares { spare.agent.advance(&turn) }
    }
    if let moment = peers.servers.nextLookup, moment <= now { lookUpServers() }
    settleServers()
  }

  /// Hears what the agents of leases came to, asks for what is missing, and sets the timer.
  private func settleServers() {
    let now = world.now
    for spare in peers.servers.spares {
      var isDone = false
      while let event = spare.agent.next() { if event == .gatheringDone { isDone = true } }
      if let end = spare.end {
        if spare.agent.isQuiet || end <= now { drop(spare) }
      } else if spare.agent.hasRelay {
        // Those that were granted before say nothing of how the next will fare.
        if !spare.isGranted { peers.servers.wait = PeerServers.shortestWait }
        spare.isGranted = true
      } else if isDone || spare.agent.isQuiet {
        // Refused, silent, or forgotten by its server.
        drop(spare)
        peers.servers.cursor += 1
        peers.servers.nextTry = now + peers.servers.wait
        peers.servers.wait = min(peers.servers.wait * 2, PeerServers.longestWait)
      }
    }
    askForRelay(now)
    if peers.servers.isAmiss, peers.servers.asked == 0, !peers.servers.named.isEmpty {
      peers.servers.nextLookup = peers.servers.nextLookup ?? now + PeerServers.rest
    }
    var due = peers.servers.mappings.nextDeadline
    func note(_ moment: Instant?) { due = .earlier(due, moment) }
    note(peers.servers.nextLookup)
    note(peers.servers.nextTry)
    for spare in peers.servers.spares {
      note(spare.agent.nextDeadline)
      note(spare.end)
    }
    if due == peers.servers.due { return }
    if let timer = peers.servers.timer { wheel.cancel(timer) }
    peers.servers.due = due
    peers.servers.timer = due.map { wheel.arm($0, token: Plane.serverTimer) }
  }

  /// One at a time, so that a server that refuses is not asked four times at once.
  private func askForRelay(_ now: Instant) {
    let held = peers.servers.spares.filter { $0.end == nil }
    guard held.count < PeerServers.spareLimit, held.allSatisfy(\.agent.hasRelay) else {
      if peers.servers.nextTry.map({ $0 <= now }) ?? false { peers.servers.nextTry = nil }
      return
    }
    if let moment = peers.servers.nextTry, moment > now { return }
    peers.servers.nextTry = nil
    let relays = peers.servers.relays
    guard !relays.isEmpty else { return }
    let server = relays[peers.servers.cursor % relays.count]
    let any: IPAddress = server.endpoint.address.isV4 ? .anyV4 : .anyV6
    guard
      let socket = try? world.openDatagram(
        Endpoint(any, port: 0), DatagramOptions(receiveBuffer: 1 << 19, dscp: 46))
    else {
      peers.servers.nextTry = now + peers.servers.wait
      peers.servers.wait = min(peers.servers.wait * 2, PeerServers.longestWait)
      return
    }
    // The kernel chooses the way out: our side of the flow is the same whatever it chooses.
    let local = Endpoint(any, port: world.local(of: socket)?.port ?? 0)
    var configuration = ICEConfiguration(
      .full, bases: [ICEBase(.udp, local: local, socket: socket, asksServers: true)], servers: [server])
    configuration.relayRenewal = PeerServers.renewal
    let agent = turn { turn in
      var agent = ICEAgent(configuration, &turn)
      agent.gather(&turn)
      return agent
    }
    let spare = PeerServers.Spare(socket, local, agent)
    peers.servers.spares.append(spare)
    peers.servers.owners[socket] = .spare(spare)
  }

  private func drop(_ spare: PeerServers.Spare) {
    peers.servers.spares.removeAll { $0 === spare }
    peers.servers.owners[spare.socket] = nil
    world.close(spare.socket, flushing: false)
  }
}
