package import Wire

/// What a camera may cost us. A camera is a stranger with a password of ours.
package enum RTSPLimits {
  /// Of one message, head and body.
  package static let message = 64 << 10
  /// Of one head: start line and fields.
  package static let head = HeadLimits(bytes: 16 << 10, fields: 100)
  /// Bytes that are neither a message nor a packet, in a row, before the stream is given up.
  package static let junk = 64 << 10
  /// Addresses that one attempt may be sent on to.
  package static let redirects = 4
  /// Answers of kind 1xx to one request.
  package static let interim = 8
  /// Challenges that one request may meet.
  package static let challenges = 3

  /// From a request to its answer.
  package static let answer = Interval.seconds(5)
  /// How long we wait for the answer to our farewell.
  package static let farewell = Interval.milliseconds(400)
  /// A session ends when its client is silent for so long, unless the server says otherwise (RFC 2326 section 12.37).
  package static let sessionTimeout = Interval.seconds(60)
  /// The longest and the shortest time between two signs of life.
  package static let keepAlive = (longest: Interval.seconds(25), shortest: Interval.seconds(2))
  /// Between two receiver reports.
  package static let report = Interval.seconds(5)
}
