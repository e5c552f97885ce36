import HTTP
import Testing
import Web
import Wire

/// Scripts of other pages: those of an operator's choice may ask and read, the others learn nothing.
@Suite struct CrossOriginTests {
  static let friend = "https://intercom.example.net"
  private final class Log {
    var foreign: [String] = []
    var asked = 0
  }

  private func bench(_ log: Log, allowed: [String] = [friend]) -> Bench {
    var routes = [
      Route(.get, "/api/v1/doors", access: .open) { _, responder in
        log.asked += 1
        responder.reply(.text(200, "doors"))
      },
      Route(.patch, "/api/v1/calls/{id}", access: .open, bodyLimit: 100) { _, responder in
        log.asked += 1
        responder.reply(WebReply(200, fields: ["ETag": "\"t\""]))
      },
      Route(.delete, "/api/v1/calls/{id}", access: .open) { _, responder in responder.reply(WebReply(204)) },
      Route(.get, "/api/v1/events", access: .open) { _, responder in _ = responder.openEvents() },
    ]
    routes.append(
      Route(.get, "/secret", access: .device) { _, responder in responder.reply(.text(200, "secret")) })
    return Bench(
      routes, origins: OriginPolicy(names: ["vestibule.local"], allowed: allowed),
      whenForeign: { log.foreign.append($0) })
  }

  private func ask(
    _ bench: Bench, _ method: String, _ path: String, origin: String?, more: String = ""
  ) -> String {
    let id = bench.connect()
    let line = origin.map { "Origin: \($0)\r\n" } ?? ""
    bench.send("\(method) \(path) HTTP/1.1\r\nHost: 192.0.2.1:8443\r\n\(line)\(more)\r\n", on: id)
    return bench.heardText(id)
  }
  private static let question =
    "Access-Control-Request-Method: PATCH\r\nAccess-Control-Request-Headers: authorization, if-match\r\n"

  @Test func aPageThatIsLetInMayAskAndRead() {
    let log = Log()
    let bench = bench(log)
    let answer = ask(
      bench, "OPTIONS", "/api/v1/calls/c1", origin: CrossOriginTests.friend, more: CrossOriginTests.question)
    #expect(answer.hasPrefix("HTTP/1.1 204 "))
    for line in [
      "Access-Control-Allow-Origin: https://intercom.example.net", "Vary: Origin",
      "Access-Control-Allow-Methods: PATCH, DELETE", "Access-Control-Max-Age: 7200",
      "Access-Control-Allow-Headers: Accept, Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID",
    ] { #expect(answer.contains(line + "\r\n"), "\(line)") }
    #expect(log.asked == 0, "a question is no command")
    let read = ask(
      bench, "PATCH", "/api/v1/calls/c1", origin: CrossOriginTests.friend, more: "Content-Length: 0\r\n")
    #expect(read.hasPrefix("HTTP/1.1 200 "))
    for line in [
      "Access-Control-Allow-Origin: https://intercom.example.net", "Vary: Origin",
      "Access-Control-Expose-Headers: Accept-Patch, ETag, Link, Location, Retry-After, WWW-Authenticate",
    ] { #expect(read.contains(line + "\r\n"), "\(line)") }
    // Refusals can be read as well, and so can the stream of events.
    #expect(
      ask(bench, "GET", "/nowhere", origin: CrossOriginTests.friend).contains(
        "Access-Control-Allow-Origin: https://intercom.example.net\r\n"))
    let events = ask(bench, "GET", "/api/v1/events", origin: CrossOriginTests.friend)
    #expect(events.contains("Content-Type: text/event-stream\r\n"))
    #expect(events.contains("Access-Control-Allow-Origin: https://intercom.example.net\r\n"))
    #expect(log.foreign == [])
    // Cookies are not for the pages of others.
    #expect(!(answer + read + events).contains("Allow-Credentials"))
  }

  @Test(arguments: [
    "https://evil.example", "http://intercom.example.net", "https://intercom.example.net.evil.example",
    "https://intercom.example.net:444", "null",
  ])
  func othersLearnNothing(_ origin: String) {
    let log = Log()
    let bench = bench(log)
    let answer = ask(bench, "OPTIONS", "/api/v1/doors", origin: origin, more: CrossOriginTests.question)
    #expect(answer.hasPrefix("HTTP/1.1 403 "))
    let read = ask(bench, "GET", "/api/v1/doors", origin: origin)
    #expect(!(answer + read).contains("Access-Control"))
    #expect(read.contains("Vary: Origin\r\n"), "a cache must not hand one origin the answer of another")
    #expect(log.foreign == [origin], "the operator is told whom was turned away")
    let both = ask(
      bench, "GET", "/api/v1/doors", origin: CrossOriginTests.friend, more: "Origin: \(origin)\r\n")
    #expect(!both.contains("Access-Control"))
  }

  @Test func whereNobodyIsLetInNothingIsSaid() {
    let log = Log()
    let bench = bench(log, allowed: [])
    let read = ask(bench, "GET", "/api/v1/doors", origin: CrossOriginTests.friend)
    #expect(read.hasPrefix("HTTP/1.1 200 ") && !read.contains("Access-Control") && !read.contains("Vary"))
    #expect(ask(bench, "OPTIONS", "/api/v1/doors", origin: nil).hasPrefix("HTTP/1.1 405 "))
    #expect(
      ask(bench, "OPTIONS", "/nowhere", origin: CrossOriginTests.friend, more: CrossOriginTests.question)
        .hasPrefix("HTTP/1.1 403 "))
  }
}
