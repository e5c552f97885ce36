package import Wire

/// What is to become of a call.
package enum CallDecision: Hashable, Sendable {
  case refuse(CallRefusal)
  case call(CallPlan)
  /// `*78` and `*79`: the caller's own do not disturb; answered, nobody is called.
  case doNotDisturb(AccountName, on: Bool)
}

/// Why a call is not placed.
package enum CallRefusal: Hashable, Sendable {
  /// Nobody has that name.
  case unknown
  /// An emergency number that rings nobody.
  case emergencyWithoutTarget
  /// The directory does not let this caller call there.
  case notAllowed
  /// Everybody asked for quiet.
  case doNotDisturb
  /// The unit is in a call and does not want a second.
  case busy
  /// There is no device to ring, registered or not.
  case nobody

  /// The SIP status the caller gets.
  package var status: Int {
    switch self {
    case .unknown, .emergencyWithoutTarget: 404
    case .notAllowed: 403
    case .doNotDisturb, .nobody: 480
    case .busy: 486
    }
  }
}

/// Steps to take one after another until one is answered.
package struct CallPlan: Hashable, Sendable {
  package var caller: Caller
  /// The unit that was called; nil for an account without one, a station, an emergency number.
  package var unit: UnitID?
  package var steps: [CallStep]
  /// Goes ahead of do not disturb, call waiting and limits.
  package var isEmergency: Bool
  /// The called devices answer by themselves.
  package var isPage: Bool
  /// The station that calls or is called: its door, camera and longest talk apply.
  package var station: StationName?
}

/// Devices to ring at once. Ends when answered, after `timeout`, or when every target is busy, declined or
/// unreachable.
package struct CallStep: Hashable, Sendable {
  package var targets: [CallTarget]
  package var timeout: Interval
  package var declineEnds: Bool
}

/// One account or station to ring, on all its devices, also such as register while it rings.
package struct CallTarget: Hashable, Sendable {
  package enum Callee: Hashable, Sendable {
    case account(AccountName)
    case station(StationName)
  }
  package var callee: Callee
  package var kind: AccountKind
  package var unit: UnitID?
  /// The rule of the target's own unit; `ring` for those without one.
  package var callWaiting: CallWaiting

  package var username: String {
    switch callee {
    case .account(let name): name.rawValue
    case .station(let name): name.rawValue
    }
  }
}

/// What is going on while a call is decided.
package struct CallConditions: Sendable {
  package var quietAccounts: Set<AccountName>
  package var quietUnits: Set<UnitID>
  /// Units that are in a call already.
  package var busyUnits: Set<UnitID>

  package init(
    quietAccounts: Set<AccountName> = [], quietUnits: Set<UnitID> = [], busyUnits: Set<UnitID> = []
  ) {
    self.quietAccounts = quietAccounts
    self.quietUnits = quietUnits
    self.busyUnits = busyUnits
  }
}
