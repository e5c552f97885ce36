import Crypto
import Glibc
import WebSocket
import Wire

/// A browser as far as a load needs one: it opens a WebSocket over TLS, registers, and stays.
final class WebPhone {
  private let descriptor: Int32
  private let session: TLSSession
  private var socket: WebSocketConnection
  private var plain: [UInt8] = []

  /// Connects from `address` and upgrades; nil when the gateway turns it away.
  init?(gateway: UInt16, address: String, context: TLSContext, seed: UInt64) {
    descriptor = connected(to: gateway, from: address)
    session = TLSSession(client: context, serverName: nil)
    socket = WebSocketConnection(.client, random: Random(seed: seed), now: Instant(nanoseconds: 0))
    guard descriptor >= 0 else { return nil }
    var out: [UInt8] = []
    try? session.start(out: &out)
    write(out)
    while !session.isEstablished { guard read() else { return nil } }
    var text = "GET /sip HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    for (name, value) in WebSocketHandshake.request(key: "dGhlIHNhbXBsZSBub25jZQ==", protocols: ["sip"]) {
      text += "\(name): \(value)\r\n"
    }
    send(Array((text + "\r\n").utf8))
    while true {
      let head = String(decoding: plain, as: UTF8.self)
      if head.hasSuffix("\r\n\r\n") {
        plain = []
        guard head.hasPrefix("HTTP/1.1 101 ") else { return nil }
        return
      }
      guard read() else { return nil }
    }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  private func write(_ bytes: [UInt8]) {
    var sent = 0
    while sent < bytes.count {
      let count = unsafe bytes[sent...].withUnsafeBytes {
        unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, 0)
      }
      guard count > 0 else { return }
      sent += count
    }
  }

  private func send(_ bytes: [UInt8]) {
    var out: [UInt8] = []
    try? session.send(bytes.span, out: &out)
    write(out)
  }

  /// Takes what comes next; false at the end and when nothing comes.
  private func read() -> Bool {
    var buffer = [UInt8](repeating: 0, count: 16_384)
    let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
    guard count > 0 else { return false }
    var out: [UInt8] = []
    do {
      try session.receive(Array(buffer[..<count]).span, plain: &plain, out: &out)
    } catch { return false }
    write(out)
    return true
  }

  private func ask(_ message: [UInt8]) -> String? {
    socket.send(message.span)
    send(socket.takeOutput())
    while true {
      while let event = socket.next() {
        if case .message(_, let bytes) = event { return String(decoding: bytes, as: UTF8.self) }
      }
      guard read() else { return nil }
      socket.receive(plain.span, now: Instant(nanoseconds: 0))
      plain = []
    }
  }

  func register(_ account: String, secret: String, domain: String, contact: String) -> Bool {
    func registration(_ number: Int, _ authorization: String) -> [UInt8] {
      Array(
        """
        REGISTER sip:\(domain) SIP/2.0\r
        Via: SIP/2.0/WSS \(contact).invalid;branch=z9hG4bK\(contact).\(number)\r
        From: <sip:\(account)@\(domain)>;tag=\(contact)\r
        To: <sip:\(account)@\(domain)>\r
        Call-ID: \(contact)\r
        CSeq: \(number) REGISTER\r
        Contact: <sip:\(contact)@\(contact).invalid;transport=ws>;+sip.ice;reg-id=1;+sip.instance="<urn:uuid:\(contact)>";expires=600\r
        Max-Forwards: 69\r
        Supported: path,gruu,outbound\r
        User-Agent: JsSIP 3.13.8\r
        \(authorization)Content-Length: 0\r
        \r

        """.utf8)
    }
    guard let first = ask(registration(1, "")), let challenge = Phone.challenge(in: first) else {
      return false
    }
    let answer = Phone.authorization(account, domain, secret: secret, challenge: challenge)
    return ask(registration(2, answer))?.hasPrefix("SIP/2.0 200 ") ?? false
  }

  /// A thousand registrations that stay: what each costs the gateway.
  static func measure() {
    let gateway = Vestibule(folder: temporaryFolder())
    gateway.furnish(units: 200, kind: "browser")
    let secrets = (0..<200).map { gateway.enroll("p\($0)") }
    guard let context = try? TLSContext(client: .firstContact) else { fail("no TLS") }
    var phones: [WebPhone] = []
    /// An address each account; new connections are paced, so some are tried again.
    func open(_ count: Int) {
      while phones.count < count {
        let account = phones.count % 200
        guard
          let phone = WebPhone(
            gateway: gateway.https, address: "127.0.9.\(account + 1)", context: context,
            seed: UInt64(phones.count)),
          phone.register(
            "p\(account)", secret: secrets[account], domain: "bench.test", contact: "c\(phones.count)")
        else {
          usleep(50_000)
          continue
        }
        phones.append(phone)
      }
    }
    // What the first ones load stays loaded, and is none of theirs.
    open(20)
    let before = Double(gateway.peer.proportionalSetSize)
    open(1000)
    sleep(35)  // every transaction has gone by then
    let after = Double(gateway.peer.proportionalSetSize)
    report("per WSS registration, over 980", (after - before) / 980, unit: "kB", aim: "< 40")
  }
}

/// A TCP connection from `address` to 127.0.0.1:`port`; -1 when there is none.
private func connected(to port: UInt16, from address: String) -> Int32 {
  let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  var local = socketAddress(address, 0)
  var remote = socketAddress("127.0.0.1", port)
  let size = socklen_t(MemoryLayout<sockaddr_in>.size)
  let bound = unsafe withUnsafePointer(to: &local) { pointer in
    unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(number, $0, size) }
  }
  let isConnected = unsafe withUnsafePointer(to: &remote) { pointer in
    unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe connect(number, $0, size) }
  }
  guard bound == 0, isConnected == 0 else {
    close(number)
    return -1
  }
  var timeout = timeval(tv_sec: 5, tv_usec: 0)
  unsafe setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
  return number
}
