internal import Directory
internal import Wire

/// A plan being carried out: one fork after another until somebody answers.
struct Hunt {
  let plan: CallPlan
  /// Which step is next.
  private var following = 0
  var fork: Fork?
  var tally = Tally()

  init(plan: CallPlan) { self.plan = plan }

  /// Takes the next step; nil after the last.
  mutating func nextStep() -> CallStep? {
    guard following < plan.steps.count else { return nil }
    defer { following += 1 }
    return plan.steps[following]
  }
}

/// The devices that are rung at once.
struct Fork {
  let step: CallStep
  let deadline: Instant
  var branches: [Leg] = []

  init(step: CallStep, deadline: Instant) {
    self.step = step
    self.deadline = deadline
  }

  /// Every device has refused, declined or cannot be reached.
  var isOver: Bool { !branches.contains { $0.isLive } }
  var live: [Leg] { branches.filter(\.isLive) }
}
