package import Wire

/// A stream that we offer or accept: where we receive it and what it may carry.
package struct LocalStream: Sendable, Equatable {
  package var kind: MediaKind
  package var port: UInt16
  /// Where we receive its RTCP; written only when it is not the next port.
  package var rtcpPort: UInt16
  /// In order of preference.
  package var formats: [Format]
  package var direction: Direction
  /// Packet time in milliseconds; nil leaves it unsaid.
  package var ptime: Int?
  package var muxesRTCP: Bool
  /// As the peer's line says it; ours to choose in an offer.
  package var proto: String
  /// Further attributes, such as `framerate` of a station's picture.
  package var attributes: [Attribute]

  package init(
    kind: MediaKind, port: UInt16, rtcpPort: UInt16, formats: [Format], direction: Direction = .sendrecv,
    ptime: Int? = nil, muxesRTCP: Bool = false, proto: String = "RTP/AVP", attributes: [Attribute] = []
  ) {
    self.kind = kind
    self.port = port
    self.rtcpPort = rtcpPort
    self.formats = formats
    self.direction = direction
    self.ptime = ptime
    self.muxesRTCP = muxesRTCP
    self.proto = proto
    self.attributes = attributes
  }
}

/// One `m=` line of ours. Lines are never dropped or moved while a dialog lasts (RFC 3264 section 8).
package enum LocalLine: Sendable, Equatable {
  case stream(LocalStream)
  /// Port 0, transport and formats as the peer wrote them.
  case rejected(kind: MediaKind, proto: String, formats: [String])

  /// The line that refuses `offered`.
  package static func rejecting(_ offered: MediaDescription) -> LocalLine {
    .rejected(kind: offered.kind, proto: offered.proto, formats: offered.formats)
  }
}

extension SessionDescription {
  /// Our description, offer or answer: one address for every stream, the lines in the order given.
  package init(origin: Origin, address: IPAddress, lines: [LocalLine]) {
    self.init(origin: origin, connection: Connection(address), media: lines.map(MediaDescription.init))
  }
}

extension MediaDescription {
  fileprivate init(_ line: LocalLine) {
    switch line {
    case .rejected(let kind, let proto, let formats):
      self.init(kind: kind, port: 0, proto: proto, formats: formats)
    case .stream(let stream):
      var attributes = stream.formats.flatMap(\.attributes)
      if let ptime = stream.ptime { attributes.append(Attribute("ptime", String(ptime))) }
      attributes.append(contentsOf: stream.attributes)
      if stream.muxesRTCP {
        attributes.append(Attribute("rtcp-mux"))
      } else if stream.port != .max, stream.rtcpPort != stream.port + 1 {
        attributes.append(Attribute("rtcp", String(stream.rtcpPort)))
      }
      attributes.append(Attribute(stream.direction.rawValue))
      self.init(
        kind: stream.kind, port: stream.port, proto: stream.proto,
        formats: stream.formats.map { String($0.payloadType) }, attributes: attributes)
    }
  }
}

extension Format {
  /// Audio formats to offer to a far leg when the near leg can use `near`: first what the near leg itself speaks,
  /// in its own order and numbers, so that sound passes untouched; then, if one of `near` can be transcoded,
  /// whatever of `adding` it does not speak; keys last. An empty `near` (no offer yet) stands for all of `adding`.
  package static func relayed(
    _ near: [Format], transcoding: [Format], adding: [Format], telephoneEvent: UInt8 = 101
  ) -> [Format] {
    var result = near.filter(\.isMedia)
    let bridgeable =
      result.isEmpty || result.contains { one in transcoding.contains { $0.isSameEncoding(as: one) } }
    if bridgeable {
      for format in adding
      where !result.contains(where: {
        $0.isSameEncoding(as: format) || $0.payloadType == format.payloadType
      }) {
        result.append(format)
      }
    }
    let keys = near.first { $0.audioCodec == .telephoneEvent && $0.clockRate == 8000 }
    var number = keys?.payloadType ?? telephoneEvent
    while result.contains(where: { $0.payloadType == number }) { number = number < 127 ? number + 1 : 96 }
    result.append(.telephoneEvent(number))
    return result
  }

  /// What we accept of `offered`, with the offerer's numbers: `preferred` first if it is there, else the first that
  /// can be transcoded to; then keys at the same clock. Empty when nothing is shared: 488.
  package static func accepted(of offered: [Format], preferring preferred: Format?, transcoding: [Format])
    -> [Format]
  {
    let media = offered.filter(\.isMedia)
    let choice =
      preferred.flatMap { wanted in media.first { $0.isSameEncoding(as: wanted) } }
      ?? {
        guard preferred.map({ wanted in transcoding.contains { $0.isSameEncoding(as: wanted) } }) ?? true
        else { return nil }
        return media.first { one in transcoding.contains { $0.isSameEncoding(as: one) } }
      }()
    guard let choice else { return [] }
    let keys = offered.first { $0.audioCodec == .telephoneEvent && $0.clockRate == choice.clockRate }
    return [choice] + (keys.map { [$0] } ?? [])
  }
}

/// What a peer's description says about one stream, ready for whoever sends to it.
package struct PeerStream: Sendable, Equatable {
  /// Where to send; nil where the peer named a host or `0.0.0.0`.
  package var rtp: Endpoint?
  package var rtcp: Endpoint?
  package var muxesRTCP: Bool
  /// What both sides know, in the peer's order and with the peer's numbers.
  package var formats: [Format]
  /// Which way we may let it flow: `sendonly` means that we send.
  package var direction: Direction
  package var ptime: Int?

  package init(
    rtp: Endpoint?, rtcp: Endpoint?, muxesRTCP: Bool, formats: [Format], direction: Direction, ptime: Int?
  ) {
    self.rtp = rtp
    self.rtcp = rtcp
    self.muxesRTCP = muxesRTCP
    self.formats = formats
    self.direction = direction
    self.ptime = ptime
  }

  /// The peer's payload type for RFC 4733 keys.
  package var telephoneEvent: UInt8? { formats.first { $0.audioCodec == .telephoneEvent }?.payloadType }
  /// The first encoding that carries sound or pictures.
  package var media: Format? { formats.first(where: \.isMedia) }
}

extension SessionDescription {
  /// What the peer's description (`self`) and ours settle for the line at `index`; nil when either side rejected it,
  /// lacks it, or they share no encoding. Lines that the peer's answer has beyond ours are nobody's (Dahua adds a
  /// video line to its answers) and never asked for. A number the peer gave to an encoding is used towards it, even if
  /// ours differs.
  package func settled(at index: Int, with ours: SessionDescription) -> PeerStream? {
    guard index < media.count, index < ours.media.count else { return nil }
    let line = media[index]
    let own = ours.media[index]
    guard !line.isRejected, !own.isRejected, line.kind == own.kind, line.isPlainRTP else { return nil }
    let known = own.rtpFormats
    let shared = line.rtpFormats.filter { theirs in
      known.contains {
        theirs.isSameEncoding(as: $0)
          || theirs.isH264 && $0.isH264 && theirs.payloadType == $0.payloadType
      }
    }
    guard shared.contains(where: \.isMedia) else { return nil }
    var rtp: Endpoint?
    var rtcp: Endpoint?
    if let address = address(of: line), !address.isUnspecified {
      rtp = Endpoint(address, port: line.port)
      let named = line.rtcp
      if line.muxesRTCP && own.muxesRTCP {
        rtcp = rtp
      } else if let named {
        rtcp = Endpoint(named.address ?? address, port: named.port)
      } else if line.port < .max {
        rtcp = Endpoint(address, port: line.port + 1)
      }
    }
    return PeerStream(
      rtp: rtp, rtcp: rtcp, muxesRTCP: line.muxesRTCP && own.muxesRTCP, formats: shared,
      direction: direction(of: line).reversed.meeting(ours.direction(of: own)), ptime: line.ptime)
  }
}
