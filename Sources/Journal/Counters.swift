/// A number that only grows, or (a gauge) one that shows how things stand. It belongs to one thread.
package final class Counter {
  package private(set) var value: Int64 = 0

  fileprivate init() {}

  @inlinable package func add() { add(1) }
  package func add(_ count: Int64) { value &+= count }
  package func set(_ value: Int64) { self.value = value }
}

/// Every counter of a thread by name, in the order they were made. Names and labels are fixed then: no label ever
/// comes from a peer, so their number is bounded by the program.
package final class Counters {
  package enum Kind: Sendable, Hashable {
    /// Grows until the process ends.
    case counter
    /// Goes up and down.
    case gauge
  }

  package struct Family: Sendable, Hashable {
    /// As `vestibule_calls_total`.
    package var name: String
    package var help: String
    package var kind: Kind
    package var samples: [Sample]
  }

  package struct Sample: Sendable, Hashable {
    package struct Label: Sendable, Hashable {
      package var name: String
      package var value: String
    }
    package var labels: [Label]
    package var value: Int64
  }

  private struct Entry {
    var name: String
    var help: String
    var kind: Kind
    var members: [(labels: [Sample.Label], counter: Counter)]
  }

  private var entries: [Entry] = []

  package init() {}

  /// A counter of the family `name`; the same one for the same labels.
  package func make(
    _ name: String, _ kind: Kind = .counter, help: String = "",
    labels: KeyValuePairs<String, String> = [:]
  ) -> Counter {
    let labels = labels.map { Sample.Label(name: $0.key, value: $0.value) }
    let family: Int
    if let known = entries.firstIndex(where: { $0.name == name }) {
      precondition(entries[known].kind == kind, "\(name) is a counter here and a gauge there")
      family = known
    } else {
      family = entries.count
      entries.append(Entry(name: name, help: help, kind: kind, members: []))
    }
    if let member = entries[family].members.first(where: { $0.labels == labels }) { return member.counter }
    let counter = Counter()
    entries[family].members.append((labels, counter))
    return counter
  }

  /// Everything as it stands now.
  package var families: [Family] {
    entries.map { entry in
      Family(
        name: entry.name, help: entry.help, kind: entry.kind,
        samples: entry.members.map { Sample(labels: $0.labels, value: $0.counter.value) })
    }
  }
}
