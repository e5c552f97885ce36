import API
import JSON
import Reactor
import Wire

/// `vestibule ring`: gets the right to one call, places it, and says what came of it on both sides.
struct RingCommand {
  let client: ControlClient
  let invocation: Invocation

  /// How often, and how long apart, the gateway is asked for its side after the call.
  private static let reportTries = 20
  private static let reportPause = Interval.milliseconds(100)

  func run() throws(CommandFailure) {
    let word = invocation.options["seconds"] ?? "10"
    guard let seconds = Int(word), (1...120).contains(seconds) else {
      throw .usage("--seconds is a whole number from 1 to 120")
    }
    let request = RingRequest(
      target: invocation.arguments[0], station: invocation.options["as"], seconds: seconds)
    let ticket: RingTicket = try decode(try client.perform(.ring, body: request.json.bytes()))
    let call = try place(ticket, .seconds(Int64(seconds)))
    let seen = try report(ticket.id)
    let report = RingReport(
      answered: call.answered, by: seen.by, legs: seen.legs,
      audio: RingReport.Audio(sent: call.sent, received: call.received))
    if invocation.isJSON { Terminal.say(report.json.text() + "\n") } else { Terminal.say(show(report, seen)) }
    guard report.answered else {
      let why = seen.end?.rawValue ?? call.refusal.map { "status \($0)" } ?? "no answer"
      throw .failed(["nobody answered (\(why)); `vestibule accounts` shows who is registered"])
    }
    guard report.audio.received > 0 else {
      throw .failed(["answered, but no audio came back; check the panel's microphone and `vestibule doctor`"])
    }
  }

  private func place(_ ticket: RingTicket, _ talkTime: Interval) throws(CommandFailure) -> TestCall {
    // The gateway is on this machine, so its address is one of ours.
    for text in ticket.addresses {
      guard let gateway = Endpoint(text, defaultPort: 5060),
        let call = try? TestCall(
          world: client.reactor, ticket: ticket, gateway: gateway, from: gateway.address, talkTime: talkTime)
      else { continue }
      client.reactor.settle(in: call)
      call.begin()
      while !call.isOver { client.reactor.turn() }
      // The last messages leave at the end of a turn.
      client.reactor.turn(waitingAtMost: .zero)
      call.close()
      return call
    }
    let tried = ticket.addresses.joined(separator: ", ")
    throw .failed(["no SIP address of the gateway is on this machine (\(tried)); run it beside the gateway"])
  }

  /// The gateway's side, which ends a little after ours.
  private func report(_ id: String) throws(CommandFailure) -> RingView {
    var last = RingView(state: "waiting", answered: false, by: nil, end: nil, legs: [])
    for attempt in 0..<RingCommand.reportTries {
      if attempt > 0 { client.pause(RingCommand.reportPause) }
      last = try decode(try client.perform(.ringReport, [id]))
      if last.state == "ended" { break }
    }
    return last
  }

  private func show(_ report: RingReport, _ seen: RingView) -> String {
    let outcome = report.answered ? "answered by \(report.by ?? "somebody")" : "not answered"
    return "\(outcome)\(seen.end.map { ", ended: \($0.rawValue)" } ?? "")\n"
      + (report.legs.isEmpty ? "" : Tables.legs(report.legs))
      + "audio: \(report.audio.sent) packets sent, \(report.audio.received) received\n"
  }

  private func decode<Value: APIValue>(_ reply: [UInt8]) throws(CommandFailure) -> Value {
    do throws(APIFault) {
      return try Value(reply: reply)
    } catch {
      throw Commands.misunderstood(error)
    }
  }
}
