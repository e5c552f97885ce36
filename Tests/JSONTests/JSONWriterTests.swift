import JSON
import Testing

@Suite struct JSONWriterTests {
  @Test func compactIsOneLine() {
    let value: JSONValue = ["a": [1, 2.5, nil, true], "b": [:], "c": [], "d": "\"\\\n\u{01}é"]
    #expect(value.text() == #"{"a":[1,2.5,null,true],"b":{},"c":[],"d":"\"\\\n\u0001é"}"#)
  }

  @Test func prettyIsIndentedAndReadsBackTheSame() throws {
    let value: JSONValue = ["a": [1, ["b": "c"]], "e": []]
    #expect(
      value.text(.pretty) == """
        {
          "a": [
            1,
            {
              "b": "c"
            }
          ],
          "e": []
        }
        """)
    #expect(try JSONNode(parsing: value.bytes(.pretty)).value == value)
  }

  @Test func whatJSONCannotWriteBecomesNull() {
    #expect(JSONValue.array([.number(.nan), .number(.infinity)]).text() == "[null,null]")
  }

  // The examples of RFC 8785, appendix B.
  @Test(
    arguments: [
      (0x0000_0000_0000_0000, "0"), (0x8000_0000_0000_0000, "0"), (0x0000_0000_0000_0001, "5e-324"),
      (0x8000_0000_0000_0001, "-5e-324"), (0x7FEF_FFFF_FFFF_FFFF, "1.7976931348623157e+308"),
      (0x4340_0000_0000_0000, "9007199254740992"), (0xC340_0000_0000_0000, "-9007199254740992"),
      (0x4430_0000_0000_0000, "295147905179352830000"), (0x44B5_2D02_C7E1_4AF5, "9.999999999999997e+22"),
      (0x44B5_2D02_C7E1_4AF6, "1e+23"), (0x444B_1AE4_D6E2_EF4E, "999999999999999700000"),
      (0x444B_1AE4_D6E2_EF4F, "999999999999999900000"), (0x444B_1AE4_D6E2_EF50, "1e+21"),
      (0x3EB0_C6F7_A0B5_ED8C, "9.999999999999997e-7"), (0x3EB0_C6F7_A0B5_ED8D, "0.000001"),
      (0x41B3_DE43_5555_5553, "333333333.3333332"), (0x41B3_DE43_5555_5557, "333333333.33333343"),
      (0xBECB_F647_612F_3696, "-0.0000033333333333333333"), (0x4314_3FF3_C1CB_0959, "1424953923781206.2"),
    ] as [(UInt64, String)])
  func canonicalNumbersAreThoseOfRFC8785(_ bits: UInt64, _ text: String) {
    #expect(JSONValue.number(Double(bitPattern: bits)).canonical() == Array(text.utf8))
  }

  @Test func canonicalKeysAreSortedByUTF16Units() throws {
    let value: JSONValue = [
      "\u{20AC}": 1, "\r": 2, "\u{FB33}": 3, "1": 4, "\u{1F600}": 5, "\u{80}": 6, "\u{F6}": ["b": 1, "a": 2],
    ]
    let bytes = try #require(value.canonical())
    #expect(
      String(decoding: bytes, as: UTF8.self)
        == "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{F6}\":{\"a\":2,\"b\":1},\"\u{20AC}\":1,\"\u{1F600}\":5,\"\u{FB33}\":3}"
    )
  }

  @Test func whatHasNoCanonicalFormIsNotSigned() {
    #expect(JSONValue.number(.nan).canonical() == nil)
    #expect(JSONValue.integer(1 << 53).canonical() == nil)
    #expect(JSONValue.integer(1 << 53 - 1).canonical() != nil)
    #expect(JSONValue.array([["a": 1, "a": 2]]).canonical() == nil)
  }
}
