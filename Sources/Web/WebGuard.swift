internal import Crypto
package import HTTP
package import Wire

/// Decides who sent a request, from what its head shows and where it came from.
///
/// Over the control socket the kernel vouches for a local user. Over the network there are devices: each has a token
/// of 256 random bits, shown as `Authorization: Bearer`, or in the cookie that a page got for it. A cookie is sent by
/// a browser whoever asks for it, so with a cookie everything that changes something, and every upgrade, must come
/// from a page of our own origin. Of tokens only digests are kept, so a look-up is by digest and tells nothing by
/// the time it takes.
///
/// What a device may do with which unit is somebody else's (Management).
package final class WebGuard {
  private unowned let tokens: any DeviceTokens
  private let clock: () -> Instant
  private var failures = FailureBudget()
  /// Knows the tokens for cameras; nil while none are given.
  package weak var views: (any ViewGrants)?
  /// The origin under which operators publish this gateway, if it is not the one that requests name.
  package var publicOrigin: String?

  package init(tokens: any DeviceTokens, clock: @escaping () -> Instant) {
    self.tokens = tokens
    self.clock = clock
  }

  package func judge(_ head: HTTPRequest, _ peer: WebPeer, _ access: WebAccess) -> WebVerdict {
    if access == .open { return .admitted(.anybody) }
    switch peer {
    case .local(let peer):
      if peer.isPermitted { return .admitted(.local(peer)) }
      return .refused(
        .problem(
          403, "\(peer.user) may not use the control socket",
          next: "run as root, or join the group vestibule and log in again"))
    case .remote(let endpoint, let isSecure):
      if access == .machine, endpoint.address.isLoopback { return .admitted(.anybody) }
      return judge(head, from: endpoint.address, isSecure, peer, access)
    }
  }

  private func judge(
    _ head: HTTPRequest, from address: IPAddress, _ isSecure: Bool, _ peer: WebPeer, _ access: WebAccess
  ) -> WebVerdict {
    guard let shown = WebGuard.token(head, isSecure: isSecure) else {
      return .refused(WebGuard.unauthorised("a token is needed", isWrong: false))
    }
    if access == .viewer, !shown.isCookie, let grant = views?.grant(of: shown.text) {
      return .admitted(.viewer(grant))
    }
    guard let device = tokens.device(tokenDigest: Digest.sha256(Array(shown.text.utf8)), from: peer) else {
      let now = clock()
      if let wait = failures.retryAfter(address, now: now) { return .refused(WebGuard.tooMany(wait)) }
      failures.failed(address, now: now)
      return .refused(WebGuard.unauthorised("this token is not, or no longer, good", isWrong: true))
    }
    if shown.isCookie, !isHarmless(head), !isOwnOrigin(head, isSecure: isSecure) {
      return .refused(
        .problem(403, "this must be asked for by a page of this gateway", next: "send our own Origin"))
    }
    switch access {
    case .open, .device, .viewer: return .admitted(.device(device))
    case .machine, .operator:
      return .refused(.problem(403, "a device may not do this", next: "use the control socket"))
    }
  }

  // MARK: Tokens and cookies

  /// The name of the cookie. Over TLS the prefix makes browsers hold it to this host, to TLS and to the whole of it.
  package static func cookieName(isSecure: Bool) -> String {
    isSecure ? "__Host-vestibule" : "vestibule"
  }

  /// The longest a browser keeps a cookie (RFC 6265bis section 5.5): 400 days.
  package static let cookieAge = 400 * 86_400

  /// The value of Set-Cookie that gives a page its token; an empty one takes it away.
  package static func cookie(_ token: String, isSecure: Bool) -> String {
    let age = token.isEmpty ? 0 : cookieAge
    return "\(cookieName(isSecure: isSecure))=\(token); Path=/; Max-Age=\(age); HttpOnly; SameSite=Strict"
      + (isSecure ? "; Secure" : "")
  }

  /// The token a head shows: the bearer's before the cookie's.
  static func token(_ head: HTTPRequest, isSecure: Bool) -> (text: String, isCookie: Bool)? {
    if let text = bearer(head) { return (text, false) }
    let name = cookieName(isSecure: isSecure)
    for line in head.fields.values("Cookie") {
      for pair in line.split(separator: ";") {
        let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].drop(while: { $0 == " " }) == name[...] else { continue }
        if !parts[1].isEmpty { return (String(parts[1]), true) }
      }
    }
    return nil
  }

  /// What stands behind `Authorization: Bearer`.
  package static func bearer(_ head: HTTPRequest) -> String? {
    guard let value = head.fields["Authorization"] else { return nil }
    let parts = value.split(separator: " ", omittingEmptySubsequences: true)
    guard parts.count == 2, ASCII.equalIgnoringCase(String(parts[0]), "Bearer") else { return nil }
    return String(parts[1])
  }

  /// Changes nothing and stays a plain exchange.
  private func isHarmless(_ head: HTTPRequest) -> Bool {
    (head.method == .get || head.method == .head) && !head.fields.contains("Upgrade")
  }

  /// Whether the page that asks is one that this gateway served: its origin is the one the request was sent to, or
  /// the one that operators publish.
  package func isOwnOrigin(_ head: HTTPRequest, isSecure: Bool) -> Bool {
    guard let origin = head.fields["Origin"], let host = head.fields["Host"], !host.isEmpty else {
      return false
    }
    let own = (isSecure ? "https://" : "http://") + host
    if ASCII.equalIgnoringCase(origin, own) { return true }
    return publicOrigin.map { ASCII.equalIgnoringCase(origin, $0) } ?? false
  }

  // MARK: Refusals

  private static func unauthorised(_ title: String, isWrong: Bool) -> WebReply {
    var reply = WebReply.problem(401, title, next: "enrol this device with a new link")
    reply.fields.append("WWW-Authenticate", isWrong ? "Bearer error=\"invalid_token\"" : "Bearer")
    return reply
  }

  /// 429 with the time to wait.
  package static func tooMany(_ wait: Interval) -> WebReply {
    let seconds = max(1, Int((wait.milliseconds + 999) / 1000))
    var reply = WebReply.problem(429, "too many wrong tokens from this address", next: "wait \(seconds) s")
    reply.fields.append("Retry-After", "\(seconds)")
    return reply
  }
}
