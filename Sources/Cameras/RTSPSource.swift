internal import Directory
internal import RTP
internal import RTSP
internal import Transport
internal import Wire

// One network camera that runs: finds it, tries both ways for its media, and makes news of what it sends.
//
// Its first attempt asks for the way that is remembered, else for the connection itself. When the camera plays and
// nothing comes, a second attempt with the other way starts beside it; whichever brings the first packet stays and is
// remembered, the other is told goodbye. A camera that does not set one way up is asked for the other, whatever it calls
// its reason: many refuse what they do not know as a bad request, or say nothing. Pictures are handed on as they came,
// from a key picture on; after a loss from the next one on, so that nothing broken is ever shown.
//
// It ends by itself with a reason as soon as it cannot go on: no answer, no pictures for a while, a wrong password, a
// stream that no browser shows. Whoever wants it opens another after a `Backoff`.
final class RTSPSource: CameraSource, RTSPAttemptOwner {
  /// When a rival starts beside an attempt that plays and brings nothing: sooner where nothing is remembered.
  static let patience = (unknown: Interval.milliseconds(700), remembered: Interval.seconds(2))
  /// From the beginning to the first picture.
  static let start = Interval.seconds(15)
  /// Without a packet of the pictures.
  static let stall = Interval.seconds(5)
  /// What a camera needs to get over a session that ended.
  static let recovery = Interval.milliseconds(400)
  /// Between two wishes for a key picture while none comes.
  private static let wish = Interval.seconds(1)

  private let camera: CameraID
  private let url: String
  private let credentials: RTSPCredentials?
  private let cameras: RTSPCameras
  private let hear: (SourceNews) -> Void
  private var isOver = false
  private var address: RTSPAddress?
  private var remote: IPAddress?
  /// Further addresses of its name, not yet tried.
  private var others: [IPAddress] = []
  private var redirects = 0
  /// Those that are under way; two while they race.
  private var attempts: [RTSPAttempt] = []
  /// The one that brings pictures.
  private var winner: RTSPAttempt?
  private var tried: [RTSPTransport] = []
  private var rivalAt: Instant?
  /// A way that is tried once more, and how often that may be.
  private var again: (at: Instant, transport: RTSPTransport)?
  private var patienceLeft = 3
  private var startBy: Instant?
  /// A reason that was found before anyone could be told.
  private var early: SourceFault?
  /// Why the first of two attempts failed.
  private var firstFailure: SourceFault?

  private var pictures = PictureStream()
  private var watch = CodingWatch(hasParameters: true)
  private var units: AudioUnits?
  private var decoder: (any SoundDecoder)?
  private var sound: SourceFormat.Sound?
  /// Why the camera's sound cannot be heard, until it was told.
  private var silence: SourceFault?
  private var format: SourceFormat?
  private var lastPacket: Instant?
  private var wishAt: Instant?

  init(
    _ camera: CameraID, url: String, credentials: RTSPCredentials?, cameras: RTSPCameras,
    hear: @escaping (SourceNews) -> Void
  ) {
    self.camera = camera
    self.url = url
    self.credentials = credentials
    self.cameras = cameras
    self.hear = hear
  }

  // MARK: Beginning

  func begin() {
    startBy = cameras.world.now + RTSPSource.start
    guard let address = RTSPAddress(url) else {
      early = SourceFault(.malformed, "\(url) is no address of a camera")
      return
    }
    find(address)
  }

  private func find(_ address: RTSPAddress) {
    self.address = address
    tried = []
    others = []
    if let literal = IPAddress(address.host) { return found(literal) }
    cameras.world.resolve(.addresses(host: address.host)) { [weak self] names in
      guard let self, !self.isOver, self.address == address else { return }
      var found: [IPAddress] = []
      for case .address(let address) in names { found.append(address) }
      if let first = found.first {
        self.others = Array(found.dropFirst())
        self.found(first)
        return self.failEarly()
      }
      self.fail(SourceFault(.unreachable, "the name \(address.host) has no address"))
    }
  }

  private func found(_ address: IPAddress) {
    let isOurs = address.isLoopback || address.isUnspecified || address.isMulticast || address.isBroadcast
    // Only whoever set the gateway up may send it to itself.
    guard redirects == 0 || !isOurs || IPAddress(RTSPAddress(url)?.host ?? "") == address else {
      early = SourceFault(.refused, "the camera sends us on to \(address), which is no camera's")
      return
    }
    remote = address
    attempt(cameras.known(of: camera).transport ?? .interleaved)
  }

  /// `mayChange`: the camera may say on the same connection that it wants the other way.
  private func attempt(_ transport: RTSPTransport, mayChange: Bool = true) {
    guard let address, let remote else { return }
    tried.append(transport)
    let configured = RTSPAddress(url)
    let attempt = RTSPAttempt(
      address, at: remote, transport: transport, mayChange: mayChange, credentials: credentials,
      mayShowPassword: address.host == configured?.host, cameras: cameras, owner: self)
    do throws(NetworkFailure) {
      try attempt.dial(pinned: cameras.known(of: camera).fingerprint)
      attempts.append(attempt)
    } catch {
      // It may be that `open` has not returned yet.
      early = SourceFault(.unreachable, "no connection to \(address.host): \(error)")
    }
  }

  // MARK: CameraSource

  func requestKeyFrame() { winner?.requestKeyFrame() }

  /// The camera's own settings decide.
  func limit(bitsPerSecond: Int, framesPerSecond: Int) {}

  func stop() {
    guard !isOver else { return }
    finish()
  }

  private func finish() {
    isOver = true
    let running = attempts
    attempts = []
    winner = nil
    for attempt in running { attempt.leave() }
    cameras.closed(self)
  }

  private func fail(_ fault: SourceFault) {
    guard !isOver else { return }
    finish()
    hear(.ended(fault))
  }

  // MARK: The race

  func heard(_ news: RTSPAttempt.News, by attempt: RTSPAttempt) {
    guard !isOver else { return }
    switch news {
    case .playing:
      if !tried.contains(attempt.transport) { tried.append(attempt.transport) }
      guard winner == nil, attempts.count == 1 else { return }
      let isRemembered = cameras.known(of: camera).transport == attempt.transport
      rivalAt =
        cameras.world.now + (isRemembered ? RTSPSource.patience.remembered : RTSPSource.patience.unknown)
    case .ended(.otherTransport) where winner == nil:
      drop(attempt)
      guard attempts.isEmpty else { return }
      let other = attempt.transport.other
      guard !tried.contains(other) else {
        return fail(
          firstFailure ?? SourceFault(.refused, "the camera offers neither of the ways its media could come"))
      }
      self.attempt(other, mayChange: false)
      failEarly()
    case .ended(.busy) where winner == nil && attempts.count == 1 && tried.count > 1 && patienceLeft > 0:
      // It has not yet got over the session that it was just told goodbye in.
      drop(attempt)
      patienceLeft -= 1
      again = (cameras.world.now + RTSPSource.recovery, attempt.transport)
    case .ended(.moved(let target)) where winner == nil: moved(target, attempt)
    case .ended(let ending) where isOpen(attempt) && RTSPSource.isOfTheWay(ending):
      goOtherWay(attempt, RTSPSource.fault(ending, attempt.address))
    case .ended(let ending): failed(attempt, RTSPSource.fault(ending, attempt.address))
    case .broken where winner == nil && attempts.count == 1 && attempt.presentation == nil && !others.isEmpty:
      // Nothing answers at this address, or no camera does: the name has more.
      drop(attempt)
      tried = []
      found(others.removeFirst())
      failEarly()
    case .broken(let ending) where isOpen(attempt):
      goOtherWay(attempt, RTSPSource.fault(ending, attempt.address))
    case .broken(let ending): failed(attempt, RTSPSource.fault(ending, attempt.address))
    case .unreachable(let failure):
      failed(attempt, SourceFault(.unreachable, "no datagrams can be received: \(failure)"))
    }
  }

  /// The camera said what it has, does not play yet, and was not asked for the other way.
  private func isOpen(_ attempt: RTSPAttempt) -> Bool {
    winner == nil && attempts.count == 1 && attempt.presentation != nil && attempt.playingSince == nil
      && !tried.contains(attempt.transport.other)
  }

  /// Whether the other way may fare better: not where the camera said that it has no right, place or picture for us.
  private static func isOfTheWay(_ ending: RTSPEnding) -> Bool {
    switch ending {
    case .refused(let status, _): status != 403
    case .silent, .closed, .malformed: true
    case .left, .otherTransport, .moved, .credentials, .missing, .busy, .presentation, .expired: false
    }
  }

  private func goOtherWay(_ attempt: RTSPAttempt, _ fault: SourceFault) {
    drop(attempt)
    firstFailure = firstFailure ?? fault
    self.attempt(attempt.transport.other, mayChange: false)
    failEarly()
  }

  private func drop(_ attempt: RTSPAttempt) { attempts.removeAll { $0 === attempt } }

  private func failed(_ attempt: RTSPAttempt, _ fault: SourceFault) {
    drop(attempt)
    if attempt === winner || attempts.isEmpty { return fail(firstFailure ?? fault) }
    // The rival of one that plays may be refused because there is place for one only: nothing is lost yet.
    if firstFailure == nil, tried.first == attempt.transport { firstFailure = fault }
  }

  private func moved(_ target: RTSPAddress, _ attempt: RTSPAttempt) {
    drop(attempt)
    redirects += 1
    guard redirects <= RTSPLimits.redirects else {
      return fail(SourceFault(.malformed, "the camera sends us from address to address"))
    }
    guard target.isSecure || !attempt.address.isSecure else {
      return fail(SourceFault(.refused, "the camera wants to be asked without TLS at \(target.host)"))
    }
    for other in attempts { other.leave() }
    attempts = []
    rivalAt = nil
    find(target)
    failEarly()
  }

  private func failEarly() {
    guard let fault = early, attempts.isEmpty else { return }
    early = nil
    fail(fault)
  }

  private func win(_ attempt: RTSPAttempt) {
    winner = attempt
    rivalAt = nil
    for other in attempts where other !== attempt { other.leave() }
    attempts = [attempt]
    var known = cameras.known(of: camera)
    known.transport = attempt.transport
    if attempt.address.isSecure { known.fingerprint = known.fingerprint ?? attempt.fingerprint }
    cameras.learn(known, of: camera)
    guard let presentation = attempt.presentation else { return }
    if case .h264(let sets) = presentation.tracks[0].coding {
      pictures = PictureStream(parameterSets: sets)
      watch = CodingWatch(hasParameters: sets.contains { $0[0] & 0x1F == 7 })
    }
    silence = presentation.unusedSound.first.map { RTSPSource.fault(sound: $0) }
    for track in presentation.tracks.dropFirst() {
      switch track.coding {
      case .pcma: sound = .pcma
      case .pcmu: sound = .pcmu
      case .aac(let format):
        units = AudioUnits(format)
        sound = cameras.soundDecoder == nil ? nil : .pcma
        cameras.prepareSound { [weak self] in self?.prepare(format) }
      case .h264: break
      }
    }
  }

  private func prepare(_ format: AACFormat) {
    guard !isOver else { return }
    decoder = cameras.soundDecoder?(format)
    if decoder == nil { silence = RTSPSource.unreadableAAC }
    tellSilence()
  }

  /// After what the pictures are, which is news of its own.
  private func tellSilence() {
    guard format != nil, !isOver, let fault = silence else { return }
    silence = nil
    hear(.silent(fault))
  }

  // MARK: Media

  func took(
    _ header: PacketHeader, _ payload: Span<UInt8>, track: Int, captured: Instant, by attempt: RTSPAttempt
  ) {
    guard !isOver else { return }
    if track == 0, winner == nil { win(attempt) }
    guard attempt === winner else { return }
    if track == 0 { tookPicture(header, payload, captured) } else { tookSound(header, payload, captured) }
  }

  private func tookPicture(_ header: PacketHeader, _ payload: Span<UInt8>, _ captured: Instant) {
    let now = cameras.world.now
    lastPacket = now
    if watch.look(payload, now: now), let verdict = watch.verdict {
      return fail(SourceFault(verdict))
    }
    var result = pictures.receive(header, payload, captured: captured)
    while !isOver {
      switch result {
      case .nothing: return
      case .wantsKey:
        if wishAt == nil {
          winner?.requestKeyFrame()
          wishAt = now + RTSPSource.wish
        }
        return
      case .unusable(let reason): return fail(SourceFault(.coding, reason))
      case .picture(let unit, let width, let height):
        wishAt = nil
        startBy = nil
        let seen = SourceFormat(coding: .h264, width: width, height: height, isOurs: false, sound: sound)
        if seen != format {
          format = seen
          hear(.began(seen))
          tellSilence()
        }
        guard !isOver else { return }
        hear(.picture(unit))
        result = .nothing
      }
    }
  }

  private func tookSound(_ header: PacketHeader, _ payload: Span<UInt8>, _ captured: Instant) {
    // Sound before the first picture has no stream to be in.
    guard format != nil, sound != nil, !payload.isEmpty else { return }
    guard units != nil else {
      return hear(.sound([UInt8](payload), samples: payload.count, captured: captured))
    }
    guard let decoder, let frames = units?.receive(payload, timestamp: header.timestamp) else { return }
    for frame in frames where !isOver {
      let samples = decoder.pcma(frame)
      if !samples.isEmpty { hear(.sound(samples, samples: samples.count, captured: captured)) }
    }
  }

  // MARK: Time

  var nextDeadline: Instant? {
    guard !isOver else { return nil }
    if early != nil { return cameras.world.now }
    var first: Instant?
    func take(_ deadline: Instant?) { first = .earlier(first, deadline) }
    take(rivalAt)
    take(again?.at)
    take(startBy)
    take(wishAt)
    take(lastPacket.map { $0 + RTSPSource.stall })
    for attempt in attempts { take(attempt.nextDeadline) }
    return first
  }

  func advance() {
    guard !isOver else { return }
    let now = cameras.world.now
    if let fault = early {
      early = nil
      return fail(fault)
    }
    if let last = lastPacket, last + RTSPSource.stall <= now {
      return fail(SourceFault(.frozen, "the camera has sent no pictures for \(RTSPSource.stall.seconds) s"))
    }
    if let due = startBy, due <= now { return fail(lateness()) }
    if let due = wishAt, due <= now {
      wishAt = now + RTSPSource.wish
      winner?.requestKeyFrame()
    }
    if let (due, transport) = again, due <= now {
      again = nil
      attempt(transport, mayChange: false)
      failEarly()
    }
    if let due = rivalAt, due <= now {
      rivalAt = nil
      if winner == nil, let first = attempts.first, !tried.contains(first.transport.other) {
        attempt(first.transport.other, mayChange: false)
        // A rival that cannot start leaves the other alone.
        early = nil
      }
    }
    for attempt in attempts where !isOver && (attempt.nextDeadline.map { $0 <= now } ?? false) {
      attempt.advance()
    }
  }

  private func lateness() -> SourceFault {
    if let firstFailure { return firstFailure }
    if winner != nil { return SourceFault(.frozen, "the camera sends, but no key picture among it") }
    if attempts.contains(where: { $0.playingSince != nil }) {
      return SourceFault(.frozen, "the camera says that it plays and sends nothing")
    }
    return SourceFault(.unreachable, "the camera did not begin within \(RTSPSource.start.seconds) s")
  }
}
