internal import Calls
internal import Cameras
internal import Doors
internal import Journal
internal import MediaPlane
internal import Web
internal import Wire

// Stopping in good order, and taking up what changed without stopping.

extension Gateway {
  private static let drainTime = Interval.seconds(10)

  /// Stops like `drain`, to begin anew.
  func restart() {
    guard phase == .serving else { return }
    host?.gatewayRestarts()
    isRestarting = true
    drain()
  }

  /// No new calls; running ones get ten seconds. Asked a second time, it stops at once.
  func drain() {
    switch phase {
    case .starting:
      phase = .stopped
      world.stop()
    case .serving:
      phase = .draining
      if !isRestarting { host?.gatewayStops() }
      log.write(.notice, "gateway.drains", "stopping: no new calls, running ones may end within 10 s")
      house?.calls.admitsCalls = false
      drainDeadline = world.now + Gateway.drainTime
      advanceDrain()
    case .draining: finish()
    case .stopped: break
    }
  }

  func advanceDrain() {
    guard phase == .draining, let house, let deadline = drainDeadline else { return }
    if house.calls.count == 0 || deadline <= world.now { finish() }
  }

  private func finish() {
    guard phase == .draining, let house else { return }
    phase = .stopped
    drainDeadline = nil
    turn { turn in
      house.calls.hangUpAll(&turn)
      house.doors.stop(at: house.moment)
    }
    house.whep.stop()
    house.cameras.stop()
    house.plane.leaveServers()
    // Behind the last BYEs: browsers hear that we go, and try again later.
    web.server?.drain()
    // Whatever was acknowledged is on disk before the process ends; the last BYEs leave with this turn.
    keeper.commit([]) { [weak self] _ in
      guard let self else { return }
      self.log.write(.notice, "gateway.stopped", "stopped")
      self.world.stop()
    }
  }

  /// Reads configuration and certificates again. What is wrong is said and changes nothing; calls go on.
  func reload() {
    let premises = setting.premises
    world.perform(on: .general) {
      premises.materials()
    } then: { [weak self] result in
      guard let self else { return }
      switch result {
      case .failure(let fault):
        for line in fault.lines { self.log.write(.error, "reload.refused", line) }
        self.log.write(.error, "reload.refused", "nothing was changed")
      case .success(let materials): self.take(materials)
      }
    }
  }

  private func take(_ materials: Materials) {
    if let complaint = setting.sessions.show(materials) {
      log.write(.error, "reload.refused", "certificate: \(complaint); the one in use stays")
    }
    var new = materials.configuration
    let old = configuration
    if new.sip != old.sip || new.http.plain != old.http.plain || new.http.tls != old.http.tls
      || new.media != old.media
      || new.controlSocket != old.controlSocket || new.gateway.domain != old.gateway.domain
    {
      log.write(
        .warning, "reload.partial",
        "listeners, media ports, the control socket and the domain change at the next start; the rest is in force"
      )
      new.sip = old.sip
      new.http.plain = old.http.plain
      new.http.tls = old.http.tls
      new.media = old.media
      new.controlSocket = old.controlSocket
      new.gateway.domain = old.gateway.domain
    }
    configuration = new
    house?.album.days = new.snapshots.days
    house?.whep.servers = new.media.servers
    warden?.publicOrigin = new.http.publicOrigin
    web.server?.origins = new.originPolicy
    house?.gate.setNames([new.gateway.domain] + new.gateway.aliases)
    log.write(.notice, "reload.done", "configuration and certificates read again")
  }
}
