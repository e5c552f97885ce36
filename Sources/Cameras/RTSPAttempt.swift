internal import Crypto
internal import RTP
internal import RTSP
internal import Transport
internal import Wire

// One connection to a camera with one way for its media: dials, lets the client talk, opens the datagram sockets that it
// asks for, and hands packets in their order to its source. The source may run two of them against each other.

/// Who has an attempt.
protocol RTSPAttemptOwner: AnyObject {
  /// A packet of a stream, in order; `captured` is when its content was taken.
  func took(
    _ header: PacketHeader, _ payload: Span<UInt8>, track: Int, captured: Instant, by attempt: RTSPAttempt)
  /// Something became of it.
  func heard(_ event: RTSPAttempt.News, by attempt: RTSPAttempt)
}

final class RTSPAttempt {
  enum News {
    /// The camera said that it plays.
    case playing
    /// It is over; everything is closed.
    case ended(RTSPEnding)
    /// It never stood, or broke.
    case broken(StreamEnding)
    case unreachable(NetworkFailure)
  }

  /// The datagrams of one stream.
  private struct Ports {
    var media: SocketID
    var control: SocketID
    /// Whoever's datagrams are taken: the camera, and where it says that it sends from.
    var addresses: [IPAddress]
    /// Where its reports go; learnt from its own.
    var reports: Endpoint?
    /// Whence media come: the first to send a packet of the stream.
    var sender: Endpoint?
    var punches: [(socket: SocketID, to: Endpoint)] = []
  }

  private static let portTries = 16
  /// A key picture of a large camera comes at once.
  private static let receiveBuffer = 1 << 20

  /// How its media come, or are asked for.
  var transport: RTSPTransport { client.transport }
  let address: RTSPAddress
  private let cameras: RTSPCameras
  private unowned let owner: any RTSPAttemptOwner
  private let remote: IPAddress
  private var client: RTSPClient
  private var connection: ConnectionID?
  private var random: Random
  private var receptions: [MediaReception] = []
  private var ports: [Ports?] = []
  private var reportAt: Instant?
  private var wishAt: Instant?
  private var hasRedialled = false
  private(set) var fingerprint: [UInt8]?
  private(set) var isOver = false
  /// The camera has said that it plays, at this time.
  private(set) var playingSince: Instant?
  private let name: [UInt8]

  var presentation: RTSPPresentation? { client.presentation }

  init(
    _ address: RTSPAddress, at remote: IPAddress, transport: RTSPTransport, mayChange: Bool,
    credentials: RTSPCredentials?,
    mayShowPassword: Bool, cameras: RTSPCameras, owner: any RTSPAttemptOwner
  ) {
    self.address = address
    self.remote = remote
    self.cameras = cameras
    self.owner = owner
    random = cameras.world.makeRandom()
    name = Array(random.hex(bytes: 8).utf8)
    client = RTSPClient(
      address, transport: transport, mayChange: mayChange, credentials: credentials,
      mayShowPassword: mayShowPassword, random: cameras.world.makeRandom())
  }

  /// Dials. `trust` where the address is `rtsps`.
  func dial(pinned: [UInt8]?) throws(NetworkFailure) {
    let trust: TLSTrust? = address.isSecure ? pinned.map { TLSTrust.pinned($0) } ?? .firstContact : nil
    let connection = try cameras.streams.dial(
      Endpoint(remote, port: address.port), trust: trust, serverName: address.host, purpose: .camera)
    self.connection = connection
    cameras.adopt(connection, self)
  }

  // MARK: The connection

  func opened(_ facts: ConnectionFacts) {
    fingerprint = facts.fingerprint
    client.start(now: cameras.world.now)
    settle()
  }

  func received(_ bytes: Span<UInt8>) {
    client.receive(bytes, now: cameras.world.now)
    settle()
  }

  func closed(_ ending: StreamEnding) {
    connection = nil
    guard !isOver else { return }
    // A camera that resets the connection when it is told goodbye has heard it.
    if client.isLeaving || client.presentation != nil && ending == .finished {
      client.receivedEnd()
      return settle()
    }
    if let restarted = client.restarted(), !hasRedialled {
      hasRedialled = true
      client = restarted
      do throws(NetworkFailure) {
        return try dial(pinned: fingerprint)
      } catch {}
    }
    close()
    owner.heard(.broken(ending), by: self)
  }

  /// Tells the camera goodbye and closes everything; nothing is heard of it afterwards.
  func leave() {
    guard !isOver else { return }
    client.leave(now: cameras.world.now)
    write()
    close()
  }

  private func close() {
    isOver = true
    if let connection {
      self.connection = nil
      cameras.release(connection)
      cameras.streams.close(connection, flushing: true)
    }
    for pair in ports {
      guard let pair else { continue }
      cameras.release(socket: pair.media)
      cameras.release(socket: pair.control)
    }
    ports = []
  }

  private func write() {
    let output = client.takeOutput()
    guard !output.isEmpty, let connection else { return }
    // A camera that takes nothing is left by its own silence.
    _ = cameras.streams.write(output, on: connection)
  }

  /// Takes what the client has to tell, then sends what it has to say.
  private func settle() {
    let now = cameras.world.now
    while !isOver, let event = client.next(now: now) {
      switch event {
      case .described(let presentation):
        receptions = presentation.tracks.map { reception($0, isOrdered: true) }
        ports = Array(repeating: nil, count: presentation.tracks.count)
      case .portsWanted(let track): offerPorts(track, now)
      case .ready(let track, let carriage): ready(track, carriage)
      case .playing:
        playingSince = now
        reportAt = now + .milliseconds(500)
        punch()
        owner.heard(.playing, by: self)
      case .packet(let track, let range):
        take(client.input.span.extracting(range), track, now)
      case .control(let track, let range):
        takeControl(client.input.span.extracting(range), track, now)
      case .ended(let ending):
        write()
        close()
        owner.heard(.ended(ending), by: self)
      }
    }
    if !isOver { write() }
  }

  private func reception(_ track: RTSPTrack, isOrdered: Bool) -> MediaReception {
    MediaReception(
      track: track, isOrdered: isOrdered, ownSSRC: UInt32(truncatingIfNeeded: random.next()), name: name)
  }

  // MARK: Media

  private func take(_ packet: Span<UInt8>, _ track: Int, _ now: Instant) {
    guard case .deliver(let header) = receptions[track].receive(packet, at: now) else { return }
    deliver(header, packet.extracting(header.payload), track, now)
    takeHeld(track, now)
  }

  private func takeHeld(_ track: Int, _ now: Instant) {
    while !isOver, let packet = receptions[track].takeHeld(at: now),
      let header = try? PacketHeader(parsing: packet.span)
    {
      deliver(header, packet.span.extracting(header.payload), track, now)
    }
  }

  private func deliver(_ header: PacketHeader, _ payload: Span<UInt8>, _ track: Int, _ now: Instant) {
    guard !isOver else { return }
    let captured = receptions[track].captured(header.timestamp, at: now)
    owner.took(header, payload, track: track, captured: captured, by: self)
  }

  private func takeControl(_ compound: Span<UInt8>, _ track: Int, _ now: Instant) {
    guard receptions[track].receiveControl(compound, at: now), track == 0 else { return }
    close()
    owner.heard(.ended(.closed), by: self)
  }

  // MARK: Datagrams

  /// Two neighbouring ports at the connection's own address, the first of them even (RFC 3550 section 11).
  private func offerPorts(_ track: Int, _ now: Instant) {
    let world = cameras.world
    let local = connection.flatMap { world.local(of: $0) }?.address ?? (remote.isV4 ? .anyV4 : .anyV6)
    let options = DatagramOptions(receiveBuffer: RTSPAttempt.receiveBuffer)
    for _ in 0..<RTSPAttempt.portTries {
      guard let first = try? world.openDatagram(Endpoint(local, port: 0), options),
        let port = world.local(of: first)?.port
      else { break }
      let neighbour = port & 1 == 0 ? port &+ 1 : port &- 1
      guard let second = try? world.openDatagram(Endpoint(local, port: neighbour), options) else {
        world.close(first, flushing: false)
        continue
      }
      let (media, control) = port & 1 == 0 ? (first, second) : (second, first)
      ports[track] = Ports(media: media, control: control, addresses: [remote])
      cameras.adopt(socket: media, self)
      cameras.adopt(socket: control, self)
      client.offer(port: port & ~1, for: track, now: now)
      return
    }
    close()
    owner.heard(.unreachable(.addressInUse), by: self)
  }

  private func ready(_ track: Int, _ carriage: RTSPCarriage) {
    guard let pair = ports[track] else { return }
    switch carriage {
    case .interleaved:
      cameras.release(socket: pair.media)
      cameras.release(socket: pair.control)
      ports[track] = nil
    case .datagrams(let media, let control, let source):
      if let presentation { receptions[track] = reception(presentation.tracks[track], isOrdered: false) }
      if let source, source != remote { ports[track]?.addresses.append(source) }
      if let media { ports[track]?.punches.append((pair.media, Endpoint(remote, port: media))) }
      if let control {
        ports[track]?.reports = Endpoint(remote, port: control)
        ports[track]?.punches.append((pair.control, Endpoint(remote, port: control)))
      }
    }
  }

  /// Opens the way for datagrams through a packet filter of ours, or a translator: something leaves first.
  private func punch() {
    for (track, pair) in ports.enumerated() {
      guard let pair else { continue }
      for punch in pair.punches {
        let bytes =
          punch.socket == pair.control
          ? receptions[track].report(at: cameras.world.now)
          : [0x80, receptions[track].payloadType, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        cameras.world.send(bytes.span, on: punch.socket, to: punch.to, from: nil)
      }
    }
  }

  func received(_ datagram: Span<UInt8>, on socket: SocketID, from sender: Endpoint) {
    let now = cameras.world.now
    guard let track = ports.firstIndex(where: { $0?.media == socket || $0?.control == socket }),
      let pair = ports[track], pair.addresses.contains(sender.address)
    else { return }
    if pair.control == socket || PacketHeader.looksLikeControl(datagram) {
      guard PacketHeader.looksLikeControl(datagram) else { return }
      if pair.control == socket { ports[track]?.reports = sender }
      takeControl(datagram, track, now)
    } else {
      guard pair.sender == nil || pair.sender == sender else { return }
      let before = receptions[track].counts.received
      take(datagram, track, now)
      if !isOver, receptions[track].counts.received > before { ports[track]?.sender = sender }
    }
    if !isOver { write() }
  }

  // MARK: Wishes and time

  /// Asks the camera for a key picture, at most twice a second.
  func requestKeyFrame() {
    let now = cameras.world.now
    guard !isOver, playingSince != nil, wishAt.map({ now - $0 >= .milliseconds(500) }) ?? true,
      let compound = receptions.indices.contains(0) ? receptions[0].keyFrameRequest(at: now) : nil
    else { return }
    wishAt = now
    send(compound, 0)
    write()
  }

  private func send(_ compound: [UInt8], _ track: Int) {
    if let pair = ports[track] {
      guard let target = pair.reports ?? pair.sender.map({ Endpoint($0.address, port: $0.port &+ 1) }) else {
        return
      }
      cameras.world.send(compound.span, on: pair.control, to: target, from: nil)
    } else {
      client.send(control: compound, track: track)
    }
  }

  var nextDeadline: Instant? {
    guard !isOver else { return nil }
    return receptions.lazy.map(\.nextDeadline).reduce(
      .earlier(client.nextDeadline, reportAt), Instant.earlier)
  }

  func advance() {
    guard !isOver else { return }
    let now = cameras.world.now
    client.advance(now: now)
    for track in receptions.indices
    where !isOver && (receptions[track].nextDeadline.map { $0 <= now } ?? false) {
      takeHeld(track, now)
    }
    if !isOver, let due = reportAt, due <= now {
      // A little earlier or later each time (RFC 3550 section 6.3.1).
      reportAt = now + RTSPLimits.report / 2 + .milliseconds(Int64(random.below(5000)))
      for track in receptions.indices { send(receptions[track].report(at: now), track) }
    }
    if !isOver { settle() }
  }
}
