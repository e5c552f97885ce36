import Crypto
import ICE
import SDP
import Simulation
import WebRTC
import Wire

/// Two peer connections and a network between them, on made-up time. Sound and pictures are literal packets.
final class PeerTown {
  static let browserAddress = Endpoint(IPAddress(v4: 0xC000_020A), port: 5000)
  static let gatewayAddress = Endpoint(IPAddress(v4: 0xC000_0201), port: 8189)
  static let browserSocket = SocketID(Handle(index: 1, generation: 1))
  static let gatewaySocket = SocketID(Handle(index: 2, generation: 1))

  struct Weather {
    var delay = Interval.milliseconds(2)
    var jitter = Interval.zero
    /// Of 100 datagrams.
    var loss: UInt64 = 0
    var duplication: UInt64 = 0
  }

  enum Side { case browser, gateway }

  struct Parcel {
    var at: Instant
    var number: Int
    var to: Side
    var from: Endpoint
    var bytes: [UInt8]
  }

  struct Arrival: Equatable {
    var reading: PeerReading
    var plain: [UInt8]
  }

  var browser: PeerConnection
  var gateway: PeerConnection
  private(set) var now = Instant(nanoseconds: 1_000_000_000)
  var weather = Weather()
  var random: Random
  var parcels: [Parcel] = []
  private var number = 0
  var events: [Side: [PeerEvent]] = [.browser: [], .gateway: []]
  var arrivals: [Side: [Arrival]] = [.browser: [], .gateway: []]
  /// Handshake steps a turn of the gateway.
  var handshakes = 2
  /// Every datagram that left, for those who listen in.
  var sent: [Parcel] = []
  /// Real OpenSSL waits by the system's clock: called when the town would jump ahead in time.
  var whenIdle: () -> Void = {}

  init(
    seed: UInt64 = 1, browser browserMaker: any DTLSMaker = SimulatedDTLS(number: 1),
    gateway gatewayMaker: any DTLSMaker = SimulatedDTLS(number: 2), gatewayMode: ICEMode = .lite,
    browserMode: ICEMode = .full, facingLite: LitePeerPolicy = .fails,
    browserTakesPictures: Bool = false
  ) {
    random = Random(seed: seed)
    var turn = Turn(now: now, random: random.fork())
    var configuration = PeerConfiguration(
      ice: ICEConfiguration(
        browserMode, role: .controlling,
        bases: [ICEBase(.udp, local: PeerTown.browserAddress, socket: PeerTown.browserSocket)], tag: 1),
      audioSource: 0xB0, videoSource: 0xB1, canonicalName: "browser")
    configuration.takesPictures = browserTakesPictures
    browser = PeerConnection(configuration, browserMaker, &turn)
    var ice = ICEConfiguration(
      gatewayMode, role: .controlled,
      bases: [ICEBase(.udp, local: PeerTown.gatewayAddress, socket: PeerTown.gatewaySocket)], tag: 2)
    ice.facingLite = facingLite
    gateway = PeerConnection(
      PeerConfiguration(
        ice: ice, audioSource: 0xA0, videoSource: 0xA1, canonicalName: "gateway"),
      gatewayMaker, &turn)
  }

  func connection(_ side: Side) -> PeerConnection { side == .browser ? browser : gateway }
  private func own(_ side: Side) -> Endpoint {
    side == .browser ? PeerTown.browserAddress : PeerTown.gatewayAddress
  }

  /// Lets one side do something, and carries what it sends.
  @discardableResult
  func turn<Result, Failure: Error>(
    _ side: Side, _ body: (PeerConnection, inout Turn) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    var turn = Turn(now: now, random: random.fork())
    let result = try body(connection(side), &turn)
    finish(side, &turn)
    return result
  }

  private func finish(_ side: Side, _ turn: inout Turn) {
    for entry in turn.out.entries {
      let bytes = Array(turn.out.bytes[entry.range])
      post(bytes, from: own(side), to: side == .browser ? .gateway : .browser)
    }
    while let event = connection(side).next() { events[side, default: []].append(event) }
  }

  /// Puts a datagram on the network, as from `from`.
  func post(_ bytes: [UInt8], from: Endpoint, to: Side) {
    for _ in 0..<(random.below(100) < weather.duplication ? 2 : 1) {
      number += 1
      let jitter = Interval.nanoseconds(Int64(random.below(UInt64(weather.jitter.nanoseconds + 1))))
      let parcel = Parcel(
        at: now + weather.delay + jitter, number: number, to: to, from: from, bytes: bytes)
      sent.append(parcel)
      if random.below(100) < weather.loss { continue }
      parcels.append(parcel)
    }
  }

  /// Sends one sound or picture packet of a side; false when it may not.
  @discardableResult
  func speak(_ side: Side, payloadType: UInt8, sequence: UInt16, source: UInt32, _ payload: [UInt8]) -> Bool {
    let header: [UInt8] =
      [0x80, payloadType, UInt8(sequence >> 8), UInt8(sequence & 255), 0, 0, 0, 0]
      + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: source >> UInt32($0)) }
    return speak(side, header, payload)
  }

  @discardableResult
  func speak(_ side: Side, _ header: [UInt8], _ payload: [UInt8]) -> Bool {
    turn(side) { connection, turn in
      var buffer = [UInt8](repeating: 0, count: 1500)
      var room = buffer.mutableSpan
      let length = connection.protect(header.span, payload.span, into: &room)
      guard length > 0 else { return false }
      return connection.send(buffer.span.extracting(0..<length), &turn)
    }
  }

  @discardableResult
  func report(_ side: Side, _ compound: [UInt8]) -> Bool {
    turn(side) { connection, turn in
      var buffer = [UInt8](repeating: 0, count: 1500)
      var room = buffer.mutableSpan
      let length = connection.protectControl(compound.span, into: &room)
      guard length > 0 else { return false }
      return connection.send(buffer.span.extracting(0..<length), &turn)
    }
  }

  /// Runs until nothing happens for `limit`, or `done` says so.
  func run(for limit: Interval = .seconds(40), until done: (PeerTown) -> Bool = { _ in false }) {
    let end = now + limit
    while !done(self) {
      let parcel = parcels.min { ($0.at, $0.number) < ($1.at, $1.number) }
      let deadline = [browser.nextDeadline, gateway.nextDeadline].compactMap { $0 }.min()
      guard let next = [parcel?.at, deadline].compactMap({ $0 }).min(), next <= end else { break }
      if next > now { whenIdle() }
      now = max(now, next)
      if let parcel, parcel.at <= now {
        parcels.removeAll { $0.number == parcel.number }
        deliver(parcel)
      } else {
        for side in [Side.browser, .gateway] {
          guard let due = connection(side).nextDeadline, due <= now else { continue }
          turn(side) { connection, turn in
            var steps = side == .gateway ? max(1, handshakes) : 8
            connection.advance(&turn, handshakes: &steps)
          }
        }
      }
    }
    if !done(self) { now = max(now, end) }
  }

  private func deliver(_ parcel: Parcel) {
    let socket = parcel.to == .browser ? PeerTown.browserSocket : PeerTown.gatewaySocket
    let flow = Flow(.udp, local: own(parcel.to), remote: parcel.from, socket: socket)
    let reading = turn(parcel.to) { connection, turn in
      var steps = parcel.to == .gateway ? handshakes : 8
      return connection.receive(parcel.bytes.span, on: flow, &turn, handshakes: &steps)
    }
    switch reading {
    case .nothing: break
    case .rtp(_, let length), .rtcp(let length):
      let plain = Array(connection(parcel.to).plain[..<length])
      arrivals[parcel.to, default: []].append(Arrival(reading: reading, plain: plain))
    }
  }

  var isConnected: Bool { browser.isReady && gateway.isReady }
}

/// What the tests negotiate.
enum Wanted {
  static let audio = PeerMedia([.pcma, .pcmu, .telephoneEvent(101)], .sendrecv)
  static let picture = PeerMedia(
    [
      Format(
        payloadType: 102, encoding: "H264", clockRate: 90_000,
        parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
    ], .sendrecv)
}

extension PeerTown {
  /// The browser offers, the gateway answers; by text, as over a wire.
  func browserCalls(audio: PeerMedia = Wanted.audio, video: PeerMedia? = nil, answerVideo: PeerMedia? = nil)
    throws
  {
    let offer = turn(.browser) { browser, turn in browser.createOffer(audio: audio, video: video, &turn) }
    try gateway.setRemote(offer: try SessionDescription(parsing: offer.bytes))
    let answer = try turn(.gateway) { (gateway, turn) throws(PeerRefusal) in
      try gateway.createAnswer(audio: gateway.offered(.audio), video: answerVideo, &turn)
    }
    let read = try SessionDescription(parsing: answer.bytes)
    try turn(.browser) { (browser, turn) throws(PeerRefusal) in try browser.setRemote(answer: read, &turn) }
    turn(.browser) { browser, turn in browser.gather(&turn) }
  }

  /// The gateway offers, the browser answers.
  func gatewayCalls(video: PeerMedia? = nil) throws {
    let offer = turn(.gateway) { gateway, turn in
      gateway.createOffer(audio: Wanted.audio, video: video, &turn)
    }
    try browser.setRemote(offer: try SessionDescription(parsing: offer.bytes))
    let answer = try turn(.browser) { (browser, turn) throws(PeerRefusal) in
      var picture = browser.offered(.video)
      picture?.direction = .recvonly
      return try browser.createAnswer(audio: browser.offered(.audio), video: picture, &turn)
    }
    let read = try SessionDescription(parsing: answer.bytes)
    try turn(.gateway) { (gateway, turn) throws(PeerRefusal) in try gateway.setRemote(answer: read, &turn) }
    turn(.browser) { browser, turn in browser.gather(&turn) }
  }
}

extension PeerTown {
  /// Takes everything that is DTLS off the network.
  func dropHandshakes() { parcels.removeAll { $0.bytes.first == 22 } }
}
