internal import Directory
internal import SDP
internal import SIP
internal import Wire

// What the legs of a call offer and answer, and how their media is joined.
//
// The gateway stands between two negotiations. Towards a device it offers what the near leg speaks, in the near
// leg's order and numbers, then G.711, which every device knows; towards the near leg it answers what the device chose if it
// can, so that sound passes untouched. A device that refuses is asked once more with everything that can be
// transcoded, sound alone. Pictures pass untouched or not at all.

extension Call {
  /// Sound formats of the leg on whose behalf we ring; empty while it has offered nothing.
  var nearFormats: [Format] { near.media.offered(.audio)?.formats ?? [] }

  /// What a leg is offered when the other end speaks `formats`: those, and G.711 in both laws.
  private func relayed(_ formats: [Format], to leg: Leg) -> [Format] {
    let configuration = board.configuration
    // A browser's own codec stands behind G.711, which it passes on untouched.
    let own = leg.media.form == .webRTC ? configuration.transcoding.filter { $0.audioCodec == .opus } : []
    return Format.relayed(
      formats, transcoding: configuration.transcoding, adding: configuration.common + own)
  }

  /// The first offer to a device.
  func offerBody(to leg: Leg, onBehalfOf near: Leg) -> Body {
    let formats = relayed(near.media.offered(.audio)?.formats ?? [], to: leg)
    if hunt?.plan.isPage == true { return leg.media.offer(audio: formats, .sendonly) }
    let video = near.media.offered(.video)
    // A leg that was on hold is asked for by a transfer: it is to talk again.
    let isTransfer = near.state == .talking
    return leg.media.offer(
      audio: formats, isTransfer ? .sendrecv : near.media.offered(.audio)?.direction ?? .sendrecv,
      video: video?.formats ?? [], videoDirection: video?.direction ?? .sendrecv)
  }

  private func isWatched(_ leg: Leg) -> Bool {
    guard case .station(let name) = leg.party else { return false }
    return board.dialplan.isWatched(name)
  }

  /// The answer to what `leg` offered last, given what is settled with the leg it is to talk to. Without an offer
  /// it is ours. Nil when they share no encoding.
  func answerBody(for leg: Leg, facing far: Leg?) -> Body? {
    let transcoding = board.configuration.transcoding
    let isPage = hunt?.plan.isPage == true
    let farAudio = far?.media.settled(.audio)
    guard let offered = leg.media.offered(.audio) else {
      if leg.media.hasRemote { return nil }
      let first = farAudio?.media.map { [$0] } ?? []
      return leg.media.offer(
        audio: relayed(first, to: leg), isPage ? .recvonly : .sendrecv)
    }
    let wanted = farAudio?.media ?? far?.firstShared(.audio, with: offered.formats)
    let audio = Format.accepted(of: offered.formats, preferring: wanted, transcoding: transcoding)
    guard !audio.isEmpty else { return nil }
    let farDirection = isPage ? Direction.recvonly : farAudio?.direction.reversed ?? .sendrecv
    var video: [Format] = []
    var videoDirection = Direction.inactive
    if let pictures = leg.media.offered(.video), let far,
      let chosen = far.media.settled(.video)?.media ?? far.firstShared(.video, with: pictures.formats)
        ?? far.firstPicture(towards: leg),
      let flow = far.media.settled(.video)?.direction ?? far.media.offered(.video)?.direction
    {
      video = leg.media.picture(of: pictures.formats, like: chosen).map { [$0] } ?? []
      // What goes to a browser is put into packets anew: of a station any H.264 will do.
      if video.isEmpty, far.media.form == .webRTC {
        video = Array(pictures.formats.filter(\.isH264).prefix(1))
      }
      videoDirection = pictures.direction.reversed.meeting(flow.reversed)
    }
    if video.isEmpty, let pictures = leg.media.offered(.video), isWatched(leg) {
      // Whoever talks to it takes none, but somebody looks.
      video = Array(pictures.formats.filter(\.isH264).prefix(1))
      videoDirection = pictures.direction.reversed.meeting(.recvonly)
    }
    return leg.media.answer(
      audio: audio, offered.direction.reversed.meeting(farDirection), video: video,
      videoDirection: videoDirection)
  }

  /// Tells the media plane what is settled with a leg.
  func applyStreams(of leg: Leg) {
    let audio = leg.media.stream(.audio)
    leg.codec = audio?.peer.media?.encoding ?? leg.codec
    board.media.setStreams(leg.media.id, audio: audio, video: leg.media.stream(.video))
  }

  /// Joins two legs. A key passes untouched unless it would reach a station: those are taken out of the stream.
  func connect(_ first: Leg, _ second: Leg) {
    applyStreams(of: first)
    applyStreams(of: second)
    board.media.bridge(
      first.media.id, second.media.id,
      keys: KeyPassage(fromFirst: !second.isStation, fromSecond: !first.isStation))
  }

  // MARK: Offers in mid-call

  /// The peer of `leg` offers anew, or wants our offer. What concerns the other end (hold, resume, a picture that
  /// comes or goes) is offered on and answered when that is; a refresh is answered at once.
  func offered(_ leg: Leg, body: Body?, _ turn: inout Turn) {
    guard leg.isLive, leg.exchange == .idle, let far = other(leg), leg.state == .talking else {
      return board.signalling.refuseOffer(leg.session, status: leg.exchange == .idle ? 488 : 491, &turn)
    }
    guard body != nil else {
      leg.exchange = .acknowledging
      return board.signalling.acceptOffer(leg.session, body: freshOffer(leg, facing: far), &turn)
    }
    guard let description = SessionDescription(body) else {
      return board.signalling.refuseOffer(leg.session, status: 488, &turn)
    }
    let wanted = wish(of: leg)
    guard leg.media.takeOffer(description) else {
      return board.signalling.refuseOffer(leg.session, status: 488, &turn)
    }
    guard leg.media.offered(.audio) != nil else {
      leg.media.dismissOffer()
      return board.signalling.refuseOffer(leg.session, status: 488, &turn)
    }
    if wish(of: leg) != wanted || !fits(leg, far), far.exchange == .idle, far.state == .talking {
      leg.exchange = .asked
      far.exchange = .offered
      return board.signalling.offer(far.session, body: relayedOffer(to: far, from: leg), &turn)
    }
    answerOffer(of: leg, facing: far, &turn)
  }

  /// Our offer was answered.
  func offerAccepted(_ leg: Leg, body: Body?, _ turn: inout Turn) {
    guard leg.isLive else { return }
    if leg.exchange == .acknowledging { return confirmed(leg, body: body, &turn) }
    guard leg.exchange == .offered else { return }
    leg.exchange = .idle
    if let description = SessionDescription(body) {
      _ = leg.media.settle(description)
    } else {
      leg.media.withdrawOffer()
    }
    settled(leg, &turn)
  }

  func offerRefused(_ leg: Leg, _ turn: inout Turn) {
    guard leg.isLive else { return }
    if leg.exchange == .acknowledging { return confirmed(leg, body: nil, &turn) }
    guard leg.exchange == .offered else { return }
    leg.exchange = .idle
    leg.media.withdrawOffer()
    settled(leg, &turn)
  }

  /// An exchange of ours is over, well or not: whoever waited for it is answered.
  private func settled(_ leg: Leg, _ turn: inout Turn) {
    leg.heardAt = turn.now
    applyStreams(of: leg)
    if let asking = other(leg), asking.exchange == .asked { answerOffer(of: asking, facing: leg, &turn) }
  }

  private func answerOffer(of leg: Leg, facing far: Leg, _ turn: inout Turn) {
    leg.exchange = .idle
    leg.heardAt = turn.now
    if let answer = answerBody(for: leg, facing: far) {
      board.signalling.acceptOffer(leg.session, body: answer, &turn)
      applyStreams(of: leg)
    } else {
      leg.media.dismissOffer()
      board.signalling.refuseOffer(leg.session, status: 488, &turn)
    }
  }

  /// The ACK to an answer of ours came, with the peer's answer when our answer was an offer.
  func confirmed(_ leg: Leg, body: Body?, _ turn: inout Turn) {
    guard leg.isLive, leg.exchange == .acknowledging else { return }
    leg.exchange = .idle
    let wanted = wish(of: leg)
    guard let description = SessionDescription(body), leg.media.settle(description) else {
      if case .answering = state {
        finish(.failed, status: 488, reason: .notAcceptable, &turn)
      } else {
        leg.media.withdrawOffer()
      }
      return
    }
    switch state {
    case .answering(let far):
      state = .talking(caller, far)
      connect(caller, far)
      // The device was offered sound both ways; a caller that came on hold is rare and answered by its own words.
      if wish(of: caller).audio != .sendrecv { offerOn(to: far, from: caller, &turn) }
    case .talking, .transferring:
      applyStreams(of: leg)
      if let far = other(leg), wish(of: leg) != wanted { offerOn(to: far, from: leg, &turn) }
    case .paging, .confirming: applyStreams(of: leg)
    case .arriving, .ringing, .over: break
    }
  }

  private func offerOn(to far: Leg, from leg: Leg, _ turn: inout Turn) {
    guard far.exchange == .idle, far.state == .talking else { return }
    far.exchange = .offered
    board.signalling.offer(far.session, body: relayedOffer(to: far, from: leg), &turn)
  }

  /// Which ways a leg's peer lets sound and pictures flow.
  private func wish(of leg: Leg) -> (audio: Direction?, video: Direction?) {
    (leg.media.offered(.audio)?.direction, leg.media.offered(.video)?.direction)
  }

  /// Whether the other end can stay as it is beside what `leg` speaks now.
  private func fits(_ leg: Leg, _ far: Leg) -> Bool {
    !Format.accepted(
      of: leg.media.offered(.audio)?.formats ?? [], preferring: far.media.settled(.audio)?.media,
      transcoding: board.configuration.transcoding
    ).isEmpty
  }

  /// What `leg` offered, for the other end.
  private func relayedOffer(to far: Leg, from leg: Leg) -> Body {
    let video = leg.media.offered(.video)
    return far.media.offer(
      audio: relayed(leg.media.offered(.audio)?.formats ?? [], to: far),
      leg.media.offered(.audio)?.direction ?? .sendrecv, video: video?.formats ?? [],
      videoDirection: video?.direction ?? .sendrecv)
  }

  /// An offer for a leg that asked for ours: what it knows, flowing as the other end lets it.
  private func freshOffer(_ leg: Leg, facing far: Leg) -> Body {
    let known = leg.media.settled(.audio)?.formats ?? []
    let video = leg.media.settled(.video)
    return leg.media.offer(
      audio: relayed(known, to: leg),
      far.media.settled(.audio)?.direction.reversed ?? .sendrecv, video: video?.formats ?? [],
      videoDirection: video?.direction ?? .sendrecv)
  }

  /// After a leg was exchanged for another: both ends are joined, and who was on hold, or speaks what the other
  /// cannot be brought to, is offered anew.
  func rejoin(_ first: Leg, _ second: Leg, _ turn: inout Turn) {
    connect(first, second)
    first.heardAt = turn.now
    second.heardAt = turn.now
    for (leg, far) in [(first, second), (second, first)] where leg.exchange == .idle {
      let flows = leg.media.settled(.audio)?.direction == .sendrecv
      if flows && fits(leg, far) { continue }
      leg.exchange = .offered
      let body = leg.media.offer(
        audio: relayed(far.media.offered(.audio)?.formats ?? [], to: leg),
        .sendrecv)
      board.signalling.offer(leg.session, body: body, &turn)
    }
  }

  // MARK: Keys

  /// INFO inside a leg.
  func informed(_ leg: Leg, _ transaction: TransactionID, _ body: Body, _ turn: inout Turn) {
    guard let keys = KeyBody.keys(in: body) else {
      return board.signalling.reply(transaction, status: body.bytes.isEmpty ? 200 : 415, &turn)
    }
    board.signalling.reply(transaction, status: 200, &turn)
    for key in keys { pressed(key, by: leg, inBand: false, &turn) }
  }

  /// A key, however it came. Towards a station it goes no further: it is told, and the doors decide. Between others
  /// it is carried on in the form the other leg takes.
  func pressed(_ key: Character, by leg: Leg, inBand isCarried: Bool, _ turn: inout Turn) {
    guard leg.state == .talking, case .talking = state, let far = other(leg) else { return }
    if case .station(let station) = far.party {
      if case .account(let account) = leg.party {
        board.emit(.key(KeyPress(call: id, account: account, unit: leg.unit, station: station, digit: key)))
      }
      return
    }
    if far.media.settled(.audio)?.telephoneEvent != nil {
      // The bridge has carried a key that came in RFC 4733 already.
      if !isCarried { board.media.sendKeys(String(key), on: far.media.id) }
    } else {
      board.signalling.info(far.session, body: KeyBody.body(key), &turn)
    }
  }

  // MARK: Lost media

  /// A leg has no way to send or hear any more: a conversation with it is over.
  func mediaFailed(_ leg: Leg, _ turn: inout Turn) {
    guard leg.isLive, leg.state == .talking else { return }
    switch state {
    case .talking, .answering, .confirming: finish(.answered, status: 480, reason: .mediaLost, &turn)
    case .paging where leg === caller: finish(.answered, status: 480, reason: .mediaLost, &turn)
    case .paging, .transferring:
      board.signalling.hangUp(leg.session, reason: .mediaLost, &turn)
      ended(leg, .timeout, &turn)
    case .arriving, .ringing, .over: break
    }
  }

  /// Ends the call when media is lost: nothing from either end since the answer for 20 s, or from an end that was
  /// heard before for 60 s. An end never heard while the other is, is a call one way; that is recorded, and the
  /// people at the door may still be served.
  func checkMedia(_ turn: inout Turn) {
    guard case .talking(let first, let second) = state, let since = talkingSince else { return }
    var heard = 0
    for leg in [first, second] {
      let packets = board.media.counts(leg.media.id).packetsIn
      let isExpected = leg.media.settled(.audio)?.direction.receives ?? false
      if packets > leg.heardPackets || !isExpected { leg.heardAt = turn.now }
      if packets > 0 || !isExpected { heard += 1 }
      leg.heardPackets = packets
      if packets > 0, turn.now - leg.heardAt >= Switchboard.mediaLostAfter {
        return finish(.answered, status: 480, reason: .mediaLost, &turn)
      }
    }
    if heard == 0, turn.now - since >= Switchboard.mediaAwaited {
      finish(.answered, status: 480, reason: .mediaLost, &turn)
    }
  }
}
