internal import API
internal import HTTP
internal import JSON

/// The OpenAPI document, drawn from the table of operations and the examples of its values.
enum APIDescription {
  static var document: JSONValue {
    var paths: [(path: String, operations: [JSONField])] = []
    for operation in APIOperation.allCases {
      let field = JSONField(operation.method.name.lowercased(), describe(operation))
      if let place = paths.firstIndex(where: { $0.path == operation.path }) {
        paths[place].operations.append(field)
      } else {
        paths.append((operation.path, [field]))
      }
    }
    return [
      "openapi": "3.1.0",
      "info": [
        "title": "Vestibule", "version": "1",
        "description":
          "Times are RFC 3339 in UTC, lengths of time whole milliseconds. Members may be null where nothing is known, and more may be added.",
      ],
      "paths": .object(
        paths.map { JSONField($0.path, .object($0.operations)) } + [enrolment] + ViewingDescription.paths),
    ]
  }

  private static func describe(_ operation: APIOperation) -> JSONValue {
    var fields = [
      JSONField("operationId", .string(operation.rawValue)), JSONField("summary", .string(operation.summary)),
    ]
    var parameters: [JSONValue] = operation.path.split(separator: "/").filter { $0.first == "{" }.map {
      [
        "name": .string(String($0.dropFirst().dropLast())), "in": "path", "required": true,
        "schema": ["type": "string"],
      ]
    }
    parameters += operation.query.map {
      [
        "name": .string($0.name), "in": "query", "description": .string($0.meaning),
        "schema": ["type": "string"],
      ]
    }
    parameters += requestHeaders(operation).map {
      [
        "name": .string($0.name), "in": "header", "description": .string($0.meaning),
        "schema": ["type": "string"],
      ]
    }
    if !parameters.isEmpty { fields.append(JSONField("parameters", .array(parameters))) }
    if let (type, example) = requestBody(operation) {
      fields.append(JSONField("requestBody", ["content": content(type, example)]))
    }
    var responses = [
      JSONField(
        "\(operation.success)",
        response(
          HTTPResponse.reason(operation.success), headers: replyHeaders(operation), replyBody(operation)))
    ]
    if operation == .trickle {
      responses.append(
        JSONField(
          "200",
          response(
            "ICE was restarted: our side of it, with a new ETag", headers: [("ETag", generation)],
            ("application/trickle-ice-sdpfrag", nil))))
    }
    responses += refusals(operation).map { JSONField("\($0.status)", problem($0.meaning)) }
    responses.append(JSONField("default", problem("a problem (RFC 9457)")))
    fields.append(JSONField("responses", .object(responses)))
    return .object(fields)
  }

  private static func response(
    _ meaning: String, headers: [(name: String, meaning: String)] = [],
    _ body: (type: String, example: JSONValue?)?
  ) -> JSONValue {
    var fields = [JSONField("description", .string(meaning))]
    if !headers.isEmpty {
      fields.append(
        JSONField(
          "headers",
          .object(
            headers.map {
              JSONField($0.name, ["description": .string($0.meaning), "schema": ["type": "string"]])
            })))
    }
    if let body { fields.append(JSONField("content", content(body.type, body.example))) }
    return .object(fields)
  }

  private static func problem(_ meaning: String) -> JSONValue {
    response(meaning, ("application/problem+json", Problem.example.json))
  }

  // MARK: Headers and refusals

  private static let generation = "names this generation of ICE"

  private static func requestHeaders(_ operation: APIOperation) -> [(name: String, meaning: String)] {
    switch operation {
    case .openDoor:
      [
        ("Idempotency-Key", "a command repeated with the same key is carried out once"),
        (
          "Issued-At", "when it was given, by the gateway's clock (see session): after 5 s it opens nothing"
        ),
      ]
    case .trickle:
      [
        (
          "If-Match",
          "the ETag that was given last; \"*\" with new credentials restarts ICE; absent: the candidates count for the newest"
        )
      ]
    case .events: [("Last-Event-ID", "the same as \"after\"")]
    default: []
    }
  }

  private static func replyHeaders(_ operation: APIOperation) -> [(name: String, meaning: String)] {
    switch operation {
    case .answerCall:
      [
        ("Location", "the conversation: PATCH takes further candidates, DELETE hangs up"),
        ("ETag", generation), ("Accept-Patch", "application/trickle-ice-sdpfrag"),
      ]
    case .openSession, .endSession: [("Set-Cookie", "the session's cookie")]
    default: []
    }
  }

  /// Refusals that say something of their own.
  private static func refusals(_ operation: APIOperation) -> [(status: Int, meaning: String)] {
    let gone: [(status: Int, meaning: String)] = [
      (404, "no such call rings or talks here"), (409, "somebody else has answered"),
      (410, "the call is over"),
    ]
    return switch operation {
    case .answerCall:
      gone + [
        (406, "the browser and the caller share no kind of sound"),
        (503, "no room for one more conversation"),
      ]
    case .declineCall: gone
    case .trickle: gone + [(412, "about an earlier generation of ICE")]
    case .hangUpAnswer: [(404, "no such call talks here")]
    case .openDoor: [(403, "not your door, or not at this hour: \"detail\" says which")]
    case .cameraToken: [(403, "this camera may not be seen now")]
    default: []
    }
  }

  /// Where devices redeem their links; it stands beside `/api/v1` and takes no token.
  private static var enrolment: JSONField {
    let token: JSONValue = ["name": "token", "in": "path", "required": true, "schema": ["type": "string"]]
    let format: JSONValue = [
      "name": "format", "in": "query", "description": "json, unless linphone or akuvox",
      "schema": ["type": "string", "enum": ["json", "linphone", "akuvox"]],
    ]
    func redeeming(_ name: String) -> JSONValue {
      [
        "operationId": .string(name),
        "summary": "Redeems a one-time link. The same address may repeat it for 60 s.",
        "responses": .object(
          [JSONField("200", response("OK", ("application/json", credential)))]
            + [
              (404, "this is no link"), (410, "it was used, has expired or was never given"),
              (429, "too many failures from this address: Retry-After"),
              (503, "the credential could not be stored: the link is still good"),
            ].map { JSONField("\($0.0)", problem($0.1)) }),
      ]
    }
    return JSONField(
      "/provision/{token}",
      [
        "parameters": [token, format], "get": redeeming("redeemByGet"), "post": redeeming("redeem"),
      ])
  }

  private static var credential: JSONValue {
    [
      "username": "web401", "secret": "5d0c9b8a7f6e4d3c2b1a09f8e7d6c5b4", "domain": "vestibule.local",
      "sip": [
        "udp": "sip:192.0.2.1:5060;transport=udp", "tcp": "sip:192.0.2.1:5060;transport=tcp",
        "tls": "sip:192.0.2.1:5061;transport=tls", "wss": "wss://192.0.2.1:8443/ws",
      ],
      "bearer": "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "whep": ["https://192.0.2.1:8443/whep/entrance"],
      "expires": "2026-11-20T21:38:39.000Z",
    ]
  }

  private static func content(_ type: String, _ example: JSONValue?) -> JSONValue {
    guard let example else { return .object([JSONField(type, .object([]))]) }
    return .object([JSONField(type, ["schema": schema(of: example), "example": example])])
  }

  private static func requestBody(_ operation: APIOperation) -> (type: String, example: JSONValue?)? {
    let json = "application/json"
    switch operation {
    case .applyDirectory: return ("application/json5", nil)
    case .enroll: return (json, EnrollRequest.example.json)
    case .accountDND, .unitDND: return (json, DoNotDisturb.example.json)
    case .ring: return (json, RingRequest.example.json)
    case .maintenance: return (json, ["on": true])
    case .restore: return ("application/vnd.sqlite3", nil)
    case .answerCall: return ("application/sdp", nil)
    case .trickle: return ("application/trickle-ice-sdpfrag", nil)
    case .status, .doctor, .exportDirectory, .units, .accounts, .stations, .cameras, .doors, .revokeAll,
      .revoke, .calls, .hangUp, .callRecords, .callSnapshot, .events, .bans, .liftBan, .openDoor, .ringReport,
      .session,
      .openSession, .endSession, .declineCall, .hangUpAnswer, .cameraToken, .backup, .supportBundle,
      .description:
      return nil
    }
  }

  private static func replyBody(_ operation: APIOperation) -> (type: String, example: JSONValue?)? {
    let json = "application/json"
    switch operation {
    case .status: return (json, StatusView.example.json)
    case .doctor: return (json, [CheckView.example.json])
    case .exportDirectory, .description: return (json, nil)
    case .applyDirectory: return (json, ApplyReply.example.json)
    case .units: return (json, [UnitView.example.json])
    case .accounts: return (json, [AccountView.example.json])
    case .stations: return (json, [StationView.example.json])
    case .cameras: return (json, [CameraView.example.json])
    case .doors: return (json, [DoorView.example.json])
    case .enroll: return (json, SIPCredential.example.json)
    case .revokeAll, .revoke: return (json, RevokeReply.example.json)
    case .accountDND, .unitDND: return (json, DoNotDisturb.example.json)
    case .calls, .callRecords: return (json, [CallView.example.json])
    case .callSnapshot: return ("image/jpeg", nil)
    case .events: return ("text/event-stream", EventView.example.json)
    case .bans: return (json, [BanView.example.json])
    case .openDoor: return (json, OpenReply.example.json)
    case .ring: return (json, RingTicket.example.json)
    case .ringReport: return (json, RingView.example.json)
    case .session: return (json, SessionView.example.json)
    case .cameraToken: return (json, CameraToken.example.json)
    case .answerCall: return ("application/sdp", nil)
    case .backup: return ("application/vnd.sqlite3", nil)
    case .restore: return (json, RestoreReply.example.json)
    case .supportBundle: return (json, nil)
    case .maintenance: return (json, Maintenance.example.json)
    case .hangUp, .liftBan, .openSession, .endSession, .declineCall, .trickle, .hangUpAnswer: return nil
    }
  }

  /// What values like this one have in common.
  static func schema(of example: JSONValue) -> JSONValue {
    switch example {
    case .null: [:]
    case .bool: ["type": "boolean"]
    case .integer: ["type": "integer"]
    case .number: ["type": "number"]
    case .string: ["type": "string"]
    case .array(let items):
      .object([
        JSONField("type", "array"), JSONField("items", items.first.map { schema(of: $0) } ?? .object([])),
      ])
    case .object(let fields):
      [
        "type": "object",
        "properties": .object(fields.map { JSONField($0.key, schema(of: $0.value)) }),
      ]
    }
  }
}
