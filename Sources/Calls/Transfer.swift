internal import Directory
internal import SIP
internal import Wire

// Transfer (RFC 3515, 3891): the gateway carries it out by itself. Who stays, a station mostly, sees at most a
// re-INVITE; who asked is told how it goes and hung up when it is done.

extension Call {
  /// REFER inside a leg.
  func transferRequested(
    _ leg: Leg, _ transaction: TransactionID, _ request: TransferRequest, _ turn: inout Turn
  ) {
    // A station has nobody to hand a visitor to; whoever speaks in its name must not join two units.
    guard case .talking = state, leg.state == .talking, !leg.isStation, let stays = other(leg) else {
      return board.signalling.reply(transaction, status: 403, &turn)
    }
    if let replaced = request.replaces {
      return attended(leg, stays, transaction, replaced, &turn)
    }
    let decision = board.dialplan.decide(
      leg.party, dialled: request.dialled, busyUnits: board.busyUnits(except: self))
    guard case .call(let plan) = decision, !plan.isPage else {
      if case .refuse(let refusal) = decision {
        return board.signalling.reply(transaction, status: refusal.status, &turn)
      }
      return board.signalling.reply(transaction, status: 403, &turn)
    }
    board.signalling.reply(transaction, status: 202, &turn)
    board.signalling.notifyTransfer(leg.session, status: 100, &turn)
    hunt = Hunt(plan: plan)
    ringAnew()
    visitor = stays.party
    state = .transferring(stays: stays, leaves: leg)
    nextStep(&turn)
  }

  func transferAnswered(_ stays: Leg, _ leaves: Leg?, by leg: Leg, _ turn: inout Turn) {
    state = .talking(stays, leg)
    unit = leg.unit ?? unit
    if let leaves {
      board.signalling.notifyTransfer(leaves.session, status: 200, &turn)
      release(leaves, .answered, .transferred, &turn)
    }
    rejoin(stays, leg, &turn)
  }

  /// Nobody took it: the conversation goes on as it was, if who asked is still there.
  func transferFailed(_ stays: Leg, _ leaves: Leg?, status: Int, _ turn: inout Turn) {
    guard let leaves else { return finish(.answered, status: status, reason: .transferred, &turn) }
    visitor = nil
    state = .talking(stays, leaves)
    stays.heardAt = turn.now
    leaves.heardAt = turn.now
    board.signalling.notifyTransfer(leaves.session, status: status, &turn)
  }

  /// `leg` talks in this call and in another, and wants the two other ends joined.
  private func attended(
    _ leg: Leg, _ stays: Leg, _ transaction: TransactionID, _ replaced: SessionID, _ turn: inout Turn
  ) {
    guard let (second, from) = board.find(replaced), from !== self, second.party == leg.party,
      case .talking = from.state, let joins = from.other(second)
    else { return board.signalling.reply(transaction, status: 481, &turn) }
    board.signalling.reply(transaction, status: 202, &turn)
    from.give(joins, to: self, &turn)
    legs.append(joins)
    state = .talking(stays, joins)
    unit = joins.unit ?? unit
    board.signalling.notifyTransfer(leg.session, status: 200, &turn)
    release(leg, .answered, .transferred, &turn)
    rejoin(stays, joins, &turn)
  }

  /// Lets a leg go to another call and ends this one.
  private func give(_ leg: Leg, to other: Call, _ turn: inout Turn) {
    legs.removeAll { $0 === leg }
    board.register(session: leg.session, leg, other)
    board.register(media: leg.media.id, leg, other)
    finish(.answered, status: 480, reason: .transferred, &turn)
  }

  /// INVITE with Replaces: `leg` takes the place of `replaced` and talks to its other end. False when it may not.
  func replace(_ replaced: Leg, with leg: Leg, in from: Call, _ turn: inout Turn) -> Bool {
    guard case .talking = state, let stays = other(replaced),
      replaced.party == leg.party || isSameUnit(replaced, leg),
      leg.media.hasRemote, let answer = answerBody(for: leg, facing: stays)
    else { return false }
    from.isCallerAnswered = true
    leg.talk(now: turn.now)
    board.signalling.answer(leg.session, body: answer, &turn)
    from.legs.removeAll { $0 === leg }
    from.state = .over
    board.register(session: leg.session, leg, self)
    board.register(media: leg.media.id, leg, self)
    board.remove(from)
    legs.append(leg)
    state = .talking(stays, leg)
    release(replaced, .answered, .transferred, &turn)
    rejoin(stays, leg, &turn)
    return true
  }

  private func isSameUnit(_ one: Leg, _ other: Leg) -> Bool { one.unit != nil && one.unit == other.unit }
}
