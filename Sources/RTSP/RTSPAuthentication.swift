internal import Crypto
internal import Wire

// Answering a camera that asks who we are: Basic (RFC 7617) and Digest with MD5 or SHA-256 (RFC 7616; RFC 2069's
// form for cameras that name no quality of protection).
//
// Responsible for: choosing among the challenges of an answer, counting so that no count repeats under one nonce, and
// telling a nonce that has grown old from a wrong password. Somebody else's: reading a challenge and computing the
// proof (`Crypto`), where the password comes from, and which host may be shown it.

/// Name and password of a camera. Never printed.
package struct RTSPCredentials: Hashable, Sendable {
  package var user: String
  package var password: String

  package init(user: String, password: String) {
    self.user = user
    self.password = password
  }
}

extension RTSPCredentials: CustomStringConvertible, CustomDebugStringConvertible {
  package var description: String { "credentials" }
  package var debugDescription: String { description }
}

/// What is known of a server's demands during one attempt.
struct RTSPAuthentication: Sendable {
  private let credentials: RTSPCredentials?
  /// The password may be shown as it is; else only proved.
  private let mayShow: Bool
  private var random: Random
  private var challenge: AuthenticationChallenge?
  /// How often the nonce was used, and whether it was ever accepted.
  private var count: UInt32 = 0
  private var hasPassed = false
  /// SHA-256 was tried and refused: cameras exist that offer it and cannot do it.
  private var hasFailedSHA256 = false

  init(_ credentials: RTSPCredentials?, mayShow: Bool, random: Random) {
    self.credentials = credentials
    self.mayShow = mayShow
    self.random = random
  }

  enum Verdict: Equatable {
    /// Ask again, with the field that `authorization` now gives.
    case again
    /// The server wants a name and a password, and none are configured.
    case missing
    /// What we have was refused.
    case wrong
    /// None of the ways it offers is one of ours, or the only one would show the password to a stranger.
    case impossible
  }

  /// Takes the challenges of a 401. `proved` says whether the request that met it carried a proof.
  mutating func challenged(_ values: [String], proved: Bool) -> Verdict {
    guard credentials != nil else { return .missing }
    let offers = values.flatMap(AuthenticationChallenge.all)
    let digests = offers.compactMap(\.digest)
    let strong = hasFailedSHA256 ? nil : digests.first { $0.algorithm == .sha256 }
    let weak = digests.first { $0.algorithm == .md5 }
    var chosen: AuthenticationChallenge?
    if let digest = strong ?? weak {
      chosen = .digest(digest)
    } else if offers.contains(.basic), mayShow, digests.isEmpty {
      // Never after a Digest was offered: whoever stands between us could take the other offer out.
      if case .digest? = challenge { return .wrong }
      chosen = .basic
    }
    if proved, let challenge {
      switch (challenge, chosen) {
      case (.digest(let old), .digest(let new)):
        // An old nonce is told so, or has served before; a fresh one that is refused means the password.
        let hasAged = new.nonce != old.nonce && (new.isStale || hasPassed)
        if !hasAged {
          guard old.algorithm == .sha256, let weak else { return .wrong }
          hasFailedSHA256 = true
          chosen = .digest(weak)
        }
      case (.basic, .basic), (_, nil): return .wrong
      case (.basic, .digest), (.digest, .basic): break
      }
    }
    guard let chosen else { return .impossible }
    challenge = chosen
    count = 0
    hasPassed = false
    return .again
  }

  /// The server took the proof.
  mutating func passed() { hasPassed = true }

  /// The `Authorization` field of the next request; nil before any challenge.
  mutating func authorization(_ method: String, _ uri: String) -> String? {
    guard let credentials, let challenge else { return nil }
    switch challenge {
    case .basic:
      return "Basic " + Base64.encode(Array("\(credentials.user):\(credentials.password)".utf8))
    case .digest(let digest):
      count += 1
      // Old cameras stumble over an algorithm that they did not name; MD5 is meant without.
      let field = digest.answer(
        method, uri, user: credentials.user, password: credentials.password, count: count,
        clientNonce: random.hex(bytes: 8), namesMD5: false)
      // Nothing that the camera gave may end the line.
      return String(field.unicodeScalars.filter { $0.value >= 32 })
    }
  }
}
