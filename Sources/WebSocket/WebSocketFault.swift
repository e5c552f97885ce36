/// Why a connection ends (RFC 6455 section 7.4, and IANA's registry of close codes).
package struct WebSocketCloseCode: RawRepresentable, Hashable, Sendable {
  package var rawValue: UInt16
  package init(rawValue: UInt16) { self.rawValue = rawValue }

  package static let normal = WebSocketCloseCode(rawValue: 1000)
  package static let goingAway = WebSocketCloseCode(rawValue: 1001)
  package static let protocolError = WebSocketCloseCode(rawValue: 1002)
  package static let unsupportedData = WebSocketCloseCode(rawValue: 1003)
  package static let invalidPayload = WebSocketCloseCode(rawValue: 1007)
  package static let policyViolation = WebSocketCloseCode(rawValue: 1008)
  package static let messageTooBig = WebSocketCloseCode(rawValue: 1009)
  package static let internalError = WebSocketCloseCode(rawValue: 1011)
  package static let tryAgainLater = WebSocketCloseCode(rawValue: 1013)

  /// Whether it may stand in a Close frame: 1004 to 1006 and 1015 are for use within a program, the rest below
  /// 3000 is the registry's, up to 4999 is free.
  package var maySay: Bool {
    switch rawValue {
    case 1000...1003, 1007...1014, 3000...4999: true
    default: false
    }
  }
}

/// What a peer did that ends its connection.
package enum WebSocketFault: Error, Hashable, Sendable {
  /// A reserved bit is set; no extension was agreed on that would mean something by it.
  case reservedBits
  case reservedOpcode(UInt8)
  /// A control frame of more than 125 bytes.
  case controlTooLong
  /// A control frame that is not final.
  case controlFragmented
  /// A continuation of nothing.
  case nothingToContinue
  /// A new message in the middle of another.
  case messageInterrupted
  /// A client's frame that is not masked.
  case notMasked
  /// A server's frame that is.
  case masked
  /// A length that fits in fewer bytes than it takes, or has its highest bit set.
  case malformedLength
  /// A Close frame whose payload is one byte, or whose code must not be sent.
  case malformedClose
  case notUTF8
  case frameTooLong
  case messageTooLong
  case tooManyFragments
  /// A message that was begun and not finished in time.
  case tooSlow
  /// No answer to a ping.
  case silent

  /// What the peer is told.
  package var code: WebSocketCloseCode {
    switch self {
    case .reservedBits, .reservedOpcode, .controlTooLong, .controlFragmented, .nothingToContinue,
      .messageInterrupted, .notMasked, .masked, .malformedLength, .malformedClose:
      .protocolError
    case .notUTF8: .invalidPayload
    case .frameTooLong, .messageTooLong: .messageTooBig
    case .tooManyFragments, .tooSlow, .silent: .policyViolation
    }
  }
}

extension WebSocketFault: CustomStringConvertible {
  package var description: String {
    switch self {
    case .reservedBits: "a reserved bit is set"
    case .reservedOpcode(let number): "the opcode \(number) is reserved"
    case .controlTooLong: "a control frame is longer than 125 bytes"
    case .controlFragmented: "a control frame is fragmented"
    case .nothingToContinue: "a continuation without a beginning"
    case .messageInterrupted: "a message begins inside another"
    case .notMasked: "a client's frame is not masked"
    case .masked: "a server's frame is masked"
    case .malformedLength: "a malformed length"
    case .malformedClose: "a malformed Close"
    case .notUTF8: "the text is not UTF-8"
    case .frameTooLong: "a frame is too long"
    case .messageTooLong: "the message is too long"
    case .tooManyFragments: "the message has too many fragments"
    case .tooSlow: "the message took too long"
    case .silent: "no answer to a ping"
    }
  }
}
