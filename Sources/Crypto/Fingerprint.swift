internal import COpenSSL
internal import Wire

/// The hash of a certificate as a session description carries it (RFC 8122 section 5).
package struct Fingerprint: Hashable, Sendable {
  /// The hashes that are strong enough to be believed.
  package enum Algorithm: String, Hashable, Sendable, CaseIterable {
    case sha256 = "sha-256"
    case sha384 = "sha-384"
    case sha512 = "sha-512"

    /// Bytes of the hash.
    package var length: Int {
      switch self {
      case .sha256: 32
      case .sha384: 48
      case .sha512: 64
      }
    }
  }

  package let algorithm: Algorithm
  package let bytes: [UInt8]

  /// `bytes` must have the algorithm's length.
  package init(_ algorithm: Algorithm, _ bytes: [UInt8]) {
    precondition(bytes.count == algorithm.length, "a fingerprint has the length of its hash")
    self.algorithm = algorithm
    self.bytes = bytes
  }

  /// Reads `sha-256 AB:CD:…`; nil for anything else, weaker hashes (`sha-1`, `md5`) among it.
  package init?(_ text: some StringProtocol) {
    let words = text.split { $0 == " " || $0 == "\t" }
    guard words.count == 2, let algorithm = Algorithm(rawValue: words[0].lowercased()) else { return nil }
    var bytes: [UInt8] = []
    for pair in words[1].split(separator: ":", omittingEmptySubsequences: false) {
      guard let byte = ASCII.bytes(hex: pair.utf8), byte.count == 1 else { return nil }
      bytes += byte
    }
    guard bytes.count == algorithm.length else { return nil }
    self.init(algorithm, bytes)
  }
}

extension Fingerprint: CustomStringConvertible {
  /// As in `a=fingerprint:`, upper-case.
  package var description: String {
    algorithm.rawValue + " " + bytes.map { ASCII.hex([$0]).uppercased() }.joined(separator: ":")
  }
}

extension Fingerprint {
  /// Whether one of `fingerprints` is that of the certificate. Only those of the strongest hash among them count
  /// (RFC 8122 section 5). An empty list believes nobody.
  static func verify(_ fingerprints: [Fingerprint], certificate: OpaquePointer) -> Bool {
    guard let strongest = fingerprints.map(\.algorithm.length).max() else { return false }
    var isEqual = false
    for one in fingerprints where one.algorithm.length == strongest {
      let method =
        switch one.algorithm {
        case .sha256: unsafe EVP_sha256()
        case .sha384: unsafe EVP_sha384()
        case .sha512: unsafe EVP_sha512()
        }
      var digest = [UInt8](repeating: 0, count: one.algorithm.length)
      var length: UInt32 = 0
      guard unsafe X509_digest(certificate, method, &digest, &length) == 1 else { continue }
      if Digest.areEqual(digest, one.bytes) { isEqual = true }
    }
    return isEqual
  }
}
