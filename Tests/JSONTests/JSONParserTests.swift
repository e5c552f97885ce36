import JSON
import Testing

private func parsed(_ text: String, _ dialect: JSONDialect = .json5) throws -> JSONValue {
  try JSONNode(parsing: Array(text.utf8), dialect: dialect).value
}

private func fault(_ text: String, _ dialect: JSONDialect = .json5, limits: JSONLimits = .file) -> JSONError?
{
  do {
    _ = try JSONNode(parsing: Array(text.utf8), dialect: dialect, limits: limits, file: "f")
    return nil
  } catch {
    return error
  }
}

@Suite struct JSONParserTests {
  @Test func everythingThatJSON5AllowsIsRead() throws {
    let text = """
      // a comment
      {
        bare: 'single', $dollar_1: "dou\\"ble", /* between */ été: .5, "quoted": 5., \\u0061b: 0x1F,
        list: [+1, -2, Infinity, -Infinity, 1e3, null, true, false,], multi: 'one \\
      line', esc: '\\x41\\u00e9\\0\\v\\'\\q',
      }
      """
    let value = try parsed(text)
    #expect(
      value
        == [
          "bare": "single", "$dollar_1": "dou\"ble", "été": 0.5, "quoted": 5.0, "ab": 31,
          "list": [1, -2, .number(.infinity), .number(-.infinity), 1000.0, nil, true, false],
          "multi": "one line", "esc": "Aé\0\u{0B}'q",
        ])
  }

  @Test func notANumberIsANumberOfJSON5() throws {
    guard case .number(let value) = try parsed("NaN") else {
      Issue.record("NaN is no number")
      return
    }
    #expect(value.isNaN)
  }

  @Test(arguments: [
    "{a: 1}", "[1,]", "{\"a\": 1,}", "'a'", "// c\n1", "0x10", "+1", ".5", "5.", "NaN", "Infinity",
    "-Infinity",
    "\"\\x41\"", "\"a\tb\"", "\u{A0}1", "\u{FEFF}1", "\"a\\\nb\"",
  ])
  func whatOnlyJSON5AllowsIsNoJSON(_ text: String) throws {
    #expect(fault(text, .json) != nil)
    #expect(fault(text, .json5) == nil)
  }

  @Test(arguments: [
    "", "{", "[", "[1", "{\"a\"", "{\"a\":", "{\"a\":1", "{,}", "[,]", "[1,,2]", "01", "-", "1.e", "1e",
    "1e+", "\"",
    "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "tru", "nulll", "1 2", "{\"a\" 1}",
    "--1", "1x",
    "\u{7F}", "/", "-.", "0x", "\"\\",
  ])
  func brokenTextIsRefusedInBothDialects(_ text: String) {
    #expect(fault(text, .json) != nil)
    #expect(fault(text, .json5) != nil)
  }

  @Test(arguments: [
    "/* never ends", "'a\nb'", "'\\1'", "'\\01'", "{a b: 1}", "{1a: 1}", "0x1FFFFFFFFFFFFFFFF", "0xZ",
  ])
  func brokenJSON5IsRefused(_ text: String) { #expect(fault(text) != nil) }

  @Test func aFaultNamesLineColumnAndWhatWasExpected() throws {
    let error = try #require(fault("{\n  é: 'ü' 4,\n}"))
    #expect(error.description == "f:2:10: expected \",\" or \"}\", found \"4\"")
    let unquoted = try #require(fault("{\r\n a: yes}"))
    #expect(unquoted.description == "f:2:5: expected a value, found \"y\"; text is written in quotes")
    let unended = try #require(fault("{a: 'x"))
    #expect(unended.place.column == 5)
  }

  @Test func bytesThatAreNotUTF8AreRefusedWhereTheyStand() {
    do {
      _ = try JSONNode(parsing: Array("[\n\"é".utf8) + [0xC3, 0x28] + Array("\"]".utf8))
      Issue.record("was read")
    } catch {
      #expect(error.place.line == 2)
      #expect(error.place.column == 3)
      #expect(error.expected == "UTF-8")
    }
  }

  @Test func valuesKnowWhereTheyBegin() throws {
    let node = try JSONNode(parsing: Array("{ a: [\n   1,\n \"b\"] }".utf8), dialect: .json5)
    let list = try #require(node["a"]?.array)
    #expect(list.map(\.position) == [JSONPosition(line: 2, column: 4), JSONPosition(line: 3, column: 2)])
  }

  @Test func theNamedLimitsHold() {
    let limits = JSONLimits(bytes: 20, depth: 3, values: 5)
    #expect(fault("[[[1]]]", .json, limits: limits) == nil)
    #expect(fault("[[[[1]]]]", .json, limits: limits)?.expected == "at most 3 levels")
    #expect(fault("[1,1,1,1]", .json, limits: limits) == nil)
    #expect(fault("[1,1,1,1,1]", .json, limits: limits)?.expected == "at most 5 values")
    #expect(fault("\"123456789012345678\"", .json, limits: limits) == nil)
    #expect(fault("\"1234567890123456789\"", .json, limits: limits)?.expected == "at most 20 bytes")
  }

  @Test func wholeNumbersKeepAllTheirDigitsAndLargerOnesBecomeFractions() throws {
    #expect(try parsed("9223372036854775807", .json) == .integer(.max))
    #expect(try parsed("-9223372036854775808", .json) == .integer(.min))
    #expect(try parsed("9223372036854775808", .json) == .number(9223372036854775808))
    #expect(try parsed("-0", .json).text() == "-0.0")
    #expect(try parsed("1.5e300", .json) == .number(1.5e300))
  }

  @Test func surrogatePairsAreOneScalar() throws {
    #expect(try parsed("\"\\uD83D\\uDEAA\"", .json) == "🚪")
  }

  @Test func noByteSequenceTrapsTheParser() {
    // Every short text over the bytes that matter to the grammar.
    let letters = Array("{}[]:,'\"\\/*ux0-+.eN \n".utf8) + [0xC3, 0xE2]
    var text: [UInt8] = []
    var accepted = 0
    func grow(_ depth: Int) {
      for dialect in [JSONDialect.json, .json5] {
        if (try? JSONNode(parsing: text, dialect: dialect)) != nil { accepted += 1 }
      }
      guard depth > 0 else { return }
      for letter in letters {
        text.append(letter)
        grow(depth - 1)
        text.removeLast()
      }
    }
    grow(3)
    #expect(accepted > 50)
  }
}
