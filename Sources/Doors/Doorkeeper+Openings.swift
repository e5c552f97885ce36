internal import Devices
internal import Directory
internal import HTTP
internal import Journal
internal import Wire

// How a command is carried out: the line that is set and brought back, the keys that are sent, the device that is asked.

extension Doorkeeper {
  func act(_ place: Int, at moment: Moment) {
    let item = work[place]
    let command = item.command
    guard let index = gate(of: command.door) else {
      work.remove(at: place)
      return conclude(command, .refused(.unknownDoor), at: moment)
    }
    guard moment.now <= item.freshUntil else {
      work.remove(at: place)
      return conclude(command, .refused(.expired), at: moment)
    }
    switch gates[index].door.actuator {
    case .none:
      work.remove(at: place)
      gates[index].quietUntil = moment.now + Doorkeeper.cooldown
      conclude(command, .opened, at: moment)
    case .gpio:
      work.remove(at: place)
      conclude(command, pulse(index, at: moment), at: moment)
    case .dtmf(let code, let mode):
      work.remove(at: place)
      let stations = authority.building.stations.filter { $0.door == command.door }.map(\.username)
      var call: CallID?
      if case .call(let id) = command.proof { call = id }
      guard keys?.send(code, mode, to: stations, in: call) ?? false else {
        return conclude(command, .refused(.unreachable("no call with a station of this door")), at: moment)
      }
      gates[index].quietUntil = moment.now + Doorkeeper.cooldown
      conclude(command, .unknown("keys sent; a station does not answer them"), at: moment)
    case .http(let actuator):
      let opening = HTTPOpening(
        actuator, password: authority.password(of: command.door)?.revealText() ?? "", pin: pins[command.door],
        known: gates[index].variant, pulse: pulseLength(index), random: random.fork())
      guard let opening, fetcher != nil else {
        work.remove(at: place)
        let words = fetcher == nil ? "no client" : "its url is none"
        return conclude(command, .refused(.device(words)), at: moment)
      }
      gates[index].quietUntil = moment.now + Doorkeeper.cooldown
      send(opening.start(), opening, place, at: moment)
    }
  }

  func send(_ fetch: Fetch, _ opening: HTTPOpening, _ place: Int, at moment: Moment) {
    lastTicket += 1
    work[place].stage = .fetching(opening, ticket: lastTicket)
    work[place].deadline = moment.now + Doorkeeper.devicePatience
    fetcher?.fetch(fetch, ticket: lastTicket)
  }

  func pulseLength(_ index: Int) -> Interval {
    min(max(gates[index].door.pulse, Doorkeeper.shortestPulse), Doorkeeper.longestPulse)
  }

  func pulse(_ index: Int, at moment: Moment) -> DoorResult {
    if gates[index].line == nil { takeLine(index, at: moment) }
    guard let line = gates[index].line else {
      return .refused(.device(gates[index].fault ?? "no line"))
    }
    gates[index].quietUntil = moment.now + Doorkeeper.cooldown
    do throws(LineFailure) {
      try line.set(active: true)
      gates[index].pulseEnds = moment.now + pulseLength(index)
      return .opened
    } catch {
      // It may stand either way now.
      gates[index].line = nil
      gates[index].pulseEnds = moment.now
      bringBack(index, at: moment)
      return .refused(.device("\(error)"))
    }
  }

  /// Drives a line inactive, by a new request if it must be; comes back for it until it is.
  func bringBack(_ index: Int, at moment: Moment) {
    do throws(LineFailure) {
      guard let line = gates[index].line else { return takeLine(index, at: moment) }
      try line.set(active: false)
      gates[index].pulseEnds = nil
    } catch {
      gates[index].line = nil
      takeLine(index, at: moment)
    }
  }

  /// Requests a line, which drives it inactive; on failure it is tried again by deadline.
  func takeLine(_ index: Int, at moment: Moment) {
    guard let address = gates[index].address else { return }
    let id = gates[index].door.id
    do throws(LineFailure) {
      gates[index].line = try lines.openOutput(address, consumer: "vestibule \(id)")
      gates[index].pulseEnds = nil
      gates[index].lineDue = nil
      if gates[index].fault != nil {
        gates[index].fault = nil
        events.append(.mended(id))
      }
    } catch {
      let words = "\(error)"
      if gates[index].fault != words { events.append(.fault(id, words)) }
      gates[index].fault = words
      // A pulse that will not end is pressing; so is, less, a line whose level nobody knows.
      let pause = gates[index].pulseEnds != nil ? Doorkeeper.retryPause : Doorkeeper.missingPause
      gates[index].lineDue = moment.now + pause
    }
  }
}
