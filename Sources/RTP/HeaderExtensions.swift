// Header extensions of what we send (RFC 8285), in their short form.

package import Wire

/// The identifiers that a peer gave to the extensions that we can fill; 0 for those that it does not know. The short form
/// has 1 to 14.
package struct ExtensionIDs: Hashable, Sendable {
  package enum Kind: Int, Hashable, Sendable, CaseIterable {
    /// RFC 9143.
    case mid
    /// When the packet left, for estimates by the receiver.
    case sendTime
    /// A number across all streams, for estimates by the sender.
    case transportSequence
    /// How long the receiver may and must wait before it shows a picture.
    case playoutDelay
    /// When the picture was taken.
    case captureTime

    package var name: String {
      switch self {
      case .mid: "urn:ietf:params:rtp-hdrext:sdes:mid"
      case .sendTime: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
      case .transportSequence: "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
      case .playoutDelay: "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
      case .captureTime: "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
      }
    }

    /// Bytes of its content; of the mid as many as its text has.
    var length: Int {
      switch self {
      case .mid: 0
      case .sendTime, .playoutDelay: 3
      case .transportSequence: 2
      case .captureTime: 8
      }
    }
  }

  private var ids = [UInt8](repeating: 0, count: Kind.allCases.count)
  /// The text of the mid, at most 16 bytes; empty for none.
  package var mid: [UInt8] = []

  package init() {}

  /// An identifier beyond the short form counts as none.
  package subscript(_ kind: Kind) -> UInt8 {
    get { ids[kind.rawValue] }
    set { ids[kind.rawValue] = (1...14).contains(newValue) ? newValue : 0 }
  }
}

/// A header with extensions, written once for a picture; of its packets only the numbers differ.
package struct PacketHead: Sendable {
  package private(set) var bytes: [UInt8] = []
  private var transportPlace: Int?

  /// What of a packet is said in its extensions besides its numbers.
  package struct Content: Hashable, Sendable {
    package var sendTime: UInt32 = 0
    package var captured: UInt64 = 0
    /// The mid, the delay and the time of capture, which need not stand in every packet.
    package var isFull = false

    package init() {}
  }

  package init() { bytes.reserveCapacity(64) }

  /// Writes everything but the numbers, the marker and the payload type.
  package mutating func begin(
    ssrc: UInt32, timestamp: UInt32, _ ids: borrowing ExtensionIDs, _ content: Content
  ) {
    bytes.removeAll(keepingCapacity: true)
    bytes.append(0x80)
    bytes.append(0)
    bytes.append(0)
    bytes.append(0)
    append(UInt64(timestamp), bytes: 4)
    append(UInt64(ssrc), bytes: 4)
    transportPlace = nil
    let start = bytes.count
    func has(_ kind: ExtensionIDs.Kind) -> Bool { ids[kind] != 0 }
    if has(.transportSequence) || has(.sendTime) || content.isFull {
      append(0xBEDE_0000, bytes: 4)
      if has(.transportSequence) {
        bytes.append(ids[.transportSequence] << 4 | 1)
        transportPlace = bytes.count
        append(0, bytes: 2)
      }
      if has(.sendTime) {
        bytes.append(ids[.sendTime] << 4 | 2)
        append(UInt64(content.sendTime & 0xFF_FFFF), bytes: 3)
      }
      if content.isFull {
        if has(.mid), (1...16).contains(ids.mid.count) {
          bytes.append(ids[.mid] << 4 | UInt8(ids.mid.count - 1))
          for byte in ids.mid { bytes.append(byte) }
        }
        if has(.playoutDelay) {
          bytes.append(ids[.playoutDelay] << 4 | 2)
          append(UInt64(PacketHead.playoutDelay), bytes: 3)
        }
        if has(.captureTime) {
          bytes.append(ids[.captureTime] << 4 | 7)
          append(content.captured, bytes: 8)
        }
      }
      if bytes.count == start + 4 {
        bytes.removeLast(4)
        return
      }
      while (bytes.count - start) % 4 != 0 { bytes.append(0) }
      let words = (bytes.count - start) / 4 - 1
      bytes[start + 2] = UInt8(words >> 8)
      bytes[start + 3] = UInt8(words & 0xFF)
      bytes[0] |= 0x10
    }
  }

  /// At once, or as late as 200 ms: twelve bits each, in hundredths of a second.
  private static let playoutDelay: UInt32 = 20

  package var hasTransportSequence: Bool { transportPlace != nil }

  /// Makes it the head of one packet.
  package mutating func set(payloadType: UInt8, sequence: UInt16, marker: Bool, transport: UInt16) {
    bytes[1] = (marker ? 0x80 : 0) | payloadType & 0x7F
    bytes[2] = UInt8(sequence >> 8)
    bytes[3] = UInt8(sequence & 0xFF)
    guard let transportPlace else { return }
    bytes[transportPlace] = UInt8(transport >> 8)
    bytes[transportPlace + 1] = UInt8(transport & 0xFF)
  }

  private mutating func append(_ value: UInt64, bytes count: Int) {
    for index in (0..<count).reversed() {
      bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index)))
    }
  }
}

extension Instant {
  /// As `abs-send-time` counts: 6.18 bits of seconds, wrapping.
  package var sendTime: UInt32 { UInt32(truncatingIfNeeded: ntp >> 14) & 0xFF_FFFF }
}
