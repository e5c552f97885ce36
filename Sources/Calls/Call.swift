internal import Directory
internal import SDP
internal import SIP
internal import Wire

// A call: the caller's leg, a hunt for somebody who answers, and then two legs that talk.
//
// | state        | what is true                                   | event                      | becomes |
// | ------------ | ---------------------------------------------- | -------------------------- | ------- |
// | arriving     | the INVITE was admitted, nothing decided       | refused by the plan        | over |
// |              |                                                | a plan, with somebody there| ringing, paging |
// |              |                                                | *78, *79                   | confirming |
// | ringing      | a fork rings; the caller has no answer         | 200 of a device            | talking; answering if the caller gave no offer |
// |              |                                                | step over                  | ringing (next step), over |
// |              |                                                | CANCEL, 603 by rule        | over |
// | answering    | the caller has our offer in a 200              | ACK with an answer         | talking |
// |              |                                                | ACK without, BYE           | over |
// | talking      | two legs are bridged                           | BYE, timers, lost media    | over |
// |              |                                                | blind REFER                | transferring |
// |              |                                                | attended REFER, Replaces   | talking, with another leg |
// | transferring | one leg stays, a fork rings on its behalf      | 200 of a device            | talking |
// |              |                                                | nobody answers             | talking again, over if who asked is gone |
// | paging       | panels that answered hear the caller           | BYE, timers, nobody left   | over |
// | confirming   | the caller is answered and hears a tone        | a moment later             | over |
// | over         | every leg is released, the record is out       | –                          | – |
final class Call {
  enum State {
    case arriving
    case ringing
    case answering(Leg)
    case talking(Leg, Leg)
    case transferring(stays: Leg, leaves: Leg?)
    case paging
    case confirming
    case over
  }

  unowned let board: Switchboard
  let number: UInt64
  let id: CallID
  let invitation: Invitation
  let caller: Leg
  var state = State.arriving
  var hunt: Hunt?
  var unit: UnitID?
  /// Who was put through to those that ring; nil for the caller.
  var visitor: Caller?
  /// Every leg there ever was, the caller first.
  var legs: [Leg]
  /// Whether the caller has had a final answer to its INVITE.
  var isCallerAnswered = false
  let started: WallTime
  var answeredAt: WallTime?
  var talkingSince: Instant?
  var answeredBy: String?
  var hasRung = false

  // Deadlines; the earliest is armed.
  var stepEnds: Instant?
  var talkEnds: Instant?
  var mediaCheck: Instant?
  var hangUpAt: Instant?

  init(board: Switchboard, number: UInt64, id: CallID, invitation: Invitation, caller: Leg, started: WallTime)
  {
    self.board = board
    self.number = number
    self.id = id
    self.invitation = invitation
    self.caller = caller
    self.started = started
    unit = nil
    legs = [caller]
  }

  var isOver: Bool { if case .over = state { true } else { false } }

  /// A dialled service is being confirmed: nobody is in conversation.
  var isConfirming: Bool { if case .confirming = state { true } else { false } }

  /// The leg on whose behalf devices are rung.
  var near: Leg {
    if case .transferring(let stays, _) = state { stays } else { caller }
  }

  /// The station of this call, calling or called.
  var station: Leg? { legs.first { $0.isStation && $0.isLive } }

  /// The leg at the other end of a conversation.
  func other(_ leg: Leg) -> Leg? {
    switch state {
    case .talking(let first, let second): leg === first ? second : leg === second ? first : nil
    case .transferring(let stays, let leaves?): leg === stays ? leaves : leg === leaves ? stays : nil
    case .answering(let far): leg === far ? caller : far
    case .arriving, .ringing, .transferring, .paging, .confirming, .over: nil
    }
  }

  // MARK: Arrival

  /// Decides what becomes of the INVITE. Media for the caller is reserved already.
  func arrive(_ decision: CallDecision, _ turn: inout Turn) {
    switch decision {
    case .refuse(let refusal):
      finish(refusal.end, status: refusal.status, reason: nil, &turn)
    case .doNotDisturb(let account, let on):
      confirm(account, on, &turn)
    case .call(let plan):
      unit = plan.unit
      hunt = Hunt(plan: plan)
      if plan.isPage {
        page(&turn)
      } else {
        state = .ringing
        nextStep(&turn)
      }
    }
  }

  /// `*78` and `*79`: answered with a short tone, so that whoever dialled hears that it worked.
  func confirm(_ account: AccountName, _ on: Bool, _ turn: inout Turn) {
    guard let body = answerBody(for: caller, facing: nil) else {
      return finish(.failed, status: 488, reason: nil, &turn)
    }
    board.emit(.doNotDisturb(account, on: on))
    if !caller.media.hasRemote { caller.exchange = .acknowledging }
    answerCaller(body, &turn)
    applyStreams(of: caller)
    board.media.play(.opened, on: caller.media.id)
    state = .confirming
    hangUpAt = turn.now + Switchboard.confirmationLasts
  }

  // MARK: Ringing

  /// Rings the next step with anybody to reach; after the last one, gives up.
  func nextStep(_ turn: inout Turn) {
    while let step = hunt?.nextStep() {
      hunt?.fork = Fork(step: step, deadline: turn.now + step.timeout)
      stepEnds = turn.now + step.timeout
      for target in step.targets {
        let contacts = board.dialplan.contacts(of: target)
        if contacts.isEmpty { hunt?.tally.count(.unreachable, rang: false) }
        // What one page of an account is told, its others hear too.
        let first = contacts.first(where: \.isPage)
        for contact in contacts {
          if contact.isPage, contact.id != first?.id {
            addPage(target, contact, &turn)
          } else {
            startBranch(target, contact, &turn)
          }
        }
      }
      if let fork = hunt?.fork, !fork.isOver { return }
    }
    stepEnds = nil
    giveUp(&turn)
  }

  /// Rings one device as part of the fork.
  func startBranch(_ target: CallTarget, _ contact: Contact, _ turn: inout Turn) {
    if contact.isPage { return startPage(target, contact, &turn) }
    let near = near
    let video = near.media.offered(.video) != nil
    guard
      let descriptions = board.descriptions(
        of: contact.form, video: video, offer: nil, facing: contact.address, &turn)
    else {
      hunt?.tally.countFailure()
      return
    }
    let leg = Leg(
      session: SessionID(.none), party: target.party, unit: target.unit, contact: contact,
      credential: contact.credential,
      media: descriptions)
    legs.append(leg)
    hunt?.fork?.branches.append(leg)
    board.register(media: descriptions.id, leg, self)
    if !invite(leg, contact, offerBody(to: leg, onBehalfOf: near), &turn) {
      over(leg, .unreachable, 503)
      hunt?.tally.countFailure()
    }
  }

  /// False when the agent has no room for one more session.
  func invite(_ leg: Leg, _ contact: Contact, _ body: Body, _ turn: inout Turn) -> Bool {
    let near = near
    var headers: [(String, String)] = []
    if hunt?.plan.isPage == true {
      headers = [
        ("Call-Info", "<sip:\(near.party.username)@\(board.configuration.domain)>;answer-after=0"),
        ("Alert-Info", "<http://localhost>;info=alert-autoanswer"),
      ]
    }
    guard let destination = contact.destination else { return false }
    headers += board.dialplan.view(of: near.party, for: leg.party, in: id, &turn)
    let from = Party(
      username: near.party.username, display: board.dialplan.displayName(of: near.party))
    leg.session = board.signalling.invite(
      LegInvitation(
        from: from, to: leg.party.username, destination: destination, headers: headers, body: body),
      &turn)
    guard leg.session != SessionID(.none) else { return false }
    board.register(session: leg.session, leg, self)
    return true
  }

  /// 18x of a device.
  func progressed(_ leg: Leg, status: Int, body: Body?, _ turn: inout Turn) {
    guard leg.isLive, leg.state != .talking else { return }
    leg.ring(status)
    switch state {
    case .ringing:
      if early(leg, body, &turn) { return }
      if !hasRung {
        hasRung = true
        board.signalling.ring(caller.session, status: 180, body: nil, &turn)
        caller.ring(180)
        board.emit(.ringing(record()))
      }
    case .transferring(_, let leaves?):
      if !hasRung {
        hasRung = true
        board.signalling.notifyTransfer(leaves.session, status: 180, &turn)
      }
    case .arriving, .answering, .talking, .transferring, .paging, .confirming, .over: break
    }
  }

  /// Early media, where the building wants it: the only device of a fork has described its sound already. Never
  /// towards a station, which would take it for the answer.
  func early(_ leg: Leg, _ body: Body?, _ turn: inout Turn) -> Bool {
    guard board.configuration.earlyMedia == .relayed, !caller.isStation, hunt?.fork?.branches.count == 1,
      caller.media.hasRemote, let description = SessionDescription(body), leg.media.settle(description),
      let answer = answerBody(for: caller, facing: leg)
    else { return false }
    connect(caller, leg)
    board.signalling.ring(caller.session, status: 183, body: answer, &turn)
    caller.ring(183)
    if !hasRung {
      hasRung = true
      board.emit(.ringing(record()))
    }
    return true
  }

  /// A final refusal of a device, or its silence.
  func refused(_ leg: Leg, status: Int, _ turn: inout Turn) {
    guard leg.isLive else { return }
    guard leg !== caller else {
      // The agent gave the caller's INVITE up.
      over(leg, .unreachable, status)
      return finish(.failed, status: status, reason: .peerLost, &turn)
    }
    switch Verdict(status: status) {
    case .mismatch:
      if retry(leg, &turn) { return }
      lose(leg, .mismatch, status, &turn)
    case .busy: lose(leg, .busy, status, &turn)
    case .unreachable: lose(leg, .unreachable, status, &turn)
    case .declined:
      if hunt?.fork?.step.declineEnds == true, isHunting {
        over(leg, .declined, status)
        hunt?.tally.count(.declined, rang: true)
        for branch in hunt?.fork?.live ?? [] { release(branch, .cancelled, .declined, &turn) }
        stepEnds = nil
        giveUp(&turn, with: (603, .declined))
      } else {
        lose(leg, .declined, status, &turn)
      }
    }
  }

  /// Asks once more with sound alone, PCMA first and whatever else can be transcoded, if the near leg's sound can.
  func retry(_ leg: Leg, _ turn: inout Turn) -> Bool {
    guard let contact = leg.contact, !leg.hasRetried, isHunting || isPaging else { return false }
    let formats = nearFormats
    guard
      formats.isEmpty
        || formats.contains(where: { one in
          board.configuration.transcoding.contains { $0.isSameEncoding(as: one) }
        })
    else { return false }
    leg.hasRetried = true
    board.forget(session: leg.session)
    leg.media.withdrawOffer()
    let direction: Direction = isPaging ? .sendonly : .sendrecv
    return invite(
      leg, contact,
      leg.media.offer(audio: board.configuration.transcoding + [.telephoneEvent(101)], direction), &turn)
  }

  /// One device is out. The step ends when it was the last.
  func lose(_ leg: Leg, _ end: LegEnd, _ code: Int, _ turn: inout Turn) {
    over(leg, end, code)
    hunt?.tally.count(end, rang: leg.hasRung)
    if case .paging = state { return pageLost(&turn) }
    guard isHunting, let fork = hunt?.fork, fork.isOver else { return }
    nextStep(&turn)
  }

  var isHunting: Bool {
    switch state {
    case .ringing, .transferring: true
    case .arriving, .answering, .talking, .paging, .confirming, .over: false
    }
  }
  var isPaging: Bool { if case .paging = state { true } else { false } }

  /// Nobody took the call.
  func giveUp(_ turn: inout Turn, with verdict: (status: Int, end: CallEnd)? = nil) {
    let (status, end) = verdict ?? hunt?.tally.verdict ?? (480, .unreachable)
    if case .transferring(let stays, let leaves) = state {
      transferFailed(stays, leaves, status: status, &turn)
    } else {
      finish(end, status: status, reason: end == .declined ? .declined : .missed, &turn)
    }
  }

  /// 200 of a device: the first wins.
  func answered(_ leg: Leg, body: Body?, _ turn: inout Turn) {
    guard leg.isLive, leg.state != .talking else { return }
    if case .paging = state { return pageAnswered(leg, body, &turn) }
    guard isHunting else { return }
    guard let description = SessionDescription(body), leg.media.settle(description) else {
      board.signalling.hangUp(leg.session, reason: .notAcceptable, &turn)
      return lose(leg, .mismatch, 488, &turn)
    }
    guard let refusal = join(leg, &turn) else { return }
    board.signalling.hangUp(leg.session, reason: refusal, &turn)
    if refusal == .codersBusy {
      over(leg, .unreachable, 503)
      hunt?.tally.countFailure()
      if let fork = hunt?.fork, fork.isOver { nextStep(&turn) }
    } else {
      lose(leg, .mismatch, 488, &turn)
    }
  }

  /// A device has answered and its sound is settled: it has the call, and nobody else. Otherwise why it cannot have it;
  /// the others ring on then.
  func join(_ leg: Leg, _ turn: inout Turn) -> Reason? {
    if case .transferring(let stays, let leaves) = state {
      takeFork(leg, &turn)
      transferAnswered(stays, leaves, by: leg, &turn)
      return nil
    }
    guard let answer = answerBody(for: caller, facing: leg) else { return .notAcceptable }
    guard board.media.affords(caller.media.stream(.audio), leg.media.stream(.audio)) else {
      return .codersBusy
    }
    takeFork(leg, &turn)
    answeredAt = board.dialplan.wall
    answeredBy = leg.party.username
    let isLate = !caller.media.hasRemote
    answerCaller(answer, &turn)
    if isLate {
      caller.exchange = .acknowledging
      state = .answering(leg)
    } else {
      state = .talking(caller, leg)
      connect(caller, leg)
    }
    beginTalk(&turn)
    board.emit(.answered(record()))
    return nil
  }

  /// One device has the call: the others of its fork fall silent.
  private func takeFork(_ leg: Leg, _ turn: inout Turn) {
    leg.talk(now: turn.now)
    for branch in hunt?.fork?.live ?? [] where branch !== leg {
      release(branch, .cancelled, .completedElsewhere, &turn)
    }
    stepEnds = nil
  }

  func answerCaller(_ body: Body, _ turn: inout Turn) {
    isCallerAnswered = true
    caller.talk(now: turn.now)
    board.signalling.answer(caller.session, body: body, &turn)
  }

  /// Starts the clocks of a conversation.
  func beginTalk(_ turn: inout Turn) {
    talkingSince = turn.now
    mediaCheck = turn.now + Switchboard.mediaCheckEvery
    var longest = board.configuration.longestTalk
    if let station, case .station(let name) = station.party, let settings = board.dialplan.station(name) {
      longest = min(longest, settings.maxTalk)
    }
    talkEnds = turn.now + longest
  }

  /// The caller gave up.
  func cancelled(_ reason: Reason?, _ turn: inout Turn) {
    over(caller, .cancelled, 487)
    finish(.cancelled, status: 487, reason: reason ?? .missed, &turn)
  }

  // MARK: Time

  var nextDeadline: Instant? { [stepEnds, talkEnds, mediaCheck, hangUpAt].compactMap { $0 }.min() }

  func advance(_ turn: inout Turn) {
    if let at = stepEnds, at <= turn.now {
      stepEnds = nil
      stepTimedOut(&turn)
    }
    if let at = hangUpAt, at <= turn.now, !isOver {
      hangUpAt = nil
      finish(.answered, status: 480, reason: .doorOpened, &turn)
    }
    if let at = talkEnds, at <= turn.now, !isOver {
      talkEnds = nil
      finish(.answered, status: 480, reason: .talkedTooLong, &turn)
    }
    if let at = mediaCheck, at <= turn.now, !isOver {
      mediaCheck = turn.now + Switchboard.mediaCheckEvery
      checkMedia(&turn)
    }
  }

  func stepTimedOut(_ turn: inout Turn) {
    let waiting = hunt?.fork?.live.filter { $0.state != .talking } ?? []
    for branch in waiting {
      release(branch, .noanswer, .missed, &turn)
      hunt?.tally.count(.noanswer, rang: true)
    }
    if case .paging = state { return pageLost(&turn) }
    if isHunting { nextStep(&turn) }
  }
}

extension CallRefusal {
  var end: CallEnd {
    switch self {
    case .unknown, .emergencyWithoutTarget, .notAllowed: .refused
    case .doNotDisturb, .nobody: .unreachable
    case .busy: .busy
    }
  }
}

extension CallEnd {
  /// What the caller's own leg became when the call ended so before an answer.
  var ofCaller: LegEnd {
    switch self {
    case .answered: .answered
    case .noanswer: .noanswer
    case .busy: .busy
    case .declined: .declined
    case .cancelled: .cancelled
    case .unreachable, .refused, .failed: .unreachable
    }
  }
}
