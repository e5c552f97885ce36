import RTP
import SDP
import Testing
import WebRTC

/// Safari cannot be run beside these tests. What it offers, and what it shows as black, is known from its users' logs; every
/// rule that follows from that is one test here, or in `WebKitViewerTests` of the cameras.
@Suite struct SafariTests {
  /// What Safari 18 writes to look and to listen, as far as it is known; `%@` is where its formats of H.264 are.
  private static let page = """
    v=0
    o=- 7614219274584779017 2 IN IP4 127.0.0.1
    s=-
    t=0 0
    a=group:BUNDLE 0 1
    a=extmap-allow-mixed
    a=msid-semantic: WMS
    m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100 101 102 103 104 105
    c=IN IP4 0.0.0.0
    a=rtcp:9 IN IP4 0.0.0.0
    a=ice-ufrag:4ZcD
    a=ice-pwd:2/1muCWoOi3uLifh0NuRHlEj
    a=ice-options:trickle
    a=fingerprint:sha-256 75:74:5A:A6:A4:E5:52:F4:A7:67:4C:01:C7:EE:91:3F:21:3D:A2:E3:53:7B:6F:30:86:F2:30:AA:65:FB:04:24
    a=setup:actpass
    a=mid:0
    a=extmap:1 urn:ietf:params:rtp-hdrext:toffset
    a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
    a=extmap:3 urn:3gpp:video-orientation
    a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
    a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
    a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid
    a=recvonly
    a=rtcp-mux
    a=rtcp-rsize
    %@
    a=rtpmap:100 H265/90000
    a=rtcp-fb:100 goog-remb
    a=rtcp-fb:100 transport-cc
    a=rtcp-fb:100 ccm fir
    a=rtcp-fb:100 nack
    a=rtcp-fb:100 nack pli
    a=fmtp:100 level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST
    a=rtpmap:101 rtx/90000
    a=fmtp:101 apt=100
    a=rtpmap:102 VP8/90000
    a=rtcp-fb:102 goog-remb
    a=rtcp-fb:102 transport-cc
    a=rtcp-fb:102 ccm fir
    a=rtcp-fb:102 nack
    a=rtcp-fb:102 nack pli
    a=rtpmap:103 rtx/90000
    a=fmtp:103 apt=102
    a=rtpmap:104 red/90000
    a=rtpmap:105 ulpfec/90000
    m=audio 9 UDP/TLS/RTP/SAVPF 111 9 0 8 13 110 126
    c=IN IP4 0.0.0.0
    a=rtcp:9 IN IP4 0.0.0.0
    a=ice-ufrag:4ZcD
    a=ice-pwd:2/1muCWoOi3uLifh0NuRHlEj
    a=ice-options:trickle
    a=fingerprint:sha-256 75:74:5A:A6:A4:E5:52:F4:A7:67:4C:01:C7:EE:91:3F:21:3D:A2:E3:53:7B:6F:30:86:F2:30:AA:65:FB:04:24
    a=setup:actpass
    a=mid:1
    a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid
    a=recvonly
    a=rtcp-mux
    a=rtcp-rsize
    a=rtpmap:111 opus/48000/2
    a=rtcp-fb:111 transport-cc
    a=fmtp:111 minptime=10;useinbandfec=1
    a=rtpmap:9 G722/8000
    a=rtpmap:0 PCMU/8000
    a=rtpmap:8 PCMA/8000
    a=rtpmap:13 CN/8000
    a=rtpmap:110 telephone-event/48000
    a=rtpmap:126 telephone-event/8000

    """

  private static func h264(_ number: Int, _ parameters: String) -> String {
    """
    a=rtpmap:\(number) H264/90000
    a=rtcp-fb:\(number) goog-remb
    a=rtcp-fb:\(number) transport-cc
    a=rtcp-fb:\(number) ccm fir
    a=rtcp-fb:\(number) nack
    a=rtcp-fb:\(number) nack pli
    a=fmtp:\(number) \(parameters)
    a=rtpmap:\(number + 1) rtx/90000
    a=fmtp:\(number + 1) apt=\(number)
    """
  }
  private static let high = h264(96, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f")
  private static let base = h264(98, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")

  private func offer(_ formats: String = high + "\n" + base) throws -> SessionDescription {
    let text = SafariTests.page.replacing("%@", with: formats).replacing("\n", with: "\r\n")
    return try SessionDescription(parsing: Array(text.utf8))
  }
  private func choice(
    _ offer: SessionDescription, _ coding: PictureCoding, _ engine: ViewerEngine = .webKit
  ) throws -> (UInt8, String?) {
    let formats = try ViewerFormats(offer, coding: coding, sound: .hears(.pcma), engine: engine)
    #expect(formats.sound?.formats.first == .pcma)
    let format = try #require(formats.picture.formats.first)
    return (format.payloadType, format.parameter("profile-level-id"))
  }

  @Test func aStreamGoesUnderTheProfileThatItHas() throws {
    #expect(try choice(offer(), .h264(parameterSets(0x42, 0xE0))) == (98, "42e01f"))
    #expect(try choice(offer(), .h264(parameterSets(0x42, 0xC0))) == (98, "42e01f"))
    #expect(try choice(offer(), .h264(parameterSets(0x64, 0x0C))) == (96, "640c1f"))
    #expect(try choice(offer(), .h264(nil)) == (98, "42e01f"), "what our own encoder makes")
  }

  @Test func constrainedBaselineMayGoUnderTheNameOfBaseline() throws {
    let formats = SafariTests.base.replacing("42e01f", with: "42001f")
    #expect(
      try choice(offer(SafariTests.high + "\n" + formats), .h264(parameterSets(0x42, 0xE0))) == (98, "42001f")
    )
  }

  @Test func highWithoutPicturesOutOfOrderGoesUnderConstrainedHigh() throws {
    // Under the baseline's number it would stay black.
    #expect(try choice(offer(), .h264(parameterSets(0x64, 0))) == (96, "640c1f"))
    let plain = SafariTests.high.replacing("640c1f", with: "64001f")
    #expect(try choice(offer(plain), .h264(parameterSets(0x64, 0x0C))) == (96, "64001f"))
    #expect(try choice(offer(), .h264(parameterSets(0x4D, 0))) == (96, "640c1f"), "main is a part of high")
  }

  @Test func baselineGoesUnderALargerProfileWhereThatIsAllThereIs() throws {
    #expect(try choice(offer(SafariTests.high), .h264(parameterSets(0x42, 0xE0))) == (96, "640c1f"))
  }

  @Test func onlyPacketizationModeOneIsTaken() throws {
    let modes = SafariTests.high + "\n" + SafariTests.base.replacing("packetization-mode=1;", with: "")
    #expect(try choice(offer(modes), .h264(parameterSets(0x42, 0xE0))) == (96, "640c1f"))
    let zero = SafariTests.base.replacing("packetization-mode=1", with: "packetization-mode=0")
    #expect(throws: ViewerRefusal.coding(wanted: "H264", known: ["H264", "H265", "VP8"])) {
      try choice(offer(zero), .h264(parameterSets(0x42, 0xE0)))
    }
  }

  @Test func theLevelIsRaisedToTheStreamsWhereLevelsMayDiffer() throws {
    #expect(try choice(offer(), .h264(parameterSets(0x42, 0xE0, level: 40))) == (98, "42e028"))
    #expect(try choice(offer(), .h264(parameterSets(0x64, 0x0C, level: 51))) == (96, "640c33"))
    #expect(
      try choice(offer(), .h264(parameterSets(0x42, 0xE0, level: 13))) == (98, "42e01f"), "never lowered")
    for written in ["", "level-asymmetry-allowed=0;"] {
      let formats = SafariTests.base.replacing("level-asymmetry-allowed=1;", with: written)
      #expect(try choice(offer(formats), .h264(parameterSets(0x42, 0xE0, level: 40))) == (98, "42e01f"))
    }
  }

  @Test(
    arguments: [(0x4D, 0, "main"), (0x64, 0, "high"), (0x64, 0x0C, "constrained high")]
      as [(UInt8, UInt8, String)])
  func aLargerProfileThanIsOfferedIsRefusedWithAReason(_ profile: UInt8, _ flags: UInt8, _ name: String)
    throws
  {
    let coding = PictureCoding.h264(parameterSets(profile, flags))
    let refusal = ViewerRefusal.profile(
      H264Profile("\(profile == 0x4D ? "4d" : "64")\(flags == 0 ? "00" : "0c")1e"))
    #expect(throws: refusal) { try choice(offer(SafariTests.base), coding) }
    #expect(refusal.reason.contains("its \(name) profile") && refusal.reason.contains("baseline"))
    // Chromium decodes it all the same.
    #expect(try choice(offer(SafariTests.base), coding, .other) == (98, "42e01f"))
  }

  @Test func picturesOutOfOrderAreRefused() throws {
    // The high profile, with a declaration of two pictures held back.
    let sets = H264Parameters(
      sps: [
        0x67, 100, 0, 30, 0xAC, 0xD9, 0x40, 0xA0, 0x3D, 0xA1, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03,
        0x00, 0x32, 0x0F, 0x16, 0x2D, 0x96,
      ],
      pps: [0x68, 0xEB, 0xE3, 0xCB, 0x22, 0xC0])
    #expect(sets?.reorders == true)
    #expect(throws: ViewerRefusal.reordered) { try choice(offer(), .h264(sets)) }
  }

  @Test func whatWeMakeForThoseWithoutH264SuitsItToo() throws {
    #expect(try choice(offer(), .vp8) == (102, nil))
  }

  @Test func aProfileTakesItsParts() {
    let all = ["42e01f", "42001f", "4d001f", "640c1f", "64001f", "f4001f"].map { H264Profile($0) }
    let taken = all.map { promised in all.map { promised.takes($0) ? "x" : "." }.joined() }
    #expect(taken == ["xx....", "xx....", "xxx...", "xxxxx.", "xxxxx.", ".....x"])
  }

  @Test(arguments: [
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/133.0.6943.33 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPad; CPU OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/135.0 Mobile/15E148 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.0 Safari/605.1.15",
  ])
  func webKitIsKnownByWhatItCallsItself(_ agent: String) {
    #expect(ViewerEngine(userAgent: agent) == .webKit)
  }

  @Test(arguments: [
    nil, "", "aiortc", "GStreamer/1.22 souphttpsrc",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9 Build/AP4A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/133.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0",
  ])
  func whoeverElseLooksIsNoWebKit(_ agent: String?) {
    #expect(ViewerEngine(userAgent: agent) == .other)
  }
}
