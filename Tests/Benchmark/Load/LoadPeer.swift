// One browser of the load as far as media goes: ICE, DTLS and SRTP for real, over a socket of its own.
//
// Responsible for: the turns that the connection is lent, its timers, its socket, and a path that is as long as it is
// told to be (`delay`), for impairment without privileges.
// Assumes: the loop calls once a millisecond.
// Somebody else's: signalling, and what packets mean.
import CLinux
import Crypto
import Glibc
import ICE
import RTP
import SDP
import WebRTC
import Wire

final class LoadPeer {
  let loop: LoadLoop
  let connection: PeerConnection
  private let socket: LoadSocket
  private let local: Endpoint
  private let name = SocketID(Handle(index: 1, generation: 1))
  private var place = -1
  private var random: Random
  private var destination: (endpoint: Endpoint, address: sockaddr_in)?
  private var outbox: Outbox? = Outbox()
  private var sealed = [UInt8](repeating: 0, count: 2048)

  /// How long each datagram is on its way, in each direction.
  var delay = Interval.zero
  private var onTheWay: [(due: Instant, bytes: [UInt8], other: Endpoint, isOut: Bool)] = []

  private(set) var isConnected = false
  private(set) var failure: PeerEvent?
  /// SRTP packets that came.
  private(set) var arrived = 0
  /// Every how many packets one is opened; the others are counted only.
  var opensEvery = 1
  private(set) var opened = 0
  /// What was opened: kind, head, whole plain packet.
  var whenPacket: ((StreamKind, PacketHeader, Span<UInt8>) -> Void)?

  /// What all peers of a process share: making a certificate is dear.
  static func maker(_ loop: LoadLoop, profiles: [SRTPProfile] = SRTPProfile.gcmFirst) -> any DTLSMaker {
    guard
      let context = try? DTLSContext.make(
        serial: loop.random.next(), at: WallTime(seconds: Int64(wallSeconds())), profiles: profiles)
    else { fail("no certificate for DTLS") }
    return DTLSSessions(context)
  }

  init(_ loop: LoadLoop, _ maker: any DTLSMaker, address: String = "127.0.0.1", role: ICERole = .controlling)
  {
    self.loop = loop
    socket = LoadSocket(address)
    guard let ip = IPAddress(address) else { fail("\(address) is no address") }
    local = Endpoint(ip, port: socket.port)
    random = loop.random.fork()
    var turn = Turn(now: LoadLoop.now, random: loop.random.fork())
    var configuration = PeerConfiguration(
      ice: ICEConfiguration(
        .full, role: role, bases: [ICEBase(.udp, local: local, socket: name)],
        tag: UInt32(truncatingIfNeeded: loop.random.next())),
      audioSource: UInt32(truncatingIfNeeded: loop.random.next()),
      videoSource: UInt32(truncatingIfNeeded: loop.random.next()), canonicalName: "load")
    configuration.takesPictures = true
    configuration.videoFeedback = ["nack", "nack pli", "ccm fir"]
    connection = PeerConnection(configuration, maker, &turn)
    place = loop.watch(socket.descriptor) { [unowned self] in readSocket() }
    loop.everyMillisecond { [weak self] now in self?.tick(now) }
  }

  deinit { if place >= 0 { loop.forget(socket.descriptor, place) } }

  // MARK: Descriptions

  /// An offer of sound, of a picture to be seen, or both.
  func offer(audio: PeerMedia, video: PeerMedia?) -> String {
    let description = step { connection.createOffer(audio: audio, video: video, &$0) }
    return String(decoding: description.bytes, as: UTF8.self)
  }

  func take(answer: String) {
    guard let description = try? SessionDescription(parsing: Array(answer.utf8)) else {
      fail("an answer cannot be read: \(answer)")
    }
    let refusal = step { turn -> PeerRefusal? in
      do throws(PeerRefusal) {
        try connection.setRemote(answer: description, &turn)
        return nil
      } catch { return error }
    }
    if let refusal { fail("an answer was refused: \(refusal.reason)\n\(answer)") }
    tick(LoadLoop.now)
  }

  /// The answer to an offer, with everything of it that `formats` names. Where the offerer leaves it to us we begin DTLS,
  /// as browsers do.
  func answer(to offer: String, _ direction: Direction, _ formats: [Format]) -> String {
    let offer = offer.replacing("a=setup:actpass", with: "a=setup:passive")
    guard let description = try? SessionDescription(parsing: Array(offer.utf8)) else {
      fail("an offer cannot be read: \(offer)")
    }
    let answer = step { turn -> Result<SessionDescription, PeerRefusal> in
      do throws(PeerRefusal) {
        try connection.setRemote(offer: description)
        func wish(_ kind: StreamKind) -> PeerMedia? {
          let known = (connection.offered(kind)?.formats ?? []).filter { one in
            formats.contains { $0.isSameEncoding(as: one) || $0.encoding == one.encoding }
          }
          return known.isEmpty ? nil : PeerMedia(known, direction)
        }
        return .success(
          try connection.createAnswer(audio: wish(.audio), video: wish(.video), &turn))
      } catch { return .failure(error) }
    }
    switch answer {
    case .success(let description): return String(decoding: description.bytes, as: UTF8.self)
    case .failure(let refusal): fail("an offer was refused: \(refusal.reason)\n\(offer)")
    }
  }

  func close() {
    step { connection.close(&$0) }
    loop.forget(socket.descriptor, place)
    place = -1
  }

  // MARK: Turns

  @discardableResult
  private func step<Result>(_ body: (inout Turn) -> Result) -> Result {
    var turn = Turn(now: LoadLoop.now, random: random, out: outbox.take() ?? Outbox())
    let result = body(&turn)
    random = turn.random
    var box = Outbox()
    swap(&box, &turn.out)
    if !box.isEmpty {
      let bytes = box.bytes
      for entry in box.entries { send(bytes, entry.range, to: entry.flow.remote) }
      box.removeAll()
    }
    outbox = consume box
    while let event = connection.next() {
      switch event {
      case .connected: isConnected = true
      case .failed, .closed, .disconnected:
        isConnected = false
        failure = event
      default: break
      }
    }
    return result
  }

  private func tick(_ now: Instant) {
    guard place >= 0 else { return }
    if !onTheWay.isEmpty {
      // The delay is the same for all, so the oldest are first.
      let due = onTheWay.prefix { $0.due <= now }
      onTheWay.removeFirst(due.count)
      for item in due {
        if item.isOut {
          transmit(item.bytes, 0..<item.bytes.count, to: item.other)
        } else {
          receive(item.bytes.span, from: item.other)
        }
      }
    }
    guard let deadline = connection.nextDeadline, deadline <= now else { return }
    var steps = 100
    step { connection.advance(&$0, handshakes: &steps) }
  }

  // MARK: The network

  private func send(_ bytes: [UInt8], _ range: Range<Int>, to remote: Endpoint) {
    guard delay == .zero else {
      onTheWay.append((LoadLoop.now + delay, Array(bytes[range]), remote, true))
      return
    }
    transmit(bytes, range, to: remote)
  }

  private func transmit(_ bytes: [UInt8], _ range: Range<Int>, to remote: Endpoint) {
    if destination?.endpoint != remote {
      destination = (remote, socketAddress("\(remote.address)", remote.port))
    }
    socket.send(bytes, range, to: destination!.address)
  }

  private func readSocket() {
    loop.read(socket.descriptor) { datagram, remote in
      if delay == .zero {
        receive(datagram, from: remote)
      } else {
        onTheWay.append((LoadLoop.now + delay, datagram.indices.map { datagram[$0] }, remote, false))
      }
    }
  }

  private func receive(_ datagram: Span<UInt8>, from remote: Endpoint) {
    guard place >= 0, datagram.count > 1 else { return }
    // RTP and not RTCP (RFC 5761): most of them are only counted under load.
    if datagram[0] >> 6 == 2, !(192..<224).contains(datagram[1]) {
      arrived += 1
      if arrived % opensEvery != 0 { return }
    }
    let flow = Flow(.udp, local: local, remote: remote, socket: name)
    var steps = 100
    let reading = step { connection.receive(datagram, on: flow, &$0, handshakes: &steps) }
    guard case .rtp(let kind, let length) = reading else { return }
    opened += 1
    guard let whenPacket else { return }
    let plain = connection.plain
    let packet = plain.span.extracting(0..<length)
    guard let header = try? PacketHeader(parsing: packet) else { return }
    whenPacket(kind, header, packet)
  }

  // MARK: Media out

  /// Sends a packet of sound; nothing before it is connected.
  func sendSound(_ payload: Span<UInt8>, payloadType: UInt8, sequence: UInt16, timestamp: UInt32) {
    guard let path = connection.path else { return }
    let head = PacketHeader(
      payloadType: payloadType, sequence: sequence, timestamp: timestamp,
      ssrc: connection.configuration.audioSource
    ).bytes
    var room = sealed.mutableSpan
    let length = connection.protect(head.span, payload, into: &room)
    if length > 0 { send(sealed, 0..<length, to: path.flow.remote) }
  }
}
