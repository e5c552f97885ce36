internal import Calls
internal import Journal
internal import Wire

/// A snapshot on the disk.
package struct KeptSnapshot: Hashable, Sendable {
  /// When it was taken, in seconds; which call; which moment of it.
  package var seconds: Int64
  package var call: String
  package var moment: String
  package var bytes: Int

  package init(seconds: Int64, call: String, moment: String, bytes: Int) {
    self.seconds = seconds
    self.call = call
    self.moment = moment
    self.bytes = bytes
  }

  /// The name of its file, `1795210119-c1f0…-ring.jpg`: those of older ones come first.
  package var name: String { "\(seconds)-\(call)-\(moment).jpg" }

  /// Reads such a name; nil for any other.
  package init?(name: String, bytes: Int) {
    let parts = name.split(separator: "-")
    guard parts.count == 3, let seconds = Int64(parts[0]), parts[2].hasSuffix(".jpg"),
      parts[1].utf8.allSatisfy({ ASCII.hexValue($0) != nil })
    else { return nil }
    self.init(
      seconds: seconds, call: String(parts[1]), moment: String(parts[2].dropLast(4)), bytes: bytes)
    guard self.name == name else { return nil }
  }
}

/// The snapshots of calls: kept for some days and within some room, the oldest forgotten first.
///
/// A disk that is full or broken costs the snapshot and nothing else. Files are a worker's; what there is, is known here.
final class Album {
  /// The most that all together may take.
  static let room = 256 << 20
  private static let pause = Interval.hours(1)

  private let world: any World
  private let premises: any Premises
  private let log: Log
  /// How long they are kept; none are for zero.
  var days: Int
  /// Oldest first.
  private(set) var kept: [KeptSnapshot] = []
  private var isFailing = false
  private(set) var failures = 0
  /// Moments of calls of which there is no picture, as their camera gave none.
  var missed = 0
  private(set) var nextDeadline: Instant?

  init(world: any World, premises: any Premises, log: Log, days: Int) {
    self.world = world
    self.premises = premises
    self.log = log
    self.days = days
    let premises = premises
    world.perform(on: .general) {
      premises.snapshots()
    } then: { [weak self] found in
      guard let self else { return }
      self.kept = (found + self.kept).sorted { ($0.seconds, $0.name) < ($1.seconds, $1.name) }
      self.tidy()
    }
  }

  func snapshots(of call: String) -> [KeptSnapshot] { kept.filter { $0.call == call } }

  /// Writes a snapshot down; what was kept, or nil when it could not be.
  func keep(_ jpeg: [UInt8], of call: String, _ moment: String, then: @escaping (KeptSnapshot?) -> Void) {
    guard days > 0 else { return then(nil) }
    let snapshot = KeptSnapshot(
      seconds: world.wall.seconds, call: call, moment: moment, bytes: jpeg.count)
    let premises = premises
    world.perform(on: .general) {
      premises.keep(snapshot: jpeg, named: snapshot.name)
    } then: { [weak self] fault in
      guard let self else { return }
      if let fault {
        self.failures += 1
        if !self.isFailing {
          self.log.write(.error, "snapshot.lost", "snapshots cannot be kept: \(fault); video goes on")
        }
        self.isFailing = true
        return then(nil)
      }
      self.isFailing = false
      self.kept.append(snapshot)
      self.tidy()
      then(snapshot)
    }
  }

  func read(_ snapshot: KeptSnapshot, then: @escaping ([UInt8]?) -> Void) {
    let premises = premises
    world.perform(on: .general) {
      premises.snapshot(named: snapshot.name)
    } then: {
      then($0)
    }
  }

  func advance() {
    if let due = nextDeadline, due <= world.now { tidy() }
  }

  /// Forgets what is too old, and what there is no room for.
  private func tidy() {
    let oldest = world.wall.seconds - Int64(days) * 86_400
    var gone: [String] = []
    var bytes = kept.reduce(0) { $0 + $1.bytes }
    while let first = kept.first, first.seconds < oldest || bytes > Album.room {
      bytes -= first.bytes
      gone.append(first.name)
      kept.removeFirst()
    }
    nextDeadline = kept.isEmpty ? nil : world.now + Album.pause
    guard !gone.isEmpty else { return }
    let premises = premises
    world.perform(on: .general) { [gone] in
      for name in gone { premises.forget(snapshot: name) }
    } then: {
    }
  }
}
