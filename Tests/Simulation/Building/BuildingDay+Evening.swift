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
      device.be(.quiet)
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
    for device in devices
    where device.registers && (!promises.holdsCredential(device.name) || device.page?.isRefused == true) {
      enroll(device)
    }
    for name in ["panel401", "panel402", "mobile402", "401", "402", "web401", "web402"] {
      setQuiet(name, false)
    }
    network.run(for: .seconds(30))
    for device in devices where device.registers && !device.isReady {
      ledger.breach(
        "it recovers",
        "\(device.name) is not registered" + (device.isRefused ? ", its password is refused" : ""))
    }
  }

  /// A ring reaches every panel of the unit within 5 s, whatever strangers do.
  func ring() {
    for (station, unit) in [("front", "401"), ("ramp", "402")] {
      guard let caller = device(station)?.phone else { continue }
      let panels = devices.filter { Building.unitOf[$0.name] == unit }
      for panel in panels { panel.be(.eager) }
      let before = panels.map(\.rings)
      strangers[0].flood()
      caller.after(.milliseconds(300)) { $0.call(unit) }
      network.run(for: .seconds(5))
      for (panel, count) in zip(panels, before) where panel.rings == count {
        ledger.breach("a ring within 5 s", "\(station) calls \(unit), \(panel.name) does not ring")
      }
    }
  }

  /// What browsers do that others do not: they are gone with their connection, come late to what rings, change their
  /// network in mid-call, and die there.
  func browse() {
    let (station, unit, name) = chance(50) ? ("front", "401", "web401") : ("gate", "402", "web402")
    guard let browser = device(name), let caller = device(station)?.phone else { return }
    browser.world?.crash(.process)
    if browser.phone != nil {
      network.run(for: .seconds(1))
      look(for: name) { [ledger] contacts in
        if contacts > 0 { ledger.breach("a contact goes with its connection", "\(name) has \(contacts)") }
      }
    }
    // A page that lost its stream is expected back for a while.
    network.run(for: .seconds(12))
    for device in devices { device.be(.patient) }
    caller.isEager = true
    caller.call(unit)
    guard let heard = caller.talks.last else { return }
    network.run(for: .milliseconds(1500))
    power(browser)
    browser.be(.eager)
    guard network.run(until: { browser.rings > 0 }, within: .seconds(8)) else {
      return ledger.breach("who comes late rings too", "\(name) does not, in a call of \(station)")
    }
    var talk: Talk? { browser.talks.first }
    let talks = {
      talk?.state == .up && talk?.heardFrom == station && heard.state == .up && heard.heardFrom == name
    }
    guard network.run(until: talks, within: .seconds(8)) else {
      return ledger.breach("a browser talks", "\(name) and \(station) do not hear each other")
    }
    guard let talk else { return }
    let since = network.now + .milliseconds(1500)
    if let page = browser.page { page.changeNetwork() } else { browser.phone?.move(talk) }
    if !network.run(until: { talk.heard > since && heard.heard > since }, within: .seconds(10)) {
      ledger.breach("a talk outlives its network", "\(name) and \(station) do not hear each other any more")
    }
    browser.world?.crash(chance(50) ? .process : .power)
    if !network.run(until: { heard.state == .over }, within: .seconds(40)) {
      ledger.breach("a dead browser's call ends", "\(station) talks with nobody since 40 s")
    }
    power(browser)
    browser.be(.patient)
  }

  /// Nothing is left of all that.
  func fallQuiet() {
    network.run(for: .seconds(110))
    for device in devices {
      if !device.talks.isEmpty {
        ledger.breach("every call ends", "\(device.name) has \(device.talks.count) yet")
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
