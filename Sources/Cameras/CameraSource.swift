package import Directory
package import RTP
package import Wire

/// One camera that runs: a capture device, a pattern, an RTSP session. Its news come on the gateway's thread.
/// It is given up by `stop`, after which nothing is heard of it.
package protocol CameraSource: AnyObject {
  /// Wants a picture that a decoder can begin with, as soon as can be. Asking often costs nothing.
  func requestKeyFrame()
  /// How many bits and pictures a second the viewers can take; a source that cannot follow ignores it.
  func limit(bitsPerSecond: Int, framesPerSecond: Int)
  func stop()
}

/// What a source tells.
package enum SourceNews: Sendable {
  /// What will come; before the first picture, and again when it changes.
  case began(SourceFormat)
  case picture(AccessUnit)
  /// Sound as it goes into RTP, `samples` long on the clock of the codec that `began` named.
  case sound([UInt8], samples: Int, captured: Instant)
  /// Why it gives no sound, though it should; pictures go on, and so does sound as soon as can be.
  case silent(SourceFault)
  /// It ended by itself. Whoever wants it makes another.
  case ended(SourceFault)
}

package struct SourceFormat: Hashable, Sendable {
  package enum Coding: Hashable, Sendable { case h264, vp8 }
  package enum Sound: Hashable, Sendable { case pcma, pcmu }

  package var coding: Coding
  package var width: Int
  package var height: Int
  /// The encoder is ours: key frames at once, any rate.
  package var isOurs: Bool
  package var sound: Sound?

  package init(coding: Coding, width: Int, height: Int, isOurs: Bool, sound: Sound? = nil) {
    self.coding = coding
    self.width = width
    self.height = height
    self.isOurs = isOurs
    self.sound = sound
  }
}

/// Why a source gives no pictures: a word for metrics, a sentence for people.
package struct SourceFault: Error, Hashable, Sendable {
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    case missing, refused, unreachable, credentials, certificate, coding, frozen, gone, malformed
  }
  package var kind: Kind
  package var text: String

  package init(_ kind: Kind, _ text: String) {
    self.kind = kind
    self.text = text
  }
}

/// Makes the sources of this machine: capture devices and patterns. Real in the daemon, where each has a thread of its
/// own; simulated beside the tests.
package protocol LocalCameras: AnyObject {
  /// `hear` is called on the caller's thread, later, never before this returns.
  func open(_ camera: Camera, hear: @escaping (SourceNews) -> Void) -> any CameraSource
}
