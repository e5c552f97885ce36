import ICE
import Wire

/// Hexadecimal with blanks between, as in the RFCs.
func bytes(_ text: String) -> [UInt8] {
  let digits = text.utf8.compactMap(ASCII.hexValue)
  return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

func endpoint(_ text: String) -> Endpoint {
  guard let one = Endpoint(text) else { preconditionFailure("no endpoint: \(text)") }
  return one
}

/// A moment of made-up time.
func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: 1_000_000_000 + milliseconds * 1_000_000) }

func turn(at milliseconds: Int64, seed: UInt64 = 1) -> Turn {
  Turn(now: at(milliseconds), random: Random(seed: seed))
}

func udp(_ local: String, _ remote: String, socket: UInt32 = 0) -> Flow {
  Flow(
    .udp, local: endpoint(local), remote: endpoint(remote),
    socket: SocketID(Handle(index: socket, generation: 1)))
}

extension ICEAgent {
  mutating func receive(_ datagram: [UInt8], on flow: Flow, _ turn: inout Turn) -> ICEReading {
    receive(datagram.span, on: flow, &turn)
  }
  /// Everything there is to know now.
  mutating func news() -> [ICEEvent] {
    var list: [ICEEvent] = []
    while let event = next() { list.append(event) }
    return list
  }
}

extension Outbox {
  /// What was sent, message by message, and forgets it.
  mutating func taken() -> [(flow: Flow, bytes: [UInt8])] {
    let list = entries.map { ($0.flow, Array(bytes[$0.range])) }
    removeAll()
    return list
  }
}

// A test's expectation may not hold a span; these take arrays.
extension STUNMessage {
  init(parsing datagram: [UInt8]) throws(STUNError) { try self.init(parsing: datagram.span) }
  func hasFingerprint(in datagram: [UInt8]) -> Bool { hasFingerprint(in: datagram.span) }
  func hasIntegrity(key: [UInt8], in datagram: [UInt8]) -> Bool { hasIntegrity(key: key, in: datagram.span) }
  func hasIntegritySHA256(key: [UInt8], in datagram: [UInt8]) -> Bool {
    hasIntegritySHA256(key: key, in: datagram.span)
  }
  func priority(in datagram: [UInt8]) -> UInt32? { priority(in: datagram.span) }
  func controlled(in datagram: [UInt8]) -> UInt64? { controlled(in: datagram.span) }
  func controlling(in datagram: [UInt8]) -> UInt64? { controlling(in: datagram.span) }
  func errorCode(in datagram: [UInt8]) -> Int? { errorCode(in: datagram.span) }
  func mapped(in datagram: [UInt8]) -> Endpoint? { mapped(in: datagram.span) }
  func bytes(_ field: Field, in datagram: [UInt8]) -> [UInt8] { bytes(field, in: datagram.span) }
}

extension DatagramKind {
  init(_ datagram: [UInt8]) { self.init(datagram.span) }
}

extension ICEDemultiplexer {
  func route(_ datagram: [UInt8], on flow: Flow) -> Handle? { route(datagram.span, on: flow) }
}
