internal import SDP
internal import SIP
internal import Wire

/// The descriptions of a leg of plain RTP: versions grow only when what we say changes, and an `m=` line once written
/// keeps its place.
final class PlainDescriptions: LegDescriptions {
  private let ports: MediaLeg
  /// Where the peer's signalling comes from.
  private let peerAddress: IPAddress?
  private let originID: UInt64
  private var version: UInt64 = 0
  private var lines: [LocalLine] = []
  private var local: SessionDescription?
  private var remote: SessionDescription?
  /// What the peer had said before its offer in progress.
  private var previous: SessionDescription?
  /// Offered and not yet answered.
  private var proposal: (lines: [LocalLine], description: SessionDescription)?

  init(ports: MediaLeg, peerAddress: IPAddress?, originID: UInt64) {
    self.ports = ports
    self.peerAddress = peerAddress
    self.originID = originID
  }

  var id: MediaLegID { ports.id }
  var form: MediaForm { .plain }
  var hasRemote: Bool { remote != nil }

  // MARK: What the peer said

  func takeOffer(_ description: SessionDescription) -> Bool {
    previous = remote
    remote = description
    return true
  }

  func dismissOffer() { remote = previous }

  /// The peer's sound, or picture, as it describes it: formats and which way.
  func offered(_ kind: MediaKind) -> (formats: [Format], direction: Direction)? {
    guard let remote, let index = remote.firstPlain(kind) else { return nil }
    let formats = remote.media[index].rtpFormats
    let useful = kind == .video ? formats.filter(\.isH264) : formats
    guard useful.contains(where: \.isMedia) else { return nil }
    return (useful, remote.direction(of: remote.media[index]))
  }

  /// What both descriptions settle; nil when the stream is off.
  func settled(_ kind: MediaKind) -> PeerStream? {
    guard let remote, let local else { return nil }
    for index in local.media.indices where local.media[index].kind == kind {
      if let stream = remote.settled(at: index, with: local) { return stream }
    }
    return nil
  }

  /// The same as the media plane wants it.
  func stream(_ kind: MediaKind) -> LegStream? {
    guard let peer = settled(kind), let own = stream(of: lines, kind) else { return nil }
    return LegStream(peer: peer, receiving: own.formats, signalledFrom: peerAddress)
  }

  // MARK: What we say

  /// An offer, first or further, sent but not settled before `settle`. Lines of earlier descriptions stay.
  func offer(
    audio: [Format], _ direction: Direction, video: [Format], videoDirection: Direction
  ) -> Body {
    var next = lines.map { line in
      if case .stream(let stream) = line {
        return LocalLine.rejected(
          kind: stream.kind, proto: stream.proto, formats: stream.formats.map { String($0.payloadType) })
      }
      return line
    }
    place(audioStream(audio, direction), in: &next)
    if let stream = videoStream(video, videoDirection) { place(stream, in: &next) }
    let description = describe(next)
    proposal = (next, description)
    return .sdp(description.bytes)
  }

  /// The peer's answer to our offer, or its answer anew (183, then 200). False when it leaves no sound: everything
  /// stays as it was.
  func settle(_ answer: SessionDescription) -> Bool {
    let before = (lines, local, remote)
    if let proposal {
      lines = proposal.lines
      local = proposal.description
    }
    remote = answer
    proposal = nil
    if settled(.audio) != nil { return true }
    (lines, local, remote) = before
    return false
  }

  /// Our offer was refused: everything stays as it was.
  func withdrawOffer() { proposal = nil }

  /// An answer to the peer's last offer: every line of it, the first usable sound and picture accepted, the rest
  /// refused.
  func answer(
    audio: [Format], _ direction: Direction, video: [Format], videoDirection: Direction
  ) -> Body? {
    guard let remote else {
      return offer(audio: audio, direction, video: video, videoDirection: videoDirection)
    }
    let audioPlace = remote.firstPlain(.audio)
    let videoPlace = remote.firstPlain(.video)
    let next = remote.media.indices.map { index in
      let line = remote.media[index]
      var stream: LocalStream?
      if index == audioPlace { stream = audioStream(audio, direction) }
      if index == videoPlace { stream = videoStream(video, videoDirection) }
      guard var stream else { return LocalLine.rejecting(line) }
      stream.proto = line.proto
      stream.muxesRTCP = line.muxesRTCP
      return .stream(stream)
    }
    let description = describe(next)
    lines = next
    local = description
    proposal = nil
    return .sdp(description.bytes)
  }

  // MARK: Lines

  private func audioStream(_ formats: [Format], _ direction: Direction) -> LocalStream {
    LocalStream(
      kind: .audio, port: ports.audio, rtcpPort: ports.audioRTCP, formats: formats, direction: direction,
      ptime: 20)
  }

  private func videoStream(_ formats: [Format], _ direction: Direction) -> LocalStream? {
    guard let port = ports.video, let rtcpPort = ports.videoRTCP, !formats.isEmpty else { return nil }
    return LocalStream(
      kind: .video, port: port, rtcpPort: rtcpPort, formats: formats, direction: direction)
  }

  private func stream(of lines: [LocalLine], _ kind: MediaKind) -> LocalStream? {
    for line in lines {
      if case .stream(let stream) = line, stream.kind == kind { return stream }
    }
    return nil
  }

  /// Puts a stream where its kind stood before, else last.
  private func place(_ stream: LocalStream, in lines: inout [LocalLine]) {
    let place = lines.firstIndex { line in
      switch line {
      case .stream(let old): old.kind == stream.kind
      case .rejected(let kind, _, _): kind == stream.kind
      }
    }
    if let place { lines[place] = .stream(stream) } else { lines.append(.stream(stream)) }
  }

  private func describe(_ next: [LocalLine]) -> SessionDescription {
    if local == nil || next != lines { version += 1 }
    return SessionDescription(
      origin: Origin(id: originID, version: version, address: ports.address), address: ports.address,
      lines: next)
  }
}

extension SessionDescription {
  /// The description in a body; nil when it is none or cannot be read.
  init?(_ body: Body?) {
    guard let body,
      ASCII.equalIgnoringCase(String(body.contentType.prefix { $0 != ";" && $0 != " " }), "application/sdp"),
      let description = try? SessionDescription(parsing: body.bytes)
    else { return nil }
    self = description
  }
}
