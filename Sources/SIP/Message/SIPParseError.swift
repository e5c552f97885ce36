/// What is wrong with a message, where, and what its sender deserves.
package struct SIPParseError: Error, Hashable, Sendable {
  package enum Problem: Hashable, Sendable {
    /// The head never ends, or is too large; or it has a bare line end or a line that is no header field.
    case incompleteHead, tooLarge, malformedHead
    case malformedStartLine, malformedRequestURI, malformedStatusCode
    case unknownVersion, unknownScheme, unknownMethod
    case missing(HeaderName), repeated(HeaderName), malformed(HeaderName)
    case methodMismatch
    /// The topmost branch is the magic cookie and nothing more.
    case emptyBranch
    /// A response that went through someone else: its second Via is not ours to follow.
    case foreignVia
    case shortBody, missingContentLength
  }

  package var problem: Problem
  /// Offset of the trouble from the start of the message.
  package var offset: Int
  /// The status to answer a request with; nil means: say nothing (responses, and ACK).
  package var status: Int?

  package init(_ problem: Problem, at offset: Int, status: Int?) {
    self.problem = problem
    self.offset = offset
    self.status = status
  }

  /// What stands after the status in the answer, and in the log.
  package var reason: String {
    switch problem {
    case .incompleteHead: "Incomplete Head"
    case .tooLarge: "Message Too Large"
    case .malformedHead: "Malformed Header Field"
    case .malformedStartLine: "Malformed Request-Line"
    case .malformedRequestURI: "Malformed Request-URI"
    case .malformedStatusCode: "Malformed Status Code"
    case .unknownVersion: "Version Not Supported"
    case .unknownScheme: "Unsupported URI Scheme"
    case .unknownMethod: "Not Implemented"
    case .missing(let name): "Missing \(name.text)"
    case .repeated(let name): "Repeated \(name.text)"
    case .malformed(let name): "Malformed \(name.text)"
    case .methodMismatch: "CSeq Method Mismatch"
    case .emptyBranch: "Empty Branch"
    case .foreignVia: "Foreign Via"
    case .shortBody: "Body Shorter Than Content-Length"
    case .missingContentLength: "Missing Content-Length"
    }
  }
}
