/// A stream of unpredictable bytes from one 32-byte seed: ChaCha20 (RFC 8439) in counter mode.
///
/// The daemon seeds it from the kernel, a simulated building from its seed number; no other randomness exists in
/// the house. Two streams from one seed are equal.
package struct Random: RandomNumberGenerator, Sendable {
  private var key: (UInt64, UInt64, UInt64, UInt64)
  private var counter: UInt64 = 0
  private var block: InlineArray<8, UInt64> = .init(repeating: 0)
  private var taken = 8

  /// Seeds the stream with 32 bytes, given as four words.
  package init(seed: (UInt64, UInt64, UInt64, UInt64)) { key = seed }

  /// A reproducible stream for simulations and tests.
  package init(seed: UInt64) { key = (seed, 0x7665_7374_6962_756C, ~seed, 0x6C65_6475_6365_7374) }

  package mutating func next() -> UInt64 {
    if taken == 8 {
      refill()
      taken = 0
    }
    defer { taken += 1 }
    return block[taken]
  }

  /// `count` random bytes.
  package mutating func bytes(_ count: Int) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(count)
    while result.count < count {
      var word = next()
      for _ in 0..<min(8, count - result.count) {
        result.append(UInt8(truncatingIfNeeded: word))
        word >>= 8
      }
    }
    return result
  }

  /// `2 * bytes` lower-case hexadecimal digits.
  package mutating func hex(bytes count: Int) -> String { ASCII.hex(bytes(count)) }

  /// A whole number in `0 ..< bound`, without bias worth naming (multiply and shift).
  package mutating func below(_ bound: UInt64) -> UInt64 { next().multipliedFullWidth(by: bound).high }

  /// A stream of its own, drawn from this one.
  package mutating func fork() -> Random { Random(seed: (next(), next(), next(), next())) }

  private mutating func refill() {
    func words(_ value: UInt64) -> (UInt32, UInt32) {
      (UInt32(truncatingIfNeeded: value), UInt32(truncatingIfNeeded: value >> 32))
    }
    let (k0, k1) = words(key.0)
    let (k2, k3) = words(key.1)
    let (k4, k5) = words(key.2)
    let (k6, k7) = words(key.3)
    let (c0, c1) = words(counter)
    let start: InlineArray<16, UInt32> = [
      0x6170_7865, 0x3320_646E, 0x7962_2D32, 0x6B20_6574, k0, k1, k2, k3, k4, k5, k6, k7, c0, c1, 0, 0,
    ]
    var state = start
    func quarter(_ a: Int, _ b: Int, _ c: Int, _ d: Int) {
      state[a] &+= state[b]
      state[d] = rotated(state[d] ^ state[a], 16)
      state[c] &+= state[d]
      state[b] = rotated(state[b] ^ state[c], 12)
      state[a] &+= state[b]
      state[d] = rotated(state[d] ^ state[a], 8)
      state[c] &+= state[d]
      state[b] = rotated(state[b] ^ state[c], 7)
    }
    for _ in 0..<10 {
      quarter(0, 4, 8, 12)
      quarter(1, 5, 9, 13)
      quarter(2, 6, 10, 14)
      quarter(3, 7, 11, 15)
      quarter(0, 5, 10, 15)
      quarter(1, 6, 11, 12)
      quarter(2, 7, 8, 13)
      quarter(3, 4, 9, 14)
    }
    for index in 0..<8 {
      block[index] =
        UInt64(state[2 * index] &+ start[2 * index])
        | UInt64(state[2 * index + 1] &+ start[2 * index + 1]) << 32
    }
    counter &+= 1
  }

  private func rotated(_ value: UInt32, _ count: UInt32) -> UInt32 { value << count | value >> (32 - count) }
}
