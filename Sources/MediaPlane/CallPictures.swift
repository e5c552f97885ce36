// The pictures of a station's call towards browsers.
//
// Packets of a station are not handed to a browser as they came: they are put into others that fit its path, with the
// parameter sets before each key picture, under the payload type that was agreed on with it; what is lost is sent again
// from here, and whoever comes late or cannot decode begins with what lies ready instead of waiting for the station. So
// the station's stream becomes a feed for as long as somebody in the call looks at it.

internal import RTP
internal import Wire

extension Plane {
  /// Lets a leg see what another sends: by a feed from a station to a browser, packet by packet otherwise.
  func joinPictures(of source: Stream, to sink: Stream) {
    guard case .ports = source.carrier, case .peer = sink.carrier else { return link(source, sink, .consume) }
    // Whoever was shown a camera keeps it.
    guard sink.viewer == nil else { return }
    let id: FeedID
    if let known = source.filled?.feed.id {
      id = known
    } else {
      id = openFeed(.h264(nil))
      guard let feed = feed(id) else { return }
      feed.isOfCall = true
      fill(id, from: source.leg)
    }
    show(id, on: sink.leg)
  }

  /// Ends what `joinPictures` began.
  func partPictures(of stream: Stream?) {
    guard let stream else { return }
    if let viewer = stream.viewer, viewer.feed.isOfCall || viewer.feed.source != nil {
      let feed = viewer.feed
      hide(on: stream.leg)
      if feed.isOfCall, feed.viewers.isEmpty { closeFeed(feed.id) }
    }
    if let feed = stream.filled?.feed, feed.isOfCall { closeFeed(feed.id) }
  }
}
