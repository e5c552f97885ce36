internal import Crypto
import Simulation
import Wire

// How a phone registers, and proves who it is.

extension Phone {
  func register() {
    guard profile.registers, secret != nil, !isRefused else { return }
    registration += 1
    sendRegister(authorization: nil, tries: 0, number: registration)
  }

  private func sendRegister(authorization: String?, tries: Int, number: Int) {
    guard number == registration else { return }
    guard let way = gatewayWay else { return }
    registerCSeq += 1
    let me = "<sip:\(profile.username)@\(Building.domain)>"
    var text = draft(
      "REGISTER", "sip:\(Building.domain)", way, from: me + ";tag=" + dice.hex(bytes: 4), to: me,
      callID: registerID, cseq: registerCSeq)
    text.add("expires", String(profile.expires))
    if profile.carrier.isWeb {
      text.add("supported", "path, gruu, outbound")
      text.fields.removeAll { $0.name == "contact" }
      text.add(
        "contact",
        contact + ";+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-\(registerID)>\";reg-id=1")
    }
    if let authorization { text.add("authorization", authorization) }
    let used = secret
    ask(text, way) { [weak self] answer in
      guard let self, number == self.registration else { return }
      switch answer?.status {
      case 200?:
        self.isRegistered = true
        self.ledger.count("registered")
        self.after(.milliseconds(Int64(self.profile.expires) * 500)) { phone in
          if phone.registration == number { phone.register() }
        }
      case 401?:
        let isStale = answer!.all("www-authenticate").contains { $0.contains("stale=true") }
        if authorization == nil || (isStale && tries < 3) {
          let proof = self.prove(answer!.all("www-authenticate"), "REGISTER", "sip:\(Building.domain)")
          self.sendRegister(authorization: proof, tries: tries + 1, number: number)
        } else {
          self.isRegistered = false
          self.beRefused(answer!, used)
          if isStale { self.retryRegister(number) }
        }
      default:
        self.isRegistered = false
        if answer == nil { self.abandon() }
        self.retryRegister(number)
      }
    }
  }

  /// Our password is called wrong: a careful device stops here, or it would be banned.
  func beRefused(_ answer: SIPText, _ used: String?) {
    guard used == secret, !answer.all("www-authenticate").contains(where: { $0.contains("stale=true") })
    else { return }
    isRefused = true
    ledger.count("password refused")
    sights.refused(profile.username, secret)
  }

  private func retryRegister(_ number: Int) {
    after(drawn(3000, 9000)) { phone in if phone.registration == number { phone.register() } }
  }

  /// A digest answer to the challenges (RFC 2617, RFC 8760).
  func prove(_ challenges: [String], _ method: String, _ uri: String, secret guess: String? = nil) -> String {
    let challenge =
      challenges.first { $0.contains("SHA-256") == profile.prefersSHA } ?? challenges.first ?? ""
    let isSHA = challenge.contains("SHA-256")
    func hash(_ text: String) -> String {
      ASCII.hex(isSHA ? Digest.sha256(Array(text.utf8)) : Digest.md5(Array(text.utf8)))
    }
    let nonce = SIPText.quoted("nonce", in: challenge) ?? ""
    let cnonce = dice.hex(bytes: 4)
    let first = hash("\(profile.username):\(Building.domain):\(guess ?? secret ?? "")")
    let second = hash("\(method):\(uri)")
    let response = hash("\(first):\(nonce):00000001:\(cnonce):auth:\(second)")
    return
      "Digest username=\"\(profile.username)\", realm=\"\(Building.domain)\", nonce=\"\(nonce)\", uri=\"\(uri)\", "
      + "response=\"\(response)\", algorithm=\(isSHA ? "SHA-256" : "MD5"), cnonce=\"\(cnonce)\", nc=00000001, qop=auth"
  }
}
