internal import CALSA
internal import CLinux

/// The sound cards of this machine, by ALSA's library.
package struct ALSACards: SoundCards {
  package init() {}

  package func open(_ name: String) throws(SoundFailure) -> any SoundCard {
    var rate: Int32 = 0
    var channels: Int32 = 0
    var code: Int32 = 0
    guard let card = unsafe calsa_open(name, &rate, &channels, &code) else {
      throw ALSACard.failure(name, "opening it", code)
    }
    return unsafe ALSACard(name, card, SoundFormat(rate: Int(rate), channels: Int(channels)))
  }
}

@safe  // Owns `card`; `calsa_read` writes no more than the room that is made for it.
private final class ALSACard: SoundCard {
  private let name: String
  private let card: OpaquePointer
  let format: SoundFormat

  init(_ name: String, _ card: OpaquePointer, _ format: SoundFormat) {
    self.name = name
    unsafe self.card = card
    self.format = format
  }

  deinit { unsafe calsa_close(card) }

  static func failure(_ name: String, _ action: String, _ code: Int32) -> SoundFailure {
    switch -code {
    case 2, 6: return .missing(name)  // ENOENT, ENXIO
    case 19: return action == "listening" ? .gone(name) : .missing(name)  // ENODEV
    case 1, 13: return .notPermitted(name)  // EPERM, EACCES
    case 16: return .inUse(name)  // EBUSY
    case 22: return .noFormat(name)  // EINVAL
    case 79: return .noLibrary(name)  // ELIBACC
    default:
      var words = [CChar](repeating: 0, count: 128)
      unsafe clinux_error_text(-code, &words, words.count)
      let bytes = words.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      return .kernel(name, during: action, String(decoding: bytes, as: UTF8.self))
    }
  }

  var descriptor: Int32 { unsafe calsa_descriptor(card) }

  func take(into samples: inout [Int16]) throws(SoundFailure) -> SoundIntake {
    let room = Int(CALSA_FRAMES) * format.channels
    if samples.count < room {
      samples.append(contentsOf: repeatElement(0, count: room - samples.count))
    }
    var lost: Int32 = 0
    let count = unsafe calsa_read(card, &samples, &lost)
    guard count >= 0 else { throw ALSACard.failure(name, "listening", count) }
    samples.removeLast(samples.count - Int(count) * format.channels)
    return lost != 0 ? .gap : count > 0 ? .samples : .nothing
  }
}
