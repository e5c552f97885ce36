import Devices
import Directory
import Doors
import HTTP
import Journal
import Simulation
import Testing
import Wire

/// A building's doors on a bench: made-up time, a simulated chip, a store that syncs when told, devices and stations
/// that write down what they are asked.
final class DoorBench: DoorAuthority, KeySender, HTTPFetcher {
  var building: Building
  var calls: [CallID: AnsweredCall] = [:]
  var credentials: [UInt64: AccountName] = [7: "panel401", 8: "panel402", 9: "guard1"]
  let chip: SimulatedChip
  var keysSent: [(keys: String, mode: Actuator.KeyMode, stations: [StationName], call: CallID?)] = []
  var takesKeys = true
  var fetches: [(ticket: UInt64, fetch: Fetch)] = []
  var abandoned: [UInt64] = []
  var rows: [AuditRow] = []
  var finished: [(command: OpenCommand, result: DoorResult)] = []
  var events: [DoorEvent] = []
  /// Rows are synced at once; else they wait for `sync`.
  var syncsAtOnce = true
  var now: Instant
  var wall: WallTime
  var random: Random
  private(set) var keeper: Doorkeeper!

  /// Friday 20 November 2026, 21:28:39 UTC.
  static let start = WallTime(seconds: 1_795_210_119)

  static func house(_ actuator: Actuator = .gpio(chip: "gpiochip0", line: 17, activeLow: false)) -> Building {
    Building(
      units: [
        Unit(
          number: "401", accounts: [Account(username: "panel401", kind: .panel)],
          doors: [DoorGrant("entrance"), DoorGrant("garage", schedule: nights)]),
        Unit(
          number: "402", accounts: [Account(username: "panel402", kind: .panel)], doors: [DoorGrant("cellar")]
        ),
      ],
      accounts: [Account(username: "guard1", kind: .guard, doors: [DoorGrant("entrance")])],
      stations: [
        Station(username: "intercom-main", name: "Entrance", door: "entrance"),
        Station(username: "intercom-garage", name: "Garage", door: "garage"),
        Station(username: "intercom-none", name: "Hall"),
      ],
      doors: [
        Door(id: "entrance", actuator: actuator, pulse: .milliseconds(3000)),
        Door(
          id: "garage", actuator: .gpio(chip: "gpiochip0", line: 18, activeLow: true),
          pulse: .milliseconds(500), openCode: "12#"),
        Door(id: "cellar", actuator: .none),
      ])
  }

  private static let nights = Schedule([Period(from: 1320, to: 420)])

  init(
    _ building: Building = DoorBench.house(), chip: SimulatedChip = SimulatedChip(),
    memory: DoorMemory = DoorMemory(), now: Instant = Instant(nanoseconds: 1 << 40), wall: WallTime = start,
    seed: UInt64 = 1
  ) {
    self.building = building
    self.chip = chip
    self.now = now
    self.wall = wall
    random = Random(seed: seed)
    keeper = Doorkeeper(
      authority: self, lines: chip, keys: self, fetcher: self, memory: memory, random: random.fork(),
      at: moment)
    drain()
  }

  var moment: Moment {
    let minutes = Int(wall.seconds / 60)
    return Moment(
      now: now, wall: wall,
      local: LocalTime(date: CivilDate(daysSinceEpoch: minutes / 1440), minute: minutes % 1440))
  }

  // MARK: Services

  func answeredCall(_ id: CallID) -> AnsweredCall? { calls[id] }
  func isValid(credential: UInt64, of account: AccountName) -> Bool { credentials[credential] == account }
  func password(of door: DoorID) -> Secret? { Secret("s3cret&") }
  func send(_ keys: String, _ mode: Actuator.KeyMode, to stations: [StationName], in call: CallID?) -> Bool {
    if takesKeys { keysSent.append((keys, mode, stations, call)) }
    return takesKeys
  }
  func fetch(_ fetch: Fetch, ticket: UInt64) { fetches.append((ticket, fetch)) }
  func abandon(ticket: UInt64) { abandoned.append(ticket) }

  // MARK: Doing

  func drain() {
    while let event = keeper.next() {
      events.append(event)
      switch event {
      case .record(let row):
        rows.append(row)
        if syncsAtOnce { keeper.recorded(through: row.number, at: moment) }
      case .finished(let command, let result): finished.append((command, result))
      case .pinned, .fault, .mended: break
      }
    }
  }

  func sync() {
    keeper.recorded(through: rows.last?.number ?? 0, at: moment)
    drain()
  }

  func command(
    _ door: DoorID = "entrance", _ opener: Opener = .account("panel401"), _ proof: Proof = .credential(7),
    id: String? = nil
  ) -> OpenCommand {
    let id = id.flatMap { CommandID($0) } ?? CommandID(&random)
    return OpenCommand(id: id, door: door, issued: wall, opener: opener, proof: proof)
  }

  @discardableResult
  func open(_ command: OpenCommand) -> DoorResult? {
    let before = finished.count
    keeper.open(command, at: moment)
    drain()
    return finished.count > before ? finished[before].result : nil
  }

  @discardableResult
  func press(_ keys: String, _ account: AccountName, _ call: UInt64, gap: Interval = .milliseconds(300))
    -> DoorResult?
  {
    let before = finished.count
    for key in keys {
      keeper.press(key, by: account, in: CallID(call), at: moment)
      drain()
      pass(gap)
    }
    return finished.count > before ? finished[before].result : nil
  }

  /// Lets time go by, meeting every deadline on the way.
  func pass(_ length: Interval) {
    let end = now + length
    while let due = keeper.nextDeadline, due <= end {
      step(to: max(due, now))
      keeper.advance(at: moment)
      drain()
    }
    step(to: end)
  }

  private func step(to later: Instant) {
    wall = wall + (later - now)
    now = later
  }

  /// A device answers the newest request.
  func answer(
    _ status: Int, _ body: String = "", fields: HTTPFields = HTTPFields(), fingerprint: String? = nil
  ) {
    let ticket = fetches.last!.ticket
    keeper.fetched(
      ticket,
      .response(HTTPResponse(status, fields: fields), body: Array(body.utf8), fingerprint: fingerprint),
      at: moment)
    drain()
  }
  func answer(_ outcome: FetchOutcome) {
    keeper.fetched(fetches.last!.ticket, outcome, at: moment)
    drain()
  }

  /// How often a line was made active.
  func pulses(_ line: Int) -> Int { chip.history.filter { $0 == .set(line: line, active: true) }.count }
}
