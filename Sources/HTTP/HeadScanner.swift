/// Finds the end of a head as its bytes arrive, looking at each byte once, so that a peer who dribbles costs no
/// more than one who does not. Refuses at once what no head may contain: a line end without CR, a CR without LF,
/// NUL. Empty lines before the start line are skipped (RFC 9112 section 2.2), a few of them.
struct HeadScanner: Sendable {
  /// Where the start line begins.
  private(set) var start = 0
  private var scanned = 0
  private var lineStart = 0
  private var emptyLines = 0
  private static let mostEmptyLines = 4

  /// Offset after the empty line that ends the head; nil while it is not there yet. `buffer` grows between calls
  /// and keeps its beginning.
  mutating func end(in buffer: [UInt8], limit: Int) throws(HTTPFault) -> Int? {
    let bytes = buffer.span
    while scanned < bytes.count {
      let byte = bytes[scanned]
      if scanned > lineStart, bytes[scanned - 1] == 13, byte != 10 { throw .bareLineEnd }
      if byte == 0 { throw .malformedField }
      scanned += 1
      if byte == 10 {
        guard scanned - lineStart >= 2, bytes[scanned - 2] == 13 else { throw .bareLineEnd }
        let isEmpty = scanned - lineStart == 2
        let wasFirst = lineStart == start
        lineStart = scanned
        if isEmpty {
          if !wasFirst { return scanned }
          emptyLines += 1
          guard emptyLines <= HeadScanner.mostEmptyLines else { throw .malformedStartLine }
          start = scanned
        }
      }
      if scanned - start > limit { throw start == lineStart ? .targetTooLong : .headTooLong }
    }
    return nil
  }

  /// Whether a byte of a start line was seen.
  var hasBegun: Bool { scanned > start }
}
