// The path of a packet: nothing here allocates.
package import Crypto
internal import ICE
internal import RTP
package import Wire

extension PeerConnection {
  /// Bytes that protection adds to a packet: the longest tag until there are keys.
  package var overhead: Int { sender?.overhead ?? SRTPProfile.aeadAES128GCM.tagLength }

  /// Writes the protected packet of `header` and `payload` into `buffer` from `offset` on and gives its length; 0 when
  /// media may not flow yet, the packet does not fit, or its sequence number was used: what is sent `again` must be the
  /// same packet, byte for byte.
  package func protect(
    _ header: Span<UInt8>, _ payload: Span<UInt8>, _ departure: Departure = .first,
    into buffer: inout MutableSpan<UInt8>, at offset: Int = 0
  ) -> Int {
    guard let sender, isReady else { return 0 }
    return sender.protect(header, payload, departure, into: &buffer, at: offset)
  }

  /// The same for an RTCP compound.
  package func protectControl(
    _ compound: Span<UInt8>, into buffer: inout MutableSpan<UInt8>, at offset: Int = 0
  ) -> Int {
    guard let controlSender, isReady else { return 0 }
    return controlSender.protect(compound, into: &buffer, at: offset)
  }

  /// Sends what was protected by the selected path, whatever that is; false when there is none. Where
  /// `path` has neither relay nor channel, the owner may as well send it to `path.flow` itself.
  @discardableResult
  package func send(_ protected: Span<UInt8>, _ turn: inout Turn) -> Bool {
    guard isReady else { return false }
    return agent.send(protected, &turn)
  }

  func openPacket(_ packet: Span<UInt8>) -> PeerReading {
    guard let receiver else {
      ownCounters.beforeKeys += 1
      return .nothing
    }
    guard packet.count <= SRTPReceiver.packetLimit else {
      ownCounters.malformed += 1
      return .nothing
    }
    // Taken out for the time being: the only owner writes without a copy.
    var buffer: [UInt8] = []
    swap(&buffer, &plain)
    defer { swap(&buffer, &plain) }
    var room = buffer.mutableSpan
    guard let length = receiver.unprotect(packet, into: &room) else { return .nothing }
    let opened = buffer.span.extracting(0..<length)
    guard let header = try? PacketHeader(parsing: opened) else {
      ownCounters.malformed += 1
      return .nothing
    }
    guard let kind = kind(of: header, in: opened) else {
      ownCounters.unknown += 1
      return .nothing
    }
    return .rtp(kind, length: length)
  }

  func openControl(_ compound: Span<UInt8>) -> PeerReading {
    guard let receiver else {
      ownCounters.beforeKeys += 1
      return .nothing
    }
    guard compound.count <= SRTPReceiver.packetLimit else {
      ownCounters.malformed += 1
      return .nothing
    }
    var buffer: [UInt8] = []
    swap(&buffer, &plain)
    defer { swap(&buffer, &plain) }
    var room = buffer.mutableSpan
    guard let length = receiver.unprotectControl(compound, into: &room) else { return .nothing }
    return .rtcp(length: length)
  }

  /// The stream a packet belongs to (RFC 9143 section 9.2): by its source where that is known, else by the mid that it
  /// carries, else by its payload type. Nil where the stream may not come.
  private func kind(of header: PacketHeader, in packet: Span<UInt8>) -> StreamKind? {
    if let known = sources[header.ssrc] { return media.mayReceive(known) ? known : nil }
    guard let kind = media.kind(byMid: header, in: packet) ?? media.kind(of: header.payloadType),
      media.mayReceive(kind)
    else { return nil }
    sources.learn(header.ssrc, kind)
    return kind
  }
}

/// Which stream each source of the peer belongs to, as far as that was seen under its keys.
struct SourceTable {
  /// A browser has one source per stream, and takes another when its device changes. The oldest makes room.
  static let limit = 8

  private var entries: [(ssrc: UInt32, kind: StreamKind)] = []
  private var oldest = 0

  init() { entries.reserveCapacity(SourceTable.limit) }

  subscript(ssrc: UInt32) -> StreamKind? {
    for index in entries.indices where entries[index].ssrc == ssrc { return entries[index].kind }
    return nil
  }

  mutating func learn(_ ssrc: UInt32, _ kind: StreamKind) {
    if entries.count < SourceTable.limit {
      entries.append((ssrc, kind))
    } else {
      entries[oldest] = (ssrc, kind)
      oldest = (oldest + 1) % SourceTable.limit
    }
  }
}

/// What the descriptions settled for the path of a packet.
struct MediaMap {
  private var byPayloadType = [StreamKind?](repeating: nil, count: 128)
  private var receives: [Bool] = [false, false]
  /// Identifier of the mid extension in what the peer sends; 0 for none.
  private var midExtension = 0
  private var mids: [[UInt8]] = [[], []]

  func mayReceive(_ kind: StreamKind) -> Bool { receives[Int(kind.rawValue)] }
  func kind(of payloadType: UInt8) -> StreamKind? { byPayloadType[Int(payloadType & 0x7F)] }

  mutating func add(
    _ kind: StreamKind, payloadTypes: [UInt8], receives: Bool, mid: String?, midExtension: Int?
  ) {
    self.receives[Int(kind.rawValue)] = receives
    mids[Int(kind.rawValue)] = Array((mid ?? "").utf8)
    if let midExtension { self.midExtension = midExtension }
    for payloadType in payloadTypes where byPayloadType[Int(payloadType & 0x7F)] == nil {
      byPayloadType[Int(payloadType & 0x7F)] = kind
    }
  }

  /// By the mid in a header extension, in either of its forms (RFC 8285 sections 4.2 and 4.3).
  func kind(byMid header: PacketHeader, in packet: Span<UInt8>) -> StreamKind? {
    guard midExtension > 0, let profile = header.extensionProfile else { return nil }
    let isShort = profile == 0xBEDE
    guard isShort || profile & 0xFFF0 == 0x1000 else { return nil }
    var place = header.extensionData.lowerBound
    let end = header.extensionData.upperBound
    while place < end {
      let first = packet[place]
      // Padding.
      if first == 0 {
        place += 1
        continue
      }
      let id: Int
      let length: Int
      if isShort {
        id = Int(first >> 4)
        length = Int(first & 15) + 1
        place += 1
      } else {
        guard place + 1 < end else { return nil }
        id = Int(first)
        length = Int(packet[place + 1])
        place += 2
      }
      // 15 ends the list in the short form.
      guard !(isShort && id == 15), place + length <= end else { return nil }
      if id == midExtension {
        for kind in StreamKind.allCases where isEqual(mids[Int(kind.rawValue)], packet, place, length) {
          return kind
        }
        return nil
      }
      place += length
    }
    return nil
  }

  private func isEqual(_ mid: [UInt8], _ packet: Span<UInt8>, _ place: Int, _ length: Int) -> Bool {
    guard mid.count == length, length > 0 else { return false }
    for index in 0..<length where mid[index] != packet[place + index] { return false }
    return true
  }
}
