import Simulation
import Wire

// What carries a phone's SIP where it is not datagrams: TCP, TLS over it, and a browser's WebSocket over either.

extension Phone {
  func dial() {
    guard main == .none else { return }
    let port: UInt16 =
      switch profile.carrier {
      case .tls: 5061
      case .ws: 8080
      case .wss: 8443
      case .udp, .tcp: 5060
      }
    guard let stream = try? world.connect(Endpoint(Building.gateway, port: port)) else { return }
    var line = Line(socket: stream)
    if profile.carrier.isSecure { line.session = SecureSessionBoxing.client() }
    if profile.carrier.isWeb { line.web = WebSocketText() }
    lines.append(line)
    main = stream
  }

  func connected(_ stream: SocketID) {
    guard let place = lines.firstIndex(where: { $0.socket == stream }) else { return }
    if let session = lines[place].session {
      _ = world.write(session.start().span, on: stream)
    } else {
      carrierIsUp(place)
    }
  }

  /// TCP, or TLS over it, stands.
  private func carrierIsUp(_ place: Int) {
    guard lines[place].web != nil else { return lineIsUp(place) }
    let port = profile.carrier == .wss ? 8443 : 8080
    send(
      WebSocketText.request("\(Building.gateway):\(port)", path: chance(50) ? "/sip" : "/ws", &dice),
      on: lines[place])
  }

  private func lineIsUp(_ place: Int) {
    lines[place].isUp = true
    // What it has to say in its calls goes the new way.
    for talk in talks {
      if case .stream(let old) = talk.way, !lines.contains(where: { $0.socket == old }) {
        talk.way = .stream(lines[place].socket)
      }
    }
    if profile.registers, !isRegistered { register() }
  }

  private func send(_ bytes: [UInt8], on line: Line) {
    if let session = line.session {
      _ = world.write(session.seal(bytes).span, on: line.socket)
    } else {
      _ = world.write(bytes.span, on: line.socket)
    }
  }

  func accepted(_ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?) {
    lines.append(Line(socket: stream, isUp: true))
  }

  func closed(_ stream: SocketID, _ failure: NetworkFailure) { lost(stream) }

  func lost(_ stream: SocketID) {
    lines.removeAll { $0.socket == stream }
    hasAsked.remove(stream)
    guard stream == main else { return }
    main = .none
    isRegistered = false
    after(drawn(1000, 8000)) { $0.dial() }
  }

  /// Gives a connection up that does not answer.
  func abandon() {
    guard main != .none else { return }
    let stream = main
    world.close(stream, flushing: false)
    lost(stream)
  }

  var gatewayWay: Way? {
    if profile.carrier == .udp { return .datagram(Endpoint(Building.gateway, port: 5060)) }
    guard let line = lines.first(where: { $0.socket == main }), line.isUp else { return nil }
    return .stream(main)
  }

  func put(_ bytes: [UInt8], _ way: Way) {
    world.network.journal.say("\(profile.username) > \(SIPText(bytes)?.summary ?? "")", at: world.now)
    switch way {
    case .datagram(let remote): world.send(bytes.span, on: socket, to: remote, from: nil)
    case .stream(let stream):
      guard let line = lines.first(where: { $0.socket == stream }), line.isUp else { return }
      send(line.web == nil ? bytes : WebSocketText.frame(1, bytes, &dice), on: line)
    }
  }

  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {
    guard let place = lines.firstIndex(where: { $0.socket == stream }) else { return }
    if let session = lines[place].session {
      guard let (plain, out) = session.open(bytes) else {
        world.close(stream, flushing: false)
        return lost(stream)
      }
      lines[place].buffer += plain
      if !out.isEmpty { _ = world.write(out.span, on: stream) }
      if session.isUp, !hasAsked.contains(stream) {
        hasAsked.insert(stream)
        carrierIsUp(place)
      }
      if session.isFinished {
        world.close(stream, flushing: true)
        return lost(stream)
      }
    } else {
      for index in bytes.indices { lines[place].buffer.append(bytes[index]) }
    }
    if profile.carrier.isWeb { return receivedFrames(stream) }
    while let place = lines.firstIndex(where: { $0.socket == stream }),
      let message = Phone.cut(&lines[place].buffer)
    {
      take(message, .stream(stream))
    }
  }

  /// What came over the WebSocket.
  private func receivedFrames(_ stream: SocketID) {
    guard let place = lines.firstIndex(where: { $0.socket == stream }), var web = lines[place].web else {
      return
    }
    let wasOpen = web.isOpen
    let messages = web.take(lines[place].buffer, &dice)
    if !web.out.isEmpty { send(web.out, on: lines[place]) }
    web.out = []
    lines[place].web = web
    lines[place].buffer = []
    if web.isOpen, !wasOpen { lineIsUp(place) }
    for message in messages { take(message, .stream(stream)) }
    if web.isOver {
      world.close(stream, flushing: true)
      lost(stream)
    }
  }

  /// The next whole message of a stream.
  private static func cut(_ buffer: inout [UInt8]) -> [UInt8]? {
    while buffer.count >= 2, buffer[0] == 13, buffer[1] == 10 { buffer.removeFirst(2) }
    guard let end = SIPText.headEnd(buffer), let head = SIPText(Array(buffer[..<(end + 2)])) else {
      return nil
    }
    let length = Int(head["content-length"]) ?? 0
    guard buffer.count >= end + 2 + length else { return nil }
    let message = Array(buffer[..<(end + 2 + length)])
    buffer.removeFirst(end + 2 + length)
    return message
  }
}
