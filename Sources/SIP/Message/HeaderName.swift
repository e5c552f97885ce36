internal import Wire

/// The header fields that this room, or a room above it, gives a meaning to. Any other is reached by its text.
///
/// A name compares without case, and some have a compact form of one letter; the parser knows both, so whoever
/// asks for `.from` also gets `f:`.
package enum HeaderName: UInt8, Hashable, Sendable, CaseIterable {
  // The first is 1: a `HeadField` whose tag is 0 has a name that is not in this table.
  case accept = 1
  case acceptContact, acceptEncoding, acceptLanguage, alertInfo, allow, allowEvents, answerMode
  case authenticationInfo, authorization, callID, callInfo, contact, contentDisposition, contentEncoding
  case contentLanguage, contentLength, contentType, cseq, date, diversion, errorInfo, event, expires, from
  case historyInfo, inReplyTo, infoPackage, maxForwards, mimeVersion, minExpires, minSE, organization
  case pAssertedIdentity, pPreferredIdentity, path, priority, privacy, proxyAuthenticate
  case proxyAuthorization, proxyRequire, rack, reason, recordRoute, recvInfo, referSub, referTo, referredBy
  case rejectContact, remotePartyID, replaces, replyTo, requestDisposition, require, retryAfter, route, rseq
  case server, serviceRoute, sessionExpires, subject, subscriptionState, supported, timestamp, to
  case unsupported, userAgent, via, warning, wwwAuthenticate

  /// The name as the RFCs write it.
  package var text: String {
    switch self {
    case .accept: "Accept"
    case .acceptContact: "Accept-Contact"
    case .acceptEncoding: "Accept-Encoding"
    case .acceptLanguage: "Accept-Language"
    case .alertInfo: "Alert-Info"
    case .allow: "Allow"
    case .allowEvents: "Allow-Events"
    case .answerMode: "Answer-Mode"
    case .authenticationInfo: "Authentication-Info"
    case .authorization: "Authorization"
    case .callID: "Call-ID"
    case .callInfo: "Call-Info"
    case .contact: "Contact"
    case .contentDisposition: "Content-Disposition"
    case .contentEncoding: "Content-Encoding"
    case .contentLanguage: "Content-Language"
    case .contentLength: "Content-Length"
    case .contentType: "Content-Type"
    case .cseq: "CSeq"
    case .date: "Date"
    case .diversion: "Diversion"
    case .errorInfo: "Error-Info"
    case .event: "Event"
    case .expires: "Expires"
    case .from: "From"
    case .historyInfo: "History-Info"
    case .inReplyTo: "In-Reply-To"
    case .infoPackage: "Info-Package"
    case .maxForwards: "Max-Forwards"
    case .mimeVersion: "MIME-Version"
    case .minExpires: "Min-Expires"
    case .minSE: "Min-SE"
    case .organization: "Organization"
    case .pAssertedIdentity: "P-Asserted-Identity"
    case .pPreferredIdentity: "P-Preferred-Identity"
    case .path: "Path"
    case .priority: "Priority"
    case .privacy: "Privacy"
    case .proxyAuthenticate: "Proxy-Authenticate"
    case .proxyAuthorization: "Proxy-Authorization"
    case .proxyRequire: "Proxy-Require"
    case .rack: "RAck"
    case .reason: "Reason"
    case .recordRoute: "Record-Route"
    case .recvInfo: "Recv-Info"
    case .referSub: "Refer-Sub"
    case .referTo: "Refer-To"
    case .referredBy: "Referred-By"
    case .rejectContact: "Reject-Contact"
    case .remotePartyID: "Remote-Party-ID"
    case .replaces: "Replaces"
    case .replyTo: "Reply-To"
    case .requestDisposition: "Request-Disposition"
    case .require: "Require"
    case .retryAfter: "Retry-After"
    case .route: "Route"
    case .rseq: "RSeq"
    case .server: "Server"
    case .serviceRoute: "Service-Route"
    case .sessionExpires: "Session-Expires"
    case .subject: "Subject"
    case .subscriptionState: "Subscription-State"
    case .supported: "Supported"
    case .timestamp: "Timestamp"
    case .to: "To"
    case .unsupported: "Unsupported"
    case .userAgent: "User-Agent"
    case .via: "Via"
    case .warning: "Warning"
    case .wwwAuthenticate: "WWW-Authenticate"
    }
  }

  /// The one-letter form (RFC 3261, 7.3.3, and the IANA registry), lower case.
  package var compact: Character? {
    switch self {
    case .acceptContact: "a"
    case .allowEvents: "u"
    case .callID: "i"
    case .contact: "m"
    case .contentEncoding: "e"
    case .contentLength: "l"
    case .contentType: "c"
    case .event: "o"
    case .from: "f"
    case .referTo: "r"
    case .referredBy: "b"
    case .rejectContact: "j"
    case .requestDisposition: "d"
    case .sessionExpires: "x"
    case .subject: "s"
    case .supported: "k"
    case .to: "t"
    case .via: "v"
    default: nil
    }
  }

  /// Several values may stand in one field, parted by commas.
  package var isList: Bool {
    switch self {
    case .accept, .acceptContact, .acceptEncoding, .acceptLanguage, .alertInfo, .allow, .allowEvents,
      .callInfo, .contact, .contentEncoding, .contentLanguage, .diversion, .errorInfo, .historyInfo,
      .inReplyTo, .pAssertedIdentity, .pPreferredIdentity, .path, .proxyRequire, .reason, .recordRoute,
      .recvInfo, .rejectContact, .requestDisposition, .require, .route, .serviceRoute, .supported,
      .unsupported, .via, .warning:
      true
    default: false
    }
  }

  /// The known header of this name, full or compact; nil when the table has none.
  package init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard let name = HeaderTable.shared.find(HeadIndex.key(of: bytes), 0..<bytes.count, bytes.span)
    else { return nil }
    self = name
  }
}

/// Header names by key: one probe and, for names over eight letters, one comparison.
struct HeaderTable: Sendable {
  /// Tag of the name whose key falls here; 0 for none. 512 places for about 90 names keep probes short.
  private var places: [UInt8] = Array(repeating: 0, count: 512)
  private var keys: [UInt64] = Array(repeating: 0, count: 512)
  /// Lower-case letters by tag, for the names over eight letters.
  private var letters: [[UInt8]] = []
  private var names: [HeaderName?] = []

  static let shared = HeaderTable()

  private init() {
    letters = Array(repeating: [], count: 256)
    names = Array(repeating: nil, count: 256)
    for name in HeaderName.allCases {
      letters[Int(name.rawValue)] = Array(name.text.lowercased().utf8)
      names[Int(name.rawValue)] = name
      insert(HeadIndex.key(of: name.text), name)
      if let compact = name.compact { insert(HeadIndex.key(of: String(compact)), name) }
    }
  }

  private mutating func insert(_ key: UInt64, _ name: HeaderName) {
    var place = HeaderTable.place(of: key)
    while places[place] != 0 { place = (place + 1) & 511 }
    places[place] = name.rawValue
    keys[place] = key
  }

  @inline(__always) private static func place(of key: UInt64) -> Int {
    Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 55)
  }

  /// The tag of the name at `range` of `bytes`, whose key is `key`; 0 when it is not in the table.
  @inline(__always) func tag(_ key: UInt64, _ range: Range<Int>, _ bytes: Span<UInt8>) -> UInt8 {
    var place = HeaderTable.place(of: key)
    while true {
      let tag = places[place]
      if tag == 0 { return 0 }
      if keys[place] == key {
        if range.count == 1 { return tag }
        if HeaderTable.isEqual(letters[Int(tag)], range, bytes) { return tag }
      }
      place = (place + 1) & 511
    }
  }

  private static func isEqual(_ letters: [UInt8], _ range: Range<Int>, _ bytes: Span<UInt8>) -> Bool {
    guard letters.count == range.count else { return false }
    if letters.count <= 8 { return true }
    var position = range.lowerBound
    for letter in letters {
      if bytes[position] | 0x20 != letter { return false }
      position += 1
    }
    return true
  }

  func find(_ key: UInt64, _ range: Range<Int>, _ bytes: Span<UInt8>) -> HeaderName? {
    names[Int(tag(key, range, bytes))]
  }
}
