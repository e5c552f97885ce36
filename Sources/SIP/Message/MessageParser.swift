internal import Wire

/// Where everything lies in one message: the outcome of the single parse that decides whether a message is taken.
///
/// What is checked here is what every receiver needs, whatever it does with the message: start line, the six
/// fields every message has, body length, and the syntax of Contact. What is left unchecked until someone asks:
/// every other field. RFC 4475's table (in the tests) is the measure.
struct MessageParts: Sendable {
  var index = HeadIndex()
  var isRequest = true
  var method: Method = .invite
  var uri: Grammar.URIParts?
  var status = 0
  @Grammar.Packed var reason: Range<Int> = 0..<0
  var cseq: UInt32 = 0
  /// Places among the fields.
  var via = 0
  var from = 0
  var to = 0
  var callID = 0
  var topVia = Grammar.ViaParts(transport: 0..<0, host: 0..<0, port: -1, parameters: 0..<0, end: 0)
  @Grammar.PackedOptional var fromTag: Range<Int>?
  @Grammar.PackedOptional var toTag: Range<Int>?
  @Grammar.PackedOptional var fromUser: Range<Int>?
  @Grammar.PackedOptional var toUser: Range<Int>?
  var maxForwards: Int?
  var end = 0

  init(_ bytes: Span<UInt8>, _ framing: Framing) throws(SIPParseError) {
    do throws(SIPParseError) {
      try parse(bytes, framing)
    } catch {
      // Responses and ACK are never answered.
      var error = error
      if !isRequest || method == .ack { error.status = nil }
      throw error
    }
  }

  private mutating func parse(_ bytes: Span<UInt8>, _ framing: Framing) throws(SIPParseError) {
    var headProblem: SIPParseError?
    do throws(HeadError) {
      let isWhole = try index.index(bytes, limits: framing == .datagram ? .datagram : .stream)
      if !isWhole { headProblem = SIPParseError(.incompleteHead, at: bytes.count, status: 400) }
    } catch {
      headProblem =
        switch error {
        case .tooLong, .tooManyFields: SIPParseError(.tooLarge, at: 0, status: 513)
        case .emptyStartLine: SIPParseError(.malformedStartLine, at: 0, status: nil)
        case .malformedField(let at), .bareLineEnd(let at): SIPParseError(.malformedHead, at: at, status: 400)
        }
    }
    // The start line comes first even so: it tells whether the trouble may be answered.
    try parseStartLine(bytes)
    if let headProblem { throw headProblem }
    try parseFields(bytes, framing)
  }

  // MARK: Start line

  private mutating func parseStartLine(_ bytes: Span<UInt8>) throws(SIPParseError) {
    let line = index.startLine
    if line.count >= 5, bytes[line.lowerBound + 3] == UInt8(ascii: "/"),
      ASCII.isDigit(bytes[line.lowerBound + 4]),
      Grammar.equals(bytes, line.lowerBound..<line.lowerBound + 3, .sip)
    {
      isRequest = false
      try parseStatusLine(bytes, line)
      return
    }
    let methodEnd = Grammar.skipToken(bytes, line.lowerBound, line.upperBound)
    guard methodEnd > line.lowerBound, methodEnd < line.upperBound, bytes[methodEnd] == 32 else {
      throw SIPParseError(.malformedStartLine, at: methodEnd, status: 400)
    }
    method = MessageParts.method(bytes, line.lowerBound..<methodEnd)
    let uriStart = methodEnd + 1
    var uriEnd = uriStart
    while uriEnd < line.upperBound, bytes[uriEnd] != 32 { uriEnd += 1 }
    let version = min(uriEnd + 1, line.upperBound)..<line.upperBound
    guard uriEnd > uriStart, let isTwo = MessageParts.isVersionTwo(bytes, version) else {
      throw SIPParseError(.malformedStartLine, at: uriEnd, status: 400)
    }
    guard isTwo else { throw SIPParseError(.unknownVersion, at: version.lowerBound, status: 505) }
    guard let parts = Grammar.uri(bytes, uriStart..<uriEnd), parts.headers == nil else {
      throw SIPParseError(.malformedRequestURI, at: uriStart, status: 400)
    }
    guard parts.scheme != .other else { throw SIPParseError(.unknownScheme, at: uriStart, status: 416) }
    uri = parts
  }

  private mutating func parseStatusLine(_ bytes: Span<UInt8>, _ line: Range<Int>) throws(SIPParseError) {
    var position = line.lowerBound
    while position < line.upperBound, bytes[position] != 32 { position += 1 }
    guard let isTwo = MessageParts.isVersionTwo(bytes, line.lowerBound..<position) else {
      throw SIPParseError(.malformedStartLine, at: position, status: nil)
    }
    guard isTwo else { throw SIPParseError(.unknownVersion, at: 0, status: nil) }
    let codeStart = min(position + 1, line.upperBound)
    var codeEnd = codeStart
    while codeEnd < line.upperBound, bytes[codeEnd] != 32 { codeEnd += 1 }
    guard codeEnd - codeStart == 3, let code = Grammar.number(bytes, codeStart..<codeEnd, limit: 699),
      code >= 100
    else { throw SIPParseError(.malformedStatusCode, at: codeStart, status: nil) }
    status = Int(code)
    reason = min(codeEnd + 1, line.upperBound)..<line.upperBound
  }

  /// Whether the range says `SIP/2.0`; nil when it is no SIP version at all.
  private static func isVersionTwo(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool? {
    let start = range.lowerBound
    guard range.count >= 7, Grammar.equals(bytes, start..<start + 3, .sip), bytes[start + 3] == 47 else {
      return nil
    }
    if range.count == 7, bytes[start + 4] == 50, bytes[start + 5] == 46, bytes[start + 6] == 48 {
      return true
    }
    var hasDot = false
    for position in start + 4..<range.upperBound {
      if bytes[position] == 46, !hasDot {
        hasDot = true
      } else if !ASCII.isDigit(bytes[position]) {
        return nil
      }
    }
    return hasDot ? false : nil
  }

  static func method(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Method {
    if range.count <= 8 {
      var word: UInt64 = 0
      for position in range { word = word << 8 | UInt64(bytes[position]) }
      // The letters of each name, first highest.
      switch word {
      case 0x494E_5649_5445: return .invite
      case 0x41_434B: return .ack
      case 0x42_5945: return .bye
      case 0x4341_4E43_454C: return .cancel
      case 0x5245_4749_5354_4552: return .register
      case 0x4F_5054_494F_4E53: return .options
      case 0x494E_464F: return .info
      case 0x5550_4441_5445: return .update
      case 0x50_5241_434B: return .prack
      case 0x52_4546_4552: return .refer
      case 0x4E4F_5449_4659: return .notify
      case 0x4D_4553_5341_4745: return .message
      case 0x50_5542_4C49_5348: return .publish
      default: break
      }
    }
    return Method(Text.string(bytes, range))
  }

  // MARK: Header fields

  private mutating func parseFields(_ bytes: Span<UInt8>, _ framing: Framing) throws(SIPParseError) {
    let table = HeaderTable.shared
    var seen: UInt8 = 0
    var contentLength: Int?
    var viaValues = 0
    var cseqMethod = 0..<0
    var isRegisterable = true

    func once(_ bit: UInt8, _ name: HeaderName, _ at: Int) throws(SIPParseError) {
      guard seen & bit == 0 else { throw SIPParseError(.repeated(name), at: at, status: 400) }
      seen |= bit
    }

    for place in index.fields.indices {
      let field = index.fields[place]
      let tag = table.tag(field.nameKey, field.name, bytes)
      index.fields[place].tag = tag
      let range = field.value
      switch HeaderName(rawValue: tag) {
      case .via:
        if seen & 1 == 0 {
          seen |= 1
          via = place
          guard let parts = Grammar.via(bytes, range.lowerBound, range.upperBound) else {
            throw SIPParseError(.malformed(.via), at: range.lowerBound, status: 400)
          }
          topVia = parts
          viaValues = parts.end < range.upperBound ? 2 : 1
        } else {
          viaValues += 1
        }
      case .from:
        try once(2, .from, range.lowerBound)
        from = place
        let parts = try address(bytes, range, .from)
        fromTag = parts.tag
        fromUser = parts.uri.user
      case .to:
        try once(4, .to, range.lowerBound)
        to = place
        let parts = try address(bytes, range, .to)
        toTag = parts.tag
        toUser = parts.uri.user
        isRegisterable = parts.uri.scheme == .sip || parts.uri.scheme == .sips
      case .callID:
        try once(8, .callID, range.lowerBound)
        callID = place
        guard !range.isEmpty else {
          throw SIPParseError(.malformed(.callID), at: range.lowerBound, status: 400)
        }
      case .cseq:
        try once(16, .cseq, range.lowerBound)
        guard let parts = Grammar.cseq(bytes, range) else {
          throw SIPParseError(.malformed(.cseq), at: range.lowerBound, status: 400)
        }
        cseq = parts.number
        cseqMethod = parts.method
      case .maxForwards:
        try once(32, .maxForwards, range.lowerBound)
        guard let value = Grammar.number(bytes, range, limit: 255) else {
          throw SIPParseError(.malformed(.maxForwards), at: range.lowerBound, status: 400)
        }
        maxForwards = Int(value)
      case .contentLength:
        try once(64, .contentLength, range.lowerBound)
        guard let value = Grammar.number(bytes, range, limit: UInt64(Int32.max)) else {
          throw SIPParseError(.malformed(.contentLength), at: range.lowerBound, status: 400)
        }
        contentLength = Int(value)
      case .contentType:
        try once(128, .contentType, range.lowerBound)
      case .contact:
        try checkContact(bytes, range)
      default: break
      }
    }

    for (bit, name) in [(1, .via), (16, .cseq), (8, .callID), (2, .from), (4, .to)] as [(UInt8, HeaderName)]
    where seen & bit == 0 {
      throw SIPParseError(.missing(name), at: index.bodyStart, status: 400)
    }
    let sent = MessageParts.method(bytes, cseqMethod)
    if isRequest {
      guard sent == method else {
        throw method.isKnown
          ? SIPParseError(.methodMismatch, at: cseqMethod.lowerBound, status: 400)
          : SIPParseError(.unknownMethod, at: 0, status: 501)
      }
      // The cookie alone names no transaction (RFC 4475, 3.2.1).
      if let branch = topVia.branch, branch.count == 7,
        ASCII.equalIgnoringCase(Text.string(bytes, branch), Via.cookie)
      {
        throw SIPParseError(.emptyBranch, at: branch.lowerBound, status: 400)
      }
      if method == .register, !isRegisterable {
        throw SIPParseError(.malformed(.to), at: index.fields[to].value.lowerBound, status: 400)
      }
    } else {
      method = sent
      // A response for us carries our Via and no other (RFC 3261, 8.1.3.3).
      guard viaValues == 1 else { throw SIPParseError(.foreignVia, at: 0, status: nil) }
    }

    if let contentLength {
      end = index.bodyStart + contentLength
      guard end <= bytes.count else { throw SIPParseError(.shortBody, at: bytes.count, status: 400) }
    } else {
      guard framing == .datagram else {
        throw SIPParseError(.missingContentLength, at: index.bodyStart, status: 400)
      }
      end = bytes.count
    }
  }

  private func address(
    _ bytes: Span<UInt8>, _ range: Range<Int>, _ name: HeaderName
  ) throws(SIPParseError) -> Grammar.AddressParts {
    guard let parts = Grammar.address(bytes, range.lowerBound, range.upperBound),
      parts.end == range.upperBound
    else { throw SIPParseError(.malformed(name), at: range.lowerBound, status: 400) }
    return parts
  }

  private func checkContact(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(SIPParseError) {
    if range.count == 1, bytes[range.lowerBound] == UInt8(ascii: "*") { return }
    var position = range.lowerBound
    while position < range.upperBound {
      guard let parts = Grammar.address(bytes, position, range.upperBound) else {
        throw SIPParseError(.malformed(.contact), at: position, status: 400)
      }
      position = parts.end + 1
    }
  }
}
