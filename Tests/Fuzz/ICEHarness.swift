import Crypto
import ICE
import SDP
import Simulation
import WebRTC
import Wire

/// What anybody can send to the port that all browsers share before a key is agreed on: STUN, from strangers and from who
/// has the password; and what a page says of candidates.
enum ICEHarness {
  private static let ours = Endpoint(IPAddress(v4: 0xC000_0201), port: 8189)
  private static let socket = SocketID(Handle(index: 2, generation: 1))
  private static func flow(_ last: UInt8) -> Flow {
    Flow(
      .udp, local: ours, remote: Endpoint(IPAddress(v4: 0xC633_6400 | UInt32(last)), port: 4000),
      socket: socket)
  }
  private static let remote: ICECredentials = {
    guard let made = ICECredentials(fragment: "peer", password: "abcdefghijklmnopqrstuvwx") else {
      preconditionFailure("these are credentials")
    }
    return made
  }()

  private static func agent(_ mode: ICEMode, _ turn: inout Turn) -> ICEAgent {
    var agent = ICEAgent(
      ICEConfiguration(mode, role: .controlled, bases: [ICEBase(.udp, local: ours, socket: socket)], tag: 7),
      &turn)
    agent.setRemote(
      ICEDescription(credentials: remote, candidates: [], isLite: false, isComplete: false), &turn)
    return agent
  }

  // MARK: A datagram of a stranger

  /// The input as it is, read and received: whoever has no password gets no answer and is not believed.
  static func datagram(_ bytes: [UInt8]) {
    frames(bytes)
    let span = bytes.span
    if let message = try? STUNMessage(parsing: span) {
      _ = (message.priority(in: span), message.controlled(in: span), message.controlling(in: span))
      _ = (message.lifetime(in: span), message.errorCode(in: span), message.mapped(in: span))
      _ = message.address(message.username, in: span)
      precondition(message.bytes(message.username, in: span).count <= bytes.count, "a name from nowhere")
      _ = message.hasFingerprint(in: span)
      precondition(!message.hasIntegrity(key: remote.password, in: span), "a forged code is believed")
      precondition(!message.hasIntegritySHA256(key: remote.password, in: span), "a forged code is believed")
    }
    var turn = Turn(now: Instant(nanoseconds: 0), random: Random(seed: 1))
    for mode in [ICEMode.lite, .full] {
      var agent = agent(mode, &turn)
      let said = turn.out.entries.count
      let reading = agent.receive(span, on: flow(7), &turn)
      if case .payload = reading { preconditionFailure("a stranger's bytes are passed on") }
      precondition(turn.out.entries.count == said, "a stranger is answered")
      precondition(!agent.isValidated(flow(7)) && agent.selected == nil, "a stranger is believed")
    }
  }

  /// The input as a connection's bytes: the same messages whole and byte by byte, and nothing kept beyond one of them.
  private static func frames(_ bytes: [UInt8]) {
    func read(_ pieces: [[UInt8]]) -> [[UInt8]?] {
      var reader = ICEFrameReader()
      var messages: [[UInt8]?] = []
      for piece in pieces {
        reader.append(piece.span)
        reading: while true {
          switch reader.next() {
          case .frame(let range): messages.append(Array(reader.bytes[range]))
          case .incomplete: break reading
          case .tooLong: return messages + [nil]
          }
        }
      }
      return messages
    }
    precondition(read([bytes]) == read(bytes.map { [$0] }), "how a stream is cut matters")
  }

  // MARK: A session

  /// The input as a script: checks with the right password and anything beside it, from several addresses, answers, raw
  /// datagrams, time, restarts. Nothing is answered more than once, and in the end nothing waits.
  static func session(_ bytes: [UInt8]) {
    var script = Script(bytes)
    var now = Instant(nanoseconds: 1_000_000_000)
    var random = Random(seed: 3)
    var start = Turn(now: now, random: random.fork())
    var agent = agent(script.below(2) == 0 ? .lite : .full, &start)
    var writer = STUNWriter()
    var number: UInt64 = 0
    var steps = 0
    while !script.isAtEnd, steps < 200 {
      steps += 1
      var turn = Turn(now: now, random: random.fork())
      let from = flow(UInt8(script.below(20)))
      switch script.byte() % 6 {
      case 0, 1:
        number += 1
        let credentials = agent.localDescription.credentials
        writer.begin(
          script.pick([STUNClass.request, .request, .indication, .success, .failure]), STUNMethod.binding,
          STUNTransactionID(high: script.below(2) == 0 ? 7 : 9, low: number))
        if script.below(8) != 0 { writer.addUsername(credentials.fragment, remote.fragment) }
        for _ in 0..<script.below(5) {
          writer.add(
            script.pick([
              STUNAttribute.priority, STUNAttribute.useCandidate, STUNAttribute.iceControlling,
              STUNAttribute.iceControlled, STUNAttribute.xorMappedAddress, STUNAttribute.errorCode,
              STUNAttribute.username, UInt16(script.byte()), UInt16(script.byte()) << 8,
            ]), script.slice())
        }
        writer.seal(key: script.below(8) == 0 ? remote.password : credentials.password)
        let said = turn.out.entries.count
        let message = writer.bytes
        _ = agent.receive(message.span, on: from, &turn)
        // An answer, and at most one check that it triggers.
        precondition(turn.out.entries.count - said <= 2, "a check is an amplifier")
      case 2:
        let datagram = script.slice()
        if case .payload(let range, let path) = agent.receive(datagram.span, on: from, &turn) {
          precondition(
            range.upperBound <= datagram.count && agent.isValidated(path.flow), "passed on for a stranger")
        }
      case 3:
        now = now + .milliseconds(Int64(script.byte()) * 20)
        var later = Turn(now: now, random: random.fork())
        if let deadline = agent.nextDeadline, deadline <= now { agent.advance(&later) }
      case 4:
        if let candidate = try? Candidate(line: script.line()) { agent.addRemote(candidate, &turn) }
        if script.below(4) == 0 { agent.endOfCandidates(&turn) }
      default:
        if script.below(4) == 0 {
          agent.restart(&turn)
          agent.setRemote(
            ICEDescription(credentials: remote, candidates: [], isLite: false, isComplete: true), &turn)
        } else {
          agent.closed(socket, &turn)
        }
      }
      agent.drain()
    }
    agent.end(at: now, &random)
  }

  // MARK: Fragments

  /// The input as a candidate's line and as a fragment: what was read is written and read again the same, and a
  /// connection takes it for candidates, or for a restart, or leaves it.
  static func fragment(_ bytes: [UInt8]) {
    if let candidate = try? Candidate(ascii: bytes) {
      guard let again = try? Candidate(line: candidate.line) else {
        preconditionFailure("a candidate is lost")
      }
      precondition(again.line == candidate.line, "a candidate changes")
    }
    guard let fragment = TrickleFragment(parsing: bytes) else { return }
    precondition(fragment.candidates.count <= TrickleFragment.candidateLimit, "too many candidates are kept")
    if let again = TrickleFragment(parsing: fragment.bytes) {
      precondition(again.candidates.map(\.line) == fragment.candidates.map(\.line), "candidates change")
      precondition(again.credentials == fragment.credentials, "credentials change")
      precondition(again.isComplete == fragment.isComplete, "an end is lost")
    } else {
      precondition(fragment.bytes.isEmpty, "a fragment is lost")
    }
    var turn = Turn(now: Instant(nanoseconds: 0), random: Random(seed: 1))
    func connection(_ mode: ICEMode, _ role: ICERole, _ number: UInt8) -> PeerConnection {
      PeerConnection(
        PeerConfiguration(
          ice: ICEConfiguration(
            mode, role: role, bases: [ICEBase(.udp, local: ours, socket: socket)], tag: UInt32(number)),
          audioSource: UInt32(number), videoSource: UInt32(number) + 9, canonicalName: "fuzz"),
        SimulatedDTLS(number: number), &turn)
    }
    for mode in [ICEMode.lite, .full] {
      let browser = connection(.full, .controlling, 1)
      let gateway = connection(mode, .controlled, 2)
      let offer = browser.createOffer(audio: PeerMedia([.pcma], .sendrecv), video: nil, &turn)
      guard (try? gateway.setRemote(offer: offer)) != nil,
        (try? gateway.createAnswer(audio: PeerMedia([.pcma], .sendrecv), video: nil, &turn)) != nil
      else { preconditionFailure("two of ours do not understand each other") }
      let before = gateway.localCredentials
      if (try? gateway.apply(fragment, &turn)) != nil {
        precondition(gateway.localCredentials == before, "candidates restart a session")
      }
      if let answer = try? gateway.restart(by: fragment, &turn) {
        precondition(fragment.credentials != nil, "a restart without credentials")
        precondition(answer.credentials == gateway.localCredentials, "an answer with other credentials")
        precondition(
          TrickleFragment(parsing: answer.bytes)?.credentials == answer.credentials, "it cannot be read")
      } else {
        precondition(gateway.localCredentials == before, "a restart that is refused changes something")
      }
      gateway.close(&turn)
      precondition(gateway.nextDeadline == nil, "what was closed still waits")
    }
  }
}

extension ICEAgent {
  /// Hears all that it tells, which must come to an end.
  mutating func drain() {
    var events = 0
    while next() != nil {
      events += 1
      precondition(events < 1000, "events without end")
    }
  }

  /// Closes it, after which nothing may wait.
  mutating func end(at now: Instant, _ random: inout Random) {
    var last = Turn(now: now, random: random.fork())
    close(&last)
    while next() != nil {}
    precondition(nextDeadline == nil && selected == nil, "what was closed still waits")
  }
}
