import Simulation
import Wire

// What a phone does in a call: it talks, presses keys, holds, puts through and hangs up.

extension Phone {
  func comeUp(_ talk: Talk, _ plan: SoundPlan) {
    if talk.sound == nil, let far = plan.endpoint { talk.far = far }
    talk.takesKeys = plan.takesKeys
    guard talk.state != .up else { return }
    talk.state = .up
    rise(talk)
  }

  func rise(_ talk: Talk) {
    ledger.count("talked")
    ledger.rose(talk, of: profile.username)
    sights.see(talk, by: self)
    speak(talk)
    // Nobody talks for ever; a few leave it to the gateway.
    let length = chance(80) ? drawn(1000, 25_000) : drawn(60_000, 100_000)
    guard !isEager else { return }
    after(length) { [weak talk] phone in if let talk, talk.state == .up { phone.hangUp(talk) } }
    if talk.sound != nil, chance(20) {
      after(drawn(500, 6000)) { [weak talk] phone in
        guard let talk, talk.state == .up else { return }
        phone.move(talk)
      }
    }
    if !profile.isStation, chance(60) {
      after(drawn(300, 6000)) { [weak talk] phone in if let talk { phone.pressCode(talk) } }
    }
    if chance(profile.isStation ? 20 : 8) {
      after(drawn(300, 6000)) { [weak talk] phone in
        if let talk { phone.press("#", talk, isAuthorised: false) }
      }
    }
    if chance(12) { after(drawn(500, 6000)) { [weak talk] phone in if let talk { phone.hold(talk) } } }
    if chance(20), !profile.putsThroughTo.isEmpty {
      after(drawn(1000, 8000)) { [weak talk] phone in if let talk { phone.putThrough(talk) } }
    }
  }

  /// Sound is thinned out: who is heard at all shows as well from one packet as from fifty.
  private static let speaksEvery = Interval.milliseconds(900)

  private func speak(_ talk: Talk) {
    guard talk.state == .up else { return }
    if !talk.isOnHold, !talk.isMuted {
      let packet = Sound.packet(talk, tag: profile.tag)
      if let sound = talk.sound {
        if let sealed = sound.say(packet) { sights.overhear(sealed) }
      } else if let far = talk.far {
        world.send(packet.span, on: talk.socket, to: far, from: nil)
      }
      talk.sequence &+= 1
      talk.timestamp &+= 7200
    }
    after(Phone.speaksEvery) { [weak talk] phone in if let talk { phone.speak(talk) } }
  }

  /// The network forgets a browser's port; its sound comes from another from now on.
  func move(_ talk: Talk) {
    ledger.count("moved")
    talk.sound?.move()
  }

  func hear(_ bytes: [UInt8], in talk: Talk) {
    guard bytes.count >= 16, bytes[0] >> 6 == 2 else { return }
    let type = bytes[1] & 0x7F
    if type == 101 {
      if profile.isStation { ledger.breach("a key reached a station", "RFC 4733 to \(profile.username)") }
      return
    }
    if let tag = Sound.speaker(bytes) {
      ledger.hears(profile.username, tag: tag, in: talk)
      ledger.count(talk.sound == nil ? "heard" : "heard in a browser")
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
        if isLast {
          phone.ledger.pressed(door, by: phone.profile.username, in: talk)
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
    if !isAuthorised, let door = Building.doorOf[talk.peer], Building.codeOf[door] == String(key) {
      ledger.pressed(door, by: profile.username, in: talk)
    }
    if mayPlayKeys(talk), chance(50) {
      talk.timestamp &+= 800
      // One press, one timestamp, whatever is said meanwhile.
      let timestamp = talk.timestamp
      for step in 0..<4 {
        after(.milliseconds(Int64(step) * 40)) { [weak talk] phone in
          guard let talk, talk.state == .up else { return }
          let packet = Sound.key(
            talk, code: Sound.code(of: key), duration: UInt16(160 * (step + 1)), isEnd: step >= 2,
            isFirst: step == 0, at: timestamp)
          if let sound = talk.sound {
            sound.say(packet)
          } else if let far = talk.far {
            phone.world.send(packet.span, on: talk.socket, to: far, from: nil)
          }
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

  /// Whether keys can go the way that sound goes.
  private func mayPlayKeys(_ talk: Talk) -> Bool {
    guard !talk.isOnHold else { return false }
    return talk.sound.map { $0.keyType != nil } ?? (talk.takesKeys && talk.far != nil)
  }

  /// Hold, and a little later back.
  private func hold(_ talk: Talk) {
    guard talk.state == .up else { return }
    ledger.count("held")
    offer(talk, "sendonly")
    after(drawn(2000, 6000)) { [weak talk] phone in if let talk { phone.offer(talk, "sendrecv") } }
  }

  private func offer(_ talk: Talk, _ direction: String) {
    guard talk.state == .up, !talk.isOffering else { return }
    talk.isOffering = talk.sound != nil
    talk.cseq += 1
    talk.version += 1
    let number = talk.cseq
    var text = draft(
      "INVITE", talk.target, talk.way, from: talk.ours, to: talk.theirs, callID: talk.callID, cseq: number)
    text.add("content-type", "application/sdp")
    text.body =
      talk.sound?.offer(isOnHold: direction != "sendrecv")
      ?? SoundPlan.written(address, talk.port, version: talk.version, direction: direction)
    ask(text, talk.way) { [weak self, weak talk] answer in
      guard let self, let talk else { return }
      if let answer, answer.status < 200 { return }
      talk.isOffering = false
      guard let answer, answer.status < 300 else {
        talk.sound?.withdraw()
        return
      }
      if talk.sound?.settle(answer: answer.body) == false {
        self.ledger.breach(
          "browsers can read it", "\(self.profile.username) cannot take the answer to its further offer")
      }
      let ack = self.draft(
        "ACK", talk.target, talk.way, from: talk.ours, to: talk.theirs, callID: talk.callID, cseq: number)
      talk.lastAck = ack.written
      self.put(again: talk.lastAck, talk.way)
      talk.isOnHold = direction != "sendrecv"
    }
  }

  /// Hands the other end to somebody else (RFC 3515). Only whom we know by name: who called us, or a station.
  private func putThrough(_ talk: Talk) {
    guard talk.state == .up, !talk.isCaller || Building.isStation(talk.peer), !talk.isMuted else { return }
    let target = profile.putsThroughTo[Int(dice.below(UInt64(profile.putsThroughTo.count)))]
    guard target != talk.peer else { return }
    ledger.count("put through")
    if Building.mayCall(profile.username, target) {
      let dial = ledger.dialled(talk.peer, target, by: profile.username)
      // Nobody tells us when those two have done.
      after(.minutes(4)) { $0.ledger.dialEnded(dial) }
    }
    talk.cseq += 1
    var text = draft(
      "REFER", talk.target, talk.way, from: talk.ours, to: talk.theirs, callID: talk.callID, cseq: talk.cseq)
    text.add("refer-to", "<sip:\(target)@\(Building.domain)>")
    ask(text, talk.way) { [ledger] answer in
      if let answer { ledger.count("put through \(answer.status)") }
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
