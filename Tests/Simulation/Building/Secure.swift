internal import Crypto
import Simulation
internal import Transport
import Wire

/// The client side of a simulated TLS connection, as phones use it.
protocol SecureSessionBox: AnyObject {
  var isUp: Bool { get }
  var isFinished: Bool { get }
  func start() -> [UInt8]
  func seal(_ bytes: [UInt8]) -> [UInt8]
  /// What came in the clear, and what must be said; nil when the connection is broken.
  func open(_ bytes: Span<UInt8>) -> (plain: [UInt8], out: [UInt8])?
}

enum SecureSessionBoxing {
  static func client() -> (any SecureSessionBox)? {
    let maker = SimulatedSessions(identity: nil)
    guard
      let session = try? maker.connect(
        serverName: nil, trust: .firstContact, at: WallTime(seconds: 1_795_000_000))
    else { return nil }
    return Box(session)
  }

  private final class Box: SecureSessionBox {
    private let session: any SecureSession
    init(_ session: any SecureSession) { self.session = session }

    var isUp: Bool { session.isEstablished }
    var isFinished: Bool { session.isFinishedByPeer }

    func start() -> [UInt8] {
      var out: [UInt8] = []
      try? session.start(out: &out)
      return out
    }
    func seal(_ bytes: [UInt8]) -> [UInt8] {
      var out: [UInt8] = []
      try? session.send(bytes.span, out: &out)
      return out
    }
    func open(_ bytes: Span<UInt8>) -> (plain: [UInt8], out: [UInt8])? {
      var plain: [UInt8] = []
      var out: [UInt8] = []
      do { try session.receive(bytes, plain: &plain, out: &out) } catch { return nil }
      return (plain, out)
    }
  }
}
