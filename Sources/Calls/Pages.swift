package import Directory
package import SDP
internal import SIP
package import Wire

// Pages: devices that speak no SIP. A page hears of a call from an event, answers it with an offer of its own, and
// hangs up by name. To the call its leg is a leg like others, but for three things: it rings the moment it is made,
// it has no media before it answers, and what it settled stays as it is.

/// Why a page cannot have a call.
package enum PageRefusal: Error, Hashable, Sendable {
  /// It never rang there.
  case unknown
  /// Somebody else has answered.
  case answeredElsewhere
  case over
  /// The offer cannot be read, or nothing in it can be spoken with the caller.
  case notAcceptable
  /// No ports left, or no time of the processor to turn one encoding into another.
  case noRoom
  /// What a page says of ICE is of a generation that is over.
  case stale
}

/// Makes the media of a page from its offer.
package typealias PageMediaMaker = (SessionDescription) -> (any LegDescriptions)?

/// What a page gets for its offer.
package struct PageAnswer: Hashable, Sendable {
  /// Names the leg: 128 random bits.
  package var leg: String
  package var media: MediaLegID
  package var description: [UInt8]
  /// Names its generation of ICE.
  package var tag: String
}

/// What became of candidates that a page sent after its answer (RFC 8840).
package enum TrickleOutcome: Hashable, Sendable {
  case taken
  /// ICE was restarted: the fragment that describes our side of it.
  case restarted([UInt8])
  case malformed
  /// Of a generation that is over.
  case stale
}

extension CallTarget {
  var party: Caller {
    switch callee {
    case .account(let name): .account(name)
    case .station(let name): .station(name)
    }
  }
}

extension Switchboard {
  /// A page answers a call that rings for its account, the first of its account to do so. `making`: gives its media,
  /// where that is not for the board to make; nil when there is no room.
  package func answerPage(
    _ id: CallID, _ page: Contact, of account: AccountName, offer: [UInt8],
    making: PageMediaMaker? = nil, _ turn: inout Turn
  ) -> Result<PageAnswer, PageRefusal> {
    switch findRinging(id, page, of: account, &turn) {
    case .failure(let refusal): return .failure(refusal)
    case .success(let (leg, call, isNew)):
      defer { arm(call) }
      let answer = call.answered(byPage: leg, from: page.address, offer: offer, making: making, &turn)
      // Nobody could decline on behalf of one that only tried to answer.
      if isNew, case .failure = answer { call.withdraw(leg) }
      return answer
    }
  }

  /// A resident declines on a page. Its other devices go on ringing.
  package func declinePage(
    _ id: CallID, _ page: Contact, of account: AccountName, _ turn: inout Turn
  ) -> PageRefusal? {
    switch findRinging(id, page, of: account, &turn) {
    case .failure(let refusal): return refusal
    case .success(let (leg, call, _)):
      call.refused(leg, status: 603, &turn)
      arm(call)
      return nil
    }
  }

  /// Hangs up the conversation that a page has under this name.
  package func hangUpPage(
    _ id: CallID, leg name: String, of account: AccountName, _ turn: inout Turn
  ) -> PageRefusal? {
    guard let (leg, call) = findTalking(id, name, account) else { return whyNot(id, account) }
    call.ended(leg, .bye(Reason?.none), &turn)
    arm(call)
    return nil
  }

  /// Whether a page of this name rings in that call.
  package func rings(_ id: CallID, _ page: String) -> Bool {
    guard let call = running.first(where: { $0.id == id }) else { return false }
    return call.legs.contains { $0.contact?.id == page && $0.isPage && $0.state == .ringing }
  }

  /// Further candidates of a page that has answered; with `tag` `*` also new credentials, by which it asks for new paths
  /// because its network is another. Any other tag must be the newest that it was given. What came of it, and the tag
  /// that counts from now on.
  package func trickle(
    _ id: CallID, leg name: String, of account: AccountName, tag: String?, _ fragment: [UInt8],
    _ turn: inout Turn
  ) -> Result<(TrickleOutcome, tag: String), PageRefusal> {
    guard let (leg, _) = findTalking(id, name, account) else { return .failure(whyNot(id, account)) }
    let mayRestart = tag == "*"
    if let tag, !mayRestart, tag != leg.pageTag { return .failure(.stale) }
    let outcome = leg.media.trickle(fragment, mayRestart: mayRestart)
    if case .stale = outcome { return .failure(.stale) }
    if case .restarted = outcome { leg.pageTag = turn.random.hex(bytes: 8) }
    return .success((outcome, leg.pageTag))
  }

  /// A page is gone: where it rang, it rings no more. A conversation is ended by its media, should that be lost too.
  package func pageLost(_ page: String, _ turn: inout Turn) {
    for call in running {
      for leg in call.legs
      where leg.isPage && leg.contact?.id == page && leg.isLive && leg.state != .talking {
        call.refused(leg, status: 480, &turn)
      }
      arm(call)
    }
  }

  // MARK: Finding

  /// The leg of a page in a call that rings, made if it has none: then `isNew`.
  private func findRinging(
    _ id: CallID, _ page: Contact, of account: AccountName, _ turn: inout Turn
  ) -> Result<(Leg, Call, isNew: Bool), PageRefusal> {
    guard let call = running.first(where: { $0.id == id }), call.isHunting,
      let fork = call.hunt?.fork, !fork.isOver, call.hunt?.plan.isPage != true
    else { return .failure(whyNot(id, account)) }
    // The newest counts: one that went away and came back rings again.
    if let leg = fork.branches.last(where: { $0.contact?.id == page.id && $0.isPage && !$0.isAway }) {
      return leg.isLive ? .success((leg, call, isNew: false)) : .failure(.over)
    }
    // One that follows no events may answer what rings for its account all the same.
    guard let target = fork.step.targets.first(where: { $0.callee == .account(account) }) else {
      return .failure(whyNot(id, account))
    }
    return .success((call.addPage(target, page, &turn), call, isNew: true))
  }

  private func findTalking(_ id: CallID, _ name: String, _ account: AccountName) -> (Leg, Call)? {
    guard !name.isEmpty, let call = running.first(where: { $0.id == id }),
      let leg = call.legs.first(where: {
        $0.isPage && $0.pageName == name && $0.party == .account(account) && $0.state == .talking
      })
    else { return nil }
    return (leg, call)
  }

  /// Why an account has nothing to answer or to hang up in a call. Who never was part of it learns nothing of it.
  private func whyNot(_ id: CallID, _ account: AccountName) -> PageRefusal {
    if let call = running.first(where: { $0.id == id }) {
      guard call.legs.contains(where: { $0.party == .account(account) }) else { return .unknown }
      if case .talking = call.state { return .answeredElsewhere }
      return .over
    }
    let known = finished.last { $0.id == id }
    return known?.accounts.contains(account.rawValue) == true ? .over : .unknown
  }
}

extension Call {
  /// Rings a page: it is told by an event, and that is all there is to ringing it.
  func startPage(_ target: CallTarget, _ page: Contact, _ turn: inout Turn) {
    guard hunt?.plan.isPage != true else { return }
    let wasTold = hasRung
    let leg = addPage(target, page, &turn)
    if case .ringing = state, !wasTold { return }
    board.emit(.joined(record(), account: leg.party.username))
  }

  /// The same of a page that knows of the call already.
  @discardableResult
  func addPage(_ target: CallTarget, _ page: Contact, _ turn: inout Turn) -> Leg {
    let leg = Leg(
      session: SessionID(.none), party: target.party, unit: target.unit, contact: page,
      credential: page.credential, media: SilentDescriptions())
    leg.exchange = .fixed
    legs.append(leg)
    hunt?.fork?.branches.append(leg)
    progressed(leg, status: 180, body: nil, &turn)
    return leg
  }

  /// Takes the leg of a page away as if it had never been.
  func withdraw(_ leg: Leg) {
    guard leg.isLive, leg.state != .talking, !isOver else { return }
    legs.removeAll { $0 === leg }
    hunt?.fork?.branches.removeAll { $0 === leg }
  }

  /// A page answers with an offer of its own.
  func answered(
    byPage leg: Leg, from address: IPAddress?, offer: [UInt8], making: PageMediaMaker?, _ turn: inout Turn
  ) -> Result<PageAnswer, PageRefusal> {
    guard leg.isLive, leg.state != .talking, isHunting else { return .failure(.over) }
    guard let description = SessionDescription(.sdp(offer)) else { return .failure(.notAcceptable) }
    let near = near
    let hasPicture =
      description.media.contains { $0.kind == .video && !$0.isRejected } && near.media.offered(.video) != nil
    let made =
      making.map { $0(description) }
      ?? board.descriptions(
        of: leg.contact?.form ?? .plain, video: hasPicture, offer: description, facing: address, &turn)
    guard let descriptions = made else { return .failure(.noRoom) }
    let silent = leg.media
    leg.media = descriptions
    guard leg.media.takeOffer(description), leg.media.offered(.audio) != nil,
      let answer = answerBody(for: leg, facing: near),
      leg.media.settled(.audio) != nil
    else {
      _ = board.media.close(descriptions.id)
      leg.media = silent
      return .failure(.notAcceptable)
    }
    leg.pageName = turn.random.hex(bytes: 16)
    leg.pageTag = turn.random.hex(bytes: 8)
    board.register(media: descriptions.id, leg, self)
    if let refusal = join(leg, &turn) {
      board.forget(media: descriptions.id)
      _ = board.media.close(descriptions.id)
      leg.media = silent
      return .failure(refusal == .codersBusy ? .noRoom : .notAcceptable)
    }
    return .success(
      PageAnswer(leg: leg.pageName, media: descriptions.id, description: answer.bytes, tag: leg.pageTag))
  }
}

/// A leg that has nothing to say of media yet: a page before it answers.
private final class SilentDescriptions: LegDescriptions {
  var id: MediaLegID { .none }
  var form: MediaForm { .webRTC }
  var hasRemote: Bool { false }

  func takeOffer(_ description: SessionDescription) -> Bool { false }
  func dismissOffer() {}
  func offered(_ kind: MediaKind) -> (formats: [Format], direction: Direction)? { nil }
  func answer(
    audio: [Format], _ direction: Direction, video: [Format], videoDirection: Direction
  ) -> Body? { nil }
  func offer(audio: [Format], _ direction: Direction, video: [Format], videoDirection: Direction) -> Body {
    .sdp([])
  }
  func settle(_ answer: SessionDescription) -> Bool { false }
  func withdrawOffer() {}
  func settled(_ kind: MediaKind) -> PeerStream? { nil }
  func stream(_ kind: MediaKind) -> LegStream? { nil }
}
