import Crypto
import Simulation
import Transport
import Wire

/// What a camera of the tests does, and gets wrong.
struct CameraHabits {
  enum Media { case both, connectionOnly, datagramsOnly, neither, akuvox }
  var media = Media.both
  /// What it says to whoever asks for a way that it does not have.
  enum Refusal: Sendable {
    case status(String)
    case silence, hangUp, reset
  }
  var refusal = Refusal.status("461 Unsupported Transport")
  /// Says that it plays, and sends nothing this way.
  var muteOnConnection = false
  var muteInDatagrams = false
  /// MD5 of `user:realm:password` is asked for.
  var credentials: (user: String, password: String)?
  var coding = "H264"
  var parametersInDescription = true
  var parametersInBand = true
  /// Pictures from one key picture to the next.
  var group = 25
  /// Sends H.265 whatever it announced.
  var sendsH265 = false
  var sendsBidirectional = false
  var soundLine = "m=audio 0 RTP/AVP 8\r\na=control:sound\r\n"
  /// What a packet of sound holds.
  var sound: [UInt8] = [1, 2, 3, 4]
  /// Sends on to this address.
  var movedTo: String?
  var sessionLimit = 16
  var endlessHead = false
  /// Of the numbers of datagrams: each one of these is lost.
  var losesEvery = 0
  var sps: [UInt8] = SimulatedCamera.sps
  var setsMarkers = true
  var timeout = 60
  /// Wants the password as it is.
  var asksForBasic = false
  /// Closes the connection after each challenge.
  var closesAfterChallenge = false
  /// Resets the connection when it is told goodbye.
  var resetsOnFarewell = false
  /// Refuses everybody for so long after a session.
  var rest = Interval.zero
}

/// A camera: RTSP on port 554, 25 pictures a second to everybody who plays.
final class SimulatedCamera: SimulatedPeer {
  static let sps: [UInt8] = [
    0x67, 0x42, 0xC0, 0x0D, 0xD9, 0x01, 0x41, 0xFB, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00,
    0x03, 0x03,
    0x20, 0xF1, 0x42, 0xA4, 0x80,
  ]
  static let pps: [UInt8] = [0x68, 0xCB, 0x83, 0xCB, 0x20]

  private final class Session {
    let stream: SocketID
    let remote: Endpoint
    var input: [UInt8] = []
    var name: String?
    var isPlaying = false
    var channel: UInt8?
    var soundChannel: UInt8?
    var ports: UInt16?
    var socket: SocketID?
    var challenged = false
    var number: UInt16
    var soundNumber: UInt16 = 0
    var tls: (any SecureSession)?

    init(stream: SocketID, remote: Endpoint, number: UInt16) {
      self.stream = stream
      self.remote = remote
      self.number = number
    }
  }

  let world: SimulatedWorld
  var habits: CameraHabits
  private let sessions: SimulatedSessions?
  private var open: [Session] = []
  private var picture = 0
  private var made = 0
  /// Every request line with the session it came for.
  private(set) var requests: [String] = []
  /// Every `Authorization` that was given.
  private(set) var proofs: [String] = []
  /// The ports of ours that its media go to.
  var targets: [UInt16] { open.compactMap(\.ports) }
  /// RTCP compounds that came, whichever way.
  private(set) var reports: [[UInt8]] = []
  /// Packets that came at a port of media: what opens the way.
  private(set) var punches = 0
  var isFrozen = false
  private var restsUntil = Instant(nanoseconds: 0)
  var sessionCount: Int { open.count { $0.isPlaying } }

  init(_ world: SimulatedWorld, _ habits: CameraHabits, sessions: SimulatedSessions? = nil) {
    self.world = world
    self.habits = habits
    self.sessions = sessions
    _ = try! world.listen(Endpoint(.anyV4, port: sessions == nil ? 554 : 322))
    tick()
  }

  private func tick() {
    world.after(.milliseconds(40)) { [weak self] in
      guard let self else { return }
      self.sendPicture()
      self.tick()
    }
  }

  // MARK: The connection

  func accepted(_ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?) {
    made += 1
    let session = Session(
      stream: stream, remote: remote, number: UInt16(truncatingIfNeeded: 65_500 + made * 7))
    session.tls = sessions?.accept()
    open.append(session)
  }

  func closed(_ stream: SocketID, _ failure: NetworkFailure) {
    for session in open where session.stream == stream { forget(session) }
    open.removeAll { $0.stream == stream }
  }

  private func forget(_ session: Session) {
    session.isPlaying = false
    if let socket = session.socket { world.close(socket, flushing: false) }
    session.socket = nil
  }

  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {
    guard let session = open.first(where: { $0.stream == stream }) else { return }
    if let tls = session.tls {
      var plain: [UInt8] = []
      var out: [UInt8] = []
      try? tls.receive(bytes, plain: &plain, out: &out)
      if !out.isEmpty { _ = world.write(out.span, on: stream) }
      session.input += plain
    } else {
      for index in bytes.indices { session.input.append(bytes[index]) }
    }
    while true {
      if session.input.first == 36 {
        guard session.input.count >= 4 else { return }
        let end = 4 + Int(session.input[2]) * 256 + Int(session.input[3])
        guard session.input.count >= end else { return }
        reports.append(Array(session.input[4..<end]))
        session.input.removeFirst(end)
        continue
      }
      guard
        let end = session.input.indices.first(where: { session.input[$0...].starts(with: [13, 10, 13, 10]) })
      else { return }
      let head = String(decoding: session.input[..<end], as: UTF8.self)
      session.input.removeFirst(end + 4)
      answer(head, session)
    }
  }

  private func say(_ text: String, _ session: Session) { send(Array(text.utf8), session) }

  private func send(_ bytes: [UInt8], _ session: Session) {
    guard let tls = session.tls else {
      _ = world.write(bytes.span, on: session.stream)
      return
    }
    var out: [UInt8] = []
    try? tls.send(bytes.span, out: &out)
    _ = world.write(out.span, on: session.stream)
  }

  private func answer(_ head: String, _ session: Session) {
    let lines = head.split(separator: "\r\n").map(String.init)
    func field(_ name: String) -> String? {
      lines.first { $0.hasPrefix(name + ": ") }.map { String($0.dropFirst(name.count + 2)) }
    }
    requests.append(lines[0])
    let words = lines[0].split(separator: " ").map(String.init)
    let number = "CSeq: \(field("CSeq") ?? "0")\r\n"
    func reply(_ status: String, _ fields: String = "", _ body: String = "") {
      say("RTSP/1.0 \(status)\r\n\(number)\(fields)\r\n\(body)", session)
    }
    if let proof = field("Authorization") { proofs.append(proof) }
    if habits.asksForBasic, field("Authorization") == nil {
      return reply("401 Unauthorized", "WWW-Authenticate: Basic realm=\"camera\"\r\n")
    }
    if let (user, password) = habits.credentials {
      let wanted = "response=\"\(proof(words[0], words[1], user, password))\""
      guard let given = field("Authorization"), given.contains(wanted) else {
        reply("401 Unauthorized", "WWW-Authenticate: Digest realm=\"camera\", nonce=\"\(nonce)\"\r\n")
        if habits.closesAfterChallenge { hangUp(session) }
        return
      }
    }
    switch words[0] {
    case "DESCRIBE":
      if habits.endlessHead {
        return say("RTSP/1.0 200 OK\r\n" + String(repeating: "X-Field: and so on\r\n", count: 4000), session)
      }
      guard world.now >= restsUntil else { return reply("503 Service Unavailable") }
      if let target = habits.movedTo { return reply("302 Moved", "Location: \(target)\r\n") }
      guard open.count(where: { $0.isPlaying }) < habits.sessionLimit else {
        return reply("453 Not Enough Bandwidth")
      }
      let sets =
        habits.parametersInDescription
        ? ";sprop-parameter-sets=Z0LADdkBQfsBEAAAAwAQAAADAyDxQqSA,aMuDyyA=" : ""
      let body =
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 \(habits.coding)/90000\r\n"
        + "a=fmtp:96 packetization-mode=1\(sets)\r\na=control:picture\r\n\(habits.soundLine)"
      reply("200 OK", "Content-Type: application/sdp\r\nContent-Length: \(body.utf8.count)\r\n", body)
    case "SETUP": setUp(words[1], field("Transport") ?? "", session, reply)
    case "PLAY":
      session.isPlaying = true
      reply("200 OK", "Session: \(session.name ?? "")\r\n")
    case "TEARDOWN":
      forget(session)
      restsUntil = world.now + habits.rest
      if habits.resetsOnFarewell {
        // What is queued and never sent makes a reset of the end.
        say("RTSP/1.0", session)
        return hangUp(session, flushing: false)
      }
      reply("200 OK")
    case "OPTIONS": reply("200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n")
    default: reply("200 OK")
    }
  }

  private var nonce: String { habits.closesAfterChallenge ? "n" : "n\(made)" }

  private func hangUp(_ session: Session, flushing: Bool = true) {
    forget(session)
    open.removeAll { $0 === session }
    world.close(session.stream, flushing: flushing)
  }

  private func proof(_ method: String, _ uri: String, _ user: String, _ password: String) -> String {
    func md5(_ text: String) -> String { ASCII.hex(Digest.md5(Array(text.utf8))) }
    return md5("\(md5("\(user):camera:\(password)")):\(nonce):\(md5("\(method):\(uri)"))")
  }

  private func setUp(
    _ uri: String, _ transport: String, _ session: Session, _ reply: (String, String, String) -> Void
  ) {
    let isSound = uri.hasSuffix("sound")
    session.name = session.name ?? "s\(made)"
    let name = "Session: \(session.name!);timeout=\(habits.timeout)\r\n"
    let wantsConnection = transport.contains("/TCP")
    switch (wantsConnection, habits.media) {
    case (true, .akuvox):
      return reply(
        "200 OK",
        name + "Transport: RTP/AVP;unicast;mode=play;client_port=;server_port=51242-51243\r\n", "")
    case (true, .datagramsOnly), (false, .connectionOnly), (_, .neither):
      switch habits.refusal {
      case .status(let status): return reply(status, "", "")
      case .silence: return
      case .hangUp: return hangUp(session)
      case .reset:
        // What is queued and never sent makes a reset of the end.
        say("RTSP/1.0", session)
        return hangUp(session, flushing: false)
      }
    case (true, _):
      let channel: UInt8 = isSound ? 2 : 0
      if isSound { session.soundChannel = channel } else { session.channel = channel }
      reply("200 OK", name + "Transport: RTP/AVP/TCP;unicast;interleaved=\(channel)-\(channel + 1)\r\n", "")
    case (false, _):
      if isSound { return reply("500 No", "", "") }
      let port = transport.split(separator: "client_port=").last?.split(separator: "-").first
      session.ports = port.flatMap { UInt16($0) }
      session.socket = try? world.openDatagram(Endpoint(.anyV4, port: 0), DatagramOptions())
      let own = session.socket.flatMap { world.local(of: $0) }?.port ?? 0
      let said = habits.media == .akuvox ? "" : "\(session.ports ?? 0)-\((session.ports ?? 0) + 1)"
      reply(
        "200 OK",
        name + "Transport: RTP/AVP;unicast;mode=play;client_port=\(said);server_port=\(own)-\(own)\r\n", "")
    }
  }

  func received(
    _ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint
  ) {
    var bytes: [UInt8] = []
    for index in datagram.indices { bytes.append(datagram[index]) }
    if bytes.count > 1, (200...207).contains(bytes[1]) { reports.append(bytes) } else { punches += 1 }
  }

  // MARK: Pictures

  private func sendPicture() {
    guard !isFrozen else { return }
    let isKey = picture % habits.group == 0
    var payloads: [[UInt8]] = []
    if habits.sendsH265 {
      payloads = [isKey ? [0x40, 1, 0x0C] : [0x02, 1, 0xD0], [0x62, 1, 0x93, 7]]
    } else if isKey {
      if habits.parametersInBand { payloads = [habits.sps, SimulatedCamera.pps] }
      payloads += [[0x7C, 0x85, 0x88, UInt8(picture & 255)], [0x7C, 0x45, 1, 2, 3]]
    } else if habits.sendsBidirectional {
      payloads = [[0x01, 0b1010_0000, UInt8(picture & 255)]]
    } else {
      payloads = [[0x41, 0x9A, UInt8(picture & 255)]]
    }
    let time = UInt32(truncatingIfNeeded: picture * 3600)
    for session in open where session.isPlaying {
      for (place, payload) in payloads.enumerated() {
        let isLast = place == payloads.count - 1 && habits.setsMarkers
        let packet = header(96, session.number, time, isLast) + payload
        session.number &+= 1
        if habits.losesEvery > 0, Int(session.number) % habits.losesEvery == 0 { continue }
        if let socket = session.socket, let port = session.ports {
          guard !habits.muteInDatagrams else { continue }
          world.send(packet.span, on: socket, to: Endpoint(session.remote.address, port: port), from: nil)
        } else if let channel = session.channel, !habits.muteOnConnection {
          send([36, channel, 0, UInt8(packet.count)] + packet, session)
        }
      }
      if let channel = session.soundChannel, !habits.muteOnConnection {
        let packet = header(8, session.soundNumber, UInt32(session.soundNumber) * 320, false) + habits.sound
        session.soundNumber &+= 1
        send([36, channel, 0, UInt8(packet.count)] + packet, session)
      }
    }
    picture += 1
  }

  private func header(_ type: UInt8, _ number: UInt16, _ time: UInt32, _ marker: Bool) -> [UInt8] {
    [
      0x80, (marker ? 0x80 : 0) | type, UInt8(number >> 8), UInt8(number & 255), UInt8(time >> 24),
      UInt8(time >> 16 & 255), UInt8(time >> 8 & 255), UInt8(time & 255), 9, 9, 9, type,
    ]
  }
}
