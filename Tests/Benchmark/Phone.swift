import Crypto
import Glibc
import Wire

/// A SIP phone as far as a load needs one: it registers, is called, calls, and remembers nothing.
final class Phone {
  let socket: LoadSocket
  let address: String
  let gateway: UInt16

  /// A phone at `address` that talks to 127.0.0.1:`gateway`.
  init(gateway: UInt16, address: String = "127.0.0.1") {
    self.gateway = gateway
    self.address = address
    socket = LoadSocket(address)
  }

  private func send(_ text: String) { socket.send(Array(text.utf8), to: "127.0.0.1", gateway) }

  // MARK: Registering

  static func registration(
    _ account: String, _ domain: String, call: String, number: Int, contact: String, port: UInt16,
    authorization: String
  ) -> [UInt8] {
    Array(
      """
      REGISTER sip:\(domain) SIP/2.0\r
      Via: SIP/2.0/UDP \(contact);rport;branch=z9hG4bK\(call).\(number)\r
      From: <sip:\(account)@\(domain)>;tag=\(call)\r
      To: <sip:\(account)@\(domain)>\r
      Call-ID: \(call)\r
      CSeq: \(number) REGISTER\r
      Contact: <sip:\(account)@\(contact)>\r
      Max-Forwards: 70\r
      Expires: 3600\r
      User-Agent: Akuvox R29 29.30.2.16\r
      \(authorization)Content-Length: 0\r
      \r

      """.utf8)
  }

  /// The MD5 challenge of a 401; devices that read only the first field must find it there.
  static func challenge(in message: String) -> String? {
    message.split(separator: "\r\n").first {
      $0.hasPrefix("WWW-Authenticate:") && !$0.contains("SHA-256")
    }.map(String.init)
  }

  static func authorization(
    _ account: String, _ domain: String, secret: String, challenge: String
  ) -> String {
    guard let nonce = quoted("nonce", in: challenge) else { return "" }
    func hash(_ text: String) -> String { ASCII.hex(Digest.md5(Array(text.utf8))) }
    let first = hash("\(account):\(domain):\(secret)")
    let second = hash("REGISTER:sip:\(domain)")
    let response = hash("\(first):\(nonce):00000001:0a4f113b:auth:\(second)")
    return "Authorization: Digest username=\"\(account)\", realm=\"\(domain)\", nonce=\"\(nonce)\", "
      + "uri=\"sip:\(domain)\", response=\"\(response)\", algorithm=MD5, qop=auth, nc=00000001, "
      + "cnonce=\"0a4f113b\"\r\n"
  }

  private func registration(
    _ number: Int, _ account: String, _ domain: String, _ call: String, _ answer: String
  )
    -> [UInt8]
  {
    Phone.registration(
      account, domain, call: "\(call)-\(socket.port)", number: number, contact: "\(address):\(socket.port)",
      port: socket.port, authorization: answer)
  }

  /// Sends the first REGISTER.
  func startRegistration(_ account: String, domain: String, call: String) {
    socket.send(registration(1, account, domain, call, ""), to: "127.0.0.1", gateway)
  }

  /// Takes the challenge and answers it. False when it was lost or is none.
  func answerChallenge(_ account: String, secret: String, domain: String, call: String) -> Bool {
    guard let reply = answer(to: "\(call)-\(socket.port)", number: 1),
      let challenge = Phone.challenge(in: reply)
    else { return false }
    let proof = Phone.authorization(account, domain, secret: secret, challenge: challenge)
    socket.send(registration(2, account, domain, call, proof), to: "127.0.0.1", gateway)
    return true
  }

  /// Whether the second REGISTER was accepted.
  func isRegistered(call: String) -> Bool {
    answer(to: "\(call)-\(socket.port)", number: 2)?.hasPrefix("SIP/2.0 200") ?? false
  }

  /// REGISTER, 401, REGISTER, 200. False when an answer was lost or wrong.
  @discardableResult
  func register(_ account: String, secret: String, domain: String, call: String = "registration") -> Bool {
    startRegistration(account, domain: domain, call: call)
    return answerChallenge(account, secret: secret, domain: domain, call: call) && isRegistered(call: call)
  }

  /// Registers however often it takes: strangers are paced until they have proved themselves once.
  func persist(_ account: String, secret: String, domain: String) {
    for _ in 0..<50 where register(account, secret: secret, domain: domain) { return }
    fail("\(account) could not register from \(address)")
  }

  /// The response to one request; pings that come in between are answered.
  private func answer(to call: String, number: Int) -> String? {
    while let message = socket.receive() {
      if message.hasPrefix("OPTIONS ") {
        reply(to: message, "200 OK")
      } else if field("Call-ID", in: message) == call, field("CSeq", in: message) == "\(number) REGISTER" {
        return message
      }
    }
    return nil
  }

  // MARK: Calling

  private func description(media: UInt16) -> String {
    "v=0\r\no=- 1 1 IN IP4 \(address)\r\ns=-\r\nc=IN IP4 \(address)\r\nt=0 0\r\n"
      + "m=audio \(media) RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
  }

  func invite(_ target: String, call: String, media: UInt16 = 9) {
    let body = description(media: media)
    send(
      """
      INVITE sip:\(target)@127.0.0.1:\(gateway) SIP/2.0\r
      Via: SIP/2.0/UDP \(address):\(socket.port);rport;branch=z9hG4bK\(call)\r
      From: "Gate" <sip:gate@\(address):\(socket.port)>;tag=\(call)\r
      To: <sip:\(target)@127.0.0.1>\r
      Call-ID: \(call)\r
      CSeq: 1 INVITE\r
      Contact: <sip:gate@\(address):\(socket.port)>\r
      Max-Forwards: 70\r
      Content-Type: application/sdp\r
      Content-Length: \(body.utf8.count)\r
      \r
      \(body)
      """)
  }

  /// The next message that begins with `start`, dropping others, and when the kernel took it in (wall clock).
  func await(_ start: String) -> (message: String, at: Double)? {
    for _ in 0..<20 {
      guard let message = socket.receive() else { return nil }
      if message.hasPrefix(start) {
        return (message, socket.arrival() ?? wallSeconds())
      }
    }
    return nil
  }

  /// Answers a request with `status`, with a description when `media` is given.
  func reply(to request: String, _ status: String, media: UInt16? = nil) {
    var text = "SIP/2.0 \(status)\r\n"
    for line in request.split(separator: "\r\n")
    where line.hasPrefix("Via:") || line.hasPrefix("From:") || line.hasPrefix("Call-ID:")
      || line.hasPrefix("CSeq:") || line.hasPrefix("Record-Route:")
    {
      text += line + "\r\n"
    }
    text += "To: \(field("To", in: request) ?? "");tag=phone\(socket.port)\r\n"
    text += "Contact: <sip:\(address):\(socket.port)>\r\n"
    let body = media.map(description) ?? ""
    if media != nil { text += "Content-Type: application/sdp\r\n" }
    send(text + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
  }

  /// The final answer to our INVITE, acknowledged.
  func awaitFinal(call: String) -> String? {
    for _ in 0..<50 {
      guard let message = socket.receive() else { continue }
      guard message.hasPrefix("SIP/2.0 "), !message.hasPrefix("SIP/2.0 1"),
        field("CSeq", in: message)?.hasSuffix("INVITE") == true
      else { continue }
      let accepted = message.hasPrefix("SIP/2.0 2")
      let contact = field("Contact", in: message)?.split(separator: ">")[0].drop { $0 != "<" }.dropFirst()
      send(
        """
        ACK \(accepted ? String(contact ?? "") : "sip:x@127.0.0.1:\(gateway)") SIP/2.0\r
        Via: SIP/2.0/UDP \(address):\(socket.port);rport;branch=z9hG4bK\(call)\(accepted ? "a" : "")\r
        From: "Gate" <sip:gate@\(address):\(socket.port)>;tag=\(call)\r
        To: \(field("To", in: message) ?? "")\r
        Call-ID: \(field("Call-ID", in: message) ?? "")\r
        CSeq: 1 ACK\r
        Max-Forwards: 70\r
        Content-Length: 0\r
        \r

        """)
      return message
    }
    return nil
  }
}

/// Where the first audio line of a message's description points.
func mediaPort(in message: String) -> UInt16? {
  for line in message.split(separator: "\r\n") where line.hasPrefix("m=audio ") {
    return UInt16(line.split(separator: " ")[1])
  }
  return nil
}
