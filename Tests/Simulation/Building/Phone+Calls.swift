import Simulation
import Wire

// How a phone calls and is called.

extension Phone {
  // MARK: Calling

  /// Somebody stands at the station, or picks the panel up.
  func feelLikeCalling() {
    after(drawn(8000, 45_000)) { $0.feelLikeCalling() }
    guard !isQuiet, talks.isEmpty, !profile.dials.isEmpty else { return }
    call(profile.dials[Int(dice.below(UInt64(profile.dials.count)))])
  }

  func call(_ target: String) {
    guard let way = gatewayWay, !profile.registers || (isRegistered && !isRefused) else { return }
    let uri = "sip:\(target)@\(Building.domain)"
    let ours =
      "\"\(profile.username)\" <sip:\(profile.username)@\(Building.domain)>;tag=" + dice.hex(bytes: 4)
    let talk = Talk(
      callID: dice.hex(bytes: 8), isCaller: true, ours: ours, theirs: "<\(uri)>", target: uri, way: way,
      cseq: 0, invite: SIPText(start: ""), peer: target, &dice)
    guard add(talk) else { return }
    talk.dial = ledger.dialled(profile.username, target)
    ledger.count("dialled")
    if Phone.quietCodes.contains(target) { ledger.promises.quieting(profile.username, dialled: true) }
    sendInvite(talk, authorization: nil)
    // Some give up while it rings; all do in the end.
    let patience = !isEager && chance(15) ? drawn(300, 6000) : drawn(20_000, 70_000)
    after(patience) { [weak talk] phone in
      guard let talk, talk.state == .calling else { return }
      phone.takeBack(talk)
    }
  }

  static let quietCodes = ["*78", "*79"]

  private func sendInvite(_ talk: Talk, authorization: String?) {
    talk.cseq += 1
    var text = draft(
      "INVITE", talk.target, talk.way, from: talk.ours, to: talk.theirs, callID: talk.callID, cseq: talk.cseq)
    if let authorization { text.add("authorization", authorization) }
    text.add("content-type", "application/sdp")
    text.body =
      talk.sound?.offer()
      ?? SoundPlan.written(address, talk.port, version: talk.version, direction: "sendrecv")
    talk.invite = text
    ask(text, talk.way) { [weak self, weak talk] answer in
      guard let self, let talk else { return }
      self.calledBack(talk, answer, isFirst: authorization == nil)
    }
  }

  private func calledBack(_ talk: Talk, _ answer: SIPText?, isFirst: Bool) {
    guard let answer else {
      learn(talk, isQuieted: false)
      return end(talk)
    }
    switch answer.status {
    case ..<200: break
    case ..<300:
      learn(talk, isQuieted: true)
      guard talk.state != .over else { return }
      talk.theirs = answer["to"]
      talk.target = SIPText.uri(of: answer["contact"])
      let ack = draft(
        "ACK", talk.target, talk.way, from: talk.ours, to: talk.theirs, callID: talk.callID, cseq: talk.cseq)
      talk.lastAck = ack.written
      put(again: talk.lastAck, talk.way)
      if talk.state == .cancelling {
        hangUp(talk)
      } else if talk.sound?.settle(answer: answer.body) == false {
        ledger.breach("browsers can read it", "\(profile.username) cannot take the answer to its offer")
        hangUp(talk)
      } else {
        comeUp(talk, SoundPlan(answer.body))
      }
    case 401 where isFirst && secret != nil && talk.state == .calling:
      let proof = prove(answer.all("www-authenticate"), "INVITE", talk.target)
      talk.proved = secret
      sendInvite(talk, authorization: proof)
    default:
      ledger.count("refused \(answer.status)")
      if answer.status == 401, !isFirst { beRefused(answer, talk.proved) }
      learn(talk, isQuieted: false)
      end(talk)
    }
  }

  /// What came of `*78` or `*79`.
  private func learn(_ talk: Talk, isQuieted: Bool) {
    guard Phone.quietCodes.contains(talk.peer) else { return }
    if isQuieted { ledger.count("dialled quiet") }
    ledger.promises.quieted(profile.username, isQuieted ? talk.peer == "*78" : nil, dialled: true)
  }

  private func takeBack(_ talk: Talk) {
    talk.state = .cancelling
    ledger.count("cancelled")
    var text = SIPText(start: "CANCEL " + talk.invite.start.dropFirst(7))
    for field in talk.invite.fields
    where ["via", "max-forwards", "from", "to", "call-id"].contains(field.name) {
      text.add(field.name, field.value)
    }
    text.add("cseq", "\(talk.invite.cseq) CANCEL")
    ask(text, talk.way) { _ in }
    after(.seconds(40)) { [weak talk] phone in
      if let talk, talk.state == .cancelling { phone.end(talk) }
    }
  }

  // MARK: Being called

  func request(_ message: SIPText, _ way: Way) {
    let callID = message["call-id"]
    let talk = talks.first {
      $0.callID == callID
        && (SIPText.tag(of: message["to"]).isEmpty || $0.ourTag == SIPText.tag(of: message["to"]))
    }
    switch message.method {
    case "INVITE":
      if let talk, talk.invite.branch == message.branch, !talk.isCaller || talk.state == .up {
        if !talk.lastAnswer.isEmpty { put(again: talk.lastAnswer, way) }
      } else if let talk, talk.state == .up || talk.state == .answering {
        reinvited(talk, message, way)
      } else if SIPText.tag(of: message["to"]).isEmpty {
        if talk == nil { invited(message, way) }
      } else {
        _ = answer(message, way, 481, tag: "none")
      }
    case "ACK":
      guard let talk else { return }
      // To a late offer of ours.
      if !message.body.isEmpty { _ = talk.sound?.settle(answer: message.body) }
      guard talk.state == .answering else { return }
      talk.state = .up
      rise(talk)
    case "CANCEL":
      guard let talk else {
        _ = answer(message, way, 481, tag: "none")
        return
      }
      _ = answer(message, way, 200, tag: talk.ourTag)
      if talk.state == .ringing {
        talk.lastAnswer = answer(talk.invite, way, 487, tag: talk.ourTag)
        linger(talk)
      }
    case "BYE":
      _ = answer(message, way, talk == nil ? 481 : 200, tag: talk?.ourTag ?? "none")
      if let talk { end(talk) }
    case "INFO":
      if profile.isStation { keyed(message, in: talk) }
      _ = answer(message, way, talk == nil ? 481 : 200, tag: talk?.ourTag ?? "none")
    case "OPTIONS", "UPDATE", "NOTIFY": _ = answer(message, way, 200, tag: talk?.ourTag ?? "none")
    default: _ = answer(message, way, 405, tag: "none")
    }
  }

  /// The yard's station opens by a key that only the gateway may send; nobody else gets any.
  private func keyed(_ message: SIPText, in talk: Talk?) {
    guard let door = Building.doorOf[profile.username], door == "yard",
      message.body.starts(with: Array("Signal=\(Building.yardKey)\r".utf8))
    else { return ledger.breach("a key reached a station", "INFO to \(profile.username)") }
    // After a restart it knows of no call, and opens for none.
    guard talk != nil, seen.insert(message.branch).inserted else { return }
    ledger.count("opened by key")
    ledger.opened(door)
  }

  /// Refused: the answer is kept for a while, then the talk is forgotten. The ACK needs no deed.
  private func linger(_ talk: Talk) {
    talk.state = .cancelling
    after(.seconds(20)) { [weak talk] phone in if let talk { phone.end(talk) } }
  }

  private func invited(_ message: SIPText, _ way: Way) {
    let caller = SIPText.user(of: message["from"])
    let to = message["to"]
    rung(caller)
    if SIPText.user(of: to) != profile.username {
      ledger.breach("unit isolation", "\(profile.username) was rung for \(to)")
    }
    ledger.rang(profile.username, from: caller)
    let ours = to + ";tag=" + dice.hex(bytes: 4)
    let talk = Talk(
      callID: message["call-id"], isCaller: false, ours: ours, theirs: message["from"],
      target: SIPText.uri(of: message["contact"]), way: way, cseq: 0, invite: message, peer: caller, &dice)
    guard add(talk) else { return }
    if !message.body.isEmpty, talk.sound?.take(offer: message.body) == false {
      ledger.breach("browsers can read it", "\(profile.username) cannot take the offer in its INVITE")
    }
    let plan = SoundPlan(message.body)
    talk.far = talk.sound == nil ? plan.endpoint : nil
    talk.takesKeys = plan.takesKeys
    if plan.direction != "sendrecv" { talk.isMuted = true }
    if message["call-info"].hasSuffix(";answer-after=0") {
      ledger.count("paged")
      return pickUp(talk)
    }
    let mood = isEager ? 0 : isPatient ? 80 : dice.below(100)
    switch mood {
    case ..<55:
      talk.lastAnswer = answer(message, way, 180, tag: talk.ourTag)
      after(profile.isStation || isEager ? .milliseconds(200) : drawn(200, 7000)) { [weak talk] phone in
        if let talk, talk.state == .ringing { phone.pickUp(talk) }
      }
    case ..<65: refuse(talk, 486, way)
    case ..<75:
      talk.lastAnswer = answer(message, way, 180, tag: talk.ourTag)
      after(drawn(200, 4000)) { [weak talk] phone in
        if let talk, talk.state == .ringing { phone.refuse(talk, 603, way) }
      }
    case ..<90:
      talk.lastAnswer = answer(message, way, 180, tag: talk.ourTag)
      after(.seconds(120)) { [weak talk] phone in
        if let talk, talk.state == .ringing { phone.end(talk) }
      }
    case ..<95: refuse(talk, [480, 500, 404, 302][Int(dice.below(4))], way)
    default:
      // Says nothing at all.
      after(.seconds(60)) { [weak talk] phone in if let talk, talk.state == .ringing { phone.end(talk) } }
    }
  }

  private func refuse(_ talk: Talk, _ status: Int, _ way: Way) {
    talk.lastAnswer = answer(talk.invite, way, status, tag: talk.ourTag)
    linger(talk)
  }

  private func pickUp(_ talk: Talk) {
    talk.state = .answering
    ledger.count("picked up")
    guard let body = reply(to: talk.invite, in: talk) else {
      ledger.breach("browsers can read it", "\(profile.username) shares no sound with who calls")
      return refuse(talk, 488, talk.way)
    }
    talk.lastAnswer = answer(talk.invite, talk.way, 200, tag: talk.ourTag, body: body)
    sayAgain(talk, .milliseconds(500), left: 10)
  }

  /// The 200 until its ACK comes.
  private func sayAgain(_ talk: Talk, _ interval: Interval, left: Int) {
    after(interval) { [weak talk] phone in
      guard let talk, talk.state == .answering else { return }
      if left == 0 { return phone.hangUp(talk) }
      phone.put(again: talk.lastAnswer, talk.way)
      phone.sayAgain(talk, min(interval * 2, .seconds(4)), left: left - 1)
    }
  }

  private func reinvited(_ talk: Talk, _ message: SIPText, _ way: Way) {
    talk.invite = message
    talk.version += 1
    let plan = SoundPlan(message.body)
    if talk.sound == nil, let far = plan.endpoint { talk.far = far }
    talk.isMuted = plan.direction != "sendrecv"
    if let sound = talk.sound, !message.body.isEmpty, !sound.take(offer: message.body) {
      ledger.count("offer not taken")
      talk.lastAnswer = answer(message, way, 488, tag: talk.ourTag)
      return
    }
    guard let body = reply(to: message, in: talk) else {
      talk.lastAnswer = answer(message, way, 488, tag: talk.ourTag)
      return
    }
    talk.lastAnswer = answer(message, way, 200, tag: talk.ourTag, body: body)
  }

  /// Our description for who called, or offers anew; an offer where they made none.
  private func reply(to message: SIPText, in talk: Talk) -> [UInt8]? {
    guard let sound = talk.sound else {
      return SoundPlan.written(
        address, talk.port, version: talk.version, direction: SoundPlan(message.body).answering)
    }
    return message.body.isEmpty ? sound.offer() : sound.answer()
  }
}
