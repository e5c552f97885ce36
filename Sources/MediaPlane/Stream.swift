// One stream of a leg, both directions: who may speak, what its payload types mean, the numbering of what it hears.

internal import Codecs
internal import RTP
internal import WebRTC
internal import Wire

/// What a payload type means when it comes in.
enum Meaning {
  case media(format: Int, clockRate: UInt32)
  case key
}

/// What becomes of a payload type on its way to one other stream.
enum Route {
  case drop
  case relay(payloadType: UInt8, clockRate: UInt32)
  /// One law of G.711 becomes the other, packet by packet.
  case law(VoiceShape)
  case transcode(VoiceShape)
}

/// One way from a stream to another.
final class Link {
  let sink: Stream
  let keys: KeyHandling
  /// By incoming payload type.
  var routes = [Route](repeating: .drop, count: 128)
  /// Made when first needed.
  var law: LawTable?
  var path: VoicePath?

  init(to sink: Stream, keys: KeyHandling) {
    self.sink = sink
    self.keys = keys
  }
}

/// What carries a stream to its peer and back.
enum Carrier {
  /// Plain RTP over ports of its own.
  case ports(PortPair)
  /// SRTP over the one path of a peer connection.
  case peer(Peer)
}

final class Stream {
  /// Where a stream over a peer connection is said to go, as its SDP says: the path is the connection's affair.
  static let bundled = Endpoint(.anyV4, port: 9)

  var leg = LegID.none
  let kind: MediaKind
  /// Its place among the plane's streams.
  let index: Int
  /// Nil only while the connection that carries it is being made.
  var carrier: Carrier?
  let isBoundToAll: Bool
  var remote: RemoteStream?

  // Who may speak.
  var pinned: Endpoint?
  var pinnedSource: UInt32 = 0
  var pinnedControl: Endpoint?
  var controlSource: UInt32?
  /// For which address the pin was learnt, or is being learnt.
  var learntFor: (rtp: Endpoint, signalling: IPAddress)?
  /// Names this stream's present source to the timelines it feeds.
  var feeder: Timeline.Feeder = 1
  /// Our own address on a socket that is bound to all.
  var source: IPAddress?

  // What comes in.
  var meanings = [Meaning?](repeating: nil, count: 128)
  var reception = Reception(clockRate: 8000)
  /// Of sources before the present one.
  var lostBefore: Int64 = 0
  var keys = KeyReceiver()
  var links: [Link] = []
  /// Whose media this stream hears, for key frame requests.
  var heardFrom: Stream?
  /// The feed that is shown on this stream, if one is.
  var viewer: Viewer?
  /// The feed whose pictures come from this stream.
  var filled: Filling?
  /// Set while somebody is told the pictures of this stream.
  var tapped: Assembly?
  var lastPacket: Instant?
  var figures = StreamStatistics()

  // What goes out.
  var timeline: Timeline
  var destination: Endpoint?
  var isListening = false
  /// What the path of a packet asks of `remote`, kept so that it is not copied there.
  var isNegotiated = false
  var mayPeerSend = false
  var telephoneEvent: UInt8?
  var sentAtReport: UInt64 = 0

  // Our own sounds.
  var player: Player?
  var keySender = KeySender()
  var encoder: Encoder?
  var nextFrame: Instant?
  var isGenerating: Bool { nextFrame != nil }

  // Listening for a tone.
  var listener: Listener?

  // Silence.
  var silentAfter: Interval?
  var watchedSince: Instant?
  var isSilent = false

  // Timers.
  var reportTimer: Handle?
  var frameTimer: Handle?
  /// For the paths of this stream's links, and what it is set to.
  var pathTimer: Handle?
  var pathDue: Instant?
  var silenceTimer: Handle?

  // Repetition of voices, where the peer agreed to it.
  var history: PacketHistory?
  var newestVoice: UInt16?

  // Key frames.
  var lastKeyFrameRequest: Instant?
  var fullIntraSequence: UInt8 = 0

  init(kind: MediaKind, index: Int, carrier: Carrier?, timeline: Timeline, isBoundToAll: Bool) {
    self.kind = kind
    self.index = index
    self.carrier = carrier
    self.timeline = timeline
    self.isBoundToAll = isBoundToAll
  }

  /// Whether an address may send to this stream at all: the SDP's, or the signalling's.
  func allows(_ address: IPAddress) -> Bool {
    guard let remote else { return false }
    return address == remote.rtp.address || address == remote.signalledFrom
  }

  /// The first format of the peer that we can make ourselves.
  var voice: (format: StreamFormat, codec: VoiceCodec)? { remote?.voice }

  /// Where packets go now: to the pinned place, before that to the SDP's.
  func findDestination() {
    isNegotiated = remote != nil
    mayPeerSend = remote?.direction.peerSends ?? false
    telephoneEvent = remote?.telephoneEvent.map { $0 & 0x7F }
    if case .peer(let peer) = carrier {
      destination = peer.connection.isReady && remote != nil ? Stream.bundled : nil
      isListening = remote?.direction.peerListens ?? false
      return
    }
    guard let remote, remote.rtp.port != 0, !remote.rtp.address.isUnspecified else {
      destination = nil
      isListening = false
      return
    }
    destination = pinned ?? remote.rtp
    isListening = remote.direction.peerListens
  }

  var controlDestination: Endpoint? {
    guard let remote, let destination else { return nil }
    if case .peer = carrier { return destination }
    if let pinnedControl { return pinnedControl }
    if remote.rtcpMux { return destination }
    if destination == remote.rtp, let rtcp = remote.rtcp, rtcp.port != 0, !rtcp.address.isUnspecified {
      return rtcp
    }
    guard destination.port < .max else { return nil }
    return Endpoint(destination.address, port: destination.port + 1)
  }

  /// The header of a packet that came; nil, and counted, for what is none.
  func header(of packet: Span<UInt8>) -> PacketHeader? {
    if let header = try? PacketHeader(parsing: packet) { return header }
    figures.malformed += 1
    return nil
  }

  /// Nil, and counted, where nothing was agreed on for its payload type.
  func meaning(of header: PacketHeader) -> Meaning? {
    if let meaning = meanings[Int(header.payloadType)] { return meaning }
    figures.unmapped += 1
    return nil
  }

  /// Takes over what the far side says now. True when it has to be learnt anew.
  func setRemote(_ new: RemoteStream) -> Bool {
    remote = new
    var learns = false
    if new.rtp.port != 0, !new.rtp.address.isUnspecified {
      if let learntFor {
        learns = learntFor.rtp != new.rtp || learntFor.signalling != new.signalledFrom
      }
      learntFor = (new.rtp, new.signalledFrom)
    }
    if learns { forgetSource() }
    if let first = new.formats.first { timeline.setClock(first.clockRate) }
    readMeanings()
    encoder = nil
    findDestination()
    return learns
  }

  /// Counts by the clock of what really comes: several may have been agreed on.
  func count(at clockRate: UInt32) {
    guard clockRate != reception.clockRate, clockRate > 0 else { return }
    lostBefore += reception.lost
    reception = Reception(clockRate: clockRate)
  }

  private func forgetSource() {
    pinned = nil
    pinnedControl = nil
    controlSource = nil
    newestVoice = nil
    keys = KeyReceiver()
    lostBefore += reception.lost
    reception = Reception(clockRate: reception.clockRate)
  }

  /// Whoever holds the keys speaks under another source than before, or for the first time.
  func newSource(_ source: UInt32) {
    if pinned != nil { forgetSource() }
    pinned = Stream.bundled
    pinnedSource = source
    findDestination()
  }

  /// The far side has no such stream (any more): nobody may speak, nothing is sent.
  func clearRemote() {
    remote = nil
    readMeanings()
    findDestination()
  }

  private func readMeanings() {
    for place in meanings.indices { meanings[place] = nil }
    guard let remote else { return }
    // The numbers of our SDP count first; a peer that sends under its own is understood where they are free.
    for (index, format) in incoming.enumerated().reversed() {
      let isEvent = format.codec.isTelephoneEvent
      meanings[Int(format.payloadType & 0x7F)] =
        isEvent ? Meaning.key : .media(format: index, clockRate: format.clockRate)
    }
    if let event = remote.receivedTelephoneEvent ?? remote.telephoneEvent {
      meanings[Int(event & 0x7F)] = .key
    }
  }

  /// What may come in: first what our SDP numbers, then what the peer's numbers besides.
  var incoming: [StreamFormat] {
    guard let remote else { return [] }
    guard let ours = remote.received else { return remote.formats }
    return ours
      + remote.formats.filter { theirs in !ours.contains { $0.payloadType == theirs.payloadType } }
  }

  var statistics: StreamStatistics {
    var result = figures
    result.packetsOut = timeline.packets
    result.bytesOut = timeline.octets
    result.lost = lostBefore + reception.lost
    result.jitter = reception.jitter
    // One listener's buffer stands for all: only a page has several.
    if let path = links.first(where: { $0.path != nil })?.path {
      let seen = path.figures
      result.playout = PlayoutStatistics(
        target: path.target, late: seen.late, concealed: seen.concealed, dropped: seen.dropped)
    }
    result.opinion = opinion(result)
    return result
  }

  /// Judges the sound that comes, and the sound that the peer says it gets: the worse of the two.
  private func opinion(_ figures: StreamStatistics) -> Double? {
    guard kind == .audio, figures.packetsIn >= 50, let equipment = voice?.codec.equipment else { return nil }
    let packet = Interval.milliseconds(Int64(max(10, min(60, voice?.format.ptime ?? 20))))
    let way = (figures.roundTrip ?? .zero) / 2 + packet
    func percent(_ lost: Int64, of all: Int64) -> Double {
      all > 0 ? Double(max(0, lost)) * 100 / Double(max(all, lost)) : 0
    }
    // Packets that came too late are lost to whoever listens.
    let late = Int64(clamping: (figures.playout?.late ?? 0) + (figures.playout?.dropped ?? 0))
    let came = percent(figures.lost + late, of: Int64(clamping: figures.packetsIn) + figures.lost)
    // Where we do not buffer, the listener does: some twice the jitter.
    let wait = figures.playout?.target ?? figures.jitter * 2
    var rating = TalkQuality.rating(delay: way + wait, loss: came, equipment)
    if let lost = figures.remoteLost, figures.packetsOut > 0 {
      let left = percent(lost, of: Int64(clamping: figures.packetsOut))
      let wait = (figures.remoteJitter ?? .zero) * 2
      rating = min(rating, TalkQuality.rating(delay: way + wait, loss: left, equipment))
    }
    return TalkQuality.opinion(rating: rating)
  }
}

extension VoiceCodec {
  /// For the E-model.
  var equipment: Equipment { isWide ? .wide : .g711 }
}

extension RemoteStream {
  /// The first format of the peer that we can make ourselves.
  var voice: (format: StreamFormat, codec: VoiceCodec)? {
    for format in formats {
      if let codec = format.codec.voice, format.isVoice(codec) { return (format, codec) }
    }
    return nil
  }
}

extension StreamFormat {
  /// Whether the clock is one that the codec can have: G.722 is counted at 16 kHz by those who forgot RFC 3551.
  func isVoice(_ codec: VoiceCodec) -> Bool {
    clockRate == UInt32(codec.clockRate) || codec == .g722 && clockRate == 16_000
  }
}

extension Codec {
  var isH264: Bool { isNamed("H264") }
  /// Events that were handed over as a codec are still keys.
  var isTelephoneEvent: Bool { isNamed("telephone-event") }
  /// Redundant packets (RFC 2198) may hide keys.
  var mayHideKeys: Bool { isNamed("red") || isTelephoneEvent }

  /// As `rtpmap` writes it, in whatever case.
  func isNamed(_ name: String) -> Bool {
    guard case .other(let own, _) = self else { return false }
    return ASCII.equalIgnoringCase(own, name)
  }

  /// Whether packets of one can be handed on as the other. `exactly` wants equal parameters too.
  func matches(_ other: Codec, exactly: Bool) -> Bool {
    switch (self, other) {
    case (.other(let name, let fmtp), .other(let otherName, let otherFmtp)):
      ASCII.equalIgnoringCase(name, otherName) && (!exactly || fmtp == otherFmtp)
    default: self == other
    }
  }
}

extension Link {
  /// Finds for every payload type of `source` what it becomes at the sink.
  func findRoutes(from source: Stream) {
    for place in routes.indices { routes[place] = .drop }
    guard let sinkRemote = sink.remote else { return }
    let incoming = source.incoming
    for payloadType in 0..<128 {
      guard case .media(let place, _)? = source.meanings[payloadType] else { continue }
      let format = incoming[place]
      routes[payloadType] = Route(format, to: sinkRemote)
    }
    // Coders keep what they heard; what changed begins with fresh ones.
    law = nil
    let stays = routes.contains { route in
      if case .transcode(let shape) = route { shape == path?.shape } else { false }
    }
    if !stays { path = nil }
  }

}

extension Route {
  /// What a format becomes on its way to a peer.
  init(_ format: StreamFormat, to remote: RemoteStream) {
    self = .drop
    if format.codec.mayHideKeys { return }
    for exactly in [true, false] {
      for candidate in remote.formats
      where candidate.clockRate == format.clockRate && !candidate.codec.mayHideKeys
        && candidate.codec.matches(format.codec, exactly: exactly)
        && candidate.payloadType != remote.telephoneEvent
      {
        self = .relay(payloadType: candidate.payloadType & 0x7F, clockRate: candidate.clockRate)
        return
      }
    }
    guard let from = format.codec.voice, format.isVoice(from), let to = remote.voice,
      to.format.payloadType != remote.telephoneEvent
    else { return }
    let shape = VoiceShape(
      from: from, fromClock: format.clockRate, to: to.codec, toClock: to.format.clockRate,
      payloadType: to.format.payloadType & 0x7F, ptime: Route.packetTime(to.format.ptime),
      settings: to.format.codec.opusSettings)
    self = shape.isLaw ? .law(shape) : .transcode(shape)
  }

  /// The longest packet that the peer takes and every codec can be: 10, 20, 40 or 60 ms.
  private static func packetTime(_ asked: Int) -> Int {
    for possible in [60, 40, 20] where asked >= possible { return possible }
    return asked >= 10 ? 10 : 20
  }
}
