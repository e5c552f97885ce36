import HTTP
import Wire

let start = Instant(nanoseconds: 1_000_000_000)
let date = WallTime("2026-11-20T21:28:39Z")!

/// How a text reaches a machine: whole, byte by byte, or cut in two at every place.
func cuts(of text: String) -> [[[UInt8]]] {
  let bytes = Array(text.utf8)
  var ways: [[[UInt8]]] = [[bytes], bytes.map { [$0] }]
  for place in 1..<max(1, bytes.count) { ways.append([Array(bytes[..<place]), Array(bytes[place...])]) }
  return ways
}

/// What a server made of its input: neighbouring pieces of a body joined.
struct Heard: Equatable {
  var requests: [HTTPRequest] = []
  var bodies: [String] = []
  var ended = 0
  var faults: [HTTPFault] = []
}

/// A server to be asked inside expectations, which cannot hold a mutating call.
final class Server {
  private var machine: HTTPServerConnection
  init(limits: HTTPServerLimits = HTTPServerLimits(), now: Instant) {
    machine = HTTPServerConnection(limits: limits, now: now)
  }
  func receive(_ text: String, at now: Instant = start) { machine.receive(Array(text.utf8).span, now: now) }
  func receive(_ bytes: [UInt8]) { machine.receive(bytes.span, now: start) }
  func advance(now: Instant) { machine.advance(now: now) }
  func next() -> HTTPServerEvent? { machine.next() }
  func proceed() { machine.proceed() }
  func respond(_ response: HTTPResponse, body: [UInt8] = [], date: WallTime, now: Instant) {
    machine.respond(response, body: body, date: date, now: now)
  }
  func beginResponse(_ response: HTTPResponse, length: HTTPBodyLength, date: WallTime) {
    machine.beginResponse(response, length: length, date: date)
  }
  func write(_ body: [UInt8]) { machine.write(body) }
  func endResponse(now: Instant) { machine.endResponse(now: now) }
  func takeOutput() -> [UInt8] { machine.takeOutput() }
  var nextDeadline: Instant? { machine.nextDeadline }
  var isFinished: Bool { machine.isFinished }
  var isAnswering: Bool { machine.isAnswering }
  var awaitsContinue: Bool { machine.awaitsContinue }
  var allEvents: [HTTPServerEvent] {
    var all: [HTTPServerEvent] = []
    while let event = machine.next() { all.append(event) }
    return all
  }
  var said: String { String(decoding: machine.takeOutput(), as: UTF8.self) }
}

/// The same for a client.
final class Client {
  private var machine = HTTPClientConnection()
  @discardableResult func send(_ request: HTTPRequest, body: [UInt8] = [], now: Instant) -> Bool {
    machine.send(request, body: body, now: now)
  }
  func receive(_ text: String) { machine.receive(Array(text.utf8).span, now: start) }
  func receive(_ bytes: [UInt8]) { machine.receive(bytes.span, now: start) }
  func receivedEnd() { machine.receivedEnd() }
  func advance(now: Instant) { machine.advance(now: now) }
  func takeOutput() -> [UInt8] { machine.takeOutput() }
  var nextDeadline: Instant? { machine.nextDeadline }
  var isIdle: Bool { machine.isIdle }
  var isFinished: Bool { machine.isFinished }
  var allEvents: [HTTPClientEvent] {
    var all: [HTTPClientEvent] = []
    while let event = machine.next() { all.append(event) }
    return all
  }
}

/// Feeds `pieces` and answers every request that is whole with 204.
func serve(_ pieces: [[UInt8]], limits: HTTPServerLimits = HTTPServerLimits()) -> (Heard, String, Bool) {
  let server = Server(limits: limits, now: start)
  var heard = Heard()
  var said = ""
  for piece in pieces {
    server.receive(piece)
    while let event = server.next() {
      switch event {
      case .request(let request):
        heard.requests.append(request)
        heard.bodies.append("")
      case .body(let data): heard.bodies[heard.bodies.count - 1] += String(decoding: data, as: UTF8.self)
      case .end:
        heard.ended += 1
        server.respond(HTTPResponse(204), date: date, now: start)
      case .faulted(let fault): heard.faults.append(fault)
      }
    }
    said += server.said
  }
  return (heard, said, server.isFinished || server.nextDeadline == start + .seconds(1))
}
