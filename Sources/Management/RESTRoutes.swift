internal import API
internal import Directory
internal import HTTP
internal import JSON
internal import Journal
package import Web
package import Wire

// `/api/v1`, `/health` and `/metrics` over `Operations`. It turns requests into values and outcomes into replies, and
// decides who may ask at all; what an operation does is the gateway's.

/// Gives a `Router` the routes of management.
package final class RESTRoutes {
  private unowned let operations: any Operations
  private let feed: EventFeed
  private let warden: WebGuard
  private let clock: () -> Instant
  private var commands = RepeatedCommands()

  /// `clock` is asked when a repeated command is recognised.
  package init(
    operations: any Operations, feed: EventFeed, guard warden: WebGuard, clock: @escaping () -> Instant
  ) {
    self.operations = operations
    self.feed = feed
    self.warden = warden
    self.clock = clock
  }

  /// A router with every route of management. It keeps this object alive.
  package func makeRouter() -> Router {
    var router = Router { [warden] head, peer, access in warden.judge(head, peer, access) }
    router.add(
      Route(.get, "/health", access: .open) { [self] _, responder in
        let health = operations.health()
        responder.reply(.json(health.status == "down" ? 503 : 200, health.json))
      })
    router.add(
      Route(.get, "/metrics", access: .machine) { [self] _, responder in
        responder.reply(
          .text(
            200, operations.metrics().prometheusText, type: "text/plain; version=0.0.4; charset=utf-8"))
      })
    for operation in APIOperation.allCases {
      router.add(
        Route(
          operation.method, operation.path, access: RESTRoutes.access(operation),
          bodyLimit: operation.bodyLimit
        ) { [self] request, responder in
          perform(operation, request, responder)
        })
    }
    router.add(
      Route(channel: APIOperation.events.path, access: RESTRoutes.access(.events)) {
        [self] request, channel in
        events(request, channel)
      })
    return router
  }

  // MARK: Who may ask

  private static func access(_ operation: APIOperation) -> WebAccess {
    switch operation.audience {
    case .devices: .device
    case .operators: .operator
    }
  }

  /// Whoever the guard admitted, as a principal. A device is tied to its account and unit here, once.
  private func principal(_ request: WebRequest) throws(Problem) -> Principal {
    switch request.identity {
    case .anybody, .viewer: return Principal("anybody")
    case .local(let peer): return Principal("local:\(peer.user)")
    case .device(let device):
      guard let scope = operations.scope(of: device) else {
        throw Problem(401, "this account is no more", next: "enrol this device with a new link")
      }
      return Principal("account:\(device.account)", device: scope)
    }
  }

  // MARK: Operations

  private func perform(_ operation: APIOperation, _ request: WebRequest, _ responder: Responder) {
    do throws(Problem) {
      try dispatch(operation, request, responder)
    } catch {
      responder.reply(.problem(error.status, error.json))
    }
  }

  private func dispatch(
    _ operation: APIOperation, _ request: WebRequest, _ responder: Responder
  ) throws(Problem) {
    let principal = try principal(request)
    let device = principal.device
    func answer(_ json: JSONValue) { responder.reply(.json(operation.success, json)) }
    func completion<Value>(_ json: @escaping (Value) -> JSONValue) -> Completion<Value> {
      { outcome in
        switch outcome {
        case .success(let value): responder.reply(.json(operation.success, json(value)))
        case .failure(let problem): responder.reply(.problem(problem.status, problem.json))
        }
      }
    }
    func listing<Value: APIValue>(_: Value.Type) -> Completion<[Value]> { completion { $0.json } }
    func value<Value: APIValue>(_: Value.Type) -> Completion<Value> { completion { $0.json } }
    let nothing: Completion<Void> = { outcome in
      switch outcome {
      case .success: responder.reply(WebReply(operation.success))
      case .failure(let problem): responder.reply(.problem(problem.status, problem.json))
      }
    }

    switch operation {
    case .status: answer(operations.status().json)
    case .doctor: operations.doctor(then: listing(CheckView.self))
    case .exportDirectory: answer(operations.exportDirectory())
    case .applyDirectory:
      operations.applyDirectory(
        request.body, file: request.query("file") ?? "request",
        dryRun: try RESTRoutes.flag(request, "dryRun"), by: principal, then: value(ApplyReply.self))
    case .units: answer(operations.units().json)
    case .accounts: answer(operations.accounts().json)
    case .stations: answer(operations.stations().json)
    case .cameras: answer(operations.cameras().json)
    case .doors: answer((device.map { operations.doors(of: $0) } ?? operations.doors()).json)
    case .enroll:
      operations.enroll(
        request["name"], try RESTRoutes.body(request), by: principal, then: completion { $0 })
    case .revokeAll:
      operations.revoke(request["name"], credential: nil, by: principal, then: value(RevokeReply.self))
    case .revoke:
      operations.revoke(
        request["name"], credential: request["id"], by: principal, then: value(RevokeReply.self))
    case .accountDND:
      let wanted: DoNotDisturb = try RESTRoutes.body(request)
      if let device, device.account.rawValue != request["name"] { throw RESTRoutes.notYours("account") }
      operations.setDoNotDisturb(
        account: request["name"], wanted.dnd, by: principal, then: value(DoNotDisturb.self))
    case .unitDND:
      let wanted: DoNotDisturb = try RESTRoutes.body(request)
      if let device, device.unit?.rawValue != request["number"] { throw RESTRoutes.notYours("unit") }
      operations.setDoNotDisturb(
        unit: request["number"], wanted.dnd, by: principal, then: value(DoNotDisturb.self))
    case .calls: answer((device.map { operations.calls(of: $0) } ?? operations.calls()).json)
    case .hangUp: nothing(operations.hangUp(call: request["id"], by: principal))
    case .callRecords:
      let before = request.query("before")
      if let before, WallTime(before) == nil {
        throw Problem(400, "\"before\" is no time", next: "write it as 2026-11-20T21:28:39Z")
      }
      operations.callRecords(
        limit: try RESTRoutes.number(request, "limit", default: 100, in: 1...1000), before: before,
        of: device, then: listing(CallView.self))
    case .callSnapshot:
      operations.snapshot(of: request["id"], request["moment"], by: device) { outcome in
        switch outcome {
        case .success(let jpeg):
          responder.reply(
            WebReply(operation.success, fields: ["Content-Type": "image/jpeg"], body: jpeg))
        case .failure(let problem): responder.reply(.problem(problem.status, problem.json))
        }
      }
    case .events: try events(request, device, responder)
    case .bans: answer(operations.bans().json)
    case .liftBan:
      guard let address = IPAddress(request["address"]) else {
        throw Problem(400, "\"\(request["address"])\" is no IP address", next: "see `vestibule bans`")
      }
      operations.liftBan(address: address.description, by: principal, then: nothing)
    case .openDoor: try openDoor(request, by: principal, then: value(OpenReply.self))
    case .ring:
      value(RingTicket.self)(operations.ring(try RESTRoutes.body(request), by: principal))
    case .ringReport: value(RingView.self)(operations.ringReport(request["id"]))
    case .session: answer(operations.session(of: try RESTRoutes.own(device)).json)
    case .openSession: try openSession(request, responder)
    case .endSession:
      let isSecure = request.peer.isSecure
      operations.forget(try RESTRoutes.own(device)) { outcome in
        switch outcome {
        case .success:
          responder.reply(
            WebReply(
              operation.success, fields: ["Set-Cookie": WebGuard.cookie("", isSecure: isSecure)]))
        case .failure(let problem): responder.reply(.problem(problem.status, problem.json))
        }
      }
    case .answerCall: try answerCall(request, try RESTRoutes.own(device), responder)
    case .declineCall:
      operations.answers.decline(request["id"], by: try RESTRoutes.own(device), then: nothing)
    case .trickle: try trickle(request, try RESTRoutes.own(device), responder)
    case .hangUpAnswer:
      operations.answers.hangUp(
        request["id"], leg: request["leg"], by: try RESTRoutes.own(device), then: nothing)
    case .cameraToken:
      value(CameraToken.self)(operations.cameraToken(request["id"], by: principal))
    case .backup:
      operations.backup(by: principal) { outcome in
        switch outcome {
        case .success(let bytes):
          responder.reply(
            WebReply(
              operation.success, fields: ["Content-Type": "application/vnd.sqlite3"], body: bytes))
        case .failure(let problem): responder.reply(.problem(problem.status, problem.json))
        }
      }
    case .restore:
      try RESTRoutes.expect("application/vnd.sqlite3", request)
      operations.restore(request.body, by: principal, then: value(RestoreReply.self))
    case .supportBundle: operations.supportBundle(then: completion { $0 })
    case .maintenance:
      let wanted: Maintenance = try RESTRoutes.body(request)
      operations.setMaintenance(wanted.on, by: principal, then: value(Maintenance.self))
    case .description: answer(APIDescription.document)
    }
  }

  /// A command with a key that was seen before is not given again: its first answer is.
  private func openDoor(
    _ request: WebRequest, by principal: Principal, then: @escaping Completion<OpenReply>
  ) throws(Problem) {
    let door = request["id"]
    var issued: WallTime?
    if let text = request.head.fields["Issued-At"] {
      guard let time = WallTime(text) else {
        throw Problem(400, "Issued-At is no time", next: "write it as 2026-11-20T21:28:39.000Z")
      }
      issued = time
    }
    guard let key = request.head.fields["Idempotency-Key"] else {
      operations.openDoor(door, by: principal, key: nil, issued: issued, then: then)
      return
    }
    guard (1...128).contains(key.utf8.count) else {
      throw Problem(400, "an Idempotency-Key has 1 to 128 characters")
    }
    let command = RepeatedCommands.Key(principal: principal, door: door, key: key)
    guard commands.begin(command, now: clock(), then: then) else { return }
    operations.openDoor(door, by: principal, key: key, issued: issued) { [self] outcome in
      commands.finish(command, outcome)
    }
  }

  /// What a listener asks for: the events after an id, and whether it is a device that rings.
  private static func wish(_ request: WebRequest) throws(Problem) -> (after: Int?, rings: Bool) {
    var after: Int?
    if let text = request.head.fields["Last-Event-ID"] ?? request.query("after") {
      guard let id = Int(text), id >= 0 else { throw Problem(400, "\"\(text)\" is no id of an event") }
      after = id
    }
    return (after, request.query("rings") == nil ? true : try flag(request, "rings"))
  }

  private func events(
    _ request: WebRequest, _ device: DeviceScope?, _ responder: Responder
  ) throws(Problem) {
    let (after, rings) = try RESTRoutes.wish(request)
    if request.head.fields["Accept"] == "application/json" {
      responder.reply(.json(200, feed.events(after: after, for: device).json))
      return
    }
    guard !feed.isFull(for: device) else { throw RESTRoutes.tooManyListeners }
    guard let stream = responder.openEvents() else { return }
    follow(.stream(stream), device, after, rings: rings)
  }

  /// The same over a WebSocket: each event is one message. Who may not listen hears why as the channel closes.
  private func events(_ request: WebRequest, _ channel: WebChannel) {
    do throws(Problem) {
      let device = try principal(request).device
      let (after, rings) = try RESTRoutes.wish(request)
      guard !feed.isFull(for: device) else { throw RESTRoutes.tooManyListeners }
      follow(.channel(channel), device, after, rings: rings)
    } catch {
      channel.dismiss(error.status == 503 ? .tooMuch : .notAllowed, reason: error.title)
    }
  }

  private static var tooManyListeners: Problem {
    Problem(503, "too many listeners", next: "end one of the others")
  }

  private func follow(_ outlet: EventOutlet, _ device: DeviceScope?, _ after: Int?, rings: Bool) {
    guard let device, rings else { return feed.add(outlet, for: device, after: after) }
    feed.add(outlet, for: device, after: after) { [weak self] in self?.operations.attends(device, false) }
    operations.attends(device, true)
  }

  // MARK: Devices

  private static func own(_ device: DeviceScope?) throws(Problem) -> DeviceScope {
    guard let device else {
      throw Problem(403, "only a device has this", next: "show the bearer token of one")
    }
    return device
  }

  private static func notYours(_ what: String) -> Problem {
    Problem(403, "this is not your \(what)", next: "ask an operator")
  }

  /// The page shows the token that it was given, once, and has it as a cookie from then on.
  private func openSession(_ request: WebRequest, _ responder: Responder) throws(Problem) {
    guard case .device = request.identity, let token = WebGuard.bearer(request.head) else {
      throw Problem(401, "a bearer token is needed", next: "enrol this device with a new link")
    }
    if request.head.fields.contains("Origin"),
      !warden.isOwnOrigin(request.head, isSecure: request.peer.isSecure)
    {
      throw Problem(403, "cookies are for pages of this gateway", next: "keep the bearer token")
    }
    responder.reply(
      WebReply(
        APIOperation.openSession.success,
        fields: ["Set-Cookie": WebGuard.cookie(token, isSecure: request.peer.isSecure)]))
  }

  private func answerCall(
    _ request: WebRequest, _ device: DeviceScope, _ responder: Responder
  ) throws(Problem) {
    try RESTRoutes.expect("application/sdp", request)
    let call = request["id"]
    operations.answers.answer(call, by: device, from: request.peer.address, offer: request.body) { outcome in
      switch outcome {
      case .success(let answer):
        responder.reply(
          WebReply(
            APIOperation.answerCall.success,
            fields: [
              "Content-Type": "application/sdp",
              "Location": APIOperation.hangUpAnswer.target([call, answer.leg]),
              "ETag": "\"\(answer.tag)\"", "Accept-Patch": "application/trickle-ice-sdpfrag",
            ], body: answer.description))
      case .failure(let problem): responder.reply(.problem(problem.status, problem.json))
      }
    }
  }

  private func trickle(
    _ request: WebRequest, _ device: DeviceScope, _ responder: Responder
  ) throws(Problem) {
    try RESTRoutes.expect("application/trickle-ice-sdpfrag", request)
    let tag = request.head.fields["If-Match"].map { $0.split(separator: "\"").joined() }
    operations.answers.trickle(
      request["id"], leg: request["leg"], by: device, fragment: request.body, tag: tag
    ) { outcome in
      switch outcome {
      case .success(nil): responder.reply(WebReply(APIOperation.trickle.success))
      case .success(let answer?):
        responder.reply(
          WebReply(
            200,
            fields: ["Content-Type": "application/trickle-ice-sdpfrag", "ETag": "\"\(answer.tag)\""],
            body: answer.description))
      case .failure(let problem): responder.reply(.problem(problem.status, problem.json))
      }
    }
  }

  private static func expect(_ type: String, _ request: WebRequest) throws(Problem) {
    let given = request.head.fields["Content-Type"].map { $0.prefix { $0 != ";" && $0 != " " } } ?? ""
    guard ASCII.equalIgnoringCase(String(given), type) else {
      throw Problem(415, "this takes \(type)", next: "say so in Content-Type")
    }
  }

  // MARK: Reading requests

  private static func body<Value: APIValue>(_ request: WebRequest) throws(Problem) -> Value {
    do throws(APIFault) {
      return try Value(request: request.body)
    } catch {
      var problem = Problem.faulty(error.errors)
      problem.status = 400
      throw problem
    }
  }

  private static func flag(_ request: WebRequest, _ name: String) throws(Problem) -> Bool {
    switch request.query(name) {
    case nil, "false": return false
    case "true": return true
    case let other?: throw Problem(400, "\"\(name)\" is true or false, not \"\(other)\"")
    }
  }

  private static func number(
    _ request: WebRequest, _ name: String, default fallback: Int, in range: ClosedRange<Int>
  ) throws(Problem) -> Int {
    guard let text = request.query(name) else { return fallback }
    guard let value = Int(text), range.contains(value) else {
      throw Problem(400, "\"\(name)\" is a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }
}
