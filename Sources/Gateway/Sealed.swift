internal import Crypto
internal import SIP
internal import Store
internal import Wire

/// The digests of a credential, wrapped with the device's key: what the store keeps of a secret.
enum Sealed {
  /// MD5 digits, then SHA-256 digits; either may be missing.
  static func seal(
    _ credential: Credential, username: String, created: WallTime, bearer: [UInt8]? = nil, with wrap: KeyWrap,
    nonce: [UInt8]
  ) -> CredentialRow {
    let text = "\(credential.md5 ?? "") \(credential.sha256 ?? "")"
    return CredentialRow(
      id: credential.id, username: username, created: created,
      sealed: wrap.seal(
        Array(text.utf8), label: CredentialRow.label(id: credential.id, username: username), nonce: nonce),
      bearer: bearer)
  }

  /// Nil when it was sealed under another key.
  static func open(_ row: CredentialRow, with wrap: KeyWrap) -> Credential? {
    guard let bytes = wrap.open(row.sealed, label: row.label) else { return nil }
    let parts = String(decoding: bytes, as: UTF8.self)
      .split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2 else { return nil }
    return Credential(
      id: row.id, md5: parts[0].isEmpty ? nil : parts[0], sha256: parts[1].isEmpty ? nil : parts[1])
  }
}
