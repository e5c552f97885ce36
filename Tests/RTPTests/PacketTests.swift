import RTP
import Testing
import Wire

@Suite struct PacketTests {
  @Test func aPlainHeaderIsReadByteForByte() throws {
    let bytes: [UInt8] = [0x80, 0x88, 0x12, 0x34, 0, 0, 0, 160, 0xDE, 0xAD, 0xBE, 0xEF, 1, 2, 3]
    let header = try PacketHeader(parsing: bytes.span)
    #expect(header.marker)
    #expect(header.payloadType == 8)
    #expect(header.sequence == 0x1234)
    #expect(header.timestamp == 160)
    #expect(header.ssrc == 0xDEAD_BEEF)
    #expect(header.payload == 12..<15)
    let written = header.bytes
    for index in 0..<12 { #expect(written[index] == bytes[index]) }
  }

  @Test func contributorsExtensionAndPaddingAreSteppedOver() throws {
    let bytes: [UInt8] =
      [0xB1, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3] + [9, 9, 9, 9] + [0xBE, 0xDE, 0, 1, 7, 7, 7, 7]
      + [0xAA, 0xBB] + [0, 2]
    let header = try PacketHeader(parsing: bytes.span)
    #expect(header.contributors == 1)
    #expect(header.extensionProfile == 0xBEDE)
    #expect(header.extensionData == 20..<24)
    #expect(header.payload == 24..<26)
  }

  @Test func everyLengthThatLiesIsRefused() {
    func error(_ bytes: [UInt8]) -> PacketError? {
      do {
        _ = try PacketHeader(parsing: bytes.span)
        return nil
      } catch { return error }
    }
    let tail: [UInt8] = [0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]
    #expect(error([]) == .tooShort)
    #expect(error(Array(repeating: 0x80, count: 11)) == .tooShort)
    #expect(error([0x40] + tail) == .version)
    #expect(error([0x81] + tail) == .contributors)
    #expect(error([0x90] + tail) == .headerExtension)
    #expect(error([0x90] + tail + [0, 0, 0, 1]) == .headerExtension)
    #expect(error([0xA0] + tail + [0]) == .padding)
    #expect(error([0xA0] + tail + [2]) == .padding)
    #expect(error([0xA0] + tail + [1]) == nil)
    #expect(error([0x80] + tail) == nil)
  }

  @Test func randomBytesNeverTrap() {
    var random = Random(seed: 4)
    for _ in 0..<20_000 {
      var bytes = random.bytes(Int(random.below(80)))
      if !bytes.isEmpty, random.below(4) > 0 { bytes[0] = 0x80 | bytes[0] & 0x3F }
      if bytes.count > 3, random.below(2) > 0 {
        bytes[1] = 200 + UInt8(random.below(8))
        bytes[2] = 0
        bytes[3] &= 15
      }
      _ = try? PacketHeader(parsing: bytes.span)
      var reader = ControlReader()
      while let packet = try? reader.next(in: bytes.span) { _ = packet }
      _ = TelephoneEvent(parsing: bytes.span, at: 0..<bytes.count)
    }
  }
}

@Suite struct ControlTests {
  @Test func whatIsWrittenIsReadAgain() throws {
    let block = ReportBlock(
      ssrc: 7, fractionLost: 25, lost: -2, highest: 0x1_0005, jitter: 40, lastReport: 5, delay: 65_536)
    let information = SenderInformation(ntp: 0x0102_0304_0506_0708, timestamp: 9, packets: 10, octets: 11)
    var writer = ControlWriter()
    writer.senderReport(ssrc: 1, information, block)
    writer.description(ssrc: 1, name: Array("gate".utf8))
    writer.pictureLoss(sender: 1, media: 2)
    writer.fullIntra(sender: 1, media: 3, sequence: 4)
    writer.bye(ssrc: 1)
    #expect(writer.bytes.count % 4 == 0)
    var reader = ControlReader()
    var packets: [ControlPacket] = []
    while let packet = try reader.next(in: writer.bytes.span) { packets.append(packet) }
    #expect(
      packets == [
        .senderReport(ssrc: 1, information, [block]), .description(ssrc: 1, name: Array("gate".utf8)),
        .pictureLoss(sender: 1, media: 2), .fullIntra(sender: 1, media: 3), .bye([1]),
      ])
  }

  @Test func aReceiverReportIsTheseBytes() {
    var writer = ControlWriter()
    writer.receiverReport(ssrc: 0x0102_0304, nil)
    #expect(writer.bytes == [0x80, 201, 0, 1, 1, 2, 3, 4])
    writer.description(ssrc: 0x0102_0304, name: [0x61])
    #expect(
      writer.bytes == [0x80, 201, 0, 1, 1, 2, 3, 4, 0x81, 202, 0, 2, 1, 2, 3, 4, 1, 1, 0x61, 0])
  }

  @Test func aCompoundThatRunsOverItsEndIsRefusedThere() throws {
    let bytes: [UInt8] = [0x80, 201, 0, 1, 1, 2, 3, 4, 0x81, 203, 0, 9, 1, 2, 3, 4]
    var reader = ControlReader()
    #expect(try reader.next(in: bytes.span) == .receiverReport(ssrc: 0x0102_0304, []))
    #expect(throws: ControlError.length) { try reader.next(in: bytes.span) }
    var other = ControlReader()
    #expect(throws: ControlError.beginning) { try other.next(in: [0x81, 203, 0, 1, 0, 0, 0, 1].span) }
  }
}

@Suite struct ReceptionTests {
  private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

  @Test func lossIsCountedOverTheWrapOfTheSequence() {
    var reception = Reception(clockRate: 8000)
    for (index, sequence) in [65_534, 65_535, 0, 2, 3].enumerated() {
      reception.receive(
        sequence: UInt16(sequence), timestamp: UInt32(index) * 160, at: at(Int64(index) * 20))
    }
    #expect(reception.expected == 6)
    #expect(reception.lost == 1)
    let block = reception.report(about: 5, at: at(100))
    #expect(block.fractionLost == 42)
    #expect(block.lost == 1)
    #expect(block.highest == 0x1_0003)
    #expect(reception.report(about: 5, at: at(120)).fractionLost == 0)
  }

  @Test func jitterFollowsTheFormulaOfTheRFC() {
    var reception = Reception(clockRate: 8000)
    reception.receive(sequence: 1, timestamp: 0, at: at(0))
    reception.receive(sequence: 2, timestamp: 160, at: at(30))
    // 10 ms late are 80 ticks: J = 80 / 16.
    #expect(reception.jitterTicks == 5)
    for index in 3...400 {
      reception.receive(
        sequence: UInt16(index), timestamp: UInt32(index - 1) * 160, at: at(Int64(index) * 20))
    }
    #expect(reception.jitterTicks == 0)
  }

  @Test func aSourceThatStartsAgainIsNotAMillionLost() {
    var reception = Reception(clockRate: 8000)
    for sequence: UInt16 in [10, 11, 12, 40_000, 40_001, 40_002] {
      reception.receive(sequence: sequence, timestamp: 0, at: at(0))
    }
    #expect(reception.lost == 0)
    #expect(reception.expected == 6)
  }

  @Test func theRoundTripIsWhatTheReportsTell() {
    let sent = at(10_000)
    let block = ReportBlock(
      ssrc: 1, fractionLost: 0, lost: 0, highest: 0, jitter: 0,
      lastReport: UInt32(truncatingIfNeeded: sent.ntp >> 16), delay: 65_536)
    let trip = block.roundTrip(at: at(11_050))
    #expect(trip.map { abs($0.nanoseconds - 50_000_000) < 100_000 } == true)
    #expect(block.roundTrip(at: at(10_900)) == nil)
  }
}

@Suite struct TimelineTests {
  private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }
  private func timeline() -> Timeline { Timeline(ssrc: 1, sequence: 1000, timestamp: 5000, clockRate: 8000) }

  @Test func aNewSourceGoesOnWhereTheOldOneEnded() {
    var line = timeline()
    let first = line.relay(from: 5, sequence: 65_535, timestamp: 100, at: at(0))
    #expect(first == Stamp(sequence: 1000, timestamp: 5000, isNewTalk: false))
    #expect(line.relay(from: 5, sequence: 0, timestamp: 260, at: at(20))?.sequence == 1001)
    // The other source begins 20 ms later somewhere else.
    let other = line.relay(from: 6, sequence: 7, timestamp: 4_000_000_000, at: at(40))
    #expect(other == Stamp(sequence: 1002, timestamp: 5320, isNewTalk: true))
    // Late news from before its first packet would repeat a number.
    #expect(line.relay(from: 6, sequence: 6, timestamp: 3_999_999_840, at: at(41)) == nil)
  }

  @Test func lossAndReorderingPassThroughAsTheyWere() {
    var line = timeline()
    var numbers: [UInt16] = []
    for sequence: UInt16 in [10, 12, 11, 15] {
      numbers.append(
        line.relay(from: 5, sequence: sequence, timestamp: UInt32(sequence) * 160, at: at(0))?.sequence ?? 0)
    }
    #expect(numbers == [1000, 1002, 1001, 1005])
  }

  @Test func skippedPacketsLeaveNoGap() {
    var line = timeline()
    _ = line.relay(from: 5, sequence: 10, timestamp: 0, at: at(0))
    for sequence: UInt16 in [12, 13, 13, 14] { line.skip(from: 5, sequence: sequence) }
    // 11 came late, from before the keys: it keeps its own place.
    #expect(line.relay(from: 5, sequence: 11, timestamp: 160, at: at(61))?.sequence == 1001)
    #expect(line.relay(from: 5, sequence: 15, timestamp: 800, at: at(100))?.sequence == 1002)
    #expect(line.relay(from: 5, sequence: 16, timestamp: 960, at: at(120))?.sequence == 1003)
  }

  @Test func aPacketThatComesTwiceLeavesOnceWhateverItSays() {
    var line = timeline()
    _ = line.relay(from: 5, sequence: 10, timestamp: 0, at: at(0))
    #expect(line.relay(from: 5, sequence: 11, timestamp: 160, at: at(20))?.sequence == 1001)
    let before = line
    #expect(line.relay(from: 5, sequence: 11, timestamp: 160, at: at(21)) == nil)
    #expect(line.relay(from: 5, sequence: 11, timestamp: 320, at: at(22)) == nil)
    #expect(line.relay(from: 5, sequence: 10, timestamp: 0, at: at(23)) == nil)
    #expect(line.lastSent == before.lastSent && line.timestamp == before.timestamp)
    // The first of a new feeder, doubled on its way: the copy is not its first any more.
    #expect(line.relay(from: 6, sequence: 7, timestamp: 900, at: at(40))?.isNewTalk == true)
    #expect(line.relay(from: 6, sequence: 7, timestamp: 900, at: at(40)) == nil)
    #expect(line.relay(from: 6, sequence: 8, timestamp: 1060, at: at(60))?.sequence == 1003)
  }

  @Test func whatComesLateFromBeforeTwoRunsOfSkippedPacketsTakesNobodysNumber() {
    var line = timeline()
    _ = line.relay(from: 5, sequence: 10, timestamp: 0, at: at(0))
    line.skip(from: 5, sequence: 12)
    line.skip(from: 5, sequence: 14)
    line.skip(from: 5, sequence: 15)
    #expect(line.relay(from: 5, sequence: 16, timestamp: 960, at: at(120))?.sequence == 1003)
    // From between the runs: its place was kept.
    #expect(line.relay(from: 5, sequence: 13, timestamp: 480, at: at(121))?.sequence == 1002)
    // From before both: where it belongs is forgotten.
    #expect(line.relay(from: 5, sequence: 11, timestamp: 160, at: at(122)) == nil)
  }

  @Test func noNumberLeavesTwiceWhateverComes() {
    for seed: UInt64 in 0..<40 {
      var dice = Random(seed: seed)
      var line = timeline()
      var left: [UInt16] = []
      var now: Int64 = 0
      var base: UInt16 = 65_000
      for _ in 0..<2000 {
        now += Int64(dice.below(30))
        base &+= UInt16(dice.below(3))
        let sequence = base &- UInt16(dice.below(12))
        switch dice.below(24) {
        case 0: left.append(line.generate(ticks: 160, at: at(now)).sequence)
        case 1...4: line.skip(from: 5, sequence: sequence)
        case 5:
          let first = line.reserve(3, timestamp: UInt32(now), at: at(now))
          left += [first, first &+ 1, first &+ 2]
        case 6: line.setClock([8000, 48_000][Int(dice.below(2))])
        default:
          let feeder: UInt64 = dice.below(40) == 0 ? 6 : 5
          if let stamp = line.relay(
            from: feeder, sequence: sequence, timestamp: UInt32(sequence) * 160, at: at(now))
          {
            left.append(stamp.sequence)
          }
        }
      }
      #expect(left.count > 500)
      #expect(Set(left).count == left.count, "seed \(seed)")
    }
  }

  @Test func anHourOfPacketsKeepsItsOrder() {
    var line = timeline()
    var expected: UInt16 = 1000
    var mistakes = 0
    for index in 0..<180_000 {
      let sequence = UInt16(truncatingIfNeeded: index &+ 60_000)
      let time = Int64(index) * 20
      // A key now and then, of which nothing may remain half a turn later.
      if index % 40_000 == 100 {
        line.skip(from: 5, sequence: sequence)
        continue
      }
      let stamp = line.relay(
        from: 5, sequence: sequence, timestamp: UInt32(truncatingIfNeeded: index * 160), at: at(time))
      if stamp?.sequence != expected { mistakes += 1 }
      expected &+= 1
    }
    #expect(mistakes == 0)
  }

  @Test func ourOwnPacketsAndRelayedOnesShareOneSequence() {
    var line = timeline()
    _ = line.relay(from: 5, sequence: 10, timestamp: 0, at: at(0))
    let tone = line.generate(ticks: 160, at: at(20))
    #expect(tone == Stamp(sequence: 1001, timestamp: 5160, isNewTalk: true))
    #expect(
      line.generate(ticks: 160, at: at(40)) == Stamp(sequence: 1002, timestamp: 5320, isNewTalk: false))
    let back = line.relay(from: 5, sequence: 13, timestamp: 480, at: at(60))
    #expect(back == Stamp(sequence: 1003, timestamp: 5480, isNewTalk: true))
  }
}

@Suite struct KeyTests {
  private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

  @Test func everyKeyHasItsCharacter() {
    #expect(String((0..<16).compactMap { Key(code: $0)?.character }) == "0123456789*#ABCD")
    for character in "0123456789*#ABCD" { #expect(Key(character)?.character == character) }
    #expect(Key("d")?.code == 15)
    #expect(Key("e") == nil)
    #expect(Key(code: 16) == nil)
  }

  @Test func onePressIsReportedOnceHoweverManyPacketsTellIt() {
    var receiver = KeyReceiver()
    func packet(_ bytes: [UInt8], _ timestamp: UInt32, marker: Bool = false, _ time: Int64) -> Key? {
      TelephoneEvent(parsing: bytes.span, at: 0..<4).flatMap {
        receiver.receive($0, timestamp: timestamp, marker: marker, at: at(time))
      }
    }
    #expect(packet([11, 10, 0, 160], 1000, marker: true, 0)?.character == "#")
    #expect(packet([11, 10, 1, 64], 1000, 20) == nil)
    for _ in 0..<3 { #expect(packet([11, 0x8A, 1, 64], 1000, 40) == nil) }
    // The same key again, of which only an end came through.
    #expect(packet([11, 0x8A, 1, 64], 3000, 300)?.character == "#")
    // A late packet of the first press.
    #expect(packet([11, 0x8A, 1, 64], 1000, 310) == nil)
    #expect(packet([16, 0x8A, 1, 64], 9000, 900) == nil)
  }

  @Test func aPhoneThatMovesTheTimestampWithinAPressIsForgiven() {
    var receiver = KeyReceiver()
    var keys = 0
    for index in 0..<6 {
      let event = TelephoneEvent(code: 5, isEnd: index == 5, duration: 160)
      let key = receiver.receive(
        event, timestamp: UInt32(index) * 160, marker: index == 0, at: at(Int64(index) * 20))
      if key != nil { keys += 1 }
    }
    #expect(keys == 1)
    let again = TelephoneEvent(code: 5, isEnd: false, duration: 160)
    #expect(receiver.receive(again, timestamp: 960, marker: true, at: at(120)) == Key("5"))
  }

  @Test func aPressEndsThreeTimesAndRests() {
    var sender = KeySender()
    let added = sender.add(Key("#")!)
    #expect(added)
    var events: [TelephoneEvent] = []
    var rest: UInt32 = 0
    var steps = 0
    walk: while true {
      switch sender.next() {
      case .event(let event, let isFirst):
        #expect(isFirst == events.isEmpty)
        events.append(event)
      case .rest(let ticks): rest += ticks
      case .finished: break walk
      }
      steps += 1
    }
    #expect(events.map(\.isEnd) == [false, false, false, false, false, true, true, true])
    #expect(events.map(\.duration) == [160, 320, 480, 640, 800, 800, 800, 800])
    #expect(rest == UInt32(steps) * 160)
  }

  @Test func aKeySentIsAKeyReceived() {
    var sender = KeySender()
    var receiver = KeyReceiver()
    for character in "401#" { _ = sender.add(Key(character)!) }
    var heard = ""
    var timestamp: UInt32 = 0
    var time: Int64 = 0
    walk: while true {
      switch sender.next() {
      case .event(let event, let isFirst):
        if let key = receiver.receive(event, timestamp: timestamp, marker: isFirst, at: at(time)) {
          heard.append(key.character)
        }
      case .rest(let ticks): timestamp &+= ticks
      case .finished: break walk
      }
      time += 20
    }
    #expect(heard == "401#")
  }
}
