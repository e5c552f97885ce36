internal import Wire

/// Tools that only look for open doors; a gateway that answers them is written down and come back to.
package enum Scanners {
  private static let names = ["friendly-scanner", "sipvicious", "sipcli", "vaxsipuseragent", "pplsip"]

  /// Whether a request's User-Agent names one of them, whatever the letters' case and whatever follows.
  package static func sent(_ request: Message) -> Bool {
    names.contains { request.hasValue(.userAgent, beginning: $0) }
  }

  /// The same of the value alone.
  package static func include(_ agent: String) -> Bool {
    names.contains { ASCII.equalIgnoringCase(String(agent.prefix($0.count)), $0) }
  }
}
