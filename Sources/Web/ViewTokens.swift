package import Wire

/// Names a right to look through one camera, given to one account.
package struct ViewGrant: Hashable, Sendable {
  package var camera: String
  /// Whose it is; empty for operators.
  package var holder: String
  /// The call that it ends with; nil for one that only expires.
  package var call: String?
  /// The device that asked for it, and with which it ends; nil for one that all devices of a ring share.
  package var credential: UInt64?
  package var expires: Instant

  package init(camera: String, holder: String, call: String?, credential: UInt64? = nil, expires: Instant) {
    self.camera = camera
    self.holder = holder
    self.call = call
    self.credential = credential
    self.expires = expires
  }
}

/// The short-lived tokens by which cameras are seen: 128 random bits for one camera and one account, ended with the
/// ring or the call that they were given for, or by time. In memory only; after a restart nothing rings.
package struct ViewTokens: Sendable {
  /// Beyond so many, those that were given first end: of those that were asked for, while there are any.
  package static let mostKept = 4096
  /// Those that one account may have asked for; beyond that its own oldest ends. Operators have no account, and measure.
  package static let mostAsked = 16

  private var grants: [String: ViewGrant] = [:]
  private var order: [String] = []

  package init() {}

  package var count: Int { grants.count }

  /// The account's token for that camera in that call: the one it has, or a new one.
  package mutating func grant(
    camera: String, to holder: String, for call: String?, by credential: UInt64? = nil,
    until expires: Instant, now: Instant, _ random: inout Random
  ) -> String {
    if let call,
      let known = order.first(where: { token in
        guard let grant = grants[token] else { return false }
        return grant.call == call && grant.holder == holder && grant.camera == camera && grant.expires > now
      })
    {
      return known
    }
    if call == nil, !holder.isEmpty { makeRoom(for: holder) }
    if order.count >= ViewTokens.mostKept { remove { $0.expires <= now } }
    if order.count >= ViewTokens.mostKept { forget(order.first(where: isAsked) ?? order[0]) }
    let token = random.hex(bytes: 16)
    grants[token] = ViewGrant(
      camera: camera, holder: holder, call: call, credential: credential, expires: expires)
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
  /// Ends what one device of an account has: what it asked for, and what it shares with the account's others, who get
  /// new ones.
  package mutating func end(holder: String, credential: UInt64) {
    remove { $0.holder == holder && ($0.credential == nil || $0.credential == credential) }
  }

  private func isAsked(_ token: String) -> Bool { grants[token]?.call == nil }

  private mutating func makeRoom(for holder: String) {
    let own = order.filter { grants[$0]?.holder == holder && isAsked($0) }
    if own.count >= ViewTokens.mostAsked { forget(own[0]) }
  }

  private mutating func forget(_ token: String) {
    grants[token] = nil
    order.removeAll { $0 == token }
  }

  private mutating func remove(where isGone: (ViewGrant) -> Bool) {
    guard !order.isEmpty else { return }
    var kept: [String] = []
    for token in order {
      if let grant = grants[token], !isGone(grant) { kept.append(token) } else { grants[token] = nil }
    }
    order = kept
  }
}
