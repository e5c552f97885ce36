internal import SIP
internal import Transport
internal import Web
internal import WebSocket
internal import Wire

// SIP over WebSocket (RFC 7118): one message is one WebSocket message, text or binary. The connection is the only way
// to the other end, whose Via and Contact name no host (`.invalid`): it is never dialled, and when it is gone, so is
// everything bound to it.

extension SIPEdge {
  /// The paths at which SIP is spoken.
  static let paths = ["/sip", "/ws"]

  /// What stands at `paths`.
  func channelRoutes() -> [Route] {
    SIPEdge.paths.map { path in
      Route(channel: path, access: .open, protocols: ["sip"]) { [weak self] _, channel in
        self?.adopt(channel)
      }
    }
  }

  /// Takes a WebSocket in that was just opened.
  private func adopt(_ channel: WebChannel) {
    guard case .remote(let remote, let isSecure) = channel.peer else {
      return channel.close(.policyViolation, reason: "SIP is not spoken here")
    }
    let connection = SocketID(Handle(raw: channel.connection.raw))
    let flow = Flow(
      isSecure ? .wss : .ws, local: local(of: connection), remote: remote, socket: connection)
    channels[connection] = channel
    channel.whenMessage = { [weak self] _, message in self?.received(message, flow) }
    channel.whenClosed = { [weak self] _ in
      guard let self, self.channels.removeValue(forKey: connection) != nil else { return }
      self.handler?.connectionLost(connection)
    }
  }

  private func received(_ message: [UInt8], _ flow: Flow) {
    if message.count <= 4, message.allSatisfy({ $0 == 13 || $0 == 10 }) {
      // A keep-alive (RFC 7118 section 6): a double CRLF wants a single one back.
      keepAlives += 1
      if message.count == 4 { channels[flow.socket]?.send(.text, [13, 10]) }
      return
    }
    handler?.received(message.span, on: flow)
  }

  /// False when the channel is gone or its peer does not read.
  func sendOnChannel(_ message: [UInt8], _ flow: Flow) -> Bool {
    channels[flow.socket]?.send(message) ?? false
  }
}
