internal import API
internal import HTTP
internal import JSON
internal import Web

/// Where a listener takes its events: an answer that goes on, or a WebSocket.
enum EventOutlet {
  case stream(EventStream)
  case channel(WebChannel)

  /// `whenClosed` is called once, when nobody listens there any more.
  func begin(whenClosed: @escaping () -> Void) {
    switch self {
    case .stream(let stream):
      stream.whenClosed = whenClosed
      // Some browsers give a page nothing of an answer, not even that there is one, before its first bytes have come.
      stream.send(ServerSentEvent.keepAlive)
    case .channel(let channel): channel.whenClosed = { _ in whenClosed() }
    }
  }

  func send(_ event: EventView) {
    var text = EventText(event)
    send(&text)
  }

  /// A listener that does not take what it is sent is cut off: it comes back with the last id that it saw.
  func send(_ event: inout EventText) {
    switch self {
    case .stream(let stream): stream.send(event.line)
    case .channel(let channel):
      if !channel.send(event.message) { channel.dismiss(.tooMuch, reason: "too far behind") }
    }
  }

  func close() {
    switch self {
    case .stream(let stream): stream.close()
    case .channel(let channel): channel.dismiss(.notAllowed, reason: "this device may not listen any more")
    }
  }
}

/// An event in the forms that listeners read, each written at most once.
struct EventText {
  private let event: EventView
  /// As a message of a WebSocket: one JSON object.
  private(set) lazy var message: [UInt8] = event.json.bytes()
  /// As a server-sent event.
  private(set) lazy var line: [UInt8] =
    ServerSentEvent(event: event.type, id: String(event.id), data: event.json.text()).bytes

  init(_ event: EventView) { self.event = event }
}
