import Directory
import Gateway
import HTTP
import JSON
import RTP
import SDP
import SIP
import Wire

/// Every fuzz harness in one program: the first argument names one, the rest is libFuzzer's.
///
/// A harness feeds bytes to one reader and checks what must hold whatever they are: nothing traps, what was written
/// is read back the same, and a stream cut anywhere says what the whole would.
@main
struct Fuzz {
  static let harnesses: [(name: String, body: @Sendable ([UInt8]) -> Void)] = [
    ("sip-message", sipMessage), ("sip-framer", sipFramer), ("sip-values", sipValues), ("sdp", sdp),
    ("rtp", rtp), ("rtcp", rtcp), ("head", head), ("http-server", httpServer), ("http-client", httpClient),
    ("json", json), ("directory", directory), ("configuration", configuration), ("zone", zone),
  ]
  // Set once before the driver runs, read by its one thread.
  nonisolated(unsafe) static var chosen: ([UInt8]) -> Void = { _ in }

  static func main() {
    let arguments = CommandLine.arguments
    guard arguments.count > 1, let harness = harnesses.first(where: { $0.name == arguments[1] }) else {
      for harness in harnesses { print(harness.name) }
      return
    }
    unsafe chosen = harness.body
    drive([arguments[0]] + arguments.dropFirst(2))
  }

  // MARK: SIP

  static func sipMessage(_ bytes: [UInt8]) {
    for framing in [Framing.datagram, .stream] {
      guard let message = try? Message(parsing: bytes.span, framing: framing) else { continue }
      _ = (message.callID, message.cseq, message.from, message.to, message.vias, message.contacts)
      _ = (message.routes, message.recordRoutes, message.path, message.expires, message.contentType)
      _ = (message.headers, message.requestURI, message.maxForwards, message.isContactWildcard)
      for name in HeaderName.allCases { _ = message.values(name) }
      // A response with several Vias is not for us, so it is not read (RFC 3261 section 8.1.3.3).
      guard message.isRequest, message.values(.via).count == 1 else { continue }
      let answer = Response(
        to: message, status: 200, tag: "fuzz", source: Endpoint(.loopbackV4, port: 5060)
      ).encoded()
      // What we answer must itself be a message that belongs to the request.
      guard let read = try? Message(parsing: answer.span, framing: .datagram) else {
        preconditionFailure("our own response does not parse")
      }
      precondition(read.callID == message.callID && read.cseq == message.cseq, "the response is of another")
    }
  }

  static func sipFramer(_ bytes: [UInt8]) {
    func frames(_ cuts: [Int]) -> [[UInt8]] {
      var framer = SIPFramer()
      var found: [[UInt8]] = []
      var start = 0
      for end in cuts + [bytes.count] where end >= start {
        framer.append(bytes[start..<end].span)
        start = end
        take: while true {
          switch framer.next() {
          case .message(let range): found.append(Array(framer.buffer[range]))
          case .ping: found.append([13, 10])
          case .broken:
            found.append([0])
            return found
          case .incomplete: break take
          }
        }
      }
      return found
    }
    let whole = frames([])
    precondition(frames(Array(1..<max(1, bytes.count))) == whole, "single bytes say something else")
  }

  static func sipValues(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    if let uri = URI(text) {
      let written = uri.description
      guard let again = URI(written) else { preconditionFailure("a written URI does not parse") }
      precondition(again.description == written, "a URI changes when it is written twice")
    }
    _ = NameAddress(text)
    _ = Via(text)
    _ = Reason(text)
    _ = ReplacesID(text)
  }

  // MARK: Media

  static func sdp(_ bytes: [UInt8]) {
    guard let description = try? SessionDescription(parsing: bytes) else { return }
    let written = description.bytes
    guard let again = try? SessionDescription(parsing: written) else {
      preconditionFailure("a written description does not parse")
    }
    // What could not be understood is written in our words once; from then on it stays.
    let twice = again.bytes
    guard let third = try? SessionDescription(parsing: twice) else {
      preconditionFailure("a description written twice does not parse")
    }
    precondition(third.bytes == twice, "a description changes whenever it is written")
  }

  static func rtp(_ bytes: [UInt8]) {
    guard let header = try? PacketHeader(parsing: bytes.span) else { return }
    precondition(header.payload.lowerBound >= 12 && header.payload.upperBound <= bytes.count, "payload outside")
  }

  static func rtcp(_ bytes: [UInt8]) {
    var reader = ControlReader()
    var packets = 0
    while let _ = try? reader.next(in: bytes.span) {
      packets += 1
      precondition(packets <= bytes.count / 4, "more packets than words")
    }
  }

  // MARK: HTTP

  static func head(_ bytes: [UInt8]) {
    var index = HeadIndex()
    guard (try? index.index(bytes.span)) == true else { return }
    precondition(index.bodyStart <= bytes.count, "a body beyond the end")
    for field in index.fields {
      precondition(field.valueStart <= field.valueEnd && Int(field.valueEnd) <= bytes.count, "a value outside")
    }
  }

  static func httpServer(_ bytes: [UInt8]) {
    let now = Instant(nanoseconds: 0)
    var machine = HTTPServerConnection(limits: HTTPServerLimits(), now: now)
    for byte in bytes {
      machine.receive([byte].span, now: now)
      while let event = machine.next() {
        if case .end = event {
          machine.respond(HTTPResponse(200), body: [], date: WallTime(seconds: 0), now: now)
        }
      }
      if machine.isFinished { return }
    }
  }

  static func httpClient(_ bytes: [UInt8]) {
    let now = Instant(nanoseconds: 0)
    var machine = HTTPClientConnection()
    _ = machine.send(HTTPRequest(.get, "/", fields: ["Host": "door"]), now: now)
    machine.receive(bytes.span, now: now)
    while machine.next() != nil {}
    machine.receivedEnd()
    while machine.next() != nil {}
  }

  // MARK: Files

  static func json(_ bytes: [UInt8]) {
    for dialect in [JSONDialect.json, .json5] {
      guard let node = try? JSONNode(parsing: bytes, dialect: dialect, limits: .message) else { continue }
      let written = node.value.bytes(.compact)
      guard let again = try? JSONNode(parsing: written) else {
        // Infinity and NaN of JSON5 have no form in JSON.
        continue
      }
      precondition(again.value.bytes(.compact) == written, "a value changes when it is written twice")
    }
  }

  static func directory(_ bytes: [UInt8]) {
    guard let (building, _) = try? Building.read(bytes, file: "fuzz") else { return }
    _ = building.exported
    precondition(building.changes(from: building).isEmpty, "a building differs from itself")
  }

  static func configuration(_ bytes: [UInt8]) {
    _ = Configuration(parsing: bytes, report: JSONReport(file: "fuzz"))
  }

  static func zone(_ bytes: [UInt8]) {
    guard let zone = Zone(tzif: bytes) else { return }
    for seconds in [Int64(0), 1_700_000_000, -1_000_000_000, 4_000_000_000] {
      _ = zone.localTime(at: WallTime(seconds: seconds))
    }
  }
}
