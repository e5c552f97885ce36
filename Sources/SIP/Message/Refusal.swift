package import Wire

/// Answers to what could not be parsed: a 400 or its like, made of whatever the message still shows.
package enum Refusal {
  /// The response to the bytes that `error` was thrown for; nil when there is nothing to answer (a response, an
  /// ACK), nothing to answer with (no Via), or a scanner asks. It is sent back to where the bytes came from.
  package static func response(
    to bytes: Span<UInt8>, for error: SIPParseError, tag: String, source: Endpoint
  ) -> [UInt8]? {
    guard let status = error.status else { return nil }
    var index = HeadIndex()
    // The fields before the trouble are indexed whatever the outcome.
    _ = try? index.index(bytes)
    let table = HeaderTable.shared
    var hasVia = false
    var answer: [UInt8] = []
    Response.appendStatusLine(
      status, status == 400 ? error.reason : nil, to: &answer)
    var copied: Set<HeaderName> = []
    for field in index.fields {
      guard let name = table.find(field.nameKey, field.name, bytes) else { continue }
      switch name {
      case .via:
        answer.append(ascii: "Via: ")
        if !hasVia, let via = Grammar.via(bytes, Int(field.valueStart), Int(field.valueEnd)) {
          Response.appendTopVia(bytes, field.value, via, source, to: &answer)
        } else {
          Text.appendUnfolded(bytes, field.value, to: &answer)
        }
        answer.append(ascii: "\r\n")
        hasVia = true
      case .from, .callID, .cseq, .to:
        guard copied.insert(name).inserted else { continue }
        answer.append(ascii: name.text)
        answer.append(ascii: ": ")
        Text.appendUnfolded(bytes, field.value, to: &answer)
        if name == .to, let parts = Grammar.address(bytes, Int(field.valueStart), Int(field.valueEnd)),
          parts.end == Int(field.valueEnd), parts.tag == nil
        {
          answer.append(ascii: ";tag=")
          Text.append(tag, to: &answer)
        }
        answer.append(ascii: "\r\n")
      case .userAgent:
        var agent: [UInt8] = []
        Text.appendUnfolded(bytes, field.value, to: &agent)
        if Scanners.include(String(decoding: agent, as: UTF8.self)) { return nil }
      default: continue
      }
    }
    guard hasVia else { return nil }
    answer.append(ascii: "Content-Length: 0\r\n\r\n")
    return answer
  }
}
