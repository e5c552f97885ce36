package import Wire

/// Names a right to look through one camera, given to one account.
package struct ViewGrant: Hashable, Sendable {
  package var camera: String
  /// Whose it is; empty for operators.
  package var holder: String
  /// The call that it ends with; nil for one that only expires.
  package var call: String?
  package var expires: Instant

  package init(camera: String, holder: String, call: String?, expires: Instant) {
    self.camera = camera
    self.holder = holder
    self.call = call
    self.expires = expires
  }
}

/// The short-lived tokens by which cameras are seen: 128 random bits for one camera and one account, ended with the
/// ring or the call that they were given for, or by time. In memory only; after a restart nothing rings.
package struct ViewTokens: Sendable {
  /// Beyond so many, those that were given first end.
  package static let mostKept = 4096

  private var grants: [String: ViewGrant] = [:]
  private var order: [String] = []

  package init() {}

  package var count: Int { grants.count }

  /// The account's token for that camera in that call: the one it has, or a new one.
  package mutating func grant(
    camera: String, to holder: String, for call: String?, until expires: Instant, now: Instant,
    _ random: inout Random
  ) -> String {
    if let call,
      let known = order.first(where: { token in
        guard let grant = grants[token] else { return false }
        return grant.call == call && grant.holder == holder && grant.camera == camera && grant.expires > now
      })
    {
      return known
    }
    if order.count >= ViewTokens.mostKept { remove { $0.expires <= now } }
    if order.count >= ViewTokens.mostKept { grants[order.removeFirst()] = nil }
    let token = random.hex(bytes: 16)
    grants[token] = ViewGrant(camera: camera, holder: holder, call: call, expires: expires)
    order.append(token)
    return token
  }

  /// What a token is good for at this moment; nil for none.
  package func check(_ token: String, now: Instant) -> ViewGrant? {
    guard let grant = grants[token], grant.expires > now else { return nil }
    return grant
  }

  /// Ends the tokens of a call, all of them or those of one account.
  package mutating func end(call: String, holder: String? = nil) {
    remove { $0.call == call && (holder == nil || $0.holder == holder) }
  }
  /// Ends everything an account has.
  package mutating func end(holder: String) { remove { $0.holder == holder } }

  private mutating func remove(where isGone: (ViewGrant) -> Bool) {
    guard !order.isEmpty else { return }
    var kept: [String] = []
    for token in order {
      if let grant = grants[token], !isGone(grant) { kept.append(token) } else { grants[token] = nil }
    }
    order = kept
  }
}
