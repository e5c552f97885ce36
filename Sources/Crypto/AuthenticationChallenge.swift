internal import Wire

/// One way to prove who we are, as a server's `WWW-Authenticate` or `Proxy-Authenticate` offers it (RFC 9110 section
/// 11.6.1).
package enum AuthenticationChallenge: Hashable, Sendable {
  case basic
  case digest(DigestChallenge)

  /// Every challenge of one field value that we can answer, at most eight; several may stand in one, between commas.
  package static func all(in value: String) -> [AuthenticationChallenge] {
    var reader = ParameterReader(Array(value.utf8))
    var result: [AuthenticationChallenge] = []
    while let scheme = reader.scheme(), result.count < 8 {
      let parameters = reader.parameters()
      if ASCII.equalIgnoringCase(scheme, "Basic") {
        result.append(.basic)
      } else if ASCII.equalIgnoringCase(scheme, "Digest"), let digest = DigestChallenge(parameters) {
        result.append(.digest(digest))
      }
    }
    return result
  }

  package var digest: DigestChallenge? { if case .digest(let digest) = self { digest } else { nil } }
}

extension [AuthenticationChallenge] {
  /// The first Digest with this algorithm, else the first with any.
  package func digest(preferring algorithm: DigestAlgorithm) -> DigestChallenge? {
    let digests = compactMap(\.digest)
    return digests.first { $0.algorithm == algorithm } ?? digests.first
  }
}

/// Reads `scheme name=value, name="value", scheme …`.
private struct ParameterReader {
  private let bytes: [UInt8]
  private var place = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  private mutating func skip(_ isSkipped: (UInt8) -> Bool) {
    while place < bytes.count, isSkipped(bytes[place]) { place += 1 }
  }

  private mutating func word() -> String {
    let start = place
    skip(ASCII.isToken)
    return String(decoding: bytes[start..<place], as: UTF8.self)
  }

  /// The next scheme's name; nil at the end, or where no word stands.
  mutating func scheme() -> String? {
    skip { ASCII.isLinearBlank($0) || $0 == UInt8(ascii: ",") }
    let name = word()
    return name.isEmpty ? nil : name
  }

  /// The pairs up to the next scheme; names in lower case. At most 32.
  mutating func parameters() -> [(name: String, value: String)] {
    var pairs: [(name: String, value: String)] = []
    while pairs.count < 32 {
      let start = place
      skip { ASCII.isLinearBlank($0) || $0 == UInt8(ascii: ",") }
      let name = word()
      skip(ASCII.isLinearBlank)
      guard !name.isEmpty, place < bytes.count, bytes[place] == UInt8(ascii: "=") else {
        // The beginning of another scheme.
        place = start
        break
      }
      place += 1
      skip(ASCII.isLinearBlank)
      var value: [UInt8] = []
      if place < bytes.count, bytes[place] == UInt8(ascii: "\"") {
        place += 1
        while place < bytes.count, bytes[place] != UInt8(ascii: "\"") {
          if bytes[place] == UInt8(ascii: "\\"), place + 1 < bytes.count { place += 1 }
          value.append(bytes[place])
          place += 1
        }
        place = min(bytes.count, place + 1)
      } else {
        let begin = place
        skip { $0 != UInt8(ascii: ",") && !ASCII.isLinearBlank($0) }
        value = Array(bytes[begin..<place])
      }
      pairs.append(
        (
          String(decoding: name.utf8.map(ASCII.lowered), as: UTF8.self),
          String(decoding: value, as: UTF8.self)
        ))
    }
    return pairs
  }
}
