package import Wire

/// Cuts a stream into SIP messages (RFC 3261, 18.3) and finds the keep-alives between them (RFC 5626, 3.5.1).
///
/// Give it bytes with `append`, then call `next` until it wants more. One framer per connection; it holds at most
/// one message and what came behind it, bounded by `limits` and `bodyLimit`. It knows no time: while
/// `isMidMessage`, the owner of the connection keeps a deadline.
package struct SIPFramer: Sendable {
  package enum Frame: Sendable, Hashable {
    /// Bytes of `buffer` that are one message; they stay until the next call.
    case message(Range<Int>)
    /// The peer asks whether we live: answer CRLF.
    case ping
    /// The stream cannot be followed any further. Answer with `Refusal` to these bytes of `buffer`, then close.
    case broken(SIPParseError, Range<Int>)
    /// Nothing whole is left.
    case incomplete
  }

  package private(set) var buffer: [UInt8] = []
  private var start = 0
  private var search = HeadSearch()
  private var index = HeadIndex()
  /// Head length and body length of the message at `start`, once its head is whole.
  private var sizes: (head: Int, body: Int)?
  private var isBroken = false
  /// One CRLF was seen between messages; a second one makes it a ping.
  private var hasCRLF = false
  private let limits: HeadLimits
  private let bodyLimit: Int

  /// A body larger than `bodyLimit` breaks the stream: SDP and what else devices send fit many times over.
  package init(limits: HeadLimits = .stream, bodyLimit: Int = 65_536) {
    self.limits = limits
    self.bodyLimit = bodyLimit
  }

  /// Part of a message has come and the rest has not.
  package var isMidMessage: Bool { start < buffer.count }
  /// Bytes held.
  package var buffered: Int { buffer.count - start }

  package mutating func append(_ bytes: Span<UInt8>) {
    if start == buffer.count {
      buffer.removeAll(keepingCapacity: buffer.capacity <= 16_384)
      start = 0
    } else if start >= 4096, start * 2 >= buffer.count {
      buffer.removeSubrange(0..<start)
      start = 0
    }
    buffer.append(bytes.indices, of: bytes)
  }

  package mutating func next() -> Frame {
    guard !isBroken else { return .incomplete }
    if sizes == nil {
      if let keepAlive = skipLineEnds() { return keepAlive }
      guard start < buffer.count else { return .incomplete }
      let held = buffer
      let rest = held.span.extracting(start..<held.count)
      guard let head = search.end(in: rest) else {
        guard rest.count > limits.bytes else { return .incomplete }
        return fail(SIPParseError(.tooLarge, at: 0, status: 513), 0)
      }
      if let failure = measure(head) { return failure }
    }
    guard let sizes else { return .incomplete }
    let end = start + sizes.head + sizes.body
    guard end <= buffer.count else { return .incomplete }
    let range = start..<end
    start = end
    self.sizes = nil
    search.restart()
    return .message(range)
  }

  /// Passes over CRLFs between messages; the pairs among them are pings.
  private mutating func skipLineEnds() -> Frame? {
    while start + 1 < buffer.count, buffer[start] == 13, buffer[start + 1] == 10 {
      start += 2
      if hasCRLF {
        hasCRLF = false
        return .ping
      }
      hasCRLF = true
    }
    if start < buffer.count, buffer[start] != 13 { hasCRLF = false }
    return nil
  }

  /// Reads from a whole head how long the body is.
  private mutating func measure(_ head: Int) -> Frame? {
    let held = buffer
    let bytes = held.span.extracting(start..<start + head)
    do throws(HeadError) {
      guard try index.index(bytes, limits: limits) else {
        return fail(SIPParseError(.malformedHead, at: 0, status: 400), head)
      }
    } catch {
      let isLarge = error == .tooLong || error == .tooManyFields
      return fail(
        SIPParseError(isLarge ? .tooLarge : .malformedHead, at: 0, status: isLarge ? 513 : 400), head)
    }
    let table = HeaderTable.shared
    var length: Int?
    for field in index.fields
    where table.tag(field.nameKey, field.name, bytes) == HeaderName.contentLength.rawValue {
      guard length == nil else {
        return fail(SIPParseError(.repeated(.contentLength), at: Int(field.valueStart), status: 400), head)
      }
      guard let value = Grammar.number(bytes, field.value, limit: UInt64(Int32.max)) else {
        return fail(SIPParseError(.malformed(.contentLength), at: Int(field.valueStart), status: 400), head)
      }
      length = Int(value)
    }
    guard let length else {
      return fail(SIPParseError(.missingContentLength, at: head, status: 400), head)
    }
    guard length <= bodyLimit else {
      return fail(SIPParseError(.tooLarge, at: head, status: 513), head)
    }
    sizes = (head, length)
    return nil
  }

  private mutating func fail(_ error: SIPParseError, _ head: Int) -> Frame {
    isBroken = true
    var error = error
    // A response or an ACK gets no answer, only the end of the connection.
    let held = buffer
    let bytes = held.span.extracting(start..<start + head)
    if head < 4 || Grammar.isUnanswerable(bytes) { error.status = nil }
    return .broken(error, start..<start + head)
  }
}
