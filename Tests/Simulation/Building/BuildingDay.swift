internal import Crypto
internal import Gateway
internal import JSON
internal import Simulation
internal import Wire

/// A day in the simulated building, from one seed: the real gateway, its door stations, panels, mobiles and guard,
/// operators, strangers, bad weather, crashes, a full disk and a clock that jumps. Then the faults stop, everybody
/// recovers, a visitor rings, and quiet falls. The rules are checked after every event and at the end.
///
/// Two runs of one seed are the same run.
package final class BuildingDay {
  /// What a day came to.
  package struct Outcome: Sendable {
    package var seed: UInt64
    package var breaches: [Ledger.Breach]
    /// Equal for two runs of one seed.
    package var trace: UInt64
    package var turns: Int
    /// How often things happened, by name.
    package var story: [String: Int]
    /// One line per event, when asked for.
    package var lines: [String]
  }

  /// How long faults last.
  static let troubled = Interval.minutes(5)

  private let network: SimulatedNetwork
  private let ledger = Ledger(unitOf: Building.unitOf)
  private let sights = Sights()
  private let house: Gatehouse
  private var devices: [Device] = []
  private var strangers: [Stranger] = []
  private let desk: Operator
  private var dice: Random
  private var isTroubled = true
  private var guards = DoorWatch()
  private var memory = Memory()

  /// One device over all its lives.
  private final class Device {
    let profile: Phone.Profile
    let host: SimulatedHost
    var secret: String?
    var world: SimulatedWorld?
    var phone: Phone?
    init(_ profile: Phone.Profile, _ host: SimulatedHost) {
      self.profile = profile
      self.host = host
    }
  }

  /// What the gateway said it would keep.
  private struct Memory {
    /// Commands under way or without an answer, by what they touch; zero means that we know the state.
    var unsure: [String: Int] = [:]
    var credentials: [String: String] = [:]
    var enrolments: [String: Int] = [:]
    var quiet: [String: Bool] = [:]
    var directory: Set<String> = [""]
    var variant = 0
    var troubles: [(from: Instant, to: Instant)] = []
  }

  private struct DoorWatch {
    var isActive: [Bool] = [false, false]
    var risen: [Instant?] = [nil, nil]
  }

  // MARK: Running

  package static func run(seed: UInt64, keepsLines: Bool = false) -> Outcome {
    let day = BuildingDay(seed, keepsLines: keepsLines)
    day.live()
    let outcome = Outcome(
      seed: seed, breaches: day.ledger.breaches, trace: day.network.trace, turns: day.network.turns,
      story: day.ledger.story, lines: day.network.journal.lines)
    day.network.end()
    return outcome
  }

  private init(_ seed: UInt64, keepsLines: Bool) {
    network = SimulatedNetwork(seed: seed)
    network.journal.keepsLines = keepsLines
    dice = Random(seed: seed ^ 0x6461_79)
    house = Gatehouse(network, seed: seed, ledger)
    desk = house.host.start { [ledger] in Operator($0, ledger, path: Gatehouse.socket) }.resident
    let profiles: [(Phone.Profile, UInt32)] = [
      (
        Phone.Profile(
          username: "front", isStation: true, registers: false, tag: 1,
          dials: ["401", "402", "401", "402", "panel401", "999"]), 0x0A00_0101
      ),
      (
        Phone.Profile(
          username: "ramp", isStation: true, carrier: dice.below(2) == 0 ? .udp : .tcp, tag: 2,
          dials: ["402", "402", "401"]), 0x0A00_0102
      ),
      (
        Phone.Profile(username: "panel401", tag: 3, dials: ["mobile401", "guard1", "402", "front"]),
        0x0A00_0201
      ),
      (Phone.Profile(username: "mobile401", carrier: .tls, tag: 4), 0x0A00_0202),
      (Phone.Profile(username: "panel402", carrier: .tcp, tag: 5, dials: ["ramp", "front"]), 0x0A00_0203),
      (Phone.Profile(username: "mobile402", prefersSHA: true, tag: 6), 0x0A00_0204),
      (Phone.Profile(username: "guard1", tag: 7, dials: ["401"]), 0x0A00_0205),
    ]
    for (profile, address) in profiles {
      devices.append(Device(profile, network.addHost(profile.username, [IPAddress(v4: address)])))
    }
    for number: UInt32 in 1...2 {
      let host = network.addHost("stranger\(number)", [IPAddress(v4: 0x0A00_0900 + number)])
      strangers.append(host.start { [ledger, sights] in Stranger($0, ledger, sights) }.resident)
    }
    network.afterStep = { [unowned self] in self.check() }
    sights.whenRefused = { [unowned self] username, secret in
      if self.memory.unsure[username, default: 0] == 0, let secret,
        self.memory.credentials[username] == secret
      {
        self.ledger.breach("an acknowledged write is lost", "\(username)'s credential is refused")
      }
    }
  }

  private func live() {
    house.start()
    for device in devices { power(device) }
    for stranger in strangers { stranger.start() }
    _ = network.run(until: { house.isUp }, within: .seconds(5))
    guard house.isUp else { return ledger.breach("it starts", "not within 5 s") }
    apply()
    network.run(for: .milliseconds(500))
    for device in devices where device.profile.registers { enroll(device) }
    network.run(for: .milliseconds(500))
    trouble()
    network.run(for: BuildingDay.troubled)
    recover()
    ring()
    fallQuiet()
    note()
  }

  /// What is known at the end goes into the trace as well.
  private func note() {
    for name in ledger.story.keys.sorted() { network.journal.note("\(name)=\(ledger.story[name]!)") }
    for breach in ledger.breaches { network.journal.note(breach.description) }
  }

  // MARK: After every event

  private func check() {
    ledger.now = network.now
    for (place, line) in Building.lines.enumerated() {
      let isActive = house.chip.isActive(line.line)
      if isActive, !guards.isActive[place] {
        ledger.opened(line.door)
        ledger.count("pulse")
        if let last = guards.risen[place], network.now - last < .milliseconds(2999) {
          ledger.breach("one pulse in 3 s", line.door)
        }
        guards.risen[place] = network.now
      } else if isActive, house.isUp, let risen = guards.risen[place], let ready = house.readySince {
        // A dead gateway's line is the next one's matter, before it serves.
        let due = max(risen + line.pulse, ready) + .milliseconds(20)
        if network.now > due { ledger.breach("the line falls back", "\(line.door) is still active") }
      }
      guards.isActive[place] = isActive
    }
    if let gateway = house.gateway, gateway.mostTalking > 1 {
      ledger.breach("one answered leg", "\(gateway.mostTalking) devices have one call")
    }
  }

  // MARK: Devices

  private func power(_ device: Device) {
    guard device.world?.isAlive != true else { return }
    let started = device.host.start { [ledger, sights] in
      Phone($0, device.profile, ledger, sights, secret: device.secret)
    }
    device.world = started.world
    device.phone = started.resident
    started.resident.start()
  }

  private func pick() -> Device { devices[Int(dice.below(UInt64(devices.count)))] }
  private func drawn(_ least: Int64, _ most: Int64) -> Interval {
    .milliseconds(least + Int64(dice.below(UInt64(most - least))))
  }
  private func chance(_ percent: UInt64) -> Bool { dice.below(100) < percent }

  // MARK: Operators

  /// Sends a command that changes `what`; until a success says otherwise its state is not known.
  private func change(
    _ what: String, _ method: String, _ path: String, _ body: String = "",
    then: @escaping (Operator.Answer) -> Void
  ) {
    memory.unsure[what, default: 0] += 1
    desk.ask(method, "/api/v1" + path, body) { [weak self] answer in
      guard let self, let answer else { return }
      if answer.status != 201 { self.ledger.inspect(answer.body, in: "the answer to \(method) \(path)") }
      guard (200..<300).contains(answer.status) else {
        self.ledger.count("command \(answer.status)")
        return
      }
      self.memory.unsure[what, default: 1] -= 1
      then(answer)
    }
  }

  private func apply() {
    memory.variant += 1
    let name = "v\(memory.variant)"
    memory.directory.insert(name)
    change("directory", "PUT", "/directory?file=building.json5", Building.directory(variant: memory.variant))
    {
      [weak self] _ in
      guard let self else { return }
      self.ledger.count("applied")
      // Later ones may be under way.
      if self.memory.unsure["directory"] == 0 { self.memory.directory = [name] }
    }
  }

  private func enroll(_ device: Device) {
    let username = device.profile.username
    change(username, "POST", "/accounts/\(username)/credentials", "{\"format\":\"sip\"}") {
      [weak self, weak device] answer in
      guard let self, let device, let secret = answer.json?["secret"]?.string else { return }
      self.learn(secret, username)
      self.ledger.count("enrolled")
      self.memory.credentials[username] = secret
      self.memory.enrolments[username, default: 0] += 1
      device.secret = secret
      device.phone?.secret = secret
      if device.world?.isAlive == true { device.phone?.after(.milliseconds(10)) { $0.register() } }
    }
  }

  private func learn(_ secret: String, _ username: String) {
    ledger.learned(secret: secret)
    let text = Array("\(username):\(Building.domain):\(secret)".utf8)
    ledger.learned(secret: ASCII.hex(Digest.md5(text)))
    ledger.learned(secret: String(ASCII.hex(Digest.sha256(text)).prefix(32)))
  }

  private func revoke(_ device: Device) {
    let username = device.profile.username
    change(username, "DELETE", "/accounts/\(username)/credentials") { [weak self] _ in
      guard let self else { return }
      self.ledger.count("revoked")
      self.memory.credentials[username] = nil
    }
    network.after(drawn(3000, 15_000)) { [weak self] in self?.enroll(device) }
  }

  private func setQuiet(_ username: String, _ quiet: Bool) {
    let place = Building.units.contains(username) ? "units" : "accounts"
    change("dnd \(username)", "PUT", "/\(place)/\(username)/dnd", "{\"dnd\":\(quiet)}") { [weak self] _ in
      self?.ledger.count("dnd")
      self?.memory.quiet[username] = quiet
    }
  }

  private func open(_ door: String) {
    ledger.mayOpen(door, by: "operator")
    ledger.count("opened by operator")
    desk.ask("POST", "/api/v1/doors/\(door)/open", "{}") { [ledger] answer in
      if let answer { ledger.inspect(answer.body, in: "the answer to open") }
    }
  }

  private func look() {
    let path = [
      "/accounts", "/status", "/doors", "/calls", "/cdr", "/bans", "/directory", "/units", "/doctor",
      "/stations",
    ]
    let wanted = path[Int(dice.below(UInt64(path.count)))]
    desk.ask("GET", "/api/v1" + wanted) { [ledger] answer in
      guard let answer else { return }
      ledger.inspect(answer.body, in: "the answer to GET \(wanted)")
      if answer.status != 200 { ledger.breach("the API answers", "GET \(wanted): \(answer.status)") }
    }
  }

  // MARK: Trouble

  private func again(_ least: Int64, _ most: Int64, _ deed: @escaping (BuildingDay) -> Void) {
    network.after(drawn(least, most)) { [weak self] in
      guard let self, self.isTroubled else { return }
      self.ledger.now = self.network.now
      deed(self)
      self.again(least, most, deed)
    }
  }

  private func trouble() {
    again(4000, 15_000) { $0.operate() }
    again(10_000, 30_000) { $0.changeWeather() }
    again(15_000, 60_000) { $0.cut() }
    again(20_000, 90_000) { $0.hurtDevice() }
    again(40_000, 200_000) { $0.hurtGateway() }
    again(60_000, 240_000) { $0.fillDisk() }
    again(60_000, 240_000) { $0.jump() }
  }

  private func operate() {
    switch dice.below(12) {
    case 0: apply()
    case 1: enroll(devices[1 + Int(dice.below(6))])
    case 2: revoke(devices[1 + Int(dice.below(6))])
    case 3, 4: setQuiet(["panel401", "mobile402", "401", "402"][Int(dice.below(4))], chance(40))
    case 5, 6: open(chance(50) ? "entrance" : "garage")
    case 7: house.reload()
    default: look()
    }
  }

  private func changeWeather() {
    var weather = SimulatedNetwork.Weather()
    switch dice.below(5) {
    case 0, 1: break
    case 2:
      weather.jitter = .milliseconds(15)
      weather.loss = 10
      weather.duplication = 5
      weather.reordering = 10
    case 3: weather = .bad
    default:
      weather = .bad
      weather.loss = 250
      weather.duplication = 100
      weather.delay = .milliseconds(60)
      weather.resets = 20
    }
    network.weather = weather
  }

  private func cut() {
    let device = pick()
    if chance(70) {
      network.partition(device.host, house.host)
    } else if chance(50) {
      network.cutOneWay(from: device.host, to: house.host)
    } else {
      network.cutOneWay(from: house.host, to: device.host)
    }
    network.after(drawn(2000, 45_000)) { [weak self] in self?.network.heal() }
  }

  private func hurtDevice() {
    let device = pick()
    ledger.count("device died")
    device.world?.crash(chance(50) ? .power : .process)
    network.after(drawn(1000, 30_000)) { [weak self] in self?.power(device) }
  }

  private func hurtGateway() {
    guard house.isUp else { return }
    switch dice.below(8) {
    case 0:
      ledger.count("drained")
      house.drain()
      network.after(.seconds(12)) { [weak self] in
        guard let self else { return }
        self.house.leave()
        self.checkDisk()
        self.house.start()
      }
    case 1, 2, 3: die(.power)
    default: die(.process)
    }
  }

  private func die(_ kind: SimulatedWorld.Crash) {
    house.crash(kind)
    checkDisk()
    network.after(drawn(200, 4000)) { [weak self] in self?.house.start() }
  }

  /// What was acknowledged must be there before the next life begins.
  private func checkDisk() {
    let kept = house.readDisk()
    if let fault = kept.fault { ledger.breach("the store is whole", fault) }
    func lost(_ what: String) { ledger.breach("an acknowledged write is lost", what) }
    if !memory.directory.contains(kept.directory ?? "") { lost("directory: \(kept.directory ?? "none")") }
    for device in devices {
      let name = device.profile.username
      let isSure = memory.unsure[name, default: 0] == 0
      if isSure, memory.credentials[name] != nil, kept.credentials[name, default: 0] == 0 {
        lost("credential of \(name)")
      }
      if isSure, memory.enrolments[name] != nil, memory.credentials[name] == nil,
        kept.credentials[name] != nil
      {
        lost("revocation of \(name)")
      }
      if kept.enrolments[name, default: 0] < memory.enrolments[name, default: 0] { lost("audit of \(name)") }
    }
    for name in memory.quiet.keys.sorted()
    where memory.unsure["dnd \(name)"] == 0 && memory.quiet[name] != kept.quiet.contains(name) {
      lost("dnd of \(name)")
    }
    for call in house.endedCalls where network.now - call.at > .seconds(5) {
      let wasTroubled = memory.troubles.contains { $0.from <= call.at + .seconds(6) && call.at <= $0.to }
      if !wasTroubled, !kept.calls.contains(call.id) { lost("record of call \(call.id)") }
    }
  }

  private func fillDisk() {
    let disk = house.disk
    ledger.count("disk full")
    disk.capacity = disk.used
    let from = network.now
    let length = drawn(3000, 20_000)
    memory.troubles.append((from, from + length))
    network.after(length) { disk.capacity = nil }
  }

  private func jump() {
    ledger.count("clock jumped")
    let hour: Int64 = 3600
    let far: [Int64] = [hour, -hour, 24 * hour, -24 * hour, 87_600 * hour, -87_600 * hour, 30, -30]
    network.wallOffset = network.wallOffset + .seconds(far[Int(dice.below(8))])
  }

  // MARK: The evening

  /// Faults stop; everybody comes back.
  private func recover() {
    isTroubled = false
    network.weather = SimulatedNetwork.Weather()
    network.heal()
    network.run(for: .seconds(50))
    ledger.now = network.now
    network.heal()
    for stranger in strangers { stranger.isQuiet = true }
    for device in devices {
      power(device)
      device.phone?.isQuiet = true
    }
    if !house.isUp {
      house.leave()
      house.start()
    }
    _ = network.run(until: { house.isUp }, within: .seconds(5))
    guard house.isUp else { return ledger.breach("it recovers", "the gateway does not start") }
    network.run(for: .seconds(60))
    for device in devices where device.profile.registers {
      let name = device.profile.username
      if memory.credentials[name] == nil || memory.unsure[name, default: 0] > 0 {
        memory.unsure[name] = 0
        enroll(device)
      }
    }
    for name in ["panel401", "mobile402", "401", "402"] { setQuiet(name, false) }
    apply()
    network.run(for: .seconds(30))
    for device in devices where device.profile.registers && device.phone?.isRegistered != true {
      let phone = device.phone
      ledger.breach(
        "it recovers",
        "\(device.profile.username) is not registered"
          + (phone?.isRefused == true ? ", its password is refused" : ""))
    }
  }

  /// A ring reaches every panel of the unit within 5 s.
  private func ring() {
    for (station, unit) in [("front", "401"), ("ramp", "402")] {
      guard let caller = devices.first(where: { $0.profile.username == station })?.phone else { continue }
      let panels = devices.filter { Building.unitOf[$0.profile.username] == unit }
      for panel in panels { panel.phone?.isEager = true }
      let before = panels.map { $0.phone?.rings ?? 0 }
      caller.after(.zero) { $0.call(unit) }
      network.run(for: .seconds(5))
      for (panel, count) in zip(panels, before) where (panel.phone?.rings ?? 0) == count {
        ledger.breach(
          "a ring within 5 s", "\(station) calls \(unit), \(panel.profile.username) does not ring")
      }
    }
  }

  /// Nothing is left of all that.
  private func fallQuiet() {
    network.run(for: .seconds(110))
    for device in devices {
      if let count = device.phone?.talks.count, count > 0 {
        ledger.breach("every call ends", "\(device.profile.username) has \(count) yet")
      }
      device.world?.crash(.process)
    }
    guard let gateway = house.gateway else { return }
    if gateway.census.calls > 0 { ledger.breach("every call ends", "\(gateway.census)") }
    var nothing = GatewayCensus()
    nothing.isServing = true
    if !network.run(until: { gateway.census == nothing }, within: .seconds(130)) {
      ledger.breach("all is gone after quiet", "\(gateway.census)")
    }
    if house.chip.anyActive { ledger.breach("the line falls back", "at the end") }
  }
}
