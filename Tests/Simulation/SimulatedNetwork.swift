package import Wire

// The simulated outside: one virtual clock, hosts with addresses, links between them, and the worlds of the
// residents that live on the hosts. Everything that chance decides is drawn from one seed, in one thread, in an
// order that does not depend on any hash table; so a seed replays exactly.
//
// Responsible for: order of events, turns (news, then `advance` when due, then `settle`, then what was sent
// leaves), loss, duplication, reordering, delay, partitions, ordered streams in random pieces, resets, worker
// latency, name look-ups, clock jumps, crashes. Not simulated: bandwidth, ICMP, path MTU, IP fragments.
package final class SimulatedNetwork {
  /// How a path between two hosts behaves, in one direction. Changed at any moment by a scenario.
  package struct Weather: Sendable {
    package var delay = Interval.milliseconds(1)
    /// The most that is added to the delay, drawn for each datagram or segment.
    package var jitter = Interval.zero
    /// Of 1000: datagrams lost. A stream's segment is then late by a retransmission.
    package var loss = 0
    /// Of 1000: datagrams delivered twice.
    package var duplication = 0
    /// Of 1000: datagrams held back long enough to be overtaken.
    package var reordering = 0
    /// Of 1000: segments of a stream cut into small random pieces.
    package var splitting = 200
    /// Of 10,000: segments that are answered by a reset of the connection.
    package var resets = 0

    package init() {}

    /// A network that behaves badly in every way it can.
    package static var bad: Weather {
      var link = Weather()
      link.delay = .milliseconds(5)
      link.jitter = .milliseconds(20)
      link.loss = 50
      link.duplication = 30
      link.reordering = 50
      link.splitting = 500
      return link
    }
  }

  package private(set) var now = Instant(nanoseconds: 1_000_000_000)
  /// Civil time minus monotonic time where clocks are right; change it and every clock jumps.
  package var wallOffset: Interval
  package var wall: WallTime { WallTime(nanoseconds: (now + wallOffset).nanoseconds) }
  /// What happened so far.
  package var journal = Trace()
  /// Equal for two runs of one seed.
  package var trace: UInt64 { journal.hash }
  /// What every pair of hosts has that was given nothing else.
  package var weather = Weather()
  /// Answers to name look-ups, where a host has none of its own.
  package var names: [NameQuery: [ResolvedName]] = [:]
  /// Called after every turn: where invariants are checked.
  package var afterStep: (() -> Void)?
  /// How many turns there were.
  package private(set) var turns = 0
  /// Datagrams that found no host or no socket.
  package var undelivered = 0

  private(set) var random: Random
  private var events = EventQueue()
  private(set) var hosts: [SimulatedHost] = []
  private var worlds: [SimulatedWorld?] = []
  /// Keyed by the two hosts' numbers; looked up, never iterated.
  private var paths: [UInt64: Weather] = [:]
  /// Keyed as `paths`.
  private var cuts: Set<UInt64> = []

  /// A network whose every draw comes from `seed`.
  package init(seed: UInt64, wall: WallTime = WallTime(seconds: 1_795_000_000)) {
    random = Random(seed: seed)
    wallOffset = .nanoseconds(wall.nanoseconds - now.nanoseconds)
  }

  // MARK: Building

  /// A host with these addresses, the one it prefers first. Loopback it has by itself.
  package func addHost(_ name: String, _ addresses: [IPAddress]) -> SimulatedHost {
    let host = SimulatedHost(
      name: name, index: hosts.count, addresses: addresses, network: self, random: random.fork())
    hosts.append(host)
    return host
  }

  /// The host with exactly these addresses, made now if there is none: a restarted machine is the same machine.
  func host(with addresses: [IPAddress]) -> SimulatedHost {
    hosts.first { $0.addresses == addresses } ?? addHost("\(addresses[0])", addresses)
  }

  /// Gives two hosts a weather of their own, both ways.
  package func setWeather(_ weather: Weather, between a: SimulatedHost, and b: SimulatedHost) {
    paths[key(a, b)] = weather
    paths[key(b, a)] = weather
  }

  /// Cuts the paths between two hosts, both ways.
  package func partition(_ a: SimulatedHost, _ b: SimulatedHost) {
    cuts.insert(key(a, b))
    cuts.insert(key(b, a))
  }

  /// Cuts the paths between the hosts of two addresses, both ways.
  package func partition(_ one: IPAddress, _ other: IPAddress) {
    guard let a = hosts.first(where: { $0.addresses.contains(one) }),
      let b = hosts.first(where: { $0.addresses.contains(other) })
    else { preconditionFailure("a partition needs two hosts") }
    partition(a, b)
  }

  /// Cuts what leads from `a` to `b`; the other way stays.
  package func cutOneWay(from a: SimulatedHost, to b: SimulatedHost) { cuts.insert(key(a, b)) }

  /// Mends every cut.
  package func heal() { cuts.removeAll() }

  func weather(from a: SimulatedHost, to b: SimulatedHost) -> Weather {
    if a === b {
      var own = Weather()
      own.delay = .microseconds(20)
      own.jitter = .microseconds(10)
      own.splitting = 0
      return own
    }
    return paths[key(a, b)] ?? weather
  }

  func isCut(from a: SimulatedHost, to b: SimulatedHost) -> Bool { cuts.contains(key(a, b)) }

  private func key(_ a: SimulatedHost, _ b: SimulatedHost) -> UInt64 {
    UInt64(a.index) << 32 | UInt64(b.index)
  }

  /// The host that owns an address, as seen from `from`.
  func host(owning address: IPAddress, from: SimulatedHost) -> SimulatedHost? {
    if address.isLoopback { return from }
    return hosts.first { $0.addresses.contains(address) }
  }

  func fork() -> Random { random.fork() }

  func register(_ world: SimulatedWorld) -> Int {
    worlds.append(world)
    return worlds.count - 1
  }

  func unregister(_ world: SimulatedWorld) { worlds[world.index] = nil }

  /// Ends every life and forgets what was to happen. A test that makes many networks calls it on each, for worlds
  /// and their residents hold one another.
  package func end() {
    for world in worlds { world?.vanish() }
    events = EventQueue()
    afterStep = nil
  }

  // MARK: Running

  func schedule(_ time: Instant, world: Int, _ action: @escaping () -> Void) {
    events.add(max(time, now), world: world, action)
  }

  /// Does `action` after `delay`, outside any world and in the order of asking among equals: what a test's script
  /// is made of.
  package func after(_ delay: Interval, _ action: @escaping () -> Void) {
    schedule(now + delay, world: -1, action)
  }

  /// Lets time pass until `end`, then stands at it.
  package func run(until end: Instant) {
    while let next = events.next, next.time <= end { step() }
    if now < end { now = end }
  }

  package func run(for interval: Interval) { run(until: now + interval) }

  /// Runs until `condition` holds, at most for `limit`; whether it came to hold.
  package func run(until condition: () -> Bool, within limit: Interval) -> Bool {
    let end = now + limit
    if condition() { return true }
    while let next = events.next, next.time <= end {
      step()
      if condition() { return true }
    }
    now = end
    return condition()
  }

  /// One turn of one world, or one event of the network. False when nothing is left to happen.
  @discardableResult
  package func step() -> Bool {
    guard let (event, action) = events.take() else { return false }
    now = event.time
    guard event.world >= 0 else {
      action()
      return true
    }
    guard let world = worlds[Int(event.world)] else { return true }
    action()
    // News that arrive at one moment are told in one turn, as a kernel would hand them over.
    while let next = events.next, next.time == now, next.world == event.world, let (_, more) = events.take() {
      more()
    }
    world.endTurn()
    turns += 1
    afterStep?()
    return true
  }
}

/// A machine on the simulated network.
package final class SimulatedHost {
  package let name: String
  package let index: Int
  /// Set them when a lease comes, or another.
  package var addresses: [IPAddress]
  /// How far this host's civil clock is off. Set it to make the clock jump.
  package var wallOffset = Interval.zero
  /// Binding one of these ports fails, as when another program has it.
  package var takenPorts: Set<UInt16> = []
  /// What names resolve to here; a query that is not here is asked of the network.
  package var names: [NameQuery: [ResolvedName]] = [:]
  /// The latency of each worker lane, drawn between the two for every piece of work.
  package var laneLatency: (least: Interval, most: Interval) = (.microseconds(100), .milliseconds(2))
  /// The latency of name look-ups.
  package var nameLatency: (least: Interval, most: Interval) = (.milliseconds(1), .milliseconds(60))
  /// How late a timer may come.
  package var lateness = Interval.microseconds(300)

  unowned let network: SimulatedNetwork
  var random: Random
  /// Who is bound where; looked up, never iterated.
  var datagrams: [Endpoint: (world: SimulatedWorld, socket: SocketID)] = [:]
  var listeners: [Endpoint: (world: SimulatedWorld, socket: SocketID)] = [:]
  var paths: [String: (world: SimulatedWorld, socket: SocketID)] = [:]
  private var nextPort: UInt16 = 32_768

  init(
    name: String, index: Int, addresses: [IPAddress], network: SimulatedNetwork, random: Random
  ) {
    self.name = name
    self.index = index
    self.addresses = addresses
    self.network = network
    self.random = random
  }

  /// Starts a resident here. It lives until it stops itself or the world crashes.
  @discardableResult
  package func start<Guest: Resident>(_ make: (SimulatedWorld) -> Guest) -> (
    world: SimulatedWorld, resident: Guest
  ) {
    let world = SimulatedWorld(on: self)
    let resident = make(world)
    world.run { _ in resident }
    return (world, resident)
  }

  /// Whether anything runs here that other machines can reach.
  var isUp: Bool { !datagrams.isEmpty || !listeners.isEmpty }

  func owns(_ address: IPAddress) -> Bool { address.isLoopback || addresses.contains(address) }

  /// Our address for packets to `remote`.
  func source(for remote: IPAddress) -> IPAddress {
    if remote.isLoopback { return remote }
    return addresses.first { $0.isV4 == remote.isV4 } ?? addresses.first ?? .loopbackV4
  }

  /// A port that `isTaken` does not know.
  func freePort(_ isTaken: (UInt16) -> Bool) -> UInt16? {
    for _ in 0..<28_000 {
      let port = nextPort
      nextPort = nextPort >= 60_999 ? 32_768 : nextPort + 1
      if !isTaken(port) { return port }
    }
    return nil
  }

  /// Who answers at an endpoint of ours: bound to the address itself, or to all.
  func find<Value>(_ local: Endpoint, in table: [Endpoint: Value]) -> Value? {
    if let exact = table[local] { return exact }
    if local.address.isV4, let wild = table[Endpoint(.anyV4, port: local.port)] { return wild }
    return table[Endpoint(.anyV6, port: local.port)]
  }
}
