import Foundation
import SIP
import Testing
import Wire

/// RFC 4475 and RFC 5118, message by message, as `Torture/rfc4475/expect.tsv` says.
@Suite struct TortureTests {
  enum Verdict: Equatable {
    case taken
    case refused(Int)
    case dropped
  }

  static let folder = Bundle.module.resourceURL!.appendingPathComponent("Torture")

  static func bytes(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: folder.appendingPathComponent(path)))
  }
  static func message(_ name: String) throws -> Message {
    try Message(parsing: bytes("rfc4475/\(name).dat"), framing: .datagram)
  }
  static func verdict(_ bytes: [UInt8], _ framing: Framing = .datagram) -> Verdict {
    do throws(SIPParseError) {
      _ = try Message(parsing: bytes, framing: framing)
      return .taken
    } catch {
      return error.status.map(Verdict.refused) ?? .dropped
    }
  }

  /// What the parser alone decides. Whatever is `taken` here and refused in the table is refused by who knows
  /// methods, extensions, bodies and accounts: the agent and whoever challenges.
  static let verdicts: [(String, Verdict)] = [
    ("wsinv", .taken), ("intmeth", .taken), ("esc01", .taken), ("escnull", .taken), ("esc02", .taken),
    ("lwsdisp", .taken), ("longreq", .taken), ("dblreq", .taken), ("semiuri", .taken),
    ("transports", .taken), ("mpart01", .taken), ("unreason", .taken), ("noreason", .taken),
    ("badinv01", .refused(400)), ("clerr", .refused(400)), ("ncl", .refused(400)),
    ("scalar02", .refused(400)), ("scalarlg", .dropped), ("quotbal", .refused(400)),
    ("ltgtruri", .refused(400)), ("lwsruri", .refused(400)), ("lwsstart", .refused(400)),
    ("trws", .refused(400)), ("escruri", .refused(400)), ("baddate", .taken), ("regbadct", .refused(400)),
    ("badaspec", .refused(400)), ("baddn", .refused(400)), ("badvers", .refused(505)),
    ("mismatch01", .refused(400)), ("mismatch02", .refused(501)), ("bigcode", .dropped),
    ("badbranch", .refused(400)), ("insuf", .refused(400)), ("unkscm", .refused(416)),
    ("novelsc", .refused(416)), ("unksm2", .refused(400)), ("bext01", .taken), ("invut", .taken),
    ("regaut01", .taken), ("multi01", .refused(400)), ("mcl01", .refused(400)), ("bcast", .dropped),
    ("zeromf", .taken), ("cparam01", .taken), ("cparam02", .taken), ("regescrt", .taken), ("sdp01", .taken),
    ("inv2543", .taken),
  ]

  @Test func everyMessageOfTheTableHasAVerdictHere() throws {
    let table = try String(decoding: TortureTests.bytes("rfc4475/expect.tsv"), as: UTF8.self)
    let names = table.split(separator: "\n").dropFirst().map { String($0.split(separator: "\t")[1]) }
    #expect(names.count == 49)
    #expect(Set(names) == Set(TortureTests.verdicts.map(\.0)))
  }

  @Test(arguments: verdicts.map(\.0)) func theParserJudgesAsTheTableSays(name: String) throws {
    let expected = TortureTests.verdicts.first { $0.0 == name }!.1
    #expect(TortureTests.verdict(try TortureTests.bytes("rfc4475/\(name).dat")) == expected)
  }

  @Test(arguments: [
    "4-1", "4-2", "4-3", "4-4", "4-5-1", "4-5-2", "4-6", "4-7", "4-8", "4-9", "4-10-1", "4-10-2",
  ]) func ofRFC5118OnlyTheBareIPv6AddressIsRefused(name: String) throws {
    let verdict = TortureTests.verdict(try TortureTests.bytes("rfc5118/\(name).dat"))
    #expect(verdict == (name == "4-2" ? .refused(400) : .taken))
  }

  @Test(arguments: verdicts.map(\.0)) func everyRefusalCanBeSentAndParsed(name: String) throws {
    let bytes = try TortureTests.bytes("rfc4475/\(name).dat")
    do throws(SIPParseError) {
      _ = try Message(parsing: bytes, framing: .datagram)
    } catch {
      let source = Endpoint("192.0.2.77:5999")!
      let answer = Refusal.response(to: bytes.span, for: error, tag: "t1", source: source)
      guard let status = error.status else {
        #expect(answer == nil)
        return
      }
      let text = String(decoding: try #require(answer), as: UTF8.self)
      #expect(text.hasPrefix("SIP/2.0 \(status) "))
      #expect(text.hasSuffix("Content-Length: 0\r\n\r\n"))
      #expect(text.contains("\r\nVia: "))
    }
  }

  @Test(arguments: verdicts.map(\.0)) func aStreamInSingleBytesComesToTheSameEnd(name: String) throws {
    let bytes = try TortureTests.bytes("rfc4475/\(name).dat")
    var framer = SIPFramer()
    var verdicts: [Verdict] = []
    for byte in bytes {
      framer.append([byte].span)
      while true {
        let frame = framer.next()
        if frame == .incomplete { break }
        switch frame {
        case .message(let range):
          verdicts.append(TortureTests.verdict(Array(framer.buffer[range]), .stream))
        case .broken(let error, _): verdicts.append(error.status.map(Verdict.refused) ?? .dropped)
        case .ping, .incomplete: break
        }
      }
    }
    switch name {
    case "clerr", "baddn":
      // The rest never comes: the owner's framing deadline ends it.
      #expect(verdicts.isEmpty)
      #expect(framer.isMidMessage)
    case "dblreq":
      #expect(
        verdicts.prefix(2) == [.taken, .taken], "on a stream the octets behind are a message of their own")
    case "inv2543":
      #expect(verdicts == [.refused(400)], "a stream needs Content-Length")
    default:
      #expect(verdicts.first == TortureTests.verdicts.first { $0.0 == name }!.1)
    }
  }

  // MARK: Specifics

  @Test func wsinvIsReadThroughItsFolds() throws {
    let message = try TortureTests.message("wsinv")
    #expect(message.method == .invite)
    #expect(message.requestURI?.description == "sip:vivekg@chair-dnrc.example.com;unknownparam")
    #expect(message.toTag == "1918181833n")
    #expect(message.from.display == "J Rosenberg \\\"")
    #expect(message.fromTag == "98asjd8")
    #expect(message.maxForwards == 68)
    #expect(message.cseq == CSeq(9, .invite))
    #expect(message.vias.map(\.transport) == ["UDP", "TCP", "UDP"])
    #expect(message.vias.map(\.host) == ["192.0.2.2", "spindle.example.com", "192.168.255.111"])
    #expect(message.vias.map(\.branch) == ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"])
    #expect(message.value(.subject) == "")
    #expect(message.value(named: "newfangledheader") == "newfangled value continued newfangled value")
    #expect(message.value(named: "UnknownHeaderWithUnusualValue") == ";;,,;;,;")
    #expect(
      message.routes.map(\.uri.description)
        == ["sip:services.example.com;lr;unknownwith=value;unknown-no-value"])
    let contact = try #require(message.contacts.first)
    #expect(contact.display == "Quoted string \"\"")
    #expect(contact.parameters["newparam"] == "newvalue")
    #expect(contact.parameters.contains("secondparam"))
    #expect(contact.parameters["q"] == "0.33")
    #expect(message.body.count == 150)
  }

  @Test func intmethKeepsItsStrangeMethodAndItsBytes() throws {
    let message = try TortureTests.message("intmeth")
    #expect(message.method == .other("!interesting-Method0123456789_*+`.%indeed'~"))
    #expect(
      message.requestURI?.user
        == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
    #expect(message.requestURI?.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)")
    #expect(message.to.display == "BEL:\u{7} NUL:\u{0} DEL:\u{7F}")
    #expect(message.from.display == "token1~` token2'+_ token3*%!.-")
    #expect(message.fromTag == "_token~1'+`*%!-.")
    #expect(message.branch == "z9hG4bK-.!%66*_+`'~")
    #expect(message.callID == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{")
    #expect(message.maxForwards == 255)
    #expect(message.value(named: "extensionHeader-!.%*+_`'~") == "\u{FEFF}大停電")
  }

  @Test func esc01IsUnescapedOnceAndOnlyWhenAsked() throws {
    let message = try TortureTests.message("esc01")
    #expect(message.requestURI?.user == "sips%3Auser%40example.com")
    #expect(message.requestURI?.decodedUser == "sips:user@example.com")
    #expect(message.requestURI?.host == "example.net")
    #expect(message.to.uri.decodedUser == "user")
    #expect(message.from.uri.decodedUser == "I have spaces")
    let contact = try #require(message.contacts.first)
    #expect(contact.uri.decodedUser == "caller")
    #expect(contact.uri.description == "sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31")
  }

  @Test func escnullIsNotCutAtItsNul() throws {
    let message = try TortureTests.message("escnull")
    #expect(message.to.uri.decodedUser == "null-\u{0}-null")
    let contacts = message.contacts
    #expect(contacts.map(\.uri.decodedUser) == ["\u{0}", "\u{0}\u{0}"])
    #expect(!contacts[0].uri.isEquivalent(to: contacts[1].uri))
  }

  @Test func esc02IsNoREGISTERAndItsEscapedContactNoContact() throws {
    let message = try TortureTests.message("esc02")
    #expect(message.method == .other("RE%47IST%45R"))
    #expect(message.to.display == "%Z%45")
    #expect(message.branch == "z9hG4bK209%fzsnel234")
    #expect(message.contacts.map(\.uri.user) == ["alias1", "alias3"])
    #expect(message.value(named: "C%6Fntact") == "<sip:alias2@host2.example.com>")
  }

  @Test func lwsdispNeedsNoBlankBeforeTheBracket() throws {
    let message = try TortureTests.message("lwsdisp")
    #expect(message.from.display == "caller")
    #expect(message.from.uri.description == "sip:caller@example.com")
  }

  @Test func longreqKeepsEveryVia() throws {
    let message = try TortureTests.message("longreq")
    #expect(message.vias.count == 34)
    #expect(message.vias.first?.host == "sip33.example.com")
    #expect(message.vias.last?.branch?.hasPrefix("verylong") == true)
    #expect(message.requestURI?.user == "user")
    #expect(message.body.count == 150)
  }

  @Test func dblreqEndsWithItsFirstRequest() throws {
    let message = try TortureTests.message("dblreq")
    #expect(message.method == .register)
    #expect(message.body.isEmpty)
    #expect(!String(decoding: message.bytes, as: UTF8.self).contains("INVITE"))
  }

  @Test func semiuriKeepsTheSemicolonInItsUser() throws {
    let message = try TortureTests.message("semiuri")
    #expect(message.requestURI?.decodedUser == "user;par=u@example.net")
    #expect(message.requestURI?.parameters.isEmpty == true)
    #expect(message.requestURI?.host == "example.com")
    #expect(
      message.values(.accept) == [
        "application/sdp", "application/pkcs7-mime", "multipart/mixed", "multipart/signed", "message/sip",
        "message/sipfrag",
      ])
  }

  @Test func transportsMayBeUnknown() throws {
    let vias = try TortureTests.message("transports").vias
    #expect(vias.map(\.transport) == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"])
    #expect(vias.map(\.transportKind) == [.udp, nil, .tls, nil, .tcp])
  }

  @Test func mpart01KeepsItsBinaryBody() throws {
    let message = try TortureTests.message("mpart01")
    #expect(message.contentType == "multipart/mixed")
    #expect(message.body.count == 553)
    #expect(message.topVia.wantsRport)
  }

  @Test func reasonsMayBeForeignOrEmpty() throws {
    let foreign = try TortureTests.message("unreason")
    #expect(foreign.status == 200)
    #expect(foreign.reason == "= 2**3 * 5**2 но сто девяносто девять - простое")
    let empty = try TortureTests.message("noreason")
    #expect(empty.status == 100)
    #expect(empty.reason == "")
  }

  @Test func contactParametersStayWhereTheyWere() throws {
    let outside = try #require(try TortureTests.message("cparam01").contacts.first)
    #expect(outside.uri.parameters.isEmpty)
    #expect(outside.parameters.contains("unknownparam"))
    let inside = try #require(try TortureTests.message("cparam02").contacts.first)
    #expect(inside.uri.parameters.contains("unknownparam"))
    #expect(inside.parameters.isEmpty)
    let route = try #require(try TortureTests.message("regescrt").contacts.first)
    #expect(route.uri.headers == "Route=%3Csip:sip.example.com%3E")
  }

  @Test func inv2543HasNoTagNoBranchAndNoMaxForwards() throws {
    let message = try TortureTests.message("inv2543")
    #expect(message.fromTag == nil)
    #expect(message.branch == nil)
    #expect(message.maxForwards == nil)
    #expect(message.to.parameters["user"] == "phone")
    #expect(message.from.uri.parameters["user"] == "phone")
    #expect(!message.body.isEmpty)
  }

  @Test func ipv6ReferencesAreRead() throws {
    func message(_ name: String) throws -> Message {
      try Message(parsing: TortureTests.bytes("rfc5118/\(name).dat"), framing: .datagram)
    }
    // 4.3: the port inside the brackets is part of the address.
    #expect(try message("4-3").requestURI?.address == IPAddress("2001:db8::10:5070"))
    #expect(try message("4-3").requestURI?.port == nil)
    #expect(try message("4-4").requestURI?.port == 5070)
    // 4.5: received with and without brackets.
    #expect(try message("4-5-1").topVia.received == IPAddress("2001:db8::9:255"))
    #expect(try message("4-5-2").topVia.received == IPAddress("2001:db8::9:255"))
    #expect(try message("4-5-2").to.uri.description == "sip:user@example.com")
    #expect(try message("4-7").vias.map(\.port) == [6050, nil, nil])
    // 4.9: mapped addresses are the IPv4 ones.
    #expect(try message("4-9").contacts.first?.uri.address == IPAddress("192.0.2.2"))
  }
}
