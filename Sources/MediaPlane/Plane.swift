// The media of every call: legs with ports of their own, what each hears, and who may speak.
//
// Responsible for: RTP and RTCP relay between plain-RTP legs, source pinning, numbering that stays continuous,
// transcoding where codecs differ, keys, prompts, silence, reports, figures.
// Assumes: one thread; datagrams handed in one by one; `next()` drained after every turn; the peer's addresses
// and payload types as the signalling negotiated them.
// Somebody else's: who is calling, SDP, what a key means, when a silent call ends.
//
// Who may speak (plain RTP has no proof, so the rule is strict): before the far side is known nobody. Then only
// the address in its SDP or the one its signalling came from; the first valid packet fixes address, port and
// source (SSRC), and everything else is counted and dropped until signalling names another address. RTCP is bound
// the same way, and to the same source.
//
// The path of a packet (`received`) allocates nothing once a stream runs: tables are made when the far side is
// set, a relayed packet is a new head of twelve bytes before the payload as it came, and the world copies it
// once. What allocates: the first packet of a codec that must be transcoded, libavcodec inside for G.722, RTCP
// (every few seconds), and events.

internal import Codecs
internal import RTP
package import Wire

package final class Plane {
  struct Leg {
    let audio: Stream
    let video: Stream?
  }

  let world: any World
  let configuration: MediaConfiguration
  let canonicalName: [UInt8]
  var legs: Slab<Leg>
  var streams: [Stream?] = []
  private var freeStreams: [Int] = []
  /// Twice the stream's index, plus one for the RTCP socket.
  private var sockets: SocketTable
  private var ports: Ports
  var random: Random
  var wheel: Wheel
  private var events: [MediaEvent] = []
  private var eventsTaken = 0
  private var lastFeeder: Timeline.Feeder = 1
  var control = ControlWriter()
  var samples = [Int16](repeating: 0, count: Player.frame)
  var budget: TranscodingBudget
  private enum Library { case closed, asked, standing, missing }
  private var libraries = [Library](repeating: .closed, count: VoiceLibrary.allCases.count)

  /// What a timer of a stream is for; the token is four times the stream's index plus this.
  enum TimerKind: UInt64 { case report, frame, silence, path }

  /// Legs over peer connections: see Peers.swift.
  var peers: Peers
  /// Cameras' pictures and who looks at them: see Feeds.swift.
  var feeds = Slab<Feed>(limit: Plane.feedLimit)
  /// Where a lost packet is put together again.
  var repair: [UInt8] = []

  /// A plane that takes its ports from `ports`: even ones for RTP, the next for RTCP.
  package init(
    world: any World, ports: ClosedRange<UInt16>, configuration: MediaConfiguration = MediaConfiguration()
  ) {
    self.world = world
    self.configuration = configuration
    canonicalName = Array(configuration.canonicalName.utf8)
    budget = TranscodingBudget(share: configuration.transcodingShare)
    random = world.makeRandom()
    wheel = Wheel(now: world.now)
    legs = Slab(limit: max(1, configuration.legs))
    sockets = SocketTable(capacity: 64)
    self.ports = Ports(ports, start: random.next())
    peers = Peers(limit: max(1, configuration.legs))
  }

  // Joined streams hold one another, and a connection and its streams do: a plane that is dropped in mid-call parts them.
  deinit {
    for case let stream? in streams {
      stream.carrier = nil
      stream.links.removeAll()
      stream.heardFrom = nil
      stream.viewer = nil
      stream.filled = nil
    }
  }

  // MARK: Legs

  /// Opens a leg's ports. Nothing is let in before `setRemote`.
  package func open(_ spec: LegSpec) throws(MediaFailure) -> LegPorts {
    guard legs.count < legs.limit else { throw .tooManyLegs }
    // 46 is voice, 34 interactive video (RFC 4594).
    let audioPair = try ports.open(at: spec.address, DatagramOptions(dscp: 46), in: world)
    var videoPair: PortPair?
    if spec.kinds == .audioAndVideo {
      do {
        videoPair = try ports.open(
          at: spec.address, DatagramOptions(receiveBuffer: 1 << 19, dscp: 34), in: world)
      } catch {
        ports.close(audioPair, in: world)
        throw error
      }
    }
    let isBoundToAll = spec.address.isUnspecified
    let audio = makeStream(.audio, .ports(audioPair), isBoundToAll: isBoundToAll)
    let video = videoPair.map { makeStream(.video, .ports($0), isBoundToAll: isBoundToAll) }
    guard let id = enter(audio, video) else { throw .tooManyLegs }
    for (stream, pair) in [(audio, audioPair as PortPair?), (video, videoPair)] {
      guard let stream, let pair else { continue }
      sockets.insert(pair.rtp.handle.raw, Int32(2 * stream.index))
      sockets.insert(pair.rtcp.handle.raw, Int32(2 * stream.index + 1))
    }
    return LegPorts(
      leg: id, address: spec.address, audio: audioPair.even, audioRTCP: audioPair.even + 1,
      video: videoPair?.even, videoRTCP: videoPair.map { $0.even + 1 })
  }

  /// Gives a leg its place; nil when there is none left.
  func enter(_ audio: Stream, _ video: Stream?) -> LegID? {
    guard let handle = legs.insert(Leg(audio: audio, video: video)) else { return nil }
    let id = LegID(handle)
    for stream in [audio, video] {
      guard let stream else { continue }
      stream.leg = id
      streams[stream.index] = stream
    }
    return id
  }

  private func takeStreamIndex() -> Int {
    if let index = freeStreams.popLast() { return index }
    streams.append(nil)
    return streams.count - 1
  }

  func makeStream(_ kind: MediaKind, _ carrier: Carrier?, isBoundToAll: Bool) -> Stream {
    let timeline = Timeline(
      ssrc: UInt32(truncatingIfNeeded: random.next()), sequence: UInt16(truncatingIfNeeded: random.next()),
      timestamp: UInt32(truncatingIfNeeded: random.next()), clockRate: kind == .audio ? 8000 : 90_000)
    return Stream(
      kind: kind, index: takeStreamIndex(), carrier: carrier, timeline: timeline, isBoundToAll: isBoundToAll)
  }

  /// Ends a leg and gives its ports up. Its figures; nil for a leg that is gone.
  @discardableResult
  package func close(_ id: LegID) -> LegStatistics? {
    guard let result = statistics(id) else { return nil }
    unbridge(id)
    hide(on: id)
    stopFilling(from: id)
    guard let leg = legs.remove(id.handle) else { return nil }
    for stream in [leg.audio, leg.video] {
      guard let stream else { continue }
      sendBye(stream)
      for timer in [stream.reportTimer, stream.frameTimer, stream.silenceTimer, stream.pathTimer] {
        if let timer { wheel.cancel(timer) }
      }
      if case .ports(let pair) = stream.carrier {
        sockets.remove(pair.rtp.handle.raw)
        sockets.remove(pair.rtcp.handle.raw)
        ports.close(pair, in: world)
      }
      forget(stream)
    }
    if case .peer(let peer) = leg.audio.carrier { close(peer) }
    return result
  }

  func forget(_ stream: Stream) {
    streams[stream.index] = nil
    freeStreams.append(stream.index)
  }

  /// A leg's figures so far; nil for a leg that is gone.
  package func statistics(_ id: LegID) -> LegStatistics? {
    legs[id.handle].map { LegStatistics(audio: $0.audio.statistics, video: $0.video?.statistics) }
  }

  /// How many legs are open.
  package var count: Int { legs.count }
  /// Bridges that `affords` refused.
  package var refusedTranscodings: UInt64 { budget.refused }
  /// The thousandths of a core that transcoding takes now, by what was measured.
  package var transcodingPermille: Int { Int(transcodingLoad / 1_000_000) }

  private func audio(_ id: LegID) -> Stream? { legs[id.handle]?.audio }

  // MARK: The far side

  /// Tells what the far side negotiated: after an answer, and after every later offer and answer. Nil means that the
  /// kind was not offered or was refused: nothing is let in or sent. Where it may come from is learnt anew only when
  /// its address, or that of its signalling, changed.
  package func setRemote(_ id: LegID, audio: RemoteStream?, video: RemoteStream? = nil) {
    guard let leg = legs[id.handle] else { return }
    setRemote(leg.audio, audio)
    if let stream = leg.video { setRemote(stream, video) }
  }

  private func setRemote(_ stream: Stream, _ remote: RemoteStream?) {
    if let remote {
      let isFirst = stream.remote == nil
      let learns = stream.setRemote(remote)
      if isFirst || learns { nameFeeder(stream) }
      if stream.reportTimer == nil {
        stream.reportTimer = arm(.report, stream, at: world.now + configuration.reportInterval / 2)
      }
      if stream.kind == .audio {
        if isFirst, stream.silentAfter == nil { stream.silentAfter = configuration.silentAfter }
        stream.watchedSince = world.now
        if !stream.isSilent { armSilence(stream) }
      }
    } else {
      stream.clearRemote()
    }
    if let viewer = stream.viewer { renew(viewer) }
    settleRepetition(of: stream)
    refindRoutes(around: stream)
  }

  /// A new name for what the stream feeds: timelines that it feeds go on from where they are.
  func nameFeeder(_ stream: Stream) { stream.feeder = newFeeder() }

  /// A name that no other feeder of a timeline has.
  func newFeeder() -> Timeline.Feeder {
    lastFeeder += 1
    return lastFeeder
  }

  private func refindRoutes(around changed: Stream) {
    for case let stream? in streams {
      for link in stream.links where stream === changed || link.sink === changed {
        link.findRoutes(from: stream)
      }
    }
  }

  // MARK: Bridges

  /// Joins two legs, both ways; whatever either was joined to before is parted.
  package func bridge(_ a: LegID, _ b: LegID, keys: KeyPolicy) {
    guard a != b, let first = legs[a.handle], let second = legs[b.handle] else { return }
    unbridge(a)
    unbridge(b)
    link(first.audio, second.audio, keys.fromA)
    link(second.audio, first.audio, keys.fromB)
    if let firstVideo = first.video, let secondVideo = second.video {
      joinPictures(of: firstVideo, to: secondVideo)
      joinPictures(of: secondVideo, to: firstVideo)
    }
  }

  /// Lets many legs hear one; they are not heard, and keys go nowhere. Earlier joins of all of them are parted.
  package func page(from id: LegID, to sinks: [LegID]) {
    guard let source = legs[id.handle] else { return }
    unbridge(id)
    for sink in sinks where sink != id {
      guard let leg = legs[sink.handle] else { continue }
      unbridge(sink)
      link(source.audio, leg.audio, .consume)
      if let video = source.video, let sinkVideo = leg.video { joinPictures(of: video, to: sinkVideo) }
    }
  }

  func link(_ source: Stream, _ sink: Stream, _ keys: KeyHandling) {
    // A feed that is shown stays.
    guard sink.viewer == nil else { return }
    // Whatever it heard until now, such as a camera.
    if let old = sink.heardFrom, old !== source { old.links.removeAll { $0.sink === sink } }
    let link = Link(to: sink, keys: keys)
    link.findRoutes(from: source)
    source.links.append(link)
    sink.heardFrom = source
    // A new listener of video can show nothing before a key frame.
    if source.kind == .video { requestKeyFrame(source, by: .pictureLoss) }
  }

  /// Parts a leg from every other, in both directions.
  package func unbridge(_ id: LegID) {
    guard let leg = legs[id.handle] else { return }
    partPictures(of: leg.video)
    for stream in [leg.audio, leg.video] {
      guard let stream else { continue }
      for link in stream.links where link.sink.heardFrom === stream { link.sink.heardFrom = nil }
      stream.links.removeAll()
      stream.heardFrom = nil
      for case let other? in streams {
        other.links.removeAll { $0.sink === stream }
      }
    }
    // The camera that it still sees is heard again.
    if let sound = leg.video?.viewer?.feed.sound { join(sound, leg.audio) }
  }

  // MARK: Sounds and keys of ours

  /// Plays a prompt in the leg's codec, in place of what it would hear. A leg that cannot be played to hears
  /// nothing; `promptEnded` comes all the same.
  package func play(_ prompt: Prompt, on id: LegID) {
    guard let stream = audio(id) else { return }
    stream.player = Player(prompt)
    startFrames(stream)
  }

  /// Ends a prompt; no event follows.
  package func stopPlaying(on id: LegID) { audio(id)?.player = nil }

  /// Presses keys towards a leg as RFC 4733. False when it takes none, when a character is no key, or too many
  /// wait: then nothing of it is sent, and INFO is the other way. `keysSent` follows when all are out.
  package func sendKeys(_ digits: String, on id: LegID) -> Bool {
    guard let stream = audio(id), stream.remote?.telephoneEvent != nil, stream.timeline.clockRate == 8000
    else { return false }
    let keys = digits.compactMap { Key($0) }
    guard !keys.isEmpty, keys.count == digits.count else { return false }
    var sender = stream.keySender
    for key in keys {
      guard sender.add(key) else { return false }
    }
    stream.keySender = sender
    startFrames(stream)
    return true
  }

  /// Presses a key that came from elsewhere; more than may wait are lost.
  func press(_ key: Key, on stream: Stream) {
    guard stream.keySender.add(key) else { return }
    startFrames(stream)
  }

  /// Listens to what a leg sends, for a tone. Begins anew at each call.
  package func listen(for hertz: Double, on id: LegID) {
    audio(id)?.listener = Listener(frequency: hertz)
  }

  /// What the listener heard; nil without one.
  package func heard(on id: LegID) -> Heard? {
    guard let detector = audio(id)?.listener?.detector else { return nil }
    return Heard(
      windows: detector.windows, windowsWithTone: detector.windowsWithTone, level: detector.level,
      toneLevel: detector.toneLevel)
  }

  /// Asks the leg's camera for a key frame; at most twice a second.
  package func requestKeyFrame(_ id: LegID) {
    if let video = legs[id.handle]?.video { requestKeyFrame(video, by: .pictureLoss) }
  }

  /// After how long without audio the leg is silent; nil for never.
  package func watch(_ id: LegID, silentAfter: Interval?) {
    guard let stream = audio(id) else { return }
    stream.silentAfter = silentAfter
    stream.watchedSince = world.now
    stream.isSilent = false
    armSilence(stream)
  }

  // MARK: Turns

  package func owns(_ socket: SocketID) -> Bool {
    sockets[socket.handle.raw] != nil || peers.isOurs(socket)
  }

  /// A datagram for one of our sockets; others are ignored.
  package func received(
    _ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint
  ) {
    guard let place = sockets[socket.handle.raw], let stream = streams[Int(place) / 2] else {
      if peers.isShared(socket) {
        receivePeer(datagram, Flow(.udp, local: local, remote: remote, socket: socket))
      } else {
        receiveRelayed(datagram, on: socket, from: remote)
      }
      return
    }
    if place & 1 == 1 || PacketHeader.looksLikeControl(datagram) {
      receiveControl(datagram, stream, from: remote)
    } else {
      receiveMedia(datagram, stream, from: remote, to: local)
    }
  }

  /// When `advance` is wanted next.
  package var nextDeadline: Instant? { wheel.nextDeadline }

  /// Does what is due: frames of prompts and keys, reports, silence.
  package func advance() {
    let now = world.now
    while let token = wheel.expired(by: now) {
      if token == Plane.serverTimer {
        advanceServers()
        continue
      }
      if Plane.isPeerTimer(token) {
        advancePeer(token)
        continue
      }
      if Plane.isFeedTimer(token) {
        advanceFeed(token)
        continue
      }
      guard let kind = TimerKind(rawValue: token & 3), let stream = streams[Int(token >> 2)] else { continue }
      switch kind {
      case .report:
        stream.reportTimer = nil
        report(stream)
      case .frame:
        stream.frameTimer = nil
        frame(stream)
      case .silence:
        stream.silenceTimer = nil
        checkSilence(stream)
      case .path:
        stream.pathTimer = nil
        makePackets(stream)
      }
    }
  }

  /// Whether `next` has something to tell.
  package var hasEvents: Bool { eventsTaken < events.count }

  /// What happened; nil when all is told.
  package func next() -> MediaEvent? {
    guard eventsTaken < events.count else {
      events.removeAll(keepingCapacity: true)
      eventsTaken = 0
      return nil
    }
    defer { eventsTaken += 1 }
    return events[eventsTaken]
  }

  func tell(_ event: MediaEvent) { events.append(event) }

  func arm(_ kind: TimerKind, _ stream: Stream, at moment: Instant) -> Handle {
    wheel.arm(moment, token: UInt64(stream.index) << 2 | kind.rawValue)
  }

  /// Whether the libraries behind these codecs stand. At the first question a worker opens what is missing, and what
  /// needs it is lost meanwhile. Each plane asks for itself, so that a run does not depend on what ran before in the
  /// process.
  func hasLibraries(_ codecs: VoiceCodec...) -> Bool {
    var areStanding = true
    for codec in codecs {
      if let library = codec.library, !has(library) { areStanding = false }
    }
    return areStanding
  }

  private func has(_ library: VoiceLibrary) -> Bool {
    switch libraries[library.rawValue] {
    case .standing: return true
    case .asked, .missing: return false
    case .closed:
      libraries[library.rawValue] = .asked
      world.perform(
        on: .general, { library.prepare() },
        then: { [weak self] stands in
          self?.libraries[library.rawValue] = stands ? .standing : .missing
          guard stands else { return }
          for codec in VoiceCodec.allCases where codec.library == library { self?.measure(codec) }
        })
      return libraries[library.rawValue] == .standing
    }
  }

  // MARK: Silence

  private func armSilence(_ stream: Stream) {
    if let timer = stream.silenceTimer { wheel.cancel(timer) }
    stream.silenceTimer = nil
    guard let limit = stream.silentAfter, stream.remote != nil else { return }
    stream.silenceTimer = arm(.silence, stream, at: lastSign(stream) + limit)
  }

  private func lastSign(_ stream: Stream) -> Instant {
    let since = stream.watchedSince ?? world.now
    guard let packet = stream.lastPacket else { return since }
    return max(since, packet)
  }

  private func checkSilence(_ stream: Stream) {
    guard let limit = stream.silentAfter, let remote = stream.remote else { return }
    if !remote.direction.peerSends || remote.rtp.port == 0 || remote.rtp.address.isUnspecified {
      // On hold silence is right.
      stream.watchedSince = world.now
    } else if world.now - lastSign(stream) >= limit {
      stream.isSilent = true
      tell(.silent(stream.leg))
      return
    }
    armSilence(stream)
  }

  /// Audio came after silence was told.
  func resume(_ stream: Stream) {
    stream.isSilent = false
    tell(.resumed(stream.leg))
    armSilence(stream)
  }
}
