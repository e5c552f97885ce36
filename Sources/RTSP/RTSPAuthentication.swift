internal import Crypto
internal import Wire

// Answering a camera that asks who we are: Basic (RFC 7617) and Digest with MD5 or SHA-256 (RFC 7616; RFC 2069's
// form for cameras that name no quality of protection).
//
// Responsible for: reading every challenge of an answer, choosing one, proving knowledge of the password with a count
// that never repeats under one nonce, and telling a nonce that has grown old from a wrong password. Somebody else's:
// where the password comes from, and which host may be shown it.

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

/// One way to prove who we are that a server offers.
enum RTSPChallenge: Hashable, Sendable {
  struct Digest: Hashable, Sendable {
    var realm: String
    var nonce: String
    var opaque: String?
    var isSHA256: Bool
    var hasQuality: Bool
    var isStale: Bool
  }
  case basic
  case digest(Digest)

  /// Every challenge of one `WWW-Authenticate` value that we can answer; several may stand in one, between commas.
  static func all(in value: some StringProtocol) -> [RTSPChallenge] {
    var reader = ParameterReader(Array(value.utf8))
    var result: [RTSPChallenge] = []
    while let scheme = reader.scheme(), result.count < 8 {
      let parameters = reader.parameters()
      if ASCII.equalIgnoringCase(scheme, "Basic") {
        result.append(.basic)
      } else if ASCII.equalIgnoringCase(scheme, "Digest"), let digest = Digest(parameters) {
        result.append(.digest(digest))
      }
    }
    return result
  }
}

extension RTSPChallenge.Digest {
  fileprivate init?(_ parameters: [(name: String, value: String)]) {
    func value(_ name: String) -> String? { parameters.first { $0.name == name }?.value }
    guard let realm = value("realm"), let nonce = value("nonce"), !nonce.isEmpty else { return nil }
    let algorithm = value("algorithm") ?? "MD5"
    if ASCII.equalIgnoringCase(algorithm, "MD5") {
      isSHA256 = false
    } else if ASCII.equalIgnoringCase(algorithm, "SHA-256") || ASCII.equalIgnoringCase(algorithm, "SHA256") {
      isSHA256 = true
    } else {
      return nil
    }
    hasQuality = false
    if let quality = value("qop"), !quality.isEmpty {
      guard
        quality.split(separator: ",").contains(where: {
          ASCII.equalIgnoringCase(String($0.filter { $0 != " " }), "auth")
        })
      else { return nil }
      hasQuality = true
    }
    self.realm = realm
    self.nonce = nonce
    opaque = value("opaque")
    isStale = value("stale").map { ASCII.equalIgnoringCase($0, "true") } ?? false
  }
}

/// What is known of a server's demands during one attempt.
struct RTSPAuthentication: Sendable {
  private let credentials: RTSPCredentials?
  /// The password may be shown as it is; else only proved.
  private let mayShow: Bool
  private var random: Random
  private var challenge: RTSPChallenge?
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
    let offers = values.flatMap { RTSPChallenge.all(in: $0) }
    let digests = offers.compactMap { if case .digest(let digest) = $0 { digest } else { nil } }
    let strong = hasFailedSHA256 ? nil : digests.first { $0.isSHA256 }
    var chosen: RTSPChallenge?
    if let digest = strong ?? digests.first(where: { !$0.isSHA256 }) {
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
          guard old.isSHA256, let weaker = digests.first(where: { !$0.isSHA256 }) else { return .wrong }
          hasFailedSHA256 = true
          chosen = .digest(weaker)
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
      return digest.answer(method, uri, credentials, count: count, clientNonce: random.hex(bytes: 8))
    }
  }
}

extension RTSPChallenge.Digest {
  /// The value of `Authorization` (RFC 7616 section 3.4).
  func answer(
    _ method: String, _ uri: String, _ credentials: RTSPCredentials, count: UInt32, clientNonce: String
  ) -> String {
    func hash(_ text: String) -> String {
      ASCII.hex(isSHA256 ? Crypto.Digest.sha256(Array(text.utf8)) : Crypto.Digest.md5(Array(text.utf8)))
    }
    let first = hash("\(credentials.user):\(realm):\(credentials.password)")
    let second = hash("\(method):\(uri)")
    let digits = String(count, radix: 16)
    let padded = String(repeating: "0", count: max(0, 8 - digits.utf8.count)) + digits
    let response =
      hasQuality
      ? hash("\(first):\(nonce):\(padded):\(clientNonce):auth:\(second)")
      : hash("\(first):\(nonce):\(second)")
    var field =
      "Digest username=\"\(quoted(credentials.user))\", realm=\"\(quoted(realm))\", "
      + "nonce=\"\(quoted(nonce))\", uri=\"\(quoted(uri))\", response=\"\(response)\""
    // Old cameras stumble over an algorithm that they did not name; MD5 is meant without.
    if isSHA256 { field += ", algorithm=SHA-256" }
    if hasQuality { field += ", qop=auth, nc=\(padded), cnonce=\"\(clientNonce)\"" }
    if let opaque { field += ", opaque=\"\(quoted(opaque))\"" }
    return field
  }

  private func quoted(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      if scalar == "\"" || scalar == "\\" { result.append("\\") }
      if scalar.value >= 32 { result.unicodeScalars.append(scalar) }
    }
    return result
  }
}

/// Reads `scheme name=value, name="value", scheme …`.
private struct ParameterReader {
  private let bytes: [UInt8]
  private var place = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  private mutating func skip(_ isSkipped: (UInt8) -> Bool) {
    while place < bytes.count, isSkipped(bytes[place]) { place += 1 }
  }

  private mutating func word() -> String {
    let start = place
    skip(ASCII.isToken)
    return String(decoding: bytes[start..<place], as: UTF8.self)
  }

  /// The next scheme's name; nil at the end, or where no word stands.
  mutating func scheme() -> String? {
    skip { ASCII.isLinearBlank($0) || $0 == UInt8(ascii: ",") }
    let name = word()
    return name.isEmpty ? nil : name
  }

  /// The pairs up to the next scheme; names in lower case. At most 32.
  mutating func parameters() -> [(name: String, value: String)] {
    var pairs: [(name: String, value: String)] = []
    while pairs.count < 32 {
      let start = place
      skip { ASCII.isLinearBlank($0) || $0 == UInt8(ascii: ",") }
      let name = word()
      skip(ASCII.isLinearBlank)
      guard !name.isEmpty, place < bytes.count, bytes[place] == UInt8(ascii: "=") else {
        // The beginning of another scheme.
        place = start
        break
      }
      place += 1
      skip(ASCII.isLinearBlank)
      var value: [UInt8] = []
      if place < bytes.count, bytes[place] == UInt8(ascii: "\"") {
        place += 1
        while place < bytes.count, bytes[place] != UInt8(ascii: "\"") {
          if bytes[place] == UInt8(ascii: "\\"), place + 1 < bytes.count { place += 1 }
          value.append(bytes[place])
          place += 1
        }
        place = min(bytes.count, place + 1)
      } else {
        let begin = place
        skip { $0 != UInt8(ascii: ",") && !ASCII.isLinearBlank($0) }
        value = Array(bytes[begin..<place])
      }
      pairs.append(
        (
          String(decoding: name.utf8.map(ASCII.lowered), as: UTF8.self),
          String(decoding: value, as: UTF8.self)
        ))
    }
    return pairs
  }
}
