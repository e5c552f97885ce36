// Offers and answers (RFC 3264, RFC 8829, RFC 8842, RFC 9143).
internal import Crypto
package import ICE
internal import RTP
package import SDP
package import Wire

extension PeerConnection {
  /// Whether a description offers or accepts media that only a peer connection can carry.
  package static func isWebRTC(_ description: SessionDescription) -> Bool {
    description.media.contains { line in
      line.isEncryptedRTP && (line.has("fingerprint") || description.has("fingerprint"))
    }
  }

  /// Whether the writer sends no checks: then we must.
  package static func isLite(_ description: SessionDescription) -> Bool { description.has("ice-lite") }

  // MARK: As answerer

  /// Checks and keeps the peer's offer, first or further. Nothing changes before `createAnswer`.
  package func setRemote(offer: SessionDescription) throws(PeerRefusal) {
    guard !isOver else { throw .unexpected }
    if case .theirs(let known, _, _) = pending, known == offer { return }
    let lines = try UsableLines(offer)
    let transport = try RemoteTransport(offer, line: offer.media[lines.tagged])
    pending = .theirs(offer, lines, transport)
  }

  /// What the peer says of its first usable line of a kind, in the offer that waits or else in what was settled:
  /// formats with its numbers, and the most that we may answer: `sendonly` means that we send. For pictures H.264 alone.
  /// Nil when there is none.
  package func offered(_ kind: StreamKind) -> PeerMedia? {
    let description: SessionDescription
    let index: Int?
    if case .theirs(let offer, let usable, _) = pending {
      description = offer
      index = usable[kind]
    } else if let known = remoteDescription {
      description = known
      index = lines?[kind]
    } else {
      return nil
    }
    guard let index, index < description.media.count else { return nil }
    let line = description.media[index]
    guard !line.isWithdrawn else { return nil }
    let formats = line.rtpFormats.filter { kind == .audio || $0.isH264 }
    return formats.contains(where: \.isMedia)
      ? PeerMedia(formats, description.writtenDirection(of: line).reversed) : nil
  }

  /// Applies the offer that waits and answers every line of it. `audio` and `video` are what we want, with the
  /// offerer's payload types; nil refuses the line. A picture is never asked for: at most we send one. Without a new
  /// offer, and for the same wishes, the same description again, for 183 and 200. Refused, everything stays as it was,
  /// the offer among it.
  package func createAnswer(
    audio: PeerMedia?, video: PeerMedia?, _ turn: inout Turn
  ) throws(PeerRefusal) -> SessionDescription {
    guard !isOver else { throw .unexpected }
    let offer: SessionDescription
    let usable: UsableLines
    let transport: RemoteTransport
    switch pending {
    case .ours: throw .unexpected
    case .none:
      guard let answered, let localDescription, let remoteDescription, let lines, let remote else {
        throw .unexpected
      }
      if answered.audio == audio, answered.video == video { return localDescription }
      (offer, usable, transport) = (remoteDescription, lines, remote)
    case .theirs(let waiting, let itsLines, let itsTransport):
      (offer, usable, transport) = (waiting, itsLines, itsTransport)
    }
    var wishes: [(index: Int, kind: StreamKind, media: PeerMedia)] = []
    for (kind, media) in [(StreamKind.audio, audio), (.video, video)] {
      guard let index = usable[kind], var media else { continue }
      let line = offer.media[index]
      let known = line.rtpFormats
      media.formats = media.formats.filter { ours in
        known.contains { $0.payloadType == ours.payloadType && $0.isSameEncoding(as: ours) }
      }
      guard media.formats.contains(where: \.isMedia) else { continue }
      if kind == .video, configuration.repairSource != nil {
        media.formats.removeAll(where: \.isRepair)
        for format in media.formats {
          media.formats += known.filter {
            $0.repaired == format.payloadType && $0.clockRate == format.clockRate
          }
        }
      }
      media.direction = media.direction.meeting(offer.writtenDirection(of: line).reversed)
      if kind == .video, !configuration.takesPictures {
        media.direction = media.direction.meeting(.sendonly)
      }
      wishes.append((index, kind, media))
    }
    guard !wishes.isEmpty else { throw .noSharedCodec }

    // Nothing below may fail.
    applyTransport(transport, role: answeringRole(transport), &turn)
    var media: [MediaDescription] = []
    let accepted = wishes.map(\.index)
    // The first line of the bundle that we accept carries the transport (RFC 9143 section 7.3).
    let order =
      offer.bundle.compactMap { mid in offer.media.firstIndex { $0.mid == mid } }.filter(accepted.contains)
    let tagged = order.first ?? accepted.min() ?? 0
    for (index, line) in offer.media.enumerated() {
      guard let wish = wishes.first(where: { $0.index == index }) else {
        media.append(refusedLine(line))
        continue
      }
      media.append(
        localLine(
          wish.kind, wish.media, mid: line.mid, proto: line.proto, setup: roleSetup, peer: line,
          hasCandidates: index == tagged))
    }
    let description = describe(
      media, bundle: order.compactMap { offer.media[$0].mid },
      allowsMixed: offer.has("extmap-allow-mixed") || offer.media.contains { $0.has("extmap-allow-mixed") })
    pending = .none
    answered = (audio, video)
    remoteDescription = offer
    remote = transport
    settle(description, usable)
    return description
  }

  // MARK: As offerer

  /// Our offer: sound, if there is any, and a picture that we send. A further one keeps the lines of those before;
  /// with `restart` it asks for new paths, the old ones carry on meanwhile.
  package func createOffer(
    audio: PeerMedia?, video: PeerMedia?, _ turn: inout Turn, restart: Bool = false
  ) -> SessionDescription {
    if restart, !isOver {
      agent.restart(&turn)
      report(.restarted)
      takeEvents(&turn)
    }
    var wishes: [(kind: StreamKind, media: PeerMedia)] = audio.map { [(.audio, $0)] } ?? []
    if var video {
      if !configuration.takesPictures { video.direction = video.direction.meeting(.sendonly) }
      if configuration.repairSource != nil { video.formats = video.formats.withRepairs }
      wishes.append((.video, video))
    }
    var media: [MediaDescription] = []
    var taken: [StreamKind] = []
    // Lines once written keep their place; those that nobody wants any more are withdrawn.
    for line in localDescription?.media ?? [] {
      let kind = StreamKind.allCases.first { $0.media == line.kind }
      guard let kind, !taken.contains(kind), let wish = wishes.first(where: { $0.kind == kind }),
        line.mid != nil || localDescription?.media.count == 1
      else {
        media.append(.refusing(line))
        continue
      }
      taken.append(kind)
      media.append(
        localLine(
          kind, wish.media, mid: line.mid ?? "0", proto: "UDP/TLS/RTP/SAVPF", setup: .actpass, peer: nil,
          hasCandidates: taken.count == 1))
    }
    for wish in wishes where !taken.contains(wish.kind) {
      taken.append(wish.kind)
      var mid = media.count
      while media.contains(where: { $0.mid == String(mid) }) { mid += 1 }
      media.append(
        localLine(
          wish.kind, wish.media, mid: String(mid), proto: "UDP/TLS/RTP/SAVPF", setup: .actpass, peer: nil,
          hasCandidates: taken.count == 1))
    }
    let bundle = media.filter { !$0.isWithdrawn }.compactMap(\.mid)
    let description = describe(media, bundle: bundle, allowsMixed: true)
    pending = .ours(description)
    if agent.configuration.mode == .full, !isOver {
      agent.gather(&turn)
      takeEvents(&turn)
    }
    return description
  }

  /// Takes the peer's answer to our offer; the same again is fine (183, then 200).
  package func setRemote(answer: SessionDescription, _ turn: inout Turn) throws(PeerRefusal) {
    guard !isOver else { throw .unexpected }
    let offer: SessionDescription
    switch pending {
    case .theirs: throw .unexpected
    case .ours(let ours): offer = ours
    case .none:
      guard answered == nil, let localDescription else { throw .unexpected }
      if answer == remoteDescription { return }
      offer = localDescription
    }
    guard answer.media.count == offer.media.count else { throw .unexpected }
    for (theirs, ours) in zip(answer.media, offer.media) where !theirs.isWithdrawn {
      guard theirs.kind == ours.kind, !ours.isWithdrawn else { throw .unexpected }
    }
    let usable = try UsableLines(answer)
    let transport = try RemoteTransport(answer, line: answer.media[usable.tagged])
    var hasShared = false
    for kind in StreamKind.allCases {
      guard let index = usable[kind] else { continue }
      if !shared(answer.media[index], offer.media[index], by: .them).isEmpty { hasShared = true }
    }
    guard hasShared else { throw .noSharedCodec }
    // Who answers `active` is the client; with nothing said, RFC 4145's answerer of `actpass` is active.
    let role: DTLSRole = transport.setup == .passive ? .client : .server
    if let known = agent.remoteCredentials, known != transport.credentials { throw .unexpected }
    applyTransport(transport, role: role, &turn)
    pending = .none
    answered = nil
    remoteDescription = answer
    remote = transport
    settle(offer, usable)
  }

  /// Our offer was refused, or theirs is: all stays as it was. After an ICE restart of ours the old path carries on.
  package func withdraw() { pending = .none }

  // MARK: What was settled

  /// What both descriptions settle for a stream, with the numbers to send with; nil when it is off. Addresses are
  /// ICE's business and left out.
  package func settled(_ kind: StreamKind) -> PeerStream? {
    guard let remoteDescription, let localDescription, let index = lines?[kind],
      index < remoteDescription.media.count, index < localDescription.media.count
    else { return nil }
    let theirs = remoteDescription.media[index]
    let ours = localDescription.media[index]
    guard !theirs.isWithdrawn, !ours.isWithdrawn else { return nil }
    let formats = shared(theirs, ours, by: answered == nil ? .them : .us).filter { !$0.isRepair }
    guard formats.contains(where: \.isMedia) else { return nil }
    let direction = remoteDescription.writtenDirection(of: theirs).reversed.meeting(
      localDescription.writtenDirection(of: ours))
    return PeerStream(
      rtp: nil, rtcp: nil, muxesRTCP: true, formats: formats, direction: direction, ptime: theirs.ptime)
  }

  /// The formats of a stream with the numbers that the peer sends with: our description's.
  package func receiving(_ kind: StreamKind) -> [Format] {
    guard let localDescription, let index = lines?[kind], index < localDescription.media.count,
      !localDescription.media[index].isWithdrawn
    else { return [] }
    return localDescription.media[index].rtpFormats
  }

  private enum Answerer { case us, them }

  /// What both know, in the peer's order and with its numbers. An answer of ours chose among the peer's numbers.
  private func shared(
    _ theirs: MediaDescription, _ ours: MediaDescription, by answerer: Answerer
  ) -> [Format] {
    let known = ours.rtpFormats
    return theirs.rtpFormats.filter { format in
      if answerer == .us { return known.contains { $0.payloadType == format.payloadType } }
      return known.contains {
        format.isSameEncoding(as: $0)
          || format.isH264 && $0.isH264 && format.payloadType == $0.payloadType
      }
    }
  }

  // MARK: Trickle

  /// Takes a candidate of the peer; a useless one is counted and forgotten.
  package func add(candidate: Candidate, _ turn: inout Turn) {
    guard !isOver else { return }
    agent.addRemote(candidate, &turn)
    takeEvents(&turn)
  }

  /// The peer has no more candidates.
  package func endOfCandidates(_ turn: inout Turn) {
    guard !isOver else { return }
    agent.endOfCandidates(&turn)
    takeEvents(&turn)
  }

  /// Takes the candidates of a fragment. One that names another generation is refused: it wants a restart.
  package func apply(_ fragment: TrickleFragment, _ turn: inout Turn) throws(PeerRefusal) {
    guard !isOver, let remote else { throw .unexpected }
    if let credentials = fragment.credentials, credentials != remote.credentials { throw .staleFragment }
    for candidate in fragment.candidates.prefix(RemoteTransport.candidateLimit) {
      add(candidate: candidate, &turn)
    }
    if fragment.isComplete { endOfCandidates(&turn) }
  }

  /// Restarts ICE as a fragment with new credentials asks (RFC 8840 section 4.4): what is to be answered. The old path
  /// carries on until the new one works.
  package func restart(
    by fragment: TrickleFragment, _ turn: inout Turn
  ) throws(PeerRefusal) -> TrickleFragment {
    guard !isOver, var transport = remote else { throw .unexpected }
    guard let credentials = fragment.credentials else { throw .noCredentials }
    transport.credentials = credentials
    transport.candidates = Array(fragment.candidates.prefix(RemoteTransport.candidateLimit))
    transport.isComplete = fragment.isComplete
    applyTransport(transport, role: identity?.role ?? .server, &turn)
    remote = transport
    let ours = agent.localDescription
    var answer = TrickleFragment()
    answer.isLite = ours.isLite
    answer.session.fragment = ours.credentials.fragmentText
    answer.session.password = ours.credentials.passwordText
    let line = lines.flatMap { localDescription?.media[$0.tagged] }
    var section = TrickleFragment.Section(
      media: line.map { "\($0.kind.word) 9 \($0.proto) \($0.formats.joined(separator: " "))" },
      mid: line?.mid)
    section.candidates = ours.candidates
    section.isComplete = ours.isComplete
    answer.sections = [section]
    return answer
  }

  // MARK: Transport

  /// Who we are towards an offer: the server wherever the peer leaves it to us, and what we were already if it does.
  private func answeringRole(_ transport: RemoteTransport) -> DTLSRole {
    switch transport.setup {
    case .passive: .client
    case .active: .server
    case .actpass, .holdconn, .none: association == nil ? .server : identity?.role ?? .server
    }
  }

  private func applyTransport(_ transport: RemoteTransport, role: DTLSRole, _ turn: inout Turn) {
    if let known = agent.remoteCredentials, known != transport.credentials {
      agent.restart(&turn)
      report(.restarted)
    }
    agent.setRemote(transport.ice, &turn)
    let wanted = Identity(
      fingerprints: transport.fingerprints, role: role, association: transport.association)
    associate(wanted, &turn)
    if agent.configuration.mode == .full { agent.gather(&turn) }
    takeEvents(&turn)
  }

  /// What an answer of ours says of our role.
  var roleSetup: Setup { identity?.role == .client ? .active : .passive }

  /// Takes a pair of descriptions into force.
  private func settle(_ local: SessionDescription, _ usable: UsableLines) {
    localDescription = local
    lines = usable
    media = MediaMap()
    for kind in StreamKind.allCases {
      guard let stream = settled(kind), let index = usable[kind] else { continue }
      let ours = local.media[index]
      media.add(
        kind, payloadTypes: ours.rtpFormats.map(\.payloadType), receives: stream.direction.receives,
        mid: ours.mid, midExtension: ours.extensionID(of: ExtensionIDs.Kind.mid.name))
    }
  }
}
