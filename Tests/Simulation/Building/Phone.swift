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
  var isRegistered = false
  /// Its password was called wrong: it waits for another.
  var isRefused = false
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

  var socket = SocketID.none
  var lines: [Line] = []
  /// Secure connections whose handshake is done.
  var hasAsked: Set<SocketID> = []
  var main = SocketID.none
  private var pending: [String: Pending] = [:]
  private var acks: [String: [UInt8]] = [:]
  var registerCSeq = 0
  let registerID: String
  var registration = 0
  /// Requests with keys that came, by branch.
  var seen: Set<String> = []

  /// One stream connection.
  struct Line {
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
    // A browser's application registers when its WebSocket stands, and once.
    if profile.registers, !profile.carrier.isWeb { after(drawn(50, 3000)) { $0.register() } }
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

  // MARK: Datagrams

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

  func take(_ bytes: [UInt8], _ way: Way) {
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
