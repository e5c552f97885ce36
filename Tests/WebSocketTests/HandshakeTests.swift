import Testing
import WebSocket
import Wire

struct HandshakeTests {
  private static let good: [(String, String)] = [
    ("Host", "server.example.com"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Protocol", "chat, sip"),
  ]
  private func offer(
    _ change: (String, String)? = nil, without gone: String? = nil, isGet: Bool = true, isHTTP11: Bool = true
  ) throws(WebSocketRefusal) -> WebSocketHandshake.Offer {
    var fields = HandshakeTests.good
    if let change {
      fields.removeAll { $0.0 == change.0 }
      fields.append(change)
    }
    fields.removeAll { $0.0 == gone }
    return try WebSocketHandshake.Offer(isGet: isGet, isHTTP11: isHTTP11) { name in
      fields.filter { $0.0 == name }.map(\.1)
    }
  }

  @Test func theExampleOfTheRFCIsAccepted() throws {
    // RFC 6455 section 1.3.
    let offer = try offer()
    #expect(offer.key == "dGhlIHNhbXBsZSBub25jZQ==")
    #expect(offer.protocols == ["chat", "sip"])
    let fields = try offer.accept(speaking: ["sip"])
    #expect(
      fields.map { "\($0.0): \($0.1)" } == [
        "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "Sec-WebSocket-Protocol: sip",
      ])
    #expect(try offer.accept(speaking: []).count == 3)
  }

  @Test func whatBrowsersAndProxiesWriteIsRead() throws {
    #expect(try offer(("Connection", "keep-alive, Upgrade")).key == "dGhlIHNhbXBsZSBub25jZQ==")
    #expect(try offer(("Upgrade", "WebSocket")).protocols == ["chat", "sip"])
    #expect(try offer(("Sec-WebSocket-Protocol", "sip ,\tmsrp")).protocols == ["sip", "msrp"])
    #expect(try offer(without: "Sec-WebSocket-Protocol").protocols == [])
  }

  @Test func whatIsNoHandshakeIsRefused() {
    #expect(throws: WebSocketRefusal.notAnUpgrade) { try offer(isGet: false) }
    #expect(throws: WebSocketRefusal.notAnUpgrade) { try offer(isHTTP11: false) }
    #expect(throws: WebSocketRefusal.notAnUpgrade) { try offer(without: "Upgrade") }
    #expect(throws: WebSocketRefusal.notAnUpgrade) { try offer(("Connection", "close")) }
    #expect(throws: WebSocketRefusal.wrongVersion) { try offer(("Sec-WebSocket-Version", "8")) }
    #expect(throws: WebSocketRefusal.wrongVersion) { try offer(without: "Sec-WebSocket-Version") }
    #expect(throws: WebSocketRefusal.malformedKey) { try offer(without: "Sec-WebSocket-Key") }
    for key in ["", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25j!Q=="] {
      #expect(throws: WebSocketRefusal.malformedKey) { try offer(("Sec-WebSocket-Key", key)) }
    }
    #expect(throws: WebSocketRefusal.noCommonProtocol) { try offer().accept(speaking: ["mqtt"]) }
    #expect(throws: WebSocketRefusal.noCommonProtocol) {
      try offer(without: "Sec-WebSocket-Protocol").accept(speaking: ["sip"])
    }
    #expect(WebSocketRefusal.wrongVersion.status == 426)
    #expect(WebSocketRefusal.wrongVersion.fields.contains { $0 == ("Sec-WebSocket-Version", "13") })
  }

  @Test func aClientReadsItsAnswer() throws {
    var random = Random(seed: 3)
    let key = WebSocketHandshake.key(&random)
    #expect(key.utf8.count == 24)
    let request = WebSocketHandshake.request(key: key, protocols: ["sip"])
    let offer = try WebSocketHandshake.Offer(isGet: true, isHTTP11: true) { name in
      request.filter { $0.0 == name }.map(\.1)
    }
    let answer = try offer.accept(speaking: ["sip"])
    func judge(_ change: (String, String)? = nil, status: Int = 101, asked: [String] = ["sip"])
      throws(WebSocketRefusal) -> String?
    {
      var fields = answer
      if let change {
        fields.removeAll { $0.0 == change.0 }
        fields.append(change)
      }
      return try WebSocketHandshake.judge(status: status, key: key, protocols: asked) { name in
        fields.filter { $0.0 == name }.map(\.1)
      }
    }
    #expect(try judge() == "sip")
    #expect(throws: WebSocketRefusal.notAccepted(status: 200)) { try judge(status: 200) }
    #expect(throws: WebSocketRefusal.notAccepted(status: 101)) {
      try judge(("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
    }
    #expect(throws: WebSocketRefusal.foreignChoice) { try judge(("Sec-WebSocket-Protocol", "chat")) }
    #expect(throws: WebSocketRefusal.foreignChoice) {
      try judge(("Sec-WebSocket-Extensions", "permessage-deflate"))
    }
  }
}
