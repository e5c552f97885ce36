import Crypto
import ICE
import RTP
import SDP
import Simulation
import WebRTC
import Wire

/// What a browser, or who stands in its place, can send: DTLS records, SRTP, descriptions, and all of them at once.
enum PeerHarness {
  // MARK: DTLS

  // Made once.
  private static let context: DTLSContext = {
    guard let made = try? DTLSContext.make(serial: 1, at: WallTime(seconds: 1_760_000_000)) else {
      preconditionFailure("no certificate")
    }
    return made
  }()

  /// Datagrams after two bytes of length each, to a server that believes nobody. Its own numbers are OpenSSL's, so a
  /// find may need a few runs to come again.
  static func handshake(_ bytes: [UInt8]) {
    let session = DTLSSession(context, role: bytes.first == 1 ? .client : .server, peer: [])
    let now = Instant(nanoseconds: 0)
    session.start(at: now)
    var sent = 0
    var out: [UInt8] = []
    var place = 1
    while place + 2 <= bytes.count {
      let end = min(bytes.count, place + 2 + Int(bytes[place]) << 8 + Int(bytes[place + 1]))
      let datagram = Array(bytes[min(place + 2, end)..<end])
      session.receive(datagram.span, at: now)
      place = max(end, place + 2)
      while session.takeDatagram(&out) {
        precondition(out.count <= DTLSSession.datagramLimit, "a datagram is too long")
        sent += out.count
      }
    }
    precondition(session.keys == nil && session.state != .established, "nobody was believed")
    // A flight, and an alert or two for what came: no amplifier.
    precondition(sent <= 16_384, "it says too much")
  }

  // MARK: SRTP

  private static func keys(_ profile: SRTPProfile) -> SRTPKeys {
    SRTPKeys(
      profile, key: Array(repeating: 3, count: profile.keyLength),
      salt: Array(repeating: 5, count: profile.saltLength))
  }

  /// The input as a packet of the peer, and as a packet of ours that is opened again. Its length chooses the profile.
  static func packet(_ bytes: [UInt8]) {
    for profile in [SRTPProfile.allCases[bytes.count % 3]] {
      let receiver = SRTPReceiver(keys(profile))
      var plain = [UInt8](repeating: 0, count: SRTPReceiver.packetLimit)
      var room = plain.mutableSpan
      // The keys are no secret here, but no input of a few kilobytes finds a tag.
      precondition(receiver.unprotect(bytes.span, into: &room) == nil, "a forged packet is opened")
      precondition(receiver.unprotectControl(bytes.span, into: &room) == nil, "a forged compound is opened")
      guard let header = try? PacketHeader(parsing: bytes.span), bytes.count < 1900 else { continue }
      let sender = SRTPSender(keys(profile))
      var buffer = [UInt8](repeating: 0, count: SRTPReceiver.packetLimit)
      var protected = buffer.mutableSpan
      let head = header.payload.lowerBound
      let length = sender.protect(
        bytes.span.extracting(0..<head), bytes.span.extracting(head..<bytes.count), into: &protected)
      precondition(length == bytes.count + profile.tagLength, "a packet is not protected")
      let opened = receiver.unprotect(buffer.span.extracting(0..<length), into: &room)
      precondition(opened == bytes.count, "a packet of ours is not opened")
      precondition(Array(plain[..<bytes.count]) == bytes, "a packet changes")
    }
  }

  // MARK: Descriptions

  private static let address = Endpoint(IPAddress(v4: 0xC000_0201), port: 8189)
  private static let other = Endpoint(IPAddress(v4: 0xC000_020A), port: 5000)
  private static let stranger = Endpoint(IPAddress(v4: 0xC633_6401), port: 4000)

  private static func connection(
    _ mode: ICEMode, role: ICERole, at endpoint: Endpoint, number: UInt8, _ turn: inout Turn
  ) -> PeerConnection {
    let socket = SocketID(Handle(index: UInt32(number), generation: 1))
    return PeerConnection(
      PeerConfiguration(
        ice: ICEConfiguration(
          mode, role: role, bases: [ICEBase(.udp, local: endpoint, socket: socket)], tag: UInt32(number)),
        audioSource: UInt32(number), videoSource: UInt32(number) + 100, canonicalName: "fuzz"),
      SimulatedDTLS(number: number), &turn)
  }

  private static func drain(_ connection: PeerConnection) {
    var count = 0
    while connection.next() != nil {
      count += 1
      precondition(count < 1000, "events without end")
    }
  }

  /// The input as an offer, twice, and as the answer to ours. Its length chooses the mode.
  static func description(_ bytes: [UInt8]) {
    guard let description = try? SessionDescription(parsing: bytes) else { return }
    var turn = Turn(now: Instant(nanoseconds: 0), random: Random(seed: 1))
    for mode in [bytes.count.isMultiple(of: 2) ? ICEMode.lite : .full] {
      let answerer = connection(mode, role: .controlled, at: address, number: 2, &turn)
      if (try? answerer.setRemote(offer: description)) != nil {
        for _ in 0..<2 {
          let video = answerer.offered(.video).flatMap { H264Profile.choose(of: $0.formats, for: nil) }
          guard
            let answer = try? answerer.createAnswer(
              audio: answerer.offered(.audio), video: video.map { PeerMedia([$0], .sendrecv) }, &turn)
          else { break }
          check(answer, to: description)
          precondition(
            answerer.settled(.audio) != nil || answerer.settled(.video) != nil, "nothing is settled")
          try? answerer.setRemote(offer: description)
        }
      }
      drain(answerer)
      let offerer = connection(mode, role: .controlling, at: address, number: 3, &turn)
      _ = offerer.createOffer(
        audio: PeerMedia([.pcma, .telephoneEvent(101)], .sendrecv), video: nil, &turn)
      try? offerer.setRemote(answer: description, &turn)
      _ = (offerer.settled(.audio), offerer.receiving(.audio))
      offerer.close(&turn)
      drain(offerer)
    }
  }

  private static func check(_ answer: SessionDescription, to offer: SessionDescription) {
    precondition(answer.media.count == offer.media.count, "an answer has other lines")
    for (ours, theirs) in zip(answer.media, offer.media) {
      precondition(ours.kind == theirs.kind, "an answer's line is of another kind")
      if ours.kind == .video, ours.port != 0 {
        precondition(
          !ours.attributes.contains { $0.name == "sendrecv" || $0.name == "recvonly" }, "it asks for a camera"
        )
      }
      for format in ours.formats {
        precondition(theirs.formats.contains(format) || theirs.formats.isEmpty, "a number of our own")
      }
    }
    // A field that nobody could have written as one line would split ours.
    guard let again = try? SessionDescription(parsing: answer.bytes) else { return }
    precondition(again.media.count == answer.media.count, "an answer falls apart")
  }

  // MARK: Datagrams

  /// A connected pair, and then a script: forged datagrams from the peer's address and from a stranger's, packets
  /// that the peer really protected, time.
  static func datagrams(_ bytes: [UInt8]) {
    var script = Script(bytes)
    var now = Instant(nanoseconds: 1_000_000_000)
    var random = Random(seed: 7)
    var turn = Turn(now: now, random: random.fork())
    let gateway = connection(.lite, role: .controlled, at: address, number: 2, &turn)
    let browser = connection(.full, role: .controlling, at: other, number: 1, &turn)
    var toGateway: [[UInt8]] = []
    var toBrowser: [[UInt8]] = []

    func collect(_ turn: borrowing Turn, from isGateway: Bool) {
      for entry in turn.out.entries where entry.flow.remote == (isGateway ? other : address) {
        let datagram = Array(turn.out.bytes[entry.range])
        if isGateway { toBrowser.append(datagram) } else { toGateway.append(datagram) }
      }
    }
    func deliver(_ datagram: [UInt8], toGateway isUp: Bool, from: Endpoint) -> PeerReading {
      var turn = Turn(now: now, random: random.fork())
      let target = isUp ? gateway : browser
      let flow = Flow(
        .udp, local: isUp ? address : other, remote: from,
        socket: SocketID(Handle(index: isUp ? 2 : 1, generation: 1)))
      var steps = 2
      let reading = target.receive(datagram.span, on: flow, &turn, handshakes: &steps)
      collect(turn, from: isUp)
      drain(target)
      return reading
    }
    func settle() {
      for _ in 0..<200 {
        if !toGateway.isEmpty {
          _ = deliver(toGateway.removeFirst(), toGateway: true, from: other)
        } else if !toBrowser.isEmpty {
          _ = deliver(toBrowser.removeFirst(), toGateway: false, from: address)
        } else {
          return
        }
      }
    }
    func pass(_ interval: Interval) {
      now = now + interval
      for isGateway in [true, false] {
        let target = isGateway ? gateway : browser
        guard let deadline = target.nextDeadline, deadline <= now else { continue }
        var turn = Turn(now: now, random: random.fork())
        var steps = 2
        target.advance(&turn, handshakes: &steps)
        collect(turn, from: isGateway)
        drain(target)
      }
      settle()
    }

    let offer = browser.createOffer(
      audio: PeerMedia([.pcma], .sendrecv), video: nil, &turn)
    guard (try? gateway.setRemote(offer: offer)) != nil,
      let answer = try? gateway.createAnswer(
        audio: PeerMedia([.pcma], .sendrecv), video: nil, &turn),
      (try? browser.setRemote(answer: answer, &turn)) != nil
    else { preconditionFailure("two of ours do not understand each other") }
    browser.gather(&turn)
    collect(turn, from: false)
    settle()
    for _ in 0..<100 where !(gateway.isReady && browser.isReady) { pass(.milliseconds(20)) }
    precondition(gateway.isReady && browser.isReady, "two of ours do not connect")

    var steps = 0
    while !script.isAtEnd, steps < 200 {
      steps += 1
      switch script.byte() % 5 {
      case 0:
        let reading = deliver(script.slice(), toGateway: true, from: stranger)
        precondition(reading == .nothing, "a stranger is heard")
      case 1:
        let reading = deliver(script.slice(), toGateway: true, from: other)
        precondition(reading == .nothing, "a forged packet is heard")
      case 2:
        let header = script.slice()
        let payload = script.slice()
        var buffer = [UInt8](repeating: 0, count: 2048)
        var room = buffer.mutableSpan
        let length = browser.protect(header.span, payload.span, into: &room)
        guard length > 0 else { continue }
        let reading = deliver(Array(buffer[..<length]), toGateway: true, from: other)
        if case .rtp(_, let plain) = reading {
          precondition(plain == header.count + payload.count, "a packet changes its length")
        }
      case 3:
        var compound = script.slice()
        if compound.count >= 2 { compound[0] = compound[0] & 0x3F | 0x80 }
        var buffer = [UInt8](repeating: 0, count: 2048)
        var room = buffer.mutableSpan
        let length = browser.protectControl(compound.span, into: &room)
        guard length > 0 else { continue }
        _ = deliver(Array(buffer[..<length]), toGateway: true, from: other)
      default: pass(.milliseconds(Int64(script.byte())))
      }
      precondition(gateway.isReady, "a forged datagram ended a call")
    }
    var last = Turn(now: now, random: random.fork())
    gateway.close(&last)
    drain(gateway)
    precondition(gateway.nextDeadline == nil && !gateway.isReady, "what was closed still waits")
  }
}
