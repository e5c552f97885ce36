import API
import Codecs
import Crypto
import RTP
import SDP
import SIP
import Wire

// One call placed as a door station would place it: INVITE, digest, RTP both ways, BYE. Its own user agent, apart from
// the daemon's: what it hears is what a station would hear. It assumes a gateway on this machine, reached over UDP.

/// Refuses whatever is not part of the call.
private final class ClosedGate: Gatekeeper {
  func serves(_ uri: URI, on flow: Flow) -> Bool { true }
  func decide(_ request: Message, on flow: Flow, _ turn: inout Turn) -> GateDecision {
    .refuse(status: 403, headers: [])
  }
}

final class TestCall: Resident {
  private enum Phase {
    /// Nobody has answered: becomes `talking`, `ending` (given up) or `over`.
    case calling
    /// Until the deadline: becomes `ending` or `over`.
    case talking(until: Instant)
    /// BYE or CANCEL is under way.
    case ending(until: Instant)
    case over
  }

  /// What came of it.
  private(set) var answered = false
  private(set) var sent = 0
  private(set) var received = 0
  /// The status that refused it; nil when none did.
  private(set) var refusal: Int?
  var isOver: Bool { if case .over = phase { true } else { false } }

  private let world: any World
  private let ticket: RingTicket
  private let talkTime: Interval
  private let agent: Agent
  private let gateway: Endpoint
  private let signalling: SocketID
  private let media: SocketID
  private let flow: Flow
  private let offer: SessionDescription
  private var random: Random
  private var phase = Phase.calling
  private var session: SessionID?
  private var hasAnsweredChallenge = false
  private var patience: Instant

  private var peer: PeerStream?
  private var timeline: Timeline
  private var oscillator = Oscillator()
  private var nextPacket: Instant

  /// Rules may try several steps of 45 s before the caller is told.
  static let longestRing = Interval.minutes(4)
  /// How long the end of a call may take.
  static let longestEnding = Interval.seconds(5)
  static let toneHertz = 440.0
  static let toneLevel = -12.0
  static let packetTime = Interval.milliseconds(20)
  static let packetSamples = 160

  /// Opens both sockets on `address`, which must be one of this machine's.
  init(
    world: any World, ticket: RingTicket, gateway: Endpoint, from address: IPAddress, talkTime: Interval
  ) throws(NetworkFailure) {
    self.world = world
    self.ticket = ticket
    self.gateway = gateway
    self.talkTime = talkTime
    random = world.makeRandom()
    let own = Endpoint(address, port: 0)
    signalling = try world.openDatagram(own, DatagramOptions())
    media = try world.openDatagram(own, DatagramOptions())
    guard let local = world.local(of: signalling), let heard = world.local(of: media) else {
      throw .addressNotAvailable
    }
    flow = Flow(.udp, local: local, remote: gateway, socket: signalling)
    agent = Agent(
      configuration: AgentConfiguration(
        domain: ticket.domain, locals: [LocalEndpoint(.udp, local, socket: signalling)],
        userAgent: "vestibule ring"),
      gate: ClosedGate(), now: world.now)
    // RTCP is neither sent nor listened for: the port beside may be another's.
    offer = SessionDescription(
      origin: Origin(id: random.next() >> 1, version: 1, address: heard.address), address: heard.address,
      lines: [
        .stream(
          LocalStream(
            kind: .audio, port: heard.port, rtcpPort: heard.port &+ 1, formats: [.pcma, .pcmu], ptime: 20))
      ])
    timeline = Timeline(
      ssrc: UInt32(truncatingIfNeeded: random.next()), sequence: UInt16(truncatingIfNeeded: random.next()),
      timestamp: UInt32(truncatingIfNeeded: random.next()), clockRate: 8000)
    patience = world.now + TestCall.longestRing
    nextPacket = world.now
  }

  /// Places the call.
  func begin() { invite(headers: []) }

  /// Ends it early.
  func giveUp() {
    switch phase {
    case .calling, .talking: end()
    case .ending, .over: break
    }
  }

  /// Gives the sockets back.
  func close() {
    world.close(signalling, flushing: false)
    world.close(media, flushing: false)
  }

  // MARK: Signalling

  private func invite(headers: [(String, String)]) {
    guard let target = URI(ticket.target) else {
      phase = .over
      return
    }
    let from = NameAddress(display: "vestibule ring", URI(user: ticket.username, host: ticket.domain))
    let invitation = OutgoingInvitation(
      from: from, to: NameAddress(target), destination: Destination(uri: target, flow: flow),
      headers: headers, body: .sdp(offer.bytes))
    act { agent, turn in session = agent.invite(invitation, &turn) }
  }

  /// Lends the agent a turn, sends what it wrote, and hears what it says.
  private func act(_ step: (Agent, inout Turn) -> Void) {
    var turn = Turn(now: world.now, random: random)
    step(agent, &turn)
    random = turn.random
    flush(turn.out)
    while let event = agent.next() { hear(event) }
  }

  private func flush(_ out: borrowing Outbox) {
    let bytes = out.bytes
    for entry in out.entries {
      let message = Array(bytes[entry.range])
      world.send(message.span, on: signalling, to: entry.flow.remote, from: nil)
    }
  }

  private func hear(_ event: AgentEvent) {
    switch event {
    case .answered(session, let body, _): takeAnswer(body)
    case .refused(session, let status, let message): takeRefusal(status, message)
    case .ended(session, _), .cancelled(session, _): phase = .over
    case .offered(let id, _):
      // The gateway asks anew (a hold, a refresh): the same answer as ever.
      act { agent, turn in agent.acceptOffer(id, body: .sdp(offer.bytes), &turn) }
    case .informed(_, let id, _), .transferRequested(_, let id, _, _):
      act { agent, turn in agent.reply(id, status: 603, &turn) }
    case .request(let id, _, _, _): act { agent, turn in agent.reply(id, status: 403, &turn) }
    case .invited(let id, _, _, _): act { agent, turn in agent.refuse(id, status: 486, &turn) }
    case .resolve(let ticket, _): act { agent, turn in agent.resolved(ticket, [], &turn) }
    case .progressed, .answered, .refused, .ended, .cancelled, .confirmed, .offerAccepted, .offerRefused,
      .response, .unanswered, .mistake:
      break
    }
  }

  private func takeRefusal(_ status: Int, _ message: Message?) {
    if status == 401 || status == 407, !hasAnsweredChallenge, let message {
      let name = status == 401 ? "WWW-Authenticate" : "Proxy-Authenticate"
      let values = message.headers.filter { ASCII.equalIgnoringCase($0.name, name) }.map(\.value)
      if let challenge = values.flatMap(AuthenticationChallenge.all).digest(preferring: .sha256) {
        hasAnsweredChallenge = true
        let value = challenge.answer(
          "INVITE", ticket.target, user: ticket.username, password: ticket.secret,
          clientNonce: random.hex(bytes: 16))
        invite(headers: [(status == 401 ? "Authorization" : "Proxy-Authorization", value)])
        return
      }
    }
    refusal = status
    phase = .over
  }

  private func takeAnswer(_ body: Body?) {
    answered = true
    if let body, let description = try? SessionDescription(parsing: body.bytes) {
      peer = description.settled(at: 0, with: offer)
    }
    phase = .talking(until: world.now + talkTime)
    nextPacket = world.now
    guard peer?.rtp != nil else {
      end()
      return
    }
  }

  private func end() {
    phase = .ending(until: world.now + TestCall.longestEnding)
    guard let session else {
      phase = .over
      return
    }
    if answered {
      act { agent, turn in agent.hangUp(session, &turn) }
    } else {
      act { agent, turn in agent.cancel(session, &turn) }
    }
  }

  // MARK: Sound

  private func sendPackets() {
    guard let peer, let remote = peer.rtp, let format = peer.media else { return }
    while nextPacket <= world.now {
      var samples = [Int16](repeating: 0, count: TestCall.packetSamples)
      oscillator.add(TestCall.toneHertz, level: TestCall.toneLevel, into: &samples, count: samples.count)
      let isALaw = format.audioCodec == .pcma
      let stamp = timeline.generate(ticks: UInt32(samples.count), at: nextPacket)
      let header = PacketHeader(
        payloadType: format.payloadType, sequence: stamp.sequence, timestamp: stamp.timestamp,
        ssrc: timeline.ssrc, marker: stamp.isNewTalk)
      var packet: [UInt8] = []
      let head = header.bytes
      for index in head.indices { packet.append(head[index]) }
      for sample in samples { packet.append(isALaw ? G711.a(from: sample) : G711.mu(from: sample)) }
      if peer.direction.sends {
        world.send(packet.span, on: media, to: remote, from: nil)
        sent += 1
      }
      nextPacket = nextPacket + TestCall.packetTime
    }
  }

  // MARK: Resident

  func received(
    _ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint
  ) {
    if socket == media {
      guard answered, remote.address == peer?.rtp?.address, !PacketHeader.looksLikeControl(datagram),
        let header = try? PacketHeader(parsing: datagram), !header.payload.isEmpty
      else { return }
      received += 1
      return
    }
    guard socket == signalling, remote == gateway, !isOver else { return }
    var turn = Turn(now: world.now, random: random)
    agent.receive(datagram, on: flow, &turn)
    random = turn.random
    flush(turn.out)
    while let event = agent.next() { hear(event) }
  }

  func advance() {
    act { agent, turn in agent.advance(&turn) }
    switch phase {
    case .calling: if patience <= world.now { end() }
    case .talking(let until):
      sendPackets()
      if until <= world.now { end() }
    case .ending(let until): if until <= world.now { phase = .over }
    case .over: break
    }
  }

  var nextDeadline: Instant? {
    var deadline = agent.nextDeadline
    func consider(_ instant: Instant) { deadline = .earlier(deadline, instant) }
    switch phase {
    case .calling: consider(patience)
    case .talking(let until):
      consider(until)
      if peer?.rtp != nil { consider(nextPacket) }
    case .ending(let until): consider(until)
    case .over: return nil
    }
    return deadline
  }

  func signalled(_ signal: Signal) { giveUp() }
  func accepted(_ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?) {}
  func connected(_ stream: SocketID) {}
  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {}
  func drained(_ stream: SocketID) {}
  func closed(_ stream: SocketID, _ failure: NetworkFailure) {}
  func settle() {}
}
