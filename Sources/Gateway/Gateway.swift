// Gateway: builds the house, lends each room its turn, and carries what one room tells to the rooms it concerns.
//
// Responsible for: the order of starting and stopping, the one turn in which everything is asked and answered, and
// the table of who hears what (Gateway+Routing.swift). It decides nothing: an `if` about calls belongs to Calls,
// about doors to Doors, about accounts to Directory.
// Assumes: one thread. The world tells it of datagrams, streams, signals and deadlines; what is slow runs on a lane
// of the world and comes back here.
// Somebody else's: files, the process, the kernel (the program and Reactor).

internal import Calls
internal import Cameras
internal import Crypto
package import Devices
internal import Directory
internal import Doors
internal import HTTP
package import Journal
internal import Management
internal import MediaPlane
internal import Provisioning
internal import SIP
internal import Store
internal import Transport
internal import Web
package import Wire

package final class Gateway {
  let world: any World
  let log: Log
  /// The newest records, for whoever gives support.
  let tail: LogTail
  weak var host: (any GatewayHost)?
  let setting: Setting
  var configuration: Configuration
  let lines: any LineSource
  let wrap: KeyWrap
  let started: WallTime

  let streams: Streams
  let sip: SIPEdge
  let web: WebEdge
  let keeper: Keeper
  let feed = EventFeed()
  let counters = Counters()
  var house: House?
  var routes: RESTRoutes?
  var warden: WebGuard?

  var random: Random
  private var outbox: Outbox? = Outbox()
  private var isInTurn = false
  var phase = Phase.starting
  var drainDeadline: Instant?
  /// It stops to begin anew.
  var isRestarting = false
  var problems: [String] = []
  /// This host's, and when they were read.
  var addresses: [IPAddress] = []
  var addressesRead: Instant?

  enum Phase {
    /// The store is being read; nothing is served. May become `serving` or `stopped`.
    case starting
    /// Everything listens. May become `draining` or `stopped`.
    case serving
    /// No new calls; running ones may end. May become `stopped`.
    case draining
    case stopped
  }

  /// Begins to start: the store is read on its lane, then everything listens and `host` hears of it.
  package init(
    world: any World, setting: Setting, lines: any LineSource, sink: any LogSink, host: (any GatewayHost)?
  ) {
    self.world = world
    self.setting = setting
    self.host = host
    self.lines = lines
    tail = LogTail(sink)
    log = Log(tail, wall: world.wall)
    configuration = setting.materials.configuration
    guard let wrap = KeyWrap(deviceKey: setting.deviceKey) else {
      preconditionFailure("the device key has 32 bytes")
    }
    self.wrap = wrap
    started = world.wall
    random = world.makeRandom()
    keeper = Keeper(world: world, log: log)
    let judge = LateJudge()
    streams = Streams(world: world, sessions: setting.sessions, judge: judge)
    sip = SIPEdge(world: world, streams: streams, log: log)
    web = WebEdge(world: world, streams: streams)
    self.judge = judge
    sip.handler = self
    let premises = setting.premises
    world.perform(on: .store) { () -> (Database, Result<Stored, StoreFailure>) in
      let database = premises.database()
      do throws(StoreFailure) {
        let state = try database.load()
        let first = max(1, state.auditTail.sequence - Gateway.doorMemory)
        return (database, .success(Stored(state: state, audit: try database.audit(from: first, limit: 2000))))
      } catch { return (database, .failure(error)) }
    } then: { [weak self] database, stored in
      self?.open(database, stored)
    }
  }

  private let judge: LateJudge
  /// The audit's newest rows that doors are told of at start.
  private static let doorMemory: Int64 = 1000

  /// What a start reads from the store.
  struct Stored: Sendable {
    var state = StoredState()
    /// Nil when it could not be read.
    var audit: [Store.AuditRow]?
  }

  // MARK: Starting

  private func open(_ database: Database, _ result: Result<Stored, StoreFailure>) {
    guard phase == .starting else { return }
    var stored = StoredState()
    var audit: [Store.AuditRow]?
    switch result {
    case .success(let read): (stored, audit) = (read.state, read.audit)
    case .failure(let failure):
      problems.append("store: \(failure)")
      log.write(.critical, "store.lost", "\(failure); serving from memory, nothing will be kept")
    }
    if case .memory(let failure?) = database.mode {
      problems.append("store: \(failure)")
      log.write(.critical, "store.lost", "\(failure); serving from memory, nothing will be kept")
    }
    if let realm = stored.settings["realm"], realm != configuration.gateway.domain {
      guard setting.acceptsNewDomain else {
        phase = .stopped
        host?.gatewayFailed(
          "gateway.domain is now \"\(configuration.gateway.domain)\", and every secret was made for \"\(realm)\": "
            + "set it back, or start once with --accept-new-domain and enrol every device anew", status: 78)
        return
      }
      for credential in stored.credentials { keeper.commit([.removeCredential(credential.id)]) }
      for link in stored.enrolments { keeper.commit([.removeEnrolment(link.name)]) }
      stored.credentials = []
      stored.enrolments = []
      stored.bindings = []
    }
    keeper.open(database)
    keeper.commit([.setting("realm", configuration.gateway.domain)])
    if stored.directory == nil, let demo = setting.demo {
      keeper.commit([.directory(demo.withoutPasswords().building, passwords: [], at: world.wall, by: "demo")])
    }
    addresses = world.hostAddresses()
    addressesRead = world.now
    let house = House(gateway: self, stored: stored, audit: audit)
    self.house = house
    judge.judge = house.gate
    do throws(ListenFailure) {
      try sip.listen(configuration.sip, hostAddresses: addresses)
    } catch {
      problems.append("\(error)")
      log.write(.critical, "listen.failed", "\(error)")
      if sip.bound.isEmpty {
        phase = .stopped
        host?.gatewayFailed("\(error)", status: 1)
        return
      }
    }
    house.agent.configuration.locals = sip.locals
    house.gate.setAddresses(sip.locals.map(\.endpoint.address))
    serveWeb(house)
    servePeers(house)
    phase = .serving
    turn { turn in house.load(stored, &turn) }
    host?.gatewayIsReady(readyLine)
  }

  private func serveWeb(_ house: House) {
    let operations = HouseOperations(gateway: self, house: house)
    house.operations = operations
    let warden = WebGuard(tokens: house.gate) { [world] in world.now }
    warden.publicOrigin = configuration.http.publicOrigin
    warden.views = house.spectators
    self.warden = warden
    let routes = RESTRoutes(operations: operations, feed: feed, guard: warden) { [world] in world.now }
    self.routes = routes
    let desk = house.desk ?? EnrolmentDesk(maker: operations) { [world] in world.now }
    house.desk = desk
    var router = routes.makeRouter()
    desk.addRoutes(to: &router)
    ResidentPage.addRoutes(to: &router)
    for route in sip.channelRoutes() { router.add(route) }
    house.whep.addRoutes(to: &router)
    house.snapshots.addRoutes(to: &router)
    router.pace = { [weak gate = house.gate] peer in
      guard case .remote(let endpoint, _) = peer, let wait = gate?.wait(forRequestFrom: endpoint.address)
      else { return nil }
      var reply = WebReply.problem(429, "too many requests", next: "wait a little and ask again")
      reply.fields.append("Retry-After", "\(wait.seconds + 1)")
      return reply
    }
    router.origins = configuration.originPolicy
    router.whenForeign = { [weak self] origin, _ in self?.noteForeign(origin) }
    web.serve(router)
    do throws(NetworkFailure) {
      try streams.listen(
        path: configuration.controlSocket, mode: 0o660, group: "vestibule", purpose: .control)
    } catch {
      note("control socket \(configuration.controlSocket)", error)
    }
    for (endpoints, isSecure) in [(configuration.http.plain, false), (configuration.http.tls, true)] {
      for endpoint in endpoints {
        do throws(NetworkFailure) {
          let bound = try streams.listen(endpoint, secure: isSecure, purpose: .web, idle: .minutes(2))
          if isSecure { https.append(bound) } else { http.append(bound) }
        } catch {
          note("\(isSecure ? "HTTPS" : "HTTP") on \(endpoint)", error)
        }
      }
    }
  }

  /// Says once of each origin that its pages were turned away: the installer of one would look for long.
  private func noteForeign(_ origin: String) {
    guard foreignOrigins.count < 16, foreignOrigins.insert(origin).inserted else { return }
    log.write(
      .notice, "web.origin",
      "a page of another origin may not connect here; if it is yours, add it to http.allowedOrigins",
      ["origin": .text(String(origin.prefix(200)))])
  }
  private var foreignOrigins: Set<String> = []

  /// Opens the one port of every peer connection, for each family of addresses that this machine has.
  private func servePeers(_ house: House) {
    guard let maker = setting.handshakes else { return }
    let port = configuration.media.webrtcPort
    let addresses = mediaAddresses
    var families: [IPAddress] = []
    if addresses.contains(where: \.isV4) { families.append(.anyV4) }
    if addresses.contains(where: { !$0.isV4 }) { families.append(.anyV6) }
    do throws(NetworkFailure) {
      try house.plane.listenForPeers(
        at: families.map { Endpoint($0, port: port) }, addresses: addresses, maker: maker)
    } catch {
      note("WebRTC on UDP port \(port)", error)
      return
    }
    servePeerStreams(house, addresses)
    // Lite has host candidates only.
    if configuration.media.ice != .lite {
      house.plane.useServers(configuration.media.stun + configuration.media.turn)
    }
  }

  /// The same numbers for TCP, for peers whose network lets no UDP through.
  private func servePeerStreams(_ house: House, _ addresses: [IPAddress]) {
    let edge = PeerEdge(world: world, streams: streams, plane: house.plane)
    peerEdge = edge
    var bound: [Endpoint] = []
    for endpoint in house.plane.peerListeners {
      do throws(NetworkFailure) {
        bound.append(try edge.listen(endpoint))
      } catch {
        note("WebRTC on TCP port \(endpoint.port)", error)
      }
    }
    house.plane.offerStreams(at: bound, addresses: addresses, carrier: edge)
  }

  private var peerEdge: PeerEdge?

  private(set) var http: [Endpoint] = []
  private(set) var https: [Endpoint] = []

  private func note(_ what: String, _ failure: NetworkFailure) {
    problems.append("cannot listen for \(what): \(failure)")
    log.write(.error, "listen.failed", "cannot listen for \(what): \(failure); everything else is served")
  }

  /// `ready control=PATH sip=udp:ADDR:PORT,… http=ADDR:PORT https=ADDR:PORT`.
  private var readyLine: String {
    var line = "ready control=\(configuration.controlSocket) sip="
    line += sip.bound.map { "\($0.transport):\($0.endpoint)" }.joined(separator: ",")
    if let first = http.first { line += " http=\(first)" }
    if let first = https.first { line += " https=\(first)" }
    return line
  }

  // MARK: One turn

  /// Lends the rooms a turn, carries what they tell until all is quiet, and sends what they wrote.
  func turn(_ body: (inout Turn) -> Void) {
    guard house != nil else { return }
    var turn = beginTurn()
    body(&turn)
    endTurn(&turn)
  }

  private func beginTurn() -> Turn {
    precondition(!isInTurn, "a turn began inside another")
    freshenAddresses()
    isInTurn = true
    return Turn(now: world.now, random: random, out: outbox.take() ?? Outbox())
  }

  private func endTurn(_ turn: inout Turn) {
    house?.carry(&turn)
    random = turn.random
    isInTurn = false
    // Handing messages to the network may itself fail and be told: that is the next turn's, so the box is ours.
    sip.flush(&turn.out)
    var box = Outbox()
    swap(&box, &turn.out)
    outbox = consume box
    let late = undelivered
    undelivered = []
    if !late.isEmpty {
      self.turn { turn in for token in late { house?.agent.undeliverable(token: token, &turn) } }
    }
  }

  private var undelivered: [UInt64] = []

  /// Runs `body` in a turn of its own; from completions that may come in the middle of one.
  func soon(_ body: @escaping (inout Turn) -> Void) {
    if isInTurn {
      house?.deferred.append(body)
    } else {
      turn(body)
    }
  }
}

/// Knows nobody until the house stands.
private final class LateJudge: SourceJudge {
  weak var judge: (any SourceJudge)?
  func standing(of address: IPAddress) -> SourceStanding { judge?.standing(of: address) ?? .stranger }
}

// MARK: From the network

extension Gateway: SIPEdgeHandler {
  package func received(_ message: Span<UInt8>, on flow: Flow) {
    guard let house, phase != .stopped, !house.gate.isDeaf(to: flow.remote.address) else { return }
    var turn = beginTurn()
    house.agent.receive(message, on: flow, &turn)
    endTurn(&turn)
  }

  package func connectionLost(_ connection: SocketID) {
    soon { [weak self] turn in
      self?.house?.registrar.connectionLost(connection)
      self?.house?.agent.connectionLost(connection, &turn)
    }
  }

  package func undeliverable(_ token: UInt64) {
    if token != 0 { undelivered.append(token) }
  }
}

// MARK: From the world

extension Gateway: Resident {
  package func received(
    _ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint
  ) {
    log.wall = world.wall
    if sip.owns(socket) {
      guard let house, house.gate.hears(datagramFrom: remote.address) else { return }
      sip.received(datagram, on: socket, from: remote, to: local)
    } else if let house, house.plane.owns(socket) {
      house.plane.received(datagram, on: socket, from: remote, to: local)
    } else if let house, house.network.owns(socket) {
      house.network.received(datagram, on: socket, from: remote)
    }
  }

  package func accepted(
    _ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?
  ) {
    if let house, !house.gate.isDeaf(to: remote.address) {
      streams.accepted(stream, on: listener, from: remote, peer: peer)
    } else {
      world.close(stream, flushing: false)
    }
  }
  package func connected(_ stream: SocketID) { streams.connected(stream) }
  package func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {
    freshenAddresses()
    streams.received(bytes, onStream: stream)
  }
  package func drained(_ stream: SocketID) { streams.drained(stream) }
  package func closed(_ stream: SocketID, _ failure: NetworkFailure) { streams.closed(stream, failure) }

  package func signalled(_ signal: Signal) {
    switch signal {
    case .drain: drain()
    case .reload:
      readAddresses()
      reload()
    }
  }

  package func advance() {
    log.wall = world.wall
    streams.advance()
    sip.advance()
    web.server?.advance()
    house?.fetcher.advance()
    house?.network.advance()
    house?.cameras.advance()
    house?.whep.advance()
    house?.snapshots.advance()
    house?.album.advance()
    turn { [weak self] turn in self?.house?.advance(&turn) }
    advanceDrain()
  }

  package func settle() {
    if let house, house.hasNews { turn { _ in } }
    keeper.settle()
  }

  package var nextDeadline: Instant? {
    [
      streams.nextDeadline, sip.nextDeadline, web.server?.nextDeadline, keeper.nextDeadline,
      house?.nextDeadline, drainDeadline,
    ].reduce(nil, Instant.earlier)
  }
}
