// Legs over peer connections: browsers. All of them share one UDP port; each has one path, by ICE, for sound, picture and
// reports, and keys of its own, by DTLS.
//
// Responsible for: which connection a datagram is for, the turns that the connections are lent, their timers, and
// handing plain packets to and from the streams. What a packet means and where it goes is the same as for plain RTP
// (Relay.swift), but for who may speak: whoever holds the keys that the fingerprint vouched for, under any source.
// Somebody else's: ICE, DTLS and SRTP (WebRTC), and what the descriptions say (whoever calls `withPeer`).

internal import Crypto
package import ICE
internal import RTP
package import WebRTC
package import Wire

/// One connection with the two streams that it carries.
final class Peer {
  let connection: PeerConnection
  let handle: Handle
  let tag: UInt32
  let audio: Stream
  let video: Stream?
  var leg = LegID.none
  var timer: Handle?
  var due: Instant?
  /// Under which pictures are sent again.
  let repairSource: UInt32
  var repairSequence: UInt16
  /// The next number across all that leaves (transport-wide).
  var transport: UInt16 = 0
  /// Connections whose peer proved to be this one.
  var streams: [SocketID] = []
  /// Sockets of relays that it was lent.
  var relays: [SocketID] = []

  init(
    _ connection: PeerConnection, _ handle: Handle, tag: UInt32, audio: Stream, video: Stream?,
    repair: (source: UInt32, sequence: UInt16)
  ) {
    (repairSource, repairSequence) = repair
    self.connection = connection
    self.handle = handle
    self.tag = tag
    self.audio = audio
    self.video = video
  }
}

/// What all connections share.
struct Peers: ~Copyable {
  /// How a connection is protected; nil while none can be had.
  var maker: (any DTLSMaker)?
  var servers = PeerServers()
  /// Lends connections; nil while none are taken.
  weak var carrier: (any PeerStreamCarrier)?
  /// Looked up, never walked.
  var streams: [SocketID: PeerSocket] = [:]
  /// Where a frame is put together.
  var framing: [UInt8] = []
  /// Messages that a slow reader did not get.
  var unsentFrames: UInt64 = 0
  fileprivate(set) var bases: [ICEBase] = []
  /// What is listened on, whatever addresses we have.
  private var listeners: [ICEBase] = []
  fileprivate var sockets: [SocketID] = []
  /// By place: the handle is given before the connection is made, which needs its tag.
  fileprivate var places: Slab<Peer?>
  fileprivate var demultiplexer = ICEDemultiplexer()
  fileprivate var outbox: Outbox? = Outbox()
  /// Handshake steps that may still be taken at `handshakesAt`: asymmetric arithmetic must not hold up voices.
  fileprivate var handshakes = 0
  fileprivate var handshakesAt: Instant?
  /// Where a packet is protected before it leaves.
  fileprivate var sealed = [UInt8](repeating: 0, count: 2048)
  /// Datagrams that no connection claims.
  fileprivate(set) var strays: UInt64 = 0

  init(limit: Int) { places = Slab(limit: limit) }

  func isShared(_ socket: SocketID) -> Bool { sockets.contains(socket) }
  func isOurs(_ socket: SocketID) -> Bool { isShared(socket) || servers.owners[socket] != nil }

  /// One base for each address that `endpoint` is reached at.
  mutating func offer(
    _ transport: TransportKind, at endpoint: Endpoint, socket: SocketID, addresses: [IPAddress]
  ) {
    let listener = ICEBase(transport, local: endpoint, socket: socket)
    listeners.append(listener)
    offer(listener, addresses)
  }

  /// We have these addresses now.
  mutating func readdress(_ addresses: [IPAddress]) {
    bases = []
    for listener in listeners { offer(listener, addresses) }
  }

  private mutating func offer(_ listener: ICEBase, _ addresses: [IPAddress]) {
    let bound = listener.local
    let own =
      bound.address.isUnspecified ? addresses.filter { $0.isV4 == bound.address.isV4 } : [bound.address]
    for address in own {
      bases.append(
        ICEBase(listener.transport, local: Endpoint(address, port: bound.port), socket: listener.socket))
    }
  }

  subscript(_ handle: Handle) -> Peer? { places.read(handle) { $0 } ?? nil }
}

/// What a peer connection is opened for.
package struct PeerSpec: Hashable, Sendable {
  package var kinds: LegSpec.Kinds
  package var mode: ICEMode
  package var role: ICERole
  package var facingLite: LitePeerPolicy

  package init(
    kinds: LegSpec.Kinds = .audio, mode: ICEMode = .lite, role: ICERole = .controlled,
    facingLite: LitePeerPolicy = .fails
  ) {
    self.kinds = kinds
    self.mode = mode
    self.role = role
    self.facingLite = facingLite
  }
}

extension Plane {
  /// Handshake steps in one turn of the world.
  private static let handshakesPerTurn = 2
  /// Told apart from a stream's timer by its highest bit.
  private static let peerTimer: UInt64 = 1 << 63

  // MARK: Opening

  /// Opens the port that every connection shares, one socket for each of `endpoints`; `addresses` are ours, offered
  /// where a socket is bound to all. Without this `openPeer` fails.
  package func listenForPeers(
    at endpoints: [Endpoint], addresses: [IPAddress], maker: any DTLSMaker
  ) throws(NetworkFailure) {
    for endpoint in endpoints {
      let socket = try world.openDatagram(
        // Pictures leave for everybody at once.
        endpoint, DatagramOptions(receiveBuffer: 1 << 21, sendBuffer: 1 << 22, dscp: 46))
      let local = world.local(of: socket) ?? endpoint
      peers.sockets.append(socket)
      peers.offer(.udp, at: local, socket: socket, addresses: addresses)
    }
    peers.maker = maker
  }

  /// Our addresses are others now: connections that are opened from here on offer these.
  package func readdress(_ addresses: [IPAddress]) {
    peers.readdress(addresses)
    askServersAnew()
  }

  /// Where connections are received; empty when they are not.
  package var peerEndpoints: [Endpoint] { peers.bases.filter { $0.transport == .udp }.map(\.local) }

  /// What the shared sockets are bound to.
  package var peerListeners: [Endpoint] { peers.sockets.compactMap { world.local(of: $0) } }

  /// Opens a leg over a peer connection. Nothing flows before descriptions were exchanged (`withPeer`).
  package func openPeer(_ spec: PeerSpec) throws(MediaFailure) -> LegID {
    guard let maker = peers.maker, !peers.bases.isEmpty else { throw .noPorts }
    guard legs.count < legs.limit, let handle = peers.places.insert(nil) else { throw .tooManyLegs }
    let audio = makeStream(.audio, nil, isBoundToAll: false)
    let video = spec.kinds == .audioAndVideo ? makeStream(.video, nil, isBoundToAll: false) : nil
    let tag = handle.index
    let repair = (
      source: UInt32(truncatingIfNeeded: random.next()), sequence: UInt16(truncatingIfNeeded: random.next())
    )
    let described = describe(spec, audio, video, repair: repair.source, tag: tag)
    let relays = described.ice.relays
    let connection = turn { PeerConnection(described, maker, &$0) }
    let peer = Peer(connection, handle, tag: tag, audio: audio, video: video, repair: repair)
    audio.carrier = .peer(peer)
    video?.carrier = .peer(peer)
    guard let id = enter(audio, video) else {
      _ = peers.places.remove(handle)
      giveBack(relays)
      throw .tooManyLegs
    }
    peer.leg = id
    _ = peers.places.update(handle) { $0 = peer }
    peers.demultiplexer.add(handle, connection.localCredentials, tag: tag)
    own(relays, by: peer)
    return id
  }

  private func describe(
    _ spec: PeerSpec, _ audio: Stream, _ video: Stream?, repair: UInt32, tag: UInt32
  ) -> PeerConfiguration {
    var ice = ICEConfiguration(spec.mode, role: spec.role, bases: peers.bases, tag: tag)
    ice.facingLite = spec.facingLite
    equip(&ice)
    var described = PeerConfiguration(
      ice: ice, audioSource: audio.timeline.ssrc,
      videoSource: video?.timeline.ssrc ?? audio.timeline.ssrc &+ 1,
      canonicalName: configuration.canonicalName)
    described.audioFeedback = ["nack"]
    guard video != nil else { return described }
    described.repairSource = repair
    described.videoExtensions = ExtensionIDs.Kind.allCases
    described.videoFeedback = ["nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"]
    return described
  }

  func close(_ peer: Peer) {
    giveBack(turn { peer.connection.closeLeavingRelays(&$0) }, of: peer)
    closeStreams(of: peer)
    if let timer = peer.timer { wheel.cancel(timer) }
    peers.demultiplexer.remove(peer.handle, tag: peer.tag)
    _ = peers.places.remove(peer.handle)
    peer.audio.carrier = nil
    peer.video?.carrier = nil
  }

  /// Lends the connection of a leg, to describe it and to take descriptions; nil for a leg that has none.
  package func withPeer<Result>(_ id: LegID, _ body: (PeerConnection, inout Turn) -> Result) -> Result? {
    guard let peer = peer(id) else { return nil }
    let result = turn { body(peer.connection, &$0) }
    settle(peer)
    return result
  }

  func peer(_ id: LegID) -> Peer? {
    if case .peer(let peer) = legs[id.handle]?.audio.carrier { peer } else { nil }
  }

  // MARK: Turns

  /// Lends a connection a turn and sends what it wrote.
  func turn<Result>(_ body: (inout Turn) -> Result) -> Result {
    var turn = Turn(now: world.now, random: random, out: peers.outbox.take() ?? Outbox())
    let result = body(&turn)
    random = turn.random
    var box = Outbox()
    swap(&box, &turn.out)
    if !box.isEmpty {
      let bytes = box.bytes
      for entry in box.entries {
        let message = bytes.span.extracting(entry.range)
        if entry.flow.transport == .udp {
          world.send(
            message, on: entry.flow.socket, to: entry.flow.remote, from: entry.flow.local.address)
        } else {
          sendFrame(message, on: entry.flow.socket)
        }
      }
      box.removeAll()
    }
    peers.outbox = consume box
    return result
  }

  /// How many handshake steps are left at this moment.
  private func handshakesLeft() -> Int {
    let now = world.now
    if peers.handshakesAt != now {
      peers.handshakesAt = now
      peers.handshakes = Plane.handshakesPerTurn
    }
    return peers.handshakes
  }

  /// A datagram on the shared port, or a frame of a connection. False when it is nobody's.
  @discardableResult
  func receivePeer(_ datagram: Span<UInt8>, _ flow: Flow) -> Bool {
    guard let handle = peers.demultiplexer.route(datagram, on: flow), let peer = peers[handle] else {
      if receiveMapping(datagram, flow) { return true }
      peers.strays += 1
      return false
    }
    receive(datagram, flow, by: peer)
    return true
  }

  /// What came for a session, by whatever way.
  func receive(_ datagram: Span<UInt8>, _ flow: Flow, by peer: Peer) {
    var handshakes = handshakesLeft()
    let reading = turn { peer.connection.receive(datagram, on: flow, &$0, handshakes: &handshakes) }
    peers.handshakes = handshakes
    switch reading {
    case .nothing: settle(peer)
    case .rtp(let kind, let length):
      let plain = peer.connection.plain
      receiveMedia(plain.span.extracting(0..<length), kind == .video ? peer.video : peer.audio)
      settle(peer)
    case .rtcp(let length):
      let plain = peer.connection.plain
      receiveControl(plain.span.extracting(0..<length), peer)
      settle(peer)
    }
  }

  func advancePeer(_ token: UInt64) {
    guard let peer = peers[Handle(raw: token & ~Plane.peerTimer)] else { return }
    peer.timer = nil
    peer.due = nil
    var handshakes = handshakesLeft()
    turn { peer.connection.advance(&$0, handshakes: &handshakes) }
    peers.handshakes = handshakes
    settle(peer)
  }

  static func isPeerTimer(_ token: UInt64) -> Bool { token & peerTimer != 0 }

  /// Hears what the connection has to tell, and sets its timer.
  func settle(_ peer: Peer) {
    while let event = peer.connection.next() {
      switch event {
      case .validated(let flow):
        peers.demultiplexer.learn(flow, of: peer.handle)
        if flow.transport != .udp { adopt(flow.socket, by: peer) }
      case .restarted: peers.demultiplexer.addFragment(peer.connection.localCredentials, of: peer.handle)
      case .connected, .pathChanged: findWays(of: peer)
      case .candidate, .gatheringDone, .disconnected: break
      case .failed, .closed:
        findWays(of: peer)
        tell(.failed(peer.leg))
      }
    }
    let due = peer.connection.nextDeadline
    if due == peer.due { return }
    if let timer = peer.timer { wheel.cancel(timer) }
    peer.due = due
    peer.timer = due.map { wheel.arm($0, token: Plane.peerTimer | peer.handle.raw) }
  }

  /// The path came or went: so do the streams' destinations.
  private func findWays(of peer: Peer) {
    for stream in [peer.audio, peer.video] {
      guard let stream else { continue }
      let could = stream.destination != nil
      stream.findDestination()
      if let viewer = stream.viewer {
        if !could, stream.destination != nil { begin(viewer) }
        continue
      }
      if !could, stream.destination != nil, stream.kind == .video, let camera = stream.heardFrom {
        // Whoever can see only now needs a whole picture to begin with.
        requestKeyFrame(camera, by: .pictureLoss)
      }
    }
  }

  // MARK: Packets

  private func receiveMedia(_ packet: Span<UInt8>, _ stream: Stream?) {
    guard let stream, stream.isNegotiated, let header = stream.header(of: packet),
      let meaning = stream.meaning(of: header)
    else { return }
    if stream.pinned == nil || stream.pinnedSource != header.ssrc {
      stream.newSource(header.ssrc)
      nameFeeder(stream)
      begun(stream)
    }
    if stream.history != nil { askForVoice(before: header.sequence, stream) }
    take(packet, header, meaning, stream)
  }

  /// Reports of both streams come in one packet, and name by their sources what they are about.
  private func receiveControl(_ packet: Span<UInt8>, _ peer: Peer) {
    var reader = ControlReader()
    do {
      while let part = try reader.next(in: packet) {
        for stream in [peer.audio, peer.video] {
          guard let stream else { continue }
          switch part {
          case .senderReport(let source, _, _), .receiverReport(let source, _): stream.controlSource = source
          default: break
          }
          take(part, stream)
        }
      }
    } catch {
      peer.audio.figures.malformed += 1
    }
  }

  func send(
    _ header: Span<UInt8>, _ payload: Span<UInt8>, _ departure: Departure = .first, by peer: Peer
  ) {
    var room = peers.sealed.mutableSpan
    let length = peer.connection.protect(header, payload, departure, into: &room)
    send(sealed: length, by: peer)
  }

  func sendControl(_ compound: Span<UInt8>, by peer: Peer) {
    var room = peers.sealed.mutableSpan
    let length = peer.connection.protectControl(compound, into: &room, at: 0)
    send(sealed: length, by: peer)
  }

  private func send(sealed length: Int, by peer: Peer) {
    guard length > 0, let path = peer.connection.path else { return }
    let bytes = peers.sealed
    let sealed = bytes.span.extracting(0..<length)
    if path.relayed == nil, path.channel == nil, path.flow.transport == .udp {
      world.send(sealed, on: path.flow.socket, to: path.flow.remote, from: path.flow.local.address)
    } else {
      turn { _ = peer.connection.send(sealed, &$0) }
    }
  }
}
