import SIP
import Testing

@testable import vestibule

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
    let challenge = try #require(DigestChallenge(Self.offer(algorithm)))
    let answer = challenge.answer(
      username: "Mufasa", secret: "Circle of Life", method: "GET", uri: "/dir/index.html",
      cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    #expect(answer.contains("response=\"\(response)\""))
    #expect(answer.contains("algorithm=\(algorithm)"))
    #expect(answer.contains("opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""))
    #expect(answer.hasSuffix(", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""))
    #expect(!answer.contains("Circle of Life"))
  }

  @Test func theStrongerOfTwoIsAnswered() {
    let both = [Self.offer("MD5"), Self.offer("SHA-256")]
    #expect(DigestChallenge.best(of: both)?.algorithm == .sha256)
    #expect(DigestChallenge.best(of: [Self.offer("SHA-512-256"), Self.offer("MD5")])?.algorithm == .md5)
    #expect(DigestChallenge.best(of: [Self.offer("SHA-512-256")]) == nil)
  }

  @Test(arguments: [
    "", "Basic realm=\"a\"", "Digest", "Digest realm=\"a\"", "Digest nonce=\"a\"",
    "Digest realm=\"a\", nonce=\"b\", qop=\"auth-int\"", "Digest realm \"a\"", "Digest =",
  ])
  func whatCannotBeAnsweredIsNoChallenge(_ text: String) { #expect(DigestChallenge(text) == nil) }

  @Test func quotesInNamesAreEscaped() throws {
    let challenge = try #require(DigestChallenge(#"digest  realm="a\"b" ,nonce=n"#))
    #expect(challenge.realm == "a\"b")
    let answer = challenge.answer(username: "u\\", secret: "s", method: "M", uri: "u", cnonce: "c")
    #expect(answer.hasPrefix(#"Digest username="u\\", realm="a\"b", nonce="n","#))
    #expect(!answer.contains("qop"))
  }
}
