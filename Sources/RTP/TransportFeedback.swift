// What a receiver tells of the packets of all streams of a transport, by the numbers that the sender gave them
// (draft-holmer-rmcat-transport-wide-cc-extensions-01).

internal import Wire

/// Which packets came, and when.
package struct TransportFeedback: Hashable, Sendable {
  /// At most so many packets of one report are read; a receiver that reports ten times a second has no more.
  package static let limit = 2048

  /// Of the first packet.
  package var base: UInt16
  /// Rises by one with each report.
  package var number: UInt8
  /// One for each packet from the first on: microseconds on the receiver's own clock, which begins anywhere and wraps
  /// after 12 days; nil for one that did not come.
  package var arrivals: [Int64?]

  package init(base: UInt16, number: UInt8, arrivals: [Int64?]) {
    self.base = base
    self.number = number
    self.arrivals = arrivals
  }

  /// Reads what follows the common head: from the base on, up to `end`.
  init(_ bytes: Span<UInt8>, from start: Int, to end: Int) throws(ControlError) {
    guard end - start >= 8 else { throw .length }
    base = bytes.bigEndian16(at: start)
    let count = Int(bytes.bigEndian16(at: start + 2))
    guard count <= TransportFeedback.limit else { throw .length }
    let reference = Int32(bitPattern: bytes.bigEndian32(at: start + 4)) >> 8
    number = bytes[start + 7]
    var place = start + 8
    var symbols: [UInt8] = []
    symbols.reserveCapacity(count)
    while symbols.count < count {
      guard place + 2 <= end else { throw .length }
      let chunk = bytes.bigEndian16(at: place)
      place += 2
      if chunk & 0x8000 == 0 {
        let symbol = UInt8(chunk >> 13 & 3)
        for _ in 0..<min(Int(chunk & 0x1FFF), count - symbols.count) { symbols.append(symbol) }
        guard chunk & 0x1FFF != 0 else { throw .length }
      } else if chunk & 0x4000 == 0 {
        for bit in (0..<14).reversed() where symbols.count < count {
          symbols.append(UInt8(chunk >> UInt16(bit) & 1))
        }
      } else {
        for pair in (0..<7).reversed() where symbols.count < count {
          symbols.append(UInt8(chunk >> UInt16(2 * pair) & 3))
        }
      }
    }
    arrivals = []
    arrivals.reserveCapacity(count)
    var time = Int64(reference) * 64_000
    for symbol in symbols {
      switch symbol {
      case 1:
        guard place < end else { throw .length }
        time += Int64(bytes[place]) * 250
        place += 1
        arrivals.append(time)
      case 2:
        guard place + 2 <= end else { throw .length }
        time += Int64(Int16(bitPattern: bytes.bigEndian16(at: place))) * 250
        place += 2
        arrivals.append(time)
      default: arrivals.append(nil)
      }
    }
  }
}

extension ControlWriter {
  /// A report on packets; each arrival at most eight seconds from the one before it.
  package mutating func arrivals(sender: UInt32, media: UInt32, _ feedback: TransportFeedback) {
    let first = feedback.arrivals.lazy.compactMap { $0 }.first ?? 0
    let reference = Int32(truncatingIfNeeded: first >= 0 ? first / 64_000 : (first - 63_999) / 64_000)
    var symbols: [UInt8] = []
    var deltas: [UInt8] = []
    var time = Int64(reference) * 64_000
    for arrival in feedback.arrivals {
      guard let arrival else {
        symbols.append(0)
        continue
      }
      let step = (arrival - time) / 250
      time += step * 250
      if (0...255).contains(step) {
        symbols.append(1)
        deltas.append(UInt8(step))
      } else {
        symbols.append(2)
        let word = UInt16(bitPattern: Int16(clamping: step))
        deltas += [UInt8(word >> 8), UInt8(word & 0xFF)]
      }
    }
    var chunks: [UInt16] = []
    for start in stride(from: 0, to: symbols.count, by: 7) {
      var chunk: UInt16 = 0xC000
      for place in 0..<7 where start + place < symbols.count {
        chunk |= UInt16(symbols[start + place]) << UInt16(2 * (6 - place))
      }
      chunks.append(chunk)
    }
    var body: [UInt8] = []
    for word in [feedback.base, UInt16(feedback.arrivals.count)] {
      body += [UInt8(word >> 8), UInt8(word & 0xFF)]
    }
    let clock = UInt32(bitPattern: reference) & 0xFF_FFFF
    body += [UInt8(clock >> 16), UInt8(clock >> 8 & 0xFF), UInt8(clock & 0xFF), feedback.number]
    for chunk in chunks { body += [UInt8(chunk >> 8), UInt8(chunk & 0xFF)] }
    body += deltas
    while body.count % 4 != 0 { body.append(0) }
    feedbackPacket(format: 15, type: 205, sender: sender, media: media, body)
  }

  /// What the receiver believes that the path carries (draft-alvestrand-rmcat-remb-03), for these sources.
  package mutating func estimate(sender: UInt32, bitsPerSecond: UInt64, _ sources: [UInt32]) {
    var exponent: UInt8 = 0
    var mantissa = bitsPerSecond
    while mantissa >= 1 << 18 {
      mantissa >>= 1
      exponent += 1
    }
    var body: [UInt8] = [0x52, 0x45, 0x4D, 0x42, UInt8(min(255, sources.count))]
    body += [exponent << 2 | UInt8(mantissa >> 16), UInt8(mantissa >> 8 & 0xFF), UInt8(mantissa & 0xFF)]
    for source in sources.prefix(255) {
      for shift: UInt32 in [24, 16, 8, 0] { body.append(UInt8(truncatingIfNeeded: source >> shift)) }
    }
    feedbackPacket(format: 15, type: 206, sender: sender, media: 0, body)
  }
}

extension ControlReader {
  /// The bits a second of a receiver's estimate; nil for other application feedback.
  static func estimate(_ compound: Span<UInt8>, from start: Int, to end: Int) -> UInt64? {
    guard end - start >= 8, compound.bigEndian32(at: start) == 0x5245_4D42 else { return nil }
    let exponent = UInt64(compound[start + 5] >> 2)
    let mantissa =
      UInt64(compound[start + 5] & 3) << 16 | UInt64(compound.bigEndian16(at: start + 6))
    guard exponent <= 46 else { return nil }
    return mantissa << exponent
  }
}
