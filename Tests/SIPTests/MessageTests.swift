import SIP
import Testing
import Wire

@Suite struct MessageTests {
  static let invite = [
    "INVITE sip:401@192.0.2.1:5060 SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.40:5060;rport;branch=z9hG4bK18",
    "Via: SIP/2.0/TCP p.example.com;branch=z9hG4bK19", "Record-Route: <sip:p.example.com;lr>",
    "From: \"Gate\" <sip:100@192.0.2.1:5060>;tag=18", "To: <sip:401@192.0.2.1:5060>",
    "Call-ID: 18@192.0.2.40",
    "CSeq: 20 INVITE", "Contact: <sip:100@192.0.2.40:5060>", "Content-Type: Application/SDP; charset=x",
    "Allow: INVITE, INFO,PRACK", "Allow: ACK", "Require: 100rel", "k: replaces, timer",
    "Expires: 120 ;later", "Content-Length: 3", "", "v=0",
  ]
  static func message(_ lines: [String]) throws -> Message {
    try Message(parsing: Array(lines.joined(separator: "\r\n").utf8))
  }

  @Test func anInviteIsReadByTypedNames() throws {
    let message = try MessageTests.message(MessageTests.invite)
    #expect(message.isRequest)
    #expect(message.method == .invite)
    #expect(message.requestURI == URI(user: "401", at: Endpoint("192.0.2.1:5060")!))
    #expect(message.topVia.branch == "z9hG4bK18")
    #expect(message.topVia.hasCookie)
    #expect(message.topVia.wantsRport)
    #expect(message.topVia.rport == nil)
    #expect(message.from == NameAddress("\"Gate\" <sip:100@192.0.2.1:5060>;tag=18"))
    #expect(message.to.tag == nil)
    #expect(message.contentType == "application/sdp")
    #expect(message.values(.allow) == ["INVITE", "INFO", "PRACK", "ACK"])
    #expect(message.requires("100REL"))
    #expect(message.supports("timer"))
    #expect(!message.supports("outbound"))
    #expect(message.expires == 120)
    #expect(message.body == Array("v=0".utf8))
    #expect(message.value(.server) == nil)
    #expect(message.headers.map(\.name).prefix(3) == ["Via", "Via", "Record-Route"])
  }

  @Test func aResponseCopiesWhatItMust() throws {
    let request = try MessageTests.message(MessageTests.invite)
    var response = Response(to: request, status: 180, tag: "abc", source: Endpoint("203.0.113.5:1024")!)
    response.add(.contact, NameAddress(URI("sip:gw@192.0.2.1")!))
    let text = String(decoding: response.encoded(body: Array("x".utf8), contentType: "a/b"), as: UTF8.self)
    #expect(
      text.split(separator: "\r\n", omittingEmptySubsequences: false) == [
        "SIP/2.0 180 Ringing",
        "Via: SIP/2.0/UDP 192.0.2.40:5060;branch=z9hG4bK18;received=203.0.113.5;rport=1024",
        "Via: SIP/2.0/TCP p.example.com;branch=z9hG4bK19", "Record-Route: <sip:p.example.com;lr>",
        "From: \"Gate\" <sip:100@192.0.2.1:5060>;tag=18", "To: <sip:401@192.0.2.1:5060>;tag=abc",
        "Call-ID: 18@192.0.2.40", "CSeq: 20 INVITE", "Contact: <sip:gw@192.0.2.1>", "Content-Type: a/b",
        "Content-Length: 1", "", "x",
      ])
    let trying = String(decoding: Response(to: request, status: 100, tag: "abc").encoded(), as: UTF8.self)
    #expect(trying.contains("To: <sip:401@192.0.2.1:5060>\r\n"))
    #expect(!trying.contains("Record-Route"))
    #expect(trying.contains("Via: SIP/2.0/UDP 192.0.2.40:5060;rport;branch=z9hG4bK18\r\n"))
  }

  @Test func theSourceIsAddedOnlyWhereItTellsSomething() throws {
    func via(_ value: String, from source: String) throws -> String {
      var lines = MessageTests.invite
      lines[1] = "Via: " + value
      let response = Response(
        to: try MessageTests.message(lines), status: 200, tag: "t", source: Endpoint(source)!)
      let text = String(decoding: response.encoded(), as: UTF8.self)
      return String(text.split(separator: "\r\n")[1].dropFirst("Via: ".count))
    }
    let plain = "SIP/2.0/UDP 192.0.2.40;branch=z9hG4bK1"
    #expect(try via(plain, from: "192.0.2.40:5060") == plain)
    #expect(try via(plain, from: "192.0.2.41:5060") == plain + ";received=192.0.2.41")
    #expect(
      try via("SIP/2.0/UDP [2001:db8::9];branch=z9hG4bK1", from: "[2001:db8:0::9]:5060")
        == "SIP/2.0/UDP [2001:db8::9];branch=z9hG4bK1")
    #expect(
      try via("SIP/2.0/UDP a.b;received=6.6.6.6;rport=1;branch=z9hG4bK1", from: "192.0.2.41:9")
        == "SIP/2.0/UDP a.b;branch=z9hG4bK1;received=192.0.2.41;rport=9",
      "what the peer says of itself is not believed")
    #expect(
      try via("SIP / 2.0 / UDP a.b ; branch = z9hG4bK1 , SIP/2.0/TCP c;branch=z9hG4bK2", from: "192.0.2.41:9")
        == "SIP / 2.0 / UDP a.b ; branch = z9hG4bK1;received=192.0.2.41, SIP/2.0/TCP c;branch=z9hG4bK2")
  }

  @Test func whatARequestWritesItsReaderReads() throws {
    var request = Request(.other("HELLO"), URI("sips:a%20b@[2001:db8::1]:5061;transport=tcp?x=y")!)
    request.uri.headers = nil
    request.headers.add(.via, Via(transport: .tls, host: "gw.local", port: 5061, branch: "z9hG4bKx"))
    request.headers.add(
      .from,
      NameAddress(
        display: "Porte \"A\" \\ é", URI("sip:a@b")!, parameters: Parameters([.init(name: "tag", value: "1")])
      ))
    request.headers.add(.to, NameAddress(URI("sip:c@d")!))
    request.headers.add(.callID, "x")
    request.headers.add(.cseq, "7 HELLO")
    request.headers.add(named: "X-Evil", "a\r\nVia: SIP/2.0/UDP evil")
    request.headers.insertFirst(.route, "<sip:r;lr>")
    request.headers.set(.callID, "y")
    request.body = [1, 2, 3]
    request.contentType = "application/octet-stream"
    let message = try Message(parsing: request.encoded(), framing: .stream)
    #expect(message.method == .other("HELLO"))
    #expect(message.requestURI == request.uri)
    #expect(message.requestURI?.transport == .tcp)
    #expect(message.requestURI?.address == IPAddress("2001:db8::1"))
    #expect(message.from.display == "Porte \"A\" \\ é")
    #expect(message.fromTag == "1")
    #expect(message.callID == "y")
    #expect(message.vias.count == 1, "no value begins a field of its own")
    #expect(message.value(named: "x-evil") == "a  Via: SIP/2.0/UDP evil")
    #expect(message.headers.first?.name == "Route")
    #expect(message.body == [1, 2, 3])
  }

  @Test func aURIWithAParameterTwiceIsEquivalentToItself() throws {
    let uri = try #require(URI("sip:401@b;transport=tcp;transport=udp"))
    #expect(uri.isEquivalent(to: uri))
  }

  @Test func blanksBeforeTheAtSignAreForgivenToASIPAddressAlone() throws {
    #expect(try #require(NameAddress("sip:door @192.0.2.9")).uri.host == "192.0.2.9")
    #expect(NameAddress("door:a\t@b") == nil)
    #expect(NameAddress("tel:1 @b") == nil)
  }

  @Test func theCompactFormsAndTheLongOnesAreTheSameNames() {
    for name in HeaderName.allCases {
      #expect(HeaderName(name.text) == name)
      #expect(HeaderName(name.text.uppercased()) == name)
      if let compact = name.compact { #expect(HeaderName(String(compact)) == name) }
    }
    #expect(HeaderName("X-Nobody") == nil)
    #expect(HeaderName("") == nil)
    let compact = HeaderName.allCases.compactMap(\.compact)
    #expect(Set(compact).count == compact.count)
  }

  @Test(arguments: [
    ("sip:a@b", "sip:a@B", true), ("sip:a@b", "sip:A@b", false), ("sip:%61@b", "sip:a@b", true),
    ("sip:a@b", "sips:a@b", false), ("sip:a@b", "sip:a@b:5060", false),
    ("sip:a@b;transport=TCP", "sip:a@b;transport=tcp", true), ("sip:a@b", "sip:a@b;transport=udp", false),
    ("sip:a@b;ob", "sip:a@b", true), ("sip:a@b;x=1", "sip:a@b;x=2", false),
    ("sip:a@b?Subject=x", "sip:a@b", false), ("sip:a%2fb@c", "sip:a/b@c", false),
    ("SIP:a@b", "sip:a@b", true),
  ]) func uriEquivalenceIsThatOfTheRFC(left: String, right: String, isSame: Bool) throws {
    let (a, b) = (try #require(URI(left)), try #require(URI(right)))
    #expect(a.isEquivalent(to: b) == isSame)
    #expect(b.isEquivalent(to: a) == isSame)
  }

  @Test(arguments: [
    "", "sip", "sip:", ":a@b", "sip:@b", "sip:a@", "sip:a@b:", "sip:a@b:x", "sip:a@b:65536", "sip:a@b;",
    "sip:a@b;;c",
    "sip:a@b@c", "sip:a b@c", "sip:a@b c", "sip:[::1", "sip:[]", "sip:a@b\u{E9}", "1sip:a@b", "sip:a@b;=x",
    "sip:<a@b>",
  ]) func whatIsNoURIIsRefused(text: String) {
    #expect(URI(text) == nil)
  }

  @Test(arguments: [
    "sip:b", "sip:a:pw@b:1;c=d;e?f=g&h=i", "tel:+33123456789;phone-context=x", "urn:service:sos",
    "sips:a@[2001:db8::1]:5061;lr", "SIP:A%40@b",
  ]) func aURIIsWrittenAsItWasRead(text: String) {
    #expect(URI(text)?.description == text)
  }

  @Test func parametersAreChangedInPlace() {
    var parameters = Parameters([.init(name: "A", value: "\"x \\\" y\""), .init(name: "b", value: nil)])
    #expect(parameters["a"] == "x \" y")
    #expect(parameters["b"] == "")
    #expect(parameters["c"] == nil)
    parameters["a"] = "plain"
    parameters["b"] = nil
    parameters["c"] = "two words"
    parameters["d"] = ""
    var bytes: [UInt8] = []
    parameters.append(to: &bytes)
    #expect(String(decoding: bytes, as: UTF8.self) == ";A=plain;c=\"two words\";d")
  }

  // MARK: Streams

  static func frames(_ text: String, step: Int = .max) -> [String] {
    let bytes = Array(text.utf8)
    var framer = SIPFramer(bodyLimit: 1000)
    var result: [String] = []
    var position = 0
    while position < bytes.count {
      let end = min(bytes.count, position + min(step, bytes.count))
      framer.append(Array(bytes[position..<end]).span)
      position = end
      loop: while true {
        switch framer.next() {
        case .incomplete: break loop
        case .ping: result.append("ping")
        case .message(let range): result.append(String(decoding: framer.buffer[range], as: UTF8.self))
        case .broken(let error, _): result.append("broken \(error.status ?? 0)")
        }
      }
    }
    return result
  }

  @Test(arguments: [1, 2, 3, 7, 1000]) func aStreamIsCutTheSameHoweverItArrives(step: Int) {
    let one = "A b\r\nl: 3\r\n\r\nxyz"
    let two = "C d\r\nContent-Length : 0\r\n\r\n"
    #expect(
      MessageTests.frames("\r\n\r\n" + one + two + "\r\n" + one + "\r\n\r\n\r\n\r\n" + two, step: step)
        == ["ping", one, two, one, "ping", "ping", two])
  }

  @Test func aStreamThatCannotBeFollowedIsBroken() {
    #expect(MessageTests.frames("A b\r\nX: y\r\n\r\n") == ["broken 400"])
    #expect(MessageTests.frames("A b\r\nl: 1\r\nl: 1\r\n\r\n") == ["broken 400"])
    #expect(MessageTests.frames("A b\r\nl: -1\r\n\r\n") == ["broken 400"])
    #expect(MessageTests.frames("A b\r\nl: 1001\r\n\r\n") == ["broken 513"])
    #expect(MessageTests.frames("A b\r\nl 1\r\n\r\n") == ["broken 400"])
    #expect(MessageTests.frames("ACK b\r\nX: y\r\n\r\n") == ["broken 0"])
    #expect(MessageTests.frames("SIP/2.0 200 OK\r\nX: y\r\n\r\n") == ["broken 0"])
    #expect(
      MessageTests.frames(String(repeating: "x", count: 17_000), step: 100)
        == ["broken 0"])
  }
}
