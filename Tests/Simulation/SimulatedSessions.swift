package import Crypto
package import Transport
package import Wire

/// TLS without cryptography: the flights, sizes, records and failures of TLS 1.3, and nothing secret. A certificate
/// is a name list and a fingerprint; an authority is whoever's bytes are in the PEM that a client trusts.
package final class SimulatedSessions: SessionMaker {
  /// What a server shows.
  package struct Identity: Sendable, Equatable {
    package var names: [String]
    package var authority: [UInt8]
    package var fingerprint: [UInt8]

    /// `number` tells certificates apart.
    package init(names: [String], authority: [UInt8] = Array("authority".utf8), number: UInt8) {
      self.names = names
      self.authority = authority
      fingerprint = Array(repeating: number, count: 32)
    }
  }

  package var identity: Identity?

  package init(identity: Identity?) { self.identity = identity }

  package func accept() -> (any SecureSession)? { identity.map { SimulatedSession(serving: $0) } }

  package func connect(
    serverName: String?, trust: TLSTrust, at time: WallTime
  ) throws(TLSFailure) -> any SecureSession {
    SimulatedSession(dialling: serverName, trust: trust)
  }
}

package final class SimulatedSession: SecureSession {
  private enum Role {
    case server(SimulatedSessions.Identity)
    case client(name: String?, trust: TLSTrust)
  }
  private enum Kind: UInt8 {
    case alert = 21
    case handshake = 22
    case data = 23
  }

  package private(set) var isEstablished = false
  package private(set) var isFinishedByPeer = false
  package private(set) var peerFingerprint: [UInt8]?
  private let role: Role
  private var input: [UInt8] = []
  private var hasAnswered = false
  /// What AEAD and the inner content type add to a record.
  private static let overhead = 17

  fileprivate init(serving identity: SimulatedSessions.Identity) { role = .server(identity) }

  fileprivate init(dialling name: String?, trust: TLSTrust) { role = .client(name: name, trust: trust) }

  package func start(out: inout [UInt8]) throws(TLSFailure) {
    record(.handshake, Array(repeating: 1, count: 512), &out)
  }

  package func receive(
    _ ciphertext: Span<UInt8>, plain: inout [UInt8], out: inout [UInt8]
  ) throws(TLSFailure) {
    for index in ciphertext.indices { input.append(ciphertext[index]) }
    while input.count >= 5 {
      guard let kind = Kind(rawValue: input[0]), input[1] == 3, input[2] == 3 else {
        record(.alert, [2, 10], &out)
        throw .protocolViolation("wrong version number")
      }
      let length = Int(input[3]) << 8 | Int(input[4])
      guard input.count >= 5 + length else { return }
      let body = Array(input[5..<5 + length])
      input.removeFirst(5 + length)
      switch kind {
      case .alert:
        if body.first == 1 { isFinishedByPeer = true } else { throw .protocolViolation("alert") }
      case .handshake: try shake(body, &out)
      case .data:
        guard isEstablished, body.count >= SimulatedSession.overhead else {
          throw .protocolViolation("unexpected message")
        }
        plain += body.dropLast(SimulatedSession.overhead)
      }
    }
  }

  package func send(_ bytes: Span<UInt8>, out: inout [UInt8]) throws(TLSFailure) {
    var position = 0
    let all = bytes.copied
    while position < all.count {
      let size = min(16_384, all.count - position)
      record(
        .data,
        Array(all[position..<position + size])
          + Array(repeating: 0, count: SimulatedSession.overhead), &out)
      position += size
    }
  }

  package func finish(out: inout [UInt8]) {
    if isEstablished { record(.alert, [1, 0], &out) }
  }

  private func shake(_ body: [UInt8], _ out: inout [UInt8]) throws(TLSFailure) {
    switch role {
    case .server(let identity):
      if hasAnswered {
        isEstablished = true
        return
      }
      hasAnswered = true
      // Fingerprint, authority, names; padded to the size of a small chain.
      let names = Array(identity.names.joined(separator: ",").utf8)
      var flight = identity.fingerprint
      for part in [identity.authority, names] { flight += [UInt8(part.count)] + part }
      flight += Array(repeating: 0, count: max(0, 1500 - flight.count))
      record(.handshake, flight, &out)
    case .client(let name, let trust):
      guard body.count >= 34 else { throw .protocolViolation("decode error") }
      let seen = Array(body[..<32])
      var parts: [[UInt8]] = []
      var position = 32
      for _ in 0..<2 {
        guard position < body.count, position + 1 + Int(body[position]) <= body.count else {
          throw .protocolViolation("decode error")
        }
        let end = position + 1 + Int(body[position])
        parts.append(Array(body[position + 1..<end]))
        position = end
      }
      var failure: TLSFailure?
      switch trust {
      case .firstContact: break
      case .pinned(let wanted): if wanted != seen { failure = .fingerprintMismatch(seen: seen) }
      case .system: failure = .untrusted("self-signed certificate")
      case .authorities(let text):
        let names = String(decoding: parts[1], as: UTF8.self).split(separator: ",")
        if text != parts[0] {
          failure = .untrusted("unable to get local issuer certificate")
        } else if let name, !names.contains(Substring(name)) {
          failure = .untrusted("hostname mismatch")
        }
      }
      if let failure {
        record(.alert, [2, 48], &out)
        throw failure
      }
      peerFingerprint = seen
      record(.handshake, Array(repeating: 2, count: 64), &out)
      isEstablished = true
    }
  }

  private func record(_ kind: Kind, _ body: [UInt8], _ out: inout [UInt8]) {
    out += [
      kind.rawValue, 3, 3, UInt8(truncatingIfNeeded: body.count >> 8), UInt8(truncatingIfNeeded: body.count),
    ]
    out += body
  }
}
