internal import COpenSSL
package import Wire

/// Why a certificate, a key or a TLS connection is no good.
package enum TLSFailure: Error, Equatable, Sendable {
  /// The file holds no PEM block that reads as a certificate.
  case noCertificate
  /// The file holds no PEM block that reads as an unencrypted private key.
  case noKey
  /// The key is not the one the certificate was issued for.
  case keyMismatch
  /// The certificate ended before now.
  case expired(WallTime)
  /// The certificate begins after now.
  case notYetValid(WallTime)
  /// OpenSSL would not use what it was given: its own words.
  case unusable(String)
  /// The peer's certificate does not lead to a trusted authority or is not for this name: OpenSSL's words.
  case untrusted(String)
  /// The peer's certificate has another SHA-256 fingerprint than the pinned one.
  case fingerprintMismatch(seen: [UInt8])
  /// The handshake or a record was refused, by us or the peer: OpenSSL's words.
  case protocolViolation(String)
}

extension TLSFailure: CustomStringConvertible {
  /// A sentence for the log; holds no secret.
  package var description: String {
    switch self {
    case .noCertificate: "no certificate in PEM form"
    case .noKey: "no unencrypted private key in PEM form"
    case .keyMismatch: "the private key does not belong to the certificate"
    case .expired(let end): "the certificate expired at \(end)"
    case .notYetValid(let start): "the certificate is not valid before \(start)"
    case .unusable(let words): "unusable certificate or key: \(words)"
    case .untrusted(let words): "the peer's certificate is not trusted: \(words)"
    case .fingerprintMismatch(let seen): "the peer's certificate is not the pinned one but \(ASCII.hex(seen))"
    case .protocolViolation(let words): "TLS failed: \(words)"
    }
  }
}

/// OpenSSL's first queued reason in words; empties this thread's queue.
func takeOpenSSLError() -> String {
  let code = ERR_get_error()
  ERR_clear_error()
  guard code != 0 else { return "no reason given" }
  guard let words = unsafe ERR_reason_error_string(code) else { return "error \(code)" }
  return unsafe String(cString: words)
}
