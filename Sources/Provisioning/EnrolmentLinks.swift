internal import Crypto
package import Directory
package import Wire

/// A one-time link that was given out, without its secret.
package struct EnrolmentLink: Hashable, Sendable {
  /// The part of its token that is no secret.
  package var name: String
  /// SHA-256 of the whole token.
  package var digest: [UInt8]
  package var account: AccountName
  package var created: WallTime
  package var expires: WallTime

  package init(name: String, digest: [UInt8], account: AccountName, created: WallTime, expires: WallTime) {
    self.name = name
    self.digest = digest
    self.account = account
    self.created = created
    self.expires = expires
  }
}

/// The one-time links that wait to be redeemed, and the answers of those that just were.
///
/// A token is a name of 48 bits, by which the link is found, and a secret of 256, both in base64url. Only the digest
/// is kept. It is good for ten minutes and for one device: its answer may be asked for again from the same address for
/// a minute, because devices lose answers; then it is gone. Five wrong secrets under one name end the link. What is
/// gone, expired or never was cannot be told apart.
package struct EnrolmentLinks {
  package static let life = Interval.minutes(10)
  package static let repeatFor = Interval.seconds(60)
  package static let mostTries = 5
  /// Links that wait at one time, of all accounts and of one; beyond that the oldest ends.
  package static let mostKept = 256
  package static let mostPerAccount = 8

  package enum Redemption: Equatable {
    /// Redeem it: the credential is to be made and stored, then `redeemed`.
    case fresh(EnrolmentLink)
    /// Somebody at this address is redeeming it at this moment.
    case underWay(String)
    /// The answer that was given already.
    case again(DeviceProfile)
    case gone
    /// Too many wrong secrets: this link is to be forgotten.
    case killed(String)
    case malformed
  }

  private enum State {
    case waiting
    case redeeming(by: IPAddress?)
    case spent(DeviceProfile, by: IPAddress?)
  }
  private struct Entry {
    var link: EnrolmentLink
    var state = State.waiting
    var ends: Instant
    var tries = 0
  }
  /// In the order they were made.
  private var entries: [Entry] = []

  package init() {}

  package var count: Int { entries.count }

  /// Makes a link; `dropped` are the names of older ones that had to give way.
  package mutating func make(
    for account: AccountName, now: Instant, wall: WallTime, _ random: inout Random
  ) -> (token: String, link: EnrolmentLink, dropped: [String]) {
    expire(now)
    let name = Base64.encode(random.bytes(6), .url)
    let token = name + Base64.encode(random.bytes(32), .url)
    let link = EnrolmentLink(
      name: name, digest: Digest.sha256(Array(token.utf8)), account: account, created: wall,
      expires: wall + EnrolmentLinks.life)
    entries.append(Entry(link: link, ends: now + EnrolmentLinks.life))
    var dropped: [String] = []
    while entries.count(where: { $0.link.account == account }) > EnrolmentLinks.mostPerAccount,
      let place = entries.firstIndex(where: { $0.link.account == account })
    {
      dropped.append(entries.remove(at: place).link.name)
    }
    while entries.count > EnrolmentLinks.mostKept { dropped.append(entries.removeFirst().link.name) }
    return (token, link, dropped)
  }

  /// Takes up a link that was stored. One that has expired, or claims a longer life than links have, is not.
  package mutating func load(_ link: EnrolmentLink, now: Instant, wall: WallTime) -> Bool {
    let rest = link.expires - wall
    guard rest > .zero, rest <= EnrolmentLinks.life else { return false }
    entries.append(Entry(link: link, ends: now + rest))
    return true
  }

  /// Somebody shows a token.
  package mutating func redeem(_ token: String, from address: IPAddress?, now: Instant) -> Redemption {
    expire(now)
    let bytes = Array(token.utf8)
    guard bytes.count == 51, bytes.allSatisfy({ Base64.value($0, .url) != nil }) else { return .malformed }
    let name = String(decoding: bytes[..<8], as: UTF8.self)
    guard let place = entries.firstIndex(where: { $0.link.name == name }) else { return .gone }
    guard Digest.areEqual(Digest.sha256(bytes), entries[place].link.digest) else {
      entries[place].tries += 1
      guard entries[place].tries >= EnrolmentLinks.mostTries else { return .gone }
      return .killed(entries.remove(at: place).link.name)
    }
    switch entries[place].state {
    case .waiting:
      entries[place].state = .redeeming(by: address)
      return .fresh(entries[place].link)
    case .redeeming(let by): return by == address ? .underWay(name) : .gone
    case .spent(let profile, let by): return by == address ? .again(profile) : .gone
    }
  }

  /// The credential stands; its answer may be asked for again for a while.
  package mutating func redeemed(_ name: String, _ profile: DeviceProfile, now: Instant) {
    guard let place = entries.firstIndex(where: { $0.link.name == name }),
      case .redeeming(let by) = entries[place].state
    else { return }
    entries[place].state = .spent(profile, by: by)
    entries[place].ends = now + EnrolmentLinks.repeatFor
  }

  /// No credential could be made: the link waits again.
  package mutating func failed(_ name: String) {
    guard let place = entries.firstIndex(where: { $0.link.name == name }) else { return }
    if case .redeeming = entries[place].state { entries[place].state = .waiting }
  }

  /// Ends every link of an account; their names.
  package mutating func end(_ account: AccountName) -> [String] {
    let gone = entries.filter { $0.link.account == account }.map(\.link.name)
    entries.removeAll { $0.link.account == account }
    return gone
  }

  private mutating func expire(_ now: Instant) { entries.removeAll { $0.ends <= now } }
}
