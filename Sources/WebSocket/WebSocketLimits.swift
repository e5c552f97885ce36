package import Wire

/// What a peer may cost, and how long it may be silent.
package struct WebSocketLimits: Sendable {
  /// Bytes of one frame's payload.
  package var frame = 64 << 10
  /// Bytes of one message: a SIP message over UDP cannot be longer.
  package var message = 64 << 10
  package var fragments = 256
  /// Bytes that may wait to be taken; a message beyond is refused, a pong left out.
  package var output = 256 << 10
  /// From a message's first byte to its last, however steadily it drips.
  package var messageTime = Interval.seconds(20)
  /// After so much silence the peer is asked whether it lives; nil for never.
  package var pingAfter: Interval? = .seconds(30)
  /// How long it may take to say anything then.
  package var pongWithin = Interval.seconds(10)
  /// From our Close to the peer's.
  package var closeTime = Interval.seconds(3)
  /// How long what still comes is thrown away after a failure, so that the peer can read why.
  package var lingerTime = Interval.seconds(1)

  package init() {}
}
