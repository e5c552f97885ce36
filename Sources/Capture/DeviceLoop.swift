internal import Cameras
internal import Codecs
internal import Devices
internal import Directory
internal import RTP
internal import Reactor
internal import Wire

// One capture device from its opening to its end, on a thread of its own.
//
// Pictures that the device has coded as H.264 pass as they are; MJPEG is decoded, and with raw pixels it is masked and
// encoded. Whatever goes wrong ends the loop with one fault; whether it is tried again is somebody else's.

struct DeviceLoop {
  /// A device that was just let go may be in use for as long as its driver takes.
  static let release = Interval.seconds(2)
  /// How long a device may take to its first picture, and then between two.
  static let patience = (first: Interval.seconds(10), then: Interval.seconds(5))
  /// Between two wishes for a key picture while none comes.
  static let wish = Interval.seconds(1)

  static func run(
    _ path: String, _ capture: Capture, devices: any CaptureDevices, orders: Mailbox<Order>, outlet: Outlet
  ) {
    var wishes = Wishes(orders)
    do throws(SourceFault) {
      guard let device = try open(path, capture, devices, &wishes) else { return }
      if device.format.coding == .h264 {
        try pass(device, path, capture, &wishes, outlet)
      } else {
        try encode(device, path, capture, &wishes, outlet)
      }
    } catch {
      outlet.end(error)
    }
  }

  /// Nil when it was told to stop meanwhile.
  private static func open(
    _ path: String, _ capture: Capture, _ devices: any CaptureDevices, _ wishes: inout Wishes
  ) throws(SourceFault) -> (any CaptureDevice)? {
    var wish = CaptureWish(
      path: path, width: capture.width, height: capture.height, framesPerSecond: capture.framesPerSecond)
    wish.controls = capture.controls.map { CaptureControl(name: $0.name, value: $0.value) }
    // What the device has coded cannot be masked.
    wish.mayBeCoded = capture.masks.isEmpty
    let end = SideThread.now + release
    while true {
      do throws(CaptureFailure) {
        return try devices.open(wish)
      } catch {
        guard case .inUse = error, SideThread.now < end else { throw SourceFault(error) }
      }
      _ = SideThread.wait(for: wishes.descriptor, until: SideThread.now + .milliseconds(100))
      wishes.take()
      if wishes.hasStopped { return nil }
    }
  }

  /// Waits for the next picture or order; false when it was told to stop.
  private static func wait(
    _ device: any CaptureDevice, _ path: String, _ wishes: inout Wishes, _ lastPicture: Instant,
    _ patience: Interval
  ) throws(SourceFault) -> Bool {
    let news = SideThread.wait(
      for: wishes.descriptor, or: device.descriptor, until: lastPicture + patience)
    if news.one { wishes.take() }
    if wishes.hasStopped { return false }
    if SideThread.now - lastPicture >= patience {
      throw SourceFault(.frozen, "\(path) has given no picture for \(patience.seconds) s")
    }
    return true
  }

  // MARK: H.264 from the device

  private static func pass(
    _ device: any CaptureDevice, _ path: String, _ capture: Capture, _ wishes: inout Wishes, _ outlet: Outlet
  ) throws(SourceFault) {
    var stream = PictureStream()
    var watch = CodingWatch(hasParameters: false)
    var lastPicture = SideThread.now
    var patience = patience.first
    var origin: Instant?
    // What viewers can take follows what they were sent: without an end, each would raise the other. A driver remembers
    // what was asked of it last, so it is told at once.
    let most = mostBits(device.format, capture)
    _ = device.aim(bitsPerSecond: most)
    var wishedAt: Instant?
    while try wait(device, path, &wishes, lastPicture, patience) {
      if let (bits, _) = wishes.takeLimit() { _ = device.aim(bitsPerSecond: min(bits, most)) }
      let now = SideThread.now
      if wishes.wantsKey || outlet.wantsKey, wishedAt.map({ now - $0 >= wish }) ?? true {
        wishedAt = now
        if device.forceKeyPicture() { wishes.wantsKey = false }
      }
      var unit: AccessUnit?
      let came = try take(device) { bytes, captured in
        let start = origin ?? captured
        origin = start
        let time = UInt32(truncatingIfNeeded: (captured - start).nanoseconds * 9 / 100_000)
        unit = AccessUnit(annexB: [UInt8](bytes), timestamp: time, captured: captured)
      }
      guard came, let unit else { continue }
      for range in unit.units
      where watch.look(unit.bytes.span.extracting(range), now: SideThread.now) {
        if let verdict = watch.verdict { throw SourceFault(verdict) }
      }
      switch stream.take(unit) {
      case .nothing: break
      case .wantsKey: wishes.wantsKey = true
      case .unusable(let reason): throw SourceFault(.coding, reason)
      case .picture(let whole, let width, let height):
        lastPicture = SideThread.now
        patience = Self.patience.then
        if whole.isKey {
          wishes.wantsKey = false
          wishedAt = nil
        }
        outlet.begin(SourceFormat(coding: .h264, width: width, height: height, isOurs: false))
        outlet.post(whole)
      }
    }
  }

  /// The most that an encoder in the device may take: what is configured, else what suits size and rate.
  private static func mostBits(_ format: CaptureFormat, _ capture: Capture) -> Int {
    if let rate = capture.bitRate { return rate * 1000 }
    if let set = capture.controls.first(where: { CaptureControl.isSame($0.name, "Video Bitrate") }) {
      return set.value
    }
    return VideoSetting.usualBitRate(
      width: format.width, height: format.height, picturesPerSecond: format.framesPerSecond)
  }

  // MARK: Raw pixels and MJPEG

  private static func encode(
    _ device: any CaptureDevice, _ path: String, _ capture: Capture, _ wishes: inout Wishes, _ outlet: Outlet
  ) throws(SourceFault) {
    let format = device.format
    guard var picture = Picture(width: format.width & ~1, height: format.height & ~1) else {
      throw SourceFault(
        .coding, "\(path) gives pictures of \(format.width) by \(format.height), which nobody can show")
    }
    do throws(VideoFault) {
      var reader = try PictureReader(format)
      var encoding = try Encoding(
        .h264, width: picture.width, height: picture.height,
        framesPerSecond: min(format.framesPerSecond, capture.framesPerSecond),
        bitsPerSecond: capture.bitRate.map { $0 * 1000 })
      outlet.begin(SourceFormat(coding: .h264, width: picture.width, height: picture.height, isOurs: true))
      let masks = capture.masks.map { $0.area(width: picture.width, height: picture.height) }
      var lastPicture = SideThread.now
      var patience = patience.first
      while true {
        do throws(SourceFault) {
          guard try wait(device, path, &wishes, lastPicture, patience) else { return }
        } catch { return outlet.end(error) }
        if let (bits, frames) = wishes.takeLimit() {
          try encoding.limit(bitsPerSecond: bits, framesPerSecond: frames, now: SideThread.now)
        }
        var taken: Instant?
        do throws(SourceFault) {
          _ = try take(device) { bytes, captured in
            // What is one too many is not decoded either.
            guard encoding.admits(captured) else {
              lastPicture = SideThread.now
              return
            }
            if reader.read(bytes, into: &picture) { taken = captured }
          }
        } catch { return outlet.end(error) }
        guard let captured = taken else { continue }
        lastPicture = SideThread.now
        patience = Self.patience.then
        for area in masks { picture.fill(area, luma: 16) }
        let asKey = wishes.wantsKey || outlet.wantsKey
        wishes.wantsKey = false
        for unit in try encoding.encode(picture, captured: captured, asKey: asKey) { outlet.post(unit) }
      }
    } catch {
      throw SourceFault(.coding, "the pictures of \(path) cannot be shown: \(error)")
    }
  }

  private static func take(
    _ device: any CaptureDevice, _ body: (Span<UInt8>, Instant) -> Void
  ) throws(SourceFault) -> Bool {
    do throws(CaptureFailure) { return try device.take(body) } catch { throw SourceFault(error) }
  }
}

/// Turns what a device gives into pictures of one size.
private struct PictureReader: ~Copyable {
  private let format: CaptureFormat
  private var decoder: VideoDecoder?
  private var decoded: Picture?

  init(_ format: CaptureFormat) throws(VideoFault) {
    self.format = format
    decoder = format.coding == .mjpeg ? try VideoDecoder(.mjpeg) : nil
  }

  /// False for what cannot be read: torn, or of another size.
  mutating func read(_ bytes: Span<UInt8>, into picture: inout Picture) -> Bool {
    let layout: PixelLayout
    switch format.coding {
    case .yuyv: layout = .yuyv
    case .uyvy: layout = .uyvy
    case .nv12: layout = .nv12
    case .nv21: layout = .nv21
    case .i420: layout = .i420
    case .yv12: layout = .yv12
    case .mjpeg, .h264:
      guard decoder?.decode(bytes, into: &decoded) ?? false, let decoded else { return false }
      decoded.scale(into: &picture)
      return true
    }
    return picture.read(bytes, as: layout, stride: format.stride)
  }
}

extension SourceFault {
  init(_ failure: CaptureFailure) {
    let kind: Kind =
      switch failure {
      case .missing: .missing
      case .inUse, .notPermitted, .notCapture, .noControl: .refused
      case .noFormat: .coding
      case .gone, .kernel: .gone
      }
    self.init(kind, "\(failure)")
  }
}
