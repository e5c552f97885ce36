internal import JSON
import Simulation
import Wire

// What a resident does with a page: answers, declines, opens the door, looks at what concerns the unit.

extension Page {
  /// It rings: what its owner does about it.
  func consider(_ call: String, _ from: String) {
    let mood = isEager ? 0 : isPatient ? 99 : dice.below(100)
    if !isEager, !isPatient, chance(25) {
      after(drawn(200, 3000)) { page in page.open(Building.doorOf[from] ?? page.profile.doors[0]) }
    }
    switch mood {
    case ..<55:
      after(isEager ? .milliseconds(200) : drawn(200, 7000)) { $0.answer(call, from) }
    case ..<70:
      after(drawn(200, 4000)) { page in
        guard page.ringing.contains(where: { $0.call == call }) else { return }
        page.ledger.count("page declined")
        page.stopRinging(call)
        page.ask("DELETE", "/api/v1/calls/\(call)/answer") { _ in }
      }
    default: break
    }
  }

  private func answer(_ call: String, _ from: String) {
    guard talk == nil, ringing.contains(where: { $0.call == call }) else { return }
    let talk = Talk(
      callID: call, isCaller: false, ours: "", theirs: "", target: "",
      way: .datagram(Endpoint(Building.gateway, port: port)), cseq: 0, invite: SIPText(start: ""), peer: from,
      &dice)
    guard let sound = BrowserSound(world, source: talk.source, tag: profile.tag, &dice) else { return }
    talk.sound = sound
    talk.state = .answering
    self.talk = talk
    ask("POST", "/api/v1/calls/\(call)/answer", type: "application/sdp", body: sound.offer()) {
      [weak self, weak talk] answer in
      guard let self, let talk, self.talk === talk else { return }
      switch answer?.status {
      case 201?:
        self.location = answer!.text["location"]
        guard sound.settle(answer: answer!.text.body), !self.location.isEmpty else {
          self.ledger.breach("browsers can read it", "\(self.username) cannot take the answer to its offer")
          return self.endTalk()
        }
        self.stopRinging(call)
        self.ledger.count("page answered")
        self.rise(talk)
      case 406?:
        self.ledger.breach("browsers can read it", "\(self.username) shares no sound with who calls")
        self.endTalk()
      default:
        // Too late, no room, or nobody knows.
        self.ledger.count("page answered in vain")
        self.stopRinging(call)
        self.endTalk()
      }
    }
  }

  private var port: UInt16 { profile.isSecure ? 8443 : 8080 }

  private func rise(_ talk: Talk) {
    talk.state = .up
    ledger.count("talked")
    ledger.rose(talk, of: username)
    speak(talk)
    if !isEager {
      after(chance(80) ? drawn(1000, 25_000) : drawn(60_000, 100_000)) { [weak talk] page in
        if let talk, page.talk === talk { page.hangUp() }
      }
      if chance(60) {
        after(drawn(300, 6000)) { [weak talk] page in
          guard let talk, page.talk === talk else { return }
          page.open(Building.doorOf[talk.peer] ?? page.profile.doors[0])
        }
      }
      if chance(25) {
        after(drawn(500, 6000)) { [weak talk] page in
          if let talk, page.talk === talk { page.changeNetwork() }
        }
      }
    }
  }

  private func speak(_ talk: Talk) {
    guard self.talk === talk, talk.state == .up else { return }
    if let sealed = talk.sound?.say(Sound.packet(talk, tag: profile.tag)) { sights.overhear(sealed) }
    talk.sequence &+= 1
    talk.timestamp &+= 7200
    after(.milliseconds(900)) { [weak talk] page in if let talk { page.speak(talk) } }
  }

  /// Another network: it tells the gateway where it is now, and asks for new paths.
  func changeNetwork() {
    guard let talk, let sound = talk.sound, talk.state == .up else { return }
    ledger.count("network changed")
    let used = cookie
    ask(
      "PATCH", location, type: "application/trickle-ice-sdpfrag", headers: ["If-Match: *"],
      body: sound.restart()
    ) { [weak self, weak talk] answer in
      guard let self, let talk, self.talk === talk, let answer else { return }
      if answer.status == 200 {
        guard sound.settle(fragment: answer.text.body) else {
          return self.ledger.breach(
            "browsers can read it", "\(self.username) cannot take the answer to a restart")
        }
        self.ledger.count("restarted ICE")
      } else if answer.status == 401 {
        self.sights.refused(self.username, used)
      } else if answer.status != 404, answer.status != 410 {
        self.ledger.breach("a restart is answered", "\(answer.status)")
      }
    }
  }

  func hangUp() {
    guard talk != nil else { return }
    let place = location
    endTalk()
    ask("DELETE", place) { _ in }
  }

  func endTalk() {
    guard let talk else { return }
    self.talk = nil
    talk.state = .over
    talk.sound?.close()
    ledger.fell(talk)
  }

  // MARK: Sound

  func received(
    _ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint
  ) {
    if see(datagram, on: socket, from: remote) { return }
    guard let talk, let sound = talk.sound, sound.socket == socket else { return }
    let packet = sound.receive(datagram, from: remote)
    if let packet, let tag = Sound.speaker(packet) {
      ledger.hears(username, tag: tag, in: talk)
      ledger.count("heard on a page")
    }
    look(after: talk)
  }

  func advance() {
    advanceLooks()
    guard let talk else { return }
    talk.sound?.advance()
    look(after: talk)
  }

  var nextDeadline: Instant? {
    (looks.map(\.picture.nextDeadline) + [talk?.sound?.nextDeadline]).compactMap { $0 }.min()
  }

  private func look(after talk: Talk) {
    guard talk.sound?.isLost == true, talk.state == .up else { return }
    ledger.count("sound lost")
    hangUp()
  }

  // MARK: Doors and lists

  /// Opens a door, and asks again with the same key when the answer is lost.
  func open(_ door: String) {
    guard let right = ledger.pageOpens(door, by: username) else { return }
    ledger.count("page opens")
    open(door, key: dice.hex(bytes: 8), right, asked: world.now, triesLeft: 1)
  }

  private func open(_ door: String, key: String, _ right: Int, asked: Instant, triesLeft: Int) {
    ask("POST", "/api/v1/doors/\(door)/open", headers: ["Idempotency-Key: \(key)"], body: Array("{}".utf8)) {
      [weak self] answer in
      guard let self else { return }
      guard let answer else {
        guard triesLeft > 0 else { return }
        self.ledger.count("page opens again")
        return self.after(.milliseconds(700)) {
          $0.open(door, key: key, right, asked: asked, triesLeft: triesLeft - 1)
        }
      }
      let result = answer.status == 200 ? answer.json?["result"]?.string ?? "" : "refused"
      self.ledger.count("page opens: \(result)")
      // The yard's station opens by a key, and says nothing.
      if door != "yard" { self.ledger.heard(of: right, result, door: door, asked: asked) }
    }
  }

  /// Looks at its lists, and tries what is not its own.
  func feelLikeSomething() {
    after(drawn(8000, 40_000)) { $0.feelLikeSomething() }
    guard cookie != nil, !isRefused, !isQuiet else { return }
    switch dice.below(6) {
    case 0: look(at: "/api/v1/calls")
    case 1: look(at: "/api/v1/cdr?limit=20")
    case 2, 3: open(["entrance", "garage", "yard"][Int(dice.below(3))])
    default:
      let forbidden = ["/api/v1/accounts", "/api/v1/directory", "/api/v1/bans", "/api/v1/status"]
      let path = forbidden[Int(dice.below(4))]
      ask("GET", path) { [ledger, username] answer in
        if answer?.status == 200 { ledger.breach("unit isolation", "\(username) may read \(path)") }
      }
    }
  }

  private func look(at path: String) {
    ask("GET", path) { [weak self] answer in
      guard let self, answer?.status == 200, let list = answer?.json?.array else { return }
      for call in list {
        let accounts = (call["legs"]?.array ?? []).compactMap { $0["account"]?.string }
        self.ledger.isTold(
          self.username, of: call["from"]?.string ?? "", unit: call["unit"]?.string,
          isPartOfIt: accounts.contains(self.username))
      }
    }
  }
}
