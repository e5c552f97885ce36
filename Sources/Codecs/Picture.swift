// A raw picture, and what is done to it between a camera and an encoder.
//
// Responsible for: turning what capture devices and decoders give into one form, masks, scaling. Everything that a
// stream or a device says of its size is checked here before a byte is touched; the loops over pixels themselves are
// C, because a compiler makes whole vectors of them.

internal import CAVCodec

/// A picture in I420 (planes of luma, then U, then V, the latter two halved both ways), in video's range: black is
/// 16, white is 235.
package struct Picture: Hashable, Sendable {
  package static let sides = 16...4096
  /// A little more than 4K.
  package static let maximumPixels = 4096 * 2304

  package let width: Int
  package let height: Int
  package fileprivate(set) var bytes: [UInt8]

  /// Black. Nil unless both sides are even numbers within `sides`, and not too many pixels together.
  package init?(width: Int, height: Int) {
    guard Picture.isSize(width, height) else { return nil }
    self.width = width
    self.height = height
    bytes = Array(repeating: 128, count: width * height * 3 / 2)
    fill(Area(x: 0, y: 0, width: width, height: height), luma: 16)
  }

  package static func isSize(_ width: Int, _ height: Int) -> Bool {
    sides.contains(width) && sides.contains(height) && width % 2 == 0 && height % 2 == 0
      && width * height <= maximumPixels
  }

  /// The brightness of one pixel, 16 to 235.
  package func luma(x: Int, y: Int) -> UInt8 { bytes[y * width + x] }

  /// A rectangle in pixels.
  package struct Area: Hashable, Sendable {
    package var x: Int
    package var y: Int
    package var width: Int
    package var height: Int

    package init(x: Int, y: Int, width: Int, height: Int) {
      self.x = x
      self.y = y
      self.width = width
      self.height = height
    }
  }

  /// Paints what of `area` lies in the picture; grown to whole pairs of pixels, because colour has no finer ones.
  package mutating func fill(_ area: Area, luma: UInt8, u: UInt8 = 128, v: UInt8 = 128) {
    let left = max(0, area.x) & ~1
    let top = max(0, area.y) & ~1
    let right = (min(width, area.x.saturatingAdd(area.width)) + 1) & ~1
    let bottom = (min(height, area.y.saturatingAdd(area.height)) + 1) & ~1
    guard left < right, top < bottom else { return }
    let (width, height) = (Int32(width), Int32(height))
    unsafe bytes.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      unsafe vestibule_pixels_fill(
        base, width, height, Int32(left), Int32(top), Int32(right - left), Int32(bottom - top), luma, u, v)
    }
  }

  /// Writes this picture, shrunk or grown, over all of another.
  package func scale(into other: inout Picture) {
    if other.width == width, other.height == height {
      other.bytes = bytes
      return
    }
    let (outWidth, outHeight) = (Int32(other.width), Int32(other.height))
    unsafe bytes.withUnsafeBufferPointer { input in
      unsafe other.bytes.withUnsafeMutableBufferPointer { output in
        guard let from = input.baseAddress, let to = output.baseAddress else { return }
        unsafe vestibule_pixels_scale(from, Int32(width), Int32(height), to, outWidth, outHeight)
      }
    }
  }

  /// Reads raw pixels of the same size. False when there are too few bytes for that.
  package mutating func read(_ raw: Span<UInt8>, as layout: PixelLayout, stride: Int) -> Bool {
    guard let needed = layout.bytes(width: width, height: height, stride: stride), raw.count >= needed
    else { return false }
    let (width, height) = (Int32(width), Int32(height))
    unsafe raw.withUnsafeBufferPointer { input in
      unsafe bytes.withUnsafeMutableBufferPointer { output in
        guard let from = input.baseAddress, let to = output.baseAddress else { return }
        unsafe vestibule_pixels_raw(layout.number, from, Int32(stride), width, height, to)
      }
    }
    return true
  }

  /// From video's range to all 256 values: as JPEG has it.
  mutating func widen() {
    let (width, height) = (Int32(width), Int32(height))
    unsafe bytes.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      unsafe vestibule_pixels_widen(base, width, height)
    }
  }

  /// Lends its bytes to `body` for writing all of them.
  mutating func overwrite(_ body: (UnsafeMutablePointer<UInt8>) -> Void) {
    unsafe bytes.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      unsafe body(base)
    }
  }
}

/// How a capture device lays out raw pixels.
package enum PixelLayout: Hashable, Sendable, CaseIterable {
  case yuyv, uyvy, nv12, nv21, i420, yv12

  fileprivate var number: Int32 {
    switch self {
    case .yuyv: Int32(VESTIBULE_YUYV)
    case .uyvy: Int32(VESTIBULE_UYVY)
    case .nv12: Int32(VESTIBULE_NV12)
    case .nv21: Int32(VESTIBULE_NV21)
    case .i420: Int32(VESTIBULE_I420)
    case .yv12: Int32(VESTIBULE_YV12)
    }
  }

  /// The length of a line without padding: of luma, or of everything when colour lies between.
  package func line(width: Int) -> Int {
    switch self {
    case .yuyv, .uyvy: 2 * width
    case .nv12, .nv21, .i420, .yv12: width
    }
  }

  /// How many bytes a picture has; nil when the lines are too short for their pixels, or no line can be as long.
  package func bytes(width: Int, height: Int, stride: Int) -> Int? {
    guard stride >= line(width: width), stride <= 1 << 16, Picture.isSize(width, height) else { return nil }
    switch self {
    case .yuyv, .uyvy: return stride * height
    case .nv12, .nv21: return stride * height * 3 / 2
    case .i420, .yv12: return stride * height + 2 * (stride / 2) * (height / 2)
    }
  }
}

extension Int {
  fileprivate func saturatingAdd(_ other: Int) -> Int {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? (other < 0 ? .min : .max) : sum
  }
}
