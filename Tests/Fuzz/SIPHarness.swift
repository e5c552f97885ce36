import SIP
import Wire

enum SIPHarness {
  static func message(_ bytes: [UInt8]) {
    let source = Endpoint(.loopbackV4, port: 5060)
    for framing in [Framing.datagram, .stream] {
      let message: Message
      do throws(SIPParseError) {
        message = try Message(parsing: bytes.span, framing: framing)
      } catch {
        precondition(error.offset >= 0 && error.offset <= bytes.count, "the trouble lies outside")
        precondition(error.status.map { (400..<700).contains($0) } ?? true, "the status is no refusal")
        _ = Refusal.response(to: bytes.span, for: error, tag: "fuzz", source: source)
        continue
      }
      _ = (message.callID, message.cseq, message.from, message.to, message.vias, message.contacts)
      _ = (message.routes, message.recordRoutes, message.path, message.expires, message.contentType)
      _ = (message.headers, message.requestURI, message.maxForwards, message.isContactWildcard)
      _ = (message.body, message.reason, message.branch, message.fromTag, message.toTag)
      _ = (message.supports("timer"), message.requires("100rel"), message.value(named: "Subject"))
      for name in HeaderName.allCases {
        precondition(message.has(name) == (message.value(name) != nil), "a field is and is not there")
        _ = message.values(name)
      }
      // A response with several Vias is not for us, so it is not read (RFC 3261 section 8.1.3.3).
      guard message.isRequest, message.values(.via).count == 1 else { continue }
      for status in [100, 200, 404] {
        let answer = Response(to: message, status: status, tag: "fuzz", source: source).encoded()
        // What we answer must itself be a message that belongs to the request.
        guard let read = try? Message(parsing: answer.span, framing: .stream) else {
          preconditionFailure("our own response does not parse: \(String(decoding: answer, as: UTF8.self))")
        }
        precondition(
          read.callID == message.callID && read.cseq == message.cseq && read.status == status,
          "the response is another's")
      }
    }
  }

  static func framer(_ bytes: [UInt8]) {
    let whole = frames([bytes])
    precondition(frames(bytes.map { [$0] }) == whole, "single bytes say something else")
    let cut = Int(bytes.first ?? 0) % (bytes.count + 1)
    precondition(
      frames([Array(bytes[..<cut]), Array(bytes[cut...])]) == whole, "two pieces say something else")
  }

  private static func frames(_ pieces: [[UInt8]]) -> [[UInt8]] {
    var framer = SIPFramer()
    var found: [[UInt8]] = []
    for piece in pieces {
      framer.append(piece.span)
      take: while true {
        switch framer.next() {
        case .message(let range): found.append(Array(framer.buffer[range]))
        case .ping: found.append([13, 10])
        case .broken:
          found.append([0])
          return found
        case .incomplete: break take
        }
      }
    }
    return found
  }

  static func values(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    steady(text, "URI", URI.init)
    steady(text, "name with address", NameAddress.init)
    steady(text, "Via", Via.init)
    if let uri = URI(text) {
      precondition(uri.isEquivalent(to: uri), "a URI is not itself")
      _ = (uri.decodedUser, uri.address, uri.transport)
    }
    if let reason = Reason(text) {
      guard let again = Reason(reason.value) else { preconditionFailure("a written Reason does not parse") }
      precondition(again.value == reason.value, "a Reason changes when it is written twice")
    }
    _ = ReplacesID(text)
    if let address = IPAddress(text) {
      precondition(IPAddress(address.description) == address, "an address changes when it is written")
    }
    if let endpoint = Endpoint(text) {
      precondition(Endpoint(endpoint.description) == endpoint, "an endpoint changes when it is written")
    }
    if let time = WallTime(text), time.nanoseconds >= 0 {
      precondition(WallTime(time.description)?.milliseconds == time.milliseconds, "a time changes")
    }
  }

  /// What is written of a value that was read reads as the same text.
  private static func steady<Value: CustomStringConvertible>(
    _ text: String, _ what: String, _ read: (String) -> Value?
  ) {
    guard let value = read(text) else { return }
    let written = value.description
    guard let again = read(written) else {
      preconditionFailure("a written \(what) does not parse: \(written)")
    }
    precondition(again.description == written, "a \(what) changes when it is written twice: \(written)")
  }

  /// `@` in the input stands for a nonce that is good, so that the search gets past it.
  static func digest(_ bytes: [UInt8]) {
    let accounts = OneAccount()
    let now = Instant(nanoseconds: 1_000_000_000)
    var authenticator = Authenticator(key: [UInt8](repeating: 7, count: 32))
    let challenge = authenticator.challenge(
      realm: accounts.realm, over: .udp, to: .loopbackV4, now: now)[0]
    let nonce = challenge.split(separator: "\"", omittingEmptySubsequences: false)[3]
    var value: [UInt8] = []
    for byte in bytes {
      if byte == UInt8(ascii: "@") {
        value.append(contentsOf: nonce.utf8)
      } else {
        value.append(byte == 13 || byte == 10 ? 32 : byte)
      }
    }
    let head = """
      REGISTER sip:vestibule.local SIP/2.0\r
      Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKf\r
      From: <sip:panel401@vestibule.local>;tag=1\r
      To: <sip:panel401@vestibule.local>\r
      Call-ID: f\r
      CSeq: 1 REGISTER\r
      Max-Forwards: 70\r
      Authorization: 
      """
    let whole = Array(head.utf8) + value + Array("\r\n\r\n".utf8)
    guard let request = try? Message(parsing: whole.span, framing: .datagram) else { return }
    if case .authentic = authenticator.judge(request, from: .loopbackV4, accounts: accounts, now: now) {
      preconditionFailure("somebody without the secret is let in")
    }
  }
}

/// A realm with one account in it, whose secret no input knows.
final class OneAccount: Accounts {
  let realm = "vestibule.local"
  let record = AccountRecord(
    username: "panel401", transports: .all, contactLimit: 2,
    credentials: [
      Credential(
        id: 1, md5: "8d1a2e4f6b7c9d0e1f2a3b4c5d6e7f80",
        sha256: "8d1a2e4f6b7c9d0e1f2a3b4c5d6e7f808d1a2e4f6b7c9d0e1f2a3b4c5d6e7f80")
    ])

  func account(named username: String) -> AccountRecord? { username == record.username ? record : nil }
  func station(at address: IPAddress, from user: String) -> String? { nil }
}
