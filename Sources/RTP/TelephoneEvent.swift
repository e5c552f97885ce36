// Keys in RTP (RFC 4733): reading and writing events, knowing one press from its many packets, making presses.
//
// Responsible for: the four bytes, the counting of presses by the timestamp of their beginning, and the script of
// a press of ours (updates, then the end three times). Where keys may go is `MediaPlane`'s business.

package import Wire

/// A telephone key: 0 to 9, `*`, `#`, A to D.
package struct Key: Hashable, Sendable {
  /// The event code of RFC 4733 section 3.2, 0 to 15.
  package let code: UInt8

  package init?(code: UInt8) {
    guard code < 16 else { return nil }
    self.code = code
  }

  package init?(_ character: Character) {
    guard let byte = character.asciiValue else { return nil }
    switch byte {
    case 48...57: code = byte - 48
    case UInt8(ascii: "*"): code = 10
    case UInt8(ascii: "#"): code = 11
    case 65...68: code = byte - 53
    case 97...100: code = byte - 85
    default: return nil
    }
  }

  package var character: Character {
    switch code {
    case 0...9: Character(UnicodeScalar(48 + code))
    case 10: "*"
    case 11: "#"
    default: Character(UnicodeScalar(53 + code))
    }
  }
}

/// The payload of one telephone-event packet (RFC 4733 section 2.3).
package struct TelephoneEvent: Hashable, Sendable {
  package var code: UInt8
  package var isEnd: Bool
  /// Power below 0 dBm0, 0 to 63 dB.
  package var volume: UInt8
  /// In ticks since the event began.
  package var duration: UInt16

  package init(code: UInt8, isEnd: Bool, volume: UInt8 = 10, duration: UInt16) {
    self.code = code
    self.isEnd = isEnd
    self.volume = volume & 0x3F
    self.duration = duration
  }

  /// Reads the first event of a payload; nil when it holds fewer than four bytes.
  package init?(parsing packet: Span<UInt8>, at payload: Range<Int>) {
    guard payload.count >= 4, payload.upperBound <= packet.count else { return nil }
    let start = payload.lowerBound
    code = packet[start]
    isEnd = packet[start + 1] & 0x80 != 0
    volume = packet[start + 1] & 0x3F
    duration = packet.bigEndian16(at: start + 2)
  }

  package var bytes: InlineArray<4, UInt8> {
    [
      code, (isEnd ? 0x80 : 0) | volume, UInt8(truncatingIfNeeded: duration >> 8),
      UInt8(truncatingIfNeeded: duration),
    ]
  }
}

/// Knows one press from its many packets.
package struct KeyReceiver: Sendable {
  /// Some phones give every packet of one press a new timestamp; within this time, without a marker and before an
  /// end, the same key is the same press.
  package static let sloppyGap = Interval.milliseconds(60)

  private var newest: (timestamp: UInt32, code: UInt8, ended: Bool, at: Instant)?

  package init() {}

  /// The key if this packet is the first that we see of a press; nil for its repetitions, for late packets of
  /// earlier presses, and for events that are no keys.
  package mutating func receive(
    _ event: TelephoneEvent, timestamp: UInt32, marker: Bool, at now: Instant
  ) -> Key? {
    if let newest {
      let step = Int32(bitPattern: timestamp &- newest.timestamp)
      if step == 0 {
        self.newest = (timestamp, newest.code, newest.ended || event.isEnd, now)
        return nil
      }
      if step < 0 { return nil }
      if newest.code == event.code, !newest.ended, !marker, now - newest.at < KeyReceiver.sloppyGap {
        self.newest = (timestamp, event.code, event.isEnd, now)
        return nil
      }
    }
    newest = (timestamp, event.code, event.isEnd, now)
    return Key(code: event.code)
  }
}

/// The script of presses to send: one step each 20 ms.
package struct KeySender: Sendable {
  /// How many keys may wait.
  package static let limit = 32
  /// Ticks of one step at 8000 per second.
  package static let step: UInt16 = 160
  /// Steps of a press (100 ms), then the end three times in all, then silence (100 ms): some stations need it.
  private static let pressSteps = 5
  private static let gapSteps = 5

  package enum Action: Hashable, Sendable {
    /// Send this, under the timestamp of the press; `isFirst` sets the marker and begins it.
    case event(TelephoneEvent, isFirst: Bool)
    /// The press is over: the clock moves on by so many ticks.
    case rest(ticks: UInt32)
    case finished
  }

  private var waiting: [Key] = []
  private var phase = 0

  package init() { waiting.reserveCapacity(KeySender.limit) }

  package var isIdle: Bool { waiting.isEmpty }

  /// Adds a press; false when too many wait.
  package mutating func add(_ key: Key) -> Bool {
    guard waiting.count < KeySender.limit else { return false }
    waiting.append(key)
    return true
  }

  package mutating func removeAll() {
    waiting.removeAll(keepingCapacity: true)
    phase = 0
  }

  /// What to do at this step of 20 ms.
  package mutating func next() -> Action {
    guard let key = waiting.first else { return .finished }
    defer { phase += 1 }
    if phase < KeySender.pressSteps {
      return .event(
        TelephoneEvent(code: key.code, isEnd: false, duration: KeySender.step * UInt16(phase + 1)),
        isFirst: phase == 0)
    }
    if phase < KeySender.pressSteps + 3 {
      return .event(
        TelephoneEvent(
          code: key.code, isEnd: true, duration: KeySender.step * UInt16(KeySender.pressSteps)),
        isFirst: false)
    }
    let steps = KeySender.pressSteps + 3 + KeySender.gapSteps
    if phase < steps - 1 { return .rest(ticks: 0) }
    waiting.removeFirst()
    phase = -1
    return .rest(ticks: UInt32(steps) * UInt32(KeySender.step))
  }
}
