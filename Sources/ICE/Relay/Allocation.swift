internal import Crypto
internal import Wire

// One address lent to us by a TURN server (RFC 8656), as values: what was granted and until when. The agent asks.

struct Allocation: Sendable {
  enum State: Hashable, Sendable {
    /// Not asked for, given back, or asked for again. May become asked.
    case none
    /// May become granted or refused.
    case asked
    /// May become none.
    case granted
    /// May become asked by the next gathering.
    case refused
  }

  struct Permission: Sendable {
    enum State: Hashable, Sendable { case asked, granted, refused }
    var address: IPAddress
    var state: State
    /// When it is asked for again.
    var renewal: Instant
  }

  struct Channel: Sendable {
    var peer: Endpoint
    var number: UInt16
    var isBound: Bool
    /// When it is asked for again.
    var renewal: Instant
  }

  /// A permission lasts 300 s, a channel 600 s; both are renewed a minute before.
  static let permissionRenewal = Interval.seconds(240)
  static let channelRenewal = Interval.seconds(540)
  /// How long a translator is trusted to keep the way to the server.
  static let keepingInterval = Interval.seconds(20)
  /// The most addresses of a peer that a relay is asked to let through.
  static let permissionLimit = 64
  static let channelLimit = 64
  /// How often in a row wrong credentials are answered before we give up.
  static let challengeLimit = 3

  var server: Int
  let account: ICEServer.Account
  /// Our socket and the server.
  let flow: Flow
  var state = State.none
  var realm: [UInt8] = []
  var nonce: [UInt8] = []
  /// MD5 of username, realm and password (RFC 8489 section 9.2.2); empty before the first challenge.
  var key: [UInt8] = []
  var challenges = 0
  /// A mismatch (437) was answered by asking anew, and nothing was granted since.
  var isReclaimed = false
  /// To be asked for as soon as the server has the last one back: a question to take it back that is repeated would
  /// else take the new one.
  var isWanted = false
  /// Another agent had it before: no base of ours has its socket.
  var isAdopted = false
  /// The address that was lent.
  var relayed: Endpoint?
  /// When the allocation is refreshed.
  var renewal: Instant?
  /// When the way to the server is used so that translators keep it, unless media does.
  var keeping: Instant?
  var permissions: [Permission] = []
  var channels: [Channel] = []

  init(server: Int, account: ICEServer.Account, flow: Flow) {
    self.server = server
    self.account = account
    self.flow = flow
  }

  mutating func challenge(realm: [UInt8], nonce: [UInt8]) {
    self.realm = realm
    self.nonce = nonce
    var text = Array(account.username.utf8)
    text.append(UInt8(ascii: ":"))
    text.append(contentsOf: realm)
    text.append(UInt8(ascii: ":"))
    text.append(contentsOf: account.password.utf8)
    key = Digest.md5(text)
  }

  func permits(_ address: IPAddress) -> Bool {
    permissions.contains { $0.address == address && $0.state == .granted }
  }

  func channel(for peer: Endpoint) -> UInt16? {
    channels.first { $0.peer == peer && $0.isBound }?.number
  }

  func peer(of channel: UInt16) -> Endpoint? { channels.first { $0.number == channel }?.peer }

  /// The earliest renewal.
  var nextRenewal: Instant? {
    guard state == .granted else { return nil }
    var earliest = Instant.earlier(renewal, keeping)
    for permission in permissions where permission.state == .granted {
      earliest = .earlier(earliest, permission.renewal)
    }
    for channel in channels where channel.isBound { earliest = .earlier(earliest, channel.renewal) }
    return earliest
  }

  /// Forgets what was granted.
  mutating func end(_ state: State) {
    self.state = state
    relayed = nil
    renewal = nil
    keeping = nil
    permissions.removeAll()
    channels.removeAll()
  }
}
