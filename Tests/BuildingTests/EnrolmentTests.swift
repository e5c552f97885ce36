import Directory
import HTTP
import JSON
import Provisioning
import Testing
import Web
import Wire

/// Makes credentials when the test lets it.
private final class PaperMaker: CredentialMaker {
  var asked: [EnrolmentLink] = []
  var forgotten: [String] = []
  var waiting: [(DeviceProfile?) -> Void] = []

  func makeCredential(redeeming link: EnrolmentLink, then: @escaping (DeviceProfile?) -> Void) {
    asked.append(link)
    waiting.append(then)
  }
  func forget(link name: String) { forgotten.append(name) }
}

@Suite struct EnrolmentTests {
  static let profile = DeviceProfile(
    username: "web401", secret: "0123", domain: "vestibule.local", display: "Martin & \"Co\"",
    udp: Endpoint("192.0.2.1:5060")!, tcp: nil, tls: Endpoint("192.0.2.1:5061")!,
    wss: "wss://192.0.2.1:8443/sip", bearer: "abcd", whep: ["https://192.0.2.1:8443/whep/entrance"],
    expires: WallTime(seconds: 1_800_000_000), hasKnownCertificate: false)
  private let maker = PaperMaker()
  let carrier = PaperCarrier()
  let desk: EnrolmentDesk
  let server: WebServer
  var random = Random(seed: 1)
  private let numbers = Numbers()

  private final class Numbers { var last: UInt64 = 0 }

  init() {
    let carrier = carrier
    desk = EnrolmentDesk(maker: maker) { carrier.now }
    var router = Router { _, _, _ in .admitted(.anybody) }
    desk.addRoutes(to: &router)
    server = WebServer(carrier: carrier, router: router)
  }

  func link(_ random: inout Random) -> String {
    desk.links.make(for: "web401", now: carrier.now, wall: carrier.wall, &random).token
  }

  func start(_ target: String, from address: String = "192.0.2.7", method: String = "POST") -> WebConnectionID
  {
    numbers.last += 1
    let id = WebConnectionID(numbers.last)
    server.opened(id, peer: .remote(Endpoint("\(address):9")!, isSecure: true))
    server.received(
      Array("\(method) /provision/\(target) HTTP/1.1\r\nHost: g\r\nContent-Length: 0\r\n\r\n".utf8).span,
      on: id)
    return id
  }
  func heard(_ id: WebConnectionID) -> String {
    String(decoding: carrier.written.removeValue(forKey: id) ?? [], as: UTF8.self)
  }
  func status(_ target: String, from address: String = "192.0.2.7", method: String = "POST") -> Int {
    Int(heard(start(target, from: address, method: method)).split(separator: " ").dropFirst().first ?? "")
      ?? 0
  }
  func finish(_ profile: DeviceProfile? = profile) { maker.waiting.removeFirst()(profile) }

  @Test mutating func aLinkIsGoodOnceAndItsAnswerForAMinute() throws {
    let token = link(&random)
    let first = start(token)
    let twin = start(token)
    #expect(heard(first) == "")
    #expect(status(token, from: "192.0.2.8") == 410)
    finish()
    #expect(heard(first).hasPrefix("HTTP/1.1 200 "))
    #expect(heard(twin).contains("\"bearer\":\"abcd\""))
    #expect(maker.asked.count == 1)
    carrier.now = carrier.now + .seconds(59)
    #expect(status(token) == 200)
    #expect(status(token, from: "192.0.2.8") == 410)
    carrier.now = carrier.now + .seconds(1)
    #expect(status(token) == 410)
    #expect(maker.asked.count == 1)
  }

  @Test mutating func aLinkExpires() {
    let token = link(&random)
    carrier.now = carrier.now + EnrolmentLinks.life
    #expect(status(token) == 410)
    #expect(maker.asked.isEmpty)
  }

  @Test mutating func aLinkWhoseCredentialCouldNotBeStoredWaitsOn() {
    let token = link(&random)
    let id = start(token)
    finish(nil)
    #expect(heard(id).hasPrefix("HTTP/1.1 503 "))
    let again = start(token)
    finish()
    #expect(heard(again).hasPrefix("HTTP/1.1 200 "))
  }

  @Test mutating func fiveWrongSecretsEndALink() {
    let token = link(&random)
    let wrong = String(token.prefix(8)) + String(repeating: "A", count: 43)
    for number in 0..<5 { #expect(status(wrong, from: "192.0.2.\(number)") == 410) }
    #expect(maker.forgotten == [String(token.prefix(8))])
    #expect(status(token) == 410)
    #expect(maker.asked.isEmpty)
  }

  @Test mutating func guessingIsSlow() {
    let token = link(&random)
    let guesses = (0..<30).map { _ in status(String(repeating: "B", count: 51)) }
    #expect(guesses.prefix(20).allSatisfy { $0 == 410 })
    #expect(guesses.suffix(10).allSatisfy { $0 == 429 })
    // Others are served meanwhile.
    let id = start(token, from: "192.0.2.99")
    finish()
    #expect(heard(id).hasPrefix("HTTP/1.1 200 "))
    #expect(status("short", from: "192.0.2.98") == 404)
  }

  @Test mutating func whoOnlyLooksDoesNotUseALinkUp() {
    let token = link(&random)
    #expect(status(token, method: "HEAD") == 405)
    #expect(status(token + "?format=word", method: "GET") == 400)
    #expect(maker.asked.isEmpty)
    let id = start(token + "?format=linphone", method: "GET")
    finish()
    let answer = heard(id)
    #expect(answer.contains("Content-Type: application/xml"))
    #expect(answer.contains(#"&quot;Martin &amp; \&quot;Co\&quot;&quot; &lt;sip:web401@vestibule.local&gt;"#))
    #expect(answer.contains("&lt;sip:192.0.2.1:5061;transport=tls&gt;"))
  }

  @Test mutating func linksAreBounded() {
    for number in 0..<300 {
      let account = AccountName("a\(number % 200)")
      _ = desk.links.make(for: account, now: carrier.now, wall: carrier.wall, &random)
    }
    #expect(desk.links.count == EnrolmentLinks.mostKept)
    var dropped: [String] = []
    for _ in 0..<10 {
      dropped += desk.links.make(for: "b", now: carrier.now, wall: carrier.wall, &random).dropped
    }
    let ended = desk.links.end("b")
    #expect(ended.count == EnrolmentLinks.mostPerAccount)
    #expect(dropped.count >= 2)
  }

  @Test mutating func aStoredLinkIsTakenUpForWhatIsLeftOfItsLife() {
    var other = EnrolmentLinks()
    let (token, link, _) = other.make(for: "web401", now: carrier.now, wall: carrier.wall, &random)
    let later = carrier.wall + .minutes(9)
    let isTaken = desk.links.load(link, now: carrier.now, wall: later)
    #expect(isTaken)
    carrier.now = carrier.now + .seconds(59)
    let redeemed = desk.links.redeem(token, from: nil, now: carrier.now)
    #expect(redeemed == .fresh(link))
    let isOld = !desk.links.load(link, now: carrier.now, wall: carrier.wall + .minutes(10))
    #expect(isOld)
    // A clock that was put back does not make it live longer.
    let isPutBack = !desk.links.load(link, now: carrier.now, wall: carrier.wall + .minutes(-60))
    #expect(isPutBack)
  }

  @Test func profilesAreWrittenAsDevicesReadThem() throws {
    let json = EnrolmentTests.profile.json.text()
    #expect(
      json
        == #"{"username":"web401","secret":"0123","domain":"vestibule.local","sip":{"udp":"sip:192.0.2.1:5060;transport=udp","tcp":null,"tls":"sip:192.0.2.1:5061;transport=tls","wss":"wss://192.0.2.1:8443/sip"},"bearer":"abcd","whep":["https://192.0.2.1:8443/whep/entrance"],"expires":"2027-01-15T08:00:00.000Z"}"#
    )
    // A certificate of our own making is one that these devices refuse: they get UDP then.
    #expect(EnrolmentTests.profile.akuvox.contains("Config.Account1.SIP.TransType = 0\n"))
    #expect(EnrolmentTests.profile.akuvox.contains("Config.Account1.SIP.Port = 5060\n"))
    var known = EnrolmentTests.profile
    known.hasKnownCertificate = true
    known.display = "a\nConfig.Evil = 1"
    #expect(known.akuvox.contains("Config.Account1.SIP.Port = 5061\n"))
    #expect(!known.akuvox.contains("\nConfig.Evil"))
    #expect(known.linphone.contains("<entry name=\"verify_server_certs\" overwrite=\"true\">1</entry>"))
    #expect("\(known)" == "profile of web401")
  }

  @Test func aQRCodeHasItsThreeEyes() throws {
    let code = try #require(QRCode("https://192.0.2.1:8443/#enroll=\(String(repeating: "x", count: 51))"))
    #expect(code.rows.count == code.rows[0].utf8.count)
    for row in [code.rows[0], code.rows[6]] { #expect(row.hasPrefix("11111110")) }
    #expect(code.rows[0].hasSuffix("01111111"))
    #expect(code.rows.last?.hasPrefix("11111110") == true)
    #expect(QRCode("") == nil)
    #expect(QRCode(String(repeating: "x", count: 3000)) == nil)
  }
}
