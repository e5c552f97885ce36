internal import Gateway
internal import Simulation
internal import Wire

// What goes wrong in a day.

extension BuildingDay {
  private func again(_ least: Int64, _ most: Int64, _ deed: @escaping (BuildingDay) -> Void) {
    network.after(drawn(least, most)) { [weak self] in
      guard let self, self.isTroubled else { return }
      self.ledger.now = self.network.now
      deed(self)
      self.again(least, most, deed)
    }
  }

  func trouble() {
    again(4000, 15_000) { $0.operate() }
    again(10_000, 30_000) { $0.changeWeather() }
    again(15_000, 60_000) { $0.cut() }
    again(20_000, 90_000) { $0.hurtDevice() }
    again(40_000, 200_000) { $0.hurtGateway() }
    again(30_000, 120_000) { $0.hurtCamera() }
    again(60_000, 240_000) { $0.fillDisk() }
    again(60_000, 240_000) { $0.jump() }
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

  /// A camera is unplugged, or says nothing any more, and comes back.
  private func hurtCamera() {
    guard let cameras = house.cameras else { return }
    ledger.count("camera hurt")
    let name = Building.cameras[Int(dice.below(2))]
    if chance(50) { cameras.unplug(name) } else { cameras.freeze(name) }
    network.after(drawn(500, 20_000)) { [weak cameras] in cameras?.plugIn(name) }
  }

  private func hurtDevice() {
    let device = pick()
    ledger.count("device died")
    device.world?.crash(chance(50) ? .power : .process)
    network.after(drawn(1000, 30_000)) { [weak self] in self?.power(device) }
  }

  private func hurtGateway() {
    guard house.isUp else { return }
    switch dice.below(9) {
    case 0:
      ledger.count("drained")
      house.drain()
      let life = house.starts
      network.after(.seconds(12)) { [weak self] in
        guard let self, life == self.house.starts, self.house.world != nil else { return }
        guard self.house.hasStopped else {
          return self.ledger.breach("a drain ends", "it has not stopped after 12 s")
        }
        self.house.leave()
        self.checkDisk()
        self.house.start()
      }
    case 1, 2: die(.power)
    case 3, 4:
      // The power goes in the middle of a write, and a moment later from all.
      ledger.count("cut in a write")
      house.disk.writesUntilPowerLoss = Int(dice.below(12))
      promises.troubles.append((network.now, network.now + .seconds(15)))
      network.after(drawn(5000, 15_000)) { [weak self] in self?.die(.power) }
    default: die(.process)
    }
  }

  /// Soon, while a door stands open.
  func killInPulse() {
    network.after(drawn(0, 1200)) { [weak self] in
      guard let self, self.house.isPulsing else { return }
      self.ledger.count("killed in a pulse")
      self.die(.process)
    }
  }

  private func die(_ kind: SimulatedWorld.Crash) {
    guard house.world?.isAlive == true else { return }
    ledger.now = network.now
    house.crash(kind)
    checkDisk()
    network.after(drawn(200, 4000)) { [weak self] in self?.house.start() }
  }

  /// What was acknowledged must be there before the next life begins.
  private func checkDisk() {
    let kept = house.readDisk()
    func lost(_ what: String) { ledger.breach("an acknowledged write is lost", what) }
    if let fault = kept.fault { ledger.breach("the store is whole", fault) }
    for what in promises.losses(kept) { lost(what) }
    func isOld(_ time: Instant) -> Bool {
      network.now - time > .seconds(5)
        && !promises.troubles.contains { $0.from <= time + .seconds(6) && time <= $0.to }
    }
    for call in house.endedCalls where isOld(call.at) && !kept.calls.contains(call.id) {
      lost("record of call \(call.id)")
    }
    // A clock that jumped a day ahead has let bans go.
    if ledger.story["clock jumped"] == nil {
      for ban in house.bans where isOld(ban.at) && !kept.bans.contains(ban.address) {
        lost("ban of \(ban.address)")
      }
    }
    promises.settle(kept)
  }

  private func fillDisk() {
    let disk = house.disk
    ledger.count("disk full")
    disk.capacity = disk.used
    let from = network.now
    let length = drawn(3000, 20_000)
    promises.troubles.append((from, from + length))
    network.after(length) { disk.capacity = nil }
  }

  private func jump() {
    ledger.count("clock jumped")
    let hour: Int64 = 3600
    let far: [Int64] = [hour, -hour, 24 * hour, -24 * hour, 87_600 * hour, -87_600 * hour, 30, -30]
    let leap = far[Int(dice.below(8))]
    if abs(leap) > 365 * 24 * hour { ledger.count("clock jumped by years") }
    network.wallOffset = network.wallOffset + .seconds(leap)
  }
}
