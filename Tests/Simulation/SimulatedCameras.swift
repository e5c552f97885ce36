package import Cameras
package import Directory
package import RTP
package import Wire

/// The cameras of a simulated machine: a gray picture of 32 by 32 at 25 a second in virtual time, from the pattern at
/// once and from devices that are plugged in. They can be unplugged, freeze, and refuse.
package final class SimulatedCameras: LocalCameras {
  /// From being opened to the first picture.
  package static let start = Interval.milliseconds(60)
  package static let interval = Interval.milliseconds(40)
  /// As the real ones say that a device is silent.
  package static let patience = Interval.seconds(5)

  private let world: SimulatedWorld
  /// Devices that are not there, or do not work, and what is said of them.
  private var faults: [String: SourceFault] = [:]
  private var frozen: Set<String> = []
  /// Those that run, in the order of their opening.
  private var running: [SimulatedCameraSource] = []
  /// How often a camera was opened so far.
  package private(set) var openings = 0
  package private(set) var keyPicturesAsked = 0
  /// What the viewers were last said to take.
  package fileprivate(set) var limits: [(bitsPerSecond: Int, framesPerSecond: Int)] = []

  package init(_ world: SimulatedWorld) { self.world = world }

  /// Cameras that run now.
  package var open: Int { running.count }

  package func open(
    _ camera: Camera, hear: @escaping (SourceNews) -> Void
  ) -> any CameraSource {
    openings += 1
    let source = SimulatedCameraSource(camera.source.written, self, hear)
    running.append(source)
    switch camera.source {
    case .rtsp, .call:
      end(source, SourceFault(.refused, "\(camera.source.written) is no camera of this machine"))
    case .pattern, .v4l2:
      if let fault = faults[source.name] {
        end(source, fault)
      } else {
        world.after(SimulatedCameras.start) { [weak self, weak source] in
          guard let self, let source else { return }
          source.began()
          self.tick(source)
        }
      }
    }
    return source
  }

  private func end(_ source: SimulatedCameraSource, _ fault: SourceFault, after interval: Interval = .zero) {
    world.after(interval) { [weak self, weak source] in
      guard let self, let source else { return }
      self.closed(source)
      source.end(fault)
    }
  }

  fileprivate func closed(_ source: SimulatedCameraSource) { running.removeAll { $0 === source } }
  fileprivate func askedForKey() { keyPicturesAsked += 1 }
  fileprivate var now: Instant { world.now }

  private func tick(_ source: SimulatedCameraSource) {
    guard running.contains(where: { $0 === source }) else { return }
    guard !frozen.contains(source.name) else {
      return end(
        source, SourceFault(.frozen, "\(source.name) has given no picture for 5 s"),
        after: SimulatedCameras.patience)
    }
    source.show(at: world.now)
    world.after(SimulatedCameras.interval) { [weak self, weak source] in
      guard let self, let source else { return }
      self.tick(source)
    }
  }

  // MARK: What befalls them

  /// `name` as the directory writes it: `v4l2:/dev/video0`, `test:pattern`.
  package func unplug(_ name: String) {
    let fault = SourceFault(.gone, "\(name) is gone")
    faults[name] = SourceFault(.missing, "there is no \(name)")
    for source in running where source.name == name { end(source, fault) }
  }

  package func plugIn(_ name: String) {
    faults[name] = nil
    frozen.remove(name)
  }

  /// It says nothing any more, until it is plugged in anew.
  package func freeze(_ name: String) { frozen.insert(name) }

  /// Every opening fails so.
  package func refuse(_ name: String, _ fault: SourceFault) { faults[name] = fault }
}

private final class SimulatedCameraSource: CameraSource {
  let name: String
  private let owner: SimulatedCameras
  private var hear: ((SourceNews) -> Void)?
  /// Of the canned pictures.
  private var place = 0
  private var start: Instant?

  init(_ name: String, _ owner: SimulatedCameras, _ hear: @escaping (SourceNews) -> Void) {
    self.name = name
    self.owner = owner
    self.hear = hear
  }

  func began() {
    hear?(.began(SourceFormat(coding: .h264, width: 32, height: 32, isOurs: true)))
  }

  func show(at now: Instant) {
    let start = start ?? now
    self.start = start
    hear?(
      .picture(
        CannedPictures.picture(
          place, timestamp: UInt32(truncatingIfNeeded: (now - start).nanoseconds * 9 / 100_000), captured: now
        )))
    place = (place + 1) % CannedPictures.count
  }

  func end(_ fault: SourceFault) {
    let hear = hear
    self.hear = nil
    hear?(.ended(fault))
  }

  func requestKeyFrame() {
    owner.askedForKey()
    if place % CannedPictures.group != 0 {
      place = (place / CannedPictures.group + 1) * CannedPictures.group % CannedPictures.count
    }
  }

  func limit(bitsPerSecond: Int, framesPerSecond: Int) {
    owner.limits.append((bitsPerSecond, framesPerSecond))
  }

  func stop() {
    hear = nil
    owner.closed(self)
  }
}

/// A gray picture of 32 by 32 in constrained baseline H.264, two groups of sixteen pictures: enough for a decoder to go
/// round and round.
package enum CannedPictures {
  package static let group = 16
  package static let count = 32

  private static let sps = bytes("6742c00ada25b011000003000100000300320f1226a0")
  private static let pps = bytes("68ce0fc8")
  private static let slices: [[UInt8]] = [
    "6588843a26280c9d75e0", "419a20268b", "419a402a8b", "419a602a8b", "419a802a8b", "419aa02a8b",
    "419ac02a8b",
    "419ae02a8b", "419b002a8b", "419b202a8b", "419b402a8b", "419b602a8b", "419b802a8b", "419ba02a8b",
    "419bc02a8b", "419be02a8b", "658882036898a0007e4ebaf0", "419a20268b", "419a402a8b", "419a602a8b",
    "419a802a8b",
    "419aa02a8b", "419ac02a8b", "419ae02a8b", "419b002a8b", "419b202a8b", "419b402a8b", "419b602a8b",
    "419b802a8b", "419ba02a8b", "419bc02a8b", "419be02a8b",
  ].map(bytes)

  private static func bytes(_ digits: String) -> [UInt8] { ASCII.bytes(hex: digits.utf8) ?? [] }

  package static func picture(_ place: Int, timestamp: UInt32, captured: Instant) -> AccessUnit {
    let isKey = place % group == 0
    var all: [UInt8] = []
    var units: [Range<Int>] = []
    for unit in isKey ? [sps, pps, slices[place % count]] : [slices[place % count]] {
      units.append(all.count..<all.count + unit.count)
      all += unit
    }
    return AccessUnit(bytes: all, units: units, timestamp: timestamp, captured: captured, isKey: isKey)
  }
}
