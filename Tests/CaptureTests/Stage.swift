import Cameras
import Capture
import Codecs
import Devices
import Directory
import RTP
import Reactor
import Wire

/// A loop with cameras, turned until something is so.
final class Stage: Resident {
  let reactor = Reactor()
  let cameras: MachineCameras
  private(set) var heard: [SourceNews] = []
  var onNews: ((SourceNews) -> Void)?

  init(_ devices: any CaptureDevices = NoDevices(), _ cards: any SoundCards = FakeCards()) {
    cameras = MachineCameras(reactor, devices: devices, cards: cards)
    reactor.settle(in: self)
  }

  func open(_ source: Camera.Source = .pattern, _ capture: Capture = .small) -> any CameraSource {
    open(Camera(id: "c", source: source, capture: capture))
  }

  func open(_ camera: Camera) -> any CameraSource {
    cameras.open(camera) { [unowned self] news in
      heard.append(news)
      onNews?(news)
    }
  }

  var pictures: [AccessUnit] {
    heard.compactMap { if case .picture(let unit) = $0 { unit } else { nil } }
  }
  var formats: [SourceFormat] {
    heard.compactMap { if case .began(let format) = $0 { format } else { nil } }
  }
  var sounds: Int { heard.count { if case .sound = $0 { true } else { false } } }
  var silences: [SourceFault] {
    heard.compactMap { if case .silent(let fault) = $0 { fault } else { nil } }
  }
  var fault: SourceFault? {
    for case .ended(let fault) in heard { return fault }
    return nil
  }

  /// False after twenty seconds without: a machine that is shared is slow at times.
  func runs(until condition: () -> Bool) -> Bool {
    let end = reactor.now + .seconds(20)
    while !condition() {
      guard reactor.now < end else { return false }
      reactor.turn(waitingAtMost: .milliseconds(100))
    }
    return true
  }

  /// What the pictures show, from the first on.
  func readings() throws -> [Pattern.Reading?] { try Stage.read(pictures, .h264) }

  static func read(_ pictures: [AccessUnit], _ coding: VideoDecoder.Coding) throws -> [Pattern.Reading?] {
    var decoder = try VideoDecoder(coding)
    var shown: Picture?
    return pictures.map { unit in
      let bytes = coding == .h264 ? unit.annexB : unit.bytes
      return decoder.decode(bytes.span, into: &shown) ? shown.flatMap { Pattern.read($0) } : nil
    }
  }

  func received(_ datagram: Span<UInt8>, on socket: SocketID, from remote: Endpoint, to local: Endpoint) {}
  func accepted(_ stream: SocketID, on listener: SocketID, from remote: Endpoint, peer: LocalPeer?) {}
  func connected(_ stream: SocketID) {}
  func received(_ bytes: Span<UInt8>, onStream stream: SocketID) {}
  func drained(_ stream: SocketID) {}
  func closed(_ stream: SocketID, _ failure: NetworkFailure) {}
  func signalled(_ signal: Signal) {}
  func advance() {}
  func settle() {}
  var nextDeadline: Instant? { nil }
}

extension Capture {
  static var small: Capture {
    var capture = Capture()
    capture.width = 320
    capture.height = 240
    capture.framesPerSecond = 30
    return capture
  }
}

struct NoDevices: CaptureDevices {
  func open(_ wish: CaptureWish) throws(CaptureFailure) -> any CaptureDevice { throw .missing(wish.path) }
}

/// A device whose pictures the test hands in, on the loop's side.
final class FakeDevices: CaptureDevices {
  enum Act: Sendable {
    case picture([UInt8], Instant)
    case fail(CaptureFailure)
  }

  let acts = Mailbox<Act>(capacity: 64, isWaitedFor: false)
  /// What was asked of it: wishes, key pictures, rates.
  let asked = Mailbox<String>(capacity: 256, isWaitedFor: false)
  /// Failures of the next openings.
  let refusals = Mailbox<CaptureFailure>(capacity: 64, isWaitedFor: false)
  let format: CaptureFormat

  init(_ format: CaptureFormat) { self.format = format }

  func give(_ bytes: [UInt8], at captured: Instant) { post(.picture(bytes, captured)) }
  func fail(_ failure: CaptureFailure) { post(.fail(failure)) }
  private func post(_ act: Act) { if acts.reserve() { acts.post(act) } }
  func refuse(_ failure: CaptureFailure, times: Int) {
    for _ in 0..<times where refusals.reserve() { refusals.post(failure) }
  }
  func note(_ line: String) { if asked.reserve() { asked.post(line) } }
  func notes() -> [String] {
    var lines: [String] = []
    asked.take(into: &lines)
    return lines
  }

  func open(_ wish: CaptureWish) throws(CaptureFailure) -> any CaptureDevice {
    note("open \(wish.path) \(wish.width)x\(wish.height)@\(wish.framesPerSecond) coded \(wish.mayBeCoded)")
    var waiting: [CaptureFailure] = []
    refusals.take(into: &waiting)
    if let first = waiting.first {
      refuse(first, times: waiting.count - 1)
      throw first
    }
    return Device(self)
  }

  private final class Device: CaptureDevice {
    let owner: FakeDevices
    var waiting: [Act] = []

    init(_ owner: FakeDevices) { self.owner = owner }
    deinit { owner.note("closed") }

    var format: CaptureFormat { owner.format }
    var descriptor: Int32 { owner.acts.descriptor }
    func take(_ body: (Span<UInt8>, Instant) -> Void) throws(CaptureFailure) -> Bool {
      owner.acts.take(into: &waiting)
      guard !waiting.isEmpty else { return false }
      switch waiting.removeFirst() {
      case .picture(let bytes, let captured):
        body(bytes.span, captured)
        // What is left makes it readable again.
        let rest = waiting
        waiting = []
        for act in rest { owner.post(act) }
        return true
      case .fail(let failure): throw failure
      }
    }
    func forceKeyPicture() -> Bool {
      owner.note("key")
      return true
    }
    func aim(bitsPerSecond: Int) -> Bool {
      owner.note("aim \(bitsPerSecond)")
      return true
    }
  }
}
