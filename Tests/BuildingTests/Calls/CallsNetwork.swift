import Calls
import Directory
import SDP
import SIP
import Wire

/// Everybody is admitted as who their From says.
final class OpenGate: Gatekeeper {
  func serves(_ uri: URI, on flow: Flow) -> Bool { true }
  func decide(_ request: Message, on flow: Flow, _ turn: inout Turn) -> GateDecision {
    let user = request.from.uri.user ?? ""
    return .admit(
      user.hasPrefix("intercom") ? .station(user, credential: nil) : .account(user, credential: 1))
  }
}

/// The agent of the building behind the words of calls.
final class BuildingSignalling: Signalling {
  let agent: Agent
  init(_ agent: Agent) { self.agent = agent }

  func invite(_ invitation: LegInvitation, _ turn: inout Turn) -> SessionID {
    agent.invite(
      OutgoingInvitation(
        from: NameAddress(
          display: invitation.from.display, URI(user: invitation.from.username, host: "b.example")),
        to: NameAddress(URI(user: invitation.to, host: "b.example")), destination: invitation.destination,
        headers: invitation.headers, body: invitation.body), &turn)
  }
  func ring(_ session: SessionID, status: Int, body: Body?, _ turn: inout Turn) {
    agent.ring(session, status: status, body: body, &turn)
  }
  func answer(_ session: SessionID, body: Body, _ turn: inout Turn) {
    agent.answer(session, body: body, &turn)
  }
  func refuse(_ session: SessionID, status: Int, headers: [(String, String)], _ turn: inout Turn) {
    agent.refuse(session, status: status, headers: headers, &turn)
  }
  func cancel(_ session: SessionID, reason: Reason?, _ turn: inout Turn) {
    agent.cancel(session, reason: reason, &turn)
  }
  func hangUp(_ session: SessionID, reason: Reason?, _ turn: inout Turn) {
    agent.hangUp(session, reason: reason, &turn)
  }
  func offer(_ session: SessionID, body: Body, _ turn: inout Turn) { agent.offer(session, body: body, &turn) }
  func acceptOffer(_ session: SessionID, body: Body, _ turn: inout Turn) {
    agent.acceptOffer(session, body: body, &turn)
  }
  func refuseOffer(_ session: SessionID, status: Int, _ turn: inout Turn) {
    agent.refuseOffer(session, status: status, &turn)
  }
  func info(_ session: SessionID, body: Body, _ turn: inout Turn) {
    _ = agent.info(session, body: body, &turn)
  }
  func reply(_ transaction: TransactionID, status: Int, _ turn: inout Turn) {
    agent.reply(transaction, status: status, &turn)
  }
  func notifyTransfer(_ session: SessionID, status: Int, _ turn: inout Turn) {
    agent.notifyTransfer(session, status: status, &turn)
  }
}

/// A gateway's agent with calls, and telephones with agents of their own, on one made-up wire.
final class CallsNetwork {
  final class Telephone {
    let name: String
    let agent: Agent
    let endpoint: Endpoint
    /// The newest session, whichever way.
    var session = SessionID(.none)
    var heard: [String] = []
    /// Request and status lines that came, with the Reason of CANCEL and BYE.
    var lines: [String] = []
    var lastBody: Body?
    var answers = Shapes.panel
    var lastTransaction = TransactionID(.none)

    init(_ name: String, _ endpoint: Endpoint, now: Instant) {
      self.name = name
      self.endpoint = endpoint
      agent = Agent(
        configuration: AgentConfiguration(
          domain: "phone.example", locals: [LocalEndpoint(.udp, endpoint, socket: CallsNetwork.socket)]),
        gate: OpenGate(), now: now)
    }
    var description: SessionDescription? {
      lastBody.flatMap { try? SessionDescription(parsing: $0.bytes) }
    }
  }
  private struct Flight {
    var at: Instant
    var order: Int
    var from: Endpoint
    var to: Endpoint
    var bytes: [UInt8]
  }

  static let socket = SocketID(Handle(index: 1, generation: 1))
  static let home = Endpoint(IPAddress("192.0.2.1")!, port: 5060)

  let agent: Agent
  let calls: Switchboard
  let media = CountedMedia()
  let dialplan = ScriptedDialplan()
  var phones: [Telephone] = []
  var now = Instant(nanoseconds: 1_000_000_000)
  var dice: Random
  /// Of a hundred datagrams.
  var lost: UInt64 = 0
  var slowest: UInt64 = 1
  var told: [CallEvent] = []
  private var flights: [Flight] = []
  private var order = 0

  init(seed: UInt64 = 1, phones names: [String]) {
    dice = Random(seed: seed)
    agent = Agent(
      configuration: AgentConfiguration(
        domain: "b.example", locals: [LocalEndpoint(.udp, CallsNetwork.home, socket: CallsNetwork.socket)]),
      gate: OpenGate(), now: now)
    calls = Switchboard(
      configuration: CallsConfiguration(limit: 20), signalling: BuildingSignalling(agent), media: media,
      dialplan: dialplan, now: now)
    for (place, name) in names.enumerated() {
      let endpoint = Endpoint(IPAddress(v4: 0xC000_0232 + UInt32(place)), port: 5060)
      phones.append(Telephone(name, endpoint, now: now))
      dialplan.places[name] = endpoint
    }
  }

  subscript(name: String) -> Telephone { phones.first { $0.name == name }! }

  private func flow(_ local: Endpoint, _ remote: Endpoint) -> Flow {
    Flow(.udp, local: local, remote: remote, socket: CallsNetwork.socket)
  }

  private func send(_ out: borrowing Outbox, from: Endpoint) {
    for entry in out.entries {
      if dice.below(100) < lost { continue }
      order += 1
      flights.append(
        Flight(
          at: now + .milliseconds(Int64(1 + dice.below(slowest))), order: order, from: from,
          to: entry.flow.remote, bytes: Array(out.bytes[entry.range])))
    }
  }

  /// The building does something.
  func house(_ body: (inout Turn) -> Void) {
    var turn = Turn(now: now, random: dice.fork())
    body(&turn)
    while let event = agent.next() { route(event, &turn) }
    while let event = calls.next() { told.append(event) }
    send(turn.out, from: CallsNetwork.home)
  }

  /// A telephone does something.
  func act(_ phone: Telephone, _ body: (Agent, inout Turn) -> Void) {
    var turn = Turn(now: now, random: dice.fork())
    body(phone.agent, &turn)
    while let event = phone.agent.next() { note(phone, event, &turn) }
    send(turn.out, from: phone.endpoint)
  }

  /// The gateway's table from the agent to calls.
  private func route(_ event: AgentEvent, _ turn: inout Turn) {
    switch event {
    case .invited(let id, let message, let flow, let identity):
      let caller: Caller
      var credential: UInt64?
      switch identity {
      case .account(let name, let number):
        caller = .account(AccountName(name))
        credential = number
      case .station(let name, let number):
        caller = .station(StationName(name))
        credential = number
      }
      let body = message.contentType.map { Body(contentType: $0, bytes: message.body) }
      calls.invited(
        id,
        Invitation(
          caller: caller, credential: credential, dialled: message.requestURI?.user ?? "",
          callID: message.callID, body: message.body.isEmpty ? nil : body, source: flow.remote.address,
          replaces: agent.session(replacedBy: message)), &turn)
    case .progressed(let id, let status, let body, _):
      calls.progressed(id, status: status, body: body, &turn)
    case .answered(let id, let body, _): calls.answered(id, body: body, &turn)
    case .refused(let id, let status, _): calls.refused(id, status: status, &turn)
    case .cancelled(let id, let reason): calls.cancelled(id, reason: reason, &turn)
    case .confirmed(let id, let body): calls.confirmed(id, body: body, &turn)
    case .offered(let id, let body): calls.offered(id, body: body, &turn)
    case .offerAccepted(let id, let body): calls.offerAccepted(id, body: body, &turn)
    case .offerRefused(let id, _): calls.offerRefused(id, &turn)
    case .informed(let id, let transaction, let body): calls.informed(id, transaction, body, &turn)
    case .transferRequested(let id, let transaction, let target, let replaces):
      calls.transferRequested(
        id, transaction,
        TransferRequest(
          dialled: target.uri.user ?? "", replaces: replaces.flatMap { agent.session(named: $0) }), &turn)
    case .ended(let id, let ending): calls.ended(id, ending, &turn)
    case .request(let id, _, _, _): agent.reply(id, status: 405, &turn)
    case .response, .unanswered, .resolve, .mistake: break
    }
  }

  private func note(_ phone: Telephone, _ event: AgentEvent, _ turn: inout Turn) {
    switch event {
    case .invited(let id, let message, _, _):
      phone.session = id
      phone.heard.append("invited by \(message.from.display ?? "")")
      phone.lastBody = message.contentType.map { Body(contentType: $0, bytes: message.body) }
    case .progressed(_, let status, _, _): phone.heard.append("\(status)")
    case .answered(_, let body, _):
      phone.heard.append("answered")
      phone.lastBody = body
    case .refused(_, let status, _): phone.heard.append("refused \(status)")
    case .cancelled(_, let reason):
      phone.heard.append("cancelled \(reason?.cause ?? 0) \(reason?.text ?? "")")
    case .confirmed(_, let body): if body != nil { phone.lastBody = body }
    case .offered(let id, let body):
      phone.heard.append(body == nil ? "asked" : "offered")
      phone.lastBody = body
      let held = phone.description?.isHold == true
      phone.agent.acceptOffer(
        id,
        body: .sdp(Array((held ? phone.answers + "a=recvonly\r\n" : phone.answers).utf8)), &turn)
    case .offerAccepted(_, let body):
      phone.heard.append("offer accepted")
      phone.lastBody = body
    case .offerRefused(_, let status): phone.heard.append("offer refused \(status)")
    case .informed(_, let transaction, _):
      phone.heard.append("informed")
      phone.agent.reply(transaction, status: 200, &turn)
    case .ended(_, let ending): phone.heard.append("ended \(ending)")
    case .request(let id, _, _, _): phone.agent.reply(id, status: 200, &turn)
    case .response, .unanswered, .transferRequested, .resolve, .mistake: break
    }
  }

  /// Lets time pass, carrying and waking in order.
  func run(_ interval: Interval) {
    let end = now + interval
    while true {
      let flight = flights.indices.min {
        (flights[$0].at, flights[$0].order) < (flights[$1].at, flights[$1].order)
      }
      let houseWakes = [agent.nextDeadline, calls.nextDeadline].compactMap { $0 }.min()
      let phoneWakes = phones.filter { $0.agent.nextDeadline != nil }
        .min { $0.agent.nextDeadline! < $1.agent.nextDeadline! }
      let next = [flight.map { flights[$0].at }, houseWakes, phoneWakes?.agent.nextDeadline]
        .compactMap { $0 }.min()
      guard let next, next <= end else { break }
      now = max(now, next)
      if let flight, flights[flight].at <= next {
        let taken = flights.remove(at: flight)
        if taken.to == CallsNetwork.home {
          house { agent.receive(taken.bytes.span, on: flow(taken.to, taken.from), &$0) }
        } else if let phone = phones.first(where: { $0.endpoint == taken.to }) {
          act(phone) { $0.receive(taken.bytes.span, on: flow(taken.to, taken.from), &$1) }
        }
      } else if let houseWakes, houseWakes <= next {
        house {
          agent.advance(&$0)
          while let event = agent.next() { route(event, &$0) }
          calls.advance(&$0)
        }
      } else if let phoneWakes {
        act(phoneWakes) { $0.advance(&$1) }
      }
    }
    now = end
  }

  // MARK: What telephones do

  func dial(_ name: String, _ dialled: String = "401", sdp: String? = Shapes.station) {
    let phone = self[name]
    act(phone) { agent, turn in
      phone.session = agent.invite(
        OutgoingInvitation(
          from: NameAddress(URI(user: name, host: "b.example")),
          to: NameAddress(URI(user: dialled, host: "b.example")),
          destination: Destination(
            uri: URI(user: dialled, at: CallsNetwork.home), flow: flow(phone.endpoint, CallsNetwork.home)),
          body: sdp.map { .sdp(Array($0.utf8)) }), &turn)
    }
  }
  func rings(_ name: String) {
    let phone = self[name]
    act(phone) { $0.ring(phone.session, status: 180, &$1) }
  }
  func answers(_ name: String) {
    let phone = self[name]
    act(phone) { $0.answer(phone.session, body: .sdp(Array(phone.answers.utf8)), &$1) }
  }
  func hangsUp(_ name: String) {
    let phone = self[name]
    act(phone) { $0.hangUp(phone.session, reason: Reason(.q850, cause: 16, text: "done"), &$1) }
  }
  func reoffers(_ name: String, _ sdp: String) {
    let phone = self[name]
    act(phone) { $0.offer(phone.session, body: .sdp(Array(sdp.utf8)), &$1) }
  }

  var isQuiet: Bool {
    calls.count == 0 && media.open.isEmpty && calls.nextDeadline == nil
      && ([agent] + phones.map(\.agent)).allSatisfy {
        $0.census.sessions == 0 && $0.census.timers == 0 && $0.census.clientTransactions == 0
          && $0.census.serverTransactions == 0
      }
  }
}
