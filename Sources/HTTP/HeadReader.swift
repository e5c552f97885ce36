internal import Wire

/// Turns the bytes of a whole head into a request or a response, by Wire's index of it.
///
/// Wire's parser serves SIP too, whose fields may be folded or have a blank before the colon; here both are
/// refused, because two servers that read such a line differently can be made to see different requests.
struct HeadReader: Sendable {
  private var index = HeadIndex()

  mutating func request(_ head: [UInt8], limits: HeadLimits) throws(HTTPFault) -> HTTPRequest {
    let fields = try read(head, limits: limits)
    let parts = head[index.startLine].split(separator: 32, omittingEmptySubsequences: false)
    guard parts.count == 3 else { throw .malformedStartLine }
    let name = Array(parts[0])
    guard !name.isEmpty, name.allSatisfy(ASCII.isToken) else { throw .malformedStartLine }
    let method = HTTPMethod(String(decoding: name, as: UTF8.self))
    let version = try HeadReader.version(Array(parts[2]))
    var request = HTTPRequest(
      method, try HeadReader.target(Array(parts[1]), method: method), fields: fields, version: version)
    let hosts = fields.values("Host")
    guard hosts.count == 1 || hosts.isEmpty && version == .http10 else { throw .hostNotOne }
    if let expectation = fields["Expect"] {
      guard ASCII.equalIgnoringCase(expectation, "100-continue") else { throw .unsupported }
      // A client of HTTP/1.0 cannot have meant it (RFC 9110 section 10.1.1).
      if version == .http10 { request.fields.remove("Expect") }
    }
    return request
  }

  mutating func response(_ head: [UInt8], limits: HeadLimits) throws(HTTPFault) -> HTTPResponse {
    let fields = try read(head, limits: limits)
    let line = Array(head[index.startLine])
    guard line.count >= 12, line[8] == 32, line.count == 12 || line[12] == 32 else {
      throw .malformedStartLine
    }
    let version = try HeadReader.version(Array(line[..<8]))
    guard line[9..<12].allSatisfy(ASCII.isDigit) else { throw .malformedStartLine }
    let status = line[9..<12].reduce(0) { $0 * 10 + Int($1 - 48) }
    guard (100...599).contains(status) else { throw .malformedStartLine }
    return HTTPResponse(status, fields: fields, version: version)
  }

  private mutating func read(_ head: [UInt8], limits: HeadLimits) throws(HTTPFault) -> HTTPFields {
    let isWhole: Bool
    do throws(HeadError) {
      isWhole = try index.index(head.span, from: 0, limits: limits)
    } catch {
      switch error {
      case .tooLong: throw HTTPFault.headTooLong
      case .tooManyFields: throw HTTPFault.tooManyFields
      case .emptyStartLine: throw HTTPFault.malformedStartLine
      case .malformedField: throw HTTPFault.malformedField
      case .bareLineEnd: throw HTTPFault.bareLineEnd
      }
    }
    guard isWhole else { throw .malformedField }
    var fields = HTTPFields()
    for field in index.fields {
      let value = head[field.value]
      // A value that begins on its second line is folded too, though no line end is inside it.
      let gap = head[field.name.upperBound..<field.value.lowerBound]
      guard !field.isFolded, !gap.contains(13) else { throw .foldedField }
      guard !field.isSpaced else { throw .malformedField }
      guard value.allSatisfy({ $0 >= 32 && $0 != 127 || $0 == 9 }) else { throw .malformedField }
      fields.append(
        String(decoding: head[field.name], as: UTF8.self), String(decoding: value, as: UTF8.self))
    }
    return fields
  }

  private static func version(_ text: [UInt8]) throws(HTTPFault) -> HTTPVersion {
    guard text.count == 8, text.starts(with: "HTTP/".utf8), ASCII.isDigit(text[5]),
      text[6] == UInt8(ascii: "."), ASCII.isDigit(text[7])
    else { throw .malformedStartLine }
    guard text[5] == UInt8(ascii: "1") else { throw .unsupportedVersion }
    // A later minor version is understood as the one we speak (RFC 9110 section 2.5).
    return text[7] == UInt8(ascii: "0") ? .http10 : .http11
  }

  /// Origin form as it is, absolute form cut to it, `*` for OPTIONS (RFC 9112 section 3.2).
  private static func target(_ text: [UInt8], method: HTTPMethod) throws(HTTPFault) -> String {
    guard !text.isEmpty, text.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "#") }) else {
      throw .malformedStartLine
    }
    if method == .other("CONNECT") { throw .unsupported }
    if text[0] == UInt8(ascii: "/") { return String(decoding: text, as: UTF8.self) }
    if text == [UInt8(ascii: "*")], method == .options { return "*" }
    for scheme in ["http://", "https://"] where text.count > scheme.utf8.count {
      guard ASCII.equalIgnoringCase(text[..<scheme.utf8.count], scheme.utf8) else { continue }
      let rest = text[scheme.utf8.count...]
      let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
      guard end > rest.startIndex else { throw .malformedStartLine }
      let path = String(decoding: rest[end...], as: UTF8.self)
      return path.first == "/" ? path : "/" + path
    }
    throw .malformedStartLine
  }
}

/// Writes heads. What a value must not contain (control characters, so also line ends) becomes a blank: a value that
/// came from a directory or a peer cannot begin a new field.
enum HeadWriter {
  static func append(_ request: HTTPRequest, to out: inout [UInt8]) {
    out.append(contentsOf: request.method.name.utf8)
    out.append(32)
    append(text: request.target, to: &out)
    out.append(contentsOf: " HTTP/1.1\r\n".utf8)
    append(request.fields, to: &out)
  }

  static func append(_ response: HTTPResponse, to out: inout [UInt8]) {
    out.append(contentsOf: "HTTP/1.1 \(response.status) \(HTTPResponse.reason(response.status))\r\n".utf8)
    append(response.fields, to: &out)
  }

  private static func append(_ fields: HTTPFields, to out: inout [UInt8]) {
    for field in fields.lines {
      append(text: field.name, to: &out)
      out.append(UInt8(ascii: ":"))
      out.append(32)
      append(text: field.value, to: &out)
      out.append(13)
      out.append(10)
    }
    out.append(13)
    out.append(10)
  }

  private static func append(text: String, to out: inout [UInt8]) {
    for byte in text.utf8 { out.append(byte < 32 || byte == 127 ? 32 : byte) }
  }
}
