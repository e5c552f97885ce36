import RTP
import Testing
import Wire

struct AccessUnitTests {
  @Test func startCodesOfBothLengthsPartTheUnits() throws {
    let stream: [UInt8] = [0, 0, 0, 1, 0x67, 0x42, 0, 0, 1, 0x68, 0xCE, 0, 0, 0, 1, 0x65, 0x88, 0x84]
    let picture = try #require(AccessUnit(annexB: stream, timestamp: 9000, captured: Instant(nanoseconds: 0)))
    #expect(
      picture.units.map { Array(picture.bytes[$0]) } == [[0x67, 0x42], [0x68, 0xCE], [0x65, 0x88, 0x84]])
    #expect(picture.isKey)
  }

  @Test func paddingAfterAUnitIsNoPartOfIt() throws {
    let picture = try #require(
      AccessUnit(
        annexB: [0, 0, 1, 0x41, 0x9A, 0, 0, 0, 0, 1, 0x41, 0x9B, 0], timestamp: 0,
        captured: Instant(nanoseconds: 0)))
    #expect(picture.units.map { Array(picture.bytes[$0]) } == [[0x41, 0x9A], [0x41, 0x9B]])
    #expect(!picture.isKey)
  }

  @Test func eachParameterSetThatIsMissingIsAddedBeforeWhatNeedsIt() {
    let known: (sps: [UInt8], pps: [UInt8]) = ([0x67, 9], [0x68, 9])
    let cases: [(units: [[UInt8]], whole: [[UInt8]])] = [
      ([[9], [6], [0x65], [0x65]], [[9], [6], known.sps, known.pps, [0x65], [0x65]]),
      ([[0x67, 1], [6], [0x65]], [[0x67, 1], [6], known.pps, [0x65]]),
      ([[0x68, 1], [0x68, 2], [0x65]], [known.sps, [0x68, 1], [0x68, 2], [0x65]]),
      ([[0x67, 1], [0x68, 1], [0x65]], [[0x67, 1], [0x68, 1], [0x65]]),
    ]
    for (units, whole) in cases {
      var places: [Range<Int>] = []
      for unit in units {
        let start = places.last?.upperBound ?? 0
        places.append(start..<start + unit.count)
      }
      let picture = AccessUnit(
        bytes: units.flatMap(\.self), units: places, timestamp: 9000, captured: Instant(nanoseconds: 0),
        isKey: true)
      #expect(picture.parameterSets == units.filter { [7, 8].contains($0[0] & 0x1F) })
      let result = picture.adding(sps: known.sps, pps: known.pps)
      #expect(result.units.map { Array(result.bytes[$0]) } == whole)
      #expect(result.timestamp == 9000 && result.isKey)
    }
  }

  @Test(arguments: [[], [0x65, 0x88], [0, 0, 1], [0, 0, 0, 1, 0, 0, 0, 1]] as [[UInt8]])
  func bytesWithoutAUnitAreNoPicture(_ stream: [UInt8]) {
    #expect(AccessUnit(annexB: stream, timestamp: 0, captured: Instant(nanoseconds: 0)) == nil)
  }
}
