internal import Wire

/// The keys that somebody presses in one call, as far as they may still become a code.
struct KeySequence: Sendable {
  /// More time between two keys than this begins anew.
  static let patience = Interval.seconds(2)
  /// The longest code.
  static let longest = 6

  private var keys: [Character] = []
  private var last: Instant?

  /// Takes a key; true when the keys now end in `code`, which empties the sequence.
  mutating func press(_ key: Character, at now: Instant, completing code: String) -> Bool {
    if let last, now - last > KeySequence.patience { keys.removeAll() }
    last = now
    keys.append(key)
    if keys.count > KeySequence.longest { keys.removeFirst() }
    guard !code.isEmpty, code.count <= keys.count, keys.suffix(code.count).elementsEqual(code) else {
      return false
    }
    keys.removeAll()
    return true
  }
}
