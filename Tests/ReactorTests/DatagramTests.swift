import Reactor
import Testing
import Wire

@Suite struct DatagramTests {
  @Test(arguments: [anyV4, anyV6])
  func aDatagramArrivesWithBothItsEndpoints(any: Endpoint) throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let one = try probe.reactor.openDatagram(any, DatagramOptions(receiveBuffer: 1 << 20, dscp: 46))
    let other = try probe.reactor.openDatagram(any, DatagramOptions())
    let here = try #require(probe.reactor.local(of: one))
    let there = try #require(probe.reactor.local(of: other))
    #expect(here.port != 0)
    probe.reactor.send([1, 2, 3], on: one, to: there)
    probe.reactor.send([], on: one, to: there)
    #expect(probe.runs { probe.datagrams.count == 2 })
    #expect(probe.datagrams[0].bytes == [1, 2, 3])
    #expect(probe.datagrams[1].bytes.isEmpty)
    #expect(probe.datagrams[0].socket == other)
    #expect(probe.datagrams[0].from == here)
    #expect(probe.datagrams[0].to == there)
  }

  @Test func theSourceAddressCanBeChosenOnASocketBoundToAll() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let all = try probe.reactor.openDatagram(Endpoint(.anyV4, port: 0), DatagramOptions())
    let other = try probe.reactor.openDatagram(anyV4, DatagramOptions())
    let source = IPAddress(v4: 0x7F00_0005)
    let port = try #require(probe.reactor.local(of: all)).port
    probe.reactor.send([1], on: all, to: try #require(probe.reactor.local(of: other)), from: source)
    #expect(probe.runs { probe.datagrams.count == 1 })
    #expect(probe.datagrams[0].from == Endpoint(source, port: port))
    // And what is sent to that address says so on arrival.
    probe.reactor.send([2], on: other, to: Endpoint(source, port: port))
    #expect(probe.runs { probe.datagrams.count == 2 })
    #expect(probe.datagrams[1].to == Endpoint(source, port: port))
  }

  /// Bursts as a video frame makes them: equal datagrams and a shorter last one, two destinations in turn.
  @Test(arguments: [anyV4, anyV6])
  func segmentedBurstsArriveWholeAndInOrder(any: Endpoint) throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let sender = try probe.reactor.openDatagram(any, DatagramOptions())
    let receivers = try (0..<2).map { _ in
      try probe.reactor.openDatagram(any, DatagramOptions(receiveBuffer: 4 << 20))
    }
    let there = receivers.map { probe.reactor.local(of: $0)! }
    var sent: [[[UInt8]]] = [[], []]
    for burst in 0..<20 {
      for side in 0..<2 {
        for index in 0..<(8 + burst) {
          let length = index == 7 + burst ? 700 : 1200
          var datagram = [UInt8](repeating: UInt8(truncatingIfNeeded: index &* 7), count: length)
          datagram[0] = UInt8(burst)
          datagram[1] = UInt8(index)
          sent[side].append(datagram)
          probe.reactor.send(datagram, on: sender, to: there[side])
        }
      }
    }
    let total = sent[0].count + sent[1].count
    #expect(probe.runs { probe.datagrams.count == total })
    for side in 0..<2 {
      let got = probe.datagrams.filter { $0.socket == receivers[side] }.map(\.bytes)
      #expect(got == sent[side])
    }
    let statistics = try #require(probe.reactor.statistics(of: sender))
    #expect(statistics.sent == UInt64(total))
    #expect(statistics.unsent == 0)
    // One message a burst and destination, where the kernel segments (it has since 4.18).
    #expect(statistics.handedOver == 40)
  }

  /// A picture's packets, written where they leave from.
  @Test(arguments: [anyV4, anyV6])
  func aRunIsWrittenInPlaceAndArrivesAsDatagrams(any: Endpoint) throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let sender = try probe.reactor.openDatagram(any, DatagramOptions())
    let receiver = try probe.reactor.openDatagram(any, DatagramOptions(receiveBuffer: 4 << 20))
    let there = try #require(probe.reactor.local(of: receiver))
    var expected: [[UInt8]] = []
    for round in 0..<30 {
      let whole = (0..<(20 * 1100 + 1 + round)).map { UInt8(truncatingIfNeeded: $0 / 1100 + round) }
      probe.reactor.send(run: 25_000, of: 1100, on: sender, to: there, from: nil) { room in
        for index in whole.indices { room[index] = whole[index] }
        return whole.count
      }
      for start in stride(from: 0, to: whole.count, by: 1100) {
        expected.append(Array(whole[start..<min(start + 1100, whole.count)]))
      }
    }
    probe.reactor.send(run: 1000, of: 100, on: sender, to: there, from: nil) { _ in 0 }
    probe.reactor.send([7], on: sender, to: there)
    expected.append([7])
    #expect(probe.runs { probe.datagrams.count == expected.count })
    #expect(probe.datagrams.map(\.bytes) == expected)
    #expect(probe.reactor.statistics(of: sender)?.handedOver == 31)
  }

  @Test func unequalDatagramsAreNeverGluedTogether() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let one = try probe.reactor.openDatagram(anyV4, DatagramOptions())
    let other = try probe.reactor.openDatagram(anyV4, DatagramOptions(receiveBuffer: 4 << 20))
    let there = try #require(probe.reactor.local(of: other))
    var random = Random(seed: 11)
    var sent: [[UInt8]] = []
    for index in 0..<600 {
      // Lengths repeat often, grow and shrink, are sometimes zero and sometimes longer than a frame.
      let length = [0, 1, 160, 160, 160, 161, 172, 1200, 1200, 1452, 1453, 4000][Int(random.below(12))]
      var datagram = [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: length)
      if length > 1 { datagram[1] = UInt8(truncatingIfNeeded: index >> 8) }
      sent.append(datagram)
      probe.reactor.send(datagram, on: one, to: there)
      if index % 50 == 49 { #expect(probe.runs { probe.datagrams.count == sent.count }) }
    }
    #expect(probe.datagrams.map(\.bytes) == sent)
  }

  @Test func moreThanThePoolHoldsLeavesBeforeTheTurnEnds() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let one = try probe.reactor.openDatagram(anyV4, DatagramOptions())
    let other = try probe.reactor.openDatagram(anyV4, DatagramOptions(receiveBuffer: 16 << 20))
    let there = try #require(probe.reactor.local(of: other))
    let datagram = [UInt8](repeating: 1, count: 1000)
    for _ in 0..<3000 { probe.reactor.send(datagram, on: one, to: there) }
    probe.turns(1)
    let statistics = try #require(probe.reactor.statistics(of: one))
    #expect(statistics.sent + statistics.unsent == 3000)
  }

  @Test func whatTheKernelRefusesIsCountedAndHurtsNobodyElse() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let one = try probe.reactor.openDatagram(anyV4, DatagramOptions())
    let other = try probe.reactor.openDatagram(anyV4, DatagramOptions())
    let there = try #require(probe.reactor.local(of: other))
    // Broadcast without leave, port 0, the wrong family, too long: four ways to be refused.
    probe.reactor.send([1], on: one, to: there)
    probe.reactor.send([2], on: one, to: Endpoint(IPAddress(v4: 0xFFFF_FFFF), port: 9))
    probe.reactor.send([3], on: one, to: Endpoint(.loopbackV4, port: 0))
    probe.reactor.send([4], on: one, to: Endpoint(.loopbackV6, port: 9))
    probe.reactor.send([UInt8](repeating: 5, count: 65_508), on: one, to: there)
    probe.reactor.send([6], on: one, to: there)
    #expect(probe.runs { probe.datagrams.count == 2 })
    #expect(probe.datagrams.map(\.bytes) == [[1], [6]])
    let statistics = try #require(probe.reactor.statistics(of: one))
    #expect(statistics.unsent == 4)
    #expect(statistics.sent == 2)
  }

  @Test func aClosedSocketsHandleNamesNobodyAfterItsPlaceIsTakenAgain() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let first = try probe.reactor.openDatagram(anyV4, DatagramOptions())
    probe.reactor.close(first, flushing: false)
    let second = try probe.reactor.openDatagram(anyV4, DatagramOptions())
    #expect(first != second)
    #expect(first.handle.index == second.handle.index)
    #expect(probe.reactor.local(of: first) == nil)
    let there = try #require(probe.reactor.local(of: second))
    probe.reactor.send([1], on: first, to: there)
    probe.turns(3)
    #expect(probe.datagrams.isEmpty)
    #expect(probe.reactor.statistics(of: second)?.sent == 0)
    probe.reactor.close(first, flushing: true)
    #expect(probe.reactor.local(of: second) == there)
  }

  @Test func aSocketClosedWhileABatchIsToldHearsNoMore() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let one = try probe.reactor.openDatagram(anyV4, DatagramOptions())
    let other = try probe.reactor.openDatagram(anyV4, DatagramOptions())
    let there = try #require(probe.reactor.local(of: other))
    probe.onDatagram = { probe, _, socket, _, _ in probe.reactor.close(socket, flushing: false) }
    for byte in UInt8(0)..<10 { probe.reactor.send([byte], on: one, to: there) }
    #expect(probe.runs { !probe.datagrams.isEmpty })
    probe.turns(3)
    #expect(probe.datagrams.count == 1)
  }

  @Test func anOccupiedPortSaysSo() throws {
    let probe = Probe()
    defer { probe.reactor.retire() }
    let one = try probe.reactor.openDatagram(anyV4, DatagramOptions())
    let taken = try #require(probe.reactor.local(of: one))
    #expect(throws: NetworkFailure.addressInUse) { try probe.reactor.openDatagram(taken, DatagramOptions()) }
    #expect(throws: NetworkFailure.addressNotAvailable) {
      try probe.reactor.openDatagram(Endpoint(IPAddress(v4: 0xC000_0201), port: 0), DatagramOptions())
    }
  }
}
