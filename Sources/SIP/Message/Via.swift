package import Wire

/// One hop that a request made (RFC 3261, 20.42), and the way back for its responses.
package struct Via: Hashable, Sendable {
  /// As written, such as `UDP` or `WSS`.
  package var transport: String
  /// IPv6 with its brackets.
  package var host: String
  package var port: UInt16?
  package var parameters: Parameters

  package init(transport: TransportKind, host: String, port: UInt16?, branch: String) {
    self.transport = Via.text(transport)
    self.host = host
    self.port = port
    parameters = Parameters([.init(name: "branch", value: branch)])
  }

  /// Reads one value that fills the text; nil when it is malformed.
  package init?(_ text: String) {
    let bytes = Array(text.utf8)
    let span = bytes.span
    guard let parts = Grammar.via(span, 0, bytes.count), parts.end == bytes.count else { return nil }
    self.init(span, parts)
  }

  init(_ bytes: Span<UInt8>, _ parts: Grammar.ViaParts) {
    transport = Text.string(bytes, parts.transport)
    host = Text.string(bytes, parts.host)
    port = parts.port < 0 ? nil : UInt16(truncatingIfNeeded: parts.port)
    parameters = Parameters(bytes, parts.parameters)
  }

  /// The letters for a transport in a Via.
  package static func text(_ transport: TransportKind) -> String {
    switch transport {
    case .udp: "UDP"
    case .tcp: "TCP"
    case .tls: "TLS"
    case .ws: "WS"
    case .wss: "WSS"
    }
  }

  /// nil for a transport that we do not speak.
  package var transportKind: TransportKind? {
    switch transport.uppercased() {
    case "UDP": .udp
    case "TCP": .tcp
    case "TLS": .tls
    case "WS": .ws
    case "WSS": .wss
    default: nil
    }
  }

  package static let cookie = "z9hG4bK"

  package var branch: String? { parameters["branch"] }
  /// The branch begins with the magic cookie: it names a transaction (RFC 3261, 17.2.3).
  package var hasCookie: Bool {
    branch.map { ASCII.equalIgnoringCase($0.utf8.prefix(7), Via.cookie.utf8) } ?? false
  }
  /// The `received` parameter, with or without brackets (RFC 5118, 4.5).
  package var received: IPAddress? { parameters["received"].flatMap { IPAddress($0) } }
  /// The filled-in `rport` (RFC 3581).
  package var rport: UInt16? { parameters["rport"].flatMap { UInt16($0) } }
  package var wantsRport: Bool { parameters.contains("rport") }

  package func append(to bytes: inout [UInt8]) {
    bytes.append(ascii: "SIP/2.0/")
    Text.append(transport, to: &bytes)
    bytes.append(UInt8(ascii: " "))
    Text.append(host, to: &bytes)
    if let port {
      bytes.append(UInt8(ascii: ":"))
      bytes.append(decimal: Int(port))
    }
    parameters.append(to: &bytes)
  }
}

extension Via: CustomStringConvertible {
  package var description: String {
    var bytes: [UInt8] = []
    append(to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }
}
