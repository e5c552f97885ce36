import SIP
import Wire

/// A digest challenge, and the answer of a client that knows the secret (RFC 7616, RFC 8760).
struct DigestChallenge: Equatable {
  var realm: String
  var nonce: String
  var algorithm: DigestAlgorithm
  var opaque: String?
  /// Whether `qop=auth` is offered; without it the old form of RFC 2069 is meant.
  var hasQualityOfProtection: Bool

  /// Reads the value of a `WWW-Authenticate` field. Nil for another scheme, and for what we could not answer.
  init?(_ value: String) {
    var rest = Substring(value)
    func skipBlanks() { rest = rest.drop { $0 == " " || $0 == "\t" || $0 == "," } }
    skipBlanks()
    let scheme = rest.prefix { $0 != " " }
    guard scheme.lowercased() == "digest" else { return nil }
    rest = rest.dropFirst(scheme.count)
    var found: [String: String] = [:]
    while true {
      skipBlanks()
      if rest.isEmpty { break }
      let name = rest.prefix { $0 != "=" && $0 != " " }
      rest = rest.dropFirst(name.count).drop { $0 == " " }
      guard !name.isEmpty, rest.first == "=" else { return nil }
      rest = rest.dropFirst().drop { $0 == " " }
      var text = ""
      if rest.first == "\"" {
        rest = rest.dropFirst()
        while let character = rest.popFirst(), character != "\"" {
          if character == "\\", let escaped = rest.popFirst() {
            text.append(escaped)
          } else {
            text.append(character)
          }
        }
      } else {
        text = String(rest.prefix { $0 != "," && $0 != " " })
        rest = rest.dropFirst(text.count)
      }
      found[name.lowercased()] = text
    }
    guard let realm = found["realm"], let nonce = found["nonce"] else { return nil }
    switch found["algorithm"]?.uppercased() {
    case nil, "MD5": algorithm = .md5
    case "SHA-256": algorithm = .sha256
    default: return nil
    }
    if let offered = found["qop"] {
      let words = offered.split(separator: ",").map { $0.filter { $0 != " " } }
      guard words.contains("auth") else { return nil }
      hasQualityOfProtection = true
    } else {
      hasQualityOfProtection = false
    }
    self.realm = realm
    self.nonce = nonce
    opaque = found["opaque"]
  }

  /// The strongest of several challenges that we can answer.
  static func best(of values: [String]) -> DigestChallenge? {
    let known = values.compactMap { DigestChallenge($0) }
    return known.first { $0.algorithm == .sha256 } ?? known.first
  }

  /// The value of the `Authorization` field. `cnonce` is a draw of the caller's.
  func answer(username: String, secret: String, method: String, uri: String, cnonce: String) -> String {
    func hash(_ parts: String...) -> String { algorithm.hex(Array(parts.joined(separator: ":").utf8)) }
    let account = hash(username, realm, secret)
    let request = hash(method, uri)
    let response =
      hasQualityOfProtection
      ? hash(account, nonce, "00000001", cnonce, "auth", request) : hash(account, nonce, request)
    func quoted(_ text: String) -> String {
      "\"" + text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : "\($0)" }.joined() + "\""
    }
    var fields = [
      "username=" + quoted(username), "realm=" + quoted(realm), "nonce=" + quoted(nonce),
      "uri=" + quoted(uri), "response=" + quoted(response), "algorithm=" + algorithm.text,
    ]
    if hasQualityOfProtection { fields += ["cnonce=" + quoted(cnonce), "qop=auth", "nc=00000001"] }
    if let opaque { fields.append("opaque=" + quoted(opaque)) }
    return "Digest " + fields.joined(separator: ", ")
  }
}
