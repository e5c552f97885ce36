internal import Crypto
import Simulation
import Wire

/// What somebody who taps the network sees of running calls: enough to forge, if the gateway let them.
final class Sights {
  struct Dialog {
    var callID: String
    /// From and To of requests that the tapped phone would send.
    var from: String
    var to: String
    var target: String
    var cseq: Int
  }
  private(set) var dialogs: [Dialog] = []
  /// Where the gateway takes sound.
  private(set) var ears: [Endpoint] = []
  /// Sound under keys, as browsers sent it.
  private(set) var sealed: [[UInt8]] = []
  var whenRefused: ((_ username: String, _ secret: String?) -> Void)?

  func see(_ talk: Talk, by phone: Phone) {
    dialogs.append(
      Dialog(callID: talk.callID, from: talk.ours, to: talk.theirs, target: talk.target, cseq: talk.cseq + 50)
    )
    if let far = talk.far { ears.append(far) }
    if dialogs.count > 16 { dialogs.removeFirst() }
    if ears.count > 16 { ears.removeFirst() }
  }

  func overhear(_ packet: [UInt8]) {
    sealed.append(packet)
    if sealed.count > 8 { sealed.removeFirst() }
  }

  func forget(_ talk: Talk) {
    dialogs.removeAll { $0.callID == talk.callID }
  }

  func refused(_ username: String, _ secret: String?) { whenRefused?(username, secret) }
}

/// Somebody on the network who has no account: sends junk, guesses passwords, forges keys, hang-ups and sound,
/// opens connections and says nothing, asks the web for what is not his.
final class Stranger: SimulatedPeer {
  private let world: SimulatedWorld
  private let ledger: Ledger
  private let sights: Sights
  private var dice: Random
  private var socket = SocketID.none
  private var sound = SocketID.none
  private var streams: [SocketID] = []
  private var answers: [SocketID: [UInt8]] = [:]
  var isQuiet = false

  init(_ world: SimulatedWorld, _ ledger: Ledger, _ sights: Sights) {
    self.world = world
    self.ledger = ledger
    self.sights = sights
    dice = world.makeRandom()
  }

  func start() {
    socket = (try? world.openDatagram(Endpoint(.anyV4, port: 5060), DatagramOptions())) ?? .none
    sound = (try? world.openDatagram(Endpoint(.anyV4, port: 40_000), DatagramOptions())) ?? .none
    next()
  }

  private func next() {
    world.after(.milliseconds(400 + Int64(dice.below(3000)))) { [weak self] in
      guard let self else { return }
      if !self.isQuiet { self.act() }
      self.next()
    }
  }

  private var gateway: Endpoint { Endpoint(Building.gateway, port: 5060) }
  private func send(_ text: String) { world.send(Array(text.utf8).span, on: socket, to: gateway, from: nil) }
  private func pick<Element>(_ list: [Element]) -> Element? {
    list.isEmpty ? nil : list[Int(dice.below(UInt64(list.count)))]
  }

  /// As much as it can, for a second and a half.
  func flood() {
    ledger.count("flooded")
    for number: Int64 in 0..<Stranger.floodSize {
      world.after(.milliseconds(number * 10)) { [weak self] in
        guard let self else { return }
        switch self.dice.below(4) {
        case 0:
          self.world.send(self.dice.bytes(40).span, on: self.socket, to: self.gateway, from: nil)
        case 1: self.send(self.request("REGISTER", "sip:\(Building.domain)"))
        case 2: self.send(self.request("OPTIONS", "sip:\(Building.domain)"))
        default:
          self.send(self.request("INVITE", "sip:401@\(Building.domain)", user: "front", sdp: true))
        }
      }
    }
  }
  private static let floodSize: Int64 = 150

  private func act() {
    if dice.below(150) == 0 { return flood() }
    switch dice.below(10) {
    case 9: disturb()
    case 0: world.send(dice.bytes(1 + Int(dice.below(300))).span, on: socket, to: gateway, from: nil)
    case 1:
      // A message cut short, or with a byte turned over.
      var bytes = Array(request("OPTIONS", "sip:\(Building.domain)").utf8)
      if dice.below(2) == 0 { bytes.removeLast(Int(dice.below(UInt64(bytes.count)))) }
      if !bytes.isEmpty {
        bytes[Int(dice.below(UInt64(bytes.count)))] = UInt8(truncatingIfNeeded: dice.next())
      }
      world.send(bytes.span, on: socket, to: gateway, from: nil)
    case 2: send(request("REGISTER", "sip:\(Building.domain)"))
    case 3:
      send(
        request(
          "INVITE", "sip:\(Building.units[Int(dice.below(2))])@\(Building.domain)", user: "front", sdp: true))
    case 4, 5: forge()
    case 6: spray()
    case 7: connect(5060 + UInt16(dice.below(2)))
    default: connect(8080)
    }
  }

  private func request(
    _ method: String, _ uri: String, user: String = "panel401", sdp: Bool = false, authorization: String = ""
  ) -> String {
    let body =
      sdp
      ? String(
        decoding: SoundPlan.written(world.addresses[0], 40_000, version: 1, direction: "sendrecv"),
        as: UTF8.self)
      : ""
    return
      "\(method) \(uri) SIP/2.0\r\nVia: SIP/2.0/UDP \(world.addresses[0]):5060;branch=z9hG4bK\(dice.hex(bytes: 5));rport\r\n"
      + "Max-Forwards: 70\r\nFrom: <sip:\(user)@\(Building.domain)>;tag=\(dice.hex(bytes: 3))\r\n"
      + "To: <sip:\(user)@\(Building.domain)>\r\nCall-ID: \(dice.hex(bytes: 5))\r\nCSeq: 1 \(method)\r\n"
      + "Contact: <sip:\(user)@\(world.addresses[0]):5060>\r\n\(authorization)"
      + (sdp ? "Content-Type: application/sdp\r\n" : "") + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
  }

  /// Inside somebody else's call, with its true names.
  private func forge() {
    guard let dialog = pick(sights.dialogs) else { return }
    ledger.count("forged")
    let method = ["INFO", "BYE", "INVITE", "UPDATE"][Int(dice.below(4))]
    var body = ""
    var type = ""
    if method == "INFO" {
      body = "Signal=#\r\nDuration=160\r\n"
      type = "Content-Type: application/dtmf-relay\r\n"
    } else if method == "INVITE" {
      body = String(
        decoding: SoundPlan.written(world.addresses[0], 40_000, version: 9, direction: "sendrecv"),
        as: UTF8.self)
      type = "Content-Type: application/sdp\r\n"
    }
    send(
      "\(method) \(dialog.target) SIP/2.0\r\nVia: SIP/2.0/UDP \(world.addresses[0]):5060;branch=z9hG4bK\(dice.hex(bytes: 5));rport\r\n"
        + "Max-Forwards: 70\r\nFrom: \(dialog.from)\r\nTo: \(dialog.to)\r\nCall-ID: \(dialog.callID)\r\n"
        + "CSeq: \(dialog.cseq) \(method)\r\nContact: <sip:x@\(world.addresses[0])>\r\n\(type)"
        + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
  }

  /// Sound and keys into ports where a call listens.
  private func spray() {
    guard let ear = pick(sights.ears) else { return }
    ledger.count("sprayed")
    for number in 0..<4 {
      let head: [UInt8] = [0x80, 0, 0, UInt8(number), 0, 0, 0, UInt8(number), 0xEE, 0xEE, 0xEE, 0xEE]
      var packet = head
      if number < 2 {
        packet[1] = 8
        packet += [0x51, 0x2A, Ledger.foreign, ~Ledger.foreign] + Array(repeating: 0xD5, count: 12)
      } else {
        packet[1] = 101 | 0x80
        packet += [11, number == 3 ? 0x8A : 10, 1, 0x40]
      }
      world.send(packet.span, on: sound, to: ear, from: nil)
    }
  }

  /// Into the one port of all browsers: what was overheard, as it is and with a bit turned over, hellos of handshakes
  /// that nobody asked for, and what is nothing.
  private func disturb() {
    ledger.count("disturbed browsers")
    let door = Endpoint(Building.gateway, port: 8189)
    func send(_ bytes: [UInt8]) { world.send(bytes.span, on: sound, to: door, from: nil) }
    if let packet = pick(sights.sealed) {
      send(packet)
      var turned = packet
      turned[Int(dice.below(UInt64(turned.count)))] ^= 1 << UInt8(dice.below(8))
      // Not made into STUN, which a stranger may ask for an address.
      if turned[0] >> 6 != 0 { send(turned) }
    }
    send([22, 0xFE, 0xFD, 1] + dice.bytes(1185))
    send([22, 0xFE, 0xFD, 3] + dice.bytes(900))
    send([0x80, 8] + dice.bytes(30))
    send([0x80, 200] + dice.bytes(26))
  }

  // MARK: Streams

  private func connect(_ port: UInt16) {
    guard streams.count < 6, let stream = try? world.connect(Endpoint(Building.gateway, port: port)) else {
      return
    }
    streams.append(stream)
    isWeb[stream] = port == 8080
    world.after(.seconds(20)) { [weak self] in self?.drop(stream) }
  }
  private var isWeb: [SocketID: Bool] = [:]

  func connected(_ stream: SocketID) {
    if isWeb[stream] == true {
      let path = ["/api/v1/accounts", "/api/v1/doors/entrance/open", "/api/v1/directory", "/health"]
      let wanted = path[Int(dice.below(4))]
      let method = wanted.hasSuffix("open") ? "POST" : "GET"
      answers[stream] = []
      isOpen[stream] = wanted == "/health"
      _ = world.write(
        Array(
          "\(method) \(wanted) HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".utf8
        ).span,
        on: stream)
    } else if dice.below(2) == 0 {
      _ = world.write(dice.bytes(1 + Int(dice.below(200))).span, on: stream)
    } else {
      _ = world.write(Array("REGISTER sip:\(Building.domain) SIP/2.0\r\nVia: ".utf8).span, on: stream)
    }
  }
  private var isOpen: [SocketID: Bool] = [:]

  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {
    guard answers[stream] != nil else { return }
    for index in bytes.indices { answers[stream]!.append(bytes[index]) }
    guard isOpen[stream] == false, answers[stream]!.count >= 12 else { return }
    if answers[stream]!.starts(with: Array("HTTP/1.1 2".utf8)) {
      ledger.breach("web without a token", String(decoding: answers[stream]!.prefix(200), as: UTF8.self))
    }
  }
  func closed(_ stream: SocketID, _ failure: NetworkFailure) { forget(stream) }

  private func drop(_ stream: SocketID) {
    guard streams.contains(stream) else { return }
    world.close(stream, flushing: false)
    forget(stream)
  }
  private func forget(_ stream: SocketID) {
    if let answer = answers.removeValue(forKey: stream) {
      ledger.inspect(answer, in: "the web's answer to a stranger")
    }
    isOpen[stream] = nil
    isWeb[stream] = nil
    streams.removeAll { $0 == stream }
  }

  // MARK: Answers

  func received(
    _ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint
  ) {
    if socket == sound {
      return ledger.breach("foreign media", "media sent to a stranger at \(local) from \(remote)")
    }
    var bytes: [UInt8] = []
    for index in datagram.indices { bytes.append(datagram[index]) }
    ledger.inspect(bytes, in: "SIP to a stranger")
    guard let message = SIPText(bytes), !message.isRequest else {
      return ledger.breach("foreign media", "a stranger was sent something that is no answer")
    }
    if message.status >= 200, message.status < 300, message.cseqMethod != "OPTIONS" {
      ledger.breach("stranger admitted", message.start + " " + message["cseq"])
    }
    // A guess: the challenge is answered with a password out of the air.
    if message.status == 401, message.cseqMethod == "REGISTER", message.cseq == 1, dice.below(100) < 60 {
      ledger.count("guessed")
      let challenge = message.all("www-authenticate").first ?? ""
      let nonce = SIPText.quoted("nonce", in: challenge) ?? ""
      let response = ASCII.hex(Digest.md5(dice.bytes(8)))
      let authorization =
        "Authorization: Digest username=\"panel401\", realm=\"\(Building.domain)\", nonce=\"\(nonce)\", uri=\"sip:\(Building.domain)\", "
        + "response=\"\(response)\", algorithm=MD5, cnonce=\"aa\", nc=00000001, qop=auth\r\n"
      var text = request("REGISTER", "sip:\(Building.domain)", authorization: authorization)
      if let range = text.firstRange(of: "CSeq: 1") { text.replaceSubrange(range, with: "CSeq: 2") }
      send(text)
    }
  }
}
