// One peer connection: a browser's sound and picture over one transport (RFC 8829's, as far as a gateway needs it).
//
// Responsible for: descriptions as offerer and as answerer (one bundle, RTCP on RTP's port), which bytes are STUN,
// DTLS, SRTP or SRTCP, the order in which they become possible (a path, then keys, then media), which stream a packet
// belongs to, restarts, and the end.
// Assumes: its owner hands it every datagram of its flows, drains the outbox and the events after each call, and calls
// `advance` at the deadline.
// Somebody else's: sockets, and which connection a datagram is for (`ICEDemultiplexer`); codecs, clocks, reports and
// loss (the media plane); what is said in a call.
//
//   a peer's byte passes               because
//   ICE                                it comes from an address that proved to be the peer's
//   DTLS                               the description named the certificate's fingerprint
//   SRTP                               its tag was made with the keys of that handshake
//   the negotiated streams             its source, mid or payload type belongs to one that may come
//
// The transport's identity is the fingerprints and the role. A new description with another identity ends the old keys
// at once: media of somebody whom the description no longer names is nobody's. An ICE restart alone keeps them.
internal import Crypto
package import ICE
internal import RTP
package import SDP
package import Wire

package final class PeerConnection {
  /// DTLS datagrams that wait for a description, or for a turn with a handshake step left.
  static let waitingLimit = 8

  package let configuration: PeerConfiguration
  let maker: any DTLSMaker
  var agent: ICEAgent
  var association: (any DTLSAssociation)?
  /// Whom the association is with.
  var identity: Identity?
  var hasStarted = false
  var handshakeEnd: Instant?
  /// DTLS datagrams not taken in yet, oldest first.
  var waiting: [[UInt8]] = []
  /// When the oldest could have been; nil while nothing can take them.
  var waitingSince: Instant?

  // Media.
  var sender: SRTPSender?
  var controlSender: SRTPControlSender?
  var receiver: SRTPReceiver?
  /// What the last `receive` opened.
  package internal(set) var plain = [UInt8](repeating: 0, count: SRTPReceiver.packetLimit)
  var sources = SourceTable()
  var media = MediaMap()
  var countersBefore = PeerCounters()
  var ownCounters = PeerCounters()

  // Descriptions.
  let originID: UInt64
  var version: UInt64 = 0
  package internal(set) var localDescription: SessionDescription?
  package internal(set) var remoteDescription: SessionDescription?
  var lines: UsableLines?
  var remote: RemoteTransport?
  var pending = Pending.none
  var answered: (audio: PeerMedia?, video: PeerMedia?)?

  // Events.
  private var events: [PeerEvent] = []
  private var eventsTaken = 0
  var isAnnounced = false
  var isOver = false
  private var scratch: [UInt8] = []

  struct Identity: Equatable {
    var fingerprints: [Fingerprint]
    var role: DTLSRole
    var association: String?
  }

  /// What is said and not yet answered.
  enum Pending {
    case none
    /// The peer's, checked, not applied.
    case theirs(SessionDescription, UsableLines, RemoteTransport)
    case ours(SessionDescription)
  }

  /// A connection that has told and heard nothing yet.
  package init(_ configuration: PeerConfiguration, _ maker: any DTLSMaker, _ turn: inout Turn) {
    self.configuration = configuration
    self.maker = maker
    agent = ICEAgent(configuration.ice, &turn)
    // Fewer than 63 bits: some peers read it as signed.
    originID = turn.random.next() >> 2
    scratch.reserveCapacity(SRTPReceiver.packetLimit)
  }

  // MARK: What the owner asks

  /// Ours now, for the demultiplexer.
  package var localCredentials: ICECredentials { agent.credentials }

  /// Where media goes; nil before there is a path and after the end. O(1).
  package var path: ICEPath? { agent.selected }

  /// Whether media may flow: a validated path, and keys of the peer that the description named.
  package var isReady: Bool { sender != nil && agent.selected != nil && !isOver }

  /// When `advance` is wanted; may be early, never late. O(1).
  package var nextDeadline: Instant? {
    .earlier(
      .earlier(agent.nextDeadline, association?.nextDeadline), .earlier(handshakeEnd, waitingSince))
  }

  /// The next thing the owner must know, in order; nil when there is none. Call after every other call, until nil.
  package func next() -> PeerEvent? {
    guard eventsTaken < events.count else {
      if !events.isEmpty { events.removeAll(keepingCapacity: true) }
      eventsTaken = 0
      return nil
    }
    defer { eventsTaken += 1 }
    return events[eventsTaken]
  }

  package var counters: PeerCounters {
    var sum = ownCounters
    for part in [countersBefore.forged, receiver?.forged ?? 0] { sum.forged += part }
    for part in [countersBefore.replayed, receiver?.replayed ?? 0] { sum.replayed += part }
    for part in [countersBefore.unknown, receiver?.unknown ?? 0] { sum.unknown += part }
    return sum
  }

  // MARK: The network

  /// Takes a datagram, or a whole frame of a stream, that came on `flow`. `handshakes` says how many DTLS steps this
  /// turn may still take, and is counted down; what comes beyond waits for `advance`. Never fails: a peer's mistake
  /// costs its sender only.
  package func receive(
    _ datagram: Span<UInt8>, on flow: Flow, _ turn: inout Turn, handshakes: inout Int
  ) -> PeerReading {
    guard !isOver else { return .nothing }
    switch agent.receive(datagram, on: flow, &turn) {
    case .consumed:
      takeEvents(&turn)
      return .nothing
    case .ignored: return .nothing
    case .payload(let range, _):
      let payload = datagram.extracting(range)
      switch DatagramKind(payload) {
      case .rtp: return openPacket(payload)
      case .rtcp: return openControl(payload)
      case .dtls:
        takeHandshake(payload, &turn, &handshakes)
        return .nothing
      case .stun, .turnChannel, .unknown: return .nothing
      }
    }
  }

  /// Does what time demands. Early is harmless.
  package func advance(_ turn: inout Turn, handshakes: inout Int) {
    guard !isOver else { return }
    if let deadline = agent.nextDeadline, deadline <= turn.now {
      agent.advance(&turn)
      takeEvents(&turn)
    }
    while waitingSince != nil, handshakes > 0, !waiting.isEmpty, let association {
      let datagram = waiting.removeFirst()
      handshakes -= 1
      step(association, datagram.span, &turn)
    }
    if waiting.isEmpty { waitingSince = nil }
    guard let association else { return }
    if let deadline = association.nextDeadline, deadline <= turn.now {
      association.advance(at: turn.now)
      settle(association, &turn)
    }
    if let end = handshakeEnd, end <= turn.now {
      handshakeEnd = nil
      if association.state == .handshaking {
        forgetAssociation()
        fail(.dtls(.timeout))
      }
    }
  }

  /// A connection that carried flows of this session is gone.
  package func closed(_ socket: SocketID, _ turn: inout Turn) {
    guard !isOver else { return }
    agent.closed(socket, &turn)
    takeEvents(&turn)
  }

  /// Starts asking STUN and TURN servers, in full mode; events follow. Descriptions do so by themselves; earlier, and
  /// with `gatheringDone` waited for, the first description holds every candidate, for peers that know no trickling.
  package func gather(_ turn: inout Turn) {
    guard !isOver else { return }
    agent.gather(&turn)
    takeEvents(&turn)
  }

  /// Ends it: says goodbye, gives relays back. Nothing is sent or taken after.
  package func close(_ turn: inout Turn) {
    farewell(&turn)
    leave(&turn)
  }

  /// Ends it like `close`, but for the relays that its configuration brought: they are the caller's again.
  package func closeLeavingRelays(_ turn: inout Turn) -> [ICERelay] {
    farewell(&turn)
    let relays = configuration.ice.relays.isEmpty || isOver ? [] : agent.takeRelays(&turn)
    leave(&turn)
    return relays
  }

  private func farewell(_ turn: inout Turn) {
    guard !isOver, let association else { return }
    association.close()
    flush(association, &turn)
  }

  private func leave(_ turn: inout Turn) {
    guard !isOver else { return }
    agent.close(&turn)
    while agent.next() != nil {}
    forgetAssociation()
    isOver = true
  }

  // MARK: ICE

  func report(_ event: PeerEvent) { events.append(event) }

  /// Turns what the agent says into what it means here.
  func takeEvents(_ turn: inout Turn) {
    while let event = agent.next() {
      switch event {
      case .candidate(let candidate): report(.candidate(candidate))
      case .gatheringDone: report(.gatheringDone)
      case .validated(let flow): report(.validated(flow))
      case .selected:
        beginHandshake(&turn)
        if isAnnounced { report(.pathChanged) } else { announce() }
      case .connected:
        beginHandshake(&turn)
        announce()
      case .disconnected:
        isAnnounced = false
        report(.disconnected)
      case .failed: fail(.ice)
      case .restartFailed: break  // the path from before it carries on
      case .consentLost: fail(.consent)
      }
    }
  }

  func announce() {
    guard isReady, !isAnnounced else { return }
    isAnnounced = true
    report(.connected)
  }

  func fail(_ failure: PeerFailure) {
    isAnnounced = false
    report(.failed(failure))
  }

  // MARK: DTLS

  /// A path is there: a client speaks, and the time for the handshake begins.
  func beginHandshake(_ turn: inout Turn) {
    guard let association, association.state == .handshaking, !hasStarted, agent.selected != nil else {
      return
    }
    hasStarted = true
    handshakeEnd = turn.now + configuration.handshakeLimit
    association.start(at: turn.now)
    flush(association, &turn)
  }

  private func takeHandshake(_ datagram: Span<UInt8>, _ turn: inout Turn, _ handshakes: inout Int) {
    if let association {
      guard association.state == .handshaking else {
        // Alerts and repeated last flights.
        step(association, datagram, &turn)
        return
      }
      if handshakes > 0, waiting.isEmpty {
        handshakes -= 1
        step(association, datagram, &turn)
        return
      }
      waitingSince = waitingSince ?? turn.now
    }
    // The hello may be quicker than the answer that says who may send it. After an end nobody waits for one.
    guard association != nil || identity == nil, waiting.count < PeerConnection.waitingLimit,
      datagram.count <= SRTPReceiver.packetLimit
    else {
      ownCounters.strayHandshakes += 1
      return
    }
    waiting.append([UInt8](datagram))
  }

  private func step(_ association: any DTLSAssociation, _ datagram: Span<UInt8>, _ turn: inout Turn) {
    beginHandshake(&turn)
    association.receive(datagram, at: turn.now)
    settle(association, &turn)
  }

  /// Sends what the association wants to say and takes over what it came to.
  private func settle(_ association: any DTLSAssociation, _ turn: inout Turn) {
    flush(association, &turn)
    switch association.state {
    case .handshaking: return
    case .established:
      guard sender == nil, let keys = association.keys else { return }
      handshakeEnd = nil
      sender = SRTPSender(keys.outbound)
      controlSender = SRTPControlSender(keys.outbound)
      receiver = SRTPReceiver(keys.inbound)
      announce()
    case .closed:
      forgetAssociation()
      isAnnounced = false
      report(.closed)
    case .failed(let failure):
      forgetAssociation()
      fail(.dtls(failure))
    }
  }

  private func forgetAssociation() {
    forgetKeys()
    association = nil
    handshakeEnd = nil
    waiting.removeAll()
    waitingSince = nil
  }

  private func flush(_ association: any DTLSAssociation, _ turn: inout Turn) {
    while association.takeDatagram(&scratch) { agent.send(scratch.span, &turn) }
  }

  /// Makes the association that the descriptions now ask for, unless it stands already.
  func associate(_ wanted: Identity, _ turn: inout Turn) {
    if let identity, identity.fingerprints == wanted.fingerprints, identity.role == wanted.role,
      identity.association == wanted.association, association != nil
    {
      return
    }
    if let association {
      association.close()
      flush(association, &turn)
      waiting.removeAll()
    }
    forgetKeys()
    identity = wanted
    hasStarted = false
    handshakeEnd = nil
    isAnnounced = false
    association = maker.make(wanted.role, peer: wanted.fingerprints, seed: turn.random.next())
    beginHandshake(&turn)
    // What came before the description is taken in at the next `advance`, like everything that waits.
    waitingSince = waiting.isEmpty ? nil : turn.now
  }

  func forgetKeys() {
    if let receiver {
      countersBefore.forged += receiver.forged
      countersBefore.replayed += receiver.replayed
      countersBefore.unknown += receiver.unknown
    }
    sender = nil
    controlSender = nil
    receiver = nil
    sources = SourceTable()
  }
}
