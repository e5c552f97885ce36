package import Wire

/// Who is called: the whole of the decision, as a function of the directory, the hour and what is going on.
///
/// It answers with everybody who should ring, registered or not; who can be reached is the caller's to find out.
/// The host of the request URI was checked before.
extension Building {
  /// Dialled by an account to ask for quiet, and to end it.
  package static let quietOnCode = "*78"
  package static let quietOffCode = "*79"
  /// Before a unit's number: its panels answer by themselves.
  package static let pagePrefix = "page-"

  package func plan(
    _ caller: Caller, dials dialled: String, at time: LocalTime,
    _ conditions: CallConditions = CallConditions()
  ) -> CallDecision {
    guard isKnown(caller) else { return .refuse(.notAllowed) }
    if case .emergency(let number) = entry(named: dialled) { return emergency(caller, number) }
    if case .account(let name) = caller {
      if dialled == Building.quietOnCode { return .doNotDisturb(name, on: true) }
      if dialled == Building.quietOffCode { return .doNotDisturb(name, on: false) }
    }
    if dialled.hasPrefix(Building.pagePrefix) {
      return page(caller, String(dialled.dropFirst(Building.pagePrefix.count)), conditions)
    }
    switch entry(named: dialled) {
    case .unit(let id): return call(caller, unit: id, at: time, conditions)
    case .account(let name): return call(caller, account: name, conditions)
    case .station(let name): return call(caller, station: name)
    case .emergency, nil: return .refuse(.unknown)
    }
  }

  private func isKnown(_ caller: Caller) -> Bool {
    switch caller {
    case .account(let name): account(name) != nil
    case .station(let name): station(name) != nil
    }
  }

  // MARK: The kinds of call

  private func emergency(_ caller: Caller, _ number: EmergencyNumber) -> CallDecision {
    if number.targets.isEmpty { return .refuse(.emergencyWithoutTarget) }
    let targets = targets(of: number.targets, but: caller)
    if targets.isEmpty { return .refuse(.nobody) }
    let step = CallStep(targets: targets, timeout: Rule.usualTimeout, declineEnds: false)
    return .call(plan(caller, unit: nil, [step], isEmergency: true))
  }

  private func page(_ caller: Caller, _ number: String, _ conditions: CallConditions) -> CallDecision {
    guard let id = unit(named: number), let unit = unit(id) else { return .refuse(.unknown) }
    guard case .account(let name) = caller, self.unit(of: name) == id else { return .refuse(.notAllowed) }
    let panels = unit.accounts.filter { $0.kind == .panel && $0.username != name }
    if panels.isEmpty { return .refuse(.nobody) }
    let targets = panels.map { target($0.username, $0.kind, unit) }.filter { !isQuiet($0, conditions) }
    if targets.isEmpty { return .refuse(.doNotDisturb) }
    let step = CallStep(targets: targets, timeout: Rule.usualTimeout, declineEnds: false)
    return .call(plan(caller, unit: id, [step], isPage: true))
  }

  private func call(
    _ caller: Caller, unit id: UnitID, at time: LocalTime, _ conditions: CallConditions
  ) -> CallDecision {
    guard let unit = unit(id) else { return .refuse(.unknown) }
    guard mayCall(caller, unit: unit) else { return .refuse(.notAllowed) }
    let isBusy = conditions.busyUnits.contains(id)
    if isBusy, unit.callWaiting == .busy { return .refuse(.busy) }

    let matching = unit.rules.filter {
      $0.action != .voicemail && $0.from.matches(caller.username) && $0.schedule?.contains(time) ?? true
    }
    let rules = matching.isEmpty ? [Rule(action: .ring)] : matching
    var steps: [CallStep] = []
    var sawQuiet = false
    var sawBusy = false
    for rule in rules {
      var targets = targets(of: rule.targets.isEmpty ? [.unit(id)] : rule.targets, but: caller)
      let all = targets.count
      targets.removeAll { isQuiet($0, conditions) }
      if targets.count < all { sawQuiet = true }
      let awake = targets.count
      // A unit in a call that passes its second call on, or wants none, is not rung as somebody's forward either.
      targets.removeAll { target in
        target.callWaiting != .ring && target.unit.map { conditions.busyUnits.contains($0) } ?? false
      }
      if targets.count < awake { sawBusy = true }
      if targets.isEmpty { continue }
      steps.append(CallStep(targets: targets, timeout: rule.timeout, declineEnds: rule.declineEnds))
    }
    if steps.isEmpty { return .refuse(sawBusy ? .busy : sawQuiet ? .doNotDisturb : .nobody) }
    return .call(plan(caller, unit: id, steps))
  }

  private func call(
    _ caller: Caller, account name: AccountName, _ conditions: CallConditions
  ) -> CallDecision {
    guard let account = account(name) else { return .refuse(.unknown) }
    let unit = unit(of: name).flatMap { self.unit($0) }
    guard mayCall(caller, account: account, of: unit) else { return .refuse(.notAllowed) }
    guard account.kind.registers else { return .refuse(.nobody) }
    if conditions.quietAccounts.contains(name) { return .refuse(.doNotDisturb) }
    let step = CallStep(
      targets: [target(name, account.kind, unit)], timeout: Rule.usualTimeout, declineEnds: false)
    return .call(plan(caller, unit: unit?.number, [step]))
  }

  private func call(_ caller: Caller, station name: StationName) -> CallDecision {
    guard mayCall(caller, station: name) else { return .refuse(.notAllowed) }
    let target = CallTarget(callee: .station(name), kind: .station, unit: nil, callWaiting: .ring)
    let step = CallStep(targets: [target], timeout: Rule.usualTimeout, declineEnds: false)
    var unit: UnitID?
    if case .account(let account) = caller { unit = self.unit(of: account) }
    var plan = plan(caller, unit: unit, [step])
    plan.station = name
    return .call(plan)
  }

  private func plan(
    _ caller: Caller, unit: UnitID?, _ steps: [CallStep], isEmergency: Bool = false, isPage: Bool = false
  ) -> CallPlan {
    var station: StationName?
    if case .station(let name) = caller { station = name }
    return CallPlan(
      caller: caller, unit: unit, steps: steps, isEmergency: isEmergency, isPage: isPage, station: station)
  }

  // MARK: Who may call whom

  private func mayCall(_ caller: Caller, unit: Unit) -> Bool {
    switch caller {
    case .station: return true
    case .account(let name):
      if account(name)?.kind == .guard { return true }
      guard let own = self.unit(of: name) else { return false }
      if own == unit.number { return true }
      return unit.neighbours && self.unit(own)?.neighbours ?? false
    }
  }

  private func mayCall(_ caller: Caller, account: Account, of unit: Unit?) -> Bool {
    // A guard may live in a unit; he is called as a guard all the same.
    if account.kind == .guard { return true }
    if let unit { return mayCall(caller, unit: unit) }
    if case .station = caller { return true }
    return caller == .account(account.username)
  }

  private func mayCall(_ caller: Caller, station: StationName) -> Bool {
    guard case .account(let name) = caller, let door = self.station(station)?.door else { return false }
    return grants(of: name).contains { $0.door == door }
  }

  // MARK: Targets

  /// The accounts behind `names`, each once, without the caller's own.
  private func targets(of names: [RuleTarget], but caller: Caller) -> [CallTarget] {
    var seen: Set<String> = [caller.username]
    var found: [CallTarget] = []
    func add(_ account: Account, _ unit: Unit?) {
      guard account.kind.registers, seen.insert(account.username.rawValue).inserted else { return }
      found.append(target(account.username, account.kind, unit))
    }
    for name in names {
      switch name {
      case .unit(let id):
        guard let unit = unit(id) else { continue }
        for account in unit.accounts { add(account, unit) }
      case .account(let name):
        if let account = account(name) { add(account, unit(of: name).flatMap { unit($0) }) }
      case .guards:
        for name in guards {
          if let account = account(name) { add(account, unit(of: name).flatMap { unit($0) }) }
        }
      }
    }
    return found
  }

  private func target(_ name: AccountName, _ kind: AccountKind, _ unit: Unit?) -> CallTarget {
    CallTarget(
      callee: .account(name), kind: kind, unit: unit?.number, callWaiting: unit?.callWaiting ?? .ring)
  }

  /// Its own wish, or its unit's. A guard is not quieted by the unit he lives in.
  private func isQuiet(_ target: CallTarget, _ conditions: CallConditions) -> Bool {
    guard case .account(let name) = target.callee else { return false }
    if conditions.quietAccounts.contains(name) { return true }
    guard target.kind != .guard, let unit = target.unit else { return false }
    return conditions.quietUnits.contains(unit)
  }
}
