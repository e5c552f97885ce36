internal import SDP
internal import Wire

// What a camera's description offers (RFC 2326 appendix C), read for the two streams we can use: one of pictures, one
// of sound.
//
// Cameras write descriptions that no offer/answer peer would: no `o=`, `c=` lines of any shape, port 0 everywhere,
// streams that flow towards the camera. So only the lines that matter here are handed to the SDP room.

/// What a stream carries.
package enum RTSPCoding: Hashable, Sendable {
  /// With the parameter sets of the description, where it has any.
  case h264(parameterSets: [[UInt8]])
  case pcma, pcmu
  case aac(AACFormat)
}

/// MPEG-4 sound as RFC 3640 carries it.
package struct AACFormat: Hashable, Sendable {
  /// The AudioSpecificConfig (ISO 14496-3): what a decoder needs before the first frame.
  package var configuration: [UInt8]
  package var clockRate: Int
  package var channels: Int
  /// Bits of an access unit's size, and of its index in the first and in later headers.
  package var sizeLength: Int
  package var indexLength: Int
  package var indexDeltaLength: Int

  package init(
    configuration: [UInt8], clockRate: Int, channels: Int, sizeLength: Int = 13, indexLength: Int = 3,
    indexDeltaLength: Int = 3
  ) {
    self.configuration = configuration
    self.clockRate = clockRate
    self.channels = channels
    self.sizeLength = sizeLength
    self.indexLength = indexLength
    self.indexDeltaLength = indexDeltaLength
  }
}

/// One stream that we set up.
package struct RTSPTrack: Hashable, Sendable {
  package var coding: RTSPCoding
  package var payloadType: UInt8
  package var clockRate: UInt32
  /// Its own address for SETUP.
  package var control: String

  package init(coding: RTSPCoding, payloadType: UInt8, clockRate: UInt32, control: String) {
    self.coding = coding
    self.payloadType = payloadType
    self.clockRate = clockRate
    self.control = control
  }

  package var isVideo: Bool { if case .h264 = coding { true } else { false } }
}

/// Why a description is of no use.
package enum PresentationFault: Error, Hashable, Sendable {
  case malformed
  /// No stream of pictures at all.
  case noVideo
  /// Pictures, but none that a browser can be handed: the encoding's name.
  case coding(String)
}

package struct RTSPPresentation: Hashable, Sendable {
  /// Pictures first; then sound, if there is any we can use.
  package var tracks: [RTSPTrack]
  /// The address for PLAY and TEARDOWN.
  package var control: String
  /// Encodings of sound that we leave alone.
  package var unusedSound: [String]

  /// Reads the description that was got from `base`.
  package init(parsing description: [UInt8], base: String) throws(PresentationFault) {
    let session: SessionDescription
    do throws(SDPError) {
      session = try SessionDescription(parsing: RTSPPresentation.essential(description))
    } catch { throw .malformed }
    let own = session.attributes.first { $0.name == "control" }?.value
    control = RTSPAddress.control(own, under: base)
    var video: RTSPTrack?
    var sound: RTSPTrack?
    var otherVideo: String?
    unusedSound = []
    for media in session.media {
      let isTowardsCamera = media.attributes.contains { $0.name == "sendonly" }
      let control = RTSPAddress.control(media.value(of: "control"), under: base)
      switch media.kind {
      case .video:
        guard video == nil else { continue }
        if let found = RTSPPresentation.video(media, control) {
          video = found
        } else if otherVideo == nil {
          otherVideo = RTSPPresentation.formats(media).first?.encoding ?? "unknown"
        }
      case .audio:
        // A camera's loudspeaker (ONVIF streaming specification 5.3) is nothing that can be heard.
        guard sound == nil, !isTowardsCamera else { continue }
        sound = RTSPPresentation.sound(media, control)
        if sound == nil, let name = RTSPPresentation.formats(media).first?.encoding {
          unusedSound.append(name)
        }
      case .other: continue
      }
    }
    guard let video else { throw otherVideo.map { .coding($0) } ?? .noVideo }
    if sound != nil { unusedSound = [] }
    tracks = [video] + (sound.map { [$0] } ?? [])
  }

  /// The description with an origin of ours, and without lines that nobody here reads.
  private static func essential(_ description: [UInt8]) -> [UInt8] {
    var result = Array("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\n".utf8)
    for line in description.split(whereSeparator: { $0 == 13 || $0 == 10 || $0 == 0 }) {
      let text = line.drop { ASCII.isBlank($0) }
      guard text.count >= 3, text[text.startIndex + 1] == UInt8(ascii: "="),
        text[text.startIndex] == UInt8(ascii: "m") || text[text.startIndex] == UInt8(ascii: "a")
      else { continue }
      result += text
      result += [13, 10]
    }
    return result
  }

  private static func formats(_ media: MediaDescription) -> [Format] {
    media.formats.compactMap { written in
      guard let payloadType = UInt8(written), payloadType < 128 else { return nil }
      var format = Format.assigned(payloadType)
      var parameters: String?
      for attribute in media.attributes {
        guard attribute.name == "rtpmap" || attribute.name == "fmtp", let value = attribute.value else {
          continue
        }
        let halves = value.split(maxSplits: 1, whereSeparator: { $0 == " " || $0 == "\t" })
        guard halves.count == 2, UInt8(halves[0]) == payloadType else { continue }
        if attribute.name == "fmtp" {
          parameters = String(halves[1])
          continue
        }
        let words = halves[1].trimmedBlanks.split(separator: "/")
        guard let name = words.first else { continue }
        format = Format(
          payloadType: payloadType, encoding: String(name),
          clockRate: words.count > 1 ? Int(words[1].trimmedBlanks) ?? 0 : 0,
          channels: words.count > 2 ? Int(words[2].trimmedBlanks) ?? 1 : 1)
      }
      // A map was forgotten, but only one encoding has such parameters.
      if format == nil, parameters?.contains("sprop-parameter-sets") == true {
        format = Format(payloadType: payloadType, encoding: "H264", clockRate: 90_000)
      }
      format?.parameters = parameters
      return format
    }
  }

  private static func video(_ media: MediaDescription, _ control: String) -> RTSPTrack? {
    guard let format = formats(media).first(where: { $0.isH264 }) else { return nil }
    return RTSPTrack(
      coding: .h264(parameterSets: format.parameterSets), payloadType: format.payloadType, clockRate: 90_000,
      control: control)
  }

  private static func sound(_ media: MediaDescription, _ control: String) -> RTSPTrack? {
    for format in formats(media) {
      let coding: RTSPCoding
      switch format.audioCodec {
      case .pcma where format.channels == 1: coding = .pcma
      case .pcmu where format.channels == 1: coding = .pcmu
      default:
        guard ASCII.equalIgnoringCase(format.encoding, "mpeg4-generic"), let aac = AACFormat(format) else {
          continue
        }
        coding = .aac(aac)
      }
      return RTSPTrack(
        coding: coding, payloadType: format.payloadType, clockRate: UInt32(format.clockRate), control: control
      )
    }
    return nil
  }
}

extension AACFormat {
  /// Nil for a mode that is not AAC's, or figures that no camera means.
  fileprivate init?(_ format: Format) {
    let mode = format.parameter("mode") ?? "AAC-hbr"
    guard ASCII.equalIgnoringCase(mode, "AAC-hbr") || ASCII.equalIgnoringCase(mode, "AAC-lbr"),
      (7350...96_000).contains(format.clockRate), (1...2).contains(format.channels)
    else { return nil }
    let isLow = ASCII.equalIgnoringCase(mode, "AAC-lbr")
    func bits(_ name: String, _ usual: Int) -> Int? {
      guard let text = format.parameter(name) else { return usual }
      return Int(text).flatMap { (0...16).contains($0) ? $0 : nil }
    }
    guard let size = bits("sizelength", isLow ? 6 : 13), size > 0,
      let index = bits("indexlength", isLow ? 2 : 3), let delta = bits("indexdeltalength", isLow ? 2 : 3)
    else { return nil }
    var configuration: [UInt8] = []
    let digits = Array((format.parameter("config") ?? "").utf8).compactMap { ASCII.hexValue($0) }
    guard digits.count <= 128 else { return nil }
    for place in stride(from: 0, to: digits.count - 1, by: 2) {
      configuration.append(digits[place] << 4 | digits[place + 1])
    }
    self.init(
      configuration: configuration, clockRate: format.clockRate, channels: format.channels, sizeLength: size,
      indexLength: index, indexDeltaLength: delta)
  }
}
