/// Writing text protocols into byte buffers, without a `String` in between.
extension [UInt8] {
  /// Appends text as UTF-8.
  @inlinable package mutating func append(text: String) { append(contentsOf: text.utf8) }

  /// Appends a literal of the protocol. The same as `text`; the label tells the reader that no one else's words
  /// can be in it.
  @inlinable package mutating func append(ascii: String) { append(contentsOf: ascii.utf8) }

  /// Appends a whole number in decimal.
  package mutating func append(decimal value: Int) {
    if value < 0 { append(45) }
    append(decimal: UInt64(value.magnitude))
  }

  /// Appends a whole number in decimal.
  package mutating func append(decimal value: UInt64) {
    if value < 10 {
      append(48 + UInt8(value))
      return
    }
    var digits = 1
    var bound: UInt64 = 10
    while digits < 20, value >= bound {
      digits += 1
      let (next, isOver) = bound.multipliedReportingOverflow(by: 10)
      if isOver {
        if value >= bound { digits = 20 }
        break
      }
      bound = next
    }
    let start = count
    for _ in 0..<digits { append(48) }
    var rest = value
    var place = start + digits - 1
    while rest > 0 {
      self[place] = 48 + UInt8(rest % 10)
      rest /= 10
      place -= 1
    }
  }

  /// Appends lower-case hexadecimal of the first `count` bytes, or of all.
  package mutating func append(hex bytes: [UInt8], first count: Int = .max) {
    for byte in bytes[..<Swift.min(count, bytes.count)] {
      append(ASCII.hexDigit(byte >> 4))
      append(ASCII.hexDigit(byte & 15))
    }
  }

  /// Appends a part of other bytes.
  @inlinable package mutating func append(_ range: Range<Int>, of bytes: [UInt8]) {
    append(contentsOf: bytes[range])
  }

  /// Appends a part of a span.
  package mutating func append(_ range: Range<Int>, of bytes: Span<UInt8>) {
    unsafe bytes.extracting(range).withUnsafeBufferPointer { unsafe append(contentsOf: $0) }
  }

  /// Appends an address as its `description` writes it.
  package mutating func append(_ address: IPAddress) {
    guard address.isV4 else { return append(text: address.description) }
    for shift in [UInt32(24), 16, 8, 0] {
      if shift < 24 { append(46) }
      append(decimal: UInt64(address.v4 >> shift & 255))
    }
  }

  /// The bytes of a span.
  package init(_ bytes: Span<UInt8>) {
    unsafe self = bytes.withUnsafeBufferPointer { unsafe [UInt8]($0) }
  }
}
