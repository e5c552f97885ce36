internal import COpenSSL

/// Secrets wrapped for the disk: AES-256-GCM under the 32-byte key of this device.
///
/// A sealed secret is one version byte, the 12-byte nonce, the ciphertext and the 16-byte tag. `label` says what
/// the secret is and whose; it is authenticated, so a sealed secret moved to another row does not open.
package struct KeyWrap: Sendable {
  private let key: [UInt8]
  private static let version: UInt8 = 1
  private static let nonceLength = 12
  private static let tagLength = 16

  /// Nil unless the key has 32 bytes.
  package init?(deviceKey: [UInt8]) {
    guard deviceKey.count == 32 else { return nil }
    key = deviceKey
  }

  /// Seals `secret`. `nonce` is 12 bytes of randomness that were never used with this key before.
  package func seal(_ secret: [UInt8], label: String, nonce: [UInt8]) -> [UInt8] {
    precondition(nonce.count == KeyWrap.nonceLength, "a nonce has 12 bytes")
    let cipher = Cipher()
    var status = unsafe EVP_EncryptInit_ex2(cipher.context, EVP_aes_256_gcm(), key, nonce, nil)
    var length: Int32 = 0
    let labelBytes = Array(label.utf8)
    status &= unsafe EVP_EncryptUpdate(cipher.context, nil, &length, labelBytes, Int32(labelBytes.count))
    var sealed = [UInt8](repeating: 0, count: secret.count)
    if !secret.isEmpty {
      status &= unsafe EVP_EncryptUpdate(cipher.context, &sealed, &length, secret, Int32(secret.count))
    }
    var rest = [UInt8](repeating: 0, count: 16)
    status &= unsafe EVP_EncryptFinal_ex(cipher.context, &rest, &length)
    var tag = [UInt8](repeating: 0, count: KeyWrap.tagLength)
    status &= unsafe EVP_CIPHER_CTX_ctrl(
      cipher.context, EVP_CTRL_AEAD_GET_TAG, Int32(KeyWrap.tagLength), &tag)
    precondition(status == 1, "OpenSSL failed to seal")
    return [KeyWrap.version] + nonce + sealed + tag
  }

  /// What was sealed; nil if the bytes, the label or the key are not those of the sealing.
  package func open(_ sealed: [UInt8], label: String) -> [UInt8]? {
    let overhead = 1 + KeyWrap.nonceLength + KeyWrap.tagLength
    guard sealed.count >= overhead, sealed[0] == KeyWrap.version else { return nil }
    let nonce = Array(sealed[1..<1 + KeyWrap.nonceLength])
    let body = Array(sealed[1 + KeyWrap.nonceLength..<sealed.count - KeyWrap.tagLength])
    var tag = Array(sealed[(sealed.count - KeyWrap.tagLength)...])
    let cipher = Cipher()
    var length: Int32 = 0
    let labelBytes = Array(label.utf8)
    var status = unsafe EVP_DecryptInit_ex2(cipher.context, EVP_aes_256_gcm(), key, nonce, nil)
    status &= unsafe EVP_DecryptUpdate(cipher.context, nil, &length, labelBytes, Int32(labelBytes.count))
    var secret = [UInt8](repeating: 0, count: body.count)
    if !body.isEmpty {
      status &= unsafe EVP_DecryptUpdate(cipher.context, &secret, &length, body, Int32(body.count))
    }
    status &= unsafe EVP_CIPHER_CTX_ctrl(
      cipher.context, EVP_CTRL_AEAD_SET_TAG, Int32(KeyWrap.tagLength), &tag)
    var rest = [UInt8](repeating: 0, count: 16)
    status &= unsafe EVP_DecryptFinal_ex(cipher.context, &rest, &length)
    ERR_clear_error()
    return status == 1 ? secret : nil
  }
}

/// One cipher context, freed with its owner.
@safe private struct Cipher: ~Copyable {
  let context: OpaquePointer

  init() {
    guard let made = unsafe EVP_CIPHER_CTX_new() else { preconditionFailure("no memory for a cipher") }
    unsafe context = made
  }

  deinit { unsafe EVP_CIPHER_CTX_free(context) }
}
