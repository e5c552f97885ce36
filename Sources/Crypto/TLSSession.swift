internal import COpenSSL
package import Wire

/// One TLS connection over memory: ciphertext goes in and comes out as bytes, no socket is known here.
///
/// The owner hands what the network brought to `receive`, sends what is appended to `out`, and reads what is
/// appended to `plain`. Nothing of the peer's is handed out before its certificate has passed. After a throw the
/// session is over: what `out` then holds (an alert) may still be sent.
@safe  // Owns the SSL, which owns both BIOs; used by one thread at a time, as it is not Sendable.
package final class TLSSession {
  private let ssl: OpaquePointer
  private let input: OpaquePointer
  private let output: OpaquePointer
  private let trust: TLSTrust?
  private let context: TLSContext

  /// Whether the handshake is done and the peer's certificate believed.
  package private(set) var isEstablished = false
  /// Whether the peer said that nothing more will come (close_notify).
  package private(set) var isFinishedByPeer = false
  /// SHA-256 of the peer's certificate, once the handshake is done; nil when it has none.
  package private(set) var peerFingerprint: [UInt8]?

  /// A session that waits for a client.
  package init(server context: TLSContext) {
    precondition(context.certificate != nil, "a server needs a certificate")
    self.context = context
    trust = nil
    unsafe (ssl, input, output) = TLSSession.make(context)
    unsafe SSL_set_accept_state(ssl)
  }

  /// A session that speaks first; call `start`. `serverName` is a host name or an IP address: sent as SNI in the
  /// first case, and what the certificate must name under `.authorities` and `.system`. `time` stands for now
  /// when chains are checked; nil leaves that to OpenSSL and the system's clock.
  package init(client context: TLSContext, serverName: String?, at time: WallTime? = nil) {
    precondition(context.trust != nil, "a client needs a trust")
    self.context = context
    trust = context.trust
    unsafe (ssl, input, output) = TLSSession.make(context)
    unsafe SSL_set_connect_state(ssl)
    let parameters = unsafe SSL_get0_param(ssl)
    if let time { unsafe X509_VERIFY_PARAM_set_time(parameters, Int(time.seconds)) }
    guard let serverName else { return }
    if IPAddress(serverName) != nil {
      let bare = serverName.filter { $0 != "[" && $0 != "]" }
      unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, bare)
    } else {
      unsafe SSL_set1_host(ssl, serverName)
      var name = Array(serverName.utf8CString)
      unsafe name.withUnsafeMutableBytes { bytes in
        _ = unsafe SSL_ctrl(
          ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name), bytes.baseAddress)
      }
    }
  }

  deinit { unsafe SSL_free(ssl) }

  private static func make(_ context: TLSContext) -> (OpaquePointer, OpaquePointer, OpaquePointer) {
    guard let ssl = unsafe SSL_new(context.pointer), let input = unsafe BIO_new(BIO_s_mem()),
      let output = unsafe BIO_new(BIO_s_mem())
    else { preconditionFailure("no memory for a TLS session") }
    unsafe SSL_set_bio(ssl, input, output)
    return unsafe (ssl, input, output)
  }

  /// Appends the first flight of a client to `out`.
  package func start(out: inout [UInt8]) throws(TLSFailure) { try progress(&out) }

  /// Takes ciphertext in; appends what it meant to `plain` and what must be answered to `out`.
  package func receive(
    _ ciphertext: Span<UInt8>, plain: inout [UInt8], out: inout [UInt8]
  ) throws(TLSFailure) {
    if !ciphertext.isEmpty {
      let written = unsafe ciphertext.withUnsafeBufferPointer {
        unsafe BIO_write(input, $0.baseAddress, Int32($0.count))
      }
      precondition(written == Int32(ciphertext.count), "no memory for TLS input")
    }
    if !isEstablished { try progress(&out) }
    guard isEstablished else { return }
    var failure: TLSFailure?
    unsafe withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 16) { scratch in
      while !isFinishedByPeer {
        let count = unsafe SSL_read(ssl, scratch.baseAddress, Int32(scratch.count))
        if count > 0 {
          unsafe plain.append(contentsOf: scratch[..<Int(count)])
          continue
        }
        failure = judge(count)
        break
      }
    }
    collect(&out)
    if let failure { throw failure }
  }

  /// Encrypts all of `bytes` onto `out`. The session must be established.
  package func send(_ bytes: Span<UInt8>, out: inout [UInt8]) throws(TLSFailure) {
    precondition(isEstablished, "nothing may be sent before the handshake is done")
    guard !bytes.isEmpty else { return }
    // A memory BIO takes everything at once, so the write is whole or an error.
    let count = unsafe bytes.withUnsafeBufferPointer {
      unsafe SSL_write(ssl, $0.baseAddress, Int32($0.count))
    }
    let failure = count == Int32(bytes.count) ? nil : judge(count)
    collect(&out)
    if let failure { throw failure }
  }

  /// Appends our close_notify: nothing more will be sent.
  package func finish(out: inout [UInt8]) {
    if isEstablished { unsafe SSL_shutdown(ssl) }
    ERR_clear_error()
    collect(&out)
  }

  /// The protocol in use, such as `TLSv1.3`.
  package var protocolName: String { unsafe String(cString: SSL_get_version(ssl)) }
  /// The cipher suite in use, such as `TLS_AES_256_GCM_SHA384`.
  package var suiteName: String {
    guard let suite = unsafe SSL_get_current_cipher(ssl) else { return "" }
    return unsafe String(cString: SSL_CIPHER_get_name(suite))
  }

  private func progress(_ out: inout [UInt8]) throws(TLSFailure) {
    let result = unsafe SSL_do_handshake(ssl)
    let failure = result == 1 ? nil : judge(result)
    collect(&out)
    if let failure { throw failure }
    guard result == 1 else { return }
    if let peer = unsafe SSL_get1_peer_certificate(ssl) {
      peerFingerprint = unsafe Certificate(owning: peer).fingerprint
    }
    if case .pinned(let wanted) = trust {
      let seen = peerFingerprint ?? []
      guard Digest.areEqual(wanted, seen) else { throw .fingerprintMismatch(seen: seen) }
    }
    isEstablished = true
  }

  /// What a result of OpenSSL's means: nil when it only waits for more bytes.
  private func judge(_ result: Int32) -> TLSFailure? {
    switch unsafe SSL_get_error(ssl, result) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
      ERR_clear_error()
      return nil
    case SSL_ERROR_ZERO_RETURN:
      ERR_clear_error()
      isFinishedByPeer = true
      return isEstablished ? nil : .protocolViolation("closed during the handshake")
    default:
      let verdict = unsafe SSL_get_verify_result(ssl)
      let words = takeOpenSSLError()
      if case .authorities = trust, verdict != Int(X509_V_OK) {
        return .untrusted(unsafe String(cString: X509_verify_cert_error_string(verdict)))
      }
      if case .system = trust, verdict != Int(X509_V_OK) {
        return .untrusted(unsafe String(cString: X509_verify_cert_error_string(verdict)))
      }
      return .protocolViolation(words)
    }
  }

  private func collect(_ out: inout [UInt8]) {
    let pending = unsafe BIO_ctrl_pending(output)
    guard pending > 0 else { return }
    unsafe withUnsafeTemporaryAllocation(byteCount: pending, alignment: 16) { scratch in
      let count = unsafe BIO_read(output, scratch.baseAddress, Int32(scratch.count))
      if count > 0 { unsafe out.append(contentsOf: scratch[..<Int(count)]) }
    }
  }
}
