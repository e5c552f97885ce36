package import Wire

/// Looks at the payloads of a stream that was announced as H.264, and says when it is something else or something
/// that no browser shows. It sees the packets before anything is made of them, costs a few comparisons a packet, and
/// stops looking at most of them once the stream has proved itself.
package struct CodingWatch: Sendable {
  package enum Verdict: Hashable, Sendable {
    /// H.265 under the name of H.264.
    case h265
    /// Pictures that must be shown in another order than they come in.
    case bidirectional
    /// Pictures without the parameter sets that a decoder needs.
    case noParameters
    /// Payloads that are no H.264.
    case unreadable
  }

  /// So many payloads must agree on what they are.
  private static let quorum = 6
  /// How long a stream may last without a parameter set; cameras send them with each key picture.
  private static let patience = Interval.seconds(10)

  private static let beginningsOfH265: [UInt8] = [0x00, 0x02, 0x28, 0x40, 0x42, 0x44, 0x60, 0x62]

  private var likeH265 = 0
  private var likeH264 = 0
  private var alien = 0
  private var bidirectional = 0
  private var hasParameters: Bool
  private var began: Instant?
  package private(set) var verdict: Verdict?

  /// `hasParameters`: the description carried them.
  package init(hasParameters: Bool) { self.hasParameters = hasParameters }

  /// Looks at one payload; true when the verdict has just been found.
  package mutating func look(_ payload: Span<UInt8>, now: Instant) -> Bool {
    guard verdict == nil, payload.count >= 2 else { return false }
    let begin = began ?? now
    began = begin
    verdict = judge(payload)
    if verdict == nil, !hasParameters, now - begin > CodingWatch.patience { verdict = .noParameters }
    return verdict != nil
  }

  private mutating func judge(_ payload: Span<UInt8>) -> Verdict? {
    // H.265 (RFC 7798 section 1.1.4): six bits of type, six of layer, and a temporal number that is at least 1. Slices,
    // parameter sets, aggregations and fragments of it begin with bytes that H.264 has no use for.
    if payload[1] == 1, CodingWatch.beginningsOfH265.contains(payload[0]) {
      likeH265 += 1
      return likeH264 == 0 && likeH265 >= CodingWatch.quorum ? .h265 : nil
    }
    let type = payload[0] & 0x1F
    switch type {
    case 1:
      likeH264 += 1
      // A coded slice: its second field is its type, B is 1 or 6 (H.264 section 7.4.3).
      if CodingWatch.isBidirectional(payload, from: 1) { bidirectional += 1 }
    case 5, 7, 8, 9:
      likeH264 += 1
      if type == 7 { hasParameters = true }
    case 24:
      likeH264 += 1
      if payload.count > 3, payload[3] & 0x1F == 7 { hasParameters = true }
    case 28:
      likeH264 += 1
      guard payload[1] & 0x80 != 0 else { break }
      if payload[1] & 0x1F == 7 { hasParameters = true }
      if payload[1] & 0x1F == 1, CodingWatch.isBidirectional(payload, from: 2) { bidirectional += 1 }
    case 6, 10, 11, 12: break
    default: alien += 1
    }
    if bidirectional >= CodingWatch.quorum { return .bidirectional }
    if likeH264 == 0, alien >= 8 * CodingWatch.quorum { return likeH265 > 0 ? .h265 : .unreadable }
    return nil
  }

  /// Whether the slice whose header begins at `place` refers to pictures after it.
  private static func isBidirectional(_ payload: Span<UInt8>, from place: Int) -> Bool {
    var bit = place * 8
    guard golomb(payload, &bit) != nil, let type = golomb(payload, &bit), type <= 9 else { return false }
    return type % 5 == 1
  }

  /// One `ue(v)` (H.264 section 9.1); nil when it runs over the end or is larger than anything here.
  private static func golomb(_ payload: Span<UInt8>, _ bit: inout Int) -> Int? {
    var zeros = 0
    while true {
      guard let one = self.bit(payload, &bit) else { return nil }
      if one == 1 { break }
      zeros += 1
      guard zeros <= 16 else { return nil }
    }
    var value = 1
    for _ in 0..<zeros {
      guard let one = self.bit(payload, &bit) else { return nil }
      value = value << 1 | one
    }
    return value - 1
  }

  private static func bit(_ payload: Span<UInt8>, _ place: inout Int) -> Int? {
    guard place / 8 < payload.count else { return nil }
    defer { place += 1 }
    return Int(payload[place / 8] >> UInt8(7 - place % 8) & 1)
  }
}
