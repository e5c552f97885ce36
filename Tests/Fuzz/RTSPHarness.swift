import RTP
import RTSP
import Wire

enum RTSPHarness {
  private static let now = Instant(nanoseconds: 1_000_000_000)

  /// What was told, with the bytes of packets instead of their places.
  private enum Told: Equatable {
    case event(RTSPEvent)
    case packet(Int, [UInt8])
    case control(Int, [UInt8])
  }

  /// One byte that says how we ask; then everything the camera ever says.
  static func client(_ bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    let words = Array(bytes.dropFirst())
    let whole = talk(first, [words])
    precondition(talk(first, words.map { [$0] }) == whole, "single bytes say something else")
    let endings = whole.told.count { if case .event(.ended) = $0 { true } else { false } }
    precondition(endings == 1, "a conversation has one end")
  }

  private struct Outcome: Equatable {
    var told: [Told]
    var said: [UInt8]
  }

  private static func talk(_ choice: UInt8, _ pieces: [[UInt8]]) -> Outcome {
    var client = RTSPClient(
      RTSPAddress(host: "camera", path: "/live"), transport: choice & 1 == 0 ? .interleaved : .datagrams,
      credentials: choice & 2 == 0 ? RTSPCredentials(user: "user", password: "secret") : nil,
      mayShowPassword: choice & 4 == 0, random: Random(seed: 1))
    var outcome = Outcome(told: [], said: [])
    func take() {
      while let event = client.next(now: now) {
        switch event {
        case .packet(let track, let range): outcome.told.append(.packet(track, Array(client.input[range])))
        case .control(let track, let range): outcome.told.append(.control(track, Array(client.input[range])))
        default: outcome.told.append(.event(event))
        }
        if case .portsWanted(let track) = event { client.offer(port: 4000, for: track, now: now) }
      }
      outcome.said += client.takeOutput()
    }
    client.start(now: now)
    take()
    for piece in pieces {
      client.receive(piece.span, now: now)
      take()
    }
    // A camera that falls silent is left, but for one that plays.
    var later = now
    for _ in 0..<8 {
      guard let deadline = client.nextDeadline else { break }
      precondition(deadline > later, "a deadline lies behind")
      later = deadline
      client.advance(now: later)
    }
    take()
    precondition(client.isOver || client.isPlaying || client.nextDeadline == nil, "it waits without an end")
    client.receivedEnd()
    take()
    precondition(client.isOver && client.nextDeadline == nil, "an ended conversation goes on")
    precondition(outcome.said.count < 64 << 10 + 40 * pieces.count, "it says too much")
    for line in outcome.said.split(separator: 10) {
      precondition(!line.starts(with: "Session: \r".utf8), "an empty session")
    }
    return outcome
  }

  /// Addresses and descriptions.
  static func values(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    if let address = RTSPAddress(text) {
      precondition(RTSPAddress(address.text) == address, "an address is written as another")
      precondition(!address.text.utf8.contains { $0 <= 32 || $0 >= 127 }, "an address would break a line")
    }
    let control = RTSPAddress.control(text, under: "rtsp://h/")
    precondition(!control.utf8.contains { $0 <= 32 || $0 >= 127 }, "a control would break a line")
    guard let presentation = try? RTSPPresentation(parsing: bytes, base: "rtsp://h/") else { return }
    precondition((1...2).contains(presentation.tracks.count) && presentation.tracks[0].isVideo, "no pictures")
    for track in presentation.tracks {
      precondition(!track.control.utf8.contains { $0 <= 32 || $0 >= 127 }, "a control would break a line")
      precondition(track.clockRate > 0, "a clock that stands")
    }
  }

  private static func check(_ picture: AccessUnit) {
    precondition(!picture.units.isEmpty, "a picture of nothing")
    var end = 0
    for unit in picture.units {
      precondition(unit.lowerBound == end && !unit.isEmpty, "units overlap, or leave a gap")
      end = unit.upperBound
      _ = H264Parameters(sps: Array(picture.bytes[unit]), pps: [])
    }
    precondition(end == picture.bytes.count, "bytes that belong to no unit")
  }

  /// A script of packets to one stream.
  static func media(_ bytes: [UInt8]) {
    var script = Script(bytes)
    let track = RTSPTrack(
      coding: .h264(parameterSets: []), payloadType: 96, clockRate: 90_000, control: "rtsp://h/")
    var reception = MediaReception(track: track, isOrdered: script.byte() & 1 == 1, ownSSRC: 1, name: [65])
    var watch = CodingWatch(hasParameters: false)
    var units = AudioUnits(AACFormat(configuration: [], clockRate: 16_000, channels: 1))
    var pictures = H264Depacketizer()
    var time = now
    var sequence: UInt16 = 0
    var delivered = 0
    var given = 0
    func use(_ packet: [UInt8]) {
      delivered += 1
      guard let header = try? PacketHeader(parsing: packet.span) else {
        preconditionFailure("what was delivered is no packet")
      }
      let payload = packet.span.extracting(header.payload)
      _ = watch.look(payload, now: time)
      if let picture = pictures.receive(header: header, payload: payload, now: time) { check(picture) }
      for frame in units.receive(payload, timestamp: header.timestamp) {
        precondition(!frame.isEmpty && frame.count <= 8192, "a frame of no size")
      }
      precondition(reception.captured(header.timestamp, at: time) <= time, "taken after it came")
    }
    while !script.isAtEnd {
      let step = script.byte()
      switch step & 7 {
      case 0: time = time + .milliseconds(Int64(script.byte()))
      case 1: _ = reception.receiveControl(script.slice().span, at: time)
      case 2: precondition(!reception.report(at: time).isEmpty, "no report")
      case 3:
        given += 1
        let packet = script.slice()
        if case .deliver = reception.receive(packet.span, at: time) { use(packet) }
      default:
        given += 1
        sequence = sequence &+ UInt16(truncatingIfNeeded: Int(Int8(bitPattern: script.byte())))
        let header = PacketHeader(
          payloadType: step & 8 == 0 ? 96 : 97, sequence: sequence, timestamp: UInt32(script.byte()) << 8,
          ssrc: UInt32(step >> 4 & 1)
        ).bytes
        var packet: [UInt8] = []
        for index in header.indices { packet.append(header[index]) }
        packet += script.slice()
        if case .deliver = reception.receive(packet.span, at: time) { use(packet) }
      }
      while let packet = reception.takeHeld(at: time) { use(packet) }
      precondition(reception.nextDeadline.map { $0 > time } ?? true, "what was due was not given")
    }
    precondition(delivered <= given, "a packet was delivered twice")
  }
}
