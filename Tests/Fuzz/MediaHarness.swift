import RTP
import SDP
import Wire

enum MediaHarness {
  static func description(_ bytes: [UInt8]) {
    guard let description = try? SessionDescription(parsing: bytes) else { return }
    _ = (description.isHold, description.firstPlain(.audio), description.firstPlain(.video))
    for (place, media) in description.media.enumerated() {
      _ = (description.address(of: media), description.direction(of: media), media.rtpFormats, media.rtcp)
      _ = (media.ptime, description.settled(at: place, with: description))
    }
    let written = description.bytes
    // What was read at the limits may be longer when it is written, with line ends of two bytes.
    guard bytes.count < SDPLimits.lineBytes / 2 else { return }
    guard let again = try? SessionDescription(parsing: written) else {
      preconditionFailure("a written description does not parse: \(String(decoding: written, as: UTF8.self))")
    }
    // What could not be understood is written in our words once; from then on it stays.
    let twice = again.bytes
    guard let third = try? SessionDescription(parsing: twice) else {
      preconditionFailure("a description written twice does not parse")
    }
    precondition(third.bytes == twice, "a description changes whenever it is written")
  }

  static func packet(_ bytes: [UInt8]) {
    guard let header = try? PacketHeader(parsing: bytes.span) else { return }
    precondition(
      header.payload.lowerBound >= 12 && header.payload.upperBound <= bytes.count, "the payload lies outside")
    precondition(header.extensionData.upperBound <= header.payload.lowerBound, "the extension is payload")
    let written = header.bytes
    var plain: [UInt8] = []
    for index in written.indices { plain.append(written[index]) }
    guard let again = try? PacketHeader(parsing: plain.span) else {
      preconditionFailure("a written header does not parse")
    }
    precondition(
      again.sequence == header.sequence && again.timestamp == header.timestamp && again.ssrc == header.ssrc
        && again.payloadType == header.payloadType && again.marker == header.marker, "a header changes")
  }

  static func control(_ bytes: [UInt8]) {
    var reader = ControlReader()
    var packets = 0
    while let _ = try? reader.next(in: bytes.span) {
      packets += 1
      precondition(packets <= bytes.count / 4, "more packets than words")
    }
  }

  /// Packets of eight bytes: a timestamp step, a marker and an event.
  static func event(_ bytes: [UInt8]) {
    var receiver = KeyReceiver()
    var timestamp: UInt32 = 0
    var now = Instant(nanoseconds: 0)
    var keys = 0
    var starts = 0
    var place = 0
    while place + 8 <= bytes.count {
      let packet = Array(bytes[place..<place + 8])
      place += 8
      let old = timestamp
      timestamp &+= packet.span.bigEndian32(at: 0)
      now = now + .milliseconds(Int64(packet[0] & 0x3F))
      guard let event = TelephoneEvent(parsing: packet.span, at: 4..<8) else {
        preconditionFailure("four bytes are an event")
      }
      let written = event.bytes
      precondition(
        written[0] == packet[4] && written[2] == packet[6] && written[3] == packet[7], "it changes")
      if timestamp != old || starts == 0 { starts += 1 }
      if let key = receiver.receive(event, timestamp: timestamp, marker: packet[1] & 1 == 1, at: now) {
        keys += 1
        precondition(Key(key.character) == key, "a key is another")
      }
      precondition(keys <= starts, "one press is told twice")
    }
    _ = TelephoneEvent(parsing: bytes.span, at: 0..<min(4, bytes.count))
  }
}
