internal import Calls
internal import ICE
internal import MediaPlane
internal import SDP
internal import SIP
internal import WebRTC
internal import Wire

/// The descriptions of a leg over a peer connection, which writes and reads them itself: what a call says of formats and
/// directions becomes what the connection offers and answers.
final class PeerDescriptions: LegDescriptions {
  let id: MediaLegID
  private let plane: Plane
  private(set) var hasRemote = false

  init(_ leg: LegID, of plane: Plane) {
    id = MediaLegID(leg.handle)
    self.plane = plane
  }

  var form: MediaForm { .webRTC }

  private func with<Result>(_ body: (PeerConnection, inout Turn) -> Result) -> Result? {
    plane.withPeer(LegID(id.handle), body)
  }

  // MARK: What the peer said

  func takeOffer(_ description: SessionDescription) -> Bool {
    let isTaken = with { connection, _ in
      do throws(PeerRefusal) {
        try connection.setRemote(offer: description)
        return true
      } catch { return false }
    }
    if isTaken == true { hasRemote = true }
    return isTaken ?? false
  }

  func dismissOffer() { _ = with { connection, _ in connection.withdraw() } }

  func offered(_ kind: SDP.MediaKind) -> (formats: [Format], direction: Direction)? {
    guard let media = with({ connection, _ in connection.offered(StreamKind(kind)) }) ?? nil,
      media.formats.contains(where: \.isMedia)
    else { return nil }
    // A connection tells what we may answer, a call asks what the peer said.
    return (media.formats, media.direction.reversed)
  }

  /// By the stream's own profile: a decoder that was told another may stay black.
  func picture(of formats: [Format], like far: Format) -> Format? {
    H264Profile.choose(of: formats, for: far.parameters)
  }

  func settled(_ kind: SDP.MediaKind) -> PeerStream? {
    with { connection, _ in connection.settled(StreamKind(kind)) } ?? nil
  }

  func stream(_ kind: SDP.MediaKind) -> LegStream? {
    guard let peer = settled(kind) else { return nil }
    return LegStream(
      peer: peer, receiving: with { connection, _ in connection.receiving(StreamKind(kind)) } ?? [],
      signalledFrom: nil,
      form: .webRTC)
  }

  // MARK: What we say

  func answer(
    audio: [Format], _ direction: Direction, video: [Format], videoDirection: Direction
  ) -> Body? {
    guard hasRemote else {
      return offer(audio: audio, direction, video: video, videoDirection: videoDirection)
    }
    let description = with { connection, turn -> SessionDescription? in
      do throws(PeerRefusal) {
        return try connection.createAnswer(
          audio: PeerMedia(audio, direction), video: video.isEmpty ? nil : PeerMedia(video, videoDirection),
          &turn)
      } catch { return nil }
    }
    return (description ?? nil).map { .sdp($0.bytes) }
  }

  func offer(audio: [Format], _ direction: Direction, video: [Format], videoDirection: Direction) -> Body {
    let pictures = video.map(\.forBrowsers)
    let description = with { connection, turn in
      connection.createOffer(
        audio: PeerMedia(audio, direction), video: video.isEmpty ? nil : PeerMedia(pictures, videoDirection),
        &turn)
    }
    return .sdp(description?.bytes ?? [])
  }

  func settle(_ answer: SessionDescription) -> Bool {
    let isTaken = with { connection, turn in
      do throws(PeerRefusal) {
        try connection.setRemote(answer: answer, &turn)
        return connection.settled(.audio) != nil
      } catch { return false }
    }
    if isTaken == true { hasRemote = true }
    return isTaken ?? false
  }

  func withdrawOffer() { dismissOffer() }

  func trickle(_ fragment: [UInt8], mayRestart: Bool) -> TrickleOutcome {
    guard let parsed = TrickleFragment(parsing: fragment) else { return .malformed }
    let outcome = with { connection, turn -> TrickleOutcome in
      do throws(PeerRefusal) {
        try connection.apply(parsed, &turn)
        return .taken
      } catch {
        guard error == .staleFragment else { return .malformed }
        guard mayRestart else { return .stale }
        do throws(PeerRefusal) {
          return .restarted(try connection.restart(by: parsed, &turn).bytes)
        } catch { return .malformed }
      }
    }
    return outcome ?? .malformed
  }
}

extension Format {
  /// A station's H.264 as a browser wants it said: it is put into packets anew on the way there, by mode 1.
  fileprivate var forBrowsers: Format {
    guard isH264, packetizationMode != 1 else { return self }
    var result = self
    let profile = parameter("profile-level-id") ?? "42e01f"
    result.parameters = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=\(profile)"
    return result
  }
}

extension StreamKind {
  init(_ kind: SDP.MediaKind) { self = kind == .video ? .video : .audio }
}
