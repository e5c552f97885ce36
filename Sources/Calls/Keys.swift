internal import SIP
internal import Wire

/// Keys inside INFO, in the two forms that devices send.
enum KeyBody {
  /// Most keys one INFO may carry.
  static let limit = 16

  /// The keys of a body; nil for a type that is not about keys; empty when it cannot be understood.
  ///
  /// `application/dtmf-relay`: lines `Signal=5` and `Duration=160`, blanks around the equals sign tolerated.
  /// `application/dtmf`: the key alone.
  static func keys(in body: Body) -> [Character]? {
    let type = body.contentType.prefix { $0 != ";" && $0 != " " }
    let text = String(decoding: body.bytes, as: UTF8.self)
    if ASCII.equalIgnoringCase(String(type), "application/dtmf-relay") {
      for line in text.split(whereSeparator: \.isNewline) {
        let halves = line.split(separator: "=", maxSplits: 1)
        guard halves.count == 2, ASCII.equalIgnoringCase(trimmed(halves[0]), "signal") else { continue }
        return keys(trimmed(halves[1]))
      }
      return []
    }
    if ASCII.equalIgnoringCase(String(type), "application/dtmf") {
      let line = text.split(whereSeparator: \.isNewline).first ?? ""
      // Some write `Signal=5` here too.
      let value = line.split(separator: "=", maxSplits: 1).last ?? ""
      return keys(trimmed(value))
    }
    return nil
  }

  /// The body that carries one key.
  static func body(_ key: Character) -> Body {
    Body(contentType: "application/dtmf-relay", bytes: Array("Signal=\(key)\r\nDuration=160\r\n".utf8))
  }

  private static func keys(_ text: String) -> [Character] {
    // Event numbers instead of signs (RFC 4733 section 3.2): 10 is the star, 11 the pound.
    if text == "10" { return ["*"] }
    if text == "11" { return ["#"] }
    let keys = text.map { Character($0.uppercased()) }
    guard keys.count <= limit, keys.allSatisfy({ "0123456789*#ABCD".contains($0) }) else { return [] }
    return keys
  }

  private static func trimmed(_ text: Substring) -> String {
    String(text.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
  }
}
