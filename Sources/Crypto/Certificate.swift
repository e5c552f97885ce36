internal import COpenSSL
internal import Glibc
package import Wire

/// What a certificate says of itself.
package struct CertificateFacts: Sendable, Equatable {
  /// The subject's common name, or empty.
  package var commonName: String
  package var notBefore: WallTime
  package var notAfter: WallTime
  /// SHA-256 over the DER form: 32 bytes.
  package var fingerprint: [UInt8]

  /// Why the certificate must not be trusted at `time`; nil when it may.
  package func fault(at time: WallTime) -> TLSFailure? {
    if time < notBefore { return .notYetValid(notBefore) }
    if notAfter < time { return .expired(notAfter) }
    return nil
  }
}

/// One X.509 certificate, freed with its owner.
@safe struct Certificate: ~Copyable {
  let pointer: OpaquePointer

  /// Takes over one reference.
  init(owning pointer: OpaquePointer) { unsafe self.pointer = pointer }

  deinit { unsafe X509_free(pointer) }

  var facts: CertificateFacts {
    var name: [UInt8] = []
    if let subject = unsafe X509_get_subject_name(pointer) {
      var text = [CChar](repeating: 0, count: 256)
      let length = unsafe X509_NAME_get_text_by_NID(subject, NID_commonName, &text, Int32(text.count))
      if length > 0 { name = text[..<Int(length)].map { UInt8(bitPattern: $0) } }
    }
    return CertificateFacts(
      commonName: String(decoding: name, as: UTF8.self),
      notBefore: unsafe time(X509_get0_notBefore(pointer)),
      notAfter: unsafe time(X509_get0_notAfter(pointer)),
      fingerprint: fingerprint)
  }

  var fingerprint: [UInt8] {
    var result = [UInt8](repeating: 0, count: 32)
    var length: UInt32 = 0
    let status = unsafe X509_digest(pointer, EVP_sha256(), &result, &length)
    precondition(status == 1 && length == 32, "OpenSSL failed to digest a certificate")
    return result
  }

  private func time(_ value: UnsafePointer<ASN1_TIME>?) -> WallTime {
    var parts = unsafe tm()
    guard unsafe ASN1_TIME_to_tm(value, &parts) == 1 else { return WallTime(seconds: 0) }
    let date = unsafe CivilDate(
      year: Int(parts.tm_year) + 1900, month: Int(parts.tm_mon) + 1, day: Int(parts.tm_mday))
    let second = unsafe Int(parts.tm_hour) * 3600 + Int(parts.tm_min) * 60 + Int(parts.tm_sec)
    return WallTime(seconds: Int64(date.daysSinceEpoch * 86_400 + second))
  }
}

/// One private key, freed with its owner.
@safe struct PrivateKey: ~Copyable {
  let pointer: OpaquePointer

  init(owning pointer: OpaquePointer) { unsafe self.pointer = pointer }

  deinit { unsafe EVP_PKEY_free(pointer) }
}

/// A memory BIO, freed with its owner.
@safe struct MemoryBIO: ~Copyable {
  let pointer: OpaquePointer

  init(_ bytes: [UInt8] = []) {
    guard let made = unsafe BIO_new(BIO_s_mem()) else { preconditionFailure("no memory for a BIO") }
    if !bytes.isEmpty {
      let written = unsafe BIO_write(made, bytes, Int32(bytes.count))
      precondition(written == Int32(bytes.count), "no memory for a BIO")
    }
    unsafe pointer = made
  }

  deinit { unsafe BIO_free_all(pointer) }

  func contents() -> [UInt8] {
    var result = [UInt8](repeating: 0, count: unsafe BIO_ctrl_pending(pointer))
    if !result.isEmpty { unsafe BIO_read(pointer, &result, Int32(result.count)) }
    return result
  }

  /// The next certificate in PEM form; nil when there is none left or it is malformed.
  func nextCertificate() -> OpaquePointer? {
    let found = unsafe PEM_read_bio_X509(pointer, nil, { _, _, _, _ in -1 }, nil)
    ERR_clear_error()
    return unsafe found
  }

  /// The first private key in PEM form; one that asks for a pass phrase is none.
  func privateKey() -> OpaquePointer? {
    let found = unsafe PEM_read_bio_PrivateKey(pointer, nil, { _, _, _, _ in -1 }, nil)
    ERR_clear_error()
    return unsafe found
  }
}
