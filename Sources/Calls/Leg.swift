internal import Directory
internal import SDP
internal import SIP
internal import Wire

/// One leg of a call: a session with one device, its media and what became of it.
final class Leg {
  /// What we owe or expect in offers and answers. First INVITEs are the call's matter, not this.
  enum Exchange: Equatable {
    case idle
    /// Our offer is out. When its answer comes, `answers` waits for it, if there is one.
    case offered
    /// The peer's offer waits until the other leg has answered ours.
    case asked
    /// We gave our offer in a 200; the answer comes with the ACK.
    case acknowledging
    /// What was settled stays: a page negotiates once.
    case fixed
  }

  var session: SessionID
  let party: Caller
  let unit: UnitID?
  let contact: Contact?
  let credential: UInt64?
  var media: any LegDescriptions
  /// What it is now; anything after `talking` is the end.
  private(set) var state: LegEnd = .calling
  private(set) var code = 0
  private(set) var hasRung = false
  /// The one further try after a refusal for media's sake.
  var hasRetried = false
  var exchange = Exchange.idle
  /// The encoding that was settled, kept for the record.
  var codec: String?
  private(set) var counts = StreamCounts()
  /// When media last came from the peer, or was last expected to begin.
  var heardAt = Instant(nanoseconds: 0)
  var heardPackets = 0

  /// Names this leg to a page, once it has answered.
  var pageName = ""
  /// Names its generation of ICE.
  var pageTag = ""

  init(
    session: SessionID, party: Caller, unit: UnitID?, contact: Contact?, credential: UInt64?,
    media: any LegDescriptions
  ) {
    self.session = session
    self.party = party
    self.unit = unit
    self.contact = contact
    self.credential = credential
    self.media = media
  }

  /// A device that hears of calls from events and answers over HTTP.
  var isPage: Bool { contact?.isPage ?? false }
  /// False for a page until it answers.
  var hasMedia: Bool { media.id != .none }

  /// Ended because nothing of the device was heard: no answer to the INVITE, or no connection to send it on.
  var isAsleep: Bool { state == .unreachable && !hasRung && (code == 408 || code == 503) }
  /// A page that rang and lost its stream of events: nobody declined there.
  var isAway: Bool { isPage && state == .unreachable && code == 480 }

  var isStation: Bool {
    if case .station = party { true } else { false }
  }

  /// True while the session may still do something.
  var isLive: Bool {
    switch state {
    case .calling, .ringing, .talking: true
    case .answered, .noanswer, .busy, .declined, .unreachable, .cancelled, .mismatch: false
    }
  }

  /// The first format of its own offer, not settled yet, that is also among `formats`.
  func firstShared(_ kind: MediaKind, with formats: [Format]) -> Format? {
    media.offered(kind)?.formats.first { one in
      one.isMedia && formats.contains { $0.isSameEncoding(as: one) }
    }
  }

  /// A station's H.264 towards a browser, however it is put into packets: it is put into others on the way.
  func firstPicture(towards other: Leg) -> Format? {
    guard media.form == .plain, other.media.form == .webRTC else { return nil }
    return media.offered(.video)?.formats.first(where: \.isH264)
  }

  /// calling → ringing.
  func ring(_ status: Int) {
    hasRung = true
    code = status
    if state == .calling { state = .ringing }
  }

  /// calling, ringing → talking.
  func talk(now: Instant) {
    precondition(state == .calling || state == .ringing, "only a leg that is being called can answer")
    state = .talking
    code = 200
    heardAt = now
  }

  /// Any live state → over.
  func finish(_ end: LegEnd, code: Int?, counts: StreamCounts) {
    precondition(isLive, "a leg ends once")
    state = end
    if let code { self.code = code }
    self.counts = counts
  }

  func record(counts current: StreamCounts? = nil) -> LegRecord {
    LegRecord(
      account: party.username, state: state, code: code, codec: codec, counts: current ?? counts)
  }
}
