internal import COpenSSL
package import Wire

/// Why a DTLS session failed.
package enum DTLSFailure: Error, Hashable, Sendable {
  /// The peer's certificate is not the one that its description announced.
  case fingerprint
  /// The peer shares no SRTP profile with us.
  case noProfile
  /// The handshake did not end in time.
  case timeout
  /// The peer or we refused a message: OpenSSL's words.
  case protocolViolation(String)
}

/// Where a DTLS session stands.
package enum DTLSState: Hashable, Sendable {
  /// May become any other.
  case handshaking
  /// The peer is who its description says, and the keys are there. May become `closed`.
  case established
  /// The peer or we said goodbye. Final.
  case closed
  /// Final.
  case failed(DTLSFailure)
}

/// One DTLS 1.2 association over memory, for the keys of SRTP (RFC 5764).
///
/// Responsible for: the handshake in either role, hellos in several datagrams and in any order among them, its own
/// retransmissions, the peer's fingerprint (checked inside the handshake, so that a stranger gets an alert and no key
/// is ever made), the exported keys, close_notify.
/// Assumes: datagrams whole and from an address that ICE validated. Malformed ones are dropped, or end the session
/// with `failed`, never more.
/// Somebody else's: how long a handshake may last at most, which datagrams are DTLS, and the sending.
///
/// Time: OpenSSL reads the system's clock for its retransmission timer and cannot be given another. We ask it how
/// long that timer has still to run and turn this into an `Instant`; when that has come and OpenSSL's clock disagrees,
/// we ask again later. A system clock that jumps backwards during a handshake can delay a retransmission, so the
/// whole handshake needs a limit on our own clock.
@safe  // Owns the SSL, which owns its BIO; used by one thread at a time, as it is not Sendable.
package final class DTLSSession {
  /// The longest datagram that we make: what passes through tunnels and the narrowest paths (RFC 8261 has 1200 too).
  package static let datagramLimit = 1200
  /// The longest time between two retransmissions.
  package static let longestTimeout: Interval = .seconds(3)

  private let ssl: OpaquePointer
  private let queue = DatagramQueue()
  private let context: DTLSContext
  private let firstTimeout: Interval
  private let fingerprints: [Fingerprint]
  package let role: DTLSRole
  package private(set) var state = DTLSState.handshaking
  /// Both directions' keys, once established.
  package private(set) var keys: SRTPKeyPair?
  /// When `advance` must be called; nil when nothing waits.
  package private(set) var nextDeadline: Instant?
  private var wasRefused = false

  /// A session with a peer whose certificate must have one of `fingerprints`. A client's first flight comes with
  /// `start`. `profiles` are preferred in their order; nil: as the context has it. `firstTimeout` is how long an answer is waited for before the first retransmission; it doubles then.
  package init(
    _ context: DTLSContext, role: DTLSRole, peer fingerprints: [Fingerprint], profiles: [SRTPProfile]? = nil,
    firstTimeout: Interval = .milliseconds(200)
  ) {
    self.context = context
    self.role = role
    self.fingerprints = fingerprints
    self.firstTimeout = firstTimeout
    guard let made = unsafe SSL_new(context.pointer) else {
      preconditionFailure("no memory for a DTLS session")
    }
    unsafe ssl = made
    let bio = unsafe DatagramBIO.make(over: queue)
    unsafe SSL_set_bio(ssl, bio, bio)
    unsafe SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
    unsafe SSL_ctrl(ssl, SSL_CTRL_SET_MTU, DTLSSession.datagramLimit, nil)
    unsafe DTLS_set_timer_cb(ssl) { ssl, previous in
      guard previous > 0 else {
        let session = unsafe DTLSSession.session(ssl)
        return UInt32(clamping: (session?.firstTimeout ?? .milliseconds(200)).nanoseconds / 1000)
      }
      return min(previous &* 2, UInt32(DTLSSession.longestTimeout.nanoseconds / 1000))
    }
    if let profiles, profiles != context.profiles {
      // This call says 0 when it is content.
      let status = unsafe SSL_set_tlsext_use_srtp(ssl, SRTPProfile.names(profiles))
      precondition(status == 0, "OpenSSL knows every profile of ours")
    }
    if role == .client {
      unsafe SSL_set_connect_state(ssl)
    } else {
      unsafe SSL_set_accept_state(ssl)
    }
  }

  deinit { unsafe SSL_free(ssl) }

  /// Makes a client's first flight. Nothing for a server.
  package func start(at now: Instant) {
    guard role == .client, state == .handshaking else { return }
    shake()
    arm(now)
  }

  /// Takes one datagram in. What must be answered can be had from `takeDatagram`.
  package func receive(_ datagram: Span<UInt8>, at now: Instant) {
    guard !datagram.isEmpty else { return }
    switch state {
    case .closed, .failed: return
    case .handshaking, .established: break
    }
    unsafe datagram.withUnsafeBufferPointer { bytes in
      unsafe queue.input = bytes
      if state == .handshaking { shake() }
      if state == .established { drain() }
      unsafe queue.input = nil
    }
    arm(now)
  }

  /// Retransmits what is due.
  package func advance(at now: Instant) {
    guard state == .handshaking, let deadline = nextDeadline, deadline <= now else { return }
    if unsafe SSL_ctrl(ssl, Int32(DTLS_CTRL_HANDLE_TIMEOUT), 0, nil) < 0 {
      ERR_clear_error()
      fail(.timeout)
    }
    arm(now)
  }

  /// Says goodbye (close_notify), where there is anyone to say it to.
  package func close() {
    guard state == .established || state == .handshaking else { return }
    if state == .established { unsafe SSL_shutdown(ssl) }
    ERR_clear_error()
    state = .closed
    nextDeadline = nil
  }

  /// Moves the next datagram to send into `datagram`, replacing what is there. False when there is none.
  package func takeDatagram(_ datagram: inout [UInt8]) -> Bool {
    guard let length = queue.lengths.first else { return false }
    datagram.removeAll(keepingCapacity: true)
    datagram.append(contentsOf: queue.output[..<length])
    queue.take(length)
    return true
  }

  /// The cipher suite in use, such as `ECDHE-ECDSA-AES128-GCM-SHA256`.
  package var suiteName: String {
    guard let suite = unsafe SSL_get_current_cipher(ssl) else { return "" }
    return unsafe String(cString: SSL_CIPHER_get_name(suite))
  }

  // MARK: OpenSSL

  private func shake() {
    let result = unsafe SSL_do_handshake(ssl)
    if result == 1 {
      exportKeys()
      return
    }
    judge(result)
  }

  /// Reads until nothing is left: there is no application data in DTLS-SRTP, but alerts and repeated flights.
  private func drain() {
    unsafe withUnsafeTemporaryAllocation(byteCount: 2048, alignment: 16) { scratch in
      while state == .established {
        let count = unsafe SSL_read(ssl, scratch.baseAddress, Int32(scratch.count))
        if count <= 0 {
          judge(count)
          return
        }
      }
    }
  }

  private func judge(_ result: Int32) {
    switch unsafe SSL_get_error(ssl, result) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
      ERR_clear_error()
    case SSL_ERROR_ZERO_RETURN:
      ERR_clear_error()
      // DTLS 1.2 answers a goodbye with its own.
      if state == .established { unsafe SSL_shutdown(ssl) }
      ERR_clear_error()
      state = .closed
      nextDeadline = nil
    default:
      let words = takeOpenSSLError()
      fail(wasRefused ? .fingerprint : .protocolViolation(words))
    }
  }

  private func fail(_ failure: DTLSFailure) {
    state = .failed(failure)
    keys = nil
    nextDeadline = nil
  }

  private func exportKeys() {
    guard let chosen = unsafe SSL_get_selected_srtp_profile(ssl),
      let profile = unsafe SRTPProfile(rawValue: UInt16(truncatingIfNeeded: chosen.pointee.id))
    else {
      unsafe SSL_shutdown(ssl)
      ERR_clear_error()
      fail(.noProfile)
      return
    }
    var material = [UInt8](repeating: 0, count: profile.materialLength)
    let label = "EXTRACTOR-dtls_srtp"
    let status = unsafe SSL_export_keying_material(
      ssl, &material, material.count, label, label.utf8.count, nil, 0, 0)
    precondition(status == 1, "OpenSSL failed to export keys")
    keys = SRTPKeyPair(profile, material: material, role: role)
    unsafe OPENSSL_cleanse(&material, material.count)
    state = .established
  }

  private func arm(_ now: Instant) {
    guard state == .handshaking else {
      nextDeadline = nil
      return
    }
    var left = timeval()
    guard unsafe SSL_ctrl(ssl, Int32(DTLS_CTRL_GET_TIMEOUT), 0, &left) == 1 else {
      nextDeadline = nil
      return
    }
    let microseconds = Int64(left.tv_sec) * 1_000_000 + Int64(left.tv_usec)
    // At least a millisecond: OpenSSL's clock and ours tick apart, and a deadline of now would spin.
    nextDeadline = now + .microseconds(min(max(1000, microseconds), 10_000_000))
  }

  private static func session(_ ssl: OpaquePointer?) -> DTLSSession? {
    guard let place = unsafe SSL_get_ex_data(ssl, 0) else { return nil }
    return unsafe Unmanaged<DTLSSession>.fromOpaque(place).takeUnretainedValue()
  }

  /// OpenSSL's question whether the peer's certificate will do: 1 for yes.
  static func judgeCertificate(_ store: OpaquePointer?) -> Int32 {
    let place = unsafe X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx())
    guard let session = unsafe session(place.map { OpaquePointer($0) }),
      let certificate = unsafe X509_STORE_CTX_get0_cert(store),
      unsafe Fingerprint.verify(session.fingerprints, certificate: certificate)
    else {
      if let session = unsafe session(place.map { OpaquePointer($0) }) { session.wasRefused = true }
      unsafe X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED)
      return 0
    }
    unsafe X509_STORE_CTX_set_error(store, X509_V_OK)
    return 1
  }
}
