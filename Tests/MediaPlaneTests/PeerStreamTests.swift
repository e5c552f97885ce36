import ICE
import MediaPlane
import SDP
import Simulation
import Testing
import WebRTC
import Wire

/// Lends connections that exist only here: what is written on them is kept.
private final class Lender: PeerStreamCarrier {
  var written: [SocketID: [UInt8]] = [:]
  var kept: [SocketID] = []
  var closed: [SocketID] = []
  /// A peer that reads nothing: what waits for it.
  var waiting: [SocketID: Int] = [:]
  var isStuck = false

  func write(_ bytes: Span<UInt8>, on connection: SocketID) -> Bool {
    guard !closed.contains(connection) else { return false }
    if isStuck { waiting[connection, default: 0] += bytes.count }
    for index in bytes.indices { written[connection, default: []].append(bytes[index]) }
    return true
  }
  func unsent(on connection: SocketID) -> Int { waiting[connection] ?? 0 }
  func keep(_ connection: SocketID) { kept.append(connection) }
  func close(_ connection: SocketID) { closed.append(connection) }
}

/// A browser that UDP does not reach: a peer connection whose datagrams are frames on a connection.
private final class Caller: Browser {
  let lender: Lender
  private var read = 0
  /// How the stream is cut on its way.
  var cut = Int.max

  init(_ bench: Bench, _ lender: Lender, line: UInt32 = 900) {
    self.lender = lender
    // The gateway's side of the flow seen from the other end: the browser checks as if the connection were its socket.
    super.init(bench, at: Endpoint(IPAddress(v4: 0x0A00_0030), port: 50_000), line: line)
  }

  func dial() { bench.plane.streamOpened(line, local: Browser.server, remote: place) }

  override func carry(_ bytes: [UInt8], to remote: Endpoint) { frame(bytes) }

  func frame(_ message: [UInt8]) {
    let framed = [UInt8(message.count >> 8), UInt8(message.count & 255)] + message
    let size = min(cut, framed.count)
    for start in stride(from: 0, to: framed.count, by: size) {
      bring(Array(framed[start..<min(framed.count, start + size)]))
    }
  }

  /// Bytes of the stream, as they are.
  func bring(_ bytes: [UInt8]) { bench.plane.streamReceived(bytes.span, on: line) }

  override func next() -> (bytes: [UInt8], from: Endpoint)? {
    let stream = lender.written[line] ?? []
    guard stream.count >= read + 2 else { return nil }
    let size = Int(stream[read]) << 8 | Int(stream[read + 1])
    guard stream.count >= read + 2 + size else { return nil }
    defer { read += 2 + size }
    return (Array(stream[read + 2..<read + 2 + size]), Browser.server)
  }
}

@Suite struct PeerStreamTests {
  private func talk(cut: Int = .max) throws -> (
    bench: Bench, lender: Lender, caller: Caller, station: LegPorts, leg: LegID
  ) {
    let bench = Bench()
    let lender = Lender()
    try bench.plane.listenForPeers(at: [Browser.server], addresses: [], maker: SimulatedDTLS(number: 2))
    bench.plane.offerStreams(at: [Browser.server], addresses: [], carrier: lender)
    let station = try bench.leg()
    bench.plane.setRemote(station.leg, audio: bench.remote(stationAddress))
    let leg = try bench.plane.openPeer(PeerSpec())
    let caller = Caller(bench, lender)
    caller.cut = cut
    caller.dial()
    let described = try caller.talk(to: station, by: leg)
    #expect(
      String(decoding: described.bytes, as: UTF8.self).contains(
        "tcp 1671429887 10.0.0.1 8189 typ host tcptype passive"))
    caller.meet()
    return (bench, lender, caller, station, leg)
  }

  @Test(arguments: [Int.max, 1, 7])
  func soundPassesBothWaysOverAConnection(cut: Int) throws {
    let (bench, lender, caller, station, leg) = try talk(cut: cut)
    #expect(caller.events.contains(.connected) && lender.kept == [caller.line])
    let said = [UInt8](repeating: 0x55, count: 160)
    bench.arrive(packet(8, 1, 160, said), at: station.audio, from: stationAddress)
    caller.meet(20)
    #expect(caller.heard.map { Array($0.suffix(160)) } == [said])
    let reply = [UInt8](repeating: 0x33, count: 160)
    caller.frame(caller.sealed(1, reply))
    #expect(bench.heard(by: stationAddress).map(\.payload) == [reply])
    // The end of the call ends the connection, after the goodbye.
    bench.plane.close(leg)
    caller.meet(20)
    #expect(caller.events.contains(.closed) && lender.closed == [caller.line])
  }

  @Test func whoProvesNothingMayNotStay() throws {
    let (bench, lender, caller, _, _) = try talk()
    let stranger = Caller(bench, lender, line: 901)
    let attempts: [[UInt8]] = [
      [22, 254, 253, 0], packet(8, 1, 160), [], [UInt8](repeating: 0, count: 20),
      [UInt8]("GET / HTTP/1.1\r\n\r\n".utf8),
    ]
    for (number, attempt) in attempts.enumerated() {
      stranger.line = SocketID(Handle(index: 901 + UInt32(number), generation: 1))
      stranger.dial()
      stranger.frame(attempt)
      // An empty frame is no word; anything else but a check of a session that is here ends it.
      #expect(lender.closed.contains(stranger.line) == !attempt.isEmpty)
      #expect(!lender.kept.contains(stranger.line))
    }
    // A frame without end.
    stranger.line = SocketID(Handle(index: 950, generation: 1))
    stranger.dial()
    stranger.bring([0xFF, 0xFF, 0, 1])
    #expect(lender.closed.contains(stranger.line))
    // What comes after the end, or of a connection that nobody opened, meets nobody.
    stranger.bring([0, 1, 1])
    bench.plane.streamClosed(SocketID(Handle(index: 999, generation: 1)))
    caller.frame(caller.sealed(1, [UInt8](repeating: 1, count: 160)))
    #expect(bench.heard(by: stationAddress).count == 1, "and the call goes on")
  }

  @Test func aPeerThatDoesNotReadCostsNoMemory() throws {
    let (bench, lender, caller, station, _) = try talk()
    lender.isStuck = true
    for sequence in 1...5000 as ClosedRange<UInt16> {
      bench.arrive(
        packet(8, sequence, UInt32(sequence) * 160), at: station.audio, from: stationAddress)
    }
    #expect((100_000...131_072 + 2).contains(lender.waiting[caller.line] ?? 0))
    // It reads again: whole frames follow.
    lender.isStuck = false
    lender.waiting = [:]
    let before = caller.heard.count
    bench.arrive(packet(8, 5001, 5001 * 160), at: station.audio, from: stationAddress)
    caller.meet(20)
    #expect(caller.heard.count > before && caller.heard.allSatisfy { $0.count == 172 })
  }

  @Test func aConnectionThatDiesIsForgottenAndAnotherTakesItsPlace() throws {
    let (bench, lender, caller, station, _) = try talk()
    bench.plane.streamClosed(caller.line)
    let sent = lender.written[caller.line]?.count
    bench.arrive(packet(8, 1, 160), at: station.audio, from: stationAddress)
    #expect(lender.written[caller.line]?.count == sent)
    caller.dial()
    caller.meet(12_000)
    bench.arrive(packet(8, 2, 320), at: station.audio, from: stationAddress)
    caller.meet(20)
    #expect(caller.heard.count == 1)
  }
}
