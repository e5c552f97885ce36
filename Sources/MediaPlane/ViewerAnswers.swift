// The answer to a viewer's offer, and what it settles: all that a WHEP resource needs besides its HTTP.

internal import RTP
package import SDP
package import WebRTC
internal import Wire

extension Plane {
  /// Answers the offer of a leg that was opened for a viewer (`PeerSpec(kinds: .audioAndVideo)`), and shows it the feed
  /// as soon as its path stands. `sound` says what the viewer may do with sound. For a later offer of the same viewer
  /// too. `engine`: what wrote the offer. Refused, the leg stays as it was.
  package func answerViewer(
    _ leg: LegID, _ offer: SessionDescription, feed id: FeedID, sound: ViewerSound = .none,
    engine: ViewerEngine = .other
  ) throws(ViewerRefusal) -> SessionDescription {
    guard let coding = coding(of: id) else { throw .description(.unexpected) }
    let formats = try ViewerFormats(offer, coding: coding, sound: sound, engine: engine)
    let outcome = withPeer(leg) { connection, turn -> Result<SessionDescription, PeerRefusal> in
      do throws(PeerRefusal) {
        try connection.setRemote(offer: offer)
        return .success(
          try connection.createAnswer(audio: formats.sound, video: formats.picture, &turn))
      } catch {
        connection.withdraw()
        return .failure(error)
      }
    }
    let answer: SessionDescription
    switch outcome {
    case .success(let described)?: answer = described
    case .failure(let refusal)?: throw .description(refusal)
    case nil: throw .description(.unexpected)
    }
    if let settled = withPeer(
      leg,
      { connection, _ in
        (connection.settled(.audio), connection.settled(.video), connection.receiving(.audio))
      })
    {
      setRemote(
        leg, audio: settled.0.map { RemoteStream(viewer: $0, receiving: settled.2) },
        video: settled.1.map { RemoteStream(viewer: $0, receiving: []) })
    }
    if shown(on: leg) != id { show(id, on: leg) }
    return answer
  }
}

extension RemoteStream {
  /// A stream over a peer connection: its path is the connection's affair.
  init(viewer stream: PeerStream, receiving: [Format]) {
    self.init(
      rtp: Stream.bundled, signalledFrom: .anyV4,
      formats: stream.formats.filter(\.isMedia).map { StreamFormat($0, ptime: stream.ptime) },
      received: receiving.isEmpty
        ? nil : receiving.filter(\.isMedia).map { StreamFormat($0, ptime: stream.ptime) },
      telephoneEvent: stream.telephoneEvent,
      receivedTelephoneEvent: receiving.first { $0.audioCodec == .telephoneEvent }?.payloadType,
      direction: MediaDirection(facing: stream.direction))
  }
}

extension StreamFormat {
  /// A payload type as a description says it.
  package init(_ format: Format, ptime: Int?) {
    let codec: Codec =
      switch format.audioCodec {
      case .pcma: .pcma
      case .pcmu: .pcmu
      case .g722: .g722
      default: .other(name: format.encoding, fmtp: format.parameters ?? "")
      }
    self.init(
      payloadType: format.payloadType, codec: codec, clockRate: UInt32(format.clockRate), ptime: ptime ?? 20)
  }
}

extension MediaDirection {
  /// What a peer does with a stream that we may let flow in the direction `own`: where we only send, it only listens.
  package init(facing own: SDP.Direction) {
    self =
      switch own {
      case .sendrecv: .sendReceive
      case .sendonly: .receiveOnly
      case .recvonly: .sendOnly
      case .inactive: .inactive
      }
  }
}
