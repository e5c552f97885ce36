/// What a request asks for. Methods compare with case (RFC 3261, 7.1), so `invite` is not INVITE.
package enum Method: Hashable, Sendable {
  case invite, ack, bye, cancel, register, options, info, update, prack, refer, notify, subscribe, message
  case publish
  /// A method we do not know, as written.
  case other(String)

  package init(_ text: String) {
    switch text {
    case "INVITE": self = .invite
    case "ACK": self = .ack
    case "BYE": self = .bye
    case "CANCEL": self = .cancel
    case "REGISTER": self = .register
    case "OPTIONS": self = .options
    case "INFO": self = .info
    case "UPDATE": self = .update
    case "PRACK": self = .prack
    case "REFER": self = .refer
    case "NOTIFY": self = .notify
    case "SUBSCRIBE": self = .subscribe
    case "MESSAGE": self = .message
    case "PUBLISH": self = .publish
    default: self = .other(text)
    }
  }

  package var text: String {
    switch self {
    case .invite: "INVITE"
    case .ack: "ACK"
    case .bye: "BYE"
    case .cancel: "CANCEL"
    case .register: "REGISTER"
    case .options: "OPTIONS"
    case .info: "INFO"
    case .update: "UPDATE"
    case .prack: "PRACK"
    case .refer: "REFER"
    case .notify: "NOTIFY"
    case .subscribe: "SUBSCRIBE"
    case .message: "MESSAGE"
    case .publish: "PUBLISH"
    case .other(let text): text
    }
  }

  package var isKnown: Bool {
    if case .other = self { return false }
    return true
  }
}

extension Method: CustomStringConvertible {
  package var description: String { text }
}
