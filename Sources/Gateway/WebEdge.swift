internal import Transport
internal import Web
internal import Wire

/// Carries HTTP between the connections of `Streams` and the web server: the control socket and the listeners.
final class WebEdge: WebCarrier, StreamsDelegate {
  private let world: any World
  private let streams: Streams
  private(set) var server: WebServer?

  init(world: any World, streams: Streams) {
    self.world = world
    self.streams = streams
    streams.setConsumer(self, for: .control)
    streams.setConsumer(self, for: .web)
  }

  /// Gives the edge its routes; before the first connection.
  func serve(_ router: Router) { server = WebServer(carrier: self, router: router) }

  var now: Instant { world.now }
  var wall: WallTime { world.wall }

  func write(_ bytes: [UInt8], on connection: WebConnectionID) -> Bool {
    streams.write(bytes, on: SocketID(Handle(raw: connection.raw)))
  }
  func close(_ connection: WebConnectionID) {
    streams.close(SocketID(Handle(raw: connection.raw)), flushing: true)
  }

  func setReading(_ reading: Bool, on connection: WebConnectionID) {
    streams.setReading(reading, on: SocketID(Handle(raw: connection.raw)))
  }

  func expectSilence(on connection: WebConnectionID) {
    streams.setIdle(nil, on: SocketID(Handle(raw: connection.raw)))
  }

  func opened(_ connection: ConnectionID, _ facts: ConnectionFacts) {
    let peer: WebPeer =
      facts.peer.map(WebPeer.local) ?? .remote(facts.remote, isSecure: facts.isSecure)
    server?.opened(WebConnectionID(connection.handle.raw), peer: peer)
  }
  func received(_ bytes: Span<UInt8>, on connection: ConnectionID) {
    server?.received(bytes, on: WebConnectionID(connection.handle.raw))
  }
  func drained(_ connection: ConnectionID) { server?.drained(WebConnectionID(connection.handle.raw)) }
  func closed(_ connection: ConnectionID, _ ending: StreamEnding) {
    server?.closed(WebConnectionID(connection.handle.raw))
  }
}
