import Crypto
import SIP
import Testing
import Wire

/// The accounts of a test building.
final class TestAccounts: Accounts {
  var records: [String: AccountRecord] = [:]
  let realm = "vestibule.local"

  func account(named username: String) -> AccountRecord? { records[username] }
  func station(at address: IPAddress, from user: String) -> String? { nil }

  func add(
    _ username: String, secrets: [String], limit: Int = 2, digest: DigestPolicy = .auto,
    reuse: Bool = false
  ) {
    records[username] = AccountRecord(
      username: username, transports: [.all], contactLimit: limit, digest: digest,
      credentials: secrets.enumerated().map {
        Credential(id: UInt64($0.offset + 1), username: username, realm: realm, secret: $0.element)
      }, toleratesNonceReuse: reuse)
  }
}

/// A client that answers challenges as RFC 7616 says, written from the RFC and not from our engine.
struct DigestClient {
  var username: String
  var secret: String
  var cnonce = "0a4f113b"

  func hash(_ algorithm: String, _ text: String) -> String {
    let bytes = Array(text.utf8)
    return ASCII.hex(algorithm == "MD5" ? Digest.md5(bytes) : Digest.sha256(bytes))
  }

  static func parameter(_ name: String, of challenge: String) -> String? {
    guard let found = challenge.range(of: name + "=") else { return nil }
    let rest = challenge[found.upperBound...]
    if rest.first == "\"" { return String(rest.dropFirst().prefix { $0 != "\"" }) }
    return String(rest.prefix { $0 != "," })
  }

  func answer(
    _ challenge: String, method: String = "REGISTER", uri: String = "sip:vestibule.local", count: Int = 1,
    qop: String? = "auth", body: String = ""
  ) -> String {
    let nonce = DigestClient.parameter("nonce", of: challenge)!
    let realm = DigestClient.parameter("realm", of: challenge)!
    let algorithm = DigestClient.parameter("algorithm", of: challenge)!
    let first = hash(algorithm, "\(username):\(realm):\(secret)")
    var second = "\(method):\(uri)"
    if qop == "auth-int" { second += ":" + hash(algorithm, body) }
    let digits = String(count, radix: 16)
    let nc = String(repeating: "0", count: 8 - digits.count) + digits
    var text = "Digest username=\"\(username)\", realm=\"\(realm)\", nonce=\"\(nonce)\", uri=\"\(uri)\""
    if let qop {
      let response = hash(algorithm, "\(first):\(nonce):\(nc):\(cnonce):\(qop):\(hash(algorithm, second))")
      text += ", response=\"\(response)\", cnonce=\"\(cnonce)\", nc=\(nc), qop=\(qop)"
    } else {
      text += ", response=\"\(hash(algorithm, "\(first):\(nonce):\(hash(algorithm, second))"))\""
    }
    return text + ", algorithm=\(algorithm)"
  }
}

extension String {
  fileprivate func range(of word: String) -> Range<String.Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(word) { return start..<index(start, offsetBy: word.count) }
      start = index(after: start)
    }
    return nil
  }
}

func register(
  user: String, contact: String? = "<sip:me@192.0.2.9:5060>", authorization: String? = nil,
  callID: String = "a@b", cseq: Int = 1, extra: [String] = []
) throws -> Message {
  var lines = [
    "REGISTER sip:vestibule.local SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bK1",
    "From: <sip:\(user)@vestibule.local>;tag=1", "To: <sip:\(user)@vestibule.local>", "Call-ID: \(callID)",
    "CSeq: \(cseq) REGISTER", "Max-Forwards: 70",
  ]
  if let contact { lines.append("Contact: \(contact)") }
  if let authorization { lines.append("Authorization: \(authorization)") }
  lines += extra
  lines += ["Content-Length: 0", "", ""]
  return try Message(parsing: Array(lines.joined(separator: "\r\n").utf8))
}

@Suite struct AuthenticatorTests {
  let accounts = TestAccounts()
  let home = IPAddress("192.0.2.9")!
  var authenticator = Authenticator(key: Array(0..<32))
  let start = Instant(nanoseconds: 5_000_000_000)

  init() {
    accounts.add("panel401", secrets: ["first", "second"])
    accounts.add("dahua", secrets: ["s"], reuse: true)
    accounts.add("strict", secrets: ["s"], digest: .sha256)
  }

  mutating func challenges(_ policy: DigestPolicy = .auto, _ transport: TransportKind = .udp) -> [String] {
    authenticator.challenge(
      realm: accounts.realm, policy: policy, over: transport, to: home, now: start)
  }
  mutating func judge(
    _ user: String, _ authorization: String?, from: IPAddress? = nil, at: Instant? = nil
  ) throws -> Authenticator.Verdict {
    let message = try register(user: user, authorization: authorization)
    return authenticator.judge(message, from: from ?? home, accounts: accounts, now: at ?? start)
  }

  @Test mutating func theExampleOfRFC7616IsWhatTheHelperComputes() {
    // RFC 7616, 3.9.1.
    let client = DigestClient(
      username: "Mufasa", secret: "Circle of Life", cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
    let md5 = client.answer(
      "Digest realm=\"http-auth@example.org\", nonce=\"\(nonce)\", algorithm=MD5", method: "GET",
      uri: "/dir/index.html")
    #expect(md5.contains("8ca523f5e9506fed4657c9700eebdbec"))
    let sha = client.answer(
      "Digest realm=\"http-auth@example.org\", nonce=\"\(nonce)\", algorithm=SHA-256", method: "GET",
      uri: "/dir/index.html")
    #expect(sha.contains("753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"))
  }

  @Test mutating func aChallengeOffersMD5FirstAndOnWebSocketsNothingElse() {
    let both = challenges()
    #expect(both.map { DigestClient.parameter("algorithm", of: $0) } == ["MD5", "SHA-256"])
    #expect(both.allSatisfy { $0.contains("qop=\"auth\"") && !$0.contains("stale") })
    #expect(challenges(.auto, .wss).map { DigestClient.parameter("algorithm", of: $0) } == ["MD5"])
    #expect(challenges(.sha256).map { DigestClient.parameter("algorithm", of: $0) } == ["SHA-256"])
    #expect(challenges(.md5).map { DigestClient.parameter("algorithm", of: $0) } == ["MD5"])
  }

  @Test(arguments: [0, 1], ["first", "second"])
  mutating func eachCredentialProvesTheAccountByEitherAlgorithm(place: Int, secret: String) throws {
    let client = DigestClient(username: "panel401", secret: secret)
    let answer = client.answer(challenges()[place])
    #expect(
      try judge("panel401", answer)
        == .authentic(username: "panel401", credential: secret == "first" ? 1 : 2))
  }

  @Test mutating func nothingOrAnotherSchemeIsSimplyUnproven() throws {
    #expect(try judge("panel401", nil) == .unproven(isStale: false))
    let message = try TortureTests.message("regaut01")
    #expect(
      authenticator.judge(message, from: home, accounts: accounts, now: start) == .unproven(isStale: false))
  }

  @Test mutating func aWrongSecretIsAFailureAndSoIsAnUnknownAccount() throws {
    let wrong = DigestClient(username: "panel401", secret: "guess").answer(challenges()[0])
    #expect(try judge("panel401", wrong) == .wrong(username: "panel401"))
    let unknown = DigestClient(username: "panel999", secret: "guess").answer(challenges()[0])
    #expect(try judge("panel999", unknown) == .wrong(username: "panel999"))
  }

  @Test mutating func aForeignExpiredOrMovedNonceIsStaleAndNoFailure() throws {
    let client = DigestClient(username: "panel401", secret: "guess")
    let answer = client.answer(challenges()[0])
    #expect(try judge("panel401", answer, from: IPAddress("192.0.2.10")!) == .unproven(isStale: true))
    #expect(try judge("panel401", answer, at: start + .seconds(301)) == .unproven(isStale: true))
    #expect(try judge("panel401", answer, at: start - .seconds(1)) == .unproven(isStale: true))
    let foreign = client.answer("Digest realm=\"vestibule.local\", nonce=\"made up\", algorithm=MD5")
    #expect(try judge("panel401", foreign) == .unproven(isStale: true))
    var other = Authenticator(key: Array(1...32))
    let elsewhere = other.challenge(realm: accounts.realm, over: .udp, to: home, now: start)
    #expect(try judge("panel401", client.answer(elsewhere[0])) == .unproven(isStale: true))
  }

  @Test mutating func anotherRealmIsNoAnswerToUs() throws {
    let challenge = challenges()[0].replacing("vestibule.local", with: "other.example")
    let answer = DigestClient(username: "panel401", secret: "first").answer(challenge)
    #expect(try judge("panel401", answer) == .unproven(isStale: false))
  }

  @Test mutating func aCountIsGoodOnceWithinItsWindow() throws {
    let client = DigestClient(username: "panel401", secret: "first")
    let challenge = challenges()[0]
    let good = Authenticator.Verdict.authentic(username: "panel401", credential: 1)
    let stale = Authenticator.Verdict.unproven(isStale: true)
    let script: [(Int, Authenticator.Verdict)] = [
      (1, good), (1, stale), (3, good), (2, good), (2, stale), (3, stale), (40, good), (9, good), (8, stale),
      (41, good),
    ]
    for (count, expected) in script {
      #expect(try judge("panel401", client.answer(challenge, count: count)) == expected, "nc \(count)")
    }
  }

  @Test mutating func aWrongAnswerDoesNotUseUpTheCount() throws {
    let challenge = challenges()[0]
    let wrong = DigestClient(username: "panel401", secret: "guess").answer(challenge)
    #expect(try judge("panel401", wrong) == .wrong(username: "panel401"))
    let right = DigestClient(username: "panel401", secret: "first").answer(challenge)
    #expect(try judge("panel401", right) == .authentic(username: "panel401", credential: 1))
  }

  @Test mutating func aTolerantAccountMayRepeatItsCountWhileTheNonceIsFresh() throws {
    let answer = DigestClient(username: "dahua", secret: "s").answer(challenges()[0])
    for _ in 0..<3 {
      #expect(try judge("dahua", answer) == .authentic(username: "dahua", credential: 1))
    }
    #expect(try judge("dahua", answer, at: start + .seconds(301)) == .unproven(isStale: true))
  }

  @Test mutating func withoutQopANonceIsGoodOnce() throws {
    let client = DigestClient(username: "panel401", secret: "first")
    let answer = client.answer(challenges()[0], qop: nil)
    #expect(try judge("panel401", answer) == .authentic(username: "panel401", credential: 1))
    #expect(try judge("panel401", answer) == .unproven(isStale: true))
  }

  @Test mutating func authIntCoversTheBody() throws {
    let client = DigestClient(username: "panel401", secret: "first")
    let answer = client.answer(challenges()[0], qop: "auth-int")
    #expect(try judge("panel401", answer) == .authentic(username: "panel401", credential: 1))
  }

  @Test mutating func anAccountForSHA256IsNotProvedByMD5() throws {
    let client = DigestClient(username: "strict", secret: "s")
    let both = challenges()
    #expect(try judge("strict", client.answer(both[0])) == .wrong(username: "strict"))
    #expect(try judge("strict", client.answer(both[1])) == .authentic(username: "strict", credential: 1))
  }

  @Test mutating func aFloodOfChallengesAgesANonceAndOpensNoReplay() throws {
    let client = DigestClient(username: "panel401", secret: "first")
    let answer = client.answer(challenges()[0])
    #expect(try judge("panel401", answer) == .authentic(username: "panel401", credential: 1))
    for _ in 0..<65_536 {
      _ = authenticator.challenge(realm: "r", policy: .md5, over: .udp, to: home, now: start)
    }
    #expect(try judge("panel401", answer) == .unproven(isStale: true))
  }

  @Test mutating func noWordIsAnsweredWithATrap() throws {
    var random = Random(seed: 7)
    let good = DigestClient(username: "panel401", secret: "first").answer(challenges()[0])
    for _ in 0..<4000 {
      var bytes = Array(good.utf8)
      for _ in 0...random.below(6) {
        let place = Int(random.below(UInt64(bytes.count)))
        switch random.below(3) {
        case 0: bytes[place] = UInt8(32 + random.below(95))
        case 1: bytes.remove(at: place)
        default: bytes.insert(UInt8(32 + random.below(95)), at: place)
        }
      }
      _ = try judge("panel401", String(decoding: bytes, as: UTF8.self))
    }
  }

  @Test func theFailureLineIsWhatFail2BansAsteriskFilterReads() throws {
    let source = Endpoint("192.0.2.1:5060")!
    let message = try register(user: "panel'4(0)1")
    #expect(
      FailureLine.text(message, from: source, cause: .wrongSecret, process: 42)
        == "NOTICE[42] vestibuled: Registration from '<sip:panel?4?0?1@vestibule.local>;tag=1' failed for "
        + "'192.0.2.1:5060' - Wrong password")
    let options = try TortureTests.message("zeromf")
    #expect(
      FailureLine.text(options, from: Endpoint("[2001:db8::1]:5060")!, cause: .wrongSecret, process: 1)
        == "NOTICE[1] vestibuled: Request 'OPTIONS' from 'sip:caller@example.net;tag=3ghsd41' failed for "
        + "'[2001:db8::1]:5060' (callid: zeromf.jfasdlfnm2o2l43r5u0asdfas) - Failed to authenticate")
  }
}
