import Crypto
import ICE
import Wire

/// What a server that we ask for help can say, which has our account's word but none of the peer's: a session with a lease
/// of its, and the addresses that it tells us.
enum RelayHarness {
  private static let ours = Endpoint(IPAddress(v4: 0xC000_0201), port: 8189)
  private static let server = Endpoint(IPAddress(v4: 0xCB00_7101), port: 3478)
  private static let socket = SocketID(Handle(index: 2, generation: 1))
  private static let base = ICEBase(.udp, local: ours, socket: socket, asksServers: true)
  private static let realm = "example.net"
  private static func peer(_ number: Int) -> Endpoint {
    Endpoint(IPAddress(v4: 0xC633_6400 + UInt32(number)), port: 4000)
  }
  private static let remote: ICECredentials = {
    guard let made = ICECredentials(fragment: "peer", password: "abcdefghijklmnopqrstuvwx") else {
      preconditionFailure("these are credentials")
    }
    return made
  }()

  /// A question of ours that a server was asked.
  private struct Question {
    var method: UInt16
    var transaction: STUNTransactionID
  }

  /// The newest few questions among what left: those to the server, and checks of the peer that it is to carry.
  private struct Questions {
    var asked: [Question] = []
    var checks: [Question] = []

    mutating func note(_ turn: borrowing Turn) {
      for entry in turn.out.entries where entry.flow.remote == server {
        let datagram = Array(turn.out.bytes[entry.range])
        guard let message = try? STUNMessage(parsing: datagram.span) else { continue }
        if message.kind == .request {
          asked.append(Question(method: message.method, transaction: message.transaction))
        } else if let inner = try? STUNMessage(parsing: datagram[message.dataField.range].span) {
          checks.append(Question(method: inner.method, transaction: inner.transaction))
        }
      }
      if asked.count > 16 { asked.removeFirst(asked.count - 16) }
      if checks.count > 16 { checks.removeFirst(checks.count - 16) }
    }
  }

  /// The input as a script: answers to what was asked with anything in them, data from peers in indications and in
  /// channels, checks and answers to ours with the right password among it, time, restarts. Nothing is passed on for a
  /// peer that has not proved itself, nobody is made to send much, and in the end nothing waits.
  static func lease(_ bytes: [UInt8]) {
    var script = Script(bytes)
    var now = Instant(nanoseconds: 1_000_000_000)
    var random = Random(seed: 3)
    var start = Turn(now: now, random: random.fork())
    var agent = ICEAgent(
      ICEConfiguration(
        .full, role: script.below(2) == 0 ? .controlling : .controlled, bases: [base],
        servers: [ICEServer(turn: server, username: "gate", password: "sesame")], tag: 7), &start)
    var questions = Questions()
    agent.gather(&start)
    agent.setRemote(ICEDescription(credentials: remote), &start)
    questions.note(start)
    let flow = Flow(.udp, local: ours, remote: server, socket: socket)
    var writer = STUNWriter()
    var number: UInt64 = 0
    var steps = 0

    /// What the relay carries: bytes, a check of the peer, or its answer to one of ours.
    func content(_ script: inout Script) -> [UInt8] {
      let kind = script.below(3)
      if kind == 0 { return script.slice() }
      var check = STUNWriter()
      if kind == 1, !questions.checks.isEmpty {
        let question = script.pick(questions.checks)
        check.begin(.success, question.method, question.transaction)
        check.add(STUNAttribute.xorMappedAddress, xor: Endpoint(server.address, port: 50_000))
        check.seal(key: remote.password)
        return check.bytes
      }
      number += 1
      let credentials = agent.localDescription.credentials
      check.begin(.request, STUNMethod.binding, STUNTransactionID(high: 9, low: number))
      check.addUsername(credentials.fragment, remote.fragment)
      check.add(STUNAttribute.priority, word: UInt32(script.byte()) << 20)
      if script.below(2) == 0 { check.addFlag(STUNAttribute.useCandidate) }
      check.add(STUNAttribute.iceControlling, double: UInt64(script.byte()))
      check.seal(key: credentials.password)
      return check.bytes
    }

    while !script.isAtEnd, steps < 200 {
      steps += 1
      var turn = Turn(now: now, random: random.fork())
      var datagram: [UInt8] = []
      switch script.byte() % 8 {
      case 0, 1, 2:
        guard !questions.asked.isEmpty else { continue }
        answer(script.pick(questions.asked), &script, &writer)
        datagram = writer.bytes
      case 3:
        number += 1
        writer.begin(.indication, STUNMethod.data, STUNTransactionID(high: 5, low: number))
        writer.add(STUNAttribute.xorPeerAddress, xor: peer(script.below(4)))
        writer.add(STUNAttribute.data, content(&script))
        writer.finish()
        datagram = writer.bytes
      case 4:
        let inner = content(&script)
        let length = script.below(4) == 0 ? Int(script.byte()) : inner.count
        datagram = [0x40, UInt8(script.below(4)), UInt8(length >> 8 & 255), UInt8(length & 255)] + inner
      case 5:
        now = now + .milliseconds(Int64(script.byte()) * (script.below(4) == 0 ? 4000 : 20))
        turn = Turn(now: now, random: random.fork())
        if let deadline = agent.nextDeadline, deadline <= now { agent.advance(&turn) }
      case 6:
        let line = "candidate:1 1 udp 2130706431 \(peer(script.below(6)).address) 4000 typ host"
        if let candidate = try? Candidate(line: line) { agent.addRemote(candidate, &turn) }
        if script.below(4) == 0 { agent.endOfCandidates(&turn) }
      default:
        if script.below(4) == 0 {
          agent.restart(&turn)
          agent.gather(&turn)
          agent.setRemote(ICEDescription(credentials: remote), &turn)
        } else {
          datagram = script.slice()
        }
      }
      if !datagram.isEmpty {
        let said = turn.out.entries.count
        if case .payload(let range, let path) = agent.receive(datagram.span, on: flow, &turn) {
          precondition(range.upperBound <= datagram.count, "a payload from nowhere")
          precondition(path.relayed.map { (0..<6).map(peer).contains($0) } ?? false, "a server is a peer")
          precondition(agent.selected != nil, "passed on before anybody proved to be the peer")
        }
        precondition(turn.out.entries.count - said <= 4, "a server is an amplifier")
      }
      questions.note(turn)
      agent.drain()
    }
    agent.end(at: now, &random)
    precondition(!agent.hasRelay, "a lease is kept")
  }

  /// Writes an answer to a question: as a server would, or as none would.
  private static func answer(_ question: Question, _ script: inout Script, _ writer: inout STUNWriter) {
    let key = Digest.md5(Array("gate:\(realm):sesame".utf8))
    let isRefusal = script.below(3) == 0
    writer.begin(isRefusal ? .failure : .success, question.method, question.transaction)
    if isRefusal {
      writer.addError(script.pick([401, 438, 437, 486, 400, 508, 300]), "no")
      if script.below(4) != 0 {
        writer.add(STUNAttribute.realm, text: realm)
        writer.add(STUNAttribute.nonce, script.slice())
      }
    } else if script.below(8) != 0 {
      let relayed = Endpoint(IPAddress(v4: 0xCB00_7101), port: 50_000 + UInt16(script.below(4)))
      writer.add(STUNAttribute.xorRelayedAddress, xor: relayed)
      writer.add(STUNAttribute.xorMappedAddress, xor: peer(100 + script.below(4)))
      writer.add(STUNAttribute.lifetime, word: UInt32(script.byte()) * 10)
    }
    for _ in 0..<script.below(3) {
      writer.add(
        script.pick([
          STUNAttribute.xorRelayedAddress, STUNAttribute.xorMappedAddress, STUNAttribute.lifetime,
          STUNAttribute.errorCode, STUNAttribute.channelNumber, STUNAttribute.xorPeerAddress,
          UInt16(script.byte()) << 8,
        ]), script.slice())
    }
    if script.below(8) != 0 { writer.addIntegrity(key: key) }
    writer.finish()
  }

  /// The input as a script: servers asked from several bases, answers to that with anything in them, bytes, and time.
  /// What is known was told by a server that was asked, and is an address that somebody could send to.
  static func mappings(_ bytes: [UInt8]) {
    var script = Script(bytes)
    var now = Instant(nanoseconds: 1_000_000_000)
    var random = Random(seed: 3)
    var mappings = ICEMappings(tag: 7)
    var questions = Questions()
    var writer = STUNWriter()
    let bases = (0..<3).map {
      ICEBase(.udp, local: Endpoint(IPAddress(v4: 0xC000_0201 + UInt32($0)), port: 8189), socket: socket)
    }
    let flow = Flow(.udp, local: ours, remote: server, socket: socket)
    var steps = 0
    while !script.isAtEnd, steps < 200 {
      steps += 1
      var turn = Turn(now: now, random: random.fork())
      var datagram: [UInt8] = []
      switch script.below(5) {
      case 0:
        let servers = [server, peer(script.below(4))][..<(1 + script.below(2))]
        mappings.ask(Array(servers), from: Array(bases[..<script.below(4)]), &turn)
      case 1, 2:
        guard !questions.asked.isEmpty else { continue }
        answer(script.pick(questions.asked), &script, &writer)
        datagram = writer.bytes
      case 3: datagram = script.slice()
      default:
        now = now + .milliseconds(Int64(script.byte()) * 100)
        turn = Turn(now: now, random: random.fork())
        mappings.advance(&turn)
      }
      if !datagram.isEmpty {
        _ = mappings.receive(datagram.span, on: flow, &turn)
        precondition(turn.out.isEmpty, "an answer is answered")
      }
      questions.note(turn)
      let known = mappings.known
      precondition(known.count <= bases.count, "more is known than was asked")
      for mapping in known {
        precondition(mapping.server == server, "told by somebody who says nothing here")
        precondition(
          mapping.endpoint.port != 0 && !mapping.endpoint.address.isUnspecified, "an address of nobody")
      }
    }
    var last = Turn(now: now, random: random.fork())
    mappings.ask([], from: bases, &last)
    precondition(mappings.nextDeadline == nil && mappings.known.isEmpty, "what nobody wants still waits")
  }
}
