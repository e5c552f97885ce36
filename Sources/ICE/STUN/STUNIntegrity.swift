internal import Crypto

// Fingerprint and integrity (RFC 8489 sections 14.5 to 14.7). Both cover the message up to themselves, with a header
// whose length ends where they end: the header is rebuilt in twenty bytes, the rest is hashed where it lies.

extension STUNMessage {
  /// What the CRC is blended with, so that it never is that of a protocol which ends in a CRC of its own.
  static let fingerprintMask: UInt32 = 0x5354_554E

  /// Whether the message carries a fingerprint and it is right.
  package func hasFingerprint(in datagram: Span<UInt8>) -> Bool {
    guard fingerprint.count == 4 else { return false }
    let end = Int(fingerprint.start) - 4
    return CRC32.of(datagram, first: end) ^ STUNMessage.fingerprintMask
      == datagram.word32(at: Int(fingerprint.start))
  }

  /// Whether the message carries MESSAGE-INTEGRITY and it was made with `key`. Takes the same time for every
  /// wrong one.
  package func hasIntegrity(key: [UInt8], in datagram: Span<UInt8>) -> Bool {
    guard integrity.count == 20 else { return false }
    let place = Int(integrity.start)
    let head = STUNMessage.header(of: datagram, ending: place + 20)
    let right = Digest.hmacSHA1(
      key: key, head.span, datagram.extracting(STUNMessage.headerLength..<place - 4))
    var difference: UInt8 = 0
    for index in 0..<20 { difference |= right[index] ^ datagram[place + index] }
    return difference == 0
  }

  /// The same for MESSAGE-INTEGRITY-SHA256, which may be cut to 16 bytes or more.
  package func hasIntegritySHA256(key: [UInt8], in datagram: Span<UInt8>) -> Bool {
    let size = Int(integritySHA256.count)
    guard (16...32).contains(size), size & 3 == 0 else { return false }
    let place = Int(integritySHA256.start)
    let head = STUNMessage.header(of: datagram, ending: place + size)
    let right = Digest.hmacSHA256(
      key: key, head.span, datagram.extracting(STUNMessage.headerLength..<place - 4))
    var difference: UInt8 = 0
    for index in 0..<size { difference |= right[index] ^ datagram[place + index] }
    return difference == 0
  }

  /// The header of a message as if it ended at `end`.
  static func header(of datagram: Span<UInt8>, ending end: Int) -> InlineArray<20, UInt8> {
    var head = InlineArray<20, UInt8> { datagram[$0] }
    let length = end - headerLength
    head[2] = UInt8(truncatingIfNeeded: length >> 8)
    head[3] = UInt8(truncatingIfNeeded: length)
    return head
  }
}

/// The CRC of ISO 3309, as in zip and Ethernet.
enum CRC32 {
  private static let table: [UInt32] = (0..<256).map { start in
    var value = UInt32(start)
    for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
    return value
  }

  /// Of the first `count` bytes.
  static func of(_ bytes: Span<UInt8>, first count: Int) -> UInt32 {
    let table = table
    var value: UInt32 = 0xFFFF_FFFF
    for index in 0..<count {
      value = value >> 8 ^ table[Int(UInt8(truncatingIfNeeded: value) ^ bytes[index])]
    }
    return ~value
  }
}
