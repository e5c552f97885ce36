internal import Calls
internal import Directory
internal import Management
internal import Wire

/// The pages that listen at this moment: each rings when its account is called.
///
/// A page that lost its stream is believed to be back soon: browsers reconnect within seconds, and a call that rings
/// nowhere else must not fail meanwhile. After `linger` it is gone.
struct Presence {
  static let linger = Interval.seconds(10)

  private struct Page {
    var scope: DeviceScope
    var streams: Int
    /// Set while no stream is open.
    var goneAt: Instant?
  }
  /// In the order they came.
  private var pages: [Page] = []

  /// The name of a page's leg in its call: one browser is one device, however many tabs it has.
  static func name(_ credential: UInt64) -> String { "page:\(credential)" }
  static func contact(_ scope: DeviceScope, at address: IPAddress? = nil) -> Contact {
    Contact(
      id: name(scope.credential), destination: nil, address: address, credential: scope.credential,
      form: .webRTC)
  }

  /// A stream of that device opened. True when it was not here a moment ago.
  mutating func came(_ scope: DeviceScope) -> Bool {
    guard let place = pages.firstIndex(where: { $0.scope.credential == scope.credential }) else {
      pages.append(Page(scope: scope, streams: 1, goneAt: nil))
      return true
    }
    pages[place].scope = scope
    pages[place].streams += 1
    pages[place].goneAt = nil
    return false
  }

  mutating func went(_ scope: DeviceScope, now: Instant) {
    guard let place = pages.firstIndex(where: { $0.scope.credential == scope.credential }) else { return }
    pages[place].streams -= 1
    if pages[place].streams <= 0 { pages[place].goneAt = now + Presence.linger }
  }

  /// The pages of an account, as calls know devices.
  func pages(of username: String) -> [Contact] {
    pages.filter { $0.scope.account.rawValue == username }.map { Presence.contact($0.scope) }
  }

  var count: Int { pages.count }

  /// Names of the pages that did not come back; they are gone.
  mutating func expired(by now: Instant) -> [String] {
    guard let due = nextDeadline, due <= now else { return [] }
    let gone = pages.filter { $0.goneAt.map { $0 <= now } ?? false }
    pages.removeAll { $0.goneAt.map { $0 <= now } ?? false }
    return gone.map { Presence.name($0.scope.credential) }
  }

  var nextDeadline: Instant? { pages.compactMap(\.goneAt).min() }

  mutating func end(_ credential: UInt64) { pages.removeAll { $0.scope.credential == credential } }

  /// Takes pages away that are nobody's any more; their credentials.
  mutating func end(where isGone: (DeviceScope) -> Bool) -> [UInt64] {
    let gone = pages.filter { isGone($0.scope) }.map(\.scope.credential)
    pages.removeAll { isGone($0.scope) }
    return gone
  }
}
