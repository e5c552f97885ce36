// What of a viewer's offer suits a camera: the picture's payload type by what the stream is, and the sound's.

package import RTP
package import SDP
internal import Wire

/// Why a viewer cannot be shown a camera.
package enum ViewerRefusal: Error, Hashable, Sendable {
  /// Its description does not do.
  case description(PeerRefusal)
  /// It does not want to receive a picture.
  case noPicture
  /// It does not know how the pictures are coded; `known` are the codings of pictures that it offers.
  case coding(wanted: String, known: [String])
  /// It would show the pictures as black: none of the profiles of H.264 that it offers takes theirs.
  case profile(H264Profile)
  /// The pictures are not shown in the order in which they come: no browser can.
  case reordered

  /// A sentence that a page can show.
  package var reason: String {
    switch self {
    case .description(let refusal): refusal.reason
    case .noPicture: "The description offers to receive no video."
    case .coding(let wanted, let known):
      "The camera sends \(wanted); this player offers "
        + (known.isEmpty ? "no video codec." : "only \(known.joined(separator: ", ")).")
    case .profile(let profile):
      "The camera sends H.264 in its \(profile.name) profile, which this browser would show as black; set the camera to the baseline profile."
    case .reordered: "The camera sends B-frames, which browsers cannot show; turn them off in the camera."
    }
  }
}

/// What the viewer may do with sound.
package enum ViewerSound: Sendable, Equatable {
  case none
  /// It hears the camera, whose sound is coded so.
  case hears(AudioCodec)
  /// It hears, and can talk: sound both ways.
  case talks(AudioCodec)
}

/// What is sent to a viewer, under its own payload types.
package struct ViewerFormats: Sendable, Equatable {
  package var picture: PeerMedia
  package var sound: PeerMedia?

  /// What fits, of an offer. `engine`: what wrote it.
  package init(
    _ offer: SessionDescription, coding: PictureCoding, sound: ViewerSound, engine: ViewerEngine = .other
  ) throws(ViewerRefusal) {
    let lines: UsableLines
    do throws(PeerRefusal) { lines = try UsableLines(offer) } catch { throw .description(error) }
    guard let index = lines.video else { throw .noPicture }
    let line = offer.media[index]
    guard offer.writtenDirection(of: line).receives else { throw .noPicture }
    let offered = line.rtpFormats
    let choice: Format?
    switch coding {
    case .h264(let parameters):
      if parameters?.reorders == true { throw .reordered }
      let described = parameters.map { "profile-level-id=\($0.profileLevelID)" }
      choice = H264Profile.choose(of: offered, for: described, engine: engine).map {
        $0.atLevel(of: parameters)
      }
      if choice == nil, let parameters, H264Profile.choose(of: offered, for: described) != nil {
        throw .profile(H264Profile(parameters.profileLevelID))
      }
    case .vp8: choice = offered.first { $0.isVP8 && $0.clockRate == 90_000 }
    }
    guard let choice else {
      var known: [String] = []
      for format in offered where ViewerFormats.codings.contains(format.encoding.uppercased()) {
        if !known.contains(format.encoding) { known.append(format.encoding) }
      }
      throw .coding(wanted: coding.name, known: known)
    }
    picture = PeerMedia([choice], .sendonly)
    self.sound = lines.audio.flatMap { ViewerFormats.sound(of: offer, offer.media[$0], sound) }
  }

  private static let codings = ["H264", "H265", "VP8", "VP9", "AV1"]

  private static func sound(
    of offer: SessionDescription, _ line: MediaDescription, _ wanted: ViewerSound
  ) -> PeerMedia? {
    let codec: AudioCodec
    let direction: Direction
    switch wanted {
    case .none: return nil
    case .hears(let own): (codec, direction) = (own, .sendonly)
    case .talks(let own): (codec, direction) = (own, .sendrecv)
    }
    // What is accepted is sent (draft-ietf-wish-whep section 4.3.5): where nothing flows the line is refused.
    let met = direction.meeting(offer.writtenDirection(of: line).reversed)
    guard met != .inactive else { return nil }
    let offered = line.rtpFormats
    // As it comes where the viewer knows it; else what can be made of it.
    for one in [codec, .pcma, .pcmu, .opus, .g722] {
      guard let format = offered.first(where: { $0.audioCodec == one }) else { continue }
      let keys = offered.first { $0.audioCodec == .telephoneEvent && $0.clockRate == format.clockRate }
      return PeerMedia([format] + (keys.map { [$0] } ?? []), met)
    }
    return nil
  }
}

extension Format {
  /// The same, saying the stream's own level where that is higher and the offer lets levels differ (RFC 6184 section
  /// 8.2.2): the profile stays the one that was offered.
  func atLevel(of stream: H264Parameters?) -> Format {
    guard let stream, parameter("level-asymmetry-allowed") == "1",
      let offered = parameter("profile-level-id"), offered.utf8.count == 6,
      let level = UInt8(offered.suffix(2), radix: 16), level < stream.level
    else { return self }
    var result = self
    let written = String(stream.profileLevelID.suffix(2))
    let pieces = (parameters ?? "").split(separator: ";").map { piece in
      piece.split(separator: "=")[0].filter { $0 != " " }.lowercased() == "profile-level-id"
        ? "profile-level-id=\(offered.prefix(4))\(written)" : String(piece)
    }
    result.parameters = pieces.joined(separator: ";")
    return result
  }
}
