package import SDP
internal import Wire

/// Finding, among the payload types of a browser, the one for a given H.264 stream (RFC 6184 section 8.2.2, RFC 7742
/// section 6.2): profile and packetization mode must be equal on both sides, the level need not.
package enum H264Profile: Hashable, Sendable {
  case constrainedBaseline, baseline, main, constrainedHigh, high, other

  /// Reads the first two bytes of a `profile-level-id`: the profile, and the flags that constrain it (RFC 6184 table
  /// 5). Malformed and missing ones are what the RFC says they stand for: baseline.
  package init(_ profileLevelID: String?) {
    let digits = (profileLevelID ?? "420010").utf8.compactMap(ASCII.hexValue)
    guard digits.count == 6 else {
      self = .baseline
      return
    }
    let profile = digits[0] << 4 | digits[1]
    let flags = digits[2] << 4 | digits[3]
    switch profile {
    case 0x42: self = flags & 0x40 != 0 ? .constrainedBaseline : .baseline
    case 0x4D: self = flags & 0x80 != 0 ? .constrainedBaseline : .main
    case 0x58: self = flags & 0xC0 == 0xC0 ? .constrainedBaseline : .other
    case 0x64: self = flags & 0x0C == 0x0C ? .constrainedHigh : .high
    default: self = .other
    }
  }

  /// The payload type to send a stream on whose description has the parameters `stream` (an `fmtp` text; nil when
  /// nothing is known of it): packetization mode 1 and the same profile, else the nearest that browsers decode anyway.
  /// Nil when no H.264 with that mode is offered.
  package static func choose(of offered: [Format], for stream: String?) -> Format? {
    let usable = offered.filter { $0.isH264 && $0.packetizationMode == 1 }
    func profile(_ format: Format) -> H264Profile { H264Profile(format.parameter("profile-level-id")) }
    var known = Format(payloadType: 0, encoding: "H264", clockRate: 90_000)
    known.parameters = stream
    let wanted: H264Profile =
      known.parameter("profile-level-id").map { H264Profile($0) } ?? .constrainedBaseline
    for candidate in [wanted] + wanted.substitutes {
      if let found = usable.first(where: { profile($0) == candidate }) { return found }
    }
    return usable.first
  }

  /// Profiles whose decoders take this one too, and then what stations usually mean.
  private var substitutes: [H264Profile] {
    switch self {
    case .constrainedBaseline: [.baseline, .main, .constrainedHigh, .high]
    case .baseline: [.constrainedBaseline, .main]
    case .main: [.high, .constrainedHigh, .constrainedBaseline, .baseline]
    case .constrainedHigh: [.high, .constrainedBaseline, .baseline]
    case .high: [.constrainedHigh, .constrainedBaseline, .baseline]
    case .other: [.constrainedBaseline, .baseline]
    }
  }
}
