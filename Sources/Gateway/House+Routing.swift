internal import Calls
internal import Cameras
internal import Directory
internal import Doors
internal import JSON
internal import Journal
internal import Management
internal import MediaPlane
internal import SDP
internal import SIP
internal import Store
internal import Web
internal import WebRTC
internal import Wire

// Who hears what: the one table of events in the house.

extension House {
  // MARK: From the agent

  func route(_ event: AgentEvent, _ turn: inout Turn) {
    switch event {
    case .request(let transaction, let message, let flow, let identity):
      answer(transaction, message, flow, identity, &turn)
    case .response(let transaction, let message):
      if message.status >= 200 { pinged(transaction, isAnswered: true, &turn) }
    case .unanswered(let transaction, _): pinged(transaction, isAnswered: false, &turn)

    case .invited(let session, let message, let flow, let identity):
      calls.invited(session, invitation(message, flow, identity), &turn)
      warmCameras()
    case .progressed(let session, let status, let body, _):
      calls.progressed(session, status: status, body: body, &turn)
    case .answered(let session, let body, _): calls.answered(session, body: body, &turn)
    case .refused(let session, let status, _): calls.refused(session, status: status, &turn)
    case .cancelled(let session, let reason): calls.cancelled(session, reason: reason, &turn)
    case .confirmed(let session, let body): calls.confirmed(session, body: body, &turn)
    case .offered(let session, let body): calls.offered(session, body: body, &turn)
    case .offerAccepted(let session, let body): calls.offerAccepted(session, body: body, &turn)
    case .offerRefused(let session, _): calls.offerRefused(session, &turn)
    case .informed(let session, let transaction, let body):
      calls.informed(session, transaction, body, &turn)
    case .transferRequested(let session, let transaction, let referTo, let replaces):
      calls.transferRequested(
        session, transaction,
        TransferRequest(
          dialled: referTo.uri.decodedUser ?? "", replaces: replaces.flatMap { agent.session(named: $0) }),
        &turn)
    case .ended(let session, let ending): calls.ended(session, ending, &turn)

    case .resolve(let ticket, let query):
      world.resolve(query) { [weak gateway] names in
        gateway?.soon { [weak gateway] turn in gateway?.house?.agent.resolved(ticket, names, &turn) }
      }
    case .mistake(let mistake, let flow):
      gateway.log.write(
        .debug, "sip.mistake", "\(mistake)", ["from": .address(Address(flow.remote))])
    }
  }

  private func invitation(_ message: Message, _ flow: Flow, _ identity: Identity) -> Invitation {
    let caller: Caller
    var credential: UInt64?
    switch identity {
    case .account(let name, let proof):
      caller = .account(AccountName(name))
      credential = proof
    case .station(let name, let proof):
      caller = .station(StationName(name))
      credential = proof
    }
    return Invitation(
      caller: caller, credential: credential, dialled: message.requestURI?.decodedUser ?? "",
      callID: message.callID,
      body: message.hasBody
        ? Body(contentType: message.contentType ?? "application/sdp", bytes: message.body) : nil,
      source: flow.remote.address, replaces: agent.session(replacedBy: message), form: form(message, flow))
  }

  /// An offer says itself what it is made of; without one whoever came by WebSocket is a browser.
  private func form(_ invite: Message, _ flow: Flow) -> MediaForm {
    guard invite.hasBody, let offer = try? SessionDescription(parsing: invite.body) else {
      return flow.transport.isWeb ? .webRTC : .plain
    }
    return PeerConnection.isWebRTC(offer) ? .webRTC : .plain
  }

  // MARK: From the media plane

  func route(_ event: MediaEvent, _ turn: inout Turn) {
    switch event {
    case .key(let leg, let digit, _): calls.keyReceived(digit, on: MediaLegID(leg.handle), &turn)
    case .failed(let leg): if !whep.lost(leg) { calls.mediaFailed(MediaLegID(leg.handle), &turn) }
    case .keyFrameWanted(let feed): screens.keyFrameWanted(feed).map { cameras.requestKeyFrame($0) }
    case .rateWanted(let feed, let bits):
      screens.rateWanted(feed, bitsPerSecond: bits).map { cameras.limit($0, bitsPerSecond: bits) }
    case .picture(let leg, let picture): pictures.take(picture, from: leg)
    case .unusable(let leg, let verdict): pictures.fail(leg, verdict)
    case .firstPacket, .silent, .resumed, .promptEnded, .keysSent:
      // Calls looks at the counts of its legs itself; nobody else asks.
      break
    }
  }

  // MARK: From calls

  func route(_ event: CallEvent, _ turn: inout Turn) {
    switch event {
    case .ringing(let record):
      tellRinging(record, &turn.random)
      photographRing(record)
    case .joined(let record, let account): tellRinging(record, &turn.random, onlyTo: AccountName(account))
    case .left(let call, let account): left(call, AccountName(account))
    case .answered(let record):
      reviewPictures()
      tell("call.answered", record)
    case .ended(let record):
      reviewPictures()
      photographEnd(record)
      views.end(call: record.id.text)
      coolCameras(record.id)
      tell("call.ended", record)
      finished(record)
    case .key(let press):
      doors.press(
        press.digit, by: press.account, in: Doors.CallID(Porter.number(of: press.call)), at: moment)
    case .doNotDisturb(let account, let on): setQuiet(account: account, on) { _ in }
    }
  }

  private func tell(_ type: String, _ record: CallRecord) {
    gateway.feed.publish(type, at: world.wall, to: audience(of: record), details(of: record))
  }

  private func finished(_ record: CallRecord) {
    tallies.calls.add()
    if record.answered != nil { tallies.answered.add() }
    if record.isOneWay { tallies.oneWay.add() }
    if record.isSilent { tallies.silent.add() }
    if record.isOneWay || record.isSilent {
      gateway.log.write(
        .warning, "call.sound", record.isSilent ? "an answered call had no sound" : "sound went one way only",
        ["call": .text(record.id.text), "from": .text(record.from)])
    }
    gateway.log.write(
      .info, "call.ended", "call ended: \(record.end?.rawValue ?? "")",
      [
        "call": .text(record.id.text), "from": .text(record.from), "target": .text(record.target),
        "by": .text(record.answeredBy ?? ""),
      ])
    doors.ended(Doors.CallID(Porter.number(of: record.id)))
    noteRing(record)
    gateway.keeper.commit([.call(CallRow(record))])
  }

  // MARK: From the registrar

  func route(_ event: Registrar.Event, _ turn: inout Turn) {
    switch event {
    case .registered(let binding):
      tallies.registrations.add()
      gateway.keeper.bind(binding, isNew: true)
      tell("device.registered", binding)
      returned(binding, &turn)
      if let contact = dialplan.contact(binding) { calls.registered(contact, of: binding.account, &turn) }
    case .refreshed(let binding):
      gateway.keeper.bind(binding, isNew: false)
      returned(binding, &turn)
      if let contact = dialplan.contact(binding) { calls.registered(contact, of: binding.account, &turn) }
    case .removed(let binding, _):
      gateway.keeper.unbind(binding)
      tell("device.lost", binding)
    case .ping(let binding): ping(binding, &turn)
    case .reachChanged(let binding):
      tell(binding.reach == .unreachable ? "device.lost" : "device.registered", binding)
    }
  }

  /// A browser that reconnected finds its call where it left it.
  private func returned(_ binding: Binding, _ turn: inout Turn) {
    guard binding.isTied, let uri = binding.uri else { return }
    agent.returned(binding.account, contact: uri, on: binding.flow, &turn)
  }

  private func tell(_ type: String, _ binding: Binding) {
    gateway.feed.publish(
      type, at: world.wall,
      [
        JSONField("account", .string(binding.account)), JSONField("contact", .string(binding.contact)),
        JSONField("transport", .string("\(binding.flow.transport)")),
      ])
  }

  // MARK: From the doors

  func route(_ event: DoorEvent, _ turn: inout Turn) {
    switch event {
    case .record(let row): record(row)
    case .finished(let command, let result): finished(command, result, &turn)
    case .pinned(let door, let fingerprint):
      gateway.keeper.commit([.setting("pin.\(door)", fingerprint)])
      gateway.log.write(
        .notice, "door.pinned", "the certificate of \(door)'s device is known from now on",
        ["door": .text(door.rawValue), "fingerprint": .text(fingerprint)])
    case .fault(let door, let words):
      gateway.log.write(.error, "door.fault", "door \(door): \(words)", ["door": .text(door.rawValue)])
    case .mended(let door):
      gateway.log.write(
        .notice, "door.mended", "door \(door) works again", ["door": .text(door.rawValue)])
    }
  }

  private func record(_ row: Doors.AuditRow) {
    let number = row.number
    audit(
      actor: row.opener, action: "door.\(row.kind.rawValue)", subject: row.door, result: row.result,
      detail: "\(row.command) \(row.proof) \(row.reason)"
    ) { [weak self] _ in
      guard let self else { return }
      self.gateway.soon { [weak self] _ in
        guard let self else { return }
        self.doors.recorded(through: number, at: self.moment)
      }
    }
  }

  /// Adds a row to the one audit of the house.
  func audit(
    actor: String, action: String, subject: String, result: String, detail: String = "",
    then: ((StoreFailure?) -> Void)? = nil
  ) {
    let entry = AuditEntry(
      at: world.wall, actor: actor, action: action, subject: subject, result: result, detail: detail)
    gateway.keeper.commit([.record(entry, hash: House.auditHash)], then: then)
  }

  private func finished(_ command: OpenCommand, _ result: DoorResult, _ turn: inout Turn) {
    switch result {
    case .opened: tallies.doorsOpened.add()
    case .refused: tallies.doorsRefused.add()
    case .unknown: tallies.doorsUnknown.add()
    }
    // Who asked hears it, with the others of the unit.
    var audience = EventAudience.operators
    if case .account(let name) = command.opener {
      audience = EventAudience(unit: book.building.unit(of: name), accounts: [name])
    }
    gateway.feed.publish(
      "door.attempt", at: world.wall, to: audience,
      [
        JSONField("door", .string(command.door.rawValue)), JSONField("result", .string(result.name)),
        JSONField("reason", .string(orNull: result.reason)),
        JSONField("by", .string("\(command.opener)")),
      ])
    if case .call(let id) = command.proof,
      let call = calls.live.first(where: { Porter.number(of: $0.id) == id.number })?.id
    {
      if case .refused = result { calls.doorRefused(in: call) } else { calls.doorOpened(in: call, &turn) }
    }
    openings.removeValue(forKey: command.id)?(result)
  }

  // MARK: From the gate

  func banned(_ ban: Bans.Ban) {
    tallies.bans.add()
    gateway.keeper.commit([
      .ban(
        BanRow(
          address: ban.subject.address, account: ban.subject.account, since: ban.since,
          until: ban.since + ban.remaining, failures: ban.failures))
    ])
    gateway.feed.publish(
      "ban.set", at: world.wall,
      [
        JSONField("address", .string("\(ban.subject.address)")),
        JSONField("account", .string(orNull: ban.subject.account)),
      ])
    gateway.log.write(
      .warning, "ban.set", "banned for 24 h after \(ban.failures) wrong passwords",
      ["address": .text("\(ban.subject.address)"), "account": .text(ban.subject.account ?? "")])
  }

  func proved(_ username: String, _ credential: UInt64) {
    if spendRing(credential, of: username) { return }
    noteUse(of: credential, by: username)
  }
}

extension CallRow {
  init(_ record: CallRecord) {
    self.init(
      id: record.id.text, from: record.from, target: record.target, unit: record.unit,
      station: record.station, started: record.started, answered: record.answered,
      answeredBy: record.answeredBy, ended: record.ended ?? record.started, end: record.end?.rawValue ?? "",
      isOneWay: record.isOneWay, isSilent: record.isSilent, callID: record.callID,
      legs: record.legs.map {
        CallRow.Leg(
          account: $0.account, state: $0.state.rawValue, code: $0.code, codec: $0.codec,
          packetsIn: $0.counts.packetsIn, packetsOut: $0.counts.packetsOut, lost: $0.counts.lost,
          jitter: $0.counts.jitter, foreign: $0.counts.foreign, roundTrip: $0.counts.roundTrip,
          opinion: $0.counts.opinion)
      })
  }
}

extension Doors.AuditRow {
  /// A door's row as the house's audit keeps it; nil for rows of others.
  init?(_ row: Store.AuditRow) {
    let parts = row.detail.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
      .map(String.init)
    guard row.action.hasPrefix("door."), let kind = Kind(rawValue: String(row.action.dropFirst(5))),
      parts.count == 3, let number = UInt64(exactly: row.sequence)
    else { return nil }
    self.init(
      number: number, at: row.at, kind: kind, door: row.subject, command: parts[0], opener: row.actor,
      proof: parts[1], result: row.result, reason: parts[2])
  }
}
