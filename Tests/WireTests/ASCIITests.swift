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

  @Test func quotesAndBackslashesAreWrittenBehindABackslash() {
    #expect(ASCII.quoted("") == #""""#)
    #expect(ASCII.quoted("Türe 1") == #""Türe 1""#)
    #expect(ASCII.quoted(#"a"b\c\\"#) == #""a\"b\\c\\\\""#)
    // An accent that follows a quote makes one character of both; the quote is still one.
    #expect(ASCII.quoted("\"\u{301}") == "\"\\\"\u{301}\"")
  }

  @Test(arguments: ["0", "000", "0g", "g0", "0x12", "00 11", "-1", "\u{FF11}0"])
  func whatIsNotPairsOfDigitsIsNoBytes(text: String) {
    #expect(ASCII.bytes(hex: text.utf8) == nil)
  }
}
