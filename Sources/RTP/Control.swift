// RTCP compounds (RFC 3550 section 6, RFC 4585 generic NACK and picture loss, RFC 5104 full intra request).
//
// Responsible for: walking a compound that a stranger wrote, one packet at a time, and writing ours. Packets that
// we have no use for (APP, XR) are walked over. Assumes the datagram is whole.

internal import Wire

/// Why bytes are no RTCP compound.
package enum ControlError: Error, Hashable, Sendable {
  case tooShort, version, length, padding
  /// The first packet is none that may begin a compound (RFC 3550 section A.2, RFC 5506).
  case beginning
}

/// What a sender says of its own stream (RFC 3550 section 6.4.1).
package struct SenderInformation: Hashable, Sendable {
  package var ntp: UInt64
  package var timestamp: UInt32
  package var packets: UInt32
  package var octets: UInt32

  package init(ntp: UInt64, timestamp: UInt32, packets: UInt32, octets: UInt32) {
    self.ntp = ntp
    self.timestamp = timestamp
    self.packets = packets
    self.octets = octets
  }
}

/// One packet of a compound.
package enum ControlPacket: Hashable, Sendable {
  case senderReport(ssrc: UInt32, SenderInformation, [ReportBlock])
  case receiverReport(ssrc: UInt32, [ReportBlock])
  /// The first chunk's source and its CNAME, where it has one.
  case description(ssrc: UInt32, name: [UInt8])
  case bye([UInt32])
  /// Packets that did not come, by their numbers, in the order of the list (RFC 4585 section 6.2.1).
  case lost(sender: UInt32, media: UInt32, [UInt16])
  case pictureLoss(sender: UInt32, media: UInt32)
  case fullIntra(sender: UInt32, media: UInt32)
  /// When packets came, by their numbers across all streams.
  case arrivals(sender: UInt32, TransportFeedback)
  /// What the receiver believes that the path carries.
  case estimate(sender: UInt32, bitsPerSecond: UInt64)
  /// Something that we walk over.
  case other(type: UInt8)
}

/// Walks a compound; the bytes stay with the caller and are handed in at each step.
package struct ControlReader: Sendable {
  private var place = 0

  package init() {}

  /// The next packet; nil after the last. An error ends the walk: what came before it stands.
  package mutating func next(in compound: Span<UInt8>) throws(ControlError) -> ControlPacket? {
    let start = place
    guard start < compound.count else { return nil }
    guard compound.count - start >= 4 else { throw .tooShort }
    guard compound[start] >> 6 == 2 else { throw .version }
    let type = compound[start + 1]
    if start == 0, ![200, 201, 205, 206].contains(type) { throw .beginning }
    var end = start + 4 + 4 * Int(compound.bigEndian16(at: start + 2))
    guard end <= compound.count else { throw .length }
    place = end
    if compound[start] & 0x20 != 0 {
      let padding = Int(compound[end - 1])
      guard padding > 0, padding <= end - start - 4, end == compound.count else { throw .padding }
      end -= padding
    }
    let count = Int(compound[start] & 0x1F)
    switch type {
    case 200:
      guard end - start >= 28 + 24 * count else { throw .length }
      let information = SenderInformation(
        ntp: UInt64(compound.bigEndian32(at: start + 8)) << 32 | UInt64(compound.bigEndian32(at: start + 12)),
        timestamp: compound.bigEndian32(at: start + 16), packets: compound.bigEndian32(at: start + 20),
        octets: compound.bigEndian32(at: start + 24))
      return .senderReport(
        ssrc: compound.bigEndian32(at: start + 4), information, blocks(compound, from: start + 28, count))
    case 201:
      guard end - start >= 8 + 24 * count else { throw .length }
      return .receiverReport(
        ssrc: compound.bigEndian32(at: start + 4), blocks(compound, from: start + 8, count))
    case 202:
      guard count > 0 else { return .other(type: type) }
      guard end - start >= 8 else { throw .length }
      return .description(
        ssrc: compound.bigEndian32(at: start + 4), name: try name(compound, from: start + 8, to: end))
    case 203:
      guard end - start >= 4 + 4 * count else { throw .length }
      var sources: [UInt32] = []
      for index in 0..<count { sources.append(compound.bigEndian32(at: start + 4 + 4 * index)) }
      return .bye(sources)
    case 205 where count == 1:
      guard end - start >= 12 else { throw .length }
      return .lost(
        sender: compound.bigEndian32(at: start + 4), media: compound.bigEndian32(at: start + 8),
        lostNumbers(compound, from: start + 12, to: end))
    case 205 where count == 15:
      guard end - start >= 12 else { throw .length }
      return .arrivals(
        sender: compound.bigEndian32(at: start + 4),
        try TransportFeedback(compound, from: start + 12, to: end))
    case 206 where count == 15:
      guard end - start >= 12 else { throw .length }
      guard let bits = ControlReader.estimate(compound, from: start + 12, to: end) else {
        return .other(type: type)
      }
      return .estimate(sender: compound.bigEndian32(at: start + 4), bitsPerSecond: bits)
    case 206 where count == 1 || count == 4:
      guard end - start >= 12 else { throw .length }
      let sender = compound.bigEndian32(at: start + 4)
      if count == 1 { return .pictureLoss(sender: sender, media: compound.bigEndian32(at: start + 8)) }
      guard end - start >= 20 else { throw .length }
      return .fullIntra(sender: sender, media: compound.bigEndian32(at: start + 12))
    default:
      return .other(type: type)
    }
  }

  private func blocks(_ compound: Span<UInt8>, from start: Int, _ count: Int) -> [ReportBlock] {
    var result: [ReportBlock] = []
    for index in 0..<count {
      let at = start + 24 * index
      let loss = compound.bigEndian32(at: at + 4)
      result.append(
        ReportBlock(
          ssrc: compound.bigEndian32(at: at), fractionLost: UInt8(loss >> 24),
          lost: Int32(bitPattern: loss << 8) >> 8, highest: compound.bigEndian32(at: at + 8),
          jitter: compound.bigEndian32(at: at + 12), lastReport: compound.bigEndian32(at: at + 16),
          delay: compound.bigEndian32(at: at + 20)))
    }
    return result
  }

  /// At most so many numbers of one request are read: whoever misses more wants a key frame.
  package static let lostLimit = 256

  private func lostNumbers(_ compound: Span<UInt8>, from start: Int, to end: Int) -> [UInt16] {
    var numbers: [UInt16] = []
    var at = start
    while at + 4 <= end {
      let first = compound.bigEndian16(at: at)
      let mask = compound.bigEndian16(at: at + 2)
      for step: UInt16 in 0...16 where step == 0 || mask >> (step - 1) & 1 == 1 {
        guard numbers.count < ControlReader.lostLimit else { return numbers }
        numbers.append(first &+ step)
      }
      at += 4
    }
    return numbers
  }

  private func name(
    _ compound: Span<UInt8>, from start: Int, to end: Int
  ) throws(ControlError) -> [UInt8] {
    var at = start
    while at < end, compound[at] != 0 {
      guard at + 2 <= end, at + 2 + Int(compound[at + 1]) <= end else { throw .length }
      let range = at + 2..<at + 2 + Int(compound[at + 1])
      if compound[at] == 1 {
        var name: [UInt8] = []
        for index in range { name.append(compound[index]) }
        return name
      }
      at = range.upperBound
    }
    return []
  }
}

/// Writes a compound into memory that is used again.
package struct ControlWriter: Sendable {
  package private(set) var bytes: [UInt8] = []

  package init() { bytes.reserveCapacity(256) }

  /// Forgets what was written, keeping the memory.
  package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  /// A sender report with at most one block.
  package mutating func senderReport(ssrc: UInt32, _ information: SenderInformation, _ block: ReportBlock?) {
    head(count: block == nil ? 0 : 1, type: 200, words: 6 + (block == nil ? 0 : 6))
    append(ssrc)
    append(UInt32(truncatingIfNeeded: information.ntp >> 32))
    append(UInt32(truncatingIfNeeded: information.ntp))
    append(information.timestamp)
    append(information.packets)
    append(information.octets)
    if let block { append(block) }
  }

  /// A receiver report with at most one block.
  package mutating func receiverReport(ssrc: UInt32, _ block: ReportBlock?) {
    head(count: block == nil ? 0 : 1, type: 201, words: 1 + (block == nil ? 0 : 6))
    append(ssrc)
    if let block { append(block) }
  }

  /// A description with a canonical name of at most 255 bytes; longer ones are cut.
  package mutating func description(ssrc: UInt32, name: [UInt8]) {
    let length = min(255, name.count)
    // Source, item head, name, at least one zero, up to the next word.
    let words = 1 + (2 + length + 1 + 3) / 4
    head(count: 1, type: 202, words: words)
    append(ssrc)
    bytes.append(1)
    bytes.append(UInt8(length))
    for index in 0..<length { bytes.append(name[index]) }
    for _ in 0..<(words - 1) * 4 - 2 - length { bytes.append(0) }
  }

  package mutating func bye(ssrc: UInt32) {
    head(count: 1, type: 203, words: 1)
    append(ssrc)
  }

  /// A generic NACK; `numbers` in rising order, packed into as few words as they need.
  package mutating func lost(sender: UInt32, media: UInt32, _ numbers: [UInt16]) {
    var words: [UInt32] = []
    var first: UInt16?
    for number in numbers {
      if let first, let word = words.last, number &- first >= 1, number &- first <= 16 {
        words[words.count - 1] = word | 1 << UInt32(number &- first - 1)
      } else if number != first {
        words.append(UInt32(number) << 16)
        first = number
      }
    }
    head(count: 1, type: 205, words: 2 + words.count)
    append(sender)
    append(media)
    for word in words { append(word) }
  }

  package mutating func pictureLoss(sender: UInt32, media: UInt32) {
    head(count: 1, type: 206, words: 2)
    append(sender)
    append(media)
  }

  /// `sequence` grows by one with each new request, and stays for a repeated one (RFC 5104 section 4.3.1).
  package mutating func fullIntra(sender: UInt32, media: UInt32, sequence: UInt8) {
    head(count: 4, type: 206, words: 4)
    append(sender)
    append(0)
    append(media)
    append(UInt32(sequence) << 24)
  }

  /// Feedback of any kind; `body` fills whole words.
  mutating func feedbackPacket(
    format: UInt8, type: UInt8, sender: UInt32, media: UInt32, _ body: [UInt8]
  ) {
    head(count: format, type: type, words: 2 + body.count / 4)
    append(sender)
    append(media)
    bytes += body
  }

  private mutating func head(count: UInt8, type: UInt8, words: Int) {
    bytes.append(0x80 | count)
    bytes.append(type)
    bytes.append(UInt8(words >> 8))
    bytes.append(UInt8(words & 0xFF))
  }

  private mutating func append(_ block: ReportBlock) {
    append(block.ssrc)
    append(UInt32(block.fractionLost) << 24 | UInt32(bitPattern: block.lost) & 0xFF_FFFF)
    append(block.highest)
    append(block.jitter)
    append(block.lastReport)
    append(block.delay)
  }

  private mutating func append(_ word: UInt32) {
    for shift: UInt32 in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
  }
}
