import Calls
import SDP
import SIP
import Wire

@testable import Directory

/// An agent that writes down what it is told, and knows enough about sessions to object.
final class ScriptedSignalling: Signalling {
  enum Stage { case inviting, invited, talking, done }
  struct Session {
    var stage: Stage
    var name: String
    var account: String
    var body: Body?
    var headers: [(String, String)] = []
    var from: Party?
    /// Our offer is out.
    var offering = false
    /// The peer's offer is unanswered.
    var asked = false
  }
  var hasRoom = true
  var sessions: [SessionID: Session] = [:]
  var order: [SessionID] = []
  var log: [String] = []
  /// Commands that no session in its state could take.
  var objections: [String] = []
  /// The last body sent in each session.
  var written: [SessionID: Body] = [:]

  func make(_ stage: Stage, _ account: String) -> SessionID {
    let id = SessionID(Handle(index: UInt32(order.count), generation: 1))
    sessions[id] = Session(stage: stage, name: "\(account)", account: account)
    order.append(id)
    return id
  }
  func name(_ session: SessionID) -> String { sessions[session]?.name ?? "?" }

  private func demand(_ session: SessionID, _ stages: [Stage], _ what: String) {
    guard let stage = sessions[session]?.stage, stages.contains(stage) else {
      objections.append("\(what) \(name(session)) in \(sessions[session].map { "\($0.stage)" } ?? "none")")
      return
    }
  }
  private func text(_ reason: Reason?) -> String {
    reason.map { " \($0.source == .sip ? "SIP" : "Q.850") \($0.cause)" } ?? ""
  }

  func invite(_ invitation: LegInvitation, _ turn: inout Turn) -> SessionID {
    guard hasRoom else {
      log.append("no room for \(invitation.to)")
      return SessionID(.none)
    }
    let id = make(.inviting, invitation.to)
    sessions[id]?.headers = invitation.headers
    sessions[id]?.from = invitation.from
    written[id] = invitation.body
    log.append("invite \(invitation.to)")
    return id
  }
  func ring(_ session: SessionID, status: Int, body: Body?, _ turn: inout Turn) {
    demand(session, [.invited], "ring")
    log.append("ring \(name(session)) \(status)\(body == nil ? "" : " sdp")")
    if let body { written[session] = body }
  }
  func answer(_ session: SessionID, body: Body, _ turn: inout Turn) {
    demand(session, [.invited], "answer")
    sessions[session]?.stage = .talking
    written[session] = body
    log.append("answer \(name(session))")
  }
  func refuse(_ session: SessionID, status: Int, headers: [(String, String)], _ turn: inout Turn) {
    demand(session, [.invited], "refuse")
    sessions[session]?.stage = .done
    log.append("refuse \(name(session)) \(status)")
  }
  func cancel(_ session: SessionID, reason: Reason?, _ turn: inout Turn) {
    demand(session, [.inviting], "cancel")
    sessions[session]?.stage = .done
    log.append("cancel \(name(session))\(text(reason))")
  }
  func hangUp(_ session: SessionID, reason: Reason?, _ turn: inout Turn) {
    demand(session, [.talking], "hangUp")
    sessions[session]?.stage = .done
    log.append("hangUp \(name(session))\(text(reason))")
  }
  func offer(_ session: SessionID, body: Body, _ turn: inout Turn) {
    demand(session, [.talking], "offer")
    if sessions[session]?.offering == true { objections.append("two offers to \(name(session))") }
    sessions[session]?.offering = true
    written[session] = body
    log.append("offer \(name(session))")
  }
  func acceptOffer(_ session: SessionID, body: Body, _ turn: inout Turn) {
    demand(session, [.talking], "acceptOffer")
    if sessions[session]?.asked != true { objections.append("nothing to accept of \(name(session))") }
    sessions[session]?.asked = false
    written[session] = body
    log.append("acceptOffer \(name(session))")
  }
  func refuseOffer(_ session: SessionID, status: Int, _ turn: inout Turn) {
    if sessions[session]?.asked != true { objections.append("nothing to refuse of \(name(session))") }
    sessions[session]?.asked = false
    log.append("refuseOffer \(name(session)) \(status)")
  }
  func info(_ session: SessionID, body: Body, _ turn: inout Turn) {
    demand(session, [.talking], "info")
    log.append("info \(name(session)) \(String(decoding: body.bytes.prefix(8), as: UTF8.self))")
  }
  func reply(_ transaction: TransactionID, status: Int, _ turn: inout Turn) { log.append("reply \(status)") }
  func notifyTransfer(_ session: SessionID, status: Int, _ turn: inout Turn) {
    demand(session, [.talking], "notify")
    log.append("notify \(name(session)) \(status)")
  }
}

/// A media plane without media.
final class CountedMedia: Media {
  struct Leg {
    var audio: LegStream?
    var video: LegStream?
    var counts = StreamCounts()
    var partner: MediaLegID?
  }
  var open: [MediaLegID: Leg] = [:]
  var left = 1000
  var made: UInt32 = 0
  var log: [String] = []
  var keys: [KeyPassage] = []
  var listeners: [MediaLegID] = []

  func open(video: Bool, facing peer: IPAddress?) -> MediaLeg? {
    guard open.count < left else { return nil }
    made += 1
    let id = MediaLegID(Handle(index: made, generation: 1))
    open[id] = Leg()
    let port = 40_000 + UInt16(truncatingIfNeeded: made % 1000) * 4
    return MediaLeg(
      id: id, address: IPAddress("192.0.2.1")!, audio: port, audioRTCP: port + 1,
      video: video ? port + 2 : nil,
      videoRTCP: video ? port + 3 : nil)
  }
  /// These calls know plain RTP only.
  func openPeer(video: Bool, offer: SessionDescription?) -> (any LegDescriptions)? { nil }
  func setStreams(_ leg: MediaLegID, audio: LegStream?, video: LegStream?) {
    precondition(open[leg] != nil, "streams of a closed leg")
    open[leg]?.audio = audio
    open[leg]?.video = video
  }
  /// False when the coders are all busy.
  var affordsMore = true
  func affords(_ first: LegStream?, _ second: LegStream?) -> Bool { affordsMore }
  func bridge(_ first: MediaLegID, _ second: MediaLegID, keys: KeyPassage) {
    precondition(open[first] != nil && open[second] != nil, "a bridge with a closed end")
    unbridge(first)
    unbridge(second)
    open[first]?.partner = second
    open[second]?.partner = first
    self.keys.append(keys)
  }
  func unbridge(_ leg: MediaLegID) {
    if let partner = open[leg]?.partner { open[partner]?.partner = nil }
    open[leg]?.partner = nil
  }
  func page(from source: MediaLegID, to listeners: [MediaLegID]) { self.listeners = listeners }
  func play(_ tone: CallTone, on leg: MediaLegID) { log.append("play \(tone)") }
  func sendKeys(_ digits: String, on leg: MediaLegID) { log.append("keys \(digits)") }
  func counts(_ leg: MediaLegID) -> StreamCounts { open[leg]?.counts ?? StreamCounts() }
  func close(_ leg: MediaLegID) -> StreamCounts {
    precondition(open[leg] != nil, "a leg closed twice")
    unbridge(leg)
    return open.removeValue(forKey: leg)?.counts ?? StreamCounts()
  }
}

/// A building with a plan made by the test.
final class ScriptedDialplan: Dialplan {
  var decision: CallDecision = .refuse(.unknown)
  var lastBusy: Set<UnitID> = []
  var contacts: [String: [String]] = [:]
  /// Pages that are open, by account.
  var pages: [String: [Contact]] = [:]
  var stations: [StationName: Station] = [
    "intercom-main": Station(username: "intercom-main", name: "Entrance")
  ]
  var units: [String: UnitID] = [:]
  /// Where accounts are, when it matters.
  var places: [String: Endpoint] = [:]
  var wall = WallTime(seconds: 1_800_000_000)
  /// Those that are cameras as well.
  var watched: Set<StationName> = []

  func isWatched(_ station: StationName) -> Bool { watched.contains(station) }

  func decide(_ caller: Caller, dialled: String, busyUnits: Set<UnitID>) -> CallDecision {
    lastBusy = busyUnits
    return decision
  }
  func contacts(of target: CallTarget) -> [Contact] {
    if let place = places[target.username] {
      return [
        Contact(
          id: target.username, destination: Destination(uri: URI(user: target.username, at: place)),
          address: place.address)
      ]
    }
    return (contacts[target.username] ?? [target.username]).map { contact($0) }
      + (pages[target.username] ?? [])
  }
  func contact(_ id: String) -> Contact {
    Contact(
      id: id, destination: Destination(uri: URI("sip:\(id)@192.0.2.50")!), address: IPAddress("192.0.2.50"))
  }
  func station(_ name: StationName) -> Station? { stations[name] }
  func unit(of caller: Caller) -> UnitID? { units[caller.username] }
  func displayName(of caller: Caller) -> String {
    if case .station(let name) = caller { return stations[name]?.name ?? "" }
    return ""
  }
}

/// Calls between fakes, with a clock that the test turns.
final class CallsBench {
  let signalling = ScriptedSignalling()
  let media = CountedMedia()
  let dialplan = ScriptedDialplan()
  let calls: Switchboard
  var now = Instant(nanoseconds: 1_000_000_000)
  var random = Random(seed: 1)
  var events: [CallEvent] = []

  init(_ configuration: CallsConfiguration = CallsConfiguration()) {
    calls = Switchboard(
      configuration: configuration, signalling: signalling, media: media, dialplan: dialplan, now: now)
  }

  @discardableResult
  func turn<Result>(_ body: (inout Turn) -> Result) -> Result {
    var turn = Turn(now: now, random: random)
    let result = body(&turn)
    random = turn.random
    while let event = calls.next() { events.append(event) }
    return result
  }

  /// Lets time pass, stopping at every deadline on the way.
  func wait(_ interval: Interval) {
    let end = now + interval
    while let deadline = calls.nextDeadline, deadline <= end {
      now = max(now, deadline)
      turn { calls.advance(&$0) }
    }
    now = end
    turn { calls.advance(&$0) }
  }

  /// The plan of the next calls: steps of accounts, all of unit 401 unless a name says otherwise.
  func plan(
    _ steps: [[String]], timeout: Int64 = 45, declineEnds: Bool = false, isEmergency: Bool = false,
    isPage: Bool = false
  ) {
    let made = steps.map { names in
      CallStep(targets: names.map(target), timeout: .seconds(timeout), declineEnds: declineEnds)
    }
    dialplan.decision = .call(
      CallPlan(
        caller: .station("intercom-main"), unit: "401", steps: made, isEmergency: isEmergency, isPage: isPage,
        station: "intercom-main"))
  }
  func target(_ name: String) -> CallTarget {
    if name.hasPrefix("intercom") {
      return CallTarget(
        callee: .station(StationName(name)), kind: .station, unit: nil, callWaiting: .ring)
    }
    return CallTarget(
      callee: .account(AccountName(name)), kind: .panel, unit: name.hasPrefix("guard") ? nil : "401",
      callWaiting: .ring)
  }

  /// An INVITE comes in.
  @discardableResult
  func invite(
    from caller: String = "intercom-main", to dialled: String = "401", sdp: String? = Shapes.station,
    replacing replaced: SessionID? = nil
  ) -> SessionID {
    let session = signalling.make(.invited, caller)
    let party: Caller =
      caller.hasPrefix("intercom") ? .station(StationName(caller)) : .account(AccountName(caller))
    let invitation = Invitation(
      caller: party, credential: 7, dialled: dialled, callID: "\(session.handle.index)@test",
      body: sdp.map { .sdp(Array($0.utf8)) }, source: IPAddress("192.0.2.20"),
      replaces: replaced)
    turn { calls.invited(session, invitation, &$0) }
    return session
  }

  /// The latest live session towards an account.
  func session(_ name: String) -> SessionID {
    signalling.order.last { signalling.name($0) == name && signalling.sessions[$0]?.stage != .done }
      ?? SessionID(.none)
  }
  func rings(_ name: String, status: Int = 180, sdp: String? = nil) {
    let session = session(name)
    turn { calls.progressed(session, status: status, body: sdp.map { .sdp(Array($0.utf8)) }, &$0) }
  }
  func answers(_ name: String, sdp: String = Shapes.panel) {
    let session = session(name)
    signalling.sessions[session]?.stage = .talking
    turn { calls.answered(session, body: .sdp(Array(sdp.utf8)), &$0) }
  }
  func refuses(_ name: String, _ status: Int) {
    let session = session(name)
    signalling.sessions[session]?.stage = .done
    turn { calls.refused(session, status: status, &$0) }
  }
  func hangsUp(_ name: String, _ reason: Reason? = nil) {
    let session = session(name)
    signalling.sessions[session]?.stage = .done
    turn { calls.ended(session, .bye(reason), &$0) }
  }
  func cancels(_ name: String, _ reason: Reason? = nil) {
    let session = session(name)
    signalling.sessions[session]?.stage = .done
    turn { calls.cancelled(session, reason: reason, &$0) }
  }
  func offers(_ name: String, sdp: String?) {
    let session = session(name)
    signalling.sessions[session]?.asked = true
    turn { calls.offered(session, body: sdp.map { .sdp(Array($0.utf8)) }, &$0) }
  }
  func acceptsOffer(_ name: String, sdp: String) {
    let session = session(name)
    signalling.sessions[session]?.offering = false
    turn { calls.offerAccepted(session, body: .sdp(Array(sdp.utf8)), &$0) }
  }
  func refusesOffer(_ name: String) {
    let session = session(name)
    signalling.sessions[session]?.offering = false
    turn { calls.offerRefused(session, &$0) }
  }
  func acknowledges(_ name: String, sdp: String?) {
    let session = session(name)
    turn { calls.confirmed(session, body: sdp.map { .sdp(Array($0.utf8)) }, &$0) }
  }
  func informs(_ name: String, _ type: String, _ body: String) {
    let session = session(name)
    turn {
      calls.informed(
        session, TransactionID(.none), Body(contentType: type, bytes: Array(body.utf8)), &$0)
    }
  }
  func refers(_ name: String, to dialled: String, replacing other: SessionID? = nil) {
    let session = session(name)
    turn {
      calls.transferRequested(
        session, TransactionID(.none), TransferRequest(dialled: dialled, replaces: other), &$0)
    }
  }
  /// The description last sent to an account.
  func written(to name: String) -> SessionDescription? {
    let session = session(name)
    return signalling.written[session].flatMap { try? SessionDescription(parsing: $0.bytes) }
  }
  /// Both ends of the only conversation get packets.
  func mediaFlows(_ packets: Int = 100) {
    for id in media.open.keys { media.open[id]?.counts.packetsIn += packets }
  }
  /// What was told since the last time.
  func taken() -> [String] {
    defer { signalling.log.removeAll() }
    return signalling.log
  }
  var records: [CallRecord] {
    events.compactMap { if case .ended(let record) = $0 { record } else { nil } }
  }
  var keys: [KeyPress] {
    events.compactMap { if case .key(let press) = $0 { press } else { nil } }
  }
}

/// Descriptions as stations and panels write them.
enum Shapes {
  static func audio(_ formats: String = "8 0 101", port: Int = 12000, _ more: String = "") -> String {
    "v=0\r\no=100 1 1 IN IP4 192.0.2.20\r\ns=-\r\nc=IN IP4 192.0.2.20\r\nt=0 0\r\n"
      + "m=audio \(port) RTP/AVP \(formats)\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
      + more
  }
  static let station = audio()
  static let panel = audio("8 101", port: 5004)
  static let plainPanel = audio("8", port: 5004)
  static let held = audio("8 101", port: 5004, "a=sendonly\r\n")
  static let withPicture =
    audio() + "m=video 12002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    + "a=fmtp:96 profile-level-id=42801F;packetization-mode=1\r\na=sendonly\r\n"
}

extension CallsBench {
  /// A station and a panel in conversation.
  static func talking(
    from caller: String = "intercom-main", to callee: String = "panel401", station: String = Shapes.station,
    panel: String = Shapes.panel
  ) -> CallsBench {
    let bench = CallsBench()
    bench.plan([[callee]])
    bench.invite(from: caller, sdp: station)
    bench.answers(callee, sdp: panel)
    _ = bench.taken()
    return bench
  }
}
