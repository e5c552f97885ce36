internal import Wire

/// The AAC frames of RFC 3640 payloads. A frame that comes in several packets is put together; one whose parts are
/// missing is dropped.
package struct AudioUnits: Sendable {
  private let format: AACFormat
  /// The beginning of a frame that goes on in the next packet: how long it will be, and since when.
  private var part: (bytes: [UInt8], size: Int, timestamp: UInt32)?
  /// Of one frame: 6144 bits a channel (ISO 14496-3 section 4.5.3), and there are two at most.
  private static let limit = 8192

  package init(_ format: AACFormat) { self.format = format }

  /// The whole frames that this payload completes, in order. Figures that do not fit give none.
  package mutating func receive(_ payload: Span<UInt8>, timestamp: UInt32) -> [[UInt8]] {
    guard payload.count >= 2 else { return [] }
    let headerBits = Int(payload[0]) << 8 | Int(payload[1])
    let headerBytes = (headerBits + 7) / 8
    var data = 2 + headerBytes
    guard data <= payload.count else { return [] }
    var reader = Bits(place: 16, end: 16 + headerBits)
    var frames: [[UInt8]] = []
    var isFirst = true
    while let size = reader.take(format.sizeLength, of: payload),
      reader.take(isFirst ? format.indexLength : format.indexDeltaLength, of: payload) != nil
    {
      guard size > 0, size <= AudioUnits.limit else { break }
      let available = payload.count - data
      if let begun = part {
        part = nil
        if isFirst, begun.timestamp == timestamp, begun.size == size, begun.bytes.count + available <= size {
          var whole = begun.bytes
          whole.append(data..<payload.count, of: payload)
          if whole.count == size { return [whole] }
          part = (whole, size, timestamp)
          return []
        }
      }
      isFirst = false
      if available < size {
        // A part of a frame stands alone in its packet (RFC 3640 section 3.2.3).
        guard frames.isEmpty, available > 0 else { break }
        var begun: [UInt8] = []
        begun.append(data..<payload.count, of: payload)
        part = (begun, size, timestamp)
        return []
      }
      var frame: [UInt8] = []
      frame.append(data..<data + size, of: payload)
      frames.append(frame)
      data += size
    }
    return frames
  }

  private struct Bits {
    var place: Int
    let end: Int

    mutating func take(_ count: Int, of bytes: Span<UInt8>) -> Int? {
      guard place + count <= end else { return nil }
      var value = 0
      for _ in 0..<count {
        value = value << 1 | Int(bytes[place / 8] >> UInt8(7 - place % 8) & 1)
        place += 1
      }
      return value
    }
  }
}
