// How our descriptions are written.
internal import Crypto
internal import ICE
internal import RTP
internal import SDP
internal import Wire

extension PeerConnection {
  /// The stream that all our tracks belong to, so that players keep sound and picture together.
  private static let streamName = "vestibule"

  /// The address of every line: ICE finds the real ones.
  private static let nowhere = Connection(.anyV4)

  /// One accepted or offered line. `peer` is the offered line that is answered.
  func localLine(
    _ kind: StreamKind, _ media: PeerMedia, mid: String?, proto: String, setup: Setup,
    peer: MediaDescription?, hasCandidates: Bool
  ) -> MediaDescription {
    var line = MediaDescription(
      kind: kind.media, port: 9, proto: proto, formats: media.formats.map { String($0.payloadType) },
      connection: PeerConnection.nowhere)
    func add(_ name: String, _ value: String? = nil) { line.attributes.append(Attribute(name, value)) }
    let ice = agent.localDescription
    if let mid { add("mid", mid) }
    add("ice-ufrag", ice.credentials.fragmentText)
    add("ice-pwd", ice.credentials.passwordText)
    add("fingerprint", maker.fingerprint.description)
    add("setup", setup.rawValue)
    add(media.direction.rawValue)
    add("rtcp-mux")
    // Nothing else is spoken here: offers say so (RFC 8858), and whoever says so is answered likewise
    // (draft-ietf-wish-whep-03 section 4.6.1).
    if peer?.has("rtcp-mux-only") ?? true { add("rtcp-mux-only") }
    if peer?.has("rtcp-rsize") ?? true { add("rtcp-rsize") }
    let further = kind == .video ? configuration.videoExtensions : []
    for (place, one) in ExtensionIDs.Kind.allCases.enumerated() where one == .mid || further.contains(one) {
      if let written = peer.map({ $0.answered(one) }) ?? "\(place + 1)" {
        add("extmap", "\(written) \(one.name)")
      }
    }
    let feedback = kind == .audio ? configuration.audioFeedback : configuration.videoFeedback
    for format in media.formats {
      let channels = format.channels > 1 ? "/\(format.channels)" : ""
      add("rtpmap", "\(format.payloadType) \(format.encoding)/\(format.clockRate)\(channels)")
      if let parameters = format.parameters { add("fmtp", "\(format.payloadType) \(parameters)") }
      guard format.isMedia else { continue }
      for one in feedback where peer?.offersFeedback(one, for: format.payloadType) ?? true {
        add("rtcp-fb", "\(format.payloadType) \(one)")
      }
    }
    if kind == .audio { add("ptime", "20") }
    if media.direction.sends {
      let source = kind == .audio ? configuration.audioSource : configuration.videoSource
      let track = "\(PeerConnection.streamName) \(kind.media.word)"
      let repair = media.formats.contains(where: \.isRepair) ? configuration.repairSource : nil
      add("msid", track)
      if let repair { add("ssrc-group", "FID \(source) \(repair)") }
      for one in [source, repair] {
        guard let one else { continue }
        add("ssrc", "\(one) cname:\(configuration.canonicalName)")
        add("ssrc", "\(one) msid:\(track)")
      }
    }
    if hasCandidates {
      for candidate in ice.candidates {
        // The attribute's value is the line without its name.
        add("candidate", String(candidate.line.dropFirst("candidate:".count)))
      }
      if ice.isComplete { add("end-of-candidates") }
    }
    return line
  }

  /// An offered line that we do not take. It names the transport and the formats all the same: aiortc reads no answer
  /// in which a line has none, and nobody minds.
  func refusedLine(_ line: MediaDescription) -> MediaDescription {
    var refused = MediaDescription.refusing(line)
    let credentials = agent.localDescription.credentials
    refused.attributes += [
      Attribute("ice-ufrag", credentials.fragmentText), Attribute("ice-pwd", credentials.passwordText),
      Attribute("fingerprint", maker.fingerprint.description), Attribute("setup", roleSetup.rawValue),
      Attribute("rtcp-mux"),
    ]
    refused.attributes += line.attributes.filter { $0.name == "rtpmap" }
    return refused
  }

  /// The whole description. Its version grows only when what it says changes.
  func describe(
    _ media: [MediaDescription], bundle: [String], allowsMixed: Bool
  ) -> SessionDescription {
    var attributes: [Attribute] = []
    if !bundle.isEmpty {
      attributes.append(Attribute("group", "BUNDLE " + bundle.joined(separator: " ")))
    }
    if allowsMixed { attributes.append(Attribute("extmap-allow-mixed")) }
    if configuration.ice.mode == .lite { attributes.append(Attribute("ice-lite")) }
    attributes.append(Attribute("ice-options", ICEDescription.options))
    attributes.append(Attribute("msid-semantic", "WMS *"))
    func description(_ version: UInt64) -> SessionDescription {
      SessionDescription(
        origin: Origin(id: originID, version: version, address: .anyV4), connection: PeerConnection.nowhere,
        attributes: attributes, media: media)
    }
    let same = description(version)
    if same == localDescription { return same }
    version += 1
    return description(version)
  }
}

extension MediaDescription {
  /// The line that refuses `line`, or withdraws it.
  static func refusing(_ line: MediaDescription) -> MediaDescription {
    var refused = MediaDescription(
      kind: line.kind, port: 0, proto: line.proto, formats: line.formats, connection: Connection(.anyV4))
    if let mid = line.mid { refused.attributes.append(Attribute("mid", mid)) }
    refused.attributes.append(Attribute("inactive"))
    return refused
  }
}
