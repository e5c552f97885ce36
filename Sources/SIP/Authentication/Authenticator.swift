internal import Crypto
package import Wire

/// Digest authentication of requests (RFC 3261, 22; RFC 7616; RFC 8760).
///
/// It decides who sent a request, and makes challenges. It assumes that retransmissions were caught by the
/// transaction layer before. Counting failures is `Bans`' affair, and what an account may do is others'.
///
/// An unknown username and a wrong secret get the same answer after the same hashing: whatever fails has cost
/// `rounds` computations, credentials or not. The `uri` that was hashed is not compared with the Request-URI:
/// stations write it in ways of their own, and a count can be used once only, so nothing can be carried over to
/// another request.
package struct Authenticator: Sendable {
  package enum Verdict: Sendable, Hashable {
    /// Proved by this credential.
    case authentic(username: String, credential: UInt64)
    /// Nothing usable was offered: challenge it. `isStale` when the client answered a nonce that is no longer
    /// good, foreign, or used before: it may try again without asking anyone for a secret.
    case unproven(isStale: Bool)
    /// A wrong response to a fresh nonce that we gave to this address: challenge it, and tell `Bans`.
    case wrong(username: String)
  }

  /// The computations that every failure costs; at least as many as an account has credentials.
  private static let rounds = 8

  private var nonces: Nonces
  private var text: [UInt8] = []

  /// `key`: at least 16 random bytes, new at each start. A nonce lives for `lifetime`.
  package init(key: [UInt8], lifetime: Interval = .minutes(5)) {
    nonces = Nonces(key: key, lifetime: lifetime)
    text.reserveCapacity(512)
  }

  /// Who sent `request` from `source`, as far as it proves it.
  package mutating func judge(
    _ request: Message, from source: IPAddress, accounts: any Accounts, now: Instant
  ) -> Verdict {
    let held = request.bytes
    let bytes = held.span
    let realm = accounts.realm
    var isStale = false
    for field in request.parts.index.fields where field.tag == HeaderName.authorization.rawValue {
      guard let answer = DigestAnswer(bytes, field.value), let algorithm = answer.algorithm,
        let username = answer.username, let nonce = answer.nonce, let uri = answer.uri,
        let response = answer.response, let claimed = answer.realm,
        Authenticator.equal(bytes, claimed, realm), response.count == (algorithm == .md5 ? 32 : 64)
      else { continue }
      // Without qop there is no count: the nonce is good once, as if it came with 1.
      var count: UInt32 = 1
      if answer.qop != nil {
        guard let digits = answer.count, answer.cnonce != nil, digits.count == 8,
          let value = Nonces.hex(bytes, digits), value > 0
        else { continue }
        count = UInt32(value)
      }
      guard case .fresh(let serial) = nonces.judge(bytes, nonce, from: source, now: now) else {
        isStale = true
        continue
      }
      let name = Text.string(bytes, username)
      let account = accounts.account(named: name)
      let isReuseAllowed = account?.toleratesNonceReuse ?? false
      guard isReuseAllowed || nonces.isUnused(count, of: serial) else {
        isStale = true
        continue
      }
      let second = requestDigest(request, bytes, answer, algorithm, uri)
      // The part between HA1 and HA2 is the same for every credential.
      text.removeAll(keepingCapacity: true)
      text.append(UInt8(ascii: ":"))
      text.append(nonce, of: bytes)
      if let qop = answer.qop, let digits = answer.count, let cnonce = answer.cnonce {
        for range in [digits, cnonce, qop] {
          text.append(UInt8(ascii: ":"))
          text.append(range, of: bytes)
        }
      }
      text.append(UInt8(ascii: ":"))
      text.append(hex: second)

      let isAlgorithmAllowed = account.map { Authenticator.allows($0.digest, algorithm) } ?? true
      var tried = 0
      for credential in account?.credentials ?? [] {
        guard isAlgorithmAllowed, let first = algorithm == .md5 ? credential.md5 : credential.sha256 else {
          continue
        }
        tried += 1
        if answers(bytes, response, first, algorithm) {
          nonces.use(count, of: serial)
          return .authentic(username: name, credential: credential.id)
        }
      }
      let nobody = algorithm == .md5 ? Authenticator.nobodyMD5 : Authenticator.nobodySHA256
      while tried < Authenticator.rounds {
        _ = answers(bytes, response, nobody, algorithm)
        tried += 1
      }
      return .wrong(username: name)
    }
    return .unproven(isStale: isStale)
  }

  /// The `WWW-Authenticate` values that challenge a client at `address`, in order.
  package mutating func challenge(
    realm: String, policy: DigestPolicy = .auto, over transport: TransportKind, to address: IPAddress,
    isStale: Bool = false, now: Instant
  ) -> [String] {
    var nonce: [UInt8] = []
    nonce.reserveCapacity(56)
    nonces.append(to: &nonce, for: address, now: now)
    let isWeb = transport == .ws || transport == .wss
    let algorithms: [DigestAlgorithm] =
      switch policy {
      case .md5: [.md5]
      case .sha256: [.sha256]
      case .auto: isWeb ? [.md5] : [.md5, .sha256]
      }
    return algorithms.map { algorithm in
      var value: [UInt8] = []
      value.reserveCapacity(192)
      value.append(ascii: "Digest realm=\"")
      value.append(text: realm)
      value.append(ascii: "\", nonce=\"")
      value.append(contentsOf: nonce)
      value.append(ascii: "\", algorithm=")
      value.append(ascii: algorithm.text)
      value.append(ascii: ", qop=\"auth\"")
      if isStale { value.append(ascii: ", stale=true") }
      return String(decoding: value, as: UTF8.self)
    }
  }

  /// The policy of the account that a request claims to come from, for its challenge; auto for a name that is
  /// none, so that the challenge tells nothing.
  package static func policy(for request: Message, accounts: any Accounts) -> DigestPolicy {
    guard let user = request.fromUser else { return .auto }
    return accounts.account(named: user)?.digest ?? .auto
  }

  // MARK: Arithmetic

  /// HA2: the method, the URI, and under auth-int the body.
  private mutating func requestDigest(
    _ request: Message, _ bytes: Span<UInt8>, _ answer: DigestAnswer, _ algorithm: DigestAlgorithm,
    _ uri: Range<Int>
  ) -> [UInt8] {
    text.removeAll(keepingCapacity: true)
    text.append(text: request.method.text)
    text.append(UInt8(ascii: ":"))
    text.append(uri, of: bytes)
    if let qop = answer.qop, Grammar.equals(bytes, qop, .authInt) {
      text.append(UInt8(ascii: ":"))
      text.append(hex: algorithm.digest(request.body))
    }
    return algorithm.digest(text)
  }

  /// Whether `H(first + text)` is the response. Takes the same time whichever letter is wrong.
  private func answers(
    _ bytes: Span<UInt8>, _ response: Range<Int>, _ first: String, _ algorithm: DigestAlgorithm
  ) -> Bool {
    var whole: [UInt8] = []
    whole.reserveCapacity(64 + text.count)
    whole.append(text: first)
    whole.append(contentsOf: text)
    let digest = algorithm.digest(whole)
    var difference: UInt8 = 0
    for index in digest.indices {
      let at = response.lowerBound + 2 * index
      guard let high = ASCII.hexValue(bytes[at]), let low = ASCII.hexValue(bytes[at + 1]) else {
        return false
      }
      difference |= digest[index] ^ (high << 4 | low)
    }
    return difference == 0
  }

  private static func allows(_ policy: DigestPolicy, _ algorithm: DigestAlgorithm) -> Bool {
    switch policy {
    case .auto: true
    case .md5: algorithm == .md5
    case .sha256: algorithm == .sha256
    }
  }

  /// HA1 of nobody: no secret hashes to zeros.
  private static var nobodyMD5: String { "00000000000000000000000000000000" }
  private static var nobodySHA256: String {
    "0000000000000000000000000000000000000000000000000000000000000000"
  }

  private static func equal(_ bytes: Span<UInt8>, _ range: Range<Int>, _ text: String) -> Bool {
    guard range.count == text.utf8.count else { return false }
    var position = range.lowerBound
    for byte in text.utf8 {
      if bytes[position] != byte { return false }
      position += 1
    }
    return true
  }
}
