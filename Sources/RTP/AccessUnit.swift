package import Wire

/// One coded picture of an H.264 stream (ITU-T H.264 section 7.4.1.2.3): its NAL units in decoding order, without start
/// codes. Of VP8 it holds one unit, the frame.
///
/// Made once, shared by everybody who looks at it.
package struct AccessUnit: Hashable, Sendable {
  /// The NAL units one after another.
  package let bytes: [UInt8]
  /// Where each of them lies in `bytes`; none is empty.
  package let units: [Range<Int>]
  /// In 90 kHz, on the source's own clock.
  package let timestamp: UInt32
  /// When the picture was taken, or as near to it as is known.
  package let captured: Instant
  /// A decoder can begin here.
  package let isKey: Bool

  package init(
    bytes: [UInt8], units: [Range<Int>], timestamp: UInt32, captured: Instant, isKey: Bool
  ) {
    self.bytes = bytes
    self.units = units
    self.timestamp = timestamp
    self.captured = captured
    self.isKey = isKey
  }

  /// From a byte stream with start codes of three or four bytes (Annex B), as encoders and cameras give it. A key
  /// picture is one with an IDR slice. Nil when no NAL unit is in it.
  package init?(annexB stream: [UInt8], timestamp: UInt32, captured: Instant) {
    var units: [Range<Int>] = []
    var isKey = false
    var start: Int?
    var zeros = 0
    func end(_ place: Int, to result: inout [Range<Int>]) {
      // Zeros before a start code belong to it, or are padding.
      var last = place
      guard let start else { return }
      while last > start, stream[last - 1] == 0 { last -= 1 }
      guard last > start else { return }
      result.append(start..<last)
      if stream[start] & 0x1F == 5 { isKey = true }
    }
    for (place, byte) in stream.enumerated() {
      if byte == 1, zeros >= 2 {
        end(place - zeros, to: &units)
        start = place + 1
        zeros = 0
      } else {
        zeros = byte == 0 ? zeros + 1 : 0
      }
    }
    end(stream.count, to: &units)
    guard !units.isEmpty else { return nil }
    self.init(bytes: stream, units: units, timestamp: timestamp, captured: captured, isKey: isKey)
  }
}
