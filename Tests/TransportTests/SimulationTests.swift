import Crypto
import Simulation
import Testing
import Transport
import Wire

private let gateway = IPAddress(v4: 0x0A00_0001)
private let station = IPAddress(v4: 0x0A00_0002)

/// Answers every datagram with itself and every stream with itself, and remembers what it was told.
private final class Echo: SimulatedPeer {
  let world: SimulatedWorld
  var socket = SocketID.none
  var heard: [[UInt8]] = []
  var bytes: [UInt8] = []
  var ends: [NetworkFailure] = []
  var opened = 0
  var drains = 0
  var echoes = true

  init(_ world: SimulatedWorld) {
    self.world = world
    socket = try! world.openDatagram(Endpoint(.anyV4, port: 5060), DatagramOptions())
    _ = try! world.listen(Endpoint(.anyV4, port: 5060))
  }

  func received(
    _ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint
  ) {
    heard.append(copy(datagram))
    if echoes { world.send(datagram, on: socket, to: remote, from: local.address) }
  }
  func accepted(_ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?) {
    opened += 1
  }
  func connected(_ stream: SocketID) { opened += 1 }
  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {
    self.bytes += copy(bytes)
    if echoes { _ = world.write(bytes, on: stream) }
  }
  func drained(_ stream: SocketID) { drains += 1 }
  func closed(_ stream: SocketID, _ failure: NetworkFailure) { ends.append(failure) }

  private func copy(_ span: Span<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    for index in span.indices { result.append(span[index]) }
    return result
  }
}

private final class Town {
  let network: SimulatedNetwork
  let server: (world: SimulatedWorld, resident: Echo)
  let client: (world: SimulatedWorld, resident: Echo)

  init(seed: UInt64 = 1, _ weather: SimulatedNetwork.Weather = SimulatedNetwork.Weather()) {
    network = SimulatedNetwork(seed: seed)
    network.weather = weather
    server = network.addHost("gateway", [gateway]).start { Echo($0) }
    client = network.addHost("station", [station]).start { Echo($0) }
    client.resident.echoes = false
  }

  deinit { network.end() }

  func ask(_ bytes: [UInt8]) {
    client.world.after(.zero) { [client] in
      client.world.send(
        bytes.span, on: client.resident.socket, to: Endpoint(gateway, port: 5060), from: nil)
    }
  }
}

@Suite struct SimulationTests {
  @Test func aDatagramGoesAndComesBack() {
    let town = Town()
    town.ask([1, 2, 3])
    town.network.run(for: .milliseconds(10))
    #expect(town.server.resident.heard == [[1, 2, 3]])
    #expect(town.client.resident.heard == [[1, 2, 3]])
  }

  /// A bad day: datagrams and a stream through every kind of weather.
  private static func day(_ seed: UInt64) -> (trace: UInt64, heard: Int, bytes: [UInt8], order: Bool) {
    let town = Town(seed: seed, .bad)
    var stream = SocketID.none
    town.client.world.after(.zero) {
      stream = try! town.client.world.connect(Endpoint(gateway, port: 5060))
    }
    for number in 0..<200 {
      town.network.after(.milliseconds(Int64(number) * 10)) {
        town.ask([UInt8(number)])
        town.client.world.after(.zero) {
          _ = town.client.world.write(Array(repeating: UInt8(number), count: 50).span, on: stream)
        }
      }
    }
    town.network.run(for: .seconds(30))
    let heard = town.server.resident.heard.map { $0[0] }
    return (town.network.trace, heard.count, town.client.resident.bytes, heard == heard.sorted())
  }

  @Test func oneSeedIsOneRun() {
    let first = Self.day(7)
    let second = Self.day(7)
    #expect(first.trace == second.trace)
    #expect(first.bytes == second.bytes)
    #expect(Self.day(8).trace != first.trace)
  }

  /// A hash table walks its keys in another order in each process: one that reached the trace would show here.
  @Test func oneSeedIsOneRunInAnotherProcessToo() async {
    let trace = Self.day(9).trace
    await #expect(processExitsWith: .success) { [trace = trace as UInt64] in
      precondition(SimulationTests.day(9).trace == trace, "the other process took another course")
    }
    await #expect(processExitsWith: .failure) { [trace = (trace &+ 1) as UInt64] in
      precondition(SimulationTests.day(9).trace == trace, "as it must")
    }
  }

  @Test func badWeatherLosesDoublesAndReordersDatagramsButNotStreams() {
    let result = Self.day(7)
    #expect(result.heard != 200)
    #expect(!result.order)
    // Writes before the connection stood were refused; what was taken came back whole and in order.
    #expect(result.bytes.count >= 50 * 180)
    #expect(result.bytes.count % 50 == 0)
    #expect(result.bytes == result.bytes.sorted())
  }

  @Test func aPartitionStopsDatagramsAndDelaysStreams() {
    let town = Town()
    var stream = SocketID.none
    town.client.world.after(.zero) {
      stream = try! town.client.world.connect(Endpoint(gateway, port: 5060))
    }
    town.network.run(for: .seconds(1))
    #expect(town.client.resident.opened == 1)
    town.network.partition(gateway, station)
    town.ask([1])
    town.client.world.after(.zero) { _ = town.client.world.write([9, 9].span, on: stream) }
    town.network.run(for: .seconds(20))
    #expect(town.server.resident.heard == [])
    #expect(town.server.resident.bytes == [])
    town.network.heal()
    town.network.run(for: .seconds(5))
    #expect(town.server.resident.heard == [])
    #expect(town.client.resident.bytes == [9, 9])
  }

  @Test func aPartitionThatLastsEndsAStream() {
    let town = Town()
    var stream = SocketID.none
    town.client.world.after(.zero) {
      stream = try! town.client.world.connect(Endpoint(gateway, port: 5060))
    }
    town.network.run(for: .seconds(1))
    town.network.partition(gateway, station)
    town.client.world.after(.zero) { _ = town.client.world.write([9].span, on: stream) }
    town.network.run(for: .minutes(3))
    #expect(town.client.resident.ends == [.timedOut])
  }

  @Test func nobodyListeningRefuses() {
    let town = Town()
    town.client.world.after(.zero) {
      _ = try! town.client.world.connect(Endpoint(gateway, port: 9))
      _ = try! town.client.world.connect(Endpoint(IPAddress(v4: 0x0A00_0099), port: 9))
    }
    town.network.run(for: .seconds(5))
    #expect(town.client.resident.ends == [.refused, .unreachable])
  }

  @Test func aDeadProcessResetsAndADeadMachineIsSilent() {
    for (kind, ends) in [(SimulatedWorld.Crash.process, [NetworkFailure.reset]), (.power, [])] {
      let town = Town()
      town.client.world.after(.zero) { _ = try! town.client.world.connect(Endpoint(gateway, port: 5060)) }
      town.network.run(for: .seconds(1))
      town.server.world.crash(kind)
      town.network.run(for: .seconds(1))
      #expect(town.client.resident.ends == ends)
      // The restarted machine answers at the same address.
      let again = town.server.world.host.start { Echo($0) }
      town.ask([5])
      town.network.run(for: .seconds(1))
      #expect(again.resident.heard == [[5]])
      #expect(town.server.resident.heard == [])
    }
  }

  @Test func aCrashDropsTheResident() {
    weak var seen: Echo?
    let network = SimulatedNetwork(seed: 1)
    var started: (world: SimulatedWorld, resident: Echo)? = network.addHost("a", [gateway]).start { Echo($0) }
    seen = started?.resident
    network.run(for: .seconds(1))
    started?.world.crash()
    started = nil
    network.run(for: .seconds(1))
    #expect(seen == nil)
  }

  @Test func whoDoesNotReadFillsTheWritersQueue() {
    let town = Town()
    var stream = SocketID.none
    var accepted = SocketID.none
    town.client.world.after(.zero) {
      stream = try! town.client.world.connect(Endpoint(gateway, port: 5060))
    }
    town.network.run(for: .seconds(1))
    town.server.resident.echoes = false
    accepted = SocketID(Handle(index: 2, generation: 1))  // after its socket and its listener
    town.server.world.setReading(false, on: accepted)
    var taken = 0
    town.client.world.after(.zero) {
      while town.client.world.write(Array(repeating: 1, count: 64 * 1024).span, on: stream) {
        taken += 64 * 1024
      }
    }
    town.network.run(for: .seconds(1))
    #expect(taken == 1 << 20)
    #expect(town.client.world.unsent(on: stream) == taken - 128 * 1024)
    #expect(town.server.resident.bytes == [])
    #expect(town.client.resident.drains == 0)
    town.server.world.after(.zero) { town.server.world.setReading(true, on: accepted) }
    town.network.run(for: .seconds(5))
    #expect(town.server.resident.bytes.count == taken)
    #expect(town.client.resident.drains == 1)
  }

  @Test func oneLaneWorksInOrderAndLosesItsWorkInACrash() {
    let town = Town()
    var done: [Int] = []
    town.client.world.after(.zero) {
      for number in 0..<20 {
        town.client.world.perform(on: .store, { number * 2 }) { done.append($0) }
      }
    }
    town.network.run(for: .seconds(1))
    #expect(done == (0..<20).map { $0 * 2 })
    town.client.world.after(.zero) {
      town.client.world.perform(on: .store, { 99 }) { done.append($0) }
      town.network.after(.microseconds(1)) { town.client.world.crash() }
    }
    town.network.run(for: .seconds(1))
    #expect(done.count == 20)
  }

  @Test func takenPortsAndForeignAddressesAreRefused() {
    let town = Town()
    #expect(throws: NetworkFailure.addressInUse) {
      try town.client.world.openDatagram(Endpoint(.anyV4, port: 5060), DatagramOptions())
    }
    #expect(throws: NetworkFailure.addressNotAvailable) {
      try town.client.world.openDatagram(Endpoint(gateway, port: 5070), DatagramOptions())
    }
    town.client.world.host.takenPorts = [5071]
    #expect(throws: NetworkFailure.addressInUse) {
      try town.client.world.listen(Endpoint(.anyV4, port: 5071))
    }
    let one = try? town.client.world.openDatagram(Endpoint(.anyV4, port: 0), DatagramOptions())
    #expect(one.flatMap { town.client.world.local(of: $0)?.port } ?? 0 >= 32_768)
  }

  @Test func namesAreLookedUpAndClocksJump() {
    let town = Town()
    let query = NameQuery.addresses(host: "panel.test")
    town.network.names[query] = [.address(station)]
    var found: [[ResolvedName]] = []
    town.client.world.after(.zero) {
      town.client.world.resolve(query) { found.append($0) }
      town.client.world.resolve(.addresses(host: "nobody.test")) { found.append($0) }
    }
    town.network.run(for: .seconds(1))
    #expect(found.count == 2)
    #expect(found.contains([.address(station)]) && found.contains([]))
    let before = town.client.world.wall
    town.client.world.host.wallOffset = .hours(-24)
    #expect(before - town.client.world.wall == .hours(24))
    #expect(town.server.world.wall == before)
  }

  @Test func parisKeepsSummerTime() throws {
    func paris(_ text: String) throws -> LocalTime? {
      SimulatedZones.localTime(at: try #require(WallTime(text)), in: "Europe/Paris")
    }
    let day = CivilDate(year: 2026, month: 3, day: 29)
    #expect(try paris("2026-03-29T00:59:59Z") == LocalTime(date: day, minute: 119))
    #expect(try paris("2026-03-29T01:00:00Z") == LocalTime(date: day, minute: 180))
    let autumn = CivilDate(year: 2026, month: 10, day: 25)
    #expect(try paris("2026-10-25T00:59:00Z") == LocalTime(date: autumn, minute: 179))
    #expect(try paris("2026-10-25T01:00:00Z") == LocalTime(date: autumn, minute: 120))
    #expect(
      try paris("2026-12-31T23:30:00Z")
        == LocalTime(date: CivilDate(year: 2027, month: 1, day: 1), minute: 30))
    let noon = WallTime(seconds: 43_200)
    #expect(SimulatedZones.localTime(at: noon, in: "UTC+05:30")?.minute == 1050)
    #expect(
      SimulatedZones.localTime(at: noon, in: "UTC-12:30")?.date == CivilDate(year: 1969, month: 12, day: 31))
    #expect(SimulatedZones.localTime(at: noon, in: "Mars/Olympus") == nil)
  }
}

/// `Streams` at one end of a simulated network, with simulated TLS.
private final class Talker: Resident {
  let world: SimulatedWorld
  let streams: Streams
  let ear = Ear()

  init(_ world: SimulatedWorld, _ sessions: SimulatedSessions, listening: Bool) {
    self.world = world
    streams = Streams(world: world, sessions: sessions, judge: nil)
    streams.setConsumer(ear, for: .sip)
    if listening { _ = try! streams.listen(Endpoint(.anyV4, port: 5061), secure: true, purpose: .sip) }
  }

  func received(_ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint) {}
  func accepted(_ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?) {
    streams.accepted(stream, on: listener, from: remote, peer: peer)
  }
  func connected(_ stream: SocketID) { streams.connected(stream) }
  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) { streams.received(bytes, onStream: stream) }
  func drained(_ stream: SocketID) { streams.drained(stream) }
  func closed(_ stream: SocketID, _ failure: NetworkFailure) { streams.closed(stream, failure) }
  func signalled(_ signal: Signal) {}
  func advance() { streams.advance() }
  func settle() {}
  var nextDeadline: Instant? { streams.nextDeadline }
}

private final class Ear: StreamsDelegate {
  var opened: [ConnectionFacts] = []
  var connections: [ConnectionID] = []
  var bytes: [UInt8] = []
  var endings: [StreamEnding] = []

  func opened(_ connection: ConnectionID, _ facts: ConnectionFacts) {
    opened.append(facts)
    connections.append(connection)
  }
  func received(_ bytes: Span<UInt8>, on connection: ConnectionID) {
    for index in bytes.indices { self.bytes.append(bytes[index]) }
  }
  func drained(_ connection: ConnectionID) {}
  func closed(_ connection: ConnectionID, _ ending: StreamEnding) { endings.append(ending) }
}

@Suite struct SimulatedSecurityTests {
  private final class Talk {
    let network: SimulatedNetwork
    let server: Talker
    let client: Talker

    init(_ network: SimulatedNetwork, _ server: Talker, _ client: Talker) {
      self.network = network
      self.server = server
      self.client = client
    }

    deinit { network.end() }
  }

  private func talk(_ trust: TLSTrust, name: String?, seed: UInt64 = 3) -> Talk {
    let network = SimulatedNetwork(seed: seed)
    network.weather = .bad
    let sessions = SimulatedSessions(identity: .init(names: ["gateway.test"], number: 5))
    let server = network.addHost("gateway", [gateway]).start { Talker($0, sessions, listening: true) }
    let client = network.addHost("station", [station]).start {
      Talker($0, SimulatedSessions(identity: nil), listening: false)
    }
    client.world.after(.zero) {
      _ = try! client.resident.streams.dial(
        Endpoint(gateway, port: 5061), trust: trust, serverName: name, purpose: .sip)
    }
    network.run(for: .seconds(5))
    return Talk(network, server.resident, client.resident)
  }

  @Test func streamsTalkOverSimulatedTLS() {
    let talk = talk(.authorities(Array("authority".utf8)), name: "gateway.test")
    let (network, server, client) = (talk.network, talk.server, talk.client)
    defer { withExtendedLifetime(talk) {} }
    #expect(client.ear.opened.first?.fingerprint == Array(repeating: 5, count: 32))
    #expect(server.ear.opened.count == 1)
    let long = (0..<60_000).map { UInt8(truncatingIfNeeded: $0) }
    client.world.after(.zero) { _ = client.streams.write(long, on: client.ear.connections[0]) }
    network.run(for: .seconds(20))
    #expect(server.ear.bytes == long)
    client.world.after(.zero) { client.streams.close(client.ear.connections[0], flushing: true) }
    network.run(for: .seconds(5))
    #expect(server.ear.endings == [.finished])
    #expect(server.streams.connectionCount == 0)
  }

  @Test func strangersAreRefusedAsTheRealOnesAre() {
    let pinned = talk(.pinned(Array(repeating: 6, count: 32)), name: nil)
    #expect(
      pinned.client.ear.endings == [.security(.fingerprintMismatch(seen: Array(repeating: 5, count: 32)))])
    #expect(pinned.server.ear.endings.count == 1)
    let named = talk(.authorities(Array("authority".utf8)), name: "elsewhere.test")
    #expect(named.client.ear.endings == [.security(.untrusted("hostname mismatch"))])
  }

  @Test func withTLSOneSeedIsStillOneRun() {
    #expect(talk(.firstContact, name: nil).network.trace == talk(.firstContact, name: nil).network.trace)
  }
}
