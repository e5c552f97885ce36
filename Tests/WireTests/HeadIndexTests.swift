import Testing
import Wire

@Suite struct HeadIndexTests {
  static func bytes(_ text: String) -> [UInt8] {
    Array(text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\r\n").utf8)
  }
  static func outcome(_ text: [UInt8], _ limits: HeadLimits = .datagram) -> Result<Bool, HeadError> {
    var index = HeadIndex()
    do throws(HeadError) {
      return .success(try index.index(text.span, limits: limits))
    } catch {
      return .failure(error)
    }
  }
  static func text(_ bytes: [UInt8], _ range: Range<Int>) -> String {
    String(decoding: bytes[range], as: UTF8.self)
  }

  @Test func everythingIsWhereItLies() throws {
    let bytes = HeadIndexTests.bytes("GET / HTTP/1.1\nHost:  example.org \nX :a\n\nbody")
    var index = HeadIndex()
    #expect(try index.index(bytes.span))
    #expect(HeadIndexTests.text(bytes, index.startLine) == "GET / HTTP/1.1")
    #expect(index.fields.map { HeadIndexTests.text(bytes, $0.name) } == ["Host", "X"])
    #expect(index.fields.map { HeadIndexTests.text(bytes, $0.value) } == ["example.org", "a"])
    #expect(index.fields.map(\.isSpaced) == [false, true])
    #expect(index.fields.map(\.isFolded) == [false, false])
    #expect(HeadIndexTests.text(bytes, index.bodyStart..<bytes.count) == "body")
  }

  @Test func aHeadMayBeginAnywhere() throws {
    let bytes = HeadIndexTests.bytes("junk\nA b\nC: d\n\n")
    var index = HeadIndex()
    #expect(try index.index(bytes.span, from: 6))
    #expect(HeadIndexTests.text(bytes, index.startLine) == "A b")
    #expect(index.bodyStart == bytes.count)
  }

  @Test func foldsAreMarkedUnlessNothingCameBeforeThem() throws {
    let bytes = HeadIndexTests.bytes("A\nB: c\n d\nE:\n f\nG:\n \nH: i \n\tj \n\n")
    var index = HeadIndex()
    #expect(try index.index(bytes.span))
    #expect(
      index.fields.map { HeadIndexTests.text(bytes, $0.value) } == ["c\r\n d", "f", "", "i \r\n\tj"])
    #expect(index.fields.map(\.isFolded) == [true, false, false, true])
  }

  @Test func everyPrefixIsIncompleteAndNothingElse() {
    let bytes = HeadIndexTests.bytes("A b\nC: d\n e\nF :g\n\n")
    for length in 0..<bytes.count {
      #expect(HeadIndexTests.outcome(Array(bytes[..<length])) == .success(false), "at \(length)")
    }
    #expect(HeadIndexTests.outcome(bytes) == .success(true))
  }

  @Test(arguments: [
    ("A\r\nB c\r\n\r\n", HeadError.malformedField(at: 5)),
    ("A\r\n: c\r\n\r\n", .malformedField(at: 3)),
    ("A\r\nB(: c\r\n\r\n", .malformedField(at: 4)),
    ("A\r\n b: c\r\n\r\n", .malformedField(at: 4)),
    ("A\nB: c\r\n\r\n", .bareLineEnd(at: 1)),
    ("A\r\nB: c\rd\r\n\r\n", .bareLineEnd(at: 7)),
    ("A\r\nB: c\n\r\n", .bareLineEnd(at: 7)),
    ("A\r\nB: c\r\n\rx", .bareLineEnd(at: 9)),
    ("\r\nB: c\r\n\r\n", .emptyStartLine),
  ]) func whatIsNoHeadIsRefusedWhereItGoesWrong(text: String, error: HeadError) {
    #expect(HeadIndexTests.outcome(Array(text.utf8)) == .failure(error))
  }

  @Test func anyByteButALineEndMayStandInAValue() throws {
    for byte in UInt8.min...UInt8.max where byte != 13 && byte != 10 {
      let bytes = Array("A\r\nB: x".utf8) + [byte] + Array("y\r\n\r\n".utf8)
      var index = HeadIndex()
      #expect(try index.index(bytes.span))
      #expect(index.fields[0].value.count == 3)
    }
  }

  @Test func limitsHoldToTheByteAndTheField() {
    let bytes = HeadIndexTests.bytes("A\nB: c\nD: e\n\n")
    #expect(HeadIndexTests.outcome(bytes, HeadLimits(bytes: bytes.count, fields: 2)) == .success(true))
    #expect(
      HeadIndexTests.outcome(bytes, HeadLimits(bytes: bytes.count - 1, fields: 2)) == .failure(.tooLong))
    #expect(HeadIndexTests.outcome(bytes, HeadLimits(bytes: 999, fields: 1)) == .failure(.tooManyFields))
    let endless = Array(repeating: UInt8(ascii: "x"), count: 100)
    #expect(HeadIndexTests.outcome(endless, HeadLimits(bytes: 99, fields: 9)) == .failure(.tooLong))
    #expect(HeadIndexTests.outcome(endless, HeadLimits(bytes: 100, fields: 9)) == .success(false))
  }

  @Test func namesAreFoundWithoutCaseAndTakenForNoOther() throws {
    let bytes = HeadIndexTests.bytes(
      "A\nContent-Length: 1\nCONTENT-TYPE: 2\nx: 3\nX: 4\nContent-Lengtg: 5\n\n")
    var index = HeadIndex()
    #expect(try index.index(bytes.span))
    #expect(index.firstField(named: "content-length", in: bytes.span) == 0)
    #expect(index.firstField(named: "Content-Type", in: bytes.span) == 1)
    #expect(index.firstField(named: "X", in: bytes.span) == 2)
    #expect(index.firstField(named: "x", in: bytes.span, after: 3) == 3)
    #expect(index.firstField(named: "content-lengti", in: bytes.span) == nil)
    #expect(HeadIndex.key(of: "Via") == HeadIndex.key(of: "vIA"))
    #expect(HeadIndex.key(of: "Via") != HeadIndex.key(of: "aiV"))
  }

  @Test func twoNamesOfOneKeyAreStillTwoNames() throws {
    // Letters eight places apart can be swapped without changing the key.
    let bytes = HeadIndexTests.bytes("A\nabcdefgha: 1\naacdefghb: 2\n\n")
    var index = HeadIndex()
    #expect(try index.index(bytes.span))
    #expect(index.firstField(named: "ABCDEFGHA", in: bytes.span) == 0)
    #expect(index.firstField(named: "AACDEFGHB", in: bytes.span) == 1)
  }

  @Test func theEndOfAHeadIsFoundHoweverItIsCut() {
    let bytes = HeadIndexTests.bytes("A\nB: c\n\nrest\n\n")
    let end = HeadIndexTests.bytes("A\nB: c\n\n").count
    for step in 1...bytes.count {
      var search = HeadSearch()
      var length = 0
      var found: Int?
      while found == nil, length < bytes.count {
        length = min(bytes.count, length + step)
        found = search.end(in: Array(bytes[..<length]).span)
        #expect((found != nil) == (length >= end))
      }
      #expect(found == end)
    }
  }

  @Test func noBytesTrapTheIndex() {
    var random = Random(seed: 3)
    let alphabet = Array("ab:\r\n \t,;\u{0}".utf8)
    var index = HeadIndex()
    for _ in 0..<20_000 {
      var bytes: [UInt8] = []
      for _ in 0..<random.below(60) { bytes.append(alphabet[Int(random.below(UInt64(alphabet.count)))]) }
      if (try? index.index(bytes.span)) == true {
        #expect(index.bodyStart <= bytes.count)
        for field in index.fields {
          #expect(field.nameStart < field.nameEnd && field.valueStart <= field.valueEnd)
          #expect(Int(field.valueEnd) <= index.bodyStart)
        }
      }
    }
  }

  @Test func numbersAndPartsAreAppended() {
    var bytes: [UInt8] = []
    for value in [0, 9, 10, 99, 100, 12_345, -7, Int.max, Int.min] {
      bytes.append(decimal: value)
      bytes.append(ascii: " ")
    }
    bytes.append(decimal: UInt64.max)
    bytes.append(hex: [0, 0xAB])
    bytes.append(1..<3, of: Array("xyz".utf8))
    bytes.append(0..<1, of: Array("xyz".utf8).span)
    bytes.append(text: "é")
    #expect(
      String(decoding: bytes, as: UTF8.self)
        == "0 9 10 99 100 12345 -7 \(Int.max) \(Int.min) \(UInt64.max)00abyzxé")
    let copy = [UInt8]("abc".utf8)
    #expect([UInt8](copy.span) == copy)
  }
}
