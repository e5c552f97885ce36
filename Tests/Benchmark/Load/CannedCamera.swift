import CLinux
import Glibc
import Wire

/// A camera that plays the canned video in real time, over and over: as RTP to a port, and to whoever asks by RTSP (one
/// connection, interleaved). It notes when each picture left.
@safe  // Buffers live for one call each.
final class CannedCamera {
  let video: CannedVideo
  private let loop: LoadLoop
  private let socket = LoadSocket("127.0.0.1")
  private var sequence: UInt16 = 7
  private var timestamp: UInt32 = 1000
  private var number = 0
  private var due: Instant
  /// When each picture of the video left last.
  private(set) var sent: [Instant?]
  /// Where RTP goes; nil for nowhere.
  var port: UInt16?

  private let listener: Int32
  let rtspPort: UInt16
  private var viewer: Int32 = -1
  private var viewerPlace = -1
  private var isPlaying = false
  private var input: [UInt8] = []
  private var output: [UInt8] = []

  init(_ loop: LoadLoop, _ video: CannedVideo) {
    self.loop = loop
    self.video = video
    sent = Array(repeating: nil, count: video.pictures.count)
    due = LoadLoop.now
    let any = clinux_endpoint(high: 0, low: IPAddress.loopbackV4.low, scope: 0, port: 0)
    listener = clinux_tcp_listen(any)
    var bound = clinux_endpoint()
    guard listener >= 0, unsafe clinux_local(listener, &bound) == 0 else { fail("no port for RTSP") }
    rtspPort = bound.port
    _ = loop.watch(listener) { [unowned self] in accept() }
    loop.everyMillisecond { [unowned self] in tick($0) }
  }

  // MARK: Pictures

  private func tick(_ now: Instant) {
    // After a standstill from now on.
    if now - due > .seconds(1) { due = now }
    while due <= now {
      play(now)
      due = due + Interval(nanoseconds: 1_000_000_000 / Int64(CannedVideo.framesPerSecond))
    }
  }

  private func play(_ now: Instant) {
    let picture = video.pictures[number]
    sent[number] = LoadLoop.now
    for (index, payload) in picture.enumerated() {
      var packet: [UInt8] = [0x80, 96 | (index == picture.count - 1 ? 0x80 : 0)]
      packet += [UInt8(sequence >> 8), UInt8(sequence & 255)]
      for word in [timestamp, 0x0CA3_E7A0] {
        for shift in [24, 16, 8, 0] { packet.append(UInt8(truncatingIfNeeded: word >> UInt32(shift))) }
      }
      packet += payload
      sequence &+= 1
      if let port { socket.send(packet, to: "127.0.0.1", port) }
      if isPlaying {
        output += [0x24, 0, UInt8(packet.count >> 8), UInt8(packet.count & 255)] + packet
      }
    }
    flush()
    timestamp &+= 90_000 / UInt32(CannedVideo.framesPerSecond)
    number = (number + 1) % video.pictures.count
  }

  // MARK: RTSP

  private func accept() {
    var remote = clinux_endpoint()
    let descriptor = unsafe clinux_accept(listener, &remote)
    guard descriptor >= 0 else { return }
    leave()
    viewer = descriptor
    viewerPlace = loop.watch(descriptor) { [unowned self] in read() }
  }

  private func leave() {
    guard viewer >= 0 else { return }
    loop.forget(viewer, viewerPlace)
    close(viewer)
    viewer = -1
    isPlaying = false
    input.removeAll()
    output.removeAll()
  }

  private func read() {
    var room = [UInt8](repeating: 0, count: 65_536)
    let count = unsafe clinux_read(viewer, &room, room.count)
    if count == -11 { return }
    guard count > 0 else { return leave() }
    input += room[..<Int(count)]
    while true {
      // Its reports come interleaved.
      if input.count >= 4, input[0] == 0x24 {
        let length = 4 + Int(input[2]) << 8 + Int(input[3])
        guard input.count >= length else { return }
        input.removeFirst(length)
        continue
      }
      guard let end = input.firstRange(of: Array("\r\n\r\n".utf8)) else { return }
      let request = String(decoding: input[..<end.lowerBound], as: UTF8.self)
      input.removeSubrange(..<end.upperBound)
      guard answer(request) else { return leave() }
    }
  }

  /// False when the viewer is done.
  private func answer(_ request: String) -> Bool {
    let lines = request.split(separator: "\r\n")
    let words = lines[0].split(separator: " ")
    guard words.count == 3 else { return false }
    var status = "200 OK"
    var fields = "CSeq: \(field("CSeq", in: request) ?? "0")\r\n"
    var body = ""
    switch words[0] {
    case "OPTIONS": fields += "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n"
    case "DESCRIBE":
      body =
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=canned\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
        + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        + "a=fmtp:96 packetization-mode=1;profile-level-id=42c01f\r\na=control:track1\r\n"
      fields += "Content-Base: \(words[1])/\r\nContent-Type: application/sdp\r\n"
    case "SETUP":
      if field("Transport", in: request)?.contains("TCP") == true {
        fields += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 5A17C0DE;timeout=60\r\n"
      } else {
        status = "461 Unsupported Transport"
      }
    case "PLAY":
      fields += "Session: 5A17C0DE\r\n"
      isPlaying = true
    case "TEARDOWN": isPlaying = false
    default: fields += "Session: 5A17C0DE\r\n"
    }
    output += Array("RTSP/1.0 \(status)\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
    flush()
    return words[0] != "TEARDOWN"
  }

  private func flush() {
    guard viewer >= 0, !output.isEmpty else { return }
    let count = unsafe output.withUnsafeBufferPointer {
      unsafe clinux_write(viewer, $0.baseAddress, $0.count)
    }
    if count > 0 { output.removeFirst(Int(count)) } else if count != -11 { leave() }
  }
}
