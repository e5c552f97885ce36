internal import Crypto
package import Devices
package import Directory
internal import HTTP
internal import Journal
package import Wire

/// What the doorkeeper tells. Rows must be stored in order, synced, and answered with `recorded`.
package enum DoorEvent: Hashable, Sendable {
  case record(AuditRow)
  /// A command has come to its end. Exactly one per command.
  case finished(OpenCommand, DoorResult)
  /// A device showed its certificate for the first time: keep it.
  case pinned(DoorID, fingerprint: String)
  /// A line cannot be had, or not be brought back; tried again by itself.
  case fault(DoorID, String)
  case mended(DoorID)
}

/// How a door stands.
package struct DoorStatus: Hashable, Sendable {
  package enum State: Hashable, Sendable {
    case ready
    /// A pulse lasts, or a device is being asked.
    case active
    case fault(String)
  }
  package var state: State
  /// `opened`, `refused` or `unknown`; nil before the first attempt.
  package var lastResult: String?
  package var lastAt: WallTime?
}

/// Decides who may open which door now, moves the actuator, and writes down every attempt.
///
/// A command is checked (door, life, authority, replay, cooldown), its intent recorded and synced, and only then is
/// anything moved; what became of it is recorded after. A line that was made active is brought back by a deadline,
/// however often that takes. Nothing is done at start but driving lines inactive, and nothing at the end but the
/// same. The store may fail: a door then opens after `recordPatience` without its row being safe.
///
/// It assumes that `advance` is called when `nextDeadline` has come. Who is in which call, where rows lie, and how
/// requests travel is known by others (`DoorAuthority`, `DoorEvent.record`, `HTTPFetcher`, `KeySender`).
package final class Doorkeeper {
  /// Between the beginnings of two pulses of a door.
  package static let cooldown = Interval.seconds(3)
  package static let shortestPulse = Interval.milliseconds(100)
  package static let longestPulse = Interval.seconds(10)
  /// How long a synced intent is waited for before the door opens without.
  package static let recordPatience = Interval.milliseconds(500)
  /// How long a device may take to answer one request.
  package static let devicePatience = Interval.seconds(5)
  /// Between two tries to bring a line back.
  package static let retryPause = Interval.milliseconds(100)
  /// Between two tries to get a line that could not be had.
  package static let missingPause = Interval.seconds(1)
  /// Commands under way at one time.
  package static let workLimit = 64
  /// Calls whose keys are watched at one time.
  package static let sequenceLimit = 1024

  struct Gate {
    var door: Door
    var line: (any OutputLine)?
    /// Why there is no line, as told last.
    var fault: String?
    /// When an active line is to be brought back. While there is none: it may still stand active.
    var pulseEnds: Instant?
    /// When a line that could not be had is asked for again.
    var lineDue: Instant?
    var quietUntil: Instant?
    var variant: HTTPVariant?
    var isBusy = false
    var lastResult: String?
    var lastAt: WallTime?

    var address: LineAddress? {
      guard case .gpio(let chip, let line, let activeLow) = door.actuator else { return nil }
      return LineAddress(chip: chip, line: line, activeLow: activeLow)
    }

    /// When something must be done about the line.
    var due: Instant? { line == nil ? lineDue : pulseEnds }
  }

  struct Work {
    enum Stage {
      /// Its intent is being synced.
      case recording(UInt64)
      /// A device has been asked.
      case fetching(HTTPOpening, ticket: UInt64)
    }
    var command: OpenCommand
    var stage: Stage
    var deadline: Instant
    /// After this nothing may be set in motion any more, whatever the wall clock says.
    var freshUntil: Instant
  }

  struct Presser: Hashable {
    var call: CallID
    var account: AccountName
  }

  // The three services are whoever made us; they outlive us or are gone with us.
  unowned let authority: any DoorAuthority
  let lines: any LineSource
  weak var keys: (any KeySender)?
  weak var fetcher: (any HTTPFetcher)?
  var random: Random
  var gates: [Gate] = []
  var work: [Work] = []
  var seen = SeenCommands()
  /// The number of the row that was said last.
  var lastRow: UInt64
  var pins: [DoorID: String]
  var sequences: [Presser: KeySequence] = [:]
  var lastTicket: UInt64 = 0
  var events: [DoorEvent] = []
  var eventsTaken = 0
  var isStopping = false
  let startedAt: Moment

  /// Drives every configured line inactive, before anything is served, and takes up the audit where it ended.
  package init(
    authority: any DoorAuthority, lines: any LineSource, keys: (any KeySender)?, fetcher: (any HTTPFetcher)?,
    memory: DoorMemory, random: Random, at moment: Moment
  ) {
    self.authority = authority
    self.lines = lines
    self.keys = keys
    self.fetcher = fetcher
    self.random = random
    lastRow = memory.recent.last?.number ?? 0
    pins = memory.pins
    startedAt = moment
    reload(at: moment)
    remember(memory, at: moment)
  }

  /// Drives the lines of these doors inactive and lets go of them: what is left to do after a daemon was killed.
  package static func makeSafe(_ doors: [Door], _ lines: any LineSource) -> [(door: DoorID, failure: String)]
  {
    var failures: [(door: DoorID, failure: String)] = []
    for door in doors {
      guard let address = Gate(door: door).address else { continue }
      do throws(LineFailure) {
        _ = try lines.openOutput(address, consumer: "vestibule \(door.id)")
      } catch {
        failures.append((door.id, "\(error)"))
      }
    }
    return failures
  }

  /// Takes up the building's doors as they are now. Lines that stay are not touched, not even in mid-pulse.
  package func reload(at moment: Moment) {
    let doors = isStopping ? [] : authority.building.doors
    var old = gates
    gates = []
    // Lines that go are let go of before others are asked for: one may have moved to another door.
    for index in old.indices {
      let kept = doors.first { $0.id == old[index].door.id }
      let keepsLine = kept.map { Gate(door: $0).address == old[index].address } ?? false
      guard !keepsLine, old[index].address != nil else { continue }
      old[index].line = nil  // released, and by that inactive
      if let address = old[index].address, old[index].pulseEnds != nil {
        // In mid-pulse its release is not enough to be sure.
        _ = try? lines.openOutput(address, consumer: "vestibule \(old[index].door.id)")
      }
      old[index].lineDue = nil
      old[index].pulseEnds = nil
      old[index].fault = nil
    }
    for door in doors {
      var gate = Gate(door: door)
      if let index = old.firstIndex(where: { $0.door.id == door.id }) {
        let isSame = old[index].door.actuator == door.actuator
        gate = old[index]
        gate.door = door
        if !isSame { gate.variant = nil }
      }
      gates.append(gate)
    }
    for index in gates.indices where gates[index].address != nil && gates[index].line == nil {
      takeLine(index, at: moment)
    }
    for index in work.indices.reversed() where gate(of: work[index].command.door) == nil {
      let gone = work.remove(at: index)
      if case .fetching(_, let ticket) = gone.stage {
        fetcher?.abandon(ticket: ticket)
        conclude(gone.command, .unknown("the door was taken away"), at: moment)
      } else {
        conclude(gone.command, .refused(.unknownDoor), at: moment)
      }
    }
  }

  /// Brings every line back and refuses whatever comes from now on.
  package func stop(at moment: Moment) {
    isStopping = true
    let left = work
    work = []
    for item in left {
      if case .fetching(_, let ticket) = item.stage {
        fetcher?.abandon(ticket: ticket)
        conclude(item.command, .unknown("stopping"), at: moment)
      } else {
        conclude(item.command, .refused(.stopping), at: moment)
      }
    }
    reload(at: moment)
  }

  // MARK: What comes in

  /// Takes a command; `finished` tells what became of it, at once or later.
  package func open(_ command: OpenCommand, at moment: Moment) {
    if let refusal = refusal(of: command, at: moment) {
      return refuse(command, refusal, at: moment)
    }
    guard let index = gate(of: command.door) else { return refuse(command, .unknownDoor, at: moment) }
    gates[index].isBusy = true
    seen.insert(command.id)
    let row = append(.intent, command, nil, at: moment)
    let life = min(OpenCommand.longestLife, max(.zero, command.expires - moment.wall))
    work.append(
      Work(
        command: command, stage: .recording(row.number), deadline: moment.now + Doorkeeper.recordPatience,
        freshUntil: moment.now + life))
  }

  /// Somebody pressed a key in a call. When the keys complete the open code of that call's door, a command follows.
  package func press(_ key: Character, by account: AccountName, in call: CallID, at moment: Moment) {
    guard let answered = authority.answeredCall(call),
      let door = authority.building.door(of: answered.station)
    else { return }
    let presser = Presser(call: call, account: account)
    guard sequences[presser] != nil || sequences.count < Doorkeeper.sequenceLimit else { return }
    guard sequences[presser, default: KeySequence()].press(key, at: moment.now, completing: door.openCode)
    else { return }
    open(
      OpenCommand(
        id: CommandID(&random), door: door.id, issued: moment.wall, opener: .account(account),
        proof: .call(call)), at: moment)
  }

  /// Forgets the keys of a call that is over.
  package func ended(_ call: CallID) {
    // Which are dropped does not depend on the order they are looked at.
    sequences = sequences.filter { $0.key.call != call }
  }

  /// The store has synced (or could not keep) the row of that number and all before it.
  package func recorded(through number: UInt64, at moment: Moment) {
    for index in work.indices {
      if case .recording(let own) = work[index].stage, own <= number { work[index].deadline = moment.now }
    }
    advance(at: moment)
  }

  /// The answer to a fetch.
  package func fetched(_ ticket: UInt64, _ outcome: FetchOutcome, at moment: Moment) {
    let place = work.firstIndex { item in
      if case .fetching(_, ticket: ticket) = item.stage { true } else { false }
    }
    guard let place, case .fetching(var opening, _) = work[place].stage else { return }
    let command = work[place].command
    guard let index = gate(of: command.door) else { return }
    if case .response(_, _, let shown?) = outcome, pins[command.door] == nil {
      pins[command.door] = shown
      opening.pin(shown)
      events.append(.pinned(command.door, fingerprint: shown))
    }
    switch opening.take(outcome) {
    case .send(let fetch):
      // A later request must not fire what has meanwhile gone stale.
      guard moment.now <= work[place].freshUntil else {
        work.remove(at: place)
        return conclude(command, .refused(.expired), at: moment)
      }
      send(fetch, opening, place, at: moment)
    case .done(let result):
      work.remove(at: place)
      gates[index].variant = result == .opened ? opening.variant : nil
      conclude(command, result, at: moment)
    }
  }

  /// Does what is due.
  package func advance(at moment: Moment) {
    for index in gates.indices {
      if let due = gates[index].due, due <= moment.now { bringBack(index, at: moment) }
    }
    while let place = work.firstIndex(where: { $0.deadline <= moment.now }) {
      switch work[place].stage {
      case .recording: act(place, at: moment)
      case .fetching(_, let ticket):
        fetcher?.abandon(ticket: ticket)
        let command = work.remove(at: place).command
        conclude(command, .unknown("timeout"), at: moment)
      }
    }
  }

  /// When `advance` is wanted next.
  package var nextDeadline: Instant? {
    var first: Instant?
    for gate in gates { first = .earlier(first, gate.due) }
    for item in work { first = .earlier(first, item.deadline) }
    return first
  }

  package func next() -> DoorEvent? {
    guard eventsTaken < events.count else {
      events.removeAll(keepingCapacity: true)
      eventsTaken = 0
      return nil
    }
    defer { eventsTaken += 1 }
    return events[eventsTaken]
  }

  // MARK: What can be asked

  package func status(of door: DoorID) -> DoorStatus? {
    guard let index = gate(of: door) else { return nil }
    let gate = gates[index]
    let state: DoorStatus.State =
      if let fault = gate.fault { .fault(fault) } else if gate.isBusy || gate.pulseEnds != nil {
        .active
      } else { .ready }
    return DoorStatus(state: state, lastResult: gate.lastResult, lastAt: gate.lastAt)
  }

  /// What became of a command that was carried out lately: the answer to somebody who asks twice with one id.
  package func result(of id: CommandID) -> DoorResult? { seen.result(of: id) }

  // MARK: Whether

  func refusal(of command: OpenCommand, at moment: Moment) -> Refusal? {
    guard !isStopping else { return .stopping }
    guard let index = gate(of: command.door) else { return .unknownDoor }
    let life = command.expires - command.issued
    guard life >= .zero, life <= OpenCommand.longestLife,
      command.issued <= moment.wall + OpenCommand.tolerance
    else { return .malformed }
    guard moment.wall <= command.expires else { return .expired }
    if let refusal = unauthorised(command, at: moment) { return refusal }
    // After authority, so that nobody fills the memory of names without having any.
    guard !seen.contains(command.id) else { return .replayed }
    // Should the audit be lost, what was issued before this start cannot be known as carried out or not.
    let sinceStart = moment.now - startedAt.now
    if sinceStart <= OpenCommand.longestLife + OpenCommand.tolerance, command.issued < startedAt.wall {
      return .replayed
    }
    let isQuiet = gates[index].quietUntil.map { $0 > moment.now } ?? false
    guard !gates[index].isBusy, gates[index].pulseEnds == nil, !isQuiet else { return .cooldown }
    guard work.count < Doorkeeper.workLimit else { return .busy }
    return nil
  }

  func unauthorised(_ command: OpenCommand, at moment: Moment) -> Refusal? {
    let building = authority.building
    switch (command.opener, command.proof) {
    case (.localOperator(let user), .peer(let peer)):
      return peer.isPermitted && peer.user == user ? nil : .notPermitted
    case (.account(let name), .credential(let id)):
      guard authority.isValid(credential: id, of: name) else { return .notPermitted }
      return refusal(building.mayOpen(command.door, by: name, at: moment.local))
    case (.account(let name), .call(let id)):
      guard let call = authority.answeredCall(id), call.account == name,
        building.station(call.station)?.door == command.door
      else { return .noCall }
      guard let unit = building.unit(of: name) else {
        // A guard who answers for a unit opens by his own leave.
        return refusal(building.mayOpen(command.door, by: name, at: moment.local))
      }
      guard call.unit == nil || call.unit == unit else { return .notYourDoor }
      return refusal(building.mayOpen(command.door, by: name, of: unit, at: moment.local))
    case (.localOperator, .call), (.localOperator, .credential), (.account, .peer):
      return .notPermitted
    }
  }

  func refusal(_ permission: OpenPermission) -> Refusal? {
    switch permission {
    case .granted: nil
    case .unknownDoor: .unknownDoor
    case .unknownAccount: .unknownAccount
    case .notYourDoor: .notYourDoor
    case .notNow: .notAtThisHour
    }
  }

  // MARK: Writing down

  func refuse(_ command: OpenCommand, _ refusal: Refusal, at moment: Moment) {
    append(.refusal, command, .refused(refusal), at: moment)
    note(command, .refused(refusal), at: moment)
    events.append(.finished(command, .refused(refusal)))
  }

  /// Ends a command whose intent was recorded.
  func conclude(_ command: OpenCommand, _ result: DoorResult, at moment: Moment) {
    if let index = gate(of: command.door) {
      gates[index].isBusy = false
      // Nothing moved: whoever tries again need not wait.
      if case .refused = result, gates[index].pulseEnds == nil, !mayHaveMoved(index) {
        gates[index].quietUntil = nil
      }
    }
    seen.conclude(command.id, result)
    append(.result, command, result, at: moment)
    note(command, result, at: moment)
    events.append(.finished(command, result))
  }

  /// A line whose setting failed may have twitched; a device that refused did not.
  func mayHaveMoved(_ index: Int) -> Bool { gates[index].address != nil }

  func note(_ command: OpenCommand, _ result: DoorResult, at moment: Moment) {
    guard let index = gate(of: command.door) else { return }
    gates[index].lastResult = result.name
    gates[index].lastAt = moment.wall
  }

  @discardableResult
  func append(
    _ kind: AuditRow.Kind, _ command: OpenCommand, _ result: DoorResult?, at moment: Moment
  ) -> AuditRow {
    lastRow += 1
    let row = AuditRow(number: lastRow, at: moment.wall, kind: kind, command, result)
    events.append(.record(row))
    return row
  }

  func gate(of door: DoorID) -> Int? { gates.firstIndex { $0.door.id == door } }

  // MARK: After a restart

  func remember(_ memory: DoorMemory, at moment: Moment) {
    var open: [AuditRow] = []
    for row in memory.recent {
      let index = gate(of: DoorID(row.door))
      if let index, row.kind != .intent {
        gates[index].lastResult = row.result
        gates[index].lastAt = row.at
      }
      if row.kind == .intent {
        if let id = CommandID(row.command) { seen.insert(id) }
        open.append(row)
        // How long ago that was cannot be known: a clock may have been set since. The whole pause is kept.
        if let index { gates[index].quietUntil = moment.now + Doorkeeper.cooldown }
      } else if row.kind == .result {
        open.removeAll { $0.command == row.command }
      }
    }
    if memory.isLost {
      for index in gates.indices { gates[index].quietUntil = moment.now + Doorkeeper.cooldown }
    }
    // What was under way when the daemon died may have opened or not.
    for row in open {
      var end = row
      lastRow += 1
      end.number = lastRow
      end.at = moment.wall
      end.kind = .result
      end.result = "unknown"
      end.reason = "interrupted"
      events.append(.record(end))
    }
  }
}
