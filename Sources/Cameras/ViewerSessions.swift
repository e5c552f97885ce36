internal import Directory
internal import MediaPlane
internal import Wire

/// What a viewer's offer made.
final class ViewerSession {
  let id: String
  let camera: CameraID
  let viewer: Viewer
  let address: IPAddress?
  let leg: LegID
  /// Names the generation of ICE.
  var tag: String
  /// Until when the viewer must have connected; nil once it has.
  fileprivate(set) var connectBy: Instant?
  /// Our offer is not answered yet.
  var isProposed = false
  /// Set when its viewer answered the door.
  var talk: Talk?

  init(id: String, camera: CameraID, viewer: Viewer, address: IPAddress?, leg: LegID, tag: String) {
    self.id = id
    self.camera = camera
    self.viewer = viewer
    self.address = address
    self.leg = leg
    self.tag = tag
  }
}

/// The sessions of all viewers, in the order in which they came. Those that are not connected yet stand in a list of
/// their own, so that the others, who are many and look for hours, cost nothing at a turn of the house.
struct ViewerSessions {
  /// Ended sessions that are remembered, so that ending one twice is no mistake.
  private static let remembered = 256

  private(set) var all: [ViewerSession] = []
  private(set) var unfinished: [ViewerSession] = []
  /// When the first of them must have connected.
  private(set) var nextDeadline: Instant?
  /// When the first token of all expires.
  private(set) var nextExpiry: Instant?
  private var ended: [String] = []

  /// `connectBy`: nil for one that is connected.
  mutating func enter(_ session: ViewerSession, connectBy: Instant?) {
    all.append(session)
    session.connectBy = connectBy
    if connectBy != nil { unfinished.append(session) }
    nextExpiry = .earlier(nextExpiry, session.viewer.until)
    findDeadline()
  }

  /// The viewer of an unfinished session has until then.
  mutating func extend(_ session: ViewerSession, to connectBy: Instant) {
    session.connectBy = connectBy
    findDeadline()
  }

  mutating func connected(_ session: ViewerSession) {
    session.connectBy = nil
    unfinished.removeAll { $0 === session }
    findDeadline()
  }

  /// False for one that is gone already.
  mutating func end(_ session: ViewerSession) -> Bool {
    guard let place = all.firstIndex(where: { $0 === session }) else { return false }
    all.remove(at: place)
    connected(session)
    if session.viewer.until == nextExpiry { nextExpiry = all.compactMap(\.viewer.until).min() }
    if ended.count >= ViewerSessions.remembered { ended.removeFirst() }
    ended.append(session.id)
    return true
  }

  func hasEnded(_ id: String) -> Bool { ended.contains(id) }

  private mutating func findDeadline() { nextDeadline = unfinished.compactMap(\.connectBy).min() }
}
