package import API
package import Directory
package import JSON
package import Wire

/// Whom an event concerns, beside operators, who hear of everything.
package struct EventAudience: Sendable {
  /// Accounts of this unit hear it.
  package var unit: UnitID?
  /// So do these.
  package var accounts: [AccountName]
  /// False for what one account alone is told, because others were told already.
  package var hasOperators: Bool

  package init(unit: UnitID? = nil, accounts: [AccountName] = [], hasOperators: Bool = true) {
    self.unit = unit
    self.accounts = accounts
    self.hasOperators = hasOperators
  }

  package static let operators = EventAudience()
}

/// Members of an event that one holder alone gets: a token of its own.
package struct PrivateDetails: Sendable {
  /// Nil: operators.
  package var holder: AccountName?
  package var fields: [JSONField]

  package init(holder: AccountName?, fields: [JSONField]) {
    self.holder = holder
    self.fields = fields
  }
}

/// What happens, told to whoever listens and is concerned. Keeps the latest events, so that a listener who lost its
/// connection takes up where it was.
package final class EventFeed {
  /// How many events are kept.
  package static let mostKept = 1000
  /// How many operators may listen at one time, how many devices, and on how many streams one device: each holds a
  /// connection and a backlog.
  package static let mostListeners = 32
  package static let mostDevices = 1200
  package static let mostOfOneDevice = 8

  /// Who listens: a device, or an operator for nil.
  typealias Scope = DeviceScope?

  private struct Kept {
    var event: EventView
    var audience: EventAudience
    var secrets: [PrivateDetails]

    func concerns(_ scope: Scope) -> Bool {
      guard let scope else { return audience.hasOperators }
      if let unit = audience.unit, unit == scope.unit { return true }
      return audience.accounts.contains(scope.account)
    }
    func secrets(of scope: Scope) -> [JSONField]? { secrets.first { $0.holder == scope?.account }?.fields }
    func view(for scope: Scope) -> EventView {
      guard let own = secrets(of: scope) else { return event }
      var view = event
      view.details += own
      return view
    }
  }

  private var kept: [Kept] = []
  private var lastID = 0
  private var listeners: [(key: Int, scope: Scope, outlet: EventOutlet)] = []
  private var nextKey = 0

  package init() {}

  /// Names an event and tells it to whom it concerns. No `fields` of `secrets` reach anybody but their holder.
  @discardableResult
  package func publish(
    _ type: String, at time: WallTime, to audience: EventAudience = .operators, _ details: [JSONField],
    secrets: [PrivateDetails] = []
  ) -> EventView {
    lastID += 1
    let event = EventView(id: lastID, type: type, at: time, details: details)
    let entry = Kept(event: event, audience: audience, secrets: secrets)
    if kept.count >= 2 * EventFeed.mostKept { kept.removeFirst(EventFeed.mostKept) }
    kept.append(entry)
    // Written once for all who get the same.
    var common = EventText(event)
    // A copy: who is cut off leaves the list while it is gone through.
    for listener in listeners where entry.concerns(listener.scope) {
      if entry.secrets(of: listener.scope) != nil {
        listener.outlet.send(entry.view(for: listener.scope))
      } else {
        listener.outlet.send(&common)
      }
    }
    return event
  }

  /// The events after `id` that operators hear, the earliest first. An id that was never given, as after a restart,
  /// means all.
  package func events(after id: Int?) -> [EventView] { events(after: id, for: nil) }

  /// The same for one listener.
  func events(after id: Int?, for scope: Scope) -> [EventView] {
    var first = 0
    if let id, id <= lastID { first = id }
    return kept.suffix(EventFeed.mostKept).filter { $0.event.id > first && $0.concerns(scope) }
      .map { $0.view(for: scope) }
  }

  var listenerCount: Int { listeners.count }

  /// Whether one more of this kind would be too many.
  func isFull(for scope: Scope) -> Bool {
    guard let scope else {
      return listeners.count { $0.scope == nil } >= EventFeed.mostListeners
    }
    return listeners.count { $0.scope != nil } >= EventFeed.mostDevices
      || listeners.count { $0.scope?.credential == scope.credential } >= EventFeed.mostOfOneDevice
  }

  /// Tells a stream what it missed, if it says what it has, and from now on everything that concerns it.
  /// `whenClosed` is called once, when it listens no more.
  func add(_ outlet: EventOutlet, for scope: Scope, after id: Int?, whenClosed: @escaping () -> Void = {}) {
    nextKey += 1
    let key = nextKey
    listeners.append((key, scope, outlet))
    outlet.begin { [weak self] in
      self?.listeners.removeAll { $0.key == key }
      whenClosed()
    }
    guard let id else { return }
    for event in events(after: id, for: scope) { outlet.send(event) }
  }

  /// Ends the streams of devices that may listen no longer.
  package func end(where isGone: (DeviceScope) -> Bool) {
    for listener in listeners {
      if let scope = listener.scope, isGone(scope) { listener.outlet.close() }
    }
  }
}
