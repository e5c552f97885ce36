package import Wire

// Leases that are asked for before anybody calls, and given back after: one agent holds them, another takes them over.

/// A lease of a relay, on its way from one agent to another.
package struct ICERelay: Sendable {
  let server: ICEServer
  var allocation: Allocation

  /// Our socket towards the server: with the lease it belongs to whoever takes it over.
  package var socket: SocketID { allocation.flow.socket }
  /// Our side of the flow to the server, as it was told to the agent that asked.
  package var local: Endpoint { allocation.flow.local }
}

extension ICEAgent {
  /// Whether a relay has lent an address.
  package var hasRelay: Bool { allocations.contains { $0.state == .granted } }
  /// Whether nothing is asked that waits for an answer.
  package var isQuiet: Bool { exchanges.isEmpty && steps.isEmpty }

  /// Hands over every lease: this agent neither refreshes nor returns them any more.
  package mutating func takeRelays(_ turn: inout Turn) -> [ICERelay] {
    var taken: [ICERelay] = []
    for place in allocations.indices where allocations[place].state == .granted {
      var allocation = allocations[place]
      // What was asked and not yet answered is asked again.
      allocation.renewal = allocation.renewal ?? turn.now
      allocation.permissions.removeAll { $0.state != .granted || $0.renewal.nanoseconds == .max }
      allocation.channels.removeAll { !$0.isBound || $0.renewal.nanoseconds == .max }
      taken.append(ICERelay(server: configuration.servers[allocation.server], allocation: allocation))
      lose(place, .none)
    }
    exchanges.removeAll { $0.purpose.isRelay }
    steps.removeAll(where: \.isRelay)
    settle(&turn)
    return taken
  }

  /// Gives every lease back and waits until that is confirmed (`isQuiet`), also by a server whose nonce is new.
  package mutating func release(_ turn: inout Turn) {
    releaseRelays(&turn)
    settle(&turn)
  }

  /// Takes over the leases that the configuration brings.
  mutating func adopt(_ relays: [ICERelay], firstServer: Int) {
    for (number, relay) in relays.enumerated() {
      var allocation = relay.allocation
      allocation.server = firstServer + number
      allocation.isAdopted = true
      allocations.append(allocation)
    }
  }
}
