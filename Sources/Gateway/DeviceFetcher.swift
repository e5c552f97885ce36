internal import Crypto
internal import Doors
internal import HTTP
internal import Transport
internal import Wire

/// Carries the doors' requests to their devices: one connection each, one request, one answer.
final class DeviceFetcher: HTTPFetcher, StreamsDelegate {
  private let world: any World
  private let streams: Streams
  private var exchanges: [ConnectionID: Exchange] = [:]
  /// Told once for every fetch that was not abandoned.
  var whenDone: ((UInt64, FetchOutcome) -> Void)?

  private struct Exchange {
    var ticket: UInt64
    var fetch: Fetch
    var machine = HTTPClientConnection()
    var response: HTTPResponse?
    var body: [UInt8] = []
    var fingerprint: String?
    var isSent = false
  }

  /// More than any door device says.
  private static let bodyLimit = 64 << 10

  init(world: any World, streams: Streams) {
    self.world = world
    self.streams = streams
    streams.setConsumer(self, for: .actuator)
  }

  func fetch(_ fetch: Fetch, ticket: UInt64) {
    if let address = IPAddress(fetch.host) {
      dial(address, fetch, ticket)
      return
    }
    world.resolve(.addresses(host: fetch.host)) { [weak self] names in
      for case .address(let address) in names {
        self?.dial(address, fetch, ticket)
        return
      }
      self?.whenDone?(ticket, .notSent("the name \(fetch.host) has no address"))
    }
  }

  private func dial(_ address: IPAddress, _ fetch: Fetch, _ ticket: UInt64) {
    let pinned = fetch.fingerprint.flatMap { $0.utf8.count == 64 ? ASCII.bytes(hex: $0.utf8) : nil }
    let trust: TLSTrust? = fetch.isSecure ? pinned.map(TLSTrust.pinned) ?? .firstContact : nil
    do throws(NetworkFailure) {
      let connection = try streams.dial(
        Endpoint(address, port: fetch.port), trust: trust, serverName: fetch.host, purpose: .actuator,
        idle: .seconds(10))
      exchanges[connection] = Exchange(ticket: ticket, fetch: fetch)
    } catch { whenDone?(ticket, .notSent("no connection: \(error)")) }
  }

  func abandon(ticket: UInt64) {
    // At most one has it, so the order does not matter.
    guard let (connection, _) = exchanges.first(where: { $0.value.ticket == ticket }) else { return }
    exchanges[connection] = nil
    streams.close(connection, flushing: false)
  }

  // MARK: The connection

  func opened(_ connection: ConnectionID, _ facts: ConnectionFacts) {
    guard var exchange = exchanges[connection] else { return }
    exchange.fingerprint = facts.fingerprint.map { ASCII.hex($0) }
    _ = exchange.machine.send(exchange.fetch.request, body: exchange.fetch.body, now: world.now)
    exchange.isSent = true
    let output = exchange.machine.takeOutput()
    exchanges[connection] = exchange
    if !streams.write(output, on: connection) {
      finish(connection, .lost("the request could not be written"))
    }
  }

  func received(_ bytes: Span<UInt8>, on connection: ConnectionID) {
    guard var exchange = exchanges[connection] else { return }
    exchange.machine.receive(bytes, now: world.now)
    exchanges[connection] = exchange
    take(connection)
  }

  private func take(_ connection: ConnectionID) {
    while let event = exchanges[connection]?.machine.next() {
      switch event {
      case .response(let response): exchanges[connection]?.response = response
      case .body(let bytes):
        exchanges[connection]?.body += bytes
        if exchanges[connection]?.body.count ?? 0 > DeviceFetcher.bodyLimit {
          return finish(connection, .lost("the answer is too long"))
        }
      case .end:
        guard let exchange = exchanges[connection], let response = exchange.response else { return }
        return finish(connection, .response(response, body: exchange.body, fingerprint: exchange.fingerprint))
      case .failed(let fault): return finish(connection, .lost("\(fault)"))
      }
    }
  }

  private func finish(_ connection: ConnectionID, _ outcome: FetchOutcome) {
    guard let exchange = exchanges.removeValue(forKey: connection) else { return }
    streams.close(connection, flushing: false)
    whenDone?(exchange.ticket, outcome)
  }

  func drained(_ connection: ConnectionID) {}

  func closed(_ connection: ConnectionID, _ ending: StreamEnding) {
    exchanges[connection]?.machine.receivedEnd()
    take(connection)
    guard let exchange = exchanges.removeValue(forKey: connection) else { return }
    whenDone?(exchange.ticket, exchange.isSent ? .lost("\(ending)") : .notSent("\(ending)"))
  }

  // MARK: Time

  var nextDeadline: Instant? {
    // The least of all, in whatever order.
    exchanges.values.lazy.map(\.machine.nextDeadline).reduce(nil, Instant.earlier)
  }

  func advance() {
    let now = world.now
    let due = exchanges.filter { $0.value.machine.nextDeadline.map { $0 <= now } ?? false }.keys
      .sorted { $0.handle.raw < $1.handle.raw }
    for connection in due {
      exchanges[connection]?.machine.advance(now: now)
      take(connection)
    }
  }
}
