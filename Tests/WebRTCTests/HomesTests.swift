import Crypto
import Glibc
import ICE
import SDP
import SimulatedHomes
import Simulation
import Testing
import WebRTC
import Wire

/// A whole peer connection in its home: what it says goes through the home's translator.
private final class Tenant: Station {
  let connection: PeerConnection
  let translator: Translator?
  private let place: Endpoint
  private let socket = SocketID(Handle(index: 1, generation: 1))
  private unowned let network: VirtualNetwork
  private let source: UInt32
  private(set) var events: [PeerEvent] = []
  /// Packets of sound, opened.
  private(set) var heard: [[UInt8]] = []
  /// Who is told candidates.
  weak var other: Tenant?

  init(
    _ network: VirtualNetwork, at place: Endpoint, behind translator: Translator?, _ mode: ICEMode,
    _ role: ICERole, servers: [ICEServer], maker: any DTLSMaker, source: UInt32
  ) {
    self.network = network
    self.place = place
    self.translator = translator
    self.source = source
    var turn = Turn(now: network.now, random: network.random.fork())
    let base = ICEBase(.udp, local: place, socket: socket, asksServers: true)
    connection = PeerConnection(
      PeerConfiguration(
        ice: ICEConfiguration(mode, role: role, bases: [base], servers: servers, tag: source),
        audioSource: source, videoSource: source + 1, canonicalName: "tenant"), maker, &turn)
    network.stations.append(self)
  }

  var deadline: Instant? { connection.nextDeadline }
  func owns(_ address: IPAddress) -> Bool { address == place.address }
  func advance() {
    step { connection, turn in
      var handshakes = 8
      connection.advance(&turn, handshakes: &handshakes)
    }
  }

  /// Lets the connection do something, carries what it sends, and tells the other side its candidates.
  @discardableResult
  func step<Result, Failure: Error>(
    _ body: (PeerConnection, inout Turn) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    var turn = Turn(now: network.now, random: network.random.fork())
    let result = try body(connection, &turn)
    for entry in turn.out.entries {
      let bytes = Array(turn.out.bytes[entry.range])
      network.send(bytes, from: entry.flow.local, to: entry.flow.remote, through: translator)
    }
    while let event = connection.next() {
      events.append(event)
      guard let other else { continue }
      switch event {
      case .candidate(let candidate):
        let line = candidate.line
        network.later(network.signalling) {
          guard let told = try? Candidate(line: line) else { return }
          other.step { $0.add(candidate: told, &$1) }
        }
      case .gatheringDone:
        network.later(network.signalling) { other.step { $0.endOfCandidates(&$1) } }
      default: break
      }
    }
    return result
  }

  func receive(_ datagram: [UInt8], from: Endpoint, to: Endpoint, _ network: VirtualNetwork) {
    let flow = Flow(.udp, local: to, remote: from, socket: socket)
    step { connection, turn in
      var handshakes = 8
      let reading = connection.receive(datagram.span, on: flow, &turn, handshakes: &handshakes)
      if case .rtp(.audio, let length) = reading { heard.append(Array(connection.plain[..<length])) }
    }
  }

  func say(_ sequence: UInt16) {
    step { connection, turn in
      let head: [UInt8] =
        [0x80, 8, UInt8(sequence >> 8), UInt8(sequence & 255), 0, 0, 0, 0]
        + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: source >> UInt32($0)) }
      var buffer = [UInt8](repeating: 0, count: 300)
      var room = buffer.mutableSpan
      let payload = [UInt8](repeating: 0xD5, count: 160)
      let length = connection.protect(head.span, payload.span, into: &room)
      if length > 0 { connection.send(buffer.span.extracting(0..<length), &turn) }
    }
  }
}

/// ICE, keys and sound of whole peer connections, through translators of every kind and through a relay.
@Suite struct HomesTests {
  private static let server = IPAddress(v4: 0xCB00_7101)

  private func meet(
    _ network: VirtualNetwork, _ caller: Tenant, _ callee: Tenant, whenIdle: () -> Void = {}
  ) throws {
    (caller.other, callee.other) = (callee, caller)
    let offer = caller.step { $0.createOffer(audio: Wanted.audio, video: nil, &$1) }
    var fault: (any Error)?
    network.later(network.signalling) {
      do {
        try callee.connection.setRemote(offer: try SessionDescription(parsing: offer.bytes))
        let answer = try callee.step { (connection, turn) throws(PeerRefusal) in
          try connection.createAnswer(audio: connection.offered(.audio), video: nil, &turn)
        }
        let said = try SessionDescription(parsing: answer.bytes)
        network.later(network.signalling) {
          do {
            try caller.step { (connection, turn) throws(PeerRefusal) in
              try connection.setRemote(answer: said, &turn)
            }
          } catch { fault = error }
        }
      } catch { fault = error }
    }
    for _ in 0..<750 where !(caller.connection.isReady && callee.connection.isReady) {
      network.run(20)
      whenIdle()
    }
    if let fault { throw fault }
  }

  /// A second of sound both ways arrives whole.
  private func expectTalk(_ network: VirtualNetwork, _ a: Tenant, _ b: Tenant, _ note: String) {
    network.loss = 0
    network.run(1000)
    let before = (a.heard.count, b.heard.count)
    for number in UInt16(1)...50 {
      a.say(number)
      b.say(number)
      network.run(20)
    }
    network.run(500)
    #expect((a.heard.count - before.0, b.heard.count - before.1) == (50, 50), "\(note)")
  }

  private func pair(
    _ network: VirtualNetwork, _ kinds: (TranslatorKind, TranslatorKind), _ servers: [ICEServer],
    makers: (any DTLSMaker, any DTLSMaker) = (SimulatedDTLS(number: 1), SimulatedDTLS(number: 2))
  ) -> (Tenant, Tenant) {
    let homes = [kinds.0, kinds.1].enumerated().map {
      network.translator($1, IPAddress(v4: 0xC000_0201 + UInt32($0)))
    }
    let a = Tenant(
      network, at: Endpoint(IPAddress(v4: 0x0A00_0001), port: 1000), behind: homes[0], .full, .controlling,
      servers: servers, maker: makers.0, source: 0xA0)
    let b = Tenant(
      network, at: Endpoint(IPAddress(v4: 0x0A09_0001), port: 2000), behind: homes[1], .full, .controlled,
      servers: servers, maker: makers.1, source: 0xB0)
    return (a, b)
  }

  /// What no address that one can be told leads through.
  private func needsRelay(_ a: TranslatorKind, _ b: TranslatorKind) -> Bool {
    (a == .symmetric && [.portRestricted, .symmetric].contains(b))
      || (b == .symmetric && a == .portRestricted)
  }

  @Test(arguments: TranslatorKind.allCases, TranslatorKind.allCases)
  func soundPassesBetweenAnyTwoHomes(_ first: TranslatorKind, _ second: TranslatorKind) throws {
    for usesRelay in [false, true] {
      let network = VirtualNetwork(seed: 5)
      let server = RelayServer(network, HomesTests.server)
      let (a, b) = pair(network, (first, second), [usesRelay ? server.turn : server.stun])
      try meet(network, a, b)
      let isHard = needsRelay(first, second)
      guard usesRelay || !isHard else {
        #expect(!a.connection.isReady && !b.connection.isReady)
        continue
      }
      expectTalk(network, a, b, "relay \(usesRelay)")
      let isRelayed = a.connection.path?.relayed != nil || b.connection.path?.relayed != nil
      #expect(isRelayed == isHard)
    }
  }

  @Test(arguments: UInt64(1)...10)
  func aBadNetworkBetweenHomesOnlyDelaysTheBeginning(seed: UInt64) throws {
    for kind in [TranslatorKind.portRestricted, .symmetric] {
      let network = VirtualNetwork(seed: seed)
      (network.loss, network.jitter) = (100, .milliseconds(30))
      let server = RelayServer(network, HomesTests.server)
      let (a, b) = pair(network, (kind, kind), [server.turn])
      try meet(network, a, b)
      expectTalk(network, a, b, "\(kind)")
    }
  }

  @Test(arguments: TranslatorKind.allCases)
  func aBrowserAtHomeTalksToALiteGateway(_ kind: TranslatorKind) throws {
    for gatewayCalls in [false, true] {
      let network = VirtualNetwork(seed: 6)
      let browser = Tenant(
        network, at: Endpoint(IPAddress(v4: 0x0A00_0001), port: 1000),
        behind: network.translator(kind, IPAddress(v4: 0xC000_0201)), .full,
        gatewayCalls ? .controlled : .controlling, servers: [], maker: SimulatedDTLS(number: 1), source: 0xB0)
      let gateway = Tenant(
        network, at: Endpoint(IPAddress(v4: 0xC633_6402), port: 8189), behind: nil, .lite, .controlled,
        servers: [], maker: SimulatedDTLS(number: 2), source: 0xA0)
      if gatewayCalls { try meet(network, gateway, browser) } else { try meet(network, browser, gateway) }
      expectTalk(network, browser, gateway, "gateway calls \(gatewayCalls)")
      #expect(gateway.connection.path?.flow.remote.address == IPAddress(v4: 0xC000_0201))
    }
  }

  /// OpenSSL's records fit through a relay too.
  @Test func keysOfOpenSSLAreAgreedOnThroughARelay() throws {
    let network = VirtualNetwork(seed: 7)
    let server = RelayServer(network, HomesTests.server)
    let makers = try [UInt64(1), 2].map {
      DTLSSessions(
        try DTLSContext.make(serial: $0, at: WallTime(seconds: 1_760_000_000)),
        firstTimeout: .milliseconds(16))
    }
    let (a, b) = pair(network, (.symmetric, .symmetric), [server.turn], makers: (makers[0], makers[1]))
    // OpenSSL's timer runs by the system's clock, which no test can turn: it is waited for.
    try meet(network, a, b) { usleep(2000) }
    expectTalk(network, a, b, "")
    #expect(server.relayed > 0)
  }
}
