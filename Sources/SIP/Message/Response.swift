package import Wire

/// A response under construction, written straight into its bytes.
///
/// The fields that RFC 3261, 8.2.6 wants copied are copied as they were written. Add others, then `encoded`.
package struct Response: Sendable {
  package let status: Int
  private var bytes: [UInt8] = []

  /// Begins the answer to `request`. `tag` becomes To's tag where the request has none and the status is above
  /// 100. With `source`, the topmost Via is told where the request really came from (RFC 3261, 18.2.1; RFC 3581).
  package init(
    to request: Message, status: Int, reason: String? = nil, tag: String? = nil, source: Endpoint? = nil
  ) {
    self.status = status
    bytes.reserveCapacity(512)
    Response.appendStatusLine(status, reason, to: &bytes)
    let all = request.bytes
    let span = all.span
    let parts = request.parts
    for place in parts.index.fields.indices {
      let field = parts.index.fields[place]
      switch HeaderName(rawValue: field.tag) {
      case .via:
        bytes.append(ascii: "Via: ")
        if place == parts.via, let source {
          Response.appendTopVia(span, field.value, parts.topVia, source, to: &bytes)
        } else {
          Text.appendUnfolded(span, field.value, to: &bytes)
        }
        bytes.append(ascii: "\r\n")
      case .recordRoute where status > 100 && status < 300:
        Response.append(ascii: "Record-Route: ", span, field.value, to: &bytes)
      case .timestamp where status == 100:
        Response.append(ascii: "Timestamp: ", span, field.value, to: &bytes)
      default: break
      }
    }
    Response.append(ascii: "From: ", span, parts.index.fields[parts.from].value, to: &bytes)
    bytes.append(ascii: "To: ")
    Text.appendUnfolded(span, parts.index.fields[parts.to].value, to: &bytes)
    if parts.toTag == nil, status > 100, let tag {
      bytes.append(ascii: ";tag=")
      Text.append(tag, to: &bytes)
    }
    bytes.append(ascii: "\r\n")
    Response.append(ascii: "Call-ID: ", span, parts.index.fields[parts.callID].value, to: &bytes)
    bytes.append(ascii: "CSeq: ")
    bytes.append(decimal: UInt64(parts.cseq))
    bytes.append(UInt8(ascii: " "))
    Text.append(parts.method.text, to: &bytes)
    bytes.append(ascii: "\r\n")
  }

  package mutating func add(_ name: HeaderName, _ value: String) {
    bytes.append(ascii: name.text)
    bytes.append(ascii: ": ")
    Text.append(value, to: &bytes)
    bytes.append(ascii: "\r\n")
  }

  package mutating func add(_ name: HeaderName, decimal value: UInt64) {
    bytes.append(ascii: name.text)
    bytes.append(ascii: ": ")
    bytes.append(decimal: value)
    bytes.append(ascii: "\r\n")
  }

  package mutating func add(_ name: HeaderName, _ address: NameAddress) {
    bytes.append(ascii: name.text)
    bytes.append(ascii: ": ")
    address.append(to: &bytes)
    bytes.append(ascii: "\r\n")
  }

  package mutating func add(named name: String, _ value: String) {
    Text.append(name, to: &bytes)
    bytes.append(ascii: ": ")
    Text.append(value, to: &bytes)
    bytes.append(ascii: "\r\n")
  }

  /// Adds a field whose value `write` appends. It must write no line end.
  package mutating func add(_ name: HeaderName, write: (inout [UInt8]) -> Void) {
    bytes.append(ascii: name.text)
    bytes.append(ascii: ": ")
    write(&bytes)
    bytes.append(ascii: "\r\n")
  }

  /// The whole response: what was added, Content-Length, and the body.
  package consuming func encoded(body: [UInt8] = [], contentType: String? = nil) -> [UInt8] {
    var bytes = self.bytes
    self.bytes = []
    if let contentType {
      bytes.append(ascii: "Content-Type: ")
      Text.append(contentType, to: &bytes)
      bytes.append(ascii: "\r\n")
    }
    bytes.append(ascii: "Content-Length: ")
    bytes.append(decimal: body.count)
    bytes.append(ascii: "\r\n\r\n")
    bytes.append(contentsOf: body)
    return bytes
  }

  // MARK: Parts shared with `Refusal`

  static func appendStatusLine(_ status: Int, _ reason: String?, to bytes: inout [UInt8]) {
    bytes.append(ascii: "SIP/2.0 ")
    bytes.append(decimal: status)
    bytes.append(UInt8(ascii: " "))
    Text.append(reason ?? Response.reason(for: status), to: &bytes)
    bytes.append(ascii: "\r\n")
  }

  static func append(ascii name: String, _ span: Span<UInt8>, _ value: Range<Int>, to bytes: inout [UInt8]) {
    bytes.append(ascii: name)
    Text.appendUnfolded(span, value, to: &bytes)
    bytes.append(ascii: "\r\n")
  }

  /// The field that holds the topmost Via, with `received` and `rport` as the packet's source says.
  static func appendTopVia(
    _ span: Span<UInt8>, _ field: Range<Int>, _ via: Grammar.ViaParts, _ source: Endpoint,
    to bytes: inout [UInt8]
  ) {
    // An IPv6 reference lies between brackets.
    let inner = span[via.host.lowerBound] == UInt8(ascii: "[") ? 1 : 0
    let host = IPAddress(
      ascii: span.extracting(via.host.lowerBound + inner..<via.host.upperBound - inner))
    guard via.rport != nil || host != source.address else {
      Text.appendUnfolded(span, field, to: &bytes)
      return
    }
    // A `received` or a filled `rport` that the peer wrote itself is not believed.
    var position = field.lowerBound
    Text.appendUnfolded(span, position..<via.parameters.lowerBound, to: &bytes)
    position = via.parameters.lowerBound
    while position < via.end, let parameter = Grammar.parameter(span, position, via.end) {
      let isRport = Grammar.equals(span, parameter.name, .rport)
      let isReceived = Grammar.equals(span, parameter.name, .received)
      if !isRport, !isReceived {
        Text.appendUnfolded(span, position..<parameter.next, to: &bytes)
      }
      position = parameter.next
    }
    while let last = bytes.last, ASCII.isBlank(last) { bytes.removeLast() }
    bytes.append(ascii: ";received=")
    bytes.append(source.address)
    if via.rport != nil {
      bytes.append(ascii: ";rport=")
      bytes.append(decimal: Int(source.port))
    }
    Text.appendUnfolded(span, via.end..<field.upperBound, to: &bytes)
  }

  /// The phrase that RFC 3261 and its kin give a status.
  package static func reason(for status: Int) -> String {
    switch status {
    case 100: "Trying"
    case 180: "Ringing"
    case 181: "Call Is Being Forwarded"
    case 182: "Queued"
    case 183: "Session Progress"
    case 199: "Early Dialog Terminated"
    case 200: "OK"
    case 202: "Accepted"
    case 300: "Multiple Choices"
    case 301: "Moved Permanently"
    case 302: "Moved Temporarily"
    case 305: "Use Proxy"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 406: "Not Acceptable"
    case 407: "Proxy Authentication Required"
    case 408: "Request Timeout"
    case 410: "Gone"
    case 413: "Request Entity Too Large"
    case 414: "Request-URI Too Long"
    case 415: "Unsupported Media Type"
    case 416: "Unsupported URI Scheme"
    case 420: "Bad Extension"
    case 421: "Extension Required"
    case 422: "Session Interval Too Small"
    case 423: "Interval Too Brief"
    case 430: "Flow Failed"
    case 439: "First Hop Lacks Outbound Support"
    case 469: "Bad Info Package"
    case 480: "Temporarily Unavailable"
    case 481: "Call/Transaction Does Not Exist"
    case 482: "Loop Detected"
    case 483: "Too Many Hops"
    case 484: "Address Incomplete"
    case 485: "Ambiguous"
    case 486: "Busy Here"
    case 487: "Request Terminated"
    case 488: "Not Acceptable Here"
    case 489: "Bad Event"
    case 491: "Request Pending"
    case 493: "Undecipherable"
    case 500: "Server Internal Error"
    case 501: "Not Implemented"
    case 502: "Bad Gateway"
    case 503: "Service Unavailable"
    case 504: "Server Time-out"
    case 505: "Version Not Supported"
    case 513: "Message Too Large"
    case 580: "Precondition Failure"
    case 600: "Busy Everywhere"
    case 603: "Decline"
    case 604: "Does Not Exist Anywhere"
    case 606: "Not Acceptable"
    default:
      switch status / 100 {
      case 1: "Progress"
      case 2: "OK"
      case 3: "Redirection"
      case 4: "Request Failure"
      case 5: "Server Failure"
      default: "Global Failure"
      }
    }
  }
}
