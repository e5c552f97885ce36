package import Wire

// What a capture device is to whoever takes pictures from it: the kernel's, or one beside the tests.
//
// Responsible for the words between the two. A device belongs to the thread that opened it.

/// How pictures are wanted. A device gives what comes nearest.
package struct CaptureWish: Hashable, Sendable {
  /// As `/dev/video0`, or a name below `/dev/v4l/by-id` that stays with the camera.
  package var path: String
  package var width: Int
  package var height: Int
  package var framesPerSecond: Int
  package var controls: [CaptureControl] = []
  /// Whether H.264 of the device's own encoder will do: it leaves nothing to be masked.
  package var mayBeCoded = true

  package init(path: String, width: Int, height: Int, framesPerSecond: Int) {
    self.path = path
    self.width = width
    self.height = height
    self.framesPerSecond = framesPerSecond
  }
}

/// A setting by the name that the driver gives it; letter case and spaces do not matter.
package struct CaptureControl: Hashable, Sendable {
  package var name: String
  package var value: Int

  package init(name: String, value: Int) {
    self.name = name
    self.value = value
  }
}

package enum CaptureCoding: Hashable, Sendable {
  /// With start codes, one picture at a time.
  case h264
  case mjpeg
  case yuyv, uyvy, nv12, nv21, i420, yv12
}

/// What a device gives.
package struct CaptureFormat: Hashable, Sendable {
  package var coding: CaptureCoding
  package var width: Int
  package var height: Int
  /// Of raw pixels: the length of a line of luma, or of all when colour lies between.
  package var stride: Int
  package var framesPerSecond: Int

  package init(coding: CaptureCoding, width: Int, height: Int, stride: Int = 0, framesPerSecond: Int) {
    self.coding = coding
    self.width = width
    self.height = height
    self.stride = stride
    self.framesPerSecond = framesPerSecond
  }
}

/// A device that runs. It is let go when nobody holds it.
package protocol CaptureDevice: AnyObject {
  var format: CaptureFormat { get }
  /// Readable when a picture has come, and when the device is gone.
  var descriptor: Int32 { get }
  /// Lends the next picture, and when it was taken, to `body`. False when none has come, or a broken one.
  func take(_ body: (Span<UInt8>, Instant) -> Void) throws(CaptureFailure) -> Bool
  /// Asks an encoder inside the device for a key picture; false when it takes no such wish.
  func forceKeyPicture() -> Bool
  /// Sets the rate of an encoder inside the device; false when it has none.
  func aim(bitsPerSecond: Int) -> Bool
}

package protocol CaptureDevices: Sendable {
  func open(_ wish: CaptureWish) throws(CaptureFailure) -> any CaptureDevice
}

/// Why a device gives no pictures.
package enum CaptureFailure: Error, Hashable, Sendable {
  case missing(String)
  case inUse(String)
  case notPermitted(String)
  case notCapture(String)
  /// `offered` are the kernel's names of what it gives.
  case noFormat(String, offered: [String])
  /// `offered` are the names of those that it has.
  case noControl(String, name: String, offered: [String])
  /// It was unplugged, or its driver has lost it.
  case gone(String)
  case kernel(String, during: String, String)
}

extension CaptureFailure: CustomStringConvertible {
  package var description: String {
    switch self {
    case .missing(let path): "there is no \(path): is the camera plugged in?"
    case .inUse(let path): "\(path) is used by another program"
    case .notPermitted(let path):
      "\(path) may not be opened: the service's user must be in the group \"video\""
    case .notCapture(let path): "\(path) is no capture device"
    case .noFormat(let path, let offered):
      "\(path) gives no format that can be shown (it offers \(offered.isEmpty ? "none" : offered.joined(separator: ", ")))"
    case .noControl(let path, let name, let offered):
      "\(path) has no control \(name) (it has \(offered.isEmpty ? "none" : offered.joined(separator: ", ")))"
    case .gone(let path): "\(path) is gone: it was unplugged, or its driver lost it"
    case .kernel(let path, let action, let words): "\(path): \(action): \(words)"
    }
  }
}
