import MediaPlane
import RTP
import Testing
import Wire

let ourAddress = IPAddress(v4: 0x0A00_0001)
let stationAddress = IPAddress(v4: 0x0A00_0010)
let panelAddress = IPAddress(v4: 0x0A00_0020)
let strangerAddress = IPAddress(v4: 0x0A00_0066)

extension StreamFormat {
  static let pcma = StreamFormat(payloadType: 8, codec: .pcma)
  static let pcmu = StreamFormat(payloadType: 0, codec: .pcmu)
  static let g722 = StreamFormat(payloadType: 9, codec: .g722)
}

/// A plane with its world, and what tests ask of both.
struct Bench {
  let world = FakeWorld()
  let plane: Plane

  init(
    ports: ClosedRange<UInt16> = 40_000...40_099, _ configuration: MediaConfiguration = MediaConfiguration()
  ) {
    plane = Plane(world: world, ports: ports, configuration: configuration)
  }

  func leg(_ kinds: LegSpec.Kinds = .audio) throws -> LegPorts {
    try plane.open(LegSpec(kinds: kinds, address: ourAddress))
  }

  func remote(
    _ address: IPAddress, port: UInt16 = 5000, _ formats: [StreamFormat] = [.pcma], event: UInt8? = 101,
    direction: MediaDirection = .sendReceive
  ) -> RemoteStream {
    RemoteStream(
      rtp: Endpoint(address, port: port), signalledFrom: address, formats: formats, telephoneEvent: event,
      direction: direction)
  }

  /// A station and a panel that are joined.
  func call(
    _ station: [StreamFormat] = [.pcma], _ panel: [StreamFormat] = [.pcma], keys: KeyPolicy = .consumeBoth,
    panelEvent: UInt8? = 101
  ) throws -> (station: LegPorts, panel: LegPorts) {
    let a = try leg()
    let b = try leg()
    plane.setRemote(a.leg, audio: remote(stationAddress, station))
    plane.setRemote(b.leg, audio: remote(panelAddress, panel, event: panelEvent))
    plane.bridge(a.leg, b.leg, keys: keys)
    return (a, b)
  }

  /// A packet arrives at one of our ports.
  func arrive(_ bytes: [UInt8], at port: UInt16, from address: IPAddress, port source: UInt16 = 5000) {
    plane.received(
      bytes.span, on: world.socket(port), from: Endpoint(address, port: source),
      to: Endpoint(ourAddress, port: port))
  }

  /// Lets time pass, with everything that is due in it done at its moment.
  func pass(_ interval: Interval) {
    let end = world.now + interval
    while let deadline = plane.nextDeadline, deadline <= end {
      world.now = max(world.now, deadline)
      plane.advance()
    }
    world.now = end
    plane.advance()
  }

  func events() -> [MediaEvent] {
    var result: [MediaEvent] = []
    while let event = plane.next() { result.append(event) }
    return result
  }

  /// What left for an endpoint from an even port since the last time, with parsed heads.
  func heard(by address: IPAddress, port: UInt16 = 5000) -> [(head: PacketHeader, payload: [UInt8])] {
    var result: [(head: PacketHeader, payload: [UInt8])] = []
    for packet in world.sent where packet.to == Endpoint(address, port: port) && packet.port % 2 == 0 {
      guard !PacketHeader.looksLikeControl(packet.bytes.span),
        let head = try? PacketHeader(parsing: packet.bytes.span)
      else { continue }
      result.append((head, Array(packet.bytes[head.payload])))
    }
    return result
  }

  func forget() { world.sent = [] }
}

/// The bytes of a packet.
func packet(
  _ payloadType: UInt8, _ sequence: UInt16, _ timestamp: UInt32, ssrc: UInt32 = 0x1111, marker: Bool = false,
  _ payload: [UInt8] = [UInt8](repeating: 0xD5, count: 160)
) -> [UInt8] {
  let head = PacketHeader(
    payloadType: payloadType, sequence: sequence, timestamp: timestamp, ssrc: ssrc, marker: marker
  ).bytes
  return (0..<12).map { head[$0] } + payload
}

/// The packets of one press: updates, then the end three times.
func press(_ code: UInt8, payloadType: UInt8 = 101, from sequence: UInt16, _ timestamp: UInt32) -> [[UInt8]] {
  (0..<6).map { index in
    let event = TelephoneEvent(
      code: code, isEnd: index >= 3, duration: UInt16(min(index + 1, 3)) * 160
    ).bytes
    return packet(
      payloadType, sequence &+ UInt16(index), timestamp, marker: index == 0, (0..<4).map { event[$0] })
  }
}
