import Cameras
import Directory
import RTSP
import Simulation
import Testing
import Wire

/// Which way a camera's media are asked for, and what is remembered of it.
@Suite struct RTSPWaysTests {
  @Test(arguments: [
    CameraHabits.Refusal.status("400 Bad Request"), .status("451 Parameter Not Understood"),
    .status("500 Internal Server Error"), .status("551 Option not supported"), .silence, .hangUp, .reset,
  ])
  func aWayThatIsNotSetUpIsLeftForTheOtherWhateverTheCameraSays(refusal: CameraHabits.Refusal) {
    var habits = CameraHabits()
    habits.media = .datagramsOnly
    habits.refusal = refusal
    let wiring = opened(habits, for: .seconds(8))
    #expect(wiring.watcher.pictures.count > 20)
    #expect(wiring.watcher.faults.isEmpty)
    #expect(
      wiring.camera.requests.map { $0.split(separator: " ")[0] } == [
        "DESCRIBE", "SETUP", "DESCRIBE", "SETUP", "SETUP", "PLAY",
      ])
    wiring.inGateway {
      $0.source?.stop()
      $0.news = []
      $0.open()
    }
    // Next time it is asked for that way at once.
    wiring.run(.seconds(2))
    #expect(wiring.watcher.pictures.count > 10)
  }

  @Test(arguments: [
    ("403 Forbidden", SourceFault.Kind.refused, 1), ("404 Not Found", .missing, 1),
    ("453 Not Enough Bandwidth", .refused, 1), ("503 Service Unavailable", .refused, 1),
    ("400 Bad Request", .refused, 2),
  ])
  func whoeverHasNothingForUsIsAskedOnceAndWhoeverRefusesBothWaysTwice(
    status: String, kind: SourceFault.Kind, asked: Int
  ) {
    var habits = CameraHabits()
    habits.media = .neither
    habits.refusal = .status(status)
    let wiring = opened(habits, for: .seconds(8))
    #expect(wiring.watcher.faults.map(\.kind) == [kind])
    #expect(wiring.camera.requests.count { $0.hasPrefix("SETUP") } == asked)
    if asked == 2 { #expect(wiring.watcher.faults.first?.text == "the camera refuses: 400 Bad Request") }
  }

  @Test func whatIsLearntOfASmallerStreamIsNothingOfTheMainOne() {
    let door = CameraID("door")
    let wiring = Wiring()
    var learnt: [CameraID] = []
    wiring.inGateway {
      $0.cameras.know(RTSPKnowledge(transport: .datagrams), of: door)
      $0.cameras.whenLearnt = { camera, _ in learnt.append(camera) }
      $0.source = $0.cameras.openSubstream(
        of: door, url: "rtsp://192.0.2.10/small", user: nil, password: ""
      ) { _ in }
    }
    wiring.run(.seconds(2))
    #expect(learnt == [door.substream])
    #expect(wiring.camera.targets.isEmpty, "it was not asked for datagrams")
  }
}
