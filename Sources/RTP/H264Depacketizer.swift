package import Wire

/// Puts the pictures of an H.264 stream together from its RTP payloads (RFC 6184: single units, STAP-A, FU-A), which must
/// come in order; a gap in their numbers is loss, and the picture that it hits is dropped.
package struct H264Depacketizer: Sendable {
  /// Bytes of one picture: a key picture of a large camera has a tenth of it.
  package static let pictureLimit = 4 << 20
  /// NAL units of one picture.
  package static let unitLimit = 512

  private var bytes: [UInt8] = []
  private var units: [Range<Int>] = []
  private var isKey = false
  private var isBroken = false
  private var timestamp: UInt32 = 0
  private var captured = Instant(nanoseconds: 0)
  private var isOpen = false
  /// Where the unit that is coming in fragments began.
  private var fragment: Int?
  private var next: UInt16?
  /// A picture that ended without a marker, and one that came whole behind it: told one at a time.
  private var waiting: AccessUnit?
  /// How often packets were missing, or came damaged.
  package private(set) var losses = 0

  package init() {}

  /// Takes the payload of one packet in. A picture, when this packet ends one, or shows that one has ended. `now` is when
  /// the picture was taken, as near as is known.
  package mutating func receive(header: PacketHeader, payload: Span<UInt8>, now: Instant) -> AccessUnit? {
    var result = waiting
    waiting = nil
    if let next, next != header.sequence {
      losses += 1
      isBroken = true
      fragment = nil
    }
    next = header.sequence &+ 1
    if isOpen, header.timestamp != timestamp {
      // The end of the picture was lost, or the camera sets no markers. A loss belongs to both.
      let wasBroken = isBroken
      let unit = finish()
      if result == nil { result = unit } else { waiting = unit }
      isBroken = wasBroken
    }
    timestamp = header.timestamp
    if !isOpen {
      isOpen = true
      captured = now
    }
    take(payload)
    if header.marker, let unit = finish() {
      if result == nil { result = unit } else { waiting = unit }
    }
    return result
  }

  private mutating func finish() -> AccessUnit? {
    defer {
      bytes = []
      units = []
      isKey = false
      isBroken = false
      isOpen = false
      fragment = nil
    }
    guard !isBroken, fragment == nil, !units.isEmpty else {
      if !isBroken, fragment != nil { losses += 1 }
      return nil
    }
    return AccessUnit(bytes: bytes, units: units, timestamp: timestamp, captured: captured, isKey: isKey)
  }

  private mutating func take(_ payload: Span<UInt8>) {
    guard let first = payload.isEmpty ? nil : payload[0], !isBroken else { return }
    switch first & 0x1F {
    case 1...23: add(payload, 0..<payload.count)
    case 24:
      var place = 1
      while place + 2 <= payload.count {
        let length = Int(payload.bigEndian16(at: place))
        guard length > 0, place + 2 + length <= payload.count else { return damage() }
        add(payload, place + 2..<place + 2 + length)
        place += 2 + length
      }
    case 28:
      guard payload.count > 2 else { return damage() }
      let second = payload[1]
      if second & 0x80 != 0 {
        guard fragment == nil else { return damage() }
        fragment = bytes.count
        bytes.append(first & 0xE0 | second & 0x1F)
      }
      guard let start = fragment, bytes.count + payload.count <= H264Depacketizer.pictureLimit else {
        return damage()
      }
      bytes.append(2..<payload.count, of: payload)
      guard second & 0x40 != 0 else { return }
      fragment = nil
      guard units.count < H264Depacketizer.unitLimit else { return damage() }
      units.append(start..<bytes.count)
      if bytes[start] & 0x1F == 5 { isKey = true }
    default: damage()
    }
  }

  private mutating func add(_ payload: Span<UInt8>, _ range: Range<Int>) {
    guard fragment == nil, units.count < H264Depacketizer.unitLimit,
      bytes.count + range.count <= H264Depacketizer.pictureLimit
    else { return damage() }
    let start = bytes.count
    bytes.append(range, of: payload)
    units.append(start..<bytes.count)
    if bytes[start] & 0x1F == 5 { isKey = true }
  }

  private mutating func damage() {
    losses += 1
    isBroken = true
  }
}
