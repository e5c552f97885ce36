internal import Wire

/// A server's demand for a proof of the password (RFC 7616, RFC 8760), and the answer to it. Without `qop` the old form
/// of RFC 2069 is meant.
package struct DigestChallenge: Hashable, Sendable {
  package var realm: String
  package var nonce: String
  package var opaque: String?
  package var algorithm: DigestAlgorithm
  /// Whether `qop=auth` is offered.
  package var hasQuality: Bool
  package var isStale: Bool

  /// Nil for what we could not answer. Names in lower case; of those that come twice the first counts.
  init?(_ parameters: [(name: String, value: String)]) {
    func value(_ name: String) -> String? { parameters.first { $0.name == name }?.value }
    guard let realm = value("realm"), let nonce = value("nonce"), !nonce.isEmpty else { return nil }
    switch (value("algorithm") ?? "MD5").uppercased() {
    case "MD5": algorithm = .md5
    // Cameras write it without the hyphen, too.
    case "SHA-256", "SHA256": algorithm = .sha256
    default: return nil
    }
    let qualities = (value("qop") ?? "").split { $0 == "," || $0 == " " }
    hasQuality = qualities.contains { ASCII.equalIgnoringCase($0.utf8, "auth".utf8) }
    guard hasQuality || qualities.isEmpty else { return nil }
    self.realm = realm
    self.nonce = nonce
    opaque = value("opaque")
    isStale = value("stale").map { ASCII.equalIgnoringCase($0, "true") } ?? false
  }

  /// The value of `Authorization` (RFC 7616 section 3.4). `count` says how often the nonce was used, this time included;
  /// `clientNonce` is a draw of the caller's, without quotes. With `namesMD5` false that algorithm is left to be
  /// understood.
  package func answer(
    _ method: String, _ uri: String, user: String, password: String, count: UInt32 = 1, clientNonce: String,
    namesMD5: Bool = true
  ) -> String {
    func hash(_ text: String) -> String { algorithm.hex(Array(text.utf8)) }
    let first = hash("\(user):\(realm):\(password)")
    let second = hash("\(method):\(uri)")
    let digits = String(count, radix: 16)
    let padded = String(repeating: "0", count: 8 - digits.utf8.count) + digits
    let response =
      hasQuality
      ? hash("\(first):\(nonce):\(padded):\(clientNonce):auth:\(second)")
      : hash("\(first):\(nonce):\(second)")
    var field =
      "Digest username=\(ASCII.quoted(user)), realm=\(ASCII.quoted(realm)), nonce=\(ASCII.quoted(nonce)), "
      + "uri=\(ASCII.quoted(uri)), response=\"\(response)\""
    if namesMD5 || algorithm != .md5 { field += ", algorithm=\(algorithm.text)" }
    if hasQuality { field += ", qop=auth, nc=\(padded), cnonce=\"\(clientNonce)\"" }
    if let opaque { field += ", opaque=\(ASCII.quoted(opaque))" }
    return field
  }
}
