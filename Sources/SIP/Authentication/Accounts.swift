internal import Crypto
package import Wire

/// One secret of an account, as digests only: `HA1 = H(username:realm:secret)` in lower-case hexadecimal.
package struct Credential: Sendable, Hashable {
  package var id: UInt64
  /// 32 digits; nil when this credential has none for the algorithm.
  package var md5: String?
  /// 64 digits.
  package var sha256: String?

  package init(id: UInt64, md5: String?, sha256: String?) {
    self.id = id
    self.md5 = md5
    self.sha256 = sha256
  }

  /// The digests of a secret.
  package init(id: UInt64, username: String, realm: String, secret: String) {
    let text = Array("\(username):\(realm):\(secret)".utf8)
    self.init(
      id: id, md5: DigestAlgorithm.md5.hex(text), sha256: DigestAlgorithm.sha256.hex(text))
  }
}

extension Credential: CustomStringConvertible, CustomDebugStringConvertible {
  /// Never the digests: whoever has one can register.
  package var description: String { "credential \(id)" }
  package var debugDescription: String { description }
}

/// Which algorithms an account is challenged with.
package enum DigestPolicy: String, Sendable, Hashable, CaseIterable {
  /// Over WS and WSS MD5 alone; elsewhere MD5 first, then SHA-256.
  case auto
  case md5
  case sha256 = "sha-256"
}

/// A set of transports.
package struct TransportSet: OptionSet, Sendable, Hashable {
  package var rawValue: UInt8
  package init(rawValue: UInt8) { self.rawValue = rawValue }
  package init(_ kinds: [TransportKind]) {
    rawValue = kinds.reduce(0) { $0 | 1 << $1.rawValue }
  }

  package static let all = TransportSet(TransportKind.allCases)
  package func allows(_ kind: TransportKind) -> Bool { rawValue >> kind.rawValue & 1 == 1 }
}

/// What authentication and registration need to know of an account.
package struct AccountRecord: Sendable, Hashable {
  package var username: String
  /// What its devices may register over.
  package var transports: TransportSet
  /// How many contacts it may have; one more replaces the oldest. 0: it does not register here.
  package var contactLimit: Int
  package var digest: DigestPolicy
  /// In any order. Any of them proves the account.
  package var credentials: [Credential]
  /// Its devices send one nonce with one count again and again (Dahua stations do): a count seen before is then
  /// no replay while the nonce is fresh.
  package var toleratesNonceReuse: Bool

  package init(
    username: String, transports: TransportSet, contactLimit: Int, digest: DigestPolicy = .auto,
    credentials: [Credential], toleratesNonceReuse: Bool = false
  ) {
    self.username = username
    self.transports = transports
    self.contactLimit = contactLimit
    self.digest = digest
    self.credentials = credentials
    self.toleratesNonceReuse = toleratesNonceReuse
  }
}

/// The building's accounts, as SIP asks for them. Answers come from memory, at once.
package protocol Accounts: AnyObject {
  /// The account of this exact username; nil when there is none.
  func account(named username: String) -> AccountRecord?
  /// The station provisioned at this address; `user`, the From's, tells apart those that share it.
  func station(at address: IPAddress, from user: String) -> String?
  /// The realm of every challenge: the gateway's domain.
  var realm: String { get }
}
