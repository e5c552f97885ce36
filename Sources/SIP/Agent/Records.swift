internal import Wire

/// What a request is recognised by when it comes again (RFC 3261 §17.2.3): branch, sent-by and method, or the older
/// set of fields where the branch has no cookie. The address it came from belongs to it too, so that nobody who
/// merely knows a branch can cancel or acknowledge another's call.
///
/// Kept as 128 bits of the standard library's keyed hash, whose key no peer knows: two requests share them by
/// accident once in more messages than any box will see, and nobody can bring that about.
struct TransactionKey: Hashable {
  private let first: Int
  private let second: Int

  /// The key of the transaction that `message` opens or, with `method` INVITE, of the one that an ACK or CANCEL means.
  init(_ message: Message, method: Method, from source: IPAddress) {
    let parts = message.parts
    let all = message.bytes
    var hasher = WordHasher()
    if let branch = parts.topVia.branch, TransactionKey.hasCookie(all, branch) {
      for place in branch { hasher.feed(all[place]) }
      hasher.endPart()
      for place in parts.topVia.host { hasher.feed(ASCII.lowered(all[place])) }
      hasher.endPart()
      hasher.feed(UInt64(truncatingIfNeeded: parts.topVia.port))
    } else {
      hasher.feed(message.topVia.description)
      hasher.feed(message.callID)
      hasher.feed(message.fromTag ?? "")
      hasher.feed(UInt64(message.cseq.number))
      hasher.feed(message.requestURI?.description ?? "")
    }
    hasher.feed(method.text)
    hasher.feed(source.high)
    hasher.feed(source.low)
    (first, second) = hasher.finish()
  }

  func hash(into hasher: inout Hasher) { hasher.combine(first) }

  private static func hasCookie(_ bytes: [UInt8], _ branch: Range<Int>) -> Bool {
    branch.count > 7
      && ASCII.equalIgnoringCase(bytes[branch.lowerBound..<branch.lowerBound + 7], Via.cookie.utf8)
  }
}

/// The library's hash fed eight bytes at a time: fed one by one it costs six times as much.
private struct WordHasher {
  private var hasher = Hasher()
  private var word: UInt64 = 0
  private var count: UInt64 = 0

  @inline(__always) mutating func feed(_ byte: UInt8) {
    word = word << 8 | UInt64(byte)
    count += 1
    if count & 7 == 0 { hasher.combine(word) }
  }

  mutating func feed(_ word: UInt64) { hasher.combine(word) }

  mutating func feed(_ text: String) {
    for byte in text.utf8 { feed(byte) }
    endPart()
  }

  /// What follows is another part: where one ends counts as much as what it holds.
  mutating func endPart() {
    hasher.combine(word)
    hasher.combine(count)
    word = 0
    count = 0
  }

  func finish() -> (Int, Int) {
    var other = hasher
    other.combine(1 as UInt8)
    return (hasher.finalize(), other.finalize())
  }
}

/// One server transaction as the agent keeps it.
struct ServerRecord {
  var machine: ServerTransaction
  let key: TransactionKey
  let method: Method
  /// Where responses go (§18.2.2, RFC 3581).
  var flow: Flow
  /// Where the request came from, for `received` and `rport`.
  let source: Endpoint
  /// The port of the Via, for when the connection is gone (§18.2.2).
  let sentByPort: UInt16
  /// The To tag of responses; "" where the request has one.
  let tag: String
  /// Kept until the final response.
  var request: Message?
  /// The last response, for copies of the request.
  var response: [UInt8] = []
  var session: Handle = .none
  var retransmission: Handle = .none
  var end: Handle = .none
  /// A response that could not be carried was sent once more to the sent-by address.
  var isRerouted = false
}

extension ServerRecord {
  /// The connection is gone: what is still to be sent goes to the address the Via names.
  mutating func loseConnection() {
    flow.socket = .none
    flow.remote.port = sentByPort
  }
}

/// Whom a client transaction reports to.
enum Owner: Equatable {
  /// Whoever called `send`.
  case outside
  /// A session, which sent it for this.
  case session(Handle, Purpose)
  /// Nobody: a BYE that only tidies up.
  case nobody

  /// A re-INVITE.
  var isSessionChange: Bool {
    switch self {
    case .session(_, .reinvite): true
    case .session, .outside, .nobody: false
    }
  }
}

/// What a session sends a request for.
enum Purpose: Equatable {
  case invite
  /// A new offer, or a refresh of the session timer, by re-INVITE or by UPDATE.
  case reinvite(isRefresh: Bool)
  case update(isRefresh: Bool)
  case bye
  case prack
  case info
  case notify
}

/// One client transaction as the agent keeps it.
struct ClientRecord {
  var machine: ClientTransaction
  var head: RequestHead
  let owner: Owner
  var headers: [(String, String)]
  var body: Body?
  /// The user part of our Contact; nil: the request carries none.
  var contactUser: String?
  /// The second half of the branch.
  var secret: UInt64
  var flow: Flow?
  /// The request as sent.
  var bytes: [UInt8] = []
  /// Where to try next.
  var alternatives: [Endpoint] = []
  var resolution: Resolution?
  var retransmission: Handle = .none
  var end: Handle = .none
  /// The CANCEL of this INVITE.
  var cancel: Handle = .none
  /// The ACKs sent for 2xx, by To tag, for when a 2xx comes again.
  var acknowledgements: [Acknowledgement] = []

  struct Acknowledgement {
    var tag: String
    var bytes: [UInt8]
    var flow: Flow
  }
}
