// SDP: session descriptions (RFC 8866) and the offer/answer model (RFC 3264) as values.
//
// Responsible for: reading what door stations and panels write, leniently and within named limits; writing
// exactly; building offers and answers; saying what an answer settled. Lines and attributes that nobody here
// understands stay where they were.
// Assumes: the bytes of one body, already delimited.
// Somebody else's: which codecs can be transcoded (the media plane), who calls whom (Calls), sockets.
package import Wire

/// Most of what one description may hold. A station's description has about 15 lines, a browser's about 150.
package enum SDPLimits {
  /// Bytes of a whole description.
  package static let bytes = 32_768
  /// Lines of a whole description.
  package static let lines = 512
  /// Bytes of one line, without its end.
  package static let lineBytes = 4_096
  /// `m=` lines.
  package static let media = 16
  /// Formats of one `m=` line.
  package static let formats = 64
}

/// Why a description could not be read. `line` counts from 1.
package enum SDPError: Error, Equatable, Sendable {
  case tooLong
  case tooManyLines
  case lineTooLong(line: Int)
  case malformedLine(line: Int)
  /// The first line is not `v=0`.
  case notVersionZero
  case missingOrigin
  case malformedOrigin(line: Int)
  case malformedConnection(line: Int)
  case malformedMedia(line: Int)
  case tooManyMedia
  case tooManyFormats(line: Int)
}

/// A line that is kept as it came: its letter and what follows the equals sign.
package struct SDPLine: Sendable, Equatable {
  package var type: UInt8
  package var value: String

  package init(_ type: UInt8, _ value: String) {
    self.type = type
    self.value = value
  }
}

/// One `a=` line: `a=name` or `a=name:value`.
package struct Attribute: Sendable, Equatable {
  package var name: String
  package var value: String?

  package init(_ name: String, _ value: String? = nil) {
    self.name = name
    self.value = value
  }
}

/// The `o=` line. Identifier and version stay text: peers write more digits than 64 bits hold.
package struct Origin: Sendable, Equatable {
  package var user: String
  package var id: String
  package var version: String
  package var address: String
  /// `IP4` or `IP6` as written.
  package var addressType: String

  package init(user: String, id: String, version: String, addressType: String, address: String) {
    self.user = user
    self.id = id
    self.version = version
    self.addressType = addressType
    self.address = address
  }

  /// Our own origin: user `-`, numbers as given.
  package init(id: UInt64, version: UInt64, address: IPAddress) {
    self.init(
      user: "-", id: String(id), version: String(version), addressType: address.isV4 ? "IP4" : "IP6",
      address: address.description)
  }
}

/// A `c=` line.
package struct Connection: Sendable, Equatable {
  /// `IP4` or `IP6` as written.
  package var addressType: String
  /// Address or host name, without time to live and count.
  package var address: String
  /// What stood after the address (`/127`, `/127/3`), else empty.
  package var suffix: String

  package init(addressType: String, address: String, suffix: String = "") {
    self.addressType = addressType
    self.address = address
    self.suffix = suffix
  }

  package init(_ address: IPAddress) {
    self.init(addressType: address.isV4 ? "IP4" : "IP6", address: address.description)
  }

  /// The address as a number; nil for a host name.
  package var ip: IPAddress? { IPAddress(address) }
}

/// Which way a stream flows, seen by whoever wrote the description (RFC 8866 section 6.7).
package enum Direction: String, Sendable, Equatable {
  case sendrecv, sendonly, recvonly, inactive

  package init(sends: Bool, receives: Bool) {
    self = sends ? (receives ? .sendrecv : .sendonly) : (receives ? .recvonly : .inactive)
  }

  package var sends: Bool { self == .sendrecv || self == .sendonly }
  package var receives: Bool { self == .sendrecv || self == .recvonly }
  /// The same stream seen from the other end.
  package var reversed: Direction { Direction(sends: receives, receives: sends) }
  /// What both allow.
  package func meeting(_ other: Direction) -> Direction {
    Direction(sends: sends && other.sends, receives: receives && other.receives)
  }
}

/// A whole description.
package struct SessionDescription: Sendable, Equatable {
  package var origin: Origin
  /// The `s=` line; `-` when it was missing.
  package var name: String
  package var connection: Connection?
  /// `i u e p b k` and unknown lines of the session part, in order.
  package var others: [SDPLine]
  /// `t`, `r` and `z` lines in order.
  package var timing: [SDPLine]
  package var attributes: [Attribute]
  package var media: [MediaDescription]

  package init(
    origin: Origin, name: String = "-", connection: Connection? = nil, others: [SDPLine] = [],
    timing: [SDPLine] = [SDPLine(UInt8(ascii: "t"), "0 0")], attributes: [Attribute] = [],
    media: [MediaDescription] = []
  ) {
    self.origin = origin
    self.name = name
    self.connection = connection
    self.others = others
    self.timing = timing
    self.attributes = attributes
    self.media = media
  }

  /// Where the peer wants this stream's RTP; nil when only a host name or nothing is given.
  package func address(of media: MediaDescription) -> IPAddress? {
    (media.connection ?? connection)?.ip
  }

  /// Which way the writer lets this stream flow. A connection address of zero (hold as of RFC 2543) means that the
  /// writer does not receive; a rejected stream is inactive.
  package func direction(of media: MediaDescription) -> Direction {
    if media.isRejected { return .inactive }
    let written =
      media.attributes.lazy.compactMap({ $0.direction }).first
      ?? attributes.lazy.compactMap({ $0.direction }).first ?? .sendrecv
    if let address = address(of: media), address.isUnspecified {
      return written.meeting(.sendonly)
    }
    return written
  }

  /// True when the writer has put the call on hold: an audio stream it accepts, and receives nothing on it.
  package var isHold: Bool {
    guard let audio = media.first(where: { $0.kind == .audio && !$0.isRejected }) else { return false }
    return !direction(of: audio).receives
  }

  /// The place of the first stream of a kind that is not rejected and is spoken over plain RTP.
  package func firstPlain(_ kind: MediaKind) -> Int? {
    media.firstIndex { $0.kind == kind && !$0.isRejected && $0.isPlainRTP }
  }
}

extension Attribute {
  fileprivate var direction: Direction? { value == nil ? Direction(rawValue: name) : nil }
}
