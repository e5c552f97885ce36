// How pictures leave for those who look: at once while little waits, paced otherwise, each run of packets of one length
// in one segmented send, encrypted from the shared payload into the buffer that it leaves from.
//
// A viewer begins with the group of pictures that lies ready, under numbers of its own without a gap and timestamps that
// show them in no time; or it waits for the next key picture. One that is too slow loses whole pictures only, up to the
// next key picture; nobody else waits for it.

internal import ICE
internal import RTP
internal import WebRTC
internal import Wire

extension Plane {
  /// The most packets of one run: a message that the kernel cuts holds no more than 64, and 64 KiB.
  private static let runLimit = 48
  /// The oldest that may wait for a viewer: beyond, it is brought to a later key picture.
  private static let patience = Interval.milliseconds(1500)
  /// What may wait for one viewer besides the group that it began with.
  private static let waitingPictures = 1200
  /// The header's extras stand in the first packets, in case the very first are lost.
  private static let fullRuns = 30
  /// A viewer that asks for a key picture again and again gets one so often.
  private static let replayGap = Interval.milliseconds(500)

  // MARK: Beginning

  /// The viewer can be reached now, or wants to begin again: with what lies ready, or with the next key picture.
  func begin(_ viewer: Viewer) {
    let now = world.now
    guard viewer.payloadType != nil, viewer.stream.destination != nil, viewer.stream.isListening else {
      viewer.waitsForKey = true
      return
    }
    let feed = viewer.feed
    viewer.statistics.skippedPictures += UInt64(viewer.dropWaiting())
    viewer.lastReplay = now
    guard feed.mayReplay else {
      wait(viewer, at: now)
      feed.statistics.waits += 1
      requestKeyPicture(feed)
      return
    }
    feed.statistics.joins += 1
    viewer.statistics.replays += 1
    viewer.waitsForKey = false
    let stamps = viewer.stampGroup(feed.group, at: now)
    for (picture, timestamp) in zip(feed.group, stamps) {
      viewer.append(picture, timestamp: timestamp, at: now)
    }
    flush(viewer, at: now)
  }

  /// What was agreed on may be another.
  func renew(_ viewer: Viewer) {
    let before = viewer.payloadType
    viewer.settle()
    let resumes = viewer.waitsForKey && viewer.stream.isListening
    if viewer.payloadType != before || resumes, viewer.stream.destination != nil { begin(viewer) }
  }

  /// The viewer's decoder cannot go on.
  func replay(_ viewer: Viewer) {
    viewer.statistics.keyRequests += 1
    let now = world.now
    if let last = viewer.lastReplay, now - last < Plane.replayGap { return }
    begin(viewer)
    // All that is a lot to catch up with, and more with each picture: whoever comes next shall have less.
    if viewer.feed.isLong { requestKeyPicture(viewer.feed) }
  }

  // MARK: Key pictures

  /// At most two requests a second, however many ask; one that comes too soon is made later, unless a key picture came.
  private static let requestGap = Interval.milliseconds(500)
  /// Told apart from the others by its second highest bits.
  private static let feedTimer: UInt64 = 1 << 62
  private static let viewerTimer: UInt64 = 1 << 61

  static func isFeedTimer(_ token: UInt64) -> Bool { token & (feedTimer | viewerTimer) != 0 }

  func requestKeyPicture(_ feed: Feed) {
    let now = world.now
    guard feed.requestTimer == nil else { return }
    if let last = feed.lastRequest, now - last < Plane.requestGap {
      feed.requestTimer = wheel.arm(
        last + Plane.requestGap, token: Plane.feedTimer | UInt64(feed.id.handle.index))
      return
    }
    feed.lastRequest = now
    feed.statistics.requests += 1
    if let source = feed.source {
      requestKeyFrame(source, by: .both)
    } else {
      tell(.keyFrameWanted(feed.id))
    }
  }

  func advanceFeed(_ token: UInt64) {
    let index = token & ~(Plane.feedTimer | Plane.viewerTimer)
    if token & Plane.viewerTimer != 0 {
      guard let viewer = streams[Int(index)]?.viewer else { return }
      viewer.timer = nil
      flush(viewer, at: world.now)
    } else if let handle = feeds.handles.first(where: { UInt64($0.index) == index }),
      let feed = feed(FeedID(handle))
    {
      feed.requestTimer = nil
      if feed.viewers.contains(where: \.waitsForKey) { requestKeyPicture(feed) }
    }
  }

  // MARK: Pictures

  func deliver(_ picture: PicturePackets, to viewer: Viewer, at now: Instant) {
    guard viewer.payloadType != nil, viewer.stream.destination != nil, viewer.stream.isListening else {
      viewer.waitsForKey = true
      return
    }
    viewer.pacer.refill(at: now)
    if !viewer.waitsForKey, viewer.pacer.isOverdrawn {
      // The path does not carry the stream: what can be had of it are key pictures.
      viewer.statistics.skips += 1
      wait(viewer, at: now)
    }
    if viewer.waitsForKey {
      guard picture.isKey, viewer.pacer.isBalanced else {
        viewer.statistics.skippedPictures += 1
        return passed(viewer, at: now)
      }
      viewer.waitsForKey = false
    } else if picture.isKey, !viewer.isIdle, viewer.isLate(at: now, than: Plane.patience / 4) {
      // Whoever lags can as well go on from here.
      skip(viewer)
    } else if viewer.isLate(at: now, than: Plane.patience)
      || viewer.queue.count - viewer.taken > Plane.waitingPictures
    {
      skip(viewer)
      guard picture.isKey else { return wait(viewer, at: now) }
    }
    viewer.append(picture, timestamp: viewer.stamp(picture, at: now), at: now)
    flush(viewer, at: now)
  }

  private func wait(_ viewer: Viewer, at now: Instant) {
    viewer.waitsForKey = true
    viewer.waitingSince = now
  }

  private func skip(_ viewer: Viewer) {
    let dropped = viewer.dropWaiting()
    guard dropped > 0 else { return }
    viewer.statistics.skips += 1
    viewer.statistics.skippedPictures += UInt64(dropped)
  }

  /// Sends what may leave now, and sets the timer for the rest.
  func flush(_ viewer: Viewer, at now: Instant) {
    guard viewer.stream.destination != nil, let payloadType = viewer.payloadType else { return }
    viewer.pacer.refill(at: now)
    while !viewer.isIdle, viewer.pacer.mayGo {
      let item = viewer.queue[viewer.taken]
      let end = viewer.runEnd(item, limit: Plane.runLimit)
      let length = send(item, to: end, payloadType, viewer, at: now)
      guard length > 0 else { return }
      viewer.pacer.spend(length)
      if end == item.picture.payloads.count {
        viewer.removeFirst()
        viewer.statistics.pictures += 1
      } else {
        viewer.queue[viewer.taken].next = end
      }
    }
    guard !viewer.isIdle, viewer.timer == nil else { return }
    viewer.timer = wheel.arm(
      now + viewer.pacer.wait, token: Plane.viewerTimer | UInt64(viewer.stream.index))
  }

  /// Sends packets of a picture from its next one on up to `end`: how many bytes; 0 when nothing can be sent.
  private func send(
    _ item: Viewer.Item, to end: Int, _ payloadType: UInt8, _ viewer: Viewer, at now: Instant
  ) -> Int {
    let count = end - item.next
    let stream = viewer.stream
    guard count > 0, viewer.peer.connection.isReady else { return 0 }
    var content = PacketHead.Content()
    content.sendTime = now.sendTime
    content.captured = item.picture.captured.ntp
    content.isFull = item.picture.isKey || viewer.statistics.packets < Plane.fullRuns
    let sent = Viewer.Sent(
      picture: item.picture, place: item.next, count: count,
      sequence: stream.timeline.reserve(count, timestamp: item.timestamp, at: now),
      timestamp: item.timestamp, transport: viewer.peer.transport, content: content,
      payloadType: payloadType, ids: viewer.ids, at: now)
    viewer.log.add(sent)
    viewer.lastSent = item.timestamp
    if viewer.statistics.firstPicture == nil { viewer.statistics.firstPicture = now - viewer.opened }
    write(sent, viewer)
    let extra = viewer.head.bytes.count + viewer.peer.connection.overhead
    var bytes = 0
    let payloads = item.picture.payloads
    for index in item.next..<end {
      bytes += payloads[index].count
      guard viewer.head.hasTransportSequence else { continue }
      viewer.departures.add(viewer.peer.transport, bytes: payloads[index].count + extra, at: now)
      viewer.peer.transport &+= 1
    }
    stream.timeline.sent(payload: bytes, packets: count)
    viewer.statistics.packets += UInt64(count)
    viewer.statistics.bytes += UInt64(bytes)
    return bytes + count * extra
  }

  /// Writes packets into the send buffer, in as few runs of one length as there are.
  private func write(_ sent: Viewer.Sent, _ viewer: Viewer) {
    let peer = viewer.peer
    guard let path = peer.connection.path else { return }
    var head = PacketHead()
    swap(&head, &viewer.head)
    defer { swap(&head, &viewer.head) }
    head.begin(
      ssrc: viewer.stream.timeline.ssrc, timestamp: sent.timestamp, sent.ids, sent.content)
    let payloads = sent.picture.payloads
    let bytes = sent.picture.bytes
    let extra = head.bytes.count + peer.connection.overhead
    let isDirect = path.relayed == nil && path.channel == nil && path.flow.transport == .udp
    var start = sent.place
    let end = sent.place + sent.count
    while start < end {
      let segment = payloads[start].count + extra
      var stop = start + 1
      while stop < end, payloads[stop].count == payloads[start].count { stop += 1 }
      // The last of a run may be shorter.
      if stop < end, payloads[stop].count < payloads[start].count { stop += 1 }
      func number(_ index: Int) {
        let place = UInt16(truncatingIfNeeded: index - sent.place)
        head.set(
          payloadType: sent.payloadType, sequence: sent.sequence &+ place,
          marker: index == payloads.count - 1, transport: sent.transport &+ place)
      }
      if isDirect {
        world.send(
          run: segment * (stop - start), of: segment, on: path.flow.socket, to: path.flow.remote,
          from: path.flow.local.address
        ) { room in
          var place = 0
          for index in start..<stop {
            number(index)
            place += peer.connection.protect(
              head.bytes.span, bytes.span.extracting(payloads[index]), into: &room, at: place)
          }
          return place
        }
      } else {
        for index in start..<stop {
          number(index)
          send(head.bytes.span, bytes.span.extracting(payloads[index]), by: peer)
        }
      }
      start = stop
    }
  }
}

extension Viewer {
  /// Whether the picture at the head has waited for so long.
  func isLate(at now: Instant, than limit: Interval) -> Bool {
    taken < queue.count && now - queue[taken].since > limit
  }

  /// Behind the last packet of a picture that may leave now.
  func runEnd(_ item: Item, limit: Int) -> Int {
    let payloads = item.picture.payloads
    var end = item.next
    var bytes = 0
    let allowance = pacer.allowance
    while end < payloads.count, end - item.next < limit, bytes < allowance {
      bytes += payloads[end].count
      end += 1
    }
    return max(end, min(item.next + 1, payloads.count))
  }
}
