package import Wire

/// Names a session: an INVITE and the dialog it makes, on one leg. A name kept after the end finds nothing.
package struct SessionID: Hashable, Sendable {
  package let handle: Handle
  package init(_ handle: Handle) { self.handle = handle }
}

/// Names a transaction that the agent's owner takes part in: a request to reply to, or one sent outside the calls.
package struct TransactionID: Hashable, Sendable {
  package let handle: Handle
  package init(_ handle: Handle) { self.handle = handle }
}

/// A message body with its type.
package struct Body: Sendable, Equatable {
  package var contentType: String
  package var bytes: [UInt8]

  package init(contentType: String, bytes: [UInt8]) {
    self.contentType = contentType
    self.bytes = bytes
  }

  /// A session description.
  package static func sdp(_ bytes: [UInt8]) -> Body { Body(contentType: "application/sdp", bytes: bytes) }

  /// Type and subtype without parameters, lower case.
  package var mediaType: String {
    String(decoding: ParameterList(contentType).head.utf8.map { ASCII.lowered($0) }, as: UTF8.self)
  }
}

/// Where a request goes (RFC 3263).
package struct Destination: Sendable {
  /// The Request-URI, and without `flow` and `route` also the next hop.
  package var uri: URI
  /// The known path to a binding; nil: found out from the first route or the URI.
  package var flow: Flow?
  /// Route header values, such as a registration's Path, in order.
  package var route: [String]

  package init(uri: URI, flow: Flow? = nil, route: [String] = []) {
    self.uri = uri
    self.flow = flow
    self.route = route
  }
}

/// Which dialog is to be replaced (RFC 3891).
package struct ReplacesID: Sendable, Hashable {
  package var callID: String
  package var toTag: String
  package var fromTag: String
  /// Only a dialog that is not yet confirmed may be replaced.
  package var isEarlyOnly: Bool

  package init(callID: String, toTag: String, fromTag: String, isEarlyOnly: Bool = false) {
    self.callID = callID
    self.toTag = toTag
    self.fromTag = fromTag
    self.isEarlyOnly = isEarlyOnly
  }
}

/// How a session ended.
package enum Ending: Sendable, Equatable {
  /// The peer sent BYE.
  case bye(Reason?)
  /// We hung up.
  case hungUp
  /// We refused it with this status.
  case refused(Int)
  /// An answer crossed our CANCEL; it was acknowledged and hung up.
  case answeredTooLate
  /// The peer did not answer or acknowledge in time, or does not know the dialog any more (408, 481).
  case timeout
  /// The peer could not be reached any more.
  case transport
  /// The session timer ran out (RFC 4028).
  case sessionExpired
}

/// Why a request outside a session got no answer.
package enum Unanswered: Sendable, Equatable {
  case timeout
  case transport
  /// The name of its destination has no address.
  case unresolved
}

/// What a peer did wrong, for the log and the counters. No word of the peer's is in it but what the case carries.
package enum PeerMistake: Sendable, Equatable {
  /// Bytes that are no SIP message.
  case unreadable(SIPParseError)
  /// A response that belongs to no request of ours.
  case strayResponse
  /// A request inside a dialog that there is not, or from elsewhere than the dialog's peer.
  case outsideDialog
  /// A request of a dialog whose number is not higher than the last.
  case oldSequence
  /// The answer to our INVITE makes no dialog (no To tag, or a Contact that cannot be used).
  case uselessAnswer
  /// Refused because of a cap.
  case overCapacity
}

/// What the agent tells its owner; taken by `next()`.
package enum AgentEvent: Sendable {
  /// A request outside the sessions, admitted: REGISTER, OPTIONS, MESSAGE and so on. Must be replied to.
  case request(TransactionID, Message, Flow, Identity)
  /// A response, provisional or final, to a request sent by `send` or `info`.
  case response(TransactionID, Message)
  case unanswered(TransactionID, Unanswered)

  /// An admitted INVITE; 100 was sent. `ring`, `answer` or `refuse` it.
  case invited(SessionID, Message, Flow, Identity)
  /// 18x on an outgoing session.
  case progressed(SessionID, status: Int, body: Body?, Message)
  /// 2xx. The ACK was sent, unless `body` is an offer (we invited without one): then `acknowledge` it.
  case answered(SessionID, body: Body?, Message)
  /// A final refusal; or 408, 503 made up when there was no answer or no way (without a message). The end.
  case refused(SessionID, status: Int, Message?)
  /// The caller gave up before the answer; 487 was sent. The end.
  case cancelled(SessionID, Reason?)
  /// The ACK to our answer came; `body` when it carries the answer to our offer.
  case confirmed(SessionID, body: Body?)
  /// A new offer from the peer; nil: the peer wants ours. `acceptOffer` or `refuseOffer`.
  case offered(SessionID, body: Body?)
  case offerAccepted(SessionID, body: Body?)
  case offerRefused(SessionID, status: Int)
  /// INFO inside the session. `reply` to it.
  case informed(SessionID, TransactionID, Body)
  /// REFER inside the session. `reply` to it, then `notifyTransfer`.
  case transferRequested(SessionID, TransactionID, referTo: NameAddress, replaces: ReplacesID?)
  /// The end.
  case ended(SessionID, Ending)

  /// A name to look up; answer with `resolved`.
  case resolve(ticket: UInt64, NameQuery)
  /// Something for the log.
  case mistake(PeerMistake, Flow)
}
