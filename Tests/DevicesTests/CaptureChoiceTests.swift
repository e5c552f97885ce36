import Devices
import Testing

@Suite struct CaptureChoiceTests {
  typealias Offer = CaptureChoice.Offer
  var wish = CaptureWish(path: "/dev/video0", width: 1280, height: 720, framesPerSecond: 25)

  @Test func whatTheDeviceHasCodedIsTakenFirst() {
    let coded = Offer(.h264, width: 1280, height: 720, fastest: 30)
    let raw = Offer(.nv12, width: 1280, height: 720, fastest: 30)
    #expect(CaptureChoice.best(of: [raw, coded], for: wish) == coded)
    var masked = wish
    masked.mayBeCoded = false
    #expect(CaptureChoice.best(of: [raw, coded], for: masked) == raw)
    #expect(CaptureChoice.best(of: [coded], for: masked) == nil)
  }

  @Test func rawPixelsThatAreTooSlowGiveWayToMotionJPEG() {
    let raw = Offer(.yuyv, width: 1280, height: 720, fastest: 10)
    let photos = Offer(.mjpeg, width: 1280, height: 720, fastest: 30)
    #expect(CaptureChoice.best(of: [raw, photos], for: wish) == photos)
    var slow = wish
    slow.framesPerSecond = 10
    #expect(CaptureChoice.best(of: [photos, raw], for: slow) == raw)
    #expect(CaptureChoice.best(of: [raw], for: wish) == raw, "slow is better than nothing")
  }

  @Test func theNearestSizeIsTaken() {
    let small = Offer(.nv12, width: 640, height: 360, fastest: 30)
    let right = Offer(.mjpeg, width: 1280, height: 720, fastest: 0)
    #expect(CaptureChoice.best(of: [small, right], for: wish) == right)
    #expect(CaptureChoice.best(of: [], for: wish) == nil)
  }

  @Test(arguments: [
    ("White Balance, Automatic", "white_balance_automatic"), ("Brightness", "brightness"),
    ("Power Line Frequency", "PowerLineFrequency"),
  ])
  func controlsAreKnownByAnySpelling(_ one: String, _ other: String) {
    #expect(CaptureControl.isSame(one, other))
    #expect(!CaptureControl.isSame(one, other + "2"))
  }

  @Test func whatIsNotThereOrNoCameraIsToldInWords() {
    func failure(_ path: String) -> CaptureFailure? {
      do throws(CaptureFailure) {
        _ = try VideoDevices().open(CaptureWish(path: path, width: 640, height: 480, framesPerSecond: 25))
        return nil
      } catch { return error }
    }
    #expect(failure("/dev/no-such-camera") == .missing("/dev/no-such-camera"))
    #expect(failure("/dev/null") == .notCapture("/dev/null"))
    #expect(failure("/tmp") != nil)
    for failure in [
      CaptureFailure.missing("/dev/x"), .inUse("/dev/x"), .notPermitted("/dev/x"), .notCapture("/dev/x"),
      .noFormat("/dev/x", offered: []), .noControl("/dev/x", name: "a", offered: ["b 0 to 1"]),
      .gone("/dev/x"),
      .kernel("/dev/x", during: "opening it", "No space left on device"),
    ] {
      #expect("\(failure)".contains("/dev/x") && "\(failure)".contains(" "))
    }
  }
}
