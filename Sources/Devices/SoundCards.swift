// What a sound card that is listened to is to whoever takes its sound: the kernel's, or one beside the tests.
//
// Responsible for the words between the two. A card belongs to the thread that opened it.

/// What a card gives: samples of 16 bits, those of its channels beside one another.
package struct SoundFormat: Hashable, Sendable {
  /// Samples a second of each channel.
  package var rate: Int
  package var channels: Int

  package init(rate: Int, channels: Int) {
    self.rate = rate
    self.channels = channels
  }
}

package enum SoundIntake: Hashable, Sendable {
  /// All was taken.
  case nothing
  case samples
  /// Nobody took it in time, and some is lost; the card goes on.
  case gap
}

/// A card that listens. It is let go when nobody holds it.
package protocol SoundCard: AnyObject {
  var format: SoundFormat { get }
  /// Readable when something was heard, and when the card is gone.
  var descriptor: Int32 { get }
  /// Puts what comes next, whole samples of all channels, in the place of what is in `samples`.
  func take(into samples: inout [Int16]) throws(SoundFailure) -> SoundIntake
}

package protocol SoundCards: Sendable {
  /// `name` as ALSA's programs take it: `default`, `hw:1,0`, `plughw:CARD=Webcam`.
  func open(_ name: String) throws(SoundFailure) -> any SoundCard
}

/// Why a card gives no sound.
package enum SoundFailure: Error, Hashable, Sendable {
  case missing(String)
  case inUse(String)
  case notPermitted(String)
  /// Nothing that it gives can be read here.
  case noFormat(String)
  /// It was unplugged, or its driver has lost it.
  case gone(String)
  case noLibrary(String)
  case kernel(String, during: String, String)
}

extension SoundFailure: CustomStringConvertible {
  package var description: String {
    switch self {
    case .missing(let name):
      "there is no sound card \(name) that records: is it plugged in? (`arecord -L` lists those that there are)"
    case .inUse(let name): "the sound card \(name) is used by another program"
    case .notPermitted(let name):
      "the sound card \(name) may not be opened: the service's user must be in the group \"audio\""
    case .noFormat(let name): "the sound card \(name) gives no format that can be read"
    case .gone(let name): "the sound card \(name) is gone: it was unplugged, or its driver lost it"
    case .noLibrary(let name): "the sound card \(name) cannot be opened: libasound.so.2 is not installed"
    case .kernel(let name, let action, let words): "the sound card \(name): \(action): \(words)"
    }
  }
}
