import Cameras
import Directory
import Testing
import Wire

@Suite struct BackoffTests {
  @Test func stepsGrowToABoundAndBeginAnew() {
    var backoff = Backoff(of: .rtsp(url: "rtsp://door/"))
    var random = Random(seed: 1)
    let gone = SourceFault(.gone, "")
    var delays: [Int64] = []
    for _ in 0..<10 { delays.append(backoff.delay(after: gone, worked: .zero, random: &random).milliseconds) }
    for (place, whole) in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000].enumerated() {
      let range = place == 0 ? 500...750 : Int64(whole / 2)...Int64(whole)
      #expect(range.contains(delays[place]), "step \(place): \(delays[place])")
    }
    let again = backoff.delay(after: gone, worked: .seconds(20), random: &random)
    #expect((500...750).contains(again.milliseconds))
    let hopeless = backoff.delay(after: SourceFault(.credentials, ""), worked: .zero, random: &random)
    #expect((30_000...60_000).contains(hopeless.milliseconds))
  }

  @Test func aDeviceThatWasPluggedInAgainIsSoonTried() {
    var backoff = Backoff(of: .v4l2(path: "/dev/video0"))
    var random = Random(seed: 1)
    let missing = SourceFault(.missing, "")
    for whole in [500, 1000, 2000, 2000, 2000] as [Int64] {
      let delay = backoff.delay(after: missing, worked: .zero, random: &random).milliseconds
      #expect((whole == 500 ? 500...750 : whole / 2...whole).contains(delay))
    }
    let hopeless = backoff.delay(after: SourceFault(.coding, ""), worked: .zero, random: &random)
    #expect((30_000...60_000).contains(hopeless.milliseconds))
  }

  @Test func twoCamerasDoNotStepTogether() {
    var one = Backoff(of: .rtsp(url: "rtsp://door/"))
    var other = Backoff(of: .rtsp(url: "rtsp://door/"))
    var random = Random(seed: 1)
    let gone = SourceFault(.gone, "")
    #expect(
      one.delay(after: gone, worked: .zero, random: &random)
        != other.delay(after: gone, worked: .zero, random: &random))
  }
}
