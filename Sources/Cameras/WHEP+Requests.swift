internal import Directory
internal import HTTP
internal import JSON
internal import SDP
package import Web
internal import Wire

// What requests look like, and the words of refusals.

extension WHEP {
  /// The longest offer that is read; browsers send 4 to 10 kB.
  private static let longestOffer = 64 << 10
  private static let longestFragment = 32 << 10

  package func addRoutes(to router: inout Router) {
    let endpoint = "/whep/{camera}"
    let session = "/whep/{camera}/{session}"
    router.add(
      Route(.post, endpoint, access: .viewer, bodyLimit: WHEP.longestOffer, acceptPost: WHEP.sdp) {
        [self] request, responder in
        open(request) { responder.reply($0) }
      })
    router.add(
      Route(.get, endpoint, access: .viewer) { [self] request, responder in
        probe(request) { responder.reply($0) }
      })
    router.add(
      Route(.options, endpoint, access: .open) { _, responder in
        responder.reply(
          WebReply(200, fields: ["Accept-Post": WHEP.sdp, "Allow": "POST, GET, HEAD, OPTIONS"]))
      })
    router.add(
      Route(.patch, session, access: .open, bodyLimit: WHEP.longestOffer) { [self] request, responder in
        patch(request) { responder.reply($0) }
      })
    router.add(
      Route(.delete, session, access: .open) { [self] request, responder in
        delete(request) { responder.reply($0) }
      })
    router.add(
      Route(.get, session, access: .open) { [self] request, responder in
        describe(request) { responder.reply($0) }
      })
    router.add(
      Route(.options, session, access: .open) { _, responder in
        responder.reply(
          WebReply(
            200, fields: ["Accept-Patch": WHEP.fragment, "Allow": "PATCH, DELETE, GET, HEAD, OPTIONS"]))
      })
  }

  /// A resource without content, which says what may be posted to it.
  private func probe(_ request: WebRequest, _ answer: (WebReply) -> Void) {
    switch authority.viewer(
      request.identity, token: WebGuard.bearer(request.head), of: CameraID(request["camera"]))
    {
    case .failure(.unknownCamera): answer(.problem(404, "there is no such camera"))
    case .failure(.notNow):
      answer(
        WHEP.problem(403, "you may not see this camera now", reason: "not-now", next: "wait until it rings"))
    case .success: answer(WebReply(200, fields: ["Content-Type": WHEP.sdp, "Accept-Post": WHEP.sdp]))
    }
  }

  // MARK: Bodies

  /// Whether the body is of that type, whatever its parameters.
  static func isType(_ request: WebRequest, _ type: String) -> Bool {
    guard let said = request.head.fields["Content-Type"] else { return false }
    let name = said.prefix { $0 != ";" && $0 != " " }
    return ASCII.equalIgnoringCase(String(name), type)
  }

  /// Which rule of the draft an offer breaks (section 4.3.5); nil for none.
  static func fault(of offer: SessionDescription) -> String? {
    let lines = offer.media.filter(\.isOffered)
    guard !lines.isEmpty else { return "the description offers nothing" }
    for line in lines where line.kind == .audio || line.kind == .video {
      switch direction(of: line, in: offer) {
      case .recvonly, .sendrecv: break
      case .sendonly, .inactive:
        return "whoever looks receives: a line of the offer says \(direction(of: line, in: offer).rawValue)"
      }
    }
    return nil
  }

  /// Whether the viewer offers its voice.
  static func wantsToTalk(_ offer: SessionDescription) -> Bool {
    offer.media.contains { $0.kind == .audio && direction(of: $0, in: offer) == .sendrecv && $0.isOffered }
  }

  private static func direction(of line: MediaDescription, in offer: SessionDescription) -> Direction {
    for attribute in line.attributes + offer.attributes where attribute.value == nil {
      if let direction = Direction(rawValue: attribute.name) { return direction }
    }
    return .sendrecv
  }

  // MARK: Refusals

  /// A problem with a word for programs beside the sentence for people.
  static func problem(
    _ status: Int, _ title: String, reason: String, detail: String? = nil, next: String? = nil
  ) -> WebReply {
    var fields = [
      JSONField("type", "about:blank"), JSONField("title", .string(title)),
      JSONField("status", .integer(status)), JSONField("reason", .string(reason)),
    ]
    if let detail { fields.append(JSONField("detail", .string(detail))) }
    if let next { fields.append(JSONField("next", .string(next))) }
    return .problem(status, .object(fields))
  }

  static func wrongType(_ type: String, _ field: String) -> WebReply {
    var reply = WHEP.problem(
      415, "the body must be \(type)", reason: "type", next: "send Content-Type: \(type)")
    reply.fields.append(field, type)
    return reply
  }

  /// A token that is shown is of no use.
  static var badToken: WebReply {
    var reply = WHEP.problem(
      401, "this token is not, or no longer, good", reason: "token", next: "ask for a new one")
    reply.fields.append("WWW-Authenticate", "Bearer error=\"invalid_token\"")
    return reply
  }

  /// None is shown where one is wanted.
  static var noToken: WebReply {
    var reply = WHEP.problem(
      401, "this session wants its viewer's token", reason: "token", next: "send Authorization: Bearer")
    reply.fields.append("WWW-Authenticate", "Bearer")
    return reply
  }
}
