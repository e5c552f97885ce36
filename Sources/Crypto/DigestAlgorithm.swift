internal import Wire

/// The hashes of digest authentication that we speak (RFC 7616, RFC 8760).
package enum DigestAlgorithm: UInt8, Sendable, Hashable, CaseIterable {
  case md5, sha256

  /// As challenges and answers write it.
  package var text: String {
    switch self {
    case .md5: "MD5"
    case .sha256: "SHA-256"
    }
  }

  package func digest(_ bytes: [UInt8]) -> [UInt8] {
    switch self {
    case .md5: Digest.md5(bytes)
    case .sha256: Digest.sha256(bytes)
    }
  }

  package func hex(_ bytes: [UInt8]) -> String { ASCII.hex(digest(bytes)) }
}
