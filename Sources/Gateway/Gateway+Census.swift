internal import Calls
internal import Cameras
internal import MediaPlane
internal import SIP
internal import Wire

/// What a gateway holds at the moment; after quiet all but bindings is zero.
package struct GatewayCensus: Sendable, Hashable {
  package var isServing = false
  package var serverTransactions = 0
  package var clientTransactions = 0
  package var sessions = 0
  /// Timers of transactions and sessions.
  package var timers = 0
  package var lookups = 0
  package var calls = 0
  /// Legs of the media plane.
  package var legs = 0
  package var bindings = 0
  /// Pages that are believed to listen.
  package var pages = 0
  /// WebSockets that speak SIP.
  package var channels = 0
  /// Pings under way.
  package var pings = 0
  /// Sessions of viewers.
  package var viewers = 0
  /// Cameras that run.
  package var cameras = 0
  /// Operators who wait for a door.
  package var openings = 0
  /// The most devices that have one call beside the one they talk to, pages left out: never more than one.
  package var mostTalking = 0

  package init() {}
}

extension Gateway {
  package var census: GatewayCensus {
    var census = GatewayCensus()
    census.isServing = phase == .serving
    guard let house else { return census }
    let agent = house.agent.census
    census.serverTransactions = agent.serverTransactions
    census.clientTransactions = agent.clientTransactions
    census.sessions = agent.sessions
    census.timers = agent.timers
    census.lookups = agent.lookups
    census.calls = house.calls.count
    census.legs = house.plane.count
    census.bindings = house.registrar.count
    census.pages = house.presence.count
    census.channels = sip.channels.count
    census.pings = house.pings.count
    census.viewers = house.whep.count
    census.cameras = house.cameras.running
    census.openings = house.openings.count
    census.mostTalking = house.calls.mostTalking
    return census
  }

  /// The same as `census.mostTalking`, cheap enough to be asked after every event.
  package var mostTalking: Int { house?.calls.mostTalking ?? 0 }
}
