import ICE
import MediaPlane
import RTP
import SDP
import Simulation
import Testing
import WebRTC
import Wire

/// A browser as far as a leg meets it: a peer connection of its own, which finds the plane at its shared port. Browsers
/// that take another way say what is carried, and what comes, in their own words.
class Browser {
  static let server = Endpoint(ourAddress, port: 8189)

  let bench: Bench
  let connection: PeerConnection
  let place: Endpoint
  /// As it names its socket.
  var line: SocketID
  private var random: Random
  private var taken = 0
  /// Packets of sound, opened.
  private(set) var heard: [[UInt8]] = []
  private(set) var events: [PeerEvent] = []

  init(
    _ bench: Bench, at place: Endpoint = Endpoint(IPAddress(v4: 0x0A00_0030), port: 6000), line: UInt32 = 1,
    seed: UInt64 = 3, _ change: (inout PeerConfiguration) -> Void = { _ in }
  ) {
    self.bench = bench
    self.place = place
    self.line = SocketID(Handle(index: line, generation: 1))
    random = Random(seed: seed)
    var turn = Turn(now: bench.world.now, random: random.fork())
    var configuration = PeerConfiguration(
      ice: ICEConfiguration(
        .full, role: .controlling, bases: [ICEBase(.udp, local: place, socket: self.line)], tag: 9),
      audioSource: 0xB0, videoSource: 0xB1, canonicalName: "browser")
    change(&configuration)
    connection = PeerConnection(configuration, SimulatedDTLS(number: 1), &turn)
  }

  @discardableResult final func step<Result>(_ body: (PeerConnection, inout Turn) -> Result) -> Result {
    var turn = Turn(now: bench.world.now, random: random.fork())
    let result = body(connection, &turn)
    for entry in turn.out.entries { carry(Array(turn.out.bytes[entry.range]), to: entry.flow.remote) }
    while let event = connection.next() { events.append(event) }
    return result
  }

  func carry(_ bytes: [UInt8], to remote: Endpoint) { post(bytes) }

  func post(_ bytes: [UInt8], from place: Endpoint? = nil) {
    bench.plane.received(
      bytes.span, on: bench.world.socket(Browser.server.port), from: place ?? self.place, to: Browser.server)
  }

  /// The next datagram that came.
  func next() -> (bytes: [UInt8], from: Endpoint)? {
    while taken < bench.world.sent.count {
      let datagram = bench.world.sent[taken]
      taken += 1
      if datagram.to == place { return (datagram.bytes, Browser.server) }
    }
    return nil
  }

  /// What the world kept was thrown away.
  final func forget() { taken = 0 }

  /// What a datagram was; a packet lies opened in the connection.
  func note(_ reading: PeerReading) {
    if case .rtp(.audio, let length) = reading { heard.append(Array(connection.plain[0..<length])) }
  }

  /// Lets ten milliseconds pass.
  func wait() { bench.pass(.milliseconds(10)) }

  /// Takes in what came.
  final func hear() {
    while let (bytes, remote) = next() {
      let flow = Flow(.udp, local: place, remote: remote, socket: line)
      step { connection, turn in
        var handshakes = 9
        note(connection.receive(bytes.span, on: flow, &turn, handshakes: &handshakes))
      }
    }
  }

  /// Hears, lets time pass, and does what is due, in steps of ten milliseconds.
  final func meet(_ milliseconds: Int = 1000) {
    for _ in 0..<milliseconds / 10 {
      hear()
      wait()
      step { connection, turn in
        var handshakes = 9
        connection.advance(&turn, handshakes: &handshakes)
      }
    }
    hear()
  }

  /// One packet of sound under our keys.
  final func sealed(_ sequence: UInt16, _ payload: [UInt8]) -> [UInt8] {
    let plain = packet(8, sequence, UInt32(sequence) * 160, ssrc: 0xB0, payload)
    var room = [UInt8](repeating: 0, count: 1500)
    var span = room.mutableSpan
    let length = connection.protect(
      plain.span.extracting(0..<12), plain.span.extracting(12..<plain.count), into: &span)
    return Array(room[0..<length])
  }

  /// Offers sound to a leg, is answered, and the leg is joined with a station's. Gives the answer back.
  @discardableResult
  final func talk(to station: LegPorts, by leg: LegID) throws -> SessionDescription {
    let plane = bench.plane
    let offer = step { $0.createOffer(audio: PeerMedia([.pcma], .sendrecv), video: nil, &$1) }
    let answer = plane.withPeer(leg) { connection, turn -> SessionDescription? in
      try? connection.setRemote(offer: offer)
      return try? connection.createAnswer(audio: PeerMedia([.pcma], .sendrecv), video: nil, &turn)
    }
    let described = try #require(answer ?? nil)
    step { try? $0.setRemote(answer: described, &$1) }
    plane.setRemote(
      leg,
      audio: RemoteStream(
        rtp: Endpoint(.anyV4, port: 9), signalledFrom: .anyV4, formats: [.pcma], telephoneEvent: nil))
    plane.bridge(station.leg, leg, keys: .translateBoth)
    return described
  }
}
