import Testing
import Wire

@Suite struct Base64Tests {
  /// RFC 4648 section 10.
  static let vectors = [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
    ("foobar", "Zm9vYmFy"),
  ]

  @Test(arguments: vectors) func theVectorsOfTheStandardHold(_ plain: String, _ text: String) {
    #expect(Base64.encode(Array(plain.utf8)) == text)
    #expect(Base64.encode(Array(plain.utf8), .url) == String(text.prefix { $0 != "=" }))
    #expect(Base64.decode(text) == Array(plain.utf8))
  }

  @Test func everyDigitIsWrittenAndReadInBothAlphabets() {
    // Sixty-four digits in their order.
    let bytes = stride(from: 0, to: 64, by: 4).flatMap { (first: Int) -> [UInt8] in
      let word = first << 18 | (first + 1) << 12 | (first + 2) << 6 | (first + 3)
      return [UInt8(word >> 16), UInt8(word >> 8 & 255), UInt8(word & 255)]
    }
    let common = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    #expect(Base64.encode(bytes) == common + "+/")
    #expect(Base64.encode(bytes, .url) == common + "-_")
    #expect(Base64.decode(common + "+/") == bytes)
    #expect(Base64.decode(common + "-_") == bytes)
    #expect((0...255).compactMap { Base64.value($0, .standard) }.sorted() == Array(0..<64))
    #expect((0...255).compactMap { Base64.value($0, .url) }.sorted() == Array(0..<64))
    #expect(Base64.value(UInt8(ascii: "-"), .standard) == nil && Base64.value(UInt8(ascii: "/"), .url) == nil)
  }

  @Test func paddingMayBeMissingAndNothingElse() {
    #expect(Base64.decode("Zm8") == Array("fo".utf8))
    #expect(Base64.decode("Zg") == Array("f".utf8))
    for text in ["Zm 8", "Zm8\n", "Zm8*", "é"] { #expect(Base64.decode(text) == nil) }
  }
}
