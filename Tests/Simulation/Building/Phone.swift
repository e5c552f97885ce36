internal import Crypto
import Simulation
import Wire

/// A door station, a panel, a mobile or a browser's SIP application: it registers, calls, answers and hangs up as dice
/// say, over UDP, TCP, TLS or a WebSocket.
///
/// Its SIP is text by its own hand (`SIPText`), strict where a real device is and as careless elsewhere. One value
/// is one life of the device: who restarts it makes another.
final class Phone: SimulatedPeer {
  /// What it is, over all its lives.
  struct Profile {
    enum Carrier {
      case udp, tcp, tls, ws, wss

      /// A browser: it has no address of its own, and its sound is a peer connection.
      var isWeb: Bool { self == .ws || self == .wss }
      var isSecure: Bool { self == .tls || self == .wss }
    }
    var username: String
    var isStation = false
    var carrier = Carrier.udp
    /// False for a station that is known by its address.
    var registers = true
    var prefersSHA = false
    var tag: UInt8
    var expires = 120
    /// Whom it calls of itself.
    var dials: [String] = []
    /// To whom it hands its calls.
    var putsThroughTo: [String] = []
  }

  let world: SimulatedWorld
  let profile: Profile
  let ledger: Ledger
  let sights: Sights
  var dice: Random
  /// The password it was given last.
  var secret: String? { didSet { if secret != nil { isRefused = false } } }
  private(set) var isRegistered = false
  /// Its password was called wrong: it waits for another.
  private(set) var isRefused = false
  /// True while people let it alone: it answers and calls nobody by itself.
  var isQuiet = false
  /// It answers every ring when set, as in the last act, and does not hang up by itself.
  var isEager = false
  /// It rings and never answers.
  var isPatient = false
  private(set) var talks: [Talk] = []
  /// How often it rang, ever.
  private(set) var rings = 0
  private(set) var lastRing: (caller: String, at: Instant)?

  private var socket = SocketID.none
  private var lines: [Line] = []
  /// Secure connections whose handshake is done.
  private var hasAsked: Set<SocketID> = []
  private var main = SocketID.none
  private var pending: [String: Pending] = [:]
  private var acks: [String: [UInt8]] = [:]
  private var registerCSeq = 0
  private let registerID: String
  private var registration = 0
  /// Requests with keys that came, by branch.
  var seen: Set<String> = []

  /// One stream connection.
  private struct Line {
    var socket: SocketID
    var buffer: [UInt8] = []
    var session: (any SecureSessionBox)?
    var web: WebSocketText?
    var isUp = false
  }
  private struct Pending {
    var bytes: [UInt8]
    var way: Way
    var isInvite: Bool
    var isProceeding = false
    var then: (SIPText?) -> Void
  }

  init(_ world: SimulatedWorld, _ profile: Profile, _ ledger: Ledger, _ sights: Sights, secret: String?) {
    self.world = world
    self.profile = profile
    self.ledger = ledger
    self.sights = sights
    self.secret = secret
    var random = world.makeRandom()
    registerID = random.hex(bytes: 6)
    dice = random
    ledger.speaks(profile.username, as: profile.tag)
  }

  var address: IPAddress { world.addresses[0] }

  /// Turns it on.
  func start() {
    socket = (try? world.openDatagram(Endpoint(address, port: 5060), DatagramOptions())) ?? .none
    if profile.carrier == .tcp { _ = try? world.listen(Endpoint(address, port: 5060)) }
    if profile.carrier != .udp { dial() }
    if profile.registers { after(drawn(50, 3000)) { $0.register() } }
    if !profile.dials.isEmpty { after(drawn(3000, 25_000)) { $0.feelLikeCalling() } }
  }

  // MARK: Dice

  func drawn(_ least: Int, _ most: Int) -> Interval {
    .milliseconds(Int64(least) + Int64(dice.below(UInt64(max(1, most - least)))))
  }
  func chance(_ percent: UInt64) -> Bool { dice.below(100) < percent }
  func after(_ interval: Interval, _ action: @escaping (Phone) -> Void) {
    world.after(interval) { [weak self] in
      guard let self else { return }
      action(self)
    }
  }

  // MARK: Bytes

  private func dial() {
    guard main == .none else { return }
    let port: UInt16 =
      switch profile.carrier {
      case .tls: 5061
      case .ws: 8080
      case .wss: 8443
      case .udp, .tcp: 5060
      }
    guard let stream = try? world.connect(Endpoint(Building.gateway, port: port)) else { return }
    var line = Line(socket: stream)
    if profile.carrier.isSecure { line.session = SecureSessionBoxing.client() }
    if profile.carrier.isWeb { line.web = WebSocketText() }
    lines.append(line)
    main = stream
  }

  func connected(_ stream: SocketID) {
    guard let place = lines.firstIndex(where: { $0.socket == stream }) else { return }
    if let session = lines[place].session {
      _ = world.write(session.start().span, on: stream)
    } else {
      carrierIsUp(place)
    }
  }

  /// TCP, or TLS over it, stands.
  private func carrierIsUp(_ place: Int) {
    guard lines[place].web != nil else { return lineIsUp(place) }
    let port = profile.carrier == .wss ? 8443 : 8080
    send(
      WebSocketText.request("\(Building.gateway):\(port)", path: chance(50) ? "/sip" : "/ws", &dice),
      on: lines[place])
  }

  private func lineIsUp(_ place: Int) {
    lines[place].isUp = true
    // What it has to say in its calls goes the new way.
    for talk in talks {
      if case .stream(let old) = talk.way, !lines.contains(where: { $0.socket == old }) {
        talk.way = .stream(lines[place].socket)
      }
    }
    if profile.registers, !isRegistered { register() }
  }

  private func send(_ bytes: [UInt8], on line: Line) {
    if let session = line.session {
      _ = world.write(session.seal(bytes).span, on: line.socket)
    } else {
      _ = world.write(bytes.span, on: line.socket)
    }
  }

  func accepted(_ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?) {
    lines.append(Line(socket: stream, isUp: true))
  }

  func closed(_ stream: SocketID, _ failure: NetworkFailure) { lost(stream) }

  private func lost(_ stream: SocketID) {
    lines.removeAll { $0.socket == stream }
    hasAsked.remove(stream)
    guard stream == main else { return }
    main = .none
    isRegistered = false
    after(drawn(1000, 8000)) { $0.dial() }
  }

  /// Gives a connection up that does not answer.
  private func abandon() {
    guard main != .none else { return }
    let stream = main
    world.close(stream, flushing: false)
    lost(stream)
  }

  var gatewayWay: Way? {
    if profile.carrier == .udp { return .datagram(Endpoint(Building.gateway, port: 5060)) }
    guard let line = lines.first(where: { $0.socket == main }), line.isUp else { return nil }
    return .stream(main)
  }

  private func put(_ bytes: [UInt8], _ way: Way) {
    world.network.journal.say("\(profile.username) > \(SIPText(bytes)?.summary ?? "")", at: world.now)
    switch way {
    case .datagram(let remote): world.send(bytes.span, on: socket, to: remote, from: nil)
    case .stream(let stream):
      guard let line = lines.first(where: { $0.socket == stream }), line.isUp else { return }
      send(line.web == nil ? bytes : WebSocketText.frame(1, bytes, &dice), on: line)
    }
  }

  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {
    guard let place = lines.firstIndex(where: { $0.socket == stream }) else { return }
    if let session = lines[place].session {
      guard let (plain, out) = session.open(bytes) else {
        world.close(stream, flushing: false)
        return lost(stream)
      }
      lines[place].buffer += plain
      if !out.isEmpty { _ = world.write(out.span, on: stream) }
      if session.isUp, !hasAsked.contains(stream) {
        hasAsked.insert(stream)
        carrierIsUp(place)
      }
      if session.isFinished {
        world.close(stream, flushing: true)
        return lost(stream)
      }
    } else {
      for index in bytes.indices { lines[place].buffer.append(bytes[index]) }
    }
    if profile.carrier.isWeb { return receivedFrames(stream) }
    while let place = lines.firstIndex(where: { $0.socket == stream }),
      let message = Phone.cut(&lines[place].buffer)
    {
      take(message, .stream(stream))
    }
  }

  /// What came over the WebSocket.
  private func receivedFrames(_ stream: SocketID) {
    guard let place = lines.firstIndex(where: { $0.socket == stream }), var web = lines[place].web else {
      return
    }
    let wasOpen = web.isOpen
    let messages = web.take(lines[place].buffer, &dice)
    if !web.out.isEmpty { send(web.out, on: lines[place]) }
    web.out = []
    lines[place].web = web
    lines[place].buffer = []
    if web.isOpen, !wasOpen { lineIsUp(place) }
    for message in messages { take(message, .stream(stream)) }
    if web.isOver {
      world.close(stream, flushing: true)
      lost(stream)
    }
  }

  /// The next whole message of a stream.
  private static func cut(_ buffer: inout [UInt8]) -> [UInt8]? {
    while buffer.count >= 2, buffer[0] == 13, buffer[1] == 10 { buffer.removeFirst(2) }
    guard let end = SIPText.headEnd(buffer), let head = SIPText(Array(buffer[..<(end + 2)])) else {
      return nil
    }
    let length = Int(head["content-length"]) ?? 0
    guard buffer.count >= end + 2 + length else { return nil }
    let message = Array(buffer[..<(end + 2 + length)])
    buffer.removeFirst(end + 2 + length)
    return message
  }

  func received(
    _ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint
  ) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(datagram.count)
    for index in datagram.indices { bytes.append(datagram[index]) }
    if socket == self.socket { return take(bytes, .datagram(remote)) }
    guard let talk = talks.first(where: { $0.ear == socket }) else { return }
    guard let sound = talk.sound else { return hear(bytes, in: talk) }
    let packet = sound.receive(datagram, from: remote)
    look(after: talk)
    if let packet { hear(packet, in: talk) }
  }

  func advance() {
    for talk in talks where talk.sound != nil {
      talk.sound?.advance()
      look(after: talk)
    }
  }

  var nextDeadline: Instant? { talks.compactMap { $0.sound?.nextDeadline }.min() }

  /// A browser that has lost the other side hangs up.
  private func look(after talk: Talk) {
    guard talk.sound?.isLost == true, talk.state == .up || talk.state == .answering else { return }
    ledger.count("sound lost")
    hangUp(talk)
  }

  private func take(_ bytes: [UInt8], _ way: Way) {
    ledger.inspect(bytes, in: "SIP to \(profile.username)")
    guard let message = SIPText(bytes) else {
      return ledger.breach("readable SIP", "\(profile.username) cannot read what the gateway sent")
    }
    world.network.journal.say("\(profile.username) < \(message.summary)", at: world.now)
    if message.isRequest { request(message, way) } else { response(message) }
  }

  // MARK: Transactions

  /// A request of ours with what all have.
  func draft(_ method: String, _ uri: String, _ way: Way, from: String, to: String, callID: String, cseq: Int)
    -> SIPText
  {
    let transport: String
    switch way {
    case .datagram: transport = "UDP"
    case .stream:
      transport =
        switch profile.carrier {
        case .tls: "TLS"
        case .ws: "WS"
        case .wss: "WSS"
        case .udp, .tcp: "TCP"
        }
    }
    var text = SIPText(start: "\(method) \(uri) SIP/2.0")
    let place = profile.carrier.isWeb ? host : "\(address):5060"
    text.add(
      "via",
      "SIP/2.0/\(transport) \(place);branch=z9hG4bK\(dice.hex(bytes: 6))\(profile.carrier.isWeb ? "" : ";rport")"
    )
    text.add("max-forwards", "70")
    text.add("from", from)
    text.add("to", to)
    text.add("call-id", callID)
    text.add("cseq", "\(cseq) \(method)")
    if method != "BYE", method != "CANCEL", method != "ACK" { text.add("contact", contact) }
    return text
  }

  var contact: String {
    switch profile.carrier {
    case .udp: "<sip:\(profile.username)@\(address):5060>"
    case .tcp: "<sip:\(profile.username)@\(address):5060;transport=tcp>"
    case .tls: "<sip:\(profile.username)@\(address):5061;transport=tls>"
    case .ws, .wss: "<sip:\(profile.username)@\(host);transport=ws>"
    }
  }
  /// A browser knows no address of its own (RFC 7118 section 5).
  private var host: String { registerID + ".invalid" }

  /// Sends a request until it has a final answer; nil when none comes.
  func ask(_ text: SIPText, _ way: Way, then: @escaping (SIPText?) -> Void) {
    let branch = text.branch + text.method
    pending[branch] = Pending(bytes: text.written, way: way, isInvite: text.method == "INVITE", then: then)
    put(pending[branch]!.bytes, way)
    if case .datagram = way { again(branch, .milliseconds(500)) }
    after(.seconds(32)) { phone in
      if phone.pending[branch]?.isProceeding == false { phone.expire(branch) }
    }
    if text.method == "INVITE" { after(.seconds(200)) { $0.expire(branch) } }
  }

  private func expire(_ branch: String) {
    guard let wait = pending.removeValue(forKey: branch) else { return }
    wait.then(nil)
  }

  private func again(_ branch: String, _ interval: Interval) {
    after(interval) { phone in
      guard let wait = phone.pending[branch], !(wait.isInvite && wait.isProceeding) else { return }
      phone.put(wait.bytes, wait.way)
      phone.again(branch, wait.isInvite ? interval * 2 : min(interval * 2, .seconds(4)))
    }
  }

  private func response(_ message: SIPText) {
    let branch = message.branch + message.cseqMethod
    guard let wait = pending[branch] else {
      // A final answer that came before: its ACK was lost.
      if let ack = acks[branch], message.status >= 300 {
        put(ack, gatewayWay ?? .datagram(Endpoint(Building.gateway, port: 5060)))
      }
      if message.cseqMethod == "INVITE", message.status >= 200, message.status < 300,
        let talk = talks.first(where: {
          $0.callID == message["call-id"] && $0.theirTag == SIPText.tag(of: message["to"])
        }), !talk.lastAck.isEmpty
      {
        put(talk.lastAck, talk.way)
      }
      return
    }
    guard message.status >= 200 else {
      pending[branch]?.isProceeding = true
      if wait.isInvite { wait.then(message) }
      return
    }
    pending[branch] = nil
    if wait.isInvite, message.status >= 300, let sent = SIPText(wait.bytes) {
      var ack = SIPText(start: "ACK " + sent.start.dropFirst(7))
      for field in sent.fields where ["via", "max-forwards", "from", "call-id"].contains(field.name) {
        ack.add(field.name, field.value)
      }
      ack.add("to", message["to"])
      ack.add("cseq", "\(sent.cseq) ACK")
      acks[branch] = ack.written
      put(ack.written, wait.way)
      after(.seconds(40)) { $0.acks[branch] = nil }
    }
    wait.then(message)
  }

  /// Answers a request.
  func answer(
    _ request: SIPText, _ way: Way, _ status: Int, tag: String, body: [UInt8] = [],
    headers: [(String, String)] = []
  ) -> [UInt8] {
    var text = SIPText(start: "SIP/2.0 \(status) Said")
    for via in request.all("via") { text.add("via", via) }
    text.add("from", request["from"])
    let to = request["to"]
    text.add("to", SIPText.tag(of: to).isEmpty && status > 100 ? to + ";tag=" + tag : to)
    text.add("call-id", request["call-id"])
    text.add("cseq", request["cseq"])
    if status > 100, status < 300 { text.add("contact", contact) }
    for header in headers { text.add(header.0, header.1) }
    if !body.isEmpty { text.add("content-type", "application/sdp") }
    text.body = body
    let bytes = text.written
    put(bytes, way)
    return bytes
  }

  func put(again bytes: [UInt8], _ way: Way) { put(bytes, way) }

  // MARK: Registration

  func register() {
    guard profile.registers, secret != nil, !isRefused else { return }
    registration += 1
    sendRegister(authorization: nil, tries: 0, number: registration)
  }

  private func sendRegister(authorization: String?, tries: Int, number: Int) {
    guard number == registration else { return }
    guard let way = gatewayWay else { return }
    registerCSeq += 1
    let me = "<sip:\(profile.username)@\(Building.domain)>"
    var text = draft(
      "REGISTER", "sip:\(Building.domain)", way, from: me + ";tag=" + dice.hex(bytes: 4), to: me,
      callID: registerID, cseq: registerCSeq)
    text.add("expires", String(profile.expires))
    if profile.carrier.isWeb {
      text.add("supported", "path, gruu, outbound")
      text.fields.removeAll { $0.name == "contact" }
      text.add(
        "contact",
        contact + ";+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-\(registerID)>\";reg-id=1")
    }
    if let authorization { text.add("authorization", authorization) }
    let used = secret
    ask(text, way) { [weak self] answer in
      guard let self, number == self.registration else { return }
      switch answer?.status {
      case 200?:
        self.isRegistered = true
        self.ledger.count("registered")
        self.after(.milliseconds(Int64(self.profile.expires) * 500)) { phone in
          if phone.registration == number { phone.register() }
        }
      case 401?:
        let isStale = answer!.all("www-authenticate").contains { $0.contains("stale=true") }
        if authorization == nil || (isStale && tries < 3) {
          let proof = self.prove(answer!.all("www-authenticate"), "REGISTER", "sip:\(Building.domain)")
          self.sendRegister(authorization: proof, tries: tries + 1, number: number)
        } else {
          self.isRegistered = false
          self.beRefused(answer!, used)
          if isStale { self.retryRegister(number) }
        }
      default:
        self.isRegistered = false
        if answer == nil { self.abandon() }
        self.retryRegister(number)
      }
    }
  }

  /// Our password is called wrong: a careful device stops here, or it would be banned.
  func beRefused(_ answer: SIPText, _ used: String?) {
    guard used == secret, !answer.all("www-authenticate").contains(where: { $0.contains("stale=true") })
    else { return }
    isRefused = true
    ledger.count("password refused")
    sights.refused(profile.username, secret)
  }

  private func retryRegister(_ number: Int) {
    after(drawn(3000, 9000)) { phone in if phone.registration == number { phone.register() } }
  }

  /// A digest answer to the challenges (RFC 2617, RFC 8760).
  func prove(_ challenges: [String], _ method: String, _ uri: String, secret guess: String? = nil) -> String {
    let challenge =
      challenges.first { $0.contains("SHA-256") == profile.prefersSHA } ?? challenges.first ?? ""
    let isSHA = challenge.contains("SHA-256")
    func hash(_ text: String) -> String {
      ASCII.hex(isSHA ? Digest.sha256(Array(text.utf8)) : Digest.md5(Array(text.utf8)))
    }
    let nonce = SIPText.quoted("nonce", in: challenge) ?? ""
    let cnonce = dice.hex(bytes: 4)
    let first = hash("\(profile.username):\(Building.domain):\(guess ?? secret ?? "")")
    let second = hash("\(method):\(uri)")
    let response = hash("\(first):\(nonce):00000001:\(cnonce):auth:\(second)")
    return
      "Digest username=\"\(profile.username)\", realm=\"\(Building.domain)\", nonce=\"\(nonce)\", uri=\"\(uri)\", "
      + "response=\"\(response)\", algorithm=\(isSHA ? "SHA-256" : "MD5"), cnonce=\"\(cnonce)\", nc=00000001, qop=auth"
  }

  // MARK: Talks

  func rung(_ caller: String) {
    rings += 1
    lastRing = (caller, world.now)
  }

  func add(_ talk: Talk) -> Bool {
    if profile.carrier.isWeb {
      talk.sound = BrowserSound(world, source: talk.source, tag: profile.tag, &dice)
      if talk.sound != nil { talks.append(talk) }
      return talk.sound != nil
    }
    guard let sound = try? world.openDatagram(Endpoint(address, port: 0), DatagramOptions()) else {
      return false
    }
    talk.socket = sound
    talk.port = world.local(of: sound)?.port ?? 0
    talks.append(talk)
    return true
  }

  func end(_ talk: Talk) {
    guard talk.state != .over else { return }
    talk.state = .over
    if let sound = talk.sound { sound.close() } else { world.close(talk.socket, flushing: false) }
    talks.removeAll { $0 === talk }
    sights.forget(talk)
    ledger.fell(talk)
  }
}
