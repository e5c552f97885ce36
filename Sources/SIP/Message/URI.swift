package import Wire

/// A SIP, SIPS or tel URI (RFC 3261, 19.1; RFC 3966), or any other, carried and not understood. Parts are kept as
/// written, escapes included; `==` compares what was written, `isEquivalent` what it means.
package struct URI: Hashable, Sendable {
  package enum Kind: UInt8, Hashable, Sendable { case sip, sips, tel, other }

  package var kind: Kind
  /// As written, such as `sip` or `SIP`.
  package var scheme: String
  /// Escapes kept. For tel the number, for other schemes everything after the colon.
  package var user: String?
  package var password: String?
  /// IPv6 with its brackets. Empty for schemes other than sip and sips.
  package var host: String
  package var port: UInt16?
  package var parameters: Parameters
  /// What follows the `?`, as written.
  package var headers: String?

  package init(
    kind: Kind = .sip, user: String? = nil, host: String, port: UInt16? = nil,
    parameters: Parameters = Parameters()
  ) {
    precondition(kind != .other, "a URI of another scheme comes from its text")
    self.kind = kind
    switch kind {
    case .sips: scheme = "sips"
    case .tel: scheme = "tel"
    default: scheme = "sip"
    }
    self.user = user.map(Text.escapedUser)
    self.host = host
    self.port = port
    self.parameters = parameters
  }

  /// `sip:user@192.0.2.1:5060`, IPv6 in brackets.
  package init(user: String? = nil, at endpoint: Endpoint, parameters: Parameters = Parameters()) {
    self.init(
      user: user, host: URI.host(endpoint.address), port: endpoint.port, parameters: parameters)
  }

  /// Reads a URI that fills the text; nil when it is malformed.
  package init?(_ text: String) {
    let bytes = Array(text.utf8)
    self.init(bytes.span, 0..<bytes.count)
  }

  init?(_ bytes: Span<UInt8>, _ range: Range<Int>) {
    guard let parts = Grammar.uri(bytes, range) else { return nil }
    self.init(bytes, parts)
  }

  init(_ bytes: Span<UInt8>, _ parts: Grammar.URIParts) {
    kind = parts.scheme
    scheme = Text.string(bytes, parts.schemeRange)
    user = parts.user.map { Text.string(bytes, $0) }
    password = parts.password.map { Text.string(bytes, $0) }
    host = Text.string(bytes, parts.host)
    port = parts.port < 0 ? nil : UInt16(truncatingIfNeeded: parts.port)
    parameters = Parameters(uri: bytes, parts.parameters)
    headers = parts.headers.map { Text.string(bytes, $0) }
  }

  /// An address as it stands in a URI: IPv6 in brackets.
  package static func host(_ address: IPAddress) -> String {
    address.isV4 ? address.description : "[\(address)]"
  }

  /// The user part with its escapes taken away, once.
  package var decodedUser: String? { user.map(Text.unescaped) }

  /// The host as an address, if it is one.
  package var address: IPAddress? { IPAddress(host) }

  /// The transport parameter: nil when absent or unknown.
  package var transport: TransportKind? {
    switch parameters["transport"]?.lowercased() {
    case "udp": .udp
    case "tcp": .tcp
    case "tls": .tls
    case "ws": .ws
    case "wss": .wss
    default: nil
    }
  }

  package func append(to bytes: inout [UInt8]) {
    Text.append(scheme, to: &bytes)
    bytes.append(UInt8(ascii: ":"))
    if let user {
      Text.append(user, to: &bytes)
      if let password {
        bytes.append(UInt8(ascii: ":"))
        Text.append(password, to: &bytes)
      }
      if kind == .sip || kind == .sips { bytes.append(UInt8(ascii: "@")) }
    }
    Text.append(host, to: &bytes)
    if let port {
      bytes.append(UInt8(ascii: ":"))
      bytes.append(decimal: Int(port))
    }
    parameters.append(to: &bytes)
    if let headers {
      bytes.append(UInt8(ascii: "?"))
      Text.append(headers, to: &bytes)
    }
  }

  /// The same resource (RFC 3261, 19.1.4): escapes and the case of host and parameters set aside; a parameter
  /// that only one has matters only if it is user, ttl, method, maddr or transport.
  package func isEquivalent(to other: URI) -> Bool {
    // What is written twice the same means the same, even with a parameter that is there twice.
    if self == other { return true }
    guard kind == other.kind, ASCII.equalIgnoringCase(scheme, other.scheme),
      URI.normal(user) == URI.normal(other.user), URI.normal(password) == URI.normal(other.password),
      ASCII.equalIgnoringCase(host, other.host), port == other.port
    else { return false }
    for (mine, theirs) in [(parameters, other.parameters), (other.parameters, parameters)] {
      for parameter in mine.list {
        let name = Text.unescaped(parameter.name)
        let match = theirs.list.first { ASCII.equalIgnoringCase(Text.unescaped($0.name), name) }
        if let match {
          guard
            ASCII.equalIgnoringCase(
              Text.unescaped(parameter.value ?? ""), Text.unescaped(match.value ?? ""))
          else { return false }
        } else if ["user", "ttl", "method", "maddr", "transport"].contains(name.lowercased()) {
          return false
        }
      }
    }
    return headers?.lowercased() == other.headers?.lowercased()
  }

  /// With escapes undone where they change nothing; an escaped reserved letter stays another one than the letter.
  private static func normal(_ text: String?) -> [UInt8]? {
    guard let text else { return nil }
    let bytes = Array(text.utf8)
    var result: [UInt8] = []
    var position = 0
    while position < bytes.count {
      if bytes[position] == UInt8(ascii: "%"), position + 2 < bytes.count,
        let high = ASCII.hexValue(bytes[position + 1]), let low = ASCII.hexValue(bytes[position + 2])
      {
        let byte = high << 4 | low
        if ASCII.isAlpha(byte) || ASCII.isDigit(byte) || "-_.!~*'()".utf8.contains(byte) {
          result.append(byte)
        } else {
          result.append(UInt8(ascii: "%"))
          result.append(ASCII.hexDigit(high))
          result.append(ASCII.hexDigit(low))
        }
        position += 3
      } else {
        result.append(bytes[position])
        position += 1
      }
    }
    return result
  }
}

extension URI: CustomStringConvertible {
  package var description: String {
    var bytes: [UInt8] = []
    append(to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }
}
