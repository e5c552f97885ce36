package import Directory
internal import RTP
package import Wire

// The cameras of the building, each opened when somebody wants its pictures and given up when nobody does any more.
//
// Responsible for: who wants what (viewers, rings), when a camera is opened, left alone after a failure, found to be
// frozen, and closed; its state and the reason of it, in words that people can act on; handing its pictures to the
// screens.
// Assumes: one thread; `advance` at `nextDeadline`; whoever watches stops watching.
// Somebody else's: how a camera is spoken to (its source), how pictures reach viewers (`Screens`), who may look (WHEP
// and the gateway).
//
// A camera that failed is left alone for a while that grows (`Backoff`), whoever asks for it meanwhile: viewers who come
// and go must not make a camera lock us out.

/// How a camera stands, for people and for viewers.
package struct CameraStatus: Hashable, Sendable {
  package var state: CameraState
  package var since: Instant
  /// Why it gave no pictures last; nil as soon as it gives them again.
  package var fault: SourceFault?
  /// Why it gave no sound last, though it has a microphone; nil as soon as it gives it again.
  package var silence: SourceFault?
  /// When it is tried again, while it is left alone.
  package var retry: Instant?
  /// What it shows, or showed last.
  package var format: SourceFormat?
  package var viewers: Int
}

/// What happened to a camera since the start.
package struct CameraFigures: Hashable, Sendable {
  package var openings = 0
  /// It stopped sending without saying so.
  package var freezes = 0
  /// By the order of `SourceFault.Kind.allCases`.
  package var faults = [Int](repeating: 0, count: SourceFault.Kind.allCases.count)
  /// Times that its microphone failed.
  package var silences = 0
  package var pictures = 0
  package var keyPictures = 0
  package var bytes = 0
  /// From the last opening to the first picture.
  package var firstPicture: Interval?
}

package final class CameraKeeper {
  /// How long a camera runs on after the last viewer: who reloads a page finds it as it was.
  package static let linger = Interval.seconds(8)
  /// From the opening to the first picture. Sources have limits of their own; this one is for those that hang.
  package static let start = Interval.seconds(20)
  /// Without a picture for so long it is opened anew.
  package static let freeze = Interval.seconds(8)

  private final class Record {
    var camera: Camera
    var machine = CameraMachine()
    var source: (any CameraSource)?
    /// Grows with each source: what an earlier one says is not heard.
    var serial = 0
    var viewers = 0
    /// The calls that keep it warm.
    var rings: [String] = []
    var since: Instant
    var opened: Instant
    var began: Instant?
    var lastPicture: Instant?
    var abandonedAt: Instant?
    var retry: Instant?
    var backoff: Backoff
    var fault: SourceFault?
    var silence: SourceFault?
    var format: SourceFormat?
    var pace = PicturePace()
    var figures = CameraFigures()

    init(_ camera: Camera, now: Instant) {
      self.camera = camera
      backoff = Backoff(of: camera.source)
      since = now
      opened = now
    }
  }

  private let opener: any CameraOpener
  private let screens: any Screens
  private let clock: () -> Instant
  private var random: Random
  /// In the directory's order.
  private var records: [Record] = []
  /// Told of every change of a camera's state, when it is over.
  package var whenChanged: ((CameraID) -> Void)?
  /// Told when a camera's sound fails, and when it is back.
  package var whenSoundChanged: ((CameraID) -> Void)?

  /// `clock` is asked whenever something happens.
  package init(
    opener: any CameraOpener, screens: any Screens, random: Random, clock: @escaping () -> Instant
  ) {
    self.opener = opener
    self.screens = screens
    self.random = random
    self.clock = clock
  }

  // MARK: The directory

  /// Serves these cameras from now on. One whose source changed is opened anew, one that is gone is closed.
  package func serve(_ cameras: [Camera]) {
    var kept: [Record] = []
    var changed: [Record] = []
    for camera in cameras {
      guard let known = records.first(where: { $0.camera.id == camera.id }) else {
        kept.append(Record(camera, now: clock()))
        continue
      }
      kept.append(known)
      let isSame =
        known.camera.source == camera.source && known.camera.substream == camera.substream
        && known.camera.username == camera.username
        && known.camera.password == camera.password && known.camera.capture == camera.capture
        && known.camera.microphone == camera.microphone
      known.camera = camera
      if !isSame { changed.append(known) }
    }
    let gone = records.filter { old in !kept.contains { $0 === old } }
    records = kept
    for record in gone { shut(record) }
    for record in changed { beginAnew(record) }
  }

  /// The camera's password was changed, or somebody mended it: what was held against it is forgotten.
  package func forgive(_ camera: CameraID) {
    if let record = record(camera), !record.machine.state.shows { beginAnew(record) }
  }

  private func beginAnew(_ record: Record) {
    shut(record)
    record.machine = CameraMachine()
    record.backoff = Backoff(of: record.camera.source)
    record.retry = nil
    record.fault = nil
    record.silence = nil
    record.format = nil
    weigh(record)
  }

  private func shut(_ record: Record) {
    record.source?.stop()
    record.source = nil
    record.serial += 1
    screens.end(record.camera.id)
  }

  // MARK: Who wants what

  /// Somebody looks, until as many `unwatch` have come. False for a camera that is not there.
  @discardableResult package func watch(_ camera: CameraID) -> Bool {
    guard let record = record(camera) else { return false }
    record.viewers += 1
    weigh(record)
    return true
  }

  package func unwatch(_ camera: CameraID) {
    guard let record = record(camera), record.viewers > 0 else { return }
    record.viewers -= 1
    weigh(record)
  }

  /// It is kept ready while that call rings or talks, until `cool`.
  package func warm(_ camera: CameraID, for call: String) {
    guard let record = record(camera), !record.rings.contains(call) else { return }
    record.rings.append(call)
    weigh(record)
  }

  package func cool(_ call: String) {
    for record in records where record.rings.contains(call) {
      record.rings.removeAll { $0 == call }
      weigh(record)
    }
  }

  private func weigh(_ record: Record) {
    let now = clock()
    let demand: CameraDemand = record.viewers > 0 ? .viewers : record.rings.isEmpty ? .nobody : .ring
    record.abandonedAt =
      demand == .nobody && record.machine.state.isRunning
      ? record.abandonedAt ?? now + CameraKeeper.linger : nil
    let isLeftAlone = record.retry.map { $0 > now } ?? false
    take(.wanted(demand, leftAlone: isLeftAlone ? record.fault?.kind : nil), record)
  }

  // MARK: What viewers ask of it

  package func requestKeyFrame(_ camera: CameraID) { record(camera)?.source?.requestKeyFrame() }

  /// Its viewers can take so much: as many pictures as suit that.
  package func limit(_ camera: CameraID, bitsPerSecond: Int) {
    guard let record = record(camera), let source = record.source, let format = record.format else { return }
    let frames = record.pace.suited(
      bitsPerSecond: bitsPerSecond, width: format.width, height: format.height,
      most: record.camera.capture.framesPerSecond)
    source.limit(bitsPerSecond: bitsPerSecond, framesPerSecond: frames)
  }

  // MARK: What is told of it

  package var cameras: [CameraID] { records.map(\.camera.id) }
  /// Sources that run.
  package var running: Int { records.count { $0.source != nil } }

  package func status(of camera: CameraID) -> CameraStatus? {
    guard let record = record(camera) else { return nil }
    let state = record.machine.state
    return CameraStatus(
      state: state, since: record.since, fault: record.fault, silence: record.silence,
      retry: state == .backingOff || state == .faulty ? record.retry : nil, format: record.format,
      viewers: record.viewers)
  }

  package func figures(of camera: CameraID) -> CameraFigures? { record(camera)?.figures }

  private func record(_ camera: CameraID) -> Record? { records.first { $0.camera.id == camera } }

  // MARK: The machine

  private func take(_ event: CameraEvent, _ record: Record) {
    let before = record.machine.state
    let action = record.machine.take(event)
    let now = clock()
    switch action {
    case .nothing: break
    case .open: open(record, now)
    case .close:
      shut(record)
      record.abandonedAt = nil
      record.began = nil
    }
    guard record.machine.state != before else { return }
    record.since = now
    whenChanged?(record.camera.id)
  }

  private func open(_ record: Record, _ now: Instant) {
    record.serial += 1
    record.opened = now
    record.began = nil
    record.lastPicture = nil
    record.retry = nil
    record.pace = PicturePace()
    record.figures.openings += 1
    let serial = record.serial
    record.source = opener.open(record.camera) { [weak self, weak record] news in
      guard let self, let record, record.serial == serial else { return }
      self.heard(news, record)
    }
  }

  private func heard(_ news: SourceNews, _ record: Record) {
    switch news {
    case .began(let format):
      record.format = format
      screens.begin(record.camera.id, format)
    case .picture(let picture):
      // Nobody can begin with what comes before the first key picture.
      guard picture.isKey || record.began != nil, record.format != nil else { return }
      let now = clock()
      record.lastPicture = now
      record.figures.pictures += 1
      record.figures.bytes += picture.bytes.count
      if picture.isKey { record.figures.keyPictures += 1 }
      screens.push(picture, of: record.camera.id)
      guard record.began == nil else { return }
      record.began = now
      record.fault = nil
      record.figures.firstPicture = now - record.opened
      take(.picture, record)
    case .sound(let sound, let samples, let captured):
      guard record.format?.sound != nil else { return }
      screens.push(sound: sound, samples: samples, captured: captured, of: record.camera.id)
      if record.silence != nil {
        record.silence = nil
        whenSoundChanged?(record.camera.id)
      }
    case .silent(let fault):
      record.figures.silences += 1
      let isNews = record.silence == nil
      record.silence = fault
      if isNews { whenSoundChanged?(record.camera.id) }
    case .ended(let fault): fail(record, fault)
    }
  }

  private func fail(_ record: Record, _ fault: SourceFault) {
    let now = clock()
    record.fault = fault
    // A source that finds out itself says so; one that hangs is found out here.
    if fault.kind == .frozen, record.began != nil { record.figures.freezes += 1 }
    if let place = SourceFault.Kind.allCases.firstIndex(of: fault.kind) { record.figures.faults[place] += 1 }
    let worked = record.began.map { now - $0 } ?? .zero
    record.retry = now + record.backoff.delay(after: fault, worked: worked, random: &random)
    take(.failed(fault.kind), record)
  }

  // MARK: Time

  private func deadline(of record: Record) -> Instant? {
    switch record.machine.state {
    case .idle: nil
    case .starting: .earlier(record.abandonedAt, record.opened + CameraKeeper.start)
    case .live, .warm: .earlier(record.abandonedAt, record.lastPicture.map { $0 + CameraKeeper.freeze })
    case .backingOff, .faulty: .earlier(record.abandonedAt, record.retry)
    }
  }

  package var nextDeadline: Instant? {
    records.lazy.map { self.deadline(of: $0) }.reduce(nil, Instant.earlier)
  }

  package func advance() {
    let now = clock()
    for record in records {
      guard let deadline = deadline(of: record), deadline <= now else { continue }
      if let end = record.abandonedAt, end <= now {
        record.abandonedAt = nil
        take(.abandoned, record)
        continue
      }
      switch record.machine.state {
      case .idle: break
      case .starting:
        fail(record, SourceFault(.frozen, "no picture came within \(CameraKeeper.start.seconds) s"))
      case .live, .warm:
        fail(record, SourceFault(.frozen, "no picture has come for \(CameraKeeper.freeze.seconds) s"))
      case .backingOff, .faulty: take(.due, record)
      }
    }
  }

  /// Gives every camera up.
  package func stop() {
    for record in records where record.source != nil {
      record.source?.stop()
      record.source = nil
      record.serial += 1
    }
    records = []
  }
}
