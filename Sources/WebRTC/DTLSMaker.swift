// What a peer connection needs of DTLS. `Crypto` makes the real association; the simulated building makes one with the
// same flights and failures and no cryptography, for OpenSSL reads the clock and draws its own numbers.
package import Crypto
package import Wire

/// One DTLS association with one peer.
package protocol DTLSAssociation: AnyObject {
  var role: DTLSRole { get }
  var state: DTLSState { get }
  /// Both directions' keys; there only while `state` is established.
  var keys: SRTPKeyPair? { get }
  /// When `advance` is wanted; nil when nothing waits.
  var nextDeadline: Instant? { get }
  /// Makes a client's first flight; nothing for a server.
  func start(at now: Instant)
  /// Takes one datagram in.
  func receive(_ datagram: Span<UInt8>, at now: Instant)
  /// Sends again what is due.
  func advance(at now: Instant)
  /// Makes our goodbye.
  func close()
  /// Moves the next datagram to send into `datagram`; false when there is none.
  func takeDatagram(_ datagram: inout [UInt8]) -> Bool
}

/// Makes the associations of one gateway, all under one certificate.
package protocol DTLSMaker: AnyObject {
  /// Of our certificate.
  var fingerprint: Fingerprint { get }
  /// An association with a peer whose certificate has one of `fingerprints`. `seed` is 64 bits of the turn's
  /// randomness, for makers that have none of their own.
  func make(_ role: DTLSRole, peer fingerprints: [Fingerprint], seed: UInt64) -> any DTLSAssociation
}

extension DTLSSession: DTLSAssociation {}

/// The real associations, over OpenSSL.
package final class DTLSSessions: DTLSMaker {
  private let context: DTLSContext
  private let firstTimeout: Interval
  /// The SRTP profiles of associations that are made from now on, in our order.
  package private(set) var profiles: [SRTPProfile]

  /// `firstTimeout` is how long an answer is waited for before the first retransmission.
  package init(_ context: DTLSContext, firstTimeout: Interval = .milliseconds(200)) {
    self.context = context
    self.firstTimeout = firstTimeout
    profiles = context.profiles
  }

  /// Has a worker find out by `stopwatch` what this CPU does best, prefers it from then on, and tells the order.
  package func rank(
    on world: any World, by stopwatch: @escaping @Sendable (() -> Void) -> Interval,
    then: @escaping ([SRTPProfile]) -> Void
  ) {
    world.perform(on: .general) {
      SRTPProfile.ranked(by: stopwatch)
    } then: { [self] order in
      profiles = order
      then(order)
    }
  }

  package var fingerprint: Fingerprint { context.fingerprint }

  package func make(
    _ role: DTLSRole, peer fingerprints: [Fingerprint], seed: UInt64
  ) -> any DTLSAssociation {
    DTLSSession(context, role: role, peer: fingerprints, profiles: profiles, firstTimeout: firstTimeout)
  }
}
