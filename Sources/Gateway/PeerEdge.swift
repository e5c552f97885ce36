internal import MediaPlane
internal import Transport
internal import Wire

/// Carries the frames of peers that come by TCP between the connections of `Streams` and the media plane.
final class PeerEdge: PeerStreamCarrier, StreamsDelegate {
  /// How long a connection may stay whose peer has not proved itself, and one that says nothing: a peer's checks come
  /// every few seconds.
  private static let proof = Interval.seconds(10)
  private static let idle = Interval.minutes(1)

  private let world: any World
  private let streams: Streams
  private unowned let plane: Plane

  init(world: any World, streams: Streams, plane: Plane) {
    self.world = world
    self.streams = streams
    self.plane = plane
    streams.setConsumer(self, for: .media)
  }

  func listen(_ endpoint: Endpoint) throws(NetworkFailure) -> Endpoint {
    try streams.listen(endpoint, secure: false, purpose: .media, idle: PeerEdge.idle)
  }

  func write(_ bytes: Span<UInt8>, on connection: SocketID) -> Bool { streams.write(bytes, on: connection) }
  func unsent(on connection: SocketID) -> Int { world.unsent(on: connection) }
  func keep(_ connection: SocketID) {
    streams.setDeadline(nil, on: connection)
    streams.recognise(connection)
  }
  func close(_ connection: SocketID) { streams.close(connection, flushing: true) }

  func opened(_ connection: ConnectionID, _ facts: ConnectionFacts) {
    streams.setDeadline(PeerEdge.proof, on: connection)
    plane.streamOpened(connection, local: facts.local, remote: facts.remote)
  }
  func received(_ bytes: Span<UInt8>, on connection: ConnectionID) {
    plane.streamReceived(bytes, on: connection)
  }
  func drained(_ connection: ConnectionID) {}
  func closed(_ connection: ConnectionID, _ ending: StreamEnding) { plane.streamClosed(connection) }
}
