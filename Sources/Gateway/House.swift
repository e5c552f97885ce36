internal import Calls
internal import Cameras
internal import Crypto
internal import Devices
internal import Directory
internal import Doors
internal import Journal
internal import MediaPlane
internal import Provisioning
internal import SIP
internal import Store
internal import Transport
internal import Web
internal import Wire

/// The rooms of a serving gateway, furnished from what was stored, and the turn they share.
final class House {
  unowned let gateway: Gateway
  let world: any World
  let book: AccountBook
  let gate: Gate
  let agent: Agent
  var registrar: Registrar
  let plane: Plane
  let media: PlaneMedia
  let calls: Switchboard
  let dialplan: HouseDialplan
  let doors: Doorkeeper
  let porter: Porter
  let fetcher: DeviceFetcher
  var operations: HouseOperations?
  /// Where devices redeem their one-time links; as soon as the web is served.
  var desk: EnrolmentDesk?
  /// The pages that listen, and so ring.
  var presence = Presence()
  /// The tokens by which cameras are seen.
  var views = ViewTokens()
  let screens: PlaneScreens
  /// Stations' calls as cameras.
  let pictures: CallCameras
  /// The network's cameras.
  let network: RTSPCameras
  let cameras: CameraKeeper
  let whep: WHEP
  let spectators: Spectators
  let snapshots: SnapshotDesk
  let album: Album
  var laterSnapshots: [LaterSnapshot] = []
  /// Calls of which a first snapshot was asked for, and which are not over.
  var photographed: [String] = []
  /// Cameras that were said to have failed.
  var troubled: [CameraID] = []
  let tallies: Tallies
  /// When maintenance mode ends; nil while it is off.
  var maintenance: Instant?

  var nextCredential: UInt64
  /// Device passwords, open.
  var passwords: [DeviceID: Secret] = [:]
  /// Pings under way: which binding, since when.
  var pings: [TransactionID: (binding: UInt64, sent: Instant)] = [:]
  /// Waits for the next round of this turn: what a completion in the middle of it asked for.
  var deferred: [(inout Turn) -> Void] = []
  /// Asks for the command line's `open`, by command.
  var openings: [CommandID: (DoorResult) -> Void] = [:]
  /// Test calls asked for by `vestibule ring`.
  var rings: [RingCall] = []
  private var wheel: Wheel

  init(gateway: Gateway, stored: StoredState, audit: [Store.AuditRow]?) {
    self.gateway = gateway
    let world = gateway.world
    self.world = world
    let configuration = gateway.configuration
    let building = stored.directory ?? gateway.setting.demo ?? Building()
    book = AccountBook(building: building, realm: configuration.gateway.domain)
    gate = Gate(
      book: book, world: world, log: gateway.log, processID: gateway.setting.processID,
      names: [configuration.gateway.domain] + configuration.gateway.aliases)
    agent = Agent(
      configuration: AgentConfiguration(
        domain: configuration.gateway.domain, locals: [], userAgent: "Vestibule/\(gateway.setting.version)"),
      gate: gate, now: world.now)
    registrar = Registrar(now: world.now)
    plane = Plane(world: world, ports: configuration.media.ports)
    media = PlaneMedia(plane: plane, addresses: gateway.mediaAddresses, ice: configuration.media.ice)
    let links = Links()
    dialplan = HouseDialplan(book: book, world: world) { [links] in
      links.house?.registrar.bindings(of: $0) ?? []
    } house: { [links] in
      links.house
    }
    calls = Switchboard(
      configuration: CallsConfiguration(domain: configuration.gateway.domain),
      signalling: AgentSignalling(agent: agent, domain: configuration.gateway.domain),
      media: media,
      dialplan: dialplan, now: world.now)
    fetcher = DeviceFetcher(world: world, streams: gateway.streams)
    let ice = configuration.media.ice
    screens = PlaneScreens(plane, transcoders: gateway.setting.transcoders) { [plane] in
      PlaneMedia.mode(ice, facing: $0, hasServers: plane.hasServers)
    }
    network = RTSPCameras(world: world, streams: gateway.streams)
    pictures = CallCameras(plane: plane, world: world) { [calls] in calls.pictures(of: $0) }
    let ways = CameraWays(
      network: network, local: gateway.setting.cameras, calls: pictures, world: world)
    cameras = CameraKeeper(opener: ways, screens: screens, random: world.makeRandom()) { world.now }
    spectators = Spectators()
    whep = WHEP(
      keeper: cameras, seats: screens, authority: spectators, random: world.makeRandom(),
      clock: { world.now }, wall: { world.wall })
    porter = Porter(book: book, calls: calls)
    let camera = Snapshots(world: world)
    snapshots = SnapshotDesk(
      keeper: cameras, newest: { [screens] in screens.keyPicture(of: $0) }, authority: spectators,
      make: { camera.take(of: $0, then: $1) }, clock: { world.now })
    album = Album(
      world: world, premises: gateway.setting.premises, log: gateway.log,
      days: configuration.snapshots.days)
    tallies = Tallies(gateway.counters)
    nextCredential = stored.nextCredential
    wheel = Wheel(now: world.now)
    for row in stored.passwords {
      if let open = gateway.wrap.open(row.sealed, label: row.label) { passwords[row.device] = Secret(open) }
    }
    porter.passwords = passwords
    doors = Doorkeeper(
      authority: porter, lines: gateway.lines, keys: porter, fetcher: fetcher,
      memory: House.doorMemory(stored, audit),
      random: world.makeRandom(), at: Moment(now: world.now, wall: world.wall, local: dialplan.localTime))
    links.house = self
    spectators.house = self
    ways.password = { [weak self] in self?.passwords[$0]?.revealText() }
    ways.camera = { [weak self] in self?.book.building.camera($0) }
    screens.substreams = ways
    porter.withTurn = { [weak gateway] body in gateway?.soon(body) }
    fetcher.whenDone = { [weak self] ticket, outcome in
      guard let self else { return }
      self.gateway.soon { [weak self] _ in
        guard let self else { return }
        self.doors.fetched(ticket, outcome, at: self.moment)
      }
    }
    gate.onBan = { [weak self] ban in self?.banned(ban) }
    gate.onRecognised = { [weak streams = gateway.streams] in streams?.recognise($0) }
    gate.onProof = { [weak self] username, credential in self?.proved(username, credential) }
  }

  /// What doors must know of the time before: the rows of theirs in the audit, and pinned certificates.
  private static func doorMemory(_ stored: StoredState, _ audit: [Store.AuditRow]?) -> DoorMemory {
    guard let audit else { return DoorMemory(isLost: true) }
    var pins: [DoorID: String] = [:]
    for name in stored.settings.keys.sorted() where name.hasPrefix("pin.") {
      pins[DoorID(String(name.dropFirst(4)))] = stored.settings[name]
    }
    return DoorMemory(recent: audit.compactMap(Doors.AuditRow.init), pins: pins)
  }

  /// Breaks the circle between the dialplan and the registrar that belongs to the house.
  private final class Links {
    weak var house: House?
  }

  var moment: Moment { Moment(now: world.now, wall: world.wall, local: dialplan.localTime) }

  /// Takes up what was stored: credentials, bindings, bans, wishes for quiet.
  func load(_ stored: StoredState, _ turn: inout Turn) {
    var unreadable = 0
    for row in stored.credentials {
      guard let digests = Sealed.open(row, with: gateway.wrap) else {
        unreadable += 1
        continue
      }
      book.add(
        AccountBook.StoredCredential(
          digests: digests, created: row.created, lastUsed: row.lastUsed, bearer: row.bearer),
        to: row.username)
    }
    for row in stored.enrolments { load(row, turn.now) }
    if unreadable > 0 {
      gateway.problems.append("\(unreadable) credentials were made under another device key; enrol anew")
      gateway.log.write(
        .error, "credentials.unreadable",
        "\(unreadable) credentials were wrapped with another device key: put that key back, or enrol anew")
    }
    // Revoking is durable at once, and forgetting what the credential had registered is written behind it: a crash may
    // have come between.
    let credentials = Set(stored.credentials.map(\.id))
    func isOrphan(_ row: BindingRow) -> Bool { row.credential.map { !credentials.contains($0) } ?? false }
    let orphans = stored.bindings.filter(isOrphan)
    if !orphans.isEmpty {
      gateway.keeper.commit(orphans.map { .unbind(username: $0.username, key: $0.key) })
    }
    registrar.load(
      stored.bindings.filter { !isOrphan($0) }.compactMap(Keeper.binding), now: turn.now, wall: world.wall,
      random: &turn.random)
    for binding in registrar.all { gate.know(binding.flow.remote.address, turn.now) }
    gate.bans.load(
      stored.bans.map {
        Bans.Ban(
          subject: Bans.Subject($0.address, account: $0.account), since: $0.since,
          remaining: $0.until - $0.since, failures: $0.failures)
      }, now: turn.now)
    takeMaintenance(stored)
    openCameras(stored)
    for name in stored.quietAccounts { book.setQuiet(true, account: name) }
    for unit in stored.quietUnits { book.setQuiet(true, unit: unit) }
  }

  // MARK: The turn

  /// Carries what the rooms tell to whom it concerns, until nobody has anything to tell.
  func carry(_ turn: inout Turn) {
    var rounds = 0
    var isQuiet = false
    while !isQuiet {
      isQuiet = true
      rounds += 1
      precondition(rounds < 100_000, "the rooms of this house never fall silent")
      while let event = agent.next() {
        isQuiet = false
        route(event, &turn)
      }
      while let event = plane.next() {
        isQuiet = false
        route(event, &turn)
      }
      while let event = calls.next() {
        isQuiet = false
        route(event, &turn)
      }
      while let event = registrar.next() {
        isQuiet = false
        route(event, &turn)
      }
      while let event = doors.next() {
        isQuiet = false
        route(event, &turn)
      }
      if !deferred.isEmpty {
        isQuiet = false
        let bodies = deferred
        deferred = []
        for body in bodies { body(&turn) }
      }
    }
  }

  /// Whether something came outside a turn: media, mostly.
  var hasNews: Bool { plane.hasEvents || !deferred.isEmpty }

  func advance(_ turn: inout Turn) {
    agent.advance(&turn)
    calls.advance(&turn)
    plane.advance()
    registrar.advance(now: turn.now)
    if let due = doors.nextDeadline, due <= turn.now { doors.advance(at: moment) }
    expireRings(turn.now)
    advanceSnapshots(turn.now)
    for page in presence.expired(by: turn.now) { calls.pageLost(page, &turn) }
  }

  var nextDeadline: Instant? {
    [
      agent.nextDeadline, calls.nextDeadline, plane.nextDeadline, registrar.nextDeadline,
      doors.nextDeadline, fetcher.nextDeadline, presence.nextDeadline, network.nextDeadline,
      cameras.nextDeadline, whep.nextDeadline, snapshots.nextDeadline, album.nextDeadline,
      laterSnapshots.first?.at,
    ].reduce(nil, Instant.earlier)
  }
}

/// The numbers a gateway keeps of itself.
final class Tallies {
  let calls: Counter
  let answered: Counter
  let oneWay: Counter
  let silent: Counter
  let doorsOpened: Counter
  let doorsRefused: Counter
  let doorsUnknown: Counter
  let registrations: Counter
  let bans: Counter

  init(_ counters: Counters) {
    func count(_ name: String, _ help: String) -> Counter {
      counters.make("vestibule_\(name)_total", help: help)
    }
    calls = count("calls", "Calls that came in.")
    answered = count("calls_answered", "Calls that somebody answered.")
    oneWay = count("one_way_sessions", "Answered calls in which sound came from one side only.")
    silent = count("zero_packet_sessions", "Answered calls without a single packet of sound.")
    doorsOpened = count("door_opened", "Openings of doors.")
    doorsRefused = count("door_refused", "Openings refused.")
    doorsUnknown = count("door_unknown", "Openings of unknown outcome.")
    registrations = count("registrations", "Contacts that registered, renewals not counted.")
    bans = count("bans", "Bans set.")
  }
}
