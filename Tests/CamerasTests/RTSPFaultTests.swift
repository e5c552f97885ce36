import Cameras
import Directory
import RTP
import RTSP
import Simulation
import Testing
import Wire

/// What a camera gets wrong, and what is said about it.
@Suite struct RTSPFaultTests {
  @Test func thePasswordIsProvedAndAWrongOneTold() {
    var habits = CameraHabits()
    habits.credentials = ("admin", "hunter2")
    #expect(opened(habits, user: "admin", password: "hunter2").watcher.pictures.count > 20)
    let wrong = opened(habits, user: "admin", password: "hunter3", again: true, for: .seconds(25))
    #expect(wrong.watcher.faults.map(\.kind) == [.credentials])
    #expect(!wrong.watcher.faults[0].text.contains("hunter"))
    // A camera locks out whoever guesses: two questions, then a long pause.
    #expect(wrong.camera.requests.count == 2)
    let none = opened(habits)
    #expect(none.watcher.faults.map(\.kind) == [.credentials])
  }

  @Test func h265UnderTheNameOfH264IsTold() {
    var habits = CameraHabits()
    habits.sendsH265 = true
    let fault = opened(habits).watcher.faults.first
    #expect(fault?.kind == .coding)
    #expect(fault?.text.contains("H.265") == true)
    habits.coding = "H265"
    #expect(opened(habits).watcher.faults.map(\.kind) == [.coding])
  }

  @Test func bidirectionalPicturesAreTold() {
    var habits = CameraHabits()
    habits.sendsBidirectional = true
    let fault = opened(habits).watcher.faults.first
    #expect(fault?.kind == .coding)
    #expect(fault?.text.contains("B-frames") == true)
  }

  @Test func missingParameterSetsAreTold() {
    var habits = CameraHabits()
    habits.parametersInBand = false
    habits.parametersInDescription = false
    let wiring = opened(habits, for: .seconds(14))
    #expect(wiring.watcher.faults.map(\.kind) == [.coding])
    #expect(wiring.watcher.faults[0].text.contains("SPS"))
    #expect(wiring.watcher.pictures.isEmpty)
  }

  @Test func aSizeThatNoPictureHasIsTold() {
    var habits = CameraHabits()
    habits.parametersInDescription = false
    // 16,384 macroblocks wide.
    habits.sps = [0x67, 0x42, 0xC0, 0x0D, 0xF8, 0x00, 0x10, 0x00, 0x3F, 0xFF]
    #expect(opened(habits).watcher.faults.map(\.kind) == [.coding])
  }

  @Test func endlessHeadersAreTold() {
    var habits = CameraHabits()
    habits.endlessHead = true
    #expect(opened(habits).watcher.faults.map(\.kind) == [.malformed])
  }

  @Test func aCertificateIsPinnedAtFirstContactAndAnotherRefused() {
    let first = SimulatedSessions(identity: SimulatedSessions.Identity(names: ["camera"], number: 1))
    let wiring = Wiring(sessions: first)
    var learnt: [RTSPKnowledge] = []
    wiring.inGateway {
      $0.cameras.whenLearnt = { learnt.append($1) }
      $0.open("rtsps://192.0.2.10/live")
    }
    wiring.run(.seconds(3))
    let known = RTSPKnowledge(transport: .interleaved, fingerprint: Array(repeating: 1, count: 32))
    #expect(learnt == [known])
    #expect(wiring.watcher.pictures.count > 20)
    #expect(RTSPKnowledge(text: known.text) == known)

    let other = SimulatedSessions(identity: SimulatedSessions.Identity(names: ["camera"], number: 2))
    let changed = Wiring(sessions: other)
    changed.inGateway {
      $0.cameras.know(known, of: CameraID("door"))
      $0.open("rtsps://192.0.2.10/live")
    }
    changed.run(.seconds(3))
    #expect(changed.watcher.faults.map(\.kind) == [.certificate])
    #expect(changed.camera.requests.isEmpty)
    changed.inGateway {
      $0.cameras.forget(CameraID("door"))
      $0.open("rtsps://192.0.2.10/live")
    }
    changed.run(.seconds(3))
    #expect(changed.watcher.pictures.count > 20)
  }

  @Test(arguments: ["rtsp://127.0.0.1:5060/", "rtsp://[::1]/x", "rtsp://0.0.0.0/", "rtsp://self.lan/"])
  func aCameraCannotSendTheGatewayToItself(target: String) {
    var habits = CameraHabits()
    habits.movedTo = target
    let wiring = Wiring(habits)
    wiring.network.names[.addresses(host: "self.lan")] = [.address(.loopbackV4)]
    wiring.inGateway { $0.open() }
    wiring.run(.seconds(3))
    #expect(wiring.watcher.faults.map(\.kind) == [.refused])
  }

  @Test func whatCannotBeAnAddressIsSaidToBeSo() {
    let wiring = Wiring()
    wiring.inGateway {
      $0.open("rtsp://[::1/")
      #expect($0.news.isEmpty)
    }
    wiring.run(.seconds(1))
    #expect(wiring.watcher.faults.map(\.kind) == [.malformed])
  }

  @Test func aCameraCannotTakeTheTLSAway() {
    var habits = CameraHabits()
    habits.movedTo = "rtsp://192.0.2.11/live"
    let sessions = SimulatedSessions(identity: SimulatedSessions.Identity(names: ["camera"], number: 1))
    let wiring = Wiring(habits, sessions: sessions)
    let other = wiring.network.addHost("other", [IPAddress(v4: 0xC000_020B)])
    let (_, camera) = other.start { SimulatedCamera($0, CameraHabits()) }
    wiring.inGateway { $0.open("rtsps://192.0.2.10/live") }
    wiring.run(.seconds(3))
    #expect(wiring.watcher.faults.map(\.kind) == [.refused])
    #expect(camera.requests.isEmpty)
  }

  @Test func thePasswordIsShownToNobodyElse() {
    var asking = CameraHabits()
    asking.asksForBasic = true
    let own = opened(asking, user: "admin", password: "hunter2")
    #expect(own.watcher.pictures.count > 20)
    #expect(own.camera.proofs.allSatisfy { $0 == "Basic YWRtaW46aHVudGVyMg==" })

    var habits = CameraHabits()
    habits.movedTo = "rtsp://192.0.2.11/live"
    let wiring = Wiring(habits)
    let other = wiring.network.addHost("other", [IPAddress(v4: 0xC000_020B)])
    let (_, camera) = other.start { SimulatedCamera($0, asking) }
    wiring.inGateway { $0.open(user: "admin", password: "hunter2") }
    wiring.run(.seconds(3))
    #expect(wiring.watcher.faults.map(\.kind) == [.credentials])
    #expect(camera.requests.count == 1)
    #expect(camera.proofs.isEmpty)
  }

  /// Sends packets of a picture to every port that the camera's media go to.
  private final class Intruder: SimulatedPeer {
    let world: SimulatedWorld
    private let socket: SocketID

    init(_ world: SimulatedWorld) {
      self.world = world
      socket = try! world.openDatagram(Endpoint(.anyV4, port: 0), DatagramOptions())
    }

    func intrude(_ ports: [UInt16], ssrc: UInt8, bye isOver: Bool = true) {
      for port in ports {
        for number: UInt8 in 0..<40 {
          let packet: [UInt8] = [
            0x80, 0xE0, 1, number, 0, 0, number, 0, ssrc, ssrc, ssrc, 96, 0x65, 0xBA, 0xAD,
          ]
          world.send(packet.span, on: socket, to: Endpoint(IPAddress(v4: 0xC000_0201), port: port), from: nil)
          guard isOver else { continue }
          let bye: [UInt8] = [0x80, 201, 0, 1, 9, 9, 9, 96, 0x81, 203, 0, 1, 9, 9, 9, 96]
          world.send(
            bye.span, on: socket, to: Endpoint(IPAddress(v4: 0xC000_0201), port: port + 1), from: nil)
        }
      }
    }
  }

  private func intruded(_ wiring: Wiring) -> Bool {
    wiring.watcher.news.contains { news in
      if case .picture(let unit) = news.1 { Array(unit.bytes.suffix(2)) == [0xBA, 0xAD] } else { false }
    }
  }

  @Test func nobodyElseCanShowPictures() {
    var habits = CameraHabits()
    habits.media = .datagramsOnly
    let wiring = Wiring(habits)
    let other = wiring.network.addHost("intruder", [IPAddress(v4: 0xC000_0263)])
    let (world, intruder) = other.start { Intruder($0) }
    // Before the camera has sent anything, and while it sends; with its own source's name and with another.
    wiring.inCamera { $0.isFrozen = true }
    wiring.inGateway { $0.open() }
    wiring.run(.milliseconds(300))
    for ssrc: UInt8 in [9, 7] { world.after(.zero) { intruder.intrude(wiring.camera.targets, ssrc: ssrc) } }
    wiring.run(.milliseconds(300))
    #expect(wiring.camera.targets.count == 1)
    #expect(wiring.watcher.news.isEmpty)
    wiring.inCamera { $0.isFrozen = false }
    wiring.run(.seconds(2))
    for ssrc: UInt8 in [9, 7] { world.after(.zero) { intruder.intrude(wiring.camera.targets, ssrc: ssrc) } }
    wiring.run(.seconds(2))
    #expect(wiring.watcher.faults.isEmpty)
    #expect(!intruded(wiring))
    #expect(wiring.watcher.pictures.count > 80)
  }

  @Test func anotherPortOfTheCameraIsNotItsStream() {
    var habits = CameraHabits()
    habits.media = .datagramsOnly
    let wiring = opened(habits)
    let (world, intruder) = wiring.cameraHost.start { Intruder($0) }
    world.after(.zero) { intruder.intrude(wiring.camera.targets, ssrc: 7, bye: false) }
    wiring.run(.seconds(2))
    #expect(!intruded(wiring))
    #expect(wiring.watcher.faults.isEmpty)
    #expect(wiring.watcher.pictures.count > 80)
  }
}
