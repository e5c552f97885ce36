// One viewer of a feed: what was sent to it under which numbers, and what waits.
//
// Responsible for: numbers without a gap whatever is shown, timestamps that rise, and the log from which a lost packet is
// made again. Assumes that the payloads of a picture never change.
// Somebody else's: when to send (Viewing.swift), what the peer says (Repetition.swift, ViewerRate.swift).

internal import RTP
internal import WebRTC
package import Wire

/// Figures of a leg that looks.
package struct ViewerStatistics: Hashable, Sendable {
  package var pictures: UInt64 = 0
  package var packets: UInt64 = 0
  package var bytes: UInt64 = 0
  /// How often it began with what lay ready: at the beginning, and when it asked for a key picture.
  package var replays: UInt64 = 0
  /// How often it was too slow, and was brought to a later key picture.
  package var skips: UInt64 = 0
  package var skippedPictures: UInt64 = 0
  /// Packets asked for again, and those that were sent again.
  package var lost: UInt64 = 0
  package var repeated: UInt64 = 0
  package var keyRequests: UInt64 = 0
  /// What its path carries, in bits a second; nil before anything is known.
  package var estimate: Int?
  /// The same, once the path was seen to be full: before, the estimate says what was tried.
  package var limit: Int?
  /// From the opening of the leg to the first packet of a picture; nil before.
  package var firstPicture: Interval?

  package init() {}
}

final class Viewer {
  /// A picture, or the rest of one, that waits.
  struct Item {
    var picture: PicturePackets
    var timestamp: UInt32
    /// The first packet that has not left.
    var next = 0
    var since: Instant
  }

  /// Packets of one picture that left together.
  struct Sent {
    var picture: PicturePackets
    /// The first of them, and how many.
    var place: Int
    var count: Int
    var sequence: UInt16
    var timestamp: UInt32
    var transport: UInt16
    var content: PacketHead.Content
    /// As it was agreed on then: what leaves again under the same number must be the same bytes.
    var payloadType: UInt8
    var ids: ExtensionIDs
    var at: Instant
  }

  let stream: Stream
  let peer: Peer
  unowned let feed: Feed
  let opened: Instant

  // What was agreed on; nil when what the feed shows was not.
  var payloadType: UInt8?
  var repairType: UInt8?
  var mayRepeat = false
  var ids = ExtensionIDs()

  /// Nothing is sent before the next key picture.
  var waitsForKey = true
  var queue: [Item] = []
  /// Those before it are gone.
  var taken = 0
  /// Makes a timestamp of the feed one of ours; nil before the first.
  var offset: UInt32?
  /// Of the newest picture in the queue, or that left; and of the newest that left.
  var lastTimestamp: UInt32?
  var lastSent: UInt32?
  var head = PacketHead()
  var log = SentLog()
  var timer: Handle?
  var pacer: Pacer
  var statistics = ViewerStatistics()

  var lastReplay: Instant?
  /// When each number was repeated last, by its lowest bits.
  var repetitions = [Repetition](repeating: Repetition(), count: Viewer.repetitionLimit)

  // What the path carries.
  var estimate = BandwidthEstimate()
  var departures = Departures()
  var waitingSince: Instant

  struct Repetition {
    var sequence: UInt16 = 0
    var at: Instant?
  }
  static let repetitionLimit = 256

  init(_ stream: Stream, _ peer: Peer, of feed: Feed, at now: Instant) {
    self.stream = stream
    self.peer = peer
    self.feed = feed
    opened = now
    waitingSince = now
    pacer = Pacer(at: now)
    if stream.timeline.packets > 0 {
      lastSent = stream.timeline.timestamp
      lastTimestamp = lastSent
    }
  }

  /// What is known of the path, and what left by it under which numbers, outlives what was shown.
  func inherit(_ other: Viewer) {
    log = other.log
    pacer = other.pacer
    statistics = other.statistics
    repetitions = other.repetitions
    estimate = other.estimate
    departures = other.departures
    guard other.feed.coding.name == feed.coding.name else { return }
    // Half a picture would be damage.
    other.dropWaiting()
    queue = Array(other.queue[other.taken...].filter { $0.next > 0 })
    if let item = queue.first { lastTimestamp = item.timestamp }
  }

  var isIdle: Bool { taken == queue.count }

  /// Finds out what was agreed on for what the feed shows now.
  func settle() {
    let name = feed.coding.name
    let format = stream.remote?.formats.first { $0.codec.isNamed(name) }
    let terms = peer.connection.terms(.video)
    payloadType = format.map { $0.payloadType & 0x7F }
    repairType = payloadType.flatMap { terms?.repairs[$0] }
    mayRepeat = terms?.repeats ?? false
    ids = terms?.extensions ?? ExtensionIDs()
  }

  /// The numbers for the pictures of a group that are all sent at once: together they take no time, and the last has the
  /// moment of the newest picture of the feed.
  func stampGroup(_ group: [PicturePackets], at now: Instant) -> [UInt32] {
    guard let newest = group.last else { return [] }
    let count = UInt32(group.count)
    guard let last = lastTimestamp else {
      // As if the pictures had come in a row until now.
      let moment = stream.timeline.freshTimestamp(at: now)
      offset = moment &- newest.timestamp
      return (0..<count).map { moment &- (count - 1 - $0) * Viewer.replayStep }
    }
    var moment = offset.map { newest.timestamp &+ $0 } ?? stream.timeline.freshTimestamp(at: now)
    if Int32(bitPattern: moment &- last) < Int32(count) { moment = last &+ count }
    if offset == nil { offset = moment &- newest.timestamp }
    let step = max(1, min(Viewer.replayStep, (moment &- last) / count))
    return (0..<count).map { moment &- (count - 1 - $0) * step }
  }

  /// A millisecond.
  private static let replayStep: UInt32 = 90

  func stamp(_ picture: PicturePackets, at now: Instant) -> UInt32 {
    if offset == nil { offset = stream.timeline.freshTimestamp(at: now) &- picture.timestamp }
    let wanted = picture.timestamp &+ (offset ?? 0)
    guard let last = lastTimestamp else { return wanted }
    return Int32(bitPattern: wanted &- last) > 0 ? wanted : last &+ 1
  }

  func append(_ picture: PicturePackets, timestamp: UInt32, at now: Instant) {
    queue.append(Item(picture: picture, timestamp: timestamp, since: now))
    lastTimestamp = timestamp
  }

  /// The picture at the head is out.
  func removeFirst() {
    taken += 1
    if taken == queue.count {
      queue.removeAll(keepingCapacity: true)
      taken = 0
    } else if taken == 256 {
      queue.removeFirst(taken)
      taken = 0
    }
  }

  /// Drops what waits, but a picture that is half out. How many went.
  @discardableResult func dropWaiting() -> Int {
    guard taken < queue.count else { return 0 }
    let keeps = queue[taken].next > 0 ? 1 : 0
    let dropped = queue.count - taken - keeps
    guard dropped > 0 else { return 0 }
    queue.removeLast(dropped)
    if keeps == 1 {
      lastTimestamp = queue[taken].timestamp
    } else {
      queue.removeAll(keepingCapacity: true)
      taken = 0
      // What was never sent never had a moment.
      lastTimestamp = lastSent
    }
    return dropped
  }
}

/// What left in the last seconds, so that it can leave again.
struct SentLog {
  /// Runs of packets: a viewer that begins with the longest group of pictures is sent one for each at once.
  private static let limit = 1024
  private static let keeps = Interval.seconds(3)

  /// Those before `start` are forgotten. Their numbers follow one another.
  private var entries: [Viewer.Sent] = []
  private var start = 0

  mutating func add(_ sent: Viewer.Sent) {
    while start < entries.count,
      sent.at - entries[start].at > SentLog.keeps || entries.count - start >= SentLog.limit
    {
      start += 1
    }
    // Whoever forgets one by one moves the rest now and then only.
    if start == entries.count || start >= SentLog.limit / 4 {
      entries.removeFirst(start)
      start = 0
    }
    entries.append(sent)
  }

  /// The run that a packet was in.
  func find(_ sequence: UInt16, at now: Instant) -> Viewer.Sent? {
    guard let newest = entries.last else { return nil }
    // How far before the end of the newest run it lies.
    let behind = newest.sequence &+ UInt16(newest.count) &- sequence
    var low = start
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      let distance = newest.sequence &+ UInt16(newest.count) &- entries[middle].sequence
      if distance < behind { high = middle } else { low = middle + 1 }
    }
    guard low > start else { return nil }
    let entry = entries[low - 1]
    guard now - entry.at <= SentLog.keeps, Int(sequence &- entry.sequence) < entry.count else { return nil }
    return entry
  }
}
