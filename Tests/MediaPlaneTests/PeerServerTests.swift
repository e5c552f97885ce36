import Crypto
import ICE
import MediaPlane
import SDP
import Simulation
import Testing
import WebRTC
import Wire

/// A STUN and TURN server on a bench: answers what the plane sends to it, and relays for one peer. How it is spoken to
/// is ICE's to test: this one refuses nothing but a wrong nonce.
private final class Relay {
  static let address = IPAddress(v4: 0xCB00_7101)
  static let endpoint = Endpoint(Relay.address, port: 3478)
  static let outside = IPAddress(v4: 0xC633_6409)

  let bench: Bench
  var isSilent = false
  var isFull = false
  /// The most leases of one account.
  var quota = Int.max
  var nonce = "one"
  /// By the client's port.
  private(set) var leases: [UInt16: UInt16] = [:]
  private(set) var channels: [UInt16: Endpoint] = [:]
  private(set) var requests = 0
  private var nextPort: UInt16 = 50_000
  private var taken = 0
  /// What goes to peers.
  var delivered: [(bytes: [UInt8], to: Endpoint, from: Endpoint)] = []

  init(_ bench: Bench) { self.bench = bench }

  /// Answers everything that was sent here, with time for the answers' answers.
  func serve(_ milliseconds: Int = 100) {
    for _ in 0..<milliseconds / 10 {
      while taken < bench.world.sent.count {
        let datagram = bench.world.sent[taken]
        taken += 1
        if datagram.to == Relay.endpoint, !isSilent { take(datagram.bytes, datagram.socket, datagram.port) }
      }
      bench.pass(.milliseconds(10))
    }
  }

  private func answer(_ bytes: [UInt8], _ socket: SocketID, _ port: UInt16) {
    bench.plane.received(
      bytes.span, on: socket, from: Relay.endpoint, to: Endpoint(ourAddress, port: port))
  }

  private func take(_ bytes: [UInt8], _ socket: SocketID, _ port: UInt16) {
    if let first = bytes.first, first & 0xC0 == 0x40 {
      guard let peer = channels[UInt16(bytes[0]) << 8 | UInt16(bytes[1])], let lease = leases[port] else {
        return
      }
      delivered.append((Array(bytes[4...]), peer, Endpoint(Relay.address, port: lease)))
      return
    }
    guard let message = try? STUNMessage(parsing: bytes.span) else { return }
    let peer = message.address(message.xorPeerAddress, in: bytes.span)
    if message.kind == .indication {
      guard message.method == STUNMethod.send, let peer, let lease = leases[port] else { return }
      delivered.append(
        (Array(bytes[message.dataField.range]), peer, Endpoint(Relay.address, port: lease)))
      return
    }
    requests += 1
    var writer = STUNWriter()
    let key = Digest.md5(Array("gate:here:secret".utf8))
    let isOurs = message.bytes(message.nonce, in: bytes.span) == Array(nonce.utf8)
    if message.method != STUNMethod.binding,
      !isOurs || message.method == STUNMethod.allocate && (isFull || leases.count >= quota)
    {
      writer.begin(.failure, message.method, message.transaction)
      writer.addError(isOurs ? 486 : message.integrity.isPresent ? 438 : 401, "No")
      writer.add(STUNAttribute.realm, text: "here")
      writer.add(STUNAttribute.nonce, text: nonce)
      if isOurs { writer.addIntegrity(key: key) }
      writer.finish()
      return answer(writer.bytes, socket, port)
    }
    writer.begin(.success, message.method, message.transaction)
    let mapped = Endpoint(Relay.outside, port: port)
    switch message.method {
    case STUNMethod.allocate:
      nextPort += 1
      leases[port] = nextPort
      writer.add(STUNAttribute.xorRelayedAddress, xor: Endpoint(Relay.address, port: nextPort))
      writer.add(STUNAttribute.xorMappedAddress, xor: mapped)
      writer.add(STUNAttribute.lifetime, word: 600)
    case STUNMethod.refresh:
      if message.lifetime(in: bytes.span) == 0 { leases[port] = nil }
      writer.add(STUNAttribute.lifetime, word: 600)
    case STUNMethod.channelBind:
      let start = Int(message.channelField.start)
      channels[UInt16(bytes[start]) << 8 | UInt16(bytes[start + 1])] = peer
    case STUNMethod.binding: writer.add(STUNAttribute.xorMappedAddress, xor: mapped)
    default: break
    }
    if message.method != STUNMethod.binding { writer.addIntegrity(key: key) }
    writer.finish()
    answer(writer.bytes, socket, port)
  }

  /// From a peer to the lease's client.
  func carry(_ bytes: [UInt8], from peer: Endpoint, to relayed: Endpoint) {
    guard let port = bench.world.open.values.first(where: { leases[$0.port] == relayed.port })?.port else {
      return
    }
    var writer = STUNWriter()
    writer.begin(.indication, STUNMethod.data, STUNTransactionID(high: 5, low: 5))
    writer.add(STUNAttribute.xorPeerAddress, xor: peer)
    writer.add(STUNAttribute.data, bytes.span)
    writer.finish()
    answer(writer.bytes, bench.world.socket(port), port)
  }
}

/// A browser that nothing but the relay reaches.
private final class Recluse: Browser {
  let relay: Relay

  init(_ bench: Bench, _ relay: Relay) {
    self.relay = relay
    super.init(bench, at: Endpoint(IPAddress(v4: 0xC633_6433), port: 6000), seed: 4)
  }

  override func carry(_ bytes: [UInt8], to remote: Endpoint) {
    if remote.address == Relay.address { relay.carry(bytes, from: place, to: remote) }
  }

  override func next() -> (bytes: [UInt8], from: Endpoint)? {
    while !relay.delivered.isEmpty {
      let one = relay.delivered.removeFirst()
      if one.to == place { return (one.bytes, one.from) }
    }
    return nil
  }

  override func wait() { relay.serve(10) }
}

@Suite struct PeerServerTests {
  private static let account = ICEServer.Account(username: "gate", password: "secret")
  private static let relay = PeerServer(host: "relay.example", port: 3478, account: account)

  private func bench(_ names: [String: [IPAddress]] = ["relay.example": [Relay.address]]) throws -> (
    Bench, Relay
  ) {
    let bench = Bench()
    bench.world.names = names
    try bench.plane.listenForPeers(
      at: [Endpoint(ourAddress, port: 8189)], addresses: [], maker: SimulatedDTLS(number: 2))
    return (bench, Relay(bench))
  }

  /// The candidates that a session tells which begins now.
  private func kinds(_ bench: Bench, _ mode: ICEMode = .full) throws -> [CandidateKind] {
    let leg = try bench.plane.openPeer(PeerSpec(mode: mode, role: .controlling))
    let offer = bench.plane.withPeer(leg) {
      $0.createOffer(audio: PeerMedia([.pcma], .sendrecv), video: nil, &$1)
    }
    bench.plane.close(leg)
    let lines = try #require(offer).media[0].attributes.filter { $0.name == "candidate" }
    return try lines.map { try Candidate(line: $0.value ?? "").kind }
  }

  @Test func whatServersTellIsThereBeforeAnybodyCalls() throws {
    let (bench, relay) = try bench()
    #expect(!bench.plane.hasServers)
    #expect(try kinds(bench) == [.host])
    bench.plane.useServers([Self.relay, PeerServer(host: "203.0.113.1", port: 3478)])
    #expect(bench.plane.hasServers)
    relay.serve(500)
    #expect(bench.plane.mappedEndpoints == [Endpoint(Relay.outside, port: 8189)])
    #expect(bench.plane.readyRelays == 4 && relay.leases.count == 4)
    #expect(try kinds(bench) == [.host, .serverReflexive, .relayed])
    #expect(try kinds(bench, .lite) == [.host])
    // The lease that the session had is given back, and another lies ready in its place.
    #expect(bench.plane.readyRelays == 3)
    relay.serve(500)
    #expect(bench.plane.readyRelays == 4 && relay.leases.count == 4)
    let sockets = bench.world.open.count
    for _ in 0..<10 {
      _ = try kinds(bench)
      relay.serve(300)
    }
    #expect(bench.world.open.count == sockets && relay.leases.count == 4)
  }

  @Test func moreSessionsThanLeasesAreServedWithout() throws {
    let (bench, relay) = try bench()
    bench.plane.useServers([Self.relay])
    relay.serve(500)
    let legs = try (0..<6).map { _ in try bench.plane.openPeer(PeerSpec(mode: .full)) }
    #expect(bench.plane.readyRelays == 0)
    relay.serve(500)
    #expect(bench.plane.readyRelays == 4 && relay.leases.count == 8)
    for leg in legs { bench.plane.close(leg) }
    relay.serve(500)
    #expect(relay.leases.count == 4)
    // The end of everything: nothing is kept.
    bench.plane.leaveServers()
    relay.serve(500)
    #expect(relay.leases.isEmpty && bench.plane.readyRelays == 0)
    let sent = bench.world.sent.count
    bench.pass(.hours(1))
    #expect(bench.world.sent[sent...].allSatisfy { $0.port == 8189 })
  }

  @Test func aServerWhoseNonceIsNewGetsItsLeaseBackAllTheSame() throws {
    let (bench, relay) = try bench()
    bench.plane.useServers([Self.relay])
    relay.serve(500)
    let leg = try bench.plane.openPeer(PeerSpec(mode: .full))
    relay.serve(500)
    relay.nonce = "two"
    bench.plane.close(leg)
    relay.serve(500)
    #expect(relay.leases.count == 4 && bench.plane.readyRelays == 4)
  }

  @Test func aDeadServerCostsNobodysTime() throws {
    let (bench, relay) = try bench()
    relay.isSilent = true
    bench.plane.useServers([Self.relay])
    let began = bench.world.now
    #expect(try kinds(bench) == [.host])
    #expect(bench.world.now == began)
    for _ in 0..<60 {
      bench.pass(.minutes(1))
      #expect(try kinds(bench) == [.host])
    }
    // A few questions in a minute, and one open socket at most.
    let asked = bench.world.sent.count { $0.to == Relay.endpoint }
    #expect((60...900).contains(asked), "\(asked)")
    #expect(bench.world.open.count <= 2)
    // It comes to life: soon everything is there.
    relay.serve(10)
    relay.isSilent = false
    for _ in 0..<70 {
      relay.serve(200)
      bench.pass(.seconds(5))
    }
    relay.serve(500)
    #expect(bench.plane.readyRelays == 4)
    #expect(try kinds(bench) == [.host, .serverReflexive, .relayed])
  }

  @Test func aServerThatDiesIsNotOfferedForLong() throws {
    let (bench, relay) = try bench()
    bench.plane.useServers([Self.relay])
    relay.serve(500)
    #expect(bench.plane.readyRelays == 4)
    relay.isSilent = true
    bench.pass(.minutes(3))
    #expect(bench.plane.readyRelays == 0 && bench.plane.mappedEndpoints.isEmpty)
    #expect(try kinds(bench) == [.host])
  }

  @Test func aFullServerIsAskedEverMoreSeldom() throws {
    let (bench, relay) = try bench()
    relay.isFull = true
    bench.plane.useServers([Self.relay])
    for _ in 0..<360 {
      relay.serve(50)
      bench.pass(.seconds(10))
    }
    #expect(bench.plane.readyRelays == 0 && bench.plane.mappedEndpoints.count == 1)
    // An hour: some twenty attempts of three questions, and a mapping kept open.
    #expect(relay.requests < 400, "\(relay.requests)")
  }

  @Test func aServerThatLendsTwoIsNotAskedForMoreWithoutEnd() throws {
    let (bench, relay) = try bench()
    relay.quota = 2
    bench.plane.useServers([Self.relay])
    relay.serve(500)
    #expect(bench.plane.readyRelays == 2)
    let before = relay.requests
    for _ in 0..<600 {
      relay.serve(20)
      bench.pass(.seconds(1))
    }
    // Ten minutes: two leases refreshed each minute, a mapping each 20 s, and some seven attempts.
    #expect(relay.requests - before < 100, "\(relay.requests - before)")
    #expect(bench.plane.readyRelays == 2)
  }

  @Test func aPasswordIsNotPrinted() {
    #expect(!"\(Self.account) \(Self.relay)".contains("secret"))
  }

  @Test func aNameThatIsNotFoundIsLookedUpAgain() throws {
    let (bench, relay) = try bench([:])
    bench.plane.useServers([Self.relay])
    #expect(bench.world.asked == ["relay.example"])
    bench.pass(.minutes(5))
    #expect((5...6).contains(bench.world.asked.count) && bench.world.sent.isEmpty)
    bench.world.names = ["relay.example": [Relay.address]]
    for _ in 0..<62 {
      bench.pass(.seconds(1))
      relay.serve(50)
    }
    #expect(bench.plane.readyRelays == 4)
    // While nothing is amiss nobody asks for names.
    let asked = bench.world.asked.count
    for _ in 0..<300 {
      relay.serve(20)
      bench.pass(.seconds(1))
    }
    #expect(bench.world.asked.count == asked)
  }

  @Test func aSlowNameServiceHoldsNobodyUp() throws {
    let (bench, relay) = try bench()
    bench.world.holdsNames = true
    bench.plane.useServers([Self.relay])
    #expect(try kinds(bench) == [.host])
    bench.pass(.minutes(10))
    #expect(bench.world.asked.count == 1, "one question at a time")
    for answer in bench.world.heldNames { answer() }
    relay.serve(500)
    #expect(bench.plane.readyRelays == 4)
  }

  @Test func soundPassesThroughTheRelayBothWays() throws {
    let (bench, relay) = try bench()
    bench.plane.useServers([Self.relay])
    relay.serve(500)
    let station = try bench.leg()
    bench.plane.setRemote(station.leg, audio: bench.remote(stationAddress))
    let leg = try bench.plane.openPeer(PeerSpec(mode: .full))
    let browser = Recluse(bench, relay)
    try browser.talk(to: station, by: leg)
    browser.meet(5000)
    #expect(browser.connection.isReady && relay.channels.values.contains(browser.place))
    let said = [UInt8](repeating: 0x55, count: 160)
    bench.arrive(packet(8, 1, 160, said), at: station.audio, from: stationAddress)
    browser.meet(50)
    #expect(browser.heard.map { Array($0.suffix(160)) } == [said])
    let reply = [UInt8](repeating: 0x33, count: 160)
    let sealed = browser.sealed(1, reply)
    browser.step { _ = $0.send(sealed.span, &$1) }
    #expect(bench.heard(by: stationAddress).map(\.payload) == [reply])
    // The end gives the lease back, and the goodbye still goes through it.
    let leases = relay.leases.count
    bench.plane.close(leg)
    browser.meet(500)
    #expect(leases == 5 && relay.leases.count == 4 && !browser.connection.isReady)
  }
}
