internal import Crypto
package import Journal
package import SIP
package import Transport
internal import Web
package import Wire

/// Where SIP meets the network: datagram sockets, stream connections with their framers, WebSockets
/// (SIPEdge+Channels.swift), and the agent between.
///
/// It carries messages in and out and knows none of them. The agent says where a message goes by `Flow`; a stream
/// flow without a connection is dialled here, and what waits for it leaves when it stands or is reported
/// undeliverable when it fails.
package final class SIPEdge {
  private let world: any World
  private let streams: Streams
  private let log: Log
  package private(set) var locals: [LocalEndpoint] = []
  /// What is listened on as it was bound, for the ready line.
  package private(set) var bound: [(transport: TransportKind, endpoint: Endpoint)] = []
  private var datagramSockets: Set<SocketID> = []
  /// In the order of `bound`.
  private var sockets: [SocketID] = []
  private var framers: [ConnectionID: Connection] = [:]
  /// WebSockets, by the connection they run on.
  var channels: [ConnectionID: WebChannel] = [:]
  /// Connections by where they lead, the newest for each.
  private var byRemote: [Route: ConnectionID] = [:]
  private var waiting: [ConnectionID: [Waiting]] = [:]
  package weak var handler: (any SIPEdgeHandler)?
  /// Replies to CRLF pings and other things not worth an agent's while.
  package internal(set) var keepAlives: UInt64 = 0

  private struct Connection {
    var framer: SIPFramer
    var flow: Flow
    /// Runs while part of a message has come and the rest has not.
    var framing: Handle?
  }
  private struct Route: Hashable {
    var transport: TransportKind
    var remote: Endpoint
  }
  private struct Waiting {
    var bytes: [UInt8]
    var token: UInt64
  }

  /// Messages that may wait for one connection to stand.
  private static let waitingLimit = 64
  /// How long a SIP connection may say nothing: longer than any keep-alive or registration refresh in use.
  private static let idle = Interval.hours(2)
  /// How long a message may take from its first byte to its last, however steadily it drips.
  private let framingLimit: Interval
  private var timers: Wheel

  package init(world: any World, streams: Streams, log: Log, framingLimit: Interval = .seconds(10)) {
    self.framingLimit = framingLimit
    timers = Wheel(now: world.now)
    self.world = world
    self.streams = streams
    self.log = log
    streams.setConsumer(self, for: .sip)
  }

  // MARK: Listening

  /// Opens the listeners; throws what the first that cannot be opened says.
  package func listen(_ sip: Configuration.SIP, hostAddresses: [IPAddress]) throws(ListenFailure) {
    for endpoint in sip.udp {
      do throws(NetworkFailure) {
        let socket = try world.openDatagram(endpoint, DatagramOptions(receiveBuffer: 4 << 20, dscp: 24))
        let local = world.local(of: socket) ?? endpoint
        datagramSockets.insert(socket)
        add(.udp, local, socket, hostAddresses)
      } catch { throw ListenFailure(what: "SIP over UDP", endpoint: endpoint, failure: error) }
    }
    for (kind, endpoints) in [(TransportKind.tcp, sip.tcp), (.tls, sip.tls)] {
      for endpoint in endpoints {
        do throws(NetworkFailure) {
          let local = try streams.listen(
            endpoint, secure: kind == .tls, purpose: .sip, idle: SIPEdge.idle)
          add(kind, local, .none, hostAddresses)
        } catch {
          throw ListenFailure(
            what: kind == .tls ? "SIP over TLS" : "SIP over TCP", endpoint: endpoint, failure: error)
        }
      }
    }
  }

  /// The host has other addresses now.
  package func readdress(_ host: [IPAddress]) {
    locals = []
    for (place, one) in bound.enumerated() { locate(one.transport, one.endpoint, sockets[place], host) }
  }

  private func add(_ kind: TransportKind, _ local: Endpoint, _ socket: SocketID, _ host: [IPAddress]) {
    bound.append((kind, local))
    sockets.append(socket)
    locate(kind, local, socket, host)
  }

  private func locate(_ kind: TransportKind, _ local: Endpoint, _ socket: SocketID, _ host: [IPAddress]) {
    guard local.address.isUnspecified else {
      locals.append(LocalEndpoint(kind, local, socket: socket))
      return
    }
    for address in host where local.address == .anyV6 || address.isV4 {
      locals.append(LocalEndpoint(kind, Endpoint(address, port: local.port), socket: socket))
    }
  }

  // MARK: Datagrams

  package func owns(_ socket: SocketID) -> Bool { datagramSockets.contains(socket) }

  package func received(
    _ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint
  ) {
    if datagram.count <= 4 {
      // A keep-alive (RFC 5626 section 4.4, or a pair of NULs): nothing to read, nothing to say.
      keepAlives += 1
      return
    }
    handler?.received(datagram, on: Flow(.udp, local: local, remote: remote, socket: socket))
  }

  // MARK: Sending

  /// Sends everything in the box and empties it.
  package func flush(_ out: inout Outbox) {
    guard !out.isEmpty else { return }
    let bytes = out.bytes
    let entries = out.entries
    out.removeAll()
    for entry in entries {
      let message = bytes.span.extracting(entry.range)
      if entry.flow.transport == .udp {
        let socket = entry.flow.socket == .none ? socket(towards: entry.flow) : entry.flow.socket
        guard let socket else {
          handler?.undeliverable(entry.token)
          continue
        }
        let source = entry.flow.local.address.isUnspecified ? nil : entry.flow.local.address
        world.send(message, on: socket, to: entry.flow.remote, from: source)
      } else {
        sendOnStream(Array(bytes[entry.range]), entry.flow, entry.token)
      }
    }
  }

  private func socket(towards flow: Flow) -> SocketID? {
    let wanted = locals.first { $0.transport == .udp && $0.endpoint == flow.local }
    return
      (wanted ?? locals.first { $0.transport == .udp && $0.endpoint.address.isV4 == flow.remote.address.isV4 })?
      .socket
  }

  private func sendOnStream(_ message: [UInt8], _ flow: Flow, _ token: UInt64) {
    if flow.transport == .ws || flow.transport == .wss {
      if !sendOnChannel(message, flow) { handler?.undeliverable(token) }
      return
    }
    let route = Route(transport: flow.transport, remote: flow.remote)
    var connection = flow.socket
    if connection == .none { connection = byRemote[route] ?? .none }
    if framers[connection] != nil {
      if !streams.write(message, on: connection) { handler?.undeliverable(token) }
      return
    }
    if waiting[connection] != nil {
      wait(message, token, on: connection)
      return
    }
    // A response has nowhere to go when its connection is gone; a request with no connection named is dialled.
    guard flow.socket == .none else {
      handler?.undeliverable(token)
      return
    }
    do throws(NetworkFailure) {
      let dialled = try streams.dial(
        flow.remote, trust: flow.transport == .tls ? .firstContact : nil, purpose: .sip, idle: SIPEdge.idle)
      byRemote[route] = dialled
      waiting[dialled] = []
      wait(message, token, on: dialled)
    } catch { handler?.undeliverable(token) }
  }

  /// Our end of a connection.
  func local(of connection: ConnectionID) -> Endpoint {
    streams.facts(of: connection)?.local ?? Endpoint(.anyV4, port: 0)
  }

  private func wait(_ message: [UInt8], _ token: UInt64, on connection: ConnectionID) {
    guard waiting[connection, default: []].count < SIPEdge.waitingLimit else {
      handler?.undeliverable(token)
      return
    }
    waiting[connection, default: []].append(Waiting(bytes: message, token: token))
  }
}

extension SIPEdge: StreamsDelegate {
  package func opened(_ connection: ConnectionID, _ facts: ConnectionFacts) {
    let kind: TransportKind = facts.isSecure ? .tls : .tcp
    framers[connection] = Connection(
      framer: SIPFramer(),
      flow: Flow(kind, local: facts.local, remote: facts.remote, socket: connection))
    byRemote[Route(transport: kind, remote: facts.remote)] = connection
    for message in waiting.removeValue(forKey: connection) ?? [] {
      if !streams.write(message.bytes, on: connection) { handler?.undeliverable(message.token) }
    }
  }

  package func received(_ bytes: Span<UInt8>, on connection: ConnectionID) {
    framers[connection]?.framer.append(bytes)
    while var state = framers[connection] {
      let frame = state.framer.next()
      let buffer = state.framer.buffer
      if frame != .incomplete, let deadline = state.framing {
        timers.cancel(deadline)
        state.framing = nil
      }
      if frame == .incomplete, state.framer.isMidMessage, state.framing == nil {
        state.framing = timers.arm(world.now + framingLimit, token: connection.handle.raw)
      }
      framers[connection] = state
      switch frame {
      case .message(let range): handler?.received(buffer.span.extracting(range), on: state.flow)
      case .ping:
        keepAlives += 1
        _ = streams.write([13, 10], on: connection)
      case .incomplete: return
      case .broken(let fault, let range):
        if let refusal = Refusal.response(
          to: buffer.span.extracting(range), for: fault, tag: String(connection.handle.raw, radix: 16),
          source: state.flow.remote)
        {
          _ = streams.write(refusal, on: connection)
        }
        end(connection)
        return
      }
    }
  }

  private func end(_ connection: ConnectionID) {
    streams.close(connection, flushing: true)
    lost(connection)
  }

  package var nextDeadline: Instant? { timers.nextDeadline }

  /// Ends the connections whose peer does not finish what it began to say.
  package func advance() {
    while let token = timers.expired(by: world.now) {
      let connection = SocketID(Handle(raw: token))
      guard framers[connection] != nil else { continue }
      framers[connection]?.framing = nil
      end(connection)
    }
  }

  package func drained(_ connection: ConnectionID) {}

  package func closed(_ connection: ConnectionID, _ ending: StreamEnding) { lost(connection) }

  private func lost(_ connection: ConnectionID) {
    let undelivered = waiting.removeValue(forKey: connection) ?? []
    if let state = framers.removeValue(forKey: connection) {
      if let deadline = state.framing { timers.cancel(deadline) }
      let route = Route(transport: state.flow.transport, remote: state.flow.remote)
      if byRemote[route] == connection { byRemote[route] = nil }
    } else {
      byRemote = byRemote.filter { $0.value != connection }
    }
    for message in undelivered { handler?.undeliverable(message.token) }
    handler?.connectionLost(connection)
  }
}

/// Whoever reads the messages.
package protocol SIPEdgeHandler: AnyObject {
  /// One whole message.
  func received(_ message: Span<UInt8>, on flow: Flow)
  /// A stream is gone, with all that was bound to it.
  func connectionLost(_ connection: ConnectionID)
  /// A message could not be handed to the network; the token is the one the agent gave it.
  func undeliverable(_ token: UInt64)
}

/// A listener that cannot be opened, in words for whoever starts the daemon.
package struct ListenFailure: Error, CustomStringConvertible {
  package var what: String
  package var endpoint: Endpoint
  package var failure: NetworkFailure

  package var description: String {
    let why =
      switch failure {
      case .addressInUse: "another program has this port"
      case .addressNotAvailable: "this machine does not have this address"
      case .notPermitted: "ports below 1024 need a permission this process does not have"
      default: "\(failure)"
      }
    return "cannot listen for \(what) on \(endpoint): \(why)"
  }
}
