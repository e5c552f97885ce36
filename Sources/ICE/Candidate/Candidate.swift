package import Wire

/// How an address was come by (RFC 8445 section 5.1.1).
package enum CandidateKind: UInt8, Hashable, Sendable {
  case host, serverReflexive, peerReflexive, relayed

  /// As it stands in a candidate line.
  package var name: String {
    switch self {
    case .host: "host"
    case .serverReflexive: "srflx"
    case .peerReflexive: "prflx"
    case .relayed: "relay"
    }
  }

  /// RFC 8445 section 5.1.2.2.
  var preference: UInt32 {
    switch self {
    case .host: 126
    case .peerReflexive: 110
    case .serverReflexive: 100
    case .relayed: 0
    }
  }
}

/// UDP, or one of TCP's three forms (RFC 6544 section 4.5).
package enum CandidateTransport: UInt8, Hashable, Sendable {
  case udp, tcpActive, tcpPassive, tcpSimultaneous

  package var isTCP: Bool { self != .udp }
}

/// One address at which an agent may be reached.
package struct Candidate: Hashable, Sendable {
  /// Equal for candidates of one kind, base, server and protocol; 1 to 32 characters.
  package var foundation: String
  /// 1 is RTP, or all there is when RTCP shares its port.
  package var component: UInt16
  package var transport: CandidateTransport
  package var priority: UInt32
  package var endpoint: Endpoint
  package var kind: CandidateKind
  /// The base of a reflexive, or the mapped address of a relayed one. Hidden in what we write.
  package var related: Endpoint?

  package init(
    foundation: String, component: UInt16 = 1, transport: CandidateTransport = .udp, priority: UInt32,
    endpoint: Endpoint, kind: CandidateKind, related: Endpoint? = nil
  ) {
    self.foundation = foundation
    self.component = component
    self.transport = transport
    self.priority = priority
    self.endpoint = endpoint
    self.kind = kind
    self.related = related
  }

  /// The recommended formula (RFC 8445 section 5.1.2.1). `order` is 0 for the address we like best; TCP ranks
  /// below UDP of its kind (RFC 6544 section 4.2).
  package static func priority(
    _ kind: CandidateKind, _ transport: CandidateTransport = .udp, order: Int, component: UInt16 = 1
  ) -> UInt32 {
    let place = UInt32(min(max(order, 0), 8191))
    let preference: UInt32
    let local: UInt32
    if transport == .udp {
      preference = kind.preference
      local = 65535 - place
    } else {
      preference = kind.preference >= 27 ? kind.preference - 27 : 0
      let direction: UInt32 =
        switch (kind, transport) {
        case (.host, .tcpActive), (.relayed, .tcpActive): 6
        case (.host, .tcpPassive), (.relayed, .tcpPassive): 4
        case (_, .tcpSimultaneous): kind == .host || kind == .relayed ? 2 : 6
        case (_, .tcpActive): 4
        default: 2
        }
      local = direction << 13 | (8191 - place)
    }
    return preference << 24 | local << 8 | UInt32(256 - min(component, 256))
  }
}
