import Wire

/// One end of a simulated connection. Bytes keep their order; how they are cut, and when they come, is chance.
final class SimulatedStream {
  let world: SimulatedWorld
  let local: Endpoint
  let remote: Endpoint
  var socket = SocketID.none
  /// The other end, from the moment the listener took it; each end is kept by its own world.
  weak var far: SimulatedStream?
  var isOpen = false
  private(set) var isClosed = false
  /// Written in this turn, not yet handed to the network.
  var queue: [UInt8] = []
  /// Under way, in the order in which it arrives: whatever was put off meanwhile, the first comes first.
  private var line: [(piece: [UInt8], sent: Instant)] = []
  /// Handed over and not yet taken by the reader at the far end.
  private var travelling = 0
  /// A refused write or a look at `unsent` wants to hear when all has left.
  var owesDrained = false
  /// Nothing that is sent arrives before what was sent earlier.
  private var lastArrival = Instant(nanoseconds: 0)
  /// The oldest piece under way met a cut and is tried again then; those behind it wait.
  private var stalledUntil = Instant(nanoseconds: 0)
  private var isReading = true
  /// Came while nobody read.
  private var held: [UInt8] = []
  private var heldEnd: NetworkFailure?
  /// What the kernels at both ends hold between them.
  private static let window = 128 * 1024
  /// How long a kernel sends again what is not confirmed, as `Reactor` asks it to.
  private static let unconfirmed = Interval.seconds(120)

  init(world: SimulatedWorld, local: Endpoint, remote: Endpoint) {
    self.world = world
    self.local = local
    self.remote = remote
  }

  var unsent: Int { queue.count + max(0, travelling - SimulatedStream.window) }

  // MARK: Sending

  /// Hands what was written to the network, in pieces.
  func flush() {
    let bytes = queue
    queue = []
    if !bytes.isEmpty, isOpen, far == nil {
      // Whom we talked to died with everything it knew.
      schedule(world.now + .milliseconds(1)) { $0.meetNobody() }
    } else if !bytes.isEmpty, let far {
      let link = world.network.weather(from: world.host, to: far.world.host)
      var position = 0
      while position < bytes.count {
        var size = min(bytes.count - position, 1400)
        if world.chance(link.splitting) { size = 1 + world.draw(min(size, 40)) }
        send(Array(bytes[position..<position + size]), to: far, link)
        position += size
      }
    }
    tellDrained()
  }

  private func send(_ piece: [UInt8], to far: SimulatedStream, _ link: SimulatedNetwork.Weather) {
    travelling += piece.count
    var time = world.now + link.delay + world.drawn(link.jitter)
    if world.chance(link.loss) { time = time + .milliseconds(200) }
    time = max(time, lastArrival)
    lastArrival = time
    if link.resets > 0, world.draw(10_000) < link.resets {
      schedule(time) { stream in
        stream.end(.reset)
        stream.far?.end(.reset)
      }
      return
    }
    line.append((piece, world.now))
    arrival(at: time)
  }

  /// The first of the line arrives then, unless something holds it up.
  private func arrival(at time: Instant) {
    schedule(time) { stream in
      guard let far = stream.far, !far.isClosed else { return stream.meetNobody() }
      guard let first = stream.line.first else { return }
      let network = stream.world.network
      // Behind something that had to be sent again, everything waits.
      if network.now < stream.stalledUntil { return stream.arrival(at: stream.stalledUntil) }
      if network.isCut(from: stream.world.host, to: far.world.host) {
        // The sender's kernel tries again until it gives up.
        if network.now - first.sent > SimulatedStream.unconfirmed {
          stream.line = []
          return stream.end(.timedOut)
        }
        let again = network.now + .seconds(1)
        stream.stalledUntil = again
        stream.lastArrival = max(again, stream.lastArrival)
        return stream.arrival(at: again)
      }
      stream.line.removeFirst()
      far.take(first.piece)
    }
  }

  /// What we sent comes to a machine that knows nothing of this connection, as after a loss of power: it resets, as soon
  /// as it is there.
  private func meetNobody(since: Instant? = nil) {
    let network = world.network
    guard !isClosed, let target = network.host(owning: remote.address, from: world.host) else { return }
    guard target.isUp, !network.isCut(from: world.host, to: target) else {
      let since = since ?? network.now
      if network.now - since > SimulatedStream.unconfirmed { return end(.timedOut) }
      return schedule(network.now + .seconds(1)) { $0.meetNobody(since: since) }
    }
    let link = network.weather(from: target, to: world.host)
    schedule(network.now + link.delay) { stream in
      guard !network.isCut(from: target, to: stream.world.host) else { return }
      stream.end(.reset)
    }
  }

  private func schedule(_ time: Instant, _ action: @escaping (SimulatedStream) -> Void) {
    // Run for the network, for the sender may be gone when its last bytes arrive.
    world.network.schedule(time, world: -1) { action(self) }
  }

  // MARK: Receiving

  private func take(_ piece: [UInt8]) {
    guard isReading else {
      held += piece
      return
    }
    give(piece)
  }

  private func give(_ piece: [UInt8]) {
    far?.arrived(piece.count)
    world.tell(at: world.network.now) { world, resident in
      guard !self.isClosed else { return }
      guard self.isReading else {
        self.held += piece
        return
      }
      world.network.journal.event(
        "bytes", at: world.now, world: world.index, "\(piece.count) from \(self.remote)")
      world.network.journal.note(piece)
      resident.received(piece.span, onStream: self.socket)
    }
  }

  private func arrived(_ count: Int) {
    travelling -= count
    if isOpen, !isClosed { tellDrained() }
  }

  private func tellDrained() {
    guard owesDrained, unsent == 0, !isClosed else { return }
    owesDrained = false
    world.tell(at: world.network.now) { world, resident in
      guard !self.isClosed else { return }
      world.network.journal.event("drained", at: world.now, world: world.index)
      resident.drained(self.socket)
    }
  }

  func setReading(_ reading: Bool) {
    isReading = reading
    guard reading else { return }
    let waiting = held
    held = []
    if !waiting.isEmpty { give(waiting) }
    if let end = heldEnd {
      heldEnd = nil
      finishLater(end)
    }
  }

  // MARK: Ending

  /// Our side closes: the far end hears of it after the last byte.
  func close(flushing: Bool) {
    guard !isClosed else { return }
    let lost = !flushing && !queue.isEmpty
    if flushing { flush() }
    queue = []
    isClosed = true
    isOpen = false
    guard let far else { return }
    let link = world.network.weather(from: world.host, to: far.world.host)
    let time = max(world.network.now + link.delay, lastArrival)
    farewell(lost ? .reset : .closed, at: time, tries: 0)
  }

  private func farewell(_ failure: NetworkFailure, at time: Instant, tries: Int) {
    schedule(time) { stream in
      guard let far = stream.far, !far.isClosed else { return }
      let network = stream.world.network
      if network.now < stream.stalledUntil {
        return stream.farewell(failure, at: stream.stalledUntil, tries: tries)
      }
      // The last bytes may have been put off until this very moment.
      if failure == .closed, !stream.line.isEmpty {
        return stream.farewell(failure, at: network.now + .milliseconds(1), tries: tries)
      }
      // Over a cut path nobody hears of it; kernels give up in the end.
      if network.isCut(from: stream.world.host, to: far.world.host) {
        guard tries < 120 else { return }
        let again = max(network.now + .seconds(1), stream.lastArrival)
        return stream.farewell(failure, at: again, tries: tries + 1)
      }
      if far.isReading { far.finishLater(failure) } else { far.heldEnd = failure }
    }
  }

  private func finishLater(_ failure: NetworkFailure) {
    world.tell(at: world.network.now) { _, _ in self.end(failure) }
  }

  /// The process died: its kernel resets.
  func abort() {
    guard !isClosed else { return }
    isClosed = true
    queue = []
    farewell(.reset, at: world.network.now, tries: 0)
  }

  /// The machine died: nobody answers any more.
  func fallSilent() {
    isClosed = true
    queue = []
  }

  /// Tells our own resident that the stream is no more.
  func end(_ failure: NetworkFailure) {
    guard !isClosed else { return }
    isClosed = true
    isOpen = false
    queue = []
    world.tell(at: world.network.now) { world, resident in
      world.drop(self.socket)
      world.network.journal.event("closed", at: world.now, world: world.index, "\(failure)")
      resident.closed(self.socket, failure)
    }
  }
}
