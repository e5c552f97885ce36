import Devices
import Testing

@Suite struct SoundCardTests {
  /// Runs on every machine: no machine has so many cards.
  @Test func aCardThatIsNotThereIsNamed() {
    #expect(throws: SoundFailure.missing("hw:31,0")) { _ = try ALSACards().open("hw:31,0") }
    #expect(throws: SoundFailure.missing("hw:CARD=NoSuchCard")) {
      _ = try ALSACards().open("hw:CARD=NoSuchCard")
    }
    #expect("\(SoundFailure.missing("hw:31,0"))".contains("`arecord -L` lists"))
  }

  /// ALSA makes this one of nothing on every machine: it is opened and set up, and can never be waited for.
  @Test func aCardThatGivesWithoutEndIsRefused() {
    #expect(throws: SoundFailure.noFormat("null")) { _ = try ALSACards().open("null") }
  }
}
