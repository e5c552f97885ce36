import HTTP
import Testing
import Wire

@Suite struct ClientConnectionTests {
  func asked(_ method: HTTPMethod = .get) -> Client {
    let client = Client()
    client.send(HTTPRequest(method, "/", fields: ["Host": "d"]), now: start)
    _ = client.takeOutput()
    return client
  }

  @Test func aRequestIsWrittenWithItsLength() {
    let client = Client()
    #expect(client.isIdle)
    client.send(HTTPRequest(.post, "/x", fields: ["Host": "d"]), body: Array("ab".utf8), now: start)
    let expected = "POST /x HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\nab"
    #expect(String(decoding: client.takeOutput(), as: UTF8.self) == expected)
    #expect(!client.send(HTTPRequest(.get, "/", fields: ["Host": "d"]), now: start))
    #expect(client.takeOutput() == [])
  }

  static let responses: [(String, String, reusable: Bool)] = [
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "ab", true),
    ("HTTP/1.1 200\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", "ab", true),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "abc", true),
    ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", "ab", false),
    ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab", "ab", false),
    ("HTTP/1.1 204 No Content\r\n\r\n", "", true),
  ]

  @Test(arguments: responses)
  func aResponseIsTheSameHoweverItsBytesArrive(_ text: String, _ body: String, reusable: Bool) {
    for pieces in cuts(of: text) {
      let client = asked()
      var heard: [UInt8] = []
      var ends: [Bool] = []
      for piece in pieces {
        client.receive(piece)
        for event in client.allEvents {
          switch event {
          case .response(let response): #expect([200, 204].contains(response.status))
          case .body(let data): heard += data
          case .end(let reusable): ends.append(reusable)
          case .failed(let fault): Issue.record("\(fault)")
          }
        }
      }
      #expect(heard == Array(body.utf8))
      #expect(ends == [reusable])
      #expect(client.isIdle == reusable)
    }
  }

  @Test func aBodyWithoutLengthEndsWithTheConnection() {
    let client = asked()
    client.receive("HTTP/1.1 200 OK\r\n\r\nab")
    #expect(client.allEvents == [.response(HTTPResponse(200)), .body(Array("ab".utf8))])
    client.receivedEnd()
    #expect(client.allEvents == [.end(reusable: false)])
  }

  @Test func aConnectionThatEndsTooEarlyIsAFault() {
    for text in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"] {
      let client = asked()
      client.receive(text)
      client.receivedEnd()
      #expect(client.allEvents.last == .failed(.truncated))
      #expect(client.isFinished)
    }
  }

  static let refusals: [(String, HTTPFault)] = [
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", .malformedLength),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", .conflictingLength),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", .unknownCoding),
    ("HTTP/1.1 2000 OK\r\n\r\n", .malformedStartLine),
    ("HTTP/1.1 999 OK\r\n\r\n", .malformedStartLine),
    ("ICY 200 OK\r\n\r\n", .malformedStartLine),
    ("HTTP/1.1 101 Switching Protocols\r\n\r\n", .unexpected),
    (String(repeating: "HTTP/1.1 103 Early\r\n\r\n", count: 9), .unexpected),
  ]
  @Test(arguments: refusals) func aResponseThatCouldMisleadIsRefused(_ text: String, _ fault: HTTPFault) {
    let client = asked()
    client.receive(text)
    #expect(client.allEvents == [.failed(fault)])
    #expect(client.isFinished)
  }

  @Test func aSilentServerIsGivenUp() {
    let client = asked()
    #expect(client.nextDeadline == start + .seconds(10))
    client.advance(now: start + .seconds(10))
    #expect(client.allEvents == [.failed(.timedOut)])
  }

  @Test func aServerThatSpeaksUnaskedIsLeft() {
    let client = Client()
    client.receive("HTTP/1.1 408 Request Timeout\r\n\r\n")
    #expect(client.allEvents == [.failed(.unexpected)])
  }

  @Test func aResponseToHeadHasNoBody() {
    let client = asked(.head)
    client.receive("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
    #expect(client.allEvents.last == .end(reusable: true))
  }

  /// Client and server mouth to mouth, in pieces of every size.
  @Test(arguments: 1..<40) func clientAndServerUnderstandEachOther(size: Int) {
    let client = Client()
    let server = Server(now: start)
    let body = (0..<100).map { UInt8($0) }
    for round in 0..<3 {
      client.send(
        HTTPRequest(.put, "/\(round)", fields: ["Host": "d"]), body: body, now: start)
      var heard: [UInt8] = []
      var isDone = false
      for _ in 0..<2000 where !isDone {
        let up = client.takeOutput()
        for from in stride(from: 0, to: up.count, by: size) {
          server.receive(Array(up[from..<min(up.count, from + size)]))
        }
        while let event = server.next() {
          switch event {
          case .request(let request):
            #expect(request.target == "/\(round)")
          case .body(let data): heard += data
          case .end:
            server.beginResponse(HTTPResponse(200), length: .streamed, date: date)
            server.write(heard)
            server.endResponse(now: start)
            heard = []
          case .faulted(let fault): Issue.record("\(fault)")
          }
        }
        let down = server.takeOutput()
        for from in stride(from: 0, to: down.count, by: size) {
          client.receive(Array(down[from..<min(down.count, from + size)]))
        }
        for event in client.allEvents {
          switch event {
          case .response(let response): #expect(response.status == 200)
          case .body(let data): heard += data
          case .end(let reusable):
            #expect(reusable)
            isDone = true
          case .failed(let fault): Issue.record("\(fault)")
          }
        }
      }
      #expect(isDone)
      #expect(heard == body)
    }
  }
}

@Suite struct ServerSentEventTests {
  @Test func whatIsWrittenIsReadBackHoweverItArrives() {
    let events = [
      ServerSentEvent(event: "call.ringing", id: "7", data: "{\"a\":1}"),
      ServerSentEvent(id: "7", data: "two\nlines"), ServerSentEvent(id: "7", data: ""),
    ]
    var bytes = ServerSentEvent.keepAlive
    for event in events { bytes += event.bytes }
    for size in [1, 2, 3, 7, bytes.count] {
      var decoder = ServerSentEventDecoder()
      var found: [ServerSentEvent] = []
      for from in stride(from: 0, to: bytes.count, by: size) {
        found += decoder.decode(Array(bytes[from..<min(bytes.count, from + size)]))
      }
      #expect(found == events)
    }
  }

  @Test func otherPeoplesLineEndsAreRead() {
    var decoder = ServerSentEventDecoder()
    let found = decoder.decode(Array("data:a\r\ndata: b\r\n\r\nevent: x\rdata\r\rretry: 1\n\n".utf8))
    #expect(found == [ServerSentEvent(data: "a\nb"), ServerSentEvent(event: "x", data: "")])
  }

  @Test func aNameCannotForgeALine() {
    let text = String(decoding: ServerSentEvent(event: "a\ndata: b", data: "c").bytes, as: UTF8.self)
    #expect(text == "event: adata: b\ndata: c\n\n")
  }
}
