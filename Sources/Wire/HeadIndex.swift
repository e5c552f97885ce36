/// The head of a message in the shape that SIP, HTTP/1.1 and RTSP share: a start line, header fields, an empty
/// line, then a body.
///
/// `HeadIndex` goes over the bytes once and writes down where everything lies; it copies nothing and knows no
/// header. What a field means, whether folding or a blank before the colon is allowed, how long the body is: all
/// that is the protocol's own business, and the flags it needs stand in `HeadField`.
///
/// It assumes strict line ends. A lone CR or LF is refused, because two readers that disagree about where a line
/// ends can be played against each other. Any other byte may stand in a value (RFC 4475 carries NUL and BEL in
/// quoted strings); names are tokens.

/// How much head one message may have.
package struct HeadLimits: Sendable, Hashable {
  /// From the first byte of the start line to the end of the empty line.
  package var bytes: Int
  package var fields: Int

  package init(bytes: Int, fields: Int) {
    self.bytes = bytes
    self.fields = fields
  }

  /// A datagram is whole and its size is bounded by IP; only the number of fields needs a bound.
  package static var datagram: HeadLimits { HeadLimits(bytes: 65_535, fields: 160) }
  /// A peer on a stream could send for ever: no head we know of comes near 16 KiB.
  package static var stream: HeadLimits { HeadLimits(bytes: 16_384, fields: 160) }
}

/// Where one header field lies. Offsets are from the start of the span that was indexed.
// Public, and its members usable from inlined code, for the reason that stands at `ASCII`.
public struct HeadField: Sendable, Hashable {
  @usableFromInline package var nameStart: Int32
  @usableFromInline package var nameEnd: Int32
  /// The value without the blanks around it.
  @usableFromInline package var valueStart: Int32
  @usableFromInline package var valueEnd: Int32
  /// The name in one word, letter case set aside: see `HeadIndex.key(of:)`.
  package var nameKey: UInt64
  /// The value goes over several lines (CR, LF and a blank stand inside it). Not allowed in HTTP.
  package var isFolded: Bool
  /// Blanks stand between name and colon. Not allowed in HTTP.
  package var isSpaced: Bool
  /// Free for the owner of the index: which header it takes this for. 0 when made.
  package var tag: UInt8

  @inlinable package var name: Range<Int> { Int(nameStart)..<Int(nameEnd) }
  @inlinable package var value: Range<Int> { Int(valueStart)..<Int(valueEnd) }
}

/// What is wrong with a head. Offsets are from the start of the span.
package enum HeadError: Error, Hashable, Sendable {
  case tooLong
  case tooManyFields
  case emptyStartLine
  /// No colon, no name, or a byte in the name that no token has.
  case malformedField(at: Int)
  /// A CR without LF, or an LF without CR.
  case bareLineEnd(at: Int)
}

/// Start line, fields and start of the body of one head. Reusable: `index` overwrites and keeps the memory.
package struct HeadIndex: Sendable {
  /// Without its CRLF.
  package private(set) var startLine: Range<Int> = 0..<0
  package var fields: [HeadField] = []
  /// The first byte after the empty line.
  package private(set) var bodyStart = 0

  package init(reservedFields: Int = 24) { fields.reserveCapacity(reservedFields) }

  /// Indexes the head that starts at `from`. False when the empty line has not come yet: call again with more
  /// bytes (on a stream look for the end with `HeadSearch` first, so that dribbled bytes cost nothing).
  package mutating func index(
    _ bytes: Span<UInt8>, from: Int = 0, limits: HeadLimits = .datagram
  ) throws(HeadError) -> Bool {
    fields.removeAll(keepingCapacity: true)
    let available = bytes.count
    let end = min(available, from + limits.bytes)

    var position = try HeadIndex.lineEnd(bytes, from, end)
    startLine = from..<position
    guard position + 2 <= end else { return try incomplete(end < available) }
    guard !startLine.isEmpty else { throw .emptyStartLine }
    position += 2

    while true {
      guard position + 2 <= end else { return try incomplete(end < available) }
      let first = bytes[position]
      if first == 13 {
        guard bytes[position + 1] == 10 else { throw .bareLineEnd(at: position) }
        bodyStart = position + 2
        return true
      }
      // The name, folded into its key on the way.
      let nameStart = position
      var key: UInt64 = 0
      while position < end {
        let byte = bytes[position]
        guard ASCII.isToken(byte) else { break }
        key = (key << 8 | key >> 56) ^ UInt64(byte | 0x20)
        position += 1
      }
      let nameEnd = position
      while position < end, ASCII.isBlank(bytes[position]) { position += 1 }
      guard position < end else { return try incomplete(end < available) }
      guard bytes[position] == 58, nameEnd > nameStart else { throw .malformedField(at: position) }
      let isSpaced = position != nameEnd
      position += 1

      // The value, up to a line end that no blank follows.
      while position < end, ASCII.isBlank(bytes[position]) { position += 1 }
      var valueStart = position
      var isFolded = false
      while true {
        position = try HeadIndex.lineEnd(bytes, position, end)
        // One byte beyond the line end tells whether the value goes on.
        guard position + 2 < end else { return try incomplete(end < available) }
        guard ASCII.isBlank(bytes[position + 2]) else { break }
        if position == valueStart {
          // Nothing yet on the first line: the value begins on the next.
          position += 3
          while position < end, ASCII.isBlank(bytes[position]) { position += 1 }
          valueStart = position
        } else {
          isFolded = true
          position += 3
        }
      }
      var valueEnd = position
      while valueEnd > valueStart, bytes[valueEnd - 1] <= 32, ASCII.isLinearBlank(bytes[valueEnd - 1]) {
        valueEnd -= 1
      }
      position += 2
      guard fields.count < limits.fields else { throw .tooManyFields }
      fields.append(
        HeadField(
          nameStart: Int32(truncatingIfNeeded: nameStart), nameEnd: Int32(truncatingIfNeeded: nameEnd),
          valueStart: Int32(truncatingIfNeeded: valueStart),
          valueEnd: Int32(truncatingIfNeeded: valueEnd), nameKey: key, isFolded: isFolded,
          isSpaced: isSpaced, tag: 0))
    }
  }

  /// The key that fields of this name have. Names up to eight letters long have the same key and the same
  /// length exactly if they are equal without case; of longer ones the letters must be compared too.
  package static func key(of name: some Sequence<UInt8>) -> UInt64 {
    var key: UInt64 = 0
    for byte in name { key = (key << 8 | key >> 56) ^ UInt64(byte | 0x20) }
    return key
  }
  package static func key(of name: String) -> UInt64 { key(of: name.utf8) }

  /// The place among `fields` of the first field of this name at or after `start`; nil if there is none.
  package func firstField(
    named name: String, in bytes: Span<UInt8>, key: UInt64? = nil, after start: Int = 0
  ) -> Int? {
    let key = key ?? HeadIndex.key(of: name)
    let length = name.utf8.count
    var place = start
    while place < fields.count {
      let field = fields[place]
      if field.nameKey == key, Int(field.nameEnd - field.nameStart) == length {
        if length <= 8 { return place }
        var position = Int(field.nameStart)
        var isEqual = true
        for byte in name.utf8 {
          if ASCII.lowered(bytes[position]) != ASCII.lowered(byte) {
            isEqual = false
            break
          }
          position += 1
        }
        if isEqual { return place }
      }
      place += 1
    }
    return nil
  }

  private func incomplete(_ isBeyondLimit: Bool) throws(HeadError) -> Bool {
    if isBeyondLimit { throw .tooLong }
    return false
  }

  /// Where the CRLF of the line that goes on at `start` begins; `end` (or one before it) when it has not come.
  @inline(__always)
  private static func lineEnd(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) throws(HeadError) -> Int {
    var position = start
    // Sixteen at a time while none of them is a control: the compiler makes one vector comparison of it.
    while position &+ 16 <= end {
      let part = bytes.extracting(position..<position &+ 16)
      var lowest = UInt8.max
      for index in 0..<16 { lowest = min(lowest, part[index]) }
      if lowest <= 13 { break }
      position &+= 16
    }
    while position < end {
      let byte = bytes[position]
      if byte <= 13 {
        if byte == 13 {
          guard position + 1 < end else { return position }
          guard bytes[position + 1] == 10 else { throw .bareLineEnd(at: position) }
          return position
        }
        guard byte != 10 else { throw .bareLineEnd(at: position) }
      }
      position += 1
    }
    return position
  }
}

/// Looks for the empty line that ends a head, over bytes that come in pieces, seeing each byte once.
package struct HeadSearch: Sendable, Hashable {
  private var seen = 0

  package init() {}

  /// The offset after the empty line, or nil if it has not come. `bytes` must begin as it did last time.
  package mutating func end(in bytes: Span<UInt8>) -> Int? {
    var position = seen
    while position + 3 < bytes.count {
      // The fourth byte rules out most places at once.
      let fourth = bytes[position + 3]
      if fourth > 13 {
        position += 4
      } else if fourth == 10, bytes[position + 2] == 13, bytes[position + 1] == 10, bytes[position] == 13 {
        seen = position
        return position + 4
      } else {
        position += 1
      }
    }
    seen = position
    return nil
  }

  /// Forgets what was seen: the next call is about another head.
  package mutating func restart() { seen = 0 }
}
