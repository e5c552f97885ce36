import RTP
import RTSP
import Testing
import Wire

private let start = Instant(nanoseconds: 5_000_000_000)

// Spans cannot pass through a test's macros.
extension MediaReception {
  fileprivate mutating func take(_ packet: [UInt8]) -> Arrival { receive(packet.span, at: start) }
  fileprivate mutating func isEnded(by compound: [UInt8]) -> Bool { receiveControl(compound.span, at: start) }
  /// The number of the next packet that was held.
  fileprivate mutating func takeNumber(at now: Instant) -> UInt16? {
    takeHeld(at: now).map { UInt16($0[2]) << 8 | UInt16($0[3]) }
  }
}
extension AudioUnits {
  fileprivate mutating func take(_ payload: [UInt8], _ timestamp: UInt32 = 0) -> [[UInt8]] {
    receive(payload.span, timestamp: timestamp)
  }
}

/// The packets of a compound.
private func packets(_ compound: [UInt8]) throws -> [ControlPacket] {
  var reader = ControlReader()
  var result: [ControlPacket] = []
  while let packet = try reader.next(in: compound.span) { result.append(packet) }
  return result
}

@Suite struct MediaReceptionTests {
  private func reception(ordered: Bool = false) -> MediaReception {
    MediaReception(
      track: RTSPTrack(coding: .h264(parameterSets: []), payloadType: 96, clockRate: 90_000, control: ""),
      isOrdered: ordered, ownSSRC: 7, name: Array("us".utf8))
  }

  private func packet(_ sequence: UInt16, timestamp: UInt32 = 0, ssrc: UInt32 = 9, type: UInt8 = 96)
    -> [UInt8]
  {
    let bytes = PacketHeader(payloadType: type, sequence: sequence, timestamp: timestamp, ssrc: ssrc).bytes
    var result: [UInt8] = []
    for index in bytes.indices { result.append(bytes[index]) }
    return result + [0x41, 0]
  }

  /// Feeds numbers and says in which order they come out.
  private func order(_ numbers: [UInt16], _ reception: inout MediaReception, at now: Instant = start)
    -> [UInt16]
  {
    var result: [UInt16] = []
    for number in numbers {
      if case .deliver(let header) = reception.receive(packet(number).span, at: now) {
        result.append(header.sequence)
      }
      while let held = reception.takeNumber(at: now) { result.append(held) }
    }
    return result
  }

  @Test func datagramsArePutIntoOrder() {
    var reception = reception()
    #expect(order([65_534, 0, 65_535, 2, 1, 1, 3], &reception) == [65_534, 65_535, 0, 1, 2, 3])
    #expect(reception.nextDeadline == nil)
    #expect(reception.dropped == 1)
  }

  @Test func whatNeverComesIsGivenUp() {
    var reception = reception()
    #expect(order([1, 3, 4], &reception) == [1])
    #expect(reception.nextDeadline == start + .milliseconds(60))
    #expect(reception.takeNumber(at: start + .milliseconds(59)) == nil)
    #expect(reception.takeNumber(at: start + .milliseconds(60)) == 3)
    #expect(reception.takeNumber(at: start + .milliseconds(60)) == 4)
    #expect(order([2, 5], &reception) == [5])
  }

  @Test func aConnectionsGapsAreNotWaitedFor() {
    var reception = reception(ordered: true)
    #expect(order([1, 3, 4], &reception) == [1, 3, 4])
  }

  @Test func heldPacketsAreBounded() {
    var reception = reception()
    let result = order([0] + (2..<400).map { UInt16($0) }, &reception)
    #expect(result.first == 0)
    #expect(result.count > 200)
    #expect(result == result.sorted())
  }

  @Test func anotherSourceIsBelievedWhenItGoesOn() {
    var reception = reception()
    #expect(order([1, 2], &reception) == [1, 2])
    for number: UInt16 in 50..<53 {
      #expect(reception.take(packet(number, ssrc: 10)) == .dropped)
    }
    if case .deliver = reception.take(packet(53, ssrc: 10)) {} else { Issue.record("refused") }
    #expect(reception.ssrc == 10)
    #expect(reception.take(packet(3)) == .dropped)
  }

  @Test func oneStrayPacketChangesNothing() {
    var reception = reception()
    _ = order([1], &reception)
    for number: UInt16 in 2..<40 {
      #expect(reception.take(packet(9000 + number, ssrc: 1000 + UInt32(number))) == .dropped)
      if case .deliver = reception.take(packet(number)) {} else { Issue.record("lost") }
    }
    #expect(reception.ssrc == 9)
  }

  @Test func aPayloadTypeThatTheDescriptionGotWrongIsLearnt() {
    var reception = reception()
    for number: UInt16 in 0..<3 {
      #expect(reception.take(packet(number, type: 97)) == .dropped)
    }
    if case .deliver = reception.take(packet(3, type: 97)) {} else { Issue.record("refused") }
    #expect(reception.payloadType == 97)
  }

  @Test func reportsTellWhatWasLost() throws {
    var reception = reception()
    let empty = reception.report(at: start)
    #expect(Array(empty[..<8]) == [0x80, 201, 0, 1, 0, 0, 0, 7])
    _ = order([1, 2, 3, 5], &reception)
    let report = reception.report(at: start)
    let told = try packets(report)
    guard case .receiverReport(7, let blocks)? = told.first else {
      Issue.record("no report")
      return
    }
    #expect(blocks.map(\.ssrc) == [9])
    #expect(blocks[0].lost == 1)
    #expect(blocks[0].highest == 5)
    #expect(told.last == .description(ssrc: 7, name: Array("us".utf8)))
    let wishes = try packets(reception.keyFrameRequest(at: start)!)
    #expect(wishes.dropFirst(2) == [.pictureLoss(sender: 7, media: 9), .fullIntra(sender: 7, media: 9)])
  }

  @Test func aFarewellOfTheSourceIsHeard() {
    var reception = reception()
    _ = order([1], &reception)
    let bye: [UInt8] = [0x80, 201, 0, 1, 0, 0, 0, 9, 0x81, 203, 0, 1, 0, 0, 0, 9]
    #expect(reception.isEnded(by: bye) == true)
    let foreign: [UInt8] = [0x80, 201, 0, 1, 0, 0, 0, 9, 0x81, 203, 0, 1, 0, 0, 0, 8]
    #expect(reception.isEnded(by: foreign) == false)
  }

  @Test func theTimeOfCaptureFollowsTheFastestWay() {
    var reception = reception()
    #expect(reception.captured(0, at: start) == start)
    // 40 ms of pictures, 55 ms on the way: 15 ms are the network's.
    #expect(reception.captured(3600, at: start + .milliseconds(55)) == start + .milliseconds(40))
    // One that came sooner than the first shows that the first was late.
    #expect(reception.captured(7200, at: start + .milliseconds(70)) == start + .milliseconds(70))
    #expect(reception.captured(10_800, at: start + .milliseconds(120)) == start + .milliseconds(110))
    // A clock that jumps begins anew.
    #expect(reception.captured(4_000_000_000, at: start + .seconds(1)) == start + .seconds(1))
  }

  @Test func aSlowClockIsFollowed() {
    var reception = reception()
    // The camera counts 100 ppm too slowly for an hour: late by 360 ms if nobody followed.
    var latest = Interval.zero
    for second in 0..<3600 {
      let now = start + .nanoseconds(Int64(second) * 1_000_100_000)
      latest = now - reception.captured(UInt32(second) &* 90_000, at: now)
    }
    #expect(latest < .milliseconds(5))
  }
}

@Suite struct AudioUnitsTests {
  private var units: AudioUnits { AudioUnits(AACFormat(configuration: [], clockRate: 16_000, channels: 1)) }

  @Test func severalFramesOfOnePacketAreTakenApart() {
    var units = units
    // Two headers of 16 bits: sizes 3 and 2.
    let payload: [UInt8] = [0, 32, 0, 3 << 3, 0, 2 << 3, 1, 2, 3, 4, 5]
    #expect(units.take(payload) == [[1, 2, 3], [4, 5]])
  }

  @Test func aFrameInSeveralPacketsIsPutTogether() {
    var units = units
    #expect(units.take([0, 16, 0, 5 << 3, 1, 2], 9) == [])
    #expect(units.take([0, 16, 0, 5 << 3, 3, 4, 5], 9) == [[1, 2, 3, 4, 5]])
    // Without its beginning, or with another's, nothing is made up.
    #expect(units.take([0, 16, 0, 5 << 3, 1, 2], 10) == [])
    #expect(units.take([0, 16, 0, 2 << 3, 7, 8], 11) == [[7, 8]])
  }

  @Test func figuresThatDoNotFitGiveNothing() {
    var units = units
    for payload: [UInt8] in [
      [], [0], [0, 16], [0, 16, 0], [255, 255, 0, 8], [0, 16, 0, 0, 1], [0, 3, 8, 1],
    ] {
      #expect(units.take(payload) == [])
    }
  }
}
