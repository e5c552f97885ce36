import Crypto
import RTSP
import Testing
import Wire

@Suite struct AuthenticationTests {
  private func md5(_ text: String) -> String { ASCII.hex(Digest.md5(Array(text.utf8))) }

  /// One value of the last `Authorization` in what was said.
  private func field(_ name: String, in said: String) -> String? {
    guard let line = said.split(separator: "\r\n").first(where: { $0.hasPrefix("Authorization: ") }) else {
      return nil
    }
    for part in line.dropFirst(15).split(separator: ",") {
      let halves = part.split(separator: "=", maxSplits: 1)
      if halves.count == 2, halves[0].split(separator: " ").last.map(String.init) == name {
        return halves[1].filter { $0 != "\"" }
      }
    }
    return nil
  }

  @Test func digestIsAnsweredAsRFC2069Says() {
    var dialogue = Dialogue(user: "admin", password: "hunter2")
    #expect(!dialogue.said().contains("Authorization"))
    dialogue.hear(
      "RTSP/1.0 401 Unauthorized\nCSeq: 1\nWWW-Authenticate: Digest realm=\"AK\", nonce=\"abc\"\n\n")
    let first = md5("admin:AK:hunter2")
    let second = md5("DESCRIBE:rtsp://192.0.2.10/live")
    #expect(
      dialogue.said()
        == "DESCRIBE rtsp://192.0.2.10/live RTSP/1.0\r\nCSeq: 2\r\nUser-Agent: Vestibule\r\n"
        + "Authorization: Digest username=\"admin\", realm=\"AK\", nonce=\"abc\", "
        + "uri=\"rtsp://192.0.2.10/live\", response=\"\(md5("\(first):abc:\(second)"))\"\r\n"
        + "Accept: application/sdp\r\n\r\n")
  }

  @Test func countsGrowUnderOneNonce() {
    var dialogue = Dialogue(user: "admin", password: "hunter2")
    _ = dialogue.said()
    dialogue.hear(
      "RTSP/1.0 401 Unauthorized\nCSeq: 1\n"
        + "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", opaque=\"o\"\n\n")
    let described = dialogue.said()
    #expect(field("nc", in: described) == "00000001")
    #expect(field("opaque", in: described) == "o")
    let client = field("cnonce", in: described)!
    #expect(client.count == 16)
    let first = md5("admin:r:hunter2")
    let second = md5("DESCRIBE:rtsp://192.0.2.10/live")
    #expect(field("response", in: described) == md5("\(first):n:00000001:\(client):auth:\(second)"))
    dialogue.hear(Dialogue.described(2))
    let setUp = dialogue.said()
    #expect(field("nc", in: setUp) == "00000002")
    #expect(field("uri", in: setUp) == "rtsp://192.0.2.10/live/track1")
  }

  @Test func sha256IsPreferredAndMD5TakenWhereItFails() {
    var dialogue = Dialogue(user: "admin", password: "hunter2")
    _ = dialogue.said()
    let both =
      "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5\n"
      + "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256\n\n"
    dialogue.hear("RTSP/1.0 401 Unauthorized\nCSeq: 1\n" + both)
    let strong = dialogue.said()
    #expect(field("algorithm", in: strong) == "SHA-256")
    #expect(field("response", in: strong)?.count == 64)
    dialogue.hear("RTSP/1.0 401 Unauthorized\nCSeq: 2\n" + both)
    let weak = dialogue.said()
    #expect(field("response", in: weak)?.count == 32)
    dialogue.hear("RTSP/1.0 401 Unauthorized\nCSeq: 3\n" + both)
    #expect(dialogue.ending == .credentials(.wrong))
  }

  @Test func aWrongPasswordIsToldAtOnce() {
    var dialogue = Dialogue(user: "admin", password: "hunter3")
    dialogue.hear(
      "RTSP/1.0 401 Unauthorized\nCSeq: 1\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n1\"\n\n")
    // Another nonce, but the first was fresh: a camera locks us out after a few tries.
    dialogue.hear(
      "RTSP/1.0 401 Unauthorized\nCSeq: 2\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n2\"\n\n")
    #expect(dialogue.ending == .credentials(.wrong))
  }

  @Test func aStaleNonceIsNoWrongPassword() {
    var dialogue = Dialogue(user: "admin", password: "hunter2")
    dialogue.hear(
      "RTSP/1.0 401 Unauthorized\nCSeq: 1\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n1\"\n\n")
    dialogue.hear(
      "RTSP/1.0 401 Unauthorized\nCSeq: 2\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n2\", stale=TRUE\n\n"
    )
    _ = dialogue.said()
    dialogue.hear(Dialogue.described(3))
    #expect(field("nonce", in: dialogue.said()) == "n2")
    // A nonce that has served and is refused has aged, though the camera does not say so.
    dialogue.hear(
      "RTSP/1.0 401 Unauthorized\nCSeq: 4\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n3\"\n\n")
    let again = dialogue.said()
    #expect(again.hasPrefix("SETUP "))
    #expect(field("nonce", in: again) == "n3")
    #expect(again.contains("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"))
  }

  @Test func aCameraThatChallengesWithoutEndIsLeft() {
    var dialogue = Dialogue(user: "admin", password: "hunter2")
    for number in 1...10 {
      dialogue.hear(
        "RTSP/1.0 401 Unauthorized\nCSeq: \(number)\n"
          + "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\(number)\", stale=true\n\n")
    }
    #expect(dialogue.ending == .credentials(.wrong))
    #expect(dialogue.said().split(separator: "DESCRIBE ").count == 4)
  }

  @Test func basicIsAnsweredWhereNothingBetterIsOffered() {
    var dialogue = Dialogue(user: "Aladdin", password: "open sesame")
    dialogue.hear("RTSP/1.0 401 Unauthorized\nCSeq: 1\nWWW-Authenticate: Basic realm=\"/\"\n\n")
    #expect(dialogue.said().contains("Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"))
    var both = Dialogue(user: "Aladdin", password: "open sesame")
    both.hear(
      "RTSP/1.0 401 Unauthorized\nCSeq: 1\n"
        + "WWW-Authenticate: Basic realm=\"a, b\", Digest realm=\"r\",nonce=\"n\"\n\n")
    #expect(both.said().contains("Authorization: Digest username"))
    // Taking the better offer away gives nothing away.
    both.hear("RTSP/1.0 401 Unauthorized\nCSeq: 2\nWWW-Authenticate: Basic realm=\"r\"\n\n")
    #expect(both.ending == .credentials(.wrong))
    #expect(!both.said().contains("Basic"))
  }

  @Test func aStrangerIsNotShownThePassword() {
    var dialogue = Dialogue(user: "admin", password: "hunter2", mayShowPassword: false)
    dialogue.hear("RTSP/1.0 401 Unauthorized\nCSeq: 1\nWWW-Authenticate: Basic realm=\"r\"\n\n")
    #expect(dialogue.ending == .credentials(.impossible))
  }

  @Test func withoutANameTheCameraIsSaidToWantOne() {
    var dialogue = Dialogue()
    dialogue.hear("RTSP/1.0 401 Unauthorized\nCSeq: 1\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\n\n")
    #expect(dialogue.ending == .credentials(.missing))
    #expect("\(RTSPCredentials(user: "admin", password: "hunter2"))" == "credentials")
  }

  @Test(arguments: [
    "Digest realm=\"r\"", "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512", "Negotiate abc", "",
  ])
  func challengesThatNobodyKnowsAreSaidToBeSo(challenge: String) {
    var dialogue = Dialogue(user: "admin", password: "hunter2")
    dialogue.hear("RTSP/1.0 401 Unauthorized\nCSeq: 1\nWWW-Authenticate: \(challenge)\n\n")
    #expect(dialogue.ending == .credentials(.impossible))
  }
}
