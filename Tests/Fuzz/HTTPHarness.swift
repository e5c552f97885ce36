import HTTP
import Wire

enum HTTPHarness {
  private static let now = Instant(nanoseconds: 1_000_000_000)

  static func head(_ bytes: [UInt8]) {
    var index = HeadIndex()
    var search = HeadSearch()
    guard (try? index.index(bytes.span)) == true else { return }
    precondition(index.bodyStart <= bytes.count, "the body begins beyond the end")
    precondition(search.end(in: bytes.span) == index.bodyStart, "the two do not agree on where the head ends")
    var last = index.startLine.upperBound
    for field in index.fields {
      precondition(
        last <= field.name.lowerBound && field.name.upperBound <= field.value.lowerBound
          && field.value.upperBound <= index.bodyStart, "fields out of order")
      last = field.value.upperBound
    }
  }

  private enum Told: Equatable {
    case request(HTTPRequest)
    case response(HTTPResponse)
    case body([UInt8])
    case end
    case fault
  }

  /// Adds to what was told; neighbouring pieces of a body are one.
  ///
  /// A part of a body that breaks off is told or not as the cut will have it; the fault is what counts.
  private static func add(_ one: Told, to all: inout [Told]) {
    if one == .fault, case .body? = all.last { all.removeLast() }
    if case .body(let more) = one, case .body(let before)? = all.last {
      all[all.count - 1] = .body(before + more)
    } else {
      all.append(one)
    }
  }

  static func server(_ bytes: [UInt8]) {
    let whole = serve([bytes])
    precondition(serve(bytes.map { [$0] }) == whole, "single bytes say something else")
  }

  private static func serve(_ pieces: [[UInt8]]) -> [Told] {
    var machine = HTTPServerConnection(now: now)
    var told: [Told] = []
    for piece in pieces {
      machine.receive(piece.span, now: now)
      while let event = machine.next() {
        switch event {
        case .request(let request): add(.request(request), to: &told)
        case .body(let data): add(.body(data), to: &told)
        case .end:
          add(.end, to: &told)
          machine.respond(HTTPResponse(200), body: [65], date: WallTime(seconds: 0), now: now)
        case .faulted: add(.fault, to: &told)
        }
      }
      _ = machine.takeOutput()
    }
    machine.advance(now: now + .minutes(10))
    while machine.next() != nil {}
    machine.advance(now: now + .minutes(20))
    precondition(machine.isFinished, "a silent connection stays for ever")
    return told
  }

  static func client(_ bytes: [UInt8]) {
    let whole = ask([bytes])
    precondition(ask(bytes.map { [$0] }) == whole, "single bytes say something else")
  }

  private static func ask(_ pieces: [[UInt8]]) -> [Told] {
    var machine = HTTPClientConnection()
    _ = machine.send(HTTPRequest(.get, "/", fields: ["Host": "door"]), now: now)
    var told: [Told] = []
    func drain() {
      while let event = machine.next() {
        switch event {
        case .response(let response): add(.response(response), to: &told)
        case .body(let data): add(.body(data), to: &told)
        case .end: add(.end, to: &told)
        case .failed: add(.fault, to: &told)
        }
      }
    }
    for piece in pieces {
      machine.receive(piece.span, now: now)
      drain()
      // What comes after the response that was asked for is nobody's; when it is noticed depends on the cut.
      if told.contains(.end) { return told }
    }
    machine.receivedEnd()
    drain()
    return told
  }

  static func values(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    // Control characters are refused, however they are written.
    if text.utf8.allSatisfy({ $0 >= 32 && $0 != 127 }) {
      precondition(PercentEncoding.decode(PercentEncoding.encode(text)) == text, "an escaped text changes")
    }
    _ = PercentEncoding.decode(text, plusIsBlank: true)
    _ = PercentEncoding.query(text)
    var whole = ServerSentEventDecoder()
    var cut = ServerSentEventDecoder()
    precondition(whole.decode(bytes) == bytes.flatMap { cut.decode([$0]) }, "single bytes say something else")
  }
}
