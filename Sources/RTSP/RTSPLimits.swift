// An RTSP client, sans-I/O (RFC 2326, 7826).

package enum RTSPLimits {
  /// Of one message, head and body.
  package static let message = 64 << 10
}
