import HTTP
import Testing

@Suite struct PercentEncodingTests {
  @Test(arguments: ["", "a", "4/01 é%", "a+b&c=d?e#f", "\u{10FFFF}"])
  func whatIsEncodedIsReadBack(_ text: String) {
    let encoded = PercentEncoding.encode(text)
    #expect(PercentEncoding.decode(encoded) == text)
    #expect(encoded.utf8.allSatisfy { $0 < 128 && $0 != 47 && $0 != 32 })
  }

  @Test(arguments: ["%", "%4", "%4g", "%00", "%0a", "%7f", "%ff", "%c3%28"])
  func whatIsNoTextIsRefused(_ text: String) { #expect(PercentEncoding.decode(text) == nil) }

  @Test func aQueryKeepsItsOrder() throws {
    let pairs = try #require(PercentEncoding.query("a=1&b=%202+3&&c&a="))
    #expect(pairs.map(\.name) == ["a", "b", "c", "a"])
    #expect(pairs.map(\.value) == ["1", " 2 3", "", ""])
    #expect(PercentEncoding.query("a=%") == nil)
  }
}
