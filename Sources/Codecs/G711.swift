// G.711: A-law and µ-law, written from the companding curves of the recommendation.

/// The two laws of G.711: one byte per sample at 8 kHz.
package enum G711 {
  /// The sample that a µ-law byte stands for, 16 bits wide, -32124 to 32124.
  package static func linear(fromMu byte: UInt8) -> Int16 {
    let value = ~byte
    let magnitude = ((Int(value & 0x0F) << 3) + 0x84) << Int(value >> 4 & 7)
    return Int16(value & 0x80 != 0 ? 0x84 - magnitude : magnitude - 0x84)
  }

  /// The sample that an A-law byte stands for, 16 bits wide, -32256 to 32256.
  package static func linear(fromA byte: UInt8) -> Int16 {
    let value = byte ^ 0x55
    let segment = Int(value >> 4 & 7)
    var magnitude = Int(value & 0x0F) << 4 + 8
    if segment > 0 { magnitude = (magnitude + 0x100) << (segment - 1) }
    return Int16(value & 0x80 != 0 ? magnitude : -magnitude)
  }

  /// The µ-law byte nearest to a sample.
  @inlinable package static func mu(from sample: Int16) -> UInt8 {
    let biased = min(Int(sample.magnitude), 32_635) + 0x84
    let segment = 8 - (UInt16(biased) | 0xFF).leadingZeroBitCount
    let code = UInt8(segment << 4 | biased >> (segment + 3) & 0x0F)
    return ~(sample < 0 ? code | 0x80 : code)
  }

  /// The A-law byte nearest to a sample.
  @inlinable package static func a(from sample: Int16) -> UInt8 {
    // Negative samples are one's complements, so that -1 and 0 lie on either side of zero.
    let magnitude = Int(sample < 0 ? ~sample : sample)
    let segment = 8 - (UInt16(magnitude) | 0xFF).leadingZeroBitCount
    let mantissa = magnitude >> (segment == 0 ? 4 : segment + 3) & 0x0F
    return UInt8(segment << 4 | mantissa) ^ (sample < 0 ? 0x55 : 0xD5)
  }

  /// Every byte's sample, in order.
  package static func table(_ law: (UInt8) -> Int16) -> [Int16] {
    (0...255).map { law(UInt8($0)) }
  }
}
