internal import CLinux
import Wire

/// Slow work on threads of its own: one thread a lane, started at its first job.
///
/// What runs there is Sendable, and so is what comes back; the closure that wants the result never leaves the
/// loop's thread: it lies in `pending` under the ticket that travels with the job. At most `perLane` jobs of a
/// lane are between the threads; the rest wait here, in order, so the mailboxes never overflow.
final class Lanes {
  struct Job: Sendable {
    var ticket: UInt64
    /// Nil ends the thread.
    var work: (@Sendable () -> any Sendable)?
  }

  struct Outcome: Sendable {
    var ticket: UInt64
    var lane: Lane
    var result: any Sendable
  }

  /// Keeps a result's own type through `any Sendable`, optionals included.
  private final class Parcel<Content: Sendable>: Sendable {
    let content: Content
    init(_ content: Content) { self.content = content }
  }

  private struct LaneState {
    var inbox: Mailbox<Job>?
    var thread: UInt64 = 0
    /// Jobs handed to the thread whose results have not come back.
    var between = 0
    var waiting: [Job] = []
    var waitingTaken = 0
  }

  /// Jobs of one lane that may be between the threads at a time.
  private static let perLane = 128

  let results = Mailbox<Outcome>(capacity: perLane * Lane.allCases.count, isWaitedFor: false)
  private var lanes = Lane.allCases.map { _ in LaneState() }
  private var pending: [UInt64: (any Sendable) -> Void] = [:]
  private var lastTicket: UInt64 = 0
  private var arrived: [Outcome] = []

  func perform<Result: Sendable>(
    on lane: Lane, _ work: @escaping @Sendable () -> Result, then: @escaping (Result) -> Void
  ) {
    lastTicket += 1
    pending[lastTicket] = { value in
      guard let parcel = value as? Parcel<Result> else {
        preconditionFailure("a result came back under a ticket of another type")
      }
      then(parcel.content)
    }
    lanes[lane.rawValue].waiting.append(Job(ticket: lastTicket) { Parcel(work()) })
    feed(lane)
  }

  /// Jobs whose results have not been handed over.
  var unfinished: Int { pending.count }

  /// Hands over the results that have come. Called by the loop when `results.descriptor` is readable.
  func collect() {
    var batch: [Outcome] = []
    swap(&batch, &arrived)
    results.take(into: &batch)
    for outcome in batch {
      lanes[outcome.lane.rawValue].between -= 1
      pending.removeValue(forKey: outcome.ticket)?(outcome.result)
    }
    batch.removeAll(keepingCapacity: true)
    swap(&batch, &arrived)
    for lane in Lane.allCases { feed(lane) }
  }

  /// Ends the threads once the work they were given is done; results are dropped, and work that had not been
  /// handed over runs nevertheless. Name look-ups are not waited for: they may hang for as long as a resolver.
  func end() {
    pending.removeAll()
    for lane in [Lane.store, .general] {
      while lanes[lane.rawValue].waitingTaken < lanes[lane.rawValue].waiting.count {
        collect()
        feed(lane)
      }
    }
    for lane in Lane.allCases {
      let state = lanes[lane.rawValue]
      guard let inbox = state.inbox else { continue }
      let hasRoom = inbox.reserve()
      precondition(hasRoom, "the place for a lane's last job was given away")
      inbox.post(Job(ticket: 0, work: nil))
      if lane == .names { clinux_thread_detach(state.thread) } else { clinux_thread_join(state.thread) }
      lanes[lane.rawValue] = LaneState()
    }
  }

  private func feed(_ lane: Lane) {
    let index = lane.rawValue
    while lanes[index].between < Lanes.perLane, lanes[index].waitingTaken < lanes[index].waiting.count {
      let inbox = lanes[index].inbox ?? start(lane)
      let hasRoom = inbox.reserve() && results.reserve()
      precondition(hasRoom, "a lane's share of the mailboxes was exceeded")
      inbox.post(lanes[index].waiting[lanes[index].waitingTaken])
      lanes[index].waitingTaken += 1
      lanes[index].between += 1
    }
    if lanes[index].waitingTaken == lanes[index].waiting.count {
      lanes[index].waiting.removeAll(keepingCapacity: true)
      lanes[index].waitingTaken = 0
    }
  }

  private func start(_ lane: Lane) -> Mailbox<Job> {
    let inbox = Mailbox<Job>(capacity: Lanes.perLane + 1, isWaitedFor: true)
    let outbox = results
    lanes[lane.rawValue].thread = startThread(named: "vestibule-\(lane)") {
      var jobs: [Job] = []
      while true {
        inbox.take(into: &jobs)
        for job in jobs {
          guard let work = job.work else { return }
          outbox.post(Outcome(ticket: job.ticket, lane: lane, result: work()))
        }
        jobs.removeAll(keepingCapacity: true)
      }
    }
    lanes[lane.rawValue].inbox = inbox
    return inbox
  }
}

/// A closure on its way into a thread.
private final class ThreadBody: Sendable {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Runs `body` on a thread of its own, with every signal blocked. The result is for joining or detaching.
func startThread(named name: String, _ body: @escaping @Sendable () -> Void) -> UInt64 {
  guard let handle = tryThread(named: name, body) else { preconditionFailure("the kernel gave no thread") }
  return handle
}

/// The same; nil when the kernel gives no thread.
func tryThread(named name: String, _ body: @escaping @Sendable () -> Void) -> UInt64? {
  var handle: UInt64 = 0
  let parcel = unsafe Unmanaged.passRetained(ThreadBody(body))
  let failure = unsafe clinux_thread_start(
    String(name.prefix(15)),
    { context in
      guard let context = unsafe context else { return }
      clinux_block_signals()
      unsafe Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run()
    }, parcel.toOpaque(), &handle)
  if failure == 0 { return handle }
  unsafe parcel.release()
  return nil
}
