import SIP
import Testing
import Wire

/// Generated abuse over the fields that the PROTOS SIP suite went for: what comes out is an answer or silence,
/// never a trap, and whatever is taken can be asked everything.
@Suite struct AbuseTests {
  static let seeds: [String] = [
    "INVITE sip:401@192.0.2.1 SIP/2.0", "REGISTER sip:vestibule.local SIP/2.0", "SIP/2.0 200 OK",
    "OPTIONS sip:192.0.2.1 SIP/2.0",
  ]

  static func fields(_ method: String) -> [(String, String)] {
    [
      ("Via", "SIP/2.0/UDP 192.0.2.40:5060;rport;branch=z9hG4bK18"), ("Max-Forwards", "70"),
      ("From", "\"Gate\" <sip:100@192.0.2.1:5060>;tag=18"), ("To", "<sip:401@192.0.2.1:5060>"),
      ("Call-ID", "18@192.0.2.40"), ("CSeq", "20 " + method), ("Contact", "<sip:100@192.0.2.40>;expires=60"),
      ("Expires", "60"), ("Authorization", "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"u\""),
      ("Route", "<sip:a;lr>, <sip:b;lr>"), ("Content-Type", "application/sdp"), ("Content-Length", "0"),
    ]
  }

  /// What PROTOS puts into fields: overflows, formats, wrong encodings, wrong structure.
  static func poison(_ random: inout Random) -> String {
    let lengths = [1, 15, 255, 1024, 4097, 9000]
    let words = [
      "", " ", "a", ":", ";", ",", "<", ">", "\"", "\\", "@", "%", "%s%n", "%00", "\u{0}", "\u{FF}", "é", "[",
      "]",
      "-1", "0", "4294967296", "18446744073709551616", "99999999999999999999999", "sip:", "SIP/2.0/", "=",
      "?", "*",
      "\t", "\r\n ", "\r", "\n", "/", ";;", ",,", "\"\"", "<<>>", "tag", "branch=z9hG4bK", "::1", "[::1]",
      "256.1.1.1",
    ]
    let word = words[Int(random.below(UInt64(words.count)))]
    if random.below(4) == 0 {
      return String(repeating: word, count: lengths[Int(random.below(UInt64(lengths.count)))])
    }
    return word
  }

  static func build(_ start: String, _ random: inout Random) -> [UInt8] {
    let method = start.hasPrefix("SIP") ? "INVITE" : String(start.prefix { $0 != " " })
    var start = start
    var fields = AbuseTests.fields(method)
    for _ in 0...random.below(3) {
      let place = Int(random.below(UInt64(fields.count) + 1))
      func insert(_ text: String, _ poison: String) -> String {
        var bytes = Array(text.utf8)
        bytes.insert(contentsOf: poison.utf8, at: Int(random.below(UInt64(bytes.count) + 1)))
        return String(decoding: bytes, as: UTF8.self)
      }
      if place == fields.count {
        start = insert(start, poison(&random))
        continue
      }
      let poison = poison(&random)
      switch random.below(6) {
      case 0: fields[place].1 = poison
      case 1: fields[place].1 = insert(fields[place].1, poison)
      case 2: fields[place].0 = insert(fields[place].0, poison)
      case 3: fields.remove(at: place)
      case 4: fields.insert(fields[place], at: place)
      default: fields[place].1 = String(fields[place].1.prefix(Int(random.below(20))))
      }
      if fields.isEmpty { break }
    }
    let text = ([start] + fields.map { "\($0.0): \($0.1)" } + ["", ""]).joined(separator: "\r\n")
    return Array(text.utf8)
  }

  /// Asks a message everything it can be asked.
  static func interrogate(_ message: Message, _ registrar: inout Registrar, _ random: inout Random) -> Int {
    var sum = message.callID.utf8.count + message.vias.count + message.contacts.count + message.routes.count
    sum += message.recordRoutes.count + message.path.count + (message.isContactWildcard ? 1 : 0)
    sum += message.from.description.utf8.count + message.to.description.utf8.count
    sum += message.topVia.description.utf8.count + (message.requestURI?.description.utf8.count ?? 0)
    sum += Int(message.expires ?? 0) & 1 + message.body.count + (message.contentType?.utf8.count ?? 0)
    for name in HeaderName.allCases { sum += message.values(name).count }
    for header in message.headers { sum += message.values(named: header.name).count }
    if message.isRequest {
      let source = Endpoint("192.0.2.77:5999")!
      let answer = Response(to: message, status: 200, tag: "t", source: source).encoded()
      sum += (try? Message(parsing: answer)) == nil ? 0 : 1
      let account = AccountRecord(
        username: message.to.uri.decodedUser ?? "", transports: .all, contactLimit: 2, credentials: [])
      _ = registrar.register(
        message, on: RegistrarTests.flow(), for: account, credential: 1, now: Instant(nanoseconds: 9),
        random: &random)
      while registrar.next() != nil {}
    }
    return sum
  }

  @Test(arguments: seeds) func mutatedMessagesAreTakenRefusedOrDropped(start: String) throws {
    var random = Random(seed: UInt64(start.utf8.count))
    var registrar = Registrar(now: Instant(nanoseconds: 0))
    let accounts = TestAccounts()
    var authenticator = Authenticator(key: Array(0..<32))
    var taken = 0
    var refused = 0
    for round in 0..<4600 {
      let bytes = AbuseTests.build(start, &random)
      do throws(SIPParseError) {
        let message = try Message(parsing: bytes.span, framing: .datagram)
        #expect(AbuseTests.interrogate(message, &registrar, &random) > 0)
        _ = authenticator.judge(
          message, from: .loopbackV4, accounts: accounts, now: Instant(nanoseconds: 1))
        taken += 1
      } catch {
        let answer = Refusal.response(
          to: bytes.span, for: error, tag: "t", source: Endpoint("192.0.2.77:5999")!)
        if start.hasPrefix("SIP/2.0 200"), bytes.starts(with: Array("SIP/2.0 ".utf8)) {
          #expect(answer == nil)
        }
        refused += 1
      }
      var framer = SIPFramer()
      framer.append(bytes.span)
      for _ in 0..<5 where framer.next() == .incomplete { break }
      if round % 100 == 99 {
        let good = try TortureTests.message("zeromf")
        #expect(good.method == .options)
      }
    }
    #expect(taken > 500, "the mutations leave some messages whole")
    #expect(refused > 500, "and break others")
  }

  @Test func everyTruncationOfEveryTortureMessageIsHarmless() throws {
    for (name, _) in TortureTests.verdicts {
      let bytes = try TortureTests.bytes("rfc4475/\(name).dat")
      for length in stride(from: 0, through: bytes.count, by: 3) {
        _ = TortureTests.verdict(Array(bytes[..<length]))
      }
    }
  }
}
