internal import ICE
internal import JSON
package import MediaPlane
internal import Wire

// STUN and TURN servers as the configuration names them: `HOST[:PORT]`, with `stun:` or `turn:` before it or not
// (RFC 7064, RFC 7065); a TURN server has an account, in an object beside its address or before the host.

extension ObjectReader {
  /// `["stun.example.net:3478", …]`.
  mutating func stunServers(_ key: String) -> [PeerServer] {
    list(key, limit: 8).compactMap { item in
      guard let text = item.string() else { return nil }
      guard let server = PeerServer(text, scheme: "stun"), server.account == nil else {
        item.wrong(expected: "a server reached by UDP, such as \"stun:stun.example.net:3478\"", found: text)
        return nil
      }
      return server
    }
  }

  /// `[{ url: "turn:relay.example.net:3478", username: "…", password: "…" }, …]`.
  mutating func turnServers(_ key: String) -> [PeerServer] {
    list(key, limit: 8).compactMap { item in
      let expected = "a server reached by UDP, such as \"turn:relay.example.net:3478\""
      if case .object = item.node.content {
        let read = item.object { fields in
          (fields.string("url"), fields.string("username", limit: 512), fields.string("password", limit: 512))
        }
        guard let (url, username, password) = read, !url.isEmpty else { return nil }
        guard var server = PeerServer(url, scheme: "turn"), server.account == nil else {
          item.wrong(expected: expected, found: url)
          return nil
        }
        server.account = ICEServer.Account(username: username, password: password)
        return server
      }
      guard let text = item.string() else { return nil }
      guard let server = PeerServer(text, scheme: "turn") else {
        // Not shown: it may hold a password.
        item.wrong(expected: expected)
        return nil
      }
      guard server.account != nil else {
        item.wrong(
          expected: "the server's account too: { url: \"\(text)\", username: \"…\", password: \"…\" }")
        return nil
      }
      return server
    }
  }
}

extension PeerServer {
  /// As it stands in an address (RFC 7064 section 3).
  var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// Nil when the text names no server that can be reached by UDP.
  package init?(_ text: String, scheme: String) {
    var rest = text[...]
    if let colon = rest.firstIndex(of: ":"), rest[..<colon].lowercased() == scheme {
      rest = rest[rest.index(after: colon)...]
    }
    if let query = rest.firstIndex(of: "?") {
      guard rest[query...].lowercased() == "?transport=udp" else { return nil }
      rest = rest[..<query]
    }
    var account: ICEServer.Account?
    if let at = rest.lastIndex(of: "@") {
      let words = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard words.count == 2, !words[0].isEmpty, !words[1].isEmpty else { return nil }
      account = ICEServer.Account(username: String(words[0]), password: String(words[1]))
      rest = rest[rest.index(after: at)...]
    }
    let host: Substring
    var port: UInt16 = 3478
    if rest.first == "[" {
      guard let end = rest.firstIndex(of: "]"), IPAddress(String(rest[..<end].dropFirst())) != nil else {
        return nil
      }
      host = rest[..<end].dropFirst()
      rest = rest[rest.index(after: end)...]
      guard rest.isEmpty || rest.first == ":" else { return nil }
      rest = rest.dropFirst()
      if !rest.isEmpty {
        guard let number = UInt16(rest), number > 0 else { return nil }
        port = number
      }
    } else {
      let words = rest.split(separator: ":", omittingEmptySubsequences: false)
      guard words.count <= 2 else { return nil }
      host = words[0]
      if words.count == 2 {
        guard let number = UInt16(words[1]), number > 0 else { return nil }
        port = number
      }
      guard
        host.utf8.allSatisfy({ byte in
          ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
            || byte == UInt8(ascii: "_")
        })
      else { return nil }
    }
    guard !host.isEmpty, host.utf8.count <= 253 else { return nil }
    self.init(host: String(host), port: port, account: account)
  }
}
