internal import Wire

/// Why a request was sent (RFC 3326): a SIP status or a Q.850 cause, with words.
package struct Reason: Sendable, Hashable {
  package enum Source: Sendable, Hashable { case sip, q850 }

  package var source: Source
  package var cause: Int
  package var text: String

  package init(_ source: Source = .sip, cause: Int, text: String = "") {
    self.source = source
    self.cause = cause
    self.text = text
  }

  /// Another device took the call.
  package static let completedElsewhere = Reason(cause: 200, text: "Call completed elsewhere")

  /// The value of the header field.
  package var value: String {
    let result = source == .sip ? "SIP;cause=\(cause)" : "Q.850;cause=\(cause)"
    // Nothing that could end the line or the string may come from a reason that a peer gave.
    let words = text.utf8.lazy.map { $0 < 32 || $0 == 127 ? 32 : $0 }
    return text.isEmpty ? result : result + ";text=" + ASCII.quoted(words)
  }

  /// Reads one value; nil for protocols other than SIP and Q.850, and without a cause.
  package init?(_ value: String) {
    let parts = ParameterList(value)
    if ASCII.equalIgnoringCase(parts.head, "SIP") {
      source = .sip
    } else if ASCII.equalIgnoringCase(parts.head, "Q.850") {
      source = .q850
    } else {
      return nil
    }
    guard let text = parts["cause"], let cause = Int(text), (0...999).contains(cause) else { return nil }
    self.cause = cause
    self.text = parts["text"] ?? ""
  }

  /// The reason of a message: SIP before Q.850.
  init?(in values: [String]) {
    let all = values.compactMap { Reason($0) }
    guard let best = all.first(where: { $0.source == .sip }) ?? all.first else { return nil }
    self = best
  }
}
