import Cameras
import Directory
import MediaPlane
import RTP
import SDP
import Simulation
import Testing
import WebRTC
import Wire

/// What a camera of the high profile shows to a browser that would show it as black: see `SafariTests` for how that is found.
@Suite struct WebKitViewerTests {
  private static let door = CameraID("door")
  private static let format = SourceFormat(coding: .h264, width: 640, height: 480, isOurs: false)

  private static func offered(_ number: UInt8, _ profile: String) -> Format {
    Format(
      payloadType: number, encoding: "H264", clockRate: 90_000,
      parameters: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + profile)
  }
  private static let high = offered(96, "640c1f")
  private static let base = offered(98, "42e01f")

  private let now: Instant
  private let theatre: Theatre
  private let start = Instant(nanoseconds: 5_000_000_000)
  private var screens: PlaneScreens { theatre.screens }

  init() {
    let network = SimulatedNetwork(seed: 1)
    let host = network.addHost("gateway", [IPAddress(v4: 0xC000_0201)])
    let started = host.start { Theatre($0, hasTranscoders: true) }
    (theatre, now) = (started.resident, started.world.now)
    theatre.screens.begin(WebKitViewerTests.door, WebKitViewerTests.format)
  }

  /// A key picture with the parameter sets of a profile.
  private func key(_ profile: UInt8, _ constraints: UInt8 = 0, after seconds: Int64 = 0) -> AccessUnit {
    let rest: [UInt8] =
      profile == 100 ? [0xAC, 0xD9, 0x40, 0xA0, 0x3D, 0xA1] : [0xD9, 0x00, 0xA0, 0x47, 0xFE, 0xC8]
    let sps = [0x67, profile, constraints, 30] + rest
    let pps: [UInt8] = [0x68, 0xCE, 0x3C, 0x80]
    let slice = [0x65] + [UInt8](repeating: 1, count: 999)
    let ends = [sps.count, sps.count + pps.count, sps.count + pps.count + slice.count]
    return AccessUnit(
      bytes: sps + pps + slice, units: [0..<ends[0], ends[0]..<ends[1], ends[1]..<ends[2]], timestamp: 0,
      captured: start + .seconds(seconds), isKey: true)
  }
  private func show(_ picture: AccessUnit) { screens.push(picture, of: WebKitViewerTests.door) }
  private func take(_ pictures: [Format], by engine: ViewerEngine = .webKit) -> Result<Seat, SeatRefusal> {
    screens.take(Guest(now).offer(pictures), by: engine, of: WebKitViewerTests.door, WebKitViewerTests.format)
  }
  private func seesMain(_ leg: LegID) -> Bool {
    theatre.plane.shown(on: leg) == screens.feed(of: WebKitViewerTests.door)
  }
  private func text(_ seat: Seat) -> String { String(decoding: seat.description, as: UTF8.self) }

  @Test func whereItOffersTheProfileItIsShownTheStreamAsItComes() throws {
    show(key(100))
    let seat = try take([WebKitViewerTests.high, WebKitViewerTests.base, Guest.vp8]).get()
    #expect(seesMain(seat.leg) && text(seat).contains("profile-level-id=640c1f"))
    #expect(theatre.machines.isEmpty)
  }

  @Test func whereItDoesNotItGetsVP8FromOurEncoder() throws {
    show(key(100))
    let seat = try take([WebKitViewerTests.base, Guest.vp8]).get()
    #expect(text(seat).contains("VP8/90000") && !text(seat).contains("H264"))
    #expect(theatre.machines.count == 1 && !seesMain(seat.leg))
    let other = try take([WebKitViewerTests.base, Guest.vp8], by: .other).get()
    #expect(seesMain(other.leg), "Chromium decodes it all the same")
  }

  @Test func orTheSmallerStreamWhereThatSuitsIt() throws {
    theatre.hasSmaller = true
    show(key(100))
    let first = try take([WebKitViewerTests.base, Guest.vp8]).get()
    #expect(text(first).contains("VP8"), "nobody knows the smaller stream yet")
    let small = try #require(theatre.smaller.last)
    small.begin(WebKitViewerTests.format)
    small.hear(.picture(key(0x42, 0xE0)))
    let second = try take([WebKitViewerTests.base, Guest.vp8]).get()
    #expect(text(second).contains("profile-level-id=42e01f") && !seesMain(second.leg))
    #expect(screens.smallViewers(of: WebKitViewerTests.door) == 1)
    screens.leave(first.leg)
    // It stays for as long as it is looked at, whatever becomes of the camera.
    for second in 1...60 { show(key(100, after: Int64(second))) }
    #expect(small.runs)
    screens.end(WebKitViewerTests.door)
    screens.begin(WebKitViewerTests.door, WebKitViewerTests.format)
    show(key(100, after: 61))
    let again = try #require(theatre.smaller.last)
    #expect(theatre.smaller.count == 2 && again.runs && theatre.plane.shown(on: second.leg) == .none)
    again.begin(WebKitViewerTests.format)
    #expect(theatre.plane.shown(on: second.leg) != .none && !seesMain(second.leg))
    // Without it there is nothing left to show.
    again.end(.gone)
    #expect(theatre.lost == [second.leg])
  }

  @Test func aSmallerStreamOfALargerProfileIsNoHelp() throws {
    theatre.hasSmaller = true
    show(key(100))
    _ = try take([WebKitViewerTests.base, Guest.vp8]).get()
    let small = try #require(theatre.smaller.last)
    small.begin(WebKitViewerTests.format)
    small.hear(.picture(key(0x4D)))
    #expect(try text(take([WebKitViewerTests.base, Guest.vp8]).get()).contains("VP8"))
  }

  @Test func elseTheReasonIsSaid() {
    show(key(100))
    let reason =
      "The camera sends H.264 in its high profile, which this browser would show as black; set the camera to the baseline profile."
    #expect(take([WebKitViewerTests.base]) == .failure(.noCodec(reason)))
    #expect(theatre.plane.count == 0)
  }

  @Test func aNarrowPathIsNoReasonForAStreamThatStaysBlack() throws {
    theatre.hasSmaller = true
    show(key(0x42, 0xE0))
    let safari = try take([WebKitViewerTests.base]).get().leg
    let chromium = try take([WebKitViewerTests.base], by: .other).get().leg
    theatre.limits = [safari: 100, chromium: 100]
    for second in 1...8 { show(key(0x42, 0xE0, after: Int64(second))) }
    let small = try #require(theatre.smaller.last)
    small.begin(WebKitViewerTests.format)
    small.hear(.picture(key(100, after: 9)))
    #expect(seesMain(safari) && !seesMain(chromium))
  }
}
