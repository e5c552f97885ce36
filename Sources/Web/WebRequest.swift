package import HTTP
package import JSON
package import Wire

/// Who is at the other end of a connection.
package enum WebPeer: Hashable, Sendable {
  /// A process on this machine, through the control socket; the kernel vouches for who it is.
  case local(LocalPeer)
  case remote(Endpoint, isSecure: Bool)
}

extension WebPeer {
  /// Where it comes from; nil for the control socket.
  package var address: IPAddress? {
    switch self {
    case .local: nil
    case .remote(let endpoint, _): endpoint.address
    }
  }
  package var isSecure: Bool {
    switch self {
    case .local: false
    case .remote(_, let isSecure): isSecure
    }
  }
}

/// A whole request, with what its route took from the path.
package struct WebRequest: Sendable {
  package var head: HTTPRequest
  package var peer: WebPeer
  /// Who sent it, as the route's access had to be proved.
  package var identity: WebIdentity
  /// What stood where the route's pattern has braces, unescaped, in order.
  package var parameters: [(name: String, value: String)]
  /// The query's pairs, unescaped, in order.
  package var query: [(name: String, value: String)]
  package var body: [UInt8]

  /// What stood at `{name}`. The pattern must have it.
  package subscript(_ name: String) -> String {
    guard let parameter = parameters.first(where: { $0.name == name }) else {
      preconditionFailure("the route has no {\(name)}")
    }
    return parameter.value
  }

  /// The first value of a query parameter.
  package func query(_ name: String) -> String? { query.first { $0.name == name }?.value }
}

/// A whole answer.
package struct WebReply: Equatable, Sendable {
  package var status: Int
  package var fields: HTTPFields
  package var body: [UInt8]

  package init(_ status: Int, fields: HTTPFields = HTTPFields(), body: [UInt8] = []) {
    self.status = status
    self.fields = fields
    self.body = body
  }

  package static func json(_ status: Int = 200, _ value: JSONValue) -> WebReply {
    WebReply(status, fields: ["Content-Type": "application/json"], body: value.bytes() + [10])
  }

  package static func text(_ status: Int = 200, _ text: String, type: String = "text/plain; charset=utf-8")
    -> WebReply
  {
    WebReply(status, fields: ["Content-Type": type], body: Array(text.utf8))
  }

  /// An error in the form of RFC 9457.
  package static func problem(_ status: Int, _ json: JSONValue, fields: HTTPFields = HTTPFields()) -> WebReply
  {
    var reply = WebReply.json(status, json)
    reply.fields.set("Content-Type", "application/problem+json")
    for field in fields.lines { reply.fields.append(field.name, field.value) }
    return reply
  }

  /// The same from a few words.
  package static func problem(_ status: Int, _ title: String, next: String? = nil) -> WebReply {
    var fields = [
      JSONField("type", "about:blank"), JSONField("title", .string(title)),
      JSONField("status", .integer(status)),
    ]
    if let next { fields.append(JSONField("next", .string(next))) }
    return .problem(status, .object(fields))
  }
}
