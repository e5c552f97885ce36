import API
import Crypto
import Directory
import HTTP
import JSON
import Journal
import Management
import Web
import Wire

/// A gateway that is none: it remembers what it was asked and answers with examples.
final class AskedOperations: Operations {
  var asked: [String] = []
  var healthStatus = "up"
  var waiting: [Completion<OpenReply>] = []
  var holdsDoors = false

  func health() -> HealthView { HealthView(status: healthStatus, components: [.example]) }
  func metrics() -> [Counters.Family] {
    let counters = Counters()
    counters.make("vestibule_calls_total", help: "Calls.", labels: ["end": "answered"]).add(3)
    counters.make("vestibule_calls", .gauge, help: "Live calls\nand \\ more.").set(1)
    counters.make("vestibule_odd", .gauge, labels: ["name": "a\"b\\c\nd"]).set(-2)
    return counters.families
  }
  func status() -> StatusView { .example }
  func doctor(then: @escaping Completion<[CheckView]>) { then(.success([.example])) }
  func exportDirectory() -> JSONValue { ["units": []] }
  func applyDirectory(
    _ text: [UInt8], file: String, dryRun: Bool, by: Principal, then: @escaping Completion<ApplyReply>
  ) {
    asked.append("apply \(String(decoding: text, as: UTF8.self)) \(file) \(dryRun) \(by.name)")
    if text == Array("bad".utf8) {
      let place = JSONPlace(file: file, position: JSONPosition(line: 1, column: 1), path: "")
      then(.failure(.faulty([JSONError(place, expected: "a value")])))
    } else {
      then(.success(.example))
    }
  }
  func units() -> [UnitView] { [.example] }
  func accounts() -> [AccountView] { [.example, .example] }
  func stations() -> [StationView] { [.example] }
  func cameras() -> [CameraView] { [] }
  func snapshot(
    of call: String, _ moment: String, by device: DeviceScope?, then: @escaping Completion<[UInt8]>
  ) {
    asked.append("snapshot \(call) \(moment) \(device?.account.rawValue ?? "-")")
    then(moment == "ring" ? .success([0xFF, 0xD8]) : .failure(Problem(404, "none")))
  }
  func doors() -> [DoorView] { [.example] }
  func enroll(
    _ username: String, _ request: EnrollRequest, by: Principal, then: @escaping Completion<JSONValue>
  ) {
    asked.append("enroll \(username) \(request.format) \(request.replace)")
    then(.success(SIPCredential.example.json))
  }
  func revoke(
    _ username: String, credential id: String?, by: Principal, then: @escaping Completion<RevokeReply>
  ) {
    asked.append("revoke \(username) \(id ?? "all")")
    then(.failure(.unknown("account", username, list: "accounts")))
  }
  func setDoNotDisturb(
    account username: String, _ dnd: Bool, by: Principal, then: @escaping Completion<DoNotDisturb>
  ) {
    asked.append("dnd account \(username) \(dnd)")
    then(.success(DoNotDisturb(dnd: dnd)))
  }
  func setDoNotDisturb(
    unit number: String, _ dnd: Bool, by: Principal, then: @escaping Completion<DoNotDisturb>
  ) {
    asked.append("dnd unit \(number) \(dnd)")
    then(.success(DoNotDisturb(dnd: dnd)))
  }
  func calls() -> [CallView] { [.example] }
  func hangUp(call id: String, by: Principal) -> Outcome<Void> {
    asked.append("hangup \(id)")
    return .success(())
  }
  func callRecords(
    limit: Int, before: String?, of device: DeviceScope?, then: @escaping Completion<[CallView]>
  ) {
    asked.append("cdr \(limit) \(before ?? "-")" + (device.map { " \($0.account)" } ?? ""))
    then(.success([.example]))
  }
  func bans() -> [BanView] { [.example] }
  func liftBan(address: String, by: Principal, then: @escaping Completion<Void>) {
    asked.append("lift \(address)")
    then(.success(()))
  }
  func openDoor(
    _ id: String, by: Principal, key: String?, issued: WallTime?, then: @escaping Completion<OpenReply>
  ) {
    asked.append("open \(id) \(by.name)" + (issued.map { " issued \($0)" } ?? ""))
    if holdsDoors {
      waiting.append(then)
    } else {
      then(.success(OpenReply(door: id, result: "opened", reason: nil)))
    }
  }
  func ring(_ request: RingRequest, by: Principal) -> Outcome<RingTicket> {
    asked.append("ring \(request.target) \(request.station ?? "-") \(request.seconds)")
    return .success(.example)
  }
  func ringReport(_ id: String) -> Outcome<RingView> { .success(.example) }

  func scope(of device: DeviceIdentity) -> DeviceScope? {
    device.account == "gone"
      ? nil
      : DeviceScope(account: AccountName(device.account), unit: "401", credential: device.credential)
  }
  func session(of device: DeviceScope) -> SessionView { .example }
  func forget(_ device: DeviceScope, then: @escaping Completion<Void>) {
    asked.append("forget \(device.account) \(device.credential)")
    then(.success(()))
  }
  func doors(of device: DeviceScope) -> [DoorView] { [] }
  func calls(of device: DeviceScope) -> [CallView] { [] }
  func cameraToken(_ camera: String, by: Principal) -> Outcome<CameraToken> { .success(.example) }
  func backup(by: Principal, then: @escaping Completion<[UInt8]>) {
    asked.append("backup \(by.name)")
    then(.success(Array("SQLite format 3".utf8)))
  }
  func restore(_ backup: [UInt8], by: Principal, then: @escaping Completion<RestoreReply>) {
    asked.append("restore \(String(decoding: backup, as: UTF8.self)) \(by.name)")
    then(.success(.example))
  }
  func supportBundle(then: @escaping Completion<JSONValue>) { then(.success(["version": "0"])) }
  func setMaintenance(_ on: Bool, by: Principal, then: @escaping Completion<Maintenance>) {
    asked.append("maintenance \(on) \(by.name)")
    then(.success(Maintenance(on: on)))
  }
  func attends(_ device: DeviceScope, _ isPresent: Bool) {
    asked.append("\(isPresent ? "here" : "away") \(device.account)")
  }
  var answers: any BrowserAnswers { self }
}

extension AskedOperations: BrowserAnswers {
  func answer(
    _ call: String, by device: DeviceScope, from address: IPAddress?, offer: [UInt8],
    then: @escaping Completion<BrowserAnswer>
  ) {
    asked.append("answer \(call) \(device.account) \(String(decoding: offer, as: UTF8.self))")
    if call == "taken" { return then(.failure(Problem(409, "somebody else has answered"))) }
    then(.success(BrowserAnswer(leg: "l1", description: Array("v=0".utf8), tag: "t1")))
  }
  func decline(_ call: String, by device: DeviceScope, then: @escaping Completion<Void>) {
    asked.append("decline \(call) \(device.account)")
    then(.success(()))
  }
  func trickle(
    _ call: String, leg: String, by device: DeviceScope, fragment: [UInt8], tag: String?,
    then: @escaping Completion<BrowserAnswer?>
  ) {
    asked.append("trickle \(call) \(leg) \(tag ?? "-")")
    then(.success(nil))
  }
  func hangUp(_ call: String, leg: String, by device: DeviceScope, then: @escaping Completion<Void>) {
    asked.append("hang up \(call) \(leg)")
    then(.success(()))
  }
}

/// Two devices, by the words of their tokens.
final class PaperTokens: DeviceTokens {
  var known: [[UInt8]: DeviceIdentity] = [:]

  init() {
    for (word, account, credential) in [("web-token", "web401", 7), ("gone-token", "gone", 8)] {
      known[Digest.sha256(Array(word.utf8))] = DeviceIdentity(
        account: account, credential: UInt64(credential))
    }
  }
  func device(tokenDigest: [UInt8], from peer: WebPeer) -> DeviceIdentity? { known[tokenDigest] }
}

/// Connections that lead nowhere: what was written is kept.
final class PaperCarrier: WebCarrier {
  var now = Instant(nanoseconds: 0)
  var wall = WallTime(seconds: 1_795_210_119)
  var written: [WebConnectionID: [UInt8]] = [:]
  var closed: [WebConnectionID] = []
  /// Bytes it takes before it is full; nil for no end.
  var room: Int?

  func write(_ bytes: [UInt8], on connection: WebConnectionID) -> Bool {
    if let room {
      guard bytes.count <= room else { return false }
      self.room = room - bytes.count
    }
    written[connection, default: []] += bytes
    return true
  }
  func close(_ connection: WebConnectionID) { closed.append(connection) }
  /// Connections that nothing is read from.
  var paused: Set<WebConnectionID> = []
  /// Connections whose peers may be silent.
  private(set) var silent: [WebConnectionID] = []
  func expectSilence(on connection: WebConnectionID) { silent.append(connection) }
  func setReading(_ reading: Bool, on connection: WebConnectionID) {
    if reading { paused.remove(connection) } else { paused.insert(connection) }
  }
}

/// Management over paper: requests as text, answers as values.
final class ManagementBench {
  let carrier = PaperCarrier()
  let operations = AskedOperations()
  let feed = EventFeed()
  let tokens = PaperTokens()
  let server: WebServer
  private var lastID: UInt64 = 0

  static let root = WebPeer.local(LocalPeer(processID: 1, userID: 0, user: "root", isPermitted: true))
  static let stranger = WebPeer.local(LocalPeer(processID: 1, userID: 7, user: "eve", isPermitted: false))
  static let loopback = WebPeer.remote(Endpoint(.loopbackV4, port: 4000), isSecure: false)
  static let outside = WebPeer.remote(Endpoint("192.0.2.1:4000")!, isSecure: false)

  init(limits: WebLimits = WebLimits()) {
    let carrier = carrier
    let warden = WebGuard(tokens: tokens) { carrier.now }
    let routes = RESTRoutes(operations: operations, feed: feed, guard: warden) { carrier.now }
    server = WebServer(carrier: carrier, router: routes.makeRouter(), limits: limits)
  }

  func connect(_ peer: WebPeer = root) -> WebConnectionID {
    lastID += 1
    let id = WebConnectionID(lastID)
    server.opened(id, peer: peer)
    return id
  }

  func send(_ text: String, on id: WebConnectionID) { server.received(Array(text.utf8).span, on: id) }

  /// What was written since the last time.
  func heard(_ id: WebConnectionID) -> String {
    String(decoding: carrier.written.removeValue(forKey: id) ?? [], as: UTF8.self)
  }

  struct Answer {
    var status = 0
    var fields = HTTPFields()
    var body: [UInt8] = []
    var text: String { String(decoding: body, as: UTF8.self) }
    var json: JSONNode? { try? JSONNode(parsing: body) }
  }

  /// One request on a connection of its own, and the whole answer.
  func ask(
    _ method: HTTPMethod, _ target: String, fields: HTTPFields = HTTPFields(), body: String = "",
    as peer: WebPeer = root
  ) -> Answer {
    let id = connect(peer)
    var client = HTTPClientConnection()
    var head = HTTPRequest(method, target, fields: ["Host": "gate"])
    for field in fields.lines { head.fields.append(field.name, field.value) }
    client.send(head, body: Array(body.utf8), now: carrier.now)
    server.received(client.takeOutput().span, on: id)
    let written = carrier.written.removeValue(forKey: id) ?? []
    client.receive(written.span, now: carrier.now)
    var answer = Answer()
    while let event = client.next() {
      switch event {
      case .response(let head):
        answer.status = head.status
        answer.fields = head.fields
      case .body(let data): answer.body += data
      case .end: break
      case .failed: answer.status = -1
      }
    }
    return answer
  }
}
