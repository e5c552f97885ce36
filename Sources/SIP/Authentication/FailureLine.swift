package import Wire

/// One log line per failed authentication, in the words that Fail2Ban's stock filter for Asterisk reads.
package enum FailureLine {
  package enum Cause: Sendable, Hashable {
    /// A wrong response. An unknown account has the same line: the log is read by others too.
    case wrongSecret
    /// Who proved one account spoke for another.
    case foreignAccount
    /// The account does not register here, or not over this transport.
    case notAllowed
  }

  /// `NOTICE[123] vestibuled.c: Registration from '…' failed for '192.0.2.1:5060' - Wrong password`.
  ///
  /// What a peer wrote can neither end the line nor close the quotes. `process` is our process number.
  package static func text(
    _ request: Message, from source: Endpoint, cause: Cause, process: Int
  ) -> String {
    let from = clean(request.value(.from) ?? "")
    let why =
      switch cause {
      case .wrongSecret: "Wrong password"
      case .foreignAccount: "Username/auth name mismatch"
      case .notAllowed: "Device does not match ACL"
      }
    if request.method == .register {
      return "NOTICE[\(process)] vestibuled: Registration from '\(from)' failed for '\(source)' - \(why)"
    }
    return "NOTICE[\(process)] vestibuled: Request '\(request.method.text)' from '\(from)' failed for "
      + "'\(source)' (callid: \(clean(request.callID))) - Failed to authenticate"
  }

  /// Without quotes, parentheses and whatever is no letter of ASCII; at most 120 letters.
  private static func clean(_ text: String) -> String {
    var bytes: [UInt8] = []
    for byte in text.utf8.prefix(120) {
      let isKept =
        byte >= 32 && byte < 127 && byte != UInt8(ascii: "'") && byte != UInt8(ascii: "(")
        && byte != UInt8(ascii: ")")
      bytes.append(isKept ? byte : UInt8(ascii: "?"))
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
