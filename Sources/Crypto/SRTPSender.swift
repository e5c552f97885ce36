internal import COpenSSL
internal import Wire

/// Whether a packet leaves for the first time.
package enum Departure: Sendable {
  case first
  /// It left before under its number, byte for byte.
  case again
}

/// Protects what we send: SRTP's sending half (RFC 3711, RFC 7714) over OpenSSL.
///
/// Responsible for: session keys, the packet index of every source (sequence number and rollover counter), and one
/// pass that writes the protected packet where it will be sent from. Bit-exact with libsrtp2, which Debian builds on
/// NSS, two to nine times slower. The key schedule is set once; each packet changes the nonce only, and nothing is
/// allocated.
/// Two packets under one index would give both away: an index that was used is refused, and so is one that lies so far
/// back that nobody knows.
/// Assumes: what is sent `again` is the same packet, byte for byte. What must be changed when it is repeated goes out
/// as RTX (RFC 4588) under a number of its own.
/// Somebody else's: what is sent and when, and RTCP (`SRTPControlSender`).
@safe  // Owns the cipher context; used by one thread at a time, as it is not Sendable.
package final class SRTPSender {
  /// The most sources of one sender. A source is never forgotten: its rollover counter beginning anew would use
  /// nonces twice.
  package static let sourceLimit = 32

  package let profile: SRTPProfile
  private let cipher: OpaquePointer
  private let salt: InlineArray<14, UInt8>
  /// States of SHA-1 after the inner and the outer pad of the keyed hash.
  private var inner = SHA_CTX()
  private var outer = SHA_CTX()
  private var sources: [Source] = []
  private var last = 0

  private struct Source {
    var ssrc: UInt32
    /// The indices sent: rollover counter and sequence number.
    var used: UsedNumbers
  }

  package convenience init(_ keys: SRTPKeys) { self.init(keys.profile, SessionKeys(keys)) }

  /// The session keys must be the profile's.
  init(_ profile: SRTPProfile, _ session: SessionKeys) {
    self.profile = profile
    guard let made = unsafe EVP_CIPHER_CTX_new() else { preconditionFailure("no memory for a cipher") }
    unsafe cipher = made
    var salt = InlineArray<14, UInt8>(repeating: 0)
    for index in session.salt.indices { salt[index] = session.salt[index] }
    self.salt = salt
    let method =
      switch profile {
      case .aes128CMSHA180: unsafe EVP_aes_128_ctr()
      case .aeadAES128GCM: unsafe EVP_aes_128_gcm()
      case .aeadAES256GCM: unsafe EVP_aes_256_gcm()
      }
    let status = unsafe EVP_EncryptInit_ex2(cipher, method, session.key, nil, nil)
    precondition(status == 1, "OpenSSL refused an SRTP key")
    sources.reserveCapacity(SRTPSender.sourceLimit)
    if profile == .aes128CMSHA180 {
      SRTPSender.begin(&inner, with: session.authentication, pad: 0x36)
      SRTPSender.begin(&outer, with: session.authentication, pad: 0x5C)
    }
  }

  deinit {
    unsafe EVP_CIPHER_CTX_free(cipher)
    unsafe OPENSSL_cleanse(&inner, MemoryLayout<SHA_CTX>.size)
    unsafe OPENSSL_cleanse(&outer, MemoryLayout<SHA_CTX>.size)
  }

  /// Bytes added to a packet.
  package var overhead: Int { profile.tagLength }

  /// Writes the protected packet of `header` (with contributors and extension, if it has any) and `payload` into
  /// `buffer` from `offset` on. Its length; 0 when it does not fit, the header is none, its number was used by another
  /// packet, or there is no room for one more source.
  package func protect(
    _ header: Span<UInt8>, _ payload: Span<UInt8>, _ departure: Departure = .first,
    into buffer: inout MutableSpan<UInt8>, at offset: Int = 0
  ) -> Int {
    let plain = header.count + payload.count
    guard header.count >= 12, header[0] >> 6 == 2, offset >= 0, buffer.count - offset >= plain + overhead
    else {
      return 0
    }
    let sequence = UInt16(header[2]) << 8 | UInt16(header[3])
    let ssrc =
      UInt32(header[8]) << 24 | UInt32(header[9]) << 16 | UInt32(header[10]) << 8 | UInt32(header[11])
    guard let place = place(of: ssrc, first: sequence),
      let index = index(of: sequence, at: place, departure)
    else { return 0 }
    return unsafe buffer.withUnsafeMutableBufferPointer { all in
      let place = unsafe all.baseAddress! + offset
      unsafe header.withUnsafeBufferPointer { unsafe place.update(from: $0.baseAddress!, count: $0.count) }
      return unsafe payload.withUnsafeBufferPointer { text in
        switch profile {
        case .aes128CMSHA180: unsafe counterMode(text, place, header.count, ssrc, index)
        case .aeadAES128GCM, .aeadAES256GCM: unsafe galoisMode(text, place, header.count, ssrc, index)
        }
      }
    }
  }

  // MARK: The two modes

  /// AES-GCM (RFC 7714 section 8): the header is authenticated, the payload encrypted, the tag appended.
  private func galoisMode(
    _ text: UnsafeBufferPointer<UInt8>, _ place: UnsafeMutablePointer<UInt8>, _ head: Int, _ ssrc: UInt32,
    _ index: UInt64
  ) -> Int {
    // Two zero bytes, SSRC, rollover counter, sequence number; all of it under the salt.
    var nonce = InlineArray<12, UInt8>(repeating: 0)
    for byte in 0..<4 { nonce[2 + byte] = UInt8(truncatingIfNeeded: ssrc >> UInt32(24 - 8 * byte)) }
    for byte in 0..<6 { nonce[6 + byte] = UInt8(truncatingIfNeeded: index >> UInt64(40 - 8 * byte)) }
    for byte in 0..<12 { nonce[byte] ^= salt[byte] }
    var status = unsafe nonce.span.withUnsafeBufferPointer {
      unsafe EVP_EncryptInit_ex2(cipher, nil, nil, $0.baseAddress, nil)
    }
    var length: Int32 = 0
    status &= unsafe EVP_EncryptUpdate(cipher, nil, &length, place, Int32(head))
    if !text.isEmpty {
      status &= unsafe EVP_EncryptUpdate(cipher, place + head, &length, text.baseAddress, Int32(text.count))
    }
    let end = head + text.count
    status &= unsafe EVP_EncryptFinal_ex(cipher, place + end, &length)
    status &= unsafe EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, 16, place + end)
    precondition(status == 1, "OpenSSL failed to encrypt a packet")
    return end + 16
  }

  /// AES in counter mode with HMAC-SHA1, cut to 80 bits (RFC 3711 sections 4.1.1 and 4.2.1).
  private func counterMode(
    _ text: UnsafeBufferPointer<UInt8>, _ place: UnsafeMutablePointer<UInt8>, _ head: Int, _ ssrc: UInt32,
    _ index: UInt64
  ) -> Int {
    var counter = InlineArray<16, UInt8>(repeating: 0)
    for byte in 0..<14 { counter[byte] = salt[byte] }
    for byte in 0..<4 { counter[4 + byte] ^= UInt8(truncatingIfNeeded: ssrc >> UInt32(24 - 8 * byte)) }
    for byte in 0..<6 { counter[8 + byte] ^= UInt8(truncatingIfNeeded: index >> UInt64(40 - 8 * byte)) }
    var status = unsafe counter.span.withUnsafeBufferPointer {
      unsafe EVP_EncryptInit_ex2(cipher, nil, nil, $0.baseAddress, nil)
    }
    var length: Int32 = 0
    if !text.isEmpty {
      status &= unsafe EVP_EncryptUpdate(cipher, place + head, &length, text.baseAddress, Int32(text.count))
    }
    let end = head + text.count
    // Keyed hash over the packet and the rollover counter, from the states after the pads.
    var digest = InlineArray<20, UInt8>(repeating: 0)
    var room = digest.mutableSpan
    unsafe room.withUnsafeMutableBufferPointer { sum in
      var state = inner
      status &= unsafe SHA1_Update(&state, place, end)
      let rollover = UInt32(truncatingIfNeeded: index >> 16).bigEndian
      status &= unsafe withUnsafeBytes(of: rollover) { unsafe SHA1_Update(&state, $0.baseAddress, 4) }
      status &= unsafe SHA1_Final(sum.baseAddress, &state)
      state = outer
      status &= unsafe SHA1_Update(&state, sum.baseAddress, 20)
      status &= unsafe SHA1_Final(sum.baseAddress, &state)
      unsafe (place + end).update(from: sum.baseAddress!, count: 10)
    }
    precondition(status == 1, "OpenSSL failed to encrypt a packet")
    return end + 10
  }

  private static func begin(_ state: inout SHA_CTX, with key: [UInt8], pad: UInt8) {
    var block = [UInt8](repeating: pad, count: 64)
    for index in key.indices { block[index] ^= key[index] }
    let status = unsafe SHA1_Init(&state) & SHA1_Update(&state, block, 64)
    precondition(status == 1, "OpenSSL failed to digest")
  }

  // MARK: The index

  /// Where a source is kept; nil for a source too many.
  private func place(of ssrc: UInt32, first sequence: UInt16) -> Int? {
    if last < sources.count, sources[last].ssrc == ssrc { return last }
    for place in sources.indices where sources[place].ssrc == ssrc {
      last = place
      return place
    }
    guard sources.count < SRTPSender.sourceLimit else { return nil }
    last = sources.count
    sources.append(Source(ssrc: ssrc, used: UsedNumbers(newest: UInt64(sequence))))
    return last
  }

  /// The 48-bit index of a packet: the one nearest to the highest that this source sent (RFC 3711 section 3.3.1), so
  /// that a repeated older packet gets its own again. Nil for one that was used, and outside of all numbers.
  private func index(of sequence: UInt16, at place: Int, _ departure: Departure) -> UInt64? {
    let newest = sources[place].used.newest
    let step = Int16(bitPattern: sequence &- UInt16(truncatingIfNeeded: newest))
    let index = Int64(newest) + Int64(step)
    guard index >= 0, index < 1 << 48 else { return nil }
    let isFresh = sources[place].used.use(UInt64(index))
    return isFresh || departure == .again ? UInt64(index) : nil
  }
}

/// The keys that a master key stands for (RFC 3711 section 4.3, RFC 6188 for 256 bits, RFC 7714 section 11).
struct SessionKeys {
  let key: [UInt8]
  /// Of HMAC-SHA1; empty for GCM.
  let authentication: [UInt8]
  let salt: [UInt8]

  init(key: [UInt8], authentication: [UInt8], salt: [UInt8]) {
    self.key = key
    self.authentication = authentication
    self.salt = salt
  }

  /// Those of SRTP.
  init(_ master: SRTPKeys) {
    let isGCM = master.profile != .aes128CMSHA180
    key = SessionKeys.derive(master, label: 0, count: master.profile.keyLength)
    authentication = isGCM ? [] : SessionKeys.derive(master, label: 1, count: 20)
    salt = SessionKeys.derive(master, label: 2, count: master.profile.saltLength)
  }

  /// `count` bytes of the key stream that the label names; the key is derived once and never again (rate 0).
  private static func derive(_ master: SRTPKeys, label: UInt8, count: Int) -> [UInt8] {
    guard let cipher = unsafe EVP_CIPHER_CTX_new() else { preconditionFailure("no memory for a cipher") }
    defer { unsafe EVP_CIPHER_CTX_free(cipher) }
    // The salt fills 112 bits from the left; label and index lie at its right end; 16 bits of counter follow.
    var start = master.salt + [UInt8](repeating: 0, count: 16 - master.salt.count)
    start[7] ^= label
    let method = unsafe master.key.count == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr()
    var result = [UInt8](repeating: 0, count: count)
    var length: Int32 = 0
    let status =
      unsafe EVP_EncryptInit_ex2(cipher, method, master.key, start, nil)
      & EVP_EncryptUpdate(cipher, &result, &length, result, Int32(count))
    precondition(status == 1, "OpenSSL failed to derive a key")
    return result
  }
}
