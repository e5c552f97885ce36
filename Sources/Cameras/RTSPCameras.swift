internal import Crypto
package import Directory
package import RTSP
package import Transport
package import Wire

// The network's cameras of one gateway: makes their sources, hands each the news of its connections and datagrams, and
// remembers what was learnt about every camera.
//
// Assumes: one thread; whoever owns it forwards datagrams of the sockets that `owns` names, `advance` and
// `nextDeadline`, and keeps what `whenLearnt` says. Connections come by `Streams`, whose consumer for cameras this is.
// Somebody else's: which cameras are wanted, and when one that ended is tried again.

/// What is known of a camera and outlives the daemon.
package struct RTSPKnowledge: Hashable, Sendable {
  /// How its media came to us last time.
  package var transport: RTSPTransport?
  /// SHA-256 of the certificate that it showed first: from then on it must show that one.
  package var fingerprint: [UInt8]?

  package init(transport: RTSPTransport? = nil, fingerprint: [UInt8]? = nil) {
    self.transport = transport
    self.fingerprint = fingerprint
  }

  /// One line to keep: `interleaved`, `datagrams -`, `- 64 hexadecimal digits` and so on.
  package var text: String {
    "\(transport?.rawValue ?? "-") \(fingerprint.map { ASCII.hex($0) } ?? "-")"
  }

  /// Reads what `text` writes; what cannot be read is not known.
  package init(text: String) {
    let words = text.split(separator: " ")
    transport = words.first.flatMap { RTSPTransport(rawValue: String($0)) }
    guard words.count == 2, words[1].utf8.count == 64 else { return }
    fingerprint = ASCII.bytes(hex: words[1].utf8)
  }
}

extension CameraID {
  /// Under which what is learnt of a camera's smaller stream is kept: no camera is named so.
  package var substream: CameraID { CameraID(rawValue + "/substream") }
}

package final class RTSPCameras: StreamsDelegate {
  let world: any World
  let streams: Streams
  private var knowledge: [CameraID: RTSPKnowledge] = [:]
  /// Told when something new was learnt about a camera, to be kept.
  package var whenLearnt: ((CameraID, RTSPKnowledge) -> Void)?
  /// Makes what turns a camera's AAC into PCMA; nil where nothing can.
  package var soundDecoder: ((AACFormat) -> (any SoundDecoder)?)?
  /// Reads from the disk what the first decoder needs; on a worker.
  package var loadSound: (@Sendable () -> Void)?
  private var isSoundLoaded = false
  private var connections: [ConnectionID: RTSPAttempt] = [:]
  private var sockets: [SocketID: RTSPAttempt] = [:]
  /// Those that run, in the order in which they were opened.
  private var sources: [RTSPSource] = []

  package init(world: any World, streams: Streams) {
    self.world = world
    self.streams = streams
    streams.setConsumer(self, for: .camera)
  }

  // MARK: Knowledge

  /// What was kept from an earlier run.
  package func know(_ known: RTSPKnowledge, of camera: CameraID) { knowledge[camera] = known }

  /// The camera was replaced, or its certificate: it is met as a stranger. Of its smaller stream nothing is forgotten.
  package func forget(_ camera: CameraID) { knowledge[camera] = nil }

  func known(of camera: CameraID) -> RTSPKnowledge { knowledge[camera] ?? RTSPKnowledge() }

  func learn(_ known: RTSPKnowledge, of camera: CameraID) {
    guard knowledge[camera] != known else { return }
    knowledge[camera] = known
    whenLearnt?(camera, known)
  }

  /// Calls back when a decoder of sound can be made without waiting for the disk: now, or in a later turn.
  func prepareSound(_ then: @escaping () -> Void) {
    guard let load = loadSound, !isSoundLoaded else { return then() }
    world.perform(on: .general) {
      load()
    } then: { [weak self] _ in
      self?.isSoundLoaded = true
      then()
    }
  }

  // MARK: Sources

  /// Opens a camera. `url` is as in the directory, without name and password. `hear` is called later, never before this
  /// returns, and no more after `stop` or `ended`.
  package func open(
    _ camera: CameraID, url: String, credentials: RTSPCredentials?, hear: @escaping (SourceNews) -> Void
  ) -> any CameraSource {
    let source = RTSPSource(camera, url: url, credentials: credentials, cameras: self, hear: hear)
    sources.append(source)
    source.begin()
    return source
  }

  /// The same for whoever knows nothing of RTSP; without `user` nobody is named.
  package func open(
    _ camera: CameraID, url: String, user: String?, password: String, hear: @escaping (SourceNews) -> Void
  ) -> any CameraSource {
    let credentials = user.map { RTSPCredentials(user: $0, password: password) }
    return open(camera, url: url, credentials: credentials, hear: hear)
  }

  /// Opens a camera's smaller stream likewise. Another host may send it, in another way: what is learnt is kept apart.
  package func openSubstream(
    of camera: CameraID, url: String, user: String?, password: String, hear: @escaping (SourceNews) -> Void
  ) -> any CameraSource {
    open(camera.substream, url: url, user: user, password: password, hear: hear)
  }

  func closed(_ source: RTSPSource) { sources.removeAll { $0 === source } }

  package var count: Int { sources.count }
  /// Connections and datagram sockets that are held: none, when no camera runs.
  package var held: Int { connections.count + sockets.count }

  func adopt(_ connection: ConnectionID, _ attempt: RTSPAttempt) { connections[connection] = attempt }
  func release(_ connection: ConnectionID) { connections[connection] = nil }
  func adopt(socket: SocketID, _ attempt: RTSPAttempt) { sockets[socket] = attempt }
  func release(socket: SocketID) {
    sockets[socket] = nil
    world.close(socket, flushing: false)
  }

  // MARK: News

  /// Whether datagrams of this socket belong here.
  package func owns(_ socket: SocketID) -> Bool { sockets[socket] != nil }

  package func received(_ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint) {
    sockets[socket]?.received(datagram, on: socket, from: remote)
  }

  package func opened(_ connection: ConnectionID, _ facts: ConnectionFacts) {
    connections[connection]?.opened(facts)
  }

  package func received(_ bytes: Span<UInt8>, on connection: ConnectionID) {
    connections[connection]?.received(bytes)
  }

  package func drained(_ connection: ConnectionID) {}

  package func closed(_ connection: ConnectionID, _ ending: StreamEnding) {
    guard let attempt = connections.removeValue(forKey: connection) else { return }
    attempt.closed(ending)
  }

  package var nextDeadline: Instant? { sources.lazy.map(\.nextDeadline).reduce(nil, Instant.earlier) }

  package func advance() {
    let now = world.now
    for source in sources where source.nextDeadline.map({ $0 <= now }) ?? false { source.advance() }
  }
}

/// Turns frames of AAC into PCMA.
package protocol SoundDecoder: AnyObject {
  /// What `frame` sounds like, in PCMA at 8000 samples a second; empty while it fills up or cannot be read.
  func pcma(_ frame: [UInt8]) -> [UInt8]
}
