package import Wire

/// The first word of an `m=` line.
package enum MediaKind: Sendable, Equatable {
  case audio, video
  case other(String)

  package init(_ word: String) {
    switch word {
    case "audio": self = .audio
    case "video": self = .video
    default: self = .other(word)
    }
  }

  package var word: String {
    switch self {
    case .audio: "audio"
    case .video: "video"
    case .other(let word): word
    }
  }
}

/// One `m=` line and what belongs to it.
package struct MediaDescription: Sendable, Equatable {
  package var kind: MediaKind
  /// 0 means rejected, or withdrawn.
  package var port: UInt16
  /// The number after the slash, when there was one.
  package var portCount: Int?
  /// The transport as written, such as `RTP/AVP`.
  package var proto: String
  /// Formats as written; payload types for RTP.
  package var formats: [String]
  package var connection: Connection?
  /// `i`, `b`, `k`, further `c` and unknown lines, in order.
  package var others: [SDPLine]
  package var attributes: [Attribute]

  package init(
    kind: MediaKind, port: UInt16, portCount: Int? = nil, proto: String = "RTP/AVP", formats: [String],
    connection: Connection? = nil, others: [SDPLine] = [], attributes: [Attribute] = []
  ) {
    self.kind = kind
    self.port = port
    self.portCount = portCount
    self.proto = proto
    self.formats = formats
    self.connection = connection
    self.others = others
    self.attributes = attributes
  }

  package var isRejected: Bool { port == 0 }

  /// RTP without encryption: `RTP/AVP`, or `RTP/AVPF`.
  package var isPlainRTP: Bool {
    ASCII.equalIgnoringCase(proto, "RTP/AVP") || ASCII.equalIgnoringCase(proto, "RTP/AVPF")
  }

  /// The value of the first attribute of this name; nil if there is none or it has no value.
  package func value(of name: String) -> String? {
    attributes.first { $0.name == name }?.value
  }
  package func has(_ name: String) -> Bool { attributes.contains { $0.name == name } }

  /// Packet time in milliseconds; nil when absent or nonsense.
  package var ptime: Int? {
    guard let text = value(of: "ptime"), let number = Int(text.prefix { $0 != " " && $0 != "." }),
      (1...200).contains(number)
    else { return nil }
    return number
  }

  package var muxesRTCP: Bool { has("rtcp-mux") }

  /// The port of `a=rtcp` (RFC 3605), with its address when one is given.
  package var rtcp: (port: UInt16, address: IPAddress?)? {
    guard let words = value(of: "rtcp")?.split(separator: " "), let first = words.first,
      let port = UInt16(first)
    else { return nil }
    return (port, words.count >= 4 ? IPAddress(words[3]) : nil)
  }

  /// The formats of an RTP line that are fully known: payload type, encoding, clock. A dynamic payload type without
  /// `rtpmap` is left out; a static one needs none.
  package var rtpFormats: [Format] {
    var result: [Format] = []
    for word in formats {
      guard let payloadType = UInt8(word), payloadType < 128 else { continue }
      guard !result.contains(where: { $0.payloadType == payloadType }) else { continue }
      let parameters = parameters(of: payloadType)
      if let mapped = mapping(of: payloadType) {
        result.append(
          Format(
            payloadType: payloadType, encoding: mapped.encoding, clockRate: mapped.clockRate,
            channels: mapped.channels, parameters: parameters))
      } else if var known = Format.assigned(payloadType) {
        known.parameters = parameters
        result.append(known)
      }
    }
    return result
  }

  /// `a=rtpmap:96 H264/90000` or `a=rtpmap:97 opus/48000/2` of one payload type.
  private func mapping(of payloadType: UInt8) -> (encoding: String, clockRate: Int, channels: Int)? {
    for attribute in attributes where attribute.name == "rtpmap" {
      guard let words = attribute.value?.split(separator: " ", maxSplits: 1), words.count == 2,
        UInt8(words[0]) == payloadType
      else { continue }
      let parts = words[1].split(separator: "/").map { part in String(part.filter { $0 != " " }) }
      guard parts.count >= 2, let clockRate = Int(parts[1]), (1...1_000_000).contains(clockRate) else {
        continue
      }
      return (parts[0], clockRate, parts.count > 2 ? Int(parts[2]) ?? 1 : 1)
    }
    return nil
  }

  /// What `a=fmtp` says of one payload type, as written.
  private func parameters(of payloadType: UInt8) -> String? {
    for attribute in attributes where attribute.name == "fmtp" {
      guard let words = attribute.value?.split(separator: " ", maxSplits: 1), words.count == 2,
        UInt8(words[0]) == payloadType
      else { continue }
      return String(words[1])
    }
    return nil
  }
}
