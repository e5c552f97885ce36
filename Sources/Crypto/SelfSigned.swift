internal import COpenSSL
package import Wire

/// A certificate for a building that has none of its own, with its key.
package struct SelfSigned: Sendable {
  package var certificatePEM: [UInt8]
  package var keyPEM: [UInt8]

  /// Makes an EC P-256 key and a certificate over it for `names` and `addresses`, valid from `start` to `end`.
  ///
  /// The first name is also the subject. A name that is no host name (letters, digits, `-`, `.`, `*`) is refused.
  package static func make(
    names: [String], addresses: [IPAddress], serial: UInt64, from start: WallTime, to end: WallTime
  ) throws(TLSFailure) -> SelfSigned {
    for name in names {
      let fits = name.utf8.allSatisfy {
        ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
          || $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "_")
      }
      guard fits, !name.isEmpty, name.utf8.count <= 253 else {
        throw .unusable("\(name) is not a host name")
      }
    }
    let key = try generateKey()
    guard let made = unsafe X509_new() else { preconditionFailure("no memory for a certificate") }
    let certificate = unsafe Certificate(owning: made)
    var status = unsafe X509_set_version(certificate.pointer, 2)  // version 3, counted from 0
    // A serial of zero is not allowed (RFC 5280, 4.1.2.2).
    status &= unsafe ASN1_INTEGER_set_uint64(
      X509_get_serialNumber(certificate.pointer), max(1, serial >> 1))
    let begin = unsafe ASN1_TIME_set(X509_getm_notBefore(certificate.pointer), Int(start.seconds))
    let finish = unsafe ASN1_TIME_set(X509_getm_notAfter(certificate.pointer), Int(end.seconds))
    guard unsafe begin != nil, unsafe finish != nil else { throw .unusable(takeOpenSSLError()) }
    let subject = unsafe X509_get_subject_name(certificate.pointer)
    let common = String((names.first ?? addresses.first?.description ?? "vestibule").prefix(64))
    let commonBytes = Array(common.utf8)
    status &= unsafe X509_NAME_add_entry_by_NID(
      subject, NID_commonName, MBSTRING_UTF8, commonBytes, Int32(commonBytes.count), -1, 0)
    status &= unsafe X509_set_issuer_name(certificate.pointer, subject)
    status &= unsafe X509_set_pubkey(certificate.pointer, key.pointer)
    let alternatives = names.map { "DNS:" + $0 } + addresses.map { "IP:\($0)" }
    try certificate.add(NID_basic_constraints, "critical,CA:FALSE")
    try certificate.add(NID_key_usage, "critical,digitalSignature")
    try certificate.add(NID_ext_key_usage, "serverAuth,clientAuth")
    if !alternatives.isEmpty {
      try certificate.add(NID_subject_alt_name, alternatives.joined(separator: ","))
    }
    guard status == 1, unsafe X509_sign(certificate.pointer, key.pointer, EVP_sha256()) > 0 else {
      throw .unusable(takeOpenSSLError())
    }
    let certificateText = MemoryBIO()
    let keyText = MemoryBIO()
    status &= unsafe PEM_write_bio_X509(certificateText.pointer, certificate.pointer)
    status &= unsafe PEM_write_bio_PrivateKey(keyText.pointer, key.pointer, nil, nil, 0, nil, nil)
    guard status == 1 else { throw .unusable(takeOpenSSLError()) }
    return SelfSigned(certificatePEM: certificateText.contents(), keyPEM: keyText.contents())
  }

  private static func generateKey() throws(TLSFailure) -> PrivateKey {
    guard let generator = unsafe EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nil) else {
      preconditionFailure("no memory for a key")
    }
    defer { unsafe EVP_PKEY_CTX_free(generator) }
    var key: OpaquePointer?
    guard unsafe EVP_PKEY_keygen_init(generator) == 1,
      unsafe EVP_PKEY_CTX_set_group_name(generator, "P-256") == 1,
      unsafe EVP_PKEY_generate(generator, &key) == 1, let made = unsafe key
    else { throw .unusable(takeOpenSSLError()) }
    return unsafe PrivateKey(owning: made)
  }
}

extension Certificate {
  fileprivate func add(_ identifier: Int32, _ value: String) throws(TLSFailure) {
    guard let made = unsafe X509V3_EXT_conf_nid(nil, nil, identifier, value) else {
      throw .unusable(takeOpenSSLError())
    }
    defer { unsafe X509_EXTENSION_free(made) }
    guard unsafe X509_add_ext(pointer, made, -1) == 1 else { throw .unusable(takeOpenSSLError()) }
  }
}
