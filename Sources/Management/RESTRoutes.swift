internal import API
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
  private let clock: () -> Instant
  private var commands = RepeatedCommands()

  /// `clock` is asked when a repeated command is recognised.
  package init(operations: any Operations, feed: EventFeed, clock: @escaping () -> Instant) {
    self.operations = operations
    self.feed = feed
    self.clock = clock
  }

  /// A router with every route of management. It keeps this object alive.
  package func makeRouter() -> Router {
    var router = Router(authorise: RESTRoutes.authorise)
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
          operation.method, operation.path, access: .operator, bodyLimit: operation.bodyLimit
        ) { [self] request, responder in
          perform(operation, request, responder)
        })
    }
    return router
  }

  // MARK: Who may ask

  /// The control socket serves whoever the kernel says is permitted. Over the network there are no operators yet.
  static func authorise(_ head: HTTPRequest, _ peer: WebPeer, _ access: WebAccess) -> WebReply? {
    switch (peer, access) {
    case (_, .open): return nil
    case (.local(let peer), .machine), (.local(let peer), .operator):
      if peer.isPermitted { return nil }
      return .problem(
        403, "\(peer.user) may not use the control socket",
        next: "run as root, or join the group vestibule and log in again")
    case (.remote(let endpoint, _), .machine):
      return endpoint.address.isLoopback ? nil : unauthorised
    case (.remote, .operator): return unauthorised
    }
  }

  private static var unauthorised: WebReply {
    var reply = WebReply.problem(401, "a token is needed", next: "use the control socket")
    reply.fields.append("WWW-Authenticate", "Bearer")
    return reply
  }

  static func principal(_ peer: WebPeer) -> Principal {
    switch peer {
    case .local(let peer): Principal("local:\(peer.user)")
    case .remote(let endpoint, _): Principal("remote:\(endpoint.address)")
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
    let principal = RESTRoutes.principal(request.peer)
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
    case .doors: answer(operations.doors().json)
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
      operations.setDoNotDisturb(
        account: request["name"], wanted.dnd, by: principal, then: value(DoNotDisturb.self))
    case .unitDND:
      let wanted: DoNotDisturb = try RESTRoutes.body(request)
      operations.setDoNotDisturb(
        unit: request["number"], wanted.dnd, by: principal, then: value(DoNotDisturb.self))
    case .calls: answer(operations.calls().json)
    case .hangUp: nothing(operations.hangUp(call: request["id"], by: principal))
    case .callRecords:
      let before = request.query("before")
      if let before, WallTime(before) == nil {
        throw Problem(400, "\"before\" is no time", next: "write it as 2026-11-20T21:28:39Z")
      }
      operations.callRecords(
        limit: try RESTRoutes.number(request, "limit", default: 100, in: 1...1000), before: before,
        then: listing(CallView.self))
    case .events: try events(request, responder)
    case .bans: answer(operations.bans().json)
    case .liftBan:
      guard let address = IPAddress(request["address"]) else {
        throw Problem(400, "\"\(request["address"])\" is no IP address", next: "see `vestibule bans`")
      }
      operations.liftBan(address: address.description, by: principal, then: nothing)
    case .openDoor: openDoor(request, by: principal, then: value(OpenReply.self))
    case .ring:
      value(RingTicket.self)(operations.ring(try RESTRoutes.body(request), by: principal))
    case .ringReport: value(RingView.self)(operations.ringReport(request["id"]))
    case .description: answer(APIDescription.document)
    }
  }

  /// A command with a key that was seen before is not given again: its first answer is.
  private func openDoor(_ request: WebRequest, by principal: Principal, then: @escaping Completion<OpenReply>)
  {
    let door = request["id"]
    guard let key = request.head.fields["Idempotency-Key"], !key.isEmpty, key.utf8.count <= 128 else {
      operations.openDoor(door, by: principal, then: then)
      return
    }
    let command = RepeatedCommands.Key(principal: principal, door: door, key: key)
    guard commands.begin(command, now: clock(), then: then) else { return }
    operations.openDoor(door, by: principal) { [self] outcome in commands.finish(command, outcome) }
  }

  private func events(_ request: WebRequest, _ responder: Responder) throws(Problem) {
    var after: Int?
    if let text = request.query("after") ?? request.head.fields["Last-Event-ID"] {
      guard let id = Int(text), id >= 0 else { throw Problem(400, "\"\(text)\" is no id of an event") }
      after = id
    }
    if request.head.fields["Accept"] == "application/json" {
      responder.reply(.json(200, feed.events(after: after).json))
      return
    }
    guard !feed.isFull else {
      throw Problem(503, "too many listeners", next: "end one of the others")
    }
    guard let stream = responder.openEvents() else { return }
    feed.add(stream, after: after)
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
