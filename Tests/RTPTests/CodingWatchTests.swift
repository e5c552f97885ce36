import RTP
import Testing
import Wire

private let start = Instant(nanoseconds: 5_000_000_000)

@Suite struct CodingWatchTests {
  private func verdict(
    _ payloads: [[UInt8]], hasParameters: Bool = true, every: Interval = .milliseconds(40)
  ) -> CodingWatch.Verdict? {
    var watch = CodingWatch(hasParameters: hasParameters)
    var now = start
    for payload in payloads {
      _ = watch.look(payload.span, now: now)
      now = now + every
    }
    return watch.verdict
  }

  @Test func h265UnderAnotherNameIsKnownByItsHeads() {
    // Parameter sets, a key picture in fragments, then slices.
    let stream: [[UInt8]] = [
      [0x40, 1, 0x0C], [0x42, 1, 1], [0x44, 1, 0xC1], [0x62, 1, 0x93, 1], [0x62, 1, 0x13, 1],
      [0x62, 1, 0x53, 1],
      [0x02, 1, 0xD0],
    ]
    #expect(verdict(stream) == .h265)
  }

  @Test func h264IsNotTakenForIt() {
    let group: [[UInt8]] = [
      [0x09, 0xF0], [0x67, 0x42, 0xE0], [0x68, 0xCE, 0x3C], [0x06, 0x01, 0x02], [0x7C, 0x85, 0x88],
      [0x7C, 0x05, 0x01], [0x61, 0xE0, 0x01], [0x41, 0x9A, 0x01], [0x5C, 0x81, 0x9A],
    ]
    #expect(verdict(Array(repeating: group, count: 50).flatMap { $0 }) == nil)
    #expect(verdict(Array(repeating: [0x78, 0, 4, 0x67, 0x42, 0xE0, 0x1F], count: 100)) == nil)
  }

  @Test func bidirectionalPicturesAreKnownByTheirSlices() {
    // first_mb 0 (1), slice_type 1 (010): 1010…
    let slice: [UInt8] = [0x01, 0b1010_0000]
    #expect(verdict(Array(repeating: slice, count: 5)) == nil)
    #expect(verdict(Array(repeating: slice, count: 6)) == .bidirectional)
    // slice_type 6 (00111): 1 00111 in a fragment.
    #expect(verdict(Array(repeating: [0x1C, 0x81, 0b1001_1100], count: 6)) == .bidirectional)
    // slice_type 0 and 5 refer backwards only.
    #expect(verdict(Array(repeating: [0x41, 0b1100_0000], count: 60)) == nil)
    #expect(verdict(Array(repeating: [0x41, 0b1001_1000], count: 60)) == nil)
  }

  @Test func missingParametersAreTold() {
    let slices = Array(repeating: [UInt8](arrayLiteral: 0x41, 0x9A, 0), count: 300)
    #expect(verdict(slices, hasParameters: false) == .noParameters)
    #expect(verdict(slices, hasParameters: true) == nil)
    #expect(verdict([[0x67, 0x42]] + slices, hasParameters: false) == nil)
    #expect(verdict([[0x7C, 0x87, 1]] + slices, hasParameters: false) == nil)
  }

  @Test func noiseIsTold() {
    #expect(verdict(Array(repeating: [0x1F, 0xFF, 0], count: 60)) == .unreadable)
    #expect(verdict([[], [0x00]]) == nil)
  }
}
