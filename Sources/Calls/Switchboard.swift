// The switchboard: the back-to-back user agent. One incoming leg, a fork of outgoing legs, one bridge.
//
// Responsible for: what becomes of an admitted INVITE, from the plan to the record: who rings and when the next
// step begins, the first answer and what the others are told, hold, late offers, keys, transfer, paging, the longest
// talk, lost media, and which status the caller gets.
// Assumes: the agent has authenticated whoever calls, answered 100, and keeps dialogs, transactions and session
// timers; every session ends in exactly one of refused, cancelled, ended, and an answer that crosses a CANCEL is
// hung up by the agent. The dialplan has decided who may call whom.
// Somebody else's: bytes and sockets (SIP, MediaPlane), rights and schedules (Directory), doors (they listen to key
// events), keeping records (Store).
//
// A `Call` is the state machine (its table stands in Call.swift), a `Leg` one device, a `Hunt` the plan under way
// with its `Fork` of devices that ring at once. This class keeps them by session and by media leg, runs their
// clocks, and is the only thing that others talk to.
package import Directory
package import SDP
package import SIP
package import Wire

/// What a building may choose about board.
package struct CallsConfiguration: Sendable {
  /// Sound of a ringing device before the answer.
  package enum EarlyMedia: Sendable { case ignored, relayed }

  /// Host of the addresses of record that our headers name.
  package var domain: String
  /// Calls at once; emergency calls may exceed it by `emergencyReserve`.
  package var limit: Int
  package var emergencyReserve: Int
  /// The longest a call may last where no station says less.
  package var longestTalk: Interval
  package var earlyMedia: EarlyMedia
  /// What the media plane can turn into one another, in order of preference.
  package var transcoding: [Format]
  /// What is offered to every device beside what the other end speaks: not more, lest a device choose what must be
  /// transcoded where it need not.
  var common: [Format] { transcoding.filter { $0.audioCodec == .pcma || $0.audioCodec == .pcmu } }

  package init(
    domain: String = "vestibule.local", limit: Int = 200, emergencyReserve: Int = 8,
    longestTalk: Interval = .hours(4),
    earlyMedia: EarlyMedia = .ignored, transcoding: [Format] = [.pcma, .pcmu, .g722, .opus]
  ) {
    self.domain = domain
    self.limit = limit
    self.emergencyReserve = emergencyReserve
    self.longestTalk = longestTalk
    self.earlyMedia = earlyMedia
    self.transcoding = transcoding
  }
}

/// How keys are sent to a station by an actuator.
package enum KeyForm: Sendable, Equatable { case rfc4733, info }

package final class Switchboard {
  /// How often running calls are looked at for lost media.
  static let mediaCheckEvery = Interval.seconds(5)
  /// Media that never began from either end.
  static let mediaAwaited = Interval.seconds(20)
  /// Media that stopped.
  static let mediaLostAfter = Interval.seconds(60)
  /// Shorter calls are not judged for missing sound.
  static let shortestJudged = Interval.seconds(3)
  /// How long a dialled service is answered for.
  static let confirmationLasts = Interval.seconds(2)
  /// From the door's opening to the end of the call, where the station wants that.
  static let hangUpAfterOpening = Interval.seconds(2)
  /// Panels that answer a page by themselves do so at once.
  static let pageAnswerWithin = Interval.seconds(10)
  static let longestPage = Interval.seconds(60)

  let configuration: CallsConfiguration
  let signalling: any Signalling
  let media: any Media
  let dialplan: any Dialplan

  /// False while the gateway drains or is in maintenance: new calls get 503.
  package var admitsCalls = true

  /// Running calls in the order they came.
  private(set) var running: [Call] = []
  /// Calls that are over, the latest last, with who took part: a page that comes late hears that it does.
  private(set) var finished: [(id: CallID, accounts: Set<String>)] = []
  private static let finishedKept = 256
  private var bySession: [SessionID: (leg: Leg, call: Call)] = [:]
  private var byMedia: [MediaLegID: (leg: Leg, call: Call)] = [:]
  private var events: [CallEvent] = []
  private var taken = 0
  private var wheel: Wheel
  private var armed: [UInt64: (handle: Handle, deadline: Instant)] = [:]
  private var lastNumber: UInt64 = 0

  package init(
    configuration: CallsConfiguration = CallsConfiguration(), signalling: any Signalling, media: any Media,
    dialplan: any Dialplan, now: Instant
  ) {
    self.configuration = configuration
    self.signalling = signalling
    self.media = media
    self.dialplan = dialplan
    wheel = Wheel(now: now)
  }

  // MARK: From the agent

  /// An admitted INVITE; 100 was sent.
  package func invited(_ session: SessionID, _ invitation: Invitation, _ turn: inout Turn) {
    let offer = SessionDescription(invitation.body)
    if invitation.body != nil, offer == nil {
      return signalling.refuse(session, status: 415, headers: [("Accept", "application/sdp")], &turn)
    }
    let decision = dialplan.decide(
      invitation.caller, dialled: invitation.dialled, busyUnits: busyUnits(except: nil))
    var limit = admitsCalls ? configuration.limit : 0
    if case .call(let plan) = decision, plan.isEmergency {
      limit = configuration.limit + configuration.emergencyReserve
    }
    let retry = [("Retry-After", "10")]
    guard running.count < limit else {
      return signalling.refuse(session, status: 503, headers: retry, &turn)
    }
    let hasPicture = offer?.media.contains { $0.kind == .video && !$0.isRejected } ?? false
    guard
      let descriptions = descriptions(
        of: invitation.form, video: hasPicture, offer: offer, facing: invitation.source, &turn)
    else { return signalling.refuse(session, status: 503, headers: retry, &turn) }
    let isOfferTaken = offer.map { descriptions.takeOffer($0) } ?? true
    let leg = Leg(
      session: session, party: invitation.caller, unit: dialplan.unit(of: invitation.caller), contact: nil,
      credential: invitation.credential, media: descriptions)
    lastNumber += 1
    let call = Call(
      board: self, number: lastNumber, id: CallID(turn.random.hex(bytes: 8)), invitation: invitation,
      caller: leg, started: dialplan.wall)
    running.append(call)
    register(session: session, leg, call)
    register(media: descriptions.id, leg, call)
    if offer != nil, !isOfferTaken || descriptions.offered(.audio) == nil {
      call.finish(.failed, status: 488, reason: nil, &turn)
    } else if let replaced = invitation.replaces {
      if let (old, home) = find(replaced), home.replace(old, with: leg, in: call, &turn) {
        arm(home)
      } else {
        call.finish(.refused, status: 481, reason: nil, &turn)
      }
    } else {
      call.arrive(decision, &turn)
    }
    arm(call)
  }

  /// Media for one leg, in the form its device speaks; nil when there is no room for more.
  func descriptions(
    of form: MediaForm, video: Bool, offer: SessionDescription?, facing peer: IPAddress?, _ turn: inout Turn
  ) -> (any LegDescriptions)? {
    switch form {
    case .webRTC: return media.openPeer(video: video, offer: offer)
    case .plain:
      guard let ports = media.open(video: video, facing: peer) else { return nil }
      return PlainDescriptions(ports: ports, peerAddress: peer, originID: turn.random.next() >> 2)
    }
  }

  /// The media of a leg is gone for good: a browser was closed, or its way here broke.
  package func mediaFailed(_ leg: MediaLegID, _ turn: inout Turn) {
    guard let (leg, call) = byMedia[leg] else { return }
    call.mediaFailed(leg, &turn)
    arm(call)
  }

  /// 18x of a device.
  package func progressed(_ session: SessionID, status: Int, body: Body?, _ turn: inout Turn) {
    with(session) { leg, call in call.progressed(leg, status: status, body: body, &turn) }
  }

  /// 2xx of a device. One that nobody waits for any more is hung up.
  package func answered(_ session: SessionID, body: Body?, _ turn: inout Turn) {
    guard bySession[session] != nil else {
      return signalling.hangUp(session, reason: .completedElsewhere, &turn)
    }
    with(session) { leg, call in call.answered(leg, body: body, &turn) }
  }

  /// A final refusal of a device, or its silence (408, 503).
  package func refused(_ session: SessionID, status: Int, _ turn: inout Turn) {
    with(session) { leg, call in call.refused(leg, status: status, &turn) }
  }

  /// The caller gave up before the answer.
  package func cancelled(_ session: SessionID, reason: Reason?, _ turn: inout Turn) {
    with(session) { _, call in call.cancelled(reason, &turn) }
  }

  /// The ACK to our answer; `body` when it answers our offer.
  package func confirmed(_ session: SessionID, body: Body?, _ turn: inout Turn) {
    with(session) { leg, call in call.confirmed(leg, body: body, &turn) }
  }

  /// A new offer in mid-call; nil: the peer wants ours.
  package func offered(_ session: SessionID, body: Body?, _ turn: inout Turn) {
    guard bySession[session] != nil else { return signalling.refuseOffer(session, status: 488, &turn) }
    with(session) { leg, call in call.offered(leg, body: body, &turn) }
  }

  package func offerAccepted(_ session: SessionID, body: Body?, _ turn: inout Turn) {
    with(session) { leg, call in call.offerAccepted(leg, body: body, &turn) }
  }

  package func offerRefused(_ session: SessionID, _ turn: inout Turn) {
    with(session) { leg, call in call.offerRefused(leg, &turn) }
  }

  /// INFO inside a session; it is replied to.
  package func informed(
    _ session: SessionID, _ transaction: TransactionID, _ body: Body, _ turn: inout Turn
  ) {
    guard bySession[session] != nil else { return signalling.reply(transaction, status: 481, &turn) }
    with(session) { leg, call in call.informed(leg, transaction, body, &turn) }
  }

  /// REFER inside a session; it is replied to.
  package func transferRequested(
    _ session: SessionID, _ transaction: TransactionID, _ request: TransferRequest, _ turn: inout Turn
  ) {
    guard bySession[session] != nil else { return signalling.reply(transaction, status: 481, &turn) }
    with(session) { leg, call in call.transferRequested(leg, transaction, request, &turn) }
  }

  package func ended(_ session: SessionID, _ ending: Ending, _ turn: inout Turn) {
    with(session) { leg, call in call.ended(leg, ending, &turn) }
  }

  // MARK: From the media plane

  /// A key came in RFC 4733.
  package func keyReceived(_ digit: Character, on leg: MediaLegID, _ turn: inout Turn) {
    guard let (leg, call) = byMedia[leg] else { return }
    call.pressed(digit, by: leg, inBand: true, &turn)
    arm(call)
  }

  // MARK: From the house

  /// A device has just registered, or registered anew: while a fork that means its account still rings, it joins in.
  /// One that could not be reached when the fork began, a sleeping telephone, may be reached now, and a page that went
  /// away is back; one that has answered with a refusal is left alone.
  package func registered(_ contact: Contact, of username: String, _ turn: inout Turn) {
    for call in running where call.isHunting {
      guard let fork = call.hunt?.fork, !fork.isOver,
        let target = fork.step.targets.first(where: { $0.username == username }),
        !fork.branches.contains(where: { $0.contact?.id == contact.id && !$0.isAsleep && !$0.isAway })
      else { continue }
      call.startBranch(target, contact, &turn)
      arm(call)
    }
  }

  /// Ends a call. False if there is none of that name.
  package func hangUp(_ id: CallID, _ turn: inout Turn) -> Bool {
    guard let call = running.first(where: { $0.id == id }) else { return false }
    end(call, .operatorsWish, &turn)
    return true
  }

  package func hangUpAll(_ turn: inout Turn) {
    for call in running { end(call, .operatorsWish, &turn) }
  }

  /// Ends what an account, or one credential of it, takes part in; its ringing devices fall silent.
  package func revoke(_ username: String, credential: UInt64?, _ turn: inout Turn) {
    for call in running {
      for leg in call.legs where leg.isLive && leg.party.username == username {
        if let credential, leg.credential != credential { continue }
        if leg.state == .talking || leg === call.caller {
          end(call, .revoked, &turn)
        } else {
          if !leg.isPage { signalling.cancel(leg.session, reason: .revoked, &turn) }
          call.lose(leg, .unreachable, 403, &turn)
        }
        if call.isOver { break }
      }
      arm(call)
    }
  }

  private func end(_ call: Call, _ reason: Reason, _ turn: inout Turn) {
    let end: CallEnd = call.talkingSince == nil ? .cancelled : .answered
    call.finish(end, status: reason == .revoked ? 403 : 480, reason: reason, &turn)
  }

  /// The door has opened for a key of this call: both ends hear it, and the call ends soon if the station wants that.
  package func doorOpened(in id: CallID, _ turn: inout Turn) {
    play(.opened, in: id)
    guard let call = running.first(where: { $0.id == id }), call.isConversation,
      let leg = call.station, case .station(let name) = leg.party,
      dialplan.station(name)?.hangupAfterOpen == true
    else { return }
    call.hangUpAt = turn.now + Switchboard.hangUpAfterOpening
    arm(call)
  }

  /// The door stays shut, or nobody knows: both ends hear that.
  package func doorRefused(in id: CallID) { play(.refused, in: id) }

  private func play(_ tone: CallTone, in id: CallID) {
    guard let call = running.first(where: { $0.id == id }), case .talking(let first, let second) = call.state
    else { return }
    media.play(tone, on: first.media.id)
    media.play(tone, on: second.media.id)
  }

  /// Keys towards a station that talks, for an authorised actuator: the only way keys reach a station. In `call`, or
  /// in whichever call it talks. False when it talks in none.
  package func sendKeys(
    _ digits: String, as form: KeyForm, to station: StationName, in id: CallID? = nil, _ turn: inout Turn
  ) -> Bool {
    for call in running where id == nil || call.id == id {
      guard case .talking = call.state,
        let leg = call.legs.first(where: { $0.party == .station(station) && $0.state == .talking })
      else { continue }
      switch form {
      case .rfc4733:
        guard leg.media.settled(.audio)?.telephoneEvent != nil else { return false }
        media.sendKeys(digits, on: leg.media.id)
      case .info:
        for digit in digits { signalling.info(leg.session, body: KeyBody.body(digit), &turn) }
      }
      return true
    }
    return false
  }

  /// Who talks with a station in a call at this moment, whichever of them called; nil while nobody does.
  package func conversation(in id: CallID) -> Conversation? {
    guard let call = running.first(where: { $0.id == id }), case .talking(let first, let second) = call.state
    else { return nil }
    switch (first.party, second.party) {
    case (.station(let station), .account(let account)), (.account(let account), .station(let station)):
      return Conversation(station: station, account: account, unit: call.unit)
    case (.station, .station), (.account, .account): return nil
    }
  }

  /// The calls that run, oldest first.
  package var live: [CallRecord] { running.map { $0.record() } }
  package var count: Int { running.count }
  /// The media leg of a station that talks and shows its picture to us; the newest, if it has several.
  package func pictures(of station: StationName) -> MediaLegID? {
    for call in running.reversed() {
      for leg in call.legs where leg.state == .talking && leg.party == .station(station) {
        if leg.media.settled(.video)?.media != nil { return leg.media.id }
      }
    }
    return nil
  }
  /// The most devices that have one call beside the one they talk to; pages are left out.
  package var mostTalking: Int {
    var most = 0
    for call in running where call.hunt?.plan.isPage != true {
      var talking = -1
      for leg in call.legs where leg.state == .talking { talking += 1 }
      most = max(most, talking)
    }
    return most
  }

  /// Units with somebody in a conversation.
  func busyUnits(except own: Call?) -> Set<UnitID> {
    var units: Set<UnitID> = []
    for call in running where call !== own && !call.isConfirming {
      for leg in call.legs where leg.state == .talking {
        if let unit = leg.unit { units.insert(unit) }
      }
    }
    return units
  }

  // MARK: Time and events

  package var nextDeadline: Instant? { wheel.nextDeadline }

  package func advance(_ turn: inout Turn) {
    while let number = wheel.expired(by: turn.now) {
      armed[number] = nil
      guard let call = running.first(where: { $0.number == number }) else { continue }
      call.advance(&turn)
      arm(call)
    }
  }

  package func next() -> CallEvent? {
    guard taken < events.count else {
      events.removeAll(keepingCapacity: true)
      taken = 0
      return nil
    }
    defer { taken += 1 }
    return events[taken]
  }

  func emit(_ event: CallEvent) { events.append(event) }

  // MARK: Tables

  private func with(_ session: SessionID, _ body: (Leg, Call) -> Void) {
    guard let (leg, call) = bySession[session] else { return }
    body(leg, call)
    arm(call)
  }

  /// Keeps the wheel to the earliest deadline of a call.
  func arm(_ call: Call) {
    let wanted = call.isOver ? nil : call.nextDeadline
    if armed[call.number]?.deadline == wanted { return }
    if let old = armed.removeValue(forKey: call.number) { wheel.cancel(old.handle) }
    if let wanted { armed[call.number] = (wheel.arm(wanted, token: call.number), wanted) }
  }

  func find(_ session: SessionID) -> (leg: Leg, call: Call)? { bySession[session] }
  func register(session: SessionID, _ leg: Leg, _ call: Call) {
    if session != SessionID(.none) { bySession[session] = (leg, call) }
  }
  func register(media leg: MediaLegID, _ owner: Leg, _ call: Call) { byMedia[leg] = (owner, call) }
  func forget(session: SessionID) { bySession[session] = nil }
  func forget(media leg: MediaLegID) { byMedia[leg] = nil }

  func remove(_ call: Call) {
    running.removeAll { $0 === call }
    if finished.count >= Switchboard.finishedKept { finished.removeFirst() }
    finished.append((call.id, Set(call.legs.map(\.party.username))))
    if let old = armed.removeValue(forKey: call.number) { wheel.cancel(old.handle) }
  }
}
