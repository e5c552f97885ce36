package import Wire

/// The intervals of RFC 3261 §17, from which every other timer of a transaction is made.
package struct TransactionTimers: Sendable, Equatable {
  /// An estimate of the round trip: the first wait before something is sent again.
  package var t1: Interval
  /// The longest wait between two copies of a non-INVITE request or an INVITE response.
  package var t2: Interval
  /// How long a message may stay in the network.
  package var t4: Interval

  package init(
    t1: Interval = .milliseconds(500), t2: Interval = .seconds(4), t4: Interval = .seconds(5)
  ) {
    self.t1 = t1
    self.t2 = t2
    self.t4 = t4
  }

  /// 64 × T1: timers B, F, H, J, L and M, and how long a 2xx waits for its ACK.
  package var patience: Interval { t1 * 64 }
}
