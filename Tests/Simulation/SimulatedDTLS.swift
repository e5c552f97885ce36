package import Crypto
package import WebRTC
package import Wire

/// DTLS without cryptography: the flights, sizes, retransmissions and failures of DTLS 1.2 as browsers speak it, on the
/// virtual clock, and keys that both sides draw from the seeds they exchanged. A certificate is a number.
package final class SimulatedDTLS: DTLSMaker {
  package let fingerprint: Fingerprint

  /// `number` tells certificates apart.
  package init(number: UInt8) {
    fingerprint = Fingerprint(.sha256, Array(repeating: number, count: 32))
  }

  package func make(
    _ role: DTLSRole, peer fingerprints: [Fingerprint], seed: UInt64
  ) -> any DTLSAssociation {
    SimulatedAssociation(role, own: fingerprint, peer: fingerprints, seed: seed)
  }
}

package final class SimulatedAssociation: DTLSAssociation {
  private enum Message: UInt8 {
    /// In two datagrams, as today's browsers send it.
    case helloFirst = 1
    case helloSecond
    case serverFlight
    case clientFlight
    case finished
    case goodbye
    case refusal

    /// Bytes of the datagram.
    var size: Int {
      switch self {
      case .helloFirst: 1175
      case .helloSecond: 238
      case .serverFlight: 890
      case .clientFlight: 570
      case .finished: 75
      case .goodbye, .refusal: 39
      }
    }
  }

  package let role: DTLSRole
  package private(set) var state = DTLSState.handshaking
  package private(set) var keys: SRTPKeyPair?
  package private(set) var nextDeadline: Instant?
  private let own: Fingerprint
  private let peer: [Fingerprint]
  private let seed: UInt64
  private var peerSeed: UInt64?
  private var heard: Set<UInt8> = []
  private var flight: [Message] = []
  private var pause = Interval.milliseconds(200)
  private var attempts = 0
  private var outgoing: [[UInt8]] = []

  init(_ role: DTLSRole, own: Fingerprint, peer: [Fingerprint], seed: UInt64) {
    self.role = role
    self.own = own
    self.peer = peer
    self.seed = seed
  }

  package func start(at now: Instant) {
    guard role == .client, state == .handshaking, flight.isEmpty else { return }
    say([.helloFirst, .helloSecond], at: now)
  }

  package func receive(_ datagram: Span<UInt8>, at now: Instant) {
    guard datagram.count >= 53, datagram[0] == 22, datagram[1] == 0xFE, datagram[2] == 0xFD,
      let message = Message(rawValue: datagram[3]), datagram.count == message.size + 14
    else { return }
    var theirs: UInt64 = 0
    var mine: UInt64 = 0
    for index in 0..<8 {
      theirs = theirs << 8 | UInt64(datagram[4 + index])
      mine = mine << 8 | UInt64(datagram[12 + index])
    }
    var shown: [UInt8] = []
    for index in 20..<52 { shown.append(datagram[index]) }
    let certificate = Fingerprint(.sha256, shown)
    switch (message, state) {
    case (.helloFirst, .handshaking), (.helloSecond, .handshaking):
      guard role == .server else { return }
      if peerSeed != theirs { heard.removeAll() }
      peerSeed = theirs
      heard.insert(datagram[3])
      if heard.count == 2 { say([.serverFlight], at: now) }
    case (.serverFlight, .handshaking):
      guard role == .client, mine == seed else { return }
      peerSeed = theirs
      guard peer.contains(certificate) else { return refuse() }
      say([.clientFlight], at: now)
    case (.clientFlight, .handshaking):
      guard role == .server, mine == seed, theirs == peerSeed else { return }
      guard peer.contains(certificate) else { return refuse() }
      establish()
      say([.finished], at: now)
      nextDeadline = nil
    case (.clientFlight, .established):
      // Our last word was lost.
      if role == .server, mine == seed { say([.finished], at: now) }
      nextDeadline = nil
    case (.finished, .handshaking):
      guard role == .client, mine == seed, theirs == peerSeed else { return }
      establish()
    case (.goodbye, .established): if mine == seed { end(.closed) }
    case (.refusal, .handshaking): if mine == seed { end(.failed(.protocolViolation("bad certificate"))) }
    default: return
    }
  }

  package func advance(at now: Instant) {
    guard state == .handshaking, let deadline = nextDeadline, deadline <= now else { return }
    attempts += 1
    guard attempts <= 12 else { return end(.failed(.timeout)) }
    pause = min(pause * 2, .seconds(3))
    for message in flight { put(message) }
    nextDeadline = now + pause
  }

  package func close() {
    if state == .established { put(.goodbye) }
    if state == .established || state == .handshaking { end(.closed) }
  }

  package func takeDatagram(_ datagram: inout [UInt8]) -> Bool {
    guard !outgoing.isEmpty else { return false }
    datagram = outgoing.removeFirst()
    return true
  }

  private func say(_ messages: [Message], at now: Instant) {
    flight = messages
    for message in messages { put(message) }
    pause = .milliseconds(200)
    nextDeadline = now + pause
  }

  private func put(_ message: Message) {
    var datagram: [UInt8] = [22, 0xFE, 0xFD, message.rawValue]
    for word in [seed, peerSeed ?? 0] {
      for shift in stride(from: 56, through: 0, by: -8) {
        datagram.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
      }
    }
    datagram += own.bytes
    datagram += Array(repeating: 0, count: message.size + 14 - datagram.count)
    outgoing.append(datagram)
  }

  private func refuse() {
    put(.refusal)
    end(.failed(.fingerprint))
  }

  private func end(_ last: DTLSState) {
    state = last
    keys = nil
    nextDeadline = nil
  }

  private func establish() {
    guard let peerSeed else { return }
    let (client, server) = role == .client ? (seed, peerSeed) : (peerSeed, seed)
    var random = Random(seed: (client, server, 0x6474_6C73, 0))
    let profile = SRTPProfile.aeadAES128GCM
    keys = SRTPKeyPair(profile, material: random.bytes(profile.materialLength), role: role)
    state = .established
    nextDeadline = nil
  }
}
