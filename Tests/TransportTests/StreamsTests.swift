import Crypto
import Testing
import Transport
import Wire

private enum News: Equatable {
  case opened(ConnectionID, secure: Bool)
  case received([UInt8], ConnectionID)
  case drained(ConnectionID)
  case closed(ConnectionID, StreamEnding)
}

private final class Consumer: StreamsDelegate, SourceJudge {
  var news: [News] = []
  var facts: [ConnectionFacts] = []
  var standings: [IPAddress: SourceStanding] = [:]

  func opened(_ connection: ConnectionID, _ facts: ConnectionFacts) {
    news.append(.opened(connection, secure: facts.isSecure))
    self.facts.append(facts)
  }
  func received(_ bytes: Span<UInt8>, on connection: ConnectionID) {
    var copy: [UInt8] = []
    for index in bytes.indices { copy.append(bytes[index]) }
    news.append(.received(copy, connection))
  }
  func drained(_ connection: ConnectionID) { news.append(.drained(connection)) }
  func closed(_ connection: ConnectionID, _ ending: StreamEnding) { news.append(.closed(connection, ending)) }
  func standing(of address: IPAddress) -> SourceStanding { standings[address] ?? .stranger }
  func take() -> [News] {
    defer { news = [] }
    return news
  }
}

private final class NoSessions: SessionMaker {
  func accept() -> (any SecureSession)? { nil }
  func connect(serverName: String?, trust: TLSTrust, at time: WallTime) throws(TLSFailure)
    -> any SecureSession
  {
    throw .noCertificate
  }
}

private func source(_ last: UInt32, port: UInt16 = 40_000) -> Endpoint {
  Endpoint(IPAddress(v4: 0x0A00_0000 | last), port: port)
}

private struct Scene {
  let world = FakeWorld()
  let consumer = Consumer()
  let streams: Streams
  let listener: SocketID

  init(
    secure: Bool = false, idle: Interval? = nil, limits: StreamLimits = StreamLimits(),
    sessions: any SessionMaker = NoSessions(), admission: Admission? = nil
  ) throws {
    streams = Streams(
      world: world, sessions: sessions, limits: limits, judge: consumer, admission: admission)
    streams.setConsumer(consumer, for: .sip)
    try streams.listen(Endpoint(.anyV4, port: 5060), secure: secure, purpose: .sip, idle: idle)
    // The fake gives names out in order: the listener has the first.
    listener = SocketID(Handle(index: 0, generation: 1))
  }

  func accept(from remote: Endpoint) -> ConnectionID {
    let stream = world.open()
    streams.accepted(stream, on: listener, from: remote, peer: nil)
    return stream
  }

  func wait(_ interval: Interval) {
    world.now = world.now + interval
    streams.advance()
  }
}

@Suite struct StreamsTests {
  @Test func aConnectionOpensSpeaksAndCloses() throws {
    let scene = try Scene()
    let one = scene.accept(from: source(1))
    #expect(scene.consumer.take() == [.opened(one, secure: false)])
    #expect(scene.consumer.facts[0].remote == source(1))
    scene.streams.received([1, 2].span, onStream: one)
    #expect(scene.consumer.take() == [.received([1, 2], one)])
    #expect(scene.streams.write([3], on: one))
    #expect(scene.world.take(one) == [3])
    scene.streams.closed(one, .closed)
    #expect(scene.consumer.take() == [.closed(one, .finished)])
    #expect(!scene.streams.write([4], on: one))
    #expect(scene.streams.connectionCount == 0)
    #expect(scene.streams.nextDeadline == nil)
  }

  @Test func whoProvedHimselfLeavesHisPlaceToOthers() throws {
    var limits = StreamLimits()
    limits.strangers = ConnectionCap(total: 1, perAddress: 1)
    limits.known = ConnectionCap(total: 1, perAddress: 5)
    let scene = try Scene(limits: limits)
    let first = scene.accept(from: source(1))
    let refused = scene.accept(from: source(2))
    #expect(scene.streams.facts(of: refused) == nil)
    // Nothing is given to who is still a stranger.
    scene.streams.recognise(first)
    let still = scene.accept(from: source(2))
    #expect(scene.streams.facts(of: still) == nil)
    scene.consumer.standings[source(1).address] = .known
    scene.streams.recognise(first)
    scene.streams.recognise(first)
    let next = scene.accept(from: source(2))
    #expect(scene.streams.facts(of: next) != nil)
    // The known are bounded too: the next stays where it is.
    scene.consumer.standings[source(2).address] = .known
    scene.streams.recognise(next)
    let third = scene.accept(from: source(3))
    #expect(scene.streams.facts(of: third) == nil)
    scene.streams.close(first, flushing: false)
    scene.streams.recognise(next)
    let fourth = scene.accept(from: source(3))
    #expect(scene.streams.facts(of: fourth) != nil)
  }

  @Test func oneAddressHoldsOnlySoMany() throws {
    var limits = StreamLimits()
    limits.strangers = ConnectionCap(total: 3, perAddress: 2)
    limits.provisioned = ConnectionCap(total: 1, perAddress: 1)
    let scene = try Scene(limits: limits)
    scene.consumer.standings[source(9).address] = .provisioned
    let first = scene.accept(from: source(1))
    _ = scene.accept(from: source(1))
    let third = scene.accept(from: source(1))
    #expect(scene.world.closed[third] == false)
    _ = scene.accept(from: source(2))
    let fifth = scene.accept(from: source(3))
    #expect(scene.world.closed[fifth] == false)
    // The strangers are full; the station still comes in.
    let station = scene.accept(from: source(9))
    #expect(scene.world.closed[station] == nil)
    #expect(scene.streams.counters.refused == 2)
    // A place that falls free is given out again.
    scene.streams.close(first, flushing: false)
    let again = scene.accept(from: source(1))
    #expect(scene.world.closed[again] == nil)
  }

  @Test func connectingTooOftenIsRefused() throws {
    var rates = AdmissionRates.strangers
    rates.set(
      .connection, address: AdmissionRate(burst: 2, perSecond: 1),
      together: AdmissionRate(burst: 100, perSecond: 100))
    let scene = try Scene(admission: Admission(seed: 1, strangers: rates))
    for _ in 0..<2 {
      let stream = scene.accept(from: source(1))
      scene.streams.close(stream, flushing: false)
      scene.world.closed[stream] = nil
    }
    #expect(scene.streams.counters.refused == 0)
    _ = scene.accept(from: source(1))
    #expect(scene.streams.counters.refused == 1)
    scene.wait(.seconds(1))
    _ = scene.accept(from: source(1))
    #expect(scene.streams.counters.refused == 1)
  }

  @Test func whoNeverSpeaksIsShownOut() throws {
    let scene = try Scene(idle: .seconds(600))
    let one = scene.accept(from: source(1))
    _ = scene.consumer.take()
    scene.wait(.seconds(19))
    #expect(scene.consumer.take() == [])
    scene.wait(.seconds(2))
    #expect(scene.consumer.take() == [.closed(one, .silent)])
    #expect(scene.world.closed[one] == false)
  }

  @Test func whoSpeaksMayStayUntilIdle() throws {
    let scene = try Scene(idle: .seconds(60))
    let one = scene.accept(from: source(1))
    for _ in 0..<10 {
      scene.wait(.seconds(15))
      scene.streams.received([0].span, onStream: one)
    }
    _ = scene.consumer.take()
    scene.wait(.seconds(59))
    #expect(scene.consumer.take() == [])
    scene.wait(.seconds(2))
    #expect(scene.consumer.take() == [.closed(one, .idle)])
  }

  @Test func whoDribblesIsOverdue() throws {
    let scene = try Scene(idle: .seconds(60))
    let one = scene.accept(from: source(1))
    scene.streams.received([0].span, onStream: one)
    scene.streams.setDeadline(.seconds(5), on: one)
    _ = scene.consumer.take()
    for _ in 0..<4 {
      scene.wait(.seconds(1))
      scene.streams.received([0].span, onStream: one)
    }
    _ = scene.consumer.take()
    scene.wait(.milliseconds(1_100))
    #expect(scene.consumer.take() == [.closed(one, .overdue)])
  }

  @Test func aFullQueuePushesBackAndThenDrains() throws {
    let scene = try Scene()
    scene.world.room = 4
    let one = scene.accept(from: source(1))
    _ = scene.consumer.take()
    #expect(scene.streams.write([1, 2, 3], on: one))
    #expect(!scene.streams.write([4, 5], on: one))
    #expect(scene.world.take(one) == [1, 2, 3])
    scene.world.queued[one] = 0
    scene.streams.drained(one)
    #expect(scene.consumer.take() == [.drained(one)])
    #expect(scene.streams.write([4, 5], on: one))
  }

  @Test func whoDoesNotReadIsShownOut() throws {
    let scene = try Scene()
    scene.world.room = 4
    let one = scene.accept(from: source(1))
    scene.streams.received([0].span, onStream: one)
    #expect(scene.streams.write([1, 2, 3], on: one))
    #expect(!scene.streams.write([4, 5], on: one))
    _ = scene.consumer.take()
    scene.wait(.seconds(29))
    #expect(scene.consumer.take() == [])
    scene.wait(.seconds(2))
    #expect(scene.consumer.take() == [.closed(one, .stalled)])
  }

  @Test func aDialThatNobodyAnswersEnds() throws {
    let scene = try Scene()
    let one = try scene.streams.dial(source(5), purpose: .sip)
    #expect(!scene.streams.write([1], on: one))
    scene.wait(.seconds(11))
    #expect(scene.consumer.take() == [.closed(one, .notEstablished)])
  }

  @Test func aDialledConnectionIsFoundAgain() throws {
    let scene = try Scene()
    let one = try scene.streams.dial(source(5), purpose: .sip)
    #expect(scene.streams.connection(to: source(5), secure: false, purpose: .sip) == nil)
    scene.streams.connected(one)
    #expect(scene.consumer.take() == [.opened(one, secure: false)])
    #expect(scene.streams.connection(to: source(5), secure: false, purpose: .sip) == one)
    #expect(scene.streams.connection(to: source(5), secure: true, purpose: .sip) == nil)
    // A station that was called is not silent because it only listens.
    scene.wait(.hours(2))
    #expect(scene.consumer.take() == [])
  }

  @Test func withoutACertificateNobodyComesIn() throws {
    let scene = try Scene(secure: true)
    let one = scene.accept(from: source(1))
    #expect(scene.world.closed[one] == false)
    #expect(scene.consumer.take() == [])
  }

  @Test func aTakenPortIsSaid() throws {
    let scene = try Scene()
    scene.world.refusesListening = .addressInUse
    #expect(throws: NetworkFailure.addressInUse) {
      try scene.streams.listen(Endpoint(.anyV4, port: 5060), secure: false, purpose: .sip)
    }
  }
}

@Suite struct SecureStreamsTests {
  private let sessions: TLSSessions
  private let client: TLSContext

  init() throws {
    let made = try SelfSigned.make(
      names: ["gateway.test"], addresses: [], serial: 1, from: WallTime(seconds: 1_700_000_000),
      to: WallTime(seconds: 1_900_000_000))
    let context = try TLSContext(serverCertificatePEM: made.certificatePEM, keyPEM: made.keyPEM)
    sessions = TLSSessions(server: context)
    client = try TLSContext(client: .authorities(made.certificatePEM))
  }

  /// Carries ciphertext between a scene's connection and a session until both are quiet.
  private func settle(_ scene: Scene, _ one: ConnectionID, _ session: TLSSession, _ out: [UInt8]) throws
    -> [UInt8]
  {
    var toServer = out
    var plain: [UInt8] = []
    while true {
      if !toServer.isEmpty { scene.streams.received(toServer.span, onStream: one) }
      toServer = []
      let answer = scene.world.take(one)
      if answer.isEmpty { return plain }
      try session.receive(answer.span, plain: &plain, out: &toServer)
    }
  }

  @Test func plainBytesComeOutOfAHandshake() throws {
    let scene = try Scene(secure: true, sessions: sessions)
    let one = scene.accept(from: source(1))
    #expect(scene.consumer.take() == [])
    let session = TLSSession(
      client: client, serverName: "gateway.test", at: WallTime(seconds: 1_780_000_000))
    var out: [UInt8] = []
    try session.start(out: &out)
    #expect(try settle(scene, one, session, out) == [])
    #expect(scene.consumer.take() == [.opened(one, secure: true)])
    out = []
    try session.send([7, 8, 9].span, out: &out)
    _ = try settle(scene, one, session, out)
    #expect(scene.consumer.take() == [.received([7, 8, 9], one)])
    #expect(scene.streams.write([1, 2], on: one))
    #expect(try settle(scene, one, session, []) == [1, 2])
    scene.streams.close(one, flushing: true)
    _ = try settle(scene, one, session, [])
    #expect(session.isFinishedByPeer)
  }

  @Test func anUnfinishedHandshakeEndsInTime() throws {
    let scene = try Scene(secure: true, sessions: sessions)
    let one = scene.accept(from: source(1))
    scene.streams.received([22, 3, 1].span, onStream: one)
    scene.wait(.seconds(9))
    #expect(scene.consumer.take() == [])
    scene.wait(.seconds(2))
    #expect(scene.consumer.take() == [.closed(one, .notEstablished)])
  }

  @Test func plainTextOnTheSecurePortFails() throws {
    let scene = try Scene(secure: true, sessions: sessions)
    let one = scene.accept(from: source(1))
    scene.streams.received(Array("REGISTER sip:gateway SIP/2.0\r\n".utf8).span, onStream: one)
    guard case .closed(one, .security(_))? = scene.consumer.take().first else {
      Issue.record("plain text was not refused")
      return
    }
    #expect(scene.streams.counters.handshakesFailed == 1)
  }

  @Test func recordsTheWorldDoesNotTakeWaitTheirTurn() throws {
    let scene = try Scene(secure: true, sessions: sessions)
    let one = scene.accept(from: source(1))
    let session = TLSSession(
      client: client, serverName: "gateway.test", at: WallTime(seconds: 1_780_000_000))
    var out: [UInt8] = []
    try session.start(out: &out)
    _ = try settle(scene, one, session, out)
    scene.world.room = 0
    #expect(scene.streams.write([1, 2], on: one))
    #expect(!scene.streams.write([3], on: one))
    #expect(scene.world.take(one) == [])
    scene.world.room = .max
    _ = scene.consumer.take()
    scene.streams.drained(one)
    #expect(scene.consumer.take() == [.drained(one)])
    #expect(try settle(scene, one, session, []) == [1, 2])
  }

  @Test func aDialledPeerIsJudged() throws {
    let scene = try Scene(sessions: sessions)
    let one = try scene.streams.dial(
      source(5), trust: .firstContact, serverName: "panel.test", purpose: .sip)
    scene.streams.connected(one)
    let server = try #require(sessions.accept())
    var plain: [UInt8] = []
    var toClient: [UInt8] = []
    while true {
      let toServer = scene.world.take(one)
      if toServer.isEmpty { break }
      try server.receive(toServer.span, plain: &plain, out: &toClient)
      let answer = toClient
      toClient = []
      scene.streams.received(answer.span, onStream: one)
    }
    #expect(scene.consumer.take() == [.opened(one, secure: true)])
    #expect(scene.streams.facts(of: one)?.fingerprint == sessions.certificate?.fingerprint)
  }
}
