internal import JSON

/// What stands beside `/api/v1` and takes the same tokens: looking through cameras, in OpenAPI's words.
enum ViewingDescription {
  static let paths: [JSONField] = [
    JSONField(
      "/whep/{camera}",
      [
        "parameters": .array([parameter("camera")]),
        "post": .object(
          operation(
            "watch", "Begins to look: an SDP offer in, its answer out (draft-ietf-wish-whep).",
            body: "application/sdp",
            [
              (
                "201",
                "The answer; Location is the session, ETag its generation of ICE, Link names servers for ICE."
              ),
              (
                "406",
                "A counter-offer (application/sdp) where the offer has no line for pictures; a problem where no codec fits."
              ),
              ("409", "The camera shows nothing now: the reason, and Retry-After."),
              ("503", "Too many look: Retry-After."),
            ])),
        "get": .object(
          operation("describeWatching", "No content: says that offers may be posted.", [("200", "OK")])),
      ]),
    JSONField(
      "/whep/{camera}/{session}",
      [
        "parameters": .array([parameter("camera"), parameter("session")]),
        "patch": .object(
          operation(
            "changeWatching",
            "Adds ICE candidates, or restarts ICE with new credentials. If-Match names the generation of ICE.",
            body: "application/trickle-ice-sdpfrag",
            [
              ("200", "ICE was restarted: our side of it, with a new ETag."), ("204", "Taken."),
              ("412", "About an earlier generation of ICE."), ("428", "If-Match is missing."),
            ])),
        "delete": .object(operation("stopWatching", "Ends the session.", [("200", "OK")])),
        "get": .object(operation("describeSession", "No content: the session stands.", [("200", "OK")])),
      ]),
    JSONField(
      "/snapshot/{camera}.jpg",
      [
        "parameters": .array([parameter("camera")]),
        "get": .object(
          operation(
            "snapshot", "The newest picture of a camera, as JPEG.",
            [("200", "The picture."), ("409", "The camera shows nothing now: the reason, and Retry-After.")])),
      ]),
  ]

  private static func parameter(_ name: String) -> JSONValue {
    ["name": .string(name), "in": "path", "required": true, "schema": ["type": "string"]]
  }

  private static func operation(
    _ name: String, _ summary: String, body: String? = nil, _ responses: [(status: String, meaning: String)]
  ) -> [JSONField] {
    var fields = [JSONField("operationId", .string(name)), JSONField("summary", .string(summary))]
    if let body {
      fields.append(
        JSONField("requestBody", ["content": .object([JSONField(body, .object([]))])]))
    }
    let refusals = [
      ("401", "A token that may see this camera is needed."), ("403", "Not now, or not yours."),
      ("404", "There is no such camera or session."),
    ]
    fields.append(
      JSONField(
        "responses",
        .object(
          (responses + refusals).map { JSONField($0.0, ["description": .string($0.1)]) })))
    return fields
  }
}
