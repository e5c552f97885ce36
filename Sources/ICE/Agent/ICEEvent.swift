package import Wire

/// A way between us and the peer: a flow, or a flow to a relay and what to tell it.
package struct ICEPath: Hashable, Sendable {
  /// What leaves goes on this flow.
  package var flow: Flow
  /// The peer as the relay sees it; nil when the flow leads to the peer itself.
  package var relayed: Endpoint?
  /// With a relay: the channel that is bound, whose number and length go before each payload (RFC 8656 section
  /// 12.4). Nil until it is bound, and without a relay; `ICEAgent.send` works meanwhile.
  package var channel: UInt16?

  package init(_ flow: Flow, relayed: Endpoint? = nil, channel: UInt16? = nil) {
    self.flow = flow
    self.relayed = relayed
    self.channel = channel
  }

  /// Where the peer is.
  package var peer: Endpoint { relayed ?? flow.remote }

  /// Whether both are the same way, bound to a channel or not.
  func isSame(as other: ICEPath) -> Bool { flow == other.flow && relayed == other.relayed }
}

/// What a datagram turned out to be.
package enum ICEReading: Hashable, Sendable {
  /// STUN or TURN, and dealt with.
  case consumed
  /// Not for us, malformed, or from an address that has not proved to be the peer's: counted.
  case ignored
  /// DTLS, RTP or RTCP from a validated address: these bytes of the datagram, and the way they came.
  case payload(Range<Int>, ICEPath)
}

/// What an agent's owner must know.
package enum ICEEvent: Hashable, Sendable {
  /// A reflexive or relayed candidate was found: tell the peer. Host candidates stand in the description at once.
  case candidate(Candidate)
  /// No more candidates of ours will come.
  case gatheringDone
  /// This flow proved to be the peer's: tell the demultiplexer.
  case validated(Flow)
  /// Media goes this way from now on. The first may come before the peer or we have nominated a pair.
  case selected(ICEPath)
  /// Media can flow: for the first time, or again after `disconnected`.
  case connected
  /// Nothing was heard for a while; `connected` or `consentLost` follows.
  case disconnected
  /// No pair works. A restart may help.
  case failed
  /// No pair works after a restart; what was selected before carries on.
  case restartFailed
  /// The peer is gone, or wants no more: nothing may be sent. A restart may help.
  case consentLost
}

/// What became of what was received, for metrics.
package struct ICECounters: Hashable, Sendable {
  /// Checks answered.
  package var answered = 0
  /// Messages with a wrong user fragment, integrity or fingerprint, or malformed.
  package var refused = 0
  /// Payload from addresses that were not validated.
  package var foreign = 0
  /// Candidates of the peer that were over the limit or of no use.
  package var skipped = 0
  /// Messages that did not fit the outbox.
  package var unsent = 0
}
