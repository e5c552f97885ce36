package import Wire

/// A user fragment and its password (RFC 8839 section 5.4).
package struct ICECredentials: Hashable, Sendable {
  /// 4 to 256 characters.
  package let fragment: [UInt8]
  /// 22 to 256 characters.
  package let password: [UInt8]

  /// A peer's; nil when they are not what the grammar allows.
  package init?(fragment: some StringProtocol, password: some StringProtocol) {
    self.fragment = Array(fragment.utf8)
    self.password = Array(password.utf8)
    guard (4...256).contains(self.fragment.count), self.fragment.allSatisfy(Candidate.isIceCharacter),
      (22...256).contains(self.password.count), self.password.allSatisfy(Candidate.isIceCharacter)
    else { return nil }
  }

  /// Fresh ones of ours: a fragment of exactly eight characters, which the demultiplexer counts on, and 144 bits of
  /// password.
  package init(_ random: inout Random) {
    fragment = ICECredentials.text(8, &random)
    password = ICECredentials.text(24, &random)
  }

  private static func text(_ count: Int, _ random: inout Random) -> [UInt8] {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    return random.bytes(count).map { alphabet[Int($0 & 63)] }
  }

  package var fragmentText: String { String(decoding: fragment, as: UTF8.self) }
  package var passwordText: String { String(decoding: password, as: UTF8.self) }
}

extension ICECredentials: CustomStringConvertible {
  /// The fragment alone: the password is a secret.
  package var description: String { fragmentText }
}

/// What one side says of itself in a session description, or in a fragment of one.
package struct ICEDescription: Hashable, Sendable {
  package var credentials: ICECredentials
  package var candidates: [Candidate]
  /// `a=ice-lite`
  package var isLite: Bool
  /// No candidate will follow: `a=end-of-candidates`.
  package var isComplete: Bool

  package init(
    credentials: ICECredentials, candidates: [Candidate] = [], isLite: Bool = false, isComplete: Bool = false
  ) {
    self.credentials = credentials
    self.candidates = candidates
    self.isLite = isLite
    self.isComplete = isComplete
  }

  /// `a=ice-options` of ours (RFC 8445 section 10, RFC 8838 section 4).
  package static let options = "trickle ice2"
}
