import Simulation
import Wire

// What a phone does in calls.

extension Phone {
  // MARK: Calling

  /// Somebody stands at the station, or picks the panel up.
  func feelLikeCalling() {
    after(drawn(8000, 45_000)) { $0.feelLikeCalling() }
    guard !isQuiet, talks.isEmpty, !profile.dials.isEmpty else { return }
    call(profile.dials[Int(dice.below(UInt64(profile.dials.count)))])
  }

  func call(_ target: String) {
    guard let way = gatewayWay, !profile.registers || isRegistered else { return }
    let uri = "sip:\(target)@\(Building.domain)"
    let ours =
      "\"\(profile.username)\" <sip:\(profile.username)@\(Building.domain)>;tag=" + dice.hex(bytes: 4)
    let talk = Talk(
      callID: dice.hex(bytes: 8), isCaller: true, ours: ours, theirs: "<\(uri)>", target: uri, way: way,
      cseq: 0, invite: SIPText(start: ""), peer: target, &dice)
    guard add(talk) else { return }
    ledger.dialled(profile.username, target)
    ledger.count("dialled")
    sendInvite(talk, authorization: nil)
    // Some give up while it rings; all do in the end.
    let patience = chance(15) ? drawn(300, 6000) : drawn(20_000, 70_000)
    after(patience) { [weak talk] phone in
      guard let talk, talk.state == .calling else { return }
      phone.takeBack(talk)
    }
  }

  private func sendInvite(_ talk: Talk, authorization: String?) {
    talk.cseq += 1
    var text = draft(
      "INVITE", talk.target, talk.way, from: talk.ours, to: talk.theirs, callID: talk.callID, cseq: talk.cseq)
    if let authorization { text.add("authorization", authorization) }
    text.add("content-type", "application/sdp")
    text.body = SoundPlan.written(address, talk.port, version: talk.version, direction: "sendrecv")
    talk.invite = text
    ask(text, talk.way) { [weak self, weak talk] answer in
      guard let self, let talk else { return }
      self.calledBack(talk, answer, isFirst: authorization == nil)
    }
  }

  private func calledBack(_ talk: Talk, _ answer: SIPText?, isFirst: Bool) {
    guard let answer else { return end(talk) }
    switch answer.status {
    case ..<200: break
    case ..<300:
      guard talk.state != .over else { return }
      talk.theirs = answer["to"]
      talk.target = SIPText.uri(of: answer["contact"])
      let ack = draft(
        "ACK", talk.target, talk.way, from: talk.ours, to: talk.theirs, callID: talk.callID, cseq: talk.cseq)
      talk.lastAck = ack.written
      put(again: talk.lastAck, talk.way)
      if talk.state == .cancelling {
        hangUp(talk)
      } else {
        comeUp(talk, SoundPlan(answer.body))
      }
    case 401 where isFirst && secret != nil && talk.state == .calling:
      let proof = prove(answer.all("www-authenticate"), "INVITE", talk.target)
      sendInvite(talk, authorization: proof)
    default:
      ledger.count("refused \(answer.status)")
      end(talk)
    }
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
      guard let talk, talk.state == .answering else { return }
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
      if profile.isStation {
        ledger.breach("a key reached a station", "INFO to \(profile.username)")
      }
      _ = answer(message, way, talk == nil ? 481 : 200, tag: talk?.ourTag ?? "none")
    case "OPTIONS", "UPDATE", "NOTIFY": _ = answer(message, way, 200, tag: talk?.ourTag ?? "none")
    default: _ = answer(message, way, 405, tag: "none")
    }
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
    let plan = SoundPlan(message.body)
    talk.far = plan.endpoint
    talk.takesKeys = plan.takesKeys
    let mood = isEager ? 0 : dice.below(100)
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
    let body = SoundPlan.written(address, talk.port, version: talk.version, direction: "sendrecv")
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
    if let far = plan.endpoint { talk.far = far }
    talk.lastAnswer = answer(
      message, way, 200, tag: talk.ourTag,
      body: SoundPlan.written(address, talk.port, version: talk.version, direction: "sendrecv"))
  }

  // MARK: Talking

  private func comeUp(_ talk: Talk, _ plan: SoundPlan) {
    if let far = plan.endpoint { talk.far = far }
    talk.takesKeys = plan.takesKeys
    guard talk.state != .up else { return }
    talk.state = .up
    rise(talk)
  }

  private func rise(_ talk: Talk) {
    ledger.count("talked")
    sights.see(talk, by: self)
    speak(talk)
    // Nobody talks for ever; a few leave it to the gateway.
    let length = chance(80) ? drawn(1000, 25_000) : drawn(60_000, 100_000)
    after(length) { [weak talk] phone in if let talk, talk.state == .up { phone.hangUp(talk) } }
    if !profile.isStation, chance(60) {
      after(drawn(300, 6000)) { [weak talk] phone in if let talk { phone.pressCode(talk) } }
    }
    if chance(profile.isStation ? 20 : 8) {
      after(drawn(300, 6000)) { [weak talk] phone in
        if let talk { phone.press("#", talk, isAuthorised: false) }
      }
    }
    if chance(12) { after(drawn(500, 6000)) { [weak talk] phone in if let talk { phone.hold(talk) } } }
  }

  private func speak(_ talk: Talk) {
    guard talk.state == .up else { return }
    if let far = talk.far, !talk.isOnHold {
      world.send(Sound.packet(talk, tag: profile.tag).span, on: talk.socket, to: far, from: nil)
      talk.sequence &+= 1
      talk.timestamp &+= 4000
    }
    after(.milliseconds(500)) { [weak talk] phone in if let talk { phone.speak(talk) } }
  }

  func hear(_ bytes: [UInt8]) {
    guard bytes.count >= 16, bytes[0] >> 6 == 2 else { return }
    let type = bytes[1] & 0x7F
    if type == 101 {
      if profile.isStation { ledger.breach("a key reached a station", "RFC 4733 to \(profile.username)") }
      return
    }
    if type == 8, bytes[12] == 0x51, bytes[13] == 0x2A, bytes[14] == ~bytes[15] {
      ledger.hears(profile.username, tag: bytes[14])
      ledger.count("heard")
    }
  }

  private func pressCode(_ talk: Talk) {
    guard talk.state == .up, let door = Building.doorOf[talk.peer], let code = Building.codeOf[door] else {
      return press("#", talk, isAuthorised: false)
    }
    var delay = Interval.zero
    for (place, key) in code.enumerated() {
      let isLast = place == code.count - 1
      after(delay) { [weak talk] phone in
        guard let talk, talk.state == .up else { return }
        if isLast, Building.mayOpen(phone.profile.username, door) {
          phone.ledger.mayOpen(door, by: phone.profile.username)
          phone.ledger.count("code pressed")
        }
        phone.press(key, talk, isAuthorised: true)
      }
      delay = delay + .milliseconds(400)
    }
  }

  /// One key, as INFO or in RTP.
  private func press(_ key: Character, _ talk: Talk, isAuthorised: Bool) {
    guard talk.state == .up else { return }
    if !isAuthorised, key == "#", Building.doorOf[talk.peer] == "entrance",
      Building.mayOpen(profile.username, "entrance")
    {
      ledger.mayOpen("entrance", by: profile.username)
    }
    if talk.takesKeys, let far = talk.far, !talk.isOnHold, chance(50) {
      talk.timestamp &+= 800
      for step in 0..<4 {
        after(.milliseconds(Int64(step) * 40)) { [weak talk] phone in
          guard let talk, talk.state == .up else { return }
          let packet = Sound.key(
            talk, code: Sound.code(of: key), duration: UInt16(160 * (step + 1)), isEnd: step >= 2,
            isFirst: step == 0)
          phone.world.send(packet.span, on: talk.socket, to: far, from: nil)
          talk.sequence &+= 1
        }
      }
    } else {
      talk.cseq += 1
      var text = draft(
        "INFO", talk.target, talk.way, from: talk.ours, to: talk.theirs, callID: talk.callID, cseq: talk.cseq)
      text.add("content-type", "application/dtmf-relay")
      text.body = Array("Signal=\(key)\r\nDuration=160\r\n".utf8)
      ask(text, talk.way) { _ in }
    }
  }

  /// Hold, and a little later back.
  private func hold(_ talk: Talk) {
    guard talk.state == .up else { return }
    ledger.count("held")
    offer(talk, "sendonly")
    after(drawn(2000, 6000)) { [weak talk] phone in if let talk { phone.offer(talk, "sendrecv") } }
  }

  private func offer(_ talk: Talk, _ direction: String) {
    guard talk.state == .up else { return }
    talk.cseq += 1
    talk.version += 1
    let number = talk.cseq
    var text = draft(
      "INVITE", talk.target, talk.way, from: talk.ours, to: talk.theirs, callID: talk.callID, cseq: number)
    text.add("content-type", "application/sdp")
    text.body = SoundPlan.written(address, talk.port, version: talk.version, direction: direction)
    ask(text, talk.way) { [weak self, weak talk] answer in
      guard let self, let talk, let answer, answer.status >= 200, answer.status < 300 else { return }
      let ack = self.draft(
        "ACK", talk.target, talk.way, from: talk.ours, to: talk.theirs, callID: talk.callID, cseq: number)
      talk.lastAck = ack.written
      self.put(again: talk.lastAck, talk.way)
      talk.isOnHold = direction != "sendrecv"
    }
  }

  func hangUp(_ talk: Talk) {
    guard talk.state != .over else { return }
    talk.state = .cancelling
    talk.cseq += 1
    let text = draft(
      "BYE", talk.target, talk.way, from: talk.ours, to: talk.theirs, callID: talk.callID, cseq: talk.cseq)
    ask(text, talk.way) { [weak self, weak talk] _ in
      guard let self, let talk else { return }
      self.end(talk)
    }
  }
}
