import RTP
import Testing
import Wire

private let start = Instant(nanoseconds: 1_000_000_000)

/// One payload as a packet.
private struct Packet {
  var sequence: UInt16
  var timestamp: UInt32
  var marker: Bool
  var payload: [UInt8]

  init(_ sequence: UInt16, _ timestamp: UInt32, _ payload: [UInt8], marker: Bool = false) {
    self.sequence = sequence
    self.timestamp = timestamp
    self.marker = marker
    self.payload = payload
  }
}

extension H264Depacketizer {
  fileprivate mutating func take(_ packet: Packet) -> AccessUnit? {
    receive(
      header: PacketHeader(
        payloadType: 96, sequence: packet.sequence, timestamp: packet.timestamp, ssrc: 1,
        marker: packet.marker),
      payload: packet.payload.span, now: start + .milliseconds(Int64(packet.sequence & 0xFF)))
  }
  fileprivate mutating func take(_ packets: [Packet]) -> [AccessUnit] { packets.compactMap { take($0) } }
}

extension AccessUnit {
  fileprivate var parts: [[UInt8]] { units.map { Array(bytes[$0]) } }
}

@Suite struct H264DepacketizerTests {
  @Test func singleUnitsAggregatesAndFragmentsMakeOnePicture() {
    var machine = H264Depacketizer()
    let pictures = machine.take([
      Packet(65_534, 90, [0x78, 0, 3, 0x67, 0x42, 0xE0, 0, 2, 0x68, 0xCE]), Packet(65_535, 90, [0x06, 5, 1]),
      Packet(0, 90, [0x7C, 0x85, 1, 2]), Packet(1, 90, [0x7C, 0x05, 3]),
      Packet(2, 90, [0x7C, 0x45, 4], marker: true), Packet(3, 3690, [0x41, 9], marker: true),
    ])
    #expect(pictures.count == 2)
    #expect(pictures[0].parts == [[0x67, 0x42, 0xE0], [0x68, 0xCE], [0x06, 5, 1], [0x65, 1, 2, 3, 4]])
    #expect(pictures[0].isKey)
    #expect(pictures[0].timestamp == 90)
    #expect(pictures[0].captured == start + .milliseconds(254))
    #expect(pictures[1].parts == [[0x41, 9]])
    #expect(!pictures[1].isKey)
    #expect(machine.losses == 0)
  }

  @Test func aPictureEndsWhereTheNextTimeBegins() {
    var machine = H264Depacketizer()
    let pictures = machine.take([
      Packet(1, 0, [0x65, 1]), Packet(2, 3600, [0x41, 2], marker: true),
      Packet(3, 7200, [0x41, 3], marker: true),
      Packet(4, 10_800, [0x41, 4], marker: true),
    ])
    // One is told a packet: what waits is told with the next.
    #expect(pictures.map { $0.timestamp } == [0, 3600, 7200])
  }

  @Test func aLossTakesThePictureItHits() {
    var machine = H264Depacketizer()
    let pictures = machine.take([
      Packet(1, 0, [0x7C, 0x85, 1]), Packet(3, 0, [0x7C, 0x45, 4], marker: true),
      Packet(4, 3600, [0x41, 2], marker: true),
    ])
    #expect(pictures.map { $0.timestamp } == [3600])
    #expect(machine.losses == 1)
    // The end of one and the beginning of the next are both lost: neither is made up.
    var other = H264Depacketizer()
    let rest = other.take([
      Packet(1, 0, [0x41, 1]), Packet(4, 3600, [0x41, 2], marker: true),
      Packet(5, 7200, [0x41, 3], marker: true),
    ])
    #expect(rest.map { $0.timestamp } == [7200])
  }

  @Test(
    arguments: [
      [0x78, 0, 9, 0x67], [0x78, 0, 0], [0x7C, 0x85], [0x7C, 0x05, 1], [0x1D, 0, 0, 1], [0x00, 1], [0x1F, 1],
    ] as [[UInt8]])
  func whatCannotBeReadIsLoss(payload: [UInt8]) {
    var machine = H264Depacketizer()
    #expect(machine.take(Packet(1, 0, payload, marker: true)) == nil)
    #expect(machine.losses > 0)
    #expect(machine.take(Packet(2, 1, [0x65, 1], marker: true))?.isKey == true)
  }

  @Test func aPictureWithoutEndIsBounded() {
    var machine = H264Depacketizer()
    var number: UInt16 = 0
    let piece: [UInt8] = [0x7C, 0x05] + Array(repeating: 7, count: 60_000)
    _ = machine.take(Packet(0, 0, [0x7C, 0x85, 1]))
    for _ in 0..<100 {
      number += 1
      _ = machine.take(Packet(number, 0, piece))
    }
    #expect(machine.losses > 0)
    #expect(machine.take(Packet(number + 1, 0, [0x7C, 0x45, 1], marker: true)) == nil)
  }
}

@Suite struct H264ParametersTests {
  private let pps: [UInt8] = [0x68, 0xCB, 0x83, 0xCB, 0x20]

  @Test func sizesAreThoseThatAreShown() {
    // libx264's, baseline and high; the last is 322 by 242 and cropped.
    let small: [UInt8] = [
      0x67, 0x42, 0xC0, 0x0D, 0xD9, 0x01, 0x41, 0xFB, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00,
      0x03, 0x03,
      0x20, 0xF1, 0x42, 0xA4, 0x80,
    ]
    let high: [UInt8] = [
      0x67, 0x64, 0x00, 0x1E, 0xAC, 0xD9, 0x40, 0xA0, 0x2F, 0xF9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01,
      0x00, 0x00,
      0x03, 0x00, 0x32, 0x0F, 0x16, 0x2D, 0x96,
    ]
    let odd: [UInt8] = [
      0x67, 0x42, 0xC0, 0x0D, 0xD9, 0x01, 0x50, 0x87, 0x88, 0x88, 0xC0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04,
      0x00, 0x00,
      0x03, 0x00, 0xC8, 0x3C, 0x50, 0xA9, 0x20,
    ]
    let sizes = [small, high, odd].map { H264Parameters(sps: $0, pps: pps).map { [$0.width, $0.height] } }
    #expect(sizes == [[320, 240], [640, 360], [322, 242]])
    let parameters = H264Parameters(sps: high, pps: pps)
    #expect(parameters?.profile == 100)
    #expect(parameters?.level == 30)
  }

  @Test func whatIsCutOffOrAbsurdIsRefused() {
    let whole: [UInt8] = [0x67, 0x42, 0xE0, 0x1F, 0xDA, 0x01, 0x40, 0x16, 0xEC, 0x44]
    #expect(H264Parameters(sps: whole, pps: pps)?.width == 1280)
    for count in 0..<8 { #expect(H264Parameters(sps: Array(whole[..<count]), pps: pps) == nil) }
    #expect(H264Parameters(sps: [0x68] + whole.dropFirst(), pps: pps) == nil)
    #expect(
      H264Parameters(sps: [0x67, 0x42, 0xC0, 0x0D, 0xF8, 0x00, 0x10, 0x00, 0x3F, 0xFF], pps: pps) == nil)
    #expect(H264Parameters(sps: [0x67, 0x42, 0, 0] + Array(repeating: 0, count: 64), pps: pps) == nil)
  }
}
