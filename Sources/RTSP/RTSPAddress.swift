internal import Wire

/// Where a camera is: `rtsp://host:port/path?query`, without user and password (RFC 2326 section 3.2, RFC 7826
/// section 4.2).
package struct RTSPAddress: Hashable, Sendable {
  /// `rtsps`: the connection is TLS.
  package var isSecure: Bool
  /// A host name in lower case, or an IP literal without brackets.
  package var host: String
  package var port: UInt16
  /// From the first slash on, with the query; empty when there is none.
  package var path: String

  package static let port: UInt16 = 554
  package static let securePort: UInt16 = 322

  package init(isSecure: Bool = false, host: String, port: UInt16? = nil, path: String) {
    self.isSecure = isSecure
    self.host = host
    self.port = port ?? (isSecure ? RTSPAddress.securePort : RTSPAddress.port)
    self.path = path
  }

  /// Reads an address; user and password before an `@` are dropped, for they are given apart. Nil for another scheme,
  /// no host, a port that is none, and bytes that do not belong into a request line.
  package init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard bytes.count <= 2048, bytes.allSatisfy({ $0 > 32 && $0 < 127 }) else { return nil }
    var rest: [UInt8]
    if RTSPAddress.begins(bytes, with: "rtsp://") {
      isSecure = false
      rest = Array(bytes.dropFirst(7))
    } else if RTSPAddress.begins(bytes, with: "rtsps://") {
      isSecure = true
      rest = Array(bytes.dropFirst(8))
    } else {
      return nil
    }
    let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.count
    path = String(decoding: rest[end...], as: UTF8.self)
    rest.removeSubrange(end...)
    if let at = rest.lastIndex(of: UInt8(ascii: "@")) { rest.removeSubrange(...at) }
    port = isSecure ? RTSPAddress.securePort : RTSPAddress.port
    let hostEnd: Int
    if rest.first == UInt8(ascii: "[") {
      guard let close = rest.firstIndex(of: UInt8(ascii: "]")) else { return nil }
      host = String(decoding: rest[1..<close], as: UTF8.self)
      guard let address = IPAddress(host), !address.isV4 else { return nil }
      hostEnd = close + 1
    } else {
      hostEnd = rest.firstIndex(of: UInt8(ascii: ":")) ?? rest.count
      host = String(decoding: rest[..<hostEnd].map(ASCII.lowered), as: UTF8.self)
      guard !host.isEmpty else { return nil }
    }
    guard hostEnd < rest.count else { return }
    let digits = rest[(hostEnd + 1)...]
    guard rest[hostEnd] == UInt8(ascii: ":") else { return nil }
    if digits.isEmpty { return }
    guard digits.allSatisfy(ASCII.isDigit),
      let number = UInt16(String(decoding: digits, as: UTF8.self)), number > 0
    else { return nil }
    port = number
  }

  /// As it stands in a request line. The port is left out where it is the scheme's own.
  package var text: String {
    let name = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
    let own = port == (isSecure ? RTSPAddress.securePort : RTSPAddress.port)
    return "\(isSecure ? "rtsps" : "rtsp")://\(name)\(own ? "" : ":\(port)")\(path)"
  }

  /// What a description's `a=control` means under a base (RFC 2326 section C.1.1), as servers and clients practise it:
  /// a relative one is put behind the base with a slash, also behind a query.
  package static func control(_ value: String?, under base: String) -> String {
    // What does not belong into a request line is not put there.
    guard let value, value != "*", !value.isEmpty, value.utf8.count <= 2048,
      value.utf8.allSatisfy({ $0 > 32 && $0 < 127 })
    else { return base }
    if begins(Array(value.utf8), with: "rtsp://") || begins(Array(value.utf8), with: "rtsps://") {
      return value
    }
    var result = base
    var part = value[...]
    if part.utf8.first == UInt8(ascii: "/") { part = part.dropFirst() }
    if result.utf8.last != UInt8(ascii: "/") { result += "/" }
    return result + part
  }

  private static func begins(_ bytes: [UInt8], with word: String) -> Bool {
    ASCII.equalIgnoringCase(bytes.prefix(word.utf8.count), word.utf8)
  }
}
