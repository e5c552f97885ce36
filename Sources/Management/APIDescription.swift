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
        paths.map { JSONField($0.path, .object($0.operations)) } + ViewingDescription.paths),
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
    if operation == .openDoor {
      parameters.append(
        [
          "name": "Idempotency-Key", "in": "header",
          "description": "a command repeated with the same key is carried out once",
          "schema": ["type": "string"],
        ])
    }
    if !parameters.isEmpty { fields.append(JSONField("parameters", .array(parameters))) }
    if let (type, example) = requestBody(operation) {
      fields.append(JSONField("requestBody", ["content": content(type, example)]))
    }
    var success: JSONValue = ["description": .string(HTTPResponse.reason(operation.success))]
    if let (type, example) = replyBody(operation) {
      success = [
        "description": .string(HTTPResponse.reason(operation.success)), "content": content(type, example),
      ]
    }
    fields.append(
      JSONField(
        "responses",
        .object([
          JSONField("\(operation.success)", success),
          JSONField(
            "default",
            [
              "description": "a problem (RFC 9457)",
              "content": content("application/problem+json", Problem.example.json),
            ]),
        ])))
    return .object(fields)
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
