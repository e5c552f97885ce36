import Cameras
import Directory
import ICE
import MediaPlane
import RTP
import SDP
import Simulation
import Testing
import WebRTC
import Wire

/// A media plane that shows cameras, and transcoders that only note what they get.
final class Theatre: SimulatedPeer, Transcoders, SubstreamOpener {
  final class Machine: Transcoder {
    let hear: (TranscoderNews) -> Void
    var taken: [Bool] = []
    var isStopped = false
    var keyRequests = 0
    var wantsKey = false

    init(_ hear: @escaping (TranscoderNews) -> Void) { self.hear = hear }
    func push(_ pictures: [AccessUnit]) -> TranscoderIntake {
      if wantsKey, pictures.first?.isKey != true { return .wantsKey }
      taken += pictures.map(\.isKey)
      return .taken
    }
    func requestKeyFrame() { keyRequests += 1 }
    func limit(bitsPerSecond: Int, framesPerSecond: Int) {}
    func stop() { isStopped = true }
  }

  let plane: Plane
  private(set) var screens: PlaneScreens!
  var machines: [Machine] = []
  var lost: [LegID] = []
  var keysWanted: [CameraID] = []
  /// Smaller streams that were opened.
  var smaller: [Studio.Source] = []
  var hasSmaller = false
  /// What viewers' paths carry.
  var limits: [LegID: Int] = [:]

  init(_ world: SimulatedWorld, hasTranscoders: Bool) {
    plane = Plane(world: world, ports: 40_000...40_099)
    try? plane.listenForPeers(
      at: [Endpoint(.anyV4, port: 8189)], addresses: world.addresses, maker: SimulatedDTLS(number: 200))
    screens = PlaneScreens(plane, transcoders: hasTranscoders ? self : nil) { _ in .lite }
    screens.whenLost = { [unowned self] in lost.append($0) }
    screens.whenKeyWanted = { [unowned self] in keysWanted.append($0) }
    screens.substreams = self
    screens.limit = { [unowned self] in limits[$0] }
  }

  func openSubstream(of camera: CameraID, hear: @escaping (SourceNews) -> Void) -> (any CameraSource)? {
    guard hasSmaller else { return nil }
    let source = Studio.Source(camera, smaller.count, hear)
    smaller.append(source)
    return source
  }

  func openTranscoder(
    _ setting: TranscoderSetting, hear: @escaping (TranscoderNews) -> Void
  ) -> any Transcoder {
    let machine = Machine(hear)
    machines.append(machine)
    return machine
  }
}

/// What a viewer would say.
final class Guest {
  let connection: PeerConnection
  private var random = Random(seed: 5)
  private let now: Instant

  init(_ now: Instant) {
    self.now = now
    var turn = Turn(now: now, random: random.fork())
    let base = ICEBase(
      .udp, local: Endpoint(IPAddress(v4: 0xC000_0220), port: 6000),
      socket: SocketID(Handle(index: 1, generation: 1)))
    var configuration = PeerConfiguration(
      ice: ICEConfiguration(.full, role: .controlling, bases: [base], tag: 9), audioSource: 1, videoSource: 2,
      canonicalName: "guest")
    configuration.takesPictures = true
    connection = PeerConnection(configuration, SimulatedDTLS(number: 1), &turn)
  }

  func step<Result>(_ body: (PeerConnection, inout Turn) -> Result) -> Result {
    var turn = Turn(now: now, random: random.fork())
    return body(connection, &turn)
  }

  static let h264 = Format(
    payloadType: 102, encoding: "H264", clockRate: 90_000,
    parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
  static let vp8 = Format(payloadType: 96, encoding: "VP8", clockRate: 90_000)

  func offer(_ pictures: [Format]) -> SessionDescription {
    step { connection, turn in
      connection.createOffer(
        audio: PeerMedia([.pcma], .recvonly), video: pictures.isEmpty ? nil : PeerMedia(pictures, .recvonly),
        &turn)
    }
  }
}

@Suite struct PlaneScreensTests {
  private static let door = CameraID("door")
  private static let format = SourceFormat(coding: .h264, width: 640, height: 480, isOurs: true)

  private let network = SimulatedNetwork(seed: 1)
  private let theatre: Theatre
  private let now: Instant
  private var screens: PlaneScreens { theatre.screens }

  init() { (theatre, now) = PlaneScreensTests.open(network, hasTranscoders: true) }

  private static func open(_ network: SimulatedNetwork, hasTranscoders: Bool) -> (Theatre, Instant) {
    let host = network.addHost(
      "gateway\(hasTranscoders)", [IPAddress(v4: hasTranscoders ? 0xC000_0201 : 0xC000_0202)])
    let started = host.start { Theatre($0, hasTranscoders: hasTranscoders) }
    return (started.resident, started.world.now)
  }

  private func take(_ pictures: [Format], _ camera: CameraID = door) -> Result<Seat, SeatRefusal> {
    screens.take(Guest(now).offer(pictures), by: .other, of: camera, PlaneScreensTests.format)
  }
  private func leg(_ result: Result<Seat, SeatRefusal>) throws -> LegID { try result.get().leg }

  @Test func viewersStayWhileTheirCameraIsAway() throws {
    // It looks before the camera has begun.
    let seat = try take([Guest.h264]).get()
    let text = String(decoding: seat.description, as: UTF8.self)
    #expect(text.contains("a=rtpmap:102 H264/90000\r\n") && text.contains("a=sendonly\r\n"))
    let early = theatre.plane.shown(on: seat.leg)
    #expect(early != .none && screens.keyFrameWanted(early) == PlaneScreensTests.door)
    screens.begin(PlaneScreensTests.door, PlaneScreensTests.format)
    screens.push(Studio.picture(key: true), of: PlaneScreensTests.door)
    #expect(screens.keyPicture(of: PlaneScreensTests.door)?.isKey == true)
    screens.end(PlaneScreensTests.door)
    #expect(theatre.plane.shown(on: seat.leg) == .none)
    #expect(screens.keyPicture(of: PlaneScreensTests.door) == nil)
    screens.begin(PlaneScreensTests.door, PlaneScreensTests.format)
    let again = theatre.plane.shown(on: seat.leg)
    #expect(again != .none && screens.keyFrameWanted(again) == PlaneScreensTests.door)
    #expect(screens.keyFrameWanted(.none) == nil)
    screens.leave(seat.leg)
    #expect(theatre.plane.count == 0)
  }

  @Test func aBrowserWithoutH264IsShownVP8() throws {
    screens.begin(PlaneScreensTests.door, PlaneScreensTests.format)
    let first = try leg(take([Guest.vp8]))
    let second = try leg(take([Guest.vp8]))
    let other = try leg(take([Guest.h264]))
    #expect(theatre.machines.count == 1 && theatre.keysWanted == [PlaneScreensTests.door])
    let machine = theatre.machines[0]
    let feed = theatre.plane.shown(on: first)
    #expect(feed == theatre.plane.shown(on: second) && feed != theatre.plane.shown(on: other))
    #expect(theatre.plane.coding(of: feed) == .vp8)
    // Nothing before a key picture; after one that is missing from the next on.
    screens.push(Studio.picture(key: false), of: PlaneScreensTests.door)
    screens.push(Studio.picture(key: true), of: PlaneScreensTests.door)
    screens.push(Studio.picture(key: false), of: PlaneScreensTests.door)
    #expect(machine.taken == [true, false])
    machine.wantsKey = true
    screens.push(Studio.picture(key: false), of: PlaneScreensTests.door)
    #expect(theatre.keysWanted.count == 2)
    machine.wantsKey = false
    screens.push(Studio.picture(key: false), of: PlaneScreensTests.door)
    #expect(machine.taken == [true, false])
    screens.push(Studio.picture(key: true), of: PlaneScreensTests.door)
    #expect(machine.taken == [true, false, true])
    machine.hear(.picture(Studio.picture(key: true)))
    #expect(theatre.plane.feedStatistics(feed)?.pictures == 1)
    // The plane's wishes for that feed are the transcoder's to fulfil.
    #expect(screens.keyFrameWanted(feed) == nil && machine.keyRequests == 1)
    // The camera goes and comes.
    screens.end(PlaneScreensTests.door)
    #expect(machine.isStopped)
    screens.begin(PlaneScreensTests.door, PlaneScreensTests.format)
    #expect(theatre.machines.count == 2 && theatre.plane.shown(on: first) != .none)
    screens.leave(first)
    #expect(!theatre.machines[1].isStopped)
    screens.leave(second)
    #expect(theatre.machines[1].isStopped)
    screens.leave(other)
    #expect(theatre.plane.count == 0)
  }

  @Test func aBrowserWithoutH264JoinsBetweenTwoKeyPictures() throws {
    screens.begin(PlaneScreensTests.door, PlaneScreensTests.format)
    for isKey in [false, true, false, true, false, false] {
      screens.push(Studio.picture(key: isKey), of: PlaneScreensTests.door)
    }
    let viewer = try leg(take([Guest.vp8]))
    let machine = theatre.machines[0]
    #expect(machine.taken == [true, false, false], "the newest group")
    screens.push(Studio.picture(key: false), of: PlaneScreensTests.door)
    #expect(machine.taken == [true, false, false, false] && theatre.keysWanted.isEmpty)
    screens.leave(viewer)
    #expect(machine.isStopped)
  }

  @Test func aTranscoderThatEndsLosesItsViewersAndNoOthers() throws {
    screens.begin(PlaneScreensTests.door, PlaneScreensTests.format)
    let first = try leg(take([Guest.vp8]))
    _ = try leg(take([Guest.h264]))
    theatre.machines[0].hear(.ended(SourceFault(.gone, "the encoder broke")))
    #expect(theatre.lost == [first])
    _ = try leg(take([Guest.vp8]))
    #expect(theatre.machines.count == 2)
  }

  @Test func asManyCamerasAreTurnedIntoVP8AsTheMachineWasMeasuredToCarry() throws {
    func isRefused(_ camera: String) -> Bool {
      guard case .failure(.noCodec(let reason)) = take([Guest.vp8], CameraID(camera)) else { return false }
      return reason.contains("H264") && reason.contains("VP8")
    }
    // Nothing is measured yet.
    for place in 0..<2 { _ = try leg(take([Guest.vp8], CameraID("\(place)"))) }
    #expect(isRefused("2"))
    // One is dear, the other is not known: it may be as dear.
    theatre.machines[0].hear(.load(0.4))
    #expect(isRefused("2"))
    theatre.machines[1].hear(.load(0.2))
    _ = try leg(take([Guest.vp8], CameraID("2")))
    #expect(isRefused("3"))
    // All are cheap: threads are the limit then.
    for machine in theatre.machines { machine.hear(.load(0.05)) }
    for place in 3..<PlaneScreens.twinLimit { _ = try leg(take([Guest.vp8], CameraID("\(place)"))) }
    #expect(isRefused("one more"))
    #expect(theatre.plane.count == PlaneScreens.twinLimit)
    // Whoever shares a camera's pictures costs nothing more.
    _ = try leg(take([Guest.vp8], CameraID("0")))
  }

  @Test func whereNothingTurnsPicturesItIsSaid() {
    let (bare, now) = PlaneScreensTests.open(network, hasTranscoders: false)
    let result = bare.screens.take(
      Guest(now).offer([Guest.vp8]), by: .other, of: PlaneScreensTests.door, PlaneScreensTests.format)
    guard case .failure(.noCodec) = result else {
      Issue.record("it should be refused")
      return
    }
    #expect(bare.plane.count == 0)
  }

  @Test func whoOffersNoPictureIsOfferedOneAndMayTakeIt() throws {
    screens.begin(PlaneScreensTests.door, PlaneScreensTests.format)
    let guest = Guest(now)
    let refused = screens.take(
      guest.offer([]), by: .other, of: PlaneScreensTests.door, PlaneScreensTests.format)
    #expect(refused == .failure(.noPicture))
    guest.step { connection, _ in connection.withdraw() }
    let seat = try #require(screens.propose(PlaneScreensTests.door, PlaneScreensTests.format))
    let proposal = try SessionDescription(parsing: seat.description)
    #expect(proposal.media.map(\.kind) == [.video], "this camera has no sound")
    let taker = Guest(now)
    let answer = taker.step { connection, turn -> SessionDescription? in
      guard (try? connection.setRemote(offer: proposal)) != nil else { return nil }
      return try? connection.createAnswer(
        audio: nil, video: connection.offered(.video).map { PeerMedia($0.formats, .recvonly) }, &turn)
    }
    #expect(theatre.plane.shown(on: seat.leg) == .none)
    #expect(screens.accept(try #require(answer), on: seat.leg) == nil)
    #expect(theatre.plane.shown(on: seat.leg) != .none)
  }

  @Test func whatIsOfferedOfACameraWithSoundHasSound() throws {
    var format = PlaneScreensTests.format
    format.sound = .pcmu
    screens.begin(PlaneScreensTests.door, format)
    let seat = try #require(screens.propose(PlaneScreensTests.door, format))
    let proposal = try SessionDescription(parsing: seat.description)
    #expect(proposal.media.map(\.kind) == [.audio, .video])
    let speaksMultiplexedOnly = proposal.media.allSatisfy { line in
      line.attributes.contains { $0.name == "rtcp-mux-only" }
    }
    #expect(speaksMultiplexedOnly)
  }

  @Test func newCredentialsRestartICEAndBrokenOnesChangeNothing() throws {
    let seat = try take([Guest.h264]).get()
    var fragment = TrickleFragment()
    fragment.session.fragment = "abcd"
    fragment.session.password = "tooshort"
    guard case .refused = screens.trickle(fragment, on: seat.leg) else {
      Issue.record("it should be refused")
      return
    }
    fragment.session.password = "0123456789012345678901"
    guard case .restarted(let bytes) = screens.trickle(fragment, on: seat.leg) else {
      Issue.record("it should restart")
      return
    }
    let ours = String(decoding: bytes, as: UTF8.self)
    #expect(ours.contains("a=ice-lite") && ours.contains("a=ice-options:trickle ice2"))
    #expect(ours.contains("a=candidate:") && ours.contains("a=ice-ufrag:"))
    #expect(screens.trickle(fragment, on: seat.leg) == .taken, "the same again restarts nothing")
    #expect(!screens.isConnected(seat.leg))
  }
}
