internal import Gateway
internal import Simulation
internal import Wire

// How a day ends: faults stop, everybody comes back, a visitor rings, quiet falls.

extension BuildingDay {
  /// Faults stop; everybody comes back.
  func recover() {
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
    apply(isPlain: true)
    for device in devices { liftBan(device) }
    network.run(for: .seconds(1))
    for device in devices where device.profile.registers && !promises.holdsCredential(device.name) {
      enroll(device)
    }
    for name in ["panel401", "panel402", "mobile402", "401", "402"] { setQuiet(name, false) }
    network.run(for: .seconds(30))
    for device in devices where device.profile.registers && device.phone?.isRegistered != true {
      ledger.breach(
        "it recovers",
        "\(device.name) is not registered"
          + (device.phone?.isRefused == true ? ", its password is refused" : ""))
    }
  }

  /// A ring reaches every panel of the unit within 5 s, whatever strangers do.
  func ring() {
    for (station, unit) in [("front", "401"), ("ramp", "402")] {
      guard let caller = device(station)?.phone else { continue }
      let panels = devices.filter { Building.unitOf[$0.name] == unit }
      for panel in panels { panel.phone?.isEager = true }
      let before = panels.map { $0.phone?.rings ?? 0 }
      strangers[0].flood()
      caller.after(.milliseconds(300)) { $0.call(unit) }
      network.run(for: .seconds(5))
      for (panel, count) in zip(panels, before) where (panel.phone?.rings ?? 0) == count {
        ledger.breach("a ring within 5 s", "\(station) calls \(unit), \(panel.name) does not ring")
      }
    }
  }

  /// Nothing is left of all that.
  func fallQuiet() {
    network.run(for: .seconds(110))
    for device in devices {
      if let count = device.phone?.talks.count, count > 0 {
        ledger.breach("every call ends", "\(device.name) has \(count) yet")
      }
      device.world?.crash(.process)
    }
    guard let gateway = house.gateway else { return }
    if gateway.census.calls > 0 { ledger.breach("every call ends", "\(gateway.census)") }
    var nothing = GatewayCensus()
    nothing.isServing = true
    if !network.run(until: { gateway.census == nothing }, within: .seconds(200)) {
      ledger.breach("all is gone after quiet", "\(gateway.census)")
    }
    if house.chip.anyActive { ledger.breach("the line falls back", "at the end") }
  }
}
