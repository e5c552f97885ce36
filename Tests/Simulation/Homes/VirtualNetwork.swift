package import Wire

/// How a translator maps and filters (RFC 4787).
package enum TranslatorKind: CaseIterable, Sendable {
  case fullCone, addressRestricted, portRestricted, symmetric

  var mapsByPeer: Bool { self == .symmetric }
}

/// A network address translator of a home.
package final class Translator {
  package let kind: TranslatorKind
  package let outside: IPAddress
  private var nextPort: UInt16 = 20_000
  private var mappings: [(inside: Endpoint, peer: Endpoint?, port: UInt16, sentTo: [Endpoint])] = []

  init(_ kind: TranslatorKind, outside: IPAddress) {
    self.kind = kind
    self.outside = outside
  }

  func leave(from inside: Endpoint, to peer: Endpoint) -> Endpoint {
    let key = kind.mapsByPeer ? peer : nil
    if let known = mappings.firstIndex(where: { $0.inside == inside && $0.peer == key }) {
      if !mappings[known].sentTo.contains(peer) { mappings[known].sentTo.append(peer) }
      return Endpoint(outside, port: mappings[known].port)
    }
    nextPort += 7
    mappings.append((inside, key, nextPort, [peer]))
    return Endpoint(outside, port: nextPort)
  }

  func enter(port: UInt16, from peer: Endpoint) -> Endpoint? {
    guard let mapping = mappings.first(where: { $0.port == port }) else { return nil }
    let isLetIn =
      switch kind {
      case .fullCone: true
      case .addressRestricted: mapping.sentTo.contains { $0.address == peer.address }
      case .portRestricted, .symmetric: mapping.sentTo.contains(peer)
      }
    return isLetIn ? mapping.inside : nil
  }

  /// The home's line was renewed: every mapping is gone.
  package func forget() { mappings.removeAll() }
}

/// Something that takes datagrams at addresses.
package protocol Station: AnyObject {
  /// What stands between its home and the others; nil in the open.
  var translator: Translator? { get }
  /// When `advance` is wanted; nil when nothing waits.
  var deadline: Instant? { get }
  func owns(_ address: IPAddress) -> Bool
  func receive(_ datagram: [UInt8], from: Endpoint, to: Endpoint, _ network: VirtualNetwork)
  func advance()
}

/// A small internet on made-up time: homes behind translators, servers, loss, delay and reordering, all from a seed.
package final class VirtualNetwork {
  package private(set) var now = Instant(nanoseconds: 1_000_000_000)
  package var random: Random
  /// Of 1000.
  package var loss: UInt64 = 0
  package var delay = Interval.milliseconds(10)
  package var jitter = Interval.zero
  /// How long a word between the players takes, by another way.
  package var signalling = Interval.milliseconds(30)
  package var stations: [any Station] = []
  private var translators: [Translator] = []
  /// Looks at every datagram that leaves; false drops it.
  package var censor: ((_ datagram: [UInt8], _ from: Endpoint, _ to: Endpoint) -> Bool)?
  package private(set) var sent = 0
  private var queue: [(time: Instant, order: Int, work: () -> Void)] = []
  private var order = 0

  package init(seed: UInt64) { random = Random(seed: seed) }

  package func translator(_ kind: TranslatorKind, _ outside: IPAddress) -> Translator {
    let one = Translator(kind, outside: outside)
    translators.append(one)
    return one
  }

  package func later(_ interval: Interval, _ work: @escaping () -> Void) {
    order += 1
    let item = (time: now + interval, order: order, work: work)
    let place = queue.firstIndex { ($0.time, $0.order) > (item.time, item.order) } ?? queue.count
    queue.insert(item, at: place)
  }

  package func send(_ datagram: [UInt8], from: Endpoint, to: Endpoint, through home: Translator?) {
    sent += 1
    guard censor?(datagram, from, to) ?? true, random.below(1000) >= loss else { return }
    let wait = delay + .nanoseconds(Int64(random.below(UInt64(jitter.nanoseconds) + 1)))
    // Neighbours in one home reach one another directly.
    if let neighbour = stations.first(where: { $0.owns(to.address) }),
      neighbour.translator === home || neighbour.translator == nil
    {
      let isNeighbour = home != nil && neighbour.translator === home
      let source = isNeighbour ? from : home?.leave(from: from, to: to) ?? from
      later(wait) { neighbour.receive(datagram, from: source, to: to, self) }
      return
    }
    let source = home?.leave(from: from, to: to) ?? from
    guard let other = translators.first(where: { $0.outside == to.address }) else { return }
    later(wait) {
      guard let inside = other.enter(port: to.port, from: source),
        let owner = self.stations.first(where: { $0.owns(inside.address) && $0.translator === other })
      else { return }
      owner.receive(datagram, from: source, to: inside, self)
    }
  }

  /// Lets `milliseconds` pass, or stops when `done` holds.
  package func run(_ milliseconds: Int64, until done: () -> Bool = { false }) {
    let end = now + .milliseconds(milliseconds)
    var steps = 0
    while !done() {
      let due = stations.compactMap(\.deadline).min()
      let next = min(queue.first?.time ?? end, max(due ?? end, now))
      guard next < end else { break }
      steps += next > now ? 0 : 1
      precondition(steps < 100_000, "time stands still")
      if next > now { steps = 0 }
      now = next
      if let first = queue.first, first.time <= now {
        queue.removeFirst()
        first.work()
      } else {
        for station in stations {
          if let deadline = station.deadline, deadline <= now { station.advance() }
        }
      }
    }
    if !done() { now = end }
  }
}
