internal import Wire

/// What a request is recognised by when it comes again (RFC 3261 §17.2.3): branch, sent-by and method, or the older
/// set of fields where the branch has no cookie. The address it came from belongs to it too, so that nobody who
/// merely knows a branch can cancel or acknowledge another's call.
struct TransactionKey: Hashable {
  private let bytes: [UInt8]

  /// The key of the transaction that `message` opens or, with `method` INVITE, of the one that an ACK or CANCEL means.
  init(_ message: Message, method: Method, from source: IPAddress) {
    let parts = message.parts
    let all = message.bytes
    var key: [UInt8] = []
    key.reserveCapacity(128)
    key.append(hex: source.high)
    key.append(hex: source.low)
    key.append(text: method.text)
    key.append(0)
    let via = parts.topVia
    if let branch = via.branch, TransactionKey.hasCookie(all, branch) {
      key.append(branch, of: all)
      key.append(0)
      for byte in all[via.host] { key.append(ASCII.lowered(byte)) }
      key.append(0)
      key.append(decimal: Int(via.port))
    } else {
      key.append(text: message.topVia.description)
      key.append(0)
      key.append(text: message.callID)
      key.append(0)
      key.append(text: message.fromTag ?? "")
      key.append(0)
      key.append(decimal: Int(message.cseq.number))
      key.append(0)
      key.append(text: message.requestURI?.description ?? "")
    }
    bytes = key
  }

  private static func hasCookie(_ bytes: [UInt8], _ branch: Range<Int>) -> Bool {
    branch.count > 7
      && ASCII.equalIgnoringCase(bytes[branch.lowerBound..<branch.lowerBound + 7], Via.cookie.utf8)
  }

  /// The same number for the same request, for the To tag of an answer that leaves no state behind.
  func digest(_ secret: UInt64) -> UInt64 {
    var hash = 0xCBF2_9CE4_8422_2325 ^ secret
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return hash ^ hash >> 29
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
