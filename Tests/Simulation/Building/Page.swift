internal import JSON
import Simulation
import Wire

/// A resident's page as a browser runs it: it follows events, rings, answers with an offer of its own, talks, opens the
/// door, and comes back whenever its network does.
///
/// Its HTTP is by another hand than the gateway's (`WebText`). One value is one life of the page; what a browser keeps
/// is the cookie alone.
final class Page: SimulatedPeer {
  struct Profile {
    var username: String
    var isSecure: Bool
    var tag: UInt8
    var doors: [String]
  }
  struct Answer {
    var text: WebText
    var status: Int { text.status }
    var json: JSONNode? { try? JSONNode(parsing: text.body, dialect: .json, file: "answer") }
  }
  private struct Ask {
    var request: [UInt8]
    var text = WebText()
    var session: (any SecureSessionBox)?
    var hasAsked = false
    /// Events: they have no end.
    var isEndless = false
    var heard: Instant
    /// Whether what comes may hold secrets of ours.
    var isConfidential = false
    var then: (Answer?) -> Void
  }

  let world: SimulatedWorld
  let profile: Profile
  let ledger: Ledger
  let sights: Sights
  var dice: Random
  /// What the cookie holds.
  private(set) var cookie: String?
  /// The browser stores what it was given.
  var whenGiven: ((String) -> Void)?
  private(set) var isRefused = false
  /// It is told of what happens.
  private(set) var isListening = false
  var isQuiet = false
  var isEager = false
  var isPatient = false
  private(set) var rings = 0
  /// What rings here: call and caller.
  private(set) var ringing: [(call: String, from: String)] = []
  /// Calls that ever rang here: more may be told of them.
  private var known: Set<String> = []
  var talk: Talk?
  var looks: [Look] = []
  /// What hangs up.
  var location = ""
  private var asks: [SocketID: Ask] = [:]

  init(_ world: SimulatedWorld, _ profile: Profile, _ ledger: Ledger, _ sights: Sights, cookie: String?) {
    self.world = world
    self.profile = profile
    self.ledger = ledger
    self.sights = sights
    self.cookie = cookie
    dice = world.makeRandom()
    ledger.speaks(profile.username, as: profile.tag)
  }

  var username: String { profile.username }

  func start() {
    after(drawn(50, 1500)) { $0.follow() }
    after(drawn(2000, 20_000)) { $0.feelLikeSomething() }
  }

  // MARK: Dice

  func drawn(_ least: Int, _ most: Int) -> Interval {
    .milliseconds(Int64(least) + Int64(dice.below(UInt64(max(1, most - least)))))
  }
  func chance(_ percent: UInt64) -> Bool { dice.below(100) < percent }
  func after(_ interval: Interval, _ action: @escaping (Page) -> Void) {
    world.after(interval) { [weak self] in
      guard let self else { return }
      action(self)
    }
  }

  // MARK: Asking

  private var port: UInt16 { profile.isSecure ? 8443 : 8080 }
  private var host: String { "\(Building.gateway):\(port)" }

  /// Asks on a connection of its own, which it gives back; `then` has nil when no whole answer came.
  @discardableResult
  func ask(
    _ method: String, _ path: String, type: String = "application/json", headers: [String] = [],
    body: [UInt8] = [], isEndless: Bool = false, isConfidential: Bool = false,
    then: @escaping (Answer?) -> Void
  ) -> SocketID? {
    guard let stream = try? world.connect(Endpoint(Building.gateway, port: port)) else {
      then(nil)
      return nil
    }
    var head = "\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\n"
    head += "Origin: \(profile.isSecure ? "https" : "http")://\(host)\r\n"
    if let cookie { head += "Cookie: \(profile.isSecure ? "__Host-vestibule" : "vestibule")=\(cookie)\r\n" }
    for header in headers { head += header + "\r\n" }
    if !body.isEmpty || method != "GET" {
      head += "Content-Length: \(body.count)\r\nContent-Type: \(type)\r\n"
    }
    if !isEndless { head += "Connection: close\r\n" }
    world.network.journal.say("\(username) > \(method) \(path)", at: world.now)
    asks[stream] = Ask(
      request: Array((head + "\r\n").utf8) + body,
      session: profile.isSecure ? SecureSessionBoxing.client() : nil, isEndless: isEndless, heard: world.now,
      isConfidential: isConfidential, then: then)
    if isEndless { watch(stream) } else { after(.seconds(15)) { $0.abandon(stream) } }
    return stream
  }

  /// The gateway says something every 15 s, or is gone.
  private func watch(_ stream: SocketID) {
    after(.seconds(10)) { page in
      guard let ask = page.asks[stream] else { return }
      if page.world.now - ask.heard > .seconds(40) { page.abandon(stream) } else { page.watch(stream) }
    }
  }

  private func abandon(_ stream: SocketID) {
    guard asks[stream] != nil else { return }
    world.close(stream, flushing: false)
    finish(stream, isWhole: false)
  }

  func connected(_ stream: SocketID) {
    guard let ask = asks[stream] else { return }
    if let session = ask.session {
      _ = world.write(session.start().span, on: stream)
    } else {
      _ = world.write(ask.request.span, on: stream)
    }
  }

  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {
    guard var ask = asks[stream] else { return }
    ask.heard = world.now
    var plain: [UInt8] = []
    var isFinished = false
    if let session = ask.session {
      guard let (opened, out) = session.open(bytes) else { return abandon(stream) }
      plain = opened
      if !out.isEmpty { _ = world.write(out.span, on: stream) }
      if session.isUp, !ask.hasAsked {
        ask.hasAsked = true
        _ = world.write(session.seal(ask.request).span, on: stream)
      }
      isFinished = session.isFinished
    } else {
      for index in bytes.indices { plain.append(bytes[index]) }
    }
    if !ask.isConfidential { ledger.inspect(plain, in: "the web's answer to \(username)") }
    ask.text.take(plain)
    let isEndless = ask.isEndless && ask.text.status == 200
    var events: [[UInt8]] = []
    if isEndless { while let event = ask.text.nextEvent() { events.append(event) } }
    let wasListening = isListening
    asks[stream] = ask
    if isEndless, !wasListening { listens() }
    for event in events { take(event) }
    if let broken = ask.text.broken {
      ledger.breach(
        "readable HTTP", "\(username) cannot read what the gateway sent: \(broken.debugDescription)")
      return abandon(stream)
    }
    if ask.text.isWhole || isFinished {
      world.close(stream, flushing: true)
      finish(stream, isWhole: ask.text.isWhole)
    }
  }

  func closed(_ stream: SocketID, _ failure: NetworkFailure) { finish(stream, isWhole: false) }

  private func finish(_ stream: SocketID, isWhole: Bool) {
    guard let ask = asks.removeValue(forKey: stream) else { return }
    if isWhole { world.network.journal.say("\(username) < \(ask.text.status)", at: world.now) }
    ask.then(isWhole ? Answer(text: ask.text) : nil)
  }

  // MARK: Enrolment

  /// Opens the link that it was shown; the bearer and the secret that it got, nil when nobody knows.
  func redeem(_ token: String, then: @escaping (_ bearer: String?, _ secret: String?) -> Void) {
    ask("POST", "/provision/\(token)", isConfidential: true) { [weak self] answer in
      guard let self, let answer, answer.status == 200, let json = answer.json,
        let bearer = json["bearer"]?.string
      else { return then(nil, nil) }
      then(bearer, json["secret"]?.string)
      self.ask(
        "POST", "/api/v1/session", headers: ["Authorization: Bearer \(bearer)"], isConfidential: true
      ) { [weak self] answer in
        guard let self else { return }
        let given = answer?.text["set-cookie"].prefix { $0 != ";" }.split(separator: "=").last
        // Whose answer is lost has the bearer yet.
        self.cookie = given.map(String.init) ?? bearer
        self.isRefused = false
        self.whenGiven?(self.cookie!)
        if !self.isListening { self.follow() }
      }
    }
  }

  // MARK: Events

  private var follows = 0
  /// What it listens to, or will.
  private var events: SocketID?

  /// Asks who it is, then listens; again and again. An earlier stream goes: one that went on to be heard would pass for
  /// the new one, whose end nobody then sees.
  private func follow() {
    guard !isListening else { return }
    follows += 1
    let number = follows
    if let events { abandon(events) }
    guard let used = cookie, !isRefused else { return }
    func again() {
      after(drawn(500, 5000)) { page in if page.follows == number { page.follow() } }
    }
    ask("GET", "/api/v1/session") { [weak self] answer in
      guard let self, number == self.follows else { return }
      guard let answer else { return again() }
      if answer.status == 401, used == self.cookie {
        self.isRefused = true
        self.ledger.count("page refused")
        self.sights.refused(self.username, used)
        return
      }
      guard answer.status == 200 else { return again() }
      self.events = self.ask(
        "GET", "/api/v1/events", headers: ["Accept: text/event-stream"], isEndless: true
      ) { [weak self] _ in
        guard let self, number == self.follows else { return }
        self.isListening = false
        again()
      }
    }
  }

  /// The stream stands: what rings now is asked after, so that nothing falls between.
  private func listens() {
    isListening = true
    ledger.count("page listens")
    ask("GET", "/api/v1/session") { [weak self] answer in
      guard let self, let json = answer?.json, answer?.status == 200, let now = json["ringing"]?.array else {
        return
      }
      let live = now.compactMap { $0["call"]?.string }
      self.ringing.removeAll { !live.contains($0.call) }
      for call in now { if let id = call["call"]?.string { self.ring(id, from: call["from"]?.string ?? "") } }
    }
  }

  private func take(_ bytes: [UInt8]) {
    guard let event = try? JSONNode(parsing: bytes, dialect: .json, file: "event"),
      let type = event["type"]?.string
    else { return ledger.breach("readable HTTP", "\(username) cannot read an event") }
    world.network.journal.say("\(username) < \(type)", at: world.now)
    guard type.hasPrefix("call."), let call = event["call"]?.string else { return }
    let from = event["from"]?.string ?? ""
    let rings = event["rings"]?.bool == true
    ledger.isTold(
      username, of: from, unit: event["unit"]?.string, isPartOfIt: rings || known.contains(call))
    switch type {
    case "call.ringing":
      guard rings else { break }
      ring(call, from: from)
      if let whep = event["whep"]?.string, let token = event["token"]?.string {
        mayLook(call, whep: whep, token: token)
      }
    case "call.answered":
      ringing.removeAll { $0.call == call }
      if event["by"]?.string != username { seesNoMore(of: call) }
    case "call.silenced":
      ringing.removeAll { $0.call == call }
      seesNoMore(of: call)
    case "call.ended":
      ringing.removeAll { $0.call == call }
      seesNoMore(of: call)
      if talk?.callID == call { endTalk() }
    default: break
    }
  }

  private func ring(_ call: String, from: String) {
    guard talk?.callID != call, !ringing.contains(where: { $0.call == call }) else { return }
    known.insert(call)
    ringing.append((call, from))
    rings += 1
    ledger.count("page rang")
    ledger.rang(username, from: from)
    consider(call, from)
  }

  func stopRinging(_ call: String) { ringing.removeAll { $0.call == call } }
}
