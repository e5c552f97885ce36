import API
import RTP
import SDP
import SIP
import Simulation
import Testing
import Wire

@testable import vestibule

/// A gateway that is none: challenges, then answers or refuses, and echoes the sound it gets.
private final class EchoingGateway: Resident, Gatekeeper {
  enum Manner { case echo, deaf, refuse(Int), ringForEver, hangUp(Interval), noSound, challengeTwice }

  let world: any World
  let manner: Manner
  let signalling: SocketID
  let media: SocketID
  var agent: Agent?
  var random: Random
  var session: SessionID?
  var hangUpAt: Instant?
  var challenges = 0
  var credentials: [String] = []
  var ended: [Ending] = []
  var cancelled = 0
  var heard = 0
  var foreign = 0
  var offered: Endpoint?

  init(world: any World, at address: IPAddress, _ manner: Manner) {
    self.world = world
    self.manner = manner
    random = world.makeRandom()
    signalling = try! world.openDatagram(Endpoint(address, port: 5060), DatagramOptions())
    media = try! world.openDatagram(Endpoint(address, port: 40_000), DatagramOptions())
    agent = Agent(
      configuration: AgentConfiguration(
        domain: "gate.test",
        locals: [LocalEndpoint(.udp, Endpoint(address, port: 5060), socket: signalling)]),
      gate: self, now: world.now)
  }

  func serves(_ uri: URI, on flow: Flow) -> Bool { true }
  func decide(_ request: Message, on flow: Flow, _ turn: inout Turn) -> GateDecision {
    let isTwice = if case .challengeTwice = manner { true } else { false }
    if let credential = request.value(named: "Authorization"), !isTwice {
      credentials.append(credential)
      return .admit(.station("intercom-main", credential: nil))
    }
    challenges += 1
    let value = "Digest realm=\"gate.test\", nonce=\"n\(challenges)\", qop=\"auth\", algorithm="
    return .challenge(
      headers: [("WWW-Authenticate", value + "MD5"), ("WWW-Authenticate", value + "SHA-256")], status: 401)
  }

  func act(_ step: (Agent, inout Turn) -> Void) {
    guard let agent else { return }
    var turn = Turn(now: world.now, random: random)
    step(agent, &turn)
    random = turn.random
    let bytes = turn.out.bytes
    for entry in turn.out.entries {
      let message = Array(bytes[entry.range])
      world.send(message.span, on: signalling, to: entry.flow.remote, from: nil)
    }
    while let event = agent.next() { hear(event) }
  }

  private func hear(_ event: AgentEvent) {
    switch event {
    case .invited(let id, let message, _, _):
      session = id
      let description = try? SessionDescription(parsing: message.body)
      if let description, let address = description.address(of: description.media[0]) {
        offered = Endpoint(address, port: description.media[0].port)
      }
      act { agent, turn in
        switch manner {
        case .refuse(let status): agent.refuse(id, status: status, reason: nil, &turn)
        case .ringForEver: agent.ring(id, &turn)
        case .echo, .deaf, .hangUp, .noSound, .challengeTwice:
          agent.ring(id, &turn)
          agent.answer(id, body: .sdp(answer()), &turn)
        }
      }
      if case .hangUp(let after) = manner { hangUpAt = world.now + after }
    case .ended(_, let ending): ended.append(ending)
    case .cancelled: cancelled += 1
    default: break
    }
  }

  private func answer() -> [UInt8] {
    guard let local = world.local(of: media) else { return [] }
    if case .noSound = manner {
      return SessionDescription(
        origin: Origin(id: 1, version: 1, address: local.address), address: local.address,
        lines: [.rejected(kind: .audio, proto: "RTP/AVP", formats: ["8"])]
      ).bytes
    }
    return SessionDescription(
      origin: Origin(id: 1, version: 1, address: local.address), address: local.address,
      lines: [
        .stream(
          LocalStream(kind: .audio, port: local.port, rtcpPort: local.port + 1, formats: [.pcmu, .pcma]))
      ]
    ).bytes
  }

  func received(_ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint) {
    if socket == signalling {
      let flow = Flow(.udp, local: Endpoint(local.address, port: 5060), remote: remote, socket: signalling)
      act { agent, turn in agent.receive(datagram, on: flow, &turn) }
    } else if socket == media {
      guard remote == offered, let header = try? PacketHeader(parsing: datagram),
        header.payloadType == 0, header.payload.count == 160
      else {
        foreign += 1
        return
      }
      heard += 1
      if case .deaf = manner { return }
      world.send(datagram, on: media, to: remote, from: nil)
    }
  }

  func advance() {
    act { agent, turn in agent.advance(&turn) }
    if let hangUpAt, hangUpAt <= world.now, let session {
      self.hangUpAt = nil
      act { agent, turn in agent.hangUp(session, &turn) }
    }
  }
  var nextDeadline: Instant? {
    [agent?.nextDeadline, hangUpAt].compactMap { $0 }.min()
  }
  func accepted(_ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?) {}
  func connected(_ stream: SocketID) {}
  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {}
  func drained(_ stream: SocketID) {}
  func closed(_ stream: SocketID, _ failure: NetworkFailure) {}
  func signalled(_ signal: Signal) {}
  func settle() {}
}

@Suite struct TestCallTests {
  private func place(
    _ manner: EchoingGateway.Manner, seconds: Int64 = 2, for time: Interval = .minutes(6), loss: Int = 0,
    interruptAfter: Interval? = nil
  ) -> (EchoingGateway, TestCall) {
    let network = SimulatedNetwork(seed: 7)
    network.weather.loss = loss
    let near = IPAddress("192.0.2.1")!
    let far = IPAddress("192.0.2.2")!
    var gateway: EchoingGateway?
    SimulatedWorld(network, addresses: [near]).run { world in
      let made = EchoingGateway(world: world, at: near, manner)
      gateway = made
      return made
    }
    var call: TestCall?
    let caller = SimulatedWorld(network, addresses: [far])
    caller.run { world in
      var ticket = RingTicket.example
      ticket.domain = "gate.test"
      ticket.target = "sip:401@gate.test"
      let made = try! TestCall(
        world: world, ticket: ticket, gateway: Endpoint(near, port: 5060), from: far,
        talkTime: .seconds(seconds))
      call = made
      made.begin()
      return made
    }
    if let interruptAfter { network.after(interruptAfter) { caller.signal(.drain) } }
    network.run(for: time)
    network.end()
    #expect(call!.isOver)
    #expect(call!.nextDeadline == nil)
    return (gateway!, call!)
  }

  @Test func aCallIsAnsweredHeardAndEnded() {
    let (gateway, call) = place(.echo)
    #expect(call.answered)
    #expect(call.refusal == nil)
    #expect((95...105).contains(call.sent))
    #expect(gateway.foreign == 0)
    #expect(gateway.heard == call.sent)
    #expect(call.received >= call.sent - 2)
    #expect(gateway.ended == [.bye(nil)])
    #expect(gateway.challenges == 1)
    #expect(gateway.credentials.count == 1)
    #expect(gateway.credentials.first?.contains("algorithm=SHA-256") == true)
    #expect(gateway.credentials.first?.contains("uri=\"sip:401@gate.test\"") == true)
  }

  @Test func silenceIsSeen() {
    let (_, call) = place(.deaf)
    #expect(call.answered)
    #expect(call.sent > 90)
    #expect(call.received == 0)
  }

  @Test(arguments: [403, 404, 480, 486, 603]) func aRefusalEndsIt(status: Int) {
    let (_, call) = place(.refuse(status))
    #expect(!call.answered)
    #expect(call.refusal == status)
    #expect(call.sent == 0)
  }

  @Test func aChallengeIsAnsweredOnce() {
    let (gateway, call) = place(.challengeTwice)
    #expect(gateway.challenges == 2)
    #expect(call.refusal == 401)
  }

  @Test func anAnswerWithoutSoundIsHungUp() {
    let (gateway, call) = place(.noSound)
    #expect(call.answered)
    #expect(call.sent == 0)
    #expect(gateway.ended == [.bye(nil)])
  }

  @Test func theOtherEndMayHangUpFirst() {
    let (gateway, call) = place(.hangUp(.seconds(1)), seconds: 30)
    #expect(call.answered)
    #expect(call.sent < 60)
    #expect(gateway.ended == [.hungUp])
  }

  @Test func whoRingsForEverIsCancelled() {
    let (gateway, call) = place(.ringForEver, for: .minutes(5))
    #expect(!call.answered)
    #expect(gateway.cancelled == 1)
  }

  @Test func anInterruptedCallHangsUp() {
    let (talking, call) = place(.echo, seconds: 60, interruptAfter: .seconds(3))
    #expect(call.sent < 160)
    #expect(talking.ended == [.bye(nil)])
    let (ringing, _) = place(.ringForEver, for: .seconds(20), interruptAfter: .seconds(3))
    #expect(ringing.cancelled == 1)
  }

  @Test func aBadLinkDoesNotLeaveItHanging() {
    for loss in [100, 300] {
      let (_, call) = place(.echo, loss: loss)
      #expect(call.answered || call.refusal != nil)
    }
    let (_, unheard) = place(.echo, loss: 1000)
    #expect(unheard.refusal == 408)
  }
}
