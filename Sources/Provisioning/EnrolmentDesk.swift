internal import HTTP
internal import JSON
package import Web
package import Wire

// Where devices redeem their one-time links. It finds the link, sees to it that one device alone gets what it is good
// for, and answers in the form that the device reads. The credential itself is made and stored by whoever keeps them
// (`CredentialMaker`); who may be given a link is an operator's business.

/// Makes what a redeemed link is good for.
package protocol CredentialMaker: AnyObject {
  /// Adds a credential to an account and forgets the link, in one write; nil when that cannot be done now.
  func makeCredential(redeeming link: EnrolmentLink, then: @escaping (DeviceProfile?) -> Void)
  /// A link is to be forgotten: too many wrong secrets were tried on it.
  func forget(link name: String)
}

package final class EnrolmentDesk {
  package enum Format: String, CaseIterable, Sendable { case json, linphone, akuvox }

  private unowned let maker: any CredentialMaker
  private let clock: () -> Instant
  package var links = EnrolmentLinks()
  private var failures = FailureBudget()
  /// Who waits for a link that is being redeemed, by its name.
  private var waiting: [String: [(Format, Responder)]] = [:]

  package init(maker: any CredentialMaker, clock: @escaping () -> Instant) {
    self.maker = maker
    self.clock = clock
  }

  /// Adds the routes. They keep this object alive.
  package func addRoutes(to router: inout Router) {
    for method in [HTTPMethod.get, .post] {
      router.add(
        Route(method, "/provision/{token}", access: .open, bodyLimit: 1024) { [self] request, responder in
          redeem(request, responder)
        })
    }
  }

  private func redeem(_ request: WebRequest, _ responder: Responder) {
    // Who only wants to see what is there must not use the link up.
    guard request.head.method != .head else {
      var reply = WebReply.problem(405, "a link is redeemed by GET or POST")
      reply.fields.append("Allow", "GET, POST")
      return responder.reply(reply)
    }
    guard let format = Format(rawValue: request.query("format") ?? Format.json.rawValue) else {
      return responder.reply(
        .problem(400, "unknown format", next: "ask for json, linphone or akuvox"))
    }
    let now = clock()
    let address = request.peer.address
    if let address, let wait = failures.retryAfter(address, now: now) {
      return responder.reply(WebGuard.tooMany(wait))
    }
    switch links.redeem(request["token"], from: address, now: now) {
    case .fresh(let link):
      waiting[link.name, default: []].append((format, responder))
      maker.makeCredential(redeeming: link) { [self] profile in finished(link, profile) }
    case .underWay(let name): waiting[name, default: []].append((format, responder))
    case .again(let profile): responder.reply(EnrolmentDesk.answer(profile, format))
    case .killed(let name):
      maker.forget(link: name)
      if let address { failures.failed(address, now: now) }
      responder.reply(EnrolmentDesk.gone)
    case .gone:
      if let address { failures.failed(address, now: now) }
      responder.reply(EnrolmentDesk.gone)
    case .malformed:
      if let address { failures.failed(address, now: now) }
      responder.reply(.problem(404, "this is no enrolment link"))
    }
  }

  private func finished(_ link: EnrolmentLink, _ profile: DeviceProfile?) {
    let told = waiting.removeValue(forKey: link.name) ?? []
    guard let profile else {
      links.failed(link.name)
      for (_, responder) in told {
        responder.reply(.problem(503, "the credential could not be stored", next: "try again in a moment"))
      }
      return
    }
    links.redeemed(link.name, profile, now: clock())
    for (format, responder) in told { responder.reply(EnrolmentDesk.answer(profile, format)) }
  }

  private static var gone: WebReply {
    .problem(
      410, "this link has been used, has expired or was never given", next: "ask for a new one")
  }

  private static func answer(_ profile: DeviceProfile, _ format: Format) -> WebReply {
    switch format {
    case .json: .json(200, profile.json)
    case .linphone: .text(200, profile.linphone, type: "application/xml; charset=utf-8")
    case .akuvox: .text(200, profile.akuvox)
    }
  }
}
