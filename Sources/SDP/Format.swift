internal import Wire

/// The audio encodings that the gateway has an opinion about.
package enum AudioCodec: Sendable, Equatable {
  case pcma, pcmu, g722, opus
  /// RFC 4733: keys, not sound.
  case telephoneEvent
  /// RFC 3389.
  case comfortNoise
  /// Passed through when both sides know it.
  case other
}

/// One RTP payload type with what it stands for.
package struct Format: Sendable, Equatable {
  package var payloadType: UInt8
  /// The encoding's name as written: `PCMA`, `H264`, `telephone-event`.
  package var encoding: String
  /// The clock of `rtpmap` in hertz: 8000 for G.722 too, though it samples at 16000 (RFC 3551 section 4.5.2).
  package var clockRate: Int
  package var channels: Int
  /// The text of `fmtp`, exactly as the offerer wrote it.
  package var parameters: String?

  package init(
    payloadType: UInt8, encoding: String, clockRate: Int, channels: Int = 1, parameters: String? = nil
  ) {
    self.payloadType = payloadType
    self.encoding = encoding
    self.clockRate = clockRate
    self.channels = channels
    self.parameters = parameters
  }

  package static let pcmu = Format(payloadType: 0, encoding: "PCMU", clockRate: 8000)
  package static let pcma = Format(payloadType: 8, encoding: "PCMA", clockRate: 8000)
  package static let g722 = Format(payloadType: 9, encoding: "G722", clockRate: 8000)
  /// In one channel towards us, whatever the peer likes to be sent (RFC 7587 section 6.1); the number is the browsers'.
  package static let opus = Format(
    payloadType: 111, encoding: "opus", clockRate: 48_000, channels: 2,
    parameters: "minptime=10;useinbandfec=1;stereo=0;sprop-stereo=0")
  /// Keys 0 to 9, star, pound, A to D, flash.
  package static func telephoneEvent(_ payloadType: UInt8) -> Format {
    Format(payloadType: payloadType, encoding: "telephone-event", clockRate: 8000, parameters: "0-16")
  }

  /// The payload types that need no `rtpmap` (RFC 3551 tables 4 and 5), as far as anyone still speaks them.
  package static func assigned(_ payloadType: UInt8) -> Format? {
    switch payloadType {
    case 0: pcmu
    case 3: Format(payloadType: 3, encoding: "GSM", clockRate: 8000)
    case 4: Format(payloadType: 4, encoding: "G723", clockRate: 8000)
    case 8: pcma
    case 9: g722
    case 13: Format(payloadType: 13, encoding: "CN", clockRate: 8000)
    case 15: Format(payloadType: 15, encoding: "G728", clockRate: 8000)
    case 18: Format(payloadType: 18, encoding: "G729", clockRate: 8000)
    case 26: Format(payloadType: 26, encoding: "JPEG", clockRate: 90_000)
    case 31: Format(payloadType: 31, encoding: "H261", clockRate: 90_000)
    case 34: Format(payloadType: 34, encoding: "H263", clockRate: 90_000)
    default: nil
    }
  }

  package var audioCodec: AudioCodec {
    func named(_ name: String) -> Bool { ASCII.equalIgnoringCase(encoding, name) }
    if clockRate == 8000 {
      if named("PCMA") { return .pcma }
      if named("PCMU") { return .pcmu }
      if named("G722") { return .g722 }
      if named("CN") { return .comfortNoise }
    }
    if named("G722"), clockRate == 16_000 { return .g722 }  // written so by stations that forgot RFC 3551
    if named("telephone-event") { return .telephoneEvent }
    if named("opus") { return .opus }
    return .other
  }

  package var isH264: Bool { ASCII.equalIgnoringCase(encoding, "H264") }

  package var isVP8: Bool { ASCII.equalIgnoringCase(encoding, "VP8") }
  /// What was lost of another payload type is sent again under this one (RFC 4588).
  package var isRepair: Bool { ASCII.equalIgnoringCase(encoding, "rtx") }
  /// The payload type that a repair is for.
  package var repaired: UInt8? { isRepair ? parameter("apt").flatMap { UInt8($0) } : nil }

  /// Carries sound or pictures, as against keys, comfort noise and repairs.
  package var isMedia: Bool { audioCodec != .telephoneEvent && audioCodec != .comfortNoise && !isRepair }

  /// The same encoding, whatever its number here: name without case, clock and channels; for H.264 also the
  /// packetization mode, without which the payloads cannot be read (RFC 6184 section 8.2.2).
  package func isSameEncoding(as other: Format) -> Bool {
    if audioCodec == .g722 { return other.audioCodec == .g722 }
    return ASCII.equalIgnoringCase(encoding, other.encoding) && clockRate == other.clockRate
      && channels == other.channels && (!isH264 || packetizationMode == other.packetizationMode)
  }

  /// H.264's packetization mode; 0 where the station says nothing.
  package var packetizationMode: Int { parameter("packetization-mode").flatMap { Int($0) } ?? 0 }

  /// Of H.264: what a decoder needs before the first picture, where the parameters carry it (RFC 6184 section 8.1).
  package var parameterSets: [[UInt8]] {
    let words = (parameter("sprop-parameter-sets") ?? "").split(separator: ",")
    return words.prefix(Format.mostParameterSets).compactMap { word in
      guard let set = Base64.decode(word), !set.isEmpty, set.count <= Format.longestParameterSet,
        set[0] & 0x1F == 7 || set[0] & 0x1F == 8
      else { return nil }
      return set
    }
  }

  private static let mostParameterSets = 8
  /// In bytes: an ordinary one has twenty.
  private static let longestParameterSet = 1024

  /// One `name=value` of the parameters, name without case.
  package func parameter(_ name: String) -> String? {
    guard let parameters else { return nil }
    for piece in parameters.split(separator: ";") {
      let halves = piece.split(separator: "=", maxSplits: 1)
      guard halves.count == 2 else { continue }
      if ASCII.equalIgnoringCase(String(halves[0].filter { $0 != " " }), name) {
        return String(halves[1].filter { $0 != " " })
      }
    }
    return nil
  }

  /// The `rtpmap` and `fmtp` attributes that say this.
  var attributes: [Attribute] {
    let channelText = channels > 1 ? "/\(channels)" : ""
    var result = [Attribute("rtpmap", "\(payloadType) \(encoding)/\(clockRate)\(channelText)")]
    if let parameters { result.append(Attribute("fmtp", "\(payloadType) \(parameters)")) }
    return result
  }
}
