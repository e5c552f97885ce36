import WebSocket
import Wire

enum WebSocketHarness {
  private static let now = Instant(nanoseconds: 1_000_000_000)

  /// Small, so that short inputs reach them.
  private static var limits: WebSocketLimits {
    var limits = WebSocketLimits()
    limits.frame = 600
    limits.message = 1000
    limits.fragments = 8
    return limits
  }

  static func server(_ bytes: [UInt8]) { check(bytes, .server) }
  static func client(_ bytes: [UInt8]) { check(bytes, .client) }

  private struct Told: Equatable {
    var events: [WebSocketEvent] = []
    var said: [UInt8] = []
  }

  private static func check(_ bytes: [UInt8], _ role: WebSocketRole) {
    let whole = listen([bytes], role)
    precondition(listen(bytes.map { [$0] }, role) == whole, "single bytes say something else")
    let half = bytes.count / 2
    precondition(
      listen([Array(bytes[..<half]), Array(bytes[half...])], role) == whole, "two halves say something else")
    var heard = 0
    for event in whole.events {
      if case .message(let kind, let payload) = event {
        heard += payload.count
        precondition(payload.count <= 1000, "a message beyond the limit")
        precondition(
          kind == .binary || String(validating: payload, as: UTF8.self) != nil, "text that is not UTF-8")
      }
    }
    precondition(heard <= bytes.count, "more was heard than said")
    let endings = whole.events.count { if case .ended = $0 { true } else { false } }
    precondition(endings == 1, "a connection ends once")
    guard case .ended? = whole.events.last else { preconditionFailure("something came after the end") }
  }

  private static func listen(_ pieces: [[UInt8]], _ role: WebSocketRole) -> Told {
    var machine = WebSocketConnection(
      role, limits: limits, random: role == .client ? Random(seed: 1) : nil, now: now)
    var told = Told()
    for piece in pieces {
      machine.receive(piece.span, now: now)
      while let event = machine.next() {
        told.events.append(event)
        // An answer to each message: what is sent must not depend on the cut either.
        if case .message(let kind, let payload) = event {
          machine.send(kind, payload.span, inFragmentsOf: 100)
        }
      }
      told.said += machine.takeOutput()
    }
    // Left alone it is over within its deadlines.
    var rounds = 0
    while let deadline = machine.nextDeadline {
      machine.advance(now: deadline)
      while let event = machine.next() { told.events.append(event) }
      told.said += machine.takeOutput()
      rounds += 1
      precondition(rounds < 6, "a silent connection stays for ever")
    }
    precondition(machine.isFinished, "a connection without a deadline is not over")
    return told
  }

  /// Lines `Name: value` as the fields of a handshake, both ways.
  static func handshake(_ bytes: [UInt8]) {
    var fields: [(String, String)] = []
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1)
      if parts.count == 2 { fields.append((String(parts[0]), String(parts[1].drop { $0 == " " }))) }
    }
    func values(_ name: String) -> [String] {
      fields.filter { ASCII.equalIgnoringCase($0.0, name) }.map(\.1)
    }
    _ = try? WebSocketHandshake.judge(
      status: 101, key: "dGhlIHNhbXBsZSBub25jZQ==", protocols: ["sip"], values: values)
    guard let offer = try? WebSocketHandshake.Offer(isGet: true, isHTTP11: true, values: values) else {
      return
    }
    guard let answer = try? offer.accept(speaking: ["sip"]) else {
      precondition(!offer.protocols.contains("sip"), "what was offered is refused")
      return
    }
    // What we accept, a client of ours takes.
    let chosen = try? WebSocketHandshake.judge(
      status: 101, key: offer.key, protocols: offer.protocols
    ) { name in answer.filter { $0.0 == name }.map(\.1) }
    precondition(chosen == "sip", "our own answer is refused")
  }
}
