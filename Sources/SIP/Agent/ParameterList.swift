internal import Wire

/// A header value of the shape `head;name=value;flag`: Reason, Replaces, Session-Expires and their like.
struct ParameterList {
  /// What stands before the first `;`, without blanks.
  var head: String
  private var parameters: Parameters

  /// The value of a parameter without quotes, compared without case; empty for a flag.
  subscript(name: String) -> String? { parameters[name] }

  init(_ text: String) {
    let bytes = Array(text.utf8)
    let split = bytes.firstIndex(of: UInt8(ascii: ";")) ?? bytes.count
    var start = 0
    var end = split
    while start < end, ASCII.isBlank(bytes[start]) { start += 1 }
    while end > start, ASCII.isBlank(bytes[end - 1]) { end -= 1 }
    head = String(decoding: bytes[start..<end], as: UTF8.self)
    parameters = Parameters(bytes.span, split..<bytes.count)
  }
}
