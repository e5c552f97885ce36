internal import API
internal import Calls
internal import Cameras
internal import Directory
internal import JSON
internal import Management
internal import Store
internal import Wire

// Still pictures of whoever rang: one at the ring, one two seconds later, one at the end.

/// The moments of a call at which its station's camera is photographed.
enum SnapshotMoment: String, CaseIterable {
  case ring, after, end
}

/// A snapshot whose moment is yet to come.
struct LaterSnapshot {
  var at: Instant
  var record: CallRecord
}

extension House {
  /// Between the first two: visitors look up after they have rung.
  private static let between = Interval.seconds(2)

  /// The first ring of a call.
  func photographRing(_ record: CallRecord) {
    guard camera(of: record) != nil, album.days > 0 else { return }
    photograph(record, .ring)
    laterSnapshots.append(LaterSnapshot(at: world.now + House.between, record: record))
  }

  func photographEnd(_ record: CallRecord) {
    laterSnapshots.removeAll { $0.record.id == record.id }
    // What nobody heard ring was no visit.
    guard !album.snapshots(of: record.id.text).isEmpty || photographed.contains(record.id.text) else {
      return
    }
    photograph(record, .end)
    photographed.removeAll { $0 == record.id.text }
  }

  func advanceSnapshots(_ now: Instant) {
    let due = laterSnapshots.filter { $0.at <= now }
    laterSnapshots.removeAll { $0.at <= now }
    for one in due { photograph(one.record, .after) }
  }

  private func camera(of record: CallRecord) -> CameraID? {
    record.station.flatMap { book.building.station($0)?.camera }
  }

  private func photograph(_ record: CallRecord, _ moment: SnapshotMoment) {
    guard let camera = camera(of: record), album.days > 0 else { return }
    let call = record.id.text
    if moment == .ring { photographed.append(call) }
    let audience = audience(of: record)
    snapshots.take(camera) { [weak self] result in
      guard let self else { return }
      guard case .success(let jpeg) = result else {
        self.album.missed += 1
        return
      }
      self.album.keep(jpeg, of: call, moment.rawValue) { [weak self] kept in
        guard let self, let kept else { return }
        self.gateway.feed.publish(
          "call.snapshot", at: self.world.wall, to: audience,
          [
            JSONField("call", .string(call)), JSONField("camera", .string(camera.rawValue)),
            JSONField("moment", .string(kept.moment)), JSONField("url", .string(SnapshotView(kept).url)),
          ])
      }
    }
  }
}

extension SnapshotView {
  init(_ kept: KeptSnapshot) {
    self.init(
      moment: kept.moment, at: WallTime(seconds: kept.seconds),
      url: APIOperation.callSnapshot.target([kept.call, kept.moment]))
  }
}

extension HouseOperations {
  /// The record with its snapshots.
  func withSnapshots(_ view: CallView) -> CallView {
    var view = view
    view.snapshots = house.album.snapshots(of: view.id).map { SnapshotView($0) }
    return view
  }

  func snapshot(
    of call: String, _ moment: String, by device: DeviceScope?, then: @escaping Completion<[UInt8]>
  ) {
    let unknown = Problem(404, "this call has no such snapshot", next: "see the call's record")
    guard let kept = house.album.snapshots(of: call).last(where: { $0.moment == moment }) else {
      return then(.failure(unknown))
    }
    let read = { [weak self] in
      guard let self else { return }
      self.house.album.read(kept) { then($0.map { .success($0) } ?? .failure(unknown)) }
    }
    guard let device, !calls(of: device).contains(where: { $0.id == call }) else { return read() }
    // The same answer for one that is not there and for one of somebody else's.
    gateway.keeper.ask { [unit = device.unit, account = device.account] database throws(StoreFailure) in
      try database.calls(limit: 1000, unit: unit, account: account).contains { $0.id == call }
    } then: { answer in
      if case .success(true) = answer { read() } else { then(.failure(unknown)) }
    }
  }
}
