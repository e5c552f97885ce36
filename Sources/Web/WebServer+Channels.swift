internal import HTTP
internal import WebSocket
internal import Wire

// Connections that became WebSockets: the handshake, messages to and from their channels, and their end.

extension WebServer {
  /// What a connection has after its upgrade.
  struct ChannelState {
    var machine: WebSocketConnection
    let channel: WebChannel
    /// Not read from while its output waits.
    var isHeldBack = false
    /// The channel has been told of its end.
    var isTold = false
    /// The most bytes that may wait for the peer.
    let backlog: Int
  }

  func open(
    _ connection: Connection, _ request: WebRequest, _ protocols: [String], _ limits: WebSocketLimits,
    _ handler: ChannelHandler
  ) {
    let head = request.head
    let fields: [(String, String)]
    do throws(WebSocketRefusal) {
      let offer = try WebSocketHandshake.Offer(
        isGet: head.method == .get, isHTTP11: head.version == .http11, values: { head.fields.values($0) })
      fields = try offer.accept(speaking: protocols)
    } catch {
      var reply = WebReply.problem(error.status, error.description)
      for (name, value) in error.fields { reply.fields.append(name, value) }
      return answer(connection, reply)
    }
    guard let ahead = connection.machine.upgrade(fields, date: carrier.wall) else {
      return answer(connection, .problem(400, "a request with a body cannot be upgraded"))
    }
    counters.channels += 1
    connection.isAnswered = true
    connection.head = nil
    connection.route = nil
    connection.parameters = []
    let channel = WebChannel(server: self, connection: connection.id, peer: connection.peer)
    connection.channel = ChannelState(
      machine: WebSocketConnection(.server, limits: limits, now: carrier.now), channel: channel,
      backlog: limits.output)
    handler(request, channel)
    connection.channel?.machine.receive(ahead.span, now: carrier.now)
  }

  func take(_ event: WebSocketEvent, _ connection: Connection) {
    switch event {
    case .message(let kind, let payload): connection.channel?.channel.whenMessage?(kind, payload)
    case .ended(let ending):
      if case .failed = ending { counters.channelFaults += 1 }
      tell(ending, connection)
    }
  }

  /// The connection is gone, with the channel it may have been.
  func lost(_ connection: Connection) { tell(.lost, connection) }

  private func tell(_ ending: WebSocketEnding, _ connection: Connection) {
    guard let state = connection.channel, !state.isTold else { return }
    connection.channel?.isTold = true
    state.channel.ended(ending)
  }

  // MARK: From channels

  func isOpen(channel id: WebConnectionID) -> Bool {
    connections[id]?.channel?.machine.isOpen ?? false
  }

  /// `kind` nil: text where it is UTF-8.
  func send(_ kind: WebSocketKind?, _ payload: [UInt8], on id: WebConnectionID) -> Bool {
    guard let connection = connections[id], let state = connection.channel,
      connection.waiting.count - connection.sent + payload.count <= state.backlog
    else { return false }
    let isTaken =
      if let kind {
        connection.channel?.machine.send(kind, payload.span)
      } else {
        connection.channel?.machine.send(payload.span)
      }
    pump(connection)
    return isTaken ?? false
  }

  func close(channel id: WebConnectionID, _ code: WebSocketCloseCode, _ reason: String) {
    guard let connection = connections[id], connection.channel != nil else { return }
    connection.channel?.machine.close(code, reason: reason, now: carrier.now)
    pump(connection)
  }
}
