package import Wire

/// One picture as the payloads of RTP packets: made once, and lent to everybody who sends it on. The marker belongs to
/// the last.
package final class PicturePackets: Sendable {
  /// The payloads one behind the other.
  package let bytes: [UInt8]
  /// Where each lies; none is empty, none longer than the packetizer's limit.
  package let payloads: [Range<Int>]
  /// In 90 kHz.
  package let timestamp: UInt32
  package let captured: Instant
  package let isKey: Bool

  package init(
    bytes: [UInt8], payloads: [Range<Int>], timestamp: UInt32, captured: Instant, isKey: Bool
  ) {
    self.bytes = bytes
    self.payloads = payloads
    self.timestamp = timestamp
    self.captured = captured
    self.isKey = isKey
  }

  /// Bytes of all payloads.
  package var size: Int { bytes.count }

  /// The picture of H.264 that these were made of; nil for anything else.
  package var unit: AccessUnit? {
    let bytes = bytes
    var depacketizer = H264Depacketizer()
    for (index, range) in payloads.enumerated() {
      let header = PacketHeader(
        payloadType: 0, sequence: UInt16(truncatingIfNeeded: index), timestamp: timestamp, ssrc: 0,
        marker: index == payloads.count - 1)
      let unit = depacketizer.receive(header: header, payload: bytes.span.extracting(range), now: captured)
      if let unit { return unit }
    }
    return nil
  }

  /// The longest payload that leaves room in a datagram of 1,200 bytes for a header with extensions and a tag.
  package static let limit = 1140
}

/// Pictures as RTP payloads.
///
/// H.264 (RFC 6184, packetization mode 1): parameter sets and what else is small before the slices in one packet (STAP-A),
/// long units in fragments of equal length (FU-A), so that a slice leaves in one segmented send.
/// VP8 (RFC 7741) without picture numbers: whoever joins late gets older pictures again, and the order of the packets says
/// all that a decoder needs.
package struct PicturePacketizer: Sendable {
  private let limit: Int

  /// `limit`: bytes of the longest payload, at least 16.
  package init(limit: Int = PicturePackets.limit) { self.limit = max(16, limit) }

  /// The payloads of a picture, under a timestamp of whoever sends it on.
  package func packetize(
    _ unit: AccessUnit, as coding: PictureCoding, timestamp: UInt32
  ) -> PicturePackets {
    var payloads = Payloads()
    payloads.bytes.reserveCapacity(unit.bytes.count + 64)
    switch coding {
    case .h264: writeH264(unit, to: &payloads)
    case .vp8: writeVP8(unit, to: &payloads)
    }
    return PicturePackets(
      bytes: payloads.bytes, payloads: payloads.places, timestamp: timestamp, captured: unit.captured,
      isKey: unit.isKey)
  }

  private func writeH264(_ unit: AccessUnit, to payloads: inout Payloads) {
    var index = 0
    while index < unit.units.count {
      let range = unit.units[index]
      let end = aggregateEnd(unit, from: index)
      if range.count > limit {
        fragment(unit.bytes, range, to: &payloads)
      } else if end - index > 1 {
        payloads.add { aggregate(unit, index..<end, into: &$0) }
      } else {
        payloads.add { $0.append(range, of: unit.bytes) }
      }
      index = end
    }
  }

  /// Behind the last of the units from `start` on that go into one packet: parameter sets and their like.
  private func aggregateEnd(_ unit: AccessUnit, from start: Int) -> Int {
    var length = 1
    var end = start
    while end < unit.units.count {
      let range = unit.units[end]
      guard (6...9).contains(unit.bytes[range.lowerBound] & 0x1F), length + 2 + range.count <= limit else {
        break
      }
      length += 2 + range.count
      end += 1
    }
    return max(end, start + 1)
  }

  private func aggregate(_ unit: AccessUnit, _ units: Range<Int>, into bytes: inout [UInt8]) {
    var importance: UInt8 = 0
    var forbidden: UInt8 = 0
    for index in units {
      let first = unit.bytes[unit.units[index].lowerBound]
      importance = max(importance, first & 0x60)
      forbidden |= first & 0x80
    }
    bytes.append(forbidden | importance | 24)
    for index in units {
      let range = unit.units[index]
      bytes.append(UInt8(range.count >> 8))
      bytes.append(UInt8(range.count & 0xFF))
      bytes.append(range, of: unit.bytes)
    }
  }

  private func fragment(_ source: [UInt8], _ range: Range<Int>, to payloads: inout Payloads) {
    let first = source[range.lowerBound]
    let rest = range.dropFirst()
    for part in EqualParts.cut(rest, limit: limit - 2) {
      let isStart: UInt8 = part.lowerBound == rest.lowerBound ? 0x80 : 0
      let isEnd: UInt8 = part.upperBound == rest.upperBound ? 0x40 : 0
      payloads.add {
        $0.append(first & 0xE0 | 28)
        $0.append(isStart | isEnd | first & 0x1F)
        $0.append(part, of: source)
      }
    }
  }

  private func writeVP8(_ unit: AccessUnit, to payloads: inout Payloads) {
    for range in unit.units {
      for part in EqualParts.cut(range, limit: limit - 1) {
        payloads.add {
          // The first packet of the (only) partition begins with S.
          $0.append(part.lowerBound == range.lowerBound ? 0x10 : 0)
          $0.append(part, of: unit.bytes)
        }
      }
    }
  }

  private struct Payloads {
    var bytes: [UInt8] = []
    var places: [Range<Int>] = []

    /// One more: what `write` appends.
    mutating func add(_ write: (inout [UInt8]) -> Void) {
      let start = bytes.count
      write(&bytes)
      places.append(start..<bytes.count)
    }
  }
}

/// Cutting into as few parts as can be, all of one length but the last, which is shorter by less than their number.
private enum EqualParts {
  static func cut(_ whole: Range<Int>, limit: Int) -> [Range<Int>] {
    let count = (whole.count + limit - 1) / limit
    guard count > 0 else { return [] }
    let length = (whole.count + count - 1) / count
    return stride(from: whole.lowerBound, to: whole.upperBound, by: length).map {
      $0..<min($0 + length, whole.upperBound)
    }
  }
}
