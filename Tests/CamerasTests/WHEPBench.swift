import Cameras
import Crypto
import Directory
import HTTP
import ICE
import JSON
import MediaPlane
import SDP
import Web
import WebRTC
import Wire

/// A web server with nothing but WHEP, whose viewers are words.
final class WHEPBench: WebCarrier, ViewAuthority, ViewGrants, DeviceTokens, ViewerSeats {
  struct Answer {
    var status: Int
    var fields = HTTPFields()
    var body = ""

    /// A member of a problem.
    func word(_ key: String) -> String? {
      let bytes = Array(body.utf8)
      guard let start = bytes.firstRange(of: Array("\"\(key)\":\"".utf8)) else { return nil }
      return String(decoding: bytes[start.upperBound...].prefix { $0 != UInt8(ascii: "\"") }, as: UTF8.self)
    }
    var session: String { fields["Location"] ?? "" }
    var tag: String { fields["ETag"] ?? "" }
  }

  let studio = Studio([Studio.door, Studio.yard])
  private(set) var whep: WHEP!
  private var server: WebServer!
  private var warden: WebGuard!
  private var written: [WebConnectionID: [UInt8]] = [:]
  private var lastID: UInt64 = 0
  var wall = WallTime(seconds: 1_795_210_119)
  var now: Instant { studio.now }

  // What the house would decide.
  var grants: [String: ViewGrant] = [:]
  var mayLook: (Viewer, CameraID) -> Bool = { _, _ in true }
  // What the media plane would do.
  var offers: [SessionDescription] = []
  var engines: [ViewerEngine] = []
  var refusal: SeatRefusal?
  var trickled: [TrickleFragment] = []
  var trickle = SeatTrickle.taken
  var accepted: [SessionDescription] = []
  var seated: [LegID] = []
  var connected: Set<LegID> = []
  private var lastLeg: UInt64 = 0

  init(origins: OriginPolicy = OriginPolicy()) {
    warden = WebGuard(tokens: self) { [unowned self] in now }
    warden.views = self
    whep = WHEP(
      keeper: studio.keeper, seats: self, authority: self, random: Random(seed: 3),
      clock: { [unowned self] in now }, wall: { [unowned self] in wall })
    studio.keeper.whenChanged = { [unowned self] in whep.cameraChanged($0) }
    serve(origins) { _ in }
    grant("t", to: "web401", "door")
  }

  /// Serves these routes too.
  func serve(_ origins: OriginPolicy = OriginPolicy(), _ further: (inout Router) -> Void) {
    var router = Router { [unowned self] in warden.judge($0, $1, $2) }
    router.origins = origins
    whep.addRoutes(to: &router)
    further(&router)
    server = WebServer(carrier: self, router: router)
  }

  func grant(
    _ token: String, to holder: String, _ camera: String, call: String? = nil, life: Interval = .hours(9)
  ) {
    grants[token] = ViewGrant(camera: camera, holder: holder, call: call, expires: now + life)
  }

  // MARK: Who may look

  func grant(of token: String) -> ViewGrant? { grants[token] }
  func device(tokenDigest: [UInt8], from peer: WebPeer) -> DeviceIdentity? {
    tokenDigest == Digest.sha256(Array("device".utf8))
      ? DeviceIdentity(account: "web402", credential: 5) : nil
  }
  func viewer(_ identity: WebIdentity, token: String?, of camera: CameraID) -> Result<Viewer, ViewRefusal> {
    let viewer: Viewer
    switch identity {
    case .viewer(let grant):
      guard grant.camera == camera.rawValue else { return .failure(.notNow) }
      viewer = Viewer(
        holder: grant.holder, unit: UnitID(String(grant.holder.suffix(3))), call: grant.call, token: token,
        until: grant.expires)
    case .device(let device): viewer = Viewer(holder: device.account, credential: device.credential)
    case .anybody, .local: viewer = Viewer(holder: "")
    }
    guard studio.keeper.cameras.contains(camera) else { return .failure(.unknownCamera) }
    return mayLook(viewer, camera) ? .success(viewer) : .failure(.notNow)
  }
  func mayLook(_ viewer: Viewer, through camera: CameraID) -> Bool {
    viewer.until.map { $0 > now } ?? true && mayLook(viewer, camera)
  }
  func whoShows(_ token: String, from peer: WebPeer) -> String? {
    grants[token]?.holder ?? (token == "device" ? "web402" : nil)
  }

  // MARK: Seats

  private func leg() -> LegID {
    lastLeg += 1
    let leg = LegID(Handle(raw: lastLeg))
    seated.append(leg)
    return leg
  }
  func take(
    _ offer: SessionDescription, by engine: ViewerEngine, of camera: CameraID, _ format: SourceFormat
  ) -> Result<Seat, SeatRefusal> {
    if let refusal { return .failure(refusal) }
    offers.append(offer)
    engines.append(engine)
    return .success(Seat(leg: leg(), description: Array("v=0 answer".utf8)))
  }
  func propose(_ camera: CameraID, _ format: SourceFormat) -> Seat? {
    Seat(leg: leg(), description: Array("v=0 proposal".utf8))
  }
  func accept(_ answer: SessionDescription, on leg: LegID) -> SeatRefusal? {
    accepted.append(answer)
    return nil
  }
  func trickle(_ fragment: TrickleFragment, on leg: LegID) -> SeatTrickle {
    trickled.append(fragment)
    return trickle
  }
  func isConnected(_ leg: LegID) -> Bool { connected.contains(leg) }
  func leave(_ leg: LegID) { seated.removeAll { $0 == leg } }

  // MARK: Requests

  func write(_ bytes: [UInt8], on connection: WebConnectionID) -> Bool {
    written[connection, default: []] += bytes
    return true
  }
  func close(_ connection: WebConnectionID) {}
  func setReading(_ reading: Bool, on connection: WebConnectionID) {}
  func expectSilence(on connection: WebConnectionID) {}

  /// Sends a request; what it is answered comes by `heard`.
  func send(
    _ method: String, _ target: String, token: String? = "t", fields: [(String, String)] = [],
    body: String = "", from address: String = "192.0.2.7"
  ) -> WebConnectionID {
    lastID += 1
    let id = WebConnectionID(lastID)
    server.opened(id, peer: .remote(Endpoint("\(address):50000")!, isSecure: true))
    var text = "\(method) \(target) HTTP/1.1\r\nHost: gate\r\n"
    if let token { text += "Authorization: Bearer \(token)\r\n" }
    for (name, value) in fields { text += "\(name): \(value)\r\n" }
    if !body.isEmpty { text += "Content-Length: \(body.utf8.count)\r\n" }
    server.received(Array((text + "\r\n" + body).utf8).span, on: id)
    return id
  }

  /// The answer that has come; nil while none has.
  func heard(_ id: WebConnectionID) -> Answer? {
    guard let bytes = written.removeValue(forKey: id) else { return nil }
    guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
    let lines = bytes[..<end.lowerBound].split(separator: 10).map {
      String(decoding: $0.filter { $0 != 13 }, as: UTF8.self)
    }
    var answer = Answer(status: Int(lines[0].split(separator: " ")[1]) ?? 0)
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      answer.fields.append(String(parts[0]), String(parts[1].drop { $0 == " " }))
    }
    answer.body = String(decoding: bytes[end.upperBound...], as: UTF8.self)
    return answer
  }

  func ask(
    _ method: String, _ target: String, token: String? = "t", fields: [(String, String)] = [],
    body: String = "", from address: String = "192.0.2.7"
  ) -> Answer {
    heard(send(method, target, token: token, fields: fields, body: body, from: address))
      ?? Answer(status: 0)
  }

  /// The offer of a browser, but for its transport, at which nobody looks here.
  static func offer(audio: String? = "recvonly", video: String? = "recvonly") -> String {
    var text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
    if let audio {
      text += "m=audio 9 UDP/TLS/RTP/SAVPF 8\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=\(audio)\r\n"
    }
    if let video {
      text += "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=\(video)\r\n"
      text += "a=rtpmap:96 H264/90000\r\n"
    }
    return text
  }

  func post(
    _ camera: String = "door", token: String? = "t", type: String? = "application/sdp",
    offer: String = WHEPBench.offer(), from address: String = "192.0.2.7"
  ) -> Answer {
    heard(sendPost(camera, token: token, type: type, offer: offer, from: address)) ?? Answer(status: 0)
  }
  func sendPost(
    _ camera: String = "door", token: String? = "t", type: String? = "application/sdp",
    offer: String = WHEPBench.offer(), from address: String = "192.0.2.7"
  ) -> WebConnectionID {
    send(
      "POST", "/whep/\(camera)", token: token, fields: type.map { [("Content-Type", $0)] } ?? [], body: offer,
      from: address)
  }
  func patch(
    _ session: String, tag: String?, token: String? = nil, type: String = "application/trickle-ice-sdpfrag",
    body: String = "a=ice-ufrag:abcd\r\na=end-of-candidates\r\n", from address: String = "192.0.2.7"
  ) -> Answer {
    var fields = [("Content-Type", type)]
    if let tag { fields.append(("If-Match", tag)) }
    return ask("PATCH", session, token: token, fields: fields, body: body, from: address)
  }

  /// The camera shows, for a viewer who looks already.
  func goLive(_ camera: CameraID = Studio.door) {
    studio.keeper.watch(camera)
    studio.last.begin()
    studio.last.show()
  }

  func pass(_ interval: Interval) {
    let end = now + interval
    while true {
      let due = [studio.keeper.nextDeadline, whep.nextDeadline].compactMap { $0 }.min()
      guard let due, due <= end else { break }
      studio.now = max(now, due)
      studio.keeper.advance()
      whep.advance()
    }
    studio.now = end
    studio.keeper.advance()
    whep.advance()
  }
}
