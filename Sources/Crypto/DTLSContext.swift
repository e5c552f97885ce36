internal import COpenSSL
package import Wire

/// Which side of a DTLS association we are: the client speaks first.
package enum DTLSRole: Sendable, Hashable {
  case client, server

  package var other: DTLSRole { self == .client ? .server : .client }
}

/// What the DTLS sessions of one process share: the certificate that we show, its key, and the SRTP profiles in our
/// order. Made once at start and used for every session. Immutable.
///
/// DTLS 1.2 with ephemeral keys and AEAD suites, nothing below: OpenSSL 3.0 knows no 1.3, and browsers step down.
/// No cookie exchange: whoever reaches a session has proved its address to ICE. No resumption, no renegotiation.
@safe  // Owns one reference to the SSL_CTX, which OpenSSL lets threads share once it is set up.
package final class DTLSContext: @unchecked Sendable {
  /// The longest certificate message of a peer; browsers send about 400 bytes.
  package static let certificateLimit = 8192

  let pointer: OpaquePointer
  /// SHA-256 of our certificate, for our session descriptions.
  package let fingerprint: Fingerprint
  package let profiles: [SRTPProfile]

  /// Shows the certificate of `identity` (ECDSA P-256, as `SelfSigned` makes it) and prefers `profiles` in this order.
  package init(
    _ identity: SelfSigned, profiles: [SRTPProfile] = SRTPProfile.gcmFirst
  ) throws(TLSFailure) {
    guard let first = unsafe MemoryBIO(identity.certificatePEM).nextCertificate() else {
      throw .noCertificate
    }
    let certificate = unsafe Certificate(owning: first)
    guard let keyPointer = unsafe MemoryBIO(identity.keyPEM).privateKey() else { throw .noKey }
    let key = unsafe PrivateKey(owning: keyPointer)
    guard unsafe X509_check_private_key(certificate.pointer, key.pointer) == 1 else {
      ERR_clear_error()
      throw .keyMismatch
    }
    guard !profiles.isEmpty else { throw .unusable("no SRTP profile") }
    guard let made = unsafe SSL_CTX_new(DTLS_method()) else {
      preconditionFailure("no memory for a DTLS context")
    }
    unsafe pointer = made
    fingerprint = Fingerprint(.sha256, certificate.fingerprint)
    self.profiles = profiles
    // From here on `deinit` frees the context, also when we throw.
    unsafe SSL_CTX_ctrl(made, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(DTLS1_2_VERSION), nil)
    unsafe SSL_CTX_ctrl(made, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(DTLS1_2_VERSION), nil)
    unsafe SSL_CTX_ctrl(made, SSL_CTRL_MODE, Int(SSL_MODE_RELEASE_BUFFERS), nil)
    unsafe SSL_CTX_ctrl(made, SSL_CTRL_SET_SESS_CACHE_MODE, 0, nil)
    unsafe SSL_CTX_ctrl(made, SSL_CTRL_SET_MAX_CERT_LIST, DTLSContext.certificateLimit, nil)
    unsafe SSL_CTX_set_options(made, DTLSOptions.all)
    // The suites of both key kinds, for a peer whose certificate is RSA. This call says 0 when it is content.
    guard
      unsafe SSL_CTX_set_cipher_list(made, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK") == 1,
      unsafe SSL_CTX_set_tlsext_use_srtp(made, SRTPProfile.names(profiles)) == 0,
      unsafe SSL_CTX_use_certificate(made, certificate.pointer) == 1,
      unsafe SSL_CTX_use_PrivateKey(made, key.pointer) == 1
    else { throw .unusable(takeOpenSSLError()) }
    // Both sides show a certificate; which one is believed the session's fingerprints say, not any authority.
    unsafe SSL_CTX_set_verify(made, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
    unsafe SSL_CTX_set_cert_verify_callback(
      made, { store, _ in unsafe DTLSSession.judgeCertificate(store) }, nil)
  }

  deinit { unsafe SSL_CTX_free(pointer) }

  /// A context with a fresh certificate that names nobody, valid from a day before `start` for ten years.
  package static func make(
    serial: UInt64, at start: WallTime, profiles: [SRTPProfile] = SRTPProfile.gcmFirst
  ) throws(TLSFailure) -> DTLSContext {
    let day: Int64 = 86_400
    let identity = try SelfSigned.make(
      names: ["vestibule"], addresses: [], serial: serial,
      from: WallTime(seconds: max(0, start.seconds - day)),
      to: WallTime(seconds: max(0, start.seconds) + 3650 * day))
    return try DTLSContext(identity, profiles: profiles)
  }
}

/// SSL_OP_* are macros with casts, which do not import.
private enum DTLSOptions {
  static let noQueryMTU: UInt64 = 1 << 12
  static let noTicket: UInt64 = 1 << 14
  static let noCompression: UInt64 = 1 << 17
  static let noRenegotiation: UInt64 = 1 << 30
  static let all = noQueryMTU | noTicket | noCompression | noRenegotiation
}
