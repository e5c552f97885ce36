import Crypto
import Testing
import Transport
import Wire

/// Keeps what must hold of every connection, whatever happens to it.
private final class Book: StreamsDelegate {
  var open: Set<ConnectionID> = []
  var pending: Set<ConnectionID> = []
  var faults: [String] = []
  unowned var streams: Streams!
  var random: Random

  init(random: Random) { self.random = random }

  func opened(_ connection: ConnectionID, _ facts: ConnectionFacts) {
    if !open.insert(connection).inserted { faults.append("opened twice") }
    if facts.isDialled, pending.remove(connection) == nil { faults.append("opened, never dialled") }
    meddle(connection)
  }
  func received(_ bytes: Span<UInt8>, on connection: ConnectionID) {
    if !open.contains(connection) { faults.append("bytes on a closed connection") }
    meddle(connection)
  }
  func drained(_ connection: ConnectionID) {
    if !open.contains(connection) { faults.append("drained a closed connection") }
    meddle(connection)
  }
  func closed(_ connection: ConnectionID, _ ending: StreamEnding) {
    if open.remove(connection) == nil, pending.remove(connection) == nil, ending == .finished {
      faults.append("closed what never was")
    }
    if streams.facts(of: connection) != nil { faults.append("told of an end that has not come") }
  }

  /// Consumers answer from inside a call: they write, close, and change their minds.
  private func meddle(_ connection: ConnectionID) {
    switch random.below(12) {
    case 0: shut(connection, flushing: true)
    case 1: shut(connection, flushing: false)
    case 2...5: _ = streams.write(random.bytes(Int(random.below(3000))), on: connection)
    case 6: streams.setIdle(.seconds(Int64(random.below(50))), on: connection)
    case 7: streams.setDeadline(.seconds(Int64(random.below(50))), on: connection)
    case 8: streams.setDeadline(nil, on: connection)
    default: break
    }
  }

  func shut(_ connection: ConnectionID, flushing: Bool) {
    streams.close(connection, flushing: flushing)
    open.remove(connection)
    pending.remove(connection)
  }
}

@Suite struct StreamsOperationsTests {
  private static func sessions() throws -> TLSSessions {
    let made = try SelfSigned.make(
      names: ["gateway.test"], addresses: [], serial: 1, from: WallTime(seconds: 1_700_000_000),
      to: WallTime(seconds: 1_900_000_000))
    return TLSSessions(
      server: try TLSContext(serverCertificatePEM: made.certificatePEM, keyPEM: made.keyPEM))
  }

  @Test(arguments: 0..<20) func whateverHappensEveryConnectionEndsOnce(_ seed: UInt64) throws {
    var random = Random(seed: seed)
    let world = FakeWorld()
    let book = Book(random: random.fork())
    var limits = StreamLimits()
    limits.strangers = ConnectionCap(total: 20, perAddress: 4)
    limits.dialled = 5
    let streams = Streams(world: world, sessions: try Self.sessions(), limits: limits, judge: nil)
    book.streams = streams
    streams.setConsumer(book, for: .sip)
    try streams.listen(Endpoint(.anyV4, port: 5060), secure: false, purpose: .sip, idle: .seconds(40))
    try streams.listen(Endpoint(.anyV4, port: 5061), secure: true, purpose: .sip, idle: .seconds(40))
    let listeners = (0..<2).map { SocketID(Handle(index: UInt32($0), generation: 1)) }
    var known: [ConnectionID] = []
    world.room = 8000

    func some() -> ConnectionID? { known.isEmpty ? nil : known[Int(random.below(UInt64(known.count)))] }
    for _ in 0..<3000 {
      switch random.below(10) {
      case 0, 1:
        let stream = world.open()
        let remote = Endpoint(IPAddress(v4: UInt32(random.below(8))), port: 4000)
        streams.accepted(stream, on: listeners[Int(random.below(2))], from: remote, peer: nil)
        known.append(stream)
      case 2:
        let trust: TLSTrust? = random.below(2) == 0 ? nil : .firstContact
        if let stream = try? streams.dial(Endpoint(.loopbackV4, port: 1), trust: trust, purpose: .sip) {
          book.pending.insert(stream)
          known.append(stream)
        }
      case 3:
        if let stream = some(), streams.owns(stream) { streams.connected(stream) }
      case 4, 5:
        if let stream = some(), streams.owns(stream) {
          streams.received(random.bytes(1 + Int(random.below(60))).span, onStream: stream)
        }
      case 6:
        if let stream = some() {
          world.queued[stream] = 0
          if streams.owns(stream) { streams.drained(stream) }
        }
      case 7:
        if let stream = some(), streams.owns(stream) {
          _ = world.sockets.remove(stream.handle)
          streams.closed(stream, .reset)
        }
      case 8:
        if let stream = some() { book.shut(stream, flushing: random.below(2) == 0) }
      default:
        world.now = world.now + .milliseconds(Int64(random.below(3000)))
        streams.advance()
      }
      #expect(streams.connectionCount <= 25)
    }
    #expect(book.faults == [])
    // Silence ends what is left: nobody here may stay for ever.
    for stream in known { streams.setIdle(.seconds(10), on: stream) }
    for _ in 0..<20 {
      world.now = world.now + .seconds(10)
      streams.advance()
    }
    #expect(streams.connectionCount == 0)
    #expect(book.open.isEmpty && book.pending.isEmpty)
    #expect(streams.nextDeadline == nil)
    #expect(book.faults == [])
    // Only the listeners are left in the world.
    #expect(world.sockets.count == 2)
  }

  @Test func aThousandIdleSocketsFromOneAddressLeaveRoomForOthers() throws {
    let world = FakeWorld()
    let book = Book(random: Random(seed: 1))
    let streams = Streams(world: world, sessions: try Self.sessions(), judge: nil)
    book.streams = streams
    streams.setConsumer(book, for: .web)
    try streams.listen(Endpoint(.anyV4, port: 8443), secure: true, purpose: .web)
    let listener = SocketID(Handle(index: 0, generation: 1))
    for number in 0..<1000 {
      world.now = world.now + .milliseconds(1)
      let attacker = Endpoint(IPAddress(v4: 0x0A00_0007), port: UInt16(10_000 + number))
      streams.accepted(world.open(), on: listener, from: attacker, peer: nil)
    }
    #expect(streams.connectionCount == 16)
    let stream = world.open()
    streams.accepted(stream, on: listener, from: Endpoint(IPAddress(v4: 0x0A00_0008), port: 1), peer: nil)
    #expect(streams.owns(stream))
    world.now = world.now + .seconds(11)
    streams.advance()
    #expect(streams.connectionCount == 0)
  }
}
