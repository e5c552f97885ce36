internal import Crypto
internal import HTTP
internal import Wire

/// A device's demand for name and password (RFC 7616), and the answer to it. Devices ask for MD5, most with
/// `qop="auth"`, some still without (RFC 2069's form).
struct DigestChallenge: Equatable {
  var realm: String
  var nonce: String
  var opaque: String?
  var isSHA256: Bool
  var hasQuality: Bool
  var isStale: Bool

  /// The first demand among the `WWW-Authenticate` fields that we can answer, MD5 before SHA-256.
  static func first(in response: HTTPResponse) -> DigestChallenge? {
    let all = response.fields.values("WWW-Authenticate").compactMap { DigestChallenge($0) }
    return all.first { !$0.isSHA256 } ?? all.first
  }

  init?(_ field: String) {
    guard let space = field.firstIndex(of: " "),
      ASCII.equalIgnoringCase(String(field[..<space]), "Digest")
    else { return nil }
    let values = DigestChallenge.parameters(field[space...])
    func value(_ name: String) -> String? { values.first { $0.name == name }?.value }
    guard let realm = value("realm"), let nonce = value("nonce"), !nonce.isEmpty else { return nil }
    switch value("algorithm")?.uppercased() {
    case nil, "MD5": isSHA256 = false
    case "SHA-256": isSHA256 = true
    default: return nil
    }
    if let quality = value("qop") {
      guard quality.split(separator: ",").contains(where: { $0.filter { $0 != " " } == "auth" }) else {
        return nil
      }
      hasQuality = true
    } else {
      hasQuality = false
    }
    self.realm = realm
    self.nonce = nonce
    opaque = value("opaque")
    isStale = value("stale")?.lowercased() == "true"
  }

  /// The `Authorization` field for one request under this nonce, its first use.
  func answer(_ method: String, _ target: String, user: String, password: String, clientNonce: String)
    -> String
  {
    func hash(_ text: String) -> String {
      ASCII.hex(isSHA256 ? Digest.sha256(Array(text.utf8)) : Digest.md5(Array(text.utf8)))
    }
    let first = hash("\(user):\(realm):\(password)")
    let second = hash("\(method):\(target)")
    let count = "00000001"
    let response =
      hasQuality
      ? hash("\(first):\(nonce):\(count):\(clientNonce):auth:\(second)")
      : hash("\(first):\(nonce):\(second)")
    var field =
      "Digest username=\"\(quoted(user))\", realm=\"\(quoted(realm))\", nonce=\"\(quoted(nonce))\", "
      + "uri=\"\(quoted(target))\", response=\"\(response)\""
    field += ", algorithm=\(isSHA256 ? "SHA-256" : "MD5")"
    if hasQuality { field += ", qop=auth, nc=\(count), cnonce=\"\(clientNonce)\"" }
    if let opaque { field += ", opaque=\"\(quoted(opaque))\"" }
    return field
  }

  private func quoted(_ text: String) -> String {
    var result = ""
    for character in text {
      if character == "\"" || character == "\\" { result.append("\\") }
      result.append(character)
    }
    return result
  }

  /// `name=value` pairs between commas, values plain or quoted; names in lower case. Stops at what it cannot read.
  private static func parameters(_ text: Substring) -> [(name: String, value: String)] {
    let bytes = Array(text.utf8)
    var position = 0
    var pairs: [(name: String, value: String)] = []
    func skip(_ isSkipped: (UInt8) -> Bool) {
      while position < bytes.count, isSkipped(bytes[position]) { position += 1 }
    }
    // More pairs than any challenge has: a device may not keep us busy.
    while pairs.count < 32 {
      skip { ASCII.isBlank($0) || $0 == UInt8(ascii: ",") }
      let start = position
      skip { ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") }
      let name = String(decoding: bytes[start..<position], as: UTF8.self).lowercased()
      skip(ASCII.isBlank)
      guard !name.isEmpty, position < bytes.count, bytes[position] == UInt8(ascii: "=") else { break }
      position += 1
      skip(ASCII.isBlank)
      var value: [UInt8] = []
      if position < bytes.count, bytes[position] == UInt8(ascii: "\"") {
        position += 1
        while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
          if bytes[position] == UInt8(ascii: "\\"), position + 1 < bytes.count { position += 1 }
          value.append(bytes[position])
          position += 1
        }
        guard position < bytes.count else { break }
        position += 1
      } else {
        let begin = position
        skip { $0 != UInt8(ascii: ",") && !ASCII.isBlank($0) }
        value = Array(bytes[begin..<position])
      }
      pairs.append((name, String(decoding: value, as: UTF8.self)))
    }
    return pairs
  }
}
