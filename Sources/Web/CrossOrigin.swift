package import HTTP

// Pages of other origins that an operator lets in (http.allowedOrigins): what a browser must be told so that it lets
// their scripts ask and read (the CORS protocol of the Fetch standard). Cookies are never for them: they show a bearer.

extension Router {
  /// The fields that such a script asks with, and those of our answers that it may read.
  private static let askedFields =
    "Accept, Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID"
  private static let readFields = "Accept-Patch, ETag, Link, Location, Retry-After, WWW-Authenticate"
  /// How long a browser may keep the answer to its question: two hours, the most that Chromium does.
  private static let keptFor = "7200"

  /// What is said beside an answer to `request`.
  func crossOriginFields(_ request: HTTPRequest) -> [(String, String)] {
    guard !origins.allowed.isEmpty else { return [] }
    let vary = ("Vary", "Origin")
    guard let origin = origins.foreign(request) else { return [vary] }
    return [
      vary, ("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", Router.readFields),
    ]
  }

  /// The answer to a browser's question whether a script may ask; nil when `request` is none. Who asks is nobody yet.
  func preflight(_ request: HTTPRequest, _ path: [String], from peer: WebPeer) -> WebReply? {
    guard request.method == .options, let origin = request.fields["Origin"],
      request.fields.contains("Access-Control-Request-Method")
    else { return nil }
    guard origins.foreign(request) != nil else {
      whenForeign?(origin, peer)
      return .problem(
        403, "pages of this origin may not ask here", next: "add the origin to http.allowedOrigins")
    }
    var methods: [String] = []
    var acceptPost: String?
    for route in routes where route.pattern.match(path) != nil {
      acceptPost = acceptPost ?? route.acceptPost
      if !methods.contains(route.method.name) { methods.append(route.method.name) }
      if route.method == .get, !methods.contains("HEAD") { methods.append("HEAD") }
    }
    guard !methods.isEmpty else { return .problem(404, "nothing is at this address") }
    var reply = WebReply(
      acceptPost == nil ? 204 : 200,
      fields: [
        "Access-Control-Allow-Methods": methods.joined(separator: ", "),
        "Access-Control-Allow-Headers": Router.askedFields, "Access-Control-Max-Age": Router.keptFor,
      ])
    if let acceptPost { reply.fields.append("Accept-Post", acceptPost) }
    return reply
  }
}

extension OriginPolicy {
  /// The origin of a page that is not ours and is let in, as it was written; nil for all others.
  package func foreign(_ request: HTTPRequest) -> String? {
    let origins = request.fields.values("Origin")
    guard origins.count == 1, allowed.contains(origins[0].lowercased()) else { return nil }
    return origins[0]
  }
}
