package import Directory
package import SIP
package import Wire

/// Who has an account here and how it proves itself: the directory with the credentials and the wishes for quiet,
/// in memory.
///
/// Everything SIP, Calls and Doors ask about people is answered from here at once; the store is behind it and is
/// never asked while somebody waits.
package final class AccountBook: Accounts {
  package private(set) var building: Building
  package let realm: String
  /// Records as they were last made; emptied by whatever changes one.
  private var records: [String: AccountRecord] = [:]
  /// By username, oldest first.
  private var credentials: [String: [StoredCredential]] = [:]
  /// Whose bearer token has this SHA-256.
  private var bearers: [[UInt8]: (username: String, credential: UInt64)] = [:]
  package private(set) var quietAccounts: Set<AccountName> = []
  package private(set) var quietUnits: Set<UnitID> = []

  /// A credential with what people want to know of it.
  package struct StoredCredential: Sendable {
    package var digests: Credential
    package var created: WallTime
    package var lastUsed: WallTime?
    /// Set for the credential of one test call.
    package var expires: Instant?
    /// SHA-256 of its bearer token; nil for one that has none.
    package var bearer: [UInt8]?
    /// Whether it has proved itself since the daemon started.
    package var isInUse = false

    package init(
      digests: Credential, created: WallTime, lastUsed: WallTime? = nil, expires: Instant? = nil,
      bearer: [UInt8]? = nil
    ) {
      self.bearer = bearer
      self.digests = digests
      self.created = created
      self.lastUsed = lastUsed
      self.expires = expires
    }
  }

  package init(building: Building, realm: String) {
    self.building = building
    self.realm = realm
  }

  // MARK: Accounts

  package func account(named username: String) -> AccountRecord? {
    if let known = records[username] { return known }
    guard let made = makeRecord(username) else { return nil }
    records[username] = made
    return made
  }

  private func makeRecord(_ username: String) -> AccountRecord? {
    let kind: AccountKind
    let digest: DigestChoice
    switch building.entry(named: username) {
    case .account(let name):
      guard let account = building.account(name) else { return nil }
      kind = account.kind
      digest = account.digest
    case .station(let name):
      guard let station = building.station(name) else { return nil }
      kind = .station
      digest = station.digest
    case .unit, .emergency, nil: return nil
    }
    return AccountRecord(
      username: username, transports: TransportSet(kind.transports), contactLimit: kind.contacts,
      digest: DigestPolicy(rawValue: digest.rawValue) ?? .auto,
      credentials: (credentials[username] ?? []).map(\.digests),
      toleratesNonceReuse: kind == .station)
  }

  package func station(at address: IPAddress, from user: String) -> String? {
    building.station(at: address, from: user)?.rawValue
  }

  /// Whether a provisioned station has this address.
  package func isStationAddress(_ address: IPAddress) -> Bool { building.isStationAddress(address) }

  /// Whether a station bears this name.
  package func isStation(_ username: String) -> Bool {
    building.station(StationName(username)) != nil
  }

  // MARK: Credentials

  package func credentials(of username: String) -> [StoredCredential] { credentials[username] ?? [] }

  package func add(_ credential: StoredCredential, to username: String) {
    records[username] = nil
    credentials[username, default: []].append(credential)
    if let bearer = credential.bearer { bearers[bearer] = (username, credential.digests.id) }
  }

  /// Whose token has this digest, with what is known of it.
  package func bearer(_ digest: [UInt8]) -> (username: String, credential: StoredCredential)? {
    guard let (username, id) = bearers[digest],
      let credential = credentials[username]?.first(where: { $0.digests.id == id })
    else { return nil }
    return (username, credential)
  }

  /// Takes one out; nil if it is not there.
  package func remove(_ id: UInt64, of username: String) -> StoredCredential? {
    records[username] = nil
    guard let place = credentials[username]?.firstIndex(where: { $0.digests.id == id }) else { return nil }
    let removed = credentials[username]?.remove(at: place)
    if let bearer = removed?.bearer { bearers[bearer] = nil }
    return removed
  }

  package func used(_ id: UInt64, of username: String, at time: WallTime) {
    guard let place = credentials[username]?.firstIndex(where: { $0.digests.id == id }) else { return }
    credentials[username]?[place].lastUsed = time
    credentials[username]?[place].isInUse = true
  }

  // MARK: Directory and quiet

  /// Takes a new directory. What belongs to names it no longer has is forgotten; their usernames are given back.
  package func replace(_ building: Building) -> [String] {
    self.building = building
    records.removeAll()
    let gone = credentials.keys.filter { building.caller(named: $0) == nil }.sorted()
    for username in gone {
      for credential in credentials[username] ?? [] {
        if let bearer = credential.bearer { bearers[bearer] = nil }
      }
      credentials[username] = nil
    }
    quietAccounts = quietAccounts.filter { building.account($0) != nil }
    quietUnits = quietUnits.filter { building.unit($0) != nil }
    return gone
  }

  package func setQuiet(_ quiet: Bool, account: AccountName) {
    if quiet { quietAccounts.insert(account) } else { quietAccounts.remove(account) }
  }

  package func setQuiet(_ quiet: Bool, unit: UnitID) {
    if quiet { quietUnits.insert(unit) } else { quietUnits.remove(unit) }
  }
}
