internal import Wire

// Candidate attributes of session descriptions (RFC 8839 section 5.1, RFC 6544 section 4.5).

/// Why a candidate line gives no candidate. None of these is an error of the description: a line we cannot use is
/// skipped.
package enum CandidateError: Error, Hashable, Sendable {
  /// Longer than 512 bytes, or not the grammar.
  case malformed
  /// Another transport than UDP and TCP, or another kind than the four.
  case unsupported
  /// A name in place of an address: `.local` and all others, which we never look up.
  case name
}

extension Candidate {
  /// The longest line that is read.
  package static let lineLimit = 512

  /// Reads `candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host …`, with or without the leading `a=` or without
  /// `candidate:`. Extensions that we do not know are passed over.
  package init(line: some StringProtocol) throws(CandidateError) {
    try self.init(ascii: Array(line.utf8))
  }

  /// The same over bytes.
  package init(ascii line: [UInt8]) throws(CandidateError) {
    guard line.count <= Candidate.lineLimit else { throw .malformed }
    var words = line.split(whereSeparator: { $0 == 32 || $0 == 13 || $0 == 10 })[...]
    guard var first = words.popFirst() else { throw .malformed }
    for prefix in ["a=", "candidate:"] where first.starts(with: prefix.utf8) {
      first = first.dropFirst(prefix.utf8.count)
    }
    guard (1...32).contains(first.count), first.allSatisfy(Candidate.isIceCharacter), words.count >= 6,
      let component = UInt16(digits: words[words.startIndex]), (1...256).contains(component),
      let priority = UInt32(digits: words[words.startIndex + 2]),
      let port = UInt16(digits: words[words.startIndex + 4]),
      words[words.startIndex + 5].elementsEqual("typ".utf8), words.count >= 7
    else { throw .malformed }
    let transportName = words[words.startIndex + 1]
    let address = Array(words[words.startIndex + 3])
    let kindName = words[words.startIndex + 6]
    words = words.dropFirst(7)

    let isUDP = ASCII.equalIgnoringCase(transportName, "udp".utf8)
    guard isUDP || ASCII.equalIgnoringCase(transportName, "tcp".utf8) else { throw .unsupported }
    switch String(decoding: kindName, as: UTF8.self) {
    case "host": kind = .host
    case "srflx": kind = .serverReflexive
    case "prflx": kind = .peerReflexive
    case "relay": kind = .relayed
    default: throw .unsupported
    }

    var relatedAddress: IPAddress?
    var relatedPort: UInt16?
    var form: CandidateTransport = isUDP ? .udp : .tcpPassive
    var hasForm = isUDP
    while let name = words.popFirst(), let value = words.popFirst() {
      switch String(decoding: name, as: UTF8.self) {
      case "raddr": relatedAddress = IPAddress(ascii: Array(value).span)
      case "rport": relatedPort = UInt16(digits: value)
      case "tcptype" where !isUDP:
        hasForm = true
        switch String(decoding: value, as: UTF8.self) {
        case "active": form = .tcpActive
        case "passive": form = .tcpPassive
        case "so": form = .tcpSimultaneous
        default: throw .unsupported
        }
      default: break
      }
    }
    guard hasForm else { throw .malformed }
    guard let address = IPAddress(ascii: address.span) else { throw .name }
    foundation = String(decoding: first, as: UTF8.self)
    self.component = component
    self.transport = form
    self.priority = priority
    self.endpoint = Endpoint(address, port: port)
    related = relatedAddress.map { Endpoint($0, port: relatedPort ?? 0) }
  }

  /// Letters, digits, `+` and `/`: what foundations, fragments and passwords are made of. `-` and `_` are taken
  /// too, for some peers write base64url.
  static func isIceCharacter(_ byte: UInt8) -> Bool {
    ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "/")
      || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
  }

  /// The value of the attribute: `candidate:1 1 udp … typ host`. The related address is written as `0.0.0.0 0`
  /// (RFC 8839 section 5.1): what stands behind our translator is nobody's business.
  package var line: String {
    var text =
      "candidate:\(foundation) \(component) \(transport.isTCP ? "tcp" : "udp") \(priority)"
      + " \(endpoint.address) \(endpoint.port) typ \(kind.name)"
    if kind != .host { text += endpoint.address.isV4 ? " raddr 0.0.0.0 rport 0" : " raddr :: rport 0" }
    switch transport {
    case .udp: break
    case .tcpActive: text += " tcptype active"
    case .tcpPassive: text += " tcptype passive"
    case .tcpSimultaneous: text += " tcptype so"
    }
    return text
  }
}

extension FixedWidthInteger {
  /// Decimal digits alone, without sign or blanks; nil for anything else or too much.
  init?(digits: some Collection<UInt8>) {
    guard !digits.isEmpty, digits.count <= 20 else { return nil }
    var value: Self = 0
    for byte in digits {
      guard ASCII.isDigit(byte) else { return nil }
      let (tens, isOver) = value.multipliedReportingOverflow(by: 10)
      let (sum, isOver2) = tens.addingReportingOverflow(Self(byte - 48))
      guard !isOver, !isOver2 else { return nil }
      value = sum
    }
    self = value
  }
}
