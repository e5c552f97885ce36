package import Directory
internal import MediaPlane
internal import RTP
internal import SDP
internal import WebRTC
package import Wire

// The smaller stream of a network camera, for those of its viewers whose path does not carry the main one.
//
// Responsible for: opening it with the first viewer who needs it and giving it up a while after the last, what each of the
// two streams brings, and who is shown which. A viewer changes over with a key picture of the stream that it changes to;
// until then it keeps what it has, and nobody else notices anything.
// Assumes that the camera bears two sessions. One that does not is left alone for a while, and its viewers keep the main
// stream, of which a narrow path gets the key pictures. Time is that of the pictures.
// Somebody else's: what suits a viewer (`StreamChoice`), what its path carries (the media plane).

/// Opens the smaller streams of cameras.
package protocol SubstreamOpener: AnyObject {
  /// As `CameraOpener`; nil for a camera that has none.
  func openSubstream(of camera: CameraID, hear: @escaping (SourceNews) -> Void) -> (any CameraSource)?
}

package final class SmallStream {
  /// How long one that could not be had is left alone.
  package static let rest = Interval.seconds(60)
  /// How long it runs on without anybody: a trial of the main stream may fail.
  package static let linger = StreamChoice.relapse
  /// Between two looks at what paths carry.
  private static let glance = Interval.milliseconds(250)

  var source: (any CameraSource)?
  var feed = FeedID.none
  /// What its pictures said of themselves when they were last seen.
  var parameters: H264Parameters?
  var mainRate = StreamRate()
  var rate = StreamRate()
  var choices: [LegID: StreamChoice] = [:]
  /// Those who change over with the next key picture of the other stream.
  var movers: [LegID] = []
  /// Those who can be shown no other.
  var pinned: [LegID] = []
  /// What was promised to those who decode nothing else.
  var promised: [LegID: H264Profile] = [:]
  var barredUntil: Instant?
  /// When somebody needed it last.
  var needed: Instant?
  var now = Instant(nanoseconds: 0)
  private var glanced: Instant?

  /// Whether it is time to look at what paths carry.
  func isDue() -> Bool {
    if let glanced, now - glanced < SmallStream.glance { return false }
    glanced = now
    return true
  }

  func forget(_ leg: LegID) {
    choices[leg] = nil
    movers.removeAll { $0 == leg }
    pinned.removeAll { $0 == leg }
    promised[leg] = nil
  }

  /// Whether a viewer could decode this stream, as far as it is known.
  func suits(_ leg: LegID) -> Bool {
    guard let promise = promised[leg], let parameters else { return true }
    return promise.takes(H264Profile(parameters.profileLevelID))
  }
}

extension PlaneScreens {
  /// A picture of the main stream was shown: who is served better by the other stream, and who has waited for this one.
  func weigh(_ picture: AccessUnit, _ screen: Screen) {
    guard substreams != nil else { return }
    let small = screen.small
    small.now = picture.captured
    small.mainRate.passed(picture.bytes.count, at: small.now)
    if picture.isKey { move(screen, from: .small, to: screen.feed) }
    guard small.isDue() else { return }
    small.movers.removeAll()
    var isNeeded = !small.pinned.isEmpty
    for leg in screen.legs where small.suits(leg) {
      var choice = small.choices[leg] ?? StreamChoice()
      let rate = choice.shown == .main ? small.mainRate.bitsPerSecond : small.rate.bitsPerSecond
      let wanted = choice.wanted(rate: rate, limit: limit(leg), at: small.now)
      small.choices[leg] = choice
      if wanted != choice.shown { small.movers.append(leg) }
      isNeeded = isNeeded || wanted == .small || choice.shown == .small
    }
    if isNeeded {
      small.needed = small.now
      openSmall(screen)
      if small.movers.contains(where: { small.choices[$0]?.shown == .main }) {
        small.source?.requestKeyFrame()
      }
    } else if small.source != nil, small.needed.map({ small.now - $0 >= SmallStream.linger }) ?? true {
      restSmall(screen)
    }
  }

  private func move(_ screen: Screen, from shown: StreamChoice.Stream, to feed: FeedID) {
    let small = screen.small
    let moved = small.movers.filter { small.choices[$0]?.shown == shown && small.suits($0) }
    small.movers.removeAll { moved.contains($0) }
    for leg in moved {
      small.choices[leg]?.switched(at: small.now)
      plane.show(feed, on: leg)
    }
  }

  func openSmall(_ screen: Screen) {
    let small = screen.small
    guard small.source == nil, small.barredUntil.map({ $0 <= small.now }) ?? true else { return }
    small.barredUntil = nil
    small.source = substreams?.openSubstream(of: screen.camera) { [weak self, weak screen] news in
      guard let self, let screen, screen.small.source != nil else { return }
      self.heardSmall(news, screen)
    }
    if small.source == nil { small.barredUntil = small.now + SmallStream.rest }
  }

  private func heardSmall(_ news: SourceNews, _ screen: Screen) {
    let small = screen.small
    switch news {
    case .began:
      if small.feed == .none { openFeed(small) }
    case .picture(let picture):
      guard small.feed != .none else { return }
      plane.push(picture, into: small.feed)
      small.rate.passed(picture.bytes.count, at: picture.captured)
      guard picture.isKey else { return }
      small.parameters = plane.parameters(of: small.feed) ?? small.parameters
      move(screen, from: .main, to: small.feed)
    // The main stream's is what is heard.
    case .sound, .silent: break
    case .ended:
      small.source = nil
      small.barredUntil = small.now + SmallStream.rest
      restSmall(screen)
      let pinned = small.pinned
      small.pinned = []
      for leg in pinned { whenLost?(leg) }
    }
  }

  private func openFeed(_ small: SmallStream) {
    small.feed = plane.openFeed(.h264(small.parameters))
    for leg in small.pinned { plane.show(small.feed, on: leg) }
  }

  /// Shows a viewer who can decode nothing of the main stream the smaller one: the answer; nil where that is not known to
  /// be any better. It is opened then, so that it is known the next time.
  func takeSmall(
    _ leg: LegID, _ offer: SessionDescription, _ screen: Screen, _ sound: ViewerSound
  ) -> [UInt8]? {
    let small = screen.small
    small.needed = small.now
    openSmall(screen)
    guard small.source != nil, small.parameters != nil else { return nil }
    if small.feed == .none { openFeed(small) }
    guard
      let answer = try? plane.answerViewer(leg, offer, feed: small.feed, sound: sound, engine: .webKit)
    else { return nil }
    small.pinned.append(leg)
    return answer.bytes
  }

  /// Nobody needs it, or it is gone: whoever saw it sees the main stream.
  func restSmall(_ screen: Screen) {
    let small = screen.small
    small.source?.stop()
    small.source = nil
    small.rate = StreamRate()
    small.needed = nil
    small.movers = []
    let legs = screen.legs.filter { small.choices[$0]?.shown == .small }
    small.choices = [:]
    if screen.feed != .none { for leg in legs { plane.show(screen.feed, on: leg) } }
    plane.closeFeed(small.feed)
    small.feed = .none
  }

  /// Viewers who are shown a camera's smaller stream now.
  package func smallViewers(of camera: CameraID) -> Int {
    guard let screen = screens.first(where: { $0.camera == camera }) else { return 0 }
    return screen.small.pinned.count + screen.legs.count { screen.small.choices[$0]?.shown == .small }
  }
}
