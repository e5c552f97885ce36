internal import Calls
internal import SIP
internal import Wire

/// Gives `Calls` the agent's sessions, in the building's own names.
final class AgentSignalling: Signalling {
  private let agent: Agent
  private let domain: String

  init(agent: Agent, domain: String) {
    self.agent = agent
    self.domain = domain
  }

  func invite(_ invitation: LegInvitation, _ turn: inout Turn) -> SessionID {
    agent.invite(
      OutgoingInvitation(
        from: NameAddress(
          display: invitation.from.display, URI(user: invitation.from.username, host: domain)),
        to: NameAddress(URI(user: invitation.to, host: domain)),
        destination: invitation.destination, headers: invitation.headers, body: invitation.body,
        sessionExpires: agent.configuration.sessionInterval), &turn)
  }

  func ring(_ session: SessionID, status: Int, body: Body?, _ turn: inout Turn) {
    agent.ring(session, status: status, body: body, &turn)
  }
  func answer(_ session: SessionID, body: Body, _ turn: inout Turn) {
    agent.answer(session, body: body, &turn)
  }
  func refuse(_ session: SessionID, status: Int, headers: [(String, String)], _ turn: inout Turn) {
    agent.refuse(session, status: status, headers: headers, &turn)
  }
  func cancel(_ session: SessionID, reason: Reason?, _ turn: inout Turn) {
    agent.cancel(session, reason: reason, &turn)
  }
  func hangUp(_ session: SessionID, reason: Reason?, _ turn: inout Turn) {
    agent.hangUp(session, reason: reason, &turn)
  }
  func offer(_ session: SessionID, body: Body, _ turn: inout Turn) {
    agent.offer(session, body: body, &turn)
  }
  func acceptOffer(_ session: SessionID, body: Body, _ turn: inout Turn) {
    agent.acceptOffer(session, body: body, &turn)
  }
  func refuseOffer(_ session: SessionID, status: Int, _ turn: inout Turn) {
    agent.refuseOffer(session, status: status, &turn)
  }
  func info(_ session: SessionID, body: Body, _ turn: inout Turn) {
    _ = agent.info(session, body: body, &turn)
  }
  func reply(_ transaction: TransactionID, status: Int, _ turn: inout Turn) {
    agent.reply(transaction, status: status, &turn)
  }
  func notifyTransfer(_ session: SessionID, status: Int, _ turn: inout Turn) {
    agent.notifyTransfer(session, status: status, &turn)
  }
}
