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
  /// nothing is known of it): packetization mode 1 and the same profile, else one whose decoders take this one too, else
  /// what `engine` decodes anyway. Nil when there is no such.
  package static func choose(
    of offered: [Format], for stream: String?, engine: ViewerEngine = .other
  ) -> Format? {
    let usable = offered.filter { $0.isH264 && $0.packetizationMode == 1 }
    var known = Format(payloadType: 0, encoding: "H264", clockRate: 90_000)
    known.parameters = stream
    let wanted: H264Profile =
      known.parameter("profile-level-id").map { H264Profile($0) } ?? .constrainedBaseline
    for candidate in [wanted] + wanted.larger + (engine == .webKit ? [] : wanted.lesser) {
      if let found = usable.first(where: { $0.h264Profile == candidate }) { return found }
    }
    return engine == .webKit ? nil : usable.first
  }

  /// Whether a decoder that was promised a stream of this profile takes the other, without pictures out of order.
  package func takes(_ other: H264Profile) -> Bool { self == other || other.larger.contains(self) }

  /// Profiles whose decoders take this one too, as long as pictures come in order.
  private var larger: [H264Profile] {
    switch self {
    case .constrainedBaseline: [.baseline, .main, .constrainedHigh, .high]
    // What stations mean by it is the constrained one.
    case .baseline: [.constrainedBaseline, .main, .constrainedHigh, .high]
    case .main: [.high, .constrainedHigh]
    case .constrainedHigh: [.high]
    case .high: [.constrainedHigh]
    case .other: []
    }
  }

  /// Under which other names most browsers decode it all the same.
  private var lesser: [H264Profile] { larger.contains(.baseline) ? [] : [.constrainedBaseline, .baseline] }

  /// As people write it.
  var name: String {
    switch self {
    case .constrainedBaseline: "constrained baseline"
    case .baseline: "baseline"
    case .main: "main"
    case .constrainedHigh: "constrained high"
    case .high: "high"
    case .other: "other"
    }
  }
}

extension Format {
  package var h264Profile: H264Profile { H264Profile(parameter("profile-level-id")) }
}

/// What decodes at a viewer's end, as far as it matters for what may be sent there.
package enum ViewerEngine: Hashable, Sendable {
  /// Safari, and every browser on Apple's telephones: a stream of a larger profile than was described stays black.
  case webKit
  /// Decodes what comes.
  case other

  /// Whoever wrote this as its `User-Agent`: only WebKit names itself without naming Chrome as well.
  package init(userAgent: String?) {
    let says = userAgent ?? ""
    self =
      says.contains("AppleWebKit/") && !says.contains("Chrome/") && !says.contains("Chromium/")
      ? .webKit : .other
  }
}
