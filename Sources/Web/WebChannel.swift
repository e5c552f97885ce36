package import WebSocket

/// A WebSocket to one peer. It lives until `whenClosed` was called, whoever ended it.
///
/// Bounded: what the peer does not take waits up to the limits of its route, then `send` refuses; a peer that takes
/// nothing for long is cut off, and while anything waits nothing more is read from it.
package final class WebChannel {
  private weak var server: WebServer?
  package let connection: WebConnectionID
  package let peer: WebPeer
  /// A whole message came. Text is UTF-8.
  package var whenMessage: ((WebSocketKind, [UInt8]) -> Void)?
  /// Called once when nothing more will come.
  package var whenClosed: ((WebSocketEnding) -> Void)?

  init(server: WebServer, connection: WebConnectionID, peer: WebPeer) {
    self.server = server
    self.connection = connection
    self.peer = peer
  }

  package var isOpen: Bool { server?.isOpen(channel: connection) ?? false }

  /// False when the channel is closing or its peer is too far behind: nothing was taken then.
  @discardableResult
  package func send(_ kind: WebSocketKind, _ payload: [UInt8]) -> Bool {
    server?.send(kind, payload, on: connection) ?? false
  }
  /// The same as text where it is UTF-8, else as binary.
  @discardableResult
  package func send(_ payload: [UInt8]) -> Bool { server?.send(nil, payload, on: connection) ?? false }
  /// Closes in good order; `whenClosed` follows when the peer has confirmed it or had its time.
  package func close(_ code: WebSocketCloseCode = .normal, reason: String = "") {
    server?.close(channel: connection, code, reason)
  }

  /// Why we want no more of a peer that broke no rule.
  package enum Dismissal: Sendable { case notAllowed, tooMuch }

  /// Closes a channel that its peer may not have, or not now.
  package func dismiss(_ why: Dismissal, reason: String) {
    close(why == .tooMuch ? .tryAgainLater : .policyViolation, reason: reason)
  }

  func ended(_ ending: WebSocketEnding) {
    guard server != nil else { return }
    server = nil
    let told = whenClosed
    whenMessage = nil
    whenClosed = nil
    told?(ending)
  }
}
