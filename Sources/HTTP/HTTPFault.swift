/// What is wrong with what a peer sent, or failed to send.
package enum HTTPFault: Error, Hashable, Sendable {
  /// A request or status line that is not one.
  case malformedStartLine
  /// Neither HTTP/1.0 nor HTTP/1.1.
  case unsupportedVersion
  /// A field line without a name, with a blank before its colon, or with control characters.
  case malformedField
  /// A field continued on the next line (obs-fold, RFC 9112 section 5.2).
  case foldedField
  /// A line that ends without CR, or a CR that ends no line.
  case bareLineEnd
  case headTooLong
  case targetTooLong
  case tooManyFields
  /// HTTP/1.1 without Host, or any request with two.
  case hostNotOne
  /// A Content-Length that is no number, or is given twice.
  case malformedLength
  /// Content-Length together with Transfer-Encoding, or Transfer-Encoding in HTTP/1.0: how requests are smuggled.
  case conflictingLength
  /// A transfer coding other than `chunked`.
  case unknownCoding
  /// A CONNECT, or an expectation other than 100-continue.
  case unsupported
  case malformedChunk
  case bodyTooLong
  /// The peer took longer than a named limit.
  case timedOut
  /// The connection ended in the middle of a message.
  case truncated
  /// The peer spoke when it had nothing to answer.
  case unexpected

  /// What a server answers before it closes.
  package var status: Int {
    switch self {
    case .malformedStartLine, .malformedField, .foldedField, .bareLineEnd, .hostNotOne, .malformedLength,
      .conflictingLength, .malformedChunk, .truncated, .unexpected:
      400
    case .unsupportedVersion: 505
    case .headTooLong, .tooManyFields: 431
    case .targetTooLong: 414
    case .unknownCoding, .unsupported: 501
    case .bodyTooLong: 413
    case .timedOut: 408
    }
  }
}

extension HTTPFault: CustomStringConvertible {
  package var description: String {
    switch self {
    case .malformedStartLine: "the first line is not HTTP"
    case .unsupportedVersion: "neither HTTP/1.0 nor HTTP/1.1"
    case .malformedField: "a malformed header field"
    case .foldedField: "a folded header field"
    case .bareLineEnd: "a line that does not end with CR LF"
    case .headTooLong: "the header is too long"
    case .targetTooLong: "the address is too long"
    case .tooManyFields: "too many header fields"
    case .hostNotOne: "not exactly one Host"
    case .malformedLength: "a malformed Content-Length"
    case .conflictingLength: "Content-Length and Transfer-Encoding contradict each other"
    case .unknownCoding: "an unknown transfer coding"
    case .unsupported: "an unsupported method or expectation"
    case .malformedChunk: "a malformed chunk"
    case .bodyTooLong: "the body is too long"
    case .timedOut: "too slow"
    case .truncated: "the connection ended in the middle of a message"
    case .unexpected: "bytes that nobody asked for"
    }
  }
}
