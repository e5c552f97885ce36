package import Wire

/// What an account is for. It decides how the account may register and how often at once.
package enum AccountKind: String, CaseIterable, Hashable, Sendable {
  case panel, mobile, browser, `extension`, line, station, `guard`, trunk, sbc

  /// How its devices may register; empty for those that do not register here.
  package var transports: [TransportKind] {
    switch self {
    case .panel, .station: [.udp, .tcp, .tls]
    case .mobile: [.tcp, .tls, .udp, .wss]
    case .browser: [.ws, .wss]
    case .extension, .line: [.wss]
    case .guard: TransportKind.allCases
    case .trunk, .sbc: []
    }
  }

  /// How many devices may be registered at once; one more replaces the oldest. 0: none may.
  package var contacts: Int {
    switch self {
    case .panel: 2
    case .mobile, .browser, .line, .guard: 5
    case .extension, .station: 1
    case .trunk, .sbc: 0
    }
  }

  package var registers: Bool { contacts > 0 }
  package func mayUse(_ transport: TransportKind) -> Bool { transports.contains(transport) }

  /// Kinds that a directory file may give to an account; stations have a list of their own.
  enum Written: String, CaseIterable {
    case panel, mobile, browser, `extension`, line, `guard`, trunk, sbc

    var kind: AccountKind {
      switch self {
      case .panel: .panel
      case .mobile: .mobile
      case .browser: .browser
      case .extension: .extension
      case .line: .line
      case .guard: .guard
      case .trunk: .trunk
      case .sbc: .sbc
      }
    }
  }
}

/// Which digests an account is challenged with (RFC 8760).
package enum DigestChoice: String, CaseIterable, Hashable, Sendable {
  /// Over WS and WSS one challenge, MD5; elsewhere MD5 first, SHA-256 second.
  case auto
  case md5
  case sha256 = "sha-256"
}

/// Somebody who registers: a panel, a telephone, a browser, a guard. Its secrets are not here.
package struct Account: Hashable, Sendable {
  package var username: AccountName
  package var kind: AccountKind
  /// How it is shown to people; empty when nobody named it.
  package var name: String
  package var digest: DigestChoice
  /// Doors of an account without a unit; those of a unit's accounts are the unit's.
  package var doors: [DoorGrant]

  package init(
    username: AccountName, kind: AccountKind, name: String = "", digest: DigestChoice = .auto,
    doors: [DoorGrant] = []
  ) {
    self.username = username
    self.kind = kind
    self.name = name
    self.digest = digest
    self.doors = doors
  }
}
