internal import COpenSSL
package import Wire

/// Whom a TLS client believes.
package enum TLSTrust: Sendable, Equatable {
  /// A chain to one of these authorities (PEM), for the name that was dialled.
  case authorities([UInt8])
  /// A chain to one of the system's authorities, for the name that was dialled.
  case system
  /// The certificate with this SHA-256 fingerprint, whatever it says.
  case pinned([UInt8])
  /// Anyone: the session reports the fingerprint, so that the caller can pin it from then on.
  case firstContact
}

/// What sessions of one kind share: certificate and key, or trust. Immutable, so a session begun under an old
/// context lives on under it, and a reload is nothing but a new context for those that follow.
///
/// TLS 1.3, and 1.2 with AEAD suites and ephemeral keys for older panels (SECURITY: nothing below). No
/// renegotiation, no compression, no resumption: a building's few connections live long, and a ticket key would
/// be one more secret to keep.
@safe  // Owns one reference to the SSL_CTX, which OpenSSL lets threads share once it is set up.
package final class TLSContext: @unchecked Sendable {
  let pointer: OpaquePointer
  let trust: TLSTrust?
  /// The own certificate of a server; nil for a client.
  package let certificate: CertificateFacts?

  /// Serves with the first certificate of `certificatePEM`, its chain behind it, and the key.
  ///
  /// With `time` a certificate that has ended is refused; one not yet valid never is, for a gateway without a
  /// battery clock may start in 1970.
  package init(
    serverCertificatePEM: [UInt8], keyPEM: [UInt8], at time: WallTime? = nil
  ) throws(TLSFailure) {
    let context = unsafe OwnedContext(TLS_server_method())
    let chain = MemoryBIO(serverCertificatePEM)
    guard let first = unsafe chain.nextCertificate() else { throw .noCertificate }
    let leaf = unsafe Certificate(owning: first)
    let facts = leaf.facts
    guard let keyPointer = unsafe MemoryBIO(keyPEM).privateKey() else { throw .noKey }
    let key = unsafe PrivateKey(owning: keyPointer)
    if let time, facts.notAfter < time { throw .expired(facts.notAfter) }
    guard unsafe X509_check_private_key(leaf.pointer, key.pointer) == 1 else {
      ERR_clear_error()
      throw .keyMismatch
    }
    guard unsafe SSL_CTX_use_certificate(context.pointer, leaf.pointer) == 1,
      unsafe SSL_CTX_use_PrivateKey(context.pointer, key.pointer) == 1
    else { throw .unusable(takeOpenSSLError()) }
    var length = 0
    while let next = unsafe chain.nextCertificate() {
      let intermediate = unsafe Certificate(owning: next)
      length += 1
      guard length <= 8,
        unsafe SSL_CTX_ctrl(
          context.pointer, SSL_CTRL_CHAIN_CERT, 1, UnsafeMutableRawPointer(intermediate.pointer)) == 1
      else { throw .unusable(takeOpenSSLError()) }
    }
    unsafe pointer = context.take()
    trust = nil
    certificate = facts
  }

  /// A client that believes `trust`.
  package init(client trust: TLSTrust) throws(TLSFailure) {
    let context = unsafe OwnedContext(TLS_client_method())
    switch trust {
    case .authorities(let text):
      let list = MemoryBIO(text)
      let store = unsafe SSL_CTX_get_cert_store(context.pointer)
      var count = 0
      while let next = unsafe list.nextCertificate() {
        let authority = unsafe Certificate(owning: next)
        count += 1
        guard unsafe X509_STORE_add_cert(store, authority.pointer) == 1 else {
          throw .unusable(takeOpenSSLError())
        }
      }
      guard count > 0 else { throw .noCertificate }
      unsafe SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, nil)
    case .system:
      guard unsafe SSL_CTX_set_default_verify_paths(context.pointer) == 1 else {
        throw .unusable(takeOpenSSLError())
      }
      unsafe SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, nil)
    case .pinned(let fingerprint):
      guard fingerprint.count == 32 else { throw .unusable("a SHA-256 fingerprint has 32 bytes") }
      // The peer proves in the handshake that it holds the key; whose key it is the session checks.
      unsafe SSL_CTX_set_verify(context.pointer, SSL_VERIFY_NONE, nil)
    case .firstContact:
      unsafe SSL_CTX_set_verify(context.pointer, SSL_VERIFY_NONE, nil)
    }
    unsafe pointer = context.take()
    self.trust = trust
    certificate = nil
  }

  deinit { unsafe SSL_CTX_free(pointer) }
}

/// An SSL_CTX under construction, freed unless taken.
@safe private struct OwnedContext: ~Copyable {
  let pointer: OpaquePointer

  init(_ method: OpaquePointer?) {
    guard let made = unsafe SSL_CTX_new(method) else { preconditionFailure("no memory for a TLS context") }
    unsafe pointer = made
    unsafe SSL_CTX_ctrl(pointer, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
    unsafe SSL_CTX_ctrl(
      pointer, SSL_CTRL_MODE, Int(SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER), nil)
    unsafe SSL_CTX_ctrl(pointer, SSL_CTRL_SET_SESS_CACHE_MODE, 0, nil)
    unsafe SSL_CTX_set_options(pointer, TLSOptions.all)
    unsafe SSL_CTX_set_num_tickets(pointer, 0)
    let accepted = unsafe SSL_CTX_set_cipher_list(
      pointer, "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM:!aNULL:!PSK")
    precondition(accepted == 1, "OpenSSL has no AEAD suite")
  }

  consuming func take() -> OpaquePointer {
    let result = unsafe pointer
    discard self
    return unsafe result
  }

  deinit { unsafe SSL_CTX_free(pointer) }
}

/// SSL_OP_* are macros with casts, which do not import.
private enum TLSOptions {
  static let noCompression: UInt64 = 1 << 17
  static let noTicket: UInt64 = 1 << 14
  static let noRenegotiation: UInt64 = 1 << 30
  static let all = noCompression | noTicket | noRenegotiation
}
