import Crypto
import Testing
import Wire

/// Certificates are made when the tests run, so what is checked against them is a made-up time.
private let start = WallTime(seconds: 1_760_000_000)
private let end = WallTime(seconds: 1_800_000_000)
private let noon = WallTime(seconds: 1_780_000_000)

private func building(_ names: [String] = ["gateway.test"]) throws -> SelfSigned {
  try SelfSigned.make(
    names: names, addresses: [IPAddress(v4: 0x0A00_0001), .loopbackV6], serial: 77, from: start, to: end)
}

/// Two sessions mouth to mouth; ciphertext travels in pieces of `piece` bytes.
private struct Pair {
  var server: TLSSession
  var client: TLSSession
  var piece = Int.max
  var serverRead: [UInt8] = []
  var clientRead: [UInt8] = []
  var toServer: [UInt8] = []
  var toClient: [UInt8] = []

  init(server: TLSSession, client: TLSSession) {
    self.server = server
    self.client = client
  }

  mutating func handshake() throws {
    try client.start(out: &toServer)
    try settle()
  }

  mutating func settle() throws {
    while !toServer.isEmpty || !toClient.isEmpty {
      if !toServer.isEmpty {
        let now = Array(toServer.prefix(piece))
        toServer.removeFirst(now.count)
        try server.receive(now.span, plain: &serverRead, out: &toClient)
      }
      if !toClient.isEmpty {
        let now = Array(toClient.prefix(piece))
        toClient.removeFirst(now.count)
        try client.receive(now.span, plain: &clientRead, out: &toServer)
      }
    }
  }
}

private func pair(_ made: SelfSigned, _ trust: TLSTrust, name: String?, at time: WallTime = noon) throws
  -> Pair
{
  let server = try TLSContext(serverCertificatePEM: made.certificatePEM, keyPEM: made.keyPEM, at: time)
  let client = try TLSContext(client: trust)
  return Pair(
    server: TLSSession(server: server), client: TLSSession(client: client, serverName: name, at: time))
}

@Suite struct TLSTests {
  @Test(arguments: ["gateway.test", "10.0.0.1", "::1", "[::1]"])
  func aTrustedNameIsSpokenTo(_ name: String) throws {
    let made = try building()
    var pair = try pair(made, .authorities(made.certificatePEM), name: name)
    try pair.handshake()
    #expect(pair.client.isEstablished && pair.server.isEstablished)
    #expect(pair.client.protocolName == "TLSv1.3")
    try pair.client.send(Array("ping".utf8).span, out: &pair.toServer)
    try pair.server.send(Array("pong".utf8).span, out: &pair.toClient)
    try pair.settle()
    #expect(pair.serverRead == Array("ping".utf8))
    #expect(pair.clientRead == Array("pong".utf8))
  }

  @Test func singleBytesAreEnough() throws {
    let made = try building()
    var pair = try pair(made, .firstContact, name: nil)
    pair.piece = 1
    try pair.handshake()
    let long = (0..<40_000).map { UInt8(truncatingIfNeeded: $0 * 7) }
    try pair.client.send(long.span, out: &pair.toServer)
    pair.piece = 1000
    try pair.settle()
    #expect(pair.serverRead == long)
  }

  @Test func anotherNameIsNotTrusted() throws {
    let made = try building()
    var pair = try pair(made, .authorities(made.certificatePEM), name: "elsewhere.test")
    #expect(throws: TLSFailure.self) { try pair.handshake() }
    #expect(!pair.client.isEstablished)
  }

  @Test func aStrangerIsNotTrustedAndHearsAnAlert() throws {
    let pair = try pair(building(), .authorities(building().certificatePEM), name: "gateway.test")
    var toServer: [UInt8] = []
    var toClient: [UInt8] = []
    var plain: [UInt8] = []
    try pair.client.start(out: &toServer)
    try pair.server.receive(toServer.span, plain: &plain, out: &toClient)
    toServer = []
    var failure: TLSFailure?
    do throws(TLSFailure) {
      try pair.client.receive(toClient.span, plain: &plain, out: &toServer)
    } catch { failure = error }
    guard case .untrusted = failure else {
      Issue.record("\(String(describing: failure))")
      return
    }
    // An alert record, or the change of cipher spec before it.
    #expect(toServer.first == 21 || toServer.first == 20)
    toClient = []
    #expect(throws: TLSFailure.self) {
      try pair.server.receive(toServer.span, plain: &plain, out: &toClient)
    }
  }

  @Test func anExpiredPeerIsNotTrusted() throws {
    let made = try building()
    let server = try TLSContext(serverCertificatePEM: made.certificatePEM, keyPEM: made.keyPEM)
    let client = try TLSContext(client: .authorities(made.certificatePEM))
    var pair = Pair(
      server: TLSSession(server: server),
      client: TLSSession(client: client, serverName: "gateway.test", at: WallTime(seconds: 1_900_000_000)))
    #expect(throws: TLSFailure.untrusted("certificate has expired")) { try pair.handshake() }
  }

  @Test func aPinnedFingerprintIsTheOnlyOneBelieved() throws {
    let made = try building()
    var first = try pair(made, .firstContact, name: nil)
    try first.handshake()
    let seen = try #require(first.client.peerFingerprint)
    #expect(seen.count == 32)

    var again = try pair(made, .pinned(seen), name: "whatever.test")
    try again.handshake()
    #expect(again.client.isEstablished)

    var other = try pair(building(), .pinned(seen), name: nil)
    #expect(throws: TLSFailure.self) { try other.handshake() }
    #expect(!other.client.isEstablished)
  }

  @Test func aFarewellIsHeard() throws {
    var pair = try pair(building(), .firstContact, name: nil)
    try pair.handshake()
    pair.client.finish(out: &pair.toServer)
    try pair.settle()
    #expect(pair.server.isFinishedByPeer)
  }

  @Test func plainTextIsRefusedWithAnAlert() throws {
    let made = try building()
    let context = try TLSContext(serverCertificatePEM: made.certificatePEM, keyPEM: made.keyPEM)
    let server = TLSSession(server: context)
    var plain: [UInt8] = []
    var out: [UInt8] = []
    #expect(throws: TLSFailure.self) {
      try server.receive(
        Array("OPTIONS sip:gateway SIP/2.0\r\n\r\n".utf8).span, plain: &plain, out: &out)
    }
    #expect(plain.isEmpty)
  }

  @Test func aSpoiledRecordEndsTheSessionAndYieldsNothing() throws {
    var pair = try pair(building(), .firstContact, name: nil)
    try pair.handshake()
    try pair.client.send(Array("open the door".utf8).span, out: &pair.toServer)
    pair.toServer[pair.toServer.count - 1] ^= 1
    #expect(throws: TLSFailure.self) { try pair.settle() }
    #expect(pair.serverRead.isEmpty)
  }

  @Test func aReloadConcernsOnlyTheSessionsAfterIt() throws {
    let old = try building(["old.test"])
    let new = try building(["new.test"])
    var context = try TLSContext(serverCertificatePEM: old.certificatePEM, keyPEM: old.keyPEM)
    let client = try TLSContext(client: .firstContact)
    var before = Pair(
      server: TLSSession(server: context), client: TLSSession(client: client, serverName: nil))
    try before.handshake()
    context = try TLSContext(serverCertificatePEM: new.certificatePEM, keyPEM: new.keyPEM)
    var after = Pair(
      server: TLSSession(server: context), client: TLSSession(client: client, serverName: nil))
    try after.handshake()
    #expect(after.client.peerFingerprint == context.certificate?.fingerprint)
    #expect(before.client.peerFingerprint != after.client.peerFingerprint)
    try before.client.send([1, 2, 3].span, out: &before.toServer)
    try before.settle()
    #expect(before.serverRead == [1, 2, 3])
  }
}

@Suite struct CertificateTests {
  @Test func theMakerSaysWhatItWasToldTo() throws {
    let made = try building()
    let context = try TLSContext(serverCertificatePEM: made.certificatePEM, keyPEM: made.keyPEM, at: noon)
    let facts = try #require(context.certificate)
    #expect(facts.commonName == "gateway.test")
    #expect(facts.notBefore == start)
    #expect(facts.notAfter == end)
    #expect(facts.fault(at: noon) == nil)
    #expect(facts.fault(at: WallTime(seconds: 0)) == .notYetValid(start))
    #expect(facts.fault(at: WallTime(seconds: 1_900_000_000)) == .expired(end))
  }

  @Test func aNameThatIsNoneIsRefused() {
    #expect(throws: TLSFailure.self) { try building(["a,IP:10.0.0.9"]) }
    #expect(throws: TLSFailure.self) { try building([""]) }
  }

  @Test func eachFaultOfTheFilesHasItsOwnName() throws {
    let made = try building()
    let other = try building()
    func failure(_ certificate: [UInt8], _ key: [UInt8], at time: WallTime? = nil) -> TLSFailure? {
      do throws(TLSFailure) {
        _ = try TLSContext(serverCertificatePEM: certificate, keyPEM: key, at: time)
        return nil
      } catch { return error }
    }
    #expect(failure(made.certificatePEM, made.keyPEM) == nil)
    #expect(failure([], made.keyPEM) == .noCertificate)
    #expect(failure(made.keyPEM, made.keyPEM) == .noCertificate)
    #expect(failure(made.certificatePEM, []) == .noKey)
    #expect(failure(made.certificatePEM, made.certificatePEM) == .noKey)
    #expect(failure(made.certificatePEM, other.keyPEM) == .keyMismatch)
    #expect(failure(made.certificatePEM, made.keyPEM, at: WallTime(seconds: 1_900_000_000)) == .expired(end))
    #expect(failure(made.certificatePEM, made.keyPEM, at: WallTime(seconds: 0)) == nil)
    #expect(failure(made.certificatePEM + other.certificatePEM, made.keyPEM) == nil)
  }

  @Test func aClientNeedsSomethingToTrust() {
    #expect(throws: TLSFailure.noCertificate) { try TLSContext(client: .authorities([])) }
    #expect(throws: TLSFailure.self) { try TLSContext(client: .pinned([1, 2, 3])) }
  }
}
