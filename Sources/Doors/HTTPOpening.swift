internal import Crypto
internal import Directory
internal import HTTP
internal import Wire

/// The forms in which door stations of the Akuvox family take the order to open, newest first.
enum HTTPVariant: Int, Hashable, Sendable, CaseIterable {
  /// `GET /fcgi/OpenDoor`, digest.
  case secure
  /// `GET /fcgi/do`, name and password in the query.
  case legacy
  /// `POST /api/relay/trig`, JSON.
  case trigger
}

/// One opening through a device's web interface, as a machine: it makes requests and reads answers.
///
/// It goes on to the next variant only after an answer that says for certain that nothing moved (there is no such
/// page, it is switched off). Anything unclear ends it as unknown: a second order might be a second pulse. Sending,
/// and the limit of time, are its owner's.
struct HTTPOpening {
  /// What to do next.
  enum Step {
    case send(Fetch)
    case done(DoorResult)
  }

  private let actuator: HTTPActuator
  private let target: Target
  private let password: String
  private var pin: String?
  private let pulse: Interval
  private(set) var variant: HTTPVariant
  private var left: [HTTPVariant]
  private var clientNonces: Random
  /// Demands answered in this variant: the second is a refusal, unless it only calls our nonce stale.
  private var answered = 0
  /// The most telling reason of the variants that were passed over.
  private var excuse = "no known way to open"

  struct Target: Hashable, Sendable {
    var isSecure: Bool
    var host: String
    var port: UInt16
    /// Path ahead of the device's own, without a slash at its end.
    var prefix: String
  }

  /// Nil when the actuator's address is none.
  init?(
    _ actuator: HTTPActuator, password: String, pin: String?, known: HTTPVariant?, pulse: Interval,
    random: Random
  ) {
    guard let target = Target(actuator.url) else { return nil }
    self.actuator = actuator
    self.target = target
    self.password = password
    self.pin = actuator.fingerprint ?? pin
    self.pulse = pulse
    clientNonces = random
    let first = known ?? .secure
    variant = first
    left = HTTPVariant.allCases.filter { $0 != first }
  }

  /// The first request of the variant at hand.
  func start() -> Fetch { fetch(authorization: nil) }

  /// Holds the device to the certificate it showed.
  mutating func pin(_ fingerprint: String) { pin = pin ?? fingerprint }

  /// Reads an answer.
  mutating func take(_ outcome: FetchOutcome) -> Step {
    switch outcome {
    case .notSent(let words):
      return .done(.refused(.unreachable(words)))
    case .lost(let words):
      return .done(.unknown(words))
    case .response(let response, let body, _):
      return take(response, Array(body.prefix(4096)))
    }
  }

  private mutating func take(_ response: HTTPResponse, _ body: [UInt8]) -> Step {
    switch response.status {
    case 200...299:
      return judge(body)
    case 401:
      return challenged(by: response)
    case 403:
      // No demand, only a no: the device lists the addresses it obeys.
      return .done(.refused(.device("403; the device's allow list does not have this gateway")))
    case 400, 404, 405, 501:
      return passOver("\(response.status)")
    case 503:
      return passOver("503; opening by HTTP is switched off in the device")
    case 300...399:
      // Followed by nobody: an order is not carried to where a device points.
      return passOver("\(response.status); the device redirects")
    default:
      // 5xx and whatever else: it may have acted before it failed.
      return .done(.unknown("the device answered \(response.status)"))
    }
  }

  private mutating func judge(_ body: [UInt8]) -> Step {
    let text = String(decoding: body, as: UTF8.self).lowercased()
    switch variant {
    case .secure:
      return text.contains("fail") || text.contains("error")
        ? .done(.refused(.device("it says it failed"))) : .done(.opened)
    case .legacy:
      if text.contains("please use new interface") || text.contains("use the new interface") {
        return passOver("the device wants its newer interface")
      }
      return text.contains("fail") || text.contains("error")
        ? .done(.refused(.device("it says it failed"))) : .done(.opened)
    case .trigger:
      guard let code = returnCode(text) else { return .done(.unknown("an answer without retcode")) }
      return code == "0" ? .done(.opened) : .done(.refused(.device("retcode \(code)")))
    }
  }

  private mutating func challenged(by response: HTTPResponse) -> Step {
    guard let user = actuator.username else { return .done(.refused(.deviceCredentials)) }
    // Under the legacy form name and password were in the query already.
    guard variant != .legacy else { return passOver("401") }
    let offers = response.fields.values("WWW-Authenticate").flatMap(AuthenticationChallenge.all)
    if let challenge = offers.digest(preferring: .md5) {
      guard answered == 0 || (answered == 1 && challenge.isStale) else {
        return .done(.refused(.deviceCredentials))
      }
      answered += 1
      let request = fetch(authorization: nil).request
      return .send(
        fetch(
          authorization: challenge.answer(
            request.method.name, request.target, user: user, password: password,
            clientNonce: clientNonces.hex(bytes: 8))))
    }
    if offers.contains(.basic), answered == 0 {
      answered += 1
      return .send(fetch(authorization: "Basic " + Base64.encode(Array("\(user):\(password)".utf8))))
    }
    return .done(.refused(.deviceCredentials))
  }

  private mutating func passOver(_ words: String) -> Step {
    // What was switched off tells more than what does not exist.
    if words.contains(";") || !excuse.contains(";") { excuse = words }
    guard !left.isEmpty else { return .done(.refused(.device(excuse))) }
    variant = left.removeFirst()
    answered = 0
    return .send(start())
  }

  private func fetch(authorization: String?) -> Fetch {
    var request: HTTPRequest
    var body: [UInt8] = []
    switch variant {
    case .secure:
      request = HTTPRequest(.get, target.prefix + "/fcgi/OpenDoor?action=OpenDoor&DoorNum=\(actuator.relay)")
    case .legacy:
      request = HTTPRequest(
        .get,
        target.prefix + "/fcgi/do?action=OpenDoor&UserName=\(PercentEncoding.encode(actuator.username ?? ""))"
          + "&Password=\(PercentEncoding.encode(password))&DoorNum=\(actuator.relay)")
    case .trigger:
      request = HTTPRequest(.post, target.prefix + "/api/relay/trig")
      // Whole seconds, at least one: the device itself lets go again.
      let seconds = max(1, (pulse.milliseconds + 999) / 1000)
      body = Array(
        ("{\"target\":\"relay\",\"action\":\"trig\",\"data\":{\"mode\":0,\"num\":\(actuator.relay),"
          + "\"level\":0,\"delay\":\(seconds)}}").utf8)
      request.fields.append("Content-Type", "application/json")
    }
    let isUsual = target.port == (target.isSecure ? 443 : 80)
    request.fields.append("Host", isUsual ? target.host : "\(target.host):\(target.port)")
    request.fields.append("Connection", "close")
    if let authorization { request.fields.append("Authorization", authorization) }
    return Fetch(
      isSecure: target.isSecure, host: target.host, port: target.port, request: request, body: body,
      fingerprint: pin)
  }

  /// The number after `"retcode":`. A whole JSON reader for one number would be the larger risk.
  private func returnCode(_ text: String) -> String? {
    let bytes = Array(text.utf8)
    let key = Array("\"retcode\"".utf8)
    guard bytes.count > key.count,
      let at = (0...bytes.count - key.count).first(where: { Array(bytes[$0..<$0 + key.count]) == key })
    else { return nil }
    var position = at + key.count
    while position < bytes.count, ASCII.isBlank(bytes[position]) || bytes[position] == UInt8(ascii: ":") {
      position += 1
    }
    let digits = bytes[position...].prefix { ASCII.isDigit($0) || $0 == UInt8(ascii: "-") }
    return digits.isEmpty ? nil : String(decoding: digits, as: UTF8.self)
  }
}

extension HTTPOpening.Target {
  /// `http://host[:port][/path]` or `https://…`; nil for anything else. IPv6 literals stand in brackets.
  init?(_ url: String) {
    let rest: Substring
    if url.hasPrefix("http://") {
      isSecure = false
      rest = url.dropFirst(7)
    } else if url.hasPrefix("https://") {
      isSecure = true
      rest = url.dropFirst(8)
    } else {
      return nil
    }
    let slash = rest.firstIndex(of: "/") ?? rest.endIndex
    let authority = rest[..<slash]
    guard !authority.isEmpty, !authority.contains("@"), authority.utf8.allSatisfy({ $0 > 32 && $0 < 127 })
    else {
      return nil
    }
    var prefix = String(rest[slash...])
    guard prefix.utf8.allSatisfy({ $0 > 32 && $0 < 127 }), !prefix.contains("?"), !prefix.contains("#") else {
      return nil
    }
    while prefix.hasSuffix("/") { prefix.removeLast() }
    self.prefix = prefix
    let afterBracket = authority.lastIndex(of: "]") ?? authority.startIndex
    if let colon = authority[afterBracket...].firstIndex(of: ":") {
      let digits = authority[authority.index(after: colon)...]
      guard digits.utf8.allSatisfy(ASCII.isDigit), let number = UInt16(digits), number != 0 else {
        return nil
      }
      host = String(authority[..<colon])
      port = number
    } else {
      host = String(authority)
      port = isSecure ? 443 : 80
    }
    guard !host.isEmpty else { return nil }
  }
}
