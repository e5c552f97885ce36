internal import Gateway
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

  let network: SimulatedNetwork
  let ledger = Ledger()
  let sights = Sights()
  let house: Gatehouse
  private(set) var devices: [Device] = []
  private(set) var strangers: [Stranger] = []
  let desk: Operator
  var dice: Random
  var isTroubled = true
  var watch = DoorWatch()
  var lastVersion = 0
  /// How long faults last.
  private let troubled: Interval

  /// One device over all its lives: a phone, a browser's SIP application, or the gateway's own page.
  final class Device {
    enum Kind {
      case phone(Phone.Profile)
      case page(Page.Profile)
    }
    let kind: Kind
    let host: SimulatedHost
    /// Its password, or its cookie.
    var secret: String?
    var world: SimulatedWorld?
    var phone: Phone?
    var page: Page?
    init(_ kind: Kind, _ host: SimulatedHost) {
      self.kind = kind
      self.host = host
    }
    static func name(_ kind: Kind) -> String {
      switch kind {
      case .phone(let profile): profile.username
      case .page(let profile): profile.username
      }
    }
    var name: String { Device.name(kind) }
    /// Whether it has something to prove.
    var registers: Bool { if case .phone(let profile) = kind { profile.registers } else { true } }
    /// It would ring.
    var isReady: Bool { phone?.isRegistered ?? page?.isListening ?? false }
    var isRefused: Bool { phone?.isRefused ?? page?.isRefused ?? false }
    var rings: Int { phone?.rings ?? page?.rings ?? 0 }
    var talks: [Talk] { phone?.talks ?? (page?.talk.map { [$0] } ?? []) }

    enum Mood { case eager, patient, quiet }
    /// How it takes its calls from now on, by itself calling nobody.
    func be(_ mood: Mood) {
      phone?.isQuiet = true
      phone?.isEager = mood == .eager
      phone?.isPatient = mood == .patient
      page?.isQuiet = true
      page?.isEager = mood == .eager
      page?.isPatient = mood == .patient
    }
  }

  var promises: Promises { ledger.promises }

  // MARK: Running

  /// Runs one day; its faults last for `minutes`.
  package static func run(seed: UInt64, minutes: Int64 = 5, keepsLines: Bool = false) -> Outcome {
    let day = BuildingDay(seed, .minutes(minutes), keepsLines: keepsLines)
    day.live()
    let outcome = Outcome(
      seed: seed, breaches: day.ledger.breaches, trace: day.network.trace, turns: day.network.turns,
      story: day.ledger.story, lines: day.network.journal.lines)
    day.network.end()
    return outcome
  }

  private init(_ seed: UInt64, _ troubled: Interval, keepsLines: Bool) {
    self.troubled = troubled
    network = SimulatedNetwork(seed: seed)
    network.journal.keepsLines = keepsLines
    dice = Random(seed: seed ^ 0x6461_79)
    house = Gatehouse(network, seed: seed, ledger)
    desk = house.host.start { [ledger] in Operator($0, ledger, path: Gatehouse.socket) }.resident
    let phones = profiles().map { (Device.Kind.phone($0.0), $0.1) }
    for (kind, address) in phones + [(.page(pageProfile), 0x0A00_0302)] {
      devices.append(Device(kind, network.addHost(Device.name(kind), [IPAddress(v4: address)])))
    }
    for number: UInt32 in 1...2 {
      let host = network.addHost("stranger\(number)", [IPAddress(v4: 0x0A00_0900 + number)])
      strangers.append(host.start { [ledger, sights] in Stranger($0, ledger, sights) }.resident)
    }
    ledger.later = { [unowned network] delay, action in network.after(delay, action) }
    ledger.say = { [unowned network] text in network.journal.say(text, at: network.now) }
    network.afterStep = { [unowned self] in self.check() }
    sights.whenRefused = { [unowned self] username, secret in
      // A token that nobody used for a year is good no more, and a start in another year believes the clock.
      let isOutdated = username == "web402" && self.ledger.story["clock jumped by years"] != nil
      if let secret, !isOutdated, self.promises.promised(username, secret) {
        self.ledger.breach("an acknowledged write is lost", "\(username)'s credential is refused")
      }
    }
  }

  private func profiles() -> [(Phone.Profile, UInt32)] {
    [
      (
        Phone.Profile(
          username: "front", isStation: true, registers: false, tag: 1,
          dials: ["401", "402", "401", "402", "panel401", "112", "999"]), 0x0A00_0101
      ),
      (
        Phone.Profile(
          username: "ramp", isStation: true, carrier: dice.below(2) == 0 ? .udp : .tcp, tag: 2,
          dials: ["402", "402", "401"]), 0x0A00_0102
      ),
      (Phone.Profile(username: "gate", isStation: true, tag: 8, dials: ["402"]), 0x0A00_0103),
      (
        Phone.Profile(
          username: "panel401", tag: 3,
          dials: ["mobile401", "guard1", "402", "front", "page-401", "*78", "*79", "112"],
          putsThroughTo: ["guard1", "mobile401", "402"]), 0x0A00_0201
      ),
      (
        Phone.Profile(username: "mobile401", carrier: .tls, tag: 4, putsThroughTo: ["panel401", "guard1"]),
        0x0A00_0202
      ),
      (
        Phone.Profile(
          username: "panel402", carrier: .tcp, tag: 5, dials: ["ramp", "front", "gate", "page-401", "*79"],
          putsThroughTo: ["mobile402", "guard1", "401"]), 0x0A00_0203
      ),
      (Phone.Profile(username: "mobile402", prefersSHA: true, tag: 6), 0x0A00_0204),
      (
        Phone.Profile(
          username: "guard1", tag: 7, dials: ["401", "402"], putsThroughTo: ["401", "402", "panel402"]),
        0x0A00_0205
      ),
      (Phone.Profile(username: "kitchen401", tag: 9, dials: ["page-401"]), 0x0A00_0206),
      (
        Phone.Profile(
          username: "web401", carrier: dice.below(3) == 0 ? .ws : .wss, tag: 10,
          dials: ["panel401", "guard1", "front"], putsThroughTo: ["panel401", "guard1"]), 0x0A00_0301
      ),
    ]
  }

  private var pageProfile: Page.Profile {
    Page.Profile(
      username: "web402", isSecure: dice.below(2) == 0, tag: 11, doors: ["garage", "yard", "entrance"])
  }

  private func live() {
    house.start()
    for device in devices { power(device) }
    for stranger in strangers { stranger.start() }
    _ = network.run(until: { house.isUp }, within: .seconds(5))
    guard house.isUp else { return ledger.breach("it starts", "not within 5 s") }
    apply()
    network.run(for: .milliseconds(500))
    for device in devices where device.registers { enroll(device) }
    network.run(for: .milliseconds(500))
    trouble()
    network.run(for: troubled)
    recover()
    ring()
    browse()
    fallQuiet()
    note()
  }

  /// What is known at the end goes into the trace as well.
  private func note() {
    for name in ledger.story.keys.sorted() { network.journal.note("\(name)=\(ledger.story[name]!)") }
    for breach in ledger.breaches { network.journal.note(breach.description) }
  }

  // MARK: After every event

  struct DoorWatch {
    var isActive: [Bool] = [false, false]
    var risen: [Instant?] = [nil, nil]
  }

  private func check() {
    ledger.now = network.now
    for (place, line) in Building.lines.enumerated() {
      let isActive = house.chip.isActive(line.line)
      if isActive, !watch.isActive[place] {
        ledger.opened(line.door)
        ledger.count("pulse")
        if let last = watch.risen[place], network.now - last < .milliseconds(2999) {
          ledger.breach("one pulse in 3 s", line.door)
        }
        watch.risen[place] = network.now
        if isTroubled, chance(15) { killInPulse() }
      } else if isActive, house.isUp, let risen = watch.risen[place], let ready = house.readySince {
        // A dead gateway's line is the next one's matter, before it serves.
        let due = max(risen + line.pulse, ready) + .milliseconds(20)
        if network.now > due { ledger.breach("the line falls back", "\(line.door) is still active") }
      }
      watch.isActive[place] = isActive
    }
    if let gateway = house.gateway, gateway.mostTalking > 1 {
      ledger.breach("one answered leg", "\(gateway.mostTalking) devices have one call")
    }
  }

  // MARK: Devices and dice

  func power(_ device: Device) {
    guard device.world?.isAlive != true else { return }
    switch device.kind {
    case .phone(let profile):
      let started = device.host.start { [ledger, sights] in
        Phone($0, profile, ledger, sights, secret: device.secret)
      }
      device.world = started.world
      device.phone = started.resident
      started.resident.start()
    case .page(let profile):
      let started = device.host.start { [ledger, sights] in
        Page($0, profile, ledger, sights, cookie: device.secret)
      }
      device.world = started.world
      device.page = started.resident
      started.resident.whenGiven = { [weak device] in device?.secret = $0 }
      started.resident.start()
    }
  }

  func device(_ name: String) -> Device? { devices.first { $0.name == name } }
  func pick() -> Device { devices[Int(dice.below(UInt64(devices.count)))] }
  func drawn(_ least: Int64, _ most: Int64) -> Interval {
    .milliseconds(least + Int64(dice.below(UInt64(most - least))))
  }
  func chance(_ percent: UInt64) -> Bool { dice.below(100) < percent }
}
