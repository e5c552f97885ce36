/// What a request asks to be done (RFC 9110 section 9). Names are case-sensitive.
package enum HTTPMethod: Hashable, Sendable {
  case get, head, post, put, patch, delete, options
  case other(String)

  package init(_ name: String) {
    switch name {
    case "GET": self = .get
    case "HEAD": self = .head
    case "POST": self = .post
    case "PUT": self = .put
    case "PATCH": self = .patch
    case "DELETE": self = .delete
    case "OPTIONS": self = .options
    default: self = .other(name)
    }
  }

  package var name: String {
    switch self {
    case .get: "GET"
    case .head: "HEAD"
    case .post: "POST"
    case .put: "PUT"
    case .patch: "PATCH"
    case .delete: "DELETE"
    case .options: "OPTIONS"
    case .other(let name): name
    }
  }
}

package enum HTTPVersion: Hashable, Sendable {
  case http10, http11
}

/// The head of a request. Its body travels beside it.
package struct HTTPRequest: Hashable, Sendable {
  package var method: HTTPMethod
  /// Path with query, always beginning with `/` (an absolute URI is cut down to it), or `*`.
  package var target: String
  package var version: HTTPVersion
  package var fields: HTTPFields

  package init(
    _ method: HTTPMethod, _ target: String, fields: HTTPFields = HTTPFields(),
    version: HTTPVersion = .http11
  ) {
    self.method = method
    self.target = target
    self.fields = fields
    self.version = version
  }

  /// The target up to `?`, still escaped.
  package var path: String { String(target.prefix { $0 != "?" }) }
  /// What follows the first `?`, still escaped; nil without one.
  package var query: String? {
    target.firstIndex(of: "?").map { String(target[target.index(after: $0)...]) }
  }
}

/// The head of a response. Its body travels beside it.
package struct HTTPResponse: Hashable, Sendable {
  /// 100 to 599.
  package var status: Int
  package var fields: HTTPFields
  package var version: HTTPVersion

  package init(_ status: Int, fields: HTTPFields = HTTPFields(), version: HTTPVersion = .http11) {
    self.status = status
    self.fields = fields
    self.version = version
  }

  /// The phrase that goes with a status (RFC 9110 section 15); empty for one we never send.
  package static func reason(_ status: Int) -> String {
    switch status {
    case 100: "Continue"
    case 101: "Switching Protocols"
    case 200: "OK"
    case 201: "Created"
    case 202: "Accepted"
    case 204: "No Content"
    case 301: "Moved Permanently"
    case 303: "See Other"
    case 304: "Not Modified"
    case 307: "Temporary Redirect"
    case 308: "Permanent Redirect"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 406: "Not Acceptable"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 410: "Gone"
    case 411: "Length Required"
    case 413: "Content Too Large"
    case 414: "URI Too Long"
    case 415: "Unsupported Media Type"
    case 417: "Expectation Failed"
    case 421: "Misdirected Request"
    case 422: "Unprocessable Content"
    case 425: "Too Early"
    case 426: "Upgrade Required"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"
    case 502: "Bad Gateway"
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    case 505: "HTTP Version Not Supported"
    default: ""
    }
  }
}
