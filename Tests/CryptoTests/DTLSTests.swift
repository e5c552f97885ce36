import Crypto
import Glibc
import Testing
import Wire

private let start = WallTime(seconds: 1_760_000_000)

private func context(_ profiles: [SRTPProfile] = SRTPProfile.gcmFirst) throws -> DTLSContext {
  try DTLSContext.make(serial: 5, at: start, profiles: profiles)
}

/// Two sessions on a bad network inside the test. OpenSSL reads the system's clock for its retransmissions, so a lost
/// datagram costs a few real milliseconds here: that is what a made-up clock could not prove.
private struct Wire2 {
  var client: DTLSSession
  var server: DTLSSession
  var random: Random
  /// Of 100 datagrams.
  var lost: UInt64 = 0
  var repeated: UInt64 = 0
  var reordered: UInt64 = 0
  var now = Instant(nanoseconds: 0)
  var toServer: [[UInt8]] = []
  var toClient: [[UInt8]] = []
  /// Every datagram that was put on the wire.
  var fromClient: [[UInt8]] = []
  var fromServer: [[UInt8]] = []

  init(client: DTLSSession, server: DTLSSession, seed: UInt64 = 1) {
    self.client = client
    self.server = server
    random = Random(seed: seed)
  }

  mutating func collect() {
    var datagram: [UInt8] = []
    while client.takeDatagram(&datagram) {
      fromClient.append(datagram)
      lay(datagram, toServer: true)
    }
    while server.takeDatagram(&datagram) {
      fromServer.append(datagram)
      lay(datagram, toServer: false)
    }
  }

  private mutating func lay(_ datagram: [UInt8], toServer isUp: Bool) {
    if random.below(100) < lost { return }
    for _ in 0..<(random.below(100) < repeated ? 2 : 1) {
      let queue = isUp ? toServer : toClient
      let place = random.below(100) < reordered ? Int(random.below(UInt64(queue.count + 1))) : queue.count
      if isUp { toServer.insert(datagram, at: place) } else { toClient.insert(datagram, at: place) }
    }
  }

  /// Carries datagrams until both are quiet; true when both stand.
  mutating func run(rounds: Int = 4000) -> Bool {
    for _ in 0..<rounds {
      collect()
      if !toServer.isEmpty {
        let datagram = toServer.removeFirst()
        server.receive(datagram.span, at: now)
      } else if !toClient.isEmpty {
        let datagram = toClient.removeFirst()
        client.receive(datagram.span, at: now)
      } else {
        if client.state != .handshaking, server.state != .handshaking { break }
        guard let next = [client.nextDeadline, server.nextDeadline].compactMap({ $0 }).min() else { break }
        now = max(now, next)
        usleep(1000)
        client.advance(at: now)
        server.advance(at: now)
      }
    }
    return client.state == .established && server.state == .established
  }
}

private func pair(
  client: DTLSContext, server: DTLSContext, clientBelieves: [Fingerprint]? = nil,
  serverBelieves: [Fingerprint]? = nil, seed: UInt64 = 1
) -> Wire2 {
  Wire2(
    client: DTLSSession(
      client, role: .client, peer: clientBelieves ?? [server.fingerprint], firstTimeout: .milliseconds(20)),
    server: DTLSSession(
      server, role: .server, peer: serverBelieves ?? [client.fingerprint], firstTimeout: .milliseconds(20)),
    seed: seed)
}

/// The one message of a client's first datagram, cut into pieces that are datagrams of their own. Their record
/// numbers lie beyond those that the client will use next, inside the window.
private func fragments(ofHello datagram: [UInt8], pieces: Int) -> [[UInt8]] {
  let message = Array(datagram[25...])
  let size = (message.count + pieces - 1) / pieces
  return stride(from: 0, to: message.count, by: size).enumerated().map { number, offset in
    let part = message[offset..<min(offset + size, message.count)]
    var record = Array(datagram[..<10])
    record += [UInt8(number == 0 ? 0 : 30 + number)]
    record += [UInt8((part.count + 12) >> 8), UInt8((part.count + 12) & 255)]
    record += datagram[13..<19]
    for value in [offset, part.count] {
      record += [UInt8(value >> 16), UInt8(value >> 8 & 255), UInt8(value & 255)]
    }
    return record + part
  }
}

@Suite struct DTLSTests {
  @Test func bothSidesEndWithTheSameKeys() throws {
    var wire = pair(client: try context(), server: try context())
    wire.client.start(at: wire.now)
    let stands = wire.run()
    #expect(stands)
    let client = try #require(wire.client.keys)
    let server = try #require(wire.server.keys)
    #expect(client.outbound == server.inbound && client.inbound == server.outbound)
    #expect(client.outbound != client.inbound)
    #expect(client.outbound.profile == .aeadAES128GCM)
    #expect(wire.client.nextDeadline == nil && wire.server.nextDeadline == nil)
    #expect(wire.client.suiteName.hasPrefix("ECDHE-ECDSA-"))
    for datagram in wire.fromClient + wire.fromServer { #expect(datagram.count <= DTLSSession.datagramLimit) }
  }

  @Test func theServersOrderOfProfilesDecides() throws {
    for (server, wanted) in [
      (SRTPProfile.counterModeFirst, SRTPProfile.aes128CMSHA180), (SRTPProfile.gcmFirst, .aeadAES128GCM),
      ([.aeadAES256GCM], .aeadAES256GCM),
    ] {
      var wire = pair(client: try context(SRTPProfile.counterModeFirst), server: try context(server))
      wire.client.start(at: wire.now)
      let stands = wire.run()
      #expect(stands)
      #expect(wire.client.keys?.outbound.profile == wanted)
      #expect(wire.server.keys?.outbound.profile == wanted)
    }
  }

  @Test func noSharedProfileFailsBothSides() throws {
    var wire = pair(client: try context([.aes128CMSHA180]), server: try context([.aeadAES256GCM]))
    wire.client.start(at: wire.now)
    let stands = wire.run()
    #expect(!stands)
    #expect(wire.server.state == .failed(.noProfile))
    #expect(wire.server.keys == nil && wire.client.keys == nil)
  }

  @Test(arguments: UInt64(1)...12)
  func aBadNetworkOnlyDelaysTheHandshake(seed: UInt64) throws {
    var wire = pair(client: try context(), server: try context(), seed: seed)
    wire.lost = 25
    wire.repeated = 20
    wire.reordered = 30
    wire.client.start(at: wire.now)
    let stands = wire.run()
    #expect(stands, "client \(wire.client.state), server \(wire.server.state)")
    #expect(wire.client.keys?.outbound == wire.server.keys?.inbound)
  }

  /// Today's browsers send a hello of 1,400 bytes in two datagrams; this one comes in up to five, in any order.
  @Test(arguments: [2, 3, 5], [false, true])
  func aHelloInSeveralDatagramsInAnyOrderIsUnderstood(pieces: Int, isReversed: Bool) throws {
    var wire = pair(client: try context(), server: try context())
    wire.client.start(at: wire.now)
    var hello: [UInt8] = []
    #expect(wire.client.takeDatagram(&hello))
    var parts = fragments(ofHello: hello, pieces: pieces)
    #expect(parts.count == pieces)
    if isReversed { parts.reverse() }
    for (number, part) in parts.enumerated() {
      wire.server.receive(part.span, at: wire.now)
      var reply: [UInt8] = []
      if number < parts.count - 1 {
        let answered = wire.server.takeDatagram(&reply)
        #expect(!answered)
      }
    }
    let stands = wire.run()
    #expect(stands)
  }

  /// What a browser hears depends on nothing but its hello: version, suite and profile are known answers.
  @Test(arguments: [BrowserHello.chromium, BrowserHello.firefox], [false, true])
  func browsersHellosAreAnsweredInAnyOrder(hello: [[UInt8]], isReversed: Bool) throws {
    for (profiles, wanted) in [
      (SRTPProfile.gcmFirst, [0x00, 0x07] as [UInt8]), (SRTPProfile.counterModeFirst, [0x00, 0x01]),
      ([.aeadAES256GCM], [0x00, 0x08]),
    ] {
      let session = DTLSSession(try context(profiles), role: .server, peer: [])
      let datagrams = isReversed ? hello.reversed() : hello
      var reply: [UInt8] = []
      let (first, second) = (datagrams[0], datagrams[1])
      session.receive(first.span, at: Instant(nanoseconds: 0))
      let isHasty = session.takeDatagram(&reply)
      #expect(!isHasty)
      session.receive(second.span, at: Instant(nanoseconds: 0))
      let answers = session.takeDatagram(&reply)
      #expect(answers)
      // A record of the first epoch that begins with ServerHello, of DTLS 1.2 throughout.
      try #require(reply.count > 100)
      #expect(Array(reply[..<3]) == [22, 0xFE, 0xFD])
      #expect(reply[13] == 2)
      #expect(Array(reply[25..<27]) == [0xFE, 0xFD])
      // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 or its CHACHA20 or 256-bit sister; behind an empty session name.
      let suite = 25 + 2 + 32 + 1 + Int(reply[59])
      #expect([0x2B, 0x2C, 0xA9].contains(reply[suite + 1]), "\(ASCII.hex(Array(reply[suite...suite + 1])))")
      // use_srtp: one profile, no MKI.
      #expect(reply.firstRange(of: [0, 14, 0, 5, 0, 2] + wanted + [0]) != nil)
      // And extended_master_secret (RFC 7627), which browsers insist on.
      #expect(reply.firstRange(of: [0, 23, 0, 0]) != nil)
      #expect(session.state == .handshaking)
    }
  }

  @Test func aHelloThatNeverEndsHoldsLittleMemoryAndNobody() throws {
    let session = DTLSSession(try context(), role: .server, peer: [], firstTimeout: .milliseconds(20))
    // A first fragment that promises 16 megabytes.
    let greedy: [UInt8] =
      [22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 1, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 7]
    session.receive(greedy.span, at: Instant(nanoseconds: 0))
    #expect(session.state != .established)
    #expect(session.keys == nil)
  }

  @Test func aWrongFingerprintMakesNoKeyOnEitherSide() throws {
    let stranger = try context()
    for serverIsDeceived in [true, false] {
      var wire = pair(
        client: try context(), server: try context(),
        clientBelieves: serverIsDeceived ? nil : [stranger.fingerprint],
        serverBelieves: serverIsDeceived ? [stranger.fingerprint] : nil)
      wire.client.start(at: wire.now)
      let stands = wire.run()
      #expect(!stands)
      let deceived = serverIsDeceived ? wire.server : wire.client
      let other = serverIsDeceived ? wire.client : wire.server
      #expect(deceived.state == .failed(.fingerprint))
      #expect(other.state != .established)
      #expect(deceived.keys == nil && other.keys == nil)
    }
    var nobody = pair(client: try context(), server: try context(), serverBelieves: [])
    nobody.client.start(at: nobody.now)
    let stands = nobody.run()
    #expect(!stands)
    #expect(nobody.server.state == .failed(.fingerprint))
  }

  @Test func onlyTheStrongestHashesOfADescriptionCount() throws {
    let client = try context()
    let wrong = Fingerprint(.sha512, [UInt8](repeating: 1, count: 64))
    var wire = pair(
      client: client, server: try context(), serverBelieves: [client.fingerprint, wrong])
    wire.client.start(at: wire.now)
    let stands = wire.run()
    #expect(!stands)
    #expect(wire.server.state == .failed(.fingerprint))
    let other = Fingerprint(.sha256, [UInt8](repeating: 1, count: 32))
    var two = pair(client: client, server: try context(), serverBelieves: [other, client.fingerprint])
    two.client.start(at: two.now)
    let secondStands = two.run()
    #expect(secondStands)
  }

  @Test func garbageBeforeAndAfterTheHandshakeChangesNothing() throws {
    var wire = pair(client: try context(), server: try context())
    var random = Random(seed: 9)
    for _ in 0..<500 {
      // The first byte of DTLS, and then anything but a whole record.
      let datagram = [UInt8(20 + random.below(44))] + random.bytes(Int(random.below(300)))
      wire.server.receive(datagram.span, at: wire.now)
    }
    #expect(wire.server.state == .handshaking)
    wire.client.start(at: wire.now)
    let stands = wire.run()
    #expect(stands)
    let keys = wire.server.keys
    for _ in 0..<500 {
      let datagram = [UInt8(20 + random.below(44)), 0xFE, 0xFD] + random.bytes(Int(random.below(300)))
      wire.server.receive(datagram.span, at: wire.now)
    }
    // Everything that was ever sent, once more.
    for datagram in wire.fromClient { wire.server.receive(datagram.span, at: wire.now) }
    #expect(wire.server.state == .established)
    #expect(wire.server.keys == keys)
  }

  @Test func aGoodbyeIsHeard() throws {
    var wire = pair(client: try context(), server: try context())
    wire.client.start(at: wire.now)
    let stands = wire.run()
    #expect(stands)
    wire.server.close()
    #expect(wire.server.state == .closed)
    _ = wire.run()
    #expect(wire.client.state == .closed)
  }

  @Test func silenceEndsInATimeout() throws {
    let session = DTLSSession(
      try context(), role: .client, peer: [], firstTimeout: .milliseconds(16))
    var now = Instant(nanoseconds: 0)
    session.start(at: now)
    var datagram: [UInt8] = []
    var flights = 0
    // Twelve retransmissions, doubling: only the first few are waited for.
    for _ in 0..<200 {
      while session.takeDatagram(&datagram) { flights += 1 }
      guard flights < 4, let deadline = session.nextDeadline else { break }
      now = deadline
      usleep(1000)
      session.advance(at: now)
    }
    #expect(flights == 4)
    #expect(session.state == .handshaking)
  }

  @Test func fingerprintsAreReadAndWritten() throws {
    let text =
      "sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"
    let fingerprint = try #require(Fingerprint(text))
    #expect(fingerprint.description == text)
    #expect(Fingerprint(text.lowercased()) == fingerprint)
    #expect(Fingerprint("SHA-256 " + text.dropFirst(8)) == fingerprint)
    for bad in [
      "", "sha-256", "sha-1 00:11", "sha-256 00:11", String(text.dropLast()), text + ":00", text + " x",
      text.replacing("00", with: "0G"), "md5 " + text.dropFirst(8),
    ] {
      #expect(Fingerprint(bad) == nil, "\(bad)")
    }
  }
}
