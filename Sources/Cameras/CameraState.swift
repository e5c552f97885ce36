internal import Wire

/// How a camera stands.
package enum CameraState: String, Hashable, Sendable, CaseIterable {
  /// Nobody wants it. May become starting; backing off or faulty where it failed a moment ago.
  case idle
  /// It was opened and has shown nothing yet. May become live, warm, backing off, faulty, idle.
  case starting
  /// It shows pictures, and somebody looks. May become warm, backing off, faulty.
  case live
  /// It shows pictures, and nobody looks: somebody may at any moment, or just did. May become live, backing off, faulty,
  /// idle.
  case warm
  /// It failed and is tried again by itself. May become starting, faulty, idle.
  case backingOff = "backing off"
  /// It failed for a reason that somebody has to do away with; it is tried again now and then. May become starting, idle.
  case faulty

  /// A source runs.
  var isRunning: Bool { self == .starting || shows }
  /// Pictures come.
  package var shows: Bool { self == .live || self == .warm }
}

/// Who wants a camera's pictures.
enum CameraDemand: Hashable, Sendable, CaseIterable {
  case nobody
  /// Whoever may be about to look: a unit that it rings.
  case ring
  case viewers
}

/// What happens to a camera.
enum CameraEvent: Hashable, Sendable {
  /// Others want it than before. `leftAlone`: how it failed, so lately that it may not be opened yet.
  case wanted(CameraDemand, leftAlone: SourceFault.Kind?)
  /// A picture that a decoder can begin with, or any after it.
  case picture
  case failed(SourceFault.Kind)
  /// The time that it is left alone for is over.
  case due
  /// Nobody has wanted it for a while.
  case abandoned
}

/// What is to be done for a camera.
enum CameraAction: Hashable, Sendable {
  case nothing
  case open
  case close
}

/// The life of one camera as a table: a row for each state, in each a place for every event.
///
/// It knows no clock: when it is due, abandoned or failed by silence is whoever owns it to say.
struct CameraMachine: Hashable, Sendable {
  private(set) var state = CameraState.idle
  private(set) var demand = CameraDemand.nobody

  mutating func take(_ event: CameraEvent) -> CameraAction {
    if case .wanted(let demand, _) = event { self.demand = demand }
    let (next, action) = CameraMachine.step(state, event, demand)
    state = next
    return action
  }

  static func step(
    _ state: CameraState, _ event: CameraEvent, _ demand: CameraDemand
  ) -> (CameraState, CameraAction) {
    let shown: CameraState = demand == .viewers ? .live : .warm
    switch (state, event) {
    case (.idle, .wanted(.nobody, _)): return (.idle, .nothing)
    case (.idle, .wanted(_, leftAlone: nil)): return (.starting, .open)
    case (.idle, .wanted(_, leftAlone: let kind?)): return (after(kind, demand), .nothing)
    case (.idle, .picture), (.idle, .failed), (.idle, .due), (.idle, .abandoned): return (.idle, .nothing)

    case (.starting, .wanted), (.starting, .due): return (.starting, .nothing)
    case (.starting, .picture): return (shown, .nothing)
    case (.starting, .failed(let kind)): return (after(kind, demand), .close)
    case (.starting, .abandoned): return (.idle, .close)

    case (.live, .wanted), (.warm, .wanted): return (shown, .nothing)
    case (.live, .picture), (.live, .due), (.live, .abandoned): return (.live, .nothing)
    case (.warm, .picture), (.warm, .due): return (.warm, .nothing)
    case (.live, .failed(let kind)), (.warm, .failed(let kind)): return (after(kind, demand), .close)
    case (.warm, .abandoned): return (.idle, .close)

    case (.backingOff, .wanted(.nobody, _)), (.faulty, .wanted(.nobody, _)): return (.idle, .nothing)
    case (.backingOff, .wanted), (.backingOff, .picture), (.backingOff, .failed):
      return (.backingOff, .nothing)
    case (.faulty, .wanted), (.faulty, .picture), (.faulty, .failed): return (.faulty, .nothing)
    case (.backingOff, .due), (.faulty, .due): return (.starting, .open)
    case (.backingOff, .abandoned), (.faulty, .abandoned): return (.idle, .nothing)
    }
  }

  private static func after(_ kind: SourceFault.Kind, _ demand: CameraDemand) -> CameraState {
    demand == .nobody ? .idle : kind.isHopeless ? .faulty : .backingOff
  }
}

extension SourceFault.Kind {
  /// Trying again helps nothing before somebody has changed something.
  package var isHopeless: Bool {
    switch self {
    case .credentials, .certificate, .coding: true
    case .missing, .refused, .unreachable, .frozen, .gone, .malformed: false
    }
  }
}
