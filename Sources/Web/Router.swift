package import HTTP
package import WebSocket

/// Who may use a route. What proves it is decided by `Router.authorise`.
package enum WebAccess: Hashable, Sendable {
  /// Everybody.
  case open
  /// Processes of this machine, and whoever shows a token for it.
  case machine
  /// Devices of accounts, by their tokens; operators too.
  case device
  /// Whoever shows a token for looking through a camera; devices and operators too.
  case viewer
  /// Operators.
  case `operator`
}

/// A path with variable segments: `/api/v1/units/{number}/dnd`.
package struct PathPattern: Hashable, Sendable {
  private enum Segment: Hashable, Sendable {
    case literal(String)
    case variable(String)
  }
  private let segments: [Segment]
  package let text: String

  package init(_ text: String) {
    precondition(text.first == "/", "a path begins with a slash")
    self.text = text
    segments = text.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map { part in
      part.first == "{" && part.last == "}"
        ? .variable(String(part.dropFirst().dropLast())) : .literal(String(part))
    }
  }

  /// What stands for the variables, in order; nil when `path`, given as unescaped segments, is another. A variable
  /// is never empty.
  package func match(_ path: [String]) -> [(name: String, value: String)]? {
    guard path.count == segments.count else { return nil }
    var found: [(name: String, value: String)] = []
    for (segment, part) in zip(segments, path) {
      switch segment {
      case .literal(let text): guard text == part else { return nil }
      case .variable(let name):
        guard !part.isEmpty else { return nil }
        found.append((name, part))
      }
    }
    return found
  }

  /// The segments of an escaped path. Nil when an escape is broken, or a segment is `.` or `..`: no route of ours
  /// has them, and what resolves them may resolve them differently.
  package static func segments(of path: String) -> [String]? {
    guard path.first == "/" else { return nil }
    var segments: [String] = []
    for part in path.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
      guard let text = PercentEncoding.decode(part), text != ".", text != ".." else { return nil }
      segments.append(text)
    }
    return segments
  }
}

package typealias WebHandler = (WebRequest, Responder) -> Void
/// Takes over a WebSocket that was just opened.
package typealias ChannelHandler = (WebRequest, WebChannel) -> Void

package struct Route {
  /// What stands at a path.
  package enum Service {
    /// Requests and replies.
    case exchange(WebHandler)
    /// A WebSocket that speaks one of `protocols`; none of them means no subprotocol.
    case channel(protocols: [String], WebSocketLimits, ChannelHandler)
  }

  package var method: HTTPMethod
  package var pattern: PathPattern
  package var access: WebAccess
  /// The most bytes of body it takes.
  package var bodyLimit: Int
  package var service: Service
  /// The type of body that this address is there to take; said to whoever asks for its options.
  package var acceptPost: String?

  package init(
    _ method: HTTPMethod, _ pattern: String, access: WebAccess, bodyLimit: Int = 0, acceptPost: String? = nil,
    handler: @escaping WebHandler
  ) {
    self.acceptPost = acceptPost
    self.method = method
    self.pattern = PathPattern(pattern)
    self.access = access
    self.bodyLimit = bodyLimit
    service = .exchange(handler)
  }

  /// A WebSocket at `pattern`. The same path may have a GET beside it.
  package init(
    channel pattern: String, access: WebAccess, protocols: [String] = [],
    limits: WebSocketLimits = WebSocketLimits(), handler: @escaping ChannelHandler
  ) {
    method = .get
    self.pattern = PathPattern(pattern)
    self.access = access
    bodyLimit = 0
    service = .channel(protocols: protocols, limits, handler)
  }

  var isChannel: Bool { if case .channel = service { true } else { false } }
}

/// Finds the route of a request. The first that matches, in the order they were added.
package struct Router {
  package enum Outcome {
    case route(Route, parameters: [(name: String, value: String)], WebIdentity)
    case refusal(WebReply)
  }

  package private(set) var routes: [Route] = []
  /// Decides whether the sender of a request's head may use a route, and who that is; a refusal is answered before a
  /// byte of the body is taken.
  package var authorise: (HTTPRequest, WebPeer, WebAccess) -> WebVerdict
  /// Asked before anything else is looked at; what it answers is the answer. The place where requests are paced.
  package var pace: ((WebPeer) -> WebReply?)?
  /// Which pages may open a WebSocket here.
  package var origins = OriginPolicy()
  /// Told of an Origin that was turned away, so that whoever installs a page elsewhere can find out.
  package var whenForeign: ((_ origin: String, WebPeer) -> Void)?

  package init(authorise: @escaping (HTTPRequest, WebPeer, WebAccess) -> WebVerdict) {
    self.authorise = authorise
  }

  package mutating func add(_ route: Route) { routes.append(route) }

  package func find(_ request: HTTPRequest, from peer: WebPeer) -> Outcome {
    if let reply = pace?(peer) { return .refusal(reply) }
    guard let path = PathPattern.segments(of: request.path) else {
      return .refusal(.problem(400, "the address is malformed"))
    }
    if let reply = preflight(request, path, from: peer) { return .refusal(reply) }
    // Who asks HEAD gets what GET would say about itself (RFC 9110 section 9.3.2).
    let method = request.method == .head ? .get : request.method
    let wantsChannel = request.fields.list("Upgrade", has: "websocket")
    var allowed: [String] = []
    var other: (Route, [(name: String, value: String)])?
    for route in routes {
      guard let parameters = route.pattern.match(path) else { continue }
      guard route.method == method else {
        allowed.append(route.method.name)
        if route.method == .get { allowed.append("HEAD") }
        continue
      }
      // Beside each other on one path, who asks for an upgrade gets the channel.
      guard route.isChannel == wantsChannel else {
        if other == nil { other = (route, parameters) }
        continue
      }
      return admit(request, peer, route, parameters)
    }
    if let (route, parameters) = other { return admit(request, peer, route, parameters) }
    if allowed.isEmpty { return .refusal(.problem(404, "nothing is at this address")) }
    var reply = WebReply.problem(405, "this address does not know \(request.method.name)")
    reply.fields.append("Allow", allowed.joined(separator: ", "))
    return .refusal(reply)
  }

  private func admit(
    _ request: HTTPRequest, _ peer: WebPeer, _ route: Route, _ parameters: [(name: String, value: String)]
  ) -> Outcome {
    let identity: WebIdentity
    switch authorise(request, peer, route.access) {
    case .refused(let reply): return .refusal(reply)
    case .admitted(let known): identity = known
    }
    if route.isChannel, !origins.admits(request, from: peer) {
      whenForeign?(request.fields["Origin"] ?? "", peer)
      return .refusal(
        .problem(
          403, "pages of this origin may not connect here", next: "add the origin to http.allowedOrigins"))
    }
    return .route(route, parameters: parameters, identity)
  }
}
