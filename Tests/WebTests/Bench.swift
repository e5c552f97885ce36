import HTTP
import Web
import WebSocket
import Wire

/// A server with connections that lead to the test.
final class Bench: WebCarrier {
  var now = Instant(nanoseconds: 0)
  var wall = WallTime(seconds: 1_795_210_119)
  var written: [WebConnectionID: [UInt8]] = [:]
  var closed: [WebConnectionID] = []
  var paused: Set<WebConnectionID> = []
  /// Bytes it takes before it is full; nil for no end.
  var room: Int?
  private(set) var server: WebServer!
  private var lastID: UInt64 = 0

  static let browser = WebPeer.remote(Endpoint("192.0.2.7:50000")!, isSecure: true)

  init(
    _ routes: [Route], origins: OriginPolicy = OriginPolicy(), limits: WebLimits = WebLimits(),
    pace: ((WebPeer) -> WebReply?)? = nil, whenForeign: ((String) -> Void)? = nil
  ) {
    var router = Router { _, _, _ in .admitted(.anybody) }
    router.origins = origins
    router.pace = pace
    router.whenForeign = { origin, _ in whenForeign?(origin) }
    for route in routes { router.add(route) }
    server = WebServer(carrier: self, router: router, limits: limits)
  }

  func write(_ bytes: [UInt8], on connection: WebConnectionID) -> Bool {
    if let room {
      guard bytes.count <= room else { return false }
      self.room = room - bytes.count
    }
    written[connection, default: []] += bytes
    return true
  }
  func close(_ connection: WebConnectionID) { closed.append(connection) }
  func setReading(_ reading: Bool, on connection: WebConnectionID) {
    if reading { paused.remove(connection) } else { paused.insert(connection) }
  }

  /// Connections whose peers may be silent.
  private(set) var silent: [WebConnectionID] = []
  func expectSilence(on connection: WebConnectionID) { silent.append(connection) }

  func connect(_ peer: WebPeer = browser) -> WebConnectionID {
    lastID += 1
    let id = WebConnectionID(lastID)
    server.opened(id, peer: peer)
    return id
  }
  func send(_ text: String, on id: WebConnectionID) { server.received(Array(text.utf8).span, on: id) }
  func send(_ bytes: [UInt8], on id: WebConnectionID) { server.received(bytes.span, on: id) }
  /// What was written since the last time.
  func heard(_ id: WebConnectionID) -> [UInt8] { written.removeValue(forKey: id) ?? [] }
  func heardText(_ id: WebConnectionID) -> String { String(decoding: heard(id), as: UTF8.self) }
  /// A timer may be a little late (see `Wheel`).
  func pass(_ interval: Interval) {
    now = now + interval + .milliseconds(2)
    server.advance()
  }
}

/// The request of a browser that opens a WebSocket.
func upgrade(
  _ path: String = "/sip", protocols: String? = "sip", origin: String? = "https://192.0.2.1:8443",
  host: String = "192.0.2.1:8443", more: String = ""
) -> String {
  var text = "GET \(path) HTTP/1.1\r\nHost: \(host)\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
  text += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
  text += "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
  if let protocols { text += "Sec-WebSocket-Protocol: \(protocols)\r\n" }
  if let origin { text += "Origin: \(origin)\r\n" }
  return text + more + "\r\n"
}

/// A frame of a client, under a mask of zeroes.
func frame(_ opcode: UInt8, _ payload: [UInt8]) -> [UInt8] {
  precondition(payload.count < 126)
  return [0x80 | opcode, 0x80 | UInt8(payload.count), 0, 0, 0, 0] + payload
}
func frame(_ text: String) -> [UInt8] { frame(1, Array(text.utf8)) }
