internal import CLinux
internal import Wire

// The kernel's capture devices (V4L2), through mapped buffers.
//
// Responsible for choosing a format, setting controls and rate, and for saying in words why a device gives no pictures.
// Formats that nobody here reads are converted by libv4l2 where this machine has it. What the pictures show, and how long
// a device may be silent, is somebody else's.

package struct VideoDevices: CaptureDevices {
  package init() {}

  package func open(_ wish: CaptureWish) throws(CaptureFailure) -> any CaptureDevice {
    let device = try VideoDevice.open(wish.path, throughLibrary: false)
    do throws(CaptureFailure) {
      try device.setUp(wish)
      return device
    } catch {
      guard case .noFormat = error else { throw error }
      // Let go before it is opened anew.
      device.close()
      guard let other = try? VideoDevice.open(wish.path, throughLibrary: true) else { throw error }
      do throws(CaptureFailure) { try other.setUp(wish) } catch let second {
        if case .noFormat = second { throw error }
        throw second
      }
      return other
    }
  }
}

/// Which format suits best: what costs us least among what is fast and large enough.
package enum CaptureChoice {
  package struct Offer: Hashable, Sendable {
    package var coding: CaptureCoding
    package var width: Int
    package var height: Int
    /// Pictures a second; 0 when the device does not say.
    package var fastest: Int

    package init(_ coding: CaptureCoding, width: Int, height: Int, fastest: Int) {
      self.coding = coding
      self.width = width
      self.height = height
      self.fastest = fastest
    }
  }

  /// Coded pictures cost nothing, raw ones an encoder, MJPEG a decoder besides.
  private static let order: [CaptureCoding] = [.h264, .nv12, .i420, .nv21, .yv12, .yuyv, .uyvy, .mjpeg]

  package static func best(of offers: [Offer], for wish: CaptureWish) -> Offer? {
    let possible = offers.filter { $0.coding != .h264 || wish.mayBeCoded }
    func place(_ offer: Offer) -> (Int, Int, Int) {
      let isFast = offer.fastest == 0 || offer.fastest >= wish.framesPerSecond
      let size = abs(offer.width * offer.height - wish.width * wish.height)
      return (isFast ? 0 : 1, size, order.firstIndex(of: offer.coding) ?? order.count)
    }
    return possible.min { place($0) < place($1) }
  }
}

@safe  // Owns `capture` until `close`; nothing is called afterwards.
private final class VideoDevice: CaptureDevice {
  /// Broken pictures in a row that mean the end: a device with a bad cable gives some.
  private static let mostBroken = 60

  private let path: String
  private var capture: OpaquePointer?
  private(set) var format = CaptureFormat(coding: .yuyv, width: 0, height: 0, framesPerSecond: 0)
  private var broken = 0

  private init(_ path: String, _ capture: OpaquePointer) {
    self.path = path
    unsafe self.capture = capture
  }

  deinit { close() }

  func close() {
    if let capture = unsafe capture { unsafe clinux_capture_close(capture) }
    unsafe capture = nil
  }

  static func open(_ path: String, throughLibrary: Bool) throws(CaptureFailure) -> VideoDevice {
    var code: Int32 = 0
    guard let capture = unsafe clinux_capture_open(path, throughLibrary ? 1 : 0, &code) else {
      throw failure(path, "opening it", code)
    }
    return unsafe VideoDevice(path, capture)
  }

  private static func failure(_ path: String, _ action: String, _ code: Int32) -> CaptureFailure {
    switch -code {
    case 2: return .missing(path)  // ENOENT
    case 6, 19: return .gone(path)  // ENXIO, ENODEV
    case 1, 13: return .notPermitted(path)  // EPERM, EACCES
    case 16: return .inUse(path)  // EBUSY
    case 25: return .notCapture(path)  // ENOTTY
    default:
      var words = [CChar](repeating: 0, count: 128)
      unsafe clinux_error_text(-code, &words, words.count)
      return .kernel(path, during: action, text(words))
    }
  }

  private static func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The handle; asked for only while the device is open.
  private var handle: OpaquePointer {
    guard let capture = unsafe capture else { preconditionFailure("a capture device was used after its end") }
    return unsafe capture
  }

  private func check(_ outcome: Int32, _ action: String) throws(CaptureFailure) {
    if outcome < 0 { throw VideoDevice.failure(path, action, outcome) }
  }

  // MARK: Setting up

  func setUp(_ wish: CaptureWish) throws(CaptureFailure) {
    let handle = unsafe self.handle
    var offers: [CaptureChoice.Offer] = []
    var names: [String] = []
    var trouble: Int32 = 0
    /// What it refuses (EINVAL) it just has not.
    func isTaken(_ outcome: Int32) -> Bool {
      if outcome < 0, outcome != -22 { trouble = outcome }
      return outcome == 0
    }
    var index: Int32 = 0
    var code: UInt32 = 0
    while index < 64, isTaken(unsafe clinux_capture_format(handle, index, &code)) {
      index += 1
      names.append(VideoDevice.name(of: code))
      guard let coding = CaptureCoding(code) else { continue }
      var width = UInt32(wish.width)
      var height = UInt32(wish.height)
      guard isTaken(unsafe clinux_capture_try(handle, code, &width, &height)) else { continue }
      let fastest = unsafe clinux_capture_fastest(handle, code, width, height)
      offers.append(
        CaptureChoice.Offer(coding, width: Int(width), height: Int(height), fastest: Int(fastest)))
    }
    guard let best = CaptureChoice.best(of: offers, for: wish) else {
      // It may have been pulled out while it was asked.
      try check(trouble, "asking for its formats")
      throw .noFormat(path, offered: names)
    }
    var width = UInt32(wish.width)
    var height = UInt32(wish.height)
    var stride: UInt32 = 0
    try check(
      unsafe clinux_capture_set(handle, best.coding.code, &width, &height, &stride), "setting its format")
    let rate = unsafe clinux_capture_set_rate(handle, Int32(wish.framesPerSecond))
    let line = Int(width) * (best.coding == .yuyv || best.coding == .uyvy ? 2 : 1)
    format = CaptureFormat(
      coding: best.coding, width: Int(width), height: Int(height), stride: max(Int(stride), line),
      framesPerSecond: rate > 0 ? min(Int(rate), 60) : wish.framesPerSecond)
    try set(wish.controls)
    try check(unsafe clinux_capture_start(handle), "beginning to capture")
  }

  private func set(_ controls: [CaptureControl]) throws(CaptureFailure) {
    if controls.isEmpty { return }
    let handle = unsafe self.handle
    var known: [(name: String, id: UInt32, range: ClosedRange<Int64>)] = []
    var id: UInt32 = 0
    var name = [CChar](repeating: 0, count: 32)
    var least: Int64 = 0
    var most: Int64 = 0
    while known.count < 512, unsafe clinux_capture_next_control(handle, &id, &name, &least, &most) == 1 {
      known.append((VideoDevice.text(name), id, least...max(least, most)))
    }
    for control in controls {
      guard let found = known.first(where: { CaptureControl.isSame($0.name, control.name) }) else {
        throw .noControl(
          path, name: control.name,
          offered: known.map { "\($0.name) \($0.range.lowerBound) to \($0.range.upperBound)" })
      }
      let value = min(max(Int64(control.value), found.range.lowerBound), found.range.upperBound)
      try check(
        unsafe clinux_capture_set_control(handle, found.id, value), "setting \(found.name) to \(value)")
    }
  }

  private static func name(of code: UInt32) -> String {
    String(decoding: (0..<4).map { UInt8(truncatingIfNeeded: code >> ($0 * 8)) & 0x7F }, as: UTF8.self)
  }

  // MARK: CaptureDevice

  var descriptor: Int32 { unsafe clinux_capture_descriptor(handle) }

  func take(_ body: (Span<UInt8>, Instant) -> Void) throws(CaptureFailure) -> Bool {
    let handle = unsafe self.handle
    var bytes: UnsafePointer<UInt8>?
    var length = 0
    var taken: Int64 = 0
    let outcome = unsafe clinux_capture_take(handle, format.coding == .h264 ? 0 : 1, &bytes, &length, &taken)
    guard outcome > 0, let bytes = unsafe bytes else {
      // What was torn on the way is a picture less; what is broken again and again is no camera any more.
      if outcome < 0, outcome != -5 { throw VideoDevice.failure(path, "taking a picture", outcome) }  // EIO
      broken += outcome < 0 ? 1 : 0
      if broken > VideoDevice.mostBroken { throw .gone(path) }
      return false
    }
    broken = 0
    let moment = taken > 0 ? taken : clinux_monotonic()
    unsafe body(UnsafeBufferPointer(start: bytes, count: length).span, Instant(nanoseconds: moment))
    try check(unsafe clinux_capture_give(handle), "giving a picture back")
    return true
  }

  func forceKeyPicture() -> Bool { unsafe clinux_capture_force_key(handle) == 0 }

  func aim(bitsPerSecond: Int) -> Bool {
    unsafe clinux_capture_set_bit_rate(handle, Int32(clamping: bitsPerSecond)) == 0
  }
}

extension CaptureControl {
  /// Drivers and people differ about capitals, spaces, commas and underscores.
  package static func isSame(_ one: String, _ other: String) -> Bool {
    func plain(_ name: String) -> [UInt8] {
      name.utf8.filter { ASCII.isAlpha($0) || ASCII.isDigit($0) }.map { ASCII.isAlpha($0) ? $0 | 0x20 : $0 }
    }
    return plain(one) == plain(other)
  }
}

extension CaptureCoding {
  /// The kernel's four characters for it, as it writes them in a number.
  var code: UInt32 {
    let name =
      switch self {
      case .h264: "H264"
      case .mjpeg: "MJPG"
      case .yuyv: "YUYV"
      case .uyvy: "UYVY"
      case .nv12: "NV12"
      case .nv21: "NV21"
      case .i420: "YU12"
      case .yv12: "YV12"
      }
    return name.utf8.reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  init?(_ code: UInt32) {
    let all: [CaptureCoding] = [.h264, .mjpeg, .yuyv, .uyvy, .nv12, .nv21, .i420, .yv12]
    guard let found = all.first(where: { $0.code == code }) else { return nil }
    self = found
  }
}
