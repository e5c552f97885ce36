import Crypto
import Testing

@Suite struct DigestChallengeTests {
  static let offered =
    "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=NAME, "
    + "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", "
    + "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
  static func offer(_ name: String) -> String {
    offered.split(separator: "NAME", maxSplits: 1).joined(separator: name)
  }

  /// The examples of RFC 7616 section 3.9.1.
  @Test(arguments: [
    ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
  ])
  func theAnswerIsTheOneOfTheStandard(_ algorithm: String, _ response: String) throws {
    let challenge = try #require(AuthenticationChallenge.all(in: Self.offer(algorithm)).first?.digest)
    let answer = challenge.answer(
      "GET", "/dir/index.html", user: "Mufasa", password: "Circle of Life",
      clientNonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    #expect(answer.contains("response=\"\(response)\""))
    #expect(answer.contains("algorithm=\(algorithm)"))
    #expect(answer.contains("opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""))
    #expect(answer.hasSuffix(", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""))
    #expect(!answer.contains("Circle of Life"))
  }

  @Test func ofTwoThePreferredIsAnsweredElseTheOneThereIs() {
    func chosen(_ names: [String], _ preferred: DigestAlgorithm) -> DigestAlgorithm? {
      names.map(Self.offer).flatMap(AuthenticationChallenge.all).digest(preferring: preferred)?.algorithm
    }
    #expect(chosen(["MD5", "SHA-256"], .sha256) == .sha256)
    #expect(chosen(["SHA-256", "MD5"], .md5) == .md5)
    #expect(chosen(["SHA-512-256", "MD5"], .sha256) == .md5)
    #expect(chosen(["SHA256"], .md5) == .sha256)
    #expect(chosen(["SHA-512-256"], .sha256) == nil)
  }

  @Test(arguments: [
    "", "Bearer realm=\"a\"", "Digest", "Digest realm=\"a\"", "Digest nonce=\"a\"",
    "Digest realm=\"a\", nonce=\"b\", qop=\"auth-int\"", "Digest realm \"a\"", "Digest =",
  ])
  func whatCannotBeAnsweredIsNoChallenge(_ text: String) {
    #expect(AuthenticationChallenge.all(in: text) == [])
  }

  @Test func severalChallengesStandInOneField() throws {
    let all = AuthenticationChallenge.all(
      in:
        #"Basic realm="a, Digest nonce=\"x\"", Negotiate abc==, DIGEST realm=r,nonce="n", qop=auth,Stale=TRUE"#
    )
    #expect(all.count == 2)
    #expect(all.first == .basic)
    let digest = try #require(all.last?.digest)
    #expect(digest.realm == "r" && digest.nonce == "n" && digest.algorithm == .md5)
    #expect(digest.hasQuality && digest.isStale && digest.opaque == nil)
    let many = Array(repeating: "Basic realm=r", count: 40).joined(separator: ", ")
    #expect(AuthenticationChallenge.all(in: many).count == 8)
  }

  @Test func aNonceThatIsUsedAgainIsCounted() throws {
    let challenge = try #require(
      AuthenticationChallenge.all(in: #"Digest realm="r", nonce="n", qop="auth""#).first?.digest)
    func answer(_ count: UInt32, _ namesMD5: Bool) -> String {
      challenge.answer("M", "u", user: "a", password: "b", count: count, clientNonce: "c", namesMD5: namesMD5)
    }
    func hash(_ text: String) -> String { DigestAlgorithm.md5.hex(Array(text.utf8)) }
    let response = hash("\(hash("a:r:b")):n:0000002a:c:auth:\(hash("M:u"))")
    let head = #"Digest username="a", realm="r", nonce="n", uri="u", response="\#(response)""#
    #expect(answer(42, true) == head + #", algorithm=MD5, qop=auth, nc=0000002a, cnonce="c""#)
    #expect(answer(42, false) == head + #", qop=auth, nc=0000002a, cnonce="c""#)
    #expect(answer(.max, true).contains("nc=ffffffff"))
  }

  @Test func quotesInNamesAreEscaped() throws {
    let challenge = try #require(
      AuthenticationChallenge.all(in: #"digest  realm="a\"b" ,nonce=n"#).first?.digest)
    #expect(challenge.realm == "a\"b")
    let answer = challenge.answer("M", "u", user: "u\\", password: "s", clientNonce: "c")
    #expect(answer.hasPrefix(#"Digest username="u\\", realm="a\"b", nonce="n","#))
    #expect(!answer.contains("qop"))
  }
}
