internal import Crypto
internal import Wire

/// The nonces of our challenges.
///
/// A nonce says when it was made and for whom, and proves it: serial, time and a MAC over both with the client's
/// address. So nothing is kept for a challenge that is never answered, and a nonce from elsewhere is told at once.
/// What must be kept is which counts of a nonce were used (RFC 7616, 3.4): eight bytes in a ring that the serial
/// reaches directly. A nonce so old that the ring has gone round is stale, whatever its time: a flood of
/// challenges shortens their life, and opens no way to replay.
struct Nonces: Sendable {
  enum Judgement: Equatable {
    /// Ours, for this address, in time; the serial names it.
    case fresh(UInt32)
    /// Not ours, not this address's, or too old.
    case stale
  }

  /// The counts seen of one nonce: the highest, and which of the 32 at and below it.
  private struct Counts {
    var highest: UInt32 = 0
    var window: UInt32 = 0
  }

  /// Of 65,536 challenges in flight the oldest are given up: half a second of a 100,000-a-second flood, and half
  /// a megabyte.
  private static let ringLimit = 65_536

  private let key: [UInt8]
  private let lifetime: Interval
  private var ring: [Counts] = []
  private var serial: UInt32 = 0

  init(key: [UInt8], lifetime: Interval) {
    precondition(key.count >= 16, "the key of the nonces guards every account")
    self.key = key
    self.lifetime = lifetime
  }

  /// Appends a new nonce, 56 letters.
  mutating func append(to bytes: inout [UInt8], for address: IPAddress, now: Instant) {
    serial &+= 1
    let place = Int(serial) % Nonces.ringLimit
    if place >= ring.count {
      ring.append(contentsOf: repeatElement(Counts(), count: place - ring.count + 1))
    } else {
      ring[place] = Counts()
    }
    let start = bytes.count
    Nonces.appendHex(UInt64(serial), digits: 8, to: &bytes)
    Nonces.appendHex(UInt64(bitPattern: now.nanoseconds), digits: 16, to: &bytes)
    let mac = mac(serial, now.nanoseconds, address)
    bytes.append(hex: mac, first: 16)
    assert(bytes.count - start == 56)
  }

  /// Whether the nonce is ours to take. Changes nothing.
  func judge(_ bytes: Span<UInt8>, _ range: Range<Int>, from address: IPAddress, now: Instant) -> Judgement {
    guard range.count == 56,
      let number = Nonces.hex(bytes, range.prefix(8)),
      let time = Nonces.hex(bytes, range.dropFirst(8).prefix(16))
    else { return .stale }
    let made = Int64(bitPattern: time)
    let expected = mac(UInt32(truncatingIfNeeded: number), made, address)
    var difference: UInt8 = 0
    for index in 0..<16 {
      let at = range.lowerBound + 24 + index * 2
      // Letters that are no digits make an impossible value.
      let byte = (ASCII.hexValue(bytes[at]) ?? 0) << 4 | (ASCII.hexValue(bytes[at + 1]) ?? 0)
      difference |= byte ^ expected[index]
    }
    guard difference == 0 else { return .stale }
    // The MAC holds, so the rest is our own writing.
    let age = now.nanoseconds - made
    let behind = serial &- UInt32(truncatingIfNeeded: number)
    guard age >= 0, age <= lifetime.nanoseconds, behind < UInt32(Nonces.ringLimit) else { return .stale }
    return .fresh(UInt32(truncatingIfNeeded: number))
  }

  /// The count was not used before and is not too far behind. Changes nothing.
  func isUnused(_ count: UInt32, of serial: UInt32) -> Bool {
    let counts = ring[Int(serial) % Nonces.ringLimit]
    if count > counts.highest { return true }
    let behind = counts.highest - count
    return behind < 32 && counts.window >> behind & 1 == 0 && count > 0
  }

  /// Marks a count as used.
  mutating func use(_ count: UInt32, of serial: UInt32) {
    let place = Int(serial) % Nonces.ringLimit
    if count > ring[place].highest {
      let ahead = count - ring[place].highest
      ring[place].window = ahead < 32 ? ring[place].window << ahead | 1 : 1
      ring[place].highest = count
    } else {
      let behind = ring[place].highest - count
      if behind < 32 { ring[place].window |= 1 << behind }
    }
  }

  private func mac(_ serial: UInt32, _ time: Int64, _ address: IPAddress) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(28)
    func put(_ word: UInt64, _ count: Int) {
      for shift in 0..<count { text.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * shift))) }
    }
    put(UInt64(serial), 4)
    put(UInt64(bitPattern: time), 8)
    put(address.high, 8)
    put(address.low, 8)
    return Digest.hmacSHA256(key: key, text)
  }

  private static func appendHex(_ value: UInt64, digits: Int, to bytes: inout [UInt8]) {
    var shift = UInt64(digits * 4)
    while shift > 0 {
      shift -= 4
      bytes.append(ASCII.hexDigit(UInt8(truncatingIfNeeded: value >> shift & 15)))
    }
  }

  /// The number that at most sixteen digits write; nil where one is none.
  static func hex(_ bytes: Span<UInt8>, _ digits: Range<Int>) -> UInt64? {
    var value: UInt64 = 0
    for index in digits {
      guard let digit = ASCII.hexValue(bytes[index]) else { return nil }
      value = value << 4 | UInt64(digit)
    }
    return value
  }
}
