/// An IPv4 or IPv6 address. IPv4 is held as its mapped form (`::ffff:a.b.c.d`), so that both compare and hash
/// the same whichever socket they came through.
package struct IPAddress: Hashable, Sendable {
  /// The 16 bytes in network order, as two big-endian words.
  package var high: UInt64
  package var low: UInt64

  @inlinable package init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// An IPv4 address from its 32 bits in host order.
  @inlinable package init(v4 bits: UInt32) {
    high = 0
    low = 0x0000_FFFF_0000_0000 | UInt64(bits)
  }

  package static let anyV4 = IPAddress(v4: 0)
  package static let anyV6 = IPAddress(high: 0, low: 0)
  package static let loopbackV4 = IPAddress(v4: 0x7F00_0001)
  package static let loopbackV6 = IPAddress(high: 0, low: 1)

  @inlinable package var isV4: Bool { high == 0 && low >> 32 == 0xFFFF }
  /// The 32 bits of an IPv4 address in host order; meaningless for IPv6.
  @inlinable package var v4: UInt32 { UInt32(truncatingIfNeeded: low) }
  /// `0.0.0.0` or `::`.
  @inlinable package var isUnspecified: Bool { self == .anyV4 || self == .anyV6 }
  package var isLoopback: Bool { isV4 ? v4 >> 24 == 127 : self == .loopbackV6 }
  package var isMulticast: Bool { isV4 ? v4 >> 28 == 0xE : high >> 56 == 0xFF }
  package var isBroadcast: Bool { isV4 && v4 == 0xFFFF_FFFF }
  /// Link-local: 169.254/16 or fe80::/10.
  package var isLinkLocal: Bool { isV4 ? v4 >> 16 == 0xA9FE : high >> 54 == 0x3FA }
  /// Of a network that is somebody's own: RFC 1918, RFC 4193, link-local, or this machine.
  package var isPrivate: Bool {
    if isLoopback || isLinkLocal { return true }
    return isV4 ? v4 >> 24 == 10 || v4 >> 20 == 0xAC1 || v4 >> 16 == 0xC0A8 : high >> 57 == 0x7E
  }
}

/// An address with a port: where a datagram comes from or a connection leads to.
package struct Endpoint: Hashable, Sendable {
  package var address: IPAddress
  package var port: UInt16

  @inlinable package init(_ address: IPAddress, port: UInt16) {
    self.address = address
    self.port = port
  }
}

extension IPAddress: CustomStringConvertible {
  /// Dotted quad, or RFC 5952 for IPv6 (without brackets).
  package var description: String {
    if isV4 { return "\(v4 >> 24).\(v4 >> 16 & 255).\(v4 >> 8 & 255).\(v4 & 255)" }
    var groups: [UInt16] = []
    for word in [high, low] {
      for shift in [48, 32, 16, 0] { groups.append(UInt16(truncatingIfNeeded: word >> UInt64(shift))) }
    }
    var best = 0..<0
    var start = 0
    while start < 8 {
      var end = start
      while end < 8, groups[end] == 0 { end += 1 }
      if end - start > best.count, end - start >= 2 { best = start..<end }
      start = max(end, start + 1)
    }
    let text = { (range: Range<Int>) in
      range.map { String(groups[$0], radix: 16) }.joined(separator: ":")
    }
    return best.isEmpty ? text(0..<8) : text(0..<best.lowerBound) + "::" + text(best.upperBound..<8)
  }

  /// Reads a dotted quad or an IPv6 literal, with or without brackets; nil for anything else. A zone
  /// (`%eth0`) is refused: no address we are given carries one.
  package init?(_ text: some StringProtocol) {
    var bytes = Array(text.utf8)
    if bytes.first == UInt8(ascii: "[") {
      guard bytes.count > 2, bytes.last == UInt8(ascii: "]") else { return nil }
      bytes = Array(bytes[1..<bytes.count - 1])
      guard bytes.contains(UInt8(ascii: ":")) else { return nil }
    }
    self.init(ascii: bytes.span)
  }

  /// The same over bytes, without brackets.
  package init?(ascii text: Span<UInt8>) {
    guard text.count >= 2, text.count <= 45 else { return nil }
    var isV6 = false
    for index in text.indices where text[index] == UInt8(ascii: ":") {
      isV6 = true
      break
    }
    if !isV6 {
      guard let bits = IPAddress.dottedQuad(text, from: 0) else { return nil }
      self.init(v4: bits)
      return
    }
    var groups: [UInt16] = []
    var gap: Int?
    var position = 0
    if text[0] == UInt8(ascii: ":") {
      guard text[1] == UInt8(ascii: ":") else { return nil }
      gap = 0
      position = 2
    }
    while position < text.count {
      guard groups.count < 8 else { return nil }
      var value: UInt32 = 0
      var digits = 0
      var cursor = position
      while cursor < text.count, let digit = ASCII.hexValue(text[cursor]) {
        value = value << 4 | UInt32(digit)
        digits += 1
        cursor += 1
        guard digits <= 4 else { break }
      }
      if cursor < text.count, text[cursor] == UInt8(ascii: ".") {
        guard groups.count <= 6, let bits = IPAddress.dottedQuad(text, from: position) else { return nil }
        groups.append(UInt16(bits >> 16))
        groups.append(UInt16(bits & 0xFFFF))
        position = text.count
        break
      }
      guard digits >= 1, digits <= 4 else { return nil }
      groups.append(UInt16(value))
      position = cursor
      if position == text.count { break }
      guard text[position] == UInt8(ascii: ":") else { return nil }
      position += 1
      guard position < text.count else { return nil }
      if text[position] == UInt8(ascii: ":") {
        guard gap == nil else { return nil }
        gap = groups.count
        position += 1
      }
    }
    if let gap {
      guard groups.count < 8 else { return nil }
      groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { return nil }
    func word(_ first: Int) -> UInt64 {
      groups[first..<first + 4].reduce(0) { $0 << 16 | UInt64($1) }
    }
    self.init(high: word(0), low: word(4))
  }

  private static func dottedQuad(_ text: Span<UInt8>, from start: Int) -> UInt32? {
    var bits: UInt32 = 0
    var parts = 0
    var position = start
    while true {
      var value: UInt32 = 0
      var digits = 0
      while position < text.count, text[position] >= 48, text[position] <= 57, digits < 4 {
        value = value * 10 + UInt32(text[position] - 48)
        digits += 1
        position += 1
      }
      guard digits >= 1, digits <= 3, value <= 255 else { return nil }
      bits = bits << 8 | value
      parts += 1
      if parts == 4 { return position == text.count ? bits : nil }
      guard position < text.count, text[position] == UInt8(ascii: ".") else { return nil }
      position += 1
    }
  }
}

extension Endpoint: CustomStringConvertible {
  /// `192.0.2.1:5060` or `[2001:db8::1]:5060`.
  package var description: String {
    address.isV4 ? "\(address):\(port)" : "[\(address)]:\(port)"
  }

  /// Reads what `description` writes. Without a port `defaultPort` is taken; if that is nil too, nil.
  package init?(_ text: some StringProtocol, defaultPort: UInt16? = nil) {
    if let address = IPAddress(text) {
      guard let defaultPort else { return nil }
      self.init(address, port: defaultPort)
      return
    }
    guard let colon = text.lastIndex(of: ":"), let address = IPAddress(text[..<colon]),
      case let digits = text[text.index(after: colon)...], digits.utf8.allSatisfy(ASCII.isDigit),
      let port = UInt16(digits),
      address.isV4 || text.first == "["
    else { return nil }
    self.init(address, port: port)
  }
}
