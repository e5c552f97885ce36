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

  /// The longest payload that leaves room in a datagram of 1,200 bytes for a header with extensions and a tag.
  package static let limit = 1140
}

/// Pictures of H.264 as RTP payloads (RFC 6184, packetization mode 1): parameter sets and what else is small before the
/// slices in one packet (STAP-A), long units in fragments of equal length (FU-A), so that a slice leaves in one
/// segmented send.
package struct H264Packetizer: Sendable {
  private let limit: Int

  /// `limit`: bytes of the longest payload, at least 16.
  package init(limit: Int = PicturePackets.limit) { self.limit = max(16, limit) }

  /// The payloads of a picture, under a timestamp of whoever sends it on.
  package func packetize(_ unit: AccessUnit, timestamp: UInt32) -> PicturePackets {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(unit.bytes.count + 64)
    var payloads: [Range<Int>] = []
    var index = 0
    while index < unit.units.count {
      let range = unit.units[index]
      if range.count > limit {
        fragment(unit.bytes, range, into: &bytes, &payloads)
        index += 1
        continue
      }
      let end = aggregateEnd(unit, from: index)
      let start = bytes.count
      if end - index > 1 {
        aggregate(unit, index..<end, into: &bytes)
      } else {
        bytes.append(range, of: unit.bytes)
      }
      payloads.append(start..<bytes.count)
      index = end
    }
    return PicturePackets(
      bytes: bytes, payloads: payloads, timestamp: timestamp, captured: unit.captured, isKey: unit.isKey)
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

  private func fragment(
    _ source: [UInt8], _ range: Range<Int>, into bytes: inout [UInt8], _ payloads: inout [Range<Int>]
  ) {
    let first = source[range.lowerBound]
    let length = EqualParts.length(of: range.count - 1, limit: limit - 2)
    var place = range.lowerBound + 1
    while place < range.upperBound {
      let end = min(place + length, range.upperBound)
      let start = bytes.count
      bytes.append(first & 0xE0 | 28)
      let isStart: UInt8 = place == range.lowerBound + 1 ? 0x80 : 0
      bytes.append(isStart | (end == range.upperBound ? 0x40 : 0) | first & 0x1F)
      bytes.append(place..<end, of: source)
      payloads.append(start..<bytes.count)
      place = end
    }
  }
}

/// Frames of VP8 as RTP payloads (RFC 7741), without picture numbers: whoever joins late gets older pictures again, and
/// the order of the packets says all that a decoder needs.
package struct VP8Packetizer: Sendable {
  private let limit: Int

  /// `limit`: bytes of the longest payload, at least 16.
  package init(limit: Int = PicturePackets.limit) { self.limit = max(16, limit) }

  /// The payloads of a picture, under a timestamp of whoever sends it on.
  package func packetize(_ unit: AccessUnit, timestamp: UInt32) -> PicturePackets {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(unit.bytes.count + 64)
    var payloads: [Range<Int>] = []
    for range in unit.units {
      let length = EqualParts.length(of: range.count, limit: limit - 1)
      var place = range.lowerBound
      while place < range.upperBound {
        let end = min(place + length, range.upperBound)
        let start = bytes.count
        // The first packet of the (only) partition begins with S.
        bytes.append(place == range.lowerBound ? 0x10 : 0)
        bytes.append(place..<end, of: unit.bytes)
        payloads.append(start..<bytes.count)
        place = end
      }
    }
    return PicturePackets(
      bytes: bytes, payloads: payloads, timestamp: timestamp, captured: unit.captured, isKey: unit.isKey)
  }
}

/// Cutting into as few parts as can be, all of one length but the last, which is shorter by less than their number.
private enum EqualParts {
  static func length(of whole: Int, limit: Int) -> Int {
    let count = (whole + limit - 1) / limit
    return count > 0 ? (whole + count - 1) / count : limit
  }
}
