// What others ask of feeds: opening, showing, pushing. See Feed.swift and Viewer.swift for what they are.

package import RTP
internal import Wire

extension Plane {
  /// The most feeds at once.
  package static let feedLimit = 256

  // MARK: Feeds

  /// Opens a feed that nobody sees yet. `isInstant`: its source makes a key picture as soon as it is asked, so that
  /// newcomers need no long group of older ones. `.none` when there are too many.
  package func openFeed(_ coding: FeedCoding, isInstant: Bool = false) -> FeedID {
    guard let handle = feeds.insert(Feed(.none, .vp8, isInstant: false)) else { return .none }
    let id = FeedID(handle)
    _ = feeds.update(handle) { $0 = Feed(id, coding, isInstant: isInstant) }
    return id
  }

  /// Ends a feed. Its viewers stay, and see nothing.
  package func closeFeed(_ id: FeedID) {
    guard let feed = feed(id) else { return }
    for viewer in feed.viewers { hide(on: viewer.stream.leg) }
    if let source = feed.source { source.filled = nil }
    if let timer = feed.requestTimer { wheel.cancel(timer) }
    if let sound = feed.sound { part(sound) }
    _ = feeds.remove(id.handle)
  }

  func feed(_ id: FeedID) -> Feed? { feeds.read(id.handle) { $0 } }

  /// What comes from now on is coded so. Viewers whose descriptions have it go on with the next key picture; others see
  /// nothing.
  package func setCoding(_ coding: FeedCoding, of id: FeedID) {
    guard let feed = feed(id), feed.set(coding) else { return }
    for viewer in feed.viewers {
      viewer.statistics.skippedPictures += UInt64(viewer.dropWaiting())
      viewer.waitsForKey = true
      viewer.settle()
    }
  }

  /// How a feed is coded, with what its pictures say of it; nil for a feed that is gone.
  package func coding(of id: FeedID) -> FeedCoding? { feed(id)?.coding }

  /// What the parameter sets of the newest key picture say.
  package func parameters(of id: FeedID) -> H264Parameters? {
    if case .h264(let parameters) = feed(id)?.coding { parameters } else { nil }
  }

  /// The newest picture that a decoder can begin with, its parameter sets in it.
  package func keyPicture(of id: FeedID) -> AccessUnit? { feed(id)?.newestKey }

  /// The pictures from the newest key picture on, for another decoder than a viewer's. Of H.264; empty where none are kept.
  package func group(of id: FeedID) -> [AccessUnit] {
    guard let feed = feed(id), case .h264 = feed.coding else { return [] }
    return feed.group.compactMap(\.unit)
  }

  package func feedStatistics(_ id: FeedID) -> FeedStatistics? {
    guard let feed = feed(id) else { return nil }
    var result = feed.statistics
    result.viewers = feed.viewers.count
    result.cachedPictures = feed.group.count
    result.cachedBytes = feed.groupBytes
    return result
  }

  /// Hands a picture to everybody who looks. Pictures come in decoding order; after a gap the next is a key picture.
  package func push(_ picture: AccessUnit, into id: FeedID) {
    guard let feed = feed(id), !picture.units.isEmpty else { return }
    let packets = feed.take(picture)
    let now = world.now
    for viewer in feed.viewers { deliver(packets, to: viewer, at: now) }
  }

  // MARK: Viewers

  /// Shows a feed on a leg over a peer connection that has a picture: at once with what lies ready, or from the next key
  /// picture on. Whatever the leg showed before ends, its numbers go on. False for legs that cannot.
  @discardableResult
  package func show(_ id: FeedID, on leg: LegID) -> Bool {
    guard let feed = feed(id), let peer = peer(leg), let stream = peer.video else { return false }
    let before = stream.viewer
    unseat(leg)
    if let source = stream.heardFrom {
      source.links.removeAll { $0.sink === stream }
      stream.heardFrom = nil
    }
    let viewer = Viewer(stream, peer, of: feed, at: world.now)
    if let before { viewer.inherit(before) }
    stream.viewer = viewer
    feed.viewers.append(viewer)
    viewer.settle()
    if let sound = feed.sound { join(sound, peer.audio) }
    if let left = before?.feed, left !== feed { reviewRate(of: left) }
    if stream.destination != nil { begin(viewer) }
    return true
  }

  /// The leg shows nothing any more.
  package func hide(on leg: LegID) {
    guard let feed = peer(leg)?.video?.viewer?.feed else { return }
    unseat(leg)
    reviewRate(of: feed)
  }

  private func unseat(_ leg: LegID) {
    guard let peer = peer(leg), let viewer = peer.video?.viewer else { return }
    peer.video?.viewer = nil
    if let timer = viewer.timer { wheel.cancel(timer) }
    viewer.feed.viewers.removeAll { $0 === viewer }
    if let sound = viewer.feed.sound { part(sound, peer.audio) }
  }

  /// Somebody looks no more: whoever stays need not wait until it is time for what that one could not take.
  private func reviewRate(of feed: Feed) {
    feed.rateTold = nil
    settleRate(of: feed, at: world.now)
  }

  /// What a leg shows; `.none` for nothing.
  package func shown(on leg: LegID) -> FeedID { peer(leg)?.video?.viewer?.feed.id ?? .none }

  /// Nil for a leg that shows nothing.
  package func viewerStatistics(_ leg: LegID) -> ViewerStatistics? { peer(leg)?.video?.viewer?.statistics }

  // MARK: A SIP leg as a camera

  /// Makes the H.264 that a leg sends the pictures of a feed. Whatever filled the feed, or the leg filled, before, ends.
  package func fill(_ id: FeedID, from leg: LegID) {
    guard let feed = feed(id), let stream = legs[leg.handle]?.video else { return }
    stopFilling(id)
    stopFilling(from: leg)
    stream.filled = Filling(feed)
    feed.source = stream
    requestKeyFrame(stream, by: .both)
  }

  package func stopFilling(_ id: FeedID) {
    guard let feed = feed(id), let source = feed.source else { return }
    source.filled = nil
    feed.source = nil
  }

  func stopFilling(from leg: LegID) {
    guard let stream = legs[leg.handle]?.video, let filled = stream.filled else { return }
    filled.feed.source = nil
    stream.filled = nil
  }

  // MARK: Pictures of a leg for others

  /// Tells the H.264 pictures that a leg sends, as `MediaEvent.picture`. False for a leg without pictures.
  @discardableResult
  package func tapPictures(of leg: LegID) -> Bool {
    guard let stream = legs[leg.handle]?.video else { return false }
    if stream.tapped == nil { stream.tapped = Assembly() }
    requestKeyFrame(stream, by: .both)
    return true
  }

  package func untapPictures(of leg: LegID) { legs[leg.handle]?.video?.tapped = nil }

  /// Asks the sender of a leg's pictures for one that a decoder can begin with.
  package func requestKeyFrame(of leg: LegID) {
    guard let stream = legs[leg.handle]?.video else { return }
    requestKeyFrame(stream, by: .both)
  }

  /// A packet of a leg whose pictures somebody besides its bridge wants.
  func show(
    _ datagram: Span<UInt8>, _ header: PacketHeader, _ format: Int, _ stream: Stream, at now: Instant
  ) {
    guard let remote = stream.remote else { return }
    let formats = remote.received ?? remote.formats
    guard format < formats.count, formats[format].codec.isH264 else { return }
    // What it says of itself stands beside what it takes.
    let described = remote.formats.first { $0.codec.isH264 }?.codec
    if let filled = stream.filled {
      if let described { filled.assembly.describe(described) }
      filled.assembly.take(datagram, header, at: now) { step in
        switch step {
        case .picture(let unit): push(unit, into: filled.feed.id)
        case .wantsKey: requestKeyFrame(stream, by: .both)
        // The call goes on without a picture.
        case .unusable: break
        }
      }
    }
    if let tapped = stream.tapped {
      if let described { tapped.describe(described) }
      tapped.take(datagram, header, at: now) { step in
        switch step {
        case .picture(let unit): tell(.picture(stream.leg, unit))
        case .wantsKey: requestKeyFrame(stream, by: .both)
        case .unusable(let verdict): tell(.unusable(stream.leg, verdict))
        }
      }
    }
  }
}
