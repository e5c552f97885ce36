import SIP
import Wire

/// The SIP agent as a machine: peers that say anything, an owner that does anything, and time, in any order.
///
/// Whatever they did, everything sent is a message, every session ends exactly once, and after quiet nothing is
/// held.
final class AgentHarness {
  private final class OpenGate: Gatekeeper {
    func serves(_ uri: URI, on flow: Flow) -> Bool { true }
    func decide(_ request: Message, on flow: Flow, _ turn: inout Turn) -> GateDecision {
      .admit(.account("alice", credential: 1))
    }
  }

  private static let here = Endpoint("192.0.2.1:5060")!
  private static let sdp = Body.sdp(
    Array(
      "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
        .utf8
    ))

  private let gate = OpenGate()
  private let agent: Agent
  private var now = Instant(nanoseconds: 1_000_000_000)
  private var random = Random(seed: 1)
  private var script: Script
  private var sessions: [SessionID] = []
  private var over: Set<SessionID> = []
  private var pending: [TransactionID] = []
  private var tickets: [UInt64] = []
  private var sent: [Message] = []
  /// To tags that the agent gave, for requests inside its dialogs.
  private var tags: [String] = []

  static func run(_ bytes: [UInt8]) { AgentHarness(bytes).run() }

  private init(_ bytes: [UInt8]) {
    script = Script(bytes)
    let socket = SocketID(Handle(index: 1, generation: 1))
    agent = Agent(
      configuration: AgentConfiguration(
        domain: "vestibule.local",
        locals: [LocalEndpoint(.udp, Self.here, socket: socket), LocalEndpoint(.tcp, Self.here)]),
      gate: gate, now: now)
  }

  private func flow(_ choice: Int) -> Flow {
    let remote = Endpoint(IPAddress(v4: 0xC000_0264), port: 5060)
    return choice == 0
      ? Flow(.tcp, local: Self.here, remote: remote, socket: SocketID(Handle(index: 9, generation: 1)))
      : Flow(.udp, local: Self.here, remote: remote, socket: SocketID(Handle(index: 1, generation: 1)))
  }

  private func run() {
    while !script.isAtEnd { step() }
    // The owner lets go of everything, and quiet comes.
    for id in pending { turn { $0.reply(id, status: 500, &$1) } }
    for ticket in tickets { turn { $0.resolved(ticket, [], &$1) } }
    for _ in 0..<3 {
      for id in sessions where !over.contains(id) {
        turn { $0.refuse(id, status: 480, &$1) }
        turn { $0.hangUp(id, &$1) }
      }
      wait(.minutes(10))
    }
    for id in sessions { precondition(over.contains(id), "a session never ends") }
    precondition(agent.census == AgentCensus(), "after quiet there is \(agent.census)")
  }

  private func step() {
    switch script.below(12) {
    case 0:
      let bytes = script.slice()
      let flow = flow(script.below(2))
      turn { $0.receive(bytes.span, on: flow, &$1) }
    case 1, 2, 3: request()
    case 4, 5: response()
    case 6: wait(.milliseconds(Int64(script.byte()) * Int64(script.byte()) * 10))
    case 7: begin()
    case 8, 9: act()
    case 10:
      if script.below(4) == 0 {
        turn { $0.connectionLost(SocketID(Handle(index: 9, generation: 1)), &$1) }
      } else if !tickets.isEmpty {
        let ticket = tickets.removeFirst()
        let names: [ResolvedName] = script.pick([
          [], [.address(.loopbackV4)], [.service(host: "b.example", port: 5070, priority: 1, weight: 0)],
        ])
        turn { $0.resolved(ticket, names, &$1) }
      }
    default:
      if !pending.isEmpty {
        let id = pending.removeFirst()
        let status = script.pick([200, 202, 404, 500, 180])
        turn { $0.reply(id, status: status, &$1) }
        if status < 200 { pending.append(id) }
      }
    }
  }

  /// A request of a peer, well formed but for what the script puts in.
  private func request() {
    let method = script.pick([
      "INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "PRACK", "INFO", "REFER", "OPTIONS", "REGISTER", "MESSAGE",
      "NOTIFY",
    ])
    let call = script.below(3)
    let branch = script.below(6)
    let number = script.below(6) + 1
    let toTag = tags.isEmpty || script.below(3) == 0 ? "" : ";tag=\(script.pick(tags))"
    let hasBody = script.below(2) == 0
    let extra = script.pick([
      "", "Require: 100rel\r\n", "Supported: 100rel, timer\r\nSession-Expires: 90;refresher=uas\r\n",
      "RAck: 1 1 INVITE\r\n", "Refer-To: <sip:402@vestibule.local>\r\n", "Require: nothing\r\n",
      "Replaces: c0@peer;to-tag=\(tags.first ?? "x");from-tag=f0\r\n", "Reason: SIP;cause=200\r\n",
      "Record-Route: <sip:192.0.2.50;lr>\r\n", "Route: <sip:192.0.2.1;lr>\r\n",
    ])
    let line = script.below(4) == 0 ? "X: \(script.line())\r\n" : ""
    let stream = script.below(4)
    let body = hasBody ? String(decoding: Self.sdp.bytes, as: UTF8.self) : ""
    let text =
      "\(method) sip:401@vestibule.local SIP/2.0\r\n"
      + "Via: SIP/2.0/\(stream == 0 ? "TCP" : "UDP") 192.0.2.100:5060;branch=z9hG4bKb\(branch)\r\n"
      + "From: <sip:door@vestibule.local>;tag=f\(call)\r\nTo: <sip:401@vestibule.local>\(toTag)\r\n"
      + "Call-ID: c\(call)@peer\r\nCSeq: \(number) \(method)\r\nMax-Forwards: 70\r\n"
      + "Contact: <sip:door@192.0.2.100>\r\n\(extra)\(line)"
      + (hasBody ? "Content-Type: application/sdp\r\n" : "")
      + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    let flow = flow(stream)
    turn { $0.receive(Array(text.utf8).span, on: flow, &$1) }
  }

  /// A response to something that the agent sent.
  private func response() {
    guard !sent.isEmpty else { return }
    let request = sent[sent.count - 1 - script.below(min(8, sent.count))]
    let status = script.pick([100, 180, 183, 200, 200, 302, 401, 408, 422, 481, 486, 491, 503, 603])
    var answer = Response(to: request, status: status, tag: "t\(script.below(3))")
    answer.add(.contact, script.pick(["<sip:panel@192.0.2.100>", "<sip:panel@192.0.2.100;transport=tcp>"]))
    switch script.below(4) {
    case 0:
      answer.add(named: "Require", "100rel")
      answer.add(named: "RSeq", String(script.below(4) + 1))
    case 1: answer.add(named: "Session-Expires", "\(90 + script.below(100));refresher=uac")
    case 2: answer.add(named: "Min-SE", "\(script.below(255))")
    default: break
    }
    let bytes =
      script.below(2) == 0
      ? answer.encoded() : answer.encoded(body: Self.sdp.bytes, contentType: Self.sdp.contentType)
    let flow = flow(request.topVia.transportKind == .tcp ? 0 : 1)
    turn { $0.receive(bytes.span, on: flow, &$1) }
  }

  /// A session or a request of ours.
  private func begin() {
    let us = NameAddress(URI(user: "door", host: "vestibule.local"))
    let them = NameAddress(URI(user: "panel", host: "192.0.2.100"))
    let uri = script.pick([
      URI("sip:panel@192.0.2.100")!, URI("sip:panel@192.0.2.100;transport=tcp")!, URI("sip:b.example")!,
      URI("sips:b.example:5061")!, URI("tel:+1")!,
    ])
    let destination = Destination(
      uri: uri, flow: script.below(2) == 0 ? flow(script.below(2)) : nil,
      route: script.below(4) == 0 ? ["<sip:192.0.2.50;lr>"] : [])
    guard sessions.count < 16, script.below(3) > 0 else {
      turn { _ = $0.send(OutgoingRequest(.options, from: us, to: them), to: destination, &$1) }
      return
    }
    let body: Body? = script.below(3) == 0 ? nil : Self.sdp
    let expires: Int? = script.below(2) == 0 ? nil : 120
    turn { agent, turn in
      note(
        agent.invite(
          OutgoingInvitation(
            from: us, to: them, destination: destination, body: body, sessionExpires: expires), &turn))
    }
  }

  /// Something that the owner does to a session, fitting or not.
  private func act() {
    guard !sessions.isEmpty else { return }
    let id = script.pick(sessions)
    switch script.below(12) {
    case 0:
      let body: Body? = script.below(2) == 0 ? Self.sdp : nil
      turn { $0.ring(id, status: 180, body: body, &$1) }
    case 1, 2: turn { $0.answer(id, body: Self.sdp, &$1) }
    case 3: turn { $0.refuse(id, status: 486, &$1) }
    case 4: turn { $0.cancel(id, reason: .completedElsewhere, &$1) }
    case 5: turn { $0.hangUp(id, &$1) }
    case 6: turn { $0.offer(id, body: Self.sdp, &$1) }
    case 7: turn { $0.acceptOffer(id, body: Self.sdp, &$1) }
    case 8: turn { $0.refuseOffer(id, &$1) }
    case 9: turn { $0.acknowledge(id, body: Self.sdp, &$1) }
    case 10: turn { _ = $0.info(id, body: Self.sdp, &$1) }
    default:
      let status = script.pick([100, 180, 200, 486])
      turn { $0.notifyTransfer(id, status: status, &$1) }
    }
  }

  private func wait(_ interval: Interval) {
    let end = now + interval
    while let deadline = agent.nextDeadline, deadline <= end {
      now = max(now, deadline)
      turn { $0.advance(&$1) }
    }
    now = end
    turn { $0.advance(&$1) }
  }

  private func note(_ id: SessionID) {
    guard id.handle != .none, !sessions.contains(id) else { return }
    sessions.append(id)
  }

  private func turn(_ body: (Agent, inout Turn) -> Void) {
    var turn = Turn(now: now, random: random)
    body(agent, &turn)
    random = turn.random
    for entry in turn.out.entries {
      let bytes = Array(turn.out.bytes[entry.range])
      guard let message = try? Message(parsing: bytes, framing: .stream) else {
        // The refusal of what could not be read may lack what it could not find.
        precondition(bytes.starts(with: Array("SIP/2.0 ".utf8)), "what was sent is no message")
        continue
      }
      if message.isRequest {
        sent.append(message)
        if sent.count > 32 { sent.removeFirst() }
      } else if let tag = message.toTag, !tags.contains(tag), tags.count < 16 {
        tags.append(tag)
      }
    }
    while let event = agent.next() { take(event) }
  }

  private func take(_ event: AgentEvent) {
    switch event {
    case .request(let id, _, _, _), .informed(_, let id, _), .transferRequested(_, let id, _, _):
      pending.append(id)
    case .invited(let id, _, _, _): note(id)
    case .refused(let id, _, _), .cancelled(let id, _), .ended(let id, _):
      note(id)
      precondition(over.insert(id).inserted, "a session ends twice")
    case .resolve(let ticket, _): tickets.append(ticket)
    case .progressed(let id, _, _, _), .answered(let id, _, _), .confirmed(let id, _), .offered(let id, _),
      .offerAccepted(let id, _), .offerRefused(let id, _):
      precondition(!over.contains(id), "something happens to a session that is over")
    case .response, .unanswered, .mistake: break
    }
  }
}
