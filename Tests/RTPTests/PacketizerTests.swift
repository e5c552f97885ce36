import RTP
import Testing
import Wire

private let moment = Instant(nanoseconds: 5_000_000_000)

private func picture(_ units: [[UInt8]], isKey: Bool = false) -> AccessUnit {
  var bytes: [UInt8] = []
  var places: [Range<Int>] = []
  for unit in units {
    places.append(bytes.count..<bytes.count + unit.count)
    bytes += unit
  }
  return AccessUnit(bytes: bytes, units: places, timestamp: 90, captured: moment, isKey: isKey)
}

extension PicturePackets {
  fileprivate var parts: [[UInt8]] { payloads.map { Array(bytes[$0]) } }
}

@Suite struct PacketizerTests {
  @Test func smallUnitsLeaveAsTheyAre() {
    let packets = PicturePacketizer().packetize(
      picture([[0x41, 1, 2], [0x01, 3]]), as: .h264(nil), timestamp: 7)
    #expect(packets.parts == [[0x41, 1, 2], [0x01, 3]])
    #expect(packets.timestamp == 7)
    #expect(packets.captured == moment)
    #expect(packets.size == 5)
  }

  @Test func parameterSetsShareAPacketAndALongSliceIsCutEvenly() {
    let slice: [UInt8] = [0x65] + Array(0..<30)
    let packets = PicturePacketizer(limit: 16).packetize(
      picture([[0x67, 0x42, 0xE0], [0x68, 0xCE], slice], isKey: true), as: .h264(nil), timestamp: 7)
    // 30 bytes in parts of at most 14: three of ten.
    let expected: [[UInt8]] = [
      [0x78, 0, 3, 0x67, 0x42, 0xE0, 0, 2, 0x68, 0xCE], [0x7C, 0x85, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      [0x7C, 0x05, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19],
      [0x7C, 0x45, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29],
    ]
    #expect(packets.parts == expected)
    #expect(packets.isKey)
  }

  @Test func parameterSetsThatDoNotFitTogetherLeaveAlone() {
    let sets: [[UInt8]] = [
      [0x67] + [UInt8](repeating: 1, count: 9), [0x68] + [UInt8](repeating: 2, count: 9),
    ]
    #expect(PicturePacketizer(limit: 16).packetize(picture(sets), as: .h264(nil), timestamp: 0).parts == sets)
  }

  @Test func anyPictureComesOutAsItWentIn() {
    var random = Random(seed: 77)
    for round in 0..<150 {
      let limit = Int(16 + random.below(1200))
      let packetizer = PicturePacketizer(limit: limit)
      var machine = H264Depacketizer()
      let units = (0..<1 + Int(random.below(6))).map { _ -> [UInt8] in
        let type = [1, 5, 6, 7, 8, 9][Int(random.below(6))]
        let length = random.below(3) == 0 ? Int(random.below(9000)) : Int(random.below(60))
        return [UInt8(type) | 0x60] + (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      }
      let packets = packetizer.packetize(picture(units), as: .h264(nil), timestamp: 90)
      #expect(packets.payloads.allSatisfy { !$0.isEmpty && $0.count <= limit })
      var result: AccessUnit?
      for (index, payload) in packets.parts.enumerated() {
        // All fragments of a unit are equal, but a shorter last one.
        if index > 0, payload[0] & 0x1F == 28, payload[1] & 0x80 == 0 {
          #expect(payload.count <= packets.parts[index - 1].count)
          if payload[1] & 0x40 == 0 { #expect(payload.count == packets.parts[index - 1].count) }
        }
        result = machine.receive(
          header: PacketHeader(
            payloadType: 96, sequence: UInt16(index), timestamp: 90, ssrc: 1,
            marker: index == packets.payloads.count - 1),
          payload: payload.span, now: moment)
      }
      #expect(result?.units.map { Array(result!.bytes[$0]) } == units, "round \(round)")
      #expect(packets.unit == result, "round \(round)")
    }
  }

  @Test func framesOfVP8BeginWithTheirFirstPacket() {
    let packets = PicturePacketizer(limit: 16).packetize(
      picture([Array(0..<40)], isKey: true), as: .vp8, timestamp: 1)
    // Forty bytes in parts of at most fifteen: three, the last one shorter.
    let expected: [[UInt8]] = [[0x10] + Array(0..<14), [0] + Array(14..<28), [0] + Array(28..<40)]
    #expect(packets.parts == expected)
  }
}

@Suite struct PacketHeadTests {
  @Test func extensionsStandInTheirShortForm() throws {
    var ids = ExtensionIDs()
    ids[.mid] = 4
    ids[.sendTime] = 2
    ids[.transportSequence] = 3
    ids[.playoutDelay] = 5
    ids.mid = [0x31]
    var content = PacketHead.Content()
    content.sendTime = 0x01_0203
    content.isFull = true
    var head = PacketHead()
    head.begin(ssrc: 0x0A0B_0C0D, timestamp: 0x1112_1314, ids, content)
    head.set(payloadType: 108, sequence: 0x2122, marker: true, transport: 0x3132)
    #expect(
      head.bytes == [
        0x90, 0xEC, 0x21, 0x22, 0x11, 0x12, 0x13, 0x14, 0x0A, 0x0B, 0x0C, 0x0D, 0xBE, 0xDE, 0, 4, 0x31, 0x31,
        0x32, 0x22, 1, 2, 3, 0x40, 0x31, 0x52, 0, 0, 20, 0, 0, 0,
      ])
    let read = try PacketHeader(parsing: head.bytes.span)
    #expect(read.payload.isEmpty)
    content.isFull = false
    head.begin(ssrc: 1, timestamp: 2, ids, content)
    #expect(head.bytes.count == 24)
    head.begin(ssrc: 1, timestamp: 2, ExtensionIDs(), content)
    head.set(payloadType: 96, sequence: 1, marker: false, transport: 9)
    #expect(head.bytes == [0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1])
  }

  @Test func numbersBeyondTheShortFormCountAsNone() {
    var ids = ExtensionIDs()
    ids[.mid] = 15
    #expect(ids[.mid] == 0)
    ids[.mid] = 14
    #expect(ids[.mid] == 14)
  }
}

/// Writes what `H264Parameters` reads.
private struct BitWriter {
  var bytes: [UInt8] = []
  private var used = 0

  mutating func bits(_ value: Int, _ count: Int) {
    for place in (0..<count).reversed() {
      if used % 8 == 0 { bytes.append(0) }
      bytes[used / 8] |= UInt8(value >> place & 1) << UInt8(7 - used % 8)
      used += 1
    }
  }
  mutating func golomb(_ value: Int) {
    let length = Int.bitWidth - (value + 1).leadingZeroBitCount
    bits(0, length - 1)
    bits(value + 1, length)
  }
}

@Suite struct ReorderingTests {
  /// Main profile, 320 by 240; `frames`: what its usability information says may be reordered, nil for none.
  private func parameters(reordered frames: Int?, order: Int = 0, profile: UInt8 = 77) -> H264Parameters? {
    var writer = BitWriter()
    writer.golomb(0)
    writer.golomb(0)
    writer.golomb(order)
    if order == 0 { writer.golomb(4) }
    writer.golomb(1)
    writer.bits(0, 1)
    writer.golomb(19)
    writer.golomb(14)
    writer.bits(0b110, 3)
    if let frames {
      writer.bits(1, 1)
      // Aspect ratio spelled out, overscan, signal with colour, chroma place, timing, both kinds of buffers.
      writer.bits(1, 1)
      writer.bits(255, 8)
      writer.bits(4, 16)
      writer.bits(3, 16)
      writer.bits(0b11, 2)
      writer.bits(1, 1)
      writer.bits(0b1011, 4)
      writer.bits(1, 1)
      writer.bits(0x010101, 24)
      writer.bits(1, 1)
      writer.golomb(0)
      writer.golomb(0)
      writer.bits(1, 1)
      writer.bits(1, 32)
      writer.bits(50, 32)
      writer.bits(1, 1)
      for _ in 0..<2 {
        writer.bits(1, 1)
        writer.golomb(0)
        writer.bits(0, 8)
        writer.golomb(100)
        writer.golomb(200)
        writer.bits(0, 1)
        writer.bits(0, 20)
      }
      writer.bits(0, 1)
      writer.bits(0, 1)
      writer.bits(1, 1)
      writer.bits(1, 1)
      for value in [0, 0, 10, 10, frames, 4] { writer.golomb(value) }
    } else {
      writer.bits(0, 1)
    }
    writer.bits(1, 1)
    var escaped: [UInt8] = []
    var zeros = 0
    for byte in writer.bytes {
      if zeros >= 2, byte <= 3 {
        escaped.append(3)
        zeros = 0
      }
      zeros = byte == 0 ? zeros + 1 : 0
      escaped.append(byte)
    }
    return H264Parameters(sps: [0x67, profile, 0x40, 30] + escaped, pps: [0x68])
  }

  @Test func theSetsTellWhetherPicturesAreReordered() throws {
    #expect(try #require(parameters(reordered: 2)).reorders)
    #expect(!(try #require(parameters(reordered: 0)).reorders))
    #expect(!(try #require(parameters(reordered: nil)).reorders))
    #expect(!(try #require(parameters(reordered: 2, order: 2)).reorders))
    #expect(!(try #require(parameters(reordered: 2, profile: 66)).reorders))
    let read = try #require(parameters(reordered: 2))
    #expect(read.width == 320 && read.height == 240)
    #expect(read.profileLevelID == "4d401e")
  }

  @Test func slicesTellTheirKind() {
    // first_mb 0, slice type 6 (B), 5 (P), 7 (I); and a cut one.
    #expect(picture([[0x41, 0b1001_1100]]).hasBidirectionalSlices)
    #expect(!picture([[0x41, 0b1001_1000]]).hasBidirectionalSlices)
    #expect(picture([[0x06, 0], [0x01, 0b1010_0000]]).hasBidirectionalSlices)
    #expect(!picture([[0x65, 0b1000_1000]]).hasBidirectionalSlices)
    #expect(!picture([[0x41, 0]]).hasBidirectionalSlices)
  }
}
