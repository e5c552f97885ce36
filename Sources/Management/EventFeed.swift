package import API
internal import HTTP
package import JSON
internal import Web
package import Wire

/// What happens, told to whoever listens. Keeps the latest events, so that a listener who lost its connection takes
/// up where it was.
package final class EventFeed {
  /// How many events are kept.
  package static let mostKept = 1000
  /// How many listeners there may be; one holds a connection and a backlog.
  package static let mostListeners = 32

  private var kept: [EventView] = []
  private var lastID = 0
  private var listeners: [(key: Int, stream: EventStream)] = []
  private var nextKey = 0

  package init() {}

  /// Names an event and tells it.
  @discardableResult
  package func publish(_ type: String, at time: WallTime, _ details: [JSONField]) -> EventView {
    lastID += 1
    let event = EventView(id: lastID, type: type, at: time, details: details)
    if kept.count >= 2 * EventFeed.mostKept { kept.removeFirst(EventFeed.mostKept) }
    kept.append(event)
    let message = EventFeed.message(event)
    // A copy: who is cut off leaves the list while it is gone through.
    for listener in listeners { listener.stream.send(message) }
    return event
  }

  /// The events after `id`, the earliest first. An id that was never given, as after a restart, means all.
  package func events(after id: Int?) -> [EventView] {
    let events = kept.suffix(EventFeed.mostKept)
    guard let id, id <= lastID else { return Array(events) }
    return events.filter { $0.id > id }
  }

  var listenerCount: Int { listeners.count }
  var isFull: Bool { listeners.count >= EventFeed.mostListeners }

  /// Tells a stream what it missed, if it says what it has, and from now on everything.
  func add(_ stream: EventStream, after id: Int?) {
    nextKey += 1
    let key = nextKey
    listeners.append((key, stream))
    stream.whenClosed = { [weak self] in self?.listeners.removeAll { $0.key == key } }
    guard let id else { return }
    for event in events(after: id) { stream.send(EventFeed.message(event)) }
  }

  private static func message(_ event: EventView) -> ServerSentEvent {
    ServerSentEvent(event: event.type, id: String(event.id), data: event.json.text())
  }
}
