internal import Wire

// The client side of a transaction: RFC 3261 §17.1 with the Accepted state of RFC 6026 §7.2.
//
// Responsible for sending a request again until it is answered, for acknowledging a refusal of an INVITE, and for
// giving up. Matching is the agent's: the branch it writes names the transaction's place, so a response to a
// transaction that is gone finds nothing, and the RFC's waiting state for non-INVITE (timer K), which only swallows
// such responses, is not needed. The ACK to a 2xx is the session's.
//
//   INVITE       1xx              2xx                    3xx–6xx                       A            B, D, M
//   calling      proceeding, up   accepted, M, up        completed, D, ACK, up         send, 2A     terminated, timed out
//   proceeding   up               accepted, M, up        completed, D, ACK, up         –            –
//   accepted     –                up                     –                             –            M: terminated
//   completed    –                –                      ACK                           –            D: terminated
//
//   other        1xx              2xx–6xx                                              E            F
//   calling      proceeding, up   terminated, up                                       send, min(2E, T2)   terminated, timed out
//   proceeding   up               terminated, up                                       send, T2     terminated, timed out
//
// On a stream A and E are not armed and D is zero.
struct ClientTransaction {
  enum State: Equatable {
    /// Sent, nothing heard. May become any other state.
    case calling
    /// A provisional response came. May become accepted, completed or terminated.
    case proceeding
    /// INVITE only: a 2xx came; further ones, from other forks too, are passed up until M. May become terminated.
    case accepted
    /// INVITE only: refused; copies of the refusal are acknowledged until D. May become terminated.
    case completed
    /// To be forgotten.
    case terminated
  }

  enum Event {
    case response(status: Int)
    /// Timer A or E.
    case retransmissionDue
    /// Timer B, D, F or M.
    case endDue
  }

  /// What the agent must do after an event.
  struct Step: Equatable {
    /// Send the stored request.
    var sends = false
    /// Send the ACK for a refusal.
    var acknowledges = false
    /// Tell the owner of the response.
    var reports = false
    /// Tell the owner that no answer came.
    var timedOut = false
    /// Arm A or E with this.
    var retransmitAfter: Interval?
    /// Arm the end timer with this; nil leaves it as it is.
    var endAfter: Interval?
    /// Disarm A or E.
    var stopsRetransmitting = false
    /// Disarm the end timer.
    var stopsWaiting = false
  }

  let isInvite: Bool
  let isReliable: Bool
  private(set) var state = State.calling
  private var wait: Interval

  init(isInvite: Bool, isReliable: Bool, _ timers: TransactionTimers) {
    self.isInvite = isInvite
    self.isReliable = isReliable
    wait = timers.t1
  }

  /// A final response came, or none will.
  var isOver: Bool {
    switch state {
    case .calling, .proceeding: false
    case .accepted, .completed, .terminated: true
    }
  }

  /// The first step: send, and arm the timers.
  func start(_ timers: TransactionTimers) -> Step {
    Step(sends: true, retransmitAfter: isReliable ? nil : wait, endAfter: timers.patience)
  }

  /// Takes one event and says what to do.
  mutating func receive(_ event: Event, _ timers: TransactionTimers) -> Step {
    switch state {
    case .calling: return unanswered(event, timers, hasProvisional: false)
    case .proceeding: return unanswered(event, timers, hasProvisional: true)
    case .accepted: return accepted(event)
    case .completed: return completed(event)
    case .terminated: return Step()
    }
  }

  private mutating func unanswered(
    _ event: Event, _ timers: TransactionTimers, hasProvisional: Bool
  ) -> Step {
    switch event {
    case .response(let status):
      if status < 200 {
        state = .proceeding
        return isInvite
          ? Step(reports: true, stopsRetransmitting: true, stopsWaiting: true) : Step(reports: true)
      }
      if !isInvite {
        state = .terminated
        return Step(reports: true)
      }
      if status < 300 {
        state = .accepted
        return Step(reports: true, endAfter: timers.patience, stopsRetransmitting: true)
      }
      if isReliable {
        state = .terminated
        return Step(acknowledges: true, reports: true)
      }
      state = .completed
      return Step(
        acknowledges: true, reports: true, endAfter: timers.patience, stopsRetransmitting: true)
    case .retransmissionDue:
      if isInvite {
        guard !hasProvisional else { return Step() }
        wait = wait * 2
      } else {
        wait = hasProvisional ? timers.t2 : min(wait * 2, timers.t2)
      }
      return Step(sends: true, retransmitAfter: wait)
    case .endDue:
      state = .terminated
      return Step(timedOut: true)
    }
  }

  private mutating func accepted(_ event: Event) -> Step {
    switch event {
    case .response(let status): return Step(reports: (200..<300).contains(status))
    case .retransmissionDue: return Step()
    case .endDue:
      state = .terminated
      return Step()
    }
  }

  private mutating func completed(_ event: Event) -> Step {
    switch event {
    case .response(let status): return Step(acknowledges: status >= 300)
    case .retransmissionDue: return Step()
    case .endDue:
      state = .terminated
      return Step()
    }
  }
}
