import COpenSSL
import Crypto
import Testing
import Wire

/// A peer that is set up without our code: what old panels and strangers speak.
@safe private final class ForeignPeer {
  private let context: OpaquePointer
  private let ssl: OpaquePointer
  private let input: OpaquePointer
  private let output: OpaquePointer

  /// A client that offers only the versions from `least` to `most` and, below 1.3, only `suites`.
  init(client least: Int32, _ most: Int32, suites: String) throws {
    unsafe context = try #require(unsafe SSL_CTX_new(TLS_client_method()))
    unsafe SSL_CTX_set_security_level(context, 0)
    unsafe SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(least), nil)
    unsafe SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(most), nil)
    try #require(unsafe SSL_CTX_set_cipher_list(context, suites) == 1)
    unsafe ssl = try #require(unsafe SSL_new(context))
    unsafe input = try #require(unsafe BIO_new(BIO_s_mem()))
    unsafe output = try #require(unsafe BIO_new(BIO_s_mem()))
    unsafe SSL_set_bio(ssl, input, output)
    unsafe SSL_set_connect_state(ssl)
  }

  deinit {
    unsafe SSL_free(ssl)
    unsafe SSL_CTX_free(context)
  }

  var isEstablished: Bool { unsafe SSL_is_init_finished(ssl) == 1 }
  var protocolName: String { unsafe String(cString: SSL_get_version(ssl)) }
  var suiteName: String { unsafe String(cString: SSL_CIPHER_get_name(SSL_get_current_cipher(ssl))) }

  /// Takes bytes in and gives what it answers.
  func exchange(_ bytes: [UInt8]) -> [UInt8] {
    if !bytes.isEmpty { unsafe BIO_write(input, bytes, Int32(bytes.count)) }
    unsafe SSL_do_handshake(ssl)
    ERR_clear_error()
    return taken()
  }

  func send(_ bytes: [UInt8]) -> [UInt8] {
    unsafe SSL_write(ssl, bytes, Int32(bytes.count))
    return taken()
  }

  func read(_ bytes: [UInt8]) -> [UInt8] {
    unsafe BIO_write(input, bytes, Int32(bytes.count))
    var result = [UInt8](repeating: 0, count: 1000)
    let count = unsafe SSL_read(ssl, &result, Int32(result.count))
    return Array(result.prefix(max(0, Int(count))))
  }

  /// Asks for a second handshake on the standing connection (TLS 1.2).
  func renegotiate() -> [UInt8] {
    unsafe SSL_renegotiate(ssl)
    unsafe SSL_do_handshake(ssl)
    ERR_clear_error()
    return taken()
  }

  private func taken() -> [UInt8] {
    var result = [UInt8](repeating: 0, count: unsafe BIO_ctrl_pending(output))
    if !result.isEmpty { unsafe BIO_read(output, &result, Int32(result.count)) }
    return result
  }
}

@Suite struct ForeignPeerTests {
  private let context: TLSContext

  init() throws {
    let made = try SelfSigned.make(
      names: ["gateway.test"], addresses: [], serial: 5, from: WallTime(seconds: 1_700_000_000),
      to: WallTime(seconds: 1_900_000_000))
    context = try TLSContext(serverCertificatePEM: made.certificatePEM, keyPEM: made.keyPEM)
  }

  /// Carries the handshake to its end. Throws what our side throws.
  private func shake(_ server: TLSSession, _ peer: ForeignPeer) throws {
    var plain: [UInt8] = []
    var toServer = peer.exchange([])
    while !toServer.isEmpty {
      var out: [UInt8] = []
      try server.receive(toServer.span, plain: &plain, out: &out)
      toServer = out.isEmpty ? [] : peer.exchange(out)
    }
  }

  @Test(arguments: ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"])
  func anOldPanelSpeaksTLS12WithAnAEADSuite(_ suite: String) throws {
    let server = TLSSession(server: context)
    let peer = try ForeignPeer(client: TLS1_2_VERSION, TLS1_2_VERSION, suites: suite)
    try shake(server, peer)
    #expect(server.isEstablished && peer.isEstablished)
    #expect(peer.protocolName == "TLSv1.2")
    #expect(server.suiteName == suite)
    var plain: [UInt8] = []
    var out: [UInt8] = []
    try server.receive(peer.send([1, 2, 3]).span, plain: &plain, out: &out)
    #expect(plain == [1, 2, 3])
    try server.send([4, 5].span, out: &out)
    #expect(peer.read(out) == [4, 5])
  }

  @Test(arguments: ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-NULL-SHA"])
  func aSuiteWithoutAEADIsRefused(_ suite: String) throws {
    let server = TLSSession(server: context)
    let peer = try ForeignPeer(client: TLS1_2_VERSION, TLS1_2_VERSION, suites: suite)
    #expect(throws: TLSFailure.self) { try shake(server, peer) }
    #expect(!server.isEstablished)
  }

  @Test func olderVersionsAreRefused() throws {
    let server = TLSSession(server: context)
    let peer = try ForeignPeer(client: TLS1_VERSION, TLS1_1_VERSION, suites: "ALL:@SECLEVEL=0")
    #expect(throws: TLSFailure.self) { try shake(server, peer) }
    #expect(!server.isEstablished)
  }

  @Test func aPeerThatSpeaksBothGetsTheNewer() throws {
    let server = TLSSession(server: context)
    let peer = try ForeignPeer(client: TLS1_2_VERSION, TLS1_3_VERSION, suites: "ALL")
    try shake(server, peer)
    #expect(peer.protocolName == "TLSv1.3")
  }

  @Test func renegotiationIsNotHad() throws {
    let server = TLSSession(server: context)
    let peer = try ForeignPeer(
      client: TLS1_2_VERSION, TLS1_2_VERSION, suites: "ECDHE-ECDSA-AES128-GCM-SHA256")
    try shake(server, peer)
    let hello = peer.renegotiate()
    #expect(!hello.isEmpty)
    var plain: [UInt8] = []
    var out: [UInt8] = []
    // A warning alert is the whole answer; the connection stands.
    try server.receive(hello.span, plain: &plain, out: &out)
    #expect(out.first == 21)
    #expect(server.isEstablished)
  }
}
