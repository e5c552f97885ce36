import Cameras
import Codecs
import Devices
import Directory
import RTP
import Reactor
import Testing
import Wire

private let yuyv = CaptureFormat(coding: .yuyv, width: 320, height: 240, stride: 656, framesPerSecond: 30)
private let mjpeg = CaptureFormat(coding: .mjpeg, width: 320, height: 240, framesPerSecond: 30)
private let h264 = CaptureFormat(coding: .h264, width: 320, height: 240, framesPerSecond: 30)

private func pattern(_ number: Int) -> Picture {
  var picture = Picture(width: 320, height: 240)!
  Pattern.draw(.init(number: number, milliseconds: 1), on: &picture)
  return picture
}

/// The picture as a device with padded lines gives it.
private func packed(_ picture: Picture) -> [UInt8] {
  var raw = [UInt8](repeating: 128, count: 656 * 240)
  for y in 0..<240 { for x in 0..<320 { raw[y * 656 + 2 * x] = picture.luma(x: x, y: y) } }
  return raw
}

@Suite struct DeviceSourceTests {
  let path = Camera.Source.v4l2(path: "/dev/video7")

  /// Hands pictures in as they are taken out, so that none is dropped by the pace.
  private func feed(_ stage: Stage, _ devices: FakeDevices, _ pictures: [[UInt8]]) {
    for (place, bytes) in pictures.enumerated() {
      devices.give(bytes, at: Instant(nanoseconds: 1_000_000_000 + 33_333_333 * Int64(place)))
    }
    _ = stage.runs { stage.pictures.count >= pictures.count || stage.fault != nil }
  }

  @Test func rawPixelsAreEncoded() throws {
    let devices = FakeDevices(yuyv)
    let stage = Stage(devices)
    defer { stage.reactor.retire() }
    let source = stage.open(path)
    feed(stage, devices, (0..<8).map { packed(pattern($0)) })
    source.stop()
    #expect(stage.formats == [SourceFormat(coding: .h264, width: 320, height: 240, isOurs: true)])
    #expect(try stage.readings().map(\.?.number) == Array(0..<8))
    // The time is the device's own.
    #expect(abs(stage.pictures[3].captured.nanoseconds - 1_100_000_000) < 20_000)
    #expect(devices.notes().first == "open /dev/video7 320x240@30 coded true")
  }

  @Test func motionJPEGIsDecodedAndWhatIsTornIsLeftOut() throws {
    let devices = FakeDevices(mjpeg)
    let stage = Stage(devices)
    defer { stage.reactor.retire() }
    let source = stage.open(path)
    var pictures = try (0..<6).map { number throws in try JPEG.encode(pattern(number)) }
    pictures.insert([0xFF, 0xD8, 0xFF, 0x00, 0x01], at: 2)
    pictures.insert([], at: 4)
    for (place, bytes) in pictures.enumerated() {
      devices.give(bytes, at: Instant(nanoseconds: 1_000_000_000 + 33_333_333 * Int64(place)))
    }
    #expect(stage.runs { stage.pictures.count == 6 })
    source.stop()
    #expect(try stage.readings().map(\.?.number) == Array(0..<6))
  }

  @Test func picturesBeyondTheWantedRateAreLeftOut() throws {
    let devices = FakeDevices(
      CaptureFormat(coding: .yuyv, width: 320, height: 240, stride: 656, framesPerSecond: 60))
    let stage = Stage(devices)
    defer { stage.reactor.retire() }
    var capture = Capture.small
    capture.framesPerSecond = 10
    let source = stage.open(path, capture)
    for number in 0..<60 {
      devices.give(
        packed(pattern(number)), at: Instant(nanoseconds: 1_000_000_000 + 16_666_667 * Int64(number)))
    }
    #expect(stage.runs { stage.pictures.count >= 10 })
    source.stop()
    let numbers = try stage.readings().compactMap(\.?.number)
    #expect(numbers.first == 0)
    for (one, other) in zip(numbers, numbers.dropFirst()) { #expect((5...7).contains(other - one)) }
  }

  @Test func aMaskCoversWhatADeviceGivesAndNoCodedPictureIsAskedFor() throws {
    let devices = FakeDevices(yuyv)
    let stage = Stage(devices)
    defer { stage.reactor.retire() }
    var capture = Capture.small
    capture.masks = [.init(x: 500, y: 0, width: 500, height: 1000)]
    let source = stage.open(path, capture)
    feed(stage, devices, [packed(pattern(1))])
    source.stop()
    #expect(devices.notes().first == "open /dev/video7 320x240@30 coded false")
    var decoder = try VideoDecoder(.h264)
    var shown: Picture?
    let bytes = stage.pictures[0].annexB
    let came = decoder.decode(bytes.span, into: &shown)
    #expect(came)
    for y in 0..<240 { #expect(shown!.luma(x: 240, y: y) < 24) }
  }

  @Test func h264OfTheDevicePassesUntouched() throws {
    let devices = FakeDevices(h264)
    let stage = Stage(devices)
    defer { stage.reactor.retire() }
    var setting = VideoSetting(
      coding: .h264, width: 320, height: 240, picturesPerSecond: 30, bitsPerSecond: 500_000)
    setting.mayUseBoard = false
    var encoder = try VideoEncoder(setting)
    var coded: [[UInt8]] = []
    for number in 0..<6 {
      coded += try encoder.encode(pattern(number), time: Int64(number) * 3000, asKey: number == 3).map(
        \.bytes)
    }
    let source = stage.open(path)
    // It begins in the middle: nothing can be done with that.
    for (place, bytes) in coded[1...].enumerated() {
      devices.give(bytes, at: Instant(nanoseconds: 1_000_000_000 + 33_333_333 * Int64(place)))
    }
    #expect(stage.runs { stage.pictures.count == 3 })
    var notes = devices.notes()
    // One wish for a key picture is enough, however many others come before it.
    #expect(notes.count { $0 == "key" } == 1)
    source.requestKeyFrame()
    source.limit(bitsPerSecond: 200_000, framesPerSecond: 5)
    notes = []
    #expect(
      stage.runs {
        notes += devices.notes()
        return notes.contains("key") && notes.contains("aim 200000")
      })
    source.stop()
    #expect(stage.formats == [SourceFormat(coding: .h264, width: 320, height: 240, isOurs: false)])
    #expect(stage.pictures[0].annexB == coded[3])
    #expect(stage.pictures[1].annexB == coded[4])
  }

  @Test func aDeviceThatCodesSomethingElseIsFoundOut() {
    let devices = FakeDevices(h264)
    let stage = Stage(devices)
    defer { stage.reactor.retire() }
    let source = stage.open(path)
    // Parameter sets and pictures of H.265.
    for number in 0..<4 {
      devices.give(
        [0, 0, 0, 1, 0x40, 1, 12, 0, 0, 0, 1, 0x42, 1, 1, 0, 0, 0, 1, 0x02, 1, 0xD0],
        at: Instant(nanoseconds: 1_000_000_000 + 33_333_333 * Int64(number)))
    }
    #expect(stage.runs { stage.fault != nil })
    #expect(stage.fault?.text == "the camera announces H.264 and sends H.265: set it to H.264")
    source.stop()
  }

  @Test(arguments: [
    (Int?.none, [CaptureControl](), 230_400), (500, [], 500_000),
    (nil, [CaptureControl(name: "video_bitrate", value: 900_000)], 900_000),
  ])
  func theRateOfAnEncoderInTheDeviceHasAnEnd(_ bitRate: Int?, _ controls: [CaptureControl], _ most: Int) {
    let devices = FakeDevices(h264)
    let stage = Stage(devices)
    defer { stage.reactor.retire() }
    var capture = Capture.small
    capture.bitRate = bitRate
    capture.controls = controls.map { Capture.Control(name: $0.name, value: $0.value) }
    let source = stage.open(path, capture)
    defer { source.stop() }
    var notes: [String] = []
    func aims(_ count: Int) -> Bool {
      stage.runs {
        notes += devices.notes().filter { $0.hasPrefix("aim ") }
        return notes.count >= count
      }
    }
    // What an earlier run asked of the driver is forgotten.
    #expect(aims(1))
    source.limit(bitsPerSecond: 100_000, framesPerSecond: 30)
    #expect(aims(2))
    source.limit(bitsPerSecond: 100_000_000, framesPerSecond: 30)
    #expect(aims(3))
    #expect(notes == ["aim \(most)", "aim 100000", "aim \(most)"])
  }

  @Test(arguments: [
    (CaptureFailure.missing("/dev/video7"), SourceFault.Kind.missing),
    (.notPermitted("/dev/video7"), .refused),
    (.notCapture("/dev/video7"), .refused), (.noFormat("/dev/video7", offered: ["BA81"]), .coding),
    (.noControl("/dev/video7", name: "X", offered: ["Brightness 0 to 255"]), .refused),
    (.kernel("/dev/video7", during: "setting its format", "Input/output error"), .gone),
  ])
  func whyADeviceIsNotOpenedIsTold(_ failure: CaptureFailure, _ kind: SourceFault.Kind) {
    let devices = FakeDevices(yuyv)
    devices.refuse(failure, times: 1)
    let stage = Stage(devices)
    defer { stage.reactor.retire() }
    let source = stage.open(path)
    #expect(stage.runs { stage.fault != nil })
    #expect(stage.fault?.kind == kind)
    #expect(stage.fault?.text.contains("/dev/video7") == true)
    #expect(stage.heard.count == 1)
    source.stop()
  }

  @Test func aDeviceThatIsJustBeingLetGoIsWaitedFor() {
    let devices = FakeDevices(yuyv)
    devices.refuse(.inUse("/dev/video7"), times: 3)
    let stage = Stage(devices)
    defer { stage.reactor.retire() }
    let source = stage.open(path)
    feed(stage, devices, [packed(pattern(1))])
    #expect(stage.fault == nil)
    #expect(stage.pictures.count == 1)
    source.stop()
  }

  @Test func aDeviceThatIsUsedByAnotherIsGivenUp() {
    let devices = FakeDevices(yuyv)
    devices.refuse(.inUse("/dev/video7"), times: 60)
    let stage = Stage(devices)
    defer { stage.reactor.retire() }
    let source = stage.open(path)
    #expect(stage.runs { stage.fault != nil })
    #expect(stage.fault == SourceFault(.refused, "/dev/video7 is used by another program"))
    source.stop()
  }

  @Test func aDeviceThatIsUnpluggedEndsItsSource() {
    let devices = FakeDevices(yuyv)
    let stage = Stage(devices)
    defer { stage.reactor.retire() }
    let source = stage.open(path)
    feed(stage, devices, [packed(pattern(1)), packed(pattern(2))])
    devices.fail(.gone("/dev/video7"))
    #expect(stage.runs { stage.fault != nil })
    #expect(stage.fault?.kind == .gone)
    var notes: [String] = []
    #expect(
      stage.runs {
        notes += devices.notes()
        return notes.contains("closed")
      })
    source.stop()
  }

  @Test func aDeviceThatFallsSilentIsFrozen() {
    let devices = FakeDevices(yuyv)
    let stage = Stage(devices)
    defer { stage.reactor.retire() }
    let source = stage.open(path)
    feed(stage, devices, [packed(pattern(1))])
    #expect(stage.runs { stage.fault != nil })
    #expect(stage.fault == SourceFault(.frozen, "/dev/video7 has given no picture for 5 s"))
    source.stop()
  }

  @Test func stopLetsTheDeviceGo() {
    let devices = FakeDevices(yuyv)
    let stage = Stage(devices)
    defer { stage.reactor.retire() }
    let source = stage.open(path)
    feed(stage, devices, [packed(pattern(1))])
    source.stop()
    var notes: [String] = []
    #expect(
      stage.runs {
        notes += devices.notes()
        return notes.contains("closed")
      })
  }
}
