package import HTTP
internal import Wire

/// Which pages a browser may let speak to us: our own, and those an operator names (RFC 6454; SECURITY's exact
/// allow-list).
///
/// Our own is a page whose Origin is where the request itself goes, by an address or by a name that is ours: a
/// stranger's name that was made to point at our address is not. So is one of the origin that links to us carry, though
/// the request came another way: a proxy in front of us speaks TLS in our place. Who sends no Origin is no browser's page.
package struct OriginPolicy: Hashable, Sendable {
  /// Names of this gateway, in lower case.
  package var names: [String]
  /// Where links to us lead, in lower case.
  package var published: String?
  /// Origins such as `https://intercom.example.net`, in lower case, beside our own.
  package var allowed: [String]

  package init(names: [String] = [], published: String? = nil, allowed: [String] = []) {
    self.names = names.map { $0.lowercased() }
    self.published = published?.lowercased()
    // An origin has no path; who writes one with a slash at its end means it without.
    self.allowed = allowed.map { origin in
      let text = origin.lowercased()
      return text.last == "/" ? String(text.dropLast()) : text
    }
  }

  package func admits(_ request: HTTPRequest, from peer: WebPeer) -> Bool {
    let origins = request.fields.values("Origin")
    guard let origin = origins.first?.lowercased() else { return true }
    guard origins.count == 1 else { return false }
    return origin == published || allowed.contains(origin) || isOwn(origin, request, peer)
  }

  /// Whether a page that speaks to us so is ours.
  private func isOwn(_ origin: String, _ request: HTTPRequest, _ peer: WebPeer) -> Bool {
    guard case .remote(_, let isSecure) = peer, let host = request.fields["Host"]?.lowercased() else {
      return false
    }
    guard origin == (isSecure ? "https://" : "http://") + host else { return false }
    let name = OriginPolicy.withoutPort(host)
    return IPAddress(name) != nil || name == "localhost" || names.contains(name)
  }

  /// `host` of `host:port`; an IPv6 address with its brackets.
  private static func withoutPort(_ text: String) -> String {
    if text.first == "[" {
      return text.firstIndex(of: "]").map { String(text[...$0]) } ?? text
    }
    return String(text.prefix { $0 != ":" })
  }
}
