package import RTP
internal import SDP

/// What both sides agreed on for the packets of a stream that we send, besides codecs.
package struct SendingTerms: Hashable, Sendable {
  /// The identifiers to write extensions under, and our mid.
  package var extensions = ExtensionIDs()
  /// By payload type: the one under which its packets are sent again.
  package var repairs: [UInt8: UInt8] = [:]
  /// The peer asks for lost packets, and gets them.
  package var repeats = false
}

extension PeerConnection {
  /// What was agreed on for a stream; nil when it is off.
  package func terms(_ kind: StreamKind) -> SendingTerms? {
    guard let stream = settled(kind), let localDescription, let remoteDescription, let index = lines?[kind]
    else { return nil }
    let ours = localDescription.media[index]
    let theirs = remoteDescription.media[index]
    var terms = SendingTerms()
    let own = ours.extensions
    let other = theirs.extensions
    for extensionKind in ExtensionIDs.Kind.allCases where own[extensionKind] == other[extensionKind] {
      terms.extensions[extensionKind] = own[extensionKind]
    }
    terms.extensions.mid = Array((ours.mid ?? "").utf8.prefix(16))
    let known = ours.rtpFormats
    for repair in theirs.rtpFormats {
      guard let repaired = repair.repaired, known.contains(where: { $0.repaired == repaired }) else {
        continue
      }
      terms.repairs[repaired] = repair.payloadType
    }
    if let format = stream.media {
      terms.repeats =
        ours.offersFeedback("nack", for: format.payloadType)
        && theirs.offersFeedback("nack", for: format.payloadType)
    }
    return terms
  }
}

extension [Format] {
  /// With a repair behind each payload type, under numbers that are free.
  var withRepairs: [Format] {
    var result = self
    for format in self where format.isMedia && !contains(where: { $0.repaired == format.payloadType }) {
      guard
        let number = (UInt8(97)...127).first(where: { one in !result.contains { $0.payloadType == one } })
      else { break }
      result.append(
        Format(
          payloadType: number, encoding: "rtx", clockRate: format.clockRate,
          parameters: "apt=\(format.payloadType)"))
    }
    return result
  }
}
