internal import Wire

// The server side of a transaction: RFC 3261 §17.2 with the Accepted state of RFC 6026 §7.1.
//
// Responsible for answering a request that comes twice with the same response, for sending the final response to
// an INVITE until it is acknowledged, and for ending. It assumes that whoever feeds it has matched the request
// (§17.2.3), and that the flow it answers on is the one §18.2.2 and RFC 3581 ask for. Retransmission of a 2xx to
// INVITE is not its business but the session's (§13.3.1.4); the ACK to a 2xx never comes here.
//
//   INVITE       request again   1xx          2xx               3xx–6xx              ACK            G          end
//   trying       –               proceeding   accepted, L       completed, G, H      –              –          terminated
//   proceeding   last response   proceeding   accepted, L       completed, G, H      –              –          terminated
//   accepted     –               –            –                 –                    –              –          L: terminated
//   completed    last response   –            –                 –                    confirmed, I   resend, 2G H: terminated, unacknowledged
//   confirmed    –               –            –                 –                    –              –          I: terminated
//
//   other        request again   1xx          2xx–6xx                                               end
//   trying       –               proceeding   completed, J                                          terminated
//   proceeding   last response   proceeding   completed, J                                          terminated
//   completed    last response   –            –                                                     J: terminated
//
// On a stream G is not armed, and I and J are zero: the transaction ends at once. `trying` and `proceeding` of a
// non-INVITE end by themselves after 64 × T1, so that a request which nobody answers costs memory for a bounded time.
struct ServerTransaction {
  enum State: Equatable {
    /// Nothing was answered yet. May become any other state.
    case trying
    /// A provisional response was sent. May become accepted, completed or terminated.
    case proceeding
    /// INVITE only: a 2xx was sent; copies of the INVITE are swallowed until L. May become terminated.
    case accepted
    /// A final response was sent and is sent again on demand. May become confirmed (INVITE) or terminated.
    case completed
    /// INVITE only: the ACK came; further ones are swallowed until I. May become terminated.
    case confirmed
    /// To be forgotten.
    case terminated
  }

  enum Event {
    /// The same request came again.
    case repeated
    /// An ACK that belongs to this transaction came.
    case acknowledged
    /// A response of this status is to be sent.
    case respond(status: Int)
    /// Timer G.
    case retransmissionDue
    /// Timer H, I, J or L.
    case endDue
  }

  /// What the agent must do after an event.
  struct Step: Equatable {
    /// Send the stored response.
    var sends = false
    /// Arm G with this, or leave it disarmed.
    var retransmitAfter: Interval?
    /// Arm the end timer with this; nil leaves it as it is.
    var endAfter: Interval?
    /// Disarm G.
    var stopsRetransmitting = false
    /// The final response was never acknowledged.
    var isUnacknowledged = false
  }

  let isInvite: Bool
  let isReliable: Bool
  private(set) var state = State.trying
  private var wait = Interval.zero

  init(isInvite: Bool, isReliable: Bool) {
    self.isInvite = isInvite
    self.isReliable = isReliable
  }

  /// A final response was sent.
  var isFinal: Bool {
    switch state {
    case .trying, .proceeding: false
    case .accepted, .completed, .confirmed, .terminated: true
    }
  }

  /// Takes one event and says what to do.
  mutating func receive(_ event: Event, _ timers: TransactionTimers) -> Step {
    switch state {
    case .trying: return unanswered(event, timers, hasResponse: false)
    case .proceeding: return unanswered(event, timers, hasResponse: true)
    case .accepted: return accepted(event)
    case .completed: return completed(event, timers)
    case .confirmed: return confirmed(event)
    case .terminated: return Step()
    }
  }

  private mutating func unanswered(
    _ event: Event, _ timers: TransactionTimers, hasResponse: Bool
  ) -> Step {
    switch event {
    case .repeated: return Step(sends: hasResponse)
    case .acknowledged, .retransmissionDue: return Step()
    case .endDue:
      state = .terminated
      return Step()
    case .respond(let status):
      if status < 200 {
        state = .proceeding
        return Step(sends: true)
      }
      if isInvite {
        if status < 300 {
          state = .accepted
          return Step(sends: true, endAfter: timers.patience)
        }
        state = .completed
        wait = timers.t1
        return Step(
          sends: true, retransmitAfter: isReliable ? nil : wait, endAfter: timers.patience)
      }
      if isReliable {
        state = .terminated
        return Step(sends: true)
      }
      state = .completed
      return Step(sends: true, endAfter: timers.patience)
    }
  }

  private mutating func accepted(_ event: Event) -> Step {
    switch event {
    case .repeated, .acknowledged, .retransmissionDue, .respond: return Step()
    case .endDue:
      state = .terminated
      return Step()
    }
  }

  private mutating func completed(_ event: Event, _ timers: TransactionTimers) -> Step {
    switch event {
    case .repeated: return Step(sends: true)
    case .respond: return Step()
    case .acknowledged:
      guard isInvite else { return Step() }
      if isReliable {
        state = .terminated
        return Step(stopsRetransmitting: true)
      }
      state = .confirmed
      return Step(endAfter: timers.t4, stopsRetransmitting: true)
    case .retransmissionDue:
      wait = min(wait * 2, timers.t2)
      return Step(sends: true, retransmitAfter: wait)
    case .endDue:
      state = .terminated
      return Step(isUnacknowledged: isInvite)
    }
  }

  private mutating func confirmed(_ event: Event) -> Step {
    switch event {
    case .repeated, .acknowledged, .retransmissionDue, .respond: return Step()
    case .endDue:
      state = .terminated
      return Step()
    }
  }
}
