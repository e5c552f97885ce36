import Testing
import Wire

@Suite struct ASCIITests {
  @Test func hexadecimalIsReadInEitherCaseAndWrittenInSmallLetters() {
    let every = (0...255).map(UInt8.init)
    #expect(ASCII.hex(every).hasPrefix("000102") && ASCII.hex(every).hasSuffix("fdfeff"))
    #expect(ASCII.bytes(hex: ASCII.hex(every).utf8) == every)
    #expect(ASCII.bytes(hex: ASCII.hex(every).uppercased().utf8) == every)
    #expect(ASCII.bytes(hex: "".utf8) == [])
  }

  @Test(arguments: ["0", "000", "0g", "g0", "0x12", "00 11", "-1", "\u{FF11}0"])
  func whatIsNotPairsOfDigitsIsNoBytes(text: String) {
    #expect(ASCII.bytes(hex: text.utf8) == nil)
  }
}
