import SIP
import Testing
import Wire

@Suite struct RegistrarTests {
  var registrar: Registrar
  var random = Random(seed: 1)
  let start = Instant(nanoseconds: 1_000_000_000)
  let wall = WallTime(seconds: 1_760_000_000)
  let panel = AccountRecord(
    username: "panel401", transports: TransportSet([.udp, .tcp, .tls, .ws, .wss]), contactLimit: 2,
    credentials: [])

  init() {
    var configuration = Registrar.Configuration()
    configuration.qualify = .zero
    registrar = Registrar(configuration, now: start)
  }

  static func flow(
    _ transport: TransportKind = .udp, _ remote: String = "192.0.2.9:5060", socket: UInt32 = 1
  ) -> Flow {
    Flow(
      transport, local: Endpoint("192.0.2.1:5060")!, remote: Endpoint(remote)!,
      socket: SocketID(Handle(index: socket, generation: 1)))
  }

  mutating func send(
    _ contact: String?, callID: String = "a@b", cseq: Int = 1, on flow: Flow = flow(),
    after seconds: Int64 = 0, extra: [String] = []
  ) throws -> (status: Int, contacts: [String], other: [String]) {
    let message = try register(user: "panel401", contact: contact, callID: callID, cseq: cseq, extra: extra)
    let answer = registrar.register(
      message, on: flow, for: panel, credential: 1, now: start + .seconds(seconds), random: &random)
    return (
      answer.status, answer.headers.filter { $0.name == .contact }.map(\.value),
      answer.headers.filter { $0.name != .contact }.map { "\($0.name.text): \($0.value)" }
    )
  }
  mutating func events() -> [Registrar.Event] {
    var result: [Registrar.Event] = []
    while let event = registrar.next() { result.append(event) }
    return result
  }

  @Test mutating func aContactComesBackAsItWasGiven() throws {
    #expect(
      try send("\"Me\" <sip:me@192.0.2.9;ob;transport=udp>;+sip.ice;reg-id=1;+sip.instance=\"<urn:uuid:1>\"")
        .contacts == [
          "<sip:me@192.0.2.9;ob;transport=udp>;+sip.ice;reg-id=1;+sip.instance=\"<urn:uuid:1>\";expires=3600"
        ])
    let binding = try #require(registrar.bindings(of: "panel401").first)
    #expect(binding.instance == "<urn:uuid:1>")
    #expect(binding.regID == 1)
    #expect(events() == [.registered(binding)])
  }

  @Test(arguments: ["cparam01", "cparam02", "regescrt"])
  mutating func theTortureTestsContactsKeepTheirParametersInPlace(name: String) throws {
    let message = try TortureTests.message(name)
    let user = name == "regescrt" ? "user" : "watson"
    let account = AccountRecord(username: user, transports: .all, contactLimit: 1, credentials: [])
    let answer = registrar.register(
      message, on: RegistrarTests.flow(), for: account, credential: 1, now: start, random: &random)
    #expect(answer.status == 200)
    let expected = [
      "cparam01": "<sip:+19725552222@gw1.example.net>;unknownparam;expires=3600",
      "cparam02": "<sip:+19725552222@gw1.example.net;unknownparam>;expires=3600",
      "regescrt": "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>;expires=3600",
    ]
    #expect(answer.headers.map(\.value) == [expected[name]!])
  }

  @Test mutating func escnullRegistersTwoContacts() throws {
    let message = try TortureTests.message("escnull")
    let account = AccountRecord(
      username: "null-\u{0}-null", transports: .all, contactLimit: 5, credentials: [])
    let answer = registrar.register(
      message, on: RegistrarTests.flow(), for: account, credential: 1, now: start, random: &random)
    #expect(
      answer.headers.map(\.value) == [
        "<sip:%00@host5.example.com>;expires=3600", "<sip:%00%00@host5.example.com>;expires=3600",
      ])
    let shortened = AccountRecord(username: "null-", transports: .all, contactLimit: 5, credentials: [])
    #expect(
      registrar.register(
        message, on: RegistrarTests.flow(), for: shortened, credential: 1, now: start, random: &random
      ).status == 403)
  }

  @Test mutating func expiryIsTheContactsOwnThenTheHeadersThenOurs() throws {
    #expect(try send("<sip:a@192.0.2.9>;expires=60").contacts == ["<sip:a@192.0.2.9>;expires=60"])
    #expect(
      try send("<sip:a@192.0.2.9>", cseq: 2, extra: ["Expires: 90"]).contacts
        == ["<sip:a@192.0.2.9>;expires=90"])
    #expect(
      try send("<sip:a@192.0.2.9>;expires=99999", cseq: 3, extra: ["Expires: 90"]).contacts
        == ["<sip:a@192.0.2.9>;expires=3600"])
    #expect(
      try send("<sip:a@192.0.2.9>;expires=280297596632815", cseq: 4).contacts
        == ["<sip:a@192.0.2.9>;expires=3600"])
    let brief = try send("<sip:a@192.0.2.9>;expires=5", cseq: 5)
    #expect(brief.status == 423)
    #expect(brief.other == ["Min-Expires: 30"])
    #expect(registrar.count == 1)
  }

  @Test mutating func aQueryListsWhatIsLeft() throws {
    _ = try send("<sip:a@192.0.2.9>;expires=60")
    #expect(try send(nil, cseq: 2, after: 20).contacts == ["<sip:a@192.0.2.9>;expires=40"])
    #expect(try send(nil, cseq: 3, after: 60).contacts.isEmpty)
  }

  @Test mutating func aBindingEndsWhenItsTimeIsOver() throws {
    _ = try send("<sip:a@192.0.2.9>;expires=60")
    let binding = try #require(registrar.bindings(of: "panel401").first)
    _ = events()
    registrar.advance(now: start + .seconds(59))
    #expect(events().isEmpty)
    registrar.advance(now: start + .seconds(61))
    #expect(events() == [.removed(binding, .expired)])
    #expect(registrar.count == 0)
    #expect(registrar.nextDeadline == nil)
  }

  @Test mutating func zeroAndTheStarUnregister() throws {
    _ = try send("<sip:a@192.0.2.9>")
    _ = try send("<sip:b@192.0.2.9>", cseq: 2)
    #expect(try send("<sip:a@192.0.2.9>;expires=0", cseq: 3).contacts == ["<sip:b@192.0.2.9>;expires=3600"])
    #expect(try send("*", cseq: 4).status == 400, "the star needs Expires: 0")
    #expect(try send("*", cseq: 5, extra: ["Expires: 60"]).status == 400)
    let gone = try send("*", cseq: 6, extra: ["Expires: 0"])
    #expect(gone.status == 200)
    #expect(gone.contacts.isEmpty)
    #expect(registrar.count == 0)
  }

  @Test mutating func anEquivalentContactIsTheSameBinding() throws {
    _ = try send("<sip:a@PANEL.local;transport=udp>")
    #expect(
      try send("<sip:%61@panel.LOCAL;transport=UDP>", cseq: 2).contacts
        == ["<sip:%61@panel.LOCAL;transport=UDP>;expires=3600"])
    let log = events()
    #expect(log.count == 2)
    if case .refreshed(let binding) = log[1] { #expect(binding.cseq == 2) } else { Issue.record("\(log[1])") }
  }

  @Test mutating func aNewContactOfTheSameInstanceAndFlowReplacesTheOld() throws {
    let device = ";reg-id=1;+sip.instance=\"<urn:uuid:1>\""
    _ = try send("<sip:x1@r4nd0m.invalid;transport=ws>" + device, on: RegistrarTests.flow(.ws))
    _ = try send(
      "<sip:x2@oth3r.invalid;transport=ws>" + device, callID: "new", on: RegistrarTests.flow(.ws, socket: 2))
    #expect(registrar.bindings(of: "panel401").map(\.contact) == ["sip:x2@oth3r.invalid;transport=ws"])
  }

  @Test mutating func anOldRequestThatComesLateChangesNothing() throws {
    _ = try send("<sip:a@192.0.2.9>", cseq: 5)
    #expect(try send("<sip:a@192.0.2.9>;expires=0", cseq: 4).status == 500)
    #expect(try send("*", cseq: 5, extra: ["Expires: 0"]).status == 500)
    #expect(registrar.count == 1)
    #expect(try send("<sip:a@192.0.2.9>;expires=0", callID: "after-a-reboot", cseq: 1).status == 200)
    #expect(registrar.count == 0)
  }

  @Test mutating func allContactsOfARequestOrNone() throws {
    #expect(try send("<sip:a@192.0.2.9>, <sip:b@192.0.2.9>;expires=3").status == 423)
    #expect(registrar.count == 0)
    #expect(try send("<sip:a@192.0.2.9>, <tel:+33100000000>").status == 400)
    #expect(registrar.count == 0)
  }

  @Test mutating func oneContactTooManyReplacesTheOldest() throws {
    _ = try send("<sip:a@192.0.2.9>", callID: "1")
    _ = try send("<sip:b@192.0.2.9>", callID: "2", after: 1)
    // Renewed, so no longer the oldest.
    _ = try send("<sip:a@192.0.2.9>", callID: "1", cseq: 2, after: 2)
    _ = events()
    _ = try send("<sip:c@192.0.2.9>", callID: "3", after: 3)
    #expect(
      registrar.bindings(of: "panel401").map(\.contact) == ["sip:c@192.0.2.9", "sip:a@192.0.2.9"])
    let removed = events().compactMap { event -> String? in
      if case .removed(let binding, .replaced) = event { binding.contact } else { nil }
    }
    #expect(removed == ["sip:b@192.0.2.9"])
  }

  @Test mutating func anotherAccountAWrongTransportOrNoContactsAtAllAreForbidden() throws {
    let message = try register(user: "panel402")
    func status(_ account: AccountRecord, _ transport: TransportKind) -> Int {
      registrar.register(
        message, on: RegistrarTests.flow(transport), for: account, credential: 1, now: start, random: &random
      ).status
    }
    var account = AccountRecord(username: "panel401", transports: .all, contactLimit: 2, credentials: [])
    #expect(status(account, .udp) == 403)
    account.username = "panel402"
    account.transports = TransportSet([.wss])
    #expect(status(account, .udp) == 403)
    #expect(status(account, .wss) == 200)
    account.contactLimit = 0
    #expect(status(account, .wss) == 403)
  }

  @Test mutating func whatIsTiedToAConnectionDiesWithItAndTheRestIsDialled() throws {
    let device = ";reg-id=1;+sip.instance=\"<urn:uuid:1>\""
    for (contact, transport, isTied) in [
      ("<sip:a@x.invalid;transport=ws>", TransportKind.ws, true),
      ("<sip:a@192.0.2.9:5070;transport=tcp>", .tcp, false),
      ("<sip:a@192.0.2.9:5070;transport=tcp>" + device, .tcp, true),
      ("<sip:a@10.0.0.5:5070;transport=tcp>", .tcp, true), ("<sip:a@panel.local>", .tls, true),
      ("<sip:a@192.0.2.9>", .tls, false),
    ] {
      var registrar = self.registrar
      let flow = RegistrarTests.flow(transport, "192.0.2.9:49152", socket: 7)
      let message = try register(user: "panel401", contact: contact)
      _ = registrar.register(message, on: flow, for: panel, credential: 1, now: start, random: &random)
      registrar.connectionLost(SocketID(Handle(index: 8, generation: 1)))
      #expect(registrar.count == 1)
      registrar.connectionLost(flow.socket)
      #expect(registrar.count == (isTied ? 0 : 1), "\(contact) over \(transport)")
      if let binding = registrar.bindings(of: "panel401").first {
        #expect(binding.flow.socket == .none)
        #expect(binding.flow.remote.port == (transport == .tls ? 5061 : 5070))
      }
    }
  }

  @Test mutating func afterARestartUDPWorksAtOnceAndTiedContactsAreGone() throws {
    _ = try send("<sip:a@10.0.0.5>;expires=600", on: RegistrarTests.flow(.udp, "192.0.2.9:6060"))
    let udp = try #require(registrar.bindings(of: "panel401").first)
    var saved = [udp.saved(now: start, wall: wall)]
    var web = saved[0]
    web.id = 9
    web.transport = .wss
    saved.append(web)
    var over = saved[0]
    over.id = 10
    over.expires = wall
    saved.append(over)

    let reborn = Instant(nanoseconds: 3)
    var later = Registrar(now: reborn)
    later.load(saved, now: reborn, wall: wall + .seconds(100), random: &random)
    #expect(later.all.map(\.id) == [udp.id])
    let back = try #require(later.binding(udp.id))
    #expect(back.flow.remote == Endpoint("192.0.2.9:6060")!)
    #expect(back.flow.socket == .none)
    #expect(back.expires == reborn + .seconds(500))
    // A wall clock that went back a year does not make it last a year.
    var jumped = Registrar(now: reborn)
    jumped.load(saved, now: reborn, wall: wall + .hours(-9000), random: &random)
    #expect(jumped.binding(udp.id)?.expires == reborn + .seconds(3600))
    // Numbers go on above those that were used.
    let answer = later.register(
      try register(user: "panel401", contact: "<sip:new@192.0.2.9>"), on: RegistrarTests.flow(), for: panel,
      credential: 1, now: reborn, random: &random)
    #expect(answer.status == 200)
    #expect(later.bindings(of: "panel401").first?.id == 11)
  }

  @Test mutating func revokingACredentialEndsItsBindings() throws {
    _ = try send("<sip:a@192.0.2.9>")
    let other = registrar.register(
      try register(user: "panel401", contact: "<sip:b@192.0.2.9>", callID: "x"), on: RegistrarTests.flow(),
      for: panel, credential: 2, now: start, random: &random)
    #expect(other.status == 200)
    registrar.revoke("panel401", credential: 1)
    #expect(registrar.bindings(of: "panel401").map(\.contact) == ["sip:b@192.0.2.9"])
    registrar.revoke("panel401")
    #expect(registrar.count == 0)
  }

  @Test mutating func pathComesBackInOrder() throws {
    let answer = try send(
      "<sip:a@192.0.2.9>", extra: ["Path: <sip:p1;lr>, <sip:p2;lr>", "Path: <sip:p3;lr>"])
    #expect(answer.other == ["Path: <sip:p1;lr>", "Path: <sip:p2;lr>", "Path: <sip:p3;lr>"])
    #expect(
      registrar.bindings(of: "panel401").first?.path == ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"])
  }

  @Test mutating func pingsTellWhetherAContactIsReachable() throws {
    var configuration = Registrar.Configuration()
    configuration.qualify = .seconds(45)
    var registrar = Registrar(configuration, now: start)
    _ = registrar.register(
      try register(user: "panel401"), on: RegistrarTests.flow(), for: panel, credential: 1, now: start,
      random: &random)
    let id = try #require(registrar.bindings(of: "panel401").first?.id)
    var pings = 0
    var changes: [Binding.Reach] = []
    func take() {
      while let event = registrar.next() {
        switch event {
        case .ping: pings += 1
        case .reachChanged(let binding): changes.append(binding.reach)
        default: break
        }
      }
    }
    registrar.advance(now: start + .seconds(46))
    take()
    #expect(pings == 1)
    registrar.pinged(id, latency: .milliseconds(3))
    registrar.pinged(id, latency: .milliseconds(4))
    registrar.pinged(id, latency: nil)
    take()
    #expect(changes == [.reachable(latency: .milliseconds(3))])
    registrar.pinged(id, latency: nil)
    registrar.pinged(id, latency: nil)
    registrar.pinged(id, latency: .milliseconds(9))
    take()
    #expect(changes.dropFirst() == [.unreachable, .reachable(latency: .milliseconds(9))])
    registrar.advance(now: start + .seconds(92))
    take()
    #expect(pings == 2)
    registrar.pinged(999, latency: nil)
  }

  @Test mutating func anyOrderOfEventsLeavesTheTablesInStep() throws {
    var configuration = Registrar.Configuration()
    configuration.qualify = .seconds(40)
    var registrar = Registrar(configuration, now: start)
    var known: Set<UInt64> = []
    var now = start
    for step in 0..<3000 {
      now = now + .milliseconds(Int64(random.below(20_000)))
      let transport = TransportKind.allCases[Int(random.below(5))]
      let socket = UInt32(random.below(6))
      switch random.below(8) {
      case 0: registrar.connectionLost(SocketID(Handle(index: socket, generation: 1)))
      case 1: registrar.advance(now: now)
      case 2: registrar.revoke("panel401", credential: random.below(3))
      case 3: registrar.pinged(random.below(40), latency: random.below(2) == 0 ? nil : .milliseconds(1))
      default:
        let host = random.below(2) == 0 ? "192.0.2.9" : "x.invalid"
        let seconds = [0, 30, 60, 3600][Int(random.below(4))]
        _ = registrar.register(
          try register(
            user: "panel401", contact: "<sip:u\(random.below(4))@\(host)>;expires=\(seconds)", cseq: step + 1),
          on: RegistrarTests.flow(transport, socket: socket), for: panel, credential: random.below(3),
          now: now, random: &random)
      }
      while let event = registrar.next() {
        switch event {
        case .registered(let binding): #expect(known.insert(binding.id).inserted)
        case .removed(let binding, _): #expect(known.remove(binding.id) != nil)
        default: break
        }
      }
      #expect(Set(registrar.all.map(\.id)) == known)
      #expect(registrar.count == known.count)
      #expect(known.count <= 2)
    }
    registrar.revoke("panel401")
    #expect(registrar.nextDeadline == nil, "no deadline outlives the bindings")
  }
}
