// What the viewers of a feed can take: an estimate for each from its own reports, and from all of them the rate that the
// source is asked for.
//
// A viewer whose path is full gets whole pictures only as far as they fit: key pictures when even that is too much. A
// source that can follow is asked for what the slowest of those takes who are worth waiting for: one far below the others,
// or below any picture, is left to its key pictures. A path that was never seen to be full holds nobody back: what is known
// of it is what was sent, and a quiet picture would keep itself small for ever.

internal import RTP
internal import Wire

extension Plane {
  /// Slower than this nobody is waited for, in bits a second.
  private static let slowest = 200_000
  /// A viewer below this part of the middle one is left alone.
  private static let farBelow = 4
  private static let rateGap = Interval.seconds(1)
  /// Asked again by one who waits for a key picture so long.
  private static let keyPatience = Interval.seconds(2)

  /// A report on what came.
  func take(_ feedback: TransportFeedback, from viewer: Viewer) {
    let now = world.now
    var missing = 0
    var some = false
    for (place, arrival) in feedback.arrivals.enumerated() {
      let number = feedback.base &+ UInt16(truncatingIfNeeded: place)
      guard let arrival else {
        if viewer.departures.holds(number) { missing += 1 }
        continue
      }
      guard let sent = viewer.departures.take(number) else { continue }
      some = true
      viewer.estimate.came(sent: sent.at, arrival: arrival, bytes: sent.bytes)
    }
    guard some || missing > 0 else { return }
    viewer.estimate.lost(missing)
    viewer.estimate.settle(at: now, roundTrip: viewer.stream.figures.roundTrip ?? .milliseconds(100))
    settleRate(viewer, at: now)
  }

  /// What the receiver believes itself: of use where it reports no more.
  func take(estimate bits: UInt64, from viewer: Viewer) {
    guard viewer.ids[.transportSequence] == 0 else { return }
    let now = world.now
    // A receiver that has seen next to nothing believes next to nothing.
    guard now - viewer.opened > .seconds(3) else { return }
    viewer.estimate.told(bitsPerSecond: Int(min(bits, UInt64(BandwidthEstimate.most))))
    settleRate(viewer, at: now)
  }

  private func settleRate(_ viewer: Viewer, at now: Instant) {
    viewer.statistics.estimate = viewer.estimate.bitsPerSecond
    viewer.statistics.limit = viewer.estimate.hasLimit ? viewer.estimate.bitsPerSecond : nil
    viewer.pacer.set(viewer.statistics.limit, at: now)
    settleRate(of: viewer.feed, at: now)
  }

  /// Tells the source when what it should send is another: less at once, more now and then.
  func settleRate(of feed: Feed, at now: Instant) {
    let paths = feed.viewers.compactMap { viewer in
      viewer.estimate.bitsPerSecond.map {
        PathRate(bitsPerSecond: $0, isLimit: viewer.estimate.hasLimit)
      }
    }
    let wanted = Plane.rate(paths) ?? BandwidthEstimate.most
    // A source begins with what is usual for it.
    let told = feed.rate ?? BandwidthEstimate.most
    let isLess = wanted < told * 9 / 10
    let isMore = wanted > told * 11 / 10
    guard isLess || isMore else { return }
    if let at = feed.rateTold, now - at < (isLess ? Plane.rateGap / 4 : Plane.rateGap) { return }
    feed.rate = wanted
    feed.rateTold = now
    tell(.rateWanted(feed.id, bitsPerSecond: wanted))
  }

  /// What all of them can take who are worth waiting for, in bits a second; nil when no path of theirs was seen to be full.
  package static func rate(_ paths: [PathRate]) -> Int? {
    let sorted = paths.sorted { $0.bitsPerSecond < $1.bitsPerSecond }
    guard !sorted.isEmpty else { return nil }
    // Of those that were not, at least what they have carried is known.
    let middle = sorted[sorted.count / 2].bitsPerSecond
    let worth = sorted.filter { $0.bitsPerSecond >= slowest && $0.bitsPerSecond * farBelow >= middle }
    guard let least = worth.first(where: \.isLimit)?.bitsPerSecond ?? (worth.isEmpty ? slowest : nil) else {
      return nil
    }
    // Something is left for sound and for what is sent again.
    return least * 9 / 10
  }

  /// A picture passes somebody who waits for a key picture.
  func passed(_ viewer: Viewer, at now: Instant) {
    guard now - viewer.waitingSince >= Plane.keyPatience else { return }
    viewer.pacer.refill(at: now)
    guard viewer.pacer.isBalanced else { return }
    viewer.waitingSince = now
    requestKeyPicture(viewer.feed)
  }
}

/// What is known of one viewer's path.
package struct PathRate: Hashable, Sendable {
  package var bitsPerSecond: Int
  /// It was seen to be full; otherwise this is no more than what was tried.
  package var isLimit: Bool

  package init(bitsPerSecond: Int, isLimit: Bool) {
    self.bitsPerSecond = bitsPerSecond
    self.isLimit = isLimit
  }
}
