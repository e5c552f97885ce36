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

  @Test(arguments: [[], [0x65, 0x88], [0, 0, 1], [0, 0, 0, 1, 0, 0, 0, 1]] as [[UInt8]])
  func bytesWithoutAUnitAreNoPicture(_ stream: [UInt8]) {
    #expect(AccessUnit(annexB: stream, timestamp: 0, captured: Instant(nanoseconds: 0)) == nil)
  }
}
