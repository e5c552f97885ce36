import MediaPlane
import Wire

/// The media plane as a machine: legs opened, joined, told their peers and closed while anybody sends anything.
///
/// Keys of a leg whose keys are consumed never leave, closed legs give up their ports, and figures only grow.
final class PlaneHarness {
  private static let event: UInt8 = 101

  private let world = PaperWorld()
  private let plane: Plane
  private var script: Script
  private var legs: [LegPorts] = []
  private var sendsKeys = false
  private let translates: Bool

  static func run(_ bytes: [UInt8]) { PlaneHarness(bytes).run() }

  private init(_ bytes: [UInt8]) {
    script = Script(bytes)
    translates = script.below(4) == 0
    plane = Plane(
      world: world, ports: 40_000...40_031,
      configuration: MediaConfiguration(legs: 6, silentAfter: .seconds(20)))
  }

  private func run() {
    while !script.isAtEnd {
      step()
      while plane.next() != nil {}
    }
    for leg in legs { plane.close(leg.leg) }
    while plane.next() != nil {}
    precondition(plane.count == 0 && world.open.isEmpty, "a port stays open")
    if !translates, !sendsKeys { precondition(!world.sawKey, "a key that was consumed has left") }
  }

  private func peer(_ number: Int) -> Endpoint {
    Endpoint(IPAddress(v4: 0xC000_0264 + UInt32(number)), port: 5000 + UInt16(script.below(4)) * 2)
  }

  private func remote() -> RemoteStream {
    let formats = [
      StreamFormat(payloadType: 8, codec: .pcma), StreamFormat(payloadType: 0, codec: .pcmu),
      StreamFormat(payloadType: 9, codec: .g722, ptime: 20 + script.below(3) * 10),
      StreamFormat(payloadType: 111, codec: .other(name: "opus", fmtp: ""), clockRate: 48_000),
    ]
    let first = script.below(4)
    let rtp = peer(script.below(3))
    return RemoteStream(
      rtp: script.below(8) == 0 ? Endpoint(.anyV4, port: 0) : rtp, rtcpMux: script.below(2) == 0,
      signalledFrom: rtp.address, formats: Array(formats[first...]) + formats[..<script.below(first + 1)],
      telephoneEvent: script.below(3) == 0 ? nil : Self.event,
      direction: script.pick([.sendReceive, .sendReceive, .sendOnly, .receiveOnly, .inactive]))
  }

  private func step() {
    let operation = script.below(14)
    if operation == 0 || legs.isEmpty {
      let kinds = script.pick([LegSpec.Kinds.audio, .audioAndVideo])
      if let ports = try? plane.open(LegSpec(kinds: kinds, address: .loopbackV4)) { legs.append(ports) }
      // The script may name a leg only when there is one.
      guard !legs.isEmpty else { return }
    }
    let leg = script.pick(legs)
    switch operation {
    case 1:
      let video: RemoteStream? =
        leg.video == nil || script.below(2) == 0
        ? nil
        : RemoteStream(
          rtp: peer(3), signalledFrom: peer(3).address,
          formats: [
            StreamFormat(payloadType: 96, codec: .other(name: "H264", fmtp: ""), clockRate: 90_000)
          ])
      plane.setRemote(leg.leg, audio: script.below(8) == 0 ? nil : remote(), video: video)
    case 2:
      let other = script.pick(legs)
      if other.leg != leg.leg {
        plane.bridge(leg.leg, other.leg, keys: translates ? .translateBoth : .consumeBoth)
      }
    case 3: plane.unbridge(leg.leg)
    case 4:
      let before = plane.statistics(leg.leg)
      let after = plane.close(leg.leg)
      precondition((before == nil) == (after == nil), "a leg is and is not there")
      if script.below(2) == 0 { legs.removeAll { $0.leg == leg.leg } }
    case 5:
      plane.play(script.pick([.opened, .refused, .ringback, .tone(hertz: 1000), .silence]), on: leg.leg)
    case 6: plane.stopPlaying(on: leg.leg)
    case 7:
      sendsKeys = true
      _ = plane.sendKeys(script.line(), on: leg.leg)
    case 8: plane.page(from: leg.leg, to: legs.map(\.leg).filter { $0 != leg.leg })
    case 9:
      world.now = world.now + .milliseconds(Int64(script.byte()) * 20)
      plane.advance()
    case 10:
      let port = script.pick([leg.audio, leg.audioRTCP, leg.video ?? leg.audio])
      receive(script.slice(), port)
    case 11: plane.listen(for: 1000, on: leg.leg)
    default: packet(leg)
    }
    _ = plane.heard(on: leg.leg)
  }

  /// Voice, a key or a picture, as a peer would send it.
  private func packet(_ leg: LegPorts) {
    let type = script.pick([UInt8(8), 0, 9, 111, Self.event, 96])
    let mark: UInt8 = script.below(4) == 0 ? 0x80 : 0
    let number = script.byte()
    var bytes: [UInt8] = [
      0x80, mark | type, 0, number, 0, 0, number >> 4, number << 4, 1, 2, 3, UInt8(script.below(3)),
    ]
    if type == Self.event {
      bytes += [UInt8(script.below(18)), script.byte(), 0, 160]
    } else {
      bytes += [UInt8](repeating: 0x55, count: script.pick([0, 1, 80, 160, 161, 320]))
    }
    receive(bytes, type == 96 ? leg.video ?? leg.audio : leg.audio)
    world.now = world.now + .milliseconds(20)
  }

  private func receive(_ bytes: [UInt8], _ port: UInt16) {
    guard let socket = world.socket(port) else { return }
    plane.received(
      bytes.span, on: socket, from: peer(script.below(3)), to: Endpoint(.loopbackV4, port: port))
  }
}

/// A world of paper: time stands where it was put, and of what is sent only keys are remembered.
final class PaperWorld: World {
  var now = Instant(nanoseconds: 1_000_000_000)
  var wall = WallTime(seconds: 1_800_000_000)
  private(set) var open: [(id: SocketID, local: Endpoint)] = []
  private(set) var sawKey = false
  /// Whether what is sent is kept, and what was.
  var keeps = false
  private(set) var kept: [[UInt8]] = []
  private var lastIndex: UInt32 = 0
  private var random = Random(seed: 9)

  func localTime(at wall: WallTime, in zone: String) -> LocalTime? { nil }
  func makeRandom() -> Random { random.fork() }
  func hostAddresses() -> [IPAddress] { [.loopbackV4] }
  func openDatagram(_ local: Endpoint, _ options: DatagramOptions) throws(NetworkFailure) -> SocketID {
    guard !open.contains(where: { $0.local == local }) else { throw .addressInUse }
    lastIndex += 1
    let id = SocketID(Handle(index: lastIndex, generation: 1))
    open.append((id, local))
    return id
  }
  func listen(_ local: Endpoint) throws(NetworkFailure) -> SocketID { throw .notPermitted }
  func listen(path: String, mode: UInt32, group: String?) throws(NetworkFailure) -> SocketID {
    throw .notPermitted
  }
  func connect(_ remote: Endpoint) throws(NetworkFailure) -> SocketID { throw .notPermitted }
  func local(of socket: SocketID) -> Endpoint? { open.first { $0.id == socket }?.local }
  func send(_ datagram: Span<UInt8>, on socket: SocketID, to remote: Endpoint, from source: IPAddress?) {
    precondition(open.contains { $0.id == socket }, "something is sent on a socket that is closed")
    precondition(remote.port != 0 && !remote.address.isUnspecified, "something is sent to nowhere")
    // RTP at the number that only keys have here; RTCP has none of its own below 192.
    if datagram.count >= 12, datagram[1] & 0x7F == 101 { sawKey = true }
    if keeps { kept.append([UInt8](datagram)) }
    checkIndex([UInt8](datagram))
  }

  /// Under one number of a source leaves one packet, and if again, then byte for byte: under SRTP two would give both
  /// away.
  private func checkIndex(_ datagram: [UInt8]) {
    guard datagram.count >= 12, datagram[0] >> 6 == 2, !(192...223).contains(datagram[1]) else { return }
    let source = datagram[8..<12].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let sequence = UInt16(datagram[2]) << 8 | UInt16(datagram[3])
    let newest = newestIndex[source] ?? 1 << 16 + Int64(sequence)
    let index = newest + Int64(Int16(bitPattern: sequence &- UInt16(truncatingIfNeeded: newest)))
    newestIndex[source] = max(newest, index)
    let before = left.updateValue(datagram, forKey: PacketIndex(source: source, number: index))
    precondition(before == nil || before == datagram, "two packets leave under one index")
  }
  private struct PacketIndex: Hashable {
    var source: UInt32
    var number: Int64
  }
  private var newestIndex: [UInt32: Int64] = [:]
  private var left: [PacketIndex: [UInt8]] = [:]
  func write(_ bytes: Span<UInt8>, on stream: SocketID) -> Bool { false }
  func unsent(on stream: SocketID) -> Int { 0 }
  func setReading(_ reading: Bool, on stream: SocketID) {}
  func close(_ socket: SocketID, flushing: Bool) { open.removeAll { $0.id == socket } }
  func perform<Result: Sendable>(
    on lane: Lane, _ work: @escaping @Sendable () -> Result, then: @escaping (Result) -> Void
  ) { then(work()) }
  func resolve(_ query: NameQuery, then: @escaping ([ResolvedName]) -> Void) { then([]) }
  func stop() {}

  func forget() { kept.removeAll(keepingCapacity: true) }
  func socket(_ port: UInt16) -> SocketID? { open.first { $0.local.port == port }?.id }
}
