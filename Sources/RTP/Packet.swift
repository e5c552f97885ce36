// RTP packets (RFC 3550 section 5) and the telling apart of RTP and RTCP on one port (RFC 5761).
//
// Responsible for: reading a header that a stranger wrote, writing one of ours. Assumes the datagram is whole.
// Which addresses may speak, what the payload means and where it goes is `MediaPlane`'s business.

package import Wire

/// Why bytes are no RTP packet.
package enum PacketError: Error, Hashable, Sendable {
  /// Fewer than twelve bytes.
  case tooShort
  /// The version is not 2.
  case version
  /// The list of contributing sources runs over the end.
  case contributors
  /// The header extension runs over the end.
  case headerExtension
  /// The padding is nothing, or longer than what it pads.
  case padding
}

/// The header of one RTP packet, with the places of what follows it (RFC 3550 section 5.1).
package struct PacketHeader: Hashable, Sendable {
  /// Bytes of the header without contributors and extension.
  package static let fixedLength = 12

  package var marker: Bool
  /// 0 to 127.
  package var payloadType: UInt8
  package var sequence: UInt16
  package var timestamp: UInt32
  package var ssrc: UInt32
  /// How many contributing sources the packet names, 0 to 15.
  package private(set) var contributors = 0
  /// "Defined by profile" of the header extension; nil without one.
  package private(set) var extensionProfile: UInt16?
  /// Where the extension's words lie, without its own four bytes; empty without one.
  package private(set) var extensionData = 0..<0
  /// Where the payload lies, without padding. May be empty.
  package private(set) var payload = 0..<0

  /// A header to write: no contributors, no extension, no padding.
  package init(payloadType: UInt8, sequence: UInt16, timestamp: UInt32, ssrc: UInt32, marker: Bool = false) {
    self.marker = marker
    self.payloadType = payloadType & 0x7F
    self.sequence = sequence
    self.timestamp = timestamp
    self.ssrc = ssrc
  }

  /// Reads the header of `packet`, checking every length it claims.
  package init(parsing packet: Span<UInt8>) throws(PacketError) {
    let count = packet.count
    guard count >= PacketHeader.fixedLength else { throw .tooShort }
    let first = packet[0]
    guard first >> 6 == 2 else { throw .version }
    marker = packet[1] & 0x80 != 0
    payloadType = packet[1] & 0x7F
    sequence = packet.bigEndian16(at: 2)
    timestamp = packet.bigEndian32(at: 4)
    ssrc = packet.bigEndian32(at: 8)
    contributors = Int(first & 0x0F)
    var start = PacketHeader.fixedLength + 4 * contributors
    guard start <= count else { throw .contributors }
    if first & 0x10 != 0 {
      guard start + 4 <= count else { throw .headerExtension }
      let words = Int(packet.bigEndian16(at: start + 2))
      guard start + 4 + 4 * words <= count else { throw .headerExtension }
      extensionProfile = packet.bigEndian16(at: start)
      extensionData = start + 4..<start + 4 + 4 * words
      start += 4 + 4 * words
    }
    var end = count
    if first & 0x20 != 0 {
      let padding = Int(packet[count - 1])
      guard padding > 0, start + padding <= count else { throw .padding }
      end -= padding
    }
    payload = start..<end
  }

  /// The twelve bytes of the header as we send it: version 2 and nothing optional.
  package var bytes: InlineArray<12, UInt8> {
    [
      0x80, (marker ? 0x80 : 0) | payloadType,
      UInt8(truncatingIfNeeded: sequence >> 8), UInt8(truncatingIfNeeded: sequence),
      UInt8(truncatingIfNeeded: timestamp >> 24), UInt8(truncatingIfNeeded: timestamp >> 16),
      UInt8(truncatingIfNeeded: timestamp >> 8), UInt8(truncatingIfNeeded: timestamp),
      UInt8(truncatingIfNeeded: ssrc >> 24), UInt8(truncatingIfNeeded: ssrc >> 16),
      UInt8(truncatingIfNeeded: ssrc >> 8), UInt8(truncatingIfNeeded: ssrc),
    ]
  }

  /// Whether a datagram on a shared port is RTCP: its second byte is 192 to 223 (RFC 5761 section 4).
  package static func looksLikeControl(_ datagram: Span<UInt8>) -> Bool {
    datagram.count >= 2 && datagram[0] >> 6 == 2 && datagram[1] >= 192 && datagram[1] <= 223
  }
}

extension Span<UInt8> {
  /// Two bytes in network order. The place must lie inside.
  package func bigEndian16(at place: Int) -> UInt16 {
    UInt16(self[place]) << 8 | UInt16(self[place + 1])
  }

  /// Four bytes in network order. The place must lie inside.
  package func bigEndian32(at place: Int) -> UInt32 {
    UInt32(bigEndian16(at: place)) << 16 | UInt32(bigEndian16(at: place + 2))
  }
}

extension Instant {
  /// This moment counted in ticks of a clock of `rate` per second, as RTP timestamps count: it wraps.
  package func ticks(at rate: UInt32) -> UInt32 { Interval(nanoseconds: nanoseconds).ticks(at: rate) }
}

extension Interval {
  /// This length in ticks of a clock of `rate` per second, rounded down and wrapping.
  package func ticks(at rate: UInt32) -> UInt32 {
    let whole = nanoseconds / 1_000_000_000
    let rest = nanoseconds % 1_000_000_000
    return UInt32(truncatingIfNeeded: whole &* Int64(rate) &+ rest * Int64(rate) / 1_000_000_000)
  }
}
