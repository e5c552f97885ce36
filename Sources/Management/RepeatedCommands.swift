internal import API
internal import Wire

/// Remembers commands by the key their sender gave them, so that one sent twice (a lost answer, an impatient
/// finger) is carried out once. Bounded in number and in time.
struct RepeatedCommands {
  struct Key: Hashable {
    var principal: Principal
    var door: String
    var key: String
  }
  private enum Entry {
    /// Under way; these wait for its outcome too.
    case running([Completion<OpenReply>])
    case done(Outcome<OpenReply>)
  }

  static let mostKept = 256
  static let memory = Interval.minutes(10)
  private var entries: [Key: Entry] = [:]
  private var order: [(key: Key, at: Instant)] = []

  /// True when the command is new and should be given; `finish` then tells everybody.
  mutating func begin(_ key: Key, now: Instant, then: @escaping Completion<OpenReply>) -> Bool {
    while let first = order.first,
      first.at + RepeatedCommands.memory <= now || order.count > RepeatedCommands.mostKept
    {
      guard case .done? = entries[first.key] else { break }
      entries[first.key] = nil
      order.removeFirst()
    }
    switch entries[key] {
    case .done(let outcome):
      then(outcome)
      return false
    case .running(let waiting):
      entries[key] = .running(waiting + [then])
      return false
    case nil:
      entries[key] = .running([then])
      order.append((key, now))
      return true
    }
  }

  mutating func finish(_ key: Key, _ outcome: Outcome<OpenReply>) {
    guard case .running(let waiting) = entries[key] else { return }
    entries[key] = .done(outcome)
    for then in waiting { then(outcome) }
  }
}
