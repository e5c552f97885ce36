internal import Crypto
internal import SIP
internal import Wire

// Requests outside the calls: registrations, and the pings that tell whether a device can be reached.

extension House {
  func answer(
    _ transaction: TransactionID, _ message: Message, _ flow: Flow, _ identity: Identity, _ turn: inout Turn
  ) {
    switch message.method {
    case .register: register(transaction, message, flow, identity, &turn)
    case .options: agent.reply(transaction, status: 200, &turn)
    default: agent.reply(transaction, status: 405, &turn)
    }
  }

  private func register(
    _ transaction: TransactionID, _ message: Message, _ flow: Flow, _ identity: Identity, _ turn: inout Turn
  ) {
    let username: String
    let credential: UInt64
    switch identity {
    case .account(let name, let proof): (username, credential) = (name, proof)
    case .station(let name, let proof): (username, credential) = (name, proof ?? 0)
    }
    guard let account = book.account(named: username) else {
      return agent.reply(transaction, status: 403, &turn)
    }
    let answer = registrar.register(
      message, on: flow, for: account, credential: credential, now: turn.now, random: &turn.random)
    agent.reply(
      transaction, status: answer.status, headers: answer.headers.map { ($0.name.text, $0.value) }, &turn)
  }

  func ping(_ binding: Binding, _ turn: inout Turn) {
    guard let uri = binding.uri else { return }
    let domain = gateway.configuration.gateway.domain
    let transaction = agent.send(
      OutgoingRequest(
        .options, from: NameAddress(URI(user: "ping", host: domain)),
        to: NameAddress(URI(user: binding.account, host: domain))),
      to: Destination(uri: uri, flow: binding.flow, route: binding.path), &turn)
    pings[transaction] = (binding.id, turn.now)
  }

  func pinged(_ transaction: TransactionID, isAnswered: Bool, _ turn: inout Turn) {
    guard let ping = pings.removeValue(forKey: transaction) else { return }
    registrar.pinged(ping.binding, latency: isAnswered ? turn.now - ping.sent : nil)
  }

  /// What the audit's chain is hashed with.
  static let auditHash: @Sendable ([UInt8]) -> [UInt8] = { Digest.sha256($0) }
}
