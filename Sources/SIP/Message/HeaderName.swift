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
final class HeaderTable: Sendable {
  private struct Place: Sendable {
    var key: UInt64 = 0
    /// 0: free.
    var tag: UInt8 = 0
    var length: UInt8 = 0
    /// Where the name's lower-case letters begin among `letters`.
    var start: UInt16 = 0
  }

  /// 512 places for about 90 names keep probes short.
  private let places: [Place]
  private let letters: [UInt8]

  static let shared = HeaderTable()

  private init() {
    var places = [Place](repeating: Place(), count: 512)
    var letters: [UInt8] = []
    func insert(_ text: String, _ name: HeaderName) {
      let key = HeadIndex.key(of: text)
      var place = HeaderTable.place(of: key)
      while places[place].tag != 0 { place = (place + 1) & 511 }
      places[place] = Place(
        key: key, tag: name.rawValue, length: UInt8(text.utf8.count), start: UInt16(letters.count))
      letters.append(contentsOf: text.lowercased().utf8)
    }
    for name in HeaderName.allCases {
      insert(name.text, name)
      if let compact = name.compact { insert(String(compact), name) }
    }
    self.places = places
    self.letters = letters
  }

  @inline(__always) private static func place(of key: UInt64) -> Int {
    Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 55)
  }

  /// The tag of the name at `range` of `bytes`, whose key is `key`; 0 when it is not in the table.
  func tag(_ key: UInt64, _ range: Range<Int>, _ bytes: Span<UInt8>) -> UInt8 {
    var place = HeaderTable.place(of: key)
    while true {
      let known = places[place]
      if known.tag == 0 { return 0 }
      if known.key == key, Int(known.length) == range.count {
        // Up to eight letters the key is the name.
        if range.count <= 8 || isEqual(Int(known.start), range, bytes) { return known.tag }
      }
      place = (place + 1) & 511
    }
  }

  private func isEqual(_ start: Int, _ range: Range<Int>, _ bytes: Span<UInt8>) -> Bool {
    let letters = letters
    let known = letters.span.extracting(start..<start + range.count)
    let given = bytes.extracting(range)
    var difference: UInt8 = 0
    for index in known.indices { difference |= known[index] ^ (given[index] | 0x20) }
    return difference == 0
  }

  func find(_ key: UInt64, _ range: Range<Int>, _ bytes: Span<UInt8>) -> HeaderName? {
    HeaderName(rawValue: tag(key, range, bytes))
  }
}
