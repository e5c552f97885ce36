package import Crypto
package import Wire

/// What `Streams` needs of a TLS connection. `Crypto` makes the real one; the simulated building makes one with
/// the same flights and failures and no cryptography, for OpenSSL reads the clock and draws its own numbers.
package protocol SecureSession: AnyObject {
  /// Whether the handshake is done and the peer believed.
  var isEstablished: Bool { get }
  /// Whether the peer said that nothing more will come.
  var isFinishedByPeer: Bool { get }
  /// SHA-256 of the peer's certificate, once established; nil when it showed none.
  var peerFingerprint: [UInt8]? { get }
  /// Appends the first flight to `out`; for the side that dialled.
  func start(out: inout [UInt8]) throws(TLSFailure)
  /// Takes ciphertext in; appends what it meant to `plain`, what must be answered to `out`.
  func receive(_ ciphertext: Span<UInt8>, plain: inout [UInt8], out: inout [UInt8]) throws(TLSFailure)
  /// Encrypts all of `bytes` onto `out`; only when established.
  func send(_ bytes: Span<UInt8>, out: inout [UInt8]) throws(TLSFailure)
  /// Appends our farewell.
  func finish(out: inout [UInt8])
}

/// Makes the sessions of one gateway.
package protocol SessionMaker: AnyObject {
  /// A session for a connection that came in; nil while there is no certificate to show.
  func accept() -> (any SecureSession)?
  /// A session for a connection that we dial. `time` stands for now when a chain is judged.
  func connect(serverName: String?, trust: TLSTrust, at time: WallTime) throws(TLSFailure)
    -> any SecureSession
}

extension TLSSession: SecureSession {}

/// The real sessions, over OpenSSL.
package final class TLSSessions: SessionMaker {
  private var server: TLSContext?
  /// Contexts of clients by what they trust, newest last; at most `clientLimit`.
  private var clients: [TLSContext] = []
  private var trusts: [TLSTrust] = []
  private static let clientLimit = 16
  /// The earliest that now can be, whatever the clock says: a gateway without a battery clock may believe 1970.
  private let noEarlierThan: WallTime

  package init(server: TLSContext?, noEarlierThan: WallTime = WallTime(seconds: 0)) {
    self.server = server
    self.noEarlierThan = noEarlierThan
  }

  /// Shows another certificate from the next connection on; those that stand are not touched.
  package func reload(_ context: TLSContext) { server = context }

  /// What new connections are shown.
  package var certificate: CertificateFacts? { server?.certificate }

  package func accept() -> (any SecureSession)? { server.map { TLSSession(server: $0) } }

  package func connect(
    serverName: String?, trust: TLSTrust, at time: WallTime
  ) throws(TLSFailure) -> any SecureSession {
    let context: TLSContext
    if let known = trusts.firstIndex(of: trust) {
      context = clients[known]
    } else {
      context = try TLSContext(client: trust)
      if trusts.count == TLSSessions.clientLimit {
        trusts.removeFirst()
        clients.removeFirst()
      }
      trusts.append(trust)
      clients.append(context)
    }
    return TLSSession(client: context, serverName: serverName, at: max(time, noEarlierThan))
  }
}
