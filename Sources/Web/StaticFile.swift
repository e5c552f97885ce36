internal import Crypto
package import HTTP
internal import Wire

/// A file that is part of the program, served as it is. Browsers ask whether it has changed each time, and get it anew
/// only then.
package struct StaticFile: Sendable {
  package let bytes: [UInt8]
  package let fields: HTTPFields
  private let tag: String

  /// `fields` go with it beside its type.
  package init(_ bytes: [UInt8], type: String, fields: HTTPFields = HTTPFields()) {
    self.bytes = bytes
    tag = "\"\(ASCII.hex(Array(Digest.sha256(bytes).prefix(8))))\""
    var all: HTTPFields = ["Content-Type": type, "Cache-Control": "no-cache", "ETag": tag]
    for field in fields.lines { all.append(field.name, field.value) }
    self.fields = all
  }

  package func reply(to request: HTTPRequest) -> WebReply {
    let known = request.fields.elements("If-None-Match")
    guard !known.contains(tag), !known.contains("*"), !known.contains("W/" + tag) else {
      return WebReply(304, fields: fields)
    }
    return WebReply(200, fields: fields, body: bytes)
  }
}
