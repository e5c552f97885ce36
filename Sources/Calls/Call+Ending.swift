internal import Directory
internal import SIP
internal import Wire

// How a call ends, leg by leg and as a whole, and what it leaves behind.

extension Call {
  /// The session of a leg is gone, by the peer's doing or its silence.
  func ended(_ leg: Leg, _ ending: Ending, _ turn: inout Turn) {
    guard leg.isLive else { return }
    let wasTalking = leg.state == .talking
    let reason = Reason.relaying(ending)
    over(leg, wasTalking ? .answered : .unreachable, nil)
    switch state {
    case .over: break
    case .paging:
      if leg === caller { finish(.answered, status: 487, reason: reason, &turn) } else { pageLost(&turn) }
    case .transferring(let stays, let leaves) where leg === leaves:
      // Who asked for the transfer need not wait for it.
      state = .transferring(stays: stays, leaves: nil)
      board.media.unbridge(stays.media.id)
    case .ringing, .transferring:
      if leg === near {
        finish(isCallerAnswered ? .answered : .failed, status: 487, reason: reason ?? .missed, &turn)
      } else {
        hunt?.tally.count(.unreachable, rang: leg.hasRung)
        if let fork = hunt?.fork, fork.isOver { nextStep(&turn) }
      }
    case .arriving, .answering, .talking, .confirming:
      finish(isCallerAnswered ? .answered : .failed, status: 487, reason: reason, &turn)
    }
  }

  /// Ends everything: refuses, cancels or hangs up each leg that is left, gives the media back, tells the record.
  func finish(_ end: CallEnd, status: Int, reason: Reason?, _ turn: inout Turn) {
    guard !isOver else { return }
    let hadAnswer = talkingSince
    state = .over
    for leg in legs where leg.isLive {
      if leg === caller, !isCallerAnswered {
        let headers = status == 503 ? [("Retry-After", "10")] : []
        board.signalling.refuse(leg.session, status: status, headers: headers, &turn)
        over(leg, end.ofCaller, status)
      } else {
        release(leg, .cancelled, reason, &turn)
      }
    }
    var record = record()
    record.ended = board.dialplan.wall
    record.end = end
    if let hadAnswer, turn.now - hadAnswer >= Switchboard.shortestJudged {
      let talked = record.legs.filter { $0.state == .answered }
      let mute = talked.filter { $0.counts.packetsIn == 0 }
      record.isSilent = talked.count >= 2 && mute.count == talked.count
      record.isOneWay = !record.isSilent && !mute.isEmpty && hunt?.plan.isPage != true
    }
    board.emit(.ended(record))
    board.remove(self)
  }

  /// Takes one leg down in the way its state asks for.
  func release(_ leg: Leg, _ end: LegEnd, _ reason: Reason?, _ turn: inout Turn) {
    if leg.state == .talking {
      if !leg.isPage { board.signalling.hangUp(leg.session, reason: reason, &turn) }
      over(leg, .answered, nil)
    } else {
      if !leg.isPage { board.signalling.cancel(leg.session, reason: reason, &turn) }
      over(leg, end, 487)
    }
  }

  /// Forgets a leg whose session is gone or going.
  func over(_ leg: Leg, _ end: LegEnd, _ code: Int?) {
    board.forget(session: leg.session)
    board.forget(media: leg.media.id)
    leg.finish(end, code: code, counts: leg.hasMedia ? board.media.close(leg.media.id) : StreamCounts())
    let account = leg.party.username
    if leg !== caller, !legs.contains(where: { $0.isLive && $0.party.username == account }) {
      board.emit(.left(id, account: account))
    }
  }

  /// The call as it stands.
  func record() -> CallRecord {
    var stationName: StationName?
    for leg in legs { if case .station(let name) = leg.party, stationName == nil { stationName = name } }
    return CallRecord(
      id: id, from: invitation.caller.username,
      visitor: (visitor ?? invitation.caller).username, target: invitation.dialled, unit: unit,
      station: stationName, started: started, answered: answeredAt, answeredBy: answeredBy, ended: nil,
      end: nil,
      legs: legs.map {
        $0.record(counts: $0.isLive && $0.hasMedia ? board.media.counts($0.media.id) : nil)
      },
      isOneWay: false, isSilent: false, callID: invitation.callID)
  }

  /// Two talk, even while one of them is being put through to somebody else.
  var isConversation: Bool {
    switch state {
    case .talking, .transferring: true
    default: false
    }
  }

  /// A further round of ringing inside the same call tells anew that it rings.
  func ringAnew() { hasRung = false }
}
