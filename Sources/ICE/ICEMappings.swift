package import Wire

// Our addresses as servers see them (RFC 8445 section 5.1.1.2), learnt before anybody calls.
//
// Responsible for asking every server from every base, often enough that translators keep what they gave us, and for
// forgetting what is no longer confirmed. A session that begins takes what is known and waits for nothing; a server that
// is dead costs a few datagrams a minute. It assumes that its owner hands it the answers that come to its sockets.
// Somebody else's: looking up the servers' names.

/// One address of ours as a server sees it.
package struct ICEMapping: Hashable, Sendable {
  package var endpoint: Endpoint
  /// The base behind it.
  package var base: Endpoint
  /// Who told.
  package var server: Endpoint

  package init(endpoint: Endpoint, base: Endpoint, server: Endpoint) {
    self.endpoint = endpoint
    self.base = base
    self.server = server
  }
}

package struct ICEMappings: Sendable {
  /// How often a mapping is used so that translators keep it, and how often a silent server is tried again.
  package static let interval = Interval.seconds(20)
  package static let rest = Interval.seconds(60)
  /// RFC 8489 section 6.2.1: the wait doubles each time.
  package static let retransmission = Interval.milliseconds(500)
  package static let transmissions = 5

  private struct Question: Sendable {
    var base: ICEBase
    var server: Endpoint
    /// Nil between an answer and the next question.
    var transaction: STUNTransactionID?
    var sent = 0
    var due: Instant
    var mapped: Endpoint?
    var isSilent = false

    var flow: Flow { Flow(.udp, local: base.local, remote: server, socket: base.socket) }
  }

  /// First 32 bits of its transactions: what an answer on a shared port is told by.
  package let tag: UInt32
  private var questions: [Question] = []
  private var writer = STUNWriter()
  package private(set) var nextDeadline: Instant?

  package init(tag: UInt32) { self.tag = tag }

  /// What is known now, each address once, in the order of the bases.
  package var known: [ICEMapping] {
    var result: [ICEMapping] = []
    for question in questions {
      guard let mapped = question.mapped, !result.contains(where: { $0.endpoint == mapped }) else { continue }
      result.append(ICEMapping(endpoint: mapped, base: question.base.local, server: question.server))
    }
    return result
  }

  /// Whether a server did not answer when it was last asked, from whichever base.
  package var isAnySilent: Bool {
    questions.contains { question in
      question.isSilent && !questions.contains { $0.server == question.server && $0.mapped != nil }
    }
  }

  /// Asks these servers from these bases from now on; what is known of a pair that stays is kept.
  package mutating func ask(_ servers: [Endpoint], from bases: [ICEBase], _ turn: inout Turn) {
    var wanted: [Question] = []
    for base in bases where base.transport == .udp {
      for server in servers
      where base.local.address.canSpeak(to: server.address)
        && !wanted.contains(where: { $0.base == base && $0.server == server })
      {
        let known = questions.first { $0.base == base && $0.server == server }
        wanted.append(known ?? Question(base: base, server: server, due: turn.now))
      }
    }
    questions = wanted
    advance(&turn)
  }

  /// Takes an answer of a server; false when it is none that we wait for.
  package mutating func receive(_ datagram: Span<UInt8>, on flow: Flow, _ turn: inout Turn) -> Bool {
    guard datagram.count >= STUNMessage.headerLength, datagram.word32(at: 8) == tag,
      let message = try? STUNMessage(parsing: datagram),
      message.kind == .success || message.kind == .failure,
      let place = questions.firstIndex(where: {
        $0.transaction == message.transaction && $0.server == flow.remote && $0.base.socket == flow.socket
      })
    else { return false }
    questions[place].transaction = nil
    questions[place].sent = 0
    questions[place].isSilent = false
    questions[place].due = turn.now + ICEMappings.interval
    let mapped = message.kind == .success ? message.mapped(in: datagram) : nil
    questions[place].mapped = mapped.flatMap { $0.isUsable ? $0 : nil }
    settle()
    return true
  }

  /// Does what time demands. Early is harmless.
  package mutating func advance(_ turn: inout Turn) {
    for place in questions.indices where questions[place].due <= turn.now {
      guard questions[place].sent < ICEMappings.transmissions else {
        questions[place].transaction = nil
        questions[place].sent = 0
        questions[place].mapped = nil
        questions[place].isSilent = true
        questions[place].due = turn.now + ICEMappings.rest
        continue
      }
      let transaction =
        questions[place].transaction ?? STUNTransactionID(high: tag, low: turn.random.next())
      questions[place].transaction = transaction
      questions[place].due = turn.now + ICEMappings.retransmission * (1 << Int64(questions[place].sent))
      questions[place].sent += 1
      writer.begin(.request, STUNMethod.binding, transaction)
      writer.addFingerprint()
      turn.out.send(writer.bytes, on: questions[place].flow)
    }
    settle()
  }

  private mutating func settle() {
    nextDeadline = nil
    for question in questions { nextDeadline = .earlier(nextDeadline, question.due) }
  }
}
