package import HTTP

/// The right to answer one request, once, now or later. Answers after the first, and after the connection ended, go
/// nowhere.
package final class Responder {
  private weak var server: WebServer?
  let connection: WebConnectionID
  let exchange: Int

  init(server: WebServer, connection: WebConnectionID, exchange: Int) {
    self.server = server
    self.connection = connection
    self.exchange = exchange
  }

  package func reply(_ reply: WebReply) {
    server?.reply(reply, on: connection, exchange: exchange)
    server = nil
  }

  /// Answers with a stream of events. Nil when nobody listens any more.
  package func openEvents() -> EventStream? {
    defer { server = nil }
    return server?.openEvents(on: connection, exchange: exchange)
  }
}

/// An answer that goes on: server-sent events to one listener.
///
/// Bounded: a listener that does not take what it is sent is cut off rather than waited for. It comes back with the
/// id of the last event it saw, and gets what it missed.
package final class EventStream {
  private weak var server: WebServer?
  let connection: WebConnectionID
  /// Called once when the listener is gone, whoever ended it.
  package var whenClosed: (() -> Void)?

  init(server: WebServer, connection: WebConnectionID) {
    self.server = server
    self.connection = connection
  }

  package var isOpen: Bool { server != nil }
  package func send(_ event: ServerSentEvent) { send(event.bytes) }
  /// The same from bytes that were made once for many listeners.
  package func send(_ event: [UInt8]) { server?.stream(event, on: connection) }
  package func close() { server?.closeStream(on: connection) }

  func ended() {
    guard server != nil else { return }
    server = nil
    let told = whenClosed
    whenClosed = nil
    told?()
  }
}
