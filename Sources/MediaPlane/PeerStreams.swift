// Peers that UDP does not reach: they come over TCP (RFC 6544), each message in a frame of its own (RFC 4571).
//
// Responsible for: cutting what a connection brings into messages, whose connection it is once its peer has proved
// itself by ICE, and how much may wait for a peer that reads slowly. A packet that finds the queue full is lost, as it
// would be on a datagram's way; a frame is never cut.
// Assumes: whoever lends the connections bounds how many there are, ends those that stay unproved, and those whose
// queue stands.
// Somebody else's: sockets and their limits (`PeerStreamCarrier`), and what a message means (Peers.swift).

internal import ICE
internal import WebRTC
package import Wire

/// Lends connections that came in for peers.
package protocol PeerStreamCarrier: AnyObject {
  /// Queues bytes, all or none. False: the connection is gone, or its queue is full.
  func write(_ bytes: Span<UInt8>, on connection: SocketID) -> Bool
  /// Bytes that wait on a connection.
  func unsent(on connection: SocketID) -> Int
  /// The peer has proved itself: the connection may stay as long as it speaks.
  func keep(_ connection: SocketID)
  /// Closes it, after what waits was sent; nothing more is told of it.
  func close(_ connection: SocketID)
}

/// A connection of a peer, or of somebody who has not proved to be one.
final class PeerSocket {
  /// The most bytes that wait on a connection: a whole picture, and a fifth of a second of a slow line.
  static let queueLimit = 128 * 1024

  let flow: Flow
  var reader = ICEFrameReader()
  /// The session that its peer proved to be of.
  var owner: Handle?

  init(_ flow: Flow) { self.flow = flow }
}

extension Plane {
  /// Offers to be reached by TCP at `endpoints`, `addresses` where one is bound to all. To be followed by
  /// `streamOpened`, `streamReceived` and `streamClosed` for each connection there.
  package func offerStreams(
    at endpoints: [Endpoint], addresses: [IPAddress], carrier: any PeerStreamCarrier
  ) {
    peers.carrier = carrier
    for endpoint in endpoints {
      peers.offer(.tcp, at: endpoint, socket: .none, addresses: addresses)
    }
  }

  package func streamOpened(_ connection: SocketID, local: Endpoint, remote: Endpoint) {
    peers.streams[connection] = PeerSocket(Flow(.tcp, local: local, remote: remote, socket: connection))
  }

  /// Bytes of a connection, cut anywhere.
  package func streamReceived(_ bytes: Span<UInt8>, on connection: SocketID) {
    guard let stream = peers.streams[connection] else { return }
    stream.reader.append(bytes)
    while peers.streams[connection] === stream {
      switch stream.reader.next() {
      case .incomplete: return
      case .tooLong: refuse(connection)
      case .frame(let range):
        let held = stream.reader.bytes
        // Who has proved nothing may say one thing: a check of a session that is here.
        if !receivePeer(held.span.extracting(range), stream.flow), stream.owner == nil { refuse(connection) }
      }
    }
  }

  /// A connection is no more.
  package func streamClosed(_ connection: SocketID) {
    guard let stream = peers.streams.removeValue(forKey: connection) else { return }
    guard let owner = stream.owner, let peer = peers[owner] else { return }
    peer.streams.removeAll { $0 == connection }
    turn { peer.connection.closed(connection, &$0) }
    settle(peer)
  }

  private func refuse(_ connection: SocketID) {
    peers.carrier?.close(connection)
    streamClosed(connection)
  }

  /// A session's peer has proved that the connection is its own.
  func adopt(_ connection: SocketID, by peer: Peer) {
    guard let stream = peers.streams[connection], stream.owner == nil else { return }
    stream.owner = peer.handle
    peer.streams.append(connection)
    peers.carrier?.keep(connection)
  }

  func closeStreams(of peer: Peer) {
    for connection in peer.streams {
      peers.streams[connection] = nil
      peers.carrier?.close(connection)
    }
    peer.streams.removeAll()
  }

  /// Sends one message on a connection; what does not fit is lost.
  func sendFrame(_ message: Span<UInt8>, on connection: SocketID) {
    guard let carrier = peers.carrier, peers.streams[connection] != nil, message.count <= 0xFFFF,
      carrier.unsent(on: connection) + message.count <= PeerSocket.queueLimit
    else {
      peers.unsentFrames += 1
      return
    }
    peers.framing.removeAll(keepingCapacity: true)
    peers.framing.append(UInt8(message.count >> 8))
    peers.framing.append(UInt8(message.count & 0xFF))
    peers.framing.append(0..<message.count, of: message)
    let framed = peers.framing
    if !carrier.write(framed.span, on: connection) { peers.unsentFrames += 1 }
  }
}
