package import Wire

/// A dwelling, an office: whom a visitor calls.
package struct Unit: Hashable, Sendable {
  package var number: UnitID
  package var name: String
  /// Other names under which it is called.
  package var aliases: [String]
  package var callWaiting: CallWaiting
  /// Whether its accounts and those of other such units may call each other.
  package var neighbours: Bool
  package var accounts: [Account]
  package var rules: [Rule]
  package var doors: [DoorGrant]

  package init(
    number: UnitID, name: String = "", aliases: [String] = [], callWaiting: CallWaiting = .ring,
    neighbours: Bool = false, accounts: [Account] = [], rules: [Rule] = [], doors: [DoorGrant] = []
  ) {
    self.number = number
    self.name = name
    self.aliases = aliases
    self.callWaiting = callWaiting
    self.neighbours = neighbours
    self.accounts = accounts
    self.rules = rules
    self.doors = doors
  }
}

/// What a second call meets while its unit is in one.
package enum CallWaiting: String, CaseIterable, Hashable, Sendable {
  /// It rings beside the first.
  case ring
  /// Its caller hears busy.
  case busy
  /// The steps that ring the unit are passed over.
  case next
}

/// A door that may be opened, always or at some hours.
package struct DoorGrant: Hashable, Sendable {
  package var door: DoorID
  package var schedule: Schedule?

  package init(_ door: DoorID, schedule: Schedule? = nil) {
    self.door = door
    self.schedule = schedule
  }
}

/// What to do with a call to the unit. Those that match become the steps of the call, in order.
package struct Rule: Hashable, Sendable {
  package enum Action: String, CaseIterable, Hashable, Sendable { case ring, forward, voicemail }

  package var from: Glob
  package var action: Action
  /// Whom to ring; empty for the whole unit.
  package var targets: [RuleTarget]
  package var timeout: Interval
  /// One 603 ends the whole call, not only its branch.
  package var declineEnds: Bool
  package var schedule: Schedule?

  /// How long a step rings when nothing else is written.
  package static let usualTimeout = Interval.seconds(45)

  package init(
    from: Glob = .any, action: Action, targets: [RuleTarget] = [], timeout: Interval = Rule.usualTimeout,
    declineEnds: Bool = false, schedule: Schedule? = nil
  ) {
    self.from = from
    self.action = action
    self.targets = targets
    self.timeout = timeout
    self.declineEnds = declineEnds
    self.schedule = schedule
  }
}

/// Whom a rule or an emergency number names.
package enum RuleTarget: Hashable, Sendable {
  case unit(UnitID)
  case account(AccountName)
  /// Every account of kind guard.
  case guards

  /// As a directory file writes it.
  package var written: String {
    switch self {
    case .unit(let id): id.rawValue
    case .account(let name): name.rawValue
    case .guards: "guard"
    }
  }
}
