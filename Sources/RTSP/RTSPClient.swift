package import Wire

// The client's side of one RTSP connection (RFC 2326; what RFC 7826 changed does not matter to a viewer), sans-I/O.
//
// Responsible for: DESCRIBE, SETUP of the streams we can use, PLAY, signs of life, TEARDOWN; credentials; what the
// camera may cost us; and forgiving what real cameras answer. One request is under way at a time. A camera that answers
// with another transport than was asked for (Akuvox does) is told goodbye and reported as `otherTransport`: whoever
// owns this then tries that one on a new connection, because a camera that is confused about a session is not the one
// to repair it with.
//
// Assumes: `receive` gets the bytes of one connection in order; what `next` gives is taken before the next `receive`;
// the owner sends `takeOutput` on the connection, opens datagram sockets, and closes everything after `ended`.
// Somebody else's: dialling, TLS, names, racing transports, trying again, and what media mean.
package struct RTSPClient: Sendable {
  private enum Phase: Equatable {
    /// Nothing has been sent. Becomes `describing`.
    case idle
    /// A camera that wants to be asked for its options first. Becomes `describing`.
    case greeting
    /// Becomes `settingUp`.
    case describing
    /// A stream waits for the owner's ports. Becomes `settingUp`.
    case awaitingPorts(Int)
    /// Becomes itself for the next stream, `awaitingPorts`, or `starting`.
    case settingUp(Int)
    /// Becomes `playing`.
    case starting
    case playing
    /// TEARDOWN is under way. Becomes `over`.
    case leaving(RTSPEnding)
    case over
  }

  private struct Request {
    var method: String
    var uri: String
    var fields: [(name: String, value: String)]
    var sequence: Int
    var deadline: Instant
    var isProved = false
    var challenges = 0
    var interim = 0
  }

  package let address: RTSPAddress
  /// How media are asked for; the other way than at first, once the camera has said that it does not know that one.
  package private(set) var transport: RTSPTransport
  private var mayChange: Bool
  private var phase = Phase.idle
  private var authentication: RTSPAuthentication
  private var framer = RTSPFramer()
  private var output: [UInt8] = []
  private var events: [RTSPEvent] = []
  private var request: Request?
  private var sequence = 0
  private var session: String?
  private var timeout = RTSPLimits.sessionTimeout
  package private(set) var presentation: RTSPPresentation?
  /// How each stream comes, by its place in the presentation; nil where it was not set up.
  package private(set) var carriages: [RTSPCarriage?] = []
  private var channels: [(media: UInt8, control: UInt8)?] = []
  private var keepAliveAt: Instant?
  /// GET_PARAMETER, once the camera has said that it knows it; nil before its options were asked for.
  private var keepAliveMethod: String?
  private var greeted = false
  private var ranged = true

  /// A client that has not begun. `mayShowPassword`: Basic may be answered; false when another host than the
  /// configured one is asked. `mayChange`: a camera that does not know this transport is asked for the other.
  package init(
    _ address: RTSPAddress, transport: RTSPTransport, mayChange: Bool = true,
    credentials: RTSPCredentials?, mayShowPassword: Bool = true, random: Random
  ) {
    self.address = address
    self.transport = transport
    self.mayChange = mayChange
    authentication = RTSPAuthentication(credentials, mayShow: mayShowPassword, random: random)
  }

  /// What `packet` and `control` point into.
  package var input: [UInt8] { framer.bytes }
  package var isPlaying: Bool { phase == .playing }
  package var isOver: Bool { phase == .over }
  package var isLeaving: Bool { if case .leaving = phase { true } else { false } }
  /// What the camera allows between two signs of life.
  package var sessionTimeout: Interval { timeout }

  // MARK: Commands

  /// Asks what there is. The connection stands.
  package mutating func start(now: Instant) {
    precondition(phase == .idle, "a client starts once")
    describe(now)
  }

  /// Answers `portsWanted`: the first of two neighbouring ports that are bound, the first of them even.
  package mutating func offer(port: UInt16, for track: Int, now: Instant) {
    guard phase == .awaitingPorts(track) else { return }
    setUp(track, "RTP/AVP;unicast;client_port=\(port)-\(port + 1)", now)
  }

  /// Sends RTCP about a stream on the connection; nothing when it comes in datagrams.
  package mutating func send(control compound: [UInt8], track: Int) {
    guard phase == .playing, channels.indices.contains(track), let pair = channels[track],
      compound.count <= Int(UInt16.max)
    else { return }
    output.append(UInt8(ascii: "$"))
    output.append(pair.control)
    output.append(UInt8(truncatingIfNeeded: compound.count >> 8))
    output.append(UInt8(truncatingIfNeeded: compound.count))
    output += compound
  }

  /// Says goodbye; `ended(.left)` follows, at once where there is no session to end.
  package mutating func leave(now: Instant) { leave(.left, now) }

  private mutating func leave(_ ending: RTSPEnding, _ now: Instant) {
    switch phase {
    case .over, .leaving: return
    case .idle, .greeting, .describing: return end(ending)
    case .awaitingPorts, .settingUp, .starting, .playing: break
    }
    guard session != nil else { return end(ending) }
    phase = .leaving(ending)
    send("TEARDOWN", presentation?.control ?? address.text, [], now)
    request?.deadline = now + RTSPLimits.farewell
  }

  /// A client for another connection, when the camera challenged us and then closed this one, as some do: it begins
  /// with the proof. Nil in every other case.
  package func restarted() -> RTSPClient? {
    guard phase == .describing, presentation == nil, let request, request.isProved, request.challenges == 1,
      framer.isIdle
    else { return nil }
    var fresh = self
    fresh.phase = .idle
    fresh.request = nil
    fresh.output = []
    fresh.framer = RTSPFramer()
    return fresh
  }

  /// The connection is gone.
  package mutating func receivedEnd() {
    if case .leaving(let ending) = phase { return end(ending) }
    if phase != .over { end(.closed) }
  }

  /// What is to be sent on the connection.
  package mutating func takeOutput() -> [UInt8] {
    defer { output.removeAll(keepingCapacity: true) }
    return output
  }

  // MARK: What comes

  package mutating func receive(_ bytes: Span<UInt8>, now: Instant) {
    guard phase != .over else { return }
    framer.append(bytes)
  }

  /// The next thing to tell; nil when more bytes are needed. `now` is the time of the bytes.
  package mutating func next(now: Instant) -> RTSPEvent? {
    while events.isEmpty {
      guard phase != .over else { return nil }
      do throws(RTSPFault) {
        guard let piece = try framer.next() else { return nil }
        switch piece {
        case .packet(let channel, let range):
          if let event = packet(channel, range) { return event }
        case .message(let message):
          switch message.start {
          case .response(let status, let reason): answered(message, status, reason, now)
          case .request(let method): asked(method, message, now)
          }
        }
      } catch { end(.malformed(error)) }
    }
    return events.removeFirst()
  }

  private func packet(_ channel: UInt8, _ range: Range<Int>) -> RTSPEvent? {
    guard !range.isEmpty else { return nil }
    var matches: [Int] = []
    var isControl = false
    for (track, pair) in channels.enumerated() {
      guard let pair else { continue }
      if pair.media == channel || pair.control == channel {
        matches.append(track)
        isControl = pair.control == channel && pair.media != channel
      }
    }
    guard var track = matches.first, range.count >= 8 else { return nil }
    let second = framer.bytes[range.lowerBound + 1]
    // Cameras exist that send reports on the channel of media.
    if (200...207).contains(second) { isControl = true }
    if matches.count > 1, !isControl, let presentation {
      // Or that gave every stream the same channels: the payload type tells them apart.
      track = matches.first { presentation.tracks[$0].payloadType == second & 0x7F } ?? track
    }
    return isControl ? .control(track: track, range) : .packet(track: track, range)
  }

  private mutating func asked(_ method: String, _ message: RTSPMessage, _ now: Instant) {
    let isKnown = [
      "OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "ANNOUNCE", "PLAY_NOTIFY", "REDIRECT", "TEARDOWN",
    ]
    .contains(method)
    output.append(ascii: isKnown ? "RTSP/1.0 200 OK\r\n" : "RTSP/1.0 501 Not Implemented\r\n")
    if let number = message["CSeq"].flatMap({ Int($0) }) {
      output.append(ascii: "CSeq: ")
      output.append(decimal: number)
      output.append(ascii: "\r\n")
    }
    output.append(ascii: "\r\n")
    switch method {
    case "TEARDOWN": end(.closed)
    case "REDIRECT":
      leave(message["Location"].flatMap { RTSPAddress($0) }.map { .moved($0) } ?? .closed, now)
    default: break
    }
  }

  // MARK: Answers

  private mutating func answered(_ message: RTSPMessage, _ status: Int, _ reason: String, _ now: Instant) {
    guard var waiting = request else { return }
    // An answer without a number is to what was asked last; one with another number is to what was given up.
    if let text = message["CSeq"], let number = Int(text), number != waiting.sequence { return }
    if status < 200 {
      waiting.interim += 1
      request = waiting
      if waiting.interim > RTSPLimits.interim { end(.malformed(.junk)) }
      return
    }
    request = nil
    if status == 401 {
      challenged(waiting, message, now)
      return
    }
    if waiting.isProved { authentication.passed() }
    if let value = message["Session"], (200..<300).contains(status) { note(session: value) }

    switch phase {
    case .greeting: describe(now)
    case .describing: described(message, status, reason, waiting, now)
    case .settingUp(let track): wasSetUp(track, message, status, reason, now)
    case .starting: started(status, reason, now)
    case .playing: heardFrom(message, status, waiting, now)
    case .leaving(let ending): end(ending)
    case .idle, .awaitingPorts, .over: break
    }
  }

  private mutating func challenged(_ waiting: Request, _ message: RTSPMessage, _ now: Instant) {
    if case .leaving(let ending) = phase { return end(ending) }
    guard waiting.challenges < RTSPLimits.challenges else { return leave(.credentials(.wrong), now) }
    switch authentication.challenged(message.values("WWW-Authenticate"), proved: waiting.isProved) {
    case .again:
      send(waiting.method, waiting.uri, waiting.fields, now)
      request?.challenges = waiting.challenges + 1
    case .missing: leave(.credentials(.missing), now)
    case .wrong: leave(.credentials(.wrong), now)
    case .impossible: leave(.credentials(.impossible), now)
    }
  }

  private mutating func note(session value: String) {
    let parts = value.split(separator: ";")
    guard let name = parts.first?.trimmedBlanks, !name.isEmpty, name.utf8.count <= 256,
      name.utf8.allSatisfy({ $0 > 32 && $0 < 127 })
    else { return }
    session = String(name)
    for part in parts.dropFirst() {
      let halves = part.trimmedBlanks.split(separator: "=", maxSplits: 1)
      guard halves.count == 2, ASCII.equalIgnoringCase(String(halves[0].trimmedBlanks), "timeout"),
        let seconds = Int64(halves[1].trimmedBlanks), seconds > 0, seconds <= 86_400
      else { continue }
      timeout = .seconds(seconds)
    }
  }

  private mutating func described(
    _ message: RTSPMessage, _ status: Int, _ reason: String, _ waiting: Request, _ now: Instant
  ) {
    switch status {
    case 200..<300: break
    case 300..<400:
      guard let target = message["Location"].flatMap({ RTSPAddress($0) }) else {
        return end(.refused(status: status, reason: reason))
      }
      return end(.moved(target))
    case 455 where !greeted:
      // It wants its options asked for first.
      greeted = true
      phase = .greeting
      return send("OPTIONS", address.text, [], now)
    default: return end(RTSPClient.refusal(status, reason))
    }
    var base = waiting.uri
    for name in ["Content-Base", "Content-Location"] {
      if let value = message[name], RTSPAddress(value) != nil {
        base = value
        break
      }
    }
    do throws(PresentationFault) {
      let presentation = try RTSPPresentation(parsing: message.body, base: base)
      self.presentation = presentation
      carriages = Array(repeating: nil, count: presentation.tracks.count)
      channels = Array(repeating: nil, count: presentation.tracks.count)
      events.append(.described(presentation))
      prepare(0, now)
    } catch { end(.presentation(error)) }
  }

  private static func refusal(_ status: Int, _ reason: String) -> RTSPEnding {
    switch status {
    case 403: .refused(status: status, reason: reason)
    case 404, 410: .missing
    case 453, 503: .busy
    case 454: .expired
    case 461: .otherTransport
    default: .refused(status: status, reason: reason)
    }
  }

  private mutating func prepare(_ track: Int, _ now: Instant) {
    guard let presentation, track < presentation.tracks.count else {
      phase = .starting
      var fields: [(name: String, value: String)] = []
      if ranged { fields.append(("Range", "npt=0.000-")) }
      return send("PLAY", presentation?.control ?? address.text, fields, now)
    }
    switch transport {
    case .interleaved:
      setUp(track, "RTP/AVP/TCP;unicast;interleaved=\(2 * track)-\(2 * track + 1)", now)
    case .datagrams:
      phase = .awaitingPorts(track)
      events.append(.portsWanted(track: track))
    }
  }

  private mutating func setUp(_ track: Int, _ transport: String, _ now: Instant) {
    guard let presentation else { return }
    phase = .settingUp(track)
    send("SETUP", presentation.tracks[track].control, [("Transport", transport)], now)
  }

  private mutating func wasSetUp(
    _ track: Int, _ message: RTSPMessage, _ status: Int, _ reason: String, _ now: Instant
  ) {
    guard (200..<300).contains(status) else {
      // A door without sound is better than none.
      if track > 0 { return prepare(track + 1, now) }
      if status == 461, mayChange {
        mayChange = false
        transport = transport.other
        return prepare(0, now)
      }
      return leave(RTSPClient.refusal(status, reason), now)
    }
    let asked = (media: UInt8(2 * track), control: UInt8(2 * track + 1))
    let field = message["Transport"] ?? ""
    guard let reply = TransportReply(field) ?? (field.isEmpty ? TransportReply.silent(transport) : nil) else {
      return leave(.refused(status: status, reason: "no RTP"), now)
    }
    guard !reply.isMulticast, reply.kind == transport || reply.kind == .interleaved else {
      if track > 0, !reply.isMulticast { return prepare(track + 1, now) }
      return leave(reply.isMulticast ? .refused(status: status, reason: "multicast") : .otherTransport, now)
    }
    let carriage: RTSPCarriage
    switch reply.kind {
    case .interleaved:
      channels[track] = reply.channels ?? asked
      carriage = .interleaved
    case .datagrams:
      carriage = .datagrams(
        media: reply.serverPorts?.media, control: reply.serverPorts?.control, source: reply.source)
    }
    carriages[track] = carriage
    events.append(.ready(track: track, carriage))
    prepare(track + 1, now)
  }

  private mutating func started(_ status: Int, _ reason: String, _ now: Instant) {
    switch status {
    case 200..<300:
      phase = .playing
      scheduleKeepAlive(now)
      events.append(.playing)
    case 457 where ranged:
      ranged = false
      prepare(presentation?.tracks.count ?? 0, now)
    default: leave(RTSPClient.refusal(status, reason), now)
    }
  }

  // MARK: Signs of life

  private mutating func scheduleKeepAlive(_ now: Instant) {
    keepAliveAt =
      now + max(RTSPLimits.keepAlive.shortest, min(RTSPLimits.keepAlive.longest, timeout / 2))
  }

  private mutating func heardFrom(_ message: RTSPMessage, _ status: Int, _ waiting: Request, _ now: Instant) {
    switch (waiting.method, status) {
    case (_, 454): end(.expired)
    case ("OPTIONS", 200..<300):
      let methods = message.values("Public").joined(separator: ",").split(separator: ",")
      let knows = methods.contains { ASCII.equalIgnoringCase(String($0.trimmedBlanks), "GET_PARAMETER") }
      if keepAliveMethod == nil { keepAliveMethod = knows ? "GET_PARAMETER" : "OPTIONS" }
    case ("GET_PARAMETER", 400...): keepAliveMethod = "OPTIONS"
    default: break
    }
  }

  package var nextDeadline: Instant? { .earlier(request?.deadline, keepAliveAt) }

  package mutating func advance(now: Instant) {
    if let waiting = request, waiting.deadline <= now {
      request = nil
      switch phase {
      case .leaving(let ending): end(ending)
      // A camera that is busy sending pictures and forgets to answer is none the worse for it.
      case .playing: break
      case .idle, .greeting, .describing, .awaitingPorts, .settingUp, .starting:
        leave(.silent(waiting.method), now)
      case .over: break
      }
    }
    if phase == .playing, let due = keepAliveAt, due <= now {
      scheduleKeepAlive(now)
      send(keepAliveMethod ?? "OPTIONS", presentation?.control ?? address.text, [], now)
    }
  }

  // MARK: Requests

  private mutating func describe(_ now: Instant) {
    phase = .describing
    send("DESCRIBE", address.text, [("Accept", "application/sdp")], now)
  }

  private mutating func send(
    _ method: String, _ uri: String, _ fields: [(name: String, value: String)], _ now: Instant
  ) {
    sequence += 1
    var waiting = Request(
      method: method, uri: uri, fields: fields, sequence: sequence, deadline: now + RTSPLimits.answer)
    output.append(ascii: "\(method) \(uri) RTSP/1.0\r\nCSeq: ")
    output.append(decimal: sequence)
    output.append(ascii: "\r\nUser-Agent: Vestibule\r\n")
    if let session, method != "DESCRIBE" { output.append(ascii: "Session: \(session)\r\n") }
    if let proof = authentication.authorization(method, uri) {
      waiting.isProved = true
      output.append(ascii: "Authorization: \(proof)\r\n")
    }
    for field in fields { output.append(ascii: "\(field.name): \(field.value)\r\n") }
    output.append(ascii: "\r\n")
    request = waiting
  }

  private mutating func end(_ ending: RTSPEnding) {
    phase = .over
    request = nil
    keepAliveAt = nil
    events.append(.ended(ending))
  }
}

extension TransportReply {
  /// What a server that does not say means: what it was asked for.
  fileprivate static func silent(_ asked: RTSPTransport) -> TransportReply? {
    TransportReply(asked == .interleaved ? "RTP/AVP/TCP;unicast" : "RTP/AVP;unicast")
  }
}
