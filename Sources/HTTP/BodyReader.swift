internal import Wire

/// How long a body is (RFC 9112 section 6.3).
enum BodyFraming: Equatable, Sendable {
  case none
  case length(Int)
  case chunked
  /// To the end of the connection; responses only.
  case untilClose
}

extension BodyFraming {
  /// Framing of a request. Everything that two servers might read differently is refused.
  init(of request: HTTPRequest) throws(HTTPFault) {
    let codings = request.fields.values("Transfer-Encoding")
    let lengths = request.fields.values("Content-Length")
    if codings.isEmpty {
      guard lengths.count <= 1 else { throw .malformedLength }
      guard let text = lengths.first else {
        self = .none
        return
      }
      let length = try BodyFraming.number(text)
      self = length == 0 ? .none : .length(length)
      return
    }
    guard lengths.isEmpty, request.version == .http11 else { throw .conflictingLength }
    guard codings.count == 1, ASCII.equalIgnoringCase(codings[0], "chunked") else { throw .unknownCoding }
    self = .chunked
  }

  /// Framing of the response to a request with `method`.
  init(of response: HTTPResponse, to method: HTTPMethod) throws(HTTPFault) {
    if method == .head || response.status < 200 || response.status == 204 || response.status == 304 {
      self = .none
      return
    }
    let codings = response.fields.values("Transfer-Encoding")
    let lengths = response.fields.values("Content-Length")
    if codings.isEmpty {
      guard let text = lengths.first else {
        self = .untilClose
        return
      }
      // Embedded servers repeat the line; the same number twice cannot mislead anybody.
      guard lengths.allSatisfy({ $0 == text }) else { throw .malformedLength }
      let length = try BodyFraming.number(text)
      self = length == 0 ? .none : .length(length)
      return
    }
    guard lengths.isEmpty else { throw .conflictingLength }
    guard codings.count == 1, ASCII.equalIgnoringCase(codings[0], "chunked") else { throw .unknownCoding }
    self = .chunked
  }

  private static func number(_ text: String) throws(HTTPFault) -> Int {
    guard (1...18).contains(text.utf8.count), text.utf8.allSatisfy(ASCII.isDigit), let value = Int(text)
    else { throw .malformedLength }
    return value
  }
}

/// Reads one body out of a stream, up to a limit.
struct BodyReader: Sendable {
  private enum State: Sendable {
    case length(Int)
    case chunked(ChunkDecoder)
    case untilClose
  }
  private var state: State
  private var left: Int

  /// Nil for no body. A length beyond `limit` is refused before a byte of it is read.
  init?(_ framing: BodyFraming, limit: Int) throws(HTTPFault) {
    left = limit
    switch framing {
    case .none: return nil
    case .length(let length):
      guard length <= limit else { throw .bodyTooLong }
      state = .length(length)
    case .chunked: state = .chunked(ChunkDecoder())
    case .untilClose: state = .untilClose
    }
  }

  /// Whether the end of the connection ends the body in good order.
  var endsWithConnection: Bool { if case .untilClose = state { true } else { false } }

  /// Appends what there is to `body` and moves `position` past it. True when the body has ended.
  mutating func read(
    _ bytes: Span<UInt8>, _ position: inout Int, into body: inout [UInt8]
  ) throws(HTTPFault) -> Bool {
    switch state {
    case .length(let length):
      let count = min(length, bytes.count - position)
      for index in position..<position + count { body.append(bytes[index]) }
      position += count
      state = .length(length - count)
      return length == count
    case .chunked(var decoder):
      let before = body.count
      let hasEnded = try decoder.decode(bytes, &position, into: &body)
      state = .chunked(decoder)
      left -= body.count - before
      guard left >= 0 else { throw .bodyTooLong }
      return hasEnded
    case .untilClose:
      left -= bytes.count - position
      guard left >= 0 else { throw .bodyTooLong }
      for index in position..<bytes.count { body.append(bytes[index]) }
      position = bytes.count
      return false
    }
  }
}
