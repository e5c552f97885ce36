import RTSP
import Wire

/// One client and the words of a camera, on made-up time.
struct Dialogue {
  var client: RTSPClient
  var now = Instant(nanoseconds: 1_000_000_000)
  var events: [RTSPEvent] = []

  init(
    _ address: String = "rtsp://192.0.2.10/live", transport: RTSPTransport = .interleaved,
    user: String? = nil,
    password: String = "", mayShowPassword: Bool = true
  ) {
    client = RTSPClient(
      RTSPAddress(address)!, transport: transport,
      credentials: user.map { RTSPCredentials(user: $0, password: password) },
      mayShowPassword: mayShowPassword,
      random: Random(seed: 1))
    client.start(now: now)
  }

  /// What the client has sent since the last question.
  mutating func said() -> String { String(decoding: client.takeOutput(), as: UTF8.self) }

  /// The camera says this; lines end as in the source, with LF made CRLF.
  mutating func hear(_ text: String) {
    hear(Array(text.utf8).flatMap { $0 == 10 ? [13, 10] : [$0] })
  }

  mutating func hear(_ bytes: [UInt8]) {
    client.receive(bytes.span, now: now)
    take()
  }

  mutating func take() {
    while let event = client.next(now: now) { events.append(event) }
  }

  mutating func pass(_ interval: Interval) {
    now = now + interval
    client.advance(now: now)
    take()
  }

  /// The events since the last question.
  mutating func happened() -> [RTSPEvent] {
    defer { events = [] }
    return events
  }

  var ending: RTSPEnding? {
    if case .ended(let ending)? = events.last { ending } else { nil }
  }

  static let description = """
    v=0
    o=- 1 1 IN IP4 192.0.2.10
    s=Session
    t=0 0
    a=control:*
    m=video 0 RTP/AVP 96
    a=rtpmap:96 H264/90000
    a=fmtp:96 packetization-mode=1;profile-level-id=42e01f;sprop-parameter-sets=Z0LgH9oBQBbsRA==,aM48gA==
    a=control:track1
    m=audio 0 RTP/AVP 8
    a=control:track2

    """

  static func described(_ sequence: Int, _ body: String = description, fields: String = "") -> String {
    let length = body.utf8.count + body.utf8.count { $0 == 10 }
    return """
      RTSP/1.0 200 OK
      CSeq: \(sequence)
      Content-Type: application/sdp
      \(fields)Content-Length: \(length)

      \(body)
      """
  }

  /// Through DESCRIBE, two SETUPs and PLAY over the connection.
  static func playing(session: String = "12345678;timeout=60") -> Dialogue {
    var dialogue = Dialogue()
    dialogue.hear(described(1))
    dialogue.hear(
      "RTSP/1.0 200 OK\nCSeq: 2\nSession: \(session)\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\n\n")
    dialogue.hear(
      "RTSP/1.0 200 OK\nCSeq: 3\nSession: \(session)\nTransport: RTP/AVP/TCP;unicast;interleaved=2-3\n\n")
    dialogue.hear("RTSP/1.0 200 OK\nCSeq: 4\nSession: \(session)\n\n")
    _ = dialogue.said()
    return dialogue
  }
}
