internal import Crypto
package import Wire

/// What a handshake lacks, and how a server says so.
package enum WebSocketRefusal: Error, Hashable, Sendable {
  /// Not a GET of HTTP/1.1 that asks for an upgrade to `websocket`.
  case notAnUpgrade
  /// Another version than 13.
  case wrongVersion
  /// No key, two, or one that is not 16 bytes in base64.
  case malformedKey
  /// None of the subprotocols offered is spoken here.
  case noCommonProtocol
  /// The server did not answer 101 with what the handshake asks for.
  case notAccepted(status: Int)
  /// The server chose what was not offered.
  case foreignChoice

  /// The status of the refusal.
  package var status: Int {
    switch self {
    case .wrongVersion, .notAnUpgrade: 426
    case .malformedKey, .noCommonProtocol, .notAccepted, .foreignChoice: 400
    }
  }
  /// Fields that go with it: a 426 says what to upgrade to (RFC 9110 section 15.5.22), and which version.
  package var fields: [(String, String)] {
    switch self {
    case .wrongVersion, .notAnUpgrade:
      [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
    case .malformedKey, .noCommonProtocol, .notAccepted, .foreignChoice: []
    }
  }
}

extension WebSocketRefusal: CustomStringConvertible {
  package var description: String {
    switch self {
    case .notAnUpgrade: "a WebSocket is opened by a GET that asks for an upgrade"
    case .wrongVersion: "the WebSocket version here is 13"
    case .malformedKey: "Sec-WebSocket-Key is not 16 bytes in base64"
    case .noCommonProtocol: "none of the offered subprotocols is spoken here"
    case .notAccepted(let status): "the server answered \(status) to the upgrade"
    case .foreignChoice: "the server chose what was not offered"
    }
  }
}

/// The opening handshake as values (RFC 6455 section 4). HTTP carries it; no extension is offered or accepted.
package enum WebSocketHandshake {
  /// What a client asks for, once it is in order.
  package struct Offer: Hashable, Sendable {
    package var key: String
    /// Subprotocols in the client's order of preference.
    package var protocols: [String]

    /// Reads the handshake out of a request. `values` gives the values of all lines of a field.
    package init(isGet: Bool, isHTTP11: Bool, values: (String) -> [String]) throws(WebSocketRefusal) {
      guard isGet, isHTTP11, WebSocketHandshake.list(values("Upgrade"), has: "websocket"),
        WebSocketHandshake.list(values("Connection"), has: "upgrade")
      else { throw .notAnUpgrade }
      guard values("Sec-WebSocket-Version") == ["13"] else { throw .wrongVersion }
      let keys = values("Sec-WebSocket-Key")
      guard keys.count == 1, WebSocketHandshake.isKey(keys[0]) else { throw .malformedKey }
      key = keys[0]
      protocols = WebSocketHandshake.elements(values("Sec-WebSocket-Protocol"))
    }

    /// The fields of the 101 that accepts it. With `spoken` the client's first choice among them is taken, and it
    /// must have offered one; without, no subprotocol is used.
    package func accept(speaking spoken: [String]) throws(WebSocketRefusal) -> [(String, String)] {
      var fields = [
        ("Upgrade", "websocket"), ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", WebSocketHandshake.accept(for: key)),
      ]
      if !spoken.isEmpty {
        guard let chosen = protocols.first(where: { spoken.contains($0) }) else { throw .noCommonProtocol }
        fields.append(("Sec-WebSocket-Protocol", chosen))
      }
      return fields
    }
  }

  /// A client's key: 16 random bytes in base64.
  package static func key(_ random: inout Random) -> String { Base64.encode(random.bytes(16)) }

  /// What a server answers to a key: SHA-1 of it and the protocol's own name, in base64.
  package static func accept(for key: String) -> String {
    Base64.encode(Digest.sha1(Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)))
  }

  /// The fields of a client's request, beside Host.
  package static func request(key: String, protocols: [String]) -> [(String, String)] {
    var fields = [
      ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", key),
      ("Sec-WebSocket-Version", "13"),
    ]
    if !protocols.isEmpty {
      fields.append(("Sec-WebSocket-Protocol", protocols.joined(separator: ", ")))
    }
    return fields
  }

  /// Judges a server's answer; the subprotocol it chose, nil for none. An extension was not offered, so none may be
  /// chosen.
  package static func judge(
    status: Int, key: String, protocols: [String], values: (String) -> [String]
  ) throws(WebSocketRefusal) -> String? {
    guard status == 101, list(values("Upgrade"), has: "websocket"),
      list(values("Connection"), has: "upgrade"), values("Sec-WebSocket-Accept") == [accept(for: key)]
    else { throw .notAccepted(status: status) }
    guard elements(values("Sec-WebSocket-Extensions")).isEmpty else { throw .foreignChoice }
    let chosen = values("Sec-WebSocket-Protocol")
    guard chosen.count <= 1 else { throw .foreignChoice }
    guard let choice = chosen.first else { return nil }
    guard protocols.contains(choice) else { throw .foreignChoice }
    return choice
  }

  // MARK: Fields

  /// The elements of a comma-separated field, over all its lines.
  private static func elements(_ values: [String]) -> [String] {
    values.flatMap { $0.split(separator: ",") }.map { part in
      String(part.drop { $0 == " " || $0 == "\t" }.prefix { $0 != " " && $0 != "\t" })
    }.filter { !$0.isEmpty }
  }
  private static func list(_ values: [String], has element: String) -> Bool {
    elements(values).contains { ASCII.equalIgnoringCase($0, element) }
  }

  /// Sixteen bytes in base64: 22 digits, of which the last carries four idle bits, and two signs of padding.
  private static func isKey(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    return bytes.count == 24 && bytes[22...].allSatisfy { $0 == UInt8(ascii: "=") }
      && bytes[..<22].allSatisfy { Base64.value($0, .standard) != nil }
  }
}
