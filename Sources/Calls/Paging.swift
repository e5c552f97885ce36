internal import Directory
internal import SDP
internal import SIP
internal import Wire

// Paging: one caller is heard by every panel that answers by itself, and hears nothing.

extension Call {
  /// Calls every panel at once.
  func page(_ turn: inout Turn) {
    state = .paging
    guard let step = hunt?.nextStep() else { return finish(.unreachable, status: 480, reason: nil, &turn) }
    hunt?.fork = Fork(step: step, deadline: turn.now + Switchboard.pageAnswerWithin)
    stepEnds = turn.now + Switchboard.pageAnswerWithin
    for target in step.targets {
      let contacts = board.dialplan.contacts(of: target)
      if contacts.isEmpty { hunt?.tally.count(.unreachable, rang: false) }
      for contact in contacts { startBranch(target, contact, &turn) }
    }
    pageLost(&turn)
  }

  /// A panel listens. The first one lets the caller speak.
  func pageAnswered(_ leg: Leg, _ body: Body?, _ turn: inout Turn) {
    guard let description = SessionDescription(body), leg.media.settle(description) else {
      board.signalling.hangUp(leg.session, reason: .notAcceptable, &turn)
      return lose(leg, .mismatch, 488, &turn)
    }
    leg.talk(now: turn.now)
    if !isCallerAnswered {
      guard let answer = answerBody(for: caller, facing: leg) else {
        return finish(.failed, status: 488, reason: .notAcceptable, &turn)
      }
      if !caller.media.hasRemote { caller.exchange = .acknowledging }
      answeredAt = board.dialplan.wall
      answeredBy = leg.party.username
      answerCaller(answer, &turn)
      applyStreams(of: caller)
      talkingSince = turn.now
      talkEnds = turn.now + Switchboard.longestPage
      board.emit(.answered(record()))
    }
    applyStreams(of: leg)
    let listeners = legs.filter { $0 !== caller && $0.state == .talking }
    board.media.page(from: caller.media.id, to: listeners.map(\.media.id))
  }

  /// A panel is out, or the time to answer is: without any panel left the page is over.
  func pageLost(_ turn: inout Turn) {
    guard let fork = hunt?.fork, fork.isOver else { return }
    if isCallerAnswered {
      finish(.answered, status: 480, reason: nil, &turn)
    } else {
      let verdict = hunt?.tally.verdict ?? (480, .unreachable)
      finish(verdict.end, status: verdict.status, reason: .missed, &turn)
    }
  }
}
